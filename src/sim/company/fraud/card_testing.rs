//! Card testing: a machine tries many numbers at a small shop that asks for little. Issuers decline most; then it slows down or moves on.

use super::{Mask, Stage, Turn};
use crate::event::Duration;
use crate::sim::company::occurrence::Basket;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::schedule::Reason;

/// Games, charity, streaming, books, fast food, market places, gift cards, fashion, beauty, tickets, telecom, groceries.
const SHOPS: [usize; 12] = [10, 28, 17, 9, 2, 21, 11, 5, 12, 23, 18, 0];

#[derive(Clone, Debug)]
pub(super) struct CardTesting {
    shop: u32,
    masks: Vec<Mask>,
    /// A guest account a machine that it uses, where it does not use the holders' names.
    names: Vec<u32>,
    left: u32,
    /// Declines in a row.
    declines: u32,
    gap: Duration,
}

impl CardTesting {
    pub(super) fn new(stage: &mut Stage<'_>) -> CardTesting {
        let category = *stage.chance.pick(&SHOPS);
        let shop = stage.company.shops.any(stage.chance, category).number;
        let machines = 1 + stage.chance.rank(6) as usize;
        let (mut masks, mut names) = (Vec::new(), Vec::new());
        for _ in 0..machines {
            let (crook, near) = (stage.crook(), stage.victim());
            masks.push(stage.mask(&crook, &near));
            names.push(crook.number);
        }
        let left = stage.chance.scatter(22, 80).clamp(8, 160) as u32;
        let gap = Duration(stage.chance.scatter(Duration::SECOND.times(14).0, 90).clamp(Duration::SECOND.0, Duration::MINUTE.times(4).0));
        CardTesting { shop, masks, names, left, declines: 0, gap }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let machine = stage.chance.below(self.masks.len() as u64) as usize;
        // A stolen number of somebody real, or one that a program made up.
        let is_real = stage.chance.happens(5500);
        let holder = if is_real { stage.victim() } else { stage.invent() };
        let name = if is_real && stage.chance.happens(6000) { holder.number } else { self.names[machine] };
        let shop = stage.company.shops.shop(self.shop);
        // As people pay there, a little less: small sums wake nobody, odd ones would.
        let cents = stage.company.usual_cents(stage.chance, &holder, &shop) * stage.chance.between(45, 100) / 100;
        let Mask { device, ip, at } = self.masks[machine];
        let card = stage.company.people.card(&holder, stage.chance.happens(2000), stage.now);
        let order = Order {
            person: name,
            region: holder.region,
            at,
            shop,
            device,
            card: Some(card),
            ip,
            cents: cents.max(50),
            channel: if machine.is_multiple_of(2) { "web" } else { "app" },
            session: None,
            items: Basket::default(),
        };
        let declined = if is_real { 3200 } else { 9600 };
        let odds = Odds { challenged: 500, passed: 500, declined, reason: Reason::InvalidCard };
        let (payment, failed) = stage.crime(&order, &odds);
        stage.truth.member(stage.company.merchant(&shop));
        stage.truth.member(device);
        stage.truth.member(card);
        self.declines = if failed { self.declines + 1 } else { 0 };
        self.left -= 1;
        let mut pause = Duration(stage.chance.wait(self.gap.0).min(Duration::MINUTE.times(20).0));
        if self.declines == 7 {
            // The shop has noticed: another one, or the same after a rest.
            self.declines = 0;
            if stage.chance.happens(5000) {
                let category = *stage.chance.pick(&SHOPS);
                self.shop = stage.company.shops.any(stage.chance, category).number;
            } else {
                self.gap = Duration(self.gap.0 * 2);
            }
            pause = stage.pause(Duration::MINUTE.times(25), Duration::MINUTE, Duration::HOUR.times(9));
        }
        Turn { occurrence: Some(payment), next: (self.left > 0).then_some(pause) }
    }
}
