//! A device farm: a handful of devices behind a few addresses act as many customers, who sign up one after the other and pay with numbers
//! bought somewhere. A family, a library and a house of students share devices and addresses, too.

use super::{Mask, Nerve, Stage, Turn};
use crate::event::Duration;
use crate::sim::company::payment::{Odds, Order};
use crate::sim::company::people::Device;
use crate::sim::company::schedule::Reason;

#[derive(Clone, Debug)]
pub(super) struct DeviceFarm {
    /// Whose devices they are, and at whose address they stand.
    owners: Vec<u32>,
    hosts: Vec<u32>,
    customers: Vec<u32>,
    /// How far the customers have come: what is before has signed up.
    signed_up: usize,
    payments_left: u32,
    nerve: Nerve,
}

impl DeviceFarm {
    pub(super) fn new(stage: &mut Stage<'_>) -> DeviceFarm {
        let host = stage.victim();
        let owners = (0..3 + stage.chance.rank(6)).map(|_| stage.invent().number).collect();
        let mut hosts = vec![host.number];
        for _ in 0..stage.chance.rank(3) {
            hosts.push(stage.company.people.somebody(stage.chance, host.region, 15).number);
        }
        let len = stage.chance.scatter(20, 60).clamp(8, 60);
        let customers: Vec<u32> = (0..len).map(|_| stage.invent().number).collect();
        let payments_left = (customers.len() as i64 * stage.chance.between(11, 22) / 10) as u32;
        DeviceFarm { owners, hosts, customers, signed_up: 0, payments_left, nerve: Nerve::new(stage.chance) }
    }

    /// A device of the farm with one of its addresses; each customer mostly has the same.
    fn mask(&self, stage: &mut Stage<'_>, customer: usize) -> Mask {
        let place = if stage.chance.happens(8000) { customer } else { stage.chance.below(64) as usize };
        let owner = stage.company.people.person(self.owners[place % self.owners.len()]);
        let host = stage.company.people.person(self.hosts[place % self.hosts.len()]);
        let ip = match stage.chance.happens(3500) {
            true => stage.company.people.mobile_exit(stage.chance, host.region),
            false => stage.company.people.home_address(&host, stage.now),
        };
        // Some of its browsers tell nothing of themselves.
        let device = stage.chance.happens(8500).then(|| stage.company.people.device(&owner, Device::Phone, stage.now));
        Mask { device, ip: Some(ip), at: host.region }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Turn {
        let signs_up = self.signed_up < self.customers.len() && (self.signed_up == 0 || stage.chance.happens(4500));
        let pause = stage.pause(Duration::MINUTE.times(9), Duration::SECOND.times(20), Duration::HOUR.times(14));
        let next = Some(pause);
        let customer = if signs_up { self.signed_up } else { stage.chance.below(self.signed_up as u64) as usize };
        let mask = self.mask(stage, customer);
        let person = stage.company.people.person(self.customers[customer]);
        stage.truth.member(stage.company.people.user(&person));
        stage.truth.member(mask.device);
        if signs_up {
            self.signed_up += 1;
            let session = stage.new_session();
            return Turn { occurrence: Some(stage.session(&person, &mask, "signup", session)), next };
        }
        // A number bought somewhere, or one of nobody.
        let holder = if stage.chance.happens(6000) { stage.victim() } else { person };
        let card = stage.company.people.card(&holder, false, stage.now);
        let shop = stage.prey(&person, mask.at);
        let (items, cents) = stage.basket(&holder, &shop, self.nerve);
        let order = Order {
            person: person.number,
            region: mask.at,
            at: mask.at,
            shop,
            device: mask.device,
            card: Some(card),
            ip: mask.ip,
            cents,
            channel: if stage.chance.happens(7000) { "app" } else { "web" },
            session: None,
            items,
        };
        let odds = Odds { challenged: 800, passed: 3000, declined: 1800, reason: Reason::DoNotHonour };
        let (payment, failed) = stage.crime(&order, &odds);
        stage.truth.member(card);
        self.nerve.learn(failed);
        self.payments_left -= 1;
        Turn { occurrence: Some(payment), next: next.filter(|_| self.payments_left > 0) }
    }
}
