//! The table of pairs: for two nodes of one pair kind the newest row and how many rows lie inside the longest window.
//!
//! Distinct counterparts, exactly: an event counts while it is the newest of its pair, for all windows alike; the row that a newer one
//! stands for is marked *superseded*. The key is the pair itself, so nothing is verified elsewhere.

use crate::graph::NodeId;
use crate::memory::Slots;
use crate::memory::image::{Table, Used, Words};

/// What is known of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Position of the newest row; [`Pair::GONE`] when it left before older ones.
    pub newest: u32,
    /// Rows of the pair inside the longest window.
    pub count: u32,
}

impl Pair {
    /// The newest row left while older ones remained.
    pub const GONE: u32 = u32::MAX;
}

/// The pairs of one family.
pub struct Pairs {
    /// Key, and `newest << 32 | count`.
    slots: Slots<2>,
    len: usize,
    pairs_max: usize,
}

/// The key of a pair; `a` stands in the lower slot of the pair kind. Two slots of a row never hold one node, so no key is 0.
#[inline(always)]
pub fn key(kind: usize, a: NodeId, b: NodeId) -> u64 {
    u64::from(a.0) << 33 | u64::from(b.0) << 2 | kind as u64
}

impl Pairs {
    /// Bytes of a slot.
    pub const SLOT_BYTES: usize = Slots::<2>::BYTES;

    /// An empty table of `pairs_max` pairs.
    pub fn new(pairs_max: u32, progress: &mut dyn FnMut(usize)) -> Pairs {
        Pairs { slots: Slots::new(pairs_max, progress), len: 0, pairs_max: pairs_max as usize }
    }

    /// Hints that a pair will be looked up.
    #[inline(always)]
    pub fn prefetch(&self, key: u64) {
        self.slots.prefetch(hash(key));
    }

    /// Where `key` stands, or the empty slot where it would.
    #[inline(always)]
    fn slot(&self, key: u64) -> usize {
        self.slots.seek(hash(key), |other| other == key)
    }

    /// What is known of a pair.
    #[inline(always)]
    pub fn get(&self, key: u64) -> Option<Pair> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slot(key);
        (self.slots.word(slot, 0) != 0).then(|| unpack(self.slots.word(slot, 1)))
    }

    /// Writes a pair; `false` when it is new and the table is full.
    #[inline(always)]
    pub fn set(&mut self, key: u64, pair: Pair) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let slot = self.slot(key);
        if self.slots.word(slot, 0) == 0 {
            if self.len == self.pairs_max {
                return false;
            }
            self.len += 1;
            self.slots.set(slot, 0, key);
        }
        self.slots.set(slot, 1, u64::from(pair.newest) << 32 | u64::from(pair.count));
        true
    }

    /// Takes one row of a pair off; the pair goes with its last row. `newest_left` says that the row was the newest: where others remain,
    /// the ring had dropped one that stood for them.
    #[inline(always)]
    pub fn take_off(&mut self, key: u64, newest_left: bool) {
        let slot = self.slot(key);
        assert!(self.slots.word(slot, 0) == key, "a paired row's pair stands in the table");
        let pair = unpack(self.slots.word(slot, 1));
        if pair.count == 1 {
            self.len -= 1;
            self.slots.remove(slot, |[key, _]| hash(*key));
            return;
        }
        let newest = if newest_left { Pair::GONE } else { pair.newest };
        self.slots.set(slot, 1, u64::from(newest) << 32 | u64::from(pair.count - 1));
    }

    /// Its table, all of it: pairs stand anywhere.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        self.slots.table()
    }

    /// Writes how many there are.
    pub fn words(&self, out: &mut Vec<u64>) {
        out.push(self.len as u64);
    }

    /// Puts back what [`Pairs::words`] wrote.
    ///
    /// # Errors
    /// Where the table is smaller.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.len = words.at_most(self.pairs_max, "pairs")?;
        Ok(())
    }

    /// Whether there are as many pairs as it says, each where a search finds it and with a row below `rows`.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, rows: u32) -> Result<(), String> {
        let checked = self.slots.check(self.len, |[key, word]| {
            let pair = unpack(*word);
            match pair.count > 0 && (pair.newest < rows || pair.newest == Pair::GONE) {
                true => Ok(hash(*key)),
                false => Err(format!("found {key:#x} leading nowhere: {pair:?}")),
            }
        });
        checked.map_err(|what| format!("its pairs: {what}"))
    }

    /// Forgets all pairs.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.len = 0;
    }

    /// All pairs, sorted by key: what a rebuilt table is compared by.
    pub fn sorted(&self) -> Vec<(u64, Pair)> {
        let mut pairs: Vec<(u64, Pair)> = self.slots.entries().map(|(_, [key, word])| (*key, unpack(*word))).collect();
        pairs.sort_by_key(|(key, _)| *key);
        pairs
    }
}

/// Fibonacci hashing (Knuth, TAOCP 3, 6.4); node ids are dense, so nobody can choose where a pair falls.
#[inline(always)]
fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn unpack(word: u64) -> Pair {
    Pair { newest: (word >> 32) as u32, count: word as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        // Caught when planted: a backward shift that compares `gap <= home`.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u32..12, any::<bool>()), 1..300)) {
            let mut pairs = Pairs::new(8, &mut |_| {});
            let mut map: BTreeMap<u64, Pair> = BTreeMap::new();
            for (n, add) in steps {
                let key = key(1, NodeId(n), NodeId(99));
                if add {
                    let pair = Pair { newest: n, count: map.get(&key).map_or(0, |p| p.count) + 1 };
                    let fits = map.contains_key(&key) || map.len() < 8;
                    prop_assert_eq!(pairs.set(key, pair), fits);
                    if fits {
                        map.insert(key, pair);
                    }
                } else if let Some(pair) = map.get_mut(&key) {
                    pairs.take_off(key, false);
                    pair.count -= 1;
                    if pair.count == 0 {
                        map.remove(&key);
                    }
                }
                prop_assert_eq!(pairs.sorted(), map.iter().map(|(k, p)| (*k, *p)).collect::<Vec<_>>());
                prop_assert_eq!(pairs.get(key), map.get(&key).copied());
            }
        }
    }
}
