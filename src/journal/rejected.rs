//! Raw rejected input: a third log beside the other two, by the sequence of the record that says `refused`.
//!
//! It may hold personal data that no erasure reaches (nobody knows whose it is), so it stands apart from the journal and is kept for days,
//! not as long as the journal: its segments are small and hold a day at most, since whole segments go. A log and not a database, so that
//! `weir tail` reads it while the service writes.

use super::codec::Malformed;
use super::error::JournalError;
use super::files::Files;
use super::frame::{BODY_BYTES_MAX, LogKind};
use super::log::{Log, LogOptions, Recovered};
use super::reader::Reader;
use super::syncing::Syncing;
use crate::event::{IdKey, Sequence, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What could not be turned into an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawInput {
    /// That of the record which says `refused`.
    pub sequence: Sequence,
    /// That of the record.
    pub received: Timestamp,
    /// What was found and what was expected, for the person who must act.
    pub detail: String,
    /// The input, perhaps cut; not always UTF-8.
    pub raw: Vec<u8>,
}

/// Bytes of a detail that are kept; the rest of a body is the raw input's.
const DETAIL_BYTES_MAX: usize = 1024;
const HEAD_BYTES: usize = 10;
/// Segments are not longer, whatever those of the journal are.
const SEGMENT_BYTES: u64 = 1 << 20;

/// The log of raw rejected input, open for appending.
#[derive(Debug)]
pub struct RejectedLog {
    log: Log,
    files: Arc<dyn Files>,
    dir: PathBuf,
    /// `received` of the first entry in the segment that is being written; `MAX` where there is none.
    began: Timestamp,
    ending: Arc<SegmentEnding>,
}

/// By which another thread, that has the clock, asks for the end of a segment: [`RejectedLog::ending`].
#[derive(Debug)]
pub struct SegmentEnding(AtomicI64);

impl SegmentEnding {
    /// A segment whose first entry was received before `moment` ends with the next commit, so that it can be let go of.
    pub fn before(&self, moment: Timestamp) {
        self.0.fetch_max(moment.0, Ordering::Relaxed);
    }
}

impl RejectedLog {
    /// Opens the log in `dir` or begins it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, options: LogOptions) -> Result<(RejectedLog, Recovered), JournalError> {
        let options = LogOptions { segment_bytes: options.segment_bytes.min(SEGMENT_BYTES), ..options };
        let (log, recovered) = Log::open(files.clone(), dir, LogKind::Rejected, IdKey([0; 16]), options)?;
        let ending = Arc::new(SegmentEnding(AtomicI64::new(i64::MIN)));
        let mut opened = RejectedLog { log, files, dir: dir.to_owned(), began: Timestamp::MAX, ending };
        opened.look_back()?;
        Ok((opened, recovered))
    }

    /// Finds out since when the last segment holds entries.
    fn look_back(&mut self) -> Result<(), JournalError> {
        let first = RawInputs::open(self.files.clone(), &self.dir, self.log.segment_first())?.next_input()?;
        self.began = first.map_or(Timestamp::MAX, |input| input.received);
        Ok(())
    }

    /// The handle by which a thread with a clock ends segments.
    pub fn ending(&self) -> Arc<SegmentEnding> {
        self.ending.clone()
    }

    /// Cuts off the inputs of records from `limit` on, which the journal has lost: others will bear their sequences. Returns how many bytes
    /// went.
    ///
    /// # Errors
    /// As [`Log::cut_from`].
    ///
    /// # Panics
    /// Where something was appended and not committed.
    pub fn cut_from(&mut self, limit: Sequence) -> Result<u64, JournalError> {
        let cut = self.log.cut_from(limit)?;
        self.look_back()?;
        Ok(cut)
    }

    /// Takes an input into the group that the next commit writes; detail and raw text are cut where they are too long for a frame.
    /// Sequences rise; what was kept of a sequence already is passed over.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append(&mut self, input: &RawInput) -> Result<(), JournalError> {
        if input.sequence < self.log.next() {
            return Ok(());
        }
        let before = self.log.segment_first();
        self.log.append(input.sequence, |out| {
            out.extend_from_slice(&input.received.0.to_le_bytes());
            let detail = &input.detail[..input.detail.floor_char_boundary(DETAIL_BYTES_MAX)];
            out.extend_from_slice(&(detail.len() as u16).to_le_bytes());
            out.extend_from_slice(detail.as_bytes());
            let room = BODY_BYTES_MAX - HEAD_BYTES - detail.len();
            out.extend_from_slice(&input.raw[..input.raw.len().min(room)]);
        })?;
        let is_first = self.began == Timestamp::MAX || self.log.segment_first() != before;
        if is_first {
            self.began = input.received;
        }
        Ok(())
    }

    /// Writes the group: [`Log::commit`]. To be done before the journal's. A segment that is asked to end does so.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.log.commit()?;
        if self.began.0 < self.ending.0.load(Ordering::Relaxed) {
            self.log.end_segment()?;
            self.began = Timestamp::MAX;
        }
        Ok(())
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
}

pub(super) fn decode(sequence: Sequence, body: &[u8]) -> Result<RawInput, Malformed> {
    let short = Malformed { at: body.len(), what: "the body ends too early" };
    let (received, rest) = body.split_first_chunk::<8>().ok_or(short)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (detail, raw) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or(short)?;
    let detail = std::str::from_utf8(detail).map_err(|_| Malformed { at: HEAD_BYTES, what: "a detail that is not UTF-8" })?;
    Ok(RawInput { sequence, received: Timestamp(i64::from_le_bytes(*received)), detail: detail.to_owned(), raw: raw.to_owned() })
}

/// Raw rejected input, read in order.
#[derive(Debug)]
pub struct RawInputs {
    /// The frames underneath.
    pub reader: Reader,
    /// Read, but of a later record than was asked for.
    ahead: Option<RawInput>,
}

impl RawInputs {
    /// The inputs in `dir` of records from sequence `from` on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, from: Sequence) -> Result<RawInputs, JournalError> {
        Ok(RawInputs { reader: Reader::open(files, dir, LogKind::Rejected, from)?, ahead: None })
    }

    /// The next input; `None` at the end of what has been written.
    ///
    /// # Errors
    /// As [`Reader::next_frame`], and where an entry is not readable.
    pub fn next_input(&mut self) -> Result<Option<RawInput>, JournalError> {
        if let Some(input) = self.ahead.take() {
            return Ok(Some(input));
        }
        let (sequence, decoded) = match self.reader.next_frame()? {
            Some(frame) => (frame.sequence, decode(frame.sequence, frame.body)),
            None => return Ok(None),
        };
        decoded.map(Some).map_err(|source| self.reader.unreadable(sequence, source))
    }

    /// The input of the record `sequence`, where it is kept. Asked in rising order: what lies before is passed over.
    ///
    /// # Errors
    /// As [`RawInputs::next_input`].
    pub fn of(&mut self, sequence: Sequence) -> Result<Option<RawInput>, JournalError> {
        while let Some(input) = self.next_input()? {
            if input.sequence > sequence {
                self.ahead = Some(input);
                return Ok(None);
            }
            if input.sequence == sequence {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Disk;
    use crate::journal::Retention;

    fn input(sequence: u64) -> RawInput {
        let detail = format!("\"a\" at {sequence}, expected an integer");
        RawInput { sequence: Sequence(sequence), received: Timestamp(sequence as i64 * 10), detail, raw: vec![0xff, b'{'] }
    }

    #[test]
    fn inputs_are_found_by_their_record_and_go_with_time() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_bytes: 300, ..LogOptions::default() };
        let (mut log, _) = RejectedLog::open(Arc::new(Disk), dir.path(), options).unwrap();
        for sequence in (0..60).step_by(3) {
            log.append(&input(sequence)).unwrap();
        }
        log.commit().unwrap();
        let mut inputs = RawInputs::open(Arc::new(Disk), dir.path(), Sequence(4)).unwrap();
        assert_eq!(inputs.of(Sequence(5)).unwrap(), None);
        // Caught when planted: what was read ahead thrown away.
        assert_eq!(inputs.of(Sequence(6)).unwrap(), Some(input(6)));
        assert_eq!(inputs.of(Sequence(57)).unwrap(), Some(input(57)));
        assert_eq!(inputs.of(Sequence(58)).unwrap(), None);
        let retention = Retention::of(Arc::new(Disk), dir.path(), LogKind::Rejected);
        assert_eq!(retention.apply(Sequence(u64::MAX), Timestamp(300)).unwrap(), Sequence(24));
        let first = RawInputs::open(Arc::new(Disk), dir.path(), Sequence(0)).unwrap().next_input().unwrap().unwrap();
        assert_eq!(first, input(24));
    }

    /// A day of quiet after one input: nothing comes behind it, and it goes all the same.
    #[test]
    fn an_input_goes_in_its_time_also_where_nothing_follows() {
        let dir = tempfile::tempdir().unwrap();
        let open = || RejectedLog::open(Arc::new(Disk), dir.path(), LogOptions::default()).unwrap().0;
        let all = || {
            let mut inputs = RawInputs::open(Arc::new(Disk), dir.path(), Sequence(0)).unwrap();
            std::iter::from_fn(|| inputs.next_input().unwrap()).map(|input| input.sequence.0).collect::<Vec<_>>()
        };
        let retention = Retention::of(Arc::new(Disk), dir.path(), LogKind::Rejected);
        let mut log = open();
        log.append(&input(10)).unwrap();
        log.commit().unwrap();
        log.ending().before(Timestamp(100));
        log.commit().unwrap();
        assert_eq!(retention.apply(Sequence(u64::MAX), Timestamp(1000)).unwrap(), Sequence(0), "the last segment stays");
        log.ending().before(Timestamp(101));
        log.commit().unwrap();
        log.append(&input(40)).unwrap();
        log.commit().unwrap();
        assert_eq!(all(), [10, 40]);
        assert_eq!(retention.apply(Sequence(u64::MAX), Timestamp(99)).unwrap(), Sequence(0));
        assert_eq!(retention.apply(Sequence(u64::MAX), Timestamp(100)).unwrap(), Sequence(11));
        assert_eq!(all(), [40]);
        // The age of a segment is known again after a restart.
        drop(log);
        let mut log = open();
        log.ending().before(Timestamp(401));
        log.commit().unwrap();
        retention.apply(Sequence(u64::MAX), Timestamp(400)).unwrap();
        assert_eq!(all(), Vec::<u64>::new());
        drop(log);
        let mut log = open();
        log.append(&input(41)).unwrap();
        log.commit().unwrap();
        assert_eq!(all(), [41]);
    }

    #[test]
    fn what_the_journal_lost_is_cut_and_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || RejectedLog::open(Arc::new(Disk), dir.path(), LogOptions::default()).unwrap().0;
        let mut log = open();
        for sequence in [3, 6, 9] {
            log.append(&input(sequence)).unwrap();
        }
        log.commit().unwrap();
        drop(log);
        let mut log = open();
        assert!(log.cut_from(Sequence(5)).unwrap() > 0);
        let other = RawInput { raw: b"other".to_vec(), ..input(6) };
        log.append(&other).unwrap();
        log.commit().unwrap();
        let mut inputs = RawInputs::open(Arc::new(Disk), dir.path(), Sequence(0)).unwrap();
        assert_eq!((inputs.of(Sequence(3)).unwrap(), inputs.of(Sequence(6)).unwrap()), (Some(input(3)), Some(other)));
        assert_eq!(inputs.next_input().unwrap(), None);
    }

    #[test]
    fn what_is_too_long_is_cut_at_whole_characters() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = RejectedLog::open(Arc::new(Disk), dir.path(), LogOptions::default()).unwrap();
        let long = RawInput { detail: "x".to_owned() + &"å".repeat(900), raw: vec![7; 300_000], ..input(0) };
        log.append(&long).unwrap();
        log.commit().unwrap();
        let kept = RawInputs::open(Arc::new(Disk), dir.path(), Sequence(0)).unwrap().next_input().unwrap().unwrap();
        assert_eq!(kept.detail.len(), 1023);
        assert!(long.detail.starts_with(&kept.detail));
        assert_eq!(kept.raw.len(), BODY_BYTES_MAX - HEAD_BYTES - 1023);
    }
}
