//! Reading a log from a sequence on, also while it is being written: replay, followers, `verify`, `export` and `tail`.

use super::codec::{decode_output, decode_record};
use super::error::JournalError;
use super::files::{Files, ReadFile, read_all, read_rest};
use super::frame::{FRAME_BYTES, FrameFound, HEADER_BYTES, Header, HeaderFound, LogKind, frame, frame_within, segment_path, segments};
use super::log::{Place, follows};
use crate::engine::Output;
use crate::event::{IdKey, Record, Sequence};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read at once: several frames of the longest.
const WINDOW_BYTES: usize = 256 * 1024;

/// One frame as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub sequence: Sequence,
    pub body: &'a [u8],
}

/// A place in a log. The end is no error and not final: asked again, it gives what has been written since.
///
/// Segments are named by their first sequence, so finding one takes a listing, and the place in it one walk over at most a segment.
pub struct Reader {
    files: Arc<dyn Files>,
    dir: PathBuf,
    kind: LogKind,
    from: Sequence,
    segment: Option<Segment>,
    /// Bytes of the segment that are read and not given out yet: `window[used..held]`.
    window: Box<[u8]>,
    used: usize,
    held: usize,
    /// Where in the segment the frame begins that was given out last.
    last: Option<u64>,
    /// One above the last sequence seen.
    next: u64,
    frames: u64,
    segments: u64,
    torn_bytes: u64,
    /// Bytes of a last segment whose header was cut off.
    torn_header_bytes: u64,
}

struct Segment {
    file: Box<dyn ReadFile>,
    path: PathBuf,
    header: Header,
    /// Offset of `window[used]` in the file.
    at: u64,
    has_frames: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("dir", &self.dir).field("kind", &self.kind).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of the log in `dir`, from the first frame whose sequence is `from` or higher.
    ///
    /// # Errors
    /// Where the system refuses or the segment that should hold `from` is not ours. An empty or absent directory is an empty log.
    pub fn open(files: Arc<dyn Files>, dir: &Path, kind: LogKind, from: Sequence) -> Result<Reader, JournalError> {
        let mut reader = Reader {
            files,
            dir: dir.to_owned(),
            kind,
            from,
            segment: None,
            window: vec![0; WINDOW_BYTES].into(),
            used: 0,
            held: 0,
            last: None,
            next: 0,
            frames: 0,
            segments: 0,
            torn_bytes: 0,
            torn_header_bytes: 0,
        };
        let firsts = reader.list()?;
        let start = firsts.iter().rev().find(|first| **first <= from.0).or(firsts.first());
        if let Some(first) = start {
            reader.enter(*first)?;
        }
        Ok(reader)
    }

    /// As [`Reader::open`], where it is known that the frame of `known`, which is not behind `from`, stands at `place`.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_at(
        files: Arc<dyn Files>,
        dir: &Path,
        kind: LogKind,
        known: Sequence,
        place: Place,
        from: Sequence,
    ) -> Result<Reader, JournalError> {
        let mut reader = Reader::open(files, dir, kind, Sequence(place.segment))?;
        reader.from = from;
        if let Some(segment) = reader.segment.as_mut().filter(|segment| segment.header.first == place.segment) {
            segment.at = place.offset;
            segment.has_frames = place.offset > HEADER_BYTES as u64;
            reader.next = known.0;
        }
        Ok(reader)
    }

    /// The key in the header of the segment being read; `None` while there is no segment.
    pub fn key(&self) -> Option<IdKey> {
        self.segment.as_ref().map(|segment| segment.header.key)
    }

    /// The version of the engine that wrote the segment being read.
    pub fn engine_version(&self) -> Option<u32> {
        self.segment.as_ref().map(|segment| segment.header.engine_version)
    }

    /// Frames read so far, those before `from` in its segment included.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Segments entered so far.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// One above the last sequence seen.
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.next)
    }

    /// Bytes behind the last whole frame, as found when the end was last reached: a record being written, or a torn end.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes + self.torn_header_bytes
    }

    /// The segment being read and the offset in it.
    pub fn position(&self) -> (PathBuf, u64) {
        self.segment.as_ref().map_or((self.dir.clone(), 0), |segment| (segment.path.clone(), segment.at))
    }

    /// The next frame; `None` at the end of what has been written.
    ///
    /// # Errors
    /// Where the system refuses, a segment is missing or not ours, or bytes are damaged that are no torn end.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, JournalError> {
        loop {
            let Some((sequence, length)) = self.step()? else { return Ok(None) };
            if sequence >= self.from.0 {
                let body = &self.window[self.used - length..self.used];
                return Ok(Some(Frame { sequence: Sequence(sequence), body }));
            }
        }
    }

    /// Moves behind the next frame; its body then ends at `used`.
    fn step(&mut self) -> Result<Option<(u64, usize)>, JournalError> {
        // Whether this segment was found to have a successor, and so to be complete, before it was read to its end.
        let mut complete = false;
        loop {
            if self.segment.is_none() {
                let Some(first) = self.list()?.first().copied() else { return Ok(None) };
                self.enter(first)?;
                if self.segment.is_none() {
                    return Ok(None);
                }
            }
            let segment = self.segment.as_mut().expect("just entered");
            let found = frame(&self.window[self.used..self.held]);
            match found {
                FrameFound::Whole { sequence, length } => {
                    if !follows(self.kind, sequence, self.next, !segment.has_frames) {
                        let what = format!("a record of sequence {sequence} where {} was expected", self.next);
                        return Err(JournalError::Damaged { segment: segment.path.clone(), offset: segment.at, what });
                    }
                    segment.has_frames = true;
                    self.last = Some(segment.at);
                    segment.at += (FRAME_BYTES + length) as u64;
                    self.used += FRAME_BYTES + length;
                    self.next = sequence + 1;
                    self.frames += 1;
                    return Ok(Some((sequence, length)));
                }
                FrameFound::Short(_) if self.read_more()? => continue,
                FrameFound::Short(_) | FrameFound::Bad(_) => {}
            }
            // The end, a torn end or damage. Only a last segment may be torn; and what was the last may have been closed meanwhile.
            if !complete {
                complete = self.successor()?.is_some();
                if complete && matches!(found, FrameFound::Short(_)) {
                    continue;
                }
            }
            if complete && self.held == self.used {
                let Some(first) = self.successor()? else { return Ok(None) };
                self.enter(first)?;
                complete = false;
                continue;
            }
            return self.torn(found, complete);
        }
    }

    /// What stands behind the last whole frame is no frame: the end of a log being written, a torn end, or an error.
    fn torn(&mut self, found: FrameFound, complete: bool) -> Result<Option<(u64, usize)>, JournalError> {
        let segment = self.segment.as_ref().expect("a segment is being read");
        let rest = read_rest(&*segment.file, segment.at).map_err(JournalError::io("reading", &segment.path))?;
        self.torn_bytes = rest.len() as u64;
        // Read again next time: a writer that is in the middle of it will have finished, or cut it off.
        (self.used, self.held) = (0, 0);
        if rest.is_empty() || (!complete && !frame_within(&rest[1..], self.next.saturating_sub(1))) {
            return Ok(None);
        }
        // Between the two readings a writer may have finished its record.
        if !complete && matches!(frame(&rest), FrameFound::Whole { .. }) {
            return self.step();
        }
        let what = match found {
            FrameFound::Bad(what) => what.to_owned(),
            _ => format!("an incomplete record, {} bytes are left", rest.len()),
        };
        Err(JournalError::Damaged { segment: segment.path.clone(), offset: segment.at, what })
    }

    /// Reads on until the window is full; false where the file holds nothing more.
    fn read_more(&mut self) -> Result<bool, JournalError> {
        let Some(segment) = &self.segment else { return Ok(false) };
        self.window.copy_within(self.used..self.held, 0);
        self.held -= self.used;
        self.used = 0;
        let offset = segment.at + self.held as u64;
        let read = segment.file.read_at(&mut self.window[self.held..], offset);
        let read = read.map_err(JournalError::io("reading", &segment.path))?;
        self.held += read;
        Ok(read > 0)
    }

    fn list(&self) -> Result<Vec<u64>, JournalError> {
        Ok(segments(&self.files.list(&self.dir).map_err(JournalError::io("listing the directory", &self.dir))?))
    }

    /// The segment behind the one being read. One whose header is still being written, or was cut off, is none yet.
    fn successor(&mut self) -> Result<Option<u64>, JournalError> {
        let Some(segment) = &self.segment else { return Ok(None) };
        let current = segment.header.first;
        let Some(first) = self.list()?.into_iter().find(|other| *other > current) else { return Ok(None) };
        let (_, path, found) = self.header(first)?;
        if matches!(found, HeaderFound::Torn) {
            self.check_torn_header(first, &path)?;
            return Ok(None);
        }
        Ok(Some(first))
    }

    /// A torn header is damage unless it is that of the last segment and no frame was written behind it.
    fn check_torn_header(&mut self, first: u64, path: &Path) -> Result<(), JournalError> {
        let content = read_all(&*self.files, path).map_err(JournalError::io("reading", path))?;
        // Read again: it may have been whole by now.
        let torn = matches!(Header::read(&content, self.kind), HeaderFound::Torn);
        if torn && (frame_within(&content, first) || self.list()?.last() != Some(&first)) {
            return Err(JournalError::Damaged { segment: path.to_owned(), offset: 0, what: "the segment's header".to_owned() });
        }
        self.torn_header_bytes = if torn { content.len() as u64 } else { 0 };
        Ok(())
    }

    fn header(&self, first: u64) -> Result<(Box<dyn ReadFile>, PathBuf, HeaderFound), JournalError> {
        let path = segment_path(&self.dir, first);
        let file = self.files.open(&path).map_err(JournalError::io("opening", &path))?;
        let mut bytes = [0; HEADER_BYTES];
        let mut held = 0;
        while held < HEADER_BYTES {
            match file.read_at(&mut bytes[held..], held as u64).map_err(JournalError::io("reading a header", &path))? {
                0 => break,
                read => held += read,
            }
        }
        let found = Header::read(&bytes[..held], self.kind);
        Ok((file, path, found))
    }

    /// Turns to the segment that starts at `first`; stays where it is when that is only being made.
    fn enter(&mut self, first: u64) -> Result<(), JournalError> {
        let (file, path, found) = self.header(first)?;
        let header = match found {
            HeaderFound::Whole(header) if header.first == first => header,
            HeaderFound::Whole(header) => {
                return Err(JournalError::Foreign { segment: path, what: format!("its header says that it starts at {}", header.first) });
            }
            HeaderFound::Foreign(what) => return Err(JournalError::Foreign { segment: path, what }),
            HeaderFound::Torn => return self.check_torn_header(first, &path),
        };
        if self.segment.is_some() && header.follows != self.next {
            return Err(JournalError::Gap { segment: path, expected: Sequence(self.next), found: Sequence(header.follows) });
        }
        self.next = header.first;
        self.segments += 1;
        (self.torn_bytes, self.torn_header_bytes) = (0, 0);
        (self.used, self.held) = (0, 0);
        self.segment = Some(Segment { file, path, header, at: HEADER_BYTES as u64, has_frames: false });
        Ok(())
    }

    /// An error about the frame just given out.
    pub(super) fn unreadable(&self, sequence: Sequence, source: super::codec::Malformed) -> JournalError {
        let (segment, offset) = self.position();
        JournalError::Unreadable { segment, offset, sequence, source }
    }
}

/// The records of a journal.
#[derive(Debug)]
pub struct Records(pub Reader);

impl Records {
    /// The records in `dir` from sequence `from` on, where it is known that the one of `known`, which is not behind it, stands at `place`.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_at(files: Arc<dyn Files>, dir: &Path, known: Sequence, place: Place, from: Sequence) -> Result<Records, JournalError> {
        Ok(Records(Reader::open_at(files, dir, LogKind::Journal, known, place, from)?))
    }

    /// The records in `dir` from sequence `from` on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, from: Sequence) -> Result<Records, JournalError> {
        Ok(Records(Reader::open(files, dir, LogKind::Journal, from)?))
    }

    /// The next record; `None` at the end of what has been written.
    ///
    /// # Errors
    /// As [`Reader::next_frame`], and where a record is not readable.
    pub fn next_record(&mut self) -> Result<Option<Record>, JournalError> {
        let (sequence, decoded) = match self.0.next_frame()? {
            Some(frame) => (frame.sequence, decode_record(frame.sequence, frame.body)),
            None => return Ok(None),
        };
        decoded.map(Some).map_err(|source| self.0.unreadable(sequence, source))
    }
}

/// The outputs of an output log.
#[derive(Debug)]
pub struct Outputs {
    reader: Reader,
    /// Read, but of a later record than was asked for.
    ahead: Option<Output>,
}

impl Outputs {
    /// The outputs in `dir` of records from sequence `from` on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, from: Sequence) -> Result<Outputs, JournalError> {
        Ok(Outputs { reader: Reader::open(files, dir, LogKind::Outputs, from)?, ahead: None })
    }

    /// Where the output stands that was read last, to be read again by [`output_at`]; `None` before the first.
    pub fn place(&self) -> Option<Place> {
        let (segment, last) = (self.reader.segment.as_ref()?, self.reader.last?);
        Some(Place { segment: segment.header.first, offset: last })
    }

    /// The next output; `None` at the end of what has been written.
    ///
    /// # Errors
    /// As [`Reader::next_frame`], and where an output is not readable.
    pub fn next_output(&mut self) -> Result<Option<Output>, JournalError> {
        if let Some(output) = self.ahead.take() {
            return Ok(Some(output));
        }
        let (sequence, decoded) = match self.reader.next_frame()? {
            Some(frame) => (frame.sequence, decode_output(frame.sequence, frame.body)),
            None => return Ok(None),
        };
        decoded.map(Some).map_err(|source| self.reader.unreadable(sequence, source))
    }

    /// The next output of a record before `limit`; `None` where there is none yet.
    ///
    /// # Errors
    /// As [`Outputs::next_output`].
    pub fn next_before(&mut self, limit: Sequence) -> Result<Option<Output>, JournalError> {
        let next = self.next_output()?;
        if next.as_ref().is_some_and(|output| output.sequence() >= limit) {
            self.ahead = next;
            return Ok(None);
        }
        Ok(next)
    }
}

/// Bytes that hold nearly every output with its frame: one read finds it.
const OUTPUT_BYTES: usize = 1024;

/// The output at a place in the log in `dir`.
///
/// # Errors
/// Where the system refuses or no whole output stands there: its segment may have been deleted since.
pub fn output_at(files: &dyn Files, dir: &Path, place: Place) -> Result<Output, JournalError> {
    let path = segment_path(dir, place.segment);
    let reading = |source| JournalError::Io { doing: "reading an output", path: path.clone(), source };
    let file = files.open(&path).map_err(reading)?;
    let mut bytes = vec![0; OUTPUT_BYTES];
    let mut held = file.read_at(&mut bytes, place.offset).map_err(reading)?;
    loop {
        let what = match frame(&bytes[..held]) {
            FrameFound::Whole { sequence, length } => {
                let decoded = decode_output(Sequence(sequence), &bytes[FRAME_BYTES..FRAME_BYTES + length]);
                return decoded.map_err(|source| JournalError::Damaged { segment: path, offset: place.offset, what: source.to_string() });
            }
            FrameFound::Short(needed) if needed > bytes.len() => {
                bytes.resize(needed, 0);
                held = file.read_at(&mut bytes, place.offset).map_err(reading)?;
                continue;
            }
            FrameFound::Short(needed) => format!("an output of {needed} bytes, {held} are left"),
            FrameFound::Bad(what) => what.to_owned(),
        };
        return Err(JournalError::Damaged { segment: path, offset: place.offset, what });
    }
}
