//! Transfers: wages, rents, families, friends, savings, bills, what a marketplace pays its sellers; and honest people through whose
//! accounts money passes. What comes in many movements is in [`super::runs`] and [`super::circles`].

use super::Company;
use super::land::{REGION_OF, REGIONS, REGIONS_LEN};
use super::name::{Name, NameKind};
use super::occurrence::{Act, Bank, Occurrence, Sending};
use super::people::{Device, Person};
use super::schedule::Plan;
use super::truth::Trace;
use crate::event::{Duration, Timestamp};
use crate::sim::chance::{Chance, mix};

/// Accounts of firms have numbers from here on; below are those of people, four for each.
const FIRMS: u64 = 1 << 36;
const PLATFORMS: u64 = 2 << 36;

/// Who is on one side of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Party {
    pub account: Name,
    pub bank: Bank,
}

/// What a transfer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Remittance {
    /// A side that is nothing is the world outside.
    pub from: Option<Party>,
    pub to: Option<Party>,
    /// In whose currency; a place in [`REGIONS`].
    pub region: usize,
    /// In minor units.
    pub amount: i64,
    pub format: &'static str,
    /// Who ordered it, and on which device.
    pub user: Option<Name>,
    pub device: Option<Name>,
}

impl Company {
    /// Makes the transfer an event.
    pub(super) fn send(&mut self, now: Timestamp, of: &Remittance, trace: Option<Trace>) -> Occurrence {
        let act = Act::Transfer(Sending {
            from: of.from.map(|party| party.account),
            to: of.to.map(|party| party.account),
            amount: of.amount,
            currency: REGIONS[of.region].currency.code,
            from_bank: of.from.map(|party| party.bank),
            to_bank: of.to.map(|party| party.bank),
            format: of.format,
            user: of.user,
            device: of.device,
        });
        self.happen(now, act, trace)
    }

    /// `cents` of a euro in the money of `region`, as transfers have them.
    pub(super) fn price(&self, region: usize, cents: i64) -> i64 {
        REGIONS[region].currency.price(cents.clamp(100, 90_000_000))
    }

    fn bank(&self, region: usize, lot: u64) -> Bank {
        // The largest has about a third.
        Bank { country: REGIONS[region].country, number: 1 + [0, 0, 0, 1, 1, 2, 3, 4][lot as usize & 7] }
    }

    /// A firm of a region that sends bills; some send them to everybody. They are employers, too.
    pub(super) fn biller(&self, chance: &mut Chance, region: usize) -> Party {
        let rank = chance.rank(u64::from(self.people.count / 40 + 3));
        self.firm(region, FIRMS | (rank * REGIONS_LEN as u64 + region as u64))
    }

    /// A person with the account that they use, or save in.
    pub(super) fn party(&self, person: &Person, savings: bool) -> Party {
        Party { account: self.people.account(person, savings), bank: self.bank(person.region, person.lot >> 50) }
    }

    pub(super) fn firm(&self, region: usize, number: u64) -> Party {
        Party { account: self.people.namer.name(NameKind::Account, number), bank: self.bank(region, mix(number)) }
    }

    /// A transfer by `person`, from one account to another.
    pub(super) fn remit(&self, chance: &mut Chance, person: &Person, to: Party, cents: i64, now: Timestamp) -> Remittance {
        let device = if chance.happens(6500) { Device::Phone } else { Device::Laptop };
        Remittance {
            from: Some(self.party(person, false)),
            to: Some(to),
            region: person.region,
            amount: self.price(person.region, cents),
            format: self.format(chance, person.region),
            user: Some(self.people.user(person)),
            device: chance.happens(8500).then(|| self.people.device(person, device, now)),
        }
    }

    /// What a firm pays to one of many.
    pub(super) fn payout(&self, from: Party, person: &Person, cents: i64) -> Remittance {
        let (to, amount) = (self.party(person, false), self.price(person.region, cents));
        Remittance { from: Some(from), to: Some(to), region: person.region, amount, format: "bulk", user: None, device: None }
    }

    /// Money that leaves the world from the account of `person`, or comes from outside: cash, and accounts elsewhere.
    pub(super) fn cash(&self, chance: &mut Chance, person: &Person, leaves: bool, cents: i64) -> Remittance {
        let own = self.party(person, false);
        let (from, to) = if leaves { (Some(own), None) } else { (None, Some(own)) };
        let format = if chance.happens(5000) { "cash" } else { self.format(chance, person.region) };
        let (amount, user) = (self.price(person.region, cents), chance.happens(8000).then(|| self.people.user(person)));
        Remittance { from, to, region: person.region, amount, format, user, device: None }
    }

    pub(super) fn format(&self, chance: &mut Chance, region: usize) -> &'static str {
        match (REGIONS[region].country, chance.below(10)) {
            ("US", 0..7) => "ach",
            ("US", _) => "instant",
            (_, 0..5) => "credit_transfer",
            (_, 5..9) => "instant",
            _ => "standing_order",
        }
    }

    /// Somebody sends or gets money.
    pub(super) fn transfer(&mut self, chance: &mut Chance, person: Person, now: Timestamp) -> Occurrence {
        let local = self.calendar.local(person.region);
        let spending = person.spending_percent();
        // A thousand in all: wages, rent, family, friends, savings, sellers, bills, cashiers, cash, large things.
        let weights: [u32; 10] =
            if local.is_payday() { [420, 160, 80, 60, 90, 30, 110, 20, 25, 5] } else { [20, 30, 180, 260, 130, 110, 160, 45, 55, 10] };
        let of = match chance.weighted(&weights) {
            0 => {
                if local.is_payday() && chance.happens(1500) {
                    self.begin_payroll(chance, person.region, now);
                }
                self.wages(&person)
            }
            1 => {
                // The street has a landlord, who passes it on to the bank; students have a house's.
                let landlord = self.people.person((person.number / 16 * 16) ^ 8);
                let landlord = if landlord.number < self.people.count { landlord } else { person };
                let cents = Chance::new(person.lot ^ 0x52).scatter(if person.student { 42_000 } else { 88_000 }, 45);
                if chance.happens(500) {
                    self.pass_on(chance, now, landlord.number, cents * if person.student { 8 } else { 3 });
                }
                let to = self.party(&landlord, person.number == landlord.number);
                self.remit(chance, &person, to, cents, now)
            }
            2 => {
                let relative = self.relative(chance, &person);
                let to = self.party(&relative, relative.number == person.number);
                let cents = round(chance.scatter(7_500 * spending / 100 + 500, 110), 500);
                if chance.happens(700) {
                    self.begin_family_circle(chance, &person, &relative, cents, now);
                }
                self.remit(chance, &person, to, cents, now)
            }
            3 => {
                let friend = self.friend(chance, &person);
                let to = self.party(&friend, friend.number == person.number);
                let cents = chance.scatter(2_600, 90);
                if chance.happens(500) {
                    self.begin_split_bill(chance, &friend, cents, now);
                }
                self.remit(chance, &person, to, cents, now)
            }
            4 => {
                let to = self.party(&person, true);
                let cents = round(chance.scatter(18_000 * spending / 100 + 1000, 110), 1000);
                self.remit(chance, &person, to, cents, now)
            }
            5 => {
                let platform = PLATFORMS | chance.rank(12);
                let cents = chance.scatter(14_000, 150);
                if chance.happens(700) {
                    self.begin_market_run(chance, person.region, now);
                }
                if chance.happens(3000) {
                    self.pass_on(chance, now, person.number, cents * 7 / 10);
                }
                self.payout(self.firm(person.region, platform), &person, cents)
            }
            6 => {
                let to = self.biller(chance, person.region);
                let cents = chance.scatter(11_000, 140);
                self.remit(chance, &person, to, cents, now)
            }
            // A club's fees, a present for a colleague: many pay one, who pays on.
            7 => {
                let cashier = self.people.person(person.number / 16 * 16);
                let cents = round(chance.scatter(3_500, 80), 500);
                if chance.happens(400) {
                    self.begin_collection(chance, &person, &cashier, cents, now);
                } else if chance.happens(1500) {
                    let fees = cents * chance.between(5, 12);
                    self.pass_on(chance, now, cashier.number, fees);
                }
                let to = self.party(&cashier, cashier.number == person.number);
                self.remit(chance, &person, to, cents, now)
            }
            // Cash, and accounts elsewhere.
            8 => {
                let cents = round(chance.scatter(14_000, 130), 1000);
                let leaves = chance.happens(5000);
                let format = if chance.happens(5000) { "cash" } else { "card" };
                Remittance { format, user: Some(self.people.user(&person)), ..self.cash(chance, &person, leaves, cents) }
            }
            // A car, a deposit, an inheritance.
            _ => {
                let lot = chance.bits();
                let seller = self.acquaintance(&person, lot);
                let to = self.party(&seller, seller.number == person.number);
                let cents = round(chance.scatter(620_000, 90), 10_000);
                match chance.below(10) {
                    0..4 => {
                        let most = cents * chance.between(80, 97) / 100;
                        self.pass_on(chance, now, seller.number, most);
                    }
                    // Who sold a car buys another.
                    4..8 => self.begin_car_swap(chance, &seller, cents, now),
                    _ => {}
                }
                self.remit(chance, &person, to, cents, now)
            }
        };
        let occurrence = self.send(now, &of, None);
        self.clear(chance, now, &occurrence);
        occurrence
    }

    /// The wages of `person`.
    pub(super) fn wages(&self, person: &Person) -> Remittance {
        let spending = person.spending_percent();
        let cents = Chance::new(person.lot ^ 0x91).scatter(210_000, 40) * (60 + spending.min(300) / 2) / 100;
        self.payout(self.firm(person.region, FIRMS | self.people.employer(person)), person, cents)
    }

    /// Somebody honest will pass on money within hours or days.
    pub(super) fn pass_on(&mut self, chance: &mut Chance, now: Timestamp, person: u32, cents: i64) {
        let pause = chance.scatter(Duration::HOUR.times(9).0, 150).clamp(Duration::MINUTE.times(5).0, Duration::DAY.times(4).0);
        self.schedule.add(now + Duration(pause), Plan::Forward { person, cents });
    }

    /// What was received is passed on.
    pub(super) fn forward(&mut self, now: Timestamp, number: u32, cents: i64) -> Occurrence {
        let mut chance = Chance::of(self.options.seed, 0x501, now.0 as u64 ^ u64::from(number) << 40);
        let person = self.people.person(number);
        let to = match chance.below(3) {
            0 => {
                let friend = self.friend(&mut chance, &person);
                self.party(&friend, friend.number == number)
            }
            1 => self.party(&person, true),
            _ => self.biller(&mut chance, person.region),
        };
        let of = self.remit(&mut chance, &person, to, cents, now);
        let occurrence = self.send(now, &of, None);
        self.clear(&mut chance, now, &occurrence);
        occurrence
    }

    /// One of the household, or of the family elsewhere.
    pub(super) fn relative(&self, chance: &mut Chance, person: &Person) -> Person {
        if person.household_len > 1 && chance.happens(6500) {
            let other =
                (u64::from(person.member) + 1 + chance.below(u64::from(person.household_len) - 1)) % u64::from(person.household_len);
            return self.people.person(person.head + other as u32);
        }
        let place = 1 + chance.below(2);
        self.acquaintance(person, mix(u64::from(person.head) << 3 | place))
    }

    /// One of a dozen friends.
    pub(super) fn friend(&self, chance: &mut Chance, person: &Person) -> Person {
        let place = chance.rank(12);
        self.acquaintance(person, mix(person.lot ^ place << 8))
    }

    /// The person to whom `lot` leads: nine in ten live where `person` does.
    pub(super) fn acquaintance(&self, person: &Person, lot: u64) -> Person {
        let region = if lot.is_multiple_of(10) { usize::from(REGION_OF[(lot >> 4) as usize % 64]) } else { person.region };
        self.people.known(region, mix(lot))
    }
}

/// `cents` as people give: whole steps.
pub(super) fn round(cents: i64, step: i64) -> i64 {
    ((cents + step / 2) / step * step).max(step)
}
