//! Cycles: money that comes back to whoever sent it first, over accounts each of which sent after it had got, whatever the amounts.
//!
//! AMLworld, section 3.2 (simple cycle); temporal cycles: Blanuša et al., "Fast Parallel Algorithms for Enumeration of Simple, Temporal, and
//! Hop-Constrained Cycles" (ACM TOPC 2023). The search goes back from whoever sends, nearest accounts first: of each it is enough to know
//! until when it may have been paid at the latest, so each is looked at seldom, however many ways lead there.

use super::fan::score;
use super::flow::{LEGS_MAX, Way};
use super::legs::{Leg, Party};
use super::{Figure, Search};
use crate::typology::Typology;

/// Legs of a cycle whose amounts do not matter, at most.
const CIRCLE_MAX: usize = 6;
/// Accounts that one search reaches at most.
const REACHED_MAX: usize = 96;
/// Of a thousand visits of the budget a search takes so many at most, of those that are left.
const VISITS_PERMILLE: u64 = 375;

/// An account from which money can have come to whoever sends now.
#[derive(Clone, Copy)]
struct Reached {
    /// By which leg it went on, the latest that is known.
    leg: Leg,
    /// From whom it was reached: whoever got the leg.
    by: u8,
    depth: u8,
}

impl Search<'_> {
    /// A cycle of accounts that pass on what came. Where amounts do not matter a cycle proves nothing: it is a figure.
    pub(super) fn cycle(&mut self) {
        let shortest = self.circle(CIRCLE_MAX).filter(is_simple);
        self.figure(Figure::Circle, shortest.map_or(0, |way| way.legs().len() as i64));
        self.figure(Figure::Cycle, self.closed.map_or(0, |way| way.legs().len() as i64));
        let Some(way) = self.closed else { return };
        let least = way.legs().iter().map(|leg| leg.amount_minor).min().unwrap_or(0);
        if least < self.options.flow_minor || self.around.is_busy(self.around.this.to) {
            return;
        }
        self.gather_way(&way);
        if self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        // That a way leads back says as much again as two strangers; but two lend and give back, and in a family three do so.
        let closing = match way.legs().len() {
            ..=2 => -6.0,
            3 => -4.0,
            _ => 4.0,
        };
        let bits = self.way_bits(&way) + closing;
        self.found(Typology::Cycle, way.legs()[0].to, score(bits));
    }

    /// The shortest cycle in order of time that the transfer looked at closes, of at most `legs_max` legs.
    pub(super) fn circle(&mut self, legs_max: usize) -> Option<Way> {
        let this = self.around.this;
        if !this.from.is_account() || this.to.node().is_none() || this.from.node().is_none() {
            return None;
        }
        let share = u64::from(self.options.reach.visits_max) * VISITS_PERMILLE / 1000;
        let visits_max = self.around.visits() + share as u32;
        let mut reached = [Reached { leg: this, by: 0, depth: 1 }; REACHED_MAX];
        let mut len = 1;
        let mut next = 0;
        while next < len {
            let Reached { leg, depth, .. } = reached[next];
            let account = leg.from;
            if usize::from(depth) < legs_max && self.around.visits() < visits_max && !self.around.is_hub(account) {
                for place in self.around.places(account) {
                    let before = self.around.leg(place);
                    if before.to != account || !before.is_before(&leg) || before.from.node().is_none() {
                        continue;
                    }
                    if before.from == this.to {
                        return Some(way(&reached, next, before));
                    }
                    // Whoever was reached by fewer legs is not worth another look unless it may now be paid later.
                    let known = reached[..len].iter().any(|other| other.leg.from == before.from && !other.leg.is_before(&before));
                    if !known && before.from != account && len < REACHED_MAX {
                        reached[len] = Reached { leg: before, by: next as u8, depth: depth + 1 };
                        len += 1;
                    }
                }
            }
            next += 1;
        }
        None
    }
}

/// The cycle that `last` closes, newest leg first.
fn way(reached: &[Reached; REACHED_MAX], mut at: usize, last: Leg) -> Way {
    let mut legs = [last; LEGS_MAX];
    let mut len = 1;
    loop {
        legs[len] = reached[at].leg;
        len += 1;
        if at == 0 {
            break;
        }
        at = usize::from(reached[at].by);
    }
    legs[..len].reverse();
    Way::of(&legs[..len])
}

/// Whether no two legs of a way begin at one account.
pub(super) fn is_simple(way: &Way) -> bool {
    let from = |at: usize| -> Party { way.legs()[at].from };
    (0..way.legs().len()).all(|one| (0..one).all(|other| from(one) != from(other)))
}

#[cfg(test)]
mod tests {
    use crate::typology::Typology::Cycle;
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    /// The way a > b > c > d, each leg of its amount.
    fn way(amounts: [i64; 3]) -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old("a b c d e");
        let legs = [(-40, "a>b"), (-30, "b>c"), (-20, "c>d")].into_iter().zip(amounts);
        let legs = legs.map(|((hours, sides), minor)| bank.send(hours, sides, minor)).chain([THIS]).collect();
        (bank, legs)
    }

    /// Caught when planted: legs before which what they pass on had not come.
    #[test]
    fn money_comes_back_to_where_it_began() {
        let (mut bank, legs) = way([30_000, 29_000, 28_000]);
        assert_eq!(bank.find(Cycle, 0, "d>a", 27_000), proved("a", &legs));
        assert_eq!([Figure::Cycle, Figure::Circle].map(|figure| bank.report.figure(figure)), [4, 4]);
        assert_eq!(bank.find(Cycle, 0, "d>e", 27_000), None, "it does not come back");
        assert_eq!([Figure::Cycle, Figure::Circle].map(|figure| bank.report.figure(figure)), [0, 0]);
        assert_eq!(bank.find(Cycle, 0, "d>newcomer", 27_000), None, "it never was there");
        // Amounts: the figure says that there is a cycle, nobody says that it is one of money passed on.
        assert_eq!(bank.find(Cycle, 0, "d>a", 10_000), None);
        assert_eq!([Figure::Cycle, Figure::Circle].map(|figure| bank.report.figure(figure)), [0, 4]);
        let (mut lossy, _) = way([90_000, 29_000, 28_000]);
        assert_eq!(lossy.find(Cycle, 0, "d>a", 27_000), None, "b kept two thirds");
        assert_eq!(lossy.report.figure(Figure::Circle), 4);
        // Its last leg came first.
        let mut reversed = Bank::new();
        reversed.old("a b c d");
        for (hours, sides) in [(-20, "a>b"), (-30, "b>c"), (-40, "c>d")] {
            reversed.send(hours, sides, 30_000);
        }
        assert_eq!(reversed.find(Cycle, 0, "d>a", 30_000), None);
        assert_eq!(reversed.report.figure(Figure::Circle), 0);
        let (mut slow, _) = way([30_000, 29_000, 28_000]);
        assert_eq!(slow.find(Cycle, 6 * 24, "d>a", 27_000), None, "it stayed too long");
        assert_eq!(slow.report.figure(Figure::Circle), 4);
        assert_eq!(slow.find(Cycle, 14 * 24 - 40, "d>a", 27_000), None);
        assert_eq!(slow.report.figure(Figure::Circle), 0, "outside of the window");
        let (mut business, _) = way([30_000, 29_000, 28_000]);
        for _ in 0..70 {
            business.send(-10, ">a", 100);
        }
        assert_eq!(business.find(Cycle, 0, "d>a", 27_000), None, "to a business");
    }

    /// The nearest way back is told, also where a longer one is known.
    #[test]
    fn the_shortest_circle_is_the_figure() {
        let (mut bank, _) = way([30_000, 29_000, 28_000]);
        bank.send(-35, "a>d", 77);
        bank.look(0, "d>a", 27_000);
        assert_eq!(bank.report.figure(Figure::Circle), 2);
        // To oneself, and between those whom no row knows.
        for sides in ["d>d", "newcomer>a", ">a", "d>"] {
            bank.look(0, sides, 27_000);
            assert_eq!(bank.report.figure(Figure::Circle), 0, "{sides}");
        }
    }
}
