//! How many alerts an hour may be opened to people, and which: risk times money decides.
//!
//! The first half of an hour's budget goes to whoever comes. The other half is for those that reach the *line*: the least priority among
//! those of the hour before, where that hour spent all it had. Who is not let in is held: it is counted, and asks again when it grows; and
//! while the first half lasts, the greatest of the held ones goes in at each record. Hours are those of `received`.

use crate::event::{Duration, Timestamp};
use crate::memory::image::Words;

/// What is left of the hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    per_hour: u64,
    hour: i64,
    spent: u64,
    /// The least priority let in this hour.
    least: u64,
    line: u64,
}

impl Budget {
    pub(super) fn new(per_hour: u32) -> Budget {
        Budget { per_hour: u64::from(per_hour), hour: i64::MIN, spent: 0, least: u64::MAX, line: 0 }
    }

    /// Another number is in force; what this hour has spent of it stays spent.
    pub(super) fn go_by(&mut self, per_hour: u32) {
        self.per_hour = u64::from(per_hour);
    }

    fn turn(&mut self, received: Timestamp) {
        let hour = received.0.div_euclid(Duration::HOUR.0);
        if hour <= self.hour {
            return;
        }
        let full = self.spent >= self.per_hour && hour == self.hour.saturating_add(1);
        self.line = if full { self.least } else { 0 };
        (self.hour, self.spent, self.least) = (hour, 0, u64::MAX);
    }

    /// Whether the half that is for everybody lasts.
    pub(super) fn is_easy(&mut self, received: Timestamp) -> bool {
        self.turn(received);
        self.spent * 2 < self.per_hour
    }

    /// Lets an alert of this priority in, or not.
    pub(super) fn admit(&mut self, received: Timestamp, priority: u64) -> bool {
        let easy = self.is_easy(received);
        let in_time = easy || self.spent < self.per_hour && priority >= self.line;
        if in_time {
            self.spent += 1;
            self.least = self.least.min(priority);
        }
        in_time
    }

    pub(super) fn words(&self) -> [u64; 4] {
        [self.hour as u64, self.spent, self.least, self.line]
    }

    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        (self.hour, self.spent) = (words.word()? as i64, words.word()?);
        (self.least, self.line) = (words.word()?, words.word()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_for_everybody_and_half_for_those_above_the_line() {
        let mut budget = Budget::new(4);
        let at = |hours: i64| Timestamp(Duration::HOUR.times(hours).0);
        assert_eq!([10, 20, 5, 30, 999].map(|priority| budget.admit(at(0), priority)), [true, true, true, true, false]);
        // The least of a full hour is the line of the next.
        assert_eq!([1, 1, 4, 5, 6, 7].map(|priority| budget.admit(at(1), priority)), [true, true, false, true, true, false]);
        // An hour that was not full, or not just before, leaves none.
        assert!(budget.admit(at(5), 1) && budget.admit(at(5), 1) && budget.admit(at(5), 0));
    }
}
