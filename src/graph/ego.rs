//! Ego graphs of a batch, back to back, one hop: what the graph gives to those who judge.
//!
//! For each of a seed's first [`SEED_SLOTS`] entities its own state and its recent events; each of these is an edge to the entity on its
//! other side. Further hops arrive through the states of both.

use super::row::Row;
use super::state::{self, STATE, Usual};
use super::warm::STATE_WORDS;
use super::{Family, Graph, Head, NodeId, RECENT, Recent};
use crate::arithmetic::log2_1p;
use crate::event::{Duration, PaymentStatus, Timestamp, Verdict};

/// Entities of a seed whose neighbourhood is gathered.
pub const SEED_SLOTS: usize = 3;

/// Features of an edge.
pub const EDGE: usize = 8;
/// log2(1 + age in seconds).
pub const AGE: usize = 0;
/// log2(1 + amount in minor units).
pub const AMOUNT: usize = 1;
/// Whether its verdict in force is bad.
pub const BAD: usize = 2;
/// Whether it is known to be genuine: by a verdict, or for want of one in all the time that labels take.
pub const GOOD: usize = 3;
/// Whether its latest result is a failure.
pub const FAILED: usize = 4;
/// Spreads of the amount above what its first entity (who pays) usually pays, in [`SCORES`]; 0 where that is not known.
pub const SCORE: usize = 5;
/// Bad with a score below [`QUIET_MAX`]: the amount does not tell why.
pub const QUIET: usize = 6;
/// Whether the seed's entity stood elsewhere than in the first slot: an account there received.
pub const INCOMING: usize = 7;

/// Where scores end.
pub const SCORES: (f32, f32) = (-4.0, 8.0);
/// Scores below this are nothing strange.
pub const QUIET_MAX: f32 = 3.0;

/// The ego graphs of one batch: S seeds, N neighbours.
#[derive(Debug, Default)]
pub struct EgoBatch {
    /// (S * SEED_SLOTS + 1)
    row_offsets: Vec<u32>,
    /// (S * SEED_SLOTS, STATE)
    own_features: Vec<[f32; STATE]>,
    // As long as they ever had to be: what counts are the first N. Growing happens once, not per neighbour.
    neighbours: Vec<NodeId>,
    edge_features: Vec<[f32; EDGE]>,
    neighbour_features: Vec<[f32; STATE]>,
}

/// One of a seed's entities, and how the seed looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Viewed<'a> {
    /// Its node, if it was met before.
    pub node: NodeId,
    /// Its recent rows in `family`.
    pub recent: &'a Recent,
    pub family: Family,
    /// Stream time.
    pub now: Timestamp,
    /// By class ([`super::Flags::maturity_class`]): after what time a row without a verdict is genuine.
    pub maturities: &'a [Duration],
}

/// A neighbourhood in short: what rules may ask of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbourhood {
    pub events: u32,
    /// Events with a bad verdict in force.
    pub bads: u32,
    /// Of these as many as are newer than any that is known to be genuine: an attack that goes on.
    pub bad_streak: u32,
    /// Microseconds since the newest of them.
    pub bad_age: Option<i64>,
    /// Mean over the events of the neighbours' faded daily count.
    pub activity: f64,
    /// What the entity's amounts usually are.
    pub usual: Option<Usual>,
    /// Faded number of its amounts far above that.
    pub outliers: f32,
    /// Microseconds since its latest event or result; `None` without a visible one.
    pub idle: Option<i64>,
}

impl EgoBatch {
    /// Room for `seeds` seeds with full neighbourhoods.
    pub fn with_capacity(seeds: usize) -> EgoBatch {
        let mut batch = EgoBatch {
            row_offsets: Vec::with_capacity(seeds * SEED_SLOTS + 1),
            own_features: Vec::with_capacity(seeds * SEED_SLOTS),
            ..EgoBatch::default()
        };
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
        self.own_features.clear();
    }

    fn len(&self) -> usize {
        self.row_offsets.last().map_or(0, |end| *end as usize)
    }

    /// Where each neighbourhood begins and the last one ends: (S * SEED_SLOTS + 1).
    pub fn row_offsets(&self) -> &[u32] {
        &self.row_offsets
    }

    /// The states of the seeds' entities, faded to stream time: (S * SEED_SLOTS, STATE). Of a cold node as if it were warm; zeroes for one
    /// that was not met before.
    pub fn own_features(&self) -> &[[f32; STATE]] {
        &self.own_features
    }

    /// The entity on the other side of each edge: (N).
    pub fn neighbours(&self) -> &[NodeId] {
        &self.neighbours[..self.len()]
    }

    /// (N, EDGE)
    pub fn edge_features(&self) -> &[[f32; EDGE]] {
        &self.edge_features[..self.len()]
    }

    /// (N, STATE), as of the seed and not faded since the neighbour's own last event; zeroes for cold neighbours.
    pub fn neighbour_features(&self) -> &[[f32; STATE]] {
        &self.neighbour_features[..self.len()]
    }

    /// Bytes that a seed takes at most.
    pub const SEED_BYTES_MAX: usize = SEED_SLOTS
        * (size_of::<u32>()
            + size_of::<[f32; STATE]>()
            + super::RECENT * (size_of::<NodeId>() + size_of::<[f32; EDGE]>() + size_of::<[f32; STATE]>()));

    /// Appends a copy of a seed of another batch.
    pub fn push_copy(&mut self, other: &EgoBatch, seed: usize) {
        if self.row_offsets.is_empty() {
            self.row_offsets.push(0);
        }
        for place in seed * SEED_SLOTS..(seed + 1) * SEED_SLOTS {
            let from = other.row_offsets[place] as usize..other.row_offsets[place + 1] as usize;
            let to = self.len()..self.len() + from.len();
            if self.neighbours.len() < to.end {
                self.grow(to.end.next_power_of_two());
            }
            self.neighbours[to.clone()].copy_from_slice(&other.neighbours[from.clone()]);
            self.edge_features[to.clone()].copy_from_slice(&other.edge_features[from.clone()]);
            self.neighbour_features[to.clone()].copy_from_slice(&other.neighbour_features[from]);
            self.own_features.push(other.own_features[place]);
            self.row_offsets.push(to.end as u32);
        }
    }

    /// Appends an entity with nothing to see.
    pub fn push_unseen(&mut self) {
        self.own_features.push([0.0; STATE]);
        self.row_offsets.push(self.len() as u32);
    }

    /// Appends one of the seed's entities: its state, and its neighbourhood, newest first.
    #[inline(always)]
    pub fn push(&mut self, graph: &Graph, viewed: Viewed<'_>) -> Neighbourhood {
        let Viewed { node, recent, family, now, maturities } = viewed;
        let (own, idle) = graph.state_of(family, node, recent, now);
        self.own_features.push(own);
        let (start, count) = (self.len(), recent.positions().len());
        if self.neighbours.len() < start + count {
            self.grow((start + count).next_power_of_two());
        }
        let neighbours = &mut self.neighbours[start..start + count];
        let edges = &mut self.edge_features[start..start + count];
        let states = &mut self.neighbour_features[start..start + count];
        let ring = &graph.rings[family as usize];
        let usual = Usual::of(&own);
        let mut summary = Neighbourhood { events: count as u32, usual, outliers: own[state::OUTLIER], idle, ..Neighbourhood::default() };
        let (mut activity, mut going_on) = (0.0, true);
        let (mut ages, mut amounts, mut bads) = ([0.0; RECENT], [0.0; RECENT], [0.0; RECENT]);
        // Of who paid. Without one a score of 0.
        let (mut means, mut spreads) = ([0.0f32; RECENT], [f32::INFINITY; RECENT]);
        for (n, position) in recent.positions().iter().enumerate() {
            let row = ring.row(*position);
            let side = side_of(row, node);
            let neighbour = row.nodes[other_side(side)];
            states[n] = match neighbour.is_some().then(|| graph.nodes.head(neighbour, family)) {
                Some(Head::Warm(record)) => state::sums(graph.warm[family as usize].record(record)),
                _ => [0.0; STATE],
            };
            activity += f64::from(states[n][state::COUNT + 1]);
            neighbours[n] = neighbour;
            let payer = if side == 0 { usual } else { Usual::of(&states[n]) };
            if let Some(payer) = payer {
                (means[n], spreads[n]) = (payer.mean, payer.spread);
            }
            let (bad, genuine) = (row.flags.bad(), is_genuine(row, now, maturities));
            going_on &= !genuine;
            summary.bads += u32::from(bad);
            summary.bad_streak += u32::from(bad && going_on);
            if bad && summary.bad_age.is_none() {
                summary.bad_age = Some((now - row.time).0);
            }
            bads[n] = f32::from(bad);
            edges[n][GOOD] = f32::from(genuine);
            edges[n][FAILED] = f32::from(is_failed(row));
            edges[n][INCOMING] = f32::from(side == 1);
            ages[n] = (now - row.time).0 as f32 * (1.0 / Duration::SECOND.0 as f32);
            amounts[n] = row.amount_minor() as f32;
        }
        // All places at once, the empty ones too: a full row of them takes less time than a few one by one.
        let scores: [f32; RECENT] = std::array::from_fn(|n| bounded((amounts[n] - means[n]) / spreads[n]));
        let quiet: [f32; RECENT] = std::array::from_fn(|n| if scores[n] < QUIET_MAX { bads[n] } else { 0.0 });
        let (ages, amounts) = (ages.map(log2_1p), amounts.map(log2_1p));
        for (n, edge) in edges.iter_mut().enumerate() {
            edge[AGE] = ages[n];
            edge[AMOUNT] = amounts[n];
            edge[BAD] = bads[n];
            edge[SCORE] = scores[n];
            edge[QUIET] = quiet[n];
        }
        self.row_offsets.push((start + count) as u32);
        if summary.events > 0 {
            summary.activity = activity / f64::from(summary.events);
        }
        summary
    }
}

/// A score within [`SCORES`].
#[inline(always)]
pub fn bounded(score: f32) -> f32 {
    let (low, high) = SCORES;
    let above = if score > low { score } else { low };
    if above < high { above } else { high }
}

impl Graph {
    /// The state of a node faded to `now`, and the microseconds since its latest event. Of a cold node the state that it would have, had it
    /// turned warm.
    #[inline(always)]
    fn state_of(&self, family: Family, node: NodeId, recent: &Recent, now: Timestamp) -> ([f32; STATE], Option<i64>) {
        if !node.is_some() {
            return ([0.0; STATE], None);
        }
        match self.nodes.head(node, family) {
            Head::Empty => ([0.0; STATE], None),
            Head::Warm(record) => {
                let (sums, idle) = state::as_of(self.warm[family as usize].record(record), now);
                (sums, Some(idle))
            }
            Head::Cold(_) => {
                let mut words = [0; RECENT + STATE_WORDS];
                for position in recent.positions().iter().rev() {
                    let row = self.rings[family as usize].row(*position);
                    state::update(&mut words, row.time, row.amount_minor(), state::Peer::default());
                }
                let (sums, idle) = state::as_of(&words, now);
                (sums, Some(idle))
            }
        }
    }
}

/// The slot, first or other, in which the entity stood.
#[inline(always)]
pub fn side_of(row: &Row, node: NodeId) -> usize {
    usize::from(row.nodes[0] != node)
}

/// The slot on the other side of an edge from `slot`: the main counterpart (merchant or receiver), from there the first.
#[inline(always)]
pub fn other_side(slot: usize) -> usize {
    usize::from(slot == 0)
}

#[inline(always)]
fn is_genuine(row: &Row, now: Timestamp, maturities: &[Duration]) -> bool {
    match row.flags.verdict() {
        Some(Verdict::Legitimate) => true,
        Some(_) => false,
        None => row.time < now - maturities[row.flags.maturity_class()],
    }
}

#[inline(always)]
fn is_failed(row: &Row) -> bool {
    const FAILURES: u16 =
        1 << PaymentStatus::ChallengeFailed as u16 | 1 << PaymentStatus::Abandoned as u16 | 1 << PaymentStatus::DeclinedByIssuer as u16;
    FAILURES >> row.flags.status() & 1 != 0
}

#[cfg(test)]
impl EgoBatch {
    /// Made of parts: for each slot of each seed its own state, and its edges with the states on their other side.
    #[allow(clippy::type_complexity)]
    pub(crate) fn of(parts: &[([f32; STATE], Vec<([f32; EDGE], [f32; STATE])>)]) -> EgoBatch {
        let mut batch = EgoBatch { row_offsets: vec![0], ..EgoBatch::default() };
        for (own, edges) in parts {
            batch.own_features.push(*own);
            for (edge, state) in edges {
                batch.neighbours.push(NodeId(0));
                batch.edge_features.push(*edge);
                batch.neighbour_features.push(*state);
            }
            batch.row_offsets.push(batch.neighbours.len() as u32);
        }
        batch
    }

    /// Says whose the states on the edges' other sides are.
    pub(crate) fn name_neighbours(&mut self, nodes: &[NodeId]) {
        self.neighbours.copy_from_slice(nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_seed_is_the_seed() {
        let part = |of: usize| {
            let edges = (0..of % 5).map(|n| ([(of * 10 + n) as f32; EDGE], [(of * 100 + n) as f32; STATE])).collect();
            ([of as f32; STATE], edges)
        };
        let parts: Vec<_> = (0..4 * SEED_SLOTS).map(part).collect();
        let batch = EgoBatch::of(&parts);
        let mut copy = EgoBatch::default();
        for round in 0..2 {
            copy.clear();
            [2, 0, 3].iter().for_each(|seed| copy.push_copy(&batch, *seed));
            let chosen: Vec<_> = [2, 0, 3].iter().flat_map(|seed| parts[seed * SEED_SLOTS..][..SEED_SLOTS].to_vec()).collect();
            let expected = EgoBatch::of(&chosen);
            assert_eq!(copy.row_offsets(), expected.row_offsets(), "round {round}");
            assert_eq!(copy.own_features(), expected.own_features());
            assert_eq!((copy.neighbours(), copy.edge_features()), (expected.neighbours(), expected.edge_features()));
            assert_eq!(copy.neighbour_features(), expected.neighbour_features());
        }
    }
}
