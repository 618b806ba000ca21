//! Seeded worlds: people who pay, browse and are robbed, and sources that send it in disorder.
//!
//! A world is a stream: what is still to come of it (labels, results, repetitions) waits in a heap of bounded size, so ten million
//! events take no more memory than ten thousand. The same world and seed give the same bytes on every machine.

mod people;

use super::chance::Chance;
use super::happening::{Happening, Oddity, Text};
use crate::event::{Duration, LabelSource, PaymentStatus, Timestamp, Verdict};
use people::Attack;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;

/// The settings of a world. Shares are in ten-thousandths.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    pub seed: u64,
    /// Lines in all: activity, and what follows from it (labels, results, repetitions).
    pub events: u64,
    /// At least 2; merchants and items at least 1.
    pub people: u64,
    pub merchants: u64,
    pub items: u64,
    /// The clock at the first event.
    pub start: Timestamp,
    /// Between two activities.
    pub gap_mean: Duration,
    pub mix: Mix,
    pub oddities: Oddities,
    pub crime: Crime,
}

/// What people do; what is left over are interactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    pub payments: u32,
    pub transfers: u32,
    pub sessions: u32,
}

/// How often the stream is out of order, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oddities {
    /// Activities at the very moment of the one before.
    pub ties: u32,
    /// Silences before an activity, of at most `silence_max`.
    pub silences: u32,
    pub silence_max: Duration,
    /// Events up to half a minute behind the clock.
    pub disorder: u32,
    /// Events up to `late_max` behind the clock.
    pub late: u32,
    pub late_max: Duration,
    /// Events behind the clock by one to three times `too_old_min`.
    pub too_old: u32,
    pub too_old_min: Duration,
    /// Events 32 to 72 days ahead of the clock: farther than a file's time may jump (`jump_max`, 31 days). A nearer one, in a file that
    /// nothing but its own times dates, is believed, and what follows is then too old.
    pub future_dated: u32,
    /// Events sent again as they were.
    pub duplicates: u32,
    /// Ids sent again with other content.
    pub conflicts: u32,
    /// Labels and results whose target nobody sent.
    pub unknown_targets: u32,
}

/// Attacks and laundering, and how they become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crime {
    /// Payments that begin an attack on a person.
    pub attacks: u32,
    /// Transfers that launder.
    pub laundering: u32,
    /// Labels come after a time of at most this.
    pub label_delay_max: Duration,
    /// Fraud labels that an analyst takes back later.
    pub overruled: u32,
}

/// Names and descriptions of the worlds that [`World::named`] knows.
pub fn worlds() -> &'static [(&'static str, &'static str)] {
    &[
        ("small", "four hundred people, one event in 20 s: every kind of event, hubs, fraud, disorder, reversals"),
        ("tiny", "two dozen people, one event in 25 min: windows expire and rings wrap often"),
    ]
}

/// A name that is none of [`worlds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWorld {
    pub name: String,
}

impl fmt::Display for UnknownWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = worlds().iter().map(|(name, _)| *name).collect();
        write!(f, "world is {:?}, expected one of: {}", self.name, names.join(", "))
    }
}

impl std::error::Error for UnknownWorld {}

impl World {
    /// The world called `name`; an error that lists the names where there is none.
    pub fn named(name: &str, seed: u64, events: u64) -> Result<World, UnknownWorld> {
        match name {
            "small" => Ok(World::small(seed, events)),
            "tiny" => Ok(World::tiny(seed, events)),
            _ => Err(UnknownWorld { name: name.to_owned() }),
        }
    }

    /// A sample of everything, for tests and for a first look.
    pub fn small(seed: u64, events: u64) -> World {
        World {
            seed,
            events,
            people: 400,
            merchants: 60,
            items: 300,
            // 2025-01-01.
            start: Timestamp(1_735_689_600_000_000),
            gap_mean: Duration::SECOND.times(20),
            mix: Mix { payments: 4000, transfers: 500, sessions: 2000 },
            oddities: Oddities {
                ties: 300,
                silences: 2,
                silence_max: Duration::DAY.times(9),
                disorder: 300,
                late: 100,
                late_max: Duration::DAY.times(2),
                too_old: 10,
                too_old_min: Duration::DAY.times(8),
                future_dated: 15,
                duplicates: 100,
                conflicts: 15,
                unknown_targets: 20,
            },
            crime: Crime { attacks: 40, laundering: 200, label_delay_max: Duration::DAY.times(3), overruled: 2500 },
        }
    }

    /// Few entities, long gaps and much disorder, for tests against the naive model.
    pub fn tiny(seed: u64, events: u64) -> World {
        World {
            people: 24,
            merchants: 8,
            items: 20,
            gap_mean: Duration::MINUTE.times(25),
            oddities: Oddities {
                ties: 800,
                silences: 30,
                silence_max: Duration::DAY.times(30),
                disorder: 500,
                late: 800,
                late_max: Duration::DAY.times(6),
                duplicates: 200,
                ..World::small(seed, events).oddities
            },
            crime: Crime { attacks: 200, laundering: 1000, label_delay_max: Duration::DAY.times(12), overruled: 3000 },
            ..World::small(seed, events)
        }
    }

    /// The world's events in the order in which they are sent.
    pub fn stream(&self) -> Stream {
        Stream {
            chance: Chance::new(self.seed),
            next_activity: self.start,
            sent: 0,
            serial: 0,
            waiting: BinaryHeap::new(),
            recent: VecDeque::with_capacity(RECENT_MAX),
            attack: None,
            world: self.clone(),
        }
    }
}

/// How many things to come are kept; beyond it nothing more is promised until one of them has happened.
const WAITING_MAX: usize = 65_536;
/// How many events may be sent again.
const RECENT_MAX: usize = 64;

/// Something that will be sent when the clock reaches `due`.
#[derive(Clone, Debug)]
struct Waiting {
    due: Timestamp,
    /// The order among those due at the same moment.
    serial: u64,
    happening: Happening,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        (self.due, self.serial) == (other.due, other.serial)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

/// A world's events, one by one.
#[derive(Clone, Debug)]
pub struct Stream {
    world: World,
    chance: Chance,
    /// The clock at the activity that comes next.
    next_activity: Timestamp,
    sent: u64,
    /// Makes ids unique.
    serial: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Sent lately; the newest last.
    recent: VecDeque<Happening>,
    attack: Option<Attack>,
}

impl Iterator for Stream {
    type Item = Happening;

    fn next(&mut self) -> Option<Happening> {
        if self.sent == self.world.events {
            return None;
        }
        self.sent += 1;
        // At equal times activity goes before what follows from it.
        if self.waiting.peek().is_some_and(|Reverse(first)| first.due < self.next_activity) {
            let Reverse(first) = self.waiting.pop().expect("peeked");
            if first.happening.oddity == Oddity::None {
                self.repeat(&first.happening, first.due);
            }
            return Some(first.happening);
        }
        let clock = self.next_activity;
        self.next_activity = self.after(clock);
        let mut happening = self.activity(clock);
        self.misdate(&mut happening, clock);
        self.repeat(&happening, clock);
        Some(happening)
    }
}

impl Stream {
    /// The moment of the activity that follows one at `clock`.
    fn after(&mut self, clock: Timestamp) -> Timestamp {
        let oddities = self.world.oddities;
        if self.chance.happens(oddities.ties) {
            return clock;
        }
        if self.chance.happens(oddities.silences) {
            return clock + Duration(self.chance.between(1, oddities.silence_max.0));
        }
        clock + Duration(self.chance.between(1, 2 * self.world.gap_mean.0))
    }

    /// Perhaps gives the event another time than the clock's.
    fn misdate(&mut self, happening: &mut Happening, clock: Timestamp) {
        if happening.oddity != Oddity::None {
            return;
        }
        let oddities = self.world.oddities;
        let (oddity, shift) = if self.chance.happens(oddities.disorder) {
            (Oddity::Disorder, -self.chance.between(1, Duration::SECOND.times(30).0))
        } else if self.chance.happens(oddities.late) {
            (Oddity::Late, -self.chance.between(Duration::MINUTE.0, oddities.late_max.0))
        } else if self.chance.happens(oddities.too_old) {
            (Oddity::TooOld, -self.chance.between(oddities.too_old_min.0, 3 * oddities.too_old_min.0))
        } else if self.chance.happens(oddities.future_dated) {
            (Oddity::FutureDated, self.chance.between(Duration::DAY.times(32).0, Duration::DAY.times(72).0))
        } else {
            return;
        };
        happening.time = clock + Duration(shift);
        happening.oddity = oddity;
    }

    /// Perhaps sends something again that was sent lately.
    fn repeat(&mut self, happening: &Happening, clock: Timestamp) {
        let oddities = self.world.oddities;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(happening.clone());
        let again = |stream: &mut Stream| {
            let place = stream.chance.below(stream.recent.len() as u64) as usize;
            let due = clock + Duration(stream.chance.between(0, 4 * stream.world.gap_mean.0));
            (stream.recent[place].clone(), due)
        };
        if self.chance.happens(oddities.duplicates) {
            let (mut copy, due) = again(self);
            copy.oddity = Oddity::Duplicate;
            self.promise(due, copy);
        }
        if self.chance.happens(oddities.conflicts) {
            let (mut copy, due) = again(self);
            copy.oddity = Oddity::Conflict;
            if let Text::Payment { amount, .. } | Text::Transfer { amount, .. } = &mut copy.body {
                *amount += 1;
            } else {
                copy.time = copy.time + Duration(1);
            }
            self.promise(due, copy);
        }
    }

    /// Sends `happening` when the clock has reached `due`.
    fn promise(&mut self, due: Timestamp, happening: Happening) {
        if self.waiting.len() < WAITING_MAX {
            self.serial += 1;
            self.waiting.push(Reverse(Waiting { due, serial: self.serial, happening }));
        }
    }

    /// A new id that begins with `letter`.
    fn new_id(&mut self, letter: char) -> String {
        self.serial += 1;
        format!("{letter}{}", self.serial)
    }

    /// A moment after `clock`, at most `delay_max` later.
    fn later(&mut self, clock: Timestamp, delay_max: Duration) -> Timestamp {
        clock + Duration(self.chance.between(1, delay_max.0))
    }

    fn promise_label(&mut self, due: Timestamp, target: &str, label: Verdict, source: LabelSource, scenario: Option<&'static str>) {
        let id = self.new_id('l');
        let body = Text::Label { target: target.to_owned(), label, source, scenario, user: None, from: None };
        self.promise(due, Happening { id, time: due, body, oddity: Oddity::None });
    }

    fn promise_result(&mut self, due: Timestamp, target: &str, status: PaymentStatus, amount: Option<i64>, reason: Option<&'static str>) {
        let id = self.new_id('r');
        let body = Text::PaymentResult { target: target.to_owned(), status, amount, reason, user: None };
        self.promise(due, Happening { id, time: due, body, oddity: Oddity::None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IdKey;
    use std::collections::BTreeMap;

    fn bytes(world: &World) -> Vec<u8> {
        let mut out = Vec::new();
        for happening in world.stream() {
            happening.write_json(&mut out);
            out.push(b'\n');
        }
        out
    }

    fn digest(bytes: &[u8]) -> String {
        use sha2::Digest;
        sha2::Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whoever changes a world changes every figure that was measured on it, and must know it.
    #[test]
    fn golden_bytes() {
        assert_eq!(digest(&bytes(&World::small(1, 3000))), "7cd869a770208bd2");
        assert_eq!(digest(&bytes(&World::tiny(1, 3000))), "1d35a469b417feb3");
    }

    #[test]
    fn a_seed_is_a_world() {
        assert_eq!(bytes(&World::small(5, 500)), bytes(&World::small(5, 500)));
        assert_ne!(bytes(&World::small(5, 500)), bytes(&World::small(6, 500)));
        // A longer stream begins like the shorter one.
        assert!(bytes(&World::small(5, 600)).starts_with(&bytes(&World::small(5, 500))));
    }

    #[test]
    fn worlds_have_names() {
        for (name, _) in worlds() {
            assert_eq!(World::named(name, 3, 100).unwrap().stream().count(), 100);
        }
        let error = World::named("large", 1, 1).unwrap_err();
        assert_eq!(error.to_string(), "world is \"large\", expected one of: small, tiny");
    }

    #[test]
    fn every_line_is_json_of_a_known_type() {
        let mut line = Vec::new();
        for happening in World::tiny(2, 3000).stream() {
            line.clear();
            happening.write_json(&mut line);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["id"], happening.id.as_str());
            assert!(crate::event::EventType::parse(value["type"].as_str().unwrap()).is_some());
            let time: jiff::Timestamp = value["time"].as_str().unwrap().parse().unwrap();
            assert_eq!(time.as_microsecond(), happening.time.0);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]
        /// What is written is read as the tests take it to be: otherwise the referee judges another stream than the program.
        #[test]
        fn a_line_read_is_the_event_meant(seed in 0u64..u64::MAX, tiny in proptest::bool::ANY) {
            let world = if tiny { World::tiny(seed, 400) } else { World::small(seed, 400) };
            let mut reading = crate::ingress::Reading::new(IdKey::FILES, 64);
            let mut line = Vec::new();
            for happening in world.stream() {
                line.clear();
                happening.write_json(&mut line);
                let read = crate::ingress::wire::parse_event(&line, &mut reading, &mut ());
                proptest::prop_assert_eq!(read.unwrap(), happening.to_event(&IdKey::FILES));
            }
        }
    }

    #[test]
    fn the_default_mix() {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for happening in World::small(1, 30_000).stream() {
            *counts.entry(happening.body.kind_name()).or_default() += 1;
        }
        let activity = counts["payment"] + counts["transfer"] + counts["session"] + counts["interaction"];
        let share = |kind| counts[kind] * 1000 / activity;
        assert!((385..415).contains(&share("payment")), "{counts:?}");
        assert!((40..60).contains(&share("transfer")), "{counts:?}");
        assert!(counts.len() == 9, "every type: {counts:?}");
        assert!(activity > 24_000, "{counts:?}");
    }

    #[test]
    fn both_worlds_have_every_oddity_hubs_reversals_and_foreign_money() {
        for world in [World::small(1, 20_000), World::tiny(1, 20_000)] {
            let mut oddities: BTreeMap<Oddity, u64> = BTreeMap::new();
            let mut verdicts: BTreeMap<String, Vec<(Verdict, LabelSource)>> = BTreeMap::new();
            let mut merchants: BTreeMap<String, u64> = BTreeMap::new();
            let mut currencies: BTreeMap<&str, u64> = BTreeMap::new();
            let mut payments = 0;
            for happening in world.stream() {
                *oddities.entry(happening.oddity).or_default() += 1;
                match happening.body {
                    Text::Payment { merchant, currency, .. } => {
                        payments += 1;
                        *merchants.entry(merchant).or_default() += 1;
                        *currencies.entry(currency).or_default() += 1;
                    }
                    Text::Label { target, label, source, .. } if happening.oddity == Oddity::None => {
                        verdicts.entry(target).or_default().push((label, source));
                    }
                    _ => {}
                }
            }
            assert_eq!(oddities.len(), 8, "{oddities:?}");
            assert!(oddities.values().all(|count| *count >= 5), "{oddities:?}");
            let reversed = |labels: &&Vec<(Verdict, LabelSource)>| {
                labels[0].0 == Verdict::Fraud && labels.last() == Some(&(Verdict::Legitimate, LabelSource::Analyst))
            };
            assert!(verdicts.values().filter(reversed).count() >= 5);
            assert!(merchants["m0"] * 7 > payments, "a hub: {merchants:?}");
            assert!(["EUR", "SEK", "NOK"].iter().all(|currency| currencies[currency] > payments / 100), "{currencies:?}");
        }
    }

    #[test]
    fn the_clock_of_normal_events_never_runs_back() {
        let mut clock = Timestamp::MIN;
        for happening in World::tiny(9, 5000).stream().filter(|happening| happening.oddity == Oddity::None) {
            assert!(happening.time >= clock);
            clock = happening.time;
        }
    }
}
