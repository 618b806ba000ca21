//! Ego graphs of a batch, back to back, one hop: what the graph gives to those who judge.
//!
//! For each of a seed's first [`SEED_SLOTS`] entities its recent events; each is an edge to the entity on its other side. Further hops
//! arrive through the neighbours' states.

use super::state::{self, STATE};
use super::{Family, Graph, Head, NodeId, RECENT, Recent};
use crate::arithmetic::log2_1p;
use crate::event::{Duration, Timestamp};

/// Entities of a seed whose neighbourhood is gathered.
pub const SEED_SLOTS: usize = 3;
/// Features of an edge: log2(1 + age in seconds), log2(1 + amount in minor units), whether its verdict in force is bad.
pub const EDGE: usize = 3;

/// The ego graphs of one batch: S seeds, N neighbours.
#[derive(Debug, Default)]
pub struct EgoBatch {
    /// (S * SEED_SLOTS + 1)
    row_offsets: Vec<u32>,
    // As long as they ever had to be: what counts are the first N. Growing happens once, not per neighbour.
    neighbours: Vec<NodeId>,
    edge_features: Vec<[f32; EDGE]>,
    neighbour_features: Vec<[f32; STATE]>,
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
        let mut batch = EgoBatch { row_offsets: Vec::with_capacity(seeds * SEED_SLOTS + 1), ..EgoBatch::default() };
        batch.row_offsets.push(0);
        batch.grow(seeds * SEED_SLOTS * super::RECENT);
        batch
    }

    #[cold]
    fn grow(&mut self, neighbours: usize) {
        self.neighbours.resize(neighbours, NodeId::NONE);
        self.edge_features.resize(neighbours, [0.0; EDGE]);
        self.neighbour_features.resize(neighbours, [0.0; STATE]);
    }

    /// Forgets all seeds.
    pub fn clear(&mut self) {
        self.row_offsets.truncate(1);
    }

    fn len(&self) -> usize {
        self.row_offsets.last().map_or(0, |end| *end as usize)
    }

    /// Where each neighbourhood begins and the last one ends: (S * SEED_SLOTS + 1).
    pub fn row_offsets(&self) -> &[u32] {
        &self.row_offsets
    }

    /// The entity on the other side of each edge: (N).
    pub fn neighbours(&self) -> &[NodeId] {
        &self.neighbours[..self.len()]
    }

    /// (N, EDGE)
    pub fn edge_features(&self) -> &[[f32; EDGE]] {
        &self.edge_features[..self.len()]
    }

    /// (N, STATE), as of the seed; zeroes for cold neighbours.
    pub fn neighbour_features(&self) -> &[[f32; STATE]] {
        &self.neighbour_features[..self.len()]
    }

    /// Appends the neighbourhood of one of the seed's entities, newest first, as of `now` (stream time).
    #[inline(always)]
    pub fn push(&mut self, graph: &Graph, family: Family, slot: usize, recent: &Recent, now: Timestamp) -> Neighbourhood {
        let (start, count) = (self.len(), recent.positions().len());
        if self.neighbours.len() < start + count {
            self.grow((start + count).next_power_of_two());
        }
        let neighbours = &mut self.neighbours[start..start + count];
        let edges = &mut self.edge_features[start..start + count];
        let states = &mut self.neighbour_features[start..start + count];
        let ring = &graph.rings[family as usize];
        let mut summary = Neighbourhood { events: count as u32, ..Neighbourhood::default() };
        let mut activity = 0.0;
        let (mut ages, mut amounts) = ([0.0; RECENT], [0.0; RECENT]);
        for (n, position) in recent.positions().iter().enumerate() {
            let row = ring.row(*position);
            let neighbour = row.nodes[other_side(slot)];
            let bad = row.flags.bad();
            summary.bads += u32::from(bad);
            states[n] = match neighbour.is_some().then(|| graph.nodes.head(neighbour, family)) {
                Some(Head::Warm(record)) => state::sums(graph.warm[family as usize].record(record)),
                _ => [0.0; STATE],
            };
            activity += f64::from(states[n][state::COUNT + 1]);
            neighbours[n] = neighbour;
            edges[n][2] = f32::from(bad);
            ages[n] = (now - row.time).0 as f32 * (1.0 / Duration::SECOND.0 as f32);
            amounts[n] = row.amount_minor() as f32;
        }
        // All places at once, the empty ones too: a full row of them takes less time than a few one by one.
        let (ages, amounts) = (ages.map(log2_1p), amounts.map(log2_1p));
        for (edge, (age, amount)) in edges.iter_mut().zip(ages.into_iter().zip(amounts)) {
            (edge[0], edge[1]) = (age, amount);
        }
        self.row_offsets.push((start + count) as u32);
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
