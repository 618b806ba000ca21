//! Times as sources write them: RFC 3339, and wall clocks of a zone.

use crate::event::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The moment that RFC 3339 `text` names, to the microsecond; `None` where it names none or has no offset.
pub fn parse_rfc_3339(text: &str) -> Option<Timestamp> {
    parse_common(text.as_bytes()).or_else(|| text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond())))
}

/// The form nearly every line has, `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`, at a tenth of the general parser's price. `None` for any other
/// form, be it valid or not.
fn parse_common(text: &[u8]) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, sign)| seconds[*at] != *sign) {
        return None;
    }
    let pair = |at: usize| digits(&seconds[at..at + 2]);
    let (year, month, day) = (digits(&seconds[..4])?, pair(5)?, pair(8)?);
    let (hour, minute, second) = (pair(11)?, pair(14)?, pair(17)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_days = *days.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if !(1900..2200).contains(&year) || day < 1 || day > month_days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        b"Z" => 0,
        [b'.', digits_of @ .., b'Z'] if (1..=6).contains(&digits_of.len()) => digits(digits_of)? * 10i64.pow(6 - digits_of.len() as u32),
        _ => return None,
    };
    let before: i64 = days[..month as usize - 1].iter().sum();
    let years = year - 1;
    // Days since 0001-01-01, less those until 1970-01-01.
    let day_number = years * 365 + years / 4 - years / 100 + years / 400 + before + day - 1 - 719_162;
    Some(Timestamp((((day_number * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros))
}

fn digits(text: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// How a table's local times become moments.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone with this IANA name.
    pub(super) fn named(name: &str) -> Option<Zone> {
        if name == "UTC" { Some(Zone(TimeZone::UTC)) } else { TimeZone::get(name).ok().map(Zone) }
    }

    /// The moment at which the zone's clocks show `local`, in microseconds since they showed 1970-01-01. In an hour that comes twice it
    /// is the first, in one that does not come at all it is the hour after.
    pub(super) fn moment(&self, local: i64) -> Option<Timestamp> {
        if self.0 == TimeZone::UTC {
            return Some(Timestamp(local));
        }
        // The wall clock's reading, borrowed from UTC.
        self.civil(jiff::Timestamp::from_microsecond(local).ok()?.to_zoned(TimeZone::UTC).datetime())
    }

    /// The moment of a text: RFC 3339, or the same without an offset.
    pub(super) fn parse(&self, text: &str) -> Option<Timestamp> {
        parse_rfc_3339(text).or_else(|| self.civil(text.parse().ok()?))
    }

    /// The moment of a text in `format` (strftime); its own offset counts where it has one.
    pub(super) fn parse_pattern(&self, format: &str, text: &str) -> Option<Timestamp> {
        let parts = jiff::fmt::strtime::parse(format, text).ok()?;
        match parts.to_timestamp() {
            Ok(time) => Some(Timestamp(time.as_microsecond())),
            // A date alone is its midnight.
            Err(_) => self.civil(parts.to_datetime().ok().or_else(|| Some(parts.to_date().ok()?.at(0, 0, 0, 0)))?),
        }
    }

    fn civil(&self, local: DateTime) -> Option<Timestamp> {
        Some(Timestamp(self.0.to_timestamp(local).ok()?.as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_jiff(text: &str) -> Option<Timestamp> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
    }

    proptest! {
        // Caught `years / 4` written as `year / 4`, and fractions read as whole microseconds.
        #[test]
        fn the_common_form_is_read_as_jiff_reads_it(micros in Timestamp::MIN.0..Timestamp::MAX.0, unit in 0u32..7) {
            let micros = micros - micros.rem_euclid(10i64.pow(unit));
            let text = Timestamp(micros).to_string();
            prop_assert_eq!(parse_common(text.as_bytes()), Some(Timestamp(micros)), "{}", text);
            prop_assert_eq!(by_jiff(&text), Some(Timestamp(micros)));
        }

        #[test]
        fn what_the_common_form_accepts_jiff_accepts(
            y in 1890u32..2210, mo in 0u32..14, d in 0u32..33, h in 0u32..25, mi in 0u32..61, s in 0u32..62, fraction in "|\\.[0-9]{0,7}"
        ) {
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}{fraction}Z");
            if let Some(time) = parse_common(text.as_bytes()) {
                prop_assert_eq!(Some(time), by_jiff(&text), "{}", text);
            }
            prop_assert_eq!(parse_rfc_3339(&text), by_jiff(&text), "{}", text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", format in "[%a-zA-Z:. -]{0,12}") {
            let zone = Zone::named("Europe/Berlin").unwrap();
            let _ = (zone.parse(&text), zone.parse_pattern(&format, &text));
        }
    }

    #[test]
    fn clocks_of_a_zone_become_moments() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let noon = parse_rfc_3339("2024-07-01T10:00:00Z");
        assert_eq!(berlin.parse("2024-07-01T12:00:00"), noon);
        assert_eq!(berlin.parse("2024-07-01 12:00:00"), noon);
        assert_eq!(berlin.parse("2024-07-01T12:00:00+02:00"), noon);
        assert_eq!(berlin.parse_pattern("%d.%m.%Y %H:%M", "01.07.2024 12:00"), noon);
        assert_eq!(berlin.parse_pattern("%d.%m.%Y", "01.07.2024"), parse_rfc_3339("2024-06-30T22:00:00Z"));
        assert_eq!(berlin.moment(noon.unwrap().0 + 2 * 3_600_000_000), noon);
        assert_eq!(berlin.parse("2024-03-31T02:30:00"), parse_rfc_3339("2024-03-31T01:30:00Z"), "an hour that does not come");
        assert_eq!(berlin.parse("2024-10-27T02:30:00"), parse_rfc_3339("2024-10-27T00:30:00Z"), "an hour that comes twice");
        assert!(Zone::named("Europe/Nowhere").is_none());
    }
}
