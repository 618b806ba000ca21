//! The canonical binary form of records and outputs: little-endian, fixed layout, presence bits for what may be absent.
//!
//! One value has one form and every form that is accepted is the form of its value: what is read and written again gives the same bytes.
//! Reading takes bytes from a disk and trusts none of them: tags, presence bits, counts and lengths are checked, nothing panics. Values
//! without a tag (amounts, times, the bits of a probability) are taken as they stand: whether they are sensible was asked at the door.
//! The sequence is not part of a body; it stands in the frame around it, because the digest over outputs leaves it out.

mod alert;
mod event;
mod output;

pub(crate) use event::{decode_target, encode_target};
pub use output::{Digest, decode_output, encode_output};

use crate::event::{
    Answered, Content, Control, ControlKind, Effort, Event, EventType, Field, Id, ListChange, Origin, Record, Refusal, Refused, Sequence,
    SourceLag, StandInWhy, Timestamp,
};
use std::fmt;

/// Bytes that are no record or no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the body.
    pub at: usize,
    /// What stands there and should not.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the body", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

const REFUSED: u8 = 1;
const CONTROL: u8 = 2;
const TICK: u8 = 3;
const ANSWERED: u8 = 4;
const LISTED: u8 = 5;
const LAG: u8 = 6;
const WAITING: u8 = 7;
/// An event's first byte is this plus the number of its type.
const EVENT: u8 = 16;

const EFFORTS: [Effort; 5] = [Effort::Full, Effort::NoExplanation, Effort::NoTypologies, Effort::NoGnn, Effort::RulesOnly];

/// Appends the body of `record` (all but its sequence) to `out`.
pub fn encode_record(record: &Record, out: &mut Vec<u8>) {
    // One reservation for the longest body: a payment with all fields and items. And fields that are always there are laid side by side
    // first, because each append asks for room again.
    out.reserve(768);
    let tag = match &record.content {
        Content::Event(event) => EVENT + event.body.kind() as u8,
        Content::Refused(_) => REFUSED,
        Content::Control(_) => CONTROL,
        Content::Tick(_) => TICK,
        Content::Answered(_) => ANSWERED,
        Content::Listed(_) => LISTED,
        Content::Lag(_) => LAG,
        Content::Waiting(_) => WAITING,
    };
    let mut head = [0; 24];
    head[0] = tag;
    head[1..9].copy_from_slice(&record.received.0.to_le_bytes());
    head[9..23].copy_from_slice(&origin_bytes(record.origin));
    head[23] = record.effort as u8;
    out.extend_from_slice(&head);
    match &record.content {
        Content::Waiting(event) => {
            out.push(event.body.kind() as u8);
            put_id(out, event.id);
            put_time(out, event.time);
            event::encode(&event.body, out);
        }
        Content::Event(event) => {
            let mut names = [0; 24];
            names[..16].copy_from_slice(&event.id.bits().to_le_bytes());
            names[16..].copy_from_slice(&event.time.0.to_le_bytes());
            out.extend_from_slice(&names);
            event::encode(&event.body, out);
        }
        Content::Refused(refused) => put_refused(out, *refused),
        Content::Control(control) => {
            out.push(control.kind as u8);
            out.extend_from_slice(&control.blob);
        }
        Content::Tick(time) => put_time(out, *time),
        Content::Answered(answered) => put_answered(out, answered),
        Content::Lag(lag) => {
            out.extend_from_slice(&lag.source.to_le_bytes());
            out.extend_from_slice(&lag.behind_ms.to_le_bytes());
        }
        Content::Listed(change) => {
            out.extend_from_slice(&change.list.to_le_bytes());
            put_id(out, change.id);
            out.push(u8::from(change.until.is_some()));
            if let Some(until) = change.until {
                put_time(out, until);
            }
        }
    }
}

/// The record with this body at `sequence`.
///
/// # Errors
/// [`Malformed`] where `body` is not the form of a record, to its last byte.
pub fn decode_record(sequence: Sequence, body: &[u8]) -> Result<Record, Malformed> {
    let mut from = Cursor::new(body);
    let tag = from.u8()?;
    let received = from.time()?;
    let origin = from.origin()?;
    let effort = from.one_of(&EFFORTS, 0, "no effort has this number")?;
    let content = match tag {
        REFUSED => Content::Refused(from.refused()?),
        CONTROL => {
            let kind = match from.u8()? {
                1 => ControlKind::Topology,
                2 => ControlKind::Policy,
                3 => ControlKind::Leader,
                4 => ControlKind::Model,
                5 => ControlKind::Backend,
                _ => return Err(from.malformed("no control record has this number")),
            };
            Content::Control(Control { kind, blob: from.take()? })
        }
        TICK => Content::Tick(from.time()?),
        ANSWERED => Content::Answered(from.answered()?),
        WAITING => {
            let kind = from.one_of(&EventType::ALL, 0, "no event type has this number")?;
            let (id, time) = (from.id()?, from.time()?);
            Content::Waiting(Event { id, time, body: event::decode(kind, &mut from)? })
        }
        LAG => Content::Lag(SourceLag { source: from.u16()?, behind_ms: from.u64()? }),
        LISTED => {
            let (list, id) = (from.u16()?, from.id()?);
            let until = if from.bits(1)? == 0 { None } else { Some(from.time()?) };
            Content::Listed(ListChange { list, id, until })
        }
        _ => {
            let kind = tag.checked_sub(EVENT).and_then(EventType::from_number);
            let kind = kind.ok_or(Malformed { at: 0, what: "no record has this number" })?;
            let id = from.id()?;
            let time = from.time()?;
            Content::Event(Event { id, time, body: event::decode(kind, &mut from)? })
        }
    };
    from.end()?;
    Ok(Record { sequence, received, origin, effort, content })
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(&time.0.to_le_bytes());
}

fn put_id(out: &mut Vec<u8>, id: Id) {
    out.extend_from_slice(&id.bits().to_le_bytes());
}

fn put_answered(out: &mut Vec<u8>, answered: &Answered) {
    put_id(out, answered.event);
    out.extend_from_slice(&answered.fingerprint.to_le_bytes());
    out.push(answered.kind as u8);
    put_id(out, answered.key);
    put_time(out, answered.time);
    out.extend_from_slice(&[answered.revision, answered.outcome, answered.why as u8]);
}

/// The ids that are there; which they are stands in presence bits before them.
fn put_ids<const N: usize>(out: &mut Vec<u8>, ids: [Option<Id>; N]) {
    for id in ids.into_iter().flatten() {
        put_id(out, id);
    }
}

/// Presence bits of `ids`, the first in the lowest bit.
fn presence<const N: usize>(ids: [Option<Id>; N]) -> u8 {
    let mut bits = 0;
    for (place, id) in ids.iter().enumerate() {
        bits |= u8::from(id.is_some()) << place;
    }
    bits
}

fn origin_bytes(origin: Origin) -> [u8; 14] {
    let mut bytes = [0; 14];
    bytes[..2].copy_from_slice(&origin.source.to_le_bytes());
    bytes[2..6].copy_from_slice(&origin.partition.to_le_bytes());
    bytes[6..].copy_from_slice(&origin.offset.to_le_bytes());
    bytes
}

/// A field's number, one up, or 0 for none.
fn put_refused(out: &mut Vec<u8>, refused: Refused) {
    out.extend_from_slice(&(refused.reason as u16).to_le_bytes());
    out.push(refused.field.map_or(0, |field| field as u8 + 1));
}

/// A place in a body; every step is checked against its end.
struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(body: &'a [u8]) -> Cursor<'a> {
        Cursor { body, at: 0 }
    }

    /// An error about the byte just read.
    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at.saturating_sub(1), what }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let bytes = rest.first_chunk::<N>().ok_or(Malformed { at: self.at, what: "the body ends too early" })?;
        self.at += N;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    fn time(&mut self) -> Result<Timestamp, Malformed> {
        Ok(Timestamp(self.i64()?))
    }

    fn id(&mut self) -> Result<Id, Malformed> {
        match u128::from_le_bytes(self.take()?) {
            0 => Err(self.malformed("no id is zero")),
            bits => Ok(Id::from_bits(bits)),
        }
    }

    fn id_if(&mut self, bits: u8, place: u32) -> Result<Option<Id>, Malformed> {
        if bits & (1 << place) == 0 { Ok(None) } else { self.id().map(Some) }
    }

    /// Presence bits of which only the lowest `used` may be set.
    fn bits(&mut self, used: u32) -> Result<u8, Malformed> {
        let bits = self.u8()?;
        if u32::from(bits) >> used != 0 {
            return Err(self.malformed("presence bits that nothing has"));
        }
        Ok(bits)
    }

    /// A byte that numbers `all` from `first` on.
    fn one_of<T: Copy>(&mut self, all: &[T], first: u8, what: &'static str) -> Result<T, Malformed> {
        let number = self.u8()?;
        number.checked_sub(first).and_then(|place| all.get(usize::from(place))).copied().ok_or_else(|| self.malformed(what))
    }

    fn answered(&mut self) -> Result<Answered, Malformed> {
        let event = self.id()?;
        let fingerprint = u64::from_le_bytes(self.take()?);
        let kind = self.one_of(&EventType::ALL, 0, "no event type has this number")?;
        let (key, time) = (self.id()?, self.time()?);
        let revision = self.one_of(&[1, 2], 1, "no answer has this revision")?;
        let outcome = self.one_of(&[0, 1, 2, 3], 0, "no outcome has this number")?;
        let why = self.one_of(&[StandInWhy::Deadline, StandInWhy::ColdShard], 1, "no stand-in has this cause")?;
        Ok(Answered { event, fingerprint, kind, key, time, revision, outcome, why })
    }

    fn origin(&mut self) -> Result<Origin, Malformed> {
        Ok(Origin { source: self.u16()?, partition: self.u32()?, offset: self.u64()? })
    }

    fn refused(&mut self) -> Result<Refused, Malformed> {
        let number = self.u16()?;
        let reason = Refusal::from_number(number).ok_or_else(|| self.malformed("no refusal has this number"))?;
        let field = match self.u8()? {
            0 => None,
            number => Some(Field::from_number(number - 1).ok_or_else(|| self.malformed("no field has this number"))?),
        };
        Ok(Refused { reason, field })
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.at == self.body.len() { Ok(()) } else { Err(Malformed { at: self.at, what: "bytes behind the end" }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::examples;
    use proptest::prelude::*;

    proptest! {
        // Caught when planted: session and channel of a payment written in the other order than read; `standing` without its bit.
        #[test]
        fn what_is_written_is_read(record in examples::record()) {
            let mut body = Vec::new();
            encode_record(&record, &mut body);
            prop_assert_eq!(decode_record(record.sequence, &body), Ok(record.clone()));
            // Every shorter body is refused: no field is read past the end, none is left out.
            for end in 0..body.len() {
                prop_assert!(decode_record(record.sequence, &body[..end]).is_err());
            }
            body.push(0);
            prop_assert!(decode_record(record.sequence, &body).is_err());
        }

        // Caught when planted: unknown presence bits let through.
        #[test]
        fn damaged_bodies_are_refused_or_canonical(record in examples::record(), place in any::<prop::sample::Index>(), bits in 1u8..) {
            let mut body = Vec::new();
            encode_record(&record, &mut body);
            let place = place.index(body.len());
            body[place] ^= bits;
            if let Ok(read) = decode_record(record.sequence, &body) {
                let mut again = Vec::new();
                encode_record(&read, &mut again);
                prop_assert_eq!(again, body);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300), tag in 0u8..26) {
            let _ = decode_record(Sequence(1), &body);
            let mut tagged = vec![tag];
            tagged.extend_from_slice(&body);
            if let Ok(read) = decode_record(Sequence(1), &tagged) {
                let mut again = Vec::new();
                encode_record(&read, &mut again);
                prop_assert_eq!(again, tagged);
            }
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        // A journal of today must be readable tomorrow: this is the form of version 1, byte by byte.
        let record = Record {
            sequence: Sequence(9),
            received: Timestamp(1),
            origin: Origin { source: 2, partition: 3, offset: 4 },
            effort: Effort::NoGnn,
            content: Content::Refused(Refused { reason: Refusal::Invalid, field: Some(Field::Amount) }),
        };
        let mut body = Vec::new();
        encode_record(&record, &mut body);
        let form: Vec<u8> = [&[1u8][..], &1u64.to_le_bytes(), &[2, 0, 3, 0, 0, 0], &4u64.to_le_bytes(), &[3, 5, 0, 9]].concat();
        assert_eq!(body, form);
    }
}
