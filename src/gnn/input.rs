//! What a model reads of a judged event beside its neighbourhoods: the figures that rules read, and the states of the event's own entities.
//!
//! Whatever trains and whatever serves reads through here, so that the one sees the very numbers that the other will see.

use crate::arithmetic::log2_1p;
use crate::feature::{FeatureType, Schema};
use crate::graph::ego::SEED_SLOTS;
use crate::graph::state::{self, STATE, Usual};

/// Figures of a state, in the order of [`state_figures`].
pub const STATE_FIGURES: [&str; STATE] = [
    "count_1h",
    "count_1d",
    "count_14d",
    "amount_log",
    "usual_log",
    "spread",
    "outliers",
    "gap_log",
    "newcomers",
    "peer_count",
    "peer_amount",
    "peer_failed",
    "failed",
    "refunded",
];

/// A state's sums as figures that can be compared between the busy and the quiet: logarithms of counts, and means over the faded events of
/// a fortnight.
#[inline(always)]
pub fn state_figures(sums: &[f32; STATE]) -> [f32; STATE] {
    let count = sums[state::COUNT + 2];
    let per = 1.0 / if count > 1.0 { count } else { 1.0 };
    let usual = Usual::of(sums);
    let mean = sums[state::MONEY] * per;
    let mut figures = sums.map(|sum| sum * per);
    for at in 0..3 {
        figures[at] = log2_1p(sums[state::COUNT + at]);
    }
    figures[4] = log2_1p(mean);
    // Between a quarter and what heavy tails give: how unlike each other the amounts are.
    figures[5] = usual.map_or(0.0, |usual| usual.spread / if usual.mean > 1.0 { usual.mean } else { 1.0 });
    figures
}

/// A model's inputs: their names, and how they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    names: Vec<String>,
    /// Columns of the feature row, and whether they hold doubles.
    columns: Vec<(usize, bool)>,
}

impl Inputs {
    /// The inputs that an event with these feature columns has: each column that is a number, then each of the figures of its first
    /// entities' states. Hashes of texts are not numbers.
    pub fn new(schema: &Schema) -> Inputs {
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        for (at, feature) in schema.features.iter().enumerate() {
            if !matches!(feature.kind, FeatureType::Text(_)) {
                names.push(feature.name.clone());
                columns.push((at, feature.kind == FeatureType::Double));
            }
        }
        for slot in 0..SEED_SLOTS {
            names.extend(STATE_FIGURES.iter().map(|figure| format!("entity_{slot}.{figure}")));
        }
        Inputs { names, columns }
    }

    /// One name an input.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Inputs of an event (I).
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Writes the inputs of one event: `row` holds the words of its feature columns, `own` the states of its first entities.
    #[inline]
    pub fn fill(&self, row: &[u64], own: &[[f32; STATE]], out: &mut [f32]) {
        let (figures, states) = out.split_at_mut(self.columns.len());
        for (value, (at, double)) in figures.iter_mut().zip(&self.columns) {
            *value = if *double { f64::from_bits(row[*at]) as f32 } else { row[*at] as i64 as f32 };
        }
        for (figures, sums) in states.chunks_exact_mut(STATE).zip(own) {
            figures.copy_from_slice(&state_figures(sums));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IdKind;
    use crate::feature::{double, int};

    #[test]
    fn numbers_are_inputs_and_hashes_are_not() {
        let mut schema = Schema::default();
        schema.push("amount", FeatureType::Int, "");
        schema.push("country", FeatureType::Text(IdKind::Symbol), "");
        schema.push("rate", FeatureType::Double, "");
        schema.push("listed", FeatureType::Bool, "");
        let inputs = Inputs::new(&schema);
        assert_eq!(inputs.names()[..4], ["amount", "rate", "listed", "entity_0.count_1h"]);
        let mut sums = [0.0; STATE];
        (sums[state::COUNT + 2], sums[state::MONEY], sums[state::SQUARE], sums[state::FAILED]) = (4.0, 4_000.0, 4_250_000.0, 1.0);
        let mut out = vec![0.0; inputs.len()];
        inputs.fill(&[int(-7), 99, double(0.25), 1], &[[0.0; STATE], sums, [0.0; STATE]], &mut out);
        assert_eq!(out[..3], [-7.0, 0.25, 1.0]);
        let second = |name: &str| out[inputs.names().iter().position(|other| other == &format!("entity_1.{name}")).expect("a figure")];
        assert_eq!((second("failed"), second("spread")), (0.25, 0.25));
        assert!((second("usual_log") - 1_001f32.log2()).abs() < 1e-5);
        assert!(out[3..3 + STATE].iter().all(|figure| *figure == 0.0), "nothing is known of the first");
    }
}
