//! Reading a snapshot: what it is, whether it is whole, and back into an engine.

use super::error::SnapshotFileError;
use super::file::{BLOCK_BYTES_MAX, HEAD_START, Head, Kind, open, totals};
use crate::engine::{Engine, Shape, SnapshotError};
use crate::event::Sequence;
use crate::journal::{ENGINE_VERSION, Files, ReadFile};
use crate::memory::image::{BLOCK_HEADER, Totals};
use std::io;
use std::path::Path;

/// What a snapshot's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub head: Head,
    pub totals: Totals,
    /// Of the file.
    pub bytes: u64,
    pub blocks: u32,
}

/// What is done with a block's body.
enum Bodies<'b> {
    /// Not even read.
    Skipped,
    /// Its checksum is compared, then it is given away.
    Read(&'b mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>),
}

struct Reading<'f> {
    file: Box<dyn ReadFile>,
    path: &'f Path,
    at: u64,
}

impl<'f> Reading<'f> {
    fn open(files: &dyn Files, path: &'f Path) -> Result<Reading<'f>, SnapshotFileError> {
        let file = files.open(path).map_err(SnapshotFileError::io("opening", path))?;
        Ok(Reading { file, path, at: 0 })
    }

    /// Fills `into`.
    fn read(&mut self, into: &mut [u8]) -> Result<(), SnapshotFileError> {
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read_at(&mut into[filled..], self.at) {
                Ok(0) => return Err(SnapshotFileError::damaged(self.path, format!("it ends at byte {}", self.at))),
                Ok(read) => (filled, self.at) = (filled + read, self.at + read as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SnapshotFileError::io("reading", self.path)(error)),
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, SnapshotFileError> {
        let mut bytes = vec![0; HEAD_START];
        self.read(&mut bytes)?;
        let start = bytes.first_chunk().expect("just read");
        let length = Head::length(start).map_err(|what| SnapshotFileError::damaged(self.path, what))?;
        bytes.resize(HEAD_START + length, 0);
        self.read(&mut bytes[HEAD_START..])?;
        match Head::read(&bytes) {
            Ok(Ok(head)) if head.engine_version == ENGINE_VERSION => Ok(head),
            Ok(Ok(head)) => {
                let what = format!("found engine version {}, expected {ENGINE_VERSION}", head.engine_version);
                Err(SnapshotFileError::foreign(self.path, what))
            }
            Ok(Err(what)) => Err(SnapshotFileError::foreign(self.path, what)),
            Err(what) => Err(SnapshotFileError::damaged(self.path, what)),
        }
    }

    /// Goes through all blocks behind the head.
    fn blocks(&mut self, head: Head, mut bodies: Bodies<'_>) -> Result<Content, SnapshotFileError> {
        let mut block = Vec::with_capacity(1 << 20);
        for number in 0.. {
            let start = self.at;
            let broken = |what: String| SnapshotFileError::damaged(self.path, format!("{what}, at byte {start}"));
            let mut header = [0; BLOCK_HEADER];
            self.read(&mut header)?;
            let opened = open(&header, head.sequence, number).map_err(broken)?;
            if opened.kind == Kind::Pieces && matches!(bodies, Bodies::Skipped) {
                self.at += opened.length as u64;
                continue;
            }
            block.resize(BLOCK_HEADER + opened.length.min(BLOCK_BYTES_MAX), 0);
            block[..BLOCK_HEADER].copy_from_slice(&header);
            self.read(&mut block[BLOCK_HEADER..])?;
            let broken = |what: String| SnapshotFileError::damaged(self.path, format!("{what}, at byte {start}"));
            if crc32fast::hash(&block[4..]) != opened.crc {
                return Err(broken(format!("the checksum of block {number} is wrong")));
            }
            match opened.kind {
                Kind::Pieces => {
                    if let Bodies::Read(each) = &mut bodies {
                        each(&block[BLOCK_HEADER..]).map_err(|error| broken(words(error)))?;
                    }
                }
                Kind::End => {
                    let totals = totals(&block[BLOCK_HEADER..]).ok_or_else(|| broken("found no totals".to_owned()))?;
                    let end = self.at;
                    return match self.file.read_at(&mut [0], end) {
                        Ok(0) => Ok(Content { head, totals, bytes: end, blocks: number }),
                        Ok(_) => Err(SnapshotFileError::damaged(self.path, format!("found bytes behind its end, at byte {end}"))),
                        Err(error) => Err(SnapshotFileError::io("reading", self.path)(error)),
                    };
                }
            }
        }
        unreachable!("a file ends before its blocks have used up all numbers")
    }
}

fn words(error: SnapshotError) -> String {
    match error {
        SnapshotError::Invalid(what) => what,
        SnapshotError::Io(error) => error.to_string(),
    }
}

/// What the file at `path` says that it is; checksums of tables are not read.
///
/// # Errors
/// Where it is no snapshot of this version, or is torn.
pub fn inspect(files: &dyn Files, path: &Path) -> Result<Content, SnapshotFileError> {
    let mut reading = Reading::open(files, path)?;
    let head = reading.head()?;
    reading.blocks(head, Bodies::Skipped)
}

/// Reads all of the file and compares its checksums; where `shape` is given, the snapshot must fit an engine of it.
///
/// # Errors
/// Where it is damaged, torn, or does not fit.
pub fn verify(files: &dyn Files, path: &Path, shape: Option<&Shape>) -> Result<Content, SnapshotFileError> {
    let mut reading = Reading::open(files, path)?;
    let head = reading.head()?;
    if let Some(misfit) = shape.and_then(|shape| shape.misfit(&head.shape)) {
        return Err(SnapshotFileError::foreign(path, misfit));
    }
    reading.blocks(head, Bodies::Read(&mut |_| Ok(())))
}

/// Fills a fresh engine from the file; it goes on with the record of the returned sequence.
///
/// # Errors
/// As [`verify`], or where what it holds leads nowhere. The engine is then of no use.
pub fn restore(files: &dyn Files, engine: &mut Engine, path: &Path) -> Result<Sequence, SnapshotFileError> {
    let mut reading = Reading::open(files, path)?;
    let head = reading.head()?;
    if let Some(misfit) = engine.shape().misfit(&head.shape) {
        return Err(SnapshotFileError::foreign(path, misfit));
    }
    let expected = head.sequence;
    let mut image = engine.restore_image();
    let content = reading.blocks(head, Bodies::Read(&mut |block| image.block(block)))?;
    match image.finish(content.totals) {
        Ok(sequence) if sequence == expected => Ok(sequence),
        Ok(sequence) => Err(SnapshotFileError::damaged(path, format!("found sequence {} inside, expected {}", sequence.0, expected.0))),
        Err(error) => Err(SnapshotFileError::damaged(path, words(error))),
    }
}
