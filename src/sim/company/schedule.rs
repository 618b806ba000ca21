//! What will happen: the only thing that the company remembers of its people.
//!
//! What is due within the hour lies in a heap, what is due later in a bucket of its hour. Both together have a limit, since what waits
//! grows with the rate and with nothing else: past it nothing more is promised, and it is counted.

use crate::event::{Duration, LabelSource, PaymentStatus, Timestamp, Verdict};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The next step of a visit.
    Visit(Visit),
    /// What became of payment number `target`.
    Result { target: u64, person: u32, status: PaymentStatus, reason: Reason, amount: i64 },
    /// A verdict on an event.
    Label { target: u64, of_transfer: bool, verdict: Verdict, source: LabelSource, scenario: u8 },
    /// The same person pays at the same shop again.
    Again { person: u32, shop: u32, cents: i64, left: u8, second_card: bool },
    /// A new customer's first steps.
    Newcomer { person: u32, step: u8 },
    /// What was received is passed on: a club's cashier, a landlord's mortgage, a seller's supplier.
    Forward { person: u32, cents: i64 },
    /// Somebody honest sends so much.
    Remit { from: u32, to: u32, cents: i64 },
    /// A firm pays the next of its people.
    Run { firm: u64, place: u8 },
    /// A new customer's first money.
    FirstMoney { person: u32, step: u8 },
    /// Something happens on an account before it is left to rest.
    Sleeper { person: u32, left: u8, opens: bool },
    /// The next step of an attack.
    Episode(u32),
}

/// A visit, before one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    pub number: u64,
    pub person: u32,
    pub shop: u32,
    /// In minutes since 1970.
    pub begun_minute: u32,
    pub step: u8,
    pub buys: bool,
}

impl Visit {
    /// When it began: devices, addresses and fashions are those of this moment until it ends.
    pub fn begun(&self) -> Timestamp {
        Timestamp(i64::from(self.begun_minute) * Duration::MINUTE.0)
    }
}

/// Why an issuer says no, or something goes back; its word is [`Reason::word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    None,
    InsufficientFunds,
    DoNotHonour,
    InvalidCard,
    ExpiredCard,
    Returned,
    CustomerRequest,
}

impl Reason {
    /// The word in a result's `reason`.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Reason::None => None,
            Reason::InsufficientFunds => Some("insufficient_funds"),
            Reason::DoNotHonour => Some("do_not_honour"),
            Reason::InvalidCard => Some("invalid_card"),
            Reason::ExpiredCard => Some("expired_card"),
            Reason::Returned => Some("returned"),
            Reason::CustomerRequest => Some("customer_request"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    time: Timestamp,
    /// The order among those due at the same moment.
    serial: u64,
    plan: Plan,
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.time, self.serial).cmp(&(other.time, other.serial))
    }
}

/// All that is due, the next first.
#[derive(Clone, Debug)]
pub struct Schedule {
    soon: BinaryHeap<Reverse<Due>>,
    /// By the hour since 1970; only hours after `hour`.
    later: BTreeMap<i64, Vec<Due>>,
    /// What is due in it or before lies in `soon`.
    hour: i64,
    len: usize,
    len_max: usize,
    serial: u64,
    /// What found no room.
    dropped: u64,
}

fn hour_of(time: Timestamp) -> i64 {
    time.0.div_euclid(Duration::HOUR.0)
}

impl Schedule {
    /// Nothing is due yet at `start`; at most `len_max` things will be at one time.
    pub fn new(start: Timestamp, len_max: usize) -> Schedule {
        let hour = hour_of(start);
        Schedule { soon: BinaryHeap::new(), later: BTreeMap::new(), hour, len: 0, len_max, serial: 0, dropped: 0 }
    }

    /// `plan` is due at `time`, rounded down to a millisecond. A fifth of the room is kept from results, by far the most, so that they do
    /// not crowd out labels and visits; episodes find room always: they have a limit of their own.
    pub fn add(&mut self, time: Timestamp, plan: Plan) {
        let room = match plan {
            Plan::Result { .. } => self.len_max - self.len_max / 5,
            Plan::Episode(_) => usize::MAX,
            _ => self.len_max,
        };
        if self.len >= room {
            self.dropped += 1;
            return;
        }
        self.len += 1;
        self.serial += 1;
        let due = Due { time: Timestamp(time.0 - time.0.rem_euclid(1000)), serial: self.serial, plan };
        let hour = hour_of(due.time);
        if hour <= self.hour {
            self.soon.push(Reverse(due));
        } else {
            self.later.entry(hour).or_default().push(due);
        }
    }

    /// What is due before `time` and first of all, with its time.
    pub fn next_before(&mut self, time: Timestamp) -> Option<(Timestamp, Plan)> {
        loop {
            if self.soon.peek().is_some_and(|Reverse(first)| first.time < time) {
                let Reverse(first) = self.soon.pop().expect("peeked");
                self.len -= 1;
                return Some((first.time, first.plan));
            }
            // Hours are opened as far as `time` reaches, one by one: an hour may bring what is due before the next.
            if !self.soon.is_empty() {
                return None;
            }
            let entry = self.later.first_entry().filter(|entry| *entry.key() <= hour_of(time))?;
            self.hour = *entry.key();
            self.soon.extend(entry.remove().into_iter().map(Reverse));
        }
    }

    /// How many things are due.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is due.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many promises found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::chance::Chance;

    /// Caught when planted: an hour opened only when it was over (times ran back).
    #[test]
    fn all_comes_in_its_time_and_once() {
        let mut chance = Chance::new(4);
        let mut schedule = Schedule::new(Timestamp(0), 10_000);
        let (mut clock, mut seen, mut added) = (Timestamp(0), 0u32, 0u32);
        for round in 0..2000 {
            for _ in 0..chance.below(5) {
                let span = if chance.happens(5000) { Duration::MINUTE } else { Duration::DAY };
                schedule.add(clock + Duration(chance.wait(span.0)), Plan::Episode(added));
                added += 1;
            }
            let until = clock + Duration(chance.below(2 * Duration::HOUR.0 as u64) as i64);
            let mut before = Timestamp(clock.0 - 1000);
            while let Some((time, _)) = schedule.next_before(until) {
                assert!(before <= time && time < until, "round {round}: {before:?} {time:?} {until:?}");
                before = time;
                seen += 1;
            }
            clock = until;
        }
        while schedule.next_before(Timestamp::MAX).is_some() {
            seen += 1;
        }
        assert_eq!(seen, added);
        assert!(schedule.is_empty());
    }

    #[test]
    fn what_waits_has_a_limit() {
        let mut schedule = Schedule::new(Timestamp(0), 5);
        for person in 0..6 {
            let (target, status, reason) = (1, PaymentStatus::Captured, Reason::None);
            schedule.add(Timestamp(1), Plan::Result { target, person, status, reason, amount: 1 });
        }
        assert_eq!((schedule.len(), schedule.dropped()), (4, 2));
        for person in 0..3 {
            schedule.add(Timestamp(1), Plan::Newcomer { person, step: 0 });
        }
        schedule.add(Timestamp(1), Plan::Episode(1));
        assert_eq!((schedule.len(), schedule.dropped()), (6, 4));
    }
}
