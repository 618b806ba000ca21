//! An append-only log of framed records in segments: the journal and the output log are two of them.
//!
//! **What a reopened log holds.** A prefix of what was appended, and in it everything for which `commit` (durability `synced`) or `sync`
//! returned; under `written` a crash of the process alone loses nothing for which `commit` returned. What `open` has shown is kept from
//! then on: it syncs what it found before anything is built upon it.
//!
//! Four things make this hold. A segment is synced before the next one is made, so only the last can be torn. A segment's header is synced
//! before its first frame is written. A torn end is cut only where no whole frame lies behind it. After a failed write or sync nothing more
//! is written: after a failed fdatasync nobody knows which pages are on disk, and a second one may claim success.

use super::error::JournalError;
use super::files::{Files, WriteFile, read_all};
use super::frame::{
    ENGINE_VERSION, FRAME_BYTES, FrameFound, HEADER_BYTES, Header, HeaderFound, LogKind, frame, frame_within, put_frame, segment_path,
    segments,
};
use super::syncing::Syncing;
use crate::event::{IdKey, Sequence};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When an answer may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After write(2): a crash of the process loses nothing, a power cut what was not synced since.
    #[default]
    Written,
    /// After fdatasync.
    Synced,
}

impl Durability {
    /// Both.
    pub const ALL: [Durability; 2] = [Durability::Written, Durability::Synced];

    /// The word in the topology.
    pub fn name(self) -> &'static str {
        ["written", "synced"][self as usize]
    }
}

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    pub durability: Durability,
    /// A segment that would grow beyond this is closed and the next one begun.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { durability: Durability::Written, segment_bytes: 64 << 20 }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub segments: usize,
    /// Records in the last segment.
    pub records: u64,
    /// Bytes of a torn end that were cut off; 0 where the log was whole.
    pub cut_bytes: u64,
    /// The segment and the offset where it was cut.
    pub at: Option<(PathBuf, u64)>,
}

/// Where a frame stands in a log, or will once it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First sequence of its segment.
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// A log open for appending.
pub struct Log {
    files: Arc<dyn Files>,
    dir: PathBuf,
    kind: LogKind,
    options: LogOptions,
    key: IdKey,
    /// First sequences of the segments; the last one is being written.
    firsts: Vec<u64>,
    segment: Box<dyn WriteFile>,
    /// Bytes of the last segment that are written.
    segment_bytes: u64,
    /// Frames not written yet.
    pending: Vec<u8>,
    /// One above the last sequence appended; a segment's first where there is none.
    next: u64,
    /// As `next`, without the pending.
    written: u64,
    /// Whether the last segment, pending frames included, holds a frame.
    has_frames: bool,
    unsynced: bool,
    /// Where another thread syncs.
    syncing: Option<Arc<Syncing>>,
    stopped: Option<String>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("kind", &self.kind).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in `dir`, or begins it there with `key` in its header (an existing log keeps the key it has).
    ///
    /// # Errors
    /// Where the system refuses, a segment is not ours, or bytes are damaged that are no torn end.
    pub fn open(
        files: Arc<dyn Files>,
        dir: &Path,
        kind: LogKind,
        key: IdKey,
        options: LogOptions,
    ) -> Result<(Log, Recovered), JournalError> {
        files.create_dir(dir).map_err(JournalError::io("making the directory", dir))?;
        let mut firsts = segments(&files.list(dir).map_err(JournalError::io("listing the directory", dir))?);
        let mut recovered = Recovered::default();
        let (header, content) = loop {
            let Some(&first) = firsts.last() else {
                let header = Header { kind, engine_version: ENGINE_VERSION, key, first: 0, follows: 0 };
                let segment = begin_segment(&*files, dir, &header)?;
                recovered.segments = 1;
                let log = Log::with_segment(files, dir, options, &header, vec![0], segment);
                return Ok((log, recovered));
            };
            let path = segment_path(dir, first);
            let content = read_all(&*files, &path).map_err(JournalError::io("reading", &path))?;
            match Header::read(&content, kind) {
                HeaderFound::Whole(header) if header.first == first => break (header, content),
                HeaderFound::Whole(header) => {
                    return Err(JournalError::Foreign {
                        segment: path,
                        what: format!("its header says that it starts at {}", header.first),
                    });
                }
                HeaderFound::Foreign(what) => return Err(JournalError::Foreign { segment: path, what }),
                HeaderFound::Torn if frame_within(&content, first) => {
                    return Err(JournalError::Damaged { segment: path, offset: 0, what: "the segment's header".to_owned() });
                }
                HeaderFound::Torn => {
                    // Making this segment was cut off: headers are synced before the first frame, so no record is lost with it.
                    recovered.cut_bytes += content.len() as u64;
                    recovered.at = Some((path.clone(), 0));
                    files.remove(&path).map_err(JournalError::io("removing a torn segment", &path))?;
                    files.sync_dir(dir).map_err(JournalError::io("syncing the directory", dir))?;
                    firsts.pop();
                }
            }
        };
        let path = segment_path(dir, header.first);
        let scanned = scan(&path, &content, &header)?;
        let mut segment = files.append(&path).map_err(JournalError::io("opening for appending", &path))?;
        if scanned.end < content.len() {
            recovered.cut_bytes += (content.len() - scanned.end) as u64;
            recovered.at = Some((path.clone(), scanned.end as u64));
            segment.truncate(scanned.end as u64).map_err(JournalError::io("cutting a torn end", &path))?;
        }
        // What is shown now must not vanish in a later power cut: things will have been built upon it.
        segment.sync().map_err(JournalError::io("syncing", &path))?;
        files.sync_dir(dir).map_err(JournalError::io("syncing the directory", dir))?;
        recovered.segments = firsts.len();
        recovered.records = scanned.frames;
        let mut log = Log::with_segment(files, dir, options, &header, firsts, segment);
        log.segment_bytes = scanned.end as u64;
        log.next = scanned.next;
        log.written = scanned.next;
        log.has_frames = scanned.frames > 0;
        Ok((log, recovered))
    }

    fn with_segment(
        files: Arc<dyn Files>,
        dir: &Path,
        options: LogOptions,
        header: &Header,
        firsts: Vec<u64>,
        segment: Box<dyn WriteFile>,
    ) -> Log {
        Log {
            files,
            dir: dir.to_owned(),
            kind: header.kind,
            options,
            key: header.key,
            firsts,
            segment,
            segment_bytes: HEADER_BYTES as u64,
            pending: Vec::new(),
            next: header.first,
            written: header.first,
            has_frames: false,
            unsynced: false,
            syncing: None,
            stopped: None,
        }
    }

    /// The log's second hold, by which another thread syncs what this one has committed.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn syncing(&mut self) -> Result<Arc<Syncing>, JournalError> {
        if let Some(syncing) = &self.syncing {
            return Ok(syncing.clone());
        }
        let file = self.segment.syncing().map_err(JournalError::io("opening a second time", self.path()))?;
        let durable = if self.unsynced { 0 } else { self.written };
        let syncing = Arc::new(Syncing::new(self.dir.clone(), file, self.written, durable));
        self.syncing = Some(syncing.clone());
        Ok(syncing)
    }

    /// The key under which the ids in this log are hashed.
    pub fn key(&self) -> IdKey {
        self.key
    }

    /// One above the last sequence in the log: a journal's next record bears it.
    pub fn next(&self) -> Sequence {
        Sequence(self.next)
    }

    /// Whether something was written that a power cut could still take.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Takes a record into the group that the next [`Log::commit`] writes; returns where it will stand. Sequences rise: by one in a
    /// journal, else never back.
    ///
    /// # Errors
    /// When the segment is full and closing it or beginning the next one fails; the log has then stopped.
    pub fn append(&mut self, sequence: Sequence, encode: impl FnOnce(&mut Vec<u8>)) -> Result<Place, JournalError> {
        self.check_running()?;
        match self.kind {
            LogKind::Journal => assert!(sequence.0 == self.next, "record {} appended, expected {}", sequence.0, self.next),
            LogKind::Outputs | LogKind::Rejected | LogKind::Texts => {
                assert!(sequence.0 + 1 >= self.next, "an entry of {} appended behind one of {}", sequence.0, self.next.saturating_sub(1));
            }
        }
        let mut start = self.pending.len();
        put_frame(&mut self.pending, sequence, encode);
        // Outputs of one record stay in one segment, so that a segment's name finds them all.
        if self.has_frames && sequence.0 >= self.next && self.segment_bytes + self.pending.len() as u64 > self.options.segment_bytes {
            let frame = self.pending.split_off(start);
            let rotated = self.rotate(sequence.0);
            self.stopping(rotated)?;
            self.pending = frame;
            start = 0;
        }
        self.next = sequence.0 + 1;
        self.has_frames = true;
        Ok(Place { segment: *self.firsts.last().expect("a log has a segment"), offset: self.segment_bytes + start as u64 })
    }

    /// Writes the group with one write(2); under `synced` returns after fdatasync.
    ///
    /// # Errors
    /// When the system refuses; the log has then stopped, and what of the group is on disk is found by opening it again.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.check_running()?;
        let written = self.write_pending();
        self.stopping(written)?;
        if self.options.durability == Durability::Synced { self.sync() } else { Ok(()) }
    }

    /// Returns when everything committed survives a power cut. Under `written` the runtime calls it on its own clock.
    ///
    /// # Errors
    /// When the system refuses; the log has then stopped.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check_running()?;
        let synced = self.sync_segment();
        self.stopping(synced)
    }

    /// Ends the segment that is being written, where it holds an entry: the next one stands in a segment of its own.
    ///
    /// # Errors
    /// When the system refuses; the log has then stopped.
    pub(super) fn end_segment(&mut self) -> Result<(), JournalError> {
        self.check_running()?;
        if !self.has_frames {
            return Ok(());
        }
        let rotated = self.rotate(self.next);
        self.stopping(rotated)
    }

    /// First sequence of the segment that is being written.
    pub(super) fn segment_first(&self) -> Sequence {
        Sequence(*self.firsts.last().expect("a log has a segment"))
    }

    /// Cuts off every entry of `limit` and above, for good: a log that tells of what another log has lost. Returns how many bytes went.
    ///
    /// # Errors
    /// Where the system refuses or what is kept is damaged; the log has then stopped.
    ///
    /// # Panics
    /// Where something was appended and not committed.
    pub fn cut_from(&mut self, limit: Sequence) -> Result<u64, JournalError> {
        assert!(self.pending.is_empty() && self.syncing.is_none(), "a log is cut when it is opened");
        if self.next <= limit.0 {
            return Ok(0);
        }
        self.check_running()?;
        let cut = self.cut(limit);
        self.stopping(cut)
    }

    fn cut(&mut self, limit: Sequence) -> Result<u64, JournalError> {
        let mut bytes = 0;
        // The newest first, so that a crash in between leaves a log without a gap.
        while self.firsts.len() > 1 && *self.firsts.last().expect("there are two") >= limit.0 {
            let path = self.path();
            bytes += self.segment_bytes;
            self.files.remove(&path).map_err(JournalError::io("removing a segment", &path))?;
            self.files.sync_dir(&self.dir).map_err(JournalError::io("syncing the directory", &self.dir))?;
            self.firsts.pop();
            let path = self.path();
            self.segment = self.files.append(&path).map_err(JournalError::io("opening for appending", &path))?;
            self.segment_bytes = read_all(&*self.files, &path).map_err(JournalError::io("reading", &path))?.len() as u64;
        }
        let path = self.path();
        let content = read_all(&*self.files, &path).map_err(JournalError::io("reading", &path))?;
        let first = *self.firsts.last().expect("a log has a segment");
        let (mut end, mut next, mut has_frames) = (HEADER_BYTES, first, false);
        while let Some(FrameFound::Whole { sequence, length }) = content.get(end..).filter(|rest| !rest.is_empty()).map(frame)
            && sequence < limit.0
        {
            (end, next, has_frames) = (end + FRAME_BYTES + length, sequence + 1, true);
        }
        bytes += (content.len() - end) as u64;
        self.segment.truncate(end as u64).map_err(JournalError::io("cutting", &path))?;
        self.segment.sync().map_err(JournalError::io("syncing", &path))?;
        (self.segment_bytes, self.next, self.written, self.has_frames) = (end as u64, next, next, has_frames);
        Ok(bytes)
    }

    fn check_running(&self) -> Result<(), JournalError> {
        match self.stopped.as_ref().or_else(|| self.syncing.as_ref()?.failure()) {
            None => Ok(()),
            Some(why) => Err(JournalError::Stopped { log: self.dir.clone(), why: why.clone() }),
        }
    }

    /// Remembers a failure: from now on nothing is written.
    fn stopping<T>(&mut self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        result.inspect_err(|error| self.stopped = Some(error.to_string()))
    }

    fn path(&self) -> PathBuf {
        segment_path(&self.dir, *self.firsts.last().expect("a log has a segment"))
    }

    fn write_pending(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        self.segment.write(&self.pending).map_err(JournalError::io("writing", self.path()))?;
        self.segment_bytes += self.pending.len() as u64;
        self.pending.clear();
        self.written = self.next;
        if let Some(syncing) = &self.syncing {
            syncing.wrote(self.written);
        }
        Ok(())
    }

    fn sync_segment(&mut self) -> Result<(), JournalError> {
        if !self.unsynced {
            return Ok(());
        }
        self.segment.sync().map_err(JournalError::io("syncing", self.path()))?;
        self.unsynced = false;
        if let Some(syncing) = &self.syncing {
            syncing.synced(self.written);
        }
        Ok(())
    }

    fn rotate(&mut self, first: u64) -> Result<(), JournalError> {
        self.write_pending()?;
        self.sync_segment()?;
        let header = Header { kind: self.kind, engine_version: ENGINE_VERSION, key: self.key, first, follows: self.next };
        self.segment = begin_segment(&*self.files, &self.dir, &header)?;
        if let Some(syncing) = &self.syncing {
            let path = segment_path(&self.dir, first);
            syncing.turn_to(self.segment.syncing().map_err(JournalError::io("opening a second time", path))?);
        }
        self.firsts.push(first);
        self.segment_bytes = HEADER_BYTES as u64;
        self.has_frames = false;
        Ok(())
    }
}

/// A new segment whose header, and whose name, survive a power cut.
fn begin_segment(files: &dyn Files, dir: &Path, header: &Header) -> Result<Box<dyn WriteFile>, JournalError> {
    let path = segment_path(dir, header.first);
    let mut segment = files.create(&path).map_err(JournalError::io("creating a segment", &path))?;
    segment.write(&header.bytes()).map_err(JournalError::io("writing a header", &path))?;
    segment.sync().map_err(JournalError::io("syncing a header", &path))?;
    files.sync_dir(dir).map_err(JournalError::io("syncing the directory", dir))?;
    Ok(segment)
}

/// Whether a frame of `sequence` may follow where `next` is one above the last sequence (`first`: none before it in the segment).
pub(super) fn follows(kind: LogKind, sequence: u64, next: u64, first: bool) -> bool {
    match kind {
        LogKind::Journal => sequence == next,
        LogKind::Outputs | LogKind::Rejected | LogKind::Texts if first => sequence >= next,
        LogKind::Outputs | LogKind::Rejected | LogKind::Texts => sequence.saturating_add(1) >= next,
    }
}

struct Scanned {
    frames: u64,
    /// Where the last whole frame ends.
    end: usize,
    next: u64,
}

/// Walks the frames of the last segment to its end, or to where it is torn.
fn scan(path: &Path, content: &[u8], header: &Header) -> Result<Scanned, JournalError> {
    let mut scanned = Scanned { frames: 0, end: HEADER_BYTES, next: header.first };
    while scanned.end < content.len() {
        let rest = &content[scanned.end..];
        let damaged = |what: String| JournalError::Damaged { segment: path.to_owned(), offset: scanned.end as u64, what };
        match frame(rest) {
            FrameFound::Whole { sequence, length } => {
                if !follows(header.kind, sequence, scanned.next, scanned.frames == 0) {
                    return Err(damaged(format!("a record of sequence {sequence} where {} was expected", scanned.next)));
                }
                scanned.frames += 1;
                scanned.end += FRAME_BYTES + length;
                scanned.next = sequence + 1;
            }
            // Several outputs may bear one sequence, hence from the last one on.
            FrameFound::Short(_) | FrameFound::Bad(_) if !frame_within(&rest[1..], scanned.next.saturating_sub(1)) => break,
            FrameFound::Short(needed) => return Err(damaged(format!("a record of {needed} bytes, {} are left", rest.len()))),
            FrameFound::Bad(what) => return Err(damaged(what.to_owned())),
        }
    }
    Ok(scanned)
}
