//! Honest money that goes from many to one, and in circles: a bill that friends share, a family, a club, somebody who sells a car and buys
//! another, a newcomer's first money.

use super::Company;
use super::occurrence::Occurrence;
use super::people::Person;
use super::schedule::Plan;
use super::transfer::round;
use crate::event::{Duration, Timestamp};
use crate::sim::chance::Chance;

impl Company {
    fn will_remit(&mut self, due: Timestamp, from: &Person, to: &Person, cents: i64) {
        if from.number != to.number {
            self.schedule.add(due, Plan::Remit { from: from.number, to: to.number, cents });
        }
    }

    /// One paid for all; the others pay their part on the same day.
    pub(super) fn begin_split_bill(&mut self, chance: &mut Chance, paid: &Person, cents: i64, now: Timestamp) {
        for _ in 0..chance.between(2, 5) {
            let friend = self.friend(chance, paid);
            let wait = chance.scatter(Duration::MINUTE.times(50).0, 150).clamp(Duration::MINUTE.0, Duration::HOUR.times(12).0);
            self.will_remit(now + Duration(wait), &friend, paid, cents);
        }
    }

    /// `first` gives to `second`, who gives to another of the family, who gives to `first`: not the same money, but it looks so.
    pub(super) fn begin_family_circle(&mut self, chance: &mut Chance, first: &Person, second: &Person, cents: i64, now: Timestamp) {
        let mut third = self.relative(chance, second);
        if third.number == first.number {
            third = self.relative(chance, first);
        }
        let mut due = now;
        let legs = if third.number == second.number { vec![(*second, *first)] } else { vec![(*second, third), (third, *first)] };
        for (from, to) in legs {
            due = due
                + Duration(chance.scatter(Duration::HOUR.times(30).0, 130).clamp(Duration::MINUTE.times(10).0, Duration::DAY.times(5).0));
            let cents = if chance.happens(4000) { cents } else { round(cents * chance.between(40, 150) / 100, 500) };
            self.will_remit(due, &from, &to, cents);
        }
    }

    /// A club's fees fall due: its members pay the cashier within two days, who passes most of it on.
    pub(super) fn begin_collection(&mut self, chance: &mut Chance, member: &Person, cashier: &Person, cents: i64, now: Timestamp) {
        let members = chance.between(5, 14);
        for place in 0..members as u32 {
            let other = match place % 2 {
                0 => self.people.person(cashier.number + place + 1),
                _ => self.friend(chance, member),
            };
            if other.number < self.people.count {
                let wait = chance.wait(Duration::HOUR.times(14).0).min(Duration::DAY.times(2).0);
                self.will_remit(now + Duration(wait), &other, cashier, cents);
            }
        }
        let most = cents * members * chance.between(60, 100) / 100;
        self.pass_on(chance, now + Duration::DAY.times(2), cashier.number, most);
    }

    /// Who sold a car buys another from somebody else within a week; a part of the price comes from savings, or goes there.
    pub(super) fn begin_car_swap(&mut self, chance: &mut Chance, buyer: &Person, cents: i64, now: Timestamp) {
        let lot = chance.bits();
        let seller = self.acquaintance(buyer, lot);
        let due = now + Duration(chance.between(Duration::HOUR.times(3).0, Duration::DAY.times(6).0));
        self.will_remit(due, buyer, &seller, round(cents * chance.between(70, 130) / 100, 10_000));
    }

    /// What was planned is sent.
    pub(super) fn remit_planned(&mut self, now: Timestamp, from: u32, to: u32, cents: i64) -> Occurrence {
        let mut chance = Chance::of(self.options.seed, 0x503, now.0 as u64 ^ u64::from(from) << 34 ^ u64::from(to) << 8);
        let chance = &mut chance;
        let (from, to) = (self.people.person(from), self.people.person(to));
        let to = self.party(&to, false);
        let of = self.remit(chance, &from, to, cents, now);
        let occurrence = self.send(now, &of, None);
        self.clear(chance, now, &occurrence);
        occurrence
    }

    /// A new customer's money: what they bring, and their first wages some days or weeks later.
    pub(super) fn first_money(&mut self, now: Timestamp, number: u32, step: u8) -> Occurrence {
        let mut chance = Chance::of(self.options.seed, 0x504, u64::from(number) << 8 | u64::from(step));
        let chance = &mut chance;
        let person = self.people.person(number);
        if step < 2 {
            let wait = chance.scatter(Duration::DAY.times(4).0, 120).clamp(Duration::HOUR.0, Duration::DAY.times(25).0);
            self.schedule.add(now + Duration(wait), Plan::FirstMoney { person: number, step: step + 1 });
        }
        let of = match step {
            0 => {
                let cents = round(chance.scatter(20_000, 130), 1000);
                self.cash(chance, &person, false, cents)
            }
            1 => self.wages(&person),
            _ => {
                let to = self.biller(chance, person.region);
                let cents = chance.scatter(60_000, 80);
                self.remit(chance, &person, to, cents, now)
            }
        };
        let occurrence = self.send(now, &of, None);
        self.clear(chance, now, &occurrence);
        occurrence
    }
}
