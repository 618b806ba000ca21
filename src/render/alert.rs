//! Alerts as JSON text: what the topic, the stream and the list of open alerts carry.

#[cfg(test)]
use super::schema;
use crate::engine::{Alert, Subject};
use crate::event::{Currency, Id};
use crate::typology::{Kind, Typology};
use serde::Serialize;

/// Appends `alert` as one JSON object to `out`, of this shard where there are several; its money is in minor units of `reporting`. `cause` names a cause of a policy, `id_text`
/// gives an id's text; where it has none the hash stands in hexadecimal.
pub fn alert(
    alert: &Alert,
    shard: Option<u32>,
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
        alert_id: alert_id(alert.kind, alert.number, shard),
        version: alert.version,
        sequence: alert.sequence.0,
        status: alert.status.name(),
        subject,
        kind: alert.kind.name(),
        typology: alert.typology.name(),
        score: alert.score,
        money: WireMoney { amount: alert.money_minor, currency: reporting.code().to_owned() },
        events: alert.events,
        first_event: alert.first_event.to_string(),
        last_event: alert.last_event.to_string(),
        opened_at: alert.opened_at.to_string(),
        cut: alert.cut,
        merged_into: alert.merged_into.map(|number| alert_id(alert.kind, number, shard)),
        members: alert.members.iter().map(|member| WireEntity { kind: member.kind.name(), id: text(member.id) }).collect(),
        edges: edges.collect(),
        event_ids: events,
        reasons: seen.map(|typology| WireReason { code: typology.name(), text: typology.sentence() }).collect(),
    };
    serde_json::to_writer(out, &wire).expect("a vector takes every byte, and the object has text keys only");
}

/// What an alert of this kind with this number is called, of this shard where there are several.
pub fn alert_id(kind: Kind, number: u64, shard: Option<u32>) -> String {
    let word = match kind {
        Kind::Fraud => "alert",
        Kind::Aml => "aml",
    };
    match shard {
        Some(shard) => format!("{word}-{shard}-{number}"),
        None => format!("{word}-{number}"),
    }
}

/// A call for attention, growing by versions: each holds everything, the greatest counts.
// The order of the fields is that of the keys; what is said of them here is what the schemas say.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WireAlert {
    /// The same in all versions.
    alert_id: String,
    /// From 1; of two versions the greater one counts.
    version: u32,
    /// Position in Weir's journal of the record at which it came to this; 0 in GET /v1/alerts for versions from before the last start.
    sequence: u64,
    /// open: it calls. suppressed: somebody does not want to hear of its subject for a while. closed: nothing came for a while, or what it
    /// told of is over. merged: another one has taken it in, see merged_into.
    #[cfg_attr(test, schemars(extend("enum" = schema::alert_statuses())))]
    status: &'static str,
    /// Whom it is about.
    subject: WireEntity,
    /// The law it is under: what is aml goes to nobody outside AML.
    #[cfg_attr(test, schemars(extend("enum" = schema::kinds())))]
    kind: &'static str,
    /// The pattern that gives it its score.
    #[cfg_attr(test, schemars(extend("enum" = schema::typologies(), "$comment" = schema::OPEN)))]
    typology: &'static str,
    /// 0 to 1000, the greater the worse.
    #[cfg_attr(test, schemars(range(max = 1000)))]
    score: u16,
    /// All of its events together.
    money: WireMoney,
    /// How many there are in all, those without an edge here included.
    events: u64,
    /// Time of the earliest of its events: RFC 3339 in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    first_event: String,
    /// Time of the latest of its events: RFC 3339 in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    last_event: String,
    /// Stream time at its first version: RFC 3339 in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    opened_at: String,
    /// There is more than was looked at, or than there is room for.
    cut: bool,
    /// The alert that has taken this one in; else null.
    merged_into: Option<String>,
    /// Who belongs to it.
    members: Vec<WireEntity>,
    /// Its evidence: an event each, between the two of its entities that the pattern looks at.
    edges: Vec<WireEdge>,
    /// The events of the edges, in their order.
    event_ids: Vec<String>,
    /// Every pattern that was seen.
    reasons: Vec<WireReason>,
}

/// A person or thing.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireEntity {
    /// What it is; cause, a rule or limit of the policy or all declines of a type, is only ever a subject.
    #[cfg_attr(test, schemars(extend("enum" = schema::entities(), "$comment" = schema::OPEN)))]
    kind: &'static str,
    /// Its id as events have it, in hexadecimal a keyed hash where the text was erased; of a cause its name.
    id: String,
}

/// An amount.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireMoney {
    /// Minor units of the currency.
    amount: i64,
    /// ISO 4217: the reporting currency of the topology.
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Z]{3}$")))]
    currency: String,
}

/// One event as evidence.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireEdge {
    /// The one entity.
    from: String,
    /// The other one.
    to: String,
    /// Minor units of the reporting currency.
    amount: i64,
    /// When the event happened: RFC 3339 in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    time: String,
    /// The event.
    event_id: String,
}

/// One pattern that was seen.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireReason {
    /// The pattern.
    #[cfg_attr(test, schemars(extend("enum" = schema::typologies(), "$comment" = schema::OPEN)))]
    code: &'static str,
    /// A sentence for a person; its words may change.
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
        alert(told, None, Currency::parse("EUR").unwrap(), &|policy, cause| format!("cause {cause} of {}", policy[0]), &text, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_form_is_that_of_the_contract() {
        let id = Id::from_bits;
        let time = Timestamp(1_522_540_831_000_000);
        let mut told = Alert {
            sequence: Sequence(7),
            kind: Kind::Fraud,
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
        told.kind = Kind::Aml;
        assert_eq!([&rendered(&told)["kind"], &rendered(&told)["alert_id"], &rendered(&told)["merged_into"]], ["aml", "aml-3", "aml-1"]);
        assert_eq!(alert_id(Kind::Aml, 3, Some(2)), "aml-2-3");
    }
}
