//! Runs: a firm pays all its people one after the other, once a month; a marketplace its sellers, once a week. A firm begins now and then,
//! and its first run is the first thing that its account does.

use super::Company;
use super::land::REGIONS_LEN;
use super::occurrence::Occurrence;
use super::schedule::Plan;
use crate::event::{Duration, Timestamp};
use crate::sim::chance::{Chance, keyed};

/// Accounts of firms with a payroll have numbers from here on, those of firms founded since, and of marketplaces.
const PAYROLLS: u64 = 3 << 36;
const FOUNDED: u64 = 4 << 36;
const MARKETS: u64 = 5 << 36;
const RUN: u64 = 0x502;
/// Runs of a month that are remembered, so that there is no second; past it nothing runs until the next month.
const REMEMBERED_MAX: usize = 1 << 16;

impl Company {
    /// Perhaps a firm of `region` pays all its people: any one that has not in this month, or a new one.
    pub(super) fn begin_payroll(&mut self, chance: &mut Chance, region: usize, now: Timestamp) {
        if chance.happens(600) {
            self.founded = (self.founded + 1) % (1 << 28);
            let firm = FOUNDED | (u64::from(self.founded) * REGIONS_LEN as u64 + region as u64);
            self.run(chance, firm, now);
            return;
        }
        let firms = u64::from(self.people.count / 1000 + 3);
        let firm = PAYROLLS | (chance.below(firms) * REGIONS_LEN as u64 + region as u64);
        if self.is_first(firm, 0) {
            self.run(chance, firm, now);
        }
    }

    /// Perhaps a marketplace pays its sellers of `region`: any one that has not in this week.
    pub(super) fn begin_market_run(&mut self, chance: &mut Chance, region: usize, now: Timestamp) {
        let markets = u64::from(self.people.count / 20_000 + 2);
        let market = MARKETS | (chance.rank(markets) * REGIONS_LEN as u64 + region as u64);
        if self.is_first(market, now.0.div_euclid(Duration::DAY.times(7).0)) {
            self.run(chance, market, now);
        }
    }

    /// Whether this is the first run of `firm` in its week or month; it counts as one.
    fn is_first(&mut self, firm: u64, week: i64) -> bool {
        let month = self.calendar.local(0).month;
        if self.runs_month != month {
            (self.runs_month, self.runs) = (month, Default::default());
        }
        self.runs.len() < REMEMBERED_MAX && self.runs.insert((firm, week))
    }

    fn run(&mut self, chance: &mut Chance, firm: u64, now: Timestamp) {
        self.schedule.add(now + Duration(chance.between(2_000_000, 600_000_000)), Plan::Run { firm, place: 0 });
    }

    /// A firm pays the next of its people.
    pub(super) fn run_step(&mut self, now: Timestamp, firm: u64, place: u8) -> Occurrence {
        let region = (firm % REGIONS_LEN as u64) as usize;
        let mut chance = Chance::of(self.options.seed, RUN, now.0 as u64 ^ firm << 8 ^ u64::from(place));
        let chance = &mut chance;
        let lot = keyed(self.options.seed, RUN, firm);
        let len = 4 + Chance::new(lot).rank(36) as u8;
        if place + 1 < len {
            let pause = Duration(chance.between(1_000, 4_000_000));
            self.schedule.add(now + pause, Plan::Run { firm, place: place + 1 });
        } else if firm & (7 << 36) == FOUNDED {
            // It pays again in a month, as long as there is room to remember it.
            self.schedule.add(now + Duration::DAY.times(30) + Duration(chance.between(0, 3_600_000_000)), Plan::Run { firm, place: 0 });
        }
        let person = self.people.known(region, keyed(lot, RUN, place.into()));
        let cents = if firm & (7 << 36) == MARKETS {
            let cents = chance.scatter(11_000, 150);
            if chance.happens(2000) {
                self.pass_on(chance, now, person.number, cents * 7 / 10);
            }
            cents
        } else {
            // The same each month, but for hours and bonuses.
            Chance::new(lot ^ u64::from(place)).scatter(190_000, 45) * chance.between(96, 104) / 100
        };
        let of = self.payout(self.firm(region, firm), &person, cents);
        let occurrence = self.send(now, &of, None);
        self.clear(chance, now, &occurrence);
        occurrence
    }
}
