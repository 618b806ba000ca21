//! The pacing thread: hands every request over at its own absolute time and waits for nothing else.

use crate::clock::Clock;
use crate::inbox::{Inbox, Ticket};
use crate::measure::histogram;
use crate::request::Authorization;
use crate::schedule::Schedule;
use crate::source::{Plan, Source};
use hdrhistogram::Histogram;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the pacing thread works from.
pub struct Pacing<'a> {
    pub schedule: &'a Schedule,
    pub plan: &'a Plan,
    pub source: &'a Source,
    pub authorization: &'a Authorization,
    pub clock: Clock,
    /// When the schedule begins, on `clock`.
    pub start_ns: u64,
    /// Before a request is due it sleeps until so long before, then spins.
    pub spin: Duration,
}

/// What the pacing thread saw.
pub struct Paced {
    /// Requests for which the queue had no room, with the time they were due, on the clock.
    pub overflowed: Vec<(u64, u64)>,
    /// How many slots were reached; fewer than the schedule has where the run was stopped.
    pub slots: u64,
    /// Nanoseconds between due and handed over: the generator's own fault, part of every latency.
    pub lateness: Histogram<u64>,
}

/// The longest sleep: so soon a stop is seen.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Offers every request of the schedule to `inbox` when it is due; returns when all are handed over or `stop` is set.
///
/// A request that comes too late is handed over at once and keeps its time: lateness counts as latency. `offered` counts along.
pub fn pace(pacing: &Pacing<'_>, inbox: &Inbox, stop: &AtomicBool, offered: &AtomicU64) -> Paced {
    // The kernel may round a sleep up by the slack, 50 µs by default: a quarter of the gap at 5,000/s. Where it cannot be set the spin is
    // missed now and then, and the lateness shows it.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1000));
    let mut paced = Paced { overflowed: Vec::new(), slots: 0, lateness: histogram() };
    for due in pacing.schedule.due() {
        // Made before the wait: its cost falls into the gap, not on the request.
        let kind = pacing.plan.kind(due.slot);
        let mut body = Vec::with_capacity(512);
        pacing.source.body(kind.target(), kind.is_conflict(), &mut body);
        let request = pacing.authorization.request(&body);
        let at_ns = pacing.start_ns + due.at_ns;
        let Some(handed_ns) = wait_until(at_ns, pacing, stop) else { break };
        if inbox.offer(Ticket { slot: due.slot, due_ns: at_ns, request }).is_err() {
            paced.overflowed.push((due.slot, at_ns));
        }
        paced.slots = due.slot + 1;
        paced.lateness.saturating_record(handed_ns.saturating_sub(at_ns));
        offered.store(paced.slots, Ordering::Relaxed);
    }
    inbox.close();
    paced
}

/// The time at which it was seen that `at_ns` has come; none where `stop` was set before.
fn wait_until(at_ns: u64, pacing: &Pacing<'_>, stop: &AtomicBool) -> Option<u64> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let now_ns = pacing.clock.now_ns();
        if now_ns >= at_ns {
            return Some(now_ns);
        }
        let left = Duration::from_nanos(at_ns - now_ns);
        match left.checked_sub(pacing.spin).filter(|sleep| !sleep.is_zero()) {
            Some(sleep) => thread::sleep(sleep.min(SLEEP_MAX)),
            None => std::hint::spin_loop(),
        }
    }
}
