//! The JSON Schema of events, asked of the parser itself: which fields an event type reads, what JSON may stand in them and which must be
//! there is found by trying, so that the schema cannot say another thing than [`parse_event`](super::wire::parse_event) does.

use super::wire::{Line, Value as Held};
use super::{Fault, InputLimits, NAME_BYTES_MAX, Reading};
use crate::event::{AMOUNT_MINOR_MAX, Action, EventType, Field, ITEMS_MAX, IdKey, KycRisk, LabelSource, PaymentStatus, Refusal, Verdict};
use serde_json::{Map, Value, json};

/// The schema: what all events have, and for each type what it adds.
pub(crate) fn event() -> Value {
    let kinds: Vec<Value> = EventType::ALL.into_iter().map(of).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "One event. Fields that its type does not read are ignored, an unknown type is refused; a field that is null is \
            absent, one that stands twice is refused. Integers are written without a point. Lengths are counted in bytes of UTF-8, and a \
            topology may allow fewer for ids.",
        "type": "object",
        "required": [Field::Id.name(), Field::Type.name(), Field::Time.name()],
        "oneOf": kinds,
    })
}

/// What events of this type are.
fn of(kind: EventType) -> Value {
    let full = Full::of(kind);
    let missing = |field: Field| full.refused(&[field]).is_some_and(|fault| fault.refused.reason == Refusal::Missing);
    let read: Vec<Field> = Field::ALL.into_iter().filter(|field| !full.takes(*field, &Held::Other("nothing that fits"))).collect();
    let there = |field: Field| json!({ "properties": { field.name(): { "type": list(full.types(field)) } }, "required": [field.name()] });
    let mut properties = Map::new();
    let (mut required, mut rules) = (Vec::new(), Vec::new());
    for field in read.iter().copied() {
        let needed = missing(field);
        // Needed, but not where another field is not there either: it is read beside that one alone.
        let beside = read.iter().copied().find(|other| needed && *other != field && full.refused(&[field, *other]).is_none());
        if let Some(beside) = beside {
            let then = json!({ "properties": { field.name(): full.property(field, true) }, "required": [field.name()] });
            rules.push(json!({ "if": there(beside), "then": then }));
            properties.insert(field.name().to_owned(), json!({ "description": meaning(field) }));
            continue;
        }
        if needed {
            required.push(field);
        }
        properties.insert(field.name().to_owned(), full.property(field, needed));
    }
    let optional: Vec<Field> = read.into_iter().filter(|field| full.refused(&[*field]).is_none()).collect();
    for (place, one) in optional.iter().enumerate() {
        for other in optional[place + 1..].iter().filter(|other| full.refused(&[*one, **other]).is_some()) {
            rules.push(json!({ "anyOf": [there(*one), there(*other)] }));
        }
    }
    properties.insert(Field::Type.name().to_owned(), json!({ "const": kind.name(), "description": meaning(Field::Type) }));
    let required: Vec<&str> = required.into_iter().map(Field::name).collect();
    let mut schema = json!({ "title": kind.name(), "properties": properties, "required": required });
    if !rules.is_empty() {
        schema["allOf"] = json!(rules);
    }
    schema
}

/// A line of one type with a good value in every field there is.
struct Full {
    kind: EventType,
    cells: Vec<(Field, Held<'static>)>,
}

impl Full {
    /// Of every field the first value that the parser does not refuse.
    fn of(kind: EventType) -> Full {
        let mut places = Field::ALL.map(|_| 0);
        loop {
            let cells = Field::ALL.into_iter().map(|field| (field, candidates(kind, field)[places[field as usize]].clone())).collect();
            let full = Full { kind, cells };
            match full.refused(&[]) {
                None => return full,
                Some(fault) => places[fault.refused.field.expect("a field alone was refused") as usize] += 1,
            }
        }
    }

    /// Why the line is refused, if it is, when these fields are not there.
    fn refused(&self, without: &[Field]) -> Option<Fault> {
        let kept = self.cells.iter().filter(|(field, _)| !without.contains(field));
        read(kept.cloned())
    }

    /// Whether `value` may stand in `field`.
    fn takes(&self, field: Field, value: &Held<'static>) -> bool {
        read(self.cells.iter().cloned().chain([(field, value.clone())])).is_none()
    }

    /// The kinds of JSON that may stand in `field`.
    fn types(&self, field: Field) -> Vec<&'static str> {
        let names = ["string", "integer", "number", "boolean", "array"];
        let fitting = candidates(self.kind, field).into_iter().zip(names).filter(|(value, _)| self.takes(field, value));
        let names: Vec<&str> = fitting.map(|(_, name)| name).collect();
        // Every integer is a number.
        if names.contains(&"number") { names.into_iter().filter(|name| *name != "integer").collect() } else { names }
    }

    /// What may stand in `field`; null where it may be absent.
    fn property(&self, field: Field, needed: bool) -> Value {
        let mut types = self.types(field);
        let mut schema = bounds(self.kind, field, types.contains(&"string"));
        if !needed {
            types.push("null");
            if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
                words.push(Value::Null);
            }
        }
        schema["type"] = list(types);
        schema["description"] = json!(meaning(field));
        schema
    }
}

/// Several types, or the one.
fn list(types: Vec<&'static str>) -> Value {
    if let [one] = types[..] { json!(one) } else { json!(types) }
}

/// Why a line of these cells is refused; of two for one field the later counts.
fn read(cells: impl Iterator<Item = (Field, Held<'static>)>) -> Option<Fault> {
    let mut line = Line::default();
    cells.for_each(|(field, value)| line.set(field, value));
    line.event(&mut Reading::new(IdKey::FILES, InputLimits::default().id_bytes_max), &mut ()).err()
}

/// A value of every kind that JSON has, a good one where that kind is good in `field`.
fn candidates(kind: EventType, field: Field) -> [Held<'static>; 5] {
    let text = match field {
        Field::Type => kind.name(),
        Field::Time => "2025-01-31T12:00:00Z",
        Field::Mcc => "5411",
        Field::Country => "SE",
        Field::Currency => "EUR",
        field => words(kind, field).map_or(field.name(), |words| words[0]),
    };
    [Held::Text(text.into()), Held::Integer(1), Held::Number(0.5), Held::Boolean(true), Held::Items(vec!["item".into()])]
}

/// What of all values of its kind may stand in `field`.
fn bounds(kind: EventType, field: Field, text: bool) -> Value {
    let id = json!({ "minLength": 1, "maxLength": InputLimits::default().id_bytes_max });
    match field {
        Field::Time => json!({ "format": "date-time" }),
        Field::Amount | Field::Price => json!({ "minimum": 0, "maximum": AMOUNT_MINOR_MAX }),
        Field::Currency => json!({ "pattern": "^[A-Z]{3}$" }),
        Field::Mcc => json!({ "pattern": "^[0-9]{1,4}$", "minimum": 0, "maximum": 9999 }),
        Field::Country => json!({ "pattern": "^[A-Z]{2}$" }),
        Field::DwellMs => json!({ "minimum": 0, "maximum": u32::MAX }),
        Field::Propensity => json!({ "exclusiveMinimum": 0, "maximum": 1 }),
        Field::Name | Field::Title => json!({ "minLength": 1, "maxLength": NAME_BYTES_MAX }),
        Field::Items => {
            let mut item = id;
            item["type"] = json!("string");
            let object = json!({ "type": "object", "properties": { Field::Item.name(): item }, "required": [Field::Item.name()] });
            json!({ "maxItems": ITEMS_MAX, "items": { "anyOf": [item, object] } })
        }
        field => match words(kind, field) {
            Some(words) => json!({ "enum": words }),
            None if text => id,
            None => json!({}),
        },
    }
}

/// The closed list of what may stand in `field`.
fn words(kind: EventType, field: Field) -> Option<Vec<&'static str>> {
    match field {
        Field::Status => Some(PaymentStatus::ALL.map(PaymentStatus::name).to_vec()),
        Field::Action if kind == EventType::Interaction => Some(Action::ALL.map(Action::name).to_vec()),
        Field::Label => Some(Verdict::ALL.map(Verdict::name).to_vec()),
        Field::Source => Some(LabelSource::ALL.map(LabelSource::name).to_vec()),
        Field::KycRisk => Some(KycRisk::ALL.map(KycRisk::name).to_vec()),
        _ => None,
    }
}

/// What `field` says.
fn meaning(field: Field) -> &'static str {
    match field {
        Field::Id => "The idempotency key: one event, one id, for ever. The same id with the same content is judged once.",
        Field::Type => "What happened.",
        Field::Time => "When it happened: RFC 3339 with an offset, from 1900 to 2200.",
        Field::User => "The customer. Of labels and payment results it is a topic's key and decides nothing.",
        Field::Merchant => "The shop.",
        Field::Device => "A fingerprint of the machine.",
        Field::Card => "A token of the card, never its number.",
        Field::Ip => "The network address, as text or as a token.",
        Field::Amount => "Minor units of the currency; of a payment result those of its target's.",
        Field::Currency => "ISO 4217.",
        Field::Mcc => "ISO 18245 merchant category code, as text or as a number.",
        Field::Country => "ISO 3166-1 alpha-2.",
        Field::Channel => "A word of your own, such as web, app or pos.",
        Field::Session => "The visit.",
        Field::Items => "What is bought: ids of items, or objects whose item is one.",
        Field::Target => "The id of the event that this speaks of.",
        Field::Status => "What became of the payment.",
        Field::Reason => "A word of your own.",
        Field::From => "The paying account; absent: the world outside. Of labels it is a topic's key and decides nothing.",
        Field::To => "The receiving account; absent: the world outside.",
        Field::FromBank => "The paying account's bank.",
        Field::ToBank => "The receiving account's bank.",
        Field::Format => "A word of your own, such as wire, card or cash.",
        Field::Action => "What was done: of an interaction one of a closed list; of a session a word of your own, such as login.",
        Field::Item => "The item of the catalogue.",
        Field::DwellMs => "How long it was looked at, in milliseconds.",
        Field::Surface => "Where it was shown: a word of your own.",
        Field::Experiment => "The experiment and arm under which it was shown.",
        Field::Propensity => "The probability with which it was shown.",
        Field::Category => "A word of your own.",
        Field::Brand => "A word of your own.",
        Field::Price => "Minor units of the currency.",
        Field::Title => "What people call the item.",
        Field::Label => "What its target turned out to be.",
        Field::Source => "Who says so; absent: chargeback. A later one in the list overrules an earlier one.",
        Field::Scenario => "The kind of fraud or laundering: a word of your own.",
        Field::Name => "What the person is called.",
        Field::ConsentPersonalization => "Whether the person agrees to personalization.",
        Field::KycRisk => "How risky the bank rates the person.",
    }
}
