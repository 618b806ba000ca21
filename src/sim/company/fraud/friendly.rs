//! Friendly fraud: an ordinary payment of an ordinary customer, who says weeks later that it was somebody else. Nothing about the payment
//! tells it from others, except who makes it: some do so again and again. A part is shown to have been the customer, and turned back.

use super::Attack;
use crate::event::Timestamp;
use crate::sim::chance::Chance;
use crate::sim::company::Company;
use crate::sim::company::occurrence::{Act, Occurrence};
use crate::sim::company::payment::Order;
use crate::sim::company::truth::{Trace, Truth};

impl Company {
    /// Whether this payment will be denied by who makes it; then it belongs to an attack of its own.
    pub(in crate::sim::company) fn friendly_trace(&mut self, chance: &mut Chance, order: &Order) -> Option<Trace> {
        if !matches!(order.channel, "web" | "app") {
            return None;
        }
        let asked = self.friendly_asked > 0;
        // One customer in sixteen does half of it; about four payments in seven are on the net.
        let odds = u64::from(self.odds[Attack::FriendlyFraud as usize]) * 7 / 4;
        let odds = if self.people.person(order.person).lot & 15 == 0 { odds * 8 } else { odds * 8 / 15 };
        if !asked && chance.below(1_000_000_000) >= odds {
            return None;
        }
        self.friendly_asked -= u32::from(asked);
        self.episodes_begun += 1;
        Some(Trace { episode: self.episodes_begun, is_crime: true })
    }

    /// The claim that follows, and the truth.
    pub(in crate::sim::company) fn friendly_claim(&mut self, chance: &mut Chance, now: Timestamp, payment: &Occurrence, trace: Trace) {
        self.accuse(chance, now, payment, Attack::FriendlyFraud, false);
        let mut truth = Truth::new(trace.episode, Attack::FriendlyFraud, now);
        truth.ended = Some(now);
        truth.event(payment.id, true);
        let Act::Payment(paying) = &payment.act else { unreachable!("claims are about payments") };
        truth.member(paying.user);
        truth.member(paying.card);
        self.ended.push(truth);
    }
}
