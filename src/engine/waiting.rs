//! Which events wait: those that a `waiting` record holds and that were not taken as events yet. Labels and results wait for what they speak
//! of; what comes by a door while the shard is restored waits for the end of that.
//!
//! The engine makes nothing of them. It keeps them so that whoever goes on with the journal knows which of its records to look at again.

use crate::event::{Id, Sequence};
use crate::memory::Slots;
use crate::memory::image::{Table, Used, Words, front};

/// Words an entry: the sequence and one, two of the event's id.
const ENTRY: usize = 3;
/// Events that may wait.
pub const WAITING_MAX: u32 = 262_144;

/// The events that wait.
pub struct Waiting {
    slots: Slots<ENTRY>,
    len: usize,
}

/// Where an entry is at home.
fn hash(entry: &[u64; ENTRY]) -> u64 {
    entry[1]
}

impl Waiting {
    /// With places only where there are `topics`: nothing else makes events wait.
    pub(super) fn new(topics: bool, progress: &mut dyn FnMut(usize)) -> Waiting {
        Waiting { slots: Slots::new(if topics { WAITING_MAX } else { 0 }, progress), len: 0 }
    }

    /// The event of the record `sequence` waits. The runtime lets no more wait than there are places; one that finds none is not known.
    pub(super) fn insert(&mut self, id: Id, sequence: Sequence) {
        if self.slots.is_empty() || self.len == WAITING_MAX as usize {
            return;
        }
        let slot = self.slots.seek(id.low(), |_| false);
        self.slots.put(slot, &[sequence.0 + 1, id.low(), id.high()]);
        self.len += 1;
    }

    /// The event is taken: it waits no more.
    #[inline]
    pub(super) fn remove(&mut self, id: Id) {
        if self.len == 0 {
            return;
        }
        let found = self.slots.chain(id.low()).find(|slot| self.slots.entry(*slot)[1..] == [id.low(), id.high()]);
        if let Some(slot) = found {
            self.slots.remove(slot, hash);
            self.len -= 1;
        }
    }

    /// The records that hold them, in no order that means anything.
    pub(super) fn records(&self) -> impl Iterator<Item = Sequence> {
        self.slots.entries().map(|(_, entry)| Sequence(entry[0] - 1))
    }

    /// All entries with their slots: the ground state.
    pub(super) fn ground(&self) -> (usize, impl Iterator<Item = (u64, [u64; ENTRY])>) {
        (self.len, self.slots.entries().map(|(slot, entry)| (slot as u64, *entry)))
    }

    /// Restores what [`Waiting::ground`] gave, word by word: how many, and each with its slot.
    pub(super) fn restore<E: From<String>>(&mut self, mut next: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        let len = next()?;
        if len > self.slots.count() as u64 {
            return Err(format!("found {len} waiting events, expected at most {WAITING_MAX}").into());
        }
        self.slots.restore((0..len).map(|_| Ok::<_, E>((next()?, [next()?, next()?, next()?]))), "waiting events")?;
        self.len = len as usize;
        Ok(self.check()?)
    }

    /// The table; an entry may stand anywhere.
    pub(super) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        let (used, table) = self.slots.table();
        ("entries", if self.len == 0 { front(0) } else { used }, table)
    }

    /// Writes its number.
    pub(super) fn words(&self, out: &mut Vec<u64>) {
        out.push(self.len as u64);
    }

    /// Puts back what [`Waiting::words`] wrote.
    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.len = words.at_most(WAITING_MAX as usize, "waiting events")?;
        Ok(())
    }

    /// Whether every entry stands where a search finds it.
    pub(super) fn check(&self) -> Result<(), String> {
        self.slots.check(self.len, |entry| Ok(hash(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Caught when planted: all that wait under an id removed with the first.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u64..9, any::<bool>()), 0..200)) {
            let mut waiting = Waiting::new(true, &mut |_| {});
            let mut map: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for (sequence, (n, comes)) in steps.into_iter().enumerate() {
                // Homes crowd at the table's end.
                let id = Id::from_bits(u128::from(u64::MAX - n % 2) | u128::from(n + 1) << 64);
                if comes {
                    waiting.insert(id, Sequence(sequence as u64));
                    map.entry(n).or_default().push(sequence as u64);
                } else {
                    waiting.remove(id);
                    map.entry(n).or_default().pop();
                }
                waiting.check().unwrap();
                prop_assert_eq!(waiting.records().count(), map.values().map(Vec::len).sum::<usize>());
            }
            let (len, entries) = waiting.ground();
            let mut words: Vec<u64> = [len as u64].into_iter().chain(entries.flat_map(|(slot, [a, b, c])| [slot, a, b, c])).collect();
            words.reverse();
            let mut restored = Waiting::new(true, &mut |_| {});
            restored.restore::<String>(|| words.pop().ok_or("too few".to_owned())).unwrap();
            prop_assert!(restored.records().eq(waiting.records()));
        }
    }
}
