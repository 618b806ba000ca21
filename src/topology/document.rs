//! A topology's text as a tree in which every value knows its file and line; layers laid one over another; the list of errors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use toml::de::{DeTable, DeValue};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer's file as it was named.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// One mistake in a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub file: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// The dotted path of the key; empty where the text is not even TOML.
    pub key: String,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All mistakes of a topology, by layer and line; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    /// One line a mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// A table's entries, sorted by key.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where its key stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Index of the layer.
    pub layer: usize,
    pub line: u32,
    pub value: Value,
}

/// A TOML value. Numbers stay text: a rate must not pass through a float.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// As written, without underscores; integers of another base in decimal.
    Number(String),
    Boolean(bool),
    /// A date, a time or both, in RFC 3339's form.
    Moment(String),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// The value as a message quotes it.
    pub fn describe(&self) -> String {
        match self {
            Value::Text(text) if text.chars().count() > 60 => {
                let start: String = text.chars().take(57).collect();
                format!("{:?}", start + "...")
            }
            Value::Text(text) => format!("{text:?}"),
            Value::Number(text) | Value::Moment(text) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::List(_) => "a list".to_string(),
            Value::Table(_) => "a table".to_string(),
        }
    }

    /// A scalar as a table's cell would be written; `None` for lists and tables.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Value::Text(text) | Value::Number(text) | Value::Moment(text) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            Value::List(_) | Value::Table(_) => None,
        }
    }
}

/// The layers of a topology laid over one another.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub root: Table,
    /// The layers' names.
    pub files: Vec<String>,
}

impl Document {
    /// Lays `text` over what is there: tables are merged key by key, everything else is replaced. Syntax errors are all returned.
    pub fn lay(&mut self, name: &str, text: &str) -> Result<(), Vec<Error>> {
        let layer = self.files.len();
        self.files.push(name.to_string());
        let lines = Lines::of(text);
        let (parsed, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().map(|error| syntax_error(name, &lines, error)).collect());
        }
        let table = convert_table(parsed.into_inner(), layer, &lines);
        if reporting(&table).is_some_and(|new| reporting(&self.root).is_some_and(|old| old != new)) {
            // Rates lead to the reporting currency: those of an earlier layer mean nothing towards another one.
            if let Some(Node { value: Value::Table(money), .. }) = self.root.get_mut("money") {
                money.remove("rates");
            }
        }
        merge(&mut self.root, table);
        Ok(())
    }

    /// The places of all keys, by dotted path.
    pub fn places(&self) -> BTreeMap<String, (usize, u32)> {
        let mut places = BTreeMap::new();
        collect_places("", &self.root, &mut places);
        places
    }
}

fn reporting(table: &Table) -> Option<&str> {
    let Value::Table(money) = &table.get("money")?.value else { return None };
    match &money.get("reporting")?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn merge(base: &mut Table, layer: Table) {
    for (key, node) in layer {
        match (base.get_mut(&key), node) {
            (Some(Node { layer, line, value: Value::Table(kept) }), Node { layer: by, line: at, value: Value::Table(new) }) => {
                (*layer, *line) = (by, at);
                merge(kept, new);
            }
            (_, node) => {
                base.insert(key, node);
            }
        }
    }
}

fn collect_places(path: &str, table: &Table, places: &mut BTreeMap<String, (usize, u32)>) {
    for (key, node) in table {
        let path = join(path, key);
        places.insert(path.clone(), (node.layer, node.line));
        match &node.value {
            Value::Table(table) => collect_places(&path, table, places),
            Value::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    places.insert(format!("{path}[{index}]"), (node.layer, node.line));
                }
            }
            _ => {}
        }
    }
}

/// `path.key`, with quotes around a key that TOML would want quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path, bare) {
        ("", true) => key.to_string(),
        ("", false) => format!("{key:?}"),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}.{key:?}"),
    }
}

fn convert_table(table: DeTable<'_>, layer: usize, lines: &Lines) -> Table {
    let convert = |(key, value): (toml::Spanned<toml::de::DeString<'_>>, toml::Spanned<DeValue<'_>>)| {
        let line = lines.at(key.span().start);
        (key.into_inner().into_owned(), Node { layer, line, value: convert_value(value.into_inner(), layer, lines) })
    };
    table.into_iter().map(convert).collect()
}

fn convert_value(value: DeValue<'_>, layer: usize, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) if integer.radix() == 10 => Value::Number(integer.as_str().to_string()),
        DeValue::Integer(integer) => {
            let decimal = u128::from_str_radix(integer.as_str(), integer.radix());
            Value::Number(decimal.map_or_else(|_| integer.to_string(), |value| value.to_string()))
        }
        DeValue::Float(float) => Value::Number(float.as_str().to_string()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(moment) => Value::Moment(moment.to_string()),
        DeValue::Array(array) => Value::List(
            array
                .into_iter()
                .map(|value| {
                    let line = lines.at(value.span().start);
                    Node { layer, line, value: convert_value(value.into_inner(), layer, lines) }
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, layer, lines)),
    }
}

fn syntax_error(name: &str, lines: &Lines, error: &toml::de::Error) -> Error {
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    Error {
        file: name.to_string(),
        line: error.span().map_or(1, |span| lines.at(span.start)),
        key: String::new(),
        message: format!("found text that is not TOML, expected a key and its value: {message}"),
    }
}

/// Where lines begin in a text.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line, from 1, that holds the byte at `offset`.
    fn at(&self, offset: usize) -> u32 {
        self.0.partition_point(|start| *start <= offset) as u32
    }
}

/// Collects mistakes while a document is read.
pub(super) struct Log {
    files: Vec<String>,
    places: BTreeMap<String, (usize, u32)>,
    /// Sorted when taken.
    errors: RefCell<Vec<(usize, Error)>>,
}

impl Log {
    pub fn new(document: &Document) -> Log {
        Log { files: document.files.clone(), places: document.places(), errors: RefCell::default() }
    }

    /// Notes that `found` stands at `key` where `expected` should; where the key itself is absent, at the table that lacks it.
    pub fn error(&self, key: &str, found: impl fmt::Display, expected: impl fmt::Display) {
        let (layer, line) = self.nearest(key);
        let file = self.files.get(layer).cloned().unwrap_or_default();
        let error = Error { file, line, key: key.to_string(), message: format!("found {found}, expected {expected}") };
        self.errors.borrow_mut().push((layer, error));
    }

    /// Where `key` stands, as a message points to it.
    pub fn place(&self, key: &str) -> String {
        let (layer, line) = self.nearest(key);
        format!("{}:{line}", self.files.get(layer).map_or("", String::as_str))
    }

    fn nearest(&self, key: &str) -> (usize, u32) {
        let mut path = key;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                // The whole document: its newest layer.
                None => return (self.files.len().saturating_sub(1), 1),
            }
        }
    }

    /// Whether no mistake was found at or below any of `keys`: only then can a relation between them be judged.
    pub fn sound(&self, keys: &[&str]) -> bool {
        let below = |error: &str, key: &str| {
            error.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
        };
        !self.errors.borrow().iter().any(|(_, error)| keys.iter().any(|key| below(&error.key, key)))
    }

    /// The mistakes by layer and line, or the places of all keys if there are none.
    pub fn finish(self) -> Result<BTreeMap<String, Place>, Errors> {
        let mut errors = self.errors.into_inner();
        if errors.is_empty() {
            let file = |layer: usize| self.files[layer].clone();
            return Ok(self.places.into_iter().map(|(key, (layer, line))| (key, Place { file: file(layer), line })).collect());
        }
        errors.sort_by(|(a, left), (b, right)| (a, left.line, &left.key).cmp(&(b, right.line, &right.key)));
        Err(Errors(errors.into_iter().map(|(_, error)| error).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(texts: &[&str]) -> Document {
        let mut document = Document::default();
        for (index, text) in texts.iter().enumerate() {
            document.lay(&format!("{index}.toml"), text).unwrap();
        }
        document
    }

    #[test]
    fn tables_are_merged_and_the_rest_is_replaced() {
        let document = lay(&["[a]\nx = 1\ny = [1, 2]\n[a.b]\nz = 3\n", "\n[a]\ny = [7]\nb.w = 4\n"]);
        let places = document.places();
        assert_eq!(places["a.x"], (0, 2));
        assert_eq!(places["a.y"], (1, 3));
        assert_eq!(places["a.y[0]"], (1, 3));
        assert!(!places.contains_key("a.y[1]"), "a list is replaced as a whole");
        assert_eq!(places["a.b.z"], (0, 5));
        assert_eq!(places["a.b.w"], (1, 4));
    }

    #[test]
    fn rates_of_another_reporting_currency_are_dropped() {
        let document =
            lay(&["[money]\nreporting = \"EUR\"\n[money.rates]\nSEK = 0.09\n", "[money]\nreporting = \"SEK\"\nrates.EUR = 11\n"]);
        let places = document.places();
        assert!(!places.contains_key("money.rates.SEK"));
        assert!(places.contains_key("money.rates.EUR"));
    }

    #[test]
    fn syntax_errors_come_all_at_once_with_their_lines() {
        let errors = Document::default().lay("t.toml", "a = 1\nb = = 2\nc = 3\nd = \"open\n").unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|error| error.line).collect();
        assert!(lines.contains(&2) && lines.contains(&4), "{errors:?}");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let document = lay(&["a = 0.1000000000000000000000001\nb = 1_000\nc = 0xff\n"]);
        let text = |key: &str| document.root[key].value.describe();
        assert_eq!(text("a"), "0.1000000000000000000000001");
        assert_eq!(text("b"), "1000");
        assert_eq!(text("c"), "255");
    }
}
