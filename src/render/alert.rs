//! Alerts as JSON text: what the topic, the stream and the list of open alerts carry.

use crate::engine::{Alert, Subject};
use crate::event::{Currency, Id};
use crate::typology::Typology;
use serde::Serialize;

/// Appends `alert` as one JSON object to `out`; its money is in minor units of `reporting`. `cause` names a cause of a policy, `id_text`
/// gives an id's text; where it has none the hash stands in hexadecimal.
pub fn alert(
    alert: &Alert,
    reporting: Currency,
    cause: &dyn Fn(&[u8; 16], u16) -> String,
    id_text: &dyn Fn(Id) -> Option<String>,
    out: &mut Vec<u8>,
) {
    let text = |id: Id| id_text(id).unwrap_or_else(|| id.to_string());
    let subject = match &alert.subject {
        Subject::Entity(kind, id) => WireEntity { kind: kind.name(), id: text(*id) },
        Subject::Cause { policy, cause: Some(number), .. } => WireEntity { kind: "cause", id: cause(policy, *number) },
        Subject::Cause { cause: None, of, .. } => WireEntity { kind: "cause", id: format!("all declines of {}s", of.name()) },
    };
    // An event has one edge.
    let events: Vec<String> = alert.edges.iter().map(|edge| text(edge.event)).collect();
    let edges = alert.edges.iter().zip(&events).map(|(edge, event_id)| WireEdge {
        from: text(edge.from),
        to: text(edge.to),
        amount: edge.amount_minor,
        time: edge.time.to_string(),
        event_id: event_id.clone(),
    });
    let seen = Typology::ALL.into_iter().filter(|typology| alert.typologies >> *typology as u8 & 1 != 0);
    let wire = WireAlert {
        alert_id: alert_id(alert.number),
        version: alert.version,
        sequence: alert.sequence.0,
        status: alert.status.name(),
        subject,
        kind: alert.typology.kind().name(),
        typology: alert.typology.name(),
        score: alert.score,
        money: WireMoney { amount: alert.money_minor, currency: reporting.code().to_owned() },
        events: alert.events,
        first_event: alert.first_event.to_string(),
        last_event: alert.last_event.to_string(),
        opened_at: alert.opened_at.to_string(),
        cut: alert.cut,
        merged_into: alert.merged_into.map(alert_id),
        members: alert.members.iter().map(|member| WireEntity { kind: member.kind.name(), id: text(member.id) }).collect(),
        edges: edges.collect(),
        event_ids: events,
        reasons: seen.map(|typology| WireReason { code: typology.name(), text: typology.sentence() }).collect(),
    };
    serde_json::to_writer(out, &wire).expect("a vector takes every byte, and the object has text keys only");
}

/// What an alert with this number is called.
pub fn alert_id(number: u64) -> String {
    format!("alert-{number}")
}

/// The contract's object; the order of the fields is that of the keys.
#[derive(Serialize)]
struct WireAlert {
    alert_id: String,
    version: u32,
    sequence: u64,
    status: &'static str,
    subject: WireEntity,
    kind: &'static str,
    typology: &'static str,
    score: u16,
    money: WireMoney,
    events: u64,
    first_event: String,
    last_event: String,
    opened_at: String,
    cut: bool,
    merged_into: Option<String>,
    members: Vec<WireEntity>,
    edges: Vec<WireEdge>,
    event_ids: Vec<String>,
    reasons: Vec<WireReason>,
}

#[derive(Serialize)]
struct WireEntity {
    kind: &'static str,
    id: String,
}

#[derive(Serialize)]
struct WireMoney {
    amount: i64,
    currency: String,
}

#[derive(Serialize)]
struct WireEdge {
    from: String,
    to: String,
    amount: i64,
    time: String,
    event_id: String,
}

#[derive(Serialize)]
struct WireReason {
    code: &'static str,
    text: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AlertStatus, Edge, Member};
    use crate::event::{EventType, IdKind, Sequence, Timestamp};
    use serde_json::{Value, json};

    fn rendered(told: &Alert) -> Value {
        let mut out = Vec::new();
        let text = |id: Id| (id.bits() < 10).then(|| format!("id{}", id.bits()));
        alert(told, Currency::parse("EUR").unwrap(), &|policy, cause| format!("cause {cause} of {}", policy[0]), &text, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_form_is_that_of_the_contract() {
        let id = Id::from_bits;
        let time = Timestamp(1_522_540_831_000_000);
        let mut told = Alert {
            sequence: Sequence(7),
            number: 3,
            version: 2,
            status: AlertStatus::Open,
            subject: Subject::Entity(IdKind::Device, id(1)),
            typology: Typology::SharedDevice,
            typologies: 3,
            score: 700,
            cut: true,
            opened_at: time,
            first_event: time,
            last_event: time,
            events: 9,
            money_minor: 1234,
            merged_into: None,
            members: vec![Member { kind: IdKind::User, id: id(2) }],
            edges: vec![Edge { from: id(2), to: id(1), amount_minor: 99, time, event: id(12) }],
        };
        let (moment, event) = ("2018-04-01T00:00:31Z", "0000000000000000000000000000000c");
        assert_eq!(
            rendered(&told),
            json!({
                "alert_id": "alert-3", "version": 2, "sequence": 7, "status": "open", "subject": {"kind": "device", "id": "id1"},
                "kind": "fraud", "typology": "shared_device", "score": 700, "money": {"amount": 1234, "currency": "EUR"}, "events": 9,
                "first_event": moment, "last_event": moment, "opened_at": moment, "cut": true, "merged_into": null,
                "members": [{"kind": "user", "id": "id2"}],
                "edges": [{"from": "id2", "to": "id1", "amount": 99, "time": moment, "event_id": event}],
                "event_ids": [event],
                "reasons": [
                    {"code": "shared_device", "text": Typology::SharedDevice.sentence()},
                    {"code": "card_testing", "text": Typology::CardTesting.sentence()},
                ],
            })
        );
        told.subject = Subject::Cause { policy: [5; 16], cause: Some(4), of: EventType::Payment };
        told.merged_into = Some(1);
        assert_eq!(rendered(&told)["subject"], json!({"kind": "cause", "id": "cause 4 of 5"}));
        assert_eq!(rendered(&told)["merged_into"], "alert-1");
        told.subject = Subject::Cause { policy: [5; 16], cause: None, of: EventType::Transfer };
        assert_eq!(rendered(&told)["subject"]["id"], "all declines of transfers");
    }
}
