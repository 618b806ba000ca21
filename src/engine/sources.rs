//! What the engine knows of topics that it is fed from: up to where each partition was taken, and how far behind each source is.
//!
//! Both follow from the records alone. Positions are ground state, so a snapshot says where to read on; the lag is that of the latest record
//! that tells of it, and stands in the decisions behind it where it is more than the source may be behind.

use super::options::SourceTime;
use crate::decision::{Part, Skip, Skips, Why};
use crate::event::{Origin, SourceLag};
use crate::memory::Slots;
use crate::memory::image::{Table, Used, Words, front};

/// Words an entry: source and partition, the next offset.
const ENTRY: usize = 2;
/// Partitions, of all sources together.
pub const PARTITIONS_MAX: u32 = 1_024;
/// Sources that are topics.
pub const TOPICS_MAX: usize = 64;

/// Where one partition is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub source: u16,
    pub partition: u32,
    /// Everything before this offset was taken.
    pub next: u64,
}

/// The topics that the engine is fed from.
pub struct Sources {
    /// Those among the sources, in their order.
    topics: Vec<Topic>,
    slots: Slots<ENTRY>,
    len: usize,
}

struct Topic {
    source: u16,
    fresh_ms_max: u64,
    /// As the latest record says.
    behind_ms: u64,
}

fn word(source: u16, partition: u32) -> u64 {
    (u64::from(source) + 1) << 32 | u64::from(partition)
}

/// Where an entry is at home: few entries, whose lower bits alone differ, are spread.
fn hash(word: u64) -> u64 {
    word.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Position {
    fn of([name, next]: &[u64; ENTRY]) -> Position {
        Position { source: ((name >> 32) - 1) as u16, partition: *name as u32, next: *next }
    }
}

impl Sources {
    pub(super) fn new(sources: &[SourceTime], progress: &mut dyn FnMut(usize)) -> Sources {
        let topics = (0..).zip(sources).filter_map(|(source, time)| {
            let fresh_ms_max = time.fresh_max?.0.unsigned_abs() / 1_000;
            Some(Topic { source, fresh_ms_max, behind_ms: 0 })
        });
        let topics: Vec<Topic> = topics.collect();
        let slots = Slots::new(if topics.is_empty() { 0 } else { PARTITIONS_MAX }, progress);
        Sources { topics, slots, len: 0 }
    }

    /// Takes note of a record's origin. The runtime reads no more partitions than there are places.
    #[inline]
    pub(super) fn note(&mut self, origin: Origin) {
        if self.topics.is_empty() || !self.topics.iter().any(|topic| topic.source == origin.source) {
            return;
        }
        let name = word(origin.source, origin.partition);
        let slot = self.slots.seek(hash(name), |first| first == name);
        if self.slots.word(slot, 0) == 0 {
            assert!(self.len < PARTITIONS_MAX as usize, "the runtime reads at most {PARTITIONS_MAX} partitions");
            self.slots.put(slot, &[name, origin.offset + 1]);
            self.len += 1;
        } else if self.slots.word(slot, 1) <= origin.offset {
            self.slots.set(slot, 1, origin.offset + 1);
        }
    }

    /// A source is so far behind from here on.
    pub(super) fn tell(&mut self, lag: SourceLag) {
        if let Some(topic) = self.topics.iter_mut().find(|topic| topic.source == lag.source) {
            topic.behind_ms = lag.behind_ms;
        }
    }

    /// Adds the sources that are further behind than they may be.
    #[inline]
    pub(super) fn missing(&self, skips: &mut Skips) {
        for topic in self.topics.iter().filter(|topic| topic.behind_ms > topic.fresh_ms_max) {
            let (value, window) = ((topic.behind_ms / 1_000) as i64, i64::from(topic.source));
            skips.push(Skip { part: Part::Stream, why: Why::Behind, value, window });
        }
    }

    /// Where every partition is read on that a record came from, in the order of the table.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.slots.entries().map(|(_, entry)| Position::of(entry))
    }

    /// All that is ground: the lags, and the positions with their slots.
    pub(super) fn ground(&self) -> (impl Iterator<Item = u64>, usize, impl Iterator<Item = (u64, [u64; ENTRY])>) {
        let entries = self.slots.entries().map(|(slot, entry)| (slot as u64, *entry));
        (self.topics.iter().map(|topic| topic.behind_ms), self.len, entries)
    }

    /// Restores fresh sources from what [`Sources::ground`] gave, word by word: the lags, how many positions, each with its slot.
    pub(super) fn restore<E: From<String>>(&mut self, mut next: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        for topic in &mut self.topics {
            topic.behind_ms = next()?;
        }
        let len = next()?;
        if len > self.slots.count() as u64 {
            return Err(format!("found {len} positions, expected at most {PARTITIONS_MAX}").into());
        }
        self.slots.restore((0..len).map(|_| Ok::<_, E>((next()?, [next()?, next()?]))), "positions")?;
        self.len = len as usize;
        Ok(self.check()?)
    }

    /// The table of positions; an entry may stand anywhere.
    pub(super) fn table(&mut self) -> (&'static str, Used, &mut dyn Table) {
        let (used, table) = self.slots.table();
        ("positions", if self.len == 0 { front(0) } else { used }, table)
    }

    /// Writes its numbers.
    pub(super) fn words(&self, out: &mut Vec<u64>) {
        out.push(self.len as u64);
        out.extend(self.topics.iter().map(|topic| topic.behind_ms));
    }

    /// Puts back what [`Sources::words`] wrote.
    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.len = words.at_most(PARTITIONS_MAX as usize, "positions")?;
        for topic in &mut self.topics {
            topic.behind_ms = words.word()?;
        }
        Ok(())
    }

    /// Whether every position stands where a search finds it, and is of a topic.
    pub(super) fn check(&self) -> Result<(), String> {
        self.slots.check(self.len, |entry| match Position::of_known(entry, &self.topics) {
            true => Ok(hash(entry[0])),
            false => Err("found a position of a source that is no topic".to_owned()),
        })
    }
}

impl Position {
    fn of_known(entry: &[u64; ENTRY], topics: &[Topic]) -> bool {
        topics.iter().any(|topic| u64::from(topic.source) + 1 == entry[0] >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Duration;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sources() -> Sources {
        let time = |fresh_max| SourceTime { jump_max: None, maturity: None, fresh_max };
        Sources::new(&[time(None), time(Some(Duration::SECOND)), time(Some(Duration::MINUTE))], &mut |_| {})
    }

    proptest! {
        /// Caught when planted: the offset itself for the one behind it; a position that an old record takes back.
        #[test]
        fn positions_are_the_greatest_offsets(records in prop::collection::vec((0u16..4, 0u32..200, 0u64..50), 0..300)) {
            let (mut sources, mut map) = (sources(), BTreeMap::new());
            for (source, partition, offset) in records {
                sources.note(Origin { source, partition, offset });
                if source == 1 || source == 2 {
                    let next = map.entry((source, partition)).or_insert(0);
                    *next = (offset + 1).max(*next);
                }
            }
            let mut positions: Vec<Position> = sources.positions().collect();
            positions.sort();
            let expected = map.iter().map(|((source, partition), next)| Position { source: *source, partition: *partition, next: *next });
            prop_assert_eq!(&positions, &expected.collect::<Vec<_>>());
            sources.check().unwrap();
            let (lags, len, entries) = sources.ground();
            let mut words = lags.chain([len as u64]).chain(entries.flat_map(|(slot, [name, next])| [slot, name, next])).collect::<Vec<_>>();
            words.reverse();
            let mut restored = self::sources();
            restored.restore::<String>(|| words.pop().ok_or("too few".to_owned())).unwrap();
            prop_assert!(restored.positions().eq(sources.positions()));
        }
    }

    #[test]
    fn a_source_is_behind_as_the_latest_record_says() {
        let mut sources = sources();
        let missing = |sources: &Sources| {
            let mut skips = Skips::default();
            sources.missing(&mut skips);
            skips.as_slice().iter().map(|skip| (skip.window, skip.value)).collect::<Vec<_>>()
        };
        for (source, behind_ms) in [(0, 1 << 40), (1, 1_000), (2, 412_900), (7, 1 << 40)] {
            sources.tell(SourceLag { source, behind_ms });
        }
        assert_eq!(missing(&sources), [(2, 412)]);
        sources.tell(SourceLag { source: 1, behind_ms: 1_001 });
        assert_eq!(missing(&sources), [(1, 1), (2, 412)]);
        sources.tell(SourceLag { source: 2, behind_ms: 60_000 });
        assert_eq!(missing(&sources), [(1, 1)]);
    }
}
