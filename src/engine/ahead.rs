//! Fetching ahead what the next events will touch.
//!
//! What an event touches is found by dependent look-ups: index, node, warm record, rows, neighbours' heads, neighbours' states. Each is a
//! stage, run over a group of events before the first of them is taken in, so that the group's memory is on its way side by side. (One
//! stage for each of the next six events in turn, between taking events in, was no faster.) All of this is a hint: the state that it reads
//! is that at the group's start, so no value from it reaches a column, and taking an event in looks everything up again.

use super::Engine;
use crate::event::{Content, Event, EventType, Record, SLOTS, ends};
use crate::graph::ego::{SEED_SLOTS, other_side, side_of};
use crate::graph::{COLD_MAX, Family, Graph, Head, Link, NodeId, RECENT};
use crate::velocity::family as rows_family;

/// Events whose memory is fetched together: larger groups are slower.
pub const GROUP: usize = 8;

/// As many as a cold node has rows, each known from the one before, and those ahead of and behind them.
const STAGES: usize = 4 + COLD_MAX;
const LAST: usize = STAGES - 1;

/// What the stages know of the events of a group.
#[derive(Default)]
pub struct Ahead {
    events: [Coming; GROUP],
}

/// An event on its way.
struct Coming {
    /// `None` where the event has no row.
    family: Option<Family>,
    /// The nodes guessed.
    nodes: [NodeId; SLOTS],
    /// The seed's slot and the position of rows of neighbourhoods.
    edges: Vec<(u8, u32)>,
    /// Chains of rows of cold nodes, as far as they are followed.
    chains: Vec<(u8, Link)>,
    neighbours: Vec<NodeId>,
}

impl Default for Coming {
    fn default() -> Coming {
        let edges = SEED_SLOTS * RECENT;
        let (nodes, chains) = ([NodeId::NONE; SLOTS], Vec::with_capacity(SLOTS));
        Coming { family: None, nodes, edges: Vec::with_capacity(edges), chains, neighbours: Vec::with_capacity(edges) }
    }
}

impl Engine {
    /// Fetches what a group of records will touch.
    #[inline]
    pub(super) fn look_ahead(&mut self, group: &[Record]) {
        for stage in 0..STAGES {
            for (place, record) in group.iter().enumerate() {
                if let Content::Event(event) = &record.content {
                    self.fetch(stage, event, place);
                }
            }
        }
    }

    #[inline]
    fn fetch(&mut self, stage: usize, event: &Event, place: usize) {
        let coming = &mut self.batch.ahead.events[place];
        let graph = &self.graph;
        if stage == 0 {
            coming.family = rows_family(event.body.kind());
            if let Some(family) = coming.family {
                // Where the event's own row will be written.
                let ring = &graph.rings[family as usize];
                ring.prefetch(ring.ahead(ring.head(), place as u32));
            }
            self.judged.prefetch(event.id);
            let ends = ends(&event.body);
            if event.body.kind() == EventType::Payment {
                self.alerts.prefetch(&ends);
                self.evidence.prefetch(graph.rings[Family::Money as usize].head().ordinal + place as u64);
            }
            for id in ends.into_iter().flatten() {
                graph.nodes.prefetch_index(id);
            }
            return;
        }
        let Some(family) = coming.family else { return };
        let nodes = || coming.nodes.into_iter().filter(|node| node.is_some());
        let velocity = &self.velocity[family as usize];
        match stage {
            1 => {
                for (node, id) in coming.nodes.iter_mut().zip(ends(&event.body)) {
                    *node = id.and_then(|id| graph.nodes.guess(id)).unwrap_or(NodeId::NONE);
                    if node.is_some() {
                        graph.nodes.prefetch(*node, family);
                    }
                }
                velocity.prefetch_pairs(event.body.kind(), &coming.nodes);
            }
            2 => {
                nodes().for_each(|node| graph.nodes.prefetch_waking(node));
                coming.fetch_records(graph, family, &velocity.plan().key_slots);
                velocity.prefetch_newest(graph, event.body.kind(), &coming.nodes);
            }
            3 => {
                nodes().for_each(|node| graph.nodes.prefetch_listed(node));
                coming.fetch_edges(graph, family);
                coming.follow_chains(graph, family);
            }
            4 => {
                for (slot, position) in &coming.edges {
                    let row = graph.rings[family as usize].row(*position);
                    let neighbour = row.nodes[other_side(side_of(row, coming.nodes[usize::from(*slot)]))];
                    if neighbour.is_some() {
                        graph.nodes.prefetch_head(neighbour, family);
                        coming.neighbours.push(neighbour);
                    }
                }
                coming.follow_chains(graph, family);
            }
            LAST => {
                for neighbour in &coming.neighbours {
                    if let Head::Warm(record) = graph.nodes.head(*neighbour, family) {
                        graph.warm[family as usize].prefetch_state(record);
                    }
                }
            }
            // Once for each further row that a cold node may have.
            _ => coming.follow_chains(graph, family),
        }
    }
}

impl Coming {
    /// Warm nodes' records; of cold ones the newest row.
    #[inline]
    fn fetch_records(&mut self, graph: &Graph, family: Family, key_slots: &[usize]) {
        self.chains.clear();
        for (slot, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_some()) {
            match graph.nodes.head(*node, family) {
                Head::Warm(record) => {
                    let warm = &graph.warm[family as usize];
                    warm.prefetch_recent(record);
                    warm.prefetch_state(record);
                    if key_slots.contains(&slot) {
                        warm.prefetch_counters(record);
                    }
                }
                Head::Cold(link) => {
                    graph.rings[family as usize].prefetch(link.position());
                    self.chains.push((slot as u8, link));
                }
                Head::Empty => {}
            }
        }
    }

    /// The recent rows of warm nodes.
    #[inline]
    fn fetch_edges(&mut self, graph: &Graph, family: Family) {
        self.edges.clear();
        self.neighbours.clear();
        for (slot, node) in self.nodes[..SEED_SLOTS].iter().enumerate().filter(|(_, node)| node.is_some()) {
            if let Head::Warm(record) = graph.nodes.head(*node, family) {
                let links = graph.warm[family as usize].recent(record).iter().map(|word| Link(*word));
                for link in links.take_while(|link| *link != Link::NONE) {
                    graph.rings[family as usize].prefetch(link.position());
                    // Only the neighbourhoods in the ring of money are gathered.
                    if family == Family::Money {
                        self.edges.push((slot as u8, link.position()));
                    }
                }
            }
        }
    }

    /// Takes every cold node's chain one row further.
    #[inline]
    fn follow_chains(&mut self, graph: &Graph, family: Family) {
        let Coming { chains, neighbours, .. } = self;
        chains.retain_mut(|(slot, link)| {
            let ring = &graph.rings[family as usize];
            let row = ring.row(link.position());
            if family == Family::Money && usize::from(*slot) < SEED_SLOTS {
                let neighbour = row.nodes[other_side(usize::from(*slot))];
                if neighbour.is_some() {
                    graph.nodes.prefetch_head(neighbour, family);
                    neighbours.push(neighbour);
                }
            }
            *link = row.previous[link.slot()];
            ring.prefetch(link.position());
            *link != Link::NONE
        });
    }
}
