//! What the guard counts: judged events by epochs, each cause's declines in the window and before it, and how both are spread.

use super::{Guard, LANES, Sight, Standing};
use crate::event::Timestamp;

/// A window is this epoch and the one before. An epoch ends after so many judged events, or after half of the window's time where it has
/// at least the fewer.
pub(super) const EPOCH_EVENTS: [u64; 2] = [256, 1024];
/// Merchants and devices are counted by as many bins.
pub(super) const BINS: usize = 64;
/// Ordinary events that tell what ordinary traffic is spread like; with twice as many all bins are halved.
pub(super) const ORDINARY: [u64; 2] = [100, 16_384];
/// History fades: where so many judged events stand behind it, both numbers are halved.
pub(super) const HISTORY_MAX: u64 = 1 << 20;
/// Probability, in millionths, that two declines meet in one bin: up to where they count as spread if nothing is known of ordinary traffic,
/// and even where that is spread more evenly.
pub(super) const MEETING: [u64; 2] = [250_000, 31_250];

/// Words of a lane: its clock, then ordinary traffic.
pub(super) mod lane {
    /// Epochs that have ended.
    pub const EPOCH: usize = 0;
    /// When this epoch began.
    pub const BEGAN: usize = 1;
    /// Judged events of this epoch, and of the one before.
    pub const THIS: usize = 2;
    pub const BEFORE: usize = 3;
    /// Judged events of all epochs before both.
    pub const GONE: usize = 4;
    /// Ordinary events by merchant, and those of them with a device.
    pub const ORDINARY: usize = 5;
    pub const WITH_DEVICE: usize = 6;
    pub const BINS: usize = 8;
}

/// Words of a cause. Where a word holds two numbers, this epoch's is the low half, that of the one before the high half.
pub(super) mod cause {
    /// The lane's epoch when it was looked at last.
    pub const EPOCH: usize = 0;
    /// Declines, of both epochs.
    pub const DECLINES: usize = 1;
    /// Declines with a device, of both.
    pub const WITH_DEVICE: usize = 2;
    /// Declines before the window, and the judged events among which they were; both fade.
    pub const HISTORY: usize = 3;
    pub const AMONG: usize = 4;
    /// [`super::lane::GONE`] as far as it is in the history.
    pub const COUNTED: usize = 5;
    /// [`super::Standing`].
    pub const STANDING: usize = 6;
    /// When it tripped.
    pub const SINCE: usize = 7;
    pub const BINS: usize = 8;
}

pub(super) const LANE_WORDS: usize = lane::BINS + 2 * BINS;
pub(super) const CAUSE_WORDS: usize = cause::BINS + 2 * BINS;

impl Guard {
    /// Notes that an event was judged; where it ends an epoch, causes that yield are looked at again. `lane_of` tells whose lane a slot is.
    #[inline]
    pub(in crate::engine) fn judged(&mut self, sight: &Sight, lane_of: impl Fn(usize) -> u8) {
        let at = Guard::lane(sight.lane);
        let (this, began) = (self.words[at + lane::THIS], Timestamp(self.words[at + lane::BEGAN] as i64));
        let long = sight.received - began >= self.options.half() && this >= EPOCH_EVENTS[0];
        if long || this >= EPOCH_EVENTS[1] || (this == 0 && self.words[at + lane::EPOCH] == 0) {
            self.end_epoch(sight, lane_of);
        }
        self.words.set(at + lane::THIS, self.words[at + lane::THIS] + 1);
    }

    fn end_epoch(&mut self, sight: &Sight, lane_of: impl Fn(usize) -> u8) {
        let at = Guard::lane(sight.lane);
        let words = self.words.range_mut(at..at + lane::BINS);
        words[lane::GONE] += words[lane::BEFORE];
        words[lane::BEFORE] = words[lane::THIS];
        words[lane::THIS] = 0;
        words[lane::EPOCH] += 1;
        words[lane::BEGAN] = sight.received.0 as u64;
        for word in 0..self.yielding.len() {
            let mut bits = self.yielding[word];
            while bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if lane_of(slot) == sight.lane {
                    self.reconsider(slot, sight);
                }
            }
        }
    }

    /// Brings a cause to its lane's epoch: what has left the window is history, unless it was an attack or a mistake.
    pub(super) fn catch_up(&mut self, slot: usize, lane: u8) {
        let (at, of) = (Guard::cause(slot), Guard::lane(lane));
        let (epoch, gone) = (self.words[of + lane::EPOCH], self.words[of + lane::GONE]);
        let behind = epoch.saturating_sub(self.words[at + cause::EPOCH]);
        if behind == 0 {
            return;
        }
        let trusted = self.standing(slot) == Standing::Trusted;
        let words = self.words.range_mut(at..at + CAUSE_WORDS);
        let (this, before) = (low(words[cause::DECLINES]), high(words[cause::DECLINES]));
        if trusted {
            words[cause::HISTORY] += before + if behind > 1 { this } else { 0 };
            words[cause::AMONG] += gone.saturating_sub(words[cause::COUNTED]);
            while words[cause::AMONG] > HISTORY_MAX {
                words[cause::AMONG] >>= 1;
                words[cause::HISTORY] >>= 1;
            }
        }
        words[cause::COUNTED] = gone;
        words[cause::EPOCH] = epoch;
        let pass = |word: &mut u64| *word = if behind > 1 { 0 } else { *word << 32 };
        pass(&mut words[cause::DECLINES]);
        pass(&mut words[cause::WITH_DEVICE]);
        words[cause::BINS..].iter_mut().for_each(pass);
        if self.standing(slot) == Standing::Attacked && !self.exceeds(slot, lane) {
            self.words.set(at + cause::STANDING, Standing::Trusted as u64);
        }
    }

    /// Declines of the window, and judged events.
    pub(super) fn window(&self, slot: usize, lane: u8) -> (u64, u64) {
        let (declines, of) = (self.words[Guard::cause(slot) + cause::DECLINES], Guard::lane(lane));
        (low(declines) + high(declines), self.words[of + lane::THIS] + self.words[of + lane::BEFORE])
    }

    /// Whether it declines more than it may: so many, such a share, and so much more than it used to.
    pub(super) fn exceeds(&self, slot: usize, lane: u8) -> bool {
        let (declines, judged) = self.window(slot, lane);
        let at = Guard::cause(slot);
        let (history, among) = (self.words[at + cause::HISTORY], self.words[at + cause::AMONG]);
        declines >= self.options.declines_min
            && declines * 100 >= self.options.share_percent * judged
            && (among == 0 || declines * among > self.options.multiple * history * judged)
    }

    /// Whether its declines are spread over merchants and devices as ordinary traffic is.
    pub(super) fn is_spread(&self, slot: usize, lane: u8) -> bool {
        let (at, of) = (Guard::cause(slot), Guard::lane(lane));
        let sum = |word: u64| low(word) + high(word);
        let declines = [sum(self.words[at + cause::DECLINES]), sum(self.words[at + cause::WITH_DEVICE])];
        let ordinary = [self.words[of + lane::ORDINARY], self.words[of + lane::WITH_DEVICE]];
        (0..2).all(|which| {
            // Where hardly any of them names a device, devices tell nothing.
            if declines[which] * 2 < declines[0] {
                return true;
            }
            let bins = |base: usize| &self.words[base + which * BINS..][..BINS];
            let found = meeting(bins(at + cause::BINS).iter().map(|word| sum(*word)), declines[which]);
            let usual = meeting(bins(of + lane::BINS).iter().copied(), ordinary[which]);
            let most = if ordinary[which] < ORDINARY[0] { MEETING[0] } else { MEETING[1].max(2 * usual) };
            found <= most
        })
    }

    /// Notes that an event was not declined: what ordinary traffic is like.
    #[inline]
    pub(in crate::engine) fn ordinary(&mut self, sight: &Sight) {
        let of = Guard::lane(sight.lane);
        for (which, bin) in sight.at.into_iter().enumerate() {
            let Some(bin) = bin else { continue };
            let (sum, place) = (of + lane::ORDINARY + which, of + lane::BINS + which * BINS + usize::from(bin));
            self.words.set(place, self.words[place] + 1);
            self.words.set(sum, self.words[sum] + 1);
            if self.words[sum] >= ORDINARY[1] {
                let bins = self.words.range_mut(of + lane::BINS + which * BINS..of + lane::BINS + (which + 1) * BINS);
                bins.iter_mut().for_each(|count| *count >>= 1);
                let left = bins.iter().sum();
                self.words.set(sum, left);
            }
        }
    }

    pub(super) fn clear_window(&mut self, slot: usize) {
        let at = Guard::cause(slot);
        self.words.set(at + cause::DECLINES, 0);
        self.words.range_mut(at + cause::BINS..at + CAUSE_WORDS).fill(0);
        self.words.set(at + cause::WITH_DEVICE, 0);
    }

    /// Whether every number is one that counting can have come to.
    ///
    /// # Errors
    /// What was found.
    pub(in crate::engine) fn check(&self) -> Result<(), String> {
        let lanes = self.words[..LANES * LANE_WORDS].chunks_exact(LANE_WORDS);
        let sound = |lane: &[u64]| {
            let counts = [lane[lane::EPOCH], lane[lane::GONE]].iter().all(|count| *count < 1 << 48);
            let window = [lane[lane::THIS], lane[lane::BEFORE]].iter().all(|count| *count <= EPOCH_EVENTS[1]);
            let bins = lane[lane::ORDINARY..].iter().all(|count| *count <= ORDINARY[1]);
            counts && window && bins && is_moment(lane[lane::BEGAN])
        };
        if let Some(lane) = lanes.into_iter().position(|lane| !sound(lane)) {
            return Err(format!("the window of lane {lane} holds what no counting comes to"));
        }
        let halves = |word: u64| low(word) <= EPOCH_EVENTS[1] && high(word) <= EPOCH_EVENTS[1];
        let sound = |cause: &[u64]| {
            let history = [cause[cause::HISTORY], cause[cause::AMONG]].iter().all(|count| *count <= HISTORY_MAX);
            let window = cause[cause::DECLINES..=cause::WITH_DEVICE].iter().chain(&cause[cause::BINS..]).all(|word| halves(*word));
            history && window && cause[cause::STANDING] <= Standing::YieldsToChallenge as u64 && is_moment(cause[cause::SINCE])
        };
        match self.words[LANES * LANE_WORDS..].chunks_exact(CAUSE_WORDS).position(|cause| !sound(cause)) {
            Some(slot) => Err(format!("slot {slot} holds what no counting comes to")),
            None => Ok(()),
        }
    }
}

/// Whether it is a time that a record may have been received at; zero is one.
pub(super) fn is_moment(word: u64) -> bool {
    (Timestamp::MIN..=Timestamp::MAX).contains(&Timestamp(word as i64))
}

pub(super) fn low(word: u64) -> u64 {
    word & u64::from(u32::MAX)
}

pub(super) fn high(word: u64) -> u64 {
    word >> 32
}

/// Probability, in millionths, that two of `sum` that lie in these bins lie in one.
pub(super) fn meeting(bins: impl Iterator<Item = u64>, sum: u64) -> u64 {
    let pairs = sum * sum.saturating_sub(1);
    let meeting: u64 = bins.map(|count| count * count.saturating_sub(1)).sum();
    (meeting * 1_000_000).checked_div(pairs).unwrap_or(0)
}
