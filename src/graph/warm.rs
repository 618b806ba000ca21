//! Warm records: what a node with more than four visible events in a family has beside its header.
//!
//! A record is a run of 32-bit words: 16 recent positions, newest first (one cache line); the streaming state (one line); then the
//! counters, whose layout [`crate::velocity`] declares. Records come from a pool of fixed size and return to it.

use super::row::Link;
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, Words, front};

/// Recent positions of a record.
pub const RECENT: usize = 16;
/// Words of the state.
pub const STATE_WORDS: usize = 16;
/// Words ahead of the counters.
pub const COUNTERS_AT: usize = RECENT + STATE_WORDS;
const LINE_WORDS: usize = 16;

/// One family's warm records.
pub struct Warm {
    words: Buffer<u32>,
    stride: usize,
    /// Records that were never in use begin here.
    fresh: u32,
    /// Records that came back, to be used again from the end: the first `returned_count`.
    returned: Buffer<u32>,
    returned_count: u32,
    records_max: u32,
}

impl Warm {
    /// Words of a record with so many words of counters, up to whole cache lines.
    pub fn stride(counter_words: usize) -> usize {
        COUNTERS_AT + counter_words.next_multiple_of(LINE_WORDS)
    }

    /// A pool of `records_max` records.
    pub fn new(records_max: u32, counter_words: usize, progress: &mut dyn FnMut(usize)) -> Warm {
        let stride = Warm::stride(counter_words);
        let returned = Buffer::new(records_max as usize, progress);
        Warm { words: Buffer::new(stride * records_max as usize, progress), stride, fresh: 0, returned, returned_count: 0, records_max }
    }

    /// A record, its words all zero and its recent positions empty; `None` when the pool is exhausted.
    pub fn take(&mut self) -> Option<u32> {
        let record = match self.returned_count.checked_sub(1) {
            Some(last) => {
                self.returned_count = last;
                self.returned[last as usize]
            }
            None if self.fresh < self.records_max => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return None,
        };
        let words = self.record_mut(record);
        words.fill(0);
        words[..RECENT].fill(Link::NONE.0);
        Some(record)
    }

    /// Gives a record back.
    pub fn give_back(&mut self, record: u32) {
        self.returned.set(self.returned_count as usize, record);
        self.returned_count += 1;
    }

    /// Whether [`Warm::take`] would give none.
    pub fn is_exhausted(&self) -> bool {
        self.returned_count == 0 && self.fresh == self.records_max
    }

    /// The words of a record.
    #[inline(always)]
    pub fn record(&self, record: u32) -> &[u32] {
        &self.words[record as usize * self.stride..][..self.stride]
    }

    /// The words of a record, to be changed.
    #[inline(always)]
    pub fn record_mut(&mut self, record: u32) -> &mut [u32] {
        let first = record as usize * self.stride;
        self.words.range_mut(first..first + self.stride)
    }

    /// Hints that a record's counters will be read.
    #[inline(always)]
    pub fn prefetch_counters(&self, record: u32) {
        let first = record as usize * self.stride;
        for line in COUNTERS_AT / LINE_WORDS..self.stride / LINE_WORDS {
            self.words.prefetch(first + line * LINE_WORDS);
        }
    }

    /// Hints that a record's recent positions will be read.
    #[inline(always)]
    pub fn prefetch_recent(&self, record: u32) {
        self.words.prefetch(record as usize * self.stride);
    }

    /// Hints that a record's state will be read.
    #[inline(always)]
    pub fn prefetch_state(&self, record: u32) {
        self.words.prefetch(record as usize * self.stride + RECENT);
    }

    /// The recent positions, newest first; the unused ones behind are [`Link::NONE`].
    #[inline(always)]
    pub fn recent(&self, record: u32) -> &[u32] {
        &self.record(record)[..RECENT]
    }

    /// Puts `link` before the other recent positions.
    #[inline(always)]
    pub fn push_recent(&mut self, record: u32, link: Link) {
        let words = self.record_mut(record);
        words.copy_within(0..RECENT - 1, 1);
        words[0] = link.0;
    }

    /// What is ground of the pool: how many records were ever in use, and which came back.
    pub fn ground(&self) -> (u32, &[u32]) {
        (self.fresh, &self.returned[..self.returned_count as usize])
    }

    /// Restores [`Warm::ground`].
    pub fn restore(&mut self, fresh: u32, returned: &[u32]) -> Result<(), String> {
        if fresh > self.records_max || returned.len() > fresh as usize || returned.iter().any(|record| *record >= fresh) {
            return Err(format!("the snapshot's warm records do not fit a pool of {}", self.records_max));
        }
        self.fresh = fresh;
        self.returned.range_mut(0..returned.len()).copy_from_slice(returned);
        self.returned_count = returned.len() as u32;
        for record in 0..fresh {
            let words = self.record_mut(record);
            words.fill(0);
            words[..RECENT].fill(Link::NONE.0);
        }
        Ok(())
    }

    /// Its tables and what of them is in use: the records that were ever used, and the list of those that came back.
    pub fn tables(&mut self) -> [(&'static str, Used, &mut dyn Table); 2] {
        let used = [front(self.fresh as usize * self.stride), front(self.returned_count as usize)];
        let [words, returned] = used;
        [("warm records", words, &mut self.words), ("returned records", returned, &mut self.returned)]
    }

    /// Writes how many records were ever in use, and how many came back.
    pub fn write_words(&self, out: &mut Vec<u64>) {
        out.extend([u64::from(self.fresh), u64::from(self.returned_count)]);
    }

    /// Puts back what [`Warm::write_words`] wrote.
    ///
    /// # Errors
    /// Where the pool is smaller.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.fresh = words.at_most(self.records_max as usize, "warm records")? as u32;
        self.returned_count = words.at_most(self.fresh as usize, "returned warm records")? as u32;
        Ok(())
    }

    /// Whether the records' recent positions lie where `holds` says that rows can, and only used records came back.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, holds: impl Fn(Link) -> bool) -> Result<(), String> {
        let (fresh, returned) = self.ground();
        if let Some(record) = returned.iter().find(|record| **record >= fresh) {
            return Err(format!("warm record {record} came back, {fresh} were ever in use"));
        }
        match (0..fresh).find(|record| !self.recent(*record).iter().all(|word| holds(Link(*word)))) {
            Some(record) => Err(format!("the recent positions of warm record {record} lie outside the ring")),
            None => Ok(()),
        }
    }

    /// Forgets what is derived: everything of a record but its state.
    pub fn clear_derived(&mut self) {
        for record in 0..self.fresh {
            let words = self.record_mut(record);
            words[..RECENT].fill(Link::NONE.0);
            words[COUNTERS_AT..].fill(0);
        }
    }
}
