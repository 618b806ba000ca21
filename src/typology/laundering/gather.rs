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
