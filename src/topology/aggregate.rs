//! `[aggregate.NAME]`: what is counted.

use super::quantity::DURATION_MAX;
use super::section::{Item, Section, one_of, suggestion};
use crate::event::{Duration, EventType};
use crate::velocity::{Aggregate, LABEL_WINDOWS_MAX, Role, Stat, WINDOWS_MAX};

/// The event types that leave a row in a ring.
const ROW_TYPES: [EventType; 4] = [EventType::Payment, EventType::Transfer, EventType::Session, EventType::Interaction];

/// The longest text of a rule.
pub(super) const RULE_BYTES_MAX: usize = 4096;

/// Reads all `[aggregate.NAME]`, sorted by name.
pub(super) fn read(section: &Section) -> Vec<Aggregate> {
    section.named().into_iter().map(|(name, section)| read_one(name, &section)).collect()
}

fn read_one(name: &str, section: &Section) -> Aggregate {
    let of = section.word("of", &ROW_TYPES.map(|of| (of.name(), of)));
    let roles: Vec<(&str, Role)> = Role::names(of).iter().enumerate().map(|(slot, name)| (*name, Role(slot as u8))).collect();
    // Which roles there are depends on the type: without a type, any role may be right.
    let key = match section.log.sound(&[&section.path_of("of")]) {
        true => section.word("key", &roles),
        false => section.find("key").map_or(Role(0), |_| Role(0)),
    };
    let filter = section.find("where").and_then(|item| item.text("a condition", RULE_BYTES_MAX)).map(str::to_string);
    let windows = read_windows(section, "windows", WINDOWS_MAX);
    let label_windows = read_windows(section, "label_windows", LABEL_WINDOWS_MAX);
    let mut stats = Vec::new();
    for item in section.list("stats") {
        match read_stat(&item, of, key, section) {
            Some(stat) if stats.contains(&stat) => {
                item.log.error(&item.path, format!("{} twice", item.value.describe()), "each figure once")
            }
            Some(stat) => stats.push(stat),
            None => {}
        }
    }
    stats.sort();
    let aggregate = Aggregate { name: name.to_string(), key, of, filter, windows, stats, label_windows };
    if section.is_sound() {
        check(&aggregate, section);
    }
    section.finish();
    aggregate
}

fn read_windows(section: &Section, key: &str, most: usize) -> Vec<Duration> {
    let items = section.list(key);
    if items.len() > most {
        section.error(key, format!("{} windows", items.len()), format!("at most {most}"));
    }
    let mut windows: Vec<Duration> = items.iter().filter_map(|item| item.duration(&(Duration(1000)..=DURATION_MAX))).collect();
    windows.sort();
    let different = windows.windows(2).all(|pair| pair[0] != pair[1]);
    if !different {
        section.error(key, "a window twice", "each window once");
        windows.dedup();
    }
    windows
}

fn read_stat(item: &Item, of: EventType, key: Role, section: &Section) -> Option<Stat> {
    let counterparts = || Role::names(of).iter().filter(|name| Role::parse(of, name) != Some(key));
    let known: Vec<String> = ["count", "sum", "max"]
        .map(str::to_string)
        .into_iter()
        .chain(counterparts().map(|role| format!("distinct_{role}")))
        .chain(counterparts().map(|role| format!("pair_{role}")))
        .collect();
    let found = match item.value {
        super::document::Value::Text(text) => text.as_str(),
        _ => "",
    };
    let stat = parse_stat(of, found).filter(|_| known.iter().any(|word| word == found));
    // Without a sound type and key nobody knows which roles are meant.
    if stat.is_none() && section.log.sound(&[&section.path_of("of"), &section.path_of("key")]) {
        let hint = suggestion(found, known.iter().map(String::as_str));
        item.log.error(&item.path, format!("{}{hint}", item.value.describe()), one_of(known.iter().map(String::as_str)));
    }
    stat
}

/// The figure that `word` names in an aggregate over events of type `of`.
pub(super) fn parse_stat(of: EventType, word: &str) -> Option<Stat> {
    match word {
        "count" => Some(Stat::Count),
        "sum" => Some(Stat::Sum),
        "max" => Some(Stat::Max),
        _ => {
            let distinct = word.strip_prefix("distinct_").map(|role| Role::parse(of, role).map(Stat::Distinct));
            distinct.or_else(|| word.strip_prefix("pair_").map(|role| Role::parse(of, role).map(Stat::Pair)))?
        }
    }
}

/// The word for `stat` in an aggregate over events of type `of`.
pub(super) fn stat_name(of: EventType, stat: Stat) -> String {
    match stat {
        Stat::Count => "count".to_string(),
        Stat::Sum => "sum".to_string(),
        Stat::Max => "max".to_string(),
        Stat::Distinct(role) => format!("distinct_{}", role.name(of)),
        Stat::Pair(role) => format!("pair_{}", role.name(of)),
    }
}

fn check(aggregate: &Aggregate, section: &Section) {
    let of = aggregate.of;
    let judged = matches!(of, EventType::Payment | EventType::Transfer);
    if aggregate.stats.is_empty() && aggregate.label_windows.is_empty() {
        section.error("stats", "no figure", "at least one, or label_windows");
    }
    // One message for all figures that share a mistake.
    let figures = |wrong: &dyn Fn(Stat) -> bool| {
        let names: Vec<String> = aggregate.stats.iter().filter(|stat| wrong(**stat)).map(|stat| stat_name(of, *stat)).collect();
        Some(names.join(", ")).filter(|names| !names.is_empty())
    };
    if let Some(names) = figures(&|stat| !judged && matches!(stat, Stat::Sum | Stat::Max)) {
        section.error("stats", format!("{names} over {} events, which bear no amount", of.name()), "count, distinct or pair figures");
    }
    if let Some(names) = figures(&|stat| aggregate.filter.is_some() && matches!(stat, Stat::Distinct(_) | Stat::Pair(_))) {
        section.error("stats", format!("{names} together with where"), "no distinct or pair figures in a filtered aggregate");
    }
    if let Some(names) = figures(&|stat| aggregate.windows.is_empty() && stat != Stat::Max) {
        section.error("windows", format!("no window for {names}"), "at least one");
    }
    if !judged && !aggregate.label_windows.is_empty() {
        section.error(
            "label_windows",
            format!("label windows over {} events", of.name()),
            "them over payments or transfers only: nothing else is labelled",
        );
    }
}
