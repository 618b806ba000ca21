//! Fraud: one attack a file. Each follows a script of its own, adapts to its victim's and its shop's habits and to what is declined, and
//! hides behind addresses and devices as honest people have them.
//!
//! For each there is honest behaviour that looks like it: journeys, new phones, devices of a family, of a library, of a friend; cards
//! declined and tried again; presents before Christmas, rounds in a game, shops that sell out in minutes; houses of students; new customers.

mod account_takeover;
mod card_testing;
mod compromised_shop;
mod device_farm;
mod friendly;
mod stolen_card;
mod synthetic;

use super::calendar::TRANSFERS_PER_THOUSAND_BEGUN;
use super::land::{REGION_OF, REGIONS};
use super::laundering::{Laundering, MOVES_MEAN};
use super::name::Name;
use super::occurrence::{Act, Basket, Occurrence};
use super::payment::{Odds, Order};
use super::people::{Device, MADE_UP, Person};
use super::schedule::{Plan, Reason};
use super::shops::{CATEGORIES, Shop};
use super::truth::{Trace, Truth};
use super::{Company, Options};
use crate::event::{Duration, Timestamp};
use crate::sim::chance::Chance;

/// The kinds of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Attack {
    /// Somebody pays with the data of a card, or with the card itself.
    StolenCard = 0,
    /// A machine tries many cards at a small shop.
    CardTesting = 1,
    /// Somebody logs in as another.
    AccountTakeover = 2,
    /// A shop's cards leak; weeks later they are used elsewhere.
    CompromisedShop = 3,
    /// A few devices act as many customers.
    DeviceFarm = 4,
    /// Customers who do not exist behave for weeks, and then pay no more.
    SyntheticIdentities = 5,
    /// A customer says later that it was not them.
    FriendlyFraud = 6,
    /// Money is moved so that nobody sees where it came from.
    Laundering = 7,
}

impl Attack {
    /// All kinds, by number.
    pub const ALL: [Attack; 8] = [
        Attack::StolenCard,
        Attack::CardTesting,
        Attack::AccountTakeover,
        Attack::CompromisedShop,
        Attack::DeviceFarm,
        Attack::SyntheticIdentities,
        Attack::FriendlyFraud,
        Attack::Laundering,
    ];

    /// The word in a label's `scenario`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 8] = [
            "stolen_card",
            "card_testing",
            "account_takeover",
            "compromised_shop",
            "device_farm",
            "synthetic_identities",
            "friendly_fraud",
            "laundering",
        ];
        NAMES[self as usize]
    }

    /// The kind with this name; hyphens are as good as underscores.
    pub fn parse(name: &str) -> Option<Attack> {
        let name = name.replace('-', "_");
        Attack::ALL.into_iter().find(|attack| attack.name() == name)
    }

    /// After how many days half of the chargebacks have come.
    pub(super) fn chargeback_days(self) -> i64 {
        [14, 20, 9, 18, 26, 70, 42, 0][self as usize]
    }

    /// How many in a hundred frauds are of this kind, and how many payments one attack is on the mean.
    fn share_and_payments(self) -> (u64, u64) {
        [(28, 4), (15, 28), (19, 3), (12, 28), (11, 36), (6, 14), (9, 1), (0, 0)][self as usize]
    }

    /// How likely something that begins begins an attack of this kind, in billionths.
    pub(super) fn odds_billionths(self, options: &Options) -> u32 {
        let odds = match self {
            Attack::Laundering => 100 * TRANSFERS_PER_THOUSAND_BEGUN * u64::from(options.laundering_permyriad) / u64::from(MOVES_MEAN),
            // One payment in twenty begins with another one: it is tried again, or a newcomer's.
            _ => {
                let (share, payments) = self.share_and_payments();
                105_000 * u64::from(options.fraud_permyriad) * share / 100 / payments
            }
        };
        odds as u32
    }
}

/// Numbers of people made up anywhere lie below, those of people made up in a region from here on.
pub(super) const MADE_UP_HERE: u32 = 1 << 28;
/// How many attacks go on at one time at most.
pub const EPISODES_MAX: usize = 8192;

/// An attack that goes on.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    chance: Chance,
    truth: Truth,
    /// Somebody watches: waits are cut short.
    hurries: bool,
    play: Option<Play>,
}

impl Episode {
    pub(super) fn truth(&self) -> &Truth {
        &self.truth
    }
}

/// Where the script of an attack is.
#[derive(Clone, Debug)]
enum Play {
    StolenCard(stolen_card::StolenCard),
    CardTesting(card_testing::CardTesting),
    AccountTakeover(account_takeover::AccountTakeover),
    CompromisedShop(compromised_shop::CompromisedShop),
    DeviceFarm(device_farm::DeviceFarm),
    SyntheticIdentities(synthetic::SyntheticIdentities),
    Laundering(Laundering),
}

/// What a step of a script has to say: an event or none, and when it goes on, if it does.
pub(super) struct Turn {
    pub occurrence: Option<Occurrence>,
    pub next: Option<Duration>,
}

/// What a script acts with.
pub(super) struct Stage<'s> {
    pub company: &'s mut Company,
    pub chance: &'s mut Chance,
    pub truth: &'s mut Truth,
    pub now: Timestamp,
}

/// Where a crook seems to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    pub device: Option<Name>,
    pub ip: Option<u32>,
    /// A place in the list of regions.
    pub at: usize,
}

/// How much a crook dares, in hundredths of what the victim would pay: more after each success, less after each failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nerve {
    percent: i64,
}

impl Nerve {
    fn new(chance: &mut Chance) -> Nerve {
        Nerve { percent: chance.between(80, 150) }
    }

    fn learn(&mut self, failed: bool) {
        self.percent = if failed { (self.percent * 6 / 10).max(25) } else { (self.percent * 5 / 4).min(240) };
    }
}

impl Company {
    /// Perhaps an attack begins with what begins now.
    pub(super) fn perhaps_attack(&mut self, chance: &mut Chance, doing: super::calendar::Doing, now: Timestamp) {
        use super::calendar::Doing::{Browsing, Look, Transfer};
        if matches!(doing, Browsing | Look) {
            return;
        }
        let mut draw = chance.below(1_000_000_000) as u32;
        for attack in Attack::ALL {
            if (attack == Attack::Laundering) != (doing == Transfer) {
                continue;
            }
            // Friendly frauds are decided at the payment itself.
            if attack == Attack::FriendlyFraud {
                continue;
            }
            match draw.checked_sub(self.odds[attack as usize]) {
                Some(rest) => draw = rest,
                None => {
                    self.begin_episode(attack, now, false);
                    return;
                }
            }
        }
    }

    /// Begins an attack; false where as many go on as may.
    pub(super) fn begin_episode(&mut self, attack: Attack, now: Timestamp, hurries: bool) -> bool {
        if attack == Attack::FriendlyFraud {
            self.friendly_asked += 1;
            return true;
        }
        if self.episodes.len() >= EPISODES_MAX {
            return false;
        }
        self.episodes_begun += 1;
        let number = self.episodes_begun;
        let mut episode = Episode {
            chance: Chance::of(self.options.seed, 0x601, number.into()),
            truth: Truth::new(number, attack, now),
            hurries,
            play: None,
        };
        let Episode { chance, truth, .. } = &mut episode;
        let mut stage = Stage { company: self, chance, truth, now };
        let play = match attack {
            Attack::StolenCard => Play::StolenCard(stolen_card::StolenCard::new(&mut stage)),
            Attack::CardTesting => Play::CardTesting(card_testing::CardTesting::new(&mut stage)),
            Attack::AccountTakeover => Play::AccountTakeover(account_takeover::AccountTakeover::new(&mut stage)),
            Attack::CompromisedShop => Play::CompromisedShop(compromised_shop::CompromisedShop::new(&mut stage)),
            Attack::DeviceFarm => Play::DeviceFarm(device_farm::DeviceFarm::new(&mut stage)),
            Attack::SyntheticIdentities => Play::SyntheticIdentities(synthetic::SyntheticIdentities::new(&mut stage)),
            Attack::Laundering => Play::Laundering(Laundering::new(&mut stage)),
            Attack::FriendlyFraud => unreachable!("it has no script"),
        };
        episode.play = Some(play);
        self.episodes.insert(number, episode);
        self.schedule.add(now + Duration::SECOND, Plan::Episode(number));
        true
    }

    /// The next step of an attack.
    pub(super) fn play(&mut self, now: Timestamp, number: u32) -> Option<Occurrence> {
        let mut episode = self.episodes.remove(&number)?;
        let Episode { chance, truth, hurries, play } = &mut episode;
        let mut stage = Stage { company: self, chance, truth, now };
        let turn = match play.as_mut().expect("an attack that began has a script") {
            Play::StolenCard(script) => script.step(&mut stage),
            Play::CardTesting(script) => script.step(&mut stage),
            Play::AccountTakeover(script) => script.step(&mut stage),
            Play::CompromisedShop(script) => script.step(&mut stage),
            Play::DeviceFarm(script) => script.step(&mut stage),
            Play::SyntheticIdentities(script) => script.step(&mut stage),
            Play::Laundering(script) => script.step(&mut stage),
        };
        match turn.next {
            Some(pause) => {
                // In a hurry a second is as long as it is, but a week is fourteen.
                let pause = if *hurries { Duration(pause.0.min(Duration::SECOND.times(2).0 + pause.0 / 50_000)) } else { pause };
                self.schedule.add(now + Duration(pause.0.max(1000)), Plan::Episode(number));
                self.episodes.insert(number, episode);
            }
            None => {
                episode.truth.ended = Some(now);
                self.ended.push(episode.truth);
            }
        }
        turn.occurrence
    }
}

impl Stage<'_> {
    /// Somebody honest, who is hit.
    pub(super) fn victim(&mut self) -> Person {
        let region = usize::from(REGION_OF[self.chance.below(64) as usize]);
        self.company.people.somebody(self.chance, region, 15)
    }

    /// A new person who does not exist.
    fn invent(&mut self) -> Person {
        self.company.made_up = (self.company.made_up + 1) % MADE_UP_HERE;
        self.company.people.person(MADE_UP | self.company.made_up)
    }

    /// The same in `region`: streets in a row differ in where they are.
    pub(super) fn invent_in(&mut self, region: usize) -> Person {
        self.company.made_up = (self.company.made_up + 1) % MADE_UP_HERE;
        let (block, place) = (self.company.made_up % (MADE_UP_HERE / 64) / 16, self.company.made_up % 16);
        let slot = REGIONS[region].first + self.chance.below(REGIONS[region].slots);
        self.company.people.person(MADE_UP | MADE_UP_HERE | ((block * 64 + slot as u32) * 16 + place))
    }

    /// Whose accounts money passes through: mostly real people who lend theirs, and mostly in one country.
    pub(super) fn mule(&mut self, region: usize) -> Person {
        if self.chance.happens(2000) {
            return self.invent();
        }
        let region = if self.chance.happens(2000) { usize::from(REGION_OF[self.chance.below(64) as usize]) } else { region };
        let lot = self.chance.bits();
        self.company.people.known(region, lot)
    }

    /// A crook: often of a gang that has been seen before.
    fn crook(&mut self) -> Person {
        if self.chance.happens(4500) { self.company.people.gangster(self.chance) } else { self.invent() }
    }

    /// Behind what a crook hides who poses as `victim`: an own device or the victim's (by malware, or made to look so), or one that tells
    /// nothing; addresses of homes and mobile networks in the victim's country, or none of theirs.
    fn mask(&mut self, crook: &Person, victim: &Person) -> Mask {
        let people = &self.company.people;
        let draw = self.chance.below(100);
        let has_victims = (41..74).contains(&draw);
        let device = match draw {
            0..31 => Some(people.device(crook, Device::Phone, self.now)),
            31..41 => Some(people.device(crook, Device::Laptop, self.now)),
            41..74 => Some(people.device(victim, if self.chance.happens(6000) { Device::Phone } else { Device::Laptop }, self.now)),
            74..79 => Some(people.kiosk(self.chance, victim.region)),
            _ => None,
        };
        let (ip, at) = match self.chance.below(100) {
            0..60 if has_victims => (Some(people.home_address(victim, self.now)), victim.region),
            0..45 => {
                let neighbour = people.somebody(self.chance, victim.region, 15);
                (Some(people.home_address(&neighbour, self.now)), victim.region)
            }
            45..72 => (Some(people.mobile_exit(self.chance, victim.region)), victim.region),
            72..78 => (Some(people.home_address(victim, self.now)), victim.region),
            78..89 => (Some(people.mobile_exit(self.chance, crook.region)), crook.region),
            _ => (None, victim.region),
        };
        Mask { device, ip, at }
    }

    /// Where a crook goes for money: half of the time where everybody buys on the net, else where things are sold on.
    fn prey(&mut self, who: &Person, region: usize) -> Shop {
        // Electronics, fashion, shoes, gift cards, games, journeys, rides, market places, jewellery, tickets, beauty.
        const RESOLD: [usize; 11] = [7, 5, 6, 11, 10, 14, 16, 21, 22, 23, 12];
        let category = match self.chance.happens(6500) {
            true => self.company.category(self.chance, who, 1),
            false => *self.chance.pick(&RESOLD),
        };
        self.company.shops.choose(self.chance, who, category, region)
    }

    /// What a crook who poses as `who` takes at `shop`: as many cents as nerve allows, in items where the shop has them.
    fn basket(&mut self, who: &Person, shop: &Shop, nerve: Nerve) -> (Basket, i64) {
        let mut items = Basket::default();
        if CATEGORIES[shop.category].has_items && self.chance.happens(6500) {
            let mut cents = 0;
            for _ in 0..=self.chance.rank(3) {
                let article = self.company.catalogue.choose(self.chance, who, shop.category, self.now);
                cents += self.company.catalogue.price_cents(&article, shop);
                items.put(self.company.item(article.number));
            }
            // Of a dear thing one, of a cheap one several.
            return (items, (cents * nerve.percent.max(100) / 100).max(cents));
        }
        let cents = self.company.usual_cents(self.chance, who, shop) * nerve.percent / 100;
        (items, cents.max(50))
    }

    /// A fraudulent payment, with all that follows from it. True where it failed.
    fn crime(&mut self, order: &Order, odds: &Odds) -> (Occurrence, bool) {
        let trace = Trace { episode: self.truth.episode, is_crime: true };
        let payment = self.company.place(self.now, order, Some(trace));
        let settled = self.company.settle(self.chance, self.now, &payment, order, odds);
        self.company.accuse(self.chance, self.now, &payment, self.truth.attack, settled.failed);
        self.truth.event(payment.id, true);
        (payment, settled.failed)
    }

    /// A payment that belongs to the story and does nobody harm.
    fn harmless(&mut self, order: &Order) -> Occurrence {
        let trace = Trace { episode: self.truth.episode, is_crime: false };
        let payment = self.company.place(self.now, order, Some(trace));
        self.company.settle(
            self.chance,
            self.now,
            &payment,
            order,
            &Odds { challenged: 700, passed: 9300, declined: 300, reason: Reason::InsufficientFunds },
        );
        self.truth.event(payment.id, false);
        payment
    }

    /// A session in somebody's name.
    fn session(&mut self, who: &Person, mask: &Mask, action: &'static str, session: u64) -> Occurrence {
        let trace = Trace { episode: self.truth.episode, is_crime: false };
        let user = self.company.people.user(who);
        let session = self.company.session_name(session);
        let act = Act::Session { user, device: mask.device, ip: mask.ip, action, session };
        let occurrence = self.company.happen(self.now, act, Some(trace));
        self.truth.event(occurrence.id, false);
        occurrence
    }

    /// The number of a new session.
    fn new_session(&mut self) -> u64 {
        self.company.visits += 1;
        self.company.visits
    }

    /// A transfer that empties somebody's account.
    fn robbery(&mut self, victim: &Person, mule: &Person, mask: &Mask, cents: i64) -> Occurrence {
        let receiver = self.company.party(mule, false);
        let mut of = self.company.remit(self.chance, victim, receiver, cents, self.now);
        of.device = mask.device;
        let trace = Trace { episode: self.truth.episode, is_crime: true };
        let occurrence = self.company.send(self.now, &of, Some(trace));
        self.company.accuse_transfer(self.chance, self.now, &occurrence, self.truth.attack);
        self.truth.event(occurrence.id, true);
        self.truth.member(of.from.map(|party| party.account));
        self.truth.member(receiver.account);
        occurrence
    }

    /// A wait of about `median`, between `low` and `high`.
    fn pause(&mut self, median: Duration, low: Duration, high: Duration) -> Duration {
        Duration(self.chance.scatter(median.0, 130).clamp(low.0, high.0))
    }

    /// By which way a crook pays.
    fn channel(&mut self) -> &'static str {
        if self.chance.happens(4200) { "app" } else { "web" }
    }
}
