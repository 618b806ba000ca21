//! Structuring: sums just below the limit from which on banks must report, by one account, or by several into one.
//!
//! 31 U.S.C. § 5324; FATF's indicators call it smurfing where several do it.

use super::fan::score;
use super::legs::{Leg, Party};
use super::{Figure, Search};
use crate::event::Duration;
use crate::typology::Typology;

/// Sums from which on it is one.
const SUMS_MIN: usize = 3;
/// Sums count from so many of a thousand of the limit on,
const NEAR_PERMILLE: i64 = 780;
/// within this time.
const WITHIN: Duration = Duration::DAY.times(10);

impl Search<'_> {
    pub(super) fn structuring(&mut self) {
        let this = self.around.this;
        if !self.is_near(&this) {
            return;
        }
        let sent = self.near(this.from, false);
        let received = self.near(this.to, true);
        self.figure(Figure::Below, sent.max(received) as i64);
        let (account, incoming, sums) = if received > sent { (this.to, true, received) } else { (this.from, false, sent) };
        if sums < SUMS_MIN || self.around.is_hub(account) || self.around.is_busy(account) {
            return;
        }
        for place in self.around.places(account) {
            let leg = self.around.leg(place);
            if self.is_below(&leg, account, incoming) {
                self.prove(leg);
            }
        }
        self.found(Typology::Structuring, account, score(3.0 * sums as f32));
    }

    fn is_near(&self, leg: &Leg) -> bool {
        let limit = self.options.limit_minor;
        leg.amount_minor < limit && leg.amount_minor * 1000 >= limit * NEAR_PERMILLE
    }

    fn is_below(&self, leg: &Leg, account: Party, incoming: bool) -> bool {
        let own = if incoming { leg.to } else { leg.from };
        own == account && self.is_near(leg) && leg.time > self.around.this.time - WITHIN
    }

    fn near(&mut self, account: Party, incoming: bool) -> usize {
        if !account.is_account() {
            return 0;
        }
        let places = self.around.places(account);
        places.filter(|place| self.is_below(&self.around.leg(*place), account, incoming)).count()
    }
}

#[cfg(test)]
mod tests {
    use crate::typology::Typology::Structuring;
    use crate::typology::laundering::Figure;
    use crate::typology::laundering::bank::{Bank, THIS, proved};

    /// Caught when planted: sums that reach the limit.
    #[test]
    fn sums_just_below_the_limit() {
        for (sides, subject) in [(["a>x", "a>y", "a>z"], "a"), (["x>a", "y>a", "z>a"], "a"), (["a>b"; 3], "a"), (["new>a"; 3], "new")] {
            let mut bank = Bank::new();
            bank.old("a b x y z");
            let legs = [bank.send(-9 * 24, sides[0], 999_999), bank.send(-20, sides[1], 780_000), THIS];
            assert_eq!(bank.find(Structuring, 0, sides[2], 900_000), proved(subject, &legs), "{sides:?}");
            assert_eq!(bank.report.figure(Figure::Below), 3);
            assert_eq!(bank.find(Structuring, 0, sides[2], 1_000_000), None, "it is reported");
            assert_eq!(bank.find(Structuring, 0, sides[2], 779_999), None);
            assert_eq!(bank.find(Structuring, 25, sides[2], 900_000), None, "the oldest is ten days old");
            assert_eq!(bank.report.figure(Figure::Below), 2);
        }
        let mut mixed = Bank::new();
        mixed.old("a x y z");
        mixed.send(-20, "a>x", 900_000);
        mixed.send(-10, "y>a", 900_000);
        assert_eq!(mixed.find(Structuring, 0, "a>z", 900_000), None, "two sent and one received");
        let mut business = Bank::new();
        business.old("a x y z");
        for n in 0..80 {
            business.send(-20, "a>x", if n < 3 { 900_000 } else { 100 });
        }
        assert_eq!(business.find(Structuring, 0, "a>z", 900_000), None);
    }
}
