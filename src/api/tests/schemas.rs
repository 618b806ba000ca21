//! The JSON Schemas: written from the types, true of what is written, and no narrower than what was promised.

use crate::api::documents::SCHEMAS;
use crate::api::tests::compatibility::{Promise, broken};
use crate::engine::{Alert, Output, Subject};
use crate::event::{Currency, EventType, Field, IdKey, IdKind, slot_kinds};
use crate::ingress::wire::parse_event;
use crate::ingress::{InputLimits, Reading, schema as ingress};
use crate::journal::{RawInput, rejected_json, rejected_schema};
use crate::render::{PolicyTexts, View, alert, decision, schema as render};
use boon::{Compiler, Schemas};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The variable that has the committed files written anew: `WEIR_UPDATE_SCHEMAS=1 cargo test --lib api::tests::schemas`.
const UPDATE: &str = "WEIR_UPDATE_SCHEMAS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// The schema of every topic, as the types have it now.
fn generated() -> [(&'static str, Value); 5] {
    let dressed = |name: &str, title: &str, mut schema: Value| {
        schema["$id"] = json!(format!("/schemas/{name}"));
        schema["title"] = json!(title);
        plain(&mut schema);
        schema
    };
    let mut public = Value::from(render::decision(View::Public));
    let mut internal = Value::from(render::decision(View::Internal));
    public["description"] = json!(
        "The judgement of one payment or transfer, as the hook answers it and the topic of decisions carries it: \
        nothing in it speaks of laundering. How long it took stands beside it: in the answer's header Server-Timing, in the topic's weir-took-us."
    );
    internal["description"] = json!(
        "The judgement of one payment or transfer with all its reasons, as the internal topic carries it: what \
        it says of laundering goes to nobody outside AML."
    );
    [
        ("alert.json", dressed("alert.json", "Alert", render::alert().into())),
        ("decision-internal.json", dressed("decision-internal.json", "Decision, internal view", internal)),
        ("decision.json", dressed("decision.json", "Decision", public)),
        ("event.json", dressed("event.json", "Event", ingress::event())),
        ("rejected.json", dressed("rejected.json", "Rejected input", rejected_schema().into())),
    ]
}

/// Takes away the formats that no standard knows: strict validators refuse a schema that has them, and the bounds beside them say the same.
/// What stood on several lines of a comment is one.
fn plain(schema: &mut Value) {
    let standard = |format: &Value| format == "date-time";
    match schema {
        Value::Object(members) => {
            // A field may be called so, too.
            members.retain(|name, member| name != "format" || !member.is_string() || standard(member));
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(plain);
        }
        Value::Array(entries) => entries.iter_mut().for_each(plain),
        _ => {}
    }
}

/// Planted: `risk_score` renamed in the struct; told.
#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, schema) in generated() {
        let path = folder().join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("the keys are texts"));
        if env::var_os(UPDATE).is_some() {
            fs::write(&path, &text).expect("the folder can be written");
        }
        let committed = fs::read_to_string(&path).expect("the schema is there");
        assert!(committed == text, "{name} is not what the types say: {UPDATE}=1 cargo test --lib api::tests::schemas writes it anew");
    }
}

/// What stands in `schemas/v1` was promised to subscribers and senders.
#[test]
fn no_schema_breaks_what_was_promised() {
    for (name, schema) in generated() {
        let promised = fs::read_to_string(folder().join("v1").join(name)).expect("what was promised is kept");
        let promised: Value = serde_json::from_str(&promised).expect("JSON");
        assert_eq!(broken(promise(name), &promised, &schema), Vec::<String>::new(), "{name}");
    }
}

fn promise(name: &str) -> Promise {
    if name == "event.json" { Promise::ToSenders } else { Promise::ToReaders }
}

/// One schema of today against the same one changed.
#[test]
fn a_broken_promise_is_told() {
    let told = |name: &str, place: &str, change: &dyn Fn(&mut Value)| {
        let (_, old) = generated().into_iter().find(|(known, _)| *known == name).expect("generated");
        let mut new = old.clone();
        change(new.pointer_mut(place).unwrap_or_else(|| panic!("{place} is in {name}")));
        assert_ne!(old, new, "{place}");
        broken(promise(name), &old, &new)
    };
    let gone = |key: &'static str| move |schema: &mut Value| drop(schema.as_object_mut().expect("an object").remove(key));
    let to = |value: Value| move |schema: &mut Value| *schema = value.clone();
    let shorter = |schema: &mut Value| drop(schema.as_array_mut().expect("a list").pop());
    let longer = |schema: &mut Value| schema.as_array_mut().expect("a list").push(json!("new"));
    let (reason, payment) = ("/properties/reasons/items/properties", "/oneOf/0/properties");

    // Readers.
    assert_eq!(told("decision.json", "/properties", &gone("model")), ["/properties/model: removed"]);
    assert_eq!(told("decision.json", reason, &gone("weight")), [format!("{reason}/weight: removed")]);
    assert_eq!(told("decision.json", "/required", &shorter), ["/required: \"engine_version\" may be absent"]);
    for (place, value) in [
        ("/properties/risk_score/type", json!("number")),
        ("/properties/event_id/type", json!(["string", "null"])),
        ("/properties/risk_score/maximum", json!(2000)),
        ("/properties/model/pattern", json!("^[0-9a-f]+$")),
    ] {
        assert_eq!(told("decision.json", place, &to(value)).len(), 1, "{place}");
    }
    assert_eq!(told("decision.json", "/properties/outcome/enum", &longer).len(), 1, "the list is closed");
    assert_eq!(told("alert.json", "/properties/members/items/properties/id", &gone("type")).len(), 1);
    let fine = Vec::<String>::new();
    assert_eq!(told("decision.json", &format!("{reason}/code/enum"), &longer), fine, "the list is open");
    assert_eq!(told("decision.json", "/properties", &|all| all["new"] = json!({ "type": "string" })), fine);
    assert_eq!(told("decision.json", "/properties/risk_score/maximum", &to(json!(900))), fine);
    assert_eq!(told("decision.json", "/properties/control_group/type", &to(json!("null"))), fine);

    // Senders.
    assert_eq!(told("event.json", "/oneOf/0/required", &|all| all.as_array_mut().expect("a list").push(json!("device"))).len(), 1);
    for (place, value) in [
        (format!("{payment}/device/type"), json!("string")),
        (format!("{payment}/user/maxLength"), json!(32)),
        (format!("{payment}/amount/minimum"), json!(1)),
        ("/oneOf/1/properties/status/enum".to_owned(), json!(["captured"])),
    ] {
        assert_eq!(told("event.json", &place, &to(value)).len(), 1, "{place}");
    }
    assert!(!told("event.json", "/oneOf/0", &|one| one["allOf"] = json!([{ "required": ["card"] }])).is_empty());
    assert!(!told("event.json", "/oneOf", &shorter).is_empty(), "a type that was taken");
    assert_eq!(told("event.json", "/oneOf/0/required", &shorter), fine);
    assert_eq!(told("event.json", "/oneOf/2", &gone("allOf")), fine);
    assert_eq!(told("event.json", &format!("{payment}/user/maxLength"), &to(json!(128))), fine);
    assert_eq!(told("event.json", &format!("{payment}/currency/type"), &to(json!(["string", "null"]))), fine);
    assert_eq!(told("event.json", "/oneOf/1/properties/status/enum", &longer), fine);
    assert_eq!(told("event.json", payment, &|all| all["new"] = json!({ "type": ["string", "null"] })), fine);
}

/// A judge of records by one schema.
struct Judge {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn of(name: &str) -> Judge {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let url = format!("http://weir/schemas/{name}");
        compiler.add_resource(&url, parsed(text_of(name).as_bytes())).expect("a new name");
        let mut schemas = Schemas::new();
        let index = compiler.compile(&url, &mut schemas).expect("a schema of 2020-12");
        Judge { schemas, index }
    }

    fn judge(&self, record: &Value) -> Result<(), String> {
        self.schemas.validate(record, self.index).map_err(|error| format!("{error:#}\n{record}"))
    }

    fn takes(&self, record: &Value) -> bool {
        self.judge(record).is_ok()
    }
}

static PUBLIC: LazyLock<Judge> = LazyLock::new(|| Judge::of("decision.json"));
static INTERNAL: LazyLock<Judge> = LazyLock::new(|| Judge::of("decision-internal.json"));
static ALERT: LazyLock<Judge> = LazyLock::new(|| Judge::of("alert.json"));
static REJECTED: LazyLock<Judge> = LazyLock::new(|| Judge::of("rejected.json"));
static EVENT: LazyLock<Judge> = LazyLock::new(|| Judge::of("event.json"));

static EVENT_SCHEMA: LazyLock<Value> = LazyLock::new(|| parsed(text_of("event.json").as_bytes()));

fn text_of(name: &str) -> &'static str {
    SCHEMAS.into_iter().find(|(known, _)| *known == name).expect("it is served").1
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("JSON")
}

/// An alert about entities that events join: those that an engine makes.
fn told(mut alert: Alert) -> Alert {
    let joined = |kind: IdKind| EventType::ALL.into_iter().any(|of| slot_kinds(of).contains(&Some(kind)));
    if let Subject::Entity(kind, id) = alert.subject {
        alert.subject = Subject::Entity(if joined(kind) { kind } else { IdKind::User }, id);
    }
    alert.members.retain(|member| joined(member.kind));
    alert.version = alert.version.max(1);
    alert
}

/// Whether the schema names every member that the record has.
fn complete(name: &str, record: &Value) -> Result<(), String> {
    let schema = parsed(text_of(name).as_bytes());
    let named = |key: &String| schema["properties"].get(key).is_some();
    let unnamed: Vec<&String> = record.as_object().expect("an object").keys().filter(|key| !named(key)).collect();
    if unnamed.is_empty() { Ok(()) } else { Err(format!("{name} does not name {unnamed:?}")) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Planted: `fallback` left out of the statuses, `model` without null, a field of the struct that is not in the committed file; told.
    #[test]
    fn what_goes_out_is_what_the_schemas_say(output in crate::journal::examples::output(), raw in any::<Option<Vec<u8>>>()) {
        match output {
            Output::Decision(mut one) => {
                one.control_group = one.control_group.map(|share| share % (crate::decision::SHARE_ONE + 1));
                for (view, judge, name) in [(View::Public, &PUBLIC, "decision.json"), (View::Internal, &INTERNAL, "decision-internal.json")] {
                    let mut json = Vec::new();
                    decision(&one, view, &PolicyTexts::default(), &|_| None, &mut json);
                    prop_assert_eq!(judge.judge(&parsed(&json)), Ok(()));
                    prop_assert_eq!(complete(name, &parsed(&json)), Ok(()));
                }
            }
            Output::Alert(one) => {
                let (mut json, euro) = (Vec::new(), Currency::parse("EUR").expect("listed"));
                alert(&told(one), None, euro, &|_, cause| format!("rule {cause}"), &|_| None, &mut json);
                prop_assert_eq!(ALERT.judge(&parsed(&json)), Ok(()));
                prop_assert_eq!(complete("alert.json", &parsed(&json)), Ok(()));
            }
            Output::Rejected(one) => {
                let input = raw.map(|raw| RawInput { sequence: one.sequence, received: crate::event::Timestamp(0), detail: "so".into(), raw });
                let topic = Some("weir.events").filter(|_| one.origin.source % 2 == 0);
                let json = parsed(rejected_json(&one, input.as_ref(), "payments", topic, &|_| None).as_bytes());
                prop_assert_eq!(REJECTED.judge(&json), Ok(()));
                prop_assert_eq!(complete("rejected.json", &json), Ok(()));
            }
        }
    }

    #[test]
    fn lines_with_several_mistakes_are_refused_by_schema_and_parser_alike(
        kind in select(EventType::ALL.to_vec()),
        present in any::<u64>(),
        changes in prop::collection::vec((select(Field::ALL.to_vec()), prop::option::weighted(0.8, select(odd()))), 0..=3),
    ) {
        let mut line = good(kind, present);
        for (field, value) in changes {
            change(&mut line, field, value);
        }
        agree(&line);
    }
}

/// Every field of every type, beside all others and beside the needed ones alone. Planted: `user` of a payment not required, `mcc` a text
/// alone, `dwell_ms` without a maximum, the price's currency not asked for, a transfer without either side; told.
#[test]
fn an_event_is_refused_by_its_schema_where_the_parser_refuses_it() {
    for kind in EventType::ALL {
        for line in [good(kind, 0), good(kind, u64::MAX)] {
            for field in Field::ALL {
                for value in odd().into_iter().map(Some).chain([None]) {
                    let mut line = line.clone();
                    change(&mut line, field, value);
                    agree(&line);
                }
            }
        }
    }
}

/// Schema and parser say the same of this line.
fn agree(line: &Value) {
    // An account that pays itself nothing: no schema sees that.
    if line["from"] == line["to"] && line["from"].is_string() && line["amount"] == 0 {
        return;
    }
    let mut reading = Reading::new(IdKey::FILES, InputLimits::default().id_bytes_max);
    let found = parse_event(line.to_string().as_bytes(), &mut reading, &mut ());
    assert_eq!(EVENT.takes(line), found.is_ok(), "{line}\n{found:?}\n{:?}", EVENT.judge(line));
}

/// Texts and numbers at the edges of what fields take. Left out is what the schema says in words: how long a text of more than ASCII is, that
/// integers have no point, which three letters are a currency, which years there are, an account that pays itself nothing.
fn odd() -> Vec<Value> {
    let mut odd =
        vec![json!(null), json!(true), json!([]), json!({}), json!(["a"]), json!([1]), json!([""]), json!([{"item": "a", "n": 2}])];
    odd.extend([json!([{"id": "a"}]), json!([{"item": 1}]), json!(vec!["a"; 32]), json!(vec!["a"; 33]), json!({"item": "a"})]);
    odd.extend([1, 64, 65, 256, 257].map(|length| json!("x".repeat(length))));
    odd.extend(
        ["", "EUR", "eur", "SE", "se", "5411", "54111", "view", "captured", "fraud", "rule", "low", "payment", "Payment"].map(Value::from),
    );
    odd.extend(
        ["2025-01-31T12:00:00.123456Z", "2025-01-31T12:00:00+01:00", "2025-01-31T12:00:00", "2025-02-30T12:00:00Z"].map(Value::from),
    );
    odd.extend([-1i64, 0, 1, 9999, 10_000, 4_294_967_295, 4_294_967_296, 1_000_000_000_000, 1_000_000_000_001].map(Value::from));
    odd.extend([json!(0.5), json!(1.5), json!(-0.5), json!(u64::MAX), json!(1e300)]);
    odd
}

/// A line with the needed fields of its type, and of the others those that `present` has a bit for.
fn good(kind: EventType, present: u64) -> Value {
    let kinds = EVENT_SCHEMA["oneOf"].as_array().expect("a list");
    let required = &kinds.iter().find(|one| one["title"] == kind.name()).expect("every type")["required"];
    let required = required.as_array().expect("a list");
    let mut line = json!({});
    for field in Field::ALL.into_iter().filter(|field| required.contains(&json!(field.name())) || present >> *field as u8 & 1 != 0) {
        let value = match field {
            Field::Type => json!(kind.name()),
            Field::Time => json!("2025-01-31T12:00:00Z"),
            Field::Amount | Field::Price => json!(1250),
            Field::Currency => json!("SEK"),
            Field::Mcc => json!("5411"),
            Field::Country => json!("SE"),
            Field::Items => json!(["a", {"item": "b"}]),
            Field::Status => json!("refunded"),
            Field::Action => json!("dismiss"),
            Field::DwellMs => json!(1500),
            Field::Propensity => json!(0.25),
            Field::Label => json!("legitimate"),
            Field::Source => json!("analyst"),
            Field::KycRisk => json!("high"),
            Field::ConsentPersonalization => json!(false),
            field => json!(field.name()),
        };
        line[field.name()] = value;
    }
    line
}

/// Puts `value` into `field`, or takes the field away.
fn change(line: &mut Value, field: Field, value: Option<Value>) {
    let members = line.as_object_mut().expect("an object");
    match value {
        Some(value) => drop(members.insert(field.name().to_owned(), value)),
        None => drop(members.remove(field.name())),
    }
}
