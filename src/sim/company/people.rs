//! People: all about person n follows from the seed and n, and nothing of it is stored.
//!
//! Sixteen people in a row live in one street; a street is cut into households, or is one house of students. A number with
//! [`MADE_UP`] set is nobody: an invented identity, or somebody whose business is other people's cards. They have devices and cards all the same.

use super::land::{REGION_OF, REGIONS, REGIONS_LEN, address};
use super::name::{Name, NameKind, Namer};
use crate::event::{Duration, Timestamp};
use crate::sim::chance::{Chance, keyed};

/// Set in the number of somebody who does not exist.
pub const MADE_UP: u32 = 1 << 31;
/// Made-up numbers from here on are gangs that come again and again.
const GANGS: u32 = MADE_UP | 1 << 29;
/// Made-up numbers from here on are devices that belong to nobody: libraries, cafés, work.
const KIOSKS: u32 = MADE_UP | 1 << 30;
/// Numbers of devices from here on are those of browsers that forgot who they were, by day.
const DAYS: u64 = 1 << 39;
/// The most people of a world.
pub const PEOPLE_MAX: u32 = 1 << 29;
/// People in a street.
const STREET: u32 = 16;

/// Kinds of draws, so that one number's do not follow from each other.
mod what {
    pub const PERSON: u64 = 1;
    pub const STREET: u64 = 2;
    pub const TRIP: u64 = 3;
    pub const HOME: u64 = 4;
    pub const EXIT: u64 = 5;
}

/// How streets are cut into households; the sizes sum to sixteen. The last is a house of students.
const STREETS: [&[u8]; 8] = [
    &[4, 2, 1, 3, 2, 1, 2, 1],
    &[2, 2, 5, 1, 1, 4, 1],
    &[1, 1, 2, 3, 2, 1, 4, 2],
    &[3, 4, 2, 1, 2, 1, 1, 2],
    &[1, 2, 1, 2, 1, 1, 3, 1, 2, 1, 1],
    &[5, 4, 2, 2, 3],
    &[2, 1, 2, 2, 1, 4, 1, 3],
    &[16],
];

/// Which device somebody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Phone,
    /// One's own, or that of the household's head.
    Laptop,
    /// The household's.
    Tablet,
}

/// A person as the seed has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub number: u32,
    /// Place in [`REGIONS`].
    pub region: usize,
    /// The number of the household's first member.
    pub head: u32,
    /// 0 for the head.
    pub member: u8,
    pub household_len: u8,
    pub student: bool,
    /// What the rest follows from.
    pub lot: u64,
}

/// Where somebody is who is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Place in [`REGIONS`].
    pub region: usize,
    /// Names the trip's hotel.
    pub lot: u64,
}

/// The people of one world.
#[derive(Clone, Debug)]
pub struct People {
    pub seed: u64,
    pub namer: Namer,
    /// How many there were at the start.
    pub count: u32,
    /// How many have joined since.
    pub joined: u32,
}

impl People {
    /// Person `number`.
    pub fn person(&self, number: u32) -> Person {
        let street = number / STREET;
        let lot = keyed(self.seed, what::PERSON, u64::from(number));
        let pattern = match keyed(self.seed, what::STREET, u64::from(street)) % 100 {
            0..4 => STREETS.len() - 1,
            other => other as usize % (STREETS.len() - 1),
        };
        let (mut head, mut len) = (0, 0);
        let place = (number % STREET) as u8;
        for size in STREETS[pattern] {
            (head, len) = (head + len, *size);
            if place < head + len {
                break;
            }
        }
        Person {
            number,
            region: usize::from(REGION_OF[street as usize % 64]),
            head: number - u32::from(place - head),
            member: place - head,
            household_len: len,
            student: pattern == STREETS.len() - 1,
            lot,
        }
    }

    /// Somebody of `region`, the busy more often than the quiet; `hour` is there. In a world with few people a region may be empty: then
    /// anybody.
    pub fn somebody(&self, chance: &mut Chance, region: usize, hour: u8) -> Person {
        let land = &REGIONS[region];
        let all = self.count + self.joined;
        let blocks = u64::from(all.div_ceil(64 * STREET));
        for _ in 0..64 {
            let lot = chance.bits();
            let block = ((lot >> 32) * blocks) >> 32;
            let slot = land.first + (lot & 0xffff) % land.slots;
            let number = (block * 64 + slot) as u32 * STREET + (lot >> 16) as u32 % STREET;
            if number >= all {
                continue;
            }
            let person = self.person(number);
            if ((lot >> 24) & 63) < person.busy(hour) {
                return person;
            }
        }
        self.person(chance.below(u64::from(all)) as u32)
    }

    /// The person of `region` to whom `lot` leads: always the same. In a world with few people a region may be empty: then anybody.
    pub fn known(&self, region: usize, lot: u64) -> Person {
        let land = &REGIONS[region];
        let blocks = u64::from(self.count.div_ceil(64 * STREET));
        let block = ((lot >> 32) * blocks) >> 32;
        let slot = land.first + (lot & 0xffff) % land.slots;
        let number = (block * 64 + slot) as u32 * STREET + (lot >> 16) as u32 % STREET;
        self.person(if number < self.count { number } else { (lot % u64::from(self.count)) as u32 })
    }

    /// Anybody, each as often as the other.
    pub fn anybody(&self, chance: &mut Chance) -> Person {
        self.person(chance.below(u64::from(self.count + self.joined)) as u32)
    }

    /// One more customer.
    pub fn join(&mut self) -> Option<Person> {
        if self.count + self.joined == PEOPLE_MAX {
            return None;
        }
        self.joined += 1;
        Some(self.person(self.count + self.joined - 1))
    }

    /// A gang's member: so few that each is met again.
    pub fn gangster(&self, chance: &mut Chance) -> Person {
        self.person(GANGS | chance.rank(u64::from(self.count / 200 + 16)) as u32)
    }

    pub fn user(&self, person: &Person) -> Name {
        self.namer.name(NameKind::User, u64::from(person.number))
    }

    /// The device of this kind that `person` has at `time`: after two or three years it is a new one, and children get their parents' old.
    pub fn device(&self, person: &Person, device: Device, time: Timestamp) -> Name {
        let owner = match device {
            Device::Laptop if person.member > 1 && !person.student => self.person(person.head),
            Device::Tablet if !person.student => self.person(person.head),
            _ => *person,
        };
        let generation = generation(owner.lot, 600 + (owner.lot >> 20) % 500, time);
        if device == Device::Phone && person.member > 1 && !person.student && person.lot.is_multiple_of(3) {
            let parent = self.person(person.head);
            let before = generation_of_phone(&parent, time).wrapping_sub(1);
            return self.device_name(parent.number, 0, before);
        }
        self.device_name(owner.number, device as u64, generation)
    }

    fn device_name(&self, owner: u32, kind: u64, generation: u64) -> Name {
        self.namer.name(NameKind::Device, u64::from(owner) * 32 + kind * 8 + generation % 8)
    }

    /// The same machine under another name: its browser forgot who it was. That happens on some days, and lasts for the day.
    pub fn forgetful_device(&self, person: &Person, time: Timestamp) -> Name {
        let day = time.0.div_euclid(Duration::DAY.0) as u64;
        self.namer.name(NameKind::Device, DAYS | (day % 1024) << 29 | u64::from(person.number % PEOPLE_MAX))
    }

    /// A device that many use, in a region.
    pub fn kiosk(&self, chance: &mut Chance, region: usize) -> Name {
        let some = (self.count / 2000 + 1).min(1 << 20);
        let number = KIOSKS | (chance.below(u64::from(some)) as u32 * REGIONS_LEN as u32 + region as u32);
        self.device_name(number, 0, 0)
    }

    /// One of a person's cards; in a family the second may be the head's.
    pub fn card(&self, person: &Person, second: bool, time: Timestamp) -> Name {
        let shared = second && person.member > 0 && !person.student && person.lot.is_multiple_of(2);
        let owner = if shared { self.person(person.head) } else { *person };
        let slot = u64::from(second && !shared);
        let generation = generation(owner.lot >> 8, 1100, time);
        self.namer.name(NameKind::Card, u64::from(owner.number) * 16 + slot * 4 + generation % 4)
    }

    /// The account of a person; the savings account where `savings`.
    pub fn account(&self, person: &Person, savings: bool) -> Name {
        self.namer.name(NameKind::Account, u64::from(person.number) * 4 + u64::from(savings))
    }

    /// The address at home; providers give another one after a day or after weeks.
    pub fn home_address(&self, person: &Person, time: Timestamp) -> u32 {
        let home = keyed(self.seed, what::HOME, u64::from(person.head));
        let lease = generation(home, 1 + home % 30, time);
        address(person.region, keyed(self.seed, what::HOME, u64::from(person.head) << 16 | lease))
    }

    /// An exit of the mobile networks of a region: thousands share it.
    pub fn mobile_exit(&self, chance: &mut Chance, region: usize) -> u32 {
        let some = u64::from(self.count / 500 + 200);
        address(region, keyed(self.seed, what::EXIT, chance.rank(some) * REGIONS_LEN as u64 + region as u64))
    }

    /// The address at work.
    pub fn work_address(&self, person: &Person) -> u32 {
        address(person.region, keyed(self.seed, what::EXIT, (1 << 40) | self.employer(person)))
    }

    /// Who pays the person's wages.
    pub fn employer(&self, person: &Person) -> u64 {
        Chance::new(person.lot ^ 0x77).rank(u64::from(self.count / 40 + 3)) * REGIONS_LEN as u64 + person.region as u64
    }

    /// Where the person is, if not at home. A fortnight has a trip or none.
    pub fn trip(&self, person: &Person, time: Timestamp) -> Option<Trip> {
        let day = time.0.div_euclid(Duration::DAY.0) + (person.lot >> 12) as i64 % 16;
        let (fortnight, day) = (day.div_euclid(16), day.rem_euclid(16) as u64);
        let lot = keyed(self.seed, what::TRIP, u64::from(person.number) << 16 | fortnight as u64);
        let often = if person.lot >> 60 == 0 { 40 } else { 9 };
        if lot % 100 >= often || day < (lot >> 8) % 5 || day > 5 + (lot >> 12) % 9 {
            return None;
        }
        let region = usize::from(REGION_OF[(lot >> 16) as usize % 64]);
        let abroad = REGIONS[region].country != REGIONS[person.region].country;
        abroad.then_some(Trip { region, lot: lot >> 24 })
    }

    /// The address of a hotel.
    pub fn hotel_address(&self, trip: &Trip) -> u32 {
        address(trip.region, keyed(self.seed, what::EXIT, (1 << 41) | (trip.lot % 512 * REGIONS_LEN as u64 + trip.region as u64)))
    }
}

/// How often something that lasts `days` has been replaced by `time`; who has which `lot` differs in when.
fn generation(lot: u64, days: u64, time: Timestamp) -> u64 {
    let day = time.0.div_euclid(Duration::DAY.0) as u64;
    (day + (lot >> 32) % days) / days
}

fn generation_of_phone(person: &Person, time: Timestamp) -> u64 {
    generation(person.lot, 600 + (person.lot >> 20) % 500, time)
}

impl Person {
    /// How much of what others spend, in hundredths.
    pub fn spending_percent(&self) -> i64 {
        let percent = Chance::new(self.lot ^ 0x5d).scatter(100, 60).clamp(25, 600);
        if self.student { percent / 2 + 10 } else { percent }
    }

    /// How likely the person is to do something at `hour`, in 64ths: some are busy, some are up early, some late.
    fn busy(&self, hour: u8) -> u64 {
        const LEVELS: [u64; 8] = [4, 6, 9, 12, 18, 26, 40, 64];
        let level = LEVELS[(self.lot >> 5) as usize & 7];
        let kind = (self.lot >> 40) & 7;
        let unlike = match hour {
            5..=10 => kind == 0,
            0..=4 | 22..=23 => kind != 0 && kind < 6,
            _ => false,
        };
        if unlike { level / 2 } else { level }
    }

    /// Whether the person likes things of a category more than others do.
    pub fn likes(&self, category: usize) -> bool {
        (self.lot.rotate_right(7 * category as u32 + 3)) & 3 == 0
    }

    /// Whether the person is nobody.
    pub fn is_made_up(&self) -> bool {
        self.number & MADE_UP != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn people(count: u32) -> People {
        People { seed: 5, namer: Namer::new(5), count, joined: 0 }
    }

    const DAY: i64 = Duration::DAY.0;

    #[test]
    fn streets_are_cut_into_households_that_share() {
        assert!(STREETS.iter().all(|sizes| sizes.iter().sum::<u8>() == 16));
        let people = people(100_000);
        let time = Timestamp(20_000 * DAY);
        let mut students = 0;
        for number in 0..20_000 {
            let person = people.person(number);
            let head = people.person(person.head);
            assert_eq!((head.member, head.head, head.region), (0, person.head, person.region));
            assert!(person.member < person.household_len && number == person.head + u32::from(person.member));
            assert_eq!(people.home_address(&person, time), people.home_address(&head, time));
            if !person.student {
                assert_eq!(people.device(&person, Device::Tablet, time), people.device(&head, Device::Tablet, time));
            }
            students += u32::from(person.student);
        }
        assert!((400..1300).contains(&students), "{students}");
    }

    #[test]
    fn phones_and_cards_are_replaced_in_their_time() {
        let people = people(1000);
        let (mut phones, mut cards, mut homes) = (0, 0, 0);
        for number in 0..1000 {
            let person = people.person(number);
            let (before, after) = (Timestamp(20_000 * DAY), Timestamp(20_100 * DAY));
            phones += u32::from(people.device(&person, Device::Phone, before) != people.device(&person, Device::Phone, after));
            cards += u32::from(people.card(&person, false, before) != people.card(&person, false, after));
            homes += u32::from(people.home_address(&person, before) != people.home_address(&person, after));
        }
        // Every 600 to 1,100 days; 1,100; up to 30.
        assert!((70..180).contains(&phones) && (50..140).contains(&cards) && homes > 950, "{phones} {cards} {homes}");
    }

    #[test]
    fn people_are_met_where_they_live_and_the_busy_more_often() {
        for count in [1000, 114_000_000] {
            let people = people(count);
            let mut chance = Chance::new(9);
            for region in [0, 1, 6] {
                let met: Vec<Person> = (0..500).map(|_| people.somebody(&mut chance, region, 12)).collect();
                assert!(met.iter().all(|person| person.region == region && person.number < count));
            }
            let met: BTreeSet<u32> = (0..2000).map(|_| people.somebody(&mut chance, 0, 12).number).collect();
            assert!(if count == 1000 { met.len() < 230 } else { met.len() > 1990 }, "{}", met.len());
        }
    }

    #[test]
    fn some_are_away() {
        let people = people(1000);
        let away = (0..1000).filter(|number| people.trip(&people.person(*number), Timestamp(20_000 * DAY)).is_some()).count();
        assert!((20..100).contains(&away), "{away}");
    }
}
