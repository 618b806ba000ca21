//! The clock of the service: read once for each group of records, never running back.

use crate::event::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock that does not run back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    latest: Timestamp,
}

impl Clock {
    /// A clock that shows at least `from`: what the journal holds already.
    pub(super) fn new(from: Timestamp) -> Clock {
        Clock { latest: from }
    }

    /// Now.
    pub(super) fn read(&mut self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.latest = self.latest.max(Timestamp(since.as_micros() as i64));
        self.latest
    }
}
