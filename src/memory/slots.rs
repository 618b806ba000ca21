//! Open addressing: where entries stand in a table of fixed size, and how the gap of one that left is closed.
//!
//! Linear probing with backward-shift deletion: no tombstones and no growth, hence no pause. Only the owner of the entries knows what they
//! mean and where each is at home.

use super::Buffer;
use super::image::{Table, Used, front};

/// How many slots hold `entries_max` entries at a load of at most 0.8, one of them always empty; for no entries there are none.
pub fn slots_for(entries_max: u32) -> usize {
    if entries_max == 0 { 0 } else { (entries_max as usize * 5).div_ceil(4) + 1 }
}

/// Slots of `WORDS` words each; a slot whose first word is 0 is empty.
pub struct Slots<const WORDS: usize> {
    words: Buffer<u64>,
}

impl<const WORDS: usize> Slots<WORDS> {
    /// Bytes of a slot.
    pub const BYTES: usize = WORDS * size_of::<u64>();

    /// Empty slots for `entries_max` entries; the owner sees to it that there are no more.
    pub fn new(entries_max: u32, progress: &mut dyn FnMut(usize)) -> Slots<WORDS> {
        Slots { words: Buffer::new(WORDS * slots_for(entries_max), progress) }
    }

    /// Whether there is room for none at all.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.words.len() / WORDS
    }

    /// Where an entry with this hash is at home: its upper bits say it.
    #[inline(always)]
    pub fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.count() as u128) >> 64) as usize
    }

    #[inline(always)]
    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.count() { 0 } else { slot + 1 }
    }

    /// Hints that an entry with this hash will be sought.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        self.words.prefetch(WORDS * self.home(hash));
    }

    /// Word `word` of a slot.
    #[inline(always)]
    pub fn word(&self, slot: usize, word: usize) -> u64 {
        self.words[WORDS * slot + word]
    }

    /// Writes a word of a slot.
    #[inline(always)]
    pub fn set(&mut self, slot: usize, word: usize, value: u64) {
        self.words.set(WORDS * slot + word, value);
    }

    /// All words of a slot.
    #[inline(always)]
    pub fn entry(&self, slot: usize) -> &[u64; WORDS] {
        self.words[WORDS * slot..].first_chunk().expect("a slot has all its words")
    }

    /// Writes all words of a slot.
    pub fn put(&mut self, slot: usize, entry: &[u64; WORDS]) {
        self.words.range_mut(WORDS * slot..WORDS * (slot + 1)).copy_from_slice(entry);
    }

    /// Fills empty slots with entries as [`Slots::entries`] gave them.
    ///
    /// # Errors
    /// Where an entry cannot be had, or finds no place: `what` says of which entries.
    pub fn restore<E: From<String>>(
        &mut self,
        entries: impl IntoIterator<Item = Result<(u64, [u64; WORDS]), E>>,
        what: &str,
    ) -> Result<(), E> {
        for entry in entries {
            let (slot, entry) = entry?;
            let is_free = |slot: &usize| *slot < self.count() && self.word(*slot, 0) == 0;
            let slot = usize::try_from(slot).ok().filter(is_free);
            let slot = slot.ok_or_else(|| format!("two {what} stand in one place, or one stands outside of the table"))?;
            self.put(slot, &entry);
        }
        Ok(())
    }

    /// The slots that a search for this hash comes to, up to the first empty one; there is one, or no slot at all.
    #[inline(always)]
    pub fn chain(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mut slot = self.home(hash);
        std::iter::from_fn(move || {
            let found = slot;
            slot = self.next(found);
            (!self.is_empty() && self.word(found, 0) != 0).then_some(found)
        })
    }

    /// The first slot from the home of `hash` on whose first word `is` the one sought, or the empty one where it would stand.
    #[inline(always)]
    pub fn seek(&self, hash: u64, mut is: impl FnMut(u64) -> bool) -> usize {
        let mut slot = self.home(hash);
        loop {
            let first = self.word(slot, 0);
            if first == 0 || is(first) {
                return slot;
            }
            slot = self.next(slot);
        }
    }

    /// Empties slot `gap` and closes the gap; `hash` tells that of an entry.
    #[inline(always)]
    pub fn remove(&mut self, mut gap: usize, hash: impl Fn(&[u64; WORDS]) -> u64) {
        let mut slot = self.next(gap);
        while self.word(slot, 0) != 0 {
            let home = self.home(hash(self.entry(slot)));
            // The entry may fill the gap unless its home lies cyclically behind the gap.
            let stays = if gap <= slot { gap < home && home <= slot } else { gap < home || home <= slot };
            if !stays {
                for word in 0..WORDS {
                    self.set(gap, word, self.word(slot, word));
                }
                gap = slot;
            }
            slot = self.next(slot);
        }
        self.set(gap, 0, 0);
    }

    /// All slots that are not empty, in their order, with their words.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &[u64; WORDS])> {
        self.words.as_chunks().0.iter().enumerate().filter(|(_, words)| words[0] != 0)
    }

    /// Empties all slots.
    pub fn clear(&mut self) {
        let all = self.words.len();
        self.words.range_mut(0..all).fill(0);
    }

    /// Whether there are `expected` entries, each where a search finds it; `hash` says what is wrong with an entry, or its hash.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, expected: usize, mut hash: impl FnMut(&[u64; WORDS]) -> Result<u64, String>) -> Result<(), String> {
        let (slots, _) = self.words.as_chunks::<WORDS>();
        let last_empty = slots.iter().rposition(|words| words[0] == 0);
        // A table that has room for entries always has an empty slot, or a search might not end.
        let Some(mut empty) = last_empty.or(slots.is_empty().then_some(0)) else { return Err("found no empty slot".to_owned()) };
        let mut found = 0;
        for (slot, words) in slots.iter().enumerate() {
            if words[0] == 0 {
                empty = slot;
                continue;
            }
            let home = self.home(hash(words)?);
            let reached = if empty < slot { empty < home && home <= slot } else { home <= slot || empty < home };
            if !reached {
                return Err(format!("found {words:x?} in slot {slot}, where no search from {home} finds it"));
            }
            found += 1;
        }
        if found == expected { Ok(()) } else { Err(format!("found {found} entries, expected {expected}")) }
    }

    /// The table, all of it: entries stand anywhere.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        (front(self.words.len()), &mut self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Homes crowd at the table's end, so that chains wrap. Caught when planted: a backward shift that leaves the
        /// second word behind.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((1u64..40, any::<bool>()), 1..300)) {
            let mut slots = Slots::<2>::new(8, &mut |_| {});
            let mut map: BTreeMap<u64, u64> = BTreeMap::new();
            let hash = |key: u64| u64::MAX - ((key % 5) << 60);
            for (n, (key, put)) in steps.into_iter().enumerate() {
                let slot = slots.seek(hash(key), |first| first == key);
                prop_assert_eq!(slots.word(slot, 0) == key, map.contains_key(&key));
                prop_assert_eq!(slots.chain(hash(key)).any(|slot| slots.entry(slot)[0] == key), map.contains_key(&key));
                if put && (map.contains_key(&key) || map.len() < 8) {
                    slots.set(slot, 0, key);
                    slots.set(slot, 1, n as u64);
                    map.insert(key, n as u64);
                } else if !put && map.remove(&key).is_some() {
                    slots.remove(slot, |[first, _]| hash(*first));
                }
                let mut entries: Vec<(u64, u64)> = slots.entries().map(|(_, [key, value])| (*key, *value)).collect();
                entries.sort_unstable();
                prop_assert_eq!(entries, map.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
                prop_assert_eq!(slots.check(map.len(), |words| Ok(hash(words[0]))), Ok(()));
            }
        }
    }

    /// Caught when planted: a check that never says that an entry is not reached.
    #[test]
    fn what_no_search_finds_is_told() {
        let mut slots = Slots::<1>::new(8, &mut |_| {});
        let hash = |words: &[u64; 1]| Ok(words[0] << 56);
        let slot = slots.seek(3 << 56, |_| false);
        slots.set(slot, 0, 3);
        assert_eq!(slots.check(1, hash), Ok(()));
        assert_eq!(slots.check(2, hash), Err("found 1 entries, expected 2".to_owned()));
        slots.set(slot, 0, 0);
        slots.set(slot + 2, 0, 3);
        assert!(slots.check(1, hash).is_err_and(|error| error.contains("where no search from")));
        (0..11).for_each(|slot| slots.set(slot, 0, 3));
        assert_eq!(slots.check(11, hash), Err("found no empty slot".to_owned()));
        assert_eq!(Slots::<1>::new(0, &mut |_| {}).check(0, hash), Ok(()));
    }
}
