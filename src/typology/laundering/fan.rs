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
