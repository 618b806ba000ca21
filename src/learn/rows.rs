//! A row to learn from: a judged event as the engine saw it, and what it turned out to be.

use crate::arithmetic::decay;
use crate::event::{Duration, EventType, Id, Sequence, Timestamp};
use crate::gnn::{STATE_FIGURES, state_figures};
use crate::graph::ego::{AGE, EDGE, SEED_SLOTS};
use crate::graph::state::STATE;

/// The neighbourhood of one of a row's entities, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    pub edges: &'a [[f32; EDGE]],
    /// The states of the entities on the other side.
    pub states: &'a [[f32; STATE]],
}

/// A judged event as it was gathered: nothing in it is younger than the event but `bad`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub sequence: Sequence,
    pub event: Id,
    /// Text of its id.
    pub name: &'a str,
    pub time: Timestamp,
    pub kind: EventType,
    /// Whether it was fraud or laundering, as known when learning begins.
    pub bad: bool,
    /// (I), see [`crate::gnn::Inputs`].
    pub inputs: &'a [f32],
    pub around: [Around<'a>; SEED_SLOTS],
}

/// Rows of one type of event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub rows: u64,
    pub bad: u64,
}

/// How many rows there will be: a sink that keeps a share of them needs to know beforehand. A little more than come, where the stream
/// repeats events or holds some that the engine has no room to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub payment: Count,
    pub transfer: Count,
}

/// Whoever takes rows, in the order of their events.
pub trait RowSink {
    /// What may go wrong with it.
    type Error;

    /// Takes a row.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn row(&mut self, row: &Row<'_>) -> Result<(), Self::Error>;
}

/// Features of an edge, by their places.
const EDGE_FIGURES: [&str; EDGE] = ["age_log", "amount_log", "bad", "good", "failed", "score", "quiet", "incoming"];

/// Half-life of the weights of recent edges.
const RECENT_HALF_LIFE: Duration = Duration::DAY.times(3);

/// Names of [`pooled`].
pub fn pooled_names() -> Vec<String> {
    let mut names = Vec::new();
    for slot in 0..SEED_SLOTS {
        names.push(format!("around_{slot}.edges"));
        names.extend(EDGE_FIGURES.iter().map(|figure| format!("around_{slot}.{figure}")));
        names.push(format!("recent_{slot}.edges"));
        names.extend(EDGE_FIGURES.iter().map(|figure| format!("recent_{slot}.{figure}")));
        names.extend(STATE_FIGURES.iter().map(|figure| format!("others_{slot}.{figure}")));
    }
    names
}

/// Neighbourhoods in figures of a fixed number, for those who cannot read graphs: for each entity sums over its edges, the same with
/// weights that halve in three days, and means of the neighbours' states.
pub fn pooled(around: &[Around<'_>; SEED_SLOTS], out: &mut Vec<f32>) {
    for side in around {
        let (mut all, mut recent, mut others) = ([0.0; EDGE + 1], [0.0; EDGE + 1], [0.0; STATE]);
        for (edge, sums) in side.edges.iter().zip(side.states) {
            // The age is kept as a logarithm.
            let seconds = f64::from(edge[AGE]).exp2() - 1.0;
            let half_lives = seconds / (RECENT_HALF_LIFE.0 as f64 / Duration::SECOND.0 as f64);
            let weight = decay([half_lives as f32; 4])[0];
            for (at, value) in [1.0].iter().chain(edge).enumerate() {
                all[at] += value;
                recent[at] += weight * value;
            }
            let share = 1.0 / side.edges.len() as f32;
            for (mean, figure) in others.iter_mut().zip(state_figures(sums)) {
                *mean += share * figure;
            }
        }
        out.extend_from_slice(&all);
        out.extend_from_slice(&recent);
        out.extend_from_slice(&others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ego::BAD;

    #[test]
    fn every_pooled_figure_has_a_name_and_recent_edges_weigh_more() {
        let mut edges = [[0.0; EDGE]; 2];
        // Three days ago, and now.
        edges[0][AGE] = (1.0 + 3.0 * 86_400.0f32).log2();
        edges[0][BAD] = 1.0;
        let around = [Around { edges: &edges, states: &[[0.0; STATE]; 2] }, Around::default(), Around::default()];
        let mut out = Vec::new();
        pooled(&around, &mut out);
        let names = pooled_names();
        assert_eq!(out.len(), names.len());
        let figure = |name: &str| out[names.iter().position(|other| other == name).expect("a name")];
        assert_eq!((figure("around_0.edges"), figure("around_0.bad")), (2.0, 1.0));
        assert!((figure("recent_0.edges") - 1.5).abs() < 1e-4 && (figure("recent_0.bad") - 0.5).abs() < 1e-4);
        assert_eq!(figure("around_1.edges"), 0.0);
    }
}
