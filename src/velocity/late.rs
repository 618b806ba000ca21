//! Late rows, sorted by event time: they leave the windows by a second set of tails.

use crate::event::Timestamp;

/// Bytes of a late row's entry.
pub const LATE_ROW_BYTES: usize = size_of::<(Timestamp, u32)>();

/// The late rows of one family that have not left every window.
pub struct Late {
    /// Time and position, sorted by time, equal times by arrival. Never longer than its capacity.
    rows: Vec<(Timestamp, u32)>,
    rows_max: usize,
    /// By tail: how many rows, from the front, it has passed.
    passed: Vec<usize>,
}

impl Late {
    /// Room for `rows_max` late rows under `tails` tails.
    pub fn new(rows_max: u32, tails: usize, progress: &mut dyn FnMut(usize)) -> Late {
        // Touched by hand: it must never grow, nor fault, in a step.
        let mut rows = vec![(Timestamp(1), 1); rows_max as usize];
        rows.clear();
        progress(rows_max as usize * size_of::<(Timestamp, u32)>());
        Late { rows, rows_max: rows_max as usize, passed: vec![0; tails] }
    }

    /// Whether no more row can enter.
    pub fn is_full(&self) -> bool {
        self.rows.len() == self.rows_max
    }

    /// Adds a row behind those of its time; `is_passed` says which tails have passed a row of this time. There must be room.
    pub fn insert(&mut self, time: Timestamp, position: u32, is_passed: impl Fn(usize) -> bool) {
        assert!(!self.is_full(), "the caller asked whether there is room");
        let place = self.rows.partition_point(|(other, _)| *other <= time);
        self.rows.insert(place, (time, position));
        for (tail, passed) in self.passed.iter_mut().enumerate() {
            if is_passed(tail) {
                *passed += 1;
            }
        }
    }

    /// The next row that `tail` has not passed.
    #[inline(always)]
    pub fn next(&self, tail: usize) -> Option<(Timestamp, u32)> {
        self.rows.get(self.passed[tail]).copied()
    }

    /// Moves `tail` over one row.
    #[inline(always)]
    pub fn pass(&mut self, tail: usize) {
        self.passed[tail] += 1;
    }

    /// Forgets the rows up to `time`, which every tail has passed.
    pub fn forget(&mut self, time: Timestamp) {
        let gone = self.rows.partition_point(|(other, _)| *other <= time);
        if gone > 0 {
            self.rows.drain(..gone);
            for passed in &mut self.passed {
                *passed -= gone;
            }
        }
    }

    /// Takes the row at `position` out; tells of each tail whether it had passed it. `None` when it never entered.
    pub fn remove(&mut self, time: Timestamp, position: u32, mut tail_had_passed: impl FnMut(usize, bool)) -> bool {
        let first = self.rows.partition_point(|(other, _)| *other < time);
        let Some(offset) = self.rows[first..].iter().take_while(|(other, _)| *other == time).position(|(_, p)| *p == position) else {
            return false;
        };
        let place = first + offset;
        self.rows.remove(place);
        for (tail, passed) in self.passed.iter_mut().enumerate() {
            let had = place < *passed;
            *passed -= usize::from(had);
            tail_had_passed(tail, had);
        }
        true
    }

    /// The rows, in order: ground, because who is in depends on who found room.
    pub fn rows(&self) -> &[(Timestamp, u32)] {
        &self.rows
    }

    /// Puts back what [`Late::rows`] gave; `passed` says how many rows each tail has passed.
    pub fn restore(&mut self, rows: &[(Timestamp, u32)], passed: impl Fn(usize, Timestamp) -> bool) -> Result<(), String> {
        if rows.len() > self.rows_max {
            return Err(format!("the snapshot has {} late rows, late_rows_max is {}", rows.len(), self.rows_max));
        }
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        for (tail, count) in self.passed.iter_mut().enumerate() {
            *count = rows.partition_point(|(time, _)| passed(tail, *time));
        }
        Ok(())
    }
}
