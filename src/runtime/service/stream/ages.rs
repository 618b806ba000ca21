//! How long ago a record was written, for whoever is behind: moments at which the journal had grown so far.

use std::collections::VecDeque;
use std::time::{Duration as Wall, Instant};

/// Between two moments that are kept.
const APART: Wall = Wall::from_millis(20);
/// Moments kept. When there are as many, every second one goes: the further back, the coarser.
const KEPT: usize = 4_096;

/// Moments, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ages(VecDeque<(Instant, u64)>);

impl Ages {
    /// How long ago the first record was written that is not before `done`, where the journal holds those before `recorded` now.
    pub(super) fn of(&mut self, recorded: u64, done: u64, now: Instant) -> Wall {
        // What was there at the first moment of those that are left is done.
        while self.0.front().is_some_and(|(_, there)| *there <= done) {
            self.0.pop_front();
        }
        if recorded > done && self.0.back().is_none_or(|(at, _)| now.duration_since(*at) >= APART) {
            if self.0.len() == KEPT {
                let mut number = 0;
                self.0.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
            }
            self.0.push_back((now, recorded));
        }
        self.0.front().map_or(Wall::ZERO, |(at, _)| now.duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caught when planted: the newest moment for the oldest; one that is done kept.
    #[test]
    fn the_oldest_record_that_is_not_done_says_how_long() {
        let (began, mut ages) = (Instant::now(), Ages::default());
        let at = |seconds: u64| began + Wall::from_secs(seconds);
        assert_eq!(ages.of(5, 5, at(0)), Wall::ZERO);
        assert_eq!(ages.of(6, 5, at(1)), Wall::ZERO);
        assert_eq!(ages.of(9, 5, at(4)), Wall::from_secs(3));
        assert_eq!(ages.of(9, 6, at(5)), Wall::from_secs(1));
        assert_eq!(ages.of(9, 9, at(6)), Wall::ZERO);
        for second in 0..20_000 {
            assert_eq!(ages.of(10 + second, 9, at(10 + second)), Wall::from_secs(second));
        }
        assert!(ages.0.len() <= KEPT);
    }
}
