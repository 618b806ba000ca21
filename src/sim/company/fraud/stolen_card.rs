//! A stolen card: its data on the net, or the card itself at tills near by.

use super::{Mask, Nerve, Stage, Turn};
use crate::event::Duration;
use crate::sim::company::occurrence::Basket;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::schedule::Reason;

#[derive(Clone, Debug)]
pub(super) struct StolenCard {
    victim: u32,
    /// In whose name it is used: the victim's, or that of an account opened for it.
    name: u32,
    second_card: bool,
    mask: Mask,
    at_till: bool,
    nerve: Nerve,
    left: u8,
    failures: u8,
}

impl StolenCard {
    pub(super) fn new(stage: &mut Stage<'_>) -> StolenCard {
        let victim = stage.victim();
        let crook = stage.crook();
        let mask = stage.mask(&crook, &victim);
        let at_till = stage.chance.happens(2600);
        let name = if !at_till && stage.chance.happens(2500) { crook.number } else { victim.number };
        StolenCard {
            victim: victim.number,
            name,
            second_card: stage.chance.happens(2400),
            mask,
            at_till,
            nerve: Nerve::new(stage.chance),
            left: 2 + stage.chance.rank(8) as u8,
            failures: 0,
        }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let people = &stage.company.people;
        let (victim, name) = (people.person(self.victim), people.person(self.name));
        let card = people.card(&victim, self.second_card, stage.now);
        let order = if self.at_till {
            let category = stage.company.category(stage.chance, &victim, 0);
            let shop = stage.company.shops.choose(stage.chance, &name, category, victim.region);
            let usual = stage.company.usual_cents(stage.chance, &victim, &shop);
            // Without the secret number no more than 50 euros go, and a careful thief knows it.
            let cents = if usual > 5000 && stage.chance.happens(7000) { stage.chance.between(1800, 4990) } else { usual };
            let (device, ip, session) = (None, None, None);
            let (region, at) = (victim.region, victim.region);
            Order {
                person: victim.number,
                region,
                at,
                shop,
                device,
                card: Some(card),
                ip,
                cents,
                channel: "in_store",
                session,
                items: Basket::default(),
            }
        } else {
            let shop = stage.prey(&name, victim.region);
            let (items, cents) = stage.basket(&victim, &shop, self.nerve);
            let Mask { device, ip, at } = self.mask;
            let channel = stage.channel();
            Order {
                person: name.number,
                region: victim.region,
                at,
                shop,
                device,
                card: Some(card),
                ip,
                cents,
                channel,
                session: None,
                items,
            }
        };
        let challenged = if self.at_till { 0 } else { 1700 };
        let declined = 1400 + 1200 * u32::from(self.failures);
        let (payment, failed) = stage.crime(&order, &Odds { challenged, passed: 2500, declined, reason: Reason::DoNotHonour });
        stage.truth.member(card);
        stage.truth.member(stage.company.people.user(&name));
        stage.truth.member(order.device);
        self.nerve.learn(failed);
        self.failures += u8::from(failed);
        self.left -= 1;
        let goes_on = self.left > 0 && self.failures < 3;
        let pause = stage.pause(Duration::MINUTE.times(35), Duration::SECOND.times(40), Duration::DAY.times(3));
        Turn { occurrence: Some(payment), next: goes_on.then_some(pause) }
    }
}
