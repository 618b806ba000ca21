//! The syncer: one thread that makes durable what others have written, so that none of them waits for the disk.

use super::Shared;
use crate::journal::{JournalError, Syncing};
use crate::store::Store;
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use tracing::{error, warn};

/// The syncer's own things.
pub(super) struct Syncer {
    pub(super) shared: Arc<Shared>,
    /// What cannot be derived from the journal goes before it.
    pub(super) rejected: Arc<Syncing>,
    /// What can be derived again is synced less often.
    pub(super) outputs: Arc<Syncing>,
    pub(super) store: Store,
}

/// Syncs of the journal to one of the outputs.
const OUTPUTS_EVERY: u32 = 10;

impl Syncer {
    /// Syncs every `every` while something was written, until the service has ended.
    pub(super) fn run(self, every: Wall) {
        let mut rounds = 0u32;
        while !self.shared.is_ended() {
            std::thread::sleep(every);
            rounds = rounds.wrapping_add(1);
            if let Err(cause) = self.sync(rounds.is_multiple_of(OUTPUTS_EVERY)) {
                self.shared.stop(format!("what was written could not be synced: {cause}"));
                error!(%cause, "what was written could not be synced; nothing more is recorded");
                return;
            }
        }
    }

    fn sync(&self, outputs_too: bool) -> Result<(), JournalError> {
        self.rejected.sync()?;
        let began = Instant::now();
        if self.shared.journal.sync()? {
            let metrics = &self.shared.metrics;
            metrics.journal_syncs_total.inc();
            metrics.journal_sync_seconds.observe(began.elapsed().as_secs_f64());
        }
        if outputs_too {
            self.outputs.sync()?;
            if let Err(cause) = self.store.write_back() {
                // The database syncs it itself where it must.
                warn!(%cause, "the log of texts could not be written back");
            }
        }
        Ok(())
    }
}
