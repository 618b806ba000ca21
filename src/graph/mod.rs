//! The temporal graph: a ring of events by family, and the nodes they join. It knows no fraud: it answers who, before when, at most how many.
//!
//! Invariants. A node's head in a family leads to its newest visible row there, or is empty. A cold node's visible rows are found by
//! following `previous` from its head; a warm node's newest 16 stand in its record. A node is in the dormant list exactly when no head
//! leads anywhere and nothing protects it.

mod chain;
pub mod ego;
mod index;
mod limits;
mod node;
mod ring;
mod row;
pub mod state;
mod warm;

pub use chain::{Chain, Linked};
pub use index::{Index, tag};
pub use limits::{Family, FamilyLimits, Limits};
pub use node::{Head, Header, Nodes, day};
pub use ring::{Cursor, Ring};
pub use row::{Flags, Link, NodeId, Row};
pub use warm::{COUNTERS_AT, RECENT, STATE_WORDS, Warm};

use crate::event::{SLOTS, Timestamp};
use state::{Peer, ResultKind};

/// Rows before the next one to leave at which its nodes are fetched, and what these lead to.
const LEAVING_NODES: u32 = 8;
const LEAVING_RECORDS: u32 = 4;

/// Visible events from which on a node is warm.
pub const COLD_MAX: usize = 4;

/// The graph.
pub struct Graph {
    pub rings: [Ring; 3],
    pub nodes: Nodes,
    pub warm: [Warm; 3],
}

/// A node that turned warm at an append: its slot and record.
#[derive(Clone, Copy, Debug)]
pub struct Promotion {
    pub slot: usize,
    pub record: u32,
}

/// The newest visible rows of a node in a family, by position, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    positions: [u32; RECENT],
    count: u8,
    /// A cold node with more visible rows than are listed: there was no warm record for it.
    pub truncated: bool,
}

impl Recent {
    /// No rows.
    pub const NONE: Recent = Recent { positions: [0; RECENT], count: 0, truncated: false };

    /// The positions, newest first.
    #[inline(always)]
    pub fn positions(&self) -> &[u32] {
        &self.positions[..usize::from(self.count)]
    }
}

impl Graph {
    /// An empty graph; `counter_words` by family is what [`crate::velocity`] needs of a warm record.
    pub fn new(limits: &Limits, counter_words: [usize; 3], progress: &mut dyn FnMut(usize)) -> Graph {
        Graph {
            rings: limits.families.map(|family| Ring::new(family.rows_max, progress)),
            nodes: Nodes::new(limits.nodes_max, progress),
            warm: std::array::from_fn(|family| Warm::new(limits.families[family].warm_nodes_max, counter_words[family], progress)),
        }
    }

    /// As [`Graph::recent`] where `node` is cold, else nothing.
    #[inline(always)]
    pub fn recent_of_cold(&self, family: Family, node: NodeId) -> Recent {
        match node.is_some() && matches!(self.nodes.head(node, family), Head::Cold(_)) {
            true => self.recent(family, node),
            false => Recent::NONE,
        }
    }

    /// The newest visible rows of `node` in `family`: at most 16, of a cold node at most four.
    #[inline(always)]
    pub fn recent(&self, family: Family, node: NodeId) -> Recent {
        let mut recent = Recent::NONE;
        if !node.is_some() {
            return recent;
        }
        let ring = &self.rings[family as usize];
        let mut before = u64::MAX >> 1;
        match self.nodes.head(node, family) {
            Head::Empty => {}
            Head::Cold(head) => {
                let mut link = head;
                while let Some((ordinal, row)) = ring.follow(link, node, before) {
                    if usize::from(recent.count) == COLD_MAX {
                        recent.truncated = true;
                        break;
                    }
                    recent.positions[usize::from(recent.count)] = link.position();
                    recent.count += 1;
                    before = ordinal;
                    link = row.previous[link.slot()];
                }
            }
            Head::Warm(record) => {
                let tail = ring.tail().ordinal;
                for word in self.warm[family as usize].recent(record) {
                    let link = Link(*word);
                    if link == Link::NONE {
                        break;
                    }
                    // Positions are pushed in the order of ordinals, so the first that does not fall or is not visible ends the list.
                    let ordinal = ring.ordinal(link.position());
                    if ordinal >= before || ordinal < tail {
                        break;
                    }
                    recent.positions[usize::from(recent.count)] = link.position();
                    recent.count += 1;
                    before = ordinal;
                }
            }
        }
        recent
    }

    /// Appends an event's row: links it to its nodes and folds it into their states. `recent` are the rows of its nodes as they were
    /// gathered. Returns where the row stands and who turned warm. The ring must have room.
    pub fn append(&mut self, family: Family, mut row: Row, recent: &[Recent; SLOTS], promoted: &mut Vec<Promotion>) -> Cursor {
        promoted.clear();
        let place = self.rings[family as usize].head();
        let peers = [self.peer(family, row.nodes[0]), self.peer(family, row.nodes[1])];
        for slot in 0..SLOTS {
            let node = row.nodes[slot];
            row.previous[slot] = Link::NONE;
            if !node.is_some() {
                continue;
            }
            let link = Link::new(place.position, slot);
            self.nodes.count_event(node, row.time);
            let mut head = self.nodes.head(node, family);
            let rows = &recent[slot];
            if let Head::Cold(newest) = head {
                row.previous[slot] = newest;
                if rows.positions().len() == COLD_MAX
                    && !rows.truncated
                    && let Some(record) = self.warm[family as usize].take()
                {
                    self.promote(family, node, record, rows);
                    promoted.push(Promotion { slot, record });
                    head = Head::Warm(record);
                    self.nodes.set_head(node, family, head);
                }
            }
            match head {
                Head::Warm(record) => {
                    let warm = &mut self.warm[family as usize];
                    row.previous[slot] = Link(warm.recent(record)[0]);
                    warm.push_recent(record, link);
                    let peer = peers[usize::from(slot == 0)];
                    state::update(warm.record_mut(record), row.time, row.amount_minor(), peer);
                }
                Head::Empty | Head::Cold(_) => self.nodes.set_head(node, family, Head::Cold(link)),
            }
        }
        self.rings[family as usize].push(row)
    }

    /// What `node` is to its counterpart.
    #[inline(always)]
    fn peer(&self, family: Family, node: NodeId) -> Peer {
        if !node.is_some() {
            return Peer::default();
        }
        let newcomer = self.nodes.header(node).events() == 0;
        match self.nodes.head(node, family) {
            Head::Warm(record) => state::peer(self.warm[family as usize].record(record), newcomer),
            _ => Peer { newcomer, ..Peer::default() },
        }
    }

    /// Fills the record of a node that turns warm from its four visible rows: recent positions and state.
    fn promote(&mut self, family: Family, node: NodeId, record: u32, rows: &Recent) {
        for position in rows.positions().iter().rev() {
            let row = *self.rings[family as usize].row(*position);
            let slot = row.nodes.iter().position(|other| *other == node).expect("a recent row bears its node");
            let warm = &mut self.warm[family as usize];
            warm.push_recent(record, Link::new(*position, slot));
            state::update(warm.record_mut(record), row.time, row.amount_minor(), Peer::default());
        }
    }

    /// Folds a payment's result into the states of a row's nodes.
    pub fn fold_result(&mut self, family: Family, nodes: &[NodeId; SLOTS], time: Timestamp, kind: ResultKind) {
        for node in nodes.iter().filter(|node| node.is_some()) {
            if let Head::Warm(record) = self.nodes.head(*node, family) {
                state::update_result(self.warm[family as usize].record_mut(record), time, kind);
            }
        }
    }

    /// Lets the oldest row of `family` go. A node whose newest row it was has no visible row there any more: its warm record, if it has
    /// one, goes back to the pool.
    pub fn release(&mut self, family: Family) {
        self.look_ahead(family);
        let (position, row) = self.rings[family as usize].release();
        for (slot, node) in row.nodes.iter().enumerate().filter(|(_, node)| node.is_some()) {
            let link = Link::new(position, slot);
            match self.nodes.head(*node, family) {
                Head::Cold(newest) if newest == link => self.nodes.set_head(*node, family, Head::Empty),
                Head::Warm(record) if self.warm[family as usize].recent(record)[0] == link.0 => {
                    self.warm[family as usize].give_back(record);
                    self.nodes.set_head(*node, family, Head::Empty);
                }
                _ => {}
            }
        }
    }

    /// Hints at what letting the next rows go will touch: which rows these are is known, so are their nodes.
    #[inline(always)]
    fn look_ahead(&self, family: Family) {
        let ring = &self.rings[family as usize];
        if ring.len() <= u64::from(LEAVING_NODES) {
            return;
        }
        for node in ring.row(ring.ahead(ring.tail(), LEAVING_NODES)).nodes.into_iter().filter(|node| node.is_some()) {
            self.nodes.prefetch_head(node, family);
        }
        let position = ring.ahead(ring.tail(), LEAVING_RECORDS);
        for node in ring.row(position).nodes.into_iter().filter(|node| node.is_some()) {
            match self.nodes.head(node, family) {
                Head::Warm(record) => self.warm[family as usize].prefetch_recent(record),
                // Its last row: it will lie dormant.
                Head::Cold(newest) if newest.position() == position => self.nodes.prefetch_all(node),
                Head::Cold(_) | Head::Empty => {}
            }
        }
    }

    /// Rebuilds what is derived of a visible row, rows taken in arrival order: its place among the recent positions of its warm nodes.
    /// `each` is called for every such node and its record.
    pub fn relink(&mut self, family: Family, row: &Row, position: u32, mut each: impl FnMut(&mut Graph, NodeId, u32)) {
        for (slot, node) in row.nodes.iter().enumerate().filter(|(_, node)| node.is_some()) {
            if let Head::Warm(record) = self.nodes.head(*node, family) {
                self.warm[family as usize].push_recent(record, Link::new(position, slot));
                each(self, *node, record);
            }
        }
    }
}
