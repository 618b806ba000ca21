//! What stands in a segment: a header of 64 bytes, then frames back to back.
//!
//! ```text
//! header  magic 8 | format u16 | log u16 | engine version u32 | id key 16 | first u64 | follows u64 | zeros 12 | crc u32
//! frame   crc u32 | length u32 | sequence u64 | body (length bytes; the first one says what it is)
//! ```
//! All little-endian. A frame's crc covers everything behind it, a header's everything before it. Neither is zero over zeros, so a
//! stretch that the file system never filled passes for nothing.

use super::error::JournalError;
use super::files::Files;
use crate::event::{IdKey, Sequence};
use std::path::Path;

/// The version of engine and formats that writes: it stands in every segment, so that a reader knows whose bytes it has.
pub const ENGINE_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"weir.log";
const FORMAT: u16 = 1;

/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of a frame before its body.
pub(super) const FRAME_BYTES: usize = 16;
/// No body is longer. Records and outputs stay below 1 KiB; the raw text of rejected input is cut to fit.
pub(super) const BODY_BYTES_MAX: usize = 128 * 1024;

/// Which log a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum LogKind {
    /// Records; every sequence once, without gaps.
    Journal = 1,
    /// Outputs by the sequence of the record they answer: with gaps, and perhaps several of one.
    Outputs = 2,
    /// Raw text of rejected input, by the sequence of its record: with gaps.
    Rejected = 3,
    /// Texts of ids, by the sequence of the record that bears them: with gaps, and perhaps several of one.
    Texts = 4,
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: LogKind,
    pub engine_version: u32,
    pub key: IdKey,
    /// No record in the segment has a lower sequence; in a journal its first record has this one.
    pub first: u64,
    /// One above the last sequence of the segment before: whether one between them is missing.
    pub follows: u64,
}

/// What the first bytes of a segment are.
pub(super) enum HeaderFound {
    Whole(Header),
    /// Too short or with a wrong checksum: a segment whose making was cut off, or damage.
    Torn,
    /// Whole, but not ours to read.
    Foreign(String),
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10..12].copy_from_slice(&(self.kind as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.engine_version.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.key.0);
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.follows.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8], kind: LogKind) -> HeaderFound {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return HeaderFound::Torn };
        if crc32fast::hash(&bytes[..60]) != u32::from_le_bytes(part(bytes, 60)) {
            return HeaderFound::Torn;
        }
        let format = u16::from_le_bytes(part(bytes, 8));
        let found = u16::from_le_bytes(part(bytes, 10));
        if &bytes[..8] != MAGIC {
            return HeaderFound::Foreign("not a segment of a log".to_owned());
        }
        if format != FORMAT {
            return HeaderFound::Foreign(format!("log format {format}, this version reads {FORMAT}"));
        }
        if found != kind as u16 {
            return HeaderFound::Foreign(format!("log kind {found}, expected {} ({kind:?})", kind as u16));
        }
        HeaderFound::Whole(Header {
            kind,
            engine_version: u32::from_le_bytes(part(bytes, 12)),
            key: IdKey(part(bytes, 16)),
            first: u64::from_le_bytes(part(bytes, 32)),
            follows: u64::from_le_bytes(part(bytes, 40)),
        })
    }
}

/// `N` bytes at `at`; the caller knows that they are there.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

/// Appends a frame with the body that `encode` writes.
pub(super) fn put_frame(out: &mut Vec<u8>, sequence: Sequence, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&sequence.0.to_le_bytes());
    encode(out);
    let length = out.len() - start - FRAME_BYTES;
    assert!((1..=BODY_BYTES_MAX).contains(&length), "a body of {length} bytes");
    out[start + 4..start + 8].copy_from_slice(&(length as u32).to_le_bytes());
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What the bytes at a place are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameFound {
    /// A frame of this sequence, `length` bytes of body behind its head.
    Whole { sequence: u64, length: usize },
    /// The bytes end before the frame does; it would need this many.
    Short(usize),
    /// No frame starts here.
    Bad(&'static str),
}

/// The frame at the start of `bytes`.
pub(super) fn frame(bytes: &[u8]) -> FrameFound {
    let Some(head) = bytes.first_chunk::<FRAME_BYTES>() else { return FrameFound::Short(FRAME_BYTES) };
    let length = u32::from_le_bytes(part(head, 4)) as usize;
    if !(1..=BODY_BYTES_MAX).contains(&length) {
        return FrameFound::Bad("no frame has this length");
    }
    let end = FRAME_BYTES + length;
    if bytes.len() < end {
        return FrameFound::Short(end);
    }
    if crc32fast::hash(&bytes[4..end]) != u32::from_le_bytes(part(head, 0)) {
        return FrameFound::Bad("checksum does not match");
    }
    match u64::from_le_bytes(part(head, 8)) {
        u64::MAX => FrameFound::Bad("no sequence is that high"),
        sequence => FrameFound::Whole { sequence, length },
    }
}

/// Whether a whole frame of a sequence from `from` on starts anywhere in `bytes`: then what lies before it is damage, not a torn end.
pub(super) fn frame_within(bytes: &[u8], from: u64) -> bool {
    (0..bytes.len()).any(|at| matches!(frame(&bytes[at..]), FrameFound::Whole { sequence, .. } if sequence >= from))
}

/// The name of the segment that starts at `first`.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first sequence of the segment named `name`; `None` where this is no segment's name.
pub(super) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// The segments among `names`, by first sequence.
pub(super) fn segments(names: &[String]) -> Vec<u64> {
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    firsts
}

/// The files of the log in `dir` that hold records from `from` on, in order.
///
/// # Errors
/// Where the directory cannot be listed.
pub fn segments_from(files: &dyn Files, dir: &Path, from: Sequence) -> Result<Vec<std::path::PathBuf>, JournalError> {
    let firsts = segments(&files.list(dir).map_err(JournalError::io("listing the directory", dir))?);
    let start = firsts.iter().rposition(|first| *first <= from.0).unwrap_or(0);
    Ok(firsts[start..].iter().map(|first| segment_path(dir, *first)).collect())
}

/// The path of the segment that starts at `first`.
pub(super) fn segment_path(dir: &Path, first: u64) -> std::path::PathBuf {
    dir.join(segment_name(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_neither_header_nor_frame() {
        assert!(matches!(Header::read(&[0; HEADER_BYTES], LogKind::Journal), HeaderFound::Torn));
        assert!(matches!(frame(&[0; 64]), FrameFound::Bad(_)));
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_seen() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, Sequence(7), |out| out.extend_from_slice(b"a body of some bytes"));
        assert_eq!(frame(&bytes), FrameFound::Whole { sequence: 7, length: 20 });
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Caught when planted: the checksum computed and not compared.
            assert!(!matches!(frame(&damaged), FrameFound::Whole { .. }), "bit {bit}");
        }
    }

    #[test]
    fn headers_say_whose_they_are() {
        let header = Header { kind: LogKind::Journal, engine_version: 3, key: IdKey([5; 16]), first: 9, follows: 8 };
        assert!(matches!(Header::read(&header.bytes(), LogKind::Journal), HeaderFound::Whole(read) if read == header));
        assert!(matches!(Header::read(&header.bytes(), LogKind::Outputs), HeaderFound::Foreign(_)));
        let mut newer = header.bytes();
        newer[8] = 9;
        assert!(matches!(Header::read(&newer, LogKind::Journal), HeaderFound::Torn));
        let crc = crc32fast::hash(&newer[..60]);
        newer[60..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(Header::read(&newer, LogKind::Journal), HeaderFound::Foreign(what) if what.contains("format 9")));
    }

    #[test]
    fn names_carry_the_first_sequence() {
        assert_eq!(segment_name(42), "00000000000000000042.log");
        assert_eq!(segment_first("00000000000000000042.log"), Some(42));
        assert_eq!(segment_first("42.log"), None);
        assert_eq!(segment_first("00000000000000000042.tmp"), None);
    }
}
