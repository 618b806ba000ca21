//! Letting go of old segments, beside a log that is being written: segments are files, found by their names.
//!
//! The last segment always stays, and what goes goes oldest first, so that a crash in between leaves a log without a gap.

use super::error::JournalError;
use super::files::Files;
use super::frame::{LogKind, segment_path, segments};
use super::reader::Records;
use super::rejected::RawInputs;
use crate::event::{Sequence, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The segments of one log, to be let go of.
#[derive(Clone, Debug)]
pub struct Retention {
    files: Arc<dyn Files>,
    dir: PathBuf,
    kind: LogKind,
}

impl Retention {
    /// The segments of the log of `kind` in `dir`.
    pub fn of(files: Arc<dyn Files>, dir: &Path, kind: LogKind) -> Retention {
        Retention { files, dir: dir.to_owned(), kind }
    }

    /// The first sequence that is kept; 0 for a log without segments.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn first(&self) -> Result<Sequence, JournalError> {
        Ok(Sequence(self.segments()?.first().copied().unwrap_or(0)))
    }

    /// Deletes whole segments all of whose entries lie before `floor` and were received at or before `keep_since`. For a journal `floor` is
    /// where recovery begins: the oldest snapshot kept, or the index of judged events where that is lower. Outputs and texts bear no
    /// time: of them everything before `floor` goes. A segment of refused input is as old as its own last entry. Returns the first sequence that is still kept.
    ///
    /// # Errors
    /// Where the system refuses or a segment's first entry is not readable; what was deleted until then stays so.
    pub fn apply(&self, floor: Sequence, keep_since: Timestamp) -> Result<Sequence, JournalError> {
        let firsts = self.segments()?;
        let mut kept = 0;
        for (number, &first) in firsts.iter().enumerate().skip(1).take_while(|(_, first)| **first <= floor.0) {
            let old = match self.kind {
                LogKind::Journal => self.is_journal_old(first, keep_since)?,
                // Months may lie between two entries of this one, and its segments are small.
                LogKind::Rejected => self.is_rejected_old(firsts[number - 1], first, keep_since)?,
                LogKind::Outputs | LogKind::Texts => true,
            };
            if !old {
                break;
            }
            kept = number;
        }
        for &first in &firsts[..kept] {
            let path = segment_path(&self.dir, first);
            self.files.remove(&path).map_err(JournalError::io("removing an old segment", &path))?;
        }
        if kept > 0 {
            self.files.sync_dir(&self.dir).map_err(JournalError::io("syncing the directory", &self.dir))?;
        }
        Ok(Sequence(firsts.get(kept).copied().unwrap_or(0)))
    }

    /// Whether the records before the segment `first` are: as time never runs back, they are as old as its own first.
    fn is_journal_old(&self, first: u64, keep_since: Timestamp) -> Result<bool, JournalError> {
        let record = Records::open(self.files.clone(), &self.dir, Sequence(first))?.next_record()?;
        Ok(record.is_some_and(|record| record.received <= keep_since))
    }

    /// Whether the last entry before `until` in the segment `first` is.
    fn is_rejected_old(&self, first: u64, until: u64, keep_since: Timestamp) -> Result<bool, JournalError> {
        let mut inputs = RawInputs::open(self.files.clone(), &self.dir, Sequence(first))?;
        let mut last = Timestamp::MIN;
        while let Some(input) = inputs.next_input()?.filter(|input| input.sequence.0 < until) {
            last = last.max(input.received);
        }
        Ok(last <= keep_since)
    }

    fn segments(&self) -> Result<Vec<u64>, JournalError> {
        Ok(segments(&self.files.list(&self.dir).map_err(JournalError::io("listing the directory", &self.dir))?))
    }
}
