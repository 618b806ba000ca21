//! Versions of alerts.

use super::{Cursor, Malformed, put_id, put_time};
use crate::engine::{Alert, AlertStatus, Edge, Member, Subject};
use crate::event::{EventType, IdKind, Sequence};
use crate::typology::{Kind, Typology};

const ENTITY: u8 = 0;
const CAUSE: u8 = 1;

pub(super) fn encode(alert: &Alert, out: &mut Vec<u8>) {
    out.reserve(128 + 17 * alert.members.len() + 64 * alert.edges.len());
    out.extend_from_slice(&alert.number.to_le_bytes());
    out.extend_from_slice(&alert.version.to_le_bytes());
    out.push(alert.status as u8);
    match alert.subject {
        Subject::Entity(kind, id) => {
            out.extend_from_slice(&[ENTITY, kind as u8]);
            put_id(out, id);
        }
        Subject::Cause { policy, cause, of } => {
            out.push(CAUSE);
            out.extend_from_slice(&policy);
            out.push(of as u8);
            out.push(u8::from(cause.is_some()));
            out.extend_from_slice(cause.map(u16::to_le_bytes).as_slice().as_flattened());
        }
    }
    out.push(alert.typology as u8);
    out.extend_from_slice(&alert.typologies.to_le_bytes());
    out.extend_from_slice(&alert.score.to_le_bytes());
    for time in [alert.opened_at, alert.first_event, alert.last_event] {
        put_time(out, time);
    }
    out.extend_from_slice(&alert.events.to_le_bytes());
    out.extend_from_slice(&alert.money_minor.to_le_bytes());
    out.push(u8::from(alert.cut) | u8::from(alert.merged_into.is_some()) << 1 | u8::from(alert.kind == Kind::Aml) << 2);
    if let Some(into) = alert.merged_into {
        out.extend_from_slice(&into.to_le_bytes());
    }
    out.extend_from_slice(&(alert.members.len() as u16).to_le_bytes());
    for member in &alert.members {
        out.push(member.kind as u8);
        put_id(out, member.id);
    }
    out.extend_from_slice(&(alert.edges.len() as u16).to_le_bytes());
    for edge in &alert.edges {
        put_id(out, edge.from);
        put_id(out, edge.to);
        out.extend_from_slice(&edge.amount_minor.to_le_bytes());
        put_time(out, edge.time);
        put_id(out, edge.event);
    }
}

pub(super) fn decode(sequence: Sequence, from: &mut Cursor) -> Result<Alert, Malformed> {
    const NO_KIND: &str = "no kind of entity has this number";
    let (number, version) = (from.u64()?, from.u32()?);
    let status = from.one_of(&AlertStatus::ALL, 0, "no status of an alert has this number")?;
    let subject = match from.u8()? {
        ENTITY => Subject::Entity(from.one_of(&IdKind::ALL, 0, NO_KIND)?, from.id()?),
        CAUSE => {
            let policy = from.take()?;
            let of = from.one_of(&EventType::ALL, 0, "no event type has this number")?;
            let cause = if from.bits(1)? == 0 { None } else { Some(from.u16()?) };
            Subject::Cause { policy, cause, of }
        }
        _ => return Err(from.malformed("no kind of subject has this number")),
    };
    let typology = from.one_of(&Typology::ALL, 0, "no typology has this number")?;
    let (typologies, score) = (from.u32()?, from.u16()?);
    let (opened_at, first_event, last_event) = (from.time()?, from.time()?, from.time()?);
    let (events, money_minor) = (from.u64()?, from.i64()?);
    let bits = from.bits(3)?;
    let merged_into = if bits & 2 == 0 { None } else { Some(from.u64()?) };
    // Grown as they are read: a damaged count must not ask for memory.
    let (mut members, mut edges) = (Vec::new(), Vec::new());
    for _ in 0..from.u16()? {
        members.push(Member { kind: from.one_of(&IdKind::ALL, 0, NO_KIND)?, id: from.id()? });
    }
    for _ in 0..from.u16()? {
        let (from_id, to) = (from.id()?, from.id()?);
        edges.push(Edge { from: from_id, to, amount_minor: from.i64()?, time: from.time()?, event: from.id()? });
    }
    Ok(Alert {
        sequence,
        kind: if bits & 4 == 0 { Kind::Fraud } else { Kind::Aml },
        number,
        version,
        status,
        subject,
        typology,
        typologies,
        score,
        cut: bits & 1 != 0,
        opened_at,
        first_event,
        last_event,
        events,
        money_minor,
        merged_into,
        members,
        edges,
    })
}
