//! Visits: a session, items that are looked at, and perhaps a purchase.
//!
//! A visit is a script that follows from its number, so that between two of its steps only person, number and step are kept.

use super::Company;
use super::name::{Name, NameKind};
use super::occurrence::{Act, Basket, Occurrence, Touch};
use super::payment::{Order, Spot};
use super::people::Person;
use super::schedule::{Plan, Visit};
use super::shops::{Shop, category_of};
use crate::event::{Action, Duration, KycRisk, Timestamp};
use crate::sim::chance::Chance;

const SCRIPT: u64 = 0x401;
const STEP: u64 = 0x402;

const SURFACES: [&str; 5] = ["feed", "search", "product", "lookbook", "offers"];
const EXPERIMENTS: [&str; 3] = ["feed-order", "lookbook-cover", "similar-items"];

/// What a visit is about.
struct Script {
    spot: Spot,
    shop: Shop,
    /// Items looked at.
    views: u8,
    /// The first of them that are bought.
    bought: u8,
    tells_cart: bool,
}

impl Company {
    fn script(&self, person: &Person, visit: Visit) -> Script {
        let mut chance = Chance::of(self.options.seed, SCRIPT, visit.number);
        let spot = self.spot(&mut chance, person, visit.begun());
        let shop = self.shops.shop(visit.shop);
        let buys = visit.buys;
        let views = if buys { 2 + chance.rank(4) as u8 } else { 1 + chance.below(7) as u8 };
        let bought = if buys { 1 + u8::from(chance.happens(2400)) } else { 0 };
        Script { spot, shop, views, bought, tells_cart: chance.happens(6000) }
    }

    pub(super) fn session_name(&self, number: u64) -> Name {
        self.people.namer.name(NameKind::Session, number)
    }

    pub(super) fn item(&self, number: u32) -> Name {
        self.people.namer.name(NameKind::Item, number.into())
    }

    /// A visit begins.
    pub(super) fn visit(&mut self, chance: &mut Chance, person: Person, now: Timestamp, buys: bool) -> Occurrence {
        self.visits += 1;
        let category = self.category(chance, &person, 3);
        let shop = self.shops.choose(chance, &person, category, person.region).number;
        let begun_minute = now.0.div_euclid(Duration::MINUTE.0) as u32;
        self.visit_step(now, Visit { number: self.visits, person: person.number, shop, begun_minute, step: 0, buys })
    }

    /// The next step of a visit: 0 is the session, then come the views, the cart, the payment, the items bought.
    pub(super) fn visit_step(&mut self, now: Timestamp, visit: Visit) -> Occurrence {
        let person = self.people.person(visit.person);
        let script = self.script(&person, visit);
        let step = visit.step;
        let mut chance = Chance::of(self.options.seed, STEP, visit.number << 6 | u64::from(step));
        let chance = &mut chance;
        let cart = script.views + 1;
        let payment = cart + u8::from(script.tells_cart);
        let last = if visit.buys { payment + script.bought } else { script.views };
        if step < last {
            let pause = if step >= payment { chance.between(200_000, 900_000) } else { chance.between(3_000_000, 55_000_000) };
            self.schedule.add(now + Duration(pause), Plan::Visit(Visit { step: step + 1, ..visit }));
        }
        let session = self.session_name(visit.number);
        let user = self.people.user(&person);
        if step == 0 {
            let Spot { device, ip, .. } = script.spot;
            let action = if chance.happens(250) { "password_reset" } else { "login" };
            return self.happen(now, Act::Session { user, device, ip, action, session }, None);
        }
        let (view, action) = if step <= script.views {
            const LOOKS: [Action; 7] =
                [Action::View, Action::View, Action::View, Action::Click, Action::Click, Action::Save, Action::Dismiss];
            (step, *chance.pick(&LOOKS))
        } else if step < payment {
            (1, Action::Cart)
        } else if step == payment {
            return self.visit_payment(chance, now, &person, &script, visit);
        } else {
            (step - payment, Action::Purchase)
        };
        let item = self.viewed(&person, visit, view);
        self.touch(chance, now, user, item, action, &script, session)
    }

    /// The item that was looked at in step `view` of a visit.
    fn viewed(&self, person: &Person, visit: Visit, view: u8) -> u32 {
        let mut chance = Chance::of(self.options.seed, STEP, visit.number << 6 | 32 | u64::from(view));
        self.catalogue.choose(&mut chance, person, category_of(visit.shop), visit.begun()).number
    }

    #[allow(clippy::too_many_arguments)] // all of them are what an interaction says
    fn touch(
        &mut self,
        chance: &mut Chance,
        now: Timestamp,
        user: Name,
        item: u32,
        action: Action,
        script: &Script,
        session: Name,
    ) -> Occurrence {
        let looks = matches!(action, Action::View | Action::Click | Action::Save | Action::Dismiss);
        let surface = match action {
            Action::Cart => "cart",
            Action::Purchase => "checkout",
            _ => *chance.pick(&SURFACES),
        };
        let shown = looks && matches!(surface, "feed" | "lookbook") && chance.happens(5000);
        let touch = Touch {
            user,
            item: self.item(item),
            action,
            merchant: self.merchant(&script.shop),
            dwell_ms: looks.then(|| chance.scatter(9_000, 120).clamp(150, 600_000) as u32),
            surface,
            session,
            device: script.spot.device,
            shown: shown.then(|| (*chance.pick(&EXPERIMENTS), 1 + chance.below(40) as u8)),
        };
        self.happen(now, Act::Interaction(touch), None)
    }

    fn visit_payment(&mut self, chance: &mut Chance, now: Timestamp, person: &Person, script: &Script, visit: Visit) -> Occurrence {
        let (mut items, mut cents) = (Basket::default(), 0);
        for view in 1..=script.bought {
            let number = self.viewed(person, visit, view);
            let pieces = if chance.happens(900) { 2 } else { 1 };
            cents += self.catalogue.price_cents(&self.catalogue.article(number), &script.shop) * pieces;
            items.put(self.item(number));
        }
        // Sending costs something, or a code takes something off.
        match chance.below(10) {
            0..3 => cents += 490,
            3..5 => cents -= cents / 10,
            _ => {}
        }
        let order = Order {
            person: person.number,
            region: person.region,
            at: script.spot.at,
            shop: script.shop,
            device: script.spot.device,
            card: chance.happens(8800).then(|| self.people.card(person, chance.happens(2400), now)),
            ip: script.spot.ip,
            cents,
            channel: script.spot.channel,
            session: Some(self.session_name(visit.number)),
            items,
        };
        self.honest(chance, now, &order)
    }

    /// Somebody looks into the app: a login, and now and then a forgotten password.
    pub(super) fn look(&mut self, chance: &mut Chance, person: Person, now: Timestamp) -> Occurrence {
        let spot = self.spot(chance, &person, now);
        let action = match chance.below(100) {
            0..3 => "password_reset",
            3..6 => "logout",
            6..8 => "change_address",
            _ => "login",
        };
        self.visits += 1;
        let session = self.session_name(self.visits);
        let user = self.people.user(&person);
        self.happen(now, Act::Session { user, device: spot.device, ip: spot.ip, action, session }, None)
    }

    /// A new customer: signs up, says who they are, buys within days, often more than others.
    pub(super) fn newcomer(&mut self, now: Timestamp, number: u32, step: u8) -> Occurrence {
        let person = self.people.person(number);
        let mut chance = Chance::of(self.options.seed, SCRIPT, 1 << 40 | u64::from(number) << 4 | u64::from(step));
        let chance = &mut chance;
        if step == 1 {
            let wait = chance.between(Duration::MINUTE.times(5).0, Duration::DAY.times(3).0);
            self.schedule.add(now + Duration(wait), Plan::FirstMoney { person: number, step: 0 });
        }
        // Of what a bank does not see it does not tell.
        if self.options.transfers_alone {
            return self.profile(chance, &person, now);
        }
        if step < 5 {
            let pause = match step {
                0 => chance.between(20_000_000, 200_000_000),
                _ => chance.wait(Duration::HOUR.times(30).0).min(Duration::DAY.times(12).0),
            };
            self.schedule.add(now + Duration(pause), Plan::Newcomer { person: number, step: step + 1 });
        }
        match step {
            0 => {
                let spot = self.spot(chance, &person, now);
                self.visits += 1;
                let (user, session) = (self.people.user(&person), self.session_name(self.visits));
                self.happen(now, Act::Session { user, device: spot.device, ip: spot.ip, action: "signup", session }, None)
            }
            1 => self.profile(chance, &person, now),
            2 | 3 if chance.happens(7000) => self.online(chance, person, now),
            _ => self.visit(chance, person, now, step == 4),
        }
    }

    pub(super) fn profile(&mut self, chance: &mut Chance, person: &Person, now: Timestamp) -> Occurrence {
        let kyc_risk =
            *chance.pick(&[KycRisk::Low, KycRisk::Low, KycRisk::Low, KycRisk::Low, KycRisk::Medium, KycRisk::Medium, KycRisk::High]);
        let user = self.people.user(person);
        let country = super::land::REGIONS[person.region].country;
        self.happen(now, Act::Profile { user, country, consent: chance.happens(7500), kyc_risk }, None)
    }
}
