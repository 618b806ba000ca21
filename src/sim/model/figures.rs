//! What the model knows of an event when it is judged.

use super::{COLD_ROWS, Model, Row, State, family_of, is_bad, pair_in, pair_kind};
use crate::decision::{LISTED_KINDS, Part, Skip, Why};
use crate::event::{Body, Duration, Event, EventType, Id, IdKind, PaymentStatus, SLOTS, Timestamp, Verdict, ends, slot_kinds};
use crate::graph::Family;
use crate::velocity::{Aggregate, Role, Stat};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How many of a node's rows are recent.
const RECENT_ROWS: usize = 16;
/// Of so many of an event's entities the neighbourhood is looked at.
const VIEWED: usize = 3;
/// Between these a score ends.
const SCORES: (f32, f32) = (-4.0, 8.0);
/// A node's count of events stops here.
pub(super) const EVENTS_MAX: u64 = 65_535;

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
    /// Figures that should be there and of which the model does not know what they are: they hang on weights.
    pub unsaid: BTreeSet<String>,
    /// What the decision must say because of limits, without doublets, by part, cause, window and value.
    pub skips: Vec<Skip>,
    /// By slot: the node's recent rows in the event's own family, newest first.
    pub neighbours: [Vec<Edge>; SLOTS],
    /// By slot: the node's own state as of now, of a cold one as if it were warm; without a visible row nothing.
    pub own: [Option<State>; SLOTS],
    /// By family: the visible rows, by their number in arrival order over the whole stream.
    pub visible: [Range<u64>; 3],
}

/// A recent row of a node, as an edge to the entity on its other side.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    pub event: Id,
    /// The entity in the first slot, seen from there that in the second.
    pub neighbour: Option<Id>,
    /// Behind stream time.
    pub age: Duration,
    /// Reporting minor units.
    pub amount: i64,
    /// Whether its verdict in force is bad.
    pub bad: bool,
    /// Whether it is known to be genuine.
    pub good: bool,
    /// Whether its latest result is a failure.
    pub failed: bool,
    /// Spreads above what its first entity usually pays, bounded; 0 where nobody knows.
    pub score: f32,
    /// Whether the viewed entity stands elsewhere than in the first slot.
    pub incoming: bool,
    /// The neighbour's state as of the event, where it is warm.
    pub state: Option<State>,
}

/// Whether a result says that nothing came of the payment.
fn is_failure(status: PaymentStatus) -> bool {
    matches!(status, PaymentStatus::ChallengeFailed | PaymentStatus::Abandoned | PaymentStatus::DeclinedByIssuer)
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
            unsaid: BTreeSet::new(),
            skips: Vec::new(),
            neighbours: Default::default(),
            own: Default::default(),
            visible: Family::ALL.map(|family| self.visible_rows(family)),
        };
        for (index, aggregate) in self.options.aggregates.iter().enumerate() {
            self.read_aggregate(index, aggregate, event, &mut facts);
        }
        for role in ["user", "merchant", "device", "from", "to"] {
            facts.figures.insert(format!("{role}.idle_s"), Value::Int(-1));
            facts.figures.insert(format!("{role}.bad_age_s"), Value::Int(-1));
        }
        for (slot, name) in Role::names(event.body.kind()).iter().enumerate() {
            let node = entities[slot].and_then(|entity| self.nodes.get(&entity));
            let days = node.and_then(|node| node.first_seen).map_or(0, |day| facts.now.0.div_euclid(Duration::DAY.0) - day);
            let events = node.map_or(0, |node| node.events.min(EVENTS_MAX));
            facts.figures.insert(format!("{name}.events"), Value::Int(events as i64));
            facts.figures.insert(format!("{name}.days"), Value::Int(days));
            facts.figures.insert(format!("{name}.bads"), Value::Int(node.map_or(0, |node| node.bads as i64)));
            if let Some(entity) = entities[slot] {
                self.read_own(name, slot, entity, event, &mut facts);
                facts.neighbours[slot] = self.recent(family, entity).iter().map(|row| self.edge(family, row, entity)).collect();
            } else if slot < VIEWED {
                self.read_usual(name, None, event, None, &mut facts);
            }
            self.summarize(name, slot, &mut facts);
            self.read_lists(name, entities[slot], &mut facts);
        }
        self.read_skips(event, &mut facts);
        facts
    }

    /// The state of one of the event's entities, and what is usual for it.
    fn read_own(&self, name: &str, slot: usize, entity: Id, event: &Event, facts: &mut Facts) {
        let own = self.own_state(family_of(event.body.kind()), entity, facts.now);
        let idle = own.as_ref().map(|(_, idle)| *idle);
        facts.own[slot] = own.map(|(state, _)| state);
        if slot < VIEWED {
            let state = facts.own[slot].clone();
            self.read_usual(name, state.as_ref(), event, idle, facts);
        }
    }

    fn read_usual(&self, name: &str, state: Option<&State>, event: &Event, idle: Option<i64>, facts: &mut Facts) {
        let amount = self.amount(event).unwrap_or(0) as f32;
        let usual = state.and_then(State::usual);
        let mut figure = |figure: &str, value| facts.figures.insert(format!("{name}.{figure}"), value);
        figure("usual_amount", Value::Double(usual.map_or(0.0, |(mean, _)| f64::from(mean))));
        let score = usual.map_or(0.0, |(mean, spread)| ((amount - mean) / spread).clamp(SCORES.0, SCORES.1));
        figure("amount_score", Value::Double(f64::from(score)));
        figure("outliers", Value::Double(state.map_or(0.0, |state| f64::from(state.sums()[6]))));
        figure("idle_s", Value::Int(idle.map_or(-1, |idle| idle / Duration::SECOND.0)));
    }

    fn edge(&self, family: Family, row: &Row, viewed: Id) -> Edge {
        let incoming = row.nodes[0] != Some(viewed);
        let neighbour = if incoming { row.nodes[0] } else { row.nodes[1] };
        let now = self.now.expect("an event was admitted");
        let state = |id: Option<Id>| id.and_then(|id| self.state(family, id));
        // Of a cold node that is viewed its state is known as well.
        let payer = match incoming {
            true => state(row.nodes[0]).and_then(State::usual),
            false => self.own_state(family, viewed, now).and_then(|(state, _)| state.usual()),
        };
        Edge {
            event: row.event,
            neighbour,
            age: now - row.time,
            amount: row.amount,
            bad: row.verdict.is_some_and(|(verdict, _)| is_bad(verdict)),
            good: match row.verdict {
                Some((verdict, _)) => verdict == Verdict::Legitimate,
                None => now > row.time + self.maturity(row.source),
            },
            failed: row.status.is_some_and(is_failure),
            score: payer.map_or(0.0, |(mean, spread)| ((row.amount as f32 - mean) / spread).clamp(SCORES.0, SCORES.1)),
            incoming,
            state: state(neighbour).cloned(),
        }
    }

    /// Whether the entity stands on each list that its kind may stand on.
    fn read_lists(&self, role: &str, entity: Option<Id>, facts: &mut Facts) {
        for (number, list) in self.options.lists.lists.iter().enumerate() {
            let kind = |role: &str| match role {
                "from" | "to" => IdKind::Account,
                role => LISTED_KINDS.into_iter().find(|kind| kind.name() == role).unwrap_or(IdKind::Item),
            };
            if list.of.contains(&kind(role)) {
                let stands =
                    |entry: &(u16, Id, Timestamp)| usize::from(entry.0) == number && Some(entry.1) == entity && facts.now < entry.2;
                let on = self.listed.iter().any(stands);
                facts.figures.insert(format!("{role}.on_{}", list.name), Value::Int(i64::from(on)));
            }
        }
    }

    /// The neighbourhood of one of the first three entities, in short.
    fn summarize(&self, name: &str, slot: usize, facts: &mut Facts) {
        let edges: &[Edge] = if slot < VIEWED { &facts.neighbours[slot] } else { &[] };
        let daily: f64 = edges.iter().map(|edge| edge.state.as_ref().map_or(0.0, |state| f64::from(state.sums()[1]))).sum();
        let events = edges.len() as i64;
        let bads = edges.iter().filter(|edge| edge.bad).count() as i64;
        if slot < VIEWED {
            let streak = edges.iter().take_while(|edge| !edge.good).filter(|edge| edge.bad).count();
            facts.figures.insert(format!("{name}.bad_streak"), Value::Int(streak as i64));
            let newest = edges.iter().find(|edge| edge.bad).map_or(-1, |edge| edge.age.0 / Duration::SECOND.0);
            facts.figures.insert(format!("{name}.bad_age_s"), Value::Int(newest));
        }
        let activity = if events == 0 { 0.0 } else { daily / events as f64 };
        facts.figures.insert(format!("{name}.recent_events"), Value::Int(events));
        facts.figures.insert(format!("{name}.recent_bads"), Value::Int(bads));
        facts.figures.insert(format!("{name}.neighbour_activity"), Value::Double(activity));
    }

    fn read_aggregate(&self, index: usize, aggregate: &Aggregate, event: &Event, facts: &mut Facts) {
        let now = facts.now;
        let family = family_of(aggregate.of);
        let entities = ends(&event.body);
        let key = self.key_slot(aggregate, event).and_then(|slot| entities[slot]);
        let known = key.map_or(Vec::new(), |node| self.known_rows(family, node, aggregate.key));
        let short = key.is_some_and(|node| self.is_short_of_memory(family, node));
        let mine: Vec<&Row> = known.iter().copied().filter(|row| row.belongs.contains(&index)).collect();
        let name = |stat: &str| format!("{}.{stat}", aggregate.name);

        for window in &aggregate.windows {
            let inside: Vec<&Row> = mine.iter().copied().filter(|row| row.time > now - *window).collect();
            for stat in &aggregate.stats {
                let (stat, value) = match stat {
                    Stat::Count => ("count".to_owned(), inside.len() as i64),
                    Stat::Sum => ("sum".to_owned(), inside.iter().map(|row| row.amount).sum()),
                    Stat::Distinct(other) => {
                        let kind = pair_kind(aggregate, *other);
                        // Without a warm record a row of the newest four may stand behind an older arrival of its pair.
                        let stands = |row: &&&Row| !short || self.stands_for_pair(family, row, kind);
                        let counted = inside.iter().filter(|row| self.counts_for_pairs(family, row, kind)).filter(stands);
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
            let inside = mine.iter().filter(|row| row.time > now - self.maturity(row.source) - *window);
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
        if event.body.kind() != aggregate.of {
            return (0, -1);
        }
        let kind = pair_kind(aggregate, other);
        let entities = ends(&event.body);
        let (Some(a), Some(b)) = (entities[usize::from(kind.1)], entities[usize::from(kind.2)]) else { return (0, -1) };
        let own = (kind.1, kind.2);
        let same = self.visible(family).iter().filter(|row| {
            row.belongs.contains(&index)
                && pair_in(row, kind) == Some((a, b))
                && self.holds_pair_place(family, row)
                && !row.superseded.contains(&own)
        });
        let newest = same.clone().filter(|row| !row.eclipsed.contains(&own)).map(|row| row.time).max();
        let age = newest.map_or(-1, |newest| (now - newest).0.div_euclid(Duration::SECOND.0));
        (same.count() as i64, age)
    }

    /// The slot of `event` whose node is the key: the key's own for events of the aggregate's type, else the first of the same kind.
    fn key_slot(&self, aggregate: &Aggregate, event: &Event) -> Option<usize> {
        if event.body.kind() == aggregate.of {
            return Some(usize::from(aggregate.key.0));
        }
        let kind: IdKind = aggregate.key.kind(aggregate.of);
        slot_kinds(event.body.kind()).iter().position(|slot| *slot == Some(kind))
    }

    /// Whether no other row of the row's pair is newer: greatest time, among equals the latest arrival.
    fn stands_for_pair(&self, family: Family, row: &Row, kind: (EventType, u8, u8)) -> bool {
        let same = self.visible(family).iter().filter(|other| self.counts_for_pairs(family, other, kind));
        let newest = same.filter(|other| pair_in(other, kind) == pair_in(row, kind)).max_by_key(|other| other.time);
        newest.is_some_and(|newest| std::ptr::eq(newest, row))
    }

    /// Whether the node has more rows in `family` than a cold node knows, and no warm record.
    fn is_short_of_memory(&self, family: Family, node: Id) -> bool {
        !self.warm[family as usize].contains_key(&node) && self.rows_of(family, node).count() > COLD_ROWS
    }

    /// The rows that the windows of `node` know, where it stands in the slot `role`.
    fn known_rows(&self, family: Family, node: Id, role: Role) -> Vec<&Row> {
        let forgotten = if self.is_short_of_memory(family, node) { self.rows_of(family, node).count() - COLD_ROWS } else { 0 };
        self.rows_of(family, node).skip(forgotten).filter(|row| row.nodes[usize::from(role.0)] == Some(node)).collect()
    }

    /// The recent rows of `node`, newest first.
    pub(super) fn recent(&self, family: Family, node: Id) -> Vec<&Row> {
        let known = if self.is_short_of_memory(family, node) { COLD_ROWS } else { RECENT_ROWS };
        self.rows_of(family, node).rev().take(known).collect()
    }

    /// What limits took from the figures that the event reads, before its own row.
    fn read_skips(&self, event: &Event, facts: &mut Facts) {
        let entities = ends(&event.body);
        for family in Family::ALL {
            // Of the aggregates over other events those are read for whose key the event has a slot.
            let read: Vec<usize> = self.aggregates(family).filter_map(|aggregate| self.key_slot(aggregate, event)).collect();
            if !read.is_empty() {
                self.family_skips(family, facts);
            }
            let own = family == family_of(event.body.kind());
            let short = |slot: usize| entities[slot].is_some_and(|node| self.is_short_of_memory(family, node));
            if (0..SLOTS).any(|slot| (own || read.contains(&slot)) && short(slot)) {
                facts.add_skip(Skip { part: Part::Graph, why: Why::WarmNodesFull, value: 0, window: 0 });
            }
        }
        if matches!(event.body, Body::Payment(_) | Body::Transfer(_)) && self.amount(event).is_none() {
            facts.add_skip(Skip { part: Part::Money, why: Why::NoRate, value: 0, window: 0 });
        }
        for (source, behind_ms) in &self.behind {
            let fresh_max = self.options.sources.get(usize::from(*source)).and_then(|source| source.fresh_max);
            if fresh_max.is_some_and(|fresh_max| *behind_ms > fresh_max.0.unsigned_abs() / 1_000) {
                let value = (*behind_ms / 1_000) as i64;
                facts.add_skip(Skip { part: Part::Stream, why: Why::Behind, value, window: i64::from(*source) });
            }
        }
    }

    /// What the windows and pairs of a family lack.
    fn family_skips(&self, family: Family, facts: &mut Facts) {
        let now = facts.now;
        let windows = self.aggregates(family).flat_map(|aggregate| aggregate.windows.iter().copied());
        let label_windows = self.aggregates(family).flat_map(|aggregate| aggregate.label_windows.iter().copied());
        let maturity = self.maturities().into_iter().max().unwrap_or_default();
        let lengths: BTreeSet<Duration> = windows.chain(label_windows.map(|window| Duration(maturity.0 + window.0))).collect();
        let dropped = self.dropped.iter().filter(|dropped| dropped.family == family).map(|dropped| dropped.time).max();
        let late_full: Vec<&Row> = self.rows[family as usize].iter().filter(|row| row.late_full).collect();
        for length in lengths {
            if let Some(dropped) = dropped.filter(|dropped| now - length < *dropped) {
                facts.add_skip(Skip { part: Part::Window, why: Why::HistorySince, value: dropped.0, window: length.0 });
            }
            if late_full.iter().any(|row| now < row.time + length) {
                facts.add_skip(Skip { part: Part::Window, why: Why::LateFull, value: 0, window: length.0 });
            }
        }
        if self.pairs_full.iter().any(|full| full.family == family && now < full.until) {
            facts.add_skip(Skip { part: Part::Distinct, why: Why::PairsFull, value: 0, window: 0 });
        }
    }
}
