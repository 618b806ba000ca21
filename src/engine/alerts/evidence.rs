//! Who took part in the newest rows of money, by the ids under which they are shown.
//!
//! Rows and nodes know half of an id: enough to tell entities apart, not to name them. So the newest events are kept by their full ids,
//! one after the other as their rows come: what proves an alert is looked up here. An older row counts in a finding and has no name.

use crate::event::{Id, SLOTS, Timestamp};
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, Words, round};

/// Words an event: its id, then those of its slots, two each.
const ENTRY: usize = 2 + 2 * SLOTS;

/// A payment that proves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Proof {
    pub event: Id,
    pub ends: [Option<Id>; SLOTS],
    /// Reporting minor units.
    pub amount_minor: i64,
    pub time: Timestamp,
}

/// The ids of the newest rows.
pub struct Evidence {
    words: Buffer<u64>,
    rows_max: u64,
    /// Ordinal of the next row.
    head: u64,
    /// No row before this one is there.
    tail: u64,
}

impl Evidence {
    /// Bytes a row takes.
    pub const BYTES_EACH: usize = ENTRY * 8;

    pub(in crate::engine) fn new(rows_max: u32, progress: &mut dyn FnMut(usize)) -> Evidence {
        Evidence { words: Buffer::new(rows_max as usize * ENTRY, progress), rows_max: u64::from(rows_max), head: 0, tail: 0 }
    }

    fn at(&self, ordinal: u64) -> usize {
        (ordinal % self.rows_max) as usize * ENTRY
    }

    /// Hints that the row with this ordinal will be noted.
    #[inline]
    pub(in crate::engine) fn prefetch(&self, ordinal: u64) {
        if self.rows_max > 0 {
            let at = self.at(ordinal);
            self.words.prefetch(at);
            self.words.prefetch(at + ENTRY - 1);
        }
    }

    /// Notes who the row with this ordinal is of; rows come in their order.
    #[inline]
    pub(in crate::engine) fn note(&mut self, ordinal: u64, event: Id, ends: &[Option<Id>; SLOTS]) {
        if self.rows_max == 0 {
            return;
        }
        let at = self.at(ordinal);
        let words = self.words.range_mut(at..at + ENTRY);
        (words[0], words[1]) = (event.low(), event.high());
        for (pair, id) in words[2..].chunks_exact_mut(2).zip(ends) {
            (pair[0], pair[1]) = id.map_or((0, 0), |id| (id.low(), id.high()));
        }
        self.head = ordinal + 1;
        self.tail = self.tail.max(self.head.saturating_sub(self.rows_max));
    }

    /// The event of the row with this ordinal and who took part, where it is new enough.
    pub(in crate::engine) fn of(&self, ordinal: u64) -> Option<(Id, [Option<Id>; SLOTS])> {
        if !(self.tail..self.head).contains(&ordinal) {
            return None;
        }
        let words = &self.words[self.at(ordinal)..][..ENTRY];
        let id = |pair: &[u64]| (pair != [0, 0]).then(|| Id::from_bits(u128::from(pair[1]) << 64 | u128::from(pair[0])));
        Some((id(&words[..2])?, std::array::from_fn(|slot| id(&words[2 + 2 * slot..][..2]))))
    }

    /// The ordinals that are there, and their words: the ground state.
    pub(in crate::engine) fn ground(&self) -> (u64, u64, impl Iterator<Item = u64>) {
        let words = (self.tail..self.head).flat_map(|ordinal| self.words[self.at(ordinal)..][..ENTRY].iter().copied());
        (self.tail, self.head, words)
    }

    /// Restores an empty table: the ordinals, then as many words as `next` gives.
    pub(in crate::engine) fn restore<E: From<String>>(
        &mut self,
        tail: u64,
        head: u64,
        mut next: impl FnMut() -> Result<u64, E>,
    ) -> Result<(), E> {
        self.set(tail, head)?;
        for ordinal in tail..head {
            let at = self.at(ordinal);
            for place in at..at + ENTRY {
                let word = next()?;
                self.words.set(place, word);
            }
        }
        Ok(())
    }

    fn set(&mut self, tail: u64, head: u64) -> Result<(), String> {
        if head.checked_sub(tail).is_none_or(|length| length > self.rows_max) {
            return Err(format!("found evidence of rows {tail} to {head}, expected at most {}", self.rows_max));
        }
        (self.tail, self.head) = (tail, head);
        Ok(())
    }

    /// Its table and what of it is in use.
    pub(in crate::engine) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        let length = (self.head - self.tail) as usize;
        let used = match self.rows_max {
            0 => round(0, 0, 0),
            rows_max => round((self.tail % rows_max) as usize, length, rows_max as usize),
        };
        ("evidence", used.map(|part| part.start * ENTRY..part.end * ENTRY), &mut self.words)
    }

    /// Writes its numbers.
    pub(in crate::engine) fn words(&self, out: &mut Vec<u64>) {
        out.extend([self.tail, self.head]);
    }

    /// Puts back what [`Evidence::words`] wrote.
    pub(in crate::engine) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let (tail, head) = (words.word()?, words.word()?);
        self.set(tail, head)
    }
}
