//! Warm records: what a node with more than four visible events in a family has beside its header.
//!
//! A record is a run of 32-bit words: 16 recent positions, newest first (one cache line); the streaming state (one line); then the
//! counters, whose layout [`crate::velocity`] declares. Records come from a pool of fixed size and return to it.

use super::row::Link;
use crate::memory::Buffer;

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
    /// Records that came back, to be used again from the end.
    returned: Vec<u32>,
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
        // Touched by hand: the list of returned records must never grow in a step.
        let mut returned = vec![1; records_max as usize];
        returned.clear();
        progress(records_max as usize * 4);
        Warm { words: Buffer::new(stride * records_max as usize, progress), stride, fresh: 0, returned, records_max }
    }

    /// A record, its words all zero and its recent positions empty; `None` when the pool is exhausted.
    pub fn take(&mut self) -> Option<u32> {
        let record = match self.returned.pop() {
            Some(record) => record,
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
        self.returned.push(record);
    }

    /// Whether [`Warm::take`] would give none.
    pub fn is_exhausted(&self) -> bool {
        self.returned.is_empty() && self.fresh == self.records_max
    }

    /// The words of a record.
    #[inline(always)]
    pub fn record(&self, record: u32) -> &[u32] {
        &self.words[record as usize * self.stride..][..self.stride]
    }

    /// The words of a record, to be changed.
    #[inline(always)]
    pub fn record_mut(&mut self, record: u32) -> &mut [u32] {
        &mut self.words[record as usize * self.stride..][..self.stride]
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
        (self.fresh, &self.returned)
    }

    /// Restores [`Warm::ground`].
    pub fn restore(&mut self, fresh: u32, returned: &[u32]) -> Result<(), String> {
        if fresh > self.records_max || returned.iter().any(|record| *record >= fresh) {
            return Err(format!("the snapshot's warm records do not fit a pool of {}", self.records_max));
        }
        self.fresh = fresh;
        self.returned.clear();
        self.returned.extend_from_slice(returned);
        for record in 0..fresh {
            let words = self.record_mut(record);
            words.fill(0);
            words[..RECENT].fill(Link::NONE.0);
        }
        Ok(())
    }
}
