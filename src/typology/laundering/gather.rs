//! Gather-scatter: one account takes from many and pays many, and what came in goes out.
//!
//! AMLworld, section 3.2. A shop and a marketplace do the same without end: they deal as a business does.

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
        if receivers < SIDE_MIN as i64 || feeders < SIDE_MIN as i64 || self.around.is_hub(from) || self.around.is_busy(from) {
            return;
        }
        // Gathering comes first: what went out before the second came in is no part of it.
        let least = self.options.leg_minor;
        let mut gathered = super::fan::Parties::new();
        let mut scattered = super::fan::Parties::new();
        let places = self.around.places(from);
        let (mut came, mut went, mut strangers) = (0, 0, 0);
        for place in places.rev() {
            let leg = self.around.leg(place);
            if leg.amount_minor < least {
                continue;
            }
            if leg.to == from && leg.from.is_account() {
                if gathered.add(leg.from) && self.is_strange(&leg) {
                    strangers += 1;
                }
                came += leg.amount_minor;
                self.prove(leg);
            } else if leg.from == from && leg.to.is_account() && gathered.len() >= 2 {
                if scattered.add(leg.to) && self.is_strange(&leg) {
                    strangers += 1;
                }
                went += leg.amount_minor;
                self.prove(leg);
            }
        }
        let kept = permille(went, came);
        let enough = gathered.len() >= SIDE_MIN && scattered.len() >= SIDE_MIN;
        let is_one = enough && (500..=1_200).contains(&kept) && strangers * 10 >= (gathered.len() + scattered.len()) * 6;
        if !is_one || self.proved_minor() < self.options.sum_minor {
            return self.disprove();
        }
        let close = (900..=1_040).contains(&kept);
        let score = 200 + 60 * strangers as i64 + if close { 150 } else { 0 };
        self.found(Typology::GatherScatter, from, score);
    }
}
