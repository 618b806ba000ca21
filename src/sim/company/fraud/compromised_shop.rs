//! A compromised shop: for days or weeks what its customers type is read. Later their cards are used elsewhere, one or two payments each,
//! from a few devices. What they have in common is where they paid before.

use super::{Mask, Nerve, Stage, Turn};
use crate::event::Duration;
use crate::sim::chance::Chance;
use crate::sim::company::Company;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::schedule::Reason;

/// Below so many it is not worth while yet.
const CARDS_MIN: usize = 6;
/// Cards that an attack takes at most.
const CARDS_MAX: usize = 48;
/// Shops that leak at one time at most: each payment looks through the list.
const LEAKS_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct CompromisedShop {
    shop: u32,
    /// Still reading.
    reads: bool,
    /// So often it is read on while there are few cards.
    patience: u8,
    /// Holders, and whether it is their second card. Those that are used are taken from the end.
    pub(super) cards: Vec<(u32, bool)>,
    crooks: Vec<u32>,
    /// One more payment with the same card.
    twice: bool,
    nerve: Nerve,
}

impl CompromisedShop {
    pub(super) fn new(stage: &mut Stage<'_>) -> CompromisedShop {
        let customer = stage.victim();
        let category = stage.company.category(stage.chance, &customer, 1);
        let shop = stage.company.shops.choose(stage.chance, &customer, category, customer.region).number;
        let crooks = (0..2 + stage.chance.rank(5)).map(|_| stage.crook().number).collect();
        CompromisedShop { shop, reads: false, patience: 20, cards: vec![], crooks, twice: false, nerve: Nerve::new(stage.chance) }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let shop = stage.company.shops.shop(self.shop);
        let episode = stage.truth.episode;
        if !self.reads && self.cards.is_empty() {
            if stage.company.leaks.len() == LEAKS_MAX {
                return Turn { occurrence: None, next: None };
            }
            self.reads = true;
            stage.company.leaks.push((self.shop, episode));
            stage.truth.member(stage.company.merchant(&shop));
            let pause = stage.pause(Duration::DAY.times(6), Duration::DAY, Duration::DAY.times(30));
            return Turn { occurrence: None, next: Some(pause) };
        }
        if self.reads {
            if self.cards.len() < CARDS_MIN && self.patience > 0 {
                self.patience -= 1;
                let pause = stage.pause(Duration::DAY.times(2), Duration::HOUR, Duration::DAY.times(7));
                return Turn { occurrence: None, next: Some(pause) };
            }
            self.reads = false;
            stage.company.leaks.retain(|(_, reader)| *reader != episode);
            if self.cards.is_empty() {
                return Turn { occurrence: None, next: None };
            }
            let pause = stage.pause(Duration::DAY.times(2), Duration::HOUR, Duration::DAY.times(14));
            return Turn { occurrence: None, next: Some(pause) };
        }
        let (holder, second) = *self.cards.last().expect("it ends with the last card");
        let victim = stage.company.people.person(holder);
        let crook = stage.company.people.person(*stage.chance.pick(&self.crooks));
        let Mask { device, ip, at } = stage.mask(&crook, &victim);
        let target = stage.prey(&victim, victim.region);
        let (items, cents) = stage.basket(&victim, &target, self.nerve);
        let card = stage.company.people.card(&victim, second, stage.now);
        let channel = stage.channel();
        let order = Order {
            person: holder,
            region: victim.region,
            at,
            shop: target,
            device,
            card: Some(card),
            ip,
            cents,
            channel,
            session: None,
            items,
        };
        let odds = Odds { challenged: 1500, passed: 2500, declined: 1500, reason: Reason::DoNotHonour };
        let (payment, failed) = stage.crime(&order, &odds);
        stage.truth.member(card);
        stage.truth.member(device);
        self.nerve.learn(failed);
        self.twice = !failed && !self.twice && stage.chance.happens(4000);
        if !self.twice {
            self.cards.pop();
        }
        let pause = stage.pause(Duration::HOUR.times(2), Duration::SECOND.times(30), Duration::DAY.times(4));
        Turn { occurrence: Some(payment), next: (!self.cards.is_empty()).then_some(pause) }
    }
}

impl Company {
    /// Where the shop of `order` is read by somebody, they may have the card now.
    pub(in crate::sim::company) fn leak(&mut self, chance: &mut Chance, order: &Order) {
        let Some((_, episode)) = self.leaks.iter().find(|(shop, _)| *shop == order.shop.number).copied() else { return };
        let Some(card) = order.card else { return };
        let person = self.people.person(order.person);
        let Some(super::Play::CompromisedShop(script)) = self.episodes.get_mut(&episode).and_then(|episode| episode.play.as_mut()) else {
            return;
        };
        let second = card != self.people.card(&person, false, self.now);
        if script.cards.len() < CARDS_MAX && chance.happens(6000) && !script.cards.contains(&(order.person, second)) {
            script.cards.push((order.person, second));
        }
    }
}
