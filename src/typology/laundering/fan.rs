//! Fan-in and its mirror, fan-out: many strangers pay one account, or one pays many, within a short time. And the funnel: a fan-in by accounts
//! that are themselves new.
//!
//! AMLworld, section 3.2 (fan-in, fan-out); funnel accounts: FinCEN advisory FIN-2014-A005. A wage run, a marketplace and a cashier look
//! alike: they know those whom they pay, or deal as a business does.

use super::legs::{Leg, Party};
use super::{Figure, Search};
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

    /// Who paid an account, or whom it paid, with sums that count.
    pub(super) fn counterparts(&mut self, account: Party, incoming: bool) -> Parties {
        let least = self.options.leg_minor;
        let mut parties = Parties::new();
        for leg in self.around.legs(account) {
            let (own, other) = if incoming { (leg.to, leg.from) } else { (leg.from, leg.to) };
            if own == account && leg.amount_minor >= least {
                parties.add(other);
            }
        }
        parties
    }

    fn fan(&mut self, typology: Typology, account: Party, parties: &Parties, incoming: bool) {
        if parties.len() < FAN_MIN || self.is_early || self.around.is_hub(account) || self.around.is_busy(account) {
            return;
        }
        let mut strangers = Parties::new();
        for party in parties.as_slice() {
            if !self.around.is_busy(*party) && self.around.are_strangers(account, *party) {
                strangers.add(*party);
            }
        }
        if strangers.len() < FAN_MIN {
            return;
        }
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            let (own, other) = if incoming { (leg.to, leg.from) } else { (leg.from, leg.to) };
            if own == account && leg.amount_minor >= self.options.leg_minor && strangers.as_slice().contains(&other) {
                self.prove(leg);
            }
        }
        let sum = self.proved_minor();
        if sum < self.options.sum_minor {
            return self.disprove();
        }
        // What the fan was made for: the money goes on, or came, at once.
        let passed = self.prove_other_side(account, incoming, sum);
        let score = 200 + 60 * strangers.len() as i64 + if passed { 200 } else { 0 };
        self.found(typology, account, score);
    }

    /// Adds the legs by which what a fan gathered went on, or what it spread had come: few, of together as much.
    fn prove_other_side(&mut self, account: Party, incoming: bool, sum: i64) -> bool {
        let proofs = self.proved();
        let oldest = proofs.iter().map(|leg| (leg.time, leg.ordinal)).min().expect("a fan has legs");
        let newest = proofs.iter().map(|leg| (leg.time, leg.ordinal)).max().expect("a fan has legs");
        let (mut other, mut legs) = (0, [self.around.this; 4]);
        let mut len = 0;
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            let own = if incoming { leg.from } else { leg.to };
            let fits = match incoming {
                // It goes on behind the first that came, and within days of the last.
                true => (leg.time, leg.ordinal) > oldest && leg.time <= newest.0 + self.options.dwell,
                false => (leg.time, leg.ordinal) < newest && leg.time >= oldest.0 - self.options.dwell,
            };
            if own == account && fits && leg.amount_minor * 5 >= sum && len < legs.len() {
                legs[len] = leg;
                (len, other) = (len + 1, other + leg.amount_minor);
            }
        }
        let permille = super::flow::permille(other, sum);
        let passed = (500..=1_500).contains(&permille);
        if passed {
            legs[..len].iter().for_each(|leg| self.prove(*leg));
        }
        passed
    }

    fn funnel(&mut self, account: Party, senders: &Parties, young: usize) {
        if young < FAN_MIN || young * 10 < senders.len() * 6 || self.around.is_hub(account) || self.around.is_busy(account) {
            return;
        }
        let mut strangers = 0;
        for party in senders.as_slice() {
            if self.is_young(*party) && self.around.are_strangers(account, *party) {
                strangers += 1;
                for place in self.around.places(account) {
                    let leg = self.around.leg(place);
                    if leg.to == account && leg.from == *party {
                        self.prove(leg);
                    }
                }
            }
        }
        let sum = self.proved_minor();
        if strangers < FAN_MIN || sum < self.options.sum_minor {
            return self.disprove();
        }
        let passed = self.prove_other_side(account, true, sum);
        self.found(Typology::Funnel, account, 350 + 60 * strangers as i64 + if passed { 150 } else { 0 });
    }
}
