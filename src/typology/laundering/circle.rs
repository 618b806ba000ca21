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
/// Rows that it looks at at most, of those that the budget leaves.
const VISITS_MAX: u32 = 384;

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
        let visits_max = self.around.visits() + VISITS_MAX;
        let mut reached = [Reached { leg: this, by: 0, depth: 1 }; REACHED_MAX];
        let mut len = 1;
        let mut next = 0;
        while next < len {
            let Reached { leg, depth, .. } = reached[next];
            let account = leg.from;
            if usize::from(depth) < legs_max && !self.around.is_hub(account) && self.around.visits() < visits_max {
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
