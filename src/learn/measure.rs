//! How good logits are on rows whose outcome is known, and what probabilities they mean.

/// A scored row: its logit, whether it was bad, and for how many rows it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub logit: f32,
    pub bad: bool,
    pub weight: f64,
}

/// Figures of a ranking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Validation {
    pub average_precision: f64,
    pub auc_roc: f64,
    /// Share of the bad: the average precision of a ranking by chance.
    pub bad_share: f64,
}

/// Ranks rows by their logits; equal ones share a rank. All zero where no row is bad or none is good.
pub fn validate(rows: &[Scored]) -> Validation {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|one, other| other.logit.total_cmp(&one.logit));
    let total = |bad: bool| sorted.iter().filter(|row| row.bad == bad).map(|row| row.weight).sum::<f64>();
    let (bads, goods) = (total(true), total(false));
    if bads == 0.0 || goods == 0.0 {
        return Validation::default();
    }
    let (mut hits, mut alarms, mut precision, mut auc) = (0.0, 0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|one, other| one.logit == other.logit) {
        let within = |bad: bool| tied.iter().filter(|row| row.bad == bad).map(|row| row.weight).sum::<f64>();
        let (bad, good) = (within(true), within(false));
        auc += bad * (goods - alarms - good / 2.0);
        hits += bad;
        alarms += good;
        precision += bad * hits / (hits + alarms);
    }
    Validation { average_precision: precision / bads, auc_roc: auc / (bads * goods), bad_share: bads / (bads + goods) }
}

/// The logit of a probability is `slope * logit + offset` (Platt).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Platt {
    pub slope: f64,
    pub offset: f64,
}

/// How far slope and offset are believed to be from where they begin, as standard deviations: wide enough that a few dozen bad rows
/// decide, narrow enough that a handful of them cannot send a probability to nothing or all.
const BELIEVED: [f64; 2] = [0.5, 2.0];

/// A greater logit is always a greater probability.
const SLOPE_MIN: f64 = 0.01;

/// Iterations of Newton's method; it stands still after some six.
const STEPS: usize = 50;

impl Platt {
    /// Fits the probabilities of `rows`, beginning with what the sampling of the good alone would ask for: of `share` of them.
    pub fn fit(rows: &[Scored], share: f64) -> Platt {
        let begun = [1.0, share.ln()];
        let mut at = begun;
        for _ in 0..STEPS {
            let mut gradient: [f64; 2] = std::array::from_fn(|of| (at[of] - begun[of]) / (BELIEVED[of] * BELIEVED[of]));
            let mut curve = [[1.0 / (BELIEVED[0] * BELIEVED[0]), 0.0], [0.0, 1.0 / (BELIEVED[1] * BELIEVED[1])]];
            for row in rows {
                let inputs = [f64::from(row.logit), 1.0];
                let probability = 1.0 / (1.0 + (-(at[0] * inputs[0] + at[1])).exp());
                let miss = row.weight * (probability - f64::from(u8::from(row.bad)));
                let bend = row.weight * probability * (1.0 - probability);
                for one in 0..2 {
                    gradient[one] += miss * inputs[one];
                    for other in 0..2 {
                        curve[one][other] += bend * inputs[one] * inputs[other];
                    }
                }
            }
            let determinant = curve[0][0] * curve[1][1] - curve[0][1] * curve[1][0];
            let step = [
                (curve[1][1] * gradient[0] - curve[0][1] * gradient[1]) / determinant,
                (curve[0][0] * gradient[1] - curve[1][0] * gradient[0]) / determinant,
            ];
            // A step that is too long would end where the curve is flat.
            let longest = step.iter().fold(0.0f64, |longest, step| longest.max(step.abs()));
            let shorter = if longest > 1.0 { 1.0 / longest } else { 1.0 };
            at = [(at[0] - shorter * step[0]).max(SLOPE_MIN), at[1] - shorter * step[1]];
            if longest < 1e-9 {
                break;
            }
        }
        Platt { slope: at[0], offset: at[1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::chance::Chance;

    fn scored(logit: f32, bad: bool) -> Scored {
        Scored { logit, bad, weight: 1.0 }
    }

    #[test]
    fn a_ranking_is_measured_as_by_hand() {
        let rows = [scored(3.0, true), scored(2.0, false), scored(2.0, true), scored(1.0, false), scored(0.0, true)];
        let ranking = super::validate(&rows);
        assert!((ranking.average_precision - (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0).abs() < 1e-12);
        assert!((ranking.auc_roc - (2.0 + 1.5 + 0.0) / 6.0).abs() < 1e-12);
        // A row that stands for two is a row twice.
        let heavy = [rows[0], Scored { weight: 2.0, ..rows[1] }, rows[2]];
        assert_eq!(super::validate(&heavy), super::validate(&[rows[0], rows[1], rows[1], rows[2]]));
        assert_eq!(super::validate(&rows[..1]), Validation::default());
    }

    #[test]
    fn probabilities_of_a_sampled_stream_are_those_of_the_stream() {
        let mut chance = Chance::new(1, 0);
        let mut rows = Vec::new();
        for _ in 0..200_000 {
            // Logits twice too bold and, for a share of the good of a tenth, too high.
            let truth = 6.0 * chance.unit() - 7.0;
            let bad = chance.unit() < 1.0 / (1.0 + (-truth).exp());
            let logit = 2.0 * (truth - 0.1f32.ln());
            if bad || chance.unit() < 0.1 {
                rows.push(Scored { logit, bad, weight: if bad { 1.0 } else { 10.0 } });
            }
        }
        let platt = Platt::fit(&rows, 0.1);
        assert!((platt.slope - 0.5).abs() < 0.03 && (platt.offset - 0.1f64.ln()).abs() < 0.06, "{platt:?}");
        // Without a bad row nothing is known but the share.
        let none = Platt::fit(&[scored(-3.0, false)], 0.1);
        assert!((none.slope - 1.0).abs() < 0.1 && (none.offset - 0.1f64.ln()).abs() < 0.2, "{none:?}");
    }
}
