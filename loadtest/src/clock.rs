//! The one clock of a run.

use std::time::Instant;

/// Nanoseconds since the process began to prepare: one word for every time that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { base: Instant::now() }
    }

    pub fn now_ns(&self) -> u64 {
        // Wraps after 584 years.
        self.base.elapsed().as_nanos() as u64
    }
}
