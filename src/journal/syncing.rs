//! Syncing a log from another thread, so that the one that writes never waits for the disk.
//!
//! What counts as durable is what was written before the sync began. A segment is synced by its writer before the next one is begun: so
//! whoever syncs the file that is being written makes everything durable that was written before.

use super::error::JournalError;
use super::files::SyncFile;
use crate::event::Sequence;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// A log's second hold: [`super::Log::syncing`].
pub struct Syncing {
    dir: PathBuf,
    /// The segment being written.
    file: Mutex<Arc<dyn SyncFile>>,
    /// One above the last sequence that is written, and that survives a power cut.
    written: AtomicU64,
    durable: AtomicU64,
    /// Why a sync failed: the writer is told once, by whichever hold asked, so each must tell the other.
    failed: OnceLock<String>,
}

impl std::fmt::Debug for Syncing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncing").field("dir", &self.dir).field("durable", &self.durable).finish_non_exhaustive()
    }
}

impl Syncing {
    pub(super) fn new(dir: PathBuf, file: Arc<dyn SyncFile>, written: u64, durable: u64) -> Syncing {
        Syncing { dir, file: Mutex::new(file), written: AtomicU64::new(written), durable: AtomicU64::new(durable), failed: OnceLock::new() }
    }

    pub(super) fn wrote(&self, next: u64) {
        self.written.store(next, Ordering::Release);
    }

    pub(super) fn synced(&self, next: u64) {
        self.durable.fetch_max(next, Ordering::AcqRel);
    }

    pub(super) fn turn_to(&self, file: Arc<dyn SyncFile>) {
        *self.file.lock().expect("nobody panics with it") = file;
    }

    /// What lies before this sequence is written.
    pub fn written(&self) -> Sequence {
        Sequence(self.written.load(Ordering::Acquire))
    }

    /// What lies before this sequence survives a power cut.
    pub fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::Acquire))
    }

    /// Makes durable what is written now; `false` where it was already.
    ///
    /// # Errors
    /// Where the system refuses. Nobody knows then what is on disk: the log's owner must stop.
    pub fn sync(&self) -> Result<bool, JournalError> {
        self.sync_before(self.written())
    }

    /// As [`Syncing::sync`], but only what lies before `limit` counts as durable then: what else is written may miss something that it
    /// needs, in a log that was synced before this one.
    ///
    /// # Errors
    /// As [`Syncing::sync`].
    pub fn sync_before(&self, limit: Sequence) -> Result<bool, JournalError> {
        // Read before the file is taken: what was written to an earlier segment was synced with it.
        let written = self.written.load(Ordering::Acquire).min(limit.0);
        if written <= self.durable.load(Ordering::Acquire) {
            return Ok(false);
        }
        let file = self.file.lock().expect("nobody panics with it").clone();
        if let Err(error) = file.sync() {
            let error = JournalError::io("syncing", &self.dir)(error);
            let _ = self.failed.set(error.to_string());
            return Err(error);
        }
        self.synced(written);
        Ok(true)
    }

    pub(super) fn failure(&self) -> Option<&String> {
        self.failed.get()
    }
}
