//! The referee of the engine: what `ARCHITECTURE.md`, section 1, says, computed by looking at every row again for every question.
//!
//! Slow and obvious on purpose. It keeps all rows it ever saw and no counter that could drift from them.

mod declared;
mod figures;
mod labels;
mod laundering;
mod state;
#[cfg(test)]
pub(super) mod tests;

use declared::{pair_in, pair_kind};
pub use figures::{Edge, Facts, Value};
use labels::is_bad;
pub use state::State;

use crate::decision::{Part, Skip, Why};
use crate::engine::Options;
use crate::event::{
    Action, Body, Content, Duration, Event, EventType, Id, Interaction, LabelSource, ListChange, Payment, PaymentStatus, Record, Refusal,
    SLOTS, Sequence, Timestamp, Verdict, ends,
};
use crate::graph::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Whether the filter of an aggregate (by its index in [`Options::aggregates`]) holds for an event. Asked only of aggregates that have a
/// filter, and only for events of their type; for an item of a payment, of the interaction that its row stands for.
pub type Filter<'f> = &'f dyn Fn(usize, &Event) -> bool;

/// What the referee says of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// An event that makes a row: what was known when it came.
    Judged(Box<Facts>),
    /// A record that was admitted and makes no row: labels, results, catalogue, profiles, erasure, ticks, controls.
    Applied,
    /// The same event again: no output, no effect.
    Duplicate,
    Rejected(Refusal),
}

/// A row and all that is known of it; its number in arrival order is its place in [`Model::rows`].
#[derive(Clone, Debug)]
struct Row {
    sequence: Sequence,
    event: Id,
    kind: EventType,
    time: Timestamp,
    source: u16,
    /// By slot; `None` also where the entity could not be kept.
    nodes: [Option<Id>; SLOTS],
    amount: i64,
    /// The aggregates over this type whose filter held when the row came; none where it came late and found no place.
    belongs: BTreeSet<usize>,
    verdict: Option<(Verdict, LabelSource)>,
    /// It came late and found a place in the late ring.
    late_place: bool,
    /// It came late, and the late ring was full: it is in no window.
    late_full: bool,
    /// The pair kinds for which it came with a new pair while the table was full.
    superseded: BTreeSet<(u8, u8)>,
    /// The pair kinds for which a newer row of its pair was dropped before it: nobody knows that it was the second.
    eclipsed: BTreeSet<(u8, u8)>,
    /// What its latest result said.
    status: Option<PaymentStatus>,
}

/// What outlives a node's rows.
#[derive(Clone, Debug, Default)]
struct Node {
    events: u64,
    /// The day, counted from 1970, of its first row.
    first_seen: Option<i64>,
    bads: u64,
    profile: bool,
    catalogue: bool,
}

/// A row that a full ring pushed out before it would have left.
#[derive(Clone, Copy, Debug)]
struct Dropped {
    family: Family,
    time: Timestamp,
}

/// A new pair that found the table of pairs full.
#[derive(Clone, Copy, Debug)]
struct PairsFull {
    family: Family,
    until: Timestamp,
}

/// How long rows stay where nothing is declared.
const HORIZON_WITHOUT_WINDOWS: Duration = Duration::DAY.times(30);

/// The naive model.
pub struct Model<'f> {
    options: Options,
    filter: Filter<'f>,
    /// Stream time; `None` is minus infinity.
    now: Option<Timestamp>,
    /// All rows ever, by family, in arrival order.
    rows: [Vec<Row>; 3],
    /// By family, the position of the oldest row that is still visible.
    visible_from: [usize; 3],
    /// Events that have their answer, without what the runtime added (equal content is the same event again), oldest first.
    remembered: Vec<Event>,
    /// The greatest event time of an id that the full table had to forget.
    forgotten_to: Option<Timestamp>,
    nodes: BTreeMap<Id, Node>,
    /// The longest dormant first.
    dormant: Vec<Id>,
    /// By family, the nodes that hold a warm record, and what they are to others.
    warm: [BTreeMap<Id, State>; 3],
    dropped: Vec<Dropped>,
    pairs_full: Vec<PairsFull>,
    /// Who stands on which list until when, those that have ended and still take a place included.
    listed: Vec<(u16, Id, Timestamp)>,
    /// Milliseconds that sources are behind.
    behind: BTreeMap<u16, u64>,
}

impl<'f> Model<'f> {
    /// A model that has seen nothing. `filter` answers for the aggregates' filters.
    pub fn new(options: &Options, filter: Filter<'f>) -> Model<'f> {
        Model {
            options: options.clone(),
            filter,
            now: None,
            rows: Default::default(),
            visible_from: [0; 3],
            remembered: Vec::new(),
            forgotten_to: None,
            nodes: BTreeMap::new(),
            dormant: Vec::new(),
            warm: Default::default(),
            dropped: Vec::new(),
            pairs_full: Vec::new(),
            listed: Vec::new(),
            behind: BTreeMap::new(),
        }
    }

    /// Stream time; `None` before the first admitted event or tick.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The events of the visible rows of `family`, oldest first; a payment stands there once for each of its items in
    /// [`Family::Interest`].
    pub fn visible_events(&self, family: Family) -> Vec<Id> {
        self.visible(family).iter().map(|row| row.event).collect()
    }

    /// The visible rows of `family`, by their number in arrival order over the whole stream.
    pub fn visible_rows(&self, family: Family) -> Range<u64> {
        self.visible_from[family as usize] as u64..self.rows[family as usize].len() as u64
    }

    /// How many nodes exist.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes, and how often each was joined to a row and is known to be bad.
    pub fn nodes(&self) -> impl Iterator<Item = (Id, u64, u64)> {
        self.nodes.iter().map(|(id, node)| (*id, node.events.min(figures::EVENTS_MAX), node.bads))
    }

    /// The state of a node that is warm in `family`.
    pub fn state(&self, family: Family, node: Id) -> Option<&State> {
        self.warm[family as usize].get(&node)
    }

    /// The next record of the journal.
    pub fn apply(&mut self, record: &Record) -> Seen {
        match &record.content {
            Content::Refused(refused) => Seen::Rejected(refused.reason),
            // Worlds have nobody who waits; what an answer does to the ids judged is tested in tests/engine.rs.
            Content::Control(_) | Content::Answered(_) | Content::Waiting(_) => Seen::Applied,
            Content::Lag(lag) => {
                self.behind.insert(lag.source, lag.behind_ms);
                Seen::Applied
            }
            Content::Listed(change) => {
                self.change_list(change);
                Seen::Applied
            }
            Content::Tick(time) => {
                self.advance(*time);
                Seen::Applied
            }
            Content::Event(event) => self.apply_event(record, event),
        }
    }

    fn change_list(&mut self, change: &ListChange) {
        let lists = &self.options.lists;
        if usize::from(change.list) >= lists.lists.len() {
            return;
        }
        let is_it = |entry: &(u16, Id, Timestamp)| (entry.0, entry.1) == (change.list, change.id);
        let stood = self.listed.iter().any(is_it);
        self.listed.retain(|entry| !is_it(entry));
        let Some(until) = change.until else { return };
        let full = self.listed.len() >= lists.entries_max as usize;
        if full && !stood {
            self.listed.retain(|(.., until)| self.now.is_none_or(|now| now < *until));
        }
        if self.listed.len() < lists.entries_max as usize {
            self.listed.push((change.list, change.id, until));
        }
    }

    fn apply_event(&mut self, record: &Record, event: &Event) -> Seen {
        if !event.time.is_valid() {
            return Seen::Rejected(Refusal::TimeOutOfRange);
        }
        let source = self.options.sources.get(usize::from(record.origin.source));
        let ahead = source.and_then(|source| source.jump_max).unwrap_or(self.options.future_skew_max);
        if event.time > record.received + ahead {
            return Seen::Rejected(Refusal::FutureDated);
        }
        if self.now.is_some_and(|now| event.time < now - self.options.dedupe) || self.forgotten_to.is_some_and(|to| event.time <= to) {
            return Seen::Rejected(Refusal::TooOldToDeduplicate);
        }
        let content = without_target(event);
        if let Some(known) = self.remembered.iter().find(|known| known.id == event.id) {
            return if *known == content { Seen::Duplicate } else { Seen::Rejected(Refusal::IdConflict) };
        }
        if target_is_missing(event) {
            return Seen::Rejected(Refusal::UnknownTarget);
        }
        let late = self.now.is_some_and(|now| event.time < now);
        let now = self.now.map_or(event.time, |now| now.max(event.time));
        self.advance(now);
        self.remember(content);

        match &event.body {
            Body::Payment(_) | Body::Transfer(_) | Body::Session(_) | Body::Interaction(_) => {
                self.make_room(family_of(event.body.kind()));
                let mut facts = self.read(event, late);
                if let Body::Transfer(transfer) = &event.body {
                    self.read_surroundings(event, transfer, &mut facts);
                }
                let kept = self.append(record, event, late);
                if !kept {
                    facts.add_skip(Skip { part: Part::Graph, why: Why::NodesFull, value: 0, window: 0 });
                }
                Seen::Judged(Box::new(facts))
            }
            Body::Label(label) => {
                if let Some(target) = label.resolved {
                    self.judge(label, &target);
                }
                Seen::Applied
            }
            Body::PaymentResult(result) => {
                if let Some(target) = result.resolved {
                    self.fold_result(event.time, result.status, &target);
                }
                Seen::Applied
            }
            // A catalogue entry and a profile make their node known, though they join it to nothing; without a place nothing is kept and
            // nothing is said.
            Body::Item(item) => {
                if self.intern(item.item) {
                    self.node_mut(item.item).catalogue = true;
                }
                Seen::Applied
            }
            Body::Profile(profile) => {
                if self.intern(profile.user) {
                    self.node_mut(profile.user).profile = true;
                }
                Seen::Applied
            }
            // The graph never held texts, and what a profile said of consent is in no figure.
            Body::Erase(_) => Seen::Applied,
        }
    }

    /// Remembers the id of an event that was just admitted.
    fn remember(&mut self, content: Event) {
        let now = self.now.expect("an event was admitted");
        while self.remembered.first().is_some_and(|oldest| oldest.time < now - self.options.dedupe) {
            self.remembered.remove(0);
        }
        if self.remembered.len() == self.options.limits.ids_max as usize {
            let oldest = self.remembered.remove(0);
            self.forgotten_to = self.forgotten_to.max(Some(oldest.time));
        }
        self.remembered.push(content);
    }

    /// Moves stream time to `now`, if it lies ahead: rows leave. Where rows of several families leave at one moment, the families go by number, then rows
    /// by arrival, then slots.
    fn advance(&mut self, now: Timestamp) {
        if self.now.is_some_and(|before| now <= before) {
            return;
        }
        self.now = Some(now);
        for family in Family::ALL {
            let horizon = self.horizon(family);
            while let Some(oldest) = self.visible(family).first() {
                if oldest.time > now - horizon {
                    break;
                }
                self.leave(family);
            }
        }
    }

    /// The oldest visible row of `family` is visible no longer.
    fn leave(&mut self, family: Family) {
        let nodes = self.visible(family)[0].nodes;
        self.visible_from[family as usize] += 1;
        for node in nodes.into_iter().flatten() {
            if self.rows_of(family, node).next().is_none() {
                self.warm[family as usize].remove(&node);
            }
            self.settle(node);
        }
    }

    /// Puts a node that has nothing to stay for behind the other dormant ones.
    fn settle(&mut self, id: Id) {
        let Some(node) = self.nodes.get(&id) else { return };
        let visible = Family::ALL.iter().any(|family| self.rows_of(*family, id).next().is_some());
        if visible || node.profile || node.catalogue || node.bads > 0 {
            self.dormant.retain(|other| *other != id);
        } else if !self.dormant.contains(&id) {
            self.dormant.push(id);
        }
    }

    /// A full ring drops its oldest row, whatever its age.
    fn make_room(&mut self, family: Family) {
        if self.visible(family).len() < self.options.limits.families[family as usize].rows_max as usize {
            return;
        }
        let now = self.now.expect("an event was admitted");
        let oldest = self.visible(family)[0].clone();
        if oldest.time > now - self.horizon(family) {
            self.dropped.push(Dropped { family, time: oldest.time });
        }
        let first = self.visible_from[family as usize];
        for kind in self.pair_kinds(family) {
            if !self.counts_for_pairs(family, &oldest, kind) {
                continue;
            }
            let rows = self.visible(family).iter().enumerate().skip(1);
            let same = rows.filter(|(_, row)| self.counts_for_pairs(family, row, kind) && pair_in(row, kind) == pair_in(&oldest, kind));
            let same: Vec<(usize, Timestamp)> = same.map(|(at, row)| (first + at, row.time)).collect();
            // Those that came later are all older in time: what stood for them goes.
            if same.iter().all(|(_, time)| *time < oldest.time) {
                for (at, _) in same {
                    self.rows[family as usize][at].eclipsed.insert((kind.1, kind.2));
                }
            }
        }
        self.leave(family);
    }

    /// Appends the rows of an event; false where one of its entities could not be kept.
    fn append(&mut self, record: &Record, event: &Event, late: bool) -> bool {
        let mut kept = self.append_row(record, event, late);
        if let Body::Payment(payment) = &event.body {
            for item in &payment.items {
                kept &= self.append_row(record, &purchase(event, payment, *item), late);
            }
        }
        kept
    }

    fn append_row(&mut self, record: &Record, event: &Event, late: bool) -> bool {
        let now = self.now.expect("an event was admitted");
        let kind = event.body.kind();
        let family = family_of(kind);
        let limits = self.options.limits.families[family as usize];
        // The event's own ring has room already; those of a payment's items make room one by one.
        self.make_room(family);

        let entities = ends(&event.body);
        // Those that are known leave the list of the dormant before anybody new asks for a place.
        self.dormant.retain(|node| !entities.contains(&Some(*node)));
        let mut kept = true;
        let mut nodes = [None; SLOTS];
        for (slot, entity) in entities.into_iter().enumerate() {
            let Some(entity) = entity else { continue };
            if self.intern(entity) {
                nodes[slot] = Some(entity);
            } else {
                kept = false;
            }
        }
        let amount = self.amount(event).unwrap_or(0);
        self.fold(family, event.time, amount, &nodes);
        for node in nodes.into_iter().flatten() {
            let known = self.node_mut(node);
            known.events += 1;
            known.first_seen.get_or_insert(event.time.0.div_euclid(Duration::DAY.0));
        }

        // A late row that would have left already needs no place.
        let needs_place = late && event.time > now - self.horizon(family);
        let late_full = needs_place && self.late_places(family) >= limits.late_rows_max as usize;
        let mut row = Row {
            sequence: record.sequence,
            event: event.id,
            kind,
            time: event.time,
            source: record.origin.source,
            nodes,
            amount,
            belongs: if late_full { BTreeSet::new() } else { self.belongs(event) },
            verdict: None,
            late_place: needs_place && !late_full,
            late_full,
            superseded: BTreeSet::new(),
            eclipsed: BTreeSet::new(),
            status: None,
        };
        if let Some(longest) = self.longest_window(family)
            && event.time > now - longest
            && !late_full
        {
            row.superseded = self.pairs_without_place(family, &row);
            if !row.superseded.is_empty() {
                self.pairs_full.push(PairsFull { family, until: now + longest });
            }
        }
        self.rows[family as usize].push(row);
        kept
    }

    /// Makes `entity` a node, where it is none; false where there is no place.
    fn intern(&mut self, entity: Id) -> bool {
        if self.nodes.contains_key(&entity) {
            self.dormant.retain(|node| *node != entity);
            return true;
        }
        if self.nodes.len() >= self.options.limits.nodes_max as usize {
            if self.dormant.is_empty() {
                return false;
            }
            let replaced = self.dormant.remove(0);
            self.nodes.remove(&replaced);
        }
        self.nodes.insert(entity, Node::default());
        true
    }

    fn node_mut(&mut self, entity: Id) -> &mut Node {
        self.nodes.get_mut(&entity).expect("an interned entity")
    }

    /// The visible rows of `family`, oldest first.
    fn visible(&self, family: Family) -> &[Row] {
        &self.rows[family as usize][self.visible_from[family as usize]..]
    }

    /// The visible rows of `node` in `family`, oldest first.
    fn rows_of(&self, family: Family, node: Id) -> impl DoubleEndedIterator<Item = &Row> {
        self.visible(family).iter().filter(move |row| row.nodes.contains(&Some(node)))
    }

    /// The aggregates of the event's type whose filter holds, or that have none.
    fn belongs(&self, event: &Event) -> BTreeSet<usize> {
        let asked = self.options.aggregates.iter().enumerate().filter(|(_, aggregate)| aggregate.of == event.body.kind());
        asked.filter(|(index, aggregate)| aggregate.filter.is_none() || (self.filter)(*index, event)).map(|(index, _)| index).collect()
    }

    /// The event's amount in the reporting currency; `None` where no rate is known, 0 where it has no amount.
    fn amount(&self, event: &Event) -> Option<i64> {
        match &event.body {
            Body::Payment(payment) => self.options.rates.reporting_minor(payment.amount, event.time),
            Body::Transfer(transfer) => self.options.rates.reporting_minor(transfer.amount, event.time),
            _ => Some(0),
        }
    }
}

/// A cold node knows so many rows.
const COLD_ROWS: usize = 4;

/// The ring in which rows of this type stand.
fn family_of(kind: EventType) -> Family {
    match kind {
        EventType::Payment | EventType::Transfer => Family::Money,
        EventType::Session => Family::Access,
        _ => Family::Interest,
    }
}

/// The event as its source sent it.
fn without_target(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event.body {
        Body::Label(label) => label.resolved = None,
        Body::PaymentResult(result) => result.resolved = None,
        _ => {}
    }
    event
}

fn target_is_missing(event: &Event) -> bool {
    match &event.body {
        Body::Label(label) => label.resolved.is_none(),
        Body::PaymentResult(result) => result.resolved.is_none(),
        _ => false,
    }
}

/// The interaction for which the row of a payment's item stands. Filters see it as a purchase in the payment's session.
fn purchase(event: &Event, payment: &Payment, item: Id) -> Event {
    let interaction = Interaction {
        user: payment.user,
        item,
        action: Action::Purchase,
        merchant: Some(payment.merchant),
        dwell_ms: None,
        surface: None,
        session: payment.session,
        device: payment.device,
        experiment: None,
        propensity: None,
    };
    Event { id: event.id, time: event.time, body: Body::Interaction(interaction) }
}
