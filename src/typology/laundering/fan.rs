//! Fan-in and its mirror, fan-out: many strangers pay one account, or one pays many, within a short time. And the funnel: a fan-in by accounts
//! that are themselves new.
//!
//! AMLworld, section 3.2 (fan-in, fan-out); funnel accounts: FinCEN advisory FIN-2014-A005. A wage run, a marketplace and a cashier look
//! alike: they know those whom they pay, or deal as a business does.

use super::legs::{Leg, Party};
use super::{Figure, Search};
use crate::arithmetic::log2_1p;
use crate::event::Duration;
use crate::typology::Typology;

/// Strangers from which on a fan is one.
const FAN_MIN: usize = 4;
/// Counterparts of one account that are told apart.
pub(super) const PARTIES_MAX: usize = 64;

/// Different parties, in the order in which they were met.
pub(super) struct Parties {
    parties: [Party; PARTIES_MAX],
    len: usize,
}

impl Parties {
    pub(super) fn new() -> Parties {
        Parties { parties: [Party::OUTSIDE; PARTIES_MAX], len: 0 }
    }

    /// Adds an account that is not there yet; `false` where it is, or where there is no room.
    pub(super) fn add(&mut self, party: Party) -> bool {
        let is_new = party.is_account() && self.len < PARTIES_MAX && !self.as_slice().contains(&party);
        if is_new {
            self.parties[self.len] = party;
            self.len += 1;
        }
        is_new
    }

    pub(super) fn as_slice(&self) -> &[Party] {
        &self.parties[..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Search<'_> {
    /// Fan-in, fan-out and funnel.
    pub(super) fn fans(&mut self) {
        let Leg { from, to, .. } = self.around.this;
        let senders = self.counterparts(to, true);
        let receivers = self.counterparts(from, false);
        let feeders = self.counterparts(from, true);
        self.figure(Figure::Senders, senders.len() as i64);
        self.figure(Figure::Receivers, receivers.len() as i64);
        self.figure(Figure::Feeders, feeders.len() as i64);
        let young = senders.as_slice().iter().filter(|sender| self.is_young(**sender)).count();
        self.figure(Figure::Young, young as i64);
        self.fan(Typology::FanIn, to, &senders, true);
        self.fan(Typology::FanOut, from, &receivers, false);
        self.funnel(to, &senders, young);
    }

    /// Whether an account is young, where that means anything.
    pub(super) fn is_young(&self, party: Party) -> bool {
        !self.is_early && self.around.age_days(party) * Duration::DAY.0 <= self.options.young.0
    }

    /// Who paid an account, or whom it paid, by legs that count.
    pub(super) fn counterparts(&mut self, account: Party, incoming: bool) -> Parties {
        let mut parties = Parties::new();
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            let (own, other) = if incoming { (leg.to, leg.from) } else { (leg.from, leg.to) };
            if own == account && self.counts(&leg) {
                parties.add(other);
            }
        }
        parties
    }

    fn fan(&mut self, typology: Typology, account: Party, parties: &Parties, incoming: bool) {
        let this = self.around.this;
        let newest = if incoming { this.from } else { this.to };
        if parties.len() < FAN_MIN || self.is_early || !self.is_fresh(&this, account, newest) {
            return;
        }
        if self.is_business(account) {
            return;
        }
        // Newest first: the strangers of the last days, and with each one more how unlikely so many are within so short a time.
        let a_day = self.strangers_a_day(account, incoming);
        let (mut strangers, mut amounts) = (Parties::new(), [0; PARTIES_MAX]);
        let (mut different, mut best, mut reach) = (0, 0.0, None);
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            let (own, other) = if incoming { (leg.to, leg.from) } else { (leg.from, leg.to) };
            if own != account || !self.is_fresh(&leg, account, other) {
                continue;
            }
            if strangers.add(other) && !amounts[..different].contains(&leg.amount_minor) {
                amounts[different] = leg.amount_minor;
                different += 1;
            }
            // Members of a club all pay the same fee.
            let count = strangers.len().min(different);
            let bits = surprise(count, a_day * days(this.time - leg.time));
            best = if bits > best { bits } else { best };
            if bits >= TOLD_BITS && count >= FAN_MIN {
                reach = Some(leg);
            }
        }
        let Some(oldest) = reach else { return };
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            let (own, other) = if incoming { (leg.to, leg.from) } else { (leg.from, leg.to) };
            if own == account && !leg.is_before(&oldest) && self.is_fresh(&leg, account, other) {
                self.prove(leg);
            }
        }
        if self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        self.found(typology, account, score(best));
    }

    /// Whether a leg is of an amount that counts, and ordered by somebody.
    pub(super) fn counts(&self, leg: &Leg) -> bool {
        leg.amount_minor >= self.options.leg_minor && (leg.ordered || self.options.bulk_counts)
    }

    /// Whether a leg is of those that fans are made of: it counts, and is between strangers who are no businesses.
    fn is_fresh(&mut self, leg: &Leg, account: Party, other: Party) -> bool {
        self.counts(leg) && other.is_account() && !self.around.is_busy(other) && self.around.are_strangers(account, other)
    }

    /// Whether an account deals as a business does: with many, or by files of orders that no user placed, as wages are paid.
    pub(super) fn is_business(&mut self, account: Party) -> bool {
        if self.around.is_hub(account) || self.around.is_busy(account) {
            return true;
        }
        let files = |leg: &Leg| leg.from == account && leg.to.is_account() && !leg.ordered;
        self.around.this.ordered && !self.options.bulk_counts && self.around.legs(account).iter().any(files)
    }

    /// How many strangers an account deals with on a day, by what is visible of it before the window, and one in a fortnight on top: four
    /// for an account that is new, to which everybody is a stranger.
    pub(super) fn strangers_a_day(&mut self, account: Party, incoming: bool) -> f32 {
        let met = self.around.met_before(account, incoming);
        let since = self.around.since();
        let born = self.around.this.time - Duration::DAY.times(self.around.age_days(account));
        let visible = since - self.seen_since.max(born);
        let days = if visible.0 > 0 { visible.0 as f32 / Duration::DAY.0 as f32 } else { 0.0 };
        let more = if days < 14.0 { 4.0 } else { 1.0 };
        (met as f32 + more) / (days + 14.0)
    }

    fn funnel(&mut self, account: Party, senders: &Parties, young: usize) {
        if young < FAN_MIN || young * 10 < senders.len() * 6 || self.is_business(account) {
            return;
        }
        let this = self.around.this;
        if !self.is_young(this.from) {
            return;
        }
        let mut strangers = 0;
        let mut oldest = this;
        for party in senders.as_slice() {
            if !self.is_young(*party) || !self.around.are_strangers(account, *party) || self.around.is_busy(*party) {
                continue;
            }
            strangers += 1;
            for place in self.around.places(account) {
                let leg = self.around.leg(place);
                if leg.to == account && leg.from == *party {
                    oldest = if leg.is_before(&oldest) { leg } else { oldest };
                    self.prove(leg);
                    self.prove_feeders(leg);
                }
            }
        }
        let sum = self.proved_minor();
        if strangers < FAN_MIN || sum < self.options.sum_minor {
            return self.disprove();
        }
        let a_day = self.strangers_a_day(account, true);
        // That a stranger is young, too, is one in four.
        let bits = surprise(strangers, a_day * days(this.time - oldest.time)) + 2.0 * strangers as f32 - 4.0;
        self.found(Typology::Funnel, account, score(bits));
    }

    /// Adds the legs by which what an account passed on came to it.
    pub(super) fn prove_feeders(&mut self, leg: Leg) {
        let Some(transit) = self.transit(leg) else { return };
        let feeders = if transit.single { 1 } else { transit.feeders().len() };
        for place in &transit.feeders()[..feeders] {
            let feeder = self.around.leg(*place as usize);
            self.prove(feeder);
        }
    }
}

/// Bits from which on a count is told as too many for chance.
const TOLD_BITS: f32 = 8.0;

/// Days, at least two: much of what is honest comes together, too, on paydays and at weekends.
pub(super) fn days(span: Duration) -> f32 {
    let days = span.0 as f32 / Duration::DAY.0 as f32;
    if days > 2.0 { days } else { 2.0 }
}

/// How unlikely `count` are where `expected` are usual, in bits: the logarithm of the likelihood ratio of a scan statistic (Kulldorff, "A
/// spatial scan statistic", 1997) for a Poisson process.
pub(super) fn surprise(count: usize, expected: f32) -> f32 {
    let count = count as f32;
    let ratio = count / expected;
    if ratio <= 1.0 {
        return 0.0;
    }
    // In bits: log2(e) for the part that is no logarithm.
    count * log2_1p(ratio - 1.0) - (count - expected) * std::f32::consts::LOG2_E
}

/// The score of a finding that says so many bits.
pub(super) fn score(bits: f32) -> i64 {
    (bits * 25.0) as i64
}

#[cfg(test)]
mod tests {
    use crate::event::Duration;
    use crate::typology::Typology::{FanIn, FanOut, Funnel};
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    /// A bank in which `fan` strangers dealt with h on the last day but the newest, who is a; `b > h` or, mirrored, `h > b`.
    fn fan(mirrored: bool, fan: usize) -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old("a b c d e f h");
        let legs = (1..fan).map(|n| bank.send(n as i64 - 24, &sides(mirrored, ["a", "b", "c", "d", "e", "f"][n]), 20_000 + n as i64));
        let legs = legs.chain([THIS]).collect();
        (bank, legs)
    }

    fn sides(mirrored: bool, other: &str) -> String {
        if mirrored { format!("h>{other}") } else { format!("{other}>h") }
    }

    #[test]
    fn strangers_make_a_fan_and_nobody_else_does() {
        for (mirrored, typology, count) in [(false, FanIn, Figure::Senders), (true, FanOut, Figure::Receivers)] {
            let sides = |other: &str| sides(mirrored, other);
            let find = |bank: &mut Bank| bank.find(typology, 0, &sides("a"), 20_000);
            let (mut bank, legs) = fan(mirrored, 4);
            assert_eq!(find(&mut bank), proved("h", &legs));
            assert_eq!(bank.report.figure(count), 4);
            let (mut three, _) = fan(mirrored, 3);
            assert_eq!(find(&mut three), None, "three are none");

            let mut known = fan(mirrored, 4).0;
            known.send(-20 * 24, &sides("a"), 20_000);
            assert_eq!(find(&mut known), None, "it has dealt with one of them before: told late, and yet known");

            let (mut equal, _) = fan(mirrored, 1);
            for other in ["b", "c", "d", "e", "f"] {
                equal.send(-3, &sides(other), 20_000);
            }
            assert_eq!(find(&mut equal), None, "members of a club");

            let (mut slow, _) = fan(mirrored, 3);
            slow.send(-14 * 24, &sides("d"), 20_000);
            assert_eq!(find(&mut slow), None, "outside of the window");
            let (mut inside, _) = fan(mirrored, 3);
            inside.send(-14 * 24 + 1, &sides("d"), 21_000);
            assert_eq!(find(&mut inside).map(|(_, legs)| legs.len()), Some(4), "inside of it");

            let (mut files, _) = fan(mirrored, 1);
            files.ordered = false;
            for (n, other) in ["b", "c", "d", "e", "f"].into_iter().enumerate() {
                files.send(-3, &sides(other), 20_000 + n as i64);
            }
            files.ordered = true;
            assert_eq!(find(&mut files), None, "that nobody ordered");
            files.ordered = false;
            files.options.bulk_counts = true;
            assert_eq!(find(&mut files).map(|(_, legs)| legs.len()), Some(6), "of a stream that says nothing of who orders");

            let (mut business, _) = fan(mirrored, 4);
            business.ordered = false;
            business.send(-5, "h>f", 100_000);
            business.ordered = true;
            assert_eq!(find(&mut business), None, "it sends files of orders");

            let (mut busy, _) = fan(mirrored, 4);
            for n in 0..70 {
                busy.send(-2, if n % 2 == 0 { "h>e" } else { "f>h" }, 100);
            }
            assert_eq!(find(&mut busy), None, "it deals as a business does");

            let (mut small, _) = fan(mirrored, 4);
            assert_eq!(small.find(typology, 0, &sides("a"), 3_499), None, "so small a sum is no part of it");
            assert_eq!(small.report.figure(count), 3);
            small.options.sum_minor = 80_007;
            assert_eq!(find(&mut small), None, "all of it is too little");

            let (mut early, legs) = fan(mirrored, 4);
            early.options.young = Duration::HOUR.times(60 * 24 + 1);
            assert_eq!(find(&mut early), None, "so little is visible that everybody is a stranger");
            early.options.young = Duration::DAY.times(59);
            assert_eq!(find(&mut early), proved("h", &legs));
        }
    }

    /// The newest may be an account that no row knows, and the world outside is nobody.
    #[test]
    fn newcomers_are_strangers_and_the_world_outside_is_not() {
        let (mut bank, legs) = fan(false, 4);
        assert_eq!(bank.find(FanIn, 0, "newcomer>h", 20_000), proved("h", &legs));
        assert_eq!(bank.find(FanIn, 0, ">h", 20_000), None);
        assert_eq!(bank.report.figure(Figure::Senders), 3);
        assert_eq!(bank.find(FanIn, 0, "h>h", 20_000), None, "to oneself");
        assert_eq!(bank.report.figure(Figure::Senders), 0);
        let mut newborn = Bank::new();
        newborn.old("a b c d e f");
        assert_eq!(newborn.find(FanIn, 0, "a>newcomer", 20_000), None);
        assert_eq!(newborn.report.figure(Figure::Senders), 1);
    }

    #[test]
    fn young_accounts_make_a_funnel_with_what_they_passed_on() {
        let young = |funnel: usize| {
            let mut bank = Bank::new();
            bank.old("a h");
            let mut legs: Vec<u64> = (0..funnel).map(|n| bank.send(-40 + n as i64, &format!(">n{n}"), 50_000)).collect();
            legs.extend((1..funnel).map(|n| bank.send(n as i64 - 20, &format!("n{n}>h"), 48_000 + n as i64)));
            legs.push(THIS);
            (bank, legs)
        };
        let (mut bank, legs) = young(4);
        assert_eq!(bank.find(Funnel, 0, "n0>h", 48_000), proved("h", &legs));
        assert_eq!(bank.report.figure(Figure::Young), 4);
        assert_eq!(bank.find(Funnel, 0, "a>h", 48_000), None, "of somebody old");
        let (mut three, _) = young(3);
        assert_eq!(three.find(Funnel, 0, "n0>h", 48_000), None);
        // Half of them are old.
        let (mut mixed, _) = young(4);
        mixed.old("o1 o2 o3 o4");
        for old in ["o1>h", "o2>h", "o3>h", "o4>h"] {
            mixed.send(-1, old, 30_000);
        }
        assert_eq!(mixed.find(Funnel, 0, "n0>h", 48_000), None);
        let (mut known, _) = young(5);
        known.send(-15 * 24, "n0>h", 48_000);
        assert_eq!(known.find(Funnel, 0, "n0>h", 48_000), None, "its own transfer is no part of it");
        let (mut business, _) = young(4);
        business.ordered = false;
        business.send(-5, "h>a", 100_000);
        business.ordered = true;
        assert_eq!(business.find(Funnel, 0, "n0>h", 48_000), None);
    }
}
