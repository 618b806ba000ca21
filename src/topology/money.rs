//! `[money]`: the reporting currency and the rates towards it.

use super::quantity::{parse_billionths, parse_day};
use super::section::{Item, Section};
use crate::event::{Currency, CurrencyRates, Rates, Timestamp};

const RATE: &str = "a positive decimal number with at most nine decimals, such as 0.0871";

/// Reads `[money]`.
pub(super) fn read(section: &Section) -> Rates {
    let expected = "a currency of ISO 4217, such as \"EUR\"";
    let code = section.text("reporting", expected, 3);
    let reporting = Currency::parse(&code);
    if reporting.is_none() && !code.is_empty() {
        section.error("reporting", format!("{code:?}"), expected);
    }
    let mut currencies = Vec::new();
    if let Some(rates) = section.find_section("rates") {
        // `items` is sorted by key, and the letters are the key.
        for (code, item) in rates.items() {
            match Currency::parse(code) {
                None => rates.error(code, "an unknown currency", "a currency of ISO 4217"),
                Some(currency) if Some(currency) == reporting => {
                    rates.error(code, "a rate for the reporting currency", "rates of other currencies only");
                }
                Some(currency) => currencies.push(CurrencyRates { currency, rates: read_rates(&item) }),
            }
        }
    }
    section.finish();
    // The stand-in of a wrong currency never leaves the reader.
    let reporting = reporting.or_else(|| Currency::parse("EUR")).expect("ISO 4217 lists EUR");
    Rates { reporting, currencies }
}

/// One rate for all time, or a table of days from which on a rate holds.
fn read_rates(item: &Item) -> Vec<(Timestamp, i64)> {
    let Some(by_day) = item.table() else {
        return read_rate(item).map(|rate| (Timestamp::MIN, rate)).into_iter().collect();
    };
    let mut rates = Vec::new();
    for (day, item) in by_day.items() {
        match parse_day(day) {
            None => by_day.error(day, "an unknown day", "a day such as \"2018-01-01\", from 1900 to 2199"),
            Some(from) => rates.extend(read_rate(&item).map(|rate| (from, rate))),
        }
    }
    if rates.is_empty() && by_day.is_sound() {
        item.error("at least one day and its rate");
    }
    // ISO dates sort as texts, so the entries are in the order of time.
    rates
}

fn read_rate(item: &Item) -> Option<i64> {
    let rate = item.number().and_then(parse_billionths);
    if rate.is_none() {
        item.error(RATE);
    }
    rate
}
