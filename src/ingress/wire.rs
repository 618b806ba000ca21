//! JSON ↔ event: one object, unknown fields ignored, an unknown `type` refused.
//!
//! [`Line`] is the raw form of an event, a value for each [`Field`] by its number, so that the names of the fields stand in one place
//! for reading, for writing and for mappings. Texts are borrowed from the input where it has no escapes.

use super::contract::{Fault, Fields, Reading, Texts, quoted};
use super::moment::parse_rfc_3339;
use crate::event::{Event, EventType, Field, ITEMS_MAX, Refusal, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::fmt;

/// What stands behind one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// Item ids; of a longer list the first `ITEMS_MAX + 1`.
    Items(Vec<Cow<'a, str>>),
    /// What no field takes, named for a message; never written.
    Other(&'static str),
}

const FIELDS: usize = Field::ALL.len();

/// The raw form of an event line: texts, not hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    values: [Option<Value<'a>>; FIELDS],
    /// A field that came twice.
    doubled: Option<Field>,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Line { values: [const { None }; FIELDS], doubled: None }
    }
}

impl<'a> Line<'a> {
    /// The line of an event of type `kind` with id `id` at `time`; the other fields follow with the setters.
    pub fn new(kind: EventType, id: impl Into<Cow<'a, str>>, time: Timestamp) -> Line<'a> {
        Line::default().text(Field::Type, kind.name()).text(Field::Id, id).text(Field::Time, time.to_string())
    }

    /// Sets a field that holds a text.
    pub fn text(mut self, field: Field, text: impl Into<Cow<'a, str>>) -> Line<'a> {
        self.set(field, Value::Text(text.into()));
        self
    }

    /// Sets a field that holds an integer: amounts, `mcc`, `dwell_ms`.
    pub fn integer(mut self, field: Field, value: i64) -> Line<'a> {
        self.set(field, Value::Integer(value));
        self
    }

    /// Sets `field` to `value`, in place.
    pub fn set(&mut self, field: Field, value: Value<'a>) {
        self.values[field as usize] = Some(value);
    }

    /// The value of `field`.
    pub fn get(&self, field: Field) -> Option<&Value<'a>> {
        self.values[field as usize].as_ref()
    }

    /// Reads a line of JSON.
    ///
    /// # Errors
    /// `malformed` where it is no JSON object.
    pub fn parse(json: &'a [u8]) -> Result<Line<'a>, Fault> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let read = deserializer.deserialize_map(LineVisitor).and_then(|line| deserializer.end().map(|()| line));
        read.map_err(|error| Fault::whole(Refusal::Malformed, format!("found no JSON object: {error}")))
    }

    /// Appends the line as JSON with its line feed.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("a vector takes every byte and a line has no key but texts");
        out.push(b'\n');
    }

    /// The event that the line describes.
    ///
    /// # Errors
    /// What is missing, wrong, too long or contradictory, in the order of the contract's fields; a field that stood twice first.
    pub fn event<T: Texts + ?Sized>(&self, reading: &mut Reading, texts: &mut T) -> Result<Event, Fault> {
        if let Some(field) = self.doubled {
            return Err(Fault::of(Refusal::Contradictory, field, "found it twice, expected it once"));
        }
        let expected = || {
            let names: Vec<&str> = EventType::ALL.iter().map(|kind| kind.name()).collect();
            names.join(", ")
        };
        let kind = match self.get(Field::Type) {
            Some(Value::Text(name)) => EventType::parse(name).ok_or_else(|| {
                Fault::of(Refusal::UnknownType, Field::Type, format_args!("found {}, expected one of {}", quoted(name), expected()))
            })?,
            None => return Err(Fault::of(Refusal::Missing, Field::Type, format_args!("found nothing, expected one of {}", expected()))),
            Some(other) => return Err(Fault::invalid(Field::Type, other, "a text")),
        };
        reading.event(kind, self, texts)
    }
}

/// Reads an event from a line of JSON.
///
/// # Errors
/// As [`Line::parse`] and [`Line::event`].
pub fn parse_event<T: Texts + ?Sized>(json: &[u8], reading: &mut Reading, texts: &mut T) -> Result<Event, Fault> {
    Line::parse(json)?.event(reading, texts)
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Items(_) => f.write_str("a list"),
            Value::Other(what) => f.write_str(what),
        }
    }
}

impl Fields for Line<'_> {
    fn text<'a>(&'a self, field: Field, room: &'a mut String) -> Result<Option<&'a str>, Fault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            // A category code is a number to some and a text to others.
            Some(Value::Integer(value)) if field == Field::Mcc => {
                use fmt::Write;
                room.clear();
                write!(room, "{value}").expect("a string takes every text");
                Ok(Some(room))
            }
            Some(other) => Err(Fault::invalid(field, other, "a text")),
        }
    }

    fn integer(&self, field: Field) -> Result<Option<i64>, Fault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(*value)),
            Some(other) if matches!(field, Field::Amount | Field::Price) => Err(Fault::invalid(field, other, "an integer of minor units")),
            Some(other) => Err(Fault::invalid(field, other, "an integer")),
        }
    }

    fn number(&self, field: Field) -> Result<Option<f64>, Fault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(*value as f64)),
            Some(Value::Number(value)) => Ok(Some(*value)),
            Some(other) => Err(Fault::invalid(field, other, "a number")),
        }
    }

    fn boolean(&self, field: Field) -> Result<Option<bool>, Fault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(*value)),
            Some(other) => Err(Fault::invalid(field, other, "true or false")),
        }
    }

    fn time(&self) -> Result<Option<Timestamp>, Fault> {
        match self.get(Field::Time) {
            None => Ok(None),
            Some(Value::Text(text)) => match parse_rfc_3339(text) {
                Some(time) => Ok(Some(time)),
                None => Err(Fault::invalid(Field::Time, quoted(text), "RFC 3339 with an offset, as 2025-01-31T12:00:00Z")),
            },
            Some(other) => Err(Fault::invalid(Field::Time, other, "a text in RFC 3339")),
        }
    }

    fn items(&self) -> Result<usize, Fault> {
        match self.get(Field::Items) {
            None => Ok(0),
            Some(Value::Items(items)) => Ok(items.len()),
            Some(other) => Err(Fault::invalid(Field::Items, other, "a list of item ids")),
        }
    }

    fn item<'a>(&'a self, place: usize, _: &'a mut String) -> Result<&'a str, Fault> {
        match self.get(Field::Items) {
            Some(Value::Items(items)) => Ok(&items[place]),
            _ => unreachable!("asked for an item of a line that counted none"),
        }
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in Field::ALL {
            match self.get(field) {
                None | Some(Value::Other(_)) => {}
                Some(Value::Text(text)) => map.serialize_entry(field.name(), text)?,
                Some(Value::Integer(value)) => map.serialize_entry(field.name(), value)?,
                Some(Value::Number(value)) => map.serialize_entry(field.name(), value)?,
                Some(Value::Boolean(value)) => map.serialize_entry(field.name(), value)?,
                Some(Value::Items(items)) => map.serialize_entry(field.name(), items)?,
            }
        }
        map.end()
    }
}

impl<'de> serde::Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
        let mut line = Line::default();
        let mut seen = 0u64;
        while let Some(key) = map.next_key_seed(FieldSeed)? {
            let Some(field) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(ValueSeed(field))?;
            let bit = 1 << field as u8;
            if seen & bit != 0 {
                line.doubled.get_or_insert(field);
            }
            seen |= bit;
            line.values[field as usize] = value;
        }
        Ok(line)
    }
}

struct FieldSeed;

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Field>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(Field::parse(name))
    }
}

/// Reads the value of one field; `None` for null, which is the same as absent.
struct ValueSeed(Field);

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        // Beyond i64 no field has a value; the message still shows how large it was.
        Ok(Some(i64::try_from(value).map_or(Value::Number(value as f64), Value::Integer)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::Number(value)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Boolean(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        let mut fits = self.0 == Field::Items;
        while fits && items.len() <= ITEMS_MAX {
            match list.next_element_seed(ItemSeed)? {
                None => return Ok(Some(Value::Items(items))),
                Some(Some(item)) => items.push(item),
                Some(None) => fits = false,
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(match (self.0, fits) {
            (Field::Items, true) => Value::Items(items),
            (Field::Items, false) => Value::Other("an entry that is neither a text nor an object with item"),
            _ => Value::Other("a list"),
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Value::Other("an object")))
    }
}

/// Reads one entry of `items`: an id, or an object whose `item` is one.
struct ItemSeed;

impl<'de> DeserializeSeed<'de> for ItemSeed {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_any(ItemVisitor)? {
            Some(Value::Text(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }
}

/// As [`ValueSeed`], but only for a text or an object that gives the value of its `item`.
struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item's id, or an object with item")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        ValueSeed(Field::Item).visit_borrowed_str(text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        ValueSeed(Field::Item).visit_str(text)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        ValueSeed(Field::Item).visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut item = None;
        let mut count = 0;
        while let Some(field) = map.next_key_seed(FieldSeed)? {
            if field == Some(Field::Item) {
                item = map.next_value_seed(ValueSeed(Field::Item))?;
                count += 1;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        // An object that names two items names none.
        Ok(item.filter(|_| count == 1))
    }
}
