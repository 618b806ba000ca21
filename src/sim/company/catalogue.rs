//! The catalogue: items, brands, prices, and what is in fashion.
//!
//! An item belongs to a category and may be sold by any shop of it. What somebody looks at is a known piece, a trend, or something they
//! have had before. A trend begins every few days, rises, and falls again: which trends there are follows from the time alone.

use super::people::Person;
use super::shops::{CATEGORIES, Shop, category_of, count_in, number_in};
use crate::event::{Duration, Timestamp};
use crate::sim::chance::{Chance, keyed};

const ITEM: u64 = 0x201;
const TREND: u64 = 0x202;
const OWN: u64 = 0x203;

/// A trend is over after so long.
const TREND_LIFE: Duration = Duration::DAY.times(36);
/// In each category one begins so often.
const TREND_EVERY: Duration = Duration::DAY.times(6);

pub const BRANDS: [&str; 24] = [
    "norrsken", "alba", "kiln", "orrery", "tarn", "vela", "quill", "fjord", "ember", "lumen", "oxbow", "sable", "thistle", "wren",
    "zephyr", "birch", "cobalt", "dune", "fable", "garnet", "halcyon", "isle", "juniper", "knot",
];

const ADJECTIVES: [&str; 16] = [
    "Quiet", "Light", "Winter", "Linen", "Round", "Small", "Blue", "Oak", "Soft", "Tall", "Northern", "Plain", "Bright", "Folding", "Warm",
    "Travel",
];

const NOUNS: [&str; 16] = [
    "Jacket", "Lamp", "Set", "Chair", "Speaker", "Bag", "Kit", "Shirt", "Bottle", "Case", "Rug", "Clock", "Boot", "Blanket", "Camera",
    "Mug",
];

/// An item as the seed has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Article {
    pub number: u32,
    /// Place in [`CATEGORIES`].
    pub category: usize,
    pub brand: &'static str,
    pub cents: i64,
    lot: u64,
}

/// The catalogue of one world.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub seed: u64,
    pub count: u32,
}

impl Catalogue {
    /// Item `number`.
    pub fn article(&self, number: u32) -> Article {
        let lot = keyed(self.seed, ITEM, u64::from(number));
        let category = category_of(number);
        let of = &CATEGORIES[category];
        // A category has eight brands, the known ones with more items.
        let brand = BRANDS[(category * 5 + Chance::new(lot >> 3).rank(8) as usize) % BRANDS.len()];
        let cents = Chance::new(lot).scatter(of.median_cents, of.spread_percent).clamp(99, 900_000);
        // Prices end in nines.
        let cents = if cents > 2000 { cents - cents % 100 + 99 } else { cents - cents % 10 + 9 };
        Article { number, category, brand, cents, lot }
    }

    /// What `person` looks at in a category.
    pub fn choose(&self, chance: &mut Chance, person: &Person, category: usize, time: Timestamp) -> Article {
        let all = count_in(category, self.count);
        let first = self.draw(chance, person, category, all, time);
        // Three brands are liked: another try, where it is none of them.
        let liked = |article: &Article| (keyed(person.lot, OWN, article.brand.as_bytes()[0].into()) & 7) < 3;
        if liked(&first) || chance.happens(5000) { first } else { self.draw(chance, person, category, all, time) }
    }

    fn draw(&self, chance: &mut Chance, person: &Person, category: usize, all: u64, time: Timestamp) -> Article {
        let place = match chance.below(100) {
            // One of three things that are bought again and again.
            0..15 => Chance::of(self.seed, OWN, u64::from(person.number) << 10 | (category as u64) << 2 | chance.below(3)).below(all),
            15..45 => self.trend(chance, category, time) % all,
            _ => chance.rank(all),
        };
        self.article(number_in(category, place))
    }

    /// An item that is in fashion: the sum of two even draws makes those in the middle of their life the likeliest.
    fn trend(&self, chance: &mut Chance, category: usize, time: Timestamp) -> u64 {
        let half = TREND_LIFE.0 as u64 / 2;
        let age = (chance.below(half) + chance.below(half)) as i64;
        let begun = (time.0 - age).div_euclid(TREND_EVERY.0);
        keyed(self.seed, TREND, (begun as u64) << 8 | category as u64) >> 16
    }

    /// What a shop asks for an item, in cents of a euro.
    pub fn price_cents(&self, article: &Article, shop: &Shop) -> i64 {
        // Shops differ by far less in what all of them sell than in what they are for.
        let percent = 100 + (shop.price_percent - 100) / 8;
        (article.cents * percent / 100).max(50)
    }
}

impl Article {
    /// What it is called: an adjective and a noun.
    pub fn title(&self) -> [&'static str; 2] {
        [ADJECTIVES[(self.lot >> 20) as usize % 16], NOUNS[(self.lot >> 24) as usize % 16]]
    }
}

#[cfg(test)]
mod tests {
    use super::super::name::Namer;
    use super::super::people::People;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn trends_rise_and_fall() {
        let catalogue = Catalogue { seed: 4, count: 64_000 };
        let mut chance = Chance::new(2);
        let mut days: Vec<BTreeMap<u64, u32>> = Vec::new();
        for day in 0..90 {
            let time = Timestamp(Duration::DAY.times(20_000 + day).0);
            let mut counts = BTreeMap::new();
            for _ in 0..600 {
                *counts.entry(catalogue.trend(&mut chance, 5, time)).or_default() += 1;
            }
            days.push(counts);
        }
        // Take what leads in the middle: it was nothing a life before, and is nothing a life later.
        let (leader, top) = days[45].iter().max_by_key(|(_, count)| **count).unwrap();
        let on = |day: usize| days[day].get(leader).copied().unwrap_or(0);
        assert!(*top > 90, "{top}");
        assert_eq!((on(5), on(85)), (0, 0));
        assert!(on(32) < on(45) && on(58) < on(45), "{} {} {}", on(32), on(45), on(58));
    }

    #[test]
    fn people_come_back_to_their_own_things() {
        let catalogue = Catalogue { seed: 4, count: 64_000 };
        let people = People { seed: 4, namer: Namer::new(4), count: 1000, joined: 0 };
        let mut chance = Chance::new(3);
        let time = Timestamp(Duration::DAY.times(20_000).0);
        let often = |chance: &mut Chance, number: u32| {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for _ in 0..1000 {
                let article = catalogue.choose(chance, &people.person(number), 5, time);
                assert_eq!(article.category, 5);
                *counts.entry(article.number).or_default() += 1;
            }
            counts
        };
        let (one, other) = (often(&mut chance, 1), often(&mut chance, 2));
        let own = one.iter().filter(|(item, count)| **count >= 30 && other.get(item).copied().unwrap_or(0) < 5).count();
        assert!(own >= 2, "{own}");
    }
}
