//! `weir journal export`: records as JSON lines in the wire format, so that an export can be read again as a file of events.
//!
//! Ids become texts where these are known. One whose text was erased, or never kept, is written `unknown:` and its hash: readable again,
//! but as another id. What the wire format has no field for stands under `journal`, which readers ignore.

use super::blobs::{Blobs, hex};
use super::error::JournalError;
use super::reader::Records;
use crate::decision::Outcome;
use crate::event::{
    Body, Content, ControlKind, Country, Effort, Event, Field, Id, IdKind, Interaction, Label, Money, Origin, Payment, PaymentResult,
    Record, Transfer,
};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Which records are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// Events: every line is one of the wire format.
    Events,
    /// Refused input, control records and ticks too, as lines of types that the wire format refuses.
    All,
}

/// Finds the text of an id.
pub type TextOf<'a> = dyn Fn(Id) -> Option<(IdKind, String)> + 'a;

/// Writes the records that `records` gives to `out`, one a line; returns how many lines. `blobs` are those that control records name.
///
/// # Errors
/// As [`Records::next_record`], and where `out` refuses.
pub fn export(records: &mut Records, blobs: &Blobs, which: Exported, text_of: &TextOf, out: &mut dyn Write) -> Result<u64, JournalError> {
    let mut lines = 0;
    let failed = |source: io::Error| JournalError::Io { doing: "writing the export", path: Path::new("output").to_owned(), source };
    while let Some(record) = records.next_record()? {
        if which == Exported::Events && !matches!(record.content, Content::Event(_)) {
            continue;
        }
        let mut line = record_json(&record, text_of);
        if let Some(told) = told(&record, blobs) {
            line["told"] = told;
        }
        serde_json::to_writer(&mut *out, &line).map_err(|error| failed(error.into()))?;
        out.write_all(b"\n").map_err(failed)?;
        lines += 1;
    }
    out.flush().map_err(failed)?;
    Ok(lines)
}

/// What a control record tells beside the name of its blob: who leads, or where forward passes run and why. Other blobs are files of their
/// own; that one is not whole is for `weir journal verify` to say.
fn told(record: &Record, blobs: &Blobs) -> Option<Value> {
    match &record.content {
        Content::Control(control) if matches!(control.kind, ControlKind::Leader | ControlKind::Backend) => {
            serde_json::from_slice(&blobs.get(&control.blob).ok()?).ok()
        }
        _ => None,
    }
}

/// A record as one JSON object.
pub fn record_json(record: &Record, text_of: &TextOf) -> Value {
    let mut line = Line { fields: Map::new(), text_of };
    match &record.content {
        Content::Event(event) => line.event(event),
        Content::Refused(refused) => {
            line.word(Field::Type, "refused");
            line.word(Field::Reason, refused.reason.code());
            line.fields.insert("field".to_owned(), json!(refused.field.map(Field::name)));
        }
        Content::Control(control) => {
            line.word(Field::Type, "control");
            let kind = match control.kind {
                ControlKind::Topology => "topology",
                ControlKind::Policy => "policy",
                ControlKind::Leader => "leader",
                ControlKind::Model => "model",
                ControlKind::Backend => "backend",
            };
            line.fields.insert("kind".to_owned(), json!(kind));
            line.fields.insert("blob".to_owned(), json!(hex(&control.blob)));
        }
        Content::Listed(change) => {
            line.word(Field::Type, "listed");
            // Which list this is only the topology says, whose hash the first record names.
            line.fields.insert("list".to_owned(), json!(change.list));
            line.id(Field::Id, change.id);
            line.fields.insert("until".to_owned(), json!(change.until.map(|until| until.to_string())));
        }
        Content::Answered(answered) => {
            line.word(Field::Type, "answered");
            line.id(Field::Target, answered.event);
            line.word(Field::Time, &answered.time.to_string());
            line.fields.insert("outcome".to_owned(), json!(Outcome::ALL[usize::from(answered.outcome & 3)].name()));
            line.fields.insert("revision".to_owned(), json!(answered.revision));
        }
        Content::Waiting(event) => {
            line.event(event);
            line.word(Field::Type, "waiting");
        }
        Content::Lag(lag) => {
            line.word(Field::Type, "lag");
            line.fields.insert("source".to_owned(), json!(lag.source));
            line.fields.insert("behind_ms".to_owned(), json!(lag.behind_ms));
        }
        Content::Tick(time) => {
            line.word(Field::Type, "tick");
            line.word(Field::Time, &time.to_string());
        }
    }
    let mut journal = Map::new();
    journal.insert("sequence".to_owned(), json!(record.sequence.0));
    journal.insert("received".to_owned(), json!(record.received.to_string()));
    if record.origin.source != Origin::ENGINE {
        let origin = record.origin;
        journal.insert("origin".to_owned(), json!([origin.source, origin.partition, origin.offset]));
    }
    if record.effort != Effort::Full {
        journal.insert("effort".to_owned(), json!(effort(record.effort)));
    }
    line.fields.insert("journal".to_owned(), Value::Object(journal));
    Value::Object(line.fields)
}

/// An event as one JSON object of the wire format.
pub fn event_json(event: &Event, text_of: &TextOf) -> Value {
    let mut line = Line { fields: Map::new(), text_of };
    line.event(event);
    Value::Object(line.fields)
}

fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Full => "full",
        Effort::NoExplanation => "no_explanation",
        Effort::NoTypologies => "no_typologies",
        Effort::NoGnn => "no_gnn",
        Effort::RulesOnly => "rules_only",
    }
}

/// The text of an id as the wire format has it.
pub(super) fn id_text(id: Id, text_of: &TextOf) -> String {
    match text_of(id) {
        // A row's own label is told from the row: it would bear the id of the event that it judges.
        Some((IdKind::RowLabel, text)) => format!("label:{text}"),
        Some((_, text)) => text,
        None => format!("unknown:{id}"),
    }
}

struct Line<'a> {
    fields: Map<String, Value>,
    text_of: &'a TextOf<'a>,
}

impl Line<'_> {
    fn put(&mut self, field: Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }

    fn word(&mut self, field: Field, word: &str) {
        self.put(field, Value::from(word));
    }

    fn id(&mut self, field: Field, id: Id) {
        let text = id_text(id, self.text_of);
        self.put(field, Value::String(text));
    }

    fn ids(&mut self, ids: &[(Field, Option<Id>)]) {
        for (field, id) in ids {
            if let Some(id) = id {
                self.id(*field, *id);
            }
        }
    }

    fn money(&mut self, field: Field, money: Money) {
        self.put(field, json!(money.minor));
        self.word(Field::Currency, money.currency.code());
    }

    fn country(&mut self, country: Option<Country>) {
        if let Some(Country(letters)) = country {
            self.word(Field::Country, &String::from_utf8_lossy(&letters));
        }
    }

    fn event(&mut self, event: &Event) {
        self.id(Field::Id, event.id);
        self.word(Field::Type, event.body.kind().name());
        self.word(Field::Time, &event.time.to_string());
        match &event.body {
            Body::Payment(payment) => self.payment(payment),
            Body::PaymentResult(result) => self.payment_result(result),
            Body::Transfer(transfer) => self.transfer(transfer),
            Body::Session(session) => {
                self.id(Field::User, session.user);
                self.ids(&[
                    (Field::Device, session.device),
                    (Field::Ip, session.ip),
                    (Field::Action, session.action),
                    (Field::Session, session.session),
                ]);
            }
            Body::Interaction(interaction) => self.interaction(interaction),
            Body::Item(item) => {
                self.id(Field::Item, item.item);
                self.ids(&[
                    (Field::Merchant, item.merchant),
                    (Field::Category, item.category),
                    (Field::Brand, item.brand),
                    (Field::Title, item.title),
                ]);
                if let Some(price) = item.price {
                    self.money(Field::Price, price);
                }
            }
            Body::Label(label) => self.label(label),
            Body::Profile(profile) => {
                self.id(Field::User, profile.user);
                self.ids(&[(Field::Name, profile.name)]);
                self.country(profile.country);
                if let Some(consent) = profile.consent_personalization {
                    self.put(Field::ConsentPersonalization, json!(consent));
                }
                if let Some(rating) = profile.kyc_risk {
                    self.word(Field::KycRisk, rating.name());
                }
            }
            Body::Erase(erase) => self.id(Field::User, erase.user),
        }
    }

    fn payment(&mut self, payment: &Payment) {
        self.id(Field::User, payment.user);
        self.id(Field::Merchant, payment.merchant);
        self.money(Field::Amount, payment.amount);
        self.ids(&[
            (Field::Device, payment.device),
            (Field::Card, payment.card),
            (Field::Ip, payment.ip),
            (Field::Channel, payment.channel),
            (Field::Session, payment.session),
        ]);
        if let Some(mcc) = payment.mcc {
            // Four digits, as the standard writes them.
            self.word(Field::Mcc, &format!("{mcc:04}"));
        }
        self.country(payment.country);
        if !payment.items.is_empty() {
            let items = payment.items.iter().map(|item| Value::String(id_text(*item, self.text_of))).collect();
            self.put(Field::Items, Value::Array(items));
        }
    }

    fn payment_result(&mut self, result: &PaymentResult) {
        self.id(Field::Target, result.target);
        self.word(Field::Status, result.status.name());
        if let Some(minor) = result.amount_minor {
            self.put(Field::Amount, json!(minor));
        }
        self.ids(&[(Field::Reason, result.reason), (Field::User, result.user)]);
    }

    fn transfer(&mut self, transfer: &Transfer) {
        self.money(Field::Amount, transfer.amount);
        self.ids(&[
            (Field::From, transfer.from),
            (Field::To, transfer.to),
            (Field::FromBank, transfer.from_bank),
            (Field::ToBank, transfer.to_bank),
            (Field::Format, transfer.format),
            (Field::User, transfer.user),
            (Field::Device, transfer.device),
        ]);
    }

    fn interaction(&mut self, interaction: &Interaction) {
        self.id(Field::User, interaction.user);
        self.id(Field::Item, interaction.item);
        self.word(Field::Action, interaction.action.name());
        self.ids(&[
            (Field::Merchant, interaction.merchant),
            (Field::Surface, interaction.surface),
            (Field::Session, interaction.session),
            (Field::Device, interaction.device),
            (Field::Experiment, interaction.experiment),
        ]);
        if let Some(dwell_ms) = interaction.dwell_ms {
            self.put(Field::DwellMs, json!(dwell_ms));
        }
        if let Some(propensity) = interaction.propensity {
            // As a double: exact, so that reading it again gives the same float.
            self.put(Field::Propensity, json!(f64::from(propensity)));
        }
    }

    fn label(&mut self, label: &Label) {
        self.id(Field::Target, label.target);
        self.word(Field::Label, label.verdict.name());
        self.word(Field::Source, label.source.name());
        self.ids(&[(Field::Scenario, label.scenario), (Field::User, label.user), (Field::From, label.from)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Control, Currency, IdKey, LabelSource, Sequence, Timestamp, Verdict};
    use crate::journal::{Disk, Journal, LogOptions, examples};
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn record(sequence: u64, content: Content) -> Record {
        let received = Timestamp(1_522_540_831_000_000);
        Record { sequence: Sequence(sequence), received, origin: Origin::engine(), effort: Effort::Full, content }
    }

    #[test]
    fn events_become_lines_of_the_wire_format() {
        let mut texts = HashMap::new();
        let mut id = |kind, text: &str| {
            let id = IdKey::FILES.id(kind, text.as_bytes());
            texts.insert(id, (kind, text.to_owned()));
            id
        };
        let payment = Payment {
            user: id(IdKind::User, "u1"),
            merchant: id(IdKind::Merchant, "m1"),
            device: None,
            card: Some(Id::from_bits(0xc)),
            ip: None,
            amount: Money { minor: 1999, currency: Currency::parse("SEK").unwrap() },
            mcc: Some(742),
            country: Some(Country(*b"SE")),
            channel: Some(id(IdKind::Symbol, "web")),
            session: None,
            items: Box::new([id(IdKind::Item, "i1")]),
        };
        let label = Label {
            target: id(IdKind::Event, "p1"),
            verdict: Verdict::Fraud,
            source: LabelSource::Rule,
            scenario: None,
            user: None,
            from: None,
            resolved: None,
        };
        let time = Timestamp(1_522_540_831_000_000);
        let events = [
            Event { id: id(IdKind::Event, "p1"), time, body: Body::Payment(payment) },
            Event { id: id(IdKind::RowLabel, "p1"), time, body: Body::Label(label) },
        ];
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(Arc::new(Disk), folder.path(), IdKey::FILES, LogOptions::default()).unwrap();
        for (sequence, event) in events.into_iter().enumerate() {
            journal.append(&record(sequence as u64, Content::Event(event))).unwrap();
        }
        journal.append(&record(2, Content::Tick(time))).unwrap();
        let blobs = Blobs::open(Arc::new(Disk), &folder.path().join("blobs")).unwrap();
        let blob = blobs.put(br#"{"device":"cpu","why":"lost"}"#).unwrap();
        for blob in [blob, [7; 32]] {
            journal.append(&record(journal.next().0, Content::Control(Control { kind: ControlKind::Backend, blob }))).unwrap();
        }
        journal.commit().unwrap();
        let export_as = |which| {
            let mut records = Records::open(Arc::new(Disk), folder.path(), Sequence(0)).unwrap();
            let mut out = Vec::new();
            export(&mut records, &blobs, which, &|id| texts.get(&id).cloned(), &mut out).unwrap();
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
        };
        let lines = export_as(Exported::Events);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            json!({
                "id": "p1", "type": "payment", "time": "2018-04-01T00:00:31Z", "user": "u1", "merchant": "m1",
                "amount": 1999, "currency": "SEK", "card": "unknown:0000000000000000000000000000000c", "mcc": "0742",
                "country": "SE", "channel": "web", "items": ["i1"],
                "journal": {"sequence": 0, "received": "2018-04-01T00:00:31Z"},
            })
        );
        assert_eq!((&lines[1]["id"], &lines[1]["target"]), (&json!("label:p1"), &json!("p1")));
        let all = export_as(Exported::All);
        assert_eq!((all.len(), &all[3]["kind"], &all[3]["told"]), (5, &json!("backend"), &json!({ "device": "cpu", "why": "lost" })));
        assert_eq!((&all[4]["blob"], &all[4]["told"]), (&json!(hex(&[7; 32])), &Value::Null));
    }

    proptest! {
        // Every field of the contract that is there is written under its own name, ids included.
        // Caught when planted: a transfer's `to_bank` written as `from_bank`.
        #[test]
        fn no_field_is_lost(body in examples::body()) {
            let ids = body_ids(&body);
            let event = Event { id: Id::from_bits(1), time: Timestamp(0), body };
            let value = record_json(&record(0, Content::Event(event)), &|id| Some((IdKind::User, format!("{id}"))));
            let text = value.to_string();
            for id in ids {
                prop_assert!(text.contains(&id.to_string()), "{id} in {text}");
            }
            let known = |name: &String| Field::parse(name).is_some() || name == "journal";
            prop_assert!(value.as_object().unwrap().keys().all(known), "{text}");
        }
    }

    /// The ids in a body, found another way than by its fields: in its debug text, without what the runtime resolved.
    fn body_ids(body: &Body) -> Vec<Id> {
        let mut body = body.clone();
        match &mut body {
            Body::Label(label) => label.resolved = None,
            Body::PaymentResult(result) => result.resolved = None,
            _ => {}
        }
        let text = format!("{body:?}");
        let words = text.split(|sign: char| !sign.is_ascii_hexdigit()).filter(|word| word.len() == 32);
        words.map(|word| Id::from_bits(u128::from_str_radix(word, 16).unwrap())).collect()
    }
}
