//! External id to dense node: a fixed-size keyed table with linear probing and backward-shift deletion.
//!
//! A slot is 8 bytes: a 32-bit tag and a node. The tag comes from the high half of the id's 128-bit hash, the bucket from the low half, which
//! stands in the node's header as its fingerprint: 96 bits decide identity. No tombstones, no growth, hence no rehash pause.

use super::row::NodeId;
use crate::event::Id;
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, front, is_reached};

/// The table from ids to nodes.
pub struct Index {
    /// `tag << 32 | node + 1`; 0 where empty.
    slots: Buffer<u64>,
}

impl Index {
    /// Bytes of a slot.
    pub const SLOT_BYTES: usize = 8;

    /// Slots for `nodes_max` nodes at a load of at most 0.8.
    pub fn slots_for(nodes_max: u32) -> usize {
        (nodes_max as usize * 5).div_ceil(4) + 1
    }

    /// A table for `nodes_max` nodes.
    pub fn new(nodes_max: u32, progress: &mut dyn FnMut(usize)) -> Index {
        Index { slots: Buffer::new(Index::slots_for(nodes_max), progress) }
    }

    #[inline(always)]
    fn home(&self, fingerprint: u64) -> usize {
        (((fingerprint >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    /// Hints that `id` will be looked up.
    #[inline(always)]
    pub fn prefetch(&self, id: Id) {
        self.slots.prefetch(self.home(id.low()));
    }

    /// The first node under `id`'s tag for which `is` holds (it compares the fingerprint).
    #[inline(always)]
    pub fn find(&self, id: Id, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let tag = tag(id);
        let mut slot = self.home(id.low());
        loop {
            let word = self.slots[slot];
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == tag {
                let node = NodeId(word as u32 - 1);
                if is(node) {
                    return Some(node);
                }
            }
            slot = self.next(slot);
        }
    }

    /// Adds a node that is not there, under the tag and fingerprint of its id. The caller keeps the load.
    pub fn insert(&mut self, tag: u32, fingerprint: u64, node: NodeId) {
        let mut slot = self.home(fingerprint);
        while self.slots[slot] != 0 {
            slot = self.next(slot);
        }
        self.slots.set(slot, u64::from(tag) << 32 | u64::from(node.0 + 1));
    }

    /// Takes `node` out and closes the gap; `fingerprint` tells that of any node.
    pub fn remove(&mut self, node: NodeId, fingerprint: impl Fn(NodeId) -> u64) {
        let mut gap = self.home(fingerprint(node));
        while self.slots[gap] as u32 != node.0 + 1 {
            assert!(self.slots[gap] != 0, "a node that is removed stands in the index");
            gap = self.next(gap);
        }
        let mut slot = self.next(gap);
        while self.slots[slot] != 0 {
            let home = self.home(fingerprint(NodeId(self.slots[slot] as u32 - 1)));
            // The entry may fill the gap unless its home lies cyclically behind the gap.
            let stays = if gap <= slot { gap < home && home <= slot } else { gap < home || home <= slot };
            if !stays {
                self.slots.set(gap, self.slots[slot]);
                gap = slot;
            }
            slot = self.next(slot);
        }
        self.slots.set(gap, 0);
    }

    /// Its table, all of it: entries stand anywhere.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        (front(self.slots.len()), &mut self.slots)
    }

    /// Whether each of `nodes` nodes stands here once, where a search finds it.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, nodes: usize, fingerprint: impl Fn(NodeId) -> u64) -> Result<(), String> {
        let mut seen = vec![0u64; nodes.div_ceil(64)];
        let mut count = 0;
        let Some(mut empty) = self.slots.iter().rposition(|word| *word == 0) else { return Err("its index has no empty slot".to_owned()) };
        for (slot, word) in self.slots.iter().enumerate() {
            if *word == 0 {
                empty = slot;
                continue;
            }
            let node = (*word as u32).wrapping_sub(1) as usize;
            if node >= nodes || seen[node / 64] >> (node % 64) & 1 != 0 {
                return Err(format!("its index names node {node} of {nodes}, or names it twice"));
            }
            seen[node / 64] |= 1 << (node % 64);
            count += 1;
            let home = self.home(fingerprint(NodeId(node as u32)));
            if !is_reached(home, slot, empty) {
                return Err(format!("its index has node {node} where no search finds it"));
            }
        }
        if count == nodes { Ok(()) } else { Err(format!("its index has {count} nodes, expected {nodes}")) }
    }

    /// The tag of every node, by scanning the slots: what a snapshot must keep of the index.
    pub fn tags(&self, nodes: usize) -> Vec<u32> {
        let mut tags = vec![0; nodes];
        for word in self.slots.iter().filter(|word| **word != 0) {
            tags[*word as u32 as usize - 1] = (word >> 32) as u32;
        }
        tags
    }
}

/// The part of an id that stands in the index.
#[inline(always)]
pub fn tag(id: Id) -> u32 {
    id.high() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        // Caught when planted: `home < slot` for `home <= slot` in the wrapped case, and a gap that is not moved on.
        #[test]
        fn agrees_with_a_map_under_insertion_and_removal(steps in prop::collection::vec((0u8..24, any::<bool>()), 1..400)) {
            let mut index = Index::new(16, &mut |_| {});
            let mut map: BTreeMap<u8, NodeId> = BTreeMap::new();
            // Fingerprints crowd into the last buckets, so that chains wrap around the table's end.
            let fingerprint = |key: u8| (u64::from(u32::MAX - u32::from(key % 12) * 30_000_000) << 32) | (u64::from(key) + 1);
            let id = |key: u8| Id::from_bits(u128::from(key % 3) << 64 | u128::from(fingerprint(key)));
            for (key, insert) in steps {
                if insert && !map.contains_key(&key) && map.len() < 16 {
                    let node = NodeId(u32::from(key));
                    index.insert(tag(id(key)), fingerprint(key), node);
                    map.insert(key, node);
                } else if !insert && let Some(node) = map.remove(&key) {
                    index.remove(node, |node| fingerprint(node.0 as u8));
                }
                for key in 0..24 {
                    let found = index.find(id(key), |node| node.0 == u32::from(key));
                    prop_assert_eq!(found, map.get(&key).copied());
                }
            }
        }
    }
}
