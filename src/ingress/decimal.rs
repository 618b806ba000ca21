//! Decimal numbers exactly: an integer over a power of ten.

use std::fmt;

/// The most digits behind the point that are taken; more are no number of ours.
const SCALE_MAX: u32 = 18;

/// The number that `text` writes as digits with an optional sign and point, as `(unscaled, scale)`; no exponent, no grouping.
pub(super) fn parse(text: &str) -> Option<(i128, u32)> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let mut value = 0i128;
    let mut digits = 0u32;
    let mut scale = None;
    for byte in unsigned {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                digits += 1;
                if let Some(scale) = &mut scale {
                    *scale += 1;
                }
            }
            b'.' if scale.is_none() => scale = Some(0),
            _ => return None,
        }
    }
    let scale = scale.unwrap_or(0);
    // 38 digits fit into 127 bits; `times` needs 64 of them for the factor.
    (digits > 0 && digits <= 38 && scale <= SCALE_MAX).then_some((if negative { -value } else { value }, scale))
}

/// `unscaled / 10^scale * factor`, to the nearest integer, ties to the even one; `None` beyond 64 bits.
pub(super) fn times(unscaled: i128, scale: u32, factor: i64) -> Option<i64> {
    let numerator = unscaled.checked_mul(i128::from(factor))?;
    let denominator = 10i128.checked_pow(scale)?;
    let floor = numerator.div_euclid(denominator);
    let rest = numerator.rem_euclid(denominator);
    // Compared from both sides: twice the rest may overflow.
    let rounded = match rest.cmp(&(denominator - rest)) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    };
    i64::try_from(rounded).ok()
}

/// The number as an integer, if it is one.
pub(super) fn whole(unscaled: i128, scale: u32) -> Option<i64> {
    let denominator = 10i128.checked_pow(scale)?;
    (unscaled % denominator == 0).then(|| i64::try_from(unscaled / denominator).ok())?
}

/// Whether two decimals are the same number.
pub(super) fn equal(a: (i128, u32), b: (i128, u32)) -> bool {
    let scale = a.1.max(b.1);
    let at = |(value, own): (i128, u32)| 10i128.checked_pow(scale - own).and_then(|factor| value.checked_mul(factor));
    at(a).is_some() && at(a) == at(b)
}

/// Writes a decimal with its point, without zeros behind the last digit.
pub(super) fn write(f: &mut fmt::Formatter<'_>, unscaled: i128, scale: u32) -> fmt::Result {
    let mut digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let point = digits.len() - scale as usize;
    if scale > 0 {
        digits.insert(point, '.');
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    write!(f, "{}{digits}", if unscaled < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(i128, u32);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, self.0, self.1)
        }
    }

    #[test]
    fn texts_are_read_exactly() {
        assert_eq!(parse("57.16"), Some((5716, 2)));
        assert_eq!(parse("-.5"), Some((-5, 1)));
        assert_eq!(parse("+7."), Some((7, 0)));
        for bad in ["", ".", "-", "1e5", "1,000", "1.2.3", " 1", "NaN", "0x1", "1.0000000000000000000"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"9".repeat(60)), None);
    }

    // Caught rounding half up: 0.125 gave 13.
    #[test]
    fn factors_round_half_to_even() {
        let times_of = |text: &str, factor| parse(text).and_then(|(value, scale)| times(value, scale, factor));
        assert_eq!(times_of("57.16", 100), Some(5716));
        assert_eq!(times_of("0.125", 100), Some(12));
        assert_eq!(times_of("0.135", 100), Some(14));
        assert_eq!(times_of("-0.125", 100), Some(-12));
        assert_eq!(times_of("0.1250000001", 100), Some(13));
        assert_eq!(times_of("92233720368547758.07", 100), Some(i64::MAX));
        assert_eq!(times_of("92233720368547758.08", 100), None);
        assert_eq!(times(1, 38, 100), Some(0));
    }

    #[test]
    fn whole_equal_and_written() {
        assert_eq!(whole(500, 2), Some(5));
        assert_eq!(whole(501, 2), None);
        assert!(equal((10, 1), (1, 0)));
        assert!(!equal((11, 1), (1, 0)));
        assert_eq!(Shown(-1050, 2).to_string(), "-10.5");
        assert_eq!(Shown(5, 3).to_string(), "0.005");
        assert_eq!(Shown(100, 2).to_string(), "1");
        assert_eq!(Shown(100, 0).to_string(), "100");
    }
}
