//! Money in integer minor units, and its conversion to the reporting currency at the rate of the event's day.

use super::time::{Duration, Timestamp};
use std::fmt;

/// A currency by its ISO 4217 letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency with this code, if ISO 4217 lists it.
    pub fn parse(code: &str) -> Option<Currency> {
        iso_currency::Currency::from_code(code)?;
        let bytes = code.as_bytes();
        Some(Currency([bytes[0], bytes[1], bytes[2]]))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when parsed")
    }

    /// The letters as bytes: how a journal keeps a currency.
    pub fn bytes(self) -> [u8; 3] {
        self.0
    }

    /// Digits behind the decimal point of the major unit (EUR 2, JPY 0, BHD 3); 2 where ISO 4217 gives none.
    pub fn exponent(&self) -> u32 {
        iso_currency::Currency::from_code(self.code()).and_then(|c| c.exponent()).map_or(2, u32::from)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Minor units; an event's amount lies in `0..=AMOUNT_MINOR_MAX`.
    pub minor: i64,
    pub currency: Currency,
}

/// The largest amount that an event may bear: ten billion units of a currency with two decimals. Nine million such events sum within
/// the 64 bits of a window's counter.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// A rate's denominator: rates are kept as integers of billionths.
pub const RATE_ONE: i64 = 1_000_000_000;

/// One currency's rates: reporting units for one unit, from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrencyRates {
    pub currency: Currency,
    /// `(from, billionths)` sorted by `from`; a rate holds from its moment to the next.
    pub rates: Vec<(Timestamp, i64)>,
}

/// The table of rates towards the reporting currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    pub reporting: Currency,
    /// Sorted by currency.
    pub currencies: Vec<CurrencyRates>,
}

impl Rates {
    /// `money` in minor units of the reporting currency at the rate of `time`'s day (UTC), rounded half to even. `None` when no rate is
    /// known: it is never taken as 1:1. Amounts that would exceed [`AMOUNT_MINOR_MAX`] are `None` too.
    pub fn reporting_minor(&self, money: Money, time: Timestamp) -> Option<i64> {
        if money.currency == self.reporting {
            return Some(money.minor);
        }
        let found = self.currencies.binary_search_by_key(&money.currency, |c| c.currency).ok()?;
        let rates = &self.currencies[found].rates;
        let day = Timestamp(time.0 - time.0.rem_euclid(Duration::DAY.0));
        let after = rates.partition_point(|(from, _)| *from <= day);
        let (_, billionths) = *rates.get(after.checked_sub(1)?)?;
        let mut numerator = i128::from(money.minor) * i128::from(billionths);
        let mut denominator = i128::from(RATE_ONE);
        let (from, to) = (money.currency.exponent(), self.reporting.exponent());
        if to >= from {
            numerator *= 10i128.pow(to - from);
        } else {
            denominator *= 10i128.pow(from - to);
        }
        let converted = round_half_even(numerator, denominator);
        i64::try_from(converted).ok().filter(|minor| minor.abs() <= AMOUNT_MINOR_MAX)
    }
}

/// `numerator / denominator`, to the nearest integer, ties to the even one. `denominator` is positive.
fn round_half_even(numerator: i128, denominator: i128) -> i128 {
    let floor = numerator.div_euclid(denominator);
    let twice = numerator.rem_euclid(denominator) * 2;
    match twice.cmp(&denominator) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money { minor, currency: Currency::parse(code).unwrap() }
    }

    fn rates() -> Rates {
        let day = |n| Timestamp(Duration::DAY.times(n).0);
        Rates {
            reporting: Currency::parse("EUR").unwrap(),
            currencies: vec![
                CurrencyRates { currency: Currency::parse("JPY").unwrap(), rates: vec![(day(0), 6_000_000)] },
                CurrencyRates { currency: Currency::parse("SEK").unwrap(), rates: vec![(day(10), 90_000_000), (day(20), 100_000_000)] },
            ],
        }
    }

    #[test]
    fn converts_at_the_rate_of_the_day() {
        let at = |n| Timestamp(Duration::DAY.times(n).0 + 5);
        assert_eq!(rates().reporting_minor(money(1000, "SEK"), at(10)), Some(90));
        assert_eq!(rates().reporting_minor(money(1000, "SEK"), at(25)), Some(100));
        assert_eq!(rates().reporting_minor(money(1000, "EUR"), at(0)), Some(1000));
    }

    #[test]
    fn exponents_follow_iso_4217() {
        assert_eq!(rates().reporting_minor(money(1000, "JPY"), Timestamp(1)), Some(600));
    }

    #[test]
    fn an_unknown_rate_is_never_one_to_one() {
        assert_eq!(rates().reporting_minor(money(1000, "USD"), Timestamp(1)), None);
        assert_eq!(rates().reporting_minor(money(1000, "SEK"), Timestamp(1)), None, "before the first rate");
        assert_eq!(Currency::parse("XYZ"), None);
    }

    #[test]
    fn rounds_half_to_even() {
        assert_eq!(round_half_even(5, 10), 0);
        assert_eq!(round_half_even(15, 10), 2);
        assert_eq!(round_half_even(-15, 10), -2);
        assert_eq!(round_half_even(-25, 10), -2);
        assert_eq!(round_half_even(16, 10), 2);
    }
}
