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
        if middle == source || middle == target || self.around.is_busy(middle) {
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
