//! The syncer: one thread that makes durable what others have written, so that none of them waits for the disk.

use super::Shared;
use crate::journal::Syncing;
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use tracing::error;

/// The syncer's own things.
pub(super) struct Syncer {
    pub(super) shared: Arc<Shared>,
    /// Derived from the journal, or not answered for: these are synced a tenth as often.
    pub(super) others: Vec<Arc<Syncing>>,
}

/// Journal syncs to one of the other logs.
const OTHERS_EVERY: u32 = 10;

impl Syncer {
    /// Syncs every `every` while something was written, until the service has ended.
    pub(super) fn run(self, every: Wall) {
        let mut rounds = 0u32;
        while !self.shared.is_ended() {
            std::thread::sleep(every);
            let began = Instant::now();
            let done = self.shared.journal.sync();
            if let Ok(true) = done {
                let metrics = &self.shared.metrics;
                metrics.journal_syncs_total.inc();
                metrics.journal_sync_seconds.observe(began.elapsed().as_secs_f64());
            }
            rounds = rounds.wrapping_add(1);
            let others = if rounds % OTHERS_EVERY == 0 { &self.others[..] } else { &[] };
            let done = done.and_then(|_| others.iter().try_for_each(|log| log.sync().map(drop)));
            if let Err(cause) = done {
                self.shared.stop(format!("what was written could not be synced: {cause}"));
                error!(%cause, "what was written could not be synced; nothing more is recorded");
                return;
            }
        }
    }
}
