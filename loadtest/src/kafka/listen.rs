//! The half of `kafka measure` that reads: when each decision was there to be read.

use super::clients::{Topic, entry};
use super::decision::Answer;
use super::produce::{Load, Progress};
use super::traffic::Kind;
use crate::clock::Clock;
use crate::measure::histogram;
use hdrhistogram::Histogram;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What was seen of decisions.
pub struct Seen {
    /// By slot.
    is_seen: Vec<bool>,
    /// Slots of the measured part.
    pub measured: u64,
    /// From due to visible, in nanoseconds, of the first decision of each of them.
    pub visible: Histogram<u64>,
    /// When the last of them was visible, on the clock.
    pub last_ns: u64,
    /// Records, of all kinds.
    pub decisions: u64,
    pub stand_ins: u64,
    /// Records about slots that were seen before: a judgement beside a stand-in, or a duplicate.
    pub further: u64,
    /// Records about events of others.
    pub foreign: u64,
    pub malformed: u64,
    /// What the client told while it went on.
    pub errors: BTreeMap<String, u64>,
}

impl Seen {
    /// Nothing, yet, of `slots` slots.
    pub fn new(slots: u64) -> Seen {
        Seen {
            is_seen: vec![false; slots as usize],
            measured: 0,
            visible: histogram(),
            last_ns: 0,
            decisions: 0,
            stand_ins: 0,
            further: 0,
            foreign: 0,
            malformed: 0,
            errors: BTreeMap::new(),
        }
    }

    /// Takes a decision that came at `now_ns`; whether it is the first one about an event of this load.
    pub fn take(&mut self, value: &[u8], load: &Load, start_ns: u64, now_ns: u64) -> bool {
        self.decisions += 1;
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(value) else {
            self.malformed += 1;
            return false;
        };
        self.stand_ins += u64::from(answer.is_stand_in());
        let slot = load.traffic.slot(&answer.event_id).filter(|slot| *slot < self.is_seen.len() as u64);
        let Some(slot) = slot.filter(|slot| load.traffic.kind(*slot) == Kind::Money) else {
            self.foreign += 1;
            return false;
        };
        if std::mem::replace(&mut self.is_seen[slot as usize], true) {
            self.further += 1;
            return false;
        }
        if slot >= load.measured_from {
            self.measured += 1;
            self.visible.saturating_record(now_ns.saturating_sub(start_ns + load.schedule.even_ns(slot)));
            self.last_ns = now_ns;
        }
        true
    }
}

/// Reads `topic` until `done` is set.
pub fn listen(topic: &Topic, load: &Load, clock: Clock, start_ns: u64, progress: &Progress, done: &AtomicBool) -> Seen {
    let mut seen = Seen::new(load.schedule.slots());
    while !done.load(Ordering::Relaxed) {
        match topic.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let is_first = seen.take(entry(&message).value, load, start_ns, clock.now_ns());
                progress.visible.fetch_add(u64::from(is_first), Ordering::Relaxed);
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            // The client tries again by itself; what does not come is missing.
            Some(Err(error)) => *seen.errors.entry(error.to_string()).or_default() += 1,
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Arguments, Command};
    use clap::Parser;

    // Caught when planted: a delay from the begin of the load; a second decision that counts.
    #[test]
    fn a_delay_counts_from_due_to_the_first_decision() {
        let line =
            "weir-loadtest kafka produce --rate 1000 --events 100 --warmup 100ms --prefix k --payment-share 0.7 --brokers localhost:1";
        let Some(Command::Kafka(super::super::KafkaCommand::Produce(produce))) =
            Arguments::try_parse_from(line.split(' ')).expect("parsed").command
        else {
            panic!("another command")
        };
        let load = Load::new(&produce.traffic).expect("a load");
        assert_eq!((load.measured_from, load.schedule.slots()), (100, 200));
        let mut seen = Seen::new(200);
        let mut take = |slot: u64, prefix: &str, status: &str, now_ms: u64| {
            let (status, skipped) = match status {
                "cold" => ("degraded", r#"[{"part":"graph","why":"cold shard"}]"#),
                "degraded" => ("degraded", r#"[{"part":"stream","why":"stream 70 s behind"}]"#),
                status => (status, "[]"),
            };
            let value = format!(r#"{{"event_id":"{prefix}-{slot}","revision":1,"sequence":9,"status":"{status}","skipped":{skipped}}}"#);
            seen.take(value.as_bytes(), &load, 5_000_000_000, now_ms * 1_000_000)
        };
        let money: Vec<u64> = (0..200).filter(|slot| load.traffic.kind(*slot) == Kind::Money).collect();
        let (warm, measured) = (money[0], *money.last().expect("nearly all are"));
        let other = (0..200).find(|slot| load.traffic.kind(*slot) != Kind::Money).expect("a few are not");
        assert!(take(warm, "k", "evaluated", 9000));
        // Due at 5 s and as many milliseconds as its slot.
        assert!(take(measured, "k", "fallback", 5000 + measured + 7));
        // Of those that lacked a part, only what a cold shard answers is of a stand-in.
        assert!(!take(measured, "k", "degraded", 9000) && !take(measured, "k", "cold", 9000));
        assert!(!take(measured, "other", "evaluated", 9000) && !take(other, "k", "evaluated", 9000) && !take(777, "k", "evaluated", 9000));
        assert!(!seen.take(b"{", &load, 0, 0));
        assert_eq!((seen.decisions, seen.stand_ins, seen.further, seen.foreign, seen.malformed), (8, 2, 2, 3, 1));
        assert_eq!((seen.measured, seen.last_ns), (1, (5000 + measured + 7) * 1_000_000));
        assert!(seen.visible.max().abs_diff(7_000_000) < 10_000, "{} ns", seen.visible.max());
    }
}
