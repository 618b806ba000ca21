//! Money that does not stay: rapid pass-through, stacks of accounts that pass on, peeling chains, mules, and accounts at rest that
//! awake to pass on.
//!
//! AMLworld, section 3.2 (stack); peeling chains: Meiklejohn et al., "A Fistful of Bitcoins" (IMC 2013), section 5.

use super::fan::score;
use super::flow::{Traced, Transit, Way, permille};
use super::legs::{Leg, Party};
use super::{Figure, Search};
use crate::event::Duration;
use crate::graph::{Family, day};
use crate::typology::Typology;

/// Hops from which on a way is a stack, and of which one peels.
const STACK_MIN: usize = 3;
const PEELS_MIN: usize = 3;
/// A hop that peels sends at least so many of a thousand on, and no more than so many.
const PEELED: std::ops::RangeInclusive<i64> = 600..=985;
/// Sums passed on rapidly from which on a young account is a mule.
const PASSED_MIN: usize = 2;
/// Rows of a device that are looked at for who shares it.
const DEVICE_ROWS_MAX: usize = 24;

impl Search<'_> {
    /// All that follows money back.
    pub(super) fn flows(&mut self) {
        let this = self.around.this;
        if !this.from.is_account() || this.amount_minor < self.options.leg_minor {
            return;
        }
        if self.is_business(this.from) {
            return;
        }
        let Some(transit) = self.transit(this) else { return };
        self.figure(Figure::Kept, transit.kept_permille());
        self.figure(Figure::DwellS, (this.time - transit.start).0 / Duration::SECOND.0);
        let traced = self.trace();
        self.figure(Figure::Hops, traced.longest.hops() as i64);
        self.stack(&traced);
        self.closed = traced.cycle;
        self.pass_through(&transit, &traced.longest);
        self.mule();
        self.peeling_chain(&traced.longest);
        self.dormant(&transit, &traced.longest);
    }

    fn stack(&mut self, traced: &Traced) {
        let way = &traced.longest;
        if way.hops() < STACK_MIN || way.legs().iter().any(|leg| leg.amount_minor < self.options.flow_minor) {
            return;
        }
        let bits = self.way_bits(way);
        self.gather_way(way);
        self.found(Typology::Stack, way.legs()[0].from, score(bits));
    }

    fn pass_through(&mut self, transit: &Transit, way: &Way) {
        let this = self.around.this;
        if this.time - transit.start > self.options.rapid || way.legs().len() < 2 || transit.out_minor < self.options.sum_minor {
            return;
        }
        let bits = self.through_bits(transit, way);
        self.found(Typology::PassThrough, this.from, score(bits));
    }

    /// Proves how whoever sends passed on, and gives what it says in bits.
    fn through_bits(&mut self, transit: &Transit, way: &Way) -> f32 {
        self.gather_way(&way.newest(2));
        let mut bits = self.passing_bits(transit.kept_permille(), self.around.this.time - transit.start);
        for at in 0..self.proved().len() {
            let leg = self.proved()[at];
            bits += self.leg_bits(&leg);
        }
        bits
    }

    /// A young account that takes and passes on again and again, by a device that others use, too.
    fn mule(&mut self) {
        let account = self.around.this.from;
        let places = self.around.places(account);
        let (mut passed, mut bits) = (0, 0.0);
        let mut newest_in = None;
        for place in places.rev() {
            let leg = self.around.leg(place);
            if leg.to == account && leg.amount_minor >= self.options.leg_minor {
                newest_in = Some(leg);
            } else if let (true, Some(came)) = (leg.from == account, newest_in) {
                let kept = permille(leg.amount_minor, came.amount_minor);
                let fits = (self.options.kept_permille..=self.options.exceeds_permille).contains(&kept);
                if fits && leg.time - came.time <= self.options.rapid {
                    passed += 1;
                    bits += self.passing_bits(kept, leg.time - came.time) + (self.leg_bits(&came) + self.leg_bits(&leg)) / 2.0;
                    self.prove(came);
                    self.prove(leg);
                    newest_in = None;
                }
            }
        }
        self.figure(Figure::Passed, passed as i64);
        if passed < PASSED_MIN || !self.is_young(account) || self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        // Who lends an account seldom has another phone than all of them.
        let sharers = self.sharers().min(3);
        self.found(Typology::Mule, account, score(bits - 2.0 + 2.0 * sharers as f32));
    }

    /// Accounts besides whoever sends that sent by the same device lately.
    fn sharers(&mut self) -> usize {
        let mut parties = super::fan::Parties::new();
        for linked in self.around.graph().chain(Family::Money, self.device).take(DEVICE_ROWS_MAX) {
            if !self.around.look_at_row() {
                break;
            }
            // Those of whom it is the device by which they send.
            if linked.link.slot() == 3 && linked.row.nodes[0] != self.device {
                let party = Party::of(linked.row.nodes[0]);
                if party != self.around.this.from {
                    parties.add(party);
                }
            }
        }
        parties.len()
    }

    fn peeling_chain(&mut self, way: &Way) {
        // Each account of the way sent most on, and little to somebody else.
        let mut peels = 0;
        for (leg, before) in way.legs().iter().zip(&way.legs()[1..]) {
            if PEELED.contains(&permille(leg.amount_minor, before.amount_minor)) && self.peeled(leg, before).is_some() {
                peels += 1;
            }
        }
        if peels < PEELS_MIN {
            return;
        }
        for (leg, before) in way.legs().iter().zip(&way.legs()[1..]) {
            self.prove(*leg);
            self.prove(*before);
            if let Some(peeled) = self.peeled(leg, before) {
                self.prove(peeled);
            }
        }
        let bits = self.way_bits(way) + 3.0 * peels as f32;
        self.found(Typology::PeelingChain, way.legs()[0].from, score(bits));
    }

    /// What the account that sent `leg` on of `before` sent elsewhere of the rest.
    fn peeled(&mut self, leg: &Leg, before: &Leg) -> Option<Leg> {
        let rest = before.amount_minor - leg.amount_minor;
        let until = before.time + self.options.dwell;
        let mut found = None;
        for place in self.around.places(leg.from) {
            let other = self.around.leg(place);
            let is_other = other.from == leg.from && other.to != leg.to && other.ordinal != leg.ordinal && other.to.is_account();
            let fits = other.amount_minor <= rest + rest / 10 && other.amount_minor * 3 >= rest;
            if is_other && fits && before.is_before(&other) && other.time <= until {
                found = Some(other);
            }
        }
        found
    }

    /// An account at rest takes and passes on.
    fn dormant(&mut self, transit: &Transit, way: &Way) {
        let account = self.around.this.from;
        // The oldest leg in is what awoke it: nothing of it is visible before that, for so long.
        let mut newest_before = None;
        for linked in self.around.chain(account) {
            if !self.around.look_at_row() {
                return;
            }
            if linked.row.time < transit.start {
                newest_before = Some(linked.row.time);
                break;
            }
        }
        let Some(node) = account.node() else { return };
        let header = self.around.graph().nodes.header(node);
        let started = day(transit.start);
        let rest_days = match newest_before {
            Some(time) => started - day(time),
            // Out of sight since it was seen first, at most.
            None => (started - header.first_day()).min(self.options.rest.0 / Duration::DAY.0),
        };
        self.figure(Figure::RestDays, rest_days.max(0));
        // Of what lies before everything that is visible nobody knows.
        let is_known = self.seen_since <= transit.start - self.options.rest;
        let rested = rest_days * Duration::DAY.0 >= self.options.rest.0 && is_known;
        if !rested || transit.out_minor < self.options.sum_minor || way.legs().len() < 2 {
            return;
        }
        let bits = self.through_bits(transit, way) + 4.0;
        self.found(Typology::Dormant, account, score(bits));
    }
}
