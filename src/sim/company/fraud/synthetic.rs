//! Synthetic identities: a few customers who do not exist, at one address and on shared devices, buy and pay like anybody for weeks; then
//! all of them buy as much as they get, and are gone. It becomes known when the bills are not paid.

use super::{Mask, Nerve, Stage, Turn};
use crate::event::Duration;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::people::Device;
use crate::sim::company::schedule::Reason;

#[derive(Clone, Debug)]
pub(super) struct SyntheticIdentities {
    people: Vec<u32>,
    /// At whose address they claim to live.
    host: u32,
    signed_up: usize,
    /// Harmless payments to come, and those after which nobody pays.
    harmless_left: u32,
    crimes_left: u32,
    nerve: Nerve,
}

impl SyntheticIdentities {
    pub(super) fn new(stage: &mut Stage<'_>) -> SyntheticIdentities {
        let host = stage.victim().number;
        let len = 3 + stage.chance.rank(5) as u32;
        let people = (0..len).map(|_| stage.invent().number).collect();
        let harmless_left = len * stage.chance.between(4, 9) as u32;
        let crimes_left = len * stage.chance.between(2, 4) as u32;
        SyntheticIdentities { people, host, signed_up: 0, harmless_left, crimes_left, nerve: Nerve::new(stage.chance) }
    }

    /// One phone for two of them, the address that all share or a mobile one.
    fn mask(&self, stage: &mut Stage<'_>, place: usize) -> Mask {
        let people = &stage.company.people;
        let host = people.person(self.host);
        let owner = people.person(self.people[place / 2 * 2]);
        let device = Some(people.device(&owner, if stage.chance.happens(7500) { Device::Phone } else { Device::Laptop }, stage.now));
        let ip = match stage.chance.happens(4000) {
            true => people.mobile_exit(stage.chance, host.region),
            false => people.home_address(&host, stage.now),
        };
        Mask { device, ip: Some(ip), at: host.region }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let joins = self.signed_up < self.people.len();
        let place = if joins { self.signed_up } else { stage.chance.below(self.people.len() as u64) as usize };
        let mask = self.mask(stage, place);
        let person = stage.company.people.person(self.people[place]);
        stage.truth.member(stage.company.people.user(&person));
        stage.truth.member(mask.device);
        if joins {
            self.signed_up += 1;
            let session = stage.new_session();
            let pause = stage.pause(Duration::HOUR.times(15), Duration::MINUTE.times(3), Duration::DAY.times(5));
            return Turn { occurrence: Some(stage.session(&person, &mask, "signup", session)), next: Some(pause) };
        }
        let shop = stage.prey(&person, mask.at);
        let (items, cents) = stage.basket(&person, &shop, self.nerve);
        let card = stage.chance.happens(8500).then(|| stage.company.people.card(&person, false, stage.now));
        stage.truth.member(card);
        let (channel, session) = (stage.channel(), None);
        let (device, ip, at) = (mask.device, mask.ip, mask.at);
        let order = Order { person: person.number, region: at, at, shop, device, card, ip, cents, channel, session, items };
        if self.harmless_left > 0 {
            self.harmless_left -= 1;
            let payment = stage.harmless(&order);
            let pause = stage.pause(Duration::HOUR.times(20), Duration::MINUTE.times(20), Duration::DAY.times(9));
            return Turn { occurrence: Some(payment), next: Some(pause) };
        }
        let odds = Odds { challenged: 900, passed: 9000, declined: 700, reason: Reason::InsufficientFunds };
        let (payment, failed) = stage.crime(&order, &odds);
        self.nerve.learn(failed);
        self.crimes_left -= 1;
        let pause = stage.pause(Duration::HOUR.times(2), Duration::MINUTE, Duration::DAY);
        Turn { occurrence: Some(payment), next: (self.crimes_left > 0).then_some(pause) }
    }
}
