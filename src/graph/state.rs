//! Streaming node summaries: sums that fade with a half-life, updated in order.
//!
//! After Graph-Sprints (Eddin et al., ICAIF'24): a node's state folds in a summary of its counterpart's state, so that a reader of
//! one hop's states sees further hops. Labels never enter it: a verdict that is taken back must leave nothing behind, and what has faded
//! cannot be taken out to the bit. Kept for warm nodes; a node that turns warm folds in its four visible events first, with unknown
//! counterparts.

use super::warm::{RECENT, STATE_WORDS};
use crate::arithmetic::{decay, log2_1p};
use crate::event::{Duration, Timestamp};

/// Single-precision sums of a state.
pub const STATE: usize = STATE_WORDS - 2;

/// Half-lives that go by in a microsecond: of an hour, a day, a fortnight; the last only fills the row.
const PER_MICROSECOND: [f32; 4] = [
    1.0 / Duration::HOUR.0 as f32,
    1.0 / Duration::DAY.0 as f32,
    1.0 / Duration::DAY.times(14).0 as f32,
    1.0 / Duration::DAY.times(14).0 as f32,
];
/// Events, by half-life (1 h, 1 d, 14 d).
pub const COUNT: usize = 0;
/// log2(1 + amount in minor units), 14 d. An amount is bounded here, in the two sums below and nowhere else, by what is usual ([`Usual`]).
pub const AMOUNT: usize = 3;
/// Amount in minor units, 14 d.
pub const MONEY: usize = 4;
/// The square of it, 14 d.
pub const SQUARE: usize = 5;
/// Amounts that were bounded, 14 d.
pub const OUTLIER: usize = 6;
/// log2(1 + seconds since the event before), 14 d.
pub const GAP: usize = 7;
/// Counterparts without a past, 14 d.
pub const NEWCOMER: usize = 8;
/// log2(1 + the counterpart's count of 1 d), 14 d.
pub const PEER_COUNT: usize = 9;
/// The counterpart's mean log amount of 14 d, 14 d.
pub const PEER_AMOUNT: usize = 10;
/// The counterpart's share of failed payments, 14 d.
pub const PEER_FAILED: usize = 11;
/// Payments that failed (declined by the issuer, challenge failed, abandoned), 14 d.
pub const FAILED: usize = 12;
/// Payments refunded or cancelled, 14 d.
pub const REFUNDED: usize = 13;

/// Faded events from which on a node has a usual amount.
const USUAL_MIN: f32 = 3.0;
/// What lies so many spreads above the mean is bounded: an attacker's payments must not become the measure of what is usual.
const SPREADS_MAX: f32 = 3.0;
/// A spread is at least a quarter of the mean, and a major unit of most currencies: the same sum month after month is no reason to call a
/// slightly higher one strange.
const SPREAD_SHARE_MIN: f32 = 0.25;
const SPREAD_MIN: f32 = 100.0;

/// What a node's amounts usually are, in minor units: the mean and standard deviation of the last weeks, outliers bounded (winsorised).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    pub mean: f32,
    pub spread: f32,
}

impl Usual {
    /// Of a state's sums; `None` with fewer than about three events.
    #[inline(always)]
    pub fn of(sums: &[f32; STATE]) -> Option<Usual> {
        Usual::new(sums[COUNT + 2], sums[MONEY], sums[SQUARE])
    }

    #[inline(always)]
    fn new(count: f32, money: f32, square: f32) -> Option<Usual> {
        (count >= USUAL_MIN).then(|| Usual::reckon(count, money, square))
    }

    /// The spread in means, of a state's sums of faded events, their amounts, and the squares of these; 0 with fewer than about three
    /// events. Without a branch: there are dozens of states an event.
    #[inline(always)]
    pub fn spread_in_means(count: f32, money: f32, square: f32) -> f32 {
        let usual = Usual::reckon(count, money, square);
        let spread = usual.spread / if usual.mean > 1.0 { usual.mean } else { 1.0 };
        if count >= USUAL_MIN { spread } else { 0.0 }
    }

    /// Means nothing where there are too few events.
    #[inline(always)]
    fn reckon(count: f32, money: f32, square: f32) -> Usual {
        let mean = money / count;
        let variance = square / count - mean * mean;
        let deviation = if variance > 0.0 { variance.sqrt() } else { 0.0 };
        let least = if mean * SPREAD_SHARE_MIN > SPREAD_MIN { mean * SPREAD_SHARE_MIN } else { SPREAD_MIN };
        Usual { mean, spread: if deviation > least { deviation } else { least } }
    }

    /// How many spreads `amount` lies above the mean.
    #[inline(always)]
    pub fn score(&self, amount: f32) -> f32 {
        (amount - self.mean) / self.spread
    }
}

/// What a node's counterpart adds to its state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peer {
    pub newcomer: bool,
    pub count: f32,
    pub amount: f32,
    pub failed: f32,
}

fn get(words: &[u32], at: usize) -> f32 {
    f32::from_bits(words[RECENT + at])
}

/// The sums of a warm record, as of its last update.
#[inline(always)]
pub fn sums(words: &[u32]) -> [f32; STATE] {
    let words: [u32; STATE] = words[RECENT..RECENT + STATE].try_into().expect("a record holds a state");
    words.map(f32::from_bits)
}

/// The words of a warm record that hold the state: what a snapshot keeps of it.
pub fn ground(words: &[u32]) -> &[u32] {
    &words[RECENT..RECENT + STATE_WORDS]
}

/// As [`ground`], to be restored.
pub fn ground_mut(words: &mut [u32]) -> &mut [u32] {
    &mut words[RECENT..RECENT + STATE_WORDS]
}

/// What this node is to its counterpart.
#[inline(always)]
pub fn peer(words: &[u32], newcomer: bool) -> Peer {
    let count = get(words, COUNT + 2);
    let over = if count > 1.0 { count } else { 1.0 };
    Peer { newcomer, count: log2_1p(get(words, COUNT + 1)), amount: get(words, AMOUNT) / over, failed: get(words, FAILED) / over }
}

/// Brings the sums forward to `time` and returns the weights of what happened then: below 1 for what happened before the last update.
#[inline(always)]
fn advance(words: &mut [u32], time: Timestamp) -> ([f32; 3], f32) {
    let last = i64::from(words[RECENT + STATE]) | i64::from(words[RECENT + STATE + 1]) << 32;
    // A fresh record's last update is 0 with a count of 0: nothing to fade.
    let since = if get(words, COUNT + 2) == 0.0 { 0 } else { time.0 - last };
    let age = since.unsigned_abs() as f32;
    let [hour, day, fortnight, _] = decay(PER_MICROSECOND.map(|per| age * per));
    let factor = [hour, day, fortnight];
    if since < 0 {
        return (factor, 0.0);
    }
    for (h, factor) in factor.into_iter().enumerate() {
        words[RECENT + COUNT + h] = (get(words, COUNT + h) * factor).to_bits();
    }
    for at in AMOUNT..STATE {
        words[RECENT + at] = (get(words, at) * factor[2]).to_bits();
    }
    words[RECENT + STATE] = time.0 as u32;
    words[RECENT + STATE + 1] = (time.0 >> 32) as u32;
    ([1.0; 3], age)
}

#[inline(always)]
fn add(words: &mut [u32], at: usize, value: f32) {
    words[RECENT + at] = (get(words, at) + value).to_bits();
}

/// Folds an event into a warm record's state.
#[inline(always)]
pub fn update(words: &mut [u32], time: Timestamp, amount_minor: i64, peer: Peer) {
    let (weight, age) = advance(words, time);
    let mut amount = amount_minor as f32;
    let mut outlier = false;
    if let Some(usual) = Usual::new(get(words, COUNT + 2), get(words, MONEY), get(words, SQUARE)) {
        let bound = usual.mean + SPREADS_MAX * usual.spread;
        outlier = amount > bound;
        amount = if outlier { bound } else { amount };
    }
    for (h, weight) in weight.into_iter().enumerate() {
        add(words, COUNT + h, weight);
    }
    let weight = weight[2];
    add(words, AMOUNT, weight * log2_1p(amount));
    add(words, MONEY, weight * amount);
    add(words, SQUARE, weight * amount * amount);
    add(words, OUTLIER, if outlier { weight } else { 0.0 });
    add(words, GAP, weight * log2_1p(age * (1.0 / Duration::SECOND.0 as f32)));
    add(words, NEWCOMER, if peer.newcomer { weight } else { 0.0 });
    add(words, PEER_COUNT, weight * peer.count);
    add(words, PEER_AMOUNT, weight * peer.amount);
    add(words, PEER_FAILED, weight * peer.failed);
}

/// A state's sums brought forward to `now`, and the microseconds since its last update, at least 0. The record stays as it is.
#[inline(always)]
pub fn as_of(words: &[u32], now: Timestamp) -> ([f32; STATE], i64) {
    let last = i64::from(words[RECENT + STATE]) | i64::from(words[RECENT + STATE + 1]) << 32;
    let since = (now.0 - last).max(0);
    let [hour, day, fortnight, _] = decay(PER_MICROSECOND.map(|per| since as f32 * per));
    let mut sums = sums(words).map(|sum| sum * fortnight);
    sums[COUNT] = get(words, COUNT) * hour;
    sums[COUNT + 1] = get(words, COUNT + 1) * day;
    (sums, since)
}

/// What a payment's result says of those who took part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    Failed,
    Refunded,
}

/// Folds a payment's result into a warm record's state.
pub fn update_result(words: &mut [u32], time: Timestamp, kind: ResultKind) {
    let (weight, _) = advance(words, time);
    let at = match kind {
        ResultKind::Failed => FAILED,
        ResultKind::Refunded => REFUNDED,
    };
    add(words, at, weight[2]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp(1_600_000_000_000_000 + Duration::HOUR.times(hours).0)
    }

    #[test]
    fn sums_halve_with_their_half_life_and_late_events_weigh_less() {
        let mut words = vec![0u32; RECENT + STATE_WORDS];
        update(&mut words, at(1), 15, Peer::default());
        update(&mut words, at(2), 15, Peer::default());
        assert_eq!(get(&words, COUNT), 1.5);
        update(&mut words, at(1), 15, Peer::default());
        assert_eq!(get(&words, COUNT), 2.0, "an hour late: half a weight");
        let count = get(&words, COUNT + 2);
        assert!(count > 2.99 && count < 3.0);
        assert!((get(&words, AMOUNT) - 4.0 * count).abs() < 1e-5, "log2(1 + 15) each");
        assert!((get(&words, MONEY) - 15.0 * count).abs() < 1e-5);
        update_result(&mut words, at(2), ResultKind::Failed);
        assert_eq!(get(&words, FAILED), 1.0);
        assert!(get(&words, GAP) > 11.0);
        let (sums, since) = as_of(&words, at(3));
        assert_eq!((sums[COUNT], since), (1.0, Duration::HOUR.0));
        assert_eq!(as_of(&words, at(1)).1, 0, "nobody is seen before the last update");
    }

    #[test]
    fn a_peer_is_a_mean() {
        let mut words = vec![0u32; RECENT + STATE_WORDS];
        for _ in 0..4 {
            update(&mut words, Timestamp(7), 255, Peer::default());
        }
        let peer = peer(&words, false);
        assert_eq!((peer.amount, peer.failed), (8.0, 0.0));
        assert!((peer.count - 5f32.log2()).abs() < 1e-5);
    }

    /// Caught when planted: the bound taken over the sums that hold the amount already.
    #[test]
    fn an_attack_does_not_become_what_is_usual() {
        let mut words = vec![0u32; RECENT + STATE_WORDS];
        for amount in [4_000, 6_000, 4_000, 6_000, 4_000, 6_000] {
            update(&mut words, at(0), amount, Peer::default());
        }
        let usual = Usual::of(&sums(&words)).expect("six events");
        assert_eq!(usual, Usual { mean: 5_000.0, spread: 1_250.0 });
        assert_eq!(usual.score(10_000.0), 4.0);
        update(&mut words, at(0), 1_000_000, Peer::default());
        assert_eq!(get(&words, OUTLIER), 1.0);
        assert_eq!(get(&words, MONEY), 30_000.0 + 8_750.0);
        assert_eq!(Usual::of(&[2.0; STATE]), None);
    }
}
