//! How much happens: counters as they stood in each of the last seconds.

use crate::event::EventType;
use crate::metrics::Metrics;
use prometheus::Histogram;
use prometheus::core::Metric;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

/// What a rate is taken over, so that it neither jumps nor lags.
const RATE_SECONDS: usize = 5;
/// Seconds that are kept, and one more to begin at.
const SAMPLES_MAX: usize = 61;

/// Words of [`Metrics::engine_records_total`] that the pulse tells apart, as people call them; what is not here counts to the last.
const KINDS: [(&str, EventType); 4] = [
    ("payments", EventType::Payment),
    ("transfers", EventType::Transfer),
    ("sessions", EventType::Session),
    ("interactions", EventType::Interaction),
];
const OTHERS: [EventType; 5] = [EventType::PaymentResult, EventType::Item, EventType::Label, EventType::Profile, EventType::Erase];
const OUTCOMES: [&str; 4] = ["approve", "challenge", "review", "decline"];

/// The counters at one moment.
struct Sample {
    at: Instant,
    events: [u64; KINDS.len() + 1],
    outcomes: [u64; OUTCOMES.len()],
    stand_ins: u64,
    /// Answers that took at most so many seconds, by the bounds of the histogram.
    answers: Vec<(f64, u64)>,
}

/// The samples of the last minute.
pub(super) struct Pulse(Mutex<VecDeque<Sample>>);

/// What they come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Beat {
    /// Events a second by kind.
    pub(super) events: Vec<(&'static str, f64)>,
    /// Events of each second, the oldest first.
    pub(super) history: Vec<f64>,
    pub(super) decisions_per_second: f64,
    /// By severity, within the minute.
    pub(super) outcomes: [u64; 4],
    pub(super) stand_ins: u64,
    /// Seconds of half, and of 99 in 100, of the answers of the minute.
    pub(super) answer_seconds: Option<(f64, f64)>,
}

impl Pulse {
    pub(super) fn new() -> Pulse {
        Pulse(Mutex::new(VecDeque::with_capacity(SAMPLES_MAX)))
    }

    /// Takes a sample: once a second.
    pub(super) fn beat(&self, metrics: &Metrics) {
        let sample = Sample::of(metrics, Instant::now());
        let mut samples = self.0.lock().expect("nobody panics with it");
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What happened in the last minute.
    pub(super) fn read(&self) -> Beat {
        let samples = self.0.lock().expect("nobody panics with it");
        let (Some(first), Some(last)) = (samples.front(), samples.back()) else { return Beat::default() };
        let recent = &samples[samples.len().saturating_sub(RATE_SECONDS + 1)];
        let seconds = |from: &Sample, to: &Sample| (to.at - from.at).as_secs_f64().max(1e-3);
        let names = KINDS.iter().map(|(name, _)| *name).chain(["others"]);
        let events = names
            .enumerate()
            .map(|(kind, name)| (name, (last.events[kind] - recent.events[kind]) as f64 / seconds(recent, last)))
            .collect();
        let history = samples.iter().zip(samples.iter().skip(1));
        let history = history.map(|(from, to)| (to.all() - from.all()) as f64 / seconds(from, to)).collect();
        let decisions = last.outcomes.iter().sum::<u64>() - recent.outcomes.iter().sum::<u64>();
        let outcomes = std::array::from_fn(|outcome| last.outcomes[outcome] - first.outcomes[outcome]);
        let answers: Vec<(f64, u64)> =
            last.answers.iter().zip(&first.answers).map(|((bound, to), (_, from))| (*bound, to - from)).collect();
        Beat {
            events,
            history,
            decisions_per_second: decisions as f64 / seconds(recent, last),
            outcomes,
            stand_ins: last.stand_ins - first.stand_ins,
            answer_seconds: quantile(&answers, 0.5).zip(quantile(&answers, 0.99)),
        }
    }
}

impl Sample {
    fn of(metrics: &Metrics, at: Instant) -> Sample {
        let records = |kind: EventType| metrics.engine_records_total.with_label_values(&[kind.name()]).get();
        let mut events = [0; KINDS.len() + 1];
        for (place, (_, kind)) in KINDS.iter().enumerate() {
            events[place] = records(*kind);
        }
        events[KINDS.len()] = OTHERS.iter().map(|kind| records(*kind)).sum();
        Sample {
            at,
            events,
            outcomes: OUTCOMES.map(|outcome| metrics.hook_outcomes_total.with_label_values(&[outcome]).get()),
            stand_ins: metrics.hook_stand_ins_total.with_label_values(&["deadline"]).get(),
            answers: buckets(&metrics.hook_answer_seconds),
        }
    }

    fn all(&self) -> u64 {
        self.events.iter().sum()
    }
}

/// The bounds of a histogram, each with the observations up to it; the last one is infinite.
fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    let metric = histogram.metric();
    let of = metric.get_histogram();
    let bounded = of.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    bounded.chain([(f64::INFINITY, of.get_sample_count())]).collect()
}

/// The value below which a share of the observations lies, evenly spread within its bucket; the greatest finite bound where it is beyond.
fn quantile(buckets: &[(f64, u64)], share: f64) -> Option<f64> {
    let all = buckets.last().map_or(0, |(_, count)| *count);
    if all == 0 {
        return None;
    }
    let rank = share * all as f64;
    let (mut start, mut before) = (0.0, 0);
    for &(bound, count) in buckets {
        if count as f64 >= rank && count > before {
            let inside = (rank - before as f64) / (count - before) as f64;
            return Some(if bound.is_finite() { start + (bound - start) * inside } else { start });
        }
        (start, before) = (bound, count);
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::{Pulse, quantile};
    use crate::metrics::Metrics;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let buckets = [(0.1, 0), (0.2, 50), (0.4, 98), (f64::INFINITY, 100)];
        assert_eq!(quantile(&buckets, 0.25).map(|value| (value * 1000.0).round()), Some(150.0));
        assert_eq!(quantile(&buckets, 0.5), Some(0.2));
        assert_eq!(quantile(&buckets, 0.99), Some(0.4), "beyond the last bound nothing is known");
        assert_eq!(quantile(&[(0.1, 0), (f64::INFINITY, 0)], 0.5), None);
    }

    /// Planted: outcomes of the whole life in place of those since the first sample; told.
    #[test]
    fn what_was_before_the_first_sample_does_not_count() {
        let (metrics, pulse) = (Metrics::new("test"), Pulse::new());
        let happen = |payments: u64, answers: u64| {
            metrics.engine_records_total.with_label_values(&["payment"]).inc_by(payments);
            metrics.engine_records_total.with_label_values(&["label"]).inc_by(1);
            metrics.hook_outcomes_total.with_label_values(&["decline"]).inc_by(answers);
            (0..answers).for_each(|_| metrics.hook_answer_seconds.observe(0.00015));
        };
        happen(1000, 500);
        assert!(pulse.read().events.is_empty());
        pulse.beat(&metrics);
        assert_eq!(pulse.read().outcomes, [0; 4]);
        happen(30, 20);
        pulse.beat(&metrics);
        let beat = pulse.read();
        assert_eq!((beat.outcomes, beat.history.len()), ([0, 0, 0, 20], 1));
        let rates: Vec<&str> = beat.events.iter().filter(|(_, rate)| *rate > 0.0).map(|(name, _)| *name).collect();
        assert_eq!(rates, ["payments", "others"]);
        let (half, most) = beat.answer_seconds.expect("there were answers");
        assert!((0.0001..=0.0002).contains(&half) && half < most, "{half} {most}");
    }
}
