//! Precision and recall of a model that serves, as the labels of what it judged come in.
//!
//! Judgements are counted by the hour of their event, so that what is kept does not grow with them: how many reached each threshold, and
//! of those that turned out bad within a delay, how many had. A figure of a delay is of the hours that are at least so old: all their labels
//! of that delay are there.

use crate::event::{Duration, Timestamp};
use std::collections::VecDeque;

/// How long labels are waited for.
const DELAYS: [Duration; 5] =
    [Duration::DAY, Duration::DAY.times(3), Duration::DAY.times(7), Duration::DAY.times(14), Duration::DAY.times(30)];

/// Hours that are kept: those that a figure of the longest delay is of are a day.
const HOURS: usize = 31 * 24;

/// Thresholds at most.
const THRESHOLDS_MAX: usize = 8;

/// Events of one hour.
#[derive(Clone, Debug, Default)]
struct Hour {
    /// By threshold.
    alarms: [u32; THRESHOLDS_MAX],
    /// By delay: known to be bad by then.
    bads: [u32; DELAYS.len()],
    /// By delay and threshold: of those, the ones that had reached it.
    caught: [[u32; THRESHOLDS_MAX]; DELAYS.len()],
}

/// How well a threshold tells the bad from the good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matured {
    /// Of the events that reached it, the share of those known to be bad; `None` where none did.
    pub precision: Option<f64>,
    /// Of the events known to be bad, the share of those that reached it; `None` where none is.
    pub recall: Option<f64>,
}

/// What a model said of one type of event, hour by hour.
#[derive(Clone, Debug)]
pub struct Maturing {
    thresholds: Vec<f64>,
    /// Labels that come later than that are not told of.
    horizon: Duration,
    /// The number of the first hour since 1970.
    first: i64,
    hours: VecDeque<Hour>,
}

fn hour(time: Timestamp) -> i64 {
    time.0.div_euclid(Duration::HOUR.0)
}

impl Maturing {
    /// Nothing was judged yet. Of `thresholds` as many count as there is room for; there are figures of delays up to `horizon`, so long as
    /// it is known what was said of an event.
    pub fn new(thresholds: &[f64], horizon: Duration) -> Maturing {
        let thresholds = thresholds.iter().copied().take(THRESHOLDS_MAX).collect();
        Maturing { thresholds, horizon, first: 0, hours: VecDeque::new() }
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    fn place(&self, time: Timestamp) -> Option<usize> {
        usize::try_from(hour(time) - self.first).ok().filter(|place| *place < self.hours.len())
    }

    /// An event of this time was judged so.
    pub fn judged(&mut self, time: Timestamp, probability: f64) {
        if self.hours.is_empty() {
            self.first = hour(time);
        }
        let ahead = hour(time) - self.first - self.hours.len() as i64;
        if ahead >= HOURS as i64 {
            // Nothing that is kept is of use any more.
            self.hours.clear();
            self.first = hour(time);
        }
        while hour(time) >= self.first + self.hours.len() as i64 {
            if self.hours.len() == HOURS {
                self.hours.pop_front();
                self.first += 1;
            }
            self.hours.push_back(Hour::default());
        }
        // One that comes before all that is kept is too late to count.
        let Some(place) = self.place(time) else { return };
        for (alarms, threshold) in self.hours[place].alarms.iter_mut().zip(&self.thresholds) {
            *alarms += u32::from(probability >= *threshold);
        }
    }

    /// An event of this time that was judged so is known to be bad, or to be none after all, so long after it.
    pub fn labelled(&mut self, time: Timestamp, delay: Duration, probability: f64, bad: bool) {
        let Some(place) = self.place(time) else { return };
        let Maturing { thresholds, hours, .. } = self;
        let Hour { bads, caught, .. } = &mut hours[place];
        let count = |count: &mut u32| *count = if bad { *count + 1 } else { count.saturating_sub(1) };
        for (at, _) in DELAYS.iter().enumerate().filter(|(_, within)| delay <= **within) {
            count(&mut bads[at]);
            let reached = caught[at].iter_mut().zip(thresholds.iter()).filter(|(_, threshold)| probability >= **threshold);
            reached.for_each(|(caught, _)| count(caught));
        }
    }

    /// By delay, then by threshold: the figures as of `now`.
    pub fn figures(&self, now: Timestamp) -> impl Iterator<Item = (Duration, f64, Matured)> {
        DELAYS.iter().enumerate().filter(|(_, delay)| **delay <= self.horizon).flat_map(move |(at, delay)| {
            let ripe = usize::try_from(hour(now - *delay) - self.first).unwrap_or(0).min(self.hours.len());
            let sum = move |of: &dyn Fn(&Hour) -> u32| self.hours.iter().take(ripe).map(|hour| u64::from(of(hour))).sum::<u64>() as f64;
            self.thresholds.iter().enumerate().map(move |(which, threshold)| {
                let (caught, alarms, bads) =
                    (sum(&|hour| hour.caught[at][which]), sum(&|hour| hour.alarms[which]), sum(&|hour| hour.bads[at]));
                let share = |of: f64| (of > 0.0).then(|| caught / of);
                (*delay, *threshold, Matured { precision: share(alarms), recall: share(bads) })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_700_000_000_000_000);

    fn figure(maturing: &Maturing, now: Timestamp, delay: usize, which: usize) -> (Option<f64>, Option<f64>) {
        let (_, _, matured) = maturing.figures(now).nth(delay * maturing.thresholds().len() + which).expect("a figure");
        (matured.precision, matured.recall)
    }

    /// Five events at 0.1 to 0.9; the one at 0.9 and the one at 0.3 are bad, the second is known after three days.
    /// Caught when planted: a label that counts before the delay it came with.
    #[test]
    fn figures_by_hand() {
        let mut maturing = Maturing::new(&[0.5, 0.8], Duration::DAY.times(14));
        for probability in [0.1, 0.3, 0.6, 0.7, 0.9] {
            maturing.judged(NOON, probability);
        }
        maturing.labelled(NOON, Duration::HOUR, 0.9, true);
        maturing.labelled(NOON, Duration::DAY.times(3), 0.3, true);
        assert_eq!(figure(&maturing, NOON + Duration::HOUR.times(20), 0, 0), (None, None));
        let later = NOON + Duration::DAY.times(10);
        assert_eq!(figure(&maturing, later, 0, 0), (Some(1.0 / 3.0), Some(1.0)));
        assert_eq!(figure(&maturing, later, 1, 0), (Some(1.0 / 3.0), Some(0.5)));
        assert_eq!(figure(&maturing, later, 1, 1), (Some(1.0), Some(0.5)));
        assert_eq!(figure(&maturing, later, 3, 1), (None, None), "two weeks have not passed");
        assert_eq!(maturing.figures(later).count(), 4 * 2, "nothing is told of a month");
        // Somebody looked, and it was none after all.
        maturing.labelled(NOON, Duration::DAY.times(5), 0.9, false);
        assert_eq!(figure(&maturing, later, 0, 1), (Some(1.0), Some(1.0)), "after a day it was thought to be one");
        assert_eq!(figure(&maturing, later, 2, 1), (Some(0.0), Some(0.0)));
    }

    /// What is kept does not grow, and labels of what is gone change nothing.
    #[test]
    fn old_hours_go() {
        let mut maturing = Maturing::new(&[0.5], Duration::DAY.times(30));
        for n in 0..2_000 {
            maturing.judged(NOON + Duration::HOUR.times(n), 0.9);
        }
        assert_eq!(maturing.hours.len(), HOURS);
        maturing.labelled(NOON, Duration::HOUR, 0.9, true);
        maturing.judged(NOON, 0.9);
        let end = NOON + Duration::HOUR.times(2_000);
        assert_eq!(figure(&maturing, end, 4, 0), (Some(0.0), None));
        maturing.judged(NOON + Duration::DAY.times(10_000), 0.9);
        assert_eq!(maturing.hours.len(), 1);
    }
}
