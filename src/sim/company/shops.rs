//! Shops: what they sell, at which prices, when, and which of them somebody goes to.

use super::calendar::Local;
use super::people::Person;
use crate::sim::chance::{Chance, keyed};

/// What a shop sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    pub name: &'static str,
    /// ISO 18245.
    pub mcc: u16,
    /// What is paid at once by half of the people, in cents of a euro; for what has items, the price of one.
    pub median_cents: i64,
    /// Deviation of what is paid, in hundredths of an octave.
    pub spread_percent: i64,
    /// How often it is bought at a till, on the net, and by a standing order; out of a thousand each.
    pub in_store: u32,
    pub online: u32,
    pub recurring: u32,
    /// How many in 64 shops sell it.
    pub slots: u64,
    /// Sold as items of the catalogue, and captured when they are sent.
    pub has_items: bool,
    /// In how many of a thousand purchases something goes back.
    pub refunds: u32,
    pub season: Season,
}

/// When something is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    Always,
    Presents,
    Summer,
    Spring,
    /// Collections of spring and autumn.
    Collections,
    Cold,
}

#[allow(clippy::too_many_arguments)] // a row of the table below
const fn category(
    name: &'static str,
    mcc: u16,
    (median_cents, spread_percent): (i64, i64),
    [in_store, online, recurring]: [u32; 3],
    slots: u64,
    has_items: bool,
    refunds: u32,
    season: Season,
) -> Category {
    Category { name, mcc, median_cents, spread_percent, in_store, online, recurring, slots, has_items, refunds, season }
}

pub const CATEGORIES_LEN: usize = 29;

pub const CATEGORIES: [Category; CATEGORIES_LEN] = [
    category("groceries", 5411, (2600, 110), [330, 40, 0], 3, false, 4, Season::Always),
    category("restaurants", 5812, (2700, 90), [130, 10, 0], 3, false, 2, Season::Summer),
    category("fast_food", 5814, (1150, 70), [110, 35, 0], 3, false, 2, Season::Always),
    category("fuel", 5541, (5200, 60), [80, 0, 0], 2, false, 1, Season::Summer),
    category("pharmacy", 5912, (1700, 90), [60, 15, 0], 2, false, 5, Season::Cold),
    category("fashion", 5651, (4200, 90), [50, 140, 0], 4, true, 240, Season::Collections),
    category("shoes", 5661, (7400, 70), [18, 60, 0], 2, true, 200, Season::Collections),
    category("electronics", 5732, (11_500, 150), [15, 85, 0], 4, true, 70, Season::Presents),
    category("furniture", 5712, (12_000, 140), [14, 40, 0], 3, true, 60, Season::Always),
    category("books", 5942, (1700, 60), [18, 45, 0], 2, true, 25, Season::Presents),
    category("games", 5816, (2600, 100), [0, 75, 0], 2, false, 15, Season::Presents),
    category("gift_cards", 5947, (4600, 90), [12, 32, 0], 1, false, 3, Season::Presents),
    category("beauty", 5977, (2900, 80), [25, 55, 0], 3, true, 40, Season::Presents),
    category("sports", 5941, (5600, 110), [15, 40, 0], 2, true, 110, Season::Spring),
    category("travel", 4511, (17_500, 130), [0, 60, 0], 2, false, 50, Season::Summer),
    category("hotels", 7011, (13_500, 90), [14, 40, 0], 2, false, 60, Season::Summer),
    category("rides", 4121, (1450, 80), [12, 70, 0], 1, false, 5, Season::Always),
    category("streaming", 4899, (1199, 40), [0, 12, 420], 1, false, 4, Season::Always),
    category("telecom", 4814, (2900, 60), [4, 12, 280], 1, false, 6, Season::Always),
    category("insurance", 6300, (4400, 90), [0, 5, 160], 2, false, 4, Season::Always),
    category("energy", 4900, (8200, 70), [0, 5, 140], 1, false, 3, Season::Cold),
    category("marketplace", 5999, (3300, 140), [8, 110, 0], 5, true, 60, Season::Presents),
    category("jewellery", 5944, (13_000, 150), [6, 14, 0], 2, true, 80, Season::Presents),
    category("tickets", 7922, (6900, 90), [5, 35, 0], 2, false, 25, Season::Spring),
    category("toys", 5945, (2800, 90), [14, 30, 0], 2, true, 40, Season::Presents),
    category("pets", 5995, (3000, 90), [18, 20, 0], 2, true, 20, Season::Always),
    category("hardware", 5200, (3900, 120), [30, 20, 0], 2, true, 50, Season::Spring),
    category("gambling", 7995, (3000, 120), [2, 25, 0], 1, false, 0, Season::Always),
    category("charity", 8398, (2400, 90), [4, 14, 0], 2, false, 0, Season::Presents),
];

/// Where a category's slots among the 64 begin.
const FIRST_SLOT: [u64; CATEGORIES_LEN] = {
    let mut firsts = [0; CATEGORIES_LEN];
    let (mut place, mut first) = (0, 0);
    while place < CATEGORIES_LEN {
        firsts[place] = first;
        first += CATEGORIES[place].slots;
        place += 1;
    }
    assert!(first == 64);
    firsts
};

/// The category of each of the 64 slots.
const CATEGORY_OF: [u8; 64] = {
    let mut table = [0; 64];
    let mut place = 0;
    while place < CATEGORIES_LEN {
        let mut slot = FIRST_SLOT[place];
        while slot < FIRST_SLOT[place] + CATEGORIES[place].slots {
            table[slot as usize] = place as u8;
            slot += 1;
        }
        place += 1;
    }
    table
};

/// The category that number `number` of a kind has, where 64 in a row have all categories by their slots.
pub fn category_of(number: u32) -> usize {
    usize::from(CATEGORY_OF[number as usize % 64])
}

/// How many of `count` things numbered like that are of a category: at least one where there are 64 or more.
pub fn count_in(category: usize, count: u32) -> u64 {
    let (slots, first) = (CATEGORIES[category].slots, FIRST_SLOT[category]);
    let (whole, rest) = (u64::from(count / 64), u64::from(count % 64));
    whole * slots + rest.saturating_sub(first).min(slots)
}

/// The number of the `place`-th thing of a category.
pub fn number_in(category: usize, place: u64) -> u32 {
    let slots = CATEGORIES[category].slots;
    (place / slots * 64 + FIRST_SLOT[category] + place % slots) as u32
}

const SHOP: u64 = 0x101;
const RANKING: u64 = 0x102;
const FAVOURITE: u64 = 0x103;

/// A shop as the seed has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shop {
    pub number: u32,
    /// Place in [`CATEGORIES`].
    pub category: usize,
    /// What others charge 100 for.
    pub price_percent: i64,
    /// Charges when it sends, not at once.
    pub captures_later: bool,
}

/// The shops of one world.
#[derive(Clone, Debug)]
pub struct Shops {
    pub seed: u64,
    pub count: u32,
}

impl Shops {
    /// Shop `number`.
    pub fn shop(&self, number: u32) -> Shop {
        let lot = keyed(self.seed, SHOP, u64::from(number));
        let category = category_of(number);
        let price_percent = Chance::new(lot).scatter(100, 45).clamp(35, 320);
        Shop { number, category, price_percent, captures_later: CATEGORIES[category].has_items && lot >> 61 < 5 }
    }

    /// The shop that stands at `rank` among those of a category in the eyes of a region's people.
    fn ranked(&self, category: usize, region: usize, rank: u64) -> u32 {
        let all = count_in(category, self.count);
        let first = keyed(self.seed, RANKING, (category * 64 + region) as u64) % all;
        number_in(category, (rank + first) % all)
    }

    /// A shop of `category` for `person`: mostly one of their own, else one as known as it is.
    pub fn choose(&self, chance: &mut Chance, person: &Person, category: usize, region: usize) -> Shop {
        let all = count_in(category, self.count);
        if region == person.region && chance.happens(6200) {
            let place = chance.rank(4);
            let mut own = Chance::of(self.seed, FAVOURITE, u64::from(person.number) << 10 | (category as u64) << 2 | place);
            return self.shop(self.ranked(category, region, own.rank(all)));
        }
        let rank = chance.rank(all);
        self.shop(self.ranked(category, region, rank))
    }

    /// Any shop of a category, small ones as often as great.
    pub fn any(&self, chance: &mut Chance, category: usize) -> Shop {
        self.shop(number_in(category, chance.below(count_in(category, self.count))))
    }
}

impl Category {
    /// How much more or less of it is bought than on the mean of the year, in hundredths.
    pub fn season_percent(&self, local: Local) -> u32 {
        let month = local.month;
        match self.season {
            Season::Always => 100,
            Season::Presents if local.is_before_christmas() => 190,
            Season::Presents if local.is_black_week() => 170,
            Season::Presents => 90,
            Season::Summer if (5..=8).contains(&month) => 135,
            Season::Summer => 84,
            Season::Spring if (3..=6).contains(&month) => 145,
            Season::Spring => 80,
            Season::Collections if matches!(month, 3 | 4 | 9 | 10) => 135,
            Season::Collections => 90,
            Season::Cold if matches!(month, 11 | 12 | 1 | 2) => 140,
            Season::Cold => 82,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_categories_find_each_other() {
        for count in [128, 1000, 20_001] {
            let mut counts = [0; CATEGORIES_LEN];
            for number in 0..count {
                counts[category_of(number)] += 1;
            }
            for (category, expected) in counts.into_iter().enumerate() {
                assert_eq!(count_in(category, count), expected);
                for place in 0..expected {
                    let number = number_in(category, place);
                    assert!(number < count && category_of(number) == category);
                }
            }
        }
    }

    #[test]
    fn ways_to_pay_share_out_a_thousand() {
        for way in [|c: &Category| c.in_store, |c: &Category| c.online, |c: &Category| c.recurring] {
            let sum: u32 = CATEGORIES.iter().map(way).sum();
            assert!((950..=1200).contains(&sum), "{sum}");
        }
    }

    #[test]
    fn somebody_has_shops_of_their_own() {
        let shops = Shops { seed: 2, count: 5000 };
        let people = super::super::people::People { seed: 2, namer: super::super::name::Namer::new(2), count: 1000, joined: 0 };
        let mut chance = Chance::new(1);
        let person = people.person(7);
        let mut visits = std::collections::BTreeMap::new();
        for _ in 0..400 {
            *visits.entry(shops.choose(&mut chance, &person, 5, person.region).number).or_insert(0) += 1;
        }
        let mut counts: Vec<i32> = visits.into_values().collect();
        counts.sort_unstable();
        assert!(counts.iter().rev().take(4).sum::<i32>() > 200, "{counts:?}");
        assert!(counts.len() > 30, "{counts:?}");
    }
}
