//! The company: a rich simulated world that feeds demonstration, training, tests and load.
//!
//! Everything about person n, shop n, item n follows from the seed and n ([`people`], [`shops`], [`catalogue`]), so a world of a hundred
//! million people takes no more memory than one of a thousand. What is kept is what is under way: results, captures, refunds, labels,
//! visits and attacks that are due ([`schedule`]), all of it bounded. The same options give the same bytes on every machine.
//!
//! A [`Company`] is an endless iterator over what happens, in order of time but for a few seconds; the caller maps its time to a clock.
//! Fraud ([`fraud`]) and laundering ([`laundering`]) begin by themselves, at the rates of [`Options`], or when somebody asks
//! ([`Company::attack`]); what they really were is told apart from the stream ([`truth`]).

pub mod calendar;
pub mod catalogue;
mod circles;
pub mod fraud;
mod label;
pub mod land;
pub mod laundering;
pub mod name;
pub mod occurrence;
mod payment;
pub mod people;
mod runs;
pub mod schedule;
pub mod shops;
#[cfg(test)]
mod tests;
mod transfer;
pub mod truth;
mod visit;

use super::chance::{Chance, keyed};
use crate::event::{Duration, PaymentStatus, Timestamp};
use calendar::{Calendar, DOINGS, DOINGS_LEN, Doing, MEAN_WEIGHT};
use catalogue::Catalogue;
use fraud::{Attack, Episode};
use land::REGIONS_LEN;
use name::{NameKind, Namer};
use occurrence::{Act, EventName, Occurrence};
use people::{PEOPLE_MAX, People};
use schedule::{Plan, Schedule};
use shops::{CATEGORIES, CATEGORIES_LEN, Shops, count_in, number_in};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use truth::{Ended, Trace, Truth};

/// The settings of a company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    /// Customers at the start, [`PEOPLE_MIN`] to [`PEOPLE_MAX`].
    pub people: u32,
    /// At least [`SHOPS_MIN`].
    pub shops: u32,
    /// At least [`ITEMS_MIN`].
    pub items: u32,
    /// Payments, transfers, sessions and interactions on a day like the mean. Results, labels, profiles and the catalogue come on top:
    /// about one line in seven.
    pub activities_per_day: u64,
    /// The clock at the first event.
    pub start: Timestamp,
    /// Payments that are fraud, in ten-thousandths.
    pub fraud_permyriad: u32,
    /// Transfers that launder, in ten-thousandths.
    pub laundering_permyriad: u32,
    /// What a bank sees: transfers, their labels and who has accounts, and nothing else. Then all activities are transfers.
    pub transfers_alone: bool,
}

pub const PEOPLE_MIN: u32 = 1000;
/// Every category has one.
pub const SHOPS_MIN: u32 = 128;
/// Every category has ten.
pub const ITEMS_MIN: u32 = 640;
/// The most promises at one time, 48 bytes each. A payment leaves about nine tenths of one open for a day, so this is what fifteen million
/// payments a day come to after some weeks.
const WAITING_MAX: usize = 16_000_000;

impl Options {
    /// A company with so many customers, of the shops and traffic that go with them: a shop for forty people, an item for two, two and a
    /// half activities a person and day.
    pub fn of(seed: u64, people: u32) -> Options {
        Options {
            seed,
            people,
            shops: (people / 40).max(SHOPS_MIN * 4),
            items: (people / 2).clamp(ITEMS_MIN * 4, 2_000_000),
            activities_per_day: u64::from(people) * 5 / 2,
            // 2025-01-01.
            start: Timestamp(1_735_689_600_000_000),
            fraud_permyriad: 35,
            laundering_permyriad: 60,
            transfers_alone: false,
        }
    }

    /// The same people as their bank sees them: one transfer a person and day.
    pub fn ledger(seed: u64, people: u32) -> Options {
        Options { activities_per_day: people.into(), transfers_alone: true, ..Options::of(seed, people) }
    }
}

/// A running company.
#[derive(Clone, Debug)]
pub struct Company {
    options: Options,
    chance: Chance,
    people: People,
    shops: Shops,
    catalogue: Catalogue,
    calendar: Calendar,
    /// Running sums over ways to begin and regions in this hour.
    begin_sums: [u64; DOINGS_LEN * REGIONS_LEN],
    /// How often a category is chosen at tills, on the net, by standing order, and in visits.
    category_weights: [[u32; CATEGORIES_LEN]; 4],
    /// A shop at which everybody buys in these minutes.
    flash: Option<u32>,
    /// The time of the newest event.
    now: Timestamp,
    /// When something begins next.
    next_begin: Timestamp,
    schedule: Schedule,
    /// Events so far.
    events: u64,
    visits: u64,
    /// Made-up people so far.
    made_up: u32,
    /// Items told of so far.
    announced: u32,
    /// Firms founded so far.
    founded: u32,
    /// Runs of this month, by firm and week.
    runs: BTreeSet<(u64, i64)>,
    runs_month: u8,
    /// Accounts that were opened to rest, with when they began to: the longest first.
    resting: VecDeque<(u32, Timestamp)>,
    episodes: BTreeMap<u32, Episode>,
    episodes_begun: u32,
    /// Shops whose cards leak, with the attack that reads them.
    leaks: Vec<(u32, u32)>,
    /// Friendly frauds asked for from outside that no payment has come for yet.
    friendly_asked: u32,
    /// How likely a payment begins an attack of each kind, in billionths.
    odds: [u32; Attack::ALL.len()],
    ended: Ended,
}

impl Company {
    /// The company at its first moment.
    pub fn new(options: Options) -> Company {
        assert!((PEOPLE_MIN..=PEOPLE_MAX).contains(&options.people), "{} people, expected {PEOPLE_MIN} to {PEOPLE_MAX}", options.people);
        assert!(options.shops >= SHOPS_MIN && options.items >= ITEMS_MIN, "{options:?}");
        assert!(options.activities_per_day > 0 && options.start.is_valid(), "{options:?}");
        let seed = options.seed;
        let mut company = Company {
            chance: Chance::of(seed, 0x1, 0),
            people: People { seed, namer: Namer::new(seed), count: options.people, joined: 0 },
            shops: Shops { seed, count: options.shops },
            catalogue: Catalogue { seed, count: options.items },
            calendar: Calendar::new(options.start),
            begin_sums: [0; DOINGS_LEN * REGIONS_LEN],
            category_weights: [[0; CATEGORIES_LEN]; 4],
            flash: None,
            now: options.start,
            next_begin: options.start,
            schedule: Schedule::new(options.start, WAITING_MAX),
            events: 0,
            visits: 0,
            made_up: 0,
            announced: 0,
            founded: 0,
            runs: BTreeSet::new(),
            runs_month: 0,
            resting: VecDeque::new(),
            episodes: BTreeMap::new(),
            episodes_begun: 0,
            leaks: Vec::new(),
            friendly_asked: 0,
            odds: Attack::ALL.map(|attack| attack.odds_billionths(&options)),
            ended: Ended::default(),
            options,
        };
        company.turn_hour();
        company
    }

    /// The same company in a later run: its events are numbered behind `events`, and chance and crooks are others than before.
    pub fn resumed(mut self, events: u64) -> Company {
        self.chance = Chance::of(self.options.seed, 0x1, events);
        (self.events, self.visits) = (events, events);
        self.made_up = (events % u64::from(fraud::MADE_UP_HERE)) as u32;
        self.episodes_begun = events as u32;
        self
    }

    /// The options that it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The time of the newest event.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Begins an attack now, as a demonstration asks for; it hurries, so that within a minute there is something to see. False
    /// where [`fraud::EPISODES_MAX`] attacks go on already.
    pub fn attack(&mut self, attack: Attack) -> bool {
        self.begin_episode(attack, self.now, true)
    }

    /// The attacks that ended since the last call, the oldest first.
    pub fn drain_ended(&mut self) -> impl Iterator<Item = Truth> + '_ {
        self.ended.drain()
    }

    /// The attacks that go on, by number.
    pub fn under_way(&self) -> impl Iterator<Item = &Truth> {
        self.episodes.values().map(Episode::truth)
    }

    /// What waits to happen, and what found no room to wait.
    pub fn waiting(&self) -> (usize, u64) {
        (self.schedule.len(), self.schedule.dropped())
    }

    /// Makes an event: gives it its id, and now and then a clock that is some seconds behind.
    fn happen(&mut self, now: Timestamp, act: Act, trace: Option<Trace>) -> Occurrence {
        self.events += 1;
        let id = EventName { letter: act.letter(), number: self.events };
        let lot = keyed(self.options.seed, 0x2, self.events);
        let may_lag = matches!(act, Act::Session { .. } | Act::Interaction(_) | Act::Payment(_));
        let lag = if may_lag && lot & 127 == 0 { (lot >> 8) % 15_000 * 1000 } else { 0 };
        let time = (now.0 - lag as i64).max(self.options.start.0);
        self.now = self.now.max(now);
        Occurrence { id, time: Timestamp(time - time.rem_euclid(1000)), act, trace }
    }

    /// Does what an hour brings: other shares of what is begun, other seasons, perhaps a sale.
    fn turn_hour(&mut self) {
        self.calendar.weights(&mut self.begin_sums, self.options.transfers_alone);
        let local = self.calendar.local(0);
        for (place, of) in CATEGORIES.iter().enumerate() {
            let season = of.season_percent(local);
            let ways = [of.in_store, of.online, of.recurring, if of.has_items { of.online } else { 0 }];
            for (weights, share) in self.category_weights.iter_mut().zip(ways) {
                weights[place] = share * season;
            }
        }
        self.turn_sale();
    }

    /// In one hour in nine, and in one of three in the week in which everything is cheaper, a shop sells out in minutes.
    fn turn_sale(&mut self) {
        let lot = keyed(self.options.seed, 0x3, self.calendar.hour_number() as u64);
        let often = if self.calendar.local(0).is_black_week() { 3 } else { 9 };
        const SALES: [usize; 5] = [23, 5, 6, 7, 10];
        let category = SALES[(lot >> 8) as usize % SALES.len()];
        let place = (lot >> 16) % count_in(category, self.options.shops);
        self.flash = (lot.is_multiple_of(often)).then(|| number_in(category, place));
    }

    /// Something new begins at `now`.
    fn begin(&mut self, now: Timestamp) -> Occurrence {
        let whole = *self.begin_sums.last().expect("there are ways to begin");
        let draw = self.chance.below(whole);
        let place = self.begin_sums.partition_point(|sum| *sum <= draw);
        let (doing, region) = (DOINGS[place / REGIONS_LEN].0, place % REGIONS_LEN);
        let mut chance = Chance::new(self.chance.bits());
        let chance = &mut chance;
        // Beside all that, the catalogue and the list of customers change.
        match chance.below(1000) {
            0..8 if !self.options.transfers_alone => return self.announce(now),
            8..11 => {
                let person = self.people.anybody(chance);
                return self.profile(chance, &person, now);
            }
            11 | 12 => {
                if let Some(person) = self.people.join() {
                    return self.newcomer(now, person.number, u8::from(self.options.transfers_alone));
                }
            }
            _ => {}
        }
        self.perhaps_attack(chance, doing, now);
        let person = self.people.somebody(chance, region, self.calendar.local(region).hour);
        match doing {
            Doing::InStore => self.in_store(chance, person, now),
            Doing::Online => self.online(chance, person, now),
            Doing::Recurring => self.recurring(chance, person, now),
            Doing::Buying => self.visit(chance, person, now, true),
            Doing::Browsing => self.visit(chance, person, now, false),
            Doing::Transfer => self.transfer(chance, person, now),
            Doing::Look => self.look(chance, person, now),
        }
    }

    /// Tells of the next item of the catalogue; after the last the first comes again.
    fn announce(&mut self, now: Timestamp) -> Occurrence {
        let article = self.catalogue.article(self.announced % self.options.items);
        self.announced = (self.announced + 1) % self.options.items;
        let (category, title) = (CATEGORIES[article.category].name, article.title());
        let act = Act::Item { item: self.item(article.number), category, brand: article.brand, price: article.cents, title };
        self.happen(now, act, None)
    }

    /// Does what is due.
    fn carry_out(&mut self, now: Timestamp, plan: Plan) -> Option<Occurrence> {
        match plan {
            Plan::Visit(visit) => Some(self.visit_step(now, visit)),
            Plan::Result { target, person, status, reason, amount } => {
                let told = matches!(status, PaymentStatus::Captured | PaymentStatus::Refunded);
                let act = Act::PaymentResult {
                    target: EventName { letter: b'p', number: target },
                    status,
                    amount: told.then_some(amount),
                    reason: reason.word(),
                    user: self.people.namer.name(NameKind::User, person.into()),
                };
                Some(self.happen(now, act, None))
            }
            Plan::Label { target, of_transfer, verdict, source, scenario } => {
                let target = EventName { letter: if of_transfer { b't' } else { b'p' }, number: target };
                let act = Act::Label { target, verdict, source, scenario: label::scenario_word(scenario) };
                Some(self.happen(now, act, None))
            }
            Plan::Again { person, shop, cents, left, second_card } => Some(self.again(now, person, shop, cents, left, second_card)),
            Plan::Newcomer { person, step } => Some(self.newcomer(now, person, step)),
            Plan::Forward { person, cents } => Some(self.forward(now, person, cents)),
            Plan::Remit { from, to, cents } => Some(self.remit_planned(now, from, to, cents)),
            Plan::Run { firm, place } => Some(self.run_step(now, firm, place)),
            Plan::FirstMoney { person, step } => Some(self.first_money(now, person, step)),
            Plan::Sleeper { person, left, opens } => Some(self.before_rest(now, person, left, opens)),
            Plan::Episode(number) => self.play(now, number),
        }
    }
}

impl Iterator for Company {
    type Item = Occurrence;

    /// What happens next; there is always something.
    fn next(&mut self) -> Option<Occurrence> {
        loop {
            if let Some((time, plan)) = self.schedule.next_before(self.next_begin) {
                match self.carry_out(time, plan) {
                    None => continue,
                    occurrence => return occurrence,
                }
            }
            let now = self.next_begin;
            if self.calendar.turn(now) {
                self.turn_hour();
            }
            let whole = *self.begin_sums.last().expect("there are ways to begin");
            // In thousandths of a microsecond, since activities are counted for a thousand that begin.
            let (weight, activities) = match self.options.transfers_alone {
                true => (calendar::TRANSFERS_WEIGHT, calendar::TRANSFERS_PER_THOUSAND_BEGUN),
                false => (MEAN_WEIGHT, calendar::ACTIVITIES_PER_THOUSAND_BEGUN),
            };
            let mean = u128::from(weight) * Duration::DAY.0 as u128 * u128::from(activities);
            let mean = mean / (u128::from(whole) * u128::from(self.options.activities_per_day));
            self.next_begin = now + Duration(self.chance.wait(mean as i64) / 1000);
            return Some(self.begin(now));
        }
    }
}
