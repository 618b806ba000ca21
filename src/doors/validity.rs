//! From when to when a certificate is valid: the one thing of it that concerns us and that nobody else tells.
//!
//! A certificate is a tree of tag, length, value (X.690). What is wanted stands at a fixed place (RFC 5280, 4.1), so a walk of a few steps
//! takes the place of a crate that reads all of X.509. Whether a certificate is sound, rustls and its callers judge.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

/// A certificate's first and last moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Validity {
    /// Reads a certificate in DER; `None` where it has another form.
    pub fn of(certificate: &[u8]) -> Option<Validity> {
        let outer = &mut &certificate[..];
        let certificate = &mut take(outer, SEQUENCE)?;
        let signed = &mut take(certificate, SEQUENCE)?;
        if signed.first() == Some(&EXPLICIT_VERSION) {
            take(signed, EXPLICIT_VERSION)?;
        }
        // Serial number, algorithm of the signature, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            take(signed, tag)?;
        }
        let validity = &mut take(signed, SEQUENCE)?;
        Some(Validity { not_before: moment(validity)?, not_after: moment(validity)? })
    }

    /// What somebody must be told at `now`, if anything.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let days = |span: jiff::SignedDuration| span.as_hours() / 24;
        let left = self.not_after.duration_since(now);
        if now < self.not_before {
            return Some(format!("the certificate is valid only from {} on", self.not_before));
        }
        if left.is_negative() {
            return Some(format!("the certificate expired at {}, {} days ago", self.not_after, days(left.abs())));
        }
        (days(left) < WARN_DAYS).then(|| format!("the certificate expires at {}, {} days are left", self.not_after, days(left)))
    }
}

/// Certificates for 90 days are renewed when a third is left.
const WARN_DAYS: i64 = 30;

/// Takes the next element off `bytes`, which must have this tag: its content.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, first], mut rest) = bytes.split_first_chunk::<2>()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let digits = usize::from(first & 0x7f);
        // Four bytes of length are more than any certificate has; none is the indefinite form, which DER forbids.
        if digits == 0 || digits > 4 {
            return None;
        }
        let (written, behind) = rest.split_at_checked(digits)?;
        length = written.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    *bytes = behind;
    (found == tag).then_some(content)
}

/// `YYMMDDHHMMSSZ` (50 and more are of the last century), or with four digits for the year.
fn moment(bytes: &mut &[u8]) -> Option<Timestamp> {
    let (tag, width) = match *bytes.first()? {
        UTC_TIME => (UTC_TIME, 2),
        GENERALIZED_TIME => (GENERALIZED_TIME, 4),
        _ => return None,
    };
    let text = std::str::from_utf8(take(bytes, tag)?).ok()?;
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == width + 10 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    let year: i16 = digits[..width].parse().ok()?;
    let year = match tag {
        UTC_TIME if year >= 50 => 1900 + year,
        UTC_TIME => 2000 + year,
        _ => year,
    };
    let rest: Vec<i8> = (0..5).filter_map(|part| digits[width + 2 * part..width + 2 * part + 2].parse().ok()).collect();
    let &[month, day, hour, minute, second] = rest.as_slice() else { return None };
    let checked = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(checked.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn day(year: i16, month: i8, day: i8) -> Timestamp {
        date(year, month, day).to_zoned(TimeZone::UTC).expect("a day").timestamp()
    }

    fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from.0, from.1, from.2), date_time_ymd(to.0, to.1, to.2));
        params.self_signed(&KeyPair::generate().expect("a key")).expect("signed").der().to_vec()
    }

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        for (from, to) in [((2024, 2, 29), (2027, 1, 31)), ((1975, 1, 1), (4096, 12, 31)), ((2049, 12, 31), (2050, 1, 1))] {
            let read = Validity::of(&certificate(from, to)).expect("a certificate");
            assert_eq!(read.not_before, day(from.0 as i16, from.1 as i8, from.2 as i8));
            assert_eq!(read.not_after, day(to.0 as i16, to.1 as i8, to.2 as i8));
        }
    }

    #[test]
    fn a_warning_counts_the_days() {
        let validity = Validity { not_before: day(2026, 1, 1), not_after: day(2026, 4, 1) };
        assert_eq!(validity.warning(day(2026, 3, 2)), None, "30 days");
        assert_eq!(validity.warning(day(2026, 3, 3)).as_deref(), Some("the certificate expires at 2026-04-01T00:00:00Z, 29 days are left"));
        assert_eq!(validity.warning(day(2026, 4, 11)).as_deref(), Some("the certificate expired at 2026-04-01T00:00:00Z, 10 days ago"));
        assert_eq!(validity.warning(day(2025, 12, 31)).as_deref(), Some("the certificate is valid only from 2026-01-01T00:00:00Z on"));
    }

    #[test]
    fn every_shortened_certificate_is_refused() {
        let whole = certificate((2026, 1, 1), (2027, 1, 1));
        assert!((0..whole.len()).all(|length| Validity::of(&whole[..length]).is_none()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..400, byte: u8) {
            let _ = Validity::of(&bytes);
            let mut damaged = certificate_for_damage();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = Validity::of(&damaged);
        }
    }

    fn certificate_for_damage() -> Vec<u8> {
        static ONE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        ONE.get_or_init(|| certificate((2026, 1, 1), (2060, 1, 1))).clone()
    }
}
