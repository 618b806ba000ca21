//! What goes from a leader to its standby: frames back to back, little-endian.
//!
//! ```text
//! frame       kind u8 | length u32 | body (length bytes) | crc u32 (CRC-32 of everything before it in the frame)
//!
//! 1 hello       version u16 | log's engine version u32 | key of ids 16 | first u64 | next u64 | epoch u64 | topology 32 | policy 32
//! 2 blob        the bytes that a control record behind it names
//! 3 text        id 16 | kind u8 | text: before the first record of the connection that bears the id
//! 4 record      sequence u64 | the record's body as it stands in the journal
//! 5 checkpoint  sequence u64 | course u64: the engine's course before the record of that sequence
//! 6 beat        next u64: the leader's journal ends before it; everything before this frame may be applied. At least one a second
//! ```
//! A hello comes first and once. The key of ids travels in it: whoever may follow may know it, hence the scope `admin`.

use crate::engine::Checkpoint;
use crate::event::{Id, IdKey, IdKind, Sequence};
use std::io::{self, Read};

/// Of this format.
pub(super) const VERSION: u16 = 1;
/// No body is longer: a blob is a topology or a model, everything else is smaller.
const BODY_BYTES_MAX: usize = 4 << 20;
const HEAD_BYTES: usize = 5;

/// What a leader says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The version of the engine that writes its journal.
    pub engine_version: u32,
    pub key: IdKey,
    /// The first record that its journal still holds, and the first that it does not hold yet.
    pub first: u64,
    pub next: u64,
    pub epoch: u64,
    /// SHA-256 of the texts that its journal was founded on.
    pub topology: [u8; 32],
    pub policy: [u8; 32],
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Hello(Box<Hello>),
    Blob(Vec<u8>),
    Text { id: Id, kind: IdKind, text: String },
    Record { sequence: Sequence, body: Vec<u8> },
    Checkpoint(Checkpoint),
    Beat { next: u64 },
}

/// Appends a frame of `kind` with the body that `write` appends.
fn put(out: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    write(out);
    let length = (out.len() - start - HEAD_BYTES) as u32;
    out[start + 1..start + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

impl Frame {
    /// Appends the frame to `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Hello(hello) => put(out, 1, |out| {
                out.extend_from_slice(&VERSION.to_le_bytes());
                out.extend_from_slice(&hello.engine_version.to_le_bytes());
                out.extend_from_slice(&hello.key.0);
                [hello.first, hello.next, hello.epoch].iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
                out.extend_from_slice(&hello.topology);
                out.extend_from_slice(&hello.policy);
            }),
            Frame::Blob(bytes) => put(out, 2, |out| out.extend_from_slice(bytes)),
            Frame::Text { id, kind, text } => put_text(out, *id, *kind, text),
            Frame::Record { sequence, body } => put_record(out, *sequence, body),
            Frame::Checkpoint(Checkpoint { sequence, course }) => put(out, 5, |out| {
                out.extend_from_slice(&sequence.0.to_le_bytes());
                out.extend_from_slice(&course.to_le_bytes());
            }),
            Frame::Beat { next } => put(out, 6, |out| out.extend_from_slice(&next.to_le_bytes())),
        }
    }
}

/// [`Frame::Text`] without a text of its own.
pub(super) fn put_text(out: &mut Vec<u8>, id: Id, kind: IdKind, text: &str) {
    put(out, 3, |out| {
        out.extend_from_slice(&id.bits().to_le_bytes());
        out.push(kind as u8);
        out.extend_from_slice(text.as_bytes());
    });
}

/// [`Frame::Record`] without bytes of its own.
pub(super) fn put_record(out: &mut Vec<u8>, sequence: Sequence, body: &[u8]) {
    put(out, 4, |out| {
        out.extend_from_slice(&sequence.0.to_le_bytes());
        out.extend_from_slice(body);
    });
}

/// Reads the next frame; `None` where `from` ends before one.
///
/// # Errors
/// Where reading fails, the stream ends within a frame, or the bytes are none of this format.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD_BYTES];
    if from.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > BODY_BYTES_MAX {
        return Err(invalid(format!("a frame of {length} bytes, expected at most {BODY_BYTES_MAX}")));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let mut crc = [0; 4];
    from.read_exact(&mut crc)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(&body);
    if hasher.finalize() != u32::from_le_bytes(crc) {
        return Err(invalid("a frame whose checksum does not match".to_owned()));
    }
    decode(head[0], body).map(Some)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn decode(kind: u8, body: Vec<u8>) -> io::Result<Frame> {
    let mut rest = &body[..];
    let frame = match kind {
        1 => {
            let version = u16::from_le_bytes(part(&mut rest)?);
            if version != VERSION {
                return Err(invalid(format!(
                    "version {version} of the stream, expected {VERSION}: leader and standby must be of one version"
                )));
            }
            Frame::Hello(Box::new(Hello {
                engine_version: u32::from_le_bytes(part(&mut rest)?),
                key: IdKey(part(&mut rest)?),
                first: u64::from_le_bytes(part(&mut rest)?),
                next: u64::from_le_bytes(part(&mut rest)?),
                epoch: u64::from_le_bytes(part(&mut rest)?),
                topology: part(&mut rest)?,
                policy: part(&mut rest)?,
            }))
        }
        2 => return Ok(Frame::Blob(body)),
        3 => {
            let bits = u128::from_le_bytes(part(&mut rest)?);
            let [number] = part(&mut rest)?;
            let kind = IdKind::from_number(number).ok_or_else(|| invalid(format!("no kind of id has number {number}")))?;
            if bits == 0 {
                return Err(invalid("a text for no id".to_owned()));
            }
            let text = std::str::from_utf8(rest).map_err(|_| invalid("a text that is not UTF-8".to_owned()))?;
            return Ok(Frame::Text { id: Id::from_bits(bits), kind, text: text.to_owned() });
        }
        4 => {
            let sequence = Sequence(u64::from_le_bytes(part(&mut rest)?));
            return Ok(Frame::Record { sequence, body: rest.to_vec() });
        }
        5 => {
            let sequence = Sequence(u64::from_le_bytes(part(&mut rest)?));
            Frame::Checkpoint(Checkpoint { sequence, course: u64::from_le_bytes(part(&mut rest)?) })
        }
        6 => Frame::Beat { next: u64::from_le_bytes(part(&mut rest)?) },
        other => return Err(invalid(format!("a frame of kind {other}, which there is not"))),
    };
    match rest {
        [] => Ok(frame),
        more => Err(invalid(format!("{} bytes more than a frame of kind {kind} has", more.len()))),
    }
}

fn part<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>().ok_or_else(|| invalid("a frame that ends too early".to_owned()))?;
    *rest = behind;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Frame> {
        let id = IdKey::FILES.id(IdKind::User, b"u-1");
        let hello = Hello { engine_version: 3, key: IdKey([7; 16]), first: 1, next: 2, epoch: 3, topology: [4; 32], policy: [5; 32] };
        vec![
            Frame::Hello(Box::new(hello)),
            Frame::Blob(b"{}".to_vec()),
            Frame::Text { id, kind: IdKind::User, text: "ü".to_owned() },
            Frame::Record { sequence: Sequence(9), body: vec![1, 2, 3] },
            Frame::Checkpoint(Checkpoint { sequence: Sequence(10_000), course: 77 }),
            Frame::Beat { next: 10_001 },
        ]
    }

    #[test]
    fn what_is_put_is_read() {
        let mut bytes = Vec::new();
        all().iter().for_each(|frame| frame.put(&mut bytes));
        let mut from = &bytes[..];
        for expected in all() {
            assert_eq!(read(&mut from).unwrap(), Some(expected));
        }
        assert_eq!(read(&mut from).unwrap(), None);
    }

    /// Caught when planted: a checksum over the body alone, so that a record became a blob.
    #[test]
    fn every_flipped_bit_and_every_end_is_seen() {
        for frame in all() {
            let mut bytes = Vec::new();
            frame.put(&mut bytes);
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(read(&mut &damaged[..]).is_err(), "{frame:?}, bit {bit}");
            }
            for end in 1..bytes.len() {
                assert!(read(&mut &bytes[..end]).is_err(), "{frame:?}, {end} bytes");
            }
        }
    }
}
