//! The common means of all forms: accounts, sums, times, and what bends a scheme so that it is not seen.

use super::super::fraud::Stage;
use super::super::land::{REGION_OF, REGIONS};
use super::Form;
use crate::event::{Duration, Timestamp};

/// What makes a scheme hard to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bend {
    /// Each hop keeps up to a tenth.
    Fees = 0,
    /// Waits differ widely, and what comes later in a scheme begins before all is there.
    Jitter = 1,
    /// A part stays, or goes on later in a second sum.
    Partial = 2,
    /// The accounts do honest things between the movements.
    Traffic = 3,
    /// Some accounts are of other countries, with their money.
    Abroad = 4,
}

impl Bend {
    pub const ALL: [Bend; 5] = [Bend::Fees, Bend::Jitter, Bend::Partial, Bend::Traffic, Bend::Abroad];

    /// The word in a scheme's truth.
    pub fn name(self) -> &'static str {
        ["fees", "jitter", "partial", "traffic", "abroad"][self as usize]
    }
}

/// One movement of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub at: Timestamp,
    pub what: What,
}

/// What happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Money of the scheme moves; a side that is nothing is the world outside.
    Crime {
        from: Option<u32>,
        to: Option<u32>,
        /// In the money of whoever sends, or of who gets what comes from outside.
        minor: i64,
        /// On whose phone, where it is not one's own.
        phone: Option<u32>,
    },
    /// The account's owner does something honest.
    Honest { person: u32 },
}

impl Leg {
    /// Whether money of `person` moves.
    fn is_of(&self, person: u32) -> bool {
        matches!(self.what, What::Crime { from, to, .. } if from == Some(person) || to == Some(person))
    }
}

/// A scheme that is being laid down. Sums are in minor units of the money of its region.
pub struct Draft<'d, 's> {
    pub stage: &'d mut Stage<'s>,
    /// An account that has rested, where the form asks for one.
    pub sleeper: Option<u32>,
    pub start: Timestamp,
    /// About how long the whole takes.
    pub span: Duration,
    region: usize,
    bends: [bool; Bend::ALL.len()],
    /// What each hop keeps, in ten-thousandths, where fees are not bent.
    fee: i64,
    accounts: Vec<u32>,
    legs: Vec<Leg>,
}

/// A scheme is over after so long; waking hours may add four more.
const SPAN_MAX: Duration = Duration::DAY.times(10);
/// Between two movements that follow from each other.
const DWELL_MIN: Duration = Duration::MINUTE.times(3);

impl<'d, 's> Draft<'d, 's> {
    /// An empty draft. Half of the schemes have no bend: what comes in goes on but for one small fee, or none. Where nobody passes on what
    /// they got, no fee is kept and nothing stays.
    pub fn new(stage: &'d mut Stage<'s>, form: Form, region: usize, sleeper: Option<u32>) -> Draft<'d, 's> {
        let apply: &[Bend] = if form.passes_on() { &Bend::ALL } else { &[Bend::Jitter, Bend::Traffic, Bend::Abroad] };
        let mut bends = [false; Bend::ALL.len()];
        if stage.chance.happens(5000) {
            let one = *stage.chance.pick(apply);
            bends = Bend::ALL.map(|bend| {
                let happens = stage.chance.happens([6000, 6000, 4500, 4500, 4000][bend as usize]);
                bend == one || happens && apply.contains(&bend)
            });
        }
        let fee = if stage.chance.happens(3500) { 0 } else { stage.chance.between(20, 250) };
        let span = stage.chance.scatter(Duration::HOUR.times(50).0, 110).clamp(Duration::HOUR.times(3).0, SPAN_MAX.0);
        let accounts = sleeper.into_iter().collect();
        let start = stage.now;
        Draft { stage, sleeper, start, span: Duration(span), region, bends, fee, accounts, legs: Vec::new() }
    }

    /// Whether the scheme is bent like this.
    pub fn is_bent(&self, bend: Bend) -> bool {
        self.bends[bend as usize]
    }

    /// A number of accounts in `low..=high`, each as often.
    pub fn some(&mut self, low: i64, high: i64) -> usize {
        self.stage.chance.between(low, high) as usize
    }

    /// The account of somebody real who lends it, or of nobody; no other of the scheme.
    pub fn lent(&mut self) -> u32 {
        let region = match self.is_bent(Bend::Abroad) && self.stage.chance.happens(3500) {
            true => usize::from(REGION_OF[self.stage.chance.below(64) as usize]),
            false => self.region,
        };
        if !self.stage.chance.happens(2000) {
            for _ in 0..8 {
                let lot = self.stage.chance.bits();
                let person = self.stage.company.people.known(region, lot);
                // In a small world a region may be empty, and its lots lead elsewhere.
                if person.region == region && !self.accounts.contains(&person.number) {
                    self.accounts.push(person.number);
                    return person.number;
                }
            }
        }
        self.opened(region)
    }

    /// So many lent accounts.
    pub fn lents(&mut self, len: usize) -> Vec<u32> {
        (0..len).map(|_| self.lent()).collect()
    }

    /// An account that is opened for the scheme.
    pub fn fresh(&mut self) -> u32 {
        self.opened(self.region)
    }

    fn opened(&mut self, region: usize) -> u32 {
        let number = self.stage.invent_in(region).number;
        self.accounts.push(number);
        number
    }

    /// What one account of many moves: seldom a round sum.
    pub fn sum(&mut self) -> i64 {
        let cents = self.stage.chance.scatter(20_000, 180).clamp(4_000, 780_000);
        let cents = if self.stage.chance.happens(4500) { (cents / 1000).max(1) * 1000 } else { cents };
        self.minor(cents)
    }

    /// What goes through a scheme in one piece.
    pub fn large_sum(&mut self) -> i64 {
        let cents = self.stage.chance.scatter(80_000, 160).clamp(15_000, 3_000_000);
        let cents = if self.stage.chance.happens(4500) { cents / 1000 * 1000 } else { cents };
        self.minor(cents)
    }

    /// `cents` of a euro in the money of the scheme.
    pub fn minor(&self, cents: i64) -> i64 {
        REGIONS[self.region].currency.price(cents)
    }

    /// What goes on of `minor` after the fee.
    pub fn less_fee(&mut self, minor: i64) -> i64 {
        let fee = if self.is_bent(Bend::Fees) { self.stage.chance.between(0, 1000) } else { self.fee };
        self.whole(minor * (10_000 - fee) / 10_000)
    }

    fn whole(&self, minor: i64) -> i64 {
        let step = REGIONS[self.region].currency.step();
        (minor / step * step).max(step)
    }

    /// `minor` in `parts` parts of different size.
    pub fn split(&mut self, minor: i64, parts: usize) -> Vec<i64> {
        let weights: Vec<i64> = (0..parts).map(|_| self.stage.chance.between(60, 160)).collect();
        let whole: i64 = weights.iter().sum();
        let mut sums: Vec<i64> = weights.iter().map(|weight| self.whole(minor * weight / whole)).collect();
        sums[parts - 1] = minor - sums[..parts - 1].iter().sum::<i64>();
        sums
    }

    /// So many hundredths of `minor`.
    pub fn share(&self, minor: i64, percent: i64) -> i64 {
        self.whole(minor * percent / 100)
    }

    /// `len` moments from `from` on, within `span`, in order.
    pub fn moments(&mut self, len: usize, from: Timestamp, span: Duration) -> Vec<Timestamp> {
        let each = span.0 / len as i64;
        let mut moments: Vec<Timestamp> = (0..len as i64)
            .map(|place| match self.is_bent(Bend::Jitter) {
                true => from + Duration(self.stage.chance.between(0, span.0)),
                false => from + Duration(place * each + self.stage.chance.between(0, each * 8 / 10)),
            })
            .collect();
        moments.sort_unstable();
        moments
    }

    /// How long money rests before it goes on, at most `longest`.
    pub fn dwell(&mut self, longest: Duration) -> Duration {
        let spread = if self.is_bent(Bend::Jitter) { 190 } else { 70 };
        Duration(self.stage.chance.scatter(longest.0 / 3, spread).clamp(DWELL_MIN.0, longest.0.max(DWELL_MIN.0)))
    }

    /// Money moves; gives what arrives, in the money of the scheme.
    pub fn pay(&mut self, from: impl Into<Option<u32>>, to: impl Into<Option<u32>>, minor: i64, at: Timestamp) -> i64 {
        self.pay_by(from, to, minor, at, None)
    }

    /// The same on somebody's phone.
    pub fn pay_by(
        &mut self,
        from: impl Into<Option<u32>>,
        to: impl Into<Option<u32>>,
        minor: i64,
        at: Timestamp,
        phone: Option<u32>,
    ) -> i64 {
        let (from, to) = (from.into(), to.into());
        let payer = from.or(to).expect("a movement has a side in the world");
        let (home, theirs) = (REGIONS[self.region].currency, REGIONS[self.stage.company.people.person(payer).region].currency);
        let mut arrives = minor;
        let mut sent = minor;
        if home != theirs {
            let spread = self.stage.chance.between(10, 120);
            sent = theirs.price(home.cents(minor) * (10_000 - spread) / 10_000);
            arrives = self.whole(home.minor(theirs.cents(sent)).min(minor));
        }
        self.legs.push(Leg { at, what: What::Crime { from, to, minor: sent, phone } });
        arrives
    }

    /// What `from` has got by `at` goes on to `to` within `longest`; gives what arrives and when all of it is there.
    pub fn pass_on(&mut self, from: u32, to: impl Into<Option<u32>>, minor: i64, at: Timestamp, longest: Duration) -> (i64, Timestamp) {
        let left = self.less_fee(minor);
        self.send_on(from, to, left, at, longest, None)
    }

    /// The same without a fee.
    pub fn send_on(
        &mut self,
        from: u32,
        to: impl Into<Option<u32>>,
        minor: i64,
        at: Timestamp,
        longest: Duration,
        phone: Option<u32>,
    ) -> (i64, Timestamp) {
        let to = to.into();
        let first = at + self.dwell(longest);
        if !self.is_bent(Bend::Partial) || !self.stage.chance.happens(4500) {
            return (self.pay_by(from, to, minor, first, phone), first);
        }
        let share = self.stage.chance.between(60, 95);
        let goes = self.share(minor, share);
        let rest = minor - goes;
        let arrives = self.pay_by(from, to, goes, first, phone);
        if rest * 20 < minor || self.stage.chance.happens(4000) {
            return (arrives, first);
        }
        // The rest follows, while there is time.
        let second = first + self.dwell(Duration((at + longest - first).0.max(DWELL_MIN.0)));
        (arrives + self.pay_by(from, to, rest, second, phone), second)
    }

    /// The movements in order of time, with what honest owners do between them, and the bends.
    pub fn finish(mut self) -> (Vec<Leg>, Vec<Bend>) {
        let begin = self.legs.iter().map(|leg| leg.at).min().expect("a scheme moves money");
        let last = self.legs.iter().map(|leg| leg.at).max().expect("a scheme moves money");
        if self.is_bent(Bend::Traffic) {
            let mut moves = self.legs.clone();
            moves.sort_by_key(|leg| leg.at);
            for _ in 0..self.some(2, 6) {
                // Not before the scheme has reached the account: some are opened for it.
                let Leg { at, what: What::Crime { from, to, .. } } = *self.stage.chance.pick(&moves) else {
                    unreachable!("they move money")
                };
                let person = from.or(to).expect("a movement has a side in the world");
                let since = moves.iter().find(|leg| leg.is_of(person)).map_or(at, |leg| leg.at);
                let at = since + Duration(self.stage.chance.between(0, (last - since).0));
                self.legs.push(Leg { at, what: What::Honest { person } });
            }
        }
        // Stable, so that what was laid down first is first.
        self.legs.sort_by_key(|leg| leg.at);
        let zone = WINTER_HOURS[REGIONS[self.region].zone];
        let even = asleep(self.start + Duration::HOUR.times(zone));
        for leg in &mut self.legs {
            leg.at = awake(even + (leg.at - begin));
        }
        let bends = Bend::ALL.into_iter().filter(|bend| self.bends[*bend as usize]).collect();
        (self.legs, bends)
    }
}

/// How far the clocks of [`super::super::land::ZONES`] are ahead of UTC in winter, in hours.
const WINTER_HOURS: [i64; super::super::land::ZONES.len()] = [1, 0, 2, -5, -6, -8];
/// Crooks sleep, too: the seven hours of the night see as much as three even ones.
const NIGHT: Duration = Duration::HOUR.times(7);
const NIGHT_EVEN: Duration = Duration::HOUR.times(3);

/// Where the clock is when even time has come to `even`; it never runs back.
fn awake(even: Timestamp) -> Timestamp {
    bend_day(even, NIGHT_EVEN.0, NIGHT.0)
}

/// The even time at which the clock is at `clock`.
fn asleep(clock: Timestamp) -> Timestamp {
    bend_day(clock, NIGHT.0, NIGHT_EVEN.0)
}

/// Makes the first `from` of a day as long as `to`, and the rest of it as long as is left.
fn bend_day(time: Timestamp, from: i64, to: i64) -> Timestamp {
    let day = Duration::DAY.0;
    let of_day = time.0.rem_euclid(day);
    let bent = if of_day < from {
        (i128::from(of_day) * i128::from(to) / i128::from(from)) as i64
    } else {
        to + (i128::from(of_day - from) * i128::from(day - to) / i128::from(day - from)) as i64
    };
    Timestamp(time.0 - of_day + bent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_are_short_and_time_runs() {
        let hour = |hours: i64| Timestamp(Duration::HOUR.times(hours).0);
        assert_eq!((awake(hour(3)), awake(hour(24)), awake(hour(48 + 24))), (hour(7), hour(24), hour(72)));
        assert_eq!((asleep(hour(7)), asleep(hour(0))), (hour(3), hour(0)));
        let mut before = Timestamp(i64::MIN);
        for minute in 0..4000 {
            let now = awake(Timestamp(Duration::MINUTE.times(minute).0));
            assert!(before < now && (now.0 - Duration::MINUTE.times(minute).0) <= Duration::HOUR.times(4).0, "{minute}");
            before = now;
        }
    }
}
