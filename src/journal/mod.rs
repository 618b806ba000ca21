//! The files that Weir keeps: the one ordered input log, the log of outputs, and the blobs that control records name.
//!
//! Order is decided once, here: whatever its source, an event enters the engine only as a record of the journal. Both logs are the same
//! thing twice ([`Log`]); what they promise after a crash stands at the top of `log.rs`.

mod blobs;
mod codec;
mod dir;
mod error;
#[cfg(test)]
pub(crate) mod examples;
mod export;
mod files;
mod frame;
mod landmarks;
mod log;
mod reader;
mod rejected;
mod retention;
mod syncing;
mod tail;
mod texts;
mod verify;

pub use blobs::{Blobs, hex};
pub use codec::{Digest, Malformed, decode_output, decode_record, encode_output, encode_record};
pub(crate) use codec::{decode_target, encode_target};
pub use dir::DataDir;
pub use error::JournalError;
pub use export::{Exported, TextOf, event_json, export, record_json};
pub use files::{Disk, Files, ReadFile, SyncFile, WriteFile};
pub use frame::{ENGINE_VERSION, LogKind, segments_from};
pub use landmarks::Landmarks;
pub use log::{Durability, Log, LogOptions, Place, Recovered};
pub use reader::{Frame, Outputs, Reader, Records, output_at};
pub use rejected::{RawInput, RawInputs, RejectedLog, SegmentEnding};
pub use retention::Retention;
pub use syncing::Syncing;
#[cfg(test)]
pub(crate) use tail::rejected_schema;
pub use tail::{Shown, Topic, rejected_json, tail};
pub use texts::{Telling, Tellings, TextLog};
pub use verify::{LogReport, Report, verify};

use crate::engine::Output;
use crate::event::{IdKey, Record, Sequence};
use std::path::Path;
use std::sync::Arc;

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    log: Log,
}

impl Journal {
    /// Opens the journal in `dir` or begins it with `key`; an existing one keeps the key it has.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, key: IdKey, options: LogOptions) -> Result<(Journal, Recovered), JournalError> {
        let (log, recovered) = Log::open(files, dir, LogKind::Journal, key, options)?;
        Ok((Journal { log }, recovered))
    }

    /// Takes `record` into the group that the next commit writes; its sequence is [`Log::next`]. Returns where it will stand.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append(&mut self, record: &Record) -> Result<Place, JournalError> {
        self.log.append(record.sequence, |out| encode_record(record, out))
    }

    /// Writes the group: [`Log::commit`].
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.log.commit()
    }

    /// Makes what was committed survive a power cut: [`Log::sync`].
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()
    }

    /// A second hold, by which another thread syncs: [`Log::syncing`].
    ///
    /// # Errors
    /// As [`Log::syncing`].
    pub fn syncing(&mut self) -> Result<Arc<Syncing>, JournalError> {
        self.log.syncing()
    }

    /// The sequence of the next record.
    pub fn next(&self) -> Sequence {
        self.log.next()
    }

    /// Whether something was committed that a power cut could still take.
    pub fn is_unsynced(&self) -> bool {
        self.log.is_unsynced()
    }

    /// The key under which the ids in this journal are hashed.
    pub fn key(&self) -> IdKey {
        self.log.key()
    }
}

/// The log of outputs, open for appending: what every follower reads, and where answers are read back from.
#[derive(Debug)]
pub struct OutputLog {
    log: Log,
}

impl OutputLog {
    /// Opens the output log in `dir` or begins it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, options: LogOptions) -> Result<(OutputLog, Recovered), JournalError> {
        // Outputs bear hashes made under the journal's key; the secret itself stands only there.
        let (log, recovered) = Log::open(files, dir, LogKind::Outputs, IdKey([0; 16]), options)?;
        Ok((OutputLog { log }, recovered))
    }

    /// Takes `output` into the group that the next commit writes; returns where it will stand.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append(&mut self, output: &Output) -> Result<Place, JournalError> {
        self.log.append(output.sequence(), |out| encode_output(output, out))
    }

    /// Writes the group: [`Log::commit`].
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.log.commit()
    }

    /// Makes what was committed survive a power cut: [`Log::sync`].
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()
    }

    /// A second hold, by which another thread syncs: [`Log::syncing`].
    ///
    /// # Errors
    /// As [`Log::syncing`].
    pub fn syncing(&mut self) -> Result<Arc<Syncing>, JournalError> {
        self.log.syncing()
    }

    /// Outputs of records from this sequence on are not in the log yet, unless one record had several and a crash came between them.
    pub fn next(&self) -> Sequence {
        self.log.next()
    }

    /// Whether something was committed that a power cut could still take.
    pub fn is_unsynced(&self) -> bool {
        self.log.is_unsynced()
    }

    /// Cuts off the outputs of records from `limit` on, which the journal lost in a power cut: [`Log::cut_from`]. To be done before
    /// anything is appended.
    ///
    /// # Errors
    /// As [`Log::cut_from`].
    pub fn cut_from(&mut self, limit: Sequence) -> Result<u64, JournalError> {
        self.log.cut_from(limit)
    }
}
