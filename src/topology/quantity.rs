//! Quantities as a topology writes them: lengths of time, exact decimals, days.

use crate::event::{Duration, RATE_ONE, Timestamp};

/// The longest length of time that may be written: no sum of it and a valid timestamp overflows.
pub(super) const DURATION_MAX: Duration = Duration::DAY.times(36_500);

/// `7d`, `12h`, `5m`, `90s`, `500ms`, `20us`: a whole number and its unit. `None` where it is anything else or longer than
/// 36,500 days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = parse_unit(&text[digits..])?;
    let count: i64 = text[..digits].parse().ok()?;
    let micros = count.checked_mul(unit.0)?;
    (micros <= DURATION_MAX.0).then_some(Duration(micros))
}

/// The length of one `d`, `h`, `m`, `s`, `ms` or `us`.
pub(super) fn parse_unit(sign: &str) -> Option<Duration> {
    match sign {
        "d" => Some(Duration::DAY),
        "h" => Some(Duration::HOUR),
        "m" => Some(Duration::MINUTE),
        "s" => Some(Duration::SECOND),
        "ms" => Some(Duration(1000)),
        "us" => Some(Duration(1)),
        _ => None,
    }
}

/// A positive decimal number in billionths, exactly: `0.0871` is 87,100,000. `None` for signs, exponents, more than nine decimals, and
/// what 64 bits cannot hold.
pub(super) fn parse_billionths(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 || text.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(RATE_ONE)?;
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_add(fraction).filter(|billionths| *billionths > 0)
}

/// Billionths as the shortest decimal number that [`parse_billionths`] reads back.
pub(super) fn format_billionths(billionths: i64) -> String {
    let (whole, fraction) = (billionths / RATE_ONE, billionths % RATE_ONE);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:09}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// A share from 0 to 1 in billionths, exactly, as [`parse_billionths`] reads it.
pub(super) fn parse_share(text: &str) -> Option<u32> {
    if matches!(text, "0" | "0.0") {
        return Some(0);
    }
    u32::try_from(parse_billionths(text)?).ok().filter(|share| i64::from(*share) <= RATE_ONE)
}

/// A share as [`parse_share`] reads it.
pub(super) fn format_share(share: u32) -> String {
    format_billionths(i64::from(share))
}

/// Midnight (UTC) of a day written as `2018-01-01`, between 1900 and 2200.
pub(super) fn parse_day(text: &str) -> Option<Timestamp> {
    // jiff also reads other ISO 8601 forms; one spelling is enough.
    if text.len() != 10 {
        return None;
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let moment = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp(moment.as_microsecond())).filter(|time| time.is_valid())
}

/// A day, which is its midnight in UTC, or a moment as RFC 3339 writes it.
pub fn parse_moment(text: &str) -> Option<Timestamp> {
    parse_day(text).or_else(|| crate::ingress::parse_rfc_3339(text)).filter(|time| time.is_valid())
}

/// The day that begins at `time`, as [`parse_day`] reads it.
pub(super) fn format_day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::SECOND.times(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration(500_000)));
        for wrong in ["", "7", "d", "-1d", "1.5h", "7 d", "7D", "99999999999999999999d", "40000d", "1w", "é"] {
            assert_eq!(parse_duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(parse_billionths("0.0871"), Some(87_100_000));
        assert_eq!(parse_billionths("0.000000001"), Some(1));
        assert_eq!(parse_billionths("11"), Some(11 * RATE_ONE));
        for wrong in ["", ".", "1.", ".5", "0", "0.0", "-1", "+1", "1e3", "0.0000000001", "9999999999", "inf", "1.2.3", "é.1"] {
            assert_eq!(parse_billionths(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn days_are_midnights_in_utc() {
        assert_eq!(parse_day("1970-01-02"), Some(Timestamp(Duration::DAY.0)));
        assert_eq!(parse_day("1969-12-31"), Some(Timestamp(-Duration::DAY.0)));
        for wrong in ["2018-02-30", "18-01-01", "2018-1-1", "2018-01-01T00:00:00Z", "1800-01-01", "2200-01-01", "20180101"] {
            assert_eq!(parse_day(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        // Planted mistake it caught: fractions padded on the left, so that 0.5 became 5 billionths.
        #[test]
        fn decimals_come_back(billionths in 1i64..=i64::MAX) {
            prop_assert_eq!(parse_billionths(&format_billionths(billionths)), Some(billionths));
        }

        #[test]
        fn decimals_agree_with_long_division(whole in 0i64..1000, fraction in "[0-9]{1,9}") {
            let expected = whole * RATE_ONE + fraction.parse::<i64>().unwrap() * 10i64.pow(9 - fraction.len() as u32);
            prop_assert_eq!(parse_billionths(&format!("{whole}.{fraction}")), Some(expected).filter(|b| *b > 0));
        }

        #[test]
        fn durations_come_back(micros in 0i64..=DURATION_MAX.0, unit in prop::sample::select(vec![1, 1000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000i64])) {
            let length = Duration(micros / unit * unit);
            prop_assert_eq!(parse_duration(&length.to_string()), Some(length));
        }

        #[test]
        fn days_come_back(day in -25_567i64..84_006) {
            let time = Timestamp(Duration::DAY.times(day).0);
            prop_assert_eq!(parse_day(&format_day(time)), Some(time));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,24}") {
            let _ = (parse_duration(&text), parse_billionths(&text), parse_day(&text));
        }
    }
}
