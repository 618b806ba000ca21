//! Whether a schema keeps what an earlier one promised.

use crate::render::schema::OPEN;
use serde_json::{Map, Value, json};

/// To whom something was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Whoever reads what is written: it stays as it was said to be.
    ToReaders,
    /// Whoever sends what is read: what was taken is taken.
    ToSenders,
}

/// What of the promise that `old` was, `new` breaks: a line each, none where it keeps everything. What cannot be compared counts as broken.
pub(super) fn broken(promise: Promise, old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let (from, to) = in_order(promise, old, new);
    within(promise, from, to, "", &mut lines);
    lines
}

/// Every record of the first must be one of the second.
fn in_order<'a>(promise: Promise, old: &'a Value, new: &'a Value) -> (&'a Value, &'a Value) {
    match promise {
        Promise::ToReaders => (new, old),
        Promise::ToSenders => (old, new),
    }
}

/// Tells where a record of `from` may be none of `to`, as far as the keywords that our schemas use say.
fn within(promise: Promise, from: &Value, to: &Value, place: &str, lines: &mut Vec<String>) {
    let (Some(from), Some(to)) = (from.as_object(), to.as_object()) else {
        lines.push(format!("{place}: {from} beside {to}, expected schemas"));
        return;
    };
    for (keyword, bound) in to {
        let mut tell = |what: String| lines.push(format!("{place}/{keyword}: {what}"));
        let own = from.get(keyword);
        match keyword.as_str() {
            "$schema" | "$id" | "$comment" | "title" | "description" => {}
            "type" => {
                let (own, taken) = (types(from), types(to));
                if own.is_empty() || own.iter().any(|one| !takes(&taken, one)) {
                    tell(format!("{own:?} is more than {taken:?}"));
                }
            }
            "enum" | "const" => {
                let open = promise == Promise::ToReaders && to.get("$comment") == Some(&json!(OPEN)) && from.contains_key("enum");
                let (own, taken) = (values(from), values(to));
                if own.is_empty() || !open && own.iter().any(|one| !taken.contains(one)) {
                    tell(format!("{own:?} is more than {taken:?}"));
                }
            }
            "required" => {
                let own = own.and_then(Value::as_array);
                for name in bound.as_array().into_iter().flatten().filter(|name| own.is_none_or(|own| !own.contains(name))) {
                    tell(format!("{name} may be absent"));
                }
            }
            "properties" => properties(promise, from, to, place, lines),
            "items" | "additionalProperties" => match own {
                Some(own) => within(promise, own, bound, &format!("{place}/{keyword}"), lines),
                None => tell("anything may stand there".to_owned()),
            },
            "minimum" | "exclusiveMinimum" | "minLength" | "maximum" | "maxLength" | "maxItems" => {
                let (own, bound) = (own.and_then(Value::as_f64), bound.as_f64().expect("a number"));
                let least = keyword.to_lowercase().contains("min");
                if own.is_none_or(|own| if least { own < bound } else { own > bound }) {
                    tell(format!("{own:?} is beyond {bound}"));
                }
            }
            "oneOf" | "anyOf" => {
                let taken = bound.as_array().expect("a list");
                let Some(own) = own.and_then(Value::as_array) else {
                    tell("is none of these".to_owned());
                    continue;
                };
                for (at, one) in own.iter().enumerate() {
                    let place = format!("{place}/{keyword}/{at}");
                    let told = taken.iter().map(|other| {
                        let mut told = Vec::new();
                        within(promise, one, other, &place, &mut told);
                        told
                    });
                    lines.extend(told.min_by_key(Vec::len).unwrap_or_default());
                }
            }
            // What must fit several at once, patterns and formats have no order.
            _ if own == Some(bound) => {}
            _ => tell(format!("{own:?} beside {bound}, expected the same")),
        }
    }
}

fn properties(promise: Promise, from: &Map<String, Value>, to: &Map<String, Value>, place: &str, lines: &mut Vec<String>) {
    let none = Map::new();
    let of = |schema: &'_ Map<String, Value>| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_else(|| none.clone());
    let (from, to) = (of(from), of(to));
    let (old, new) = match promise {
        Promise::ToReaders => (&to, &from),
        Promise::ToSenders => (&from, &to),
    };
    for name in old.keys() {
        let place = format!("{place}/properties/{name}");
        match new.get(name) {
            None => lines.push(format!("{place}: removed")),
            Some(_) => within(promise, &from[name], &to[name], &place, lines),
        }
    }
}

/// Every integer is a number.
fn takes(types: &[&str], one: &str) -> bool {
    types.contains(&one) || one == "integer" && types.contains(&"number")
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(one) => one.as_str().into_iter().collect(),
        None => Vec::new(),
    }
}

/// Those of `enum`, or of `const`.
fn values(schema: &Map<String, Value>) -> Vec<&Value> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.iter().collect(),
        (_, one) => one.into_iter().collect(),
    }
}
