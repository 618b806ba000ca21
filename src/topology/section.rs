//! Reading a table key by key: what was asked for is known, what is left over is a mistake.

use super::document::{Log, Node, Table, Value, join};
use super::quantity::parse_duration;
use crate::event::Duration;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

static EMPTY: Table = Table::new();

/// A table being read. Its getters note mistakes in the log and then give a stand-in, so that reading goes on and all mistakes are found;
/// the stand-ins never leave the module, because a log with a mistake gives no topology.
pub(super) struct Section<'d> {
    pub path: String,
    pub log: &'d Log,
    table: &'d Table,
    asked: RefCell<BTreeSet<String>>,
    /// The table itself is missing, which was said: its keys are not named one by one.
    absent: bool,
}

/// A value being read.
pub(super) struct Item<'d> {
    pub path: String,
    pub log: &'d Log,
    /// Index of the layer that wrote it.
    pub layer: usize,
    pub value: &'d Value,
}

impl<'d> Section<'d> {
    /// The whole document.
    pub fn root(table: &'d Table, log: &'d Log) -> Section<'d> {
        Section { path: String::new(), log, table, asked: RefCell::default(), absent: false }
    }

    /// The dotted path of `key` in this table.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Notes a mistake at `key`.
    pub fn error(&self, key: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) {
        if !self.absent {
            self.log.error(&self.path_of(key), found, expected);
        }
    }

    /// Whether nothing was wrong in this table so far.
    pub fn is_sound(&self) -> bool {
        !self.absent && self.log.sound(&[&self.path])
    }

    /// The value of `key`, if it is there.
    pub fn find(&self, key: &str) -> Option<Item<'d>> {
        self.asked.borrow_mut().insert(key.to_string());
        let node: &'d Node = self.table.get(key)?;
        Some(Item { path: self.path_of(key), log: self.log, layer: node.layer, value: &node.value })
    }

    /// The value of `key`; its absence is a mistake.
    pub fn need(&self, key: &str, expected: impl std::fmt::Display) -> Option<Item<'d>> {
        let found = self.find(key);
        if found.is_none() {
            self.error(key, "nothing", expected);
        }
        found
    }

    /// The table at `key`, if it is there.
    pub fn find_section(&self, key: &str) -> Option<Section<'d>> {
        let item = self.find(key)?;
        Some(item.section())
    }

    /// The table at `key`; its absence is a mistake.
    pub fn section(&self, key: &str) -> Section<'d> {
        self.need(key, "a table").map_or_else(|| self.missing(key), |item| item.section())
    }

    fn missing(&self, key: &str) -> Section<'d> {
        Section { path: self.path_of(key), log: self.log, table: &EMPTY, asked: RefCell::default(), absent: true }
    }

    /// A whole number within `range`.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> i64 {
        let stand_in = *range.start();
        let item = self.need(key, whole_number(&range));
        item.and_then(|item| item.integer(&range)).unwrap_or(stand_in)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> bool {
        self.need(key, "true or false").and_then(|item| item.boolean()).unwrap_or_default()
    }

    /// A length of time within `range`.
    pub fn duration(&self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let item = self.need(key, length_of_time(&range));
        item.and_then(|item| item.duration(&range)).unwrap_or(*range.start())
    }

    /// A length of time within `range`, where there is one.
    pub fn find_duration(&self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.find(key)?.duration(&range)
    }

    /// A text of 1 to `bytes_max` bytes, described by `expected`.
    pub fn text(&self, key: &str, expected: &str, bytes_max: usize) -> String {
        let item = self.need(key, expected);
        item.and_then(|item| item.text(expected, bytes_max)).unwrap_or_default().to_string()
    }

    /// One of `words`, which are not empty; their meanings stand beside them.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> T {
        let item = self.need(key, one_of(words.iter().map(|(word, _)| *word)));
        item.and_then(|item| item.word(words)).unwrap_or(words[0].1)
    }

    /// The values of a list; empty where there is none.
    pub fn list(&self, key: &str) -> Vec<Item<'d>> {
        self.find(key).map(|item| item.list()).unwrap_or_default()
    }

    /// All entries, sorted by key, for tables whose keys are free.
    pub fn items(&self) -> Vec<(&'d str, Item<'d>)> {
        self.table.keys().filter_map(|key| Some((key.as_str(), self.find(key)?))).collect()
    }

    /// All named tables that are not switched `off`, sorted by name, which consists of lower-case letters, digits and `_`.
    pub fn named(&self) -> Vec<(&'d str, Section<'d>)> {
        let mut named = Vec::new();
        for (name, item) in self.items() {
            let head = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
            if !head || name.len() > 48 || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                self.error(name, "a name of other signs", "at most 48 lower-case letters, digits and _, a letter first");
                continue;
            }
            let section = item.section();
            let off = section.find("off").and_then(|item| item.boolean()).unwrap_or(false);
            if off && section.table.len() == 1 {
                let others = self.table.keys().map(String::as_str).filter(|other| *other != name);
                let hint = suggestion(name, others);
                self.error(name, format!("nothing of this name to switch off{hint}"), "the name of an entry of an earlier layer");
            }
            if !off {
                named.push((name, section));
            }
        }
        named
    }

    /// Whether `key` is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes every key that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(*key)) {
            let hint = suggestion(key, asked.iter().map(String::as_str));
            let known = asked.iter().map(String::as_str).filter(|known| *known != "off");
            self.log.error(&self.path_of(key), format!("an unknown key{hint}"), one_of(known));
        }
    }
}

impl<'d> Item<'d> {
    /// Notes that this value is not `expected`.
    pub fn error(&self, expected: impl std::fmt::Display) {
        self.log.error(&self.path, self.value.describe(), expected);
    }

    fn section(&self) -> Section<'d> {
        let path = self.path.clone();
        match self.value {
            Value::Table(table) => Section { path, log: self.log, table, asked: RefCell::default(), absent: false },
            _ => {
                self.error("a table");
                Section { path, log: self.log, table: &EMPTY, asked: RefCell::default(), absent: true }
            }
        }
    }

    /// The table that this value is, if it is one.
    pub fn table(&self) -> Option<Section<'d>> {
        matches!(self.value, Value::Table(_)).then(|| self.section())
    }

    /// The digits of a number, also of one written as a text.
    pub fn number(&self) -> Option<&'d str> {
        match self.value {
            Value::Number(text) | Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: &RangeInclusive<i64>) -> Option<i64> {
        let number = match self.value {
            Value::Number(text) => text.parse::<i64>().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.error(whole_number(range));
        }
        number
    }

    /// A length of time within `range`.
    pub fn duration(&self, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let length = match self.value {
            Value::Text(text) => parse_duration(text).filter(|length| range.contains(length)),
            _ => None,
        };
        if length.is_none() {
            self.error(length_of_time(range));
        }
        length
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        if let Value::Boolean(value) = self.value {
            return Some(*value);
        }
        self.error("true or false");
        None
    }

    /// A text of 1 to `bytes_max` bytes.
    pub fn text(&self, expected: &str, bytes_max: usize) -> Option<&'d str> {
        match self.value {
            Value::Text(text) if text.is_empty() => self.error(expected),
            Value::Text(text) if text.len() > bytes_max => {
                self.log.error(&self.path, format!("{} bytes", text.len()), format!("{expected} of at most {bytes_max} bytes"));
            }
            Value::Text(text) => return Some(text),
            _ => self.error(expected),
        }
        None
    }

    /// The meaning of one of `words`.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(word, _)| *word);
        let Value::Text(text) = self.value else {
            self.error(one_of(names()));
            return None;
        };
        let meaning = words.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            self.log.error(&self.path, format!("{}{}", self.value.describe(), suggestion(text, names())), one_of(names()));
        }
        meaning
    }

    /// The values of a list.
    pub fn list(&self) -> Vec<Item<'d>> {
        let Value::List(nodes) = self.value else {
            self.error("a list");
            return Vec::new();
        };
        let item = |(index, node): (usize, &'d Node)| {
            let path = format!("{}[{index}]", self.path);
            Item { path, log: self.log, layer: node.layer, value: &node.value }
        };
        nodes.iter().enumerate().map(item).collect()
    }
}

fn whole_number(range: &RangeInclusive<i64>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

fn length_of_time(range: &RangeInclusive<Duration>) -> String {
    format!("a length of time such as \"90s\" or \"7d\", from \"{}\" to \"{}\"", range.start(), range.end())
}

/// `a, b or c`.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.as_slice() {
        [] => "nothing".to_string(),
        [only] => (*only).to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// ` (did you mean x?)` where one of `known` is close to `word`, else nothing.
pub(super) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if word.len() > 64 {
        return String::new();
    }
    let near = known.into_iter().map(|candidate| (distance(word, candidate), candidate)).min();
    match near {
        Some((steps, candidate)) if steps <= (candidate.len() / 3).clamp(1, 3) => format!(" (did you mean {candidate}?)"),
        _ => String::new(),
    }
}

/// Signs to insert, delete, replace or swap with their neighbour on the way from `a` to `b` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let known = ["nodes_max", "ids_max", "batch_events_max"];
        assert_eq!(suggestion("node_max", known), " (did you mean nodes_max?)");
        assert_eq!(suggestion("ndoes_max", known), " (did you mean nodes_max?)");
        assert_eq!(suggestion("threads", known), "");
        assert_eq!(suggestion("", []), "");
    }

    #[test]
    fn distances_count_single_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("same", "same"), 0);
    }
}
