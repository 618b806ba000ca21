//! Account takeover: somebody logs in as another, often from a device never seen there, changes what is in the way, and buys with the saved
//! card or sends the money away. Honest people have new phones and forget passwords, too.

use super::{Mask, Nerve, Stage, Turn};
use crate::event::Duration;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::schedule::Reason;

#[derive(Clone, Debug)]
pub(super) struct AccountTakeover {
    victim: u32,
    mask: Mask,
    session: u64,
    /// What is done in the victim's name before anything is bought.
    before: Vec<&'static str>,
    nerve: Nerve,
    left: u8,
    failures: u8,
    /// The account is emptied at the end.
    empties: bool,
}

impl AccountTakeover {
    pub(super) fn new(stage: &mut Stage<'_>) -> AccountTakeover {
        let victim = stage.victim();
        let crook = stage.crook();
        let mask = stage.mask(&crook, &victim);
        let mut before = vec![];
        if stage.chance.happens(3500) {
            before.push("password_reset");
        }
        before.push("login");
        if stage.chance.happens(3000) {
            before.push("change_address");
        }
        before.reverse();
        let (session, nerve) = (stage.new_session(), Nerve::new(stage.chance));
        let (left, empties) = (1 + stage.chance.rank(7) as u8, stage.chance.happens(1500));
        AccountTakeover { victim: victim.number, mask, session, before, nerve, left, failures: 0, empties }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let victim = stage.company.people.person(self.victim);
        if let Some(action) = self.before.pop() {
            let occurrence = stage.session(&victim, &self.mask, action, self.session);
            stage.truth.member(stage.company.people.user(&victim));
            stage.truth.member(self.mask.device);
            let pause = stage.pause(Duration::SECOND.times(70), Duration::SECOND.times(8), Duration::MINUTE.times(40));
            return Turn { occurrence: Some(occurrence), next: Some(pause) };
        }
        if self.left == 0 || self.failures == 3 {
            let mule = stage.mule(victim.region);
            let cents = stage.chance.scatter(70_000, 130).clamp(4000, 900_000);
            return Turn { occurrence: Some(stage.robbery(&victim, &mule, &self.mask, cents)), next: None };
        }
        let stranger = stage.invent();
        // The thief's taste, not the victim's, but for a careful one.
        let taste = if stage.chance.happens(3000) { victim } else { stranger };
        let shop = stage.prey(&taste, victim.region);
        let (items, cents) = stage.basket(&victim, &shop, self.nerve);
        let card = stage.company.people.card(&victim, false, stage.now);
        let Mask { device, ip, at } = self.mask;
        let channel = stage.channel();
        let session = stage.chance.happens(5500).then(|| stage.company.session_name(self.session));
        let order =
            Order { person: victim.number, region: victim.region, at, shop, device, card: Some(card), ip, cents, channel, session, items };
        let declined = 700 + 900 * u32::from(self.failures);
        let (payment, failed) = stage.crime(&order, &Odds { challenged: 1500, passed: 4000, declined, reason: Reason::InsufficientFunds });
        stage.truth.member(card);
        self.nerve.learn(failed);
        self.failures += u8::from(failed);
        self.left -= 1;
        let goes_on = self.left > 0 && self.failures < 3 || self.empties;
        let pause = stage.pause(Duration::MINUTE.times(12), Duration::SECOND.times(30), Duration::DAY);
        Turn { occurrence: Some(payment), next: goes_on.then_some(pause) }
    }
}
