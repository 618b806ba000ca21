//! Event time: microseconds since 1970, as an integer, so that windows are exact.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment, in microseconds since 1970-01-01T00:00:00Z. Valid events lie between [`Timestamp::MIN`] and [`Timestamp::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 1900-01-01: nothing earlier is accepted.
    pub const MIN: Timestamp = Timestamp(-2_208_988_800_000_000);
    /// 2200-01-01: nothing later is accepted, so that no sum of a time and a window can overflow.
    pub const MAX: Timestamp = Timestamp(7_258_118_400_000_000);

    /// Whether an event may bear this time.
    pub fn is_valid(self) -> bool {
        Timestamp::MIN <= self && self < Timestamp::MAX
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many fractional digits as the value has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl Duration {
    pub const SECOND: Duration = Duration(1_000_000);
    pub const MINUTE: Duration = Duration(60 * Duration::SECOND.0);
    pub const HOUR: Duration = Duration(60 * Duration::MINUTE.0);
    pub const DAY: Duration = Duration(24 * Duration::HOUR.0);

    /// `count` times this length.
    pub const fn times(self, count: i64) -> Duration {
        Duration(self.0 * count)
    }
}

impl fmt::Display for Duration {
    /// The largest whole unit: `90s`, `1m`, `7d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(Duration::DAY, "d"), (Duration::HOUR, "h"), (Duration::MINUTE, "m"), (Duration::SECOND, "s"), (Duration(1000), "ms")];
        for (unit, sign) in units {
            if self.0 != 0 && self.0 % unit.0 == 0 {
                return write!(f, "{}{sign}", self.0 / unit.0);
            }
        }
        write!(f, "{}us", self.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, length: Duration) -> Timestamp {
        Timestamp(self.0 + length.0)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, length: Duration) -> Timestamp {
        Timestamp(self.0 - length.0)
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Timestamp) -> Duration {
        Duration(self.0 - earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_in_their_largest_whole_unit() {
        assert_eq!(Duration::DAY.times(7).to_string(), "7d");
        assert_eq!(Duration::SECOND.times(90).to_string(), "90s");
        assert_eq!(Duration(1).to_string(), "1us");
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Timestamp(1_522_540_831_000_000).to_string(), "2018-04-01T00:00:31Z");
    }
}
