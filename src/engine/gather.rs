//! Read, then append: what an event may see, and what it leaves behind.
//!
//! Reading comes first, or an event raises its own score.

use super::alerts::{Acquaintances, Proof};
use super::batch::{Pending, Seed};
use super::features::{NEVER, NODE_COLUMNS, USUAL_COLUMNS, days_since};
use super::guard::Sight;
use super::{Engine, gathers_neighbourhoods, is_judged, looks_for_typologies};
use crate::decision::{Part, Parts, Skip, Skips, Why};
use crate::event::{Action, Body, Duration, Event, EventType, Id, Interaction, Money, Record, SLOTS, Timestamp, ends, slot_kinds};
use crate::feature::{double, int};
use crate::graph::ego::{Neighbourhood, SEED_SLOTS, Viewed, bounded};
use crate::graph::{Family, Flags, Link, NodeId, Recent, Row};
use crate::typology::slot;
use crate::velocity::{Reading, family as rows_family, row_type};

impl Engine {
    /// Reads what the event may see where it is judged, then appends it. `false` when an entity, one of its items among them, found no
    /// place.
    pub(super) fn gather(&mut self, record: &Record, event: &Event, late: bool) -> bool {
        let family = rows_family(event.body.kind()).expect("only events with rows are gathered");
        self.make_room(family);
        let ids = ends(&event.body);
        let nodes = ids.map(|id| id.and_then(|id| self.graph.nodes.find(id)).unwrap_or(NodeId::NONE));
        let keys = &self.velocity[family as usize].plan().key_slots;
        let recent = std::array::from_fn(|slot| match slot < SEED_SLOTS || keys.contains(&slot) {
            true => self.graph.recent(family, nodes[slot]),
            // Nobody looks at its rows: what counts is whether it turns warm.
            false => self.graph.recent_of_cold(family, nodes[slot]),
        });
        let (amount, no_rate) = match money(&event.body) {
            Some(money) => match self.options.rates.reporting_minor(money, event.time) {
                Some(amount) => (amount, false),
                None => (0, true),
            },
            None => (0, false),
        };
        let judged = is_judged(event.body.kind());
        if judged {
            self.read(record, event, &nodes, &recent, amount);
            if no_rate {
                self.skip(Skip { part: Part::Money, why: Why::NoRate, value: 0, window: 0 });
            }
            if recent.iter().any(|recent| recent.truncated) {
                self.skip(Skip { part: Part::Graph, why: Why::WarmNodesFull, value: 0, window: 0 });
            }
        }
        if judged {
            self.read_lists(&ids, event);
        }
        if let Body::Payment(payment) = &event.body
            && looks_for_typologies(record.effort)
        {
            self.look_at_payment(record, payment, &nodes, &recent, amount);
        }
        if let Body::Transfer(transfer) = &event.body {
            self.look_at_transfer(record, event, transfer, &nodes, amount);
        }
        let mut complete = self.append(record, event, family, nodes, &recent, amount, late);
        if let Body::Payment(payment) = &event.body {
            for item in &payment.items {
                let bought = Interaction {
                    user: payment.user,
                    item: *item,
                    action: Action::Purchase,
                    merchant: Some(payment.merchant),
                    dwell_ms: None,
                    surface: None,
                    session: payment.session,
                    device: payment.device,
                    experiment: None,
                    propensity: None,
                };
                let bought = Event { id: event.id, time: event.time, body: Body::Interaction(bought) };
                complete &= self.gather(record, &bought, late);
            }
        }
        if judged && !complete {
            self.skip(Skip { part: Part::Graph, why: Why::NodesFull, value: 0, window: 0 });
        }
        complete
    }

    /// A full ring lets its oldest row go before the next event is read.
    fn make_room(&mut self, family: Family) {
        if self.graph.rings[family as usize].is_full() {
            self.velocity[family as usize].drop_oldest(&mut self.graph);
        }
    }

    /// Appends the event's row. `false` when an entity found no place.
    #[allow(clippy::too_many_arguments)] // one caller; what it has looked up already is not looked up again
    fn append(
        &mut self,
        record: &Record,
        event: &Event,
        family: Family,
        mut nodes: [NodeId; SLOTS],
        recent: &[Recent; SLOTS],
        amount: i64,
        late: bool,
    ) -> bool {
        let kind = event.body.kind();
        for node in nodes.iter().filter(|node| node.is_some()) {
            self.graph.nodes.hold(*node);
        }
        let mut complete = true;
        for ((node, id), of) in nodes.iter_mut().zip(ends(&event.body)).zip(slot_kinds(kind)) {
            if let (Some(id), Some(of), false) = (id, of, node.is_some()) {
                match self.graph.nodes.intern(id, of) {
                    Some(new) => *node = new,
                    None => complete = false,
                }
            }
        }
        let mut flags = Flags::new(kind, self.class(record.origin.source), late);
        flags.set_aggregates(self.belongs(event, family, amount));
        let row = Row::new(nodes, [Link::NONE; SLOTS], event.time, amount, record.sequence, flags);
        let place = self.graph.append(family, row, recent, &mut self.batch.promoted);
        if family == Family::Money {
            self.evidence.note(place.ordinal, event.id, &ends(&event.body));
        }
        for promotion in &self.batch.promoted {
            let node = nodes[promotion.slot];
            self.velocity[family as usize].fill(&mut self.graph, node, *promotion, recent[promotion.slot].positions());
        }
        self.velocity[family as usize].enter(&mut self.graph, place);
        complete
    }

    /// The aggregates of the family that count this event, a bit each.
    fn belongs(&mut self, event: &Event, family: Family, amount: i64) -> u32 {
        let kind = event.body.kind();
        let mut bits = 0;
        let mut filled = false;
        for (number, planned) in self.velocity[family as usize].plan().aggregates.iter().enumerate() {
            if planned.of != kind {
                continue;
            }
            let holds = match &self.filters[family as usize][number] {
                None => true,
                Some(filter) => {
                    if !filled {
                        self.batch.fields.fill(0);
                        self.layout.fill_fields(event, amount, &mut self.batch.fields);
                        filled = true;
                    }
                    // A filter that meets an error does not hold; its arithmetic is over the event's own fields.
                    filter.holds(&self.batch.fields) == Ok(true)
                }
            };
            bits |= u32::from(holds) << planned.bit;
        }
        bits
    }

    /// Notes on the newest seed that something was left out.
    fn skip(&mut self, skip: Skip) {
        self.batch.seeds.last_mut().expect("a judged event has a seed").skips.push(skip);
    }

    /// Notes on the newest seed which lists its entities stand on.
    fn read_lists(&mut self, ids: &[Option<Id>; SLOTS], event: &Event) {
        if self.lists.is_empty() {
            return;
        }
        let listed = ids.map(|id| id.map_or(0, |id| self.lists.of(id, self.now)));
        if listed == [0; SLOTS] {
            return;
        }
        let seed = self.batch.seeds.last_mut().expect("a judged event has a seed");
        seed.listed = listed;
        if let Some(device) = ids[slot::DEVICE]
            && listed[slot::DEVICE] & self.suppressing != 0
        {
            seed.suppressed = self.lists.until(device, self.suppressing);
        }
        let width = self.layout.schema.len();
        let start = self.batch.features.len() - width;
        let row = &mut self.batch.features[start..];
        for column in &self.layout.listed {
            if let Some(slot) = column.slots[row_type(event.body.kind())] {
                row[column.at] = u64::from(listed[slot] >> column.list & 1);
            }
        }
    }

    /// Fills the feature row and the ego graph of a judged event.
    fn read(&mut self, record: &Record, event: &Event, nodes: &[NodeId; SLOTS], recent: &[Recent; SLOTS], amount: i64) {
        let kind = event.body.kind();
        let may_infer = self.may_infer(kind, record.effort);
        let start = self.batch.features.len();
        self.batch.features.extend_from_slice(&self.layout.blank);
        let row = &mut self.batch.features[start..];
        self.layout.fill_fields(event, amount, row);
        for slot in 0..SLOTS {
            let Some(at) = self.layout.nodes[row_type(kind)][slot] else { continue };
            let figures = &mut row[at..at + NODE_COLUMNS];
            if nodes[slot].is_some() {
                let header = self.graph.nodes.header(nodes[slot]);
                figures[0] = int(i64::from(header.events()));
                figures[1] = int(if header.events() == 0 { 0 } else { days_since(header.first_day(), self.now) });
                figures[2] = int(i64::from(self.graph.nodes.bads(nodes[slot])));
            }
            if slot < SEED_SLOTS && gathers_neighbourhoods(record.effort) {
                let maturities = self.velocity[Family::Money as usize].maturities();
                let viewed = Viewed { node: nodes[slot], recent: &recent[slot], family: Family::Money, now: self.now, maturities };
                let around = self.batch.egos.push(&self.graph, viewed);
                figures[3] = int(i64::from(around.events));
                figures[4] = int(i64::from(around.bads));
                figures[5] = double(around.activity);
                fill_usual(&around, amount, &mut row[at + NODE_COLUMNS..at + NODE_COLUMNS + USUAL_COLUMNS]);
            } else if slot < SEED_SLOTS {
                self.batch.egos.push_unseen();
            }
        }
        let mut skips = Skips::default();
        let mut used = Parts::default().with(Part::Rules).with(Part::Velocity);
        match may_infer {
            Ok(()) => used = used.with(Part::Gnn),
            Err(skip) => skips.push(skip),
        }
        match kind {
            EventType::Transfer if looks_for_typologies(record.effort) => used = used.with(Part::Typology),
            EventType::Transfer => skips.push(Skip { part: Part::Typology, why: Why::Effort, value: 0, window: 0 }),
            // What is found around payments opens alerts and sways no decision.
            _ => skips.push(Skip { part: Part::Typology, why: Why::NoTypologies, value: 0, window: 0 }),
        }
        self.sources.missing(&mut skips);
        let mut families = [false; 3];
        for used in &self.layout.uses[row_type(kind)] {
            families[used.family] = true;
            let node = nodes[used.slot];
            let elsewhere;
            let recent = if used.family == Family::Money as usize {
                &recent[used.slot]
            } else {
                elsewhere = self.graph.recent(Family::ALL[used.family], node);
                if elsewhere.truncated {
                    skips.push(Skip { part: Part::Graph, why: Why::WarmNodesFull, value: 0, window: 0 });
                }
                &elsewhere
            };
            let reading = Reading { node, recent, nodes: used.own_type.then_some(nodes) };
            self.velocity[used.family].read(&self.graph, used.number, reading, &mut row[used.at..used.at + used.width]);
        }
        for (velocity, _) in self.velocity.iter().zip(families).filter(|(_, used)| *used) {
            velocity.missing(&mut skips);
        }
        if !gathers_neighbourhoods(record.effort) {
            skips.push(Skip { part: Part::Graph, why: Why::Effort, value: 0, window: 0 });
        }
        self.batch.pending.push(Pending::Judgement(self.batch.seeds.len() as u32));
        self.batch.seeds.push(Seed {
            event: event.id,
            kind,
            key: key(&event.body).unwrap_or(event.id),
            sequence: record.sequence,
            time: event.time,
            skips,
            used,
            revision: self.batch.revision,
            listed: [0; SLOTS],
            sight: sight(record, &event.body),
            at: self.moment(record),
            proof: Proof { event: event.id, ends: ends(&event.body), amount_minor: amount, time: event.time },
            acquaintances: Acquaintances::default(),
            suppressed: Timestamp::MIN,
            interdicted: false,
            no_number: false,
        });
    }
}

/// What is usual for an entity, how far the amount is from it, and whether an attack on it goes on.
#[inline(always)]
fn fill_usual(around: &Neighbourhood, amount: i64, figures: &mut [u64]) {
    if let Some(usual) = around.usual {
        figures[0] = double(f64::from(usual.mean));
        figures[1] = double(f64::from(bounded(usual.score(amount as f32))));
    }
    figures[2] = double(f64::from(around.outliers));
    let seconds = |since: Option<i64>| int(since.map_or(NEVER, |since| since / Duration::SECOND.0));
    figures[3] = seconds(around.idle);
    figures[4] = int(i64::from(around.bad_streak));
    figures[5] = seconds(around.bad_age);
}

/// What the guard looks at: where the money goes, and by which device.
fn sight(record: &Record, body: &Body) -> Sight {
    let (lane, goal, device) = match body {
        Body::Payment(payment) => (0, Some(payment.merchant), payment.device),
        Body::Transfer(transfer) => (1, transfer.to.or(transfer.from), transfer.device),
        _ => (0, None, None),
    };
    Sight { lane, received: record.received, at: [goal, device].map(|id| id.map(Sight::bin)) }
}

/// The amount of an event that has one.
fn money(body: &Body) -> Option<Money> {
    match body {
        Body::Payment(payment) => Some(payment.amount),
        Body::Transfer(transfer) => Some(transfer.amount),
        _ => None,
    }
}

/// The key under which a judged event's outputs are published; a transfer has at least one side.
fn key(body: &Body) -> Option<Id> {
    match body {
        Body::Payment(payment) => Some(payment.user),
        Body::Transfer(transfer) => transfer.from.or(transfer.to),
        _ => None,
    }
}
