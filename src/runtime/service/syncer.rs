//! The syncer: one thread that makes durable what others have written, so that none of them waits for the disk.

use super::Shared;
use crate::journal::{JournalError, Syncing};
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use tracing::error;

/// The syncer's own things.
pub(super) struct Syncer {
    pub(super) shared: Arc<Shared>,
    /// What cannot be derived from the journal goes before it.
    pub(super) texts: Arc<Syncing>,
    pub(super) rejected: Arc<Syncing>,
    /// What can be derived again is synced less often.
    pub(super) outputs: Arc<Syncing>,
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
        // A group stands in these two before it stands in the journal: what is there now has its texts synced when the journal is.
        let before = self.shared.journal.written();
        self.texts.sync()?;
        self.rejected.sync()?;
        let began = Instant::now();
        if self.shared.journal.sync_before(before)? {
            let metrics = &self.shared.metrics;
            metrics.journal_syncs_total.inc();
            metrics.journal_sync_seconds.observe(began.elapsed().as_secs_f64());
        }
        if outputs_too {
            self.outputs.sync()?;
        }
        Ok(())
    }
}
