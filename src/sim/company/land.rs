//! Countries, their time zones and their money.

/// People of one country who share a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Place in [`ZONES`].
    pub zone: usize,
    pub currency: Currency,
    /// How many in 64 people live here.
    pub slots: u64,
    /// Where its slots among the 64 begin.
    pub first: u64,
}

/// A currency, and what a euro costs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    pub code: &'static str,
    /// Minor units for a thousand euro cents.
    pub per_thousand_cents: i64,
}

const fn currency(code: &'static str, per_thousand_cents: i64) -> Currency {
    Currency { code, per_thousand_cents }
}

const EUR: Currency = currency("EUR", 1000);
const GBP: Currency = currency("GBP", 860);
const SEK: Currency = currency("SEK", 11_480);
const NOK: Currency = currency("NOK", 11_400);
const DKK: Currency = currency("DKK", 7_460);
const CHF: Currency = currency("CHF", 960);
const PLN: Currency = currency("PLN", 4_380);
const USD: Currency = currency("USD", 1_080);

/// IANA names; the places that [`Region::zone`] means.
pub const ZONES: [&str; 6] =
    ["Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "America/Chicago", "America/Los_Angeles"];

pub const REGIONS_LEN: usize = 16;

/// Where people live; the slots sum to 64.
pub const REGIONS: [Region; REGIONS_LEN] = {
    let list = [
        ("DE", 0, EUR, 14),
        ("SE", 0, SEK, 8),
        ("GB", 1, GBP, 8),
        ("US", 3, USD, 5),
        ("US", 4, USD, 4),
        ("US", 5, USD, 3),
        ("FR", 0, EUR, 4),
        ("NL", 0, EUR, 4),
        ("IT", 0, EUR, 3),
        ("ES", 0, EUR, 3),
        ("PL", 0, PLN, 2),
        ("NO", 0, NOK, 2),
        ("AT", 0, EUR, 1),
        ("DK", 0, DKK, 1),
        ("FI", 2, EUR, 1),
        ("CH", 0, CHF, 1),
    ];
    let mut regions = [Region { country: "", zone: 0, currency: EUR, slots: 0, first: 0 }; REGIONS_LEN];
    let (mut place, mut first) = (0, 0);
    while place < REGIONS_LEN {
        let (country, zone, currency, slots) = list[place];
        regions[place] = Region { country, zone, currency, slots, first };
        first += slots;
        place += 1;
    }
    assert!(first == 64);
    regions
};

/// The region of each of the 64 slots.
pub const REGION_OF: [u8; 64] = {
    let mut table = [0; 64];
    let mut region = 0;
    while region < REGIONS_LEN {
        let mut slot = REGIONS[region].first;
        while slot < REGIONS[region].first + REGIONS[region].slots {
            table[slot as usize] = region as u8;
            slot += 1;
        }
        region += 1;
    }
    table
};

impl Currency {
    /// What `cents` of a euro are here.
    pub fn minor(self, cents: i64) -> i64 {
        (cents * self.per_thousand_cents + 500) / 1000
    }

    /// `cents` of a euro as a price is written here: whole tens of öre, else as it is.
    pub fn price(self, cents: i64) -> i64 {
        let minor = self.minor(cents).max(1);
        match self.per_thousand_cents > 5000 && minor > 1000 {
            true => minor - minor % 100,
            false => minor,
        }
    }

    /// The smallest step of prices: sums that people name are whole steps.
    pub fn step(self) -> i64 {
        if self.per_thousand_cents > 5000 { 100 } else { 1 }
    }

    /// `minor` units back in cents of a euro.
    pub fn cents(self, minor: i64) -> i64 {
        (minor * 1000 + self.per_thousand_cents / 2) / self.per_thousand_cents
    }
}

/// An address on the net: networks of a country share their first byte.
pub fn address(region: usize, lot: u64) -> u32 {
    let first = 128 + 6 * region as u32 + (lot >> 40) as u32 % 6;
    (first << 24) | (lot as u32 & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_goes_there_and_back_and_addresses_tell_countries() {
        for region in REGIONS {
            let back = region.currency.cents(region.currency.minor(123_456));
            assert!((back - 123_456).abs() <= 1, "{region:?} {back}");
            assert_eq!(region.country.len(), 2);
        }
        for (place, other) in [(0, 1), (15, 14)] {
            assert_ne!(address(place, u64::MAX) >> 24, address(other, u64::MAX) >> 24);
        }
        // No first byte is loopback or multicast.
        assert!((0..REGIONS_LEN).all(|place| (0..6).all(|lot| (128..224).contains(&(address(place, lot << 40) >> 24)))));
        assert_eq!(REGION_OF[63], 15);
    }
}
