//! What a model reads of a judged event beside its neighbourhoods: the figures that rules read, and the states of the event's own entities.
//!
//! Whatever trains and whatever serves reads through here, so that the one sees the very numbers that the other will see.

use super::model::LANES;
use crate::arithmetic::log2_1p;
use crate::feature::{FeatureType, PROBABILITY, Schema};
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

/// A state's figures in whole vectors.
pub(super) const STATE_LANES: usize = STATE.next_multiple_of(LANES);

/// States' sums as figures that can be compared between the busy and the quiet: logarithms of counts, and means over the faded events of
/// a fortnight. For at most N states, side by side and without a branch; behind the last zeroes.
#[inline(always)]
pub(super) fn figures_of<const N: usize>(states: &[[f32; STATE]]) -> [[f32; STATE_LANES]; N] {
    assert!(states.len() <= N);
    let of = |figure: usize| -> [f32; N] {
        let mut column = [0.0; N];
        column.iter_mut().zip(states).for_each(|(place, sums)| *place = sums[figure]);
        column
    };
    let counts: [[f32; N]; 3] = [of(state::COUNT), of(state::COUNT + 1), of(state::COUNT + 2)];
    let (money, square) = (of(state::MONEY), of(state::SQUARE));
    let per = counts[2].map(|count| 1.0 / if count > 1.0 { count } else { 1.0 });
    let logs = counts.map(|counts| counts.map(log2_1p));
    let usual: [f32; N] = std::array::from_fn(|n| log2_1p(money[n] * per[n]));
    // Between a quarter and what heavy tails give: how unlike each other the amounts are.
    let spreads: [f32; N] = std::array::from_fn(|n| Usual::spread_in_means(counts[2][n], money[n], square[n]));
    let mut figures = [[0.0; STATE_LANES]; N];
    for (n, (figures, sums)) in figures.iter_mut().zip(states).enumerate() {
        figures[..STATE].copy_from_slice(&sums.map(|sum| sum * per[n]));
        (figures[0], figures[1], figures[2], figures[4], figures[5]) = (logs[0][n], logs[1][n], logs[2][n], usual[n], spreads[n]);
    }
    figures
}

/// As [`figures_of`], of one state.
pub fn state_figures(sums: &[f32; STATE]) -> [f32; STATE] {
    let [figures] = figures_of(std::slice::from_ref(sums));
    std::array::from_fn(|figure| figures[figure])
}

/// Where an input is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A column of integers of the feature row.
    Int(u32),
    /// A column of doubles.
    Double(u32),
    /// A figure of the states of the event's entities, counted through with what stands behind a state's own.
    State(u32),
}

/// A model's inputs: their names, and how they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    names: Vec<String>,
    sources: Vec<Source>,
}

impl Inputs {
    /// The inputs that an event with these feature columns has: each column that is a number, then each of the figures of its first
    /// entities' states. Hashes of texts are not numbers.
    pub fn new(schema: &Schema) -> Inputs {
        let (mut names, mut sources) = (Vec::new(), Vec::new());
        for (at, feature) in schema.features.iter().enumerate() {
            // What a model said is none of its inputs.
            if feature.name == PROBABILITY {
                continue;
            }
            let at = at as u32;
            sources.push(match feature.kind {
                FeatureType::Text(_) => continue,
                FeatureType::Double => Source::Double(at),
                FeatureType::Int | FeatureType::Bool => Source::Int(at),
            });
            names.push(feature.name.clone());
        }
        for slot in 0..SEED_SLOTS {
            names.extend(STATE_FIGURES.iter().map(|figure| format!("entity_{slot}.{figure}")));
        }
        let of = |slot: usize| (0..STATE).map(move |figure| Source::State((slot * STATE_LANES + figure) as u32));
        sources.extend((0..SEED_SLOTS).flat_map(of));
        Inputs { names, sources }
    }

    /// Where the input `name` is found.
    pub fn source(&self, name: &str) -> Option<Source> {
        self.names.iter().position(|other| other == name).map(|at| self.sources[at])
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
    pub fn fill(&self, row: &[u64], own: &[[f32; STATE]], out: &mut [f32]) {
        let states = figures_of(&own[..SEED_SLOTS]);
        let figures = Figures { row, states: &states };
        for (value, source) in out.iter_mut().zip(&self.sources) {
            *value = figures.value(*source);
        }
    }
}

/// The figures of one event, as they stand in the batch.
#[derive(Clone, Copy)]
pub(super) struct Figures<'a> {
    pub(super) row: &'a [u64],
    pub(super) states: &'a [[f32; STATE_LANES]; SEED_SLOTS],
}

impl Figures<'_> {
    #[inline(always)]
    pub(super) fn value(&self, source: Source) -> f32 {
        match source {
            Source::Int(at) => self.row[at as usize] as i64 as f32,
            Source::Double(at) => f64::from_bits(self.row[at as usize]) as f32,
            Source::State(at) => self.states.as_flattened()[at as usize],
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
