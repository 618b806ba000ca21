//! What surrounds a transfer, asked of all visible rows again and again, without any budget. What hangs on weights is not said.

use super::{Model, Row};
use crate::event::{Duration, Event, EventType, Id, Timestamp, Transfer};
use crate::graph::Family;
use crate::sim::model::{Facts, Value};
use crate::typology::laundering::LaunderingOptions;
use std::collections::BTreeSet;

/// So many counterparts of one account are told apart, the newest first.
const PARTIES_MAX: usize = 64;
/// Money is followed back by so many of the legs that came to an account, over so many legs, in so many steps.
const FEEDERS_MAX: usize = 8;
const WAY_MAX: usize = 10;
const STEPS_MAX: usize = 192;
/// The longest cycle whose amounts do not matter.
const CIRCLE_MAX: i64 = 6;
/// Sums just below the limit: from so many of a thousand of it on, within this time.
const NEAR_PERMILLE: i64 = 780;
const NEAR_WITHIN: Duration = Duration::DAY.times(10);
/// So many accounts must have paid whoever receives before anybody stands between.
const SENDERS_MIN: usize = 3;

/// Who is on one side of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Outside,
    Account(Id),
    /// An account that no row knows yet, in this slot.
    New(usize),
}

/// One transfer around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leg {
    /// Time, then arrival.
    order: (Timestamp, usize),
    amount: i64,
    from: Side,
    to: Side,
    ordered: bool,
}

impl Leg {
    fn time(&self) -> Timestamp {
        self.order.0
    }
}

/// How an account passed on.
#[derive(Clone, Debug)]
struct Transit {
    kept: i64,
    start: Timestamp,
    /// Newest first.
    feeders: Vec<Leg>,
}

/// It hangs on weights which of two answers is given, or on where a search ended.
#[derive(Clone, Copy, Debug)]
struct Unsaid;

/// A transfer and all that is around it.
struct Around<'a> {
    model: &'a Model<'a>,
    options: LaunderingOptions,
    this: Leg,
    /// Newest first; the transfer itself is the first.
    legs: Vec<Leg>,
    since: Timestamp,
    is_early: bool,
}

/// Of a thousand that came so many went.
fn permille(went: i64, came: i64) -> i64 {
    if came <= 0 { 0 } else { (i128::from(went) * 1000 / i128::from(came)) as i64 }
}

fn day(time: Timestamp) -> i64 {
    time.0.div_euclid(Duration::DAY.0)
}

impl Model<'_> {
    /// The figures `laundering.*` of a transfer, before its own row.
    pub(super) fn read_surroundings(&self, event: &Event, transfer: &Transfer, facts: &mut Facts) {
        let around = Around::new(self, event, transfer);
        let mut say = |name: &str, value: Result<i64, Unsaid>| {
            let name = format!("laundering.{name}");
            match value {
                Ok(value) => drop(facts.figures.insert(name, Value::Int(value))),
                Err(Unsaid) => drop(facts.unsaid.insert(name)),
            }
        };
        let Leg { from, to, .. } = around.this;
        let senders = around.who_paid(to);
        say("senders", Ok(senders.len() as i64));
        say("young_senders", Ok(senders.iter().filter(|sender| around.is_young(**sender)).count() as i64));
        say("receivers", Ok(around.whom_it_paid(from).len() as i64));
        say("feeders", Ok(around.who_paid(from).len() as i64));
        say("below_limit", Ok(around.below_limit()));
        say("middles", Ok(around.middles(&senders)));
        say("circle", Ok(around.circle()));
        say("passed_on", around.transit_of_this().map(|transit| transit.map_or(0, |_| around.passed_on())));
        say("kept_permille", around.transit_of_this().map(|transit| transit.map_or(0, |transit| transit.kept)));
        let dwell = |transit: Transit| (around.this.time() - transit.start).0 / Duration::SECOND.0;
        say("dwell_s", around.transit_of_this().map(|transit| transit.map_or(0, dwell)));
        say("rest_days", around.transit_of_this().map(|transit| transit.map_or(0, |transit| around.rest_days(transit.start))));
        let ways = around.ways();
        say("hops", ways.map(|(hops, _)| hops));
        say("closed", ways.map(|(_, closed)| closed));
    }
}

impl<'a> Around<'a> {
    fn new(model: &'a Model<'a>, event: &Event, transfer: &Transfer) -> Around<'a> {
        let options = model.options.laundering;
        let known = |slot: usize, id: Option<Id>| match id {
            None => Side::Outside,
            Some(id) if model.nodes.contains_key(&id) => Side::Account(id),
            Some(_) => Side::New(slot),
        };
        let to = transfer.to.filter(|to| Some(*to) != transfer.from);
        let visible = model.visible(Family::Money);
        let this = Leg {
            order: (event.time, visible.len()),
            amount: model.amount(event).unwrap_or(0),
            from: known(0, transfer.from),
            to: known(1, to),
            ordered: transfer.user.is_some() || transfer.device.is_some(),
        };
        let since = event.time - options.reach.window;
        let side = |id: Option<Id>| id.map_or(Side::Outside, Side::Account);
        let leg = |(place, row): (usize, &Row)| Leg {
            order: (row.time, place),
            amount: row.amount,
            from: side(row.nodes[0]),
            to: side(row.nodes[1]),
            ordered: row.nodes[2].is_some() || row.nodes[3].is_some(),
        };
        let rows = visible.iter().enumerate().filter(|(_, row)| row.kind == EventType::Transfer);
        let inside = rows.filter(|(_, row)| row.time > since && row.time <= event.time);
        let mut legs: Vec<Leg> = inside.map(leg).chain([this]).collect();
        legs.sort_by_key(|leg| std::cmp::Reverse(leg.order));
        let seen_since = visible.first().map_or(event.time, |row| row.time);
        Around { model, options, this, legs, since, is_early: seen_since > event.time - options.young }
    }

    fn came_to(&self, account: Side) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(move |leg| account != Side::Outside && leg.to == account)
    }

    fn went_from(&self, account: Side) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(move |leg| account != Side::Outside && leg.from == account)
    }

    /// Whether a leg is of those that tell who deals with whom.
    fn counts(&self, leg: &Leg) -> bool {
        leg.amount >= self.options.leg_minor && (leg.ordered || self.options.bulk_counts)
    }

    fn who_paid(&self, account: Side) -> Vec<Side> {
        different(self.came_to(account).filter(|leg| self.counts(leg)).map(|leg| leg.from))
    }

    fn whom_it_paid(&self, account: Side) -> Vec<Side> {
        different(self.went_from(account).filter(|leg| self.counts(leg)).map(|leg| leg.to))
    }

    /// The day of an account's first row; of one that no row knows the day of this transfer.
    fn first_day(&self, account: Side) -> i64 {
        match account {
            Side::Account(id) => self.model.nodes[&id].first_seen.expect("accounts are known by rows alone"),
            _ => day(self.this.time()),
        }
    }

    fn is_young(&self, account: Side) -> bool {
        let age_days = day(self.this.time()) - self.first_day(account);
        !self.is_early && age_days * Duration::DAY.0 <= self.options.young.0
    }

    fn is_busy(&self, account: Side) -> bool {
        let Side::Account(id) = account else { return false };
        self.model.state(Family::Money, id).is_some_and(|state| state.sums()[2] >= self.options.reach.busy_min as f32)
    }

    /// Whether whoever sends deals as a business does.
    fn sender_is_business(&self) -> bool {
        let from = self.this.from;
        let files = self.went_from(from).any(|leg| leg.to != Side::Outside && !leg.ordered);
        self.is_busy(from) || (self.this.ordered && !self.options.bulk_counts && files)
    }

    /// Whether two accounts dealt with each other before the window.
    fn know_each_other(&self, one: Side, other: Side) -> bool {
        let (Side::Account(one), Side::Account(other)) = (one, other) else { return false };
        let old = self.model.visible(Family::Money).iter().filter(|row| row.time <= self.since);
        old.map(|row| &row.nodes[..2]).any(|sides| sides.contains(&Some(one)) && sides.contains(&Some(other)))
    }

    /// Whether so much out is what was passed on of so much in.
    fn is_kept(&self, went: i64, came: i64) -> bool {
        (self.options.kept_permille..=self.options.exceeds_permille).contains(&permille(went, came))
    }

    fn below_limit(&self) -> i64 {
        let limit = self.options.limit_minor;
        let near = |leg: &&Leg| leg.amount < limit && leg.amount * 1000 >= limit * NEAR_PERMILLE;
        let lately = |leg: &&Leg| leg.time() > self.this.time() - NEAR_WITHIN;
        if !near(&&self.this) {
            return 0;
        }
        let sent = self.went_from(self.this.from).filter(near).filter(lately).count();
        sent.max(self.came_to(self.this.to).filter(near).filter(lately).count()) as i64
    }

    /// Accounts by which the money of one account came to whoever receives: of the account for which they are most.
    fn middles(&self, senders: &[Side]) -> i64 {
        let Leg { from, to, .. } = self.this;
        if senders.len() < SENDERS_MIN || from == Side::Outside {
            return 0;
        }
        let passes = |first: &Leg, second: &Leg| first.order < second.order && self.is_kept(second.amount, first.amount);
        let fed = self.came_to(from).filter(|leg| leg.from != to && passes(leg, &self.this));
        let sources = different(fed.map(|leg| leg.from));
        let stands_between = |source: Side, middle: Side| {
            let mut on = self.went_from(middle).filter(|second| second.to == to);
            let fed = |second: &Leg| self.came_to(middle).any(|first| first.from == source && passes(first, second));
            middle != source && middle != to && !self.is_busy(middle) && on.any(fed)
        };
        let of = |source: &Side| senders.iter().filter(|middle| stands_between(*source, **middle)).count() as i64;
        sources.iter().filter(|source| !self.is_busy(**source)).map(of).max().unwrap_or(0)
    }

    /// Legs of the shortest cycle in order of time: all legs from which one comes to this transfer in two legs, in three, and so on.
    fn circle(&self) -> i64 {
        let (Side::Account(_), Side::Account(_)) = (self.this.from, self.this.to) else { return 0 };
        let mut reached = vec![self.this];
        for length in 2..=CIRCLE_MAX {
            let leads = |before: &Leg| reached.iter().any(|leg| before.to == leg.from && before.order < leg.order);
            let mut next: Vec<Leg> = self.legs.iter().filter(|leg| matches!(leg.from, Side::Account(_)) && leads(leg)).copied().collect();
            if next.iter().any(|leg| leg.from == self.this.to) {
                return length;
            }
            std::mem::swap(&mut reached, &mut next);
        }
        0
    }

    /// How whoever sends passed on what came.
    fn transit_of_this(&self) -> Result<Option<Transit>, Unsaid> {
        let this = self.this;
        match this.from == Side::Outside || this.amount < self.options.leg_minor || self.sender_is_business() {
            true => Ok(None),
            false => self.transit(&this),
        }
    }

    /// How the account that sent `out` passed on what came to it. Where one sum for one and several for several say different things it
    /// hangs on weights which is taken.
    fn transit(&self, out: &Leg) -> Result<Option<Transit>, Unsaid> {
        match (self.one_for_one(out), self.several_for_several(out)) {
            (Some(one), Some(several)) if (one.kept, one.start) != (several.kept, several.start) => Err(Unsaid),
            (one, several) => Ok(one.or(several)),
        }
    }

    /// Legs by which what `out` sends may have come, newest first.
    fn feeders(&self, out: &Leg) -> impl Iterator<Item = &Leg> {
        self.came_to(out.from).filter(|leg| leg.order < out.order && leg.time() >= out.time() - self.options.dwell)
    }

    fn one_for_one(&self, out: &Leg) -> Option<Transit> {
        let feeders: Vec<Leg> = self.feeders(out).filter(|leg| self.is_kept(out.amount, leg.amount)).take(FEEDERS_MAX).copied().collect();
        let newest = feeders.first()?;
        Some(Transit { kept: permille(out.amount, newest.amount), start: newest.time(), feeders })
    }

    fn several_for_several(&self, out: &Leg) -> Option<Transit> {
        let strange = |leg: &&Leg| {
            let busy = self.is_busy(leg.from) || self.is_busy(leg.to);
            leg.amount >= self.options.leg_minor && !busy && !self.know_each_other(leg.from, leg.to)
        };
        let fed: Vec<Leg> = self.feeders(out).filter(strange).copied().collect();
        (1..=fed.len()).find_map(|several| {
            let oldest = fed[several - 1];
            let since = |leg: &&Leg| leg.order > oldest.order && leg.time() <= oldest.time() + self.options.dwell;
            let went = self.went_from(out.from).filter(strange).filter(since).map(|leg| leg.amount).sum();
            let came = fed[..several].iter().map(|leg| leg.amount).sum();
            let feeders = fed[..several].iter().take(FEEDERS_MAX).copied().collect();
            self.is_kept(went, came).then(|| Transit { kept: permille(went, came), start: oldest.time(), feeders })
        })
    }

    /// Hops of the longest way by which the money of this transfer may have come, and legs of the first that leads back to whoever receives.
    fn ways(&self) -> Result<(i64, i64), Unsaid> {
        if self.transit_of_this()?.is_none() {
            return Ok((0, 0));
        }
        let (mut longest, mut closed, mut steps) = (Vec::new(), 0, 0);
        self.go_back(&mut vec![self.this], &mut longest, &mut closed, &mut steps)?;
        let is_hop = |leg: &&Leg| leg.from != Side::Outside && leg.to != Side::Outside;
        Ok((longest.iter().filter(is_hop).count() as i64, closed))
    }

    fn go_back(&self, way: &mut Vec<Leg>, longest: &mut Vec<Leg>, closed: &mut i64, steps: &mut usize) -> Result<(), Unsaid> {
        if way.len() > longest.len() {
            longest.clone_from(way);
        }
        let oldest = way[way.len() - 1];
        if oldest.from == Side::Outside || way.len() == WAY_MAX {
            return Ok(());
        }
        for leg in self.transit(&oldest)?.map_or(Vec::new(), |transit| transit.feeders) {
            if *steps == STEPS_MAX {
                return Err(Unsaid);
            }
            *steps += 1;
            if leg.from != Side::Outside && way.iter().any(|known| known.from == leg.from) {
                continue;
            }
            way.push(leg);
            match leg.from == self.this.to && leg.from != Side::Outside {
                true if *closed == 0 => *closed = way.len() as i64,
                true => {}
                false => self.go_back(way, longest, closed, steps)?,
            }
            way.pop();
        }
        Ok(())
    }

    /// Sums that whoever sends passed on rapidly: each of what came last.
    fn passed_on(&self) -> i64 {
        let account = self.this.from;
        let (mut passed, mut last) = (0, None);
        for leg in self.legs.iter().rev() {
            if leg.to == account && leg.amount >= self.options.leg_minor {
                last = Some(*leg);
            }
            let rapid = |came: &Leg| leg.time() - came.time() <= self.options.rapid && self.is_kept(leg.amount, came.amount);
            if leg.from == account && last.as_ref().is_some_and(rapid) {
                passed += 1;
                last = None;
            }
        }
        passed
    }

    /// Days for which whoever sends was at rest before what it passes on began to come.
    fn rest_days(&self, start: Timestamp) -> i64 {
        let Side::Account(from) = self.this.from else { return 0 };
        let before = self.model.rows_of(Family::Money, from).map(|row| row.time).filter(|time| *time < start).max();
        let out_of_sight = (day(start) - self.first_day(self.this.from)).min(self.options.rest.0 / Duration::DAY.0);
        before.map_or(out_of_sight, |before| day(start) - day(before)).max(0)
    }
}

/// Different accounts, in their order.
fn different(sides: impl Iterator<Item = Side>) -> Vec<Side> {
    let mut known = BTreeSet::new();
    sides.filter(|side| *side != Side::Outside && known.insert(*side)).take(PARTIES_MAX).collect()
}
