//! Money that does not stay: rapid pass-through, stacks of accounts that pass on, peeling chains, mules, and accounts at rest that
//! awake to pass on.
//!
//! AMLworld, section 3.2 (stack); peeling chains: Meiklejohn et al., "A Fistful of Bitcoins" (IMC 2013), section 5.

use super::fan::score;
use super::flow::{Traced, Transit, Way, permille};
use super::legs::{DEVICE, Leg, Party};
use super::{Figure, Search};
use crate::event::{Duration, Timestamp};
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
            if linked.link.slot() == DEVICE && linked.row.nodes[0] != self.device {
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
        let mut newest_before: Option<Timestamp> = None;
        for linked in self.around.chain(account) {
            if !self.around.look_at_row() {
                return;
            }
            if linked.row.time < transit.start {
                newest_before = newest_before.max(Some(linked.row.time));
                // What came before a row that was not late is older than it.
                if !linked.row.flags.late() {
                    break;
                }
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

#[cfg(test)]
mod tests {
    use crate::typology::Typology::{Dormant, Mule, PassThrough, PeelingChain, Stack};
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    fn bank(names: &str, legs: &[(i64, &str, i64)]) -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old(names);
        let legs = legs.iter().map(|(hours, sides, minor)| bank.send(*hours, sides, *minor)).chain([THIS]).collect();
        (bank, legs)
    }

    /// Caught when planted: what came later passed on.
    #[test]
    fn a_stack_is_of_accounts_that_each_pass_on() {
        let (mut stack, legs) = bank("a b c d", &[(-40, "a>b", 30_000), (-20, "b>c", 29_000)]);
        assert_eq!(stack.find(Stack, 0, "c>d", 28_000), proved("c", &legs));
        assert_eq!(stack.report.figure(Figure::Hops), 3);
        assert_eq!(stack.find(Stack, 0, "c>", 28_000), None, "two hops, and out");
        assert_eq!(stack.find(Stack, 0, "c>d", 18_000), None, "c keeps a third");
        assert_eq!(stack.find(Stack, 24 * 6, "c>d", 28_000), None, "it stayed too long");
        assert_eq!(stack.find(Stack, 0, "c>newcomer", 28_000), proved("c", &legs));
        let (mut reversed, _) = bank("a b c d", &[(-20, "b>c", 29_000), (-10, "a>b", 30_000)]);
        assert_eq!(reversed.find(Stack, 0, "c>d", 28_000), None, "b had nothing to pass on yet");
        assert_eq!(reversed.report.figure(Figure::Hops), 2);
        let (mut small, _) = bank("a b c d", &[(-40, "a>b", 8_100), (-20, "b>c", 8_000)]);
        assert_eq!(small.find(Stack, 0, "c>d", 7_999), None);
        // What came late stands where it belongs.
        let (mut late, legs) = bank("a b c d", &[(-20, "b>c", 29_000), (-40, "a>b", 30_000)]);
        assert_eq!(late.find(Stack, 0, "c>d", 28_000), proved("c", &[legs[1], legs[0], THIS]));
        // Two sums for one.
        let (mut parts, legs) = bank("a e b c d", &[(-40, "a>b", 15_000), (-39, "e>b", 15_000), (-20, "b>c", 29_500)]);
        assert_eq!(parts.find(Stack, 0, "c>d", 29_000), proved("c", &legs));
        let (mut hub, _) = bank("a b c d", &[(-40, "a>b", 30_000), (-20, "b>c", 29_000)]);
        hub.options.reach.rows_max = 8;
        for _ in 0..8 {
            hub.send(-10, "b>", 100);
        }
        assert_eq!(hub.find(Stack, 0, "c>d", 28_000), None, "money is not followed through so many");
    }

    #[test]
    fn what_comes_goes_on_within_two_days() {
        let (mut through, legs) = bank("a b c", &[(-40, "a>b", 50_000)]);
        assert_eq!(through.find(PassThrough, 0, "b>c", 49_000), proved("b", &legs));
        let figures = [Figure::Kept, Figure::DwellS, Figure::Hops].map(|figure| through.report.figure(figure));
        assert_eq!(figures, [980, 40 * 3600, 2]);
        assert_eq!(through.find(PassThrough, 9, "b>c", 49_000), None, "after two days");
        assert_eq!(through.report.figure(Figure::Kept), 980, "and yet passed on");
        assert_eq!(through.find(PassThrough, -41, "b>c", 49_000), None, "before it came");
        assert_eq!(through.find(PassThrough, 0, "b>c", 34_000), None, "less than seven tenths");
        assert_eq!(through.find(PassThrough, 0, "b>c", 53_000), None, "more than came");
        assert_eq!(through.find(PassThrough, 0, "c>b", 49_000), None, "the other way");
        let (mut outside, legs) = bank("a b c", &[(-40, ">b", 50_000)]);
        assert_eq!(outside.find(PassThrough, 0, "b>", 49_000), proved("b", &legs), "from outside and out again");
        let (mut little, _) = bank("a b c", &[(-40, "a>b", 29_999)]);
        assert_eq!(little.find(PassThrough, 0, "b>c", 29_999), None);
        let (mut business, _) = bank("a b c", &[(-40, "a>b", 50_000)]);
        business.ordered = false;
        business.send(-50, "b>c", 100);
        business.ordered = true;
        assert_eq!(business.find(PassThrough, 0, "b>c", 49_000), None);
        let (mut family, _) = bank("a b c", &[(-40, "a>b", 50_000)]);
        let strange = family.find(PassThrough, 0, "b>c", 49_000).and(family.finding(PassThrough)).expect("as above").score;
        family.send(-20 * 24, "a>b", 100);
        assert!(family.find(PassThrough, 0, "b>c", 49_000).is_some());
        assert!(family.finding(PassThrough).expect("between those who know each other").score < strange);
    }

    /// Caught when planted: a mule told of at a transfer that was no part of what it passed on.
    #[test]
    fn a_mule_is_young_and_does_it_again() {
        let passed = [(-60, "a>m", 20_000), (-50, "m>b", 19_000), (-30, "c>m", 20_000)];
        let (mut mule, legs) = bank("a b c d", &passed);
        assert_eq!(mule.find(Mule, 0, "m>d", 19_000), proved("m", &legs));
        assert_eq!(mule.report.figure(Figure::Passed), 2);
        let alone = mule.finding(Mule).expect("found").score;
        let (mut old, _) = bank("a b c d m", &passed);
        assert_eq!(old.find(Mule, 0, "m>d", 19_000), None, "it is old");
        assert_eq!(old.report.figure(Figure::Passed), 2);
        let (mut once, _) = bank("a b c d", &passed[2..]);
        assert_eq!(once.find(Mule, 0, "m>d", 19_000), None);
        let (mut first, _) = bank("a b c d", &[(-60, "a>m", 20_000), (-55, "m>b", 19_000), (-54, "m>d", 19_000), (-30, "c>m", 20_000)]);
        assert_eq!(first.find(Mule, 0, "m>d", 19_000).map(|(_, legs)| legs.len()), Some(4), "what came once goes on once");
        // Others order by its phone.
        let (mut shared, legs) = bank("a b c d", &passed);
        shared.device = Some("phone");
        for (n, sides) in ["e>", "f>", "g>"].into_iter().enumerate() {
            shared.send(-10 + n as i64, sides, 100);
        }
        assert_eq!(shared.find(Mule, 0, "m>d", 19_000), proved("m", &legs));
        assert_eq!(shared.finding(Mule).expect("found").score, alone + 150, "three sharers, two bits each");
        // It passes on a sum that it got before, and nothing of what came last.
        let (mut other, _) = bank(
            "a b c d",
            &[(-70, "a>m", 20_000), (-65, "m>b", 19_000), (-60, "c>m", 20_000), (-55, "m>b", 19_000), (-54, "c>m", 90_000)],
        );
        assert_eq!(other.find(Mule, 0, "m>d", 19_500), None, "it was told of before");
    }

    #[test]
    fn a_chain_peels() {
        let way = [
            (-60, "a>b", 100_000),
            (-50, "b>c", 90_000),
            (-49, "b>p", 9_000),
            (-40, "c>d", 81_000),
            (-39, "c>q", 8_500),
            (-20, "d>r", 7_800),
        ];
        let (mut chain, legs) = bank("a b c d e p q r", &way);
        assert_eq!(chain.find(PeelingChain, 0, "d>e", 73_000), proved("d", &legs));
        assert_eq!(chain.find(PeelingChain, 0, "d>e", 80_900), None, "nothing was peeled off of the last");
        let (mut short, _) = bank("a b c d e p q r", &way[1..]);
        assert_eq!(short.find(PeelingChain, 0, "d>e", 73_000), None, "two that peel");
        let without: Vec<_> = way.into_iter().filter(|(_, sides, _)| *sides != "c>q").collect();
        let (mut kept, _) = bank("a b c d e p q r", &without);
        assert_eq!(kept.find(PeelingChain, 0, "d>e", 73_000), None, "c kept the rest");
        let mut early = way;
        early[4].0 = -41;
        let (mut before, legs) = bank("a b c d e p q r", &early);
        assert_eq!(
            before.find(PeelingChain, 0, "d>e", 73_000).map(|(_, legs)| legs.len()),
            Some(legs.len()),
            "peeled off before it went on"
        );
        early[4].0 = -51;
        let (mut never, _) = bank("a b c d e p q r", &early);
        assert_eq!(never.find(PeelingChain, 0, "d>e", 73_000), None, "what c sent before it got");
    }

    #[test]
    fn who_was_at_rest_awakes() {
        let (mut dormant, legs) = bank("a b c", &[(-40, "a>b", 50_000)]);
        assert_eq!(dormant.find(Dormant, 0, "b>c", 49_000), proved("b", &legs));
        assert_eq!(dormant.report.figure(Figure::RestDays), 48);
        let (mut awake, _) = bank("a b c", &[(-30 * 24, "b>", 100), (-40, "a>b", 50_000)]);
        assert_eq!(awake.find(Dormant, 0, "b>c", 49_000), None);
        assert_eq!(awake.report.figure(Figure::RestDays), 28);
        awake.send(-49 * 24, "b>", 100);
        assert_eq!(awake.find(Dormant, 0, "b>c", 49_000), None, "what came late was long ago");
        assert_eq!(awake.report.figure(Figure::RestDays), 28);
        let (mut young, _) = bank("a c", &[(-40, "a>b", 50_000)]);
        assert_eq!(young.find(Dormant, 0, "b>c", 49_000), None, "it was not there");
        assert_eq!(young.report.figure(Figure::RestDays), 0);
        let (mut little, _) = bank("a b c", &[(-40, "a>b", 25_000)]);
        assert_eq!(little.find(Dormant, 0, "b>c", 24_000), None);
        let (mut kept, _) = bank("a b c", &[(-40, "a>b", 50_000)]);
        assert_eq!(kept.find(Dormant, 0, "b>c", 20_000), None, "it passes nothing on");
        kept.options.rest = crate::event::Duration::DAY.times(59);
        assert_eq!(kept.find(Dormant, 0, "b>c", 49_000), None, "so long nobody can know");
    }
}
