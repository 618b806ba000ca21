//! What the model knows of an event when it is judged.

use super::{COLD_ROWS, Model, Row, family_of, is_bad, pair_in, pair_kind};
use crate::decision::{Part, Skip, Why};
use crate::event::{Body, Duration, Event, Id, IdKind, SLOTS, Timestamp, Verdict, ends, slot_kinds};
use crate::graph::Family;
use crate::velocity::{Aggregate, Role, Stat};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How many of a node's rows are recent.
const RECENT_ROWS: usize = 16;
/// A node's count of events stops here.
const EVENTS_MAX: u64 = 65_535;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Int(i64),
    Double(f64),
}

impl Value {
    /// The figure as a word of a feature row.
    pub fn word(self) -> u64 {
        match self {
            Value::Int(value) => crate::feature::int(value),
            Value::Double(value) => crate::feature::double(value),
        }
    }
}

/// What was known of an event before its own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Stream time after the event was admitted.
    pub now: Timestamp,
    /// Whether its time lies before the stream time that it met.
    pub late: bool,
    /// By name: all figures of all aggregates, and `ROLE.events`, `ROLE.days`, `ROLE.bads` of the event's own roles.
    pub figures: BTreeMap<String, Value>,
    /// What the decision must say because of limits, without doublets, by part, cause, window and value.
    pub skips: Vec<Skip>,
    /// By slot: the events of the node's recent rows in the event's own family, newest first. An event stands there once a row.
    pub neighbours: [Vec<Id>; SLOTS],
    /// By family: the visible rows, by their number in arrival order over the whole stream.
    pub visible: [Range<u64>; 3],
}

impl Facts {
    /// The integer figure called `name`; `None` where there is none.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.figures.get(name)? {
            Value::Int(value) => Some(*value),
            Value::Double(_) => None,
        }
    }

    /// Adds `skip`, unless it stands there.
    pub(super) fn add_skip(&mut self, skip: Skip) {
        let order = |skip: &Skip| (skip.part, skip.why, skip.window, skip.value);
        if let Err(place) = self.skips.binary_search_by_key(&order(&skip), order) {
            self.skips.insert(place, skip);
        }
    }
}

impl Model<'_> {
    /// The facts of `event`, after it was admitted and before its row.
    pub(super) fn read(&self, event: &Event, late: bool) -> Facts {
        let family = family_of(event.body.kind());
        let entities = ends(&event.body);
        let mut facts = Facts {
            now: self.now.expect("an event was admitted"),
            late,
            figures: BTreeMap::new(),
            skips: Vec::new(),
            neighbours: Default::default(),
            visible: Family::ALL.map(|family| self.visible_from[family as usize] as u64..self.rows[family as usize].len() as u64),
        };
        for (index, aggregate) in self.options.aggregates.iter().enumerate() {
            self.read_aggregate(index, aggregate, event, &mut facts);
        }
        for (slot, name) in Role::names(event.body.kind()).iter().enumerate() {
            let node = entities[slot].and_then(|entity| self.nodes.get(&entity));
            let days = node.and_then(|node| node.first_seen).map_or(0, |day| facts.now.0.div_euclid(Duration::DAY.0) - day);
            let events = node.map_or(0, |node| node.events.min(EVENTS_MAX));
            facts.figures.insert(format!("{name}.events"), Value::Int(events as i64));
            facts.figures.insert(format!("{name}.days"), Value::Int(days));
            facts.figures.insert(format!("{name}.bads"), Value::Int(node.map_or(0, |node| node.bads as i64)));
            if let Some(entity) = entities[slot] {
                facts.neighbours[slot] = self.recent(family, entity).iter().map(|row| row.event).collect();
            }
        }
        self.read_skips(event, &mut facts);
        facts
    }

    fn read_aggregate(&self, index: usize, aggregate: &Aggregate, event: &Event, facts: &mut Facts) {
        let now = facts.now;
        let family = family_of(aggregate.of);
        let entities = ends(&event.body);
        let known = match self.slot_for(aggregate, aggregate.key, event).and_then(|slot| entities[slot]) {
            Some(node) => self.known_rows(family, node, aggregate.key),
            None => Vec::new(),
        };
        let mine: Vec<&Row> = known.iter().copied().filter(|row| row.belongs.contains(&index)).collect();
        let name = |stat: &str| format!("{}.{stat}", aggregate.name);

        for window in &aggregate.windows {
            let inside: Vec<&Row> = mine.iter().copied().filter(|row| !row.late_full && row.time > now - *window).collect();
            for stat in &aggregate.stats {
                let (stat, value) = match stat {
                    Stat::Count => ("count".to_owned(), inside.len() as i64),
                    Stat::Sum => ("sum".to_owned(), inside.iter().map(|row| row.amount).sum()),
                    Stat::Distinct(other) => {
                        let kind = pair_kind(aggregate, *other);
                        let counted = inside.iter().filter(|row| !row.superseded.contains(&(kind.1, kind.2)));
                        let others: BTreeSet<Id> = counted.filter_map(|row| row.nodes[usize::from(other.0)]).collect();
                        (format!("distinct_{}", other.name(aggregate.of)), others.len() as i64)
                    }
                    Stat::Max | Stat::Pair(_) => continue,
                };
                facts.figures.insert(name(&format!("{stat}_{window}")), Value::Int(value));
            }
        }
        for stat in &aggregate.stats {
            match stat {
                Stat::Max => {
                    let key = self.slot_for(aggregate, aggregate.key, event).and_then(|slot| entities[slot]);
                    let recent = key.map_or(Vec::new(), |node| self.recent(family, node));
                    let in_key = |row: &&&Row| row.belongs.contains(&index) && row.nodes[usize::from(aggregate.key.0)] == key;
                    let greatest = recent.iter().filter(in_key).map(|row| row.amount).max();
                    facts.figures.insert(name("max"), Value::Int(greatest.unwrap_or(0)));
                }
                Stat::Pair(other) => {
                    let (count, age) = self.read_pair(index, aggregate, *other, event);
                    let role = other.name(aggregate.of);
                    facts.figures.insert(name(&format!("pair_{role}_count")), Value::Int(count));
                    facts.figures.insert(name(&format!("pair_{role}_age_s")), Value::Int(age));
                }
                Stat::Count | Stat::Sum | Stat::Distinct(_) => {}
            }
        }
        for window in &aggregate.label_windows {
            // Reading: a row that found the late ring full is in no label window either.
            let inside = mine.iter().filter(|row| !row.late_full && row.time > now - self.maturity(row.source) - *window);
            let (mut bad, mut good) = (0i64, 0i64);
            for row in inside {
                match row.verdict {
                    Some((verdict, _)) if is_bad(verdict) => bad += 1,
                    Some((Verdict::Legitimate, _)) => good += 1,
                    _ if now > row.time + self.maturity(row.source) => good += 1,
                    _ => {}
                }
            }
            let rate = if bad + good == 0 { 0.0 } else { bad as f64 / (bad + good) as f64 };
            facts.figures.insert(name(&format!("bad_{window}")), Value::Int(bad));
            facts.figures.insert(name(&format!("good_{window}")), Value::Int(good));
            facts.figures.insert(name(&format!("bad_rate_{window}")), Value::Double(rate));
        }
    }

    /// Count and age in seconds of the pair of the event's nodes.
    fn read_pair(&self, index: usize, aggregate: &Aggregate, other: Role, event: &Event) -> (i64, i64) {
        let now = self.now.expect("an event was admitted");
        let family = family_of(aggregate.of);
        let entities = ends(&event.body);
        let node = |role| self.slot_for(aggregate, role, event).and_then(|slot| entities[slot]);
        let (Some(key), Some(partner)) = (node(aggregate.key), node(other)) else { return (0, -1) };
        let kind = pair_kind(aggregate, other);
        let pair = if aggregate.key < other { (key, partner) } else { (partner, key) };
        let rows = self.visible(family).iter().filter(|row| {
            row.belongs.contains(&index)
                && pair_in(row, kind) == Some(pair)
                && self.holds_pair_place(family, row)
                && !row.superseded.contains(&(kind.1, kind.2))
        });
        let times: Vec<Timestamp> = rows.map(|row| row.time).collect();
        let age = times.iter().max().map_or(-1, |newest| (now - *newest).0.div_euclid(Duration::SECOND.0));
        (times.len() as i64, age)
    }

    /// The slot of `event` that takes the place of `role` of `aggregate`: the role's own for events of the aggregate's type, else the
    /// first of the same kind. Reading: the other side of a pair is found in the same way as the key.
    fn slot_for(&self, aggregate: &Aggregate, role: Role, event: &Event) -> Option<usize> {
        if event.body.kind() == aggregate.of {
            return Some(usize::from(role.0));
        }
        let kind: IdKind = role.kind(aggregate.of);
        slot_kinds(event.body.kind()).iter().position(|slot| *slot == Some(kind))
    }

    /// Whether the node has more rows in `family` than a cold node knows, and no warm record.
    fn is_short_of_memory(&self, family: Family, node: Id) -> bool {
        !self.warm[family as usize].contains(&node) && self.rows_of(family, node).count() > COLD_ROWS
    }

    /// The rows that the windows of `node` know, where it stands in the slot `role`.
    fn known_rows(&self, family: Family, node: Id, role: Role) -> Vec<&Row> {
        let forgotten = if self.is_short_of_memory(family, node) { self.rows_of(family, node).count() - COLD_ROWS } else { 0 };
        self.rows_of(family, node).skip(forgotten).filter(|row| row.nodes[usize::from(role.0)] == Some(node)).collect()
    }

    /// The recent rows of `node`, newest first.
    fn recent(&self, family: Family, node: Id) -> Vec<&Row> {
        let known = if self.is_short_of_memory(family, node) { COLD_ROWS } else { RECENT_ROWS };
        self.rows_of(family, node).rev().take(known).collect()
    }

    /// What limits took from the figures. Reading: of all families, since a decision draws on the windows of all of them; and as the
    /// event was read, before its own row, whose losses only later events feel.
    fn read_skips(&self, event: &Event, facts: &mut Facts) {
        let now = facts.now;
        for family in Family::ALL {
            let windows: BTreeSet<Duration> = self.aggregates(family).flat_map(|aggregate| aggregate.windows.iter().copied()).collect();
            let label_windows: BTreeSet<Duration> =
                self.aggregates(family).flat_map(|aggregate| aggregate.label_windows.iter().copied()).collect();
            // Reading: a label window is named by its whole length, the maturity of the dropped row's source included.
            let mut since: BTreeMap<Duration, Timestamp> = BTreeMap::new();
            for dropped in self.dropped.iter().filter(|dropped| dropped.family == family) {
                let maturity = self.maturity(dropped.source);
                let lengths = windows.iter().copied().chain(label_windows.iter().map(|window| Duration(maturity.0 + window.0)));
                for length in lengths.filter(|length| now - *length < dropped.time) {
                    let newest = since.entry(length).or_insert(dropped.time);
                    *newest = dropped.time.max(*newest);
                }
            }
            for (length, time) in since {
                facts.add_skip(Skip { part: Part::Window, why: Why::HistorySince, value: time.0, window: length.0 });
            }
            for row in self.rows[family as usize].iter().filter(|row| row.late_full) {
                for window in windows.iter().filter(|window| now < row.time + **window) {
                    facts.add_skip(Skip { part: Part::Window, why: Why::LateFull, value: 0, window: window.0 });
                }
            }
            // Reading: a node that lacks a warm record in any family is told, whatever the event's own.
            for node in ends(&event.body).into_iter().flatten() {
                if self.is_short_of_memory(family, node) {
                    facts.add_skip(Skip { part: Part::Graph, why: Why::WarmNodesFull, value: 0, window: 0 });
                }
            }
        }
        if self.pairs_full.iter().any(|full| now < full.until) {
            facts.add_skip(Skip { part: Part::Distinct, why: Why::PairsFull, value: 0, window: 0 });
        }
        if matches!(event.body, Body::Payment(_) | Body::Transfer(_)) && self.amount(event).is_none() {
            facts.add_skip(Skip { part: Part::Money, why: Why::NoRate, value: 0, window: 0 });
        }
    }
}
