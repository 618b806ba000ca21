//! Bipartite: several accounts each pay several of the same others, so that no single flow is large.
//!
//! AMLworld, section 3.2. Parents and their children pay each other so for years: they are no strangers.

use super::fan::{Parties, score};
use super::legs::Party;
use super::{Figure, Search};
use crate::typology::Typology;

/// Legs of a crowd from which on it is one, with two accounts on each side.
const CROWD_MIN: usize = 4;
/// Strangers a day from which on an account is no goal of a crowd.
const SELLS_A_DAY: f32 = 0.35;
/// Accounts of one side that are looked at, and how often it is looked for more.
const SIDE_MAX: usize = 16;
const ROUNDS: usize = 3;

impl Search<'_> {
    pub(super) fn bipartite(&mut self) {
        let this = self.around.this;
        let sides = [Figure::Senders, Figure::Receivers].map(|figure| self.out.figure(figure));
        if sides[0] < 2 || sides[1] < 2 || self.is_business(this.from) || self.is_business(this.to) {
            return;
        }
        // From whoever sends to those whom it pays, to all who pay two of these, and to all whom two of those pay: until it grows no more.
        let mut crowd = Parties::new();
        crowd.add(this.from);
        let mut goals = self.counterparts(this.from, false);
        for _ in 0..ROUNDS {
            let before = (crowd.len(), goals.len());
            for at in 0..goals.len().min(SIDE_MAX) {
                let goal = goals.as_slice()[at];
                if self.is_business(goal) {
                    continue;
                }
                for sender in self.counterparts(goal, true).as_slice().iter().take(SIDE_MAX) {
                    if crowd.len() < SIDE_MAX && self.shared(*sender, &goals) >= 2 && !self.is_business(*sender) {
                        crowd.add(*sender);
                    }
                }
            }
            if crowd.len() < 2 {
                return;
            }
            let mut met = Parties::new();
            for at in 0..crowd.len() {
                for receiver in self.counterparts(crowd.as_slice()[at], false).as_slice() {
                    let paid_by = crowd.as_slice().iter().filter(|sender| self.pays(**sender, *receiver)).count();
                    // Whom new ones pay every other day sells something.
                    if paid_by >= 2 && !self.is_business(*receiver) && self.strangers_a_day(*receiver, true) < SELLS_A_DAY {
                        met.add(*receiver);
                    }
                }
            }
            goals = met;
            if (crowd.len(), goals.len()) == before {
                break;
            }
        }
        let (mut strangers, mut pairs) = (0, 0);
        for sender in crowd.as_slice() {
            for goal in goals.as_slice() {
                let mut is_pair = false;
                for place in self.around.places(*sender) {
                    let leg = self.around.leg(place);
                    if leg.from == *sender && leg.to == *goal && self.counts(&leg) {
                        is_pair = true;
                        self.prove(leg);
                    }
                }
                pairs += usize::from(is_pair);
                strangers += usize::from(is_pair && self.around.are_strangers(*sender, *goal));
            }
        }
        self.figure(Figure::Crowd, pairs as i64);
        let enough = goals.len() >= 2 && pairs >= CROWD_MIN && goals.as_slice().contains(&this.to);
        if !enough || self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        // Where money goes by chance a crowd is a tree: each pair beyond that closes a ring.
        let rings = (pairs + 1).saturating_sub(crowd.len() + goals.len());
        let bits = 5.0 * rings as f32 + strangers as f32 - 4.0 * (pairs - strangers) as f32;
        self.found(Typology::Bipartite, this.from, score(bits));
    }

    fn shared(&mut self, sender: Party, receivers: &Parties) -> usize {
        let paid = self.counterparts(sender, false);
        paid.as_slice().iter().filter(|party| receivers.as_slice().contains(party)).count()
    }

    fn pays(&mut self, sender: Party, receiver: Party) -> bool {
        self.around.places(sender).any(|place| {
            let leg = self.around.leg(place);
            leg.from == sender && leg.to == receiver && self.counts(&leg)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::typology::Typology::Bipartite;
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    fn crowd() -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old("a b c x y z");
        let legs = [(-40, "a>x"), (-30, "a>y"), (-20, "b>x")].map(|(hours, sides)| bank.send(hours, sides, 20_000));
        let legs = legs.into_iter().chain([THIS]).collect();
        (bank, legs)
    }

    /// Caught when planted: a transfer of so little that it is no part of what is told at it.
    #[test]
    fn several_pay_several_of_the_same() {
        let (mut bank, legs) = crowd();
        assert_eq!(bank.find(Bipartite, 0, "b>y", 20_000), proved("b", &legs));
        assert_eq!(bank.report.figure(Figure::Crowd), 4);
        assert_eq!(bank.find(Bipartite, 0, "b>z", 20_000), None, "of the same two but one");
        assert_eq!(bank.find(Bipartite, 0, "c>y", 20_000), None, "who pays one alone");
        bank.send(-1, "b>y", 20_000);
        assert_eq!(bank.find(Bipartite, 0, "b>y", 100), None, "a small sum between these");
        let mut few = Bank::new();
        few.old("a b x y");
        few.send(-40, "a>x", 20_000);
        few.send(-30, "a>y", 20_000);
        assert_eq!(few.find(Bipartite, 0, "b>y", 20_000), None, "three pairs");
        let (mut old, _) = (Bank::new(), ());
        old.old("a b x y");
        for (hours, sides) in [(-14 * 24, "a>x"), (-30, "a>y"), (-20, "b>x")] {
            old.send(hours, sides, 20_000);
        }
        assert_eq!(old.find(Bipartite, 0, "b>y", 20_000), None, "outside of the window");
        let (mut business, _) = crowd();
        business.ordered = false;
        business.send(-1, "y>z", 100);
        business.ordered = true;
        assert_eq!(business.find(Bipartite, 0, "b>y", 20_000), None);
        let (mut family, _) = crowd();
        let strange = family.find(Bipartite, 0, "b>y", 20_000).and(family.finding(Bipartite)).expect("a crowd").score;
        for sides in ["a>x", "a>y", "b>x", "b>y"] {
            family.send(-30 * 24, sides, 20_000);
        }
        assert!(family.find(Bipartite, 0, "b>y", 20_000).is_some());
        assert!(family.finding(Bipartite).expect("a crowd").score < strange / 2, "they have known each other for long");
    }
}
