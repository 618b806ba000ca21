//! Hints at what will be touched soon. A hint is only a hint: no value from it reaches a figure.

use super::tail::Task;
use super::{Pair, Velocity, pair};
use crate::event::{EventType, SLOTS};
use crate::graph::{Cursor, Graph, Head, NodeId};

const AHEAD_ROW: u32 = 16;
const AHEAD_HEAD: u32 = 8;
const AHEAD_RECORD: u32 = 4;

impl Velocity {
    /// Hints at the pairs that an event between these nodes will look up.
    pub fn prefetch_pairs(&self, of: EventType, nodes: &[NodeId; SLOTS]) {
        self.pair_keys(of, nodes).for_each(|key| self.pairs.prefetch(key));
    }

    /// Hints at the newest row of each of the pairs, once the pairs themselves are near.
    pub fn prefetch_newest(&self, graph: &Graph, of: EventType, nodes: &[NodeId; SLOTS]) {
        for newest in self.pair_keys(of, nodes).filter_map(|key| self.pairs.get(key)).map(|pair| pair.newest) {
            if newest != Pair::GONE {
                graph.rings[self.family as usize].prefetch(newest);
            }
        }
    }

    fn pair_keys<'a>(&'a self, of: EventType, nodes: &'a [NodeId; SLOTS]) -> impl Iterator<Item = u64> + 'a {
        let kinds = self.plan.pair_kinds.iter().enumerate().filter(move |(_, kind)| kind.of == of);
        let both = kinds.filter(|(_, kind)| nodes[kind.a].is_some() && nodes[kind.b].is_some());
        both.map(|(number, kind)| pair::key(number, nodes[kind.a], nodes[kind.b]))
    }

    /// Hints at what a tail will touch in its next steps: the rows are known ahead, so are their nodes and pairs.
    #[inline(always)]
    pub(super) fn look_ahead(&self, graph: &Graph, task: Task, place: Cursor) {
        let ring = &graph.rings[self.family as usize];
        let behind = ring.head().ordinal - place.ordinal;
        ring.prefetch(ring.ahead(place, AHEAD_ROW));
        if behind <= u64::from(AHEAD_HEAD) {
            return;
        }
        let row = ring.row(ring.ahead(place, AHEAD_HEAD));
        for slot in &self.plan.key_slots {
            if row.nodes[*slot].is_some() {
                graph.nodes.prefetch_head(row.nodes[*slot], self.family);
            }
        }
        let row = ring.row(ring.ahead(place, AHEAD_RECORD));
        for slot in &self.plan.key_slots {
            if row.nodes[*slot].is_some()
                && let Head::Warm(record) = graph.nodes.head(row.nodes[*slot], self.family)
            {
                graph.warm[self.family as usize].prefetch_counters(record);
            }
        }
        if matches!(task, Task::Window(window) if window + 1 == self.plan.windows.len()) {
            self.prefetch_pairs(row.flags.kind(), &row.nodes);
        }
    }
}
