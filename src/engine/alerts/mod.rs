//! Alerts: what typologies find, gathered into one call for attention a subject, growing by versions.
//!
//! Findings are made while events are taken in, as of each of them. What becomes of them is decided here, behind the decisions, in the
//! order of the records: nothing that takes events in or decides reads it, so that neither batches nor threads matter.
//!
//! Fraud and laundering have books of their own, with numbers, places and a budget of their own: who sees the alerts of one kind cannot tell
//! whether there are any of the other.

mod alert;
mod budget;
mod evidence;
mod found;
mod index;
mod kept;
mod laundered;
mod table;
mod watch;

pub use alert::{Alert, AlertStatus, Edge, Member, Subject};
pub use evidence::Evidence;
pub(super) use evidence::Proof;
pub(super) use found::{Found, Moment};
pub(super) use laundered::Laundered;
pub use table::AlertLimits;

use super::GuardTurn;
use super::guard::Standing;
use crate::decision::Outcome;
use crate::event::{Duration, EventType, Id, IdKind, SLOTS, Sequence, Timestamp, slot_kinds};
use crate::typology::{Kind, Typology, TypologyOptions, slot};
use budget::Budget;
use table::{Table, grows, head};
use watch::Watch;
pub(super) use watch::{Acquaintances, Sighting};

/// `[alert]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertOptions {
    pub limits: AlertLimits,
    /// Alerts of a kind opened to people in an hour of `received` at most.
    pub per_hour: u32,
    /// An alert to which nothing came for so long, in stream time, is closed.
    pub close_after: Duration,
    pub typologies: TypologyOptions,
    /// By typology of laundering.
    pub laundering: [Threshold; Typology::LAUNDERING.len()],
}

/// From which scores on a finding of laundering is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// It opens or joins an alert.
    pub alert: u16,
    /// The transfer that it was found at is held for a person's look.
    pub interdict: u16,
}

impl Default for Threshold {
    fn default() -> Threshold {
        Threshold { alert: 500, interdict: 1_001 }
    }
}

impl Default for AlertOptions {
    fn default() -> AlertOptions {
        AlertOptions {
            limits: AlertLimits::default(),
            per_hour: 60,
            close_after: Duration::DAY.times(7),
            typologies: TypologyOptions::default(),
            laundering: Default::default(),
        }
    }
}

/// The slots of a payment by which alerts grow, in this order.
const GROWS_BY: [usize; 3] = [slot::DEVICE, slot::CARD, slot::USER];

/// How many alerts there are and were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Opened, held ones included.
    pub opened: u64,
    /// Versions given out.
    pub versions: u64,
    /// Held now, since the hour's budget did not reach them.
    pub held: u64,
    /// Let go of without having been told of, for want of room.
    pub dropped: u64,
}

/// All alerts of one kind that are open.
pub(super) struct Alerts {
    kind: Kind,
    table: Table,
    watch: Watch,
    budget: Budget,
    options: AlertOptions,
    counts: AlertCounts,
    /// The slot looked at next for whether its alert is over.
    look: usize,
}

impl Alerts {
    pub(super) fn new(kind: Kind, options: AlertOptions, progress: &mut dyn FnMut(usize)) -> Alerts {
        let table = Table::new(options.limits, progress);
        // What the policy holds says nothing of laundering.
        let watched = match kind {
            Kind::Fraud => options.limits,
            Kind::Aml => AlertLimits { alerts_max: 0, ..options.limits },
        };
        let watch = Watch::new(watched, progress);
        Alerts { kind, table, watch, budget: Budget::new(options.per_hour), options, counts: AlertCounts::default(), look: 0 }
    }

    /// Other numbers are in force, within the same limits.
    pub(super) fn go_by(&mut self, options: AlertOptions) {
        self.budget.go_by(options.per_hour);
        self.options = options;
    }

    pub(super) fn counts(&self) -> AlertCounts {
        self.counts
    }

    /// Hints that a payment of these will be judged.
    #[inline]
    pub(super) fn prefetch(&self, ends: &[Option<Id>; SLOTS]) {
        if self.table.len > 0 {
            GROWS_BY.into_iter().filter_map(|by| ends[by]).for_each(|id| self.table.index.prefetch(id));
        }
        self.watch.prefetch(ends);
    }

    /// The policy judged a payment, held it or not: of those around it something may be found.
    #[inline]
    pub(super) fn judged(&mut self, at: &Moment, seen: &Sighting<'_>, out: &mut Vec<Alert>) {
        let TypologyOptions { window, users_min, .. } = self.options.typologies;
        if let Some(found) = self.watch.judged(at, seen, window, users_min) {
            self.found(at, &found, out);
        }
    }

    /// A payment was judged: it joins the alerts that grow by its device, card or user.
    #[inline]
    pub(super) fn paid(&mut self, at: &Moment, proof: &Proof, out: &mut Vec<Alert>) {
        if self.table.len == 0 {
            return;
        }
        let table = &self.table;
        let mut leads = GROWS_BY.map(|by| proof.ends[by].and_then(|id| table.index.lead(id)));
        // Nearly every payment ends here.
        if leads == [None; GROWS_BY.len()] {
            return;
        }
        let [device, _, user] = leads.map(|lead| lead.filter(|lead| self.is_ring(lead.slot)));
        if let (Some(device), Some(user)) = (device, user)
            && device.slot != user.slot
        {
            // Somebody of one ring pays with the device of another: they are one.
            self.merge(device.slot, user.slot, at, out);
            leads = GROWS_BY.map(|by| proof.ends[by].and_then(|id| self.table.index.lead(id)));
        }
        for lead in leads.into_iter().flatten().filter(|lead| lead.grows) {
            self.grow(lead.slot, at, proof);
            self.tell(lead.slot, at, out);
        }
    }

    /// The ring that an id leads to: a user or a card under attack alone is none.
    fn ring(&self, id: Id) -> Option<usize> {
        self.table.index.lead(id).map(|lead| lead.slot).filter(|slot| self.is_ring(*slot))
    }

    fn is_ring(&self, slot: usize) -> bool {
        self.table.get(slot, head::TYPOLOGIES) & u64::from(Typology::RINGS) != 0
    }

    /// Puts an event into an alert, by its typology.
    fn grow(&mut self, slot: usize, at: &Moment, proof: &Proof) {
        let typology = self.table.typology(slot);
        if self.table.count(slot, proof, typology.edge()) {
            self.table.set(slot, head::GROWN, at.now.0 as u64);
        }
        self.join(slot, typology, proof);
    }

    fn join(&mut self, slot: usize, typology: Typology, proof: &Proof) {
        let kinds = slot_kinds(EventType::Payment);
        for by in typology.members() {
            if let (Some(id), Some(kind)) = (proof.ends[*by], kinds[*by]) {
                // Users and devices of rings lead from one device to the next; a card's or a shop's victims do not.
                let leads = typology.is_ring();
                self.table.add_member(slot, Member { kind, id }, leads, typology == Typology::HeldRing && *by == slot::DEVICE);
            }
        }
    }

    /// A typology found something.
    pub(super) fn found(&mut self, at: &Moment, found: &Found, out: &mut Vec<Alert>) {
        let slot = match self.home_of(at, found, out) {
            Some(slot) => slot,
            None => match self.open(at, Subject::Entity(found.kind, found.subject), found.typology, out) {
                Some(slot) => {
                    self.table.set(slot, head::SUPPRESSED, found.suppressed.0 as u64);
                    slot
                }
                None => return,
            },
        };
        self.rate(slot, found.typology, found.score, found.cut);
        for proof in found.proofs() {
            if self.table.count(slot, proof, found.typology.edge()) {
                self.table.set(slot, head::GROWN, at.now.0 as u64);
            }
            self.join(slot, found.typology, proof);
        }
        self.tell(slot, at, out);
    }

    /// A typology was seen: the greatest score gives the alert its own.
    fn rate(&mut self, slot: usize, typology: Typology, score: u16, cut: bool) {
        let seen = self.table.get(slot, head::TYPOLOGIES) | 1 << typology as u8;
        self.table.set(slot, head::TYPOLOGIES, seen);
        if u64::from(score) > self.table.get(slot, head::SCORE) {
            self.table.set(slot, head::SCORE, u64::from(score));
            self.table.set(slot, head::TYPOLOGY, typology as u64);
        }
        if cut {
            self.table.set(slot, head::CUT, 1);
        }
    }

    /// The alert that a finding belongs to, if there is one: that of its subject, or, for a ring, one that shares a user with it. Where
    /// these are several, the oldest takes the others in.
    fn home_of(&mut self, at: &Moment, found: &Found, out: &mut Vec<Alert>) -> Option<usize> {
        let mut home = self.table.index.lead(found.subject).map(|lead| lead.slot);
        if found.typology.is_ring() {
            for proof in found.proofs() {
                let Some(other) = proof.ends[slot::USER].and_then(|id| self.ring(id)) else { continue };
                home = Some(match home {
                    Some(home) if home != other => self.merge(home, other, at, out),
                    _ => other,
                });
            }
            if let Some(slot) = home {
                let device = Member { kind: found.kind, id: found.subject };
                self.table.add_member(slot, device, true, true);
            }
        }
        home
    }

    /// The older of two alerts takes the other in; returns its slot.
    fn merge(&mut self, one: usize, other: usize, at: &Moment, out: &mut Vec<Alert>) -> usize {
        let number = |slot: usize| self.table.get(slot, head::NUMBER);
        let (into, from) = if number(one) < number(other) { (one, other) } else { (other, one) };
        let into_number = number(into);
        if self.table.get(from, head::VERSION) > 0 {
            self.publish(from, AlertStatus::Merged, at, Some(into_number), out);
        }
        let table = &mut self.table;
        let sum = |table: &mut Table, word: usize| {
            let sum = table.get(into, word).saturating_add(table.get(from, word));
            table.set(into, word, sum);
        };
        sum(table, head::EVENTS);
        sum(table, head::MONEY);
        table.set(into, head::FIRST, table.time(into, head::FIRST).min(table.time(from, head::FIRST)).0 as u64);
        table.set(into, head::LAST, table.time(into, head::LAST).max(table.time(from, head::LAST)).0 as u64);
        table.set(into, head::GROWN, at.now.0 as u64);
        table.set(into, head::TYPOLOGIES, table.get(into, head::TYPOLOGIES) | table.get(from, head::TYPOLOGIES));
        table.set(into, head::CUT, table.get(into, head::CUT) | table.get(from, head::CUT));
        if table.get(from, head::SCORE) > table.get(into, head::SCORE) {
            table.set(into, head::SCORE, table.get(from, head::SCORE));
            table.set(into, head::TYPOLOGY, table.get(from, head::TYPOLOGY));
        }
        for place in 0..table.edges_len(from) {
            let edge = table.edge(from, place);
            match table.knows_event(into, edge.event) {
                // Both had counted it.
                true => {
                    table.set(into, head::EVENTS, table.get(into, head::EVENTS) - 1);
                    table.set(into, head::MONEY, table.get(into, head::MONEY).saturating_sub(edge.amount_minor as u64));
                }
                false => table.add_edge(into, &edge),
            }
        }
        self.counts.held -= table.get(from, head::HELD);
        // Its ids must lead nowhere before they lead to the other.
        let (subject, members) = (table.subject(from), table.get(from, head::MEMBERS) as usize);
        table.clear(from);
        if let Subject::Entity(kind, id) = subject {
            table.add_member(into, Member { kind, id }, true, grows(kind));
        }
        for place in 0..members {
            // The members' words stand where they stood: only the head was emptied.
            let (member, (leads, grows)) = (table.member(from, place), table.marks(from, place));
            table.add_member(into, member, leads, grows);
        }
        into
    }

    fn open(&mut self, at: &Moment, subject: Subject, typology: Typology, out: &mut Vec<Alert>) -> Option<usize> {
        let slot = match self.table.free() {
            Some(slot) => slot,
            None => {
                // The one to which nothing came for longest makes room.
                let stalest =
                    self.table.used().min_by_key(|slot| (self.table.time(*slot, head::GROWN), self.table.get(*slot, head::NUMBER)))?;
                self.counts.dropped += u64::from(self.table.get(stalest, head::VERSION) == 0);
                self.close(stalest, at, out);
                stalest
            }
        };
        self.counts.opened += 1;
        let table = &mut self.table;
        table.len += 1;
        table.set(slot, head::NUMBER, self.counts.opened);
        table.set_subject(slot, subject);
        table.set(slot, head::TYPOLOGY, typology as u64);
        table.set(slot, head::TYPOLOGIES, 1 << typology as u8);
        table.set(slot, head::OPENED, at.now.0 as u64);
        table.set(slot, head::GROWN, at.now.0 as u64);
        for word in [head::FIRST, head::LAST] {
            table.set(slot, word, at.now.0 as u64);
        }
        table.set(slot, head::SUPPRESSED, i64::MIN as u64);
        if let Subject::Entity(kind, id) = subject {
            let leads = table.index.lead_to(id, slot, grows(kind));
            table.set(slot, head::INDEXED, u64::from(leads));
        }
        Some(slot)
    }

    /// Ends an alert; those that were told of hear it.
    fn close(&mut self, slot: usize, at: &Moment, out: &mut Vec<Alert>) {
        if self.table.get(slot, head::VERSION) > 0 {
            self.publish(slot, AlertStatus::Closed, at, None, out);
        }
        self.counts.held -= self.table.get(slot, head::HELD);
        self.table.clear(slot);
    }

    /// What an alert weighs against others: its score times the money at stake.
    fn priority(&self, slot: usize) -> u64 {
        self.table.get(slot, head::SCORE).saturating_mul(self.table.get(slot, head::MONEY).max(1))
    }

    /// Gives a version out where there is something new to say, it is not suppressed, and the hour's budget reaches it.
    fn tell(&mut self, slot: usize, at: &Moment, out: &mut Vec<Alert>) {
        let table = &self.table;
        let more = |word: usize, told: usize| table.get(slot, word) > table.get(slot, told);
        let version = table.get(slot, head::VERSION);
        let news = version == 0
            || more(head::MEMBERS, head::TOLD_MEMBERS)
            || table.get(slot, head::EVENTS) >= 2 * table.get(slot, head::TOLD_EVENTS).max(1)
            || table.get(slot, head::SCORE) >= table.get(slot, head::TOLD_SCORE) + 100
            || table.get(slot, head::TYPOLOGIES) != table.get(slot, head::TOLD_TYPOLOGIES);
        let suppressed = at.now < table.time(slot, head::SUPPRESSED);
        let status = table.status(slot);
        if suppressed {
            if version > 0 && status != AlertStatus::Suppressed {
                self.publish(slot, AlertStatus::Suppressed, at, None, out);
            }
            return;
        }
        if !news && status != AlertStatus::Suppressed {
            return;
        }
        if version == 0 && !self.budget.admit(at.received, self.priority(slot)) {
            if self.table.get(slot, head::HELD) == 0 {
                self.table.set(slot, head::HELD, 1);
                self.counts.held += 1;
            }
            return;
        }
        self.release(slot);
        self.publish(slot, AlertStatus::Open, at, None, out);
    }

    /// It is held no longer.
    fn release(&mut self, slot: usize) {
        self.counts.held -= self.table.get(slot, head::HELD);
        self.table.set(slot, head::HELD, 0);
    }

    fn publish(&mut self, slot: usize, status: AlertStatus, at: &Moment, merged_into: Option<u64>, out: &mut Vec<Alert>) {
        let table = &mut self.table;
        table.set(slot, head::VERSION, table.get(slot, head::VERSION) + 1);
        table.set(slot, head::STATUS, status as u64);
        for (word, told) in [
            (head::EVENTS, head::TOLD_EVENTS),
            (head::MEMBERS, head::TOLD_MEMBERS),
            (head::SCORE, head::TOLD_SCORE),
            (head::TYPOLOGIES, head::TOLD_TYPOLOGIES),
        ] {
            table.set(slot, told, table.get(slot, word));
        }
        self.counts.versions += 1;
        out.push(Alert { merged_into, ..self.alert(slot, at.sequence) });
    }

    /// The alert in a slot as it stands.
    fn alert(&self, slot: usize, sequence: Sequence) -> Alert {
        let table = &self.table;
        Alert {
            sequence,
            kind: self.kind,
            number: table.get(slot, head::NUMBER),
            version: table.get(slot, head::VERSION) as u32,
            status: table.status(slot),
            subject: table.subject(slot),
            typology: table.typology(slot),
            typologies: table.get(slot, head::TYPOLOGIES) as u32,
            score: table.get(slot, head::SCORE) as u16,
            cut: table.get(slot, head::CUT) != 0,
            opened_at: table.time(slot, head::OPENED),
            first_event: table.time(slot, head::FIRST),
            last_event: table.time(slot, head::LAST),
            events: table.get(slot, head::EVENTS),
            money_minor: table.get(slot, head::MONEY) as i64,
            merged_into: None,
            members: table.members(slot).collect(),
            edges: table.edges(slot).collect(),
        }
    }

    /// Those that were told of and are not over, in the order of their slots; of each its newest state, under `sequence`.
    pub(super) fn told(&self, sequence: Sequence) -> impl Iterator<Item = Alert> {
        self.table.used().filter(|slot| self.table.get(*slot, head::VERSION) > 0).map(move |slot| self.alert(slot, sequence))
    }

    /// Looks whether the next alert in turn is over, and lets the greatest of those that are held in where there is budget for it.
    #[inline]
    pub(super) fn tend(&mut self, at: &Moment, out: &mut Vec<Alert>) {
        if self.table.len == 0 {
            return;
        }
        self.look = if self.look + 1 < self.table.high { self.look + 1 } else { 0 };
        if self.table.is_used(self.look) && at.now - self.table.time(self.look, head::GROWN) >= self.options.close_after {
            self.close(self.look, at, out);
        }
        if self.counts.held > 0 && self.budget.is_easy(at.received) {
            let held = self.table.used().filter(|slot| self.table.get(*slot, head::HELD) != 0);
            // Of equal ones the first that was opened.
            let greatest = held.max_by_key(|slot| (self.priority(*slot), u64::MAX - self.table.get(*slot, head::NUMBER)));
            if let Some(slot) = greatest {
                self.tell(slot, at, out);
            }
        }
    }

    /// Nobody wants to hear of a subject until then; a time that is over lets them hear again.
    pub(super) fn suppress(&mut self, at: &Moment, subject: Id, until: Timestamp, out: &mut Vec<Alert>) {
        self.watch.suppress(subject, until);
        let Some(lead) = self.table.index.lead(subject).filter(|lead| self.table.subject_id(lead.slot) == Some(subject)) else { return };
        self.table.set(lead.slot, head::SUPPRESSED, until.0 as u64);
        if at.now < until {
            self.release(lead.slot);
        }
        self.tell(lead.slot, at, out);
    }

    /// A cause of the policy came to stand otherwise with the guard. People hear of it whatever the hour's budget is.
    pub(super) fn turned(&mut self, at: &Moment, turn: &GuardTurn, out: &mut Vec<Alert>) {
        let subject = Subject::Cause { policy: turn.policy, cause: turn.cause, of: turn.of };
        let typology = match turn.to {
            Standing::Trusted => Typology::GuardReset,
            Standing::Attacked => Typology::GuardAttacked,
            Standing::YieldsToPredecessor | Standing::YieldsToChallenge => Typology::GuardTripped,
        };
        let known = self.table.used().find(|slot| self.table.subject(*slot) == subject);
        let Some(slot) = known.or_else(|| self.open(at, subject, typology, out)) else { return };
        self.table.set(slot, head::TYPOLOGY, typology as u64);
        self.table.set(slot, head::TYPOLOGIES, self.table.get(slot, head::TYPOLOGIES) | 1 << typology as u8);
        self.table.set(slot, head::SCORE, if typology == Typology::GuardReset { 0 } else { 1000 });
        self.table.set(slot, head::EVENTS, turn.declines);
        self.table.set(slot, head::LAST, at.now.0 as u64);
        self.table.set(slot, head::GROWN, at.now.0 as u64);
        match turn.to {
            Standing::Trusted => {
                self.publish(slot, AlertStatus::Closed, at, None, out);
                self.table.clear(slot);
            }
            _ => self.publish(slot, AlertStatus::Open, at, None, out),
        }
    }
}

/// Whether a policy's outcome makes a weak finding one.
pub(super) fn holds(outcome: Outcome) -> bool {
    outcome >= Outcome::Review
}

/// The entity in a slot of a payment and its kind.
pub(super) fn entity(ends: &[Option<Id>; SLOTS], at: usize) -> Option<(Id, IdKind)> {
    Some((ends[at]?, slot_kinds(EventType::Payment)[at]?))
}
