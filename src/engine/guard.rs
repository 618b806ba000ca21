//! The guard: how far a mistake may reach. A cause that suddenly declines a large part of all traffic, spread as ordinary traffic is, is a
//! mistake more likely than an attack: it yields. A wave that is concentrated on few merchants or devices is an attack: it stays declined.
//!
//! Everything is counted by the judged event, in the order of the records, in integers, with a bounded number of steps an event. Time is
//! `received`, but shares are compared and not numbers a minute: while a backlog is caught up, hours of traffic come in a minute, and their
//! shares are what they were.

mod counting;

use super::options::GuardOptions;
use crate::decision::{GUARDED_MAX, Yields};
use crate::event::{Id, Timestamp};
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, front};
use counting::{BINS, CAUSE_WORDS, LANE_WORDS, cause};

/// Judged events of one type: payments, transfers. Each has its own window, and its own sum of all declines.
pub const LANES: usize = 2;
/// Of each lane the sum of all declines whose reasons others may know, then of each that of all declines on suspicion: neither may sway the
/// other.
const SUMS: usize = 2 * LANES;
/// Slots: one for each cause that may decline, then one for each sum.
const SLOTS: usize = GUARDED_MAX + SUMS;

/// How a cause stands with the guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u64)]
pub enum Standing {
    #[default]
    Trusted = 0,
    /// It exceeds what it may, and is concentrated: an attack, whose declines stand.
    Attacked = 1,
    /// It yields to the cause of its name in the policy before.
    YieldsToPredecessor = 2,
    /// It yields to a challenge.
    YieldsToChallenge = 3,
}

impl Standing {
    fn of(word: u64) -> Standing {
        match word {
            1 => Standing::Attacked,
            2 => Standing::YieldsToPredecessor,
            3 => Standing::YieldsToChallenge,
            _ => Standing::Trusted,
        }
    }

    /// The word in metrics and logs.
    pub fn name(self) -> &'static str {
        ["trusted", "attacked", "yields_to_predecessor", "yields_to_challenge"][self as usize]
    }

    /// Whether it yields.
    pub fn yields(self) -> bool {
        self as u64 >= Standing::YieldsToPredecessor as u64
    }
}

impl From<Standing> for Yields {
    fn from(standing: Standing) -> Yields {
        match standing {
            Standing::Trusted | Standing::Attacked => Yields::No,
            Standing::YieldsToPredecessor => Yields::ToPredecessor,
            Standing::YieldsToChallenge => Yields::ToChallenge,
        }
    }
}

/// What the guard sees of a judged event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// 0: payments, 1: transfers.
    pub lane: u8,
    pub received: Timestamp,
    /// Bins of merchant (or receiving account) and device.
    pub at: [Option<u8>; 2],
}

impl Sight {
    /// The bin of an entity.
    pub fn bin(id: Id) -> u8 {
        (id.low() >> (u64::BITS - BINS.ilog2())) as u8
    }
}

/// A change of how a cause stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The slot of a cause, or of a lane's sum.
    pub slot: usize,
    pub from: Standing,
    pub to: Standing,
    /// Declines of the window, and the judged events among which they are.
    pub declines: u64,
    pub judged: u64,
}

/// The slot of the sum of all declines of a lane, of those on suspicion or of the others.
pub(super) fn sum_slot(lane: u8, suspects: bool) -> usize {
    GUARDED_MAX + usize::from(lane) + if suspects { LANES } else { 0 }
}

/// Of the slot of a sum its lane, and whether it is of declines on suspicion.
pub(super) fn sum_of(slot: usize) -> Option<(u8, bool)> {
    slot.checked_sub(GUARDED_MAX).map(|sum| ((sum % LANES) as u8, sum >= LANES))
}

/// Counters, and who yields.
pub struct Guard {
    words: Buffer<u64>,
    /// Slots whose causes yield, a bit each; derived.
    yielding: [u64; SLOTS.div_ceil(64)],
    options: GuardOptions,
    /// Causes that may decline.
    causes: usize,
    turns: Vec<Turn>,
}

/// Turns for which there is room from the start.
const TURNS_AT_START: usize = 64;

impl Guard {
    /// Bytes of all counters.
    pub const BYTES: usize = (LANES * LANE_WORDS + SLOTS * CAUSE_WORDS) * 8;

    pub(super) fn new(options: GuardOptions, causes: usize, progress: &mut dyn FnMut(usize)) -> Guard {
        let words = Buffer::new(Guard::BYTES / 8, progress);
        Guard { words, yielding: Default::default(), options, causes, turns: Vec::with_capacity(TURNS_AT_START) }
    }

    fn lane(lane: u8) -> usize {
        usize::from(lane) * LANE_WORDS
    }

    /// Sums stand before causes, so that what is in use stands at the front.
    fn cause(slot: usize) -> usize {
        let place = slot.checked_sub(GUARDED_MAX).unwrap_or(slot + SUMS);
        LANES * LANE_WORDS + place * CAUSE_WORDS
    }

    /// Words in use.
    fn used(&self) -> usize {
        Guard::cause(self.causes)
    }

    /// Trusts a cause again that has rested and no longer exceeds what it may.
    fn reconsider(&mut self, slot: usize, sight: &Sight) {
        self.catch_up(slot, sight.lane);
        let since = Timestamp(self.words[Guard::cause(slot) + cause::SINCE] as i64);
        if sight.received - since >= self.options.rest && !self.exceeds(slot, sight.lane) {
            self.turn(slot, sight, Standing::Trusted);
        }
    }

    /// Notes that a cause declines an event, and says how it stands then. `yields_to`: where to, if it trips; `sum` is the slot of the sum that
    /// it is part of.
    pub(super) fn declined(&mut self, slot: usize, sum: usize, sight: &Sight, yields_to: Standing) -> Standing {
        self.catch_up(slot, sight.lane);
        let at = Guard::cause(slot);
        self.words.set(at + cause::DECLINES, self.words[at + cause::DECLINES] + 1);
        if sight.at[1].is_some() {
            self.words.set(at + cause::WITH_DEVICE, self.words[at + cause::WITH_DEVICE] + 1);
        }
        for (which, bin) in sight.at.into_iter().enumerate() {
            if let Some(bin) = bin {
                let place = at + cause::BINS + which * BINS + usize::from(bin);
                self.words.set(place, self.words[place] + 1);
            }
        }
        let standing = self.standing(slot);
        if !standing.yields() && self.exceeds(slot, sight.lane) {
            if self.is_spread(slot, sight.lane) {
                self.turn(slot, sight, yields_to);
                if slot != sum {
                    // What it declined is answered for: the sum must not trip over the same.
                    self.clear_window(sum);
                }
            } else if standing == Standing::Trusted {
                self.turn(slot, sight, Standing::Attacked);
            }
        }
        self.standing(slot)
    }

    fn turn(&mut self, slot: usize, sight: &Sight, to: Standing) {
        let (from, (declines, judged)) = (self.standing(slot), self.window(slot, sight.lane));
        let at = Guard::cause(slot);
        self.words.set(at + cause::STANDING, to as u64);
        self.words.set(at + cause::SINCE, sight.received.0 as u64);
        self.mark(slot, to);
        self.turns.push(Turn { slot, from, to, declines, judged });
    }

    /// A fresh engine has another policy, of which so many causes may decline.
    pub(super) fn begin(&mut self, causes: usize) {
        self.causes = causes;
    }

    /// Other numbers are in force.
    pub(super) fn go_by(&mut self, options: GuardOptions) {
        self.options = options;
    }

    /// Another policy is in force: its causes go on from those of the same name, `from` tells from which slot, and whether it says the same.
    /// What says something else is trusted anew, and keeps its history; all declines together are trusted anew.
    pub(super) fn carry(&mut self, causes: usize, from: impl Fn(usize) -> Option<(usize, bool)>) {
        let old = self.words.to_vec();
        let all = Guard::cause(0)..Guard::cause(self.causes.max(causes));
        self.words.range_mut(all).fill(0);
        self.causes = causes;
        for slot in 0..causes {
            if let Some((before, same)) = from(slot) {
                let (at, source) = (Guard::cause(slot), &old[Guard::cause(before)..][..CAUSE_WORDS]);
                self.words.range_mut(at..at + CAUSE_WORDS).copy_from_slice(source);
                match (same, self.standing(slot)) {
                    (false, _) => self.trust(slot),
                    // What says the same is no predecessor.
                    (true, Standing::YieldsToPredecessor) => {
                        self.words.set(at + cause::STANDING, Standing::YieldsToChallenge as u64);
                    }
                    (true, _) => {}
                }
            }
        }
        (GUARDED_MAX..SLOTS).for_each(|sum| self.trust(sum));
        self.wake();
    }

    /// Begins a cause's window anew.
    fn trust(&mut self, slot: usize) {
        self.clear_window(slot);
        self.words.set(Guard::cause(slot) + cause::STANDING, Standing::Trusted as u64);
    }

    fn mark(&mut self, slot: usize, standing: Standing) {
        let bit = 1 << (slot % 64);
        if standing.yields() {
            self.yielding[slot / 64] |= bit;
        } else {
            self.yielding[slot / 64] &= !bit;
        }
    }

    /// How a cause stands.
    pub(super) fn standing(&self, slot: usize) -> Standing {
        Standing::of(self.words[Guard::cause(slot) + cause::STANDING])
    }

    /// Changes since they were last cleared.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(super) fn clear_turns(&mut self) {
        self.turns.clear();
    }

    /// All counters: the ground state.
    pub(super) fn ground(&self) -> &[u64] {
        &self.words[..self.used()]
    }

    /// Puts back what [`Guard::ground`] gave.
    pub(super) fn restore(&mut self, words: &[u64]) {
        self.words.range_mut(0..words.len()).copy_from_slice(words);
        self.wake();
    }

    /// Derives who yields.
    pub(super) fn wake(&mut self) {
        (0..SLOTS).for_each(|slot| self.mark(slot, self.standing(slot)));
    }

    /// Its table and what of it is in use.
    pub(super) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        ("counters", front(self.used()), &mut self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::counting::{high, low};
    use super::*;
    use crate::event::Duration;
    use proptest::prelude::*;

    const OPTIONS: GuardOptions = GuardOptions {
        window: Duration::MINUTE.times(5),
        declines_min: 100,
        share_percent: 20,
        multiple: 4,
        rest: Duration::MINUTE.times(30),
    };

    fn guard() -> Guard {
        Guard::new(OPTIONS, 1, &mut |_| {})
    }

    fn sight(second: i64, merchant: u64, device: u64) -> Sight {
        let at = [Some((merchant % 64) as u8), Some((device % 64) as u8)];
        Sight { lane: 0, received: Timestamp(second * 1_000_000), at }
    }

    /// One event, declined by the first cause or by none.
    fn pass(guard: &mut Guard, sight: &Sight, declined: bool) -> Standing {
        guard.judged(sight, |_| 0);
        match declined {
            true => guard.declined(0, sum_slot(0, false), sight, Standing::YieldsToChallenge),
            false => {
                guard.ordinary(sight);
                guard.standing(0)
            }
        }
    }

    /// Numbers that look like chance.
    fn mixed(n: u64) -> u64 {
        let z = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (z ^ (z >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
    }

    /// Whatever the traffic's pace. Caught when planted: a window of minutes alone, in which little traffic never makes a hundred.
    #[test]
    fn a_mistake_reaches_few() {
        for (name, a_second) in [("one in three seconds", 0.3), ("30 a second", 30.0), ("5,000 a second", 5_000.0)] {
            let mut guard = guard();
            let second = |n: u64| (n as f64 / a_second) as i64;
            for n in 0..20_000 {
                pass(&mut guard, &sight(second(n), mixed(n), mixed(n + 7)), n % 200 == 0);
            }
            assert!(guard.turns().is_empty(), "{name}: {:?}", guard.turns());
            let declined =
                (20_000..40_000).filter(|n| !pass(&mut guard, &sight(second(*n), mixed(*n), mixed(n + 7)), true).yields()).count();
            assert!((50..=1_000).contains(&declined), "{name}: {declined}");
            assert_eq!(guard.turns().len(), 1, "{name}");
        }
    }

    #[test]
    fn a_mistake_on_the_first_day_reaches_few_too() {
        let mut guard = guard();
        let declined = (0..5_000).filter(|n| !pass(&mut guard, &sight(*n as i64 / 30, mixed(*n) % 9, mixed(n + 7)), true).yields()).count();
        assert_eq!(declined, 99);
    }

    /// Caught when planted: attackers' traffic taken for ordinary, by which nothing is concentrated after a while.
    #[test]
    fn a_wave_on_few_merchants_or_devices_stays_declined() {
        for (name, merchants, devices) in [("one merchant", 1, 64), ("few devices", 64, 3), ("five merchants", 5, 64)] {
            let mut guard = guard();
            for n in 0..10_000 {
                pass(&mut guard, &sight(n as i64 / 30, mixed(n), mixed(n + 7)), n % 100 == 0);
            }
            // Five minutes, 10,000 a minute, among 2,000 others.
            for n in 0..60_000 {
                let wave = n % 6 != 0;
                let (merchant, device) = if wave { (mixed(n) % merchants, mixed(n + 7) % devices) } else { (mixed(n), mixed(n + 7)) };
                let standing = pass(&mut guard, &sight(333 + n as i64 / 200, merchant, device), wave);
                assert!(!standing.yields(), "{name}, event {n}");
            }
            let told: Vec<Standing> = guard.turns().iter().map(|turn| turn.to).collect();
            assert_eq!(told, [Standing::Attacked], "{name}: told once");
        }
    }

    /// An hour comes in ten seconds, and a cause that always declined one in seven declines one in four of them. Caught when planted: its
    /// history not asked.
    #[test]
    fn catching_up_trips_nothing() {
        let mut guard = guard();
        for n in 0..50_000 {
            pass(&mut guard, &sight(n as i64 / 30, mixed(n), mixed(n + 7)), n % 7 == 0);
        }
        for n in 0..108_000 {
            let standing = pass(&mut guard, &sight(1_700 + n as i64 / 10_800, mixed(n), mixed(n + 7)), n % 4 == 0);
            assert!(!standing.yields(), "event {n}");
        }
        assert!(guard.turns().is_empty());
    }

    #[test]
    fn what_has_rested_and_is_mended_is_trusted_again() {
        let mut guard = guard();
        let mut n = 0;
        let mut run = |guard: &mut Guard, events: u64, declined: fn(u64) -> bool| {
            for _ in 0..events {
                pass(guard, &sight(n as i64 / 10, mixed(n), mixed(n + 7)), declined(n));
                n += 1;
            }
        };
        run(&mut guard, 5_000, |n| n % 100 == 0);
        run(&mut guard, 1_000, |_| true);
        assert_eq!(guard.standing(0), Standing::YieldsToChallenge);
        // As long as it would decline that much it is not trusted, however long.
        run(&mut guard, 60_000, |_| true);
        assert_eq!(guard.standing(0), Standing::YieldsToChallenge);
        run(&mut guard, 3_000, |n| n % 100 == 0);
        assert_eq!(guard.standing(0), Standing::Trusted);
        let told: Vec<(Standing, Standing)> = guard.turns().iter().map(|turn| (turn.from, turn.to)).collect();
        let (trusted, yields) = (Standing::Trusted, Standing::YieldsToChallenge);
        assert_eq!(told, [(trusted, yields), (yields, trusted)]);
    }

    /// All that ever was, looked at again for every question.
    #[derive(Default)]
    struct Slow {
        /// Judged events, by epoch.
        judged: Vec<u64>,
        began: i64,
        /// Epoch and bins of each decline.
        declines: Vec<(usize, [Option<u8>; 2])>,
    }

    impl Slow {
        fn pass(&mut self, sight: &Sight, declined: bool) -> (u64, u64) {
            let this = self.judged.last().copied().unwrap_or(0);
            let old = sight.received.0 - self.began >= OPTIONS.window.0 / 2;
            if self.judged.is_empty() || this >= 1024 || (old && this >= 256) {
                self.judged.push(0);
                self.began = sight.received.0;
            }
            *self.judged.last_mut().unwrap() += 1;
            let epoch = self.judged.len();
            if declined {
                self.declines.push((epoch, sight.at));
            }
            let declines = self.declines.iter().filter(|(of, _)| of + 2 > epoch).count() as u64;
            (declines, self.judged[epoch.saturating_sub(2)..].iter().sum())
        }

        /// Declines before the window, and judged events before it.
        fn history(&self) -> (u64, u64) {
            let epoch = self.judged.len();
            let declines = self.declines.iter().filter(|(of, _)| of + 2 <= epoch).count() as u64;
            (declines, self.judged[..epoch.saturating_sub(2)].iter().sum())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Caught when planted: the epoch before lost where a cause declines nothing for one epoch; history without the epoch that passed
        /// while nothing was declined.
        #[test]
        fn agrees_with_its_slow_twin(runs in prop::collection::vec((1u64..900, 1i64..400, 1u64..40), 1..20)) {
            let (mut guard, mut slow) = (guard(), Slow::default());
            let (mut n, mut second) = (0, 0);
            for (events, pause, one_in) in runs {
                second += pause;
                for _ in 0..events {
                    n += 1;
                    // Rare enough that nothing trips: then history is plain counting.
                    let (sight, declined) = (sight(second, mixed(n), mixed(n + 7)), mixed(n).is_multiple_of(8 * one_in));
                    pass(&mut guard, &sight, declined);
                    let (declines, judged) = slow.pass(&sight, declined);
                    if declined {
                        prop_assert_eq!(guard.window(0, 0), (declines, judged));
                        let at = Guard::cause(0);
                        prop_assert_eq!((guard.words[at + cause::HISTORY], guard.words[at + cause::AMONG]), slow.history());
                        let of_merchant = |bin: u8| {
                            let epoch = slow.judged.len();
                            slow.declines.iter().filter(|(of, at)| of + 2 > epoch && at[0] == Some(bin)).count() as u64
                        };
                        let bin = sight.at[0].unwrap();
                        let word = guard.words[at + cause::BINS + usize::from(bin)];
                        prop_assert_eq!(low(word) + high(word), of_merchant(bin));
                    }
                }
            }
            prop_assert!(guard.turns().is_empty());
        }
    }
}
