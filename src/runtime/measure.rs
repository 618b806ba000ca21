//! What a run costs: time a step, memory of the process.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Time of the engine per event, over all steps.
pub struct StepTimes {
    nanoseconds: Histogram<u64>,
}

/// A step longer than a minute is counted as a minute.
const LONGEST_NS: u64 = 60_000_000_000;

impl StepTimes {
    /// No steps yet.
    pub fn new() -> StepTimes {
        StepTimes { nanoseconds: Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("bounds that a histogram takes") }
    }

    /// A step over `records` records took `time`.
    pub fn step(&mut self, records: usize, time: Duration) {
        let each = (time.as_nanos() as u64 / records.max(1) as u64).clamp(1, LONGEST_NS);
        self.nanoseconds.record_n(each, records as u64).expect("clamped to the bounds");
    }

    /// Microseconds per event that `share` of the events needed at most.
    pub fn quantile_us(&self, share: f64) -> f64 {
        self.nanoseconds.value_at_quantile(share) as f64 / 1000.0
    }
}

/// The most memory that this process ever had resident, in bytes; 0 where the system does not tell.
pub fn peak_rss_bytes() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: all-zero bytes are a valid `rusage`, which the call fills.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` lives through the call and is of the type that it writes.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } == 0 {
            // Kilobytes on Linux, bytes on macOS.
            return usage.ru_maxrss as u64 * if cfg!(target_os = "macos") { 1 } else { 1024 };
        }
    }
    0
}
