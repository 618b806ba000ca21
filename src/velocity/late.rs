//! Late rows, sorted by event time: they leave the windows by a second set of tails.

use crate::event::Timestamp;
use crate::memory::image::{Table, Used, Words, front};
use crate::memory::{Buffer, Zeroed};

/// A late row: when it happened and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LateRow {
    pub time: Timestamp,
    pub position: u32,
    /// Always 0: no byte of a table is padding.
    filling: u32,
}

// SAFETY: integers, 16 bytes without padding.
unsafe impl Zeroed for LateRow {}

/// Bytes of a late row's entry.
pub const LATE_ROW_BYTES: usize = size_of::<LateRow>();

impl LateRow {
    /// The row at `position`.
    pub fn new(time: Timestamp, position: u32) -> LateRow {
        LateRow { time, position, filling: 0 }
    }
}

/// The late rows of one family that have not left every window.
pub struct Late {
    /// Sorted by time, equal times by arrival; the first `count` count.
    rows: Buffer<LateRow>,
    count: usize,
    /// By tail: how many rows, from the front, it has passed.
    passed: Vec<usize>,
}

impl Late {
    /// Room for `rows_max` late rows under `tails` tails.
    pub fn new(rows_max: u32, tails: usize, progress: &mut dyn FnMut(usize)) -> Late {
        Late { rows: Buffer::new(rows_max as usize, progress), count: 0, passed: vec![0; tails] }
    }

    /// Whether no more row can enter.
    pub fn is_full(&self) -> bool {
        self.count == self.rows.len()
    }

    /// Adds a row behind those of its time; `is_passed` says which tails have passed a row of this time. There must be room.
    pub fn insert(&mut self, time: Timestamp, position: u32, is_passed: impl Fn(usize) -> bool) {
        assert!(!self.is_full(), "the caller asked whether there is room");
        let place = self.rows().partition_point(|other| other.time <= time);
        let behind = self.rows.range_mut(place..self.count + 1);
        behind.copy_within(..behind.len() - 1, 1);
        behind[0] = LateRow::new(time, position);
        self.count += 1;
        for (tail, passed) in self.passed.iter_mut().enumerate() {
            if is_passed(tail) {
                *passed += 1;
            }
        }
    }

    /// The next row that `tail` has not passed.
    #[inline(always)]
    pub fn next(&self, tail: usize) -> Option<(Timestamp, u32)> {
        self.rows().get(self.passed[tail]).map(|row| (row.time, row.position))
    }

    /// Moves `tail` over one row.
    #[inline(always)]
    pub fn pass(&mut self, tail: usize) {
        self.passed[tail] += 1;
    }

    /// Forgets the rows up to `time`, which every tail has passed.
    pub fn forget(&mut self, time: Timestamp) {
        let gone = self.rows().partition_point(|other| other.time <= time);
        if gone > 0 {
            self.rows.range_mut(0..self.count).copy_within(gone.., 0);
            self.count -= gone;
            for passed in &mut self.passed {
                *passed -= gone;
            }
        }
    }

    /// Takes the row at `position` out; tells of each tail whether it had passed it. `None` when it never entered.
    pub fn remove(&mut self, time: Timestamp, position: u32, mut tail_had_passed: impl FnMut(usize, bool)) -> bool {
        let first = self.rows().partition_point(|other| other.time < time);
        let same = self.rows()[first..].iter().take_while(|other| other.time == time);
        let Some(offset) = same.map(|other| other.position).position(|other| other == position) else { return false };
        let place = first + offset;
        self.rows.range_mut(place..self.count).copy_within(1.., 0);
        self.count -= 1;
        for (tail, passed) in self.passed.iter_mut().enumerate() {
            let had = place < *passed;
            *passed -= usize::from(had);
            tail_had_passed(tail, had);
        }
        true
    }

    /// The rows, in order: ground, because who is in depends on who found room.
    #[inline(always)]
    pub fn rows(&self) -> &[LateRow] {
        &self.rows[..self.count]
    }

    /// Puts back what [`Late::rows`] gave; `passed` says how many rows each tail has passed.
    pub fn restore(&mut self, rows: &[LateRow], passed: impl Fn(usize, Timestamp) -> bool) -> Result<(), String> {
        if rows.len() > self.rows.len() {
            return Err(format!("the snapshot has {} late rows, late_rows_max is {}", rows.len(), self.rows.len()));
        }
        self.rows.range_mut(0..rows.len()).copy_from_slice(rows);
        self.count = rows.len();
        for (tail, count) in self.passed.iter_mut().enumerate() {
            *count = rows.partition_point(|row| passed(tail, row.time));
        }
        Ok(())
    }

    /// Its table and what of it is in use.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        (front(self.count), &mut self.rows)
    }

    /// Writes how many rows there are, and how many each tail has passed.
    pub fn words(&self, out: &mut Vec<u64>) {
        out.push(self.count as u64);
        out.extend(self.passed.iter().map(|passed| *passed as u64));
    }

    /// Puts back what [`Late::words`] wrote.
    ///
    /// # Errors
    /// Where there is less room, or a tail has passed more rows than there are.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.count = words.at_most(self.rows.len(), "late rows")?;
        for passed in &mut self.passed {
            *passed = words.at_most(self.count, "late rows passed")?;
        }
        Ok(())
    }

    /// Whether the rows stand in order and at positions below `rows`.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, rows: u32) -> Result<(), String> {
        match self.rows().is_sorted_by_key(|row| row.time) && self.rows().iter().all(|row| row.position < rows && row.filling == 0) {
            true => Ok(()),
            false => Err("its late rows are out of order or stand outside the ring".to_owned()),
        }
    }
}
