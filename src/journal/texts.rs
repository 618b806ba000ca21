//! Texts of ids on their way into the identity store: a fourth log beside the other three, by the sequence of the record that bears them.
//!
//! Texts must be kept before their record is acknowledged, and the identity store is a database: now and then it turns memory into a
//! table, and whoever writes waits for the disk. So the recorder appends them here, which costs it one write(2), and a follower enters
//! them into the store behind the engine. A segment goes when all of it is on disk there. As every log it may lose its unsynced end in a
//! power cut; it is synced before the journal is.
//!
//! ```text
//! body    entries back to back, each: tag 1 | …
//! text    1 | id 16 | kind 1 | length u16 | text
//! name    2 | name 16 | bearer 16        (the text of the name speaks of the bearer)
//! ```

use super::codec::Malformed;
use super::error::JournalError;
use super::files::Files;
use super::frame::LogKind;
use super::log::{Log, LogOptions, Recovered};
use super::reader::Reader;
use super::syncing::Syncing;
use crate::event::{Id, IdKey, IdKind, Sequence};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is told of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling<'a> {
    /// What it names.
    Text { id: Id, kind: IdKind, text: &'a str },
    /// The text of `name` speaks of `bearer`: it falls with them.
    Name { name: Id, bearer: Id },
}

const TEXT: u8 = 1;
const NAME: u8 = 2;
/// Entries of one record that are longer stand in several frames.
const BODY_BYTES: usize = 32 << 10;
/// Segments are not longer, whatever those of the journal are: they are soon of no use.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The log of texts, open for appending.
#[derive(Debug)]
pub struct TextLog {
    log: Log,
    /// Entries of the record `sequence` that are in no frame yet.
    body: Vec<u8>,
    sequence: Sequence,
    ending: Arc<AtomicBool>,
}

impl TextLog {
    /// Opens the log in `dir` or begins it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, options: LogOptions) -> Result<(TextLog, Recovered), JournalError> {
        let options = LogOptions { segment_bytes: options.segment_bytes.min(SEGMENT_BYTES), ..options };
        let (log, recovered) = Log::open(files, dir, LogKind::Texts, IdKey([0; 16]), options)?;
        let (body, sequence) = (Vec::with_capacity(2 * BODY_BYTES), log.next());
        Ok((TextLog { log, body, sequence, ending: Arc::new(AtomicBool::new(false)) }, recovered))
    }

    /// Cuts off the texts of records from `limit` on, which the journal has lost: [`Log::cut_from`].
    ///
    /// # Errors
    /// As [`Log::cut_from`].
    ///
    /// # Panics
    /// Where something was appended and not committed.
    pub fn cut_from(&mut self, limit: Sequence) -> Result<u64, JournalError> {
        self.log.cut_from(limit)
    }

    /// By this flag another thread asks for the end of the segment that is being written, so that it can be let go of.
    pub fn ending(&self) -> Arc<AtomicBool> {
        self.ending.clone()
    }

    /// Takes into the group what is told by the record `sequence`. Sequences never go back.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn tell(&mut self, sequence: Sequence, telling: Telling<'_>) -> Result<(), JournalError> {
        if sequence != self.sequence || self.body.len() >= BODY_BYTES {
            self.end_frame()?;
            self.sequence = sequence;
        }
        match telling {
            Telling::Text { id, kind, text } => {
                self.body.push(TEXT);
                self.body.extend_from_slice(&id.bits().to_le_bytes());
                self.body.push(kind as u8);
                let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
                self.body.extend_from_slice(&(text.len() as u16).to_le_bytes());
                self.body.extend_from_slice(text.as_bytes());
            }
            Telling::Name { name, bearer } => {
                self.body.push(NAME);
                self.body.extend_from_slice(&name.bits().to_le_bytes());
                self.body.extend_from_slice(&bearer.bits().to_le_bytes());
            }
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), JournalError> {
        if !self.body.is_empty() {
            self.log.append(self.sequence, |out| out.extend_from_slice(&self.body))?;
            self.body.clear();
        }
        Ok(())
    }

    /// Writes the group: [`Log::commit`]. To be done before the journal's. A segment that is asked to end does so.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.end_frame()?;
        self.log.commit()?;
        if self.ending.swap(false, Ordering::AcqRel) { self.log.end_segment() } else { Ok(()) }
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

/// What is told, read in order.
#[derive(Debug)]
pub struct Tellings {
    reader: Reader,
    /// The body of the frame of `next` that was read and not given out.
    body: Vec<u8>,
    next: Option<Sequence>,
}

impl Tellings {
    /// What the log in `dir` holds of records from sequence `from` on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(files: Arc<dyn Files>, dir: &Path, from: Sequence) -> Result<Tellings, JournalError> {
        Ok(Tellings { reader: Reader::open(files, dir, LogKind::Texts, from)?, body: Vec::new(), next: None })
    }

    /// The record of the next frame; `None` at the end of what has been written.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn upcoming(&mut self) -> Result<Option<Sequence>, JournalError> {
        if self.next.is_none()
            && let Some(frame) = self.reader.next_frame()?
        {
            self.body.clear();
            self.body.extend_from_slice(frame.body);
            self.next = Some(frame.sequence);
        }
        Ok(self.next)
    }

    /// Gives `take` what the next frame tells, and moves behind it.
    ///
    /// # Errors
    /// As [`Reader::next_frame`], and where an entry is not readable.
    pub fn take(&mut self, mut take: impl FnMut(Telling<'_>)) -> Result<(), JournalError> {
        let Some(sequence) = self.upcoming()? else { return Ok(()) };
        self.next = None;
        decode(&self.body, &mut take).map_err(|source| self.reader.unreadable(sequence, source))
    }
}

/// Reads the entries of a frame.
pub(super) fn decode(body: &[u8], take: &mut dyn FnMut(Telling<'_>)) -> Result<(), Malformed> {
    let mut rest = body;
    while let Some((tag, entry)) = rest.split_first() {
        let malformed = |what| Malformed { at: body.len() - entry.len() - 1, what };
        let short = || malformed("an entry that ends too early");
        let (first, entry) = entry.split_first_chunk().ok_or_else(short)?;
        let first = Id::from_bits(u128::from_le_bytes(*first));
        match *tag {
            TEXT => {
                let ([kind, low, high], entry) = entry.split_first_chunk().ok_or_else(short)?;
                let kind = IdKind::from_number(*kind).ok_or_else(|| malformed("an unknown kind of id"))?;
                let (text, after) = entry.split_at_checked(usize::from(u16::from_le_bytes([*low, *high]))).ok_or_else(short)?;
                let text = std::str::from_utf8(text).map_err(|_| malformed("a text that is not UTF-8"))?;
                take(Telling::Text { id: first, kind, text });
                rest = after;
            }
            NAME => {
                let (bearer, after) = entry.split_first_chunk().ok_or_else(short)?;
                take(Telling::Name { name: first, bearer: Id::from_bits(u128::from_le_bytes(*bearer)) });
                rest = after;
            }
            _ => return Err(malformed("an unknown entry")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::journal::{Disk, Retention};

    fn id(number: u64) -> Id {
        Id::from_bits(u128::from(number) + 1)
    }

    fn open(dir: &Path) -> TextLog {
        TextLog::open(Arc::new(Disk), dir, LogOptions { segment_bytes: 4096, ..LogOptions::default() }).unwrap().0
    }

    /// Everything in the log from `from` on, as words.
    fn told(dir: &Path, from: u64) -> Vec<(u64, String)> {
        let mut tellings = Tellings::open(Arc::new(Disk), dir, Sequence(from)).unwrap();
        let mut told = Vec::new();
        while let Some(sequence) = tellings.upcoming().unwrap() {
            tellings
                .take(|telling| match telling {
                    Telling::Text { id, kind, text } => told.push((sequence.0, format!("{} {} {text}", id.bits(), kind.name()))),
                    Telling::Name { name, bearer } => told.push((sequence.0, format!("{} of {}", name.bits(), bearer.bits()))),
                })
                .unwrap();
        }
        told
    }

    #[test]
    fn what_was_told_is_read_by_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        log.tell(Sequence(3), Telling::Text { id: id(1), kind: IdKind::User, text: "anna" }).unwrap();
        log.tell(Sequence(3), Telling::Name { name: id(2), bearer: id(1) }).unwrap();
        log.tell(Sequence(5), Telling::Text { id: id(4), kind: IdKind::Item, text: "" }).unwrap();
        assert_eq!(told(dir.path(), 0), [], "nothing is written before the commit");
        log.commit().unwrap();
        let expected = [(3, "2 user anna".to_owned()), (3, "3 of 2".to_owned()), (5, "5 item ".to_owned())];
        assert_eq!(told(dir.path(), 0), expected);
        assert_eq!(told(dir.path(), 4), expected[2..]);
        drop(log);
        let mut log = open(dir.path());
        assert!(log.cut_from(Sequence(4)).unwrap() > 0);
        log.tell(Sequence(4), Telling::Text { id: id(9), kind: IdKind::User, text: "new" }).unwrap();
        log.commit().unwrap();
        assert_eq!(told(dir.path(), 4), [(4, "10 user new".to_owned())]);
    }

    /// A payment of ten thousand items tells more than a frame may hold. Caught when planted: no end of a frame before the record's.
    #[test]
    fn a_record_may_tell_more_than_a_frame_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        for number in 0..10_000 {
            log.tell(Sequence(7), Telling::Text { id: id(number), kind: IdKind::Item, text: "an item" }).unwrap();
        }
        log.commit().unwrap();
        let told = told(dir.path(), 0);
        assert_eq!((told.len(), told[9_999].0), (10_000, 7));
    }

    #[test]
    fn an_ended_segment_can_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        for sequence in [1, 2] {
            log.tell(Sequence(sequence), Telling::Text { id: id(sequence), kind: IdKind::User, text: "erased" }).unwrap();
            log.ending().store(sequence == 2, Ordering::Release);
            log.commit().unwrap();
        }
        Retention::of(Arc::new(Disk), dir.path(), LogKind::Texts).apply(Sequence(3), Timestamp::MIN).unwrap();
        assert_eq!(told(dir.path(), 0), []);
        log.tell(Sequence(3), Telling::Text { id: id(3), kind: IdKind::User, text: "kept" }).unwrap();
        log.commit().unwrap();
        assert_eq!(told(dir.path(), 0).len(), 1);
    }

    #[test]
    fn damage_is_told_and_no_entry_is_made_up() {
        let mut body = vec![TEXT];
        body.extend_from_slice(&[7; 16]);
        body.extend_from_slice(&[IdKind::User as u8, 4, 0]);
        body.extend_from_slice(b"anna");
        for length in 1..body.len() {
            let mut given = 0;
            let error = decode(&body[..length], &mut |_| given += 1).unwrap_err();
            assert_eq!((given, error.at), (0, 0), "{error}");
        }
        body[17] = 99;
        assert_eq!(decode(&body, &mut |_| {}).unwrap_err().what, "an unknown kind of id");
        body[0] = 9;
        assert_eq!(decode(&body, &mut |_| {}).unwrap_err().what, "an unknown entry");
    }
}
