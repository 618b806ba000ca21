//! Scatter-gather: one account pays several, and these pay one: the same money by many hands.
//!
//! AMLworld, section 3.2; "shared intermediaries" of the Graph Feature Preprocessor, section 3.

use super::fan::{Parties, score};
use super::flow::permille;
use super::legs::{Leg, Party};
use super::{Figure, Search};
use crate::typology::Typology;

/// Accounts between from which on it is one.
const MIDDLES_MIN: usize = 3;

impl Search<'_> {
    pub(super) fn scatter_gather(&mut self) {
        let this = self.around.this;
        if self.out.figure(Figure::Senders) < MIDDLES_MIN as i64 || !this.from.is_account() || self.around.is_hub(this.to) {
            return;
        }
        // Every source must have paid whoever sends now, or this transfer were no part of it.
        let mut sources = Parties::new();
        for place in self.around.places(this.from) {
            let leg = self.around.leg(place);
            if leg.to == this.from && leg.from != this.to && self.is_passed_on(&leg, &this) {
                sources.add(leg.from);
            }
        }
        let senders = self.counterparts(this.to, true);
        let mut best: Option<(usize, Party)> = None;
        for source in sources.as_slice() {
            if self.around.is_busy(*source) {
                continue;
            }
            let middles = senders.as_slice().iter().filter(|middle| self.between(*source, **middle, this.to).is_some()).count();
            if best.is_none_or(|(most, _)| middles > most) {
                best = Some((middles, *source));
            }
        }
        let Some((middles, source)) = best else { return };
        self.figure(Figure::Middles, middles as i64);
        if middles < MIDDLES_MIN || self.around.is_busy(this.to) {
            return;
        }
        // That one account is between these two is nothing; each further one is hardly chance.
        let mut bits = -6.0;
        for middle in senders.as_slice() {
            if let Some((first, second)) = self.between(source, *middle, this.to) {
                let kept = permille(second.amount_minor, first.amount_minor);
                bits += 3.0 + self.passing_bits(kept, second.time - first.time) + self.leg_bits(&first) + self.leg_bits(&second);
                self.prove(first);
                self.prove(second);
            }
        }
        if self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        self.found(Typology::ScatterGather, this.to, score(bits));
    }

    fn is_passed_on(&self, first: &Leg, second: &Leg) -> bool {
        let kept = permille(second.amount_minor, first.amount_minor);
        first.is_before(second) && (self.options.kept_permille..=self.options.exceeds_permille).contains(&kept)
    }

    /// The two legs by which money went from one account over another to a third, the newest that fit.
    fn between(&mut self, source: Party, middle: Party, target: Party) -> Option<(Leg, Leg)> {
        if middle == source || middle == target || self.around.is_busy(middle) || self.around.is_hub(middle) {
            return None;
        }
        let places = self.around.places(middle);
        for second in places.clone() {
            let second = self.around.leg(second);
            if second.from != middle || second.to != target {
                continue;
            }
            for first in places.clone() {
                let first = self.around.leg(first);
                if first.to == middle && first.from == source && self.is_passed_on(&first, &second) {
                    return Some((first, second));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::typology::Typology::ScatterGather;
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    /// s pays `middles` accounts; all but the first have paid t since.
    fn scattered(middles: i64, went: i64) -> (Bank, Vec<u64>) {
        let mut bank = Bank::new();
        bank.old("s t m0 m1 m2 m3");
        let mut legs: Vec<u64> = (0..middles).map(|n| bank.send(-50 + n, &format!("s>m{n}"), 20_000 + n)).collect();
        legs.extend((1..middles).map(|n| bank.send(-30 + n, &format!("m{n}>t"), went + n)));
        legs.push(THIS);
        (bank, legs)
    }

    /// Caught when planted: the two legs over an account in either order.
    #[test]
    fn one_account_pays_another_by_the_hands_of_several() {
        let (mut bank, legs) = scattered(3, 19_000);
        assert_eq!(bank.find(ScatterGather, 0, "m0>t", 19_000), proved("t", &legs));
        assert_eq!(bank.report.figure(Figure::Middles), 3);
        assert_eq!(bank.find(ScatterGather, 0, "m0>t", 13_000), None, "two thirds are not passed on");
        assert_eq!(bank.find(ScatterGather, -55, "m0>t", 19_000), None, "before it came");
        assert_eq!(bank.find(ScatterGather, 0, "m3>t", 19_000), None, "of somebody else");
        let (mut two, _) = scattered(2, 19_000);
        two.send(-1, "m3>t", 19_000);
        assert_eq!(two.find(ScatterGather, 0, "m0>t", 19_000), None);
        assert_eq!(two.report.figure(Figure::Middles), 2);
        let mut reversed = Bank::new();
        reversed.old("s t m0 m1 m2");
        for (hours, sides) in [(-40, "m1>t"), (-39, "m2>t"), (-30, "s>m0"), (-29, "s>m1"), (-28, "s>m2")] {
            reversed.send(hours, sides, 20_000);
        }
        assert_eq!(reversed.find(ScatterGather, 0, "m0>t", 20_000), None, "two paid before they got");
        let (mut business, _) = scattered(3, 19_000);
        for n in 0..70 {
            business.send(-20, if n % 2 == 0 { "m1>" } else { ">m1" }, 100);
        }
        assert_eq!(business.find(ScatterGather, 0, "m0>t", 19_000), None, "one of the three is a business");
        let mut old = Bank::new();
        old.old("s t m0 m1 m2");
        for sides in ["s>m0", "s>m1", "s>m2"] {
            old.send(-14 * 24, sides, 20_000);
        }
        old.send(-2, "m1>t", 19_000);
        old.send(-1, "m2>t", 19_000);
        assert_eq!(old.find(ScatterGather, 0, "m0>t", 19_000), None, "outside of the window");
        // What nobody ordered is not counted among those who paid: the transfer is no part of it.
        let (mut file, _) = scattered(4, 19_000);
        file.ordered = false;
        assert_eq!(file.find(ScatterGather, 0, "m0>t", 19_000), None);
    }
}
