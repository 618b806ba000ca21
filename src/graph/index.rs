//! External id to dense node: a fixed-size keyed table over open-addressed slots ([`Slots`]).
//!
//! A slot is 8 bytes: a 32-bit tag and a node. The tag comes from the high half of the id's 128-bit hash, the bucket from the low half, which
//! stands in the node's header as its fingerprint: 96 bits decide identity.

use super::row::NodeId;
use crate::event::Id;
use crate::memory::Slots;
use crate::memory::image::{Table, Used};

/// The table from ids to nodes.
pub struct Index {
    /// `tag << 32 | node + 1`; 0 where empty.
    slots: Slots<1>,
}

impl Index {
    /// Bytes of a slot.
    pub const SLOT_BYTES: usize = Slots::<1>::BYTES;

    /// A table for `nodes_max` nodes.
    pub fn new(nodes_max: u32, progress: &mut dyn FnMut(usize)) -> Index {
        Index { slots: Slots::new(nodes_max, progress) }
    }

    /// Hints that `id` will be looked up.
    #[inline(always)]
    pub fn prefetch(&self, id: Id) {
        self.slots.prefetch(hash(id.low()));
    }

    /// The first node under `id`'s tag for which `is` holds (it compares the fingerprint).
    #[inline(always)]
    pub fn find(&self, id: Id, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let tag = tag(id);
        let found = self.slots.seek(hash(id.low()), |word| (word >> 32) as u32 == tag && is(node(word)));
        let word = self.slots.word(found, 0);
        (word != 0).then(|| node(word))
    }

    /// Adds a node that is not there, under the tag and fingerprint of its id. The caller keeps the load.
    pub fn insert(&mut self, tag: u32, fingerprint: u64, node: NodeId) {
        let slot = self.slots.seek(hash(fingerprint), |_| false);
        self.slots.set(slot, 0, u64::from(tag) << 32 | u64::from(node.0 + 1));
    }

    /// Takes `removed` out; `fingerprint` tells that of any node.
    pub fn remove(&mut self, removed: NodeId, fingerprint: impl Fn(NodeId) -> u64) {
        let slot = self.slots.seek(hash(fingerprint(removed)), |word| node(word) == removed);
        assert!(self.slots.word(slot, 0) != 0, "a node that is removed stands in the index");
        self.slots.remove(slot, |[word]| hash(fingerprint(node(*word))));
    }

    /// Its table, all of it: entries stand anywhere.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        self.slots.table()
    }

    /// Whether each of `nodes` nodes stands here once, where a search finds it.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, nodes: usize, fingerprint: impl Fn(NodeId) -> u64) -> Result<(), String> {
        let mut seen = vec![0u64; nodes.div_ceil(64)];
        let checked = self.slots.check(nodes, |[word]| {
            let place = node(*word).0 as usize;
            if place >= nodes || seen[place / 64] >> (place % 64) & 1 != 0 {
                return Err(format!("found node {place} of {nodes}, or found it twice"));
            }
            seen[place / 64] |= 1 << (place % 64);
            Ok(hash(fingerprint(node(*word))))
        });
        checked.map_err(|what| format!("its index: {what}"))
    }

    /// The tag of every node, by scanning the slots: what a snapshot must keep of the index.
    pub fn tags(&self, nodes: usize) -> Vec<u32> {
        let mut tags = vec![0; nodes];
        for (_, [word]) in self.slots.entries() {
            tags[node(*word).0 as usize] = (word >> 32) as u32;
        }
        tags
    }
}

/// The part of a fingerprint that says where its node is at home.
#[inline(always)]
fn hash(fingerprint: u64) -> u64 {
    fingerprint >> 32 << 32
}

/// The node that a slot's word leads to.
#[inline(always)]
fn node(word: u64) -> NodeId {
    NodeId((word as u32).wrapping_sub(1))
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
