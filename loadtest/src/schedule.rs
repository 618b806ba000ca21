//! When each request is due: absolute times, fixed before the first one is sent.
//!
//! A slot is the number of a request in the schedule, from 0; its time counts in nanoseconds from the start of the run, warm-up included.
//! Times never depend on answers: that is what makes the load open-loop.

use crate::chance::Chance;
use std::str::FromStr;
use std::time::Duration;

/// A rate kept for a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Requests a second.
    pub rate: f64,
    pub duration: Duration,
}

/// How requests lie within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// At equal distances.
    Even,
    /// As independent callers come: the same number a step, at random times.
    Poisson,
}

/// A step with its place in the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub rate: f64,
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Its first slot.
    pub first: u64,
    /// How many slots it has.
    pub count: u64,
    pub warmup: bool,
}

/// One request to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub slot: u64,
    pub at_ns: u64,
}

/// All times of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    segments: Vec<Segment>,
    arrivals: Arrivals,
    seed: u64,
}

impl Schedule {
    /// The schedule of `steps` one after the other, with `warmup` at the first step's rate before them.
    pub fn new(warmup: Duration, steps: &[Step], arrivals: Arrivals, seed: u64) -> Schedule {
        let mut segments: Vec<Segment> = Vec::with_capacity(steps.len() + 1);
        let lead = steps.first().filter(|_| !warmup.is_zero()).map(|step| (Step { rate: step.rate, duration: warmup }, true));
        for (step, warmup) in lead.into_iter().chain(steps.iter().map(|step| (*step, false))) {
            let (start_ns, first) = segments.last().map_or((0, 0), |last| (last.start_ns + last.duration_ns, last.first + last.count));
            let count = (step.rate * step.duration.as_secs_f64()).round() as u64;
            segments.push(Segment { rate: step.rate, start_ns, duration_ns: step.duration.as_nanos() as u64, first, count, warmup });
        }
        Schedule { segments, arrivals, seed }
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many requests there are.
    pub fn slots(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.first + last.count)
    }

    pub fn length_ns(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.start_ns + last.duration_ns)
    }

    /// Where the warm-up ends.
    pub fn measured_from_ns(&self) -> u64 {
        self.segments.iter().find(|segment| !segment.warmup).map_or(0, |segment| segment.start_ns)
    }

    /// The time of `slot` if arrivals were even: what an event bears as its own time, so that its body can be made again without walking
    /// the schedule.
    pub fn even_ns(&self, slot: u64) -> u64 {
        let after = self.segments.partition_point(|segment| segment.first <= slot);
        // Empty segments share their first slot with the next one: the last of them holds it.
        after.checked_sub(1).map_or(0, |at| even(&self.segments[at], slot - self.segments[at].first))
    }

    /// Ends it after `slots` requests and `at_ns`: what is left of a run that was stopped.
    pub fn cut(&mut self, slots: u64, at_ns: u64) {
        self.segments.retain(|segment| segment.start_ns < at_ns);
        for segment in &mut self.segments {
            segment.duration_ns = segment.duration_ns.min(at_ns - segment.start_ns);
            segment.count = segment.count.min(slots.saturating_sub(segment.first));
        }
    }

    /// All requests in order.
    pub fn due(&self) -> impl Iterator<Item = Due> + '_ {
        self.segments.iter().enumerate().flat_map(move |(number, segment)| {
            let mut chance = Chance::of(self.seed, number as u64);
            let mut passed = 0.0;
            (0..segment.count).map(move |place| {
                let at_ns = match self.arrivals {
                    Arrivals::Even => even(segment, place),
                    Arrivals::Poisson => {
                        // Given how many come, the times of a Poisson process are as many uniform ones, sorted: each is the least of those
                        // that are left.
                        let left = (segment.count - place) as f64;
                        passed += (1.0 - passed) * (1.0 - (1.0 - chance.share()).powf(1.0 / left));
                        segment.start_ns + (passed * segment.duration_ns as f64) as u64
                    }
                };
                Due { slot: segment.first + place, at_ns }
            })
        })
    }
}

fn even(segment: &Segment, place: u64) -> u64 {
    // Multiplied before it is divided: no gap is rounded, so that a long run does not drift.
    let offset = u128::from(place) * u128::from(segment.duration_ns) / u128::from(segment.count.max(1));
    segment.start_ns + offset as u64
}

/// `3000:10s`.
impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Step, String> {
        let (rate, time) = text.split_once(':').ok_or_else(|| format!("found {text:?}, expected RATE:DURATION such as 3000:10s"))?;
        Ok(Step { rate: parse_rate(rate)?, duration: parse_duration(time)? })
    }
}

/// A rate in requests a second.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        _ => Err(format!("rate is {text:?}, expected requests a second, above 0, at most 1000000")),
    }
}

/// `500ms`, `10s`, `2m`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let seconds_each = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("duration is {text:?}, expected a number with ms, s, m or h")),
    };
    match text[..digits].parse::<f64>() {
        // 30 days: nobody means more, and nanoseconds stay far from the end of their word.
        Ok(number) if number * seconds_each <= 30.0 * 86_400.0 => Ok(Duration::from_secs_f64(number * seconds_each)),
        Ok(_) => Err(format!("duration is {text:?}, expected at most 720h")),
        Err(_) => Err(format!("duration is {text:?}, expected a number with ms, s, m or h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        text.split(',').map(|step| step.parse().expect("a step")).collect()
    }

    #[test]
    fn even_times_are_absolute_and_do_not_drift() {
        // A gap of 1/3000 s is no whole number of nanoseconds. Rounding the gap and adding it up would be 60 µs off after a minute (planted
        // once: seen here).
        let schedule = Schedule::new(Duration::ZERO, &steps("3000:60s"), Arrivals::Even, 1);
        assert_eq!(schedule.slots(), 180_000);
        let due: Vec<Due> = schedule.due().collect();
        assert_eq!(due.len(), 180_000);
        for second in 0..60 {
            assert_eq!(due[second * 3000], Due { slot: second as u64 * 3000, at_ns: second as u64 * 1_000_000_000 });
        }
        assert!(due.iter().all(|due| schedule.even_ns(due.slot) == due.at_ns));
    }

    #[test]
    fn steps_follow_each_other_behind_the_warmup() {
        let schedule = Schedule::new(Duration::from_secs(2), &steps("1000:10s,15000:10s,3000:20s"), Arrivals::Even, 1);
        let firsts: Vec<(u64, u64, u64, bool)> =
            schedule.segments().iter().map(|s| (s.start_ns / 1_000_000_000, s.first, s.count, s.warmup)).collect();
        assert_eq!(firsts, [(0, 0, 2000, true), (2, 2000, 10_000, false), (12, 12_000, 150_000, false), (22, 162_000, 60_000, false)]);
        assert_eq!(schedule.measured_from_ns(), 2_000_000_000);
        assert_eq!(schedule.length_ns(), 42_000_000_000);
        assert_eq!(schedule.slots(), 222_000);
        assert_eq!(schedule.even_ns(12_000), 12_000_000_000);
        assert!(schedule.due().zip(schedule.due().skip(1)).all(|(a, b)| a.slot + 1 == b.slot && a.at_ns < b.at_ns));
    }

    #[test]
    fn poisson_keeps_number_order_and_bounds_and_is_uneven() {
        let schedule = Schedule::new(Duration::ZERO, &steps("1000:4s,2000:2s"), Arrivals::Poisson, 7);
        let due: Vec<Due> = schedule.due().collect();
        assert_eq!(due.len(), 8000);
        assert!(due.is_sorted_by_key(|due| due.at_ns));
        assert!(due[3999].at_ns < 4_000_000_000 && due[4000].at_ns >= 4_000_000_000 && due[7999].at_ns < 6_000_000_000);
        // Gaps of a Poisson process are exponential: a share 1/e of them is longer than the mean.
        let long = due[..4000].windows(2).filter(|pair| pair[1].at_ns - pair[0].at_ns > 1_000_000).count();
        assert!((1250..1700).contains(&long), "{long} of 3999 gaps above the mean");
        // In each tenth about a tenth.
        for tenth in 0..10u64 {
            let within = due[..4000].iter().filter(|due| due.at_ns / 400_000_000 == tenth).count();
            assert!((300..500).contains(&within), "{within} in tenth {tenth}");
        }
        assert_eq!(due, schedule.due().collect::<Vec<Due>>(), "the same seed, the same times");
    }

    #[test]
    fn slow_and_short_steps_round_to_whole_requests() {
        let schedule = Schedule::new(Duration::ZERO, &steps("0.5:1s,0.5:10s,10:1s"), Arrivals::Even, 1);
        let counts: Vec<u64> = schedule.segments().iter().map(|segment| segment.count).collect();
        assert_eq!(counts, [1, 5, 10]);
        let schedule = Schedule::new(Duration::ZERO, &steps("0.1:1s,10:1s"), Arrivals::Even, 1);
        assert_eq!(schedule.slots(), 10);
        assert_eq!(schedule.even_ns(0), 1_000_000_000, "an empty step holds no slot");
    }

    #[test]
    fn a_run_that_was_stopped_is_as_long_as_it_was() {
        let mut schedule = Schedule::new(Duration::from_secs(1), &steps("10:10s,20:10s"), Arrivals::Even, 1);
        schedule.cut(75, 8_500_000_000);
        assert_eq!((schedule.slots(), schedule.length_ns(), schedule.segments().len()), (75, 8_500_000_000, 2));
    }

    #[test]
    fn what_is_no_duration_or_rate_is_refused() {
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "10", "s", "10d", "-1s", "1e9s", "9999h", "1.2.3s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["0", "-5", "nan", "inf", "2000000", "x"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert!("1000".parse::<Step>().is_err());
    }
}
