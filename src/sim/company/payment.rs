//! Payments: at tills, on the net, by standing order; and what becomes of them.

use super::Company;
use super::land::REGIONS;
use super::name::{Name, NameKind};
use super::occurrence::{Act, Basket, Occurrence, Paying};
use super::people::{Device, Person};
use super::schedule::{Plan, Reason};
use super::shops::{CATEGORIES, Shop};
use super::truth::Trace;
use crate::event::{Duration, PaymentStatus, Timestamp};
use crate::sim::chance::Chance;

/// What a payment is made of, whoever makes it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Whose name it bears.
    pub person: u32,
    /// In whose currency; a place in [`REGIONS`].
    pub region: usize,
    /// Where the payer is; a place in [`REGIONS`].
    pub at: usize,
    pub shop: Shop,
    pub device: Option<Name>,
    pub card: Option<Name>,
    pub ip: Option<u32>,
    pub cents: i64,
    pub channel: &'static str,
    pub session: Option<Name>,
    pub items: Basket,
}

/// From where somebody pays or visits.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    pub device: Option<Name>,
    pub ip: Option<u32>,
    /// A place in [`REGIONS`].
    pub at: usize,
    pub channel: &'static str,
}

/// How likely what becomes of a payment, in ten-thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// The payer must prove who they are.
    pub challenged: u32,
    /// Of those, who can; the rest fail or walk away.
    pub passed: u32,
    pub declined: u32,
    /// What the issuer says mostly.
    pub reason: Reason,
}

/// What the payer learns at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// No money came of it.
    pub failed: bool,
}

impl Company {
    /// Makes the payment an event.
    pub(super) fn place(&mut self, now: Timestamp, order: &Order, trace: Option<Trace>) -> Occurrence {
        let act = Act::Payment(Paying {
            user: self.people.namer.name(NameKind::User, order.person.into()),
            merchant: self.merchant(&order.shop),
            device: order.device,
            card: order.card,
            ip: order.ip,
            amount: REGIONS[order.region].currency.price(order.cents),
            currency: REGIONS[order.region].currency.code,
            mcc: CATEGORIES[order.shop.category].mcc,
            country: REGIONS[order.at].country,
            channel: order.channel,
            session: order.session,
            items: order.items,
        });
        self.happen(now, act, trace)
    }

    pub(super) fn merchant(&self, shop: &Shop) -> Name {
        self.people.namer.name(NameKind::Merchant, shop.number.into())
    }

    /// Decides what becomes of a payment and sends it in its time.
    pub(super) fn settle(&mut self, chance: &mut Chance, now: Timestamp, payment: &Occurrence, order: &Order, odds: &Odds) -> Settled {
        let Act::Payment(paying) = &payment.act else { unreachable!("only payments are settled") };
        let (target, person, amount) = (payment.id.number, order.person, paying.amount);
        let result = |status, reason, amount| Plan::Result { target, person, status, reason, amount };
        let mut soon = now + Duration(chance.between(400_000, 3_000_000));
        if chance.happens(odds.challenged) {
            soon = soon + Duration(chance.between(8_000_000, 70_000_000));
            if !chance.happens(odds.passed) {
                let status = if chance.happens(4500) { PaymentStatus::ChallengeFailed } else { PaymentStatus::Abandoned };
                self.schedule.add(soon, result(status, Reason::None, 0));
                return Settled { failed: true };
            }
            self.schedule.add(soon, result(PaymentStatus::ChallengePassed, Reason::None, 0));
            soon = soon + Duration(chance.between(300_000, 2_000_000));
        }
        if chance.happens(odds.declined) {
            let reasons = [odds.reason, odds.reason, Reason::InsufficientFunds, Reason::DoNotHonour, Reason::ExpiredCard];
            let reason = *chance.pick(&reasons);
            self.schedule.add(soon, result(PaymentStatus::DeclinedByIssuer, reason, 0));
            return Settled { failed: true };
        }
        // Where nothing else is told, a payment was authorized and captured at once.
        if chance.happens(600) {
            self.schedule.add(soon, result(PaymentStatus::Authorized, Reason::None, 0));
        }
        let mut paid = now;
        if order.shop.captures_later && order.channel != "in_store" {
            if chance.happens(150) {
                let due = now + Duration(chance.between(60_000_000, 20 * Duration::HOUR.0));
                self.schedule.add(due, result(PaymentStatus::Cancelled, Reason::CustomerRequest, 0));
                return Settled { failed: false };
            }
            paid = now + Duration(chance.scatter(Duration::HOUR.times(30).0, 80).clamp(Duration::HOUR.0, Duration::DAY.times(9).0));
            // Sometimes not everything was in stock.
            let sent = if chance.happens(400) { amount - amount * chance.between(1, 6) / 10 } else { amount };
            self.schedule.add(paid, result(PaymentStatus::Captured, Reason::None, sent));
        }
        let refunds = CATEGORIES[order.shop.category].refunds * if order.channel == "in_store" { 3 } else { 10 };
        if chance.happens(refunds) {
            let due =
                paid + Duration(chance.scatter(Duration::DAY.times(9).0, 90).clamp(Duration::HOUR.times(3).0, Duration::DAY.times(60).0));
            let back = if chance.happens(5500) { amount } else { (amount * chance.between(2, 8) / 10).max(1) };
            self.schedule.add(due, result(PaymentStatus::Refunded, Reason::Returned, back));
        }
        Settled { failed: false }
    }

    /// From where an honest person acts on the net.
    pub(super) fn spot(&self, chance: &mut Chance, person: &Person, now: Timestamp) -> Spot {
        let trip = self.people.trip(person, now);
        let at = trip.map_or(person.region, |trip| trip.region);
        let (device, channel, mobile) = match chance.below(100) {
            0..46 => (Some(self.people.device(person, Device::Phone, now)), if chance.happens(6000) { "app" } else { "web" }, true),
            46..56 => (Some(self.people.forgetful_device(person, now)), "web", false),
            56..74 => (Some(self.people.device(person, Device::Laptop, now)), "web", false),
            74..82 => (Some(self.people.device(person, Device::Tablet, now)), if chance.happens(4000) { "app" } else { "web" }, false),
            // At a library, at work, on somebody else's.
            82..85 => (Some(self.people.kiosk(chance, at)), "web", false),
            85..89 => {
                let other = self.people.somebody(chance, person.region, 12);
                (Some(self.people.device(&other, Device::Laptop, now)), "web", false)
            }
            // Browsers that tell nothing of themselves.
            _ => (None, "web", false),
        };
        let ip = match (chance.below(100), trip) {
            (0..6, _) => None,
            (6..45, Some(_)) => Some(self.people.mobile_exit(chance, at)),
            (_, Some(trip)) => Some(self.people.hotel_address(&trip)),
            (6..42, None) if mobile => Some(self.people.mobile_exit(chance, at)),
            (42..52, None) => Some(self.people.work_address(person)),
            // Somebody's guest network.
            (52..57, None) => Some(self.people.home_address(&self.people.somebody(chance, person.region, 12), now)),
            _ => Some(self.people.home_address(person, now)),
        };
        Spot { device, ip, at, channel }
    }

    /// A category for `person`, by how often it is bought in this way now.
    pub(super) fn category(&self, chance: &mut Chance, person: &Person, way: usize) -> usize {
        let weights = &self.category_weights[way];
        let first = chance.weighted(weights);
        if person.likes(first) || chance.happens(5500) { first } else { chance.weighted(weights) }
    }

    /// What `person` would pay at `shop` at once, in cents of a euro.
    pub(super) fn usual_cents(&self, chance: &mut Chance, person: &Person, shop: &Shop) -> i64 {
        let of = &CATEGORIES[shop.category];
        let median = of.median_cents * person.spending_percent() / 100 * shop.price_percent / 100;
        let cents = chance.scatter(median.max(150), of.spread_percent).clamp(60, 2_500_000);
        // Large occasions: a wedding, a kitchen, a journey for all.
        if chance.happens(70) { cents * chance.between(3, 8) } else { cents }
    }

    /// Somebody pays at a till.
    pub(super) fn in_store(&mut self, chance: &mut Chance, person: Person, now: Timestamp) -> Occurrence {
        let at = self.people.trip(&person, now).map_or(person.region, |trip| trip.region);
        let category = self.category(chance, &person, 0);
        let shop = self.shops.choose(chance, &person, category, at);
        let wallet = chance.happens(2200);
        let order = Order {
            person: person.number,
            region: at,
            at,
            shop,
            device: wallet.then(|| self.people.device(&person, Device::Phone, now)),
            card: Some(self.people.card(&person, chance.happens(2400), now)),
            ip: (wallet && chance.happens(5000)).then(|| self.people.mobile_exit(chance, at)),
            cents: self.usual_cents(chance, &person, &shop),
            channel: "in_store",
            session: None,
            items: Basket::default(),
        };
        self.honest(chance, now, &order)
    }

    /// Somebody pays on the net, as a guest or by a wallet's button.
    pub(super) fn online(&mut self, chance: &mut Chance, person: Person, now: Timestamp) -> Occurrence {
        let spot = self.spot(chance, &person, now);
        let flash = self.flash.filter(|_| chance.happens(2500));
        let shop = match flash {
            Some(flash) => self.shops.shop(flash),
            None => {
                let category = self.category(chance, &person, 1);
                self.shops.choose(chance, &person, category, person.region)
            }
        };
        let mut items = Basket::default();
        let mut cents = self.usual_cents(chance, &person, &shop);
        if CATEGORIES[shop.category].has_items && chance.happens(6000) {
            cents = 0;
            for _ in 0..=chance.rank(3) {
                let article = self.catalogue.choose(chance, &person, shop.category, now);
                cents += self.catalogue.price_cents(&article, &shop);
                items.put(self.item(article.number));
            }
        }
        let order = Order {
            person: person.number,
            region: person.region,
            at: spot.at,
            shop,
            device: spot.device,
            card: chance.happens(8800).then(|| self.people.card(&person, chance.happens(2400), now)),
            ip: spot.ip,
            cents,
            channel: spot.channel,
            session: None,
            items,
        };
        let occurrence = self.honest(chance, now, &order);
        // Presents before Christmas, one more round in a game, a ticket for a friend.
        let again = match CATEGORIES[shop.category].name {
            "gift_cards" => 3500,
            "games" => 3000,
            "charity" | "tickets" => 1200,
            _ => 150,
        };
        if chance.happens(again) {
            let left = chance.rank(7) as u8;
            let cents = if chance.happens(5000) { cents } else { self.usual_cents(chance, &person, &shop) };
            let due = now + Duration(chance.between(15_000_000, 240_000_000));
            self.schedule.add(due, Plan::Again { person: person.number, shop: shop.number, cents, left, second_card: false });
        }
        occurrence
    }

    /// A standing order is charged: the same shop, about the same amount.
    pub(super) fn recurring(&mut self, chance: &mut Chance, person: Person, now: Timestamp) -> Occurrence {
        let category = chance.weighted(&self.category_weights[2]);
        let mut contract = Chance::of(self.options.seed, 0x301, u64::from(person.number) << 8 | category as u64);
        let shop = self.shops.choose(&mut contract, &person, category, person.region);
        let order = Order {
            person: person.number,
            region: person.region,
            at: person.region,
            shop,
            device: None,
            card: Some(self.people.card(&person, contract.happens(2000), now)),
            ip: None,
            cents: self.usual_cents(&mut contract, &person, &shop),
            channel: "recurring",
            session: None,
            items: Basket::default(),
        };
        self.honest(chance, now, &order)
    }

    /// Somebody pays where they have paid a moment before.
    pub(super) fn again(&mut self, now: Timestamp, number: u32, shop: u32, cents: i64, left: u8, second_card: bool) -> Occurrence {
        let mut chance = Chance::of(self.options.seed, 0x302, now.0 as u64 ^ u64::from(number));
        let chance = &mut chance;
        let person = self.people.person(number);
        let shop = self.shops.shop(shop);
        // The same device as before, mostly.
        let device = self.people.device(&person, Device::Phone, now);
        let order = Order {
            person: number,
            region: person.region,
            at: self.people.trip(&person, now).map_or(person.region, |trip| trip.region),
            shop,
            device: chance.happens(9000).then_some(device),
            card: Some(self.people.card(&person, second_card, now)),
            ip: Some(self.people.home_address(&person, now)),
            cents,
            channel: if chance.happens(5000) { "app" } else { "web" },
            session: None,
            items: Basket::default(),
        };
        if left > 0 {
            let due = now + Duration(chance.between(15_000_000, 240_000_000));
            self.schedule.add(due, Plan::Again { person: number, shop: shop.number, cents, left: left - 1, second_card });
        }
        self.honest(chance, now, &order)
    }

    /// An honest payment: settled, tried again where it failed, and labelled where somebody looked at it or was wrong about it.
    pub(super) fn honest(&mut self, chance: &mut Chance, now: Timestamp, order: &Order) -> Occurrence {
        let trace = self.friendly_trace(chance, order);
        let mut occurrence = self.place(now, order, trace);
        let on_net = matches!(order.channel, "web" | "app");
        let odds = Odds {
            challenged: if !on_net {
                0
            } else if order.cents > 3000 {
                1000
            } else {
                250
            },
            passed: 9300,
            declined: if on_net {
                380
            } else if order.channel == "recurring" {
                500
            } else {
                170
            },
            reason: Reason::InsufficientFunds,
        };
        let settled = self.settle(chance, now, &occurrence, order, &odds);
        if settled.failed && on_net && chance.happens(6000) {
            let cents = if chance.happens(7000) { order.cents } else { order.cents * 6 / 10 + 1 };
            let plan = Plan::Again { person: order.person, shop: order.shop.number, cents, left: 0, second_card: chance.happens(6000) };
            self.schedule.add(now + Duration(chance.between(25_000_000, 150_000_000)), plan);
        }
        self.leak(chance, order);
        match trace {
            // Nobody disputes what was not paid.
            Some(_) if settled.failed => occurrence.trace = None,
            Some(trace) => self.friendly_claim(chance, now, &occurrence, trace),
            None => self.clear(chance, now, &occurrence),
        }
        occurrence
    }
}
