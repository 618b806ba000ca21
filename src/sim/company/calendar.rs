//! What time it is where people live, and what they do then: hours, weekdays, paydays, seasons.

use super::land::{REGIONS, REGIONS_LEN, ZONES};
use crate::event::{Duration, Timestamp};

/// How something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A payment at a till.
    InStore,
    /// A payment on the net without a visit that is told of: a guest, a wallet's button.
    Online,
    /// A subscription or bill that is charged by itself.
    Recurring,
    /// A visit that ends with a purchase.
    Buying,
    /// A visit that does not.
    Browsing,
    /// Money from account to account.
    Transfer,
    /// Somebody looks into the app.
    Look,
}

pub const DOINGS_LEN: usize = 7;

const TRANSFERS_SHARE: u64 = 75;

/// All ways to begin, with how many in a thousand of what begins is of this kind.
pub const DOINGS: [(Doing, u64); DOINGS_LEN] = [
    (Doing::InStore, 311),
    (Doing::Online, 316),
    (Doing::Recurring, 37),
    (Doing::Buying, 119),
    (Doing::Browsing, 73),
    (Doing::Transfer, TRANSFERS_SHARE),
    (Doing::Look, 69),
];

/// Payments, transfers, sessions and interactions that come of a thousand beginnings: a visit is several, a failed payment is tried again.
/// A test counts them.
pub const ACTIVITIES_PER_THOUSAND_BEGUN: u64 = 1990;

/// Transfers that come of a thousand that begin: a run pays many, a bill is shared, what was received is passed on.
pub const TRANSFERS_PER_THOUSAND_BEGUN: u64 = 1260;

/// Thousandths of the mean, by local hour: tills, nets, machines, accounts.
const HOURS: [[u16; 24]; 4] = [
    [110, 60, 40, 30, 50, 150, 420, 900, 1150, 1270, 1420, 1650, 1900, 1600, 1400, 1450, 1700, 2050, 2150, 1800, 1250, 750, 450, 250],
    [470, 280, 180, 130, 120, 170, 350, 650, 850, 1000, 1120, 1180, 1250, 1200, 1150, 1150, 1180, 1250, 1400, 1700, 2050, 2150, 1820, 1200],
    [2350, 1860, 1670, 2060, 2250, 1860, 1470, 1080, 880, 780, 690, 640, 580, 540, 490, 490, 490, 490, 490, 490, 490, 490, 490, 880],
    [180, 100, 80, 70, 90, 220, 700, 1400, 1800, 1950, 1800, 1650, 1500, 1450, 1450, 1450, 1450, 1500, 1450, 1300, 1050, 750, 400, 210],
];

/// Thousandths of the mean, Monday first: tills, nets, machines, accounts.
const WEEKDAYS: [[u16; 7]; 4] = [
    [900, 900, 930, 980, 1220, 1370, 700],
    [1060, 1010, 990, 970, 920, 930, 1120],
    [1100, 1000, 1000, 1000, 1000, 950, 950],
    [1250, 1150, 1100, 1100, 1300, 620, 480],
];

/// Thousandths of the mean, January first: what is bought in all.
const MONTHS: [u16; 12] = [900, 890, 960, 970, 1000, 1000, 980, 950, 980, 1010, 1160, 1200];

/// Which profile a doing follows.
fn profile(doing: Doing) -> usize {
    match doing {
        Doing::InStore => 0,
        Doing::Online | Doing::Buying | Doing::Browsing | Doing::Look => 1,
        Doing::Recurring => 2,
        Doing::Transfer => 3,
    }
}

/// The clock on somebody's wall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// 0 to 23.
    pub hour: u8,
    /// Monday is 0.
    pub weekday: u8,
    /// January is 1.
    pub month: u8,
    pub day: u8,
}

impl Local {
    /// Whether wages, rents and bills are due: the last week of a month and its first days.
    pub fn is_payday(self) -> bool {
        matches!(self.day, 25 | 28 | 1) && self.weekday < 5 || matches!(self.day, 26 | 29 | 2 | 27 | 30 | 3) && self.weekday == 0
    }

    /// Whether it is the days of presents, and of gift cards.
    pub fn is_before_christmas(self) -> bool {
        self.month == 12 && self.day <= 24
    }

    /// The last week of November, in which everything is cheaper than it was.
    pub fn is_black_week(self) -> bool {
        self.month == 11 && (22..=30).contains(&self.day)
    }

    /// How much is begun of `doing` at this hour, in thousandths of the mean.
    pub fn share(self, doing: Doing) -> u64 {
        let of = profile(doing);
        let mut share = u64::from(HOURS[of][usize::from(self.hour)]) * u64::from(WEEKDAYS[of][usize::from(self.weekday)]) / 1000;
        if matches!(doing, Doing::InStore | Doing::Online | Doing::Buying | Doing::Browsing) {
            share = share * u64::from(MONTHS[usize::from(self.month) - 1]) / 1000;
        }
        if self.is_black_week() && matches!(doing, Doing::Online | Doing::Buying | Doing::Browsing) {
            share = share * 15 / 10;
        }
        if doing == Doing::Transfer {
            share = if self.is_payday() { share * 4 } else { share * 6 / 10 };
        }
        share
    }
}

/// One hour of the world: where it is which time.
#[derive(Clone, Debug)]
pub struct Calendar {
    zones: Vec<jiff::tz::TimeZone>,
    /// The first moment of the hour for which the rest holds.
    hour: i64,
    locals: [Local; ZONES.len()],
}

impl Calendar {
    /// The calendar at `time`.
    pub fn new(time: Timestamp) -> Calendar {
        let zone = |name: &&str| jiff::tz::TimeZone::get(name).expect("the zones of the world are bundled");
        let mut calendar = Calendar { zones: ZONES.iter().map(zone).collect(), hour: i64::MIN, locals: Default::default() };
        calendar.turn(time);
        calendar
    }

    /// Goes to the hour of `time`; true where it is another than before.
    pub fn turn(&mut self, time: Timestamp) -> bool {
        let hour = time.0.div_euclid(Duration::HOUR.0);
        if hour == self.hour {
            return false;
        }
        self.hour = hour;
        let moment = jiff::Timestamp::from_microsecond(hour * Duration::HOUR.0).expect("worlds lie in this age");
        for (local, zone) in self.locals.iter_mut().zip(&self.zones) {
            let civil = zone.to_datetime(moment);
            let weekday = civil.weekday().to_monday_zero_offset() as u8;
            *local = Local { hour: civil.hour() as u8, weekday, month: civil.month() as u8, day: civil.day() as u8 };
        }
        true
    }

    /// The clock of `region`.
    pub fn local(&self, region: usize) -> Local {
        self.locals[REGIONS[region].zone]
    }

    /// The hour since 1970 in UTC.
    pub fn hour_number(&self) -> i64 {
        self.hour
    }

    /// What begins in this hour, for each way and region, as running sums: the last is the whole. A mean hour has [`MEAN_WEIGHT`], and
    /// [`TRANSFERS_WEIGHT`] where transfers alone begin.
    pub fn weights(&self, sums: &mut [u64; DOINGS_LEN * REGIONS_LEN], transfers_alone: bool) {
        let mut sum = 0;
        for (place, (doing, share)) in DOINGS.iter().enumerate() {
            for (region, land) in REGIONS.iter().enumerate() {
                if !transfers_alone || *doing == Doing::Transfer {
                    sum += land.slots * share * self.local(region).share(*doing);
                }
                sums[place * REGIONS_LEN + region] = sum;
            }
        }
    }
}

/// The sum of all weights in an hour like the mean: 64 slots, a thousand of what begins, a thousand thousandths.
pub const MEAN_WEIGHT: u64 = 64 * 1000 * 1000;
/// The same for transfers alone.
pub const TRANSFERS_WEIGHT: u64 = 64 * 1000 * TRANSFERS_SHARE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_their_mean() {
        for hours in HOURS {
            let sum: u32 = hours.iter().map(|share| u32::from(*share)).sum();
            assert!((23_500..24_500).contains(&sum), "{sum}");
        }
        for days in WEEKDAYS {
            let sum: u32 = days.iter().map(|share| u32::from(*share)).sum();
            assert!((6_900..7_100).contains(&sum), "{sum}");
        }
        assert_eq!(DOINGS.iter().map(|(_, share)| share).sum::<u64>(), 1000);
    }

    #[test]
    fn clocks_differ_by_zone_and_season() {
        // 2025-01-15T12:00Z and 2025-07-15T12:00Z.
        let hours = |seconds: i64| {
            let calendar = Calendar::new(Timestamp(seconds * 1_000_000));
            ["DE", "GB", "FI", "US"].map(|country| {
                let region = REGIONS.iter().position(|region| region.country == country).unwrap();
                calendar.local(region).hour
            })
        };
        assert_eq!(hours(1_736_942_400), [13, 12, 14, 7]);
        assert_eq!(hours(1_752_580_800), [14, 13, 15, 8]);
        let black = Local { hour: 20, weekday: 4, month: 11, day: 28 };
        let calm = Local { day: 14, ..black };
        assert!(black.share(Doing::Online) > calm.share(Doing::Online) * 14 / 10);
    }

    /// Over a year as much begins as the mean says.
    #[test]
    fn a_year_has_its_mean() {
        let mut calendar = Calendar::new(Timestamp(1_735_689_600_000_000));
        let mut sums = [0; DOINGS_LEN * REGIONS_LEN];
        let mut whole = 0;
        for hour in 0..365 * 24 {
            calendar.turn(Timestamp(1_735_689_600_000_000) + Duration::HOUR.times(hour));
            calendar.weights(&mut sums, false);
            whole += sums[sums.len() - 1];
        }
        let percent = whole * 100 / (MEAN_WEIGHT * 365 * 24);
        assert!((94..=106).contains(&percent), "{percent}");
    }
}
