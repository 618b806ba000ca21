//! Who stands on which list, and until when.
//!
//! A hash table with linear probing and backward shift: all entries of an entity lie in one chain, so that one search tells every list. An
//! entry counts while stream time lies before its end. Its place is taken back when somebody is to be put on a list and no place is left;
//! that walk over the table is made only where an entry has ended.

use crate::event::{Id, ListChange, Timestamp};
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, Words, front};

/// Words an entry: two of the id, its list, its end.
const ENTRY: usize = 4;

/// The entries of all lists.
pub struct Lists {
    /// (slots, ENTRY); an id is never zero.
    slots: Buffer<u64>,
    entries_max: usize,
    len: usize,
    /// No entry ends before this.
    earliest: Timestamp,
}

/// Whether a search from `home` comes to `slot`, when `empty` is the last empty slot before it, all in a ring.
fn is_reached(home: usize, slot: usize, empty: usize) -> bool {
    if empty < slot { empty < home && home <= slot } else { home <= slot || empty < home }
}

/// Somebody on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry {
    pub id: Id,
    /// The list's number.
    pub list: u16,
    /// It counts while stream time lies before this.
    pub until: Timestamp,
}

impl Lists {
    /// Bytes a slot takes.
    pub const SLOT_BYTES: usize = ENTRY * 8;

    /// Slots for so many entries: one in five and one more stay empty.
    pub fn slots_for(entries_max: u32) -> usize {
        if entries_max == 0 { 0 } else { (entries_max as usize * 5).div_ceil(4) + 1 }
    }

    pub(super) fn new(entries_max: u32, progress: &mut dyn FnMut(usize)) -> Lists {
        let slots = Buffer::new(Lists::slots_for(entries_max) * ENTRY, progress);
        Lists { slots, entries_max: entries_max as usize, len: 0, earliest: Timestamp(i64::MAX) }
    }

    fn slots_len(&self) -> usize {
        self.slots.len() / ENTRY
    }

    fn home(&self, low: u64) -> usize {
        ((u128::from(low) * self.slots_len() as u128) >> 64) as usize
    }

    fn next(&self, slot: usize) -> usize {
        if slot + 1 == self.slots_len() { 0 } else { slot + 1 }
    }

    #[inline(always)]
    fn entry(&self, slot: usize) -> &[u64] {
        &self.slots[slot * ENTRY..][..ENTRY]
    }

    fn is_empty_slot(&self, slot: usize) -> bool {
        self.entry(slot)[..2] == [0, 0]
    }

    /// How many entries there are, those that have ended and whose place nobody asked for included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The lists that `id` stands on at `now`, a bit each.
    #[inline]
    pub(super) fn of(&self, id: Id, now: Timestamp) -> u32 {
        let mut lists = 0;
        if self.len > 0 {
            let mut slot = self.home(id.low());
            while !self.is_empty_slot(slot) {
                let entry = self.entry(slot);
                if entry[0] == id.low() && entry[1] == id.high() && now < Timestamp(entry[3] as i64) {
                    lists |= 1 << entry[2];
                }
                slot = self.next(slot);
            }
        }
        lists
    }

    /// Until when `id` stands on any of these lists, ended or not; long ago where it stands on none.
    pub(super) fn until(&self, id: Id, lists: u32) -> Timestamp {
        let mut until = Timestamp::MIN;
        if self.len > 0 {
            let mut slot = self.home(id.low());
            while !self.is_empty_slot(slot) {
                let entry = self.entry(slot);
                if entry[0] == id.low() && entry[1] == id.high() && lists >> entry[2] & 1 != 0 {
                    until = until.max(Timestamp(entry[3] as i64));
                }
                slot = self.next(slot);
            }
        }
        until
    }

    /// Puts somebody on a list, until another time than before where they stand there, or takes them off.
    pub(super) fn change(&mut self, change: &ListChange, now: Timestamp) {
        let ListChange { list, id, until } = *change;
        let found = self.find(id, list);
        match (found, until) {
            (Some(slot), Some(until)) => {
                self.slots.set(slot * ENTRY + 3, until.0 as u64);
                self.earliest = self.earliest.min(until);
            }
            (Some(slot), None) => self.remove(slot),
            (None, Some(until)) => {
                if self.len == self.entries_max && self.earliest <= now {
                    self.sweep(now);
                }
                if self.len < self.entries_max {
                    self.put([id.low(), id.high(), u64::from(list), until.0 as u64]);
                    self.earliest = self.earliest.min(until);
                }
            }
            (None, None) => {}
        }
    }

    fn find(&self, id: Id, list: u16) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut slot = self.home(id.low());
        while !self.is_empty_slot(slot) {
            if self.entry(slot)[..3] == [id.low(), id.high(), u64::from(list)] {
                return Some(slot);
            }
            slot = self.next(slot);
        }
        None
    }

    fn put(&mut self, entry: [u64; ENTRY]) {
        let mut slot = self.home(entry[0]);
        while !self.is_empty_slot(slot) {
            slot = self.next(slot);
        }
        self.slots.range_mut(slot * ENTRY..(slot + 1) * ENTRY).copy_from_slice(&entry);
        self.len += 1;
    }

    /// Empties a slot; those behind it in its chain move up.
    fn remove(&mut self, mut gap: usize) {
        let mut slot = self.next(gap);
        while !self.is_empty_slot(slot) {
            let home = self.home(self.entry(slot)[0]);
            let stays = if gap <= slot { gap < home && home <= slot } else { gap < home || home <= slot };
            if !stays {
                let moved: [u64; ENTRY] = self.entry(slot).try_into().expect("an entry's words");
                self.slots.range_mut(gap * ENTRY..(gap + 1) * ENTRY).copy_from_slice(&moved);
                gap = slot;
            }
            slot = self.next(slot);
        }
        self.slots.range_mut(gap * ENTRY..(gap + 1) * ENTRY).fill(0);
        self.len -= 1;
    }

    /// Takes back the places of all entries that have ended.
    fn sweep(&mut self, now: Timestamp) {
        self.earliest = Timestamp(i64::MAX);
        let mut slot = 0;
        while slot < self.slots_len() {
            if self.is_empty_slot(slot) {
                slot += 1;
                continue;
            }
            let until = Timestamp(self.entry(slot)[3] as i64);
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
    pub(super) fn ground(&self) -> impl Iterator<Item = (usize, &[u64])> {
        (0..self.slots_len()).filter(|slot| !self.is_empty_slot(*slot)).map(|slot| (slot, self.entry(slot)))
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = ListEntry> {
        self.ground().map(|(_, entry)| ListEntry {
            id: Id::from_bits(u128::from(entry[1]) << 64 | u128::from(entry[0])),
            list: entry[2] as u16,
            until: Timestamp(entry[3] as i64),
        })
    }

    /// Restores an empty table from what [`Lists::ground`] and [`Lists::earliest`] gave.
    pub(super) fn restore(&mut self, earliest: Timestamp, entries: &[(u64, [u64; ENTRY])]) -> Result<(), String> {
        for (slot, entry) in entries {
            let slot = usize::try_from(*slot).ok().filter(|slot| *slot < self.slots_len() && self.is_empty_slot(*slot));
            let slot = slot.ok_or("two entries of lists stand in one place, or one stands outside of the table")?;
            self.slots.range_mut(slot * ENTRY..(slot + 1) * ENTRY).copy_from_slice(entry);
        }
        (self.len, self.earliest) = (entries.len(), earliest);
        self.check()
    }

    /// No entry ends before this.
    pub(super) fn earliest(&self) -> Timestamp {
        self.earliest
    }

    /// Its table and what of it is in use: an entry may stand anywhere.
    pub(super) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        let used = if self.len == 0 { 0 } else { self.slots.len() };
        ("entries", front(used), &mut self.slots)
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
        let count = self.ground().count();
        if count != self.len || count > self.entries_max {
            return Err(format!("found {count} entries, expected {} and at most {}", self.len, self.entries_max));
        }
        let Some(mut empty) = (0..self.slots_len()).rev().find(|slot| self.is_empty_slot(*slot)) else { return Ok(()) };
        for slot in 0..self.slots_len() {
            if self.is_empty_slot(slot) {
                empty = slot;
                continue;
            }
            let entry = self.entry(slot);
            if entry[2] >= u64::from(u32::BITS) {
                return Err(format!("slot {slot} names list {}", entry[2]));
            }
            if !is_reached(self.home(entry[0]), slot, empty) {
                return Err(format!("no search finds the entry in slot {slot}"));
            }
        }
        Ok(())
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
            let mut map: BTreeMap<(u8, u16), i64> = BTreeMap::new();
            let mut now = 0;
            for (n, list, ahead, passes) in steps {
                now += passes;
                let until = ahead.map(|ahead| now + ahead);
                lists.change(&ListChange { list, id: id(n), until: until.map(Timestamp) }, Timestamp(now));
                match until {
                    None => drop(map.remove(&(n, list))),
                    Some(until) if map.contains_key(&(n, list)) => drop(map.insert((n, list), until)),
                    Some(until) => {
                        if map.len() == 7 {
                            map.retain(|_, until| *until > now);
                        }
                        if map.len() < 7 {
                            map.insert((n, list), until);
                        }
                    }
                }
                prop_assert_eq!(lists.len(), map.len());
                lists.check().unwrap();
                for n in 0..12 {
                    let expected = (0..3).filter(|list| map.get(&(n, *list)).is_some_and(|until| now < *until));
                    prop_assert_eq!(lists.of(id(n), Timestamp(now)), expected.fold(0, |bits, list| bits | 1 << list));
                }
            }
            let entries: Vec<(u64, [u64; ENTRY])> =
                lists.ground().map(|(slot, entry)| (slot as u64, entry.try_into().unwrap())).collect();
            let mut restored = Lists::new(7, &mut |_| {});
            restored.restore(lists.earliest(), &entries).unwrap();
            prop_assert_eq!(restored.slots.to_vec(), lists.slots.to_vec());
        }
    }

    #[test]
    fn without_places_nobody_is_listed() {
        let mut lists = Lists::new(0, &mut |_| {});
        lists.change(&ListChange { list: 0, id: id(1), until: Some(Timestamp(9)) }, Timestamp(0));
        lists.change(&ListChange { list: 0, id: id(1), until: None }, Timestamp(0));
        assert_eq!((lists.of(id(1), Timestamp(0)), lists.len()), (0, 0));
        lists.check().unwrap();
    }
}
