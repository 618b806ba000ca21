//! The JSON Schemas of what is rendered here, from the very structs that are serialized.

use super::alert::WireAlert;
use super::evidence::Role;
use super::{View, WireDecision};
use crate::decision::{Outcome, Part, ReasonCode, Status};
use crate::engine::AlertStatus;
use crate::event::{EventType, IdKind, slot_kinds};
use crate::typology::{Kind, Typology};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// Stands as `$comment` beside a list of words that may grow: readers take one that they do not know.
pub(crate) const OPEN: &str = "open: words may be added";

/// The form of a content hash.
pub(super) const HASH: &str = "^[0-9a-f]{32}$";

/// What stands in `outcome`.
pub(super) fn outcomes() -> [&'static str; 4] {
    Outcome::ALL.map(Outcome::name)
}

/// What stands in a decision's `status`.
pub(super) fn statuses() -> [&'static str; 3] {
    Status::ALL.map(Status::name)
}

/// The codes of reasons that this view shows.
pub(super) fn codes(view: View) -> Vec<&'static str> {
    ReasonCode::ALL.into_iter().filter(|code| view.shows(code.audience())).map(ReasonCode::name).collect()
}

/// What stands in `used`: the judgement as a whole, and what a stream has not brought yet, are only ever skipped.
pub(super) fn used() -> Value {
    let names: Vec<&str> = Part::ALL.into_iter().filter(|part| !matches!(part, Part::Judgement | Part::Stream)).map(Part::name).collect();
    json!({ "type": "string", "enum": names, "$comment": OPEN })
}

/// What a skipped part is called.
pub(super) fn skipped() -> Value {
    let names: Vec<&str> = Part::ALL.into_iter().filter(|part| *part != Part::Window).map(Part::name).collect();
    let window = format!("^{}_-?[0-9]+(d|h|m|s|ms|us)$", Part::Window.name());
    json!([{ "enum": names, "$comment": OPEN }, { "pattern": window }])
}

/// What stands in an alert's `status`.
pub(super) fn alert_statuses() -> [&'static str; 4] {
    AlertStatus::ALL.map(AlertStatus::name)
}

/// What stands in an alert's `kind`.
pub(super) fn kinds() -> [&'static str; 2] {
    Kind::ALL.map(Kind::name)
}

/// The patterns that alerts may tell of.
pub(super) fn typologies() -> Vec<&'static str> {
    Typology::ALL.into_iter().map(Typology::name).collect()
}

/// The parts of members in a scheme.
pub(super) fn roles() -> [&'static str; 3] {
    Role::ALL.map(Role::name)
}

/// The kinds of entities that events join, and what else an alert may be about.
pub(super) fn entities() -> Vec<&'static str> {
    let joined = |kind: &IdKind| EventType::ALL.into_iter().any(|of| slot_kinds(of).contains(&Some(*kind)));
    IdKind::ALL.into_iter().filter(joined).map(IdKind::name).chain(["cause"]).collect()
}

/// The schema of a decision in this view, in which reasons that it does not show are no words at all.
pub(crate) fn decision(view: View) -> Schema {
    let mut schema = of::<WireDecision>();
    let place = schema.pointer_mut("/properties/reasons/items/properties/code/enum").expect("reasons have codes");
    *place = json!(codes(view));
    schema
}

/// The schema of a version of an alert.
pub(crate) fn alert() -> Schema {
    of::<WireAlert>()
}

fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}
