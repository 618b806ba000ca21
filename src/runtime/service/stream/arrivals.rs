//! How events came and how long their decisions took: what goes with outputs into topics as headers, and into no journal.
//!
//! It is known to the process that took an event and to no other: what is sent after a restart goes without.

use crate::event::Sequence;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Arrivals that wait for their record's outputs to be committed; the oldest go first.
const ARRIVALS_MAX: usize = 1 << 16;

/// How an event came.
#[derive(Clone, Debug)]
pub(in crate::runtime::service) struct Arrival {
    at: Instant,
    #[cfg_attr(not(any(feature = "kafka", test)), expect(dead_code, reason = "topics alone ask for it"))]
    trace: Option<Arc<str>>,
}

impl Arrival {
    /// Now, with what its header `traceparent` says; what is no W3C trace context is passed over.
    pub(in crate::runtime::service) fn now(trace: Option<&str>) -> Arrival {
        Arrival { at: Instant::now(), trace: trace.filter(|trace| is_traceparent(trace)).map(Arc::from) }
    }
}

/// Whether `text` is `version-trace-parent-flags` in small hexadecimal digits. Later versions may have more behind it, and are passed over.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').filter(is_hex).collect();
    let said = |part: &str| part.bytes().any(|byte| byte != b'0');
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && text.len() == 55 && parts[0] != "ff" && said(parts[1]) && said(parts[2])
}

/// The arrivals of records, in order.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<VecDeque<Noted>>);

struct Noted {
    sequence: u64,
    arrival: Arrival,
    /// Until the decision stood.
    took: Option<Duration>,
}

impl Arrivals {
    /// What came so has this record, which comes behind those that were noted.
    pub(super) fn note(&self, sequence: Sequence, arrival: Arrival) {
        let mut noted = self.0.lock().expect("nobody panics with it");
        if noted.len() == ARRIVALS_MAX {
            noted.pop_front();
        }
        noted.push_back(Noted { sequence: sequence.0, arrival, took: None });
    }

    /// The decisions of these records stand, in order. Of one that stood before nothing changes.
    pub(super) fn decided(&self, sequences: impl IntoIterator<Item = Sequence>) {
        let now = Instant::now();
        let mut noted = self.0.lock().expect("nobody panics with it");
        let mut place = 0;
        for Sequence(sequence) in sequences {
            if place == 0 {
                place = noted.partition_point(|noted| noted.sequence < sequence);
            }
            while noted.get(place).is_some_and(|noted| noted.sequence < sequence) {
                place += 1;
            }
            if let Some(noted) = noted.get_mut(place).filter(|noted| noted.sequence == sequence) {
                noted.took.get_or_insert(now - noted.arrival.at);
            }
        }
    }

    /// The trace context of a record, and how long its decision took, as far as they are known.
    #[cfg(any(feature = "kafka", test))]
    pub(super) fn of(&self, sequence: Sequence) -> (Option<Arc<str>>, Option<Duration>) {
        let noted = self.0.lock().expect("nobody panics with it");
        let found = noted.binary_search_by_key(&sequence.0, |noted| noted.sequence).ok();
        found.map(|place| &noted[place]).map_or((None, None), |noted| (noted.arrival.trace.clone(), noted.took))
    }

    /// Nobody asks for records before this one any more: their outputs are committed.
    #[cfg(any(feature = "kafka", test))]
    pub(super) fn forget_before(&self, sequence: u64) {
        let mut noted = self.0.lock().expect("nobody panics with it");
        let gone = noted.partition_point(|noted| noted.sequence < sequence);
        let gone: Vec<Noted> = noted.drain(..gone).collect();
        // Whoever decides waits for the lock, not for the memory that is given back.
        drop(noted);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_has_its_form() {
        assert!(is_traceparent(TRACE));
        for other in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz-01",
        ] {
            assert!(!is_traceparent(other), "{other}");
        }
    }

    /// Caught when planted: a time that a later word changes.
    #[test]
    fn arrivals_stay_until_their_outputs_are_committed() {
        let arrivals = Arrivals::default();
        let traces = [(3, Some(TRACE)), (5, None), (9, Some("no trace")), (10, Some(TRACE))];
        traces.into_iter().for_each(|(sequence, trace)| arrivals.note(Sequence(sequence), Arrival::now(trace)));
        // Decided are some that nobody noted, too.
        arrivals.decided([2, 3, 4, 9].map(Sequence));
        let known = |sequence| {
            let (trace, took) = arrivals.of(Sequence(sequence));
            (trace.as_deref() == Some(TRACE), took.is_some())
        };
        // A transaction that is lost is sent again.
        for _ in 0..2 {
            assert_eq!([2, 3, 5, 9, 10].map(known), [(false, false), (true, true), (false, false), (false, true), (true, false)]);
        }
        let before = arrivals.of(Sequence(9)).1;
        std::thread::sleep(Duration::from_millis(2));
        arrivals.decided([Sequence(9), Sequence(10)]);
        assert_eq!((arrivals.of(Sequence(9)).1, known(10)), (before, (true, true)));
        arrivals.forget_before(10);
        assert_eq!([3, 9, 10].map(known), [(false, false), (false, false), (true, true)]);
    }
}
