//! Gather-scatter: one account takes from many and pays many, and what came in goes out.
//!
//! AMLworld, section 3.2. A shop and a marketplace do the same without end: they deal as a business does.

use super::fan::{days, score, surprise};
use super::flow::permille;
use super::legs::Leg;
use super::{Figure, Search};
use crate::typology::Typology;

/// Accounts on each side from which on it is one.
const SIDE_MIN: usize = 3;

impl Search<'_> {
    pub(super) fn gather_scatter(&mut self) {
        let Leg { from, .. } = self.around.this;
        let [receivers, feeders] = [Figure::Receivers, Figure::Feeders].map(|figure| self.out.figure(figure));
        if receivers < SIDE_MIN as i64 || feeders < SIDE_MIN as i64 || self.is_business(from) {
            return;
        }
        // Gathering comes first: what went out before the second came in is no part of it.
        let mut gathered = super::fan::Parties::new();
        let mut scattered = super::fan::Parties::new();
        let places = self.around.places(from);
        let (mut came, mut went, mut strangers, mut oldest) = (0, 0, [0; 2], self.around.this);
        for place in places.rev() {
            let leg = self.around.leg(place);
            if !self.counts(&leg) || !leg.from.is_account() || !leg.to.is_account() || !self.is_strange(&leg) {
                continue;
            }
            oldest = if leg.is_before(&oldest) { leg } else { oldest };
            if leg.to == from {
                strangers[0] += usize::from(gathered.add(leg.from));
                came += leg.amount_minor;
                self.prove(leg);
            } else if gathered.len() >= 2 {
                strangers[1] += usize::from(scattered.add(leg.to));
                went += leg.amount_minor;
                self.prove(leg);
            }
        }
        let kept = permille(went, came);
        let enough = gathered.len() >= SIDE_MIN && scattered.len() >= SIDE_MIN;
        if !enough || !(500..=1_200).contains(&kept) || self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        let span = days(self.around.this.time - oldest.time);
        let sides = [self.strangers_a_day(from, true), self.strangers_a_day(from, false)];
        let bits = surprise(strangers[0], sides[0] * span) + surprise(strangers[1], sides[1] * span);
        // That much of it went on, or all.
        let kept = if (900..=1_040).contains(&kept) { 4.0 } else { 1.0 };
        self.found(Typology::GatherScatter, from, score(bits + kept));
    }
}

#[cfg(test)]
mod tests {
    use crate::typology::Typology::GatherScatter;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    fn gathered(gather: i64, scatter: i64, went: i64) -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old("g a b c x y z w");
        let mut legs: Vec<u64> =
            (0..gather).map(|n| bank.send(-50 + n, &format!("{}>g", ["a", "b", "c"][n as usize]), 20_000 + n)).collect();
        legs.extend((1..scatter).map(|n| bank.send(-20 + n, &format!("g>{}", ["w", "x", "y", "z"][n as usize]), went)));
        legs.push(THIS);
        (bank, legs)
    }

    #[test]
    fn what_comes_from_many_goes_to_many() {
        let (mut bank, legs) = gathered(3, 3, 19_000);
        assert_eq!(bank.find(GatherScatter, 0, "g>w", 19_000), proved("g", &legs));
        assert_eq!(bank.find(GatherScatter, 0, "a>g", 19_000), None, "at what it sends alone");
        let (mut few, _) = gathered(2, 3, 19_000);
        assert_eq!(few.find(GatherScatter, 0, "g>w", 19_000), None);
        let (mut few, _) = gathered(3, 2, 19_000);
        assert_eq!(few.find(GatherScatter, 0, "g>w", 19_000), None);
        let (mut little, _) = gathered(3, 3, 9_000);
        assert_eq!(little.find(GatherScatter, 0, "g>w", 9_000), None, "not half of it went on");
        let (mut known, _) = gathered(3, 4, 15_000);
        known.send(-20 * 24, "g>w", 15_000);
        assert_eq!(known.find(GatherScatter, 0, "g>w", 15_000), None, "to somebody known");
        let (mut met, _) = gathered(3, 3, 19_000);
        met.send(-20 * 24, "b>g", 15_000);
        assert_eq!(met.find(GatherScatter, 0, "g>w", 19_000), None, "one of three has been met before");
        let mut reversed = Bank::new();
        reversed.old("g a b c x y z");
        for (hours, sides) in [(-30, "g>y"), (-29, "g>z"), (-10, "a>g"), (-9, "b>g"), (-8, "c>g")] {
            reversed.send(hours, sides, 20_000);
        }
        assert_eq!(reversed.find(GatherScatter, 0, "g>x", 20_000), None, "two of three went out before anything came");
        let (mut business, _) = gathered(3, 3, 19_000);
        business.ordered = false;
        business.send(-1, "g>w", 100);
        business.ordered = true;
        assert_eq!(business.find(GatherScatter, 0, "g>w", 19_000), None);
        let (mut outside, _) = gathered(2, 3, 19_000);
        outside.send(-15 * 24, "c>g", 20_000);
        assert_eq!(outside.find(GatherScatter, 0, "g>w", 19_000), None, "outside of the window");
    }
}
