//! Who stands on which list, since when and until when.
//!
//! A table of open addressing in which all entries of an entity lie in one chain, so that one search tells every list. An entry counts while
//! stream time lies before its end. Its place is taken back when somebody is to be put on a list and no place is left; that walk over the
//! table is made only where an entry has ended.

use crate::event::{Id, ListChange, Timestamp};
use crate::memory::Slots;
use crate::memory::image::{Table, Used, Words, front};

/// Words an entry: its list and one, two of the id, its end, its beginning.
const ENTRY: usize = 5;
/// The place of its end among them.
const UNTIL: usize = 3;

/// The entries of all lists.
pub struct Lists {
    slots: Slots<ENTRY>,
    entries_max: usize,
    len: usize,
    /// No entry ends before this.
    earliest: Timestamp,
}

/// Where an entry is at home.
fn hash(entry: &[u64; ENTRY]) -> u64 {
    entry[1]
}

fn is_of(entry: &[u64; ENTRY], id: Id) -> bool {
    entry[1] == id.low() && entry[2] == id.high()
}

/// Somebody on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry {
    pub id: Id,
    /// The list's number.
    pub list: u16,
    /// It counts while stream time lies before this.
    pub until: Timestamp,
    /// `received` of the record that put them there; one that moved the end of an entry before that had come did not.
    pub since: Timestamp,
}

impl ListEntry {
    fn of([list, low, high, until, since]: &[u64; ENTRY]) -> ListEntry {
        let id = Id::from_bits(u128::from(*high) << 64 | u128::from(*low));
        ListEntry { id, list: (list - 1) as u16, until: Timestamp(*until as i64), since: Timestamp(*since as i64) }
    }
}

impl Lists {
    /// Bytes a slot takes.
    pub const SLOT_BYTES: usize = Slots::<ENTRY>::BYTES;

    pub(super) fn new(entries_max: u32, progress: &mut dyn FnMut(usize)) -> Lists {
        let slots = Slots::new(entries_max, progress);
        Lists { slots, entries_max: entries_max as usize, len: 0, earliest: Timestamp(i64::MAX) }
    }

    /// How many entries there are, those that have ended and whose place nobody asked for included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries of `id`.
    #[inline(always)]
    fn entries_of(&self, id: Id) -> impl Iterator<Item = ListEntry> {
        self.slots.chain(id.low()).map(|slot| self.slots.entry(slot)).filter(move |entry| is_of(entry, id)).map(ListEntry::of)
    }

    /// The lists that `id` stands on at `now`, a bit each.
    #[inline]
    pub(super) fn of(&self, id: Id, now: Timestamp) -> u32 {
        if self.len == 0 {
            return 0;
        }
        self.entries_of(id).filter(|entry| now < entry.until).fold(0, |lists, entry| lists | 1 << entry.list)
    }

    /// Until when `id` stands on any of these lists, ended or not; long ago where it stands on none.
    pub(super) fn until(&self, id: Id, lists: u32) -> Timestamp {
        if self.len == 0 {
            return Timestamp::MIN;
        }
        let ends = self.entries_of(id).filter(|entry| lists >> entry.list & 1 != 0).map(|entry| entry.until);
        ends.fold(Timestamp::MIN, Ord::max)
    }

    /// Puts somebody on a list, until another time than before where they stand there, or takes them off; `received` is that of the record.
    pub(super) fn change(&mut self, change: &ListChange, received: Timestamp, now: Timestamp) {
        let ListChange { list, id, until } = *change;
        let words = |until: Timestamp| [u64::from(list) + 1, id.low(), id.high(), until.0 as u64, received.0 as u64];
        let found = self.slots.chain(id.low()).find(|slot| self.slots.entry(*slot)[..UNTIL] == words(now)[..UNTIL]);
        match (found, until) {
            (Some(slot), Some(until)) => {
                match received < ListEntry::of(self.slots.entry(slot)).until {
                    true => self.slots.set(slot, UNTIL, until.0 as u64),
                    // They did not stand there any more.
                    false => self.slots.put(slot, &words(until)),
                }
                self.earliest = self.earliest.min(until);
            }
            (Some(slot), None) => self.remove(slot),
            (None, Some(until)) => {
                if self.len == self.entries_max && self.earliest <= now {
                    self.sweep(now);
                }
                if self.len < self.entries_max {
                    let slot = self.slots.seek(id.low(), |_| false);
                    self.slots.put(slot, &words(until));
                    self.len += 1;
                    self.earliest = self.earliest.min(until);
                }
            }
            (None, None) => {}
        }
    }

    fn remove(&mut self, slot: usize) {
        self.slots.remove(slot, hash);
        self.len -= 1;
    }

    /// Takes back the places of all entries that have ended.
    fn sweep(&mut self, now: Timestamp) {
        self.earliest = Timestamp(i64::MAX);
        let mut slot = 0;
        while slot < self.slots.count() {
            let entry = self.slots.entry(slot);
            if entry[0] == 0 {
                slot += 1;
                continue;
            }
            let until = ListEntry::of(entry).until;
            if until <= now {
                // Whoever moves up into this slot is looked at next; nobody comes from before it but round the table's end, and who does is
                // seen there.
                self.remove(slot);
            } else {
                self.earliest = self.earliest.min(until);
                slot += 1;
            }
        }
    }

    /// All entries with their slots, in the order of these: the ground state.
    pub(super) fn ground(&self) -> impl Iterator<Item = (usize, &[u64; ENTRY])> {
        self.slots.entries()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = ListEntry> {
        self.ground().map(|(_, entry)| ListEntry::of(entry))
    }

    /// Restores an empty table from what [`Lists::ground`] and [`Lists::earliest`] gave.
    pub(super) fn restore(&mut self, earliest: Timestamp, entries: &[(u64, [u64; ENTRY])]) -> Result<(), String> {
        self.slots.restore(entries.iter().copied().map(Ok::<_, String>), "entries of lists")?;
        (self.len, self.earliest) = (entries.len(), earliest);
        self.check()
    }

    /// No entry ends before this.
    pub(super) fn earliest(&self) -> Timestamp {
        self.earliest
    }

    /// Its table and what of it is in use: an entry may stand anywhere.
    pub(super) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        let (used, table) = self.slots.table();
        ("entries", if self.len == 0 { front(0) } else { used }, table)
    }

    /// Writes its numbers.
    pub(super) fn words(&self, out: &mut Vec<u64>) {
        out.extend([self.len as u64, self.earliest.0 as u64]);
    }

    /// Puts back what [`Lists::words`] wrote.
    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.len = words.at_most(self.entries_max, "entries of lists")?;
        self.earliest = Timestamp(words.word()? as i64);
        Ok(())
    }

    /// Whether every entry stands where a search finds it, and names a list that fits a bit.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.len > self.entries_max {
            return Err(format!("found {} entries, expected at most {}", self.len, self.entries_max));
        }
        self.slots.check(self.len, |entry| match entry[0] {
            1..=32 => Ok(hash(entry)),
            number => Err(format!("found an entry of list {number}, expected one of 32")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Ids whose homes crowd at the table's end, so that chains wrap.
    fn id(n: u8) -> Id {
        Id::from_bits(u128::from(u64::MAX - u64::from(n % 3)) | u128::from(n) << 64)
    }

    proptest! {
        /// Caught when planted: a backward shift that let an entry behind the end of the table stay; a sweep that went on behind a slot that
        /// somebody had moved up into.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u8..12, 0u16..3, prop::option::weighted(0.7, 0i64..40), 0i64..3), 1..300)) {
            let mut lists = Lists::new(7, &mut |_| {});
            let mut map: BTreeMap<(u8, u16), (i64, Timestamp)> = BTreeMap::new();
            let mut now = 0;
            for (n, list, ahead, passes) in steps {
                now += passes;
                let until = ahead.map(|ahead| now + ahead);
                // Of the clock, which runs ahead of stream time.
                let received = Timestamp(now + 2);
                lists.change(&ListChange { list, id: id(n), until: until.map(Timestamp) }, received, Timestamp(now));
                match (until, map.get(&(n, list)).copied()) {
                    (None, _) => drop(map.remove(&(n, list))),
                    (Some(until), Some((before, since))) => {
                        map.insert((n, list), (until, if received.0 < before { since } else { received }));
                    }
                    (Some(until), None) => {
                        if map.len() == 7 {
                            map.retain(|_, (until, _)| *until > now);
                        }
                        if map.len() < 7 {
                            map.insert((n, list), (until, received));
                        }
                    }
                }
                prop_assert_eq!(lists.len(), map.len());
                lists.check().unwrap();
                for n in 0..12 {
                    let expected = (0..3).filter(|list| map.get(&(n, *list)).is_some_and(|(until, _)| now < *until));
                    prop_assert_eq!(lists.of(id(n), Timestamp(now)), expected.fold(0, |bits, list| bits | 1 << list));
                }
            }
            let mut entries: Vec<ListEntry> = lists.entries().collect();
            entries.sort_unstable_by_key(|entry| (entry.id.high(), entry.list));
            let expected = map.iter().map(|((n, list), (until, since))| {
                ListEntry { id: id(*n), list: *list, until: Timestamp(*until), since: *since }
            });
            prop_assert_eq!(entries, expected.collect::<Vec<_>>());
            let entries: Vec<(u64, [u64; ENTRY])> = lists.ground().map(|(slot, entry)| (slot as u64, *entry)).collect();
            let mut restored = Lists::new(7, &mut |_| {});
            restored.restore(lists.earliest(), &entries).unwrap();
            prop_assert_eq!(restored.ground().collect::<Vec<_>>(), lists.ground().collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_places_nobody_is_listed() {
        let mut lists = Lists::new(0, &mut |_| {});
        lists.change(&ListChange { list: 0, id: id(1), until: Some(Timestamp(9)) }, Timestamp(0), Timestamp(0));
        lists.change(&ListChange { list: 0, id: id(1), until: None }, Timestamp(0), Timestamp(0));
        assert_eq!((lists.of(id(1), Timestamp(0)), lists.len()), (0, 0));
        lists.check().unwrap();
    }
}
