//! From records to figures: quantiles, rates and counts, for the whole run, for each step and for each second.
//!
//! Latency counts from when a request was due. A request that got no decision has no latency, so that quantiles of latency alone would
//! flatter a server that drops what is slow: [`Quantiles::p99_or_never_ms`] ranks every such request behind all others, and the limits use it.

use crate::record::{Outcome, Record};
use crate::schedule::Schedule;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Room for one hour with three digits, in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order and three digits are few")
}

const NS_A_MS: f64 = 1e6;
const NS_A_S: u64 = 1_000_000_000;

/// Times in milliseconds by quantile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub p9999_ms: f64,
    pub max_ms: f64,
    /// The 99th and 99.9th percentile with requests that got no decision ranked as endless; none where they reach that far.
    pub p99_or_never_ms: Option<f64>,
    pub p999_or_never_ms: Option<f64>,
}

impl Quantiles {
    /// Of `times`, beside which `never` requests have none; none where there are no times.
    pub fn of(times: &Histogram<u64>, never: u64) -> Option<Quantiles> {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / NS_A_MS;
        let or_never = |quantile: f64| {
            let rank = ((times.len() + never) as f64 * quantile).ceil() as u64;
            (rank <= times.len()).then(|| at(rank as f64 / times.len() as f64))
        };
        (!times.is_empty()).then(|| Quantiles {
            count: times.len(),
            mean_ms: times.mean() / NS_A_MS,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            p9999_ms: at(0.9999),
            max_ms: times.max() as f64 / NS_A_MS,
            p99_or_never_ms: or_never(0.99),
            p999_or_never_ms: or_never(0.999),
        })
    }
}

/// How many requests ended how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    pub offered: u64,
    pub evaluated: u64,
    pub degraded: u64,
    pub fallback: u64,
    pub unmarked: u64,
    pub conflict_refused: u64,
    pub refused: u64,
    pub unrecorded: u64,
    pub failed: u64,
    /// Sent and never answered: the sum of the three below it.
    pub lost: u64,
    pub closed: u64,
    pub timed_out: u64,
    pub malformed: u64,
    /// Never sent: the sum of the two below it.
    pub not_sent: u64,
    pub expired: u64,
    pub overflowed: u64,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        self.offered += 1;
        self.lost += u64::from(outcome.is_lost());
        self.not_sent += u64::from(outcome.is_unsent());
        *self.of_mut(outcome) += 1;
    }

    /// How many ended in `outcome`.
    pub fn of(&self, outcome: Outcome) -> u64 {
        // One list of fields for reading and writing; a copy of sixteen words is nothing beside two lists that drift.
        *self.clone().of_mut(outcome)
    }

    fn of_mut(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Evaluated => &mut self.evaluated,
            Outcome::Degraded => &mut self.degraded,
            Outcome::Fallback => &mut self.fallback,
            Outcome::Unmarked => &mut self.unmarked,
            Outcome::ConflictRefused => &mut self.conflict_refused,
            Outcome::Refused => &mut self.refused,
            Outcome::Unrecorded => &mut self.unrecorded,
            Outcome::Failed => &mut self.failed,
            Outcome::Closed => &mut self.closed,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Malformed => &mut self.malformed,
            Outcome::Expired => &mut self.expired,
            Outcome::Overflowed => &mut self.overflowed,
        }
    }

    pub fn decisions(&self) -> u64 {
        self.evaluated + self.degraded + self.fallback + self.unmarked
    }

    /// Requests that wanted a decision and got none from a server that should have given one.
    fn never(&self) -> u64 {
        self.lost + self.not_sent + self.failed + self.unrecorded
    }
}

/// One second of the run. Everything counts where its request was due, but `answered`, which counts where the answer came.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    pub offered: u64,
    /// Decisions that arrived in this second.
    pub answered: u64,
    pub fallback: u64,
    pub degraded: u64,
    pub refused: u64,
    pub failed: u64,
    pub lost: u64,
    pub not_sent: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

impl Second {
    /// Whether a caller would call it a normal one.
    fn is_normal(&self, p99_ms_max: f64) -> bool {
        self.fallback + self.failed + self.lost + self.not_sent == 0 && self.p99_ms.is_none_or(|p99_ms| p99_ms <= p99_ms_max)
    }
}

/// One step of the schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepFigures {
    pub rate: f64,
    pub start_s: f64,
    pub duration_s: f64,
    pub counts: Counts,
    pub latency: Option<Quantiles>,
    /// After how many seconds of the step nothing was out of the ordinary any more; none where its last second still was.
    pub normal_after_s: Option<u64>,
}

/// Points of a curve: the share of requests that were as fast, and the time in milliseconds.
pub type Curve = Vec<(f64, f64)>;

/// The figures of a run, without its warm-up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub seconds: f64,
    pub counts: Counts,
    pub rate_offered: f64,
    /// Decisions a second.
    pub rate_answered: f64,
    /// Decisions, from when they were due.
    pub latency: Option<Quantiles>,
    /// Decisions, from when they were sent.
    pub service: Option<Quantiles>,
    /// Decisions, as the server says.
    pub server: Option<Quantiles>,
    /// Share of the decisions that came after the deadline, as the caller sees it.
    pub after_deadline_share: f64,
    /// Answers by HTTP status.
    pub http: Vec<(u16, u64)>,
    pub steps: Vec<StepFigures>,
    pub series: Vec<Second>,
    pub latency_curve: Curve,
    pub service_curve: Curve,
    pub server_curve: Curve,
}

/// What the figures are measured against.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// When the schedule began, on the clock.
    pub start_ns: u64,
    pub deadline_ms: u64,
    /// A second is normal up to this 99th percentile.
    pub normal_p99_ms: f64,
}

/// The figures of `records`.
pub fn measure(schedule: &Schedule, records: &[Record], scale: Scale) -> Figures {
    let from_ns = scale.start_ns + schedule.measured_from_ns();
    let span_ns = schedule.length_ns() - schedule.measured_from_ns();
    let mut counts = Counts::default();
    let (mut latency, mut service, mut server) = (histogram(), histogram(), histogram());
    let mut http = std::collections::BTreeMap::new();
    let mut late = 0;
    let measured: Vec<_> = schedule.segments().iter().filter(|segment| !segment.warmup).collect();
    let mut steps: Vec<(Counts, Histogram<u64>)> = measured.iter().map(|_| (Counts::default(), histogram())).collect();
    let mut series = vec![Second::default(); span_ns.div_ceil(NS_A_S) as usize];
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); series.len()];
    let first = measured.first().map_or(0, |segment| segment.first);
    for record in records.iter().filter(|record| record.slot >= first) {
        let outcome = record.outcome;
        let latency_ns = record.latency_ns();
        counts.add(outcome);
        let step = measured.partition_point(|segment| segment.first <= record.slot) - 1;
        steps[step].0.add(outcome);
        if record.http != 0 {
            *http.entry(record.http).or_insert(0) += 1;
        }
        // The last request of a Poisson step may be due at its very end.
        let at = ((record.due_ns.saturating_sub(from_ns) / NS_A_S) as usize).min(series.len().saturating_sub(1));
        let Some(second) = series.get_mut(at) else { continue };
        second.offered += 1;
        second.fallback += u64::from(outcome == Outcome::Fallback);
        second.degraded += u64::from(outcome == Outcome::Degraded);
        second.refused += u64::from(outcome == Outcome::Refused);
        second.failed += u64::from(outcome.is_failed());
        second.lost += u64::from(outcome.is_lost());
        second.not_sent += u64::from(outcome.is_unsent());
        if !outcome.is_decision() {
            continue;
        }
        latency.saturating_record(latency_ns);
        steps[step].1.saturating_record(latency_ns);
        times[at].push(latency_ns);
        late += u64::from(latency_ns > scale.deadline_ms.saturating_mul(1_000_000));
        if let Some(service_ns) = record.service_ns() {
            service.saturating_record(service_ns);
        }
        if let Some(server_ns) = record.server_ns {
            server.saturating_record(server_ns);
        }
        // Answers that came behind the end of the schedule are no rate of it.
        if let Some(second) = series.get_mut((record.done_ns.saturating_sub(from_ns) / NS_A_S) as usize) {
            second.answered += 1;
        }
    }
    for (second, times) in series.iter_mut().zip(&mut times) {
        times.sort_unstable();
        second.p50_ms = nearest(times, 0.5);
        second.p99_ms = nearest(times, 0.99);
        second.max_ms = nearest(times, 1.0);
    }
    let steps = measured
        .iter()
        .zip(steps)
        .map(|(segment, (counts, latency))| {
            let begin = ((segment.start_ns - schedule.measured_from_ns()) / NS_A_S) as usize;
            let end = ((segment.start_ns + segment.duration_ns - schedule.measured_from_ns()).div_ceil(NS_A_S) as usize).min(series.len());
            StepFigures {
                rate: segment.rate,
                start_s: (segment.start_ns - schedule.measured_from_ns()) as f64 / NS_A_S as f64,
                duration_s: segment.duration_ns as f64 / NS_A_S as f64,
                normal_after_s: normal_after(&series[begin..end], scale.normal_p99_ms),
                latency: Quantiles::of(&latency, counts.never()),
                counts,
            }
        })
        .collect();
    let seconds = span_ns as f64 / NS_A_S as f64;
    let answered: u64 = series.iter().map(|second| second.answered).sum();
    Figures {
        seconds,
        rate_offered: counts.offered as f64 / seconds.max(f64::MIN_POSITIVE),
        rate_answered: answered as f64 / seconds.max(f64::MIN_POSITIVE),
        latency: Quantiles::of(&latency, counts.never()),
        service: Quantiles::of(&service, 0),
        server: Quantiles::of(&server, 0),
        after_deadline_share: late as f64 / counts.decisions().max(1) as f64,
        http: http.into_iter().collect(),
        steps,
        series,
        latency_curve: curve(&latency),
        service_curve: curve(&service),
        server_curve: curve(&server),
        counts,
    }
}

/// The time in milliseconds that a share `quantile` of the sorted `times` does not exceed.
fn nearest(times: &[u64], quantile: f64) -> Option<f64> {
    let rank = ((times.len() as f64 * quantile).ceil() as usize).max(1);
    times.get(rank - 1).map(|time_ns| *time_ns as f64 / NS_A_MS)
}

/// After how many of `seconds` all that follow are normal.
fn normal_after(seconds: &[Second], p99_ms_max: f64) -> Option<u64> {
    let after = seconds.iter().rposition(|second| !second.is_normal(p99_ms_max)).map_or(0, |at| at + 1);
    (after < seconds.len()).then_some(after as u64)
}

/// The percentiles of `times`, denser towards the slow end, as far as there are requests for them.
fn curve(times: &Histogram<u64>) -> Curve {
    if times.is_empty() {
        return Curve::new();
    }
    let mut points: Curve = Vec::new();
    for step in 0.. {
        // Twelve points for each nine.
        let share = 1.0 - 10f64.powf(-f64::from(step) / 12.0);
        if (1.0 - share) * (times.len() as f64) < 1.0 {
            break;
        }
        points.push((share, times.value_at_quantile(share) as f64 / NS_A_MS));
    }
    points.push((1.0, times.max() as f64 / NS_A_MS));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Arrivals;
    use crate::source::Kind;
    use std::time::Duration;

    fn record(slot: u64, outcome: Outcome, due_ns: u64, latency_ns: u64) -> Record {
        let mut record = Record::overflowed(Kind::First { slot }, slot, due_ns);
        record.outcome = outcome;
        record.done_ns = due_ns + latency_ns;
        record.sent_ns = (!outcome.is_unsent()).then_some(due_ns);
        record.http = if outcome.is_decision() { 200 } else { 0 };
        record
    }

    const SCALE: Scale = Scale { start_ns: 5 * NS_A_S, deadline_ms: 10, normal_p99_ms: 5.0 };

    fn scheduled(steps: &str) -> Schedule {
        let steps: Vec<_> = steps.split(',').map(|step| step.parse().expect("a step")).collect();
        Schedule::new(Duration::from_secs(1), &steps, Arrivals::Even, 1)
    }

    #[test]
    fn what_never_came_is_slower_than_everything() {
        let mut times = histogram();
        for ms in 1..=990u64 {
            times.record(ms * 1_000_000).expect("in bounds");
        }
        let all = Quantiles::of(&times, 0).expect("there are times");
        assert!((all.p99_ms - 981.0).abs() < 1.0, "{}", all.p99_ms);
        // Of a thousand requests ten never came: the 99th percentile is the slowest that did, the 99.9th is never.
        let some = Quantiles::of(&times, 10).expect("there are times");
        assert!((some.p99_or_never_ms.expect("just reached") - 990.0).abs() < 1.0);
        assert_eq!((some.p999_or_never_ms, Quantiles::of(&times, 11).and_then(|q| q.p99_or_never_ms)), (None, None));
        assert_eq!(Quantiles::of(&histogram(), 5), None);
    }

    #[test]
    fn counts_and_seconds_fall_where_requests_were_due() {
        let schedule = scheduled("10:2s,5:2s");
        let mut records = Vec::new();
        for due in schedule.due() {
            let outcome = match due.slot {
                0..10 => Outcome::TimedOut, // warm-up: must not count
                20 => Outcome::Fallback,
                21 => Outcome::Closed,
                22 => Outcome::Overflowed,
                _ => Outcome::Evaluated,
            };
            let latency_ns = if due.slot == 19 { 1_200_000_000 } else { 2_000_000 };
            records.push(record(due.slot, outcome, SCALE.start_ns + due.at_ns, latency_ns));
        }
        let figures = measure(&schedule, &records, SCALE);
        assert_eq!((figures.counts.offered, figures.counts.lost, figures.counts.not_sent, figures.counts.fallback), (30, 1, 1, 1));
        assert_eq!(figures.counts.decisions(), 28);
        let per_second: Vec<(u64, u64)> = figures.series.iter().map(|second| (second.offered, second.answered)).collect();
        // Slot 19 is due in the first second and answered in the third.
        assert_eq!(per_second, [(10, 9), (10, 8), (5, 6), (5, 5)]);
        assert_eq!((figures.series[0].max_ms, figures.series[0].p50_ms), (Some(1200.0), Some(2.0)));
        assert_eq!(figures.http, [(200, 28)]);
        assert!((figures.after_deadline_share - 1.0 / 28.0).abs() < 1e-9);
        let after: Vec<Option<u64>> = figures.steps.iter().map(|step| step.normal_after_s).collect();
        assert_eq!(after, [None, Some(0)], "the first step ends with a lost request, the second is normal from its beginning");
        assert_eq!((figures.steps[0].counts.offered, figures.steps[1].counts.offered), (20, 10));
    }

    #[test]
    fn a_step_is_normal_again_when_all_that_follows_is() {
        let normal = Second { p99_ms: Some(4.0), ..Second::default() };
        let slow = Second { p99_ms: Some(6.0), ..Second::default() };
        let fallback = Second { fallback: 1, ..normal.clone() };
        assert_eq!(normal_after(&[slow.clone(), normal.clone(), fallback, normal.clone(), normal.clone()], 5.0), Some(3));
        assert_eq!(normal_after(&[normal, slow], 5.0), None);
    }

    #[test]
    fn a_curve_rises_to_the_slowest() {
        let mut times = histogram();
        for us in 1..=100_000u64 {
            times.record(us * 1000).expect("in bounds");
        }
        let curve = curve(&times);
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        let last = curve.last().expect("points");
        assert!((last.1 - 100.0).abs() < 0.1 && last.0 == 1.0);
        assert!(curve.iter().any(|(share, ms)| (share - 0.99).abs() < 1e-9 && (ms - 99.0).abs() < 0.2));
    }
}
