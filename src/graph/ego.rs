//! Ego graphs of a batch, back to back, one hop: what the graph gives to those who judge.
//!
//! For each of a seed's first [`SEED_SLOTS`] entities its recent events; each is an edge to the entity on its other side. Further hops
//! arrive through the neighbours' states.

use super::state::{self, STATE};
use super::{Family, Graph, Head, NodeId, Recent};
use crate::arithmetic::log2_1p_coarse;
use crate::event::{Duration, Timestamp};

/// Entities of a seed whose neighbourhood is gathered.
pub const SEED_SLOTS: usize = 3;
/// Features of an edge: log2(1 + age in seconds), log2(1 + amount in minor units), whether its verdict in force is bad.
pub const EDGE: usize = 3;

/// The ego graphs of one batch: S seeds, N neighbours.
#[derive(Debug, Default)]
pub struct EgoBatch {
    /// (S * SEED_SLOTS + 1)
    pub row_offsets: Vec<u32>,
    /// (N)
    pub neighbours: Vec<NodeId>,
    /// (N, EDGE)
    pub edge_features: Vec<[f32; EDGE]>,
    /// (N, STATE), as of the seed; zeroes for cold neighbours.
    pub neighbour_features: Vec<[f32; STATE]>,
}

/// A neighbourhood in short: what rules may ask of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbourhood {
    pub events: u32,
    /// Events with a bad verdict in force.
    pub bads: u32,
    /// Mean over the events of the neighbours' faded daily count.
    pub activity: f64,
}

impl EgoBatch {
    /// Room for `seeds` seeds with full neighbourhoods.
    pub fn with_capacity(seeds: usize) -> EgoBatch {
        let neighbours = seeds * SEED_SLOTS * super::RECENT;
        let mut batch = EgoBatch {
            row_offsets: Vec::with_capacity(seeds * SEED_SLOTS + 1),
            neighbours: Vec::with_capacity(neighbours),
            edge_features: Vec::with_capacity(neighbours),
            neighbour_features: Vec::with_capacity(neighbours),
        };
        batch.row_offsets.push(0);
        batch
    }

    /// Forgets all seeds.
    pub fn clear(&mut self) {
        self.row_offsets.truncate(1);
        self.neighbours.clear();
        self.edge_features.clear();
        self.neighbour_features.clear();
    }

    /// Appends the neighbourhood of one of the seed's entities, newest first, as of `now` (stream time).
    #[inline(always)]
    pub fn push(&mut self, graph: &Graph, family: Family, slot: usize, recent: &Recent, now: Timestamp) -> Neighbourhood {
        let ring = &graph.rings[family as usize];
        let mut summary = Neighbourhood { events: recent.positions().len() as u32, ..Neighbourhood::default() };
        let mut activity = 0.0;
        for position in recent.positions() {
            let row = ring.row(*position);
            let neighbour = row.nodes[other_side(slot)];
            let age = (now - row.time).0 as f32 * (1.0 / Duration::SECOND.0 as f32);
            let bad = row.flags.bad();
            summary.bads += u32::from(bad);
            let features = match neighbour.is_some().then(|| graph.nodes.header(neighbour).head(family)) {
                Some(Head::Warm(record)) => state::sums(graph.warm[family as usize].record(record)),
                _ => [0.0; STATE],
            };
            activity += f64::from(features[state::COUNT + 1]);
            self.neighbours.push(neighbour);
            self.edge_features.push([log2_1p_coarse(age), log2_1p_coarse(row.amount_minor() as f32), f32::from(bad)]);
            self.neighbour_features.push(features);
        }
        self.row_offsets.push(self.neighbours.len() as u32);
        if summary.events > 0 {
            summary.activity = activity / f64::from(summary.events);
        }
        summary
    }
}

/// The slot on the other side of an edge from `slot`: the main counterpart (merchant or receiver), from there the first.
#[inline(always)]
pub fn other_side(slot: usize) -> usize {
    usize::from(slot == 0)
}
