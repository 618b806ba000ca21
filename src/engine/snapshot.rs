//! Ground state to bytes and back.
//!
//! Ground is everything whose value depends on what is no longer visible: rings, nodes, states, ids judged, late rows that found room, the
//! order of returned records, lists, positions in topics, what waits, counters of the guard. What can be recomputed to the bit (recent positions, counters, pairs, tails) is not written: restoring
//! rebuilds it. The state hash is the BLAKE3 hash of these very bytes, without their head and the course: the course tells how the state
//! came about, and two engines whose state is one may have come there by other decisions.

use super::{Counts, Engine, NO_MODEL};
use crate::event::Timestamp;
use crate::graph::{Cursor, Family, Head, NodeId, Row, STATE_WORDS, state};
use crate::velocity::{Gaps, LateRow};
use std::fmt;
use std::io::{self, Read, Write};

const MAGIC: [u8; 8] = *b"weirsnap";
/// Changes whenever the layout of the bytes does.
const VERSION: u32 = 7;

/// Why a snapshot cannot be restored.
#[derive(Debug)]
pub enum SnapshotError {
    Io(io::Error),
    /// What was found and what was expected.
    Invalid(String),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Io(error) => write!(f, "snapshot: {error}"),
            SnapshotError::Invalid(message) => write!(f, "snapshot: {message}"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> SnapshotError {
        SnapshotError::Io(error)
    }
}

impl From<String> for SnapshotError {
    fn from(message: String) -> SnapshotError {
        SnapshotError::Invalid(message)
    }
}

struct Sink<'a>(&'a mut dyn Write);

impl Sink<'_> {
    fn u32(&mut self, value: u32) -> io::Result<()> {
        self.0.write_all(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> io::Result<()> {
        self.0.write_all(&value.to_le_bytes())
    }

    fn time(&mut self, time: Timestamp) -> io::Result<()> {
        self.u64(time.0 as u64)
    }
}

struct Source<'a>(&'a mut dyn Read);

impl Source<'_> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn time(&mut self) -> io::Result<Timestamp> {
        Ok(Timestamp(self.u64()? as i64))
    }

    /// A length that what follows must keep to.
    fn length(&mut self, max: usize, what: &str) -> Result<usize, SnapshotError> {
        let length = self.u64()?;
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= max)
            .ok_or_else(|| SnapshotError::Invalid(format!("found {length} {what}, expected at most {max}")))
    }
}

impl Engine {
    /// Writes the ground state. The writer sees many small pieces: buffer it.
    pub fn write_snapshot(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut sink = Sink(out);
        sink.0.write_all(&MAGIC)?;
        sink.u32(VERSION)?;
        sink.u64(self.course.hash)?;
        self.write_state(&mut sink)
    }

    fn write_state(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        sink.0.write_all(&self.provenance.topology)?;
        sink.0.write_all(&self.provenance.policy)?;
        sink.0.write_all(&self.policy_before().unwrap_or_default())?;
        self.models_named().iter().try_for_each(|name| sink.0.write_all(name))?;
        sink.time(self.now)?;
        sink.u64(self.counts.duplicates)?;
        sink.u64(self.counts.late)?;
        self.write_judged(sink)?;
        self.write_nodes(sink)?;
        Family::ALL.into_iter().try_for_each(|family| self.write_family(family, sink))?;
        self.write_lists(sink)?;
        self.write_sources(sink)?;
        let (waiting, mut entries) = self.waiting.ground();
        sink.u64(waiting as u64)?;
        entries.try_for_each(|(slot, entry)| [slot].into_iter().chain(entry).try_for_each(|word| sink.u64(word)))?;
        self.guard.ground().iter().try_for_each(|word| sink.u64(*word))?;
        let (tail, head, words) = self.evidence.ground();
        [tail, head].into_iter().chain(words).try_for_each(|word| sink.u64(word))?;
        self.alerts.ground(|word| sink.u64(word))?;
        self.suspicions.ground(|word| sink.u64(word))
    }

    /// The names of the model in force and of the one before it.
    fn models_named(&self) -> [[u8; 16]; 2] {
        [self.provenance.model.unwrap_or(NO_MODEL), self.model_before]
    }

    fn write_lists(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        sink.time(self.lists.earliest())?;
        sink.u64(self.lists.len() as u64)?;
        self.lists.ground().try_for_each(|(slot, entry)| {
            sink.u64(slot as u64)?;
            entry.iter().try_for_each(|word| sink.u64(*word))
        })
    }

    fn write_sources(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        let (mut lags, len, mut positions) = self.sources.ground();
        lags.try_for_each(|lag| sink.u64(lag))?;
        sink.u64(len as u64)?;
        positions.try_for_each(|(slot, entry)| [slot].into_iter().chain(entry).try_for_each(|word| sink.u64(word)))
    }

    fn restore_lists(&mut self, source: &mut Source<'_>) -> Result<(), SnapshotError> {
        let earliest = source.time()?;
        let length = source.length(self.options.lists.entries_max as usize, "entries of lists")?;
        let mut entries = Vec::with_capacity(length);
        for _ in 0..length {
            entries.push((source.u64()?, [source.u64()?, source.u64()?, source.u64()?, source.u64()?, source.u64()?]));
        }
        Ok(self.lists.restore(earliest, &entries)?)
    }

    fn write_judged(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        sink.u64(self.judged.tail())?;
        sink.time(self.judged.forgotten())?;
        sink.u64(self.judged.len())?;
        self.judged.ground().flatten().try_for_each(|word| sink.u64(*word))
    }

    fn write_nodes(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        let nodes = &self.graph.nodes;
        sink.u64(nodes.len() as u64)?;
        for (node, tag) in (0..).map(NodeId).zip(nodes.tags()) {
            sink.u32(tag)?;
            sink.0.write_all(&nodes.to_bytes(node))?;
        }
        let dormant = nodes.dormant();
        sink.u32(dormant.0)?;
        sink.u32(dormant.1)
    }

    fn write_family(&self, family: Family, sink: &mut Sink<'_>) -> io::Result<()> {
        let ring = &self.graph.rings[family as usize];
        for cursor in [ring.tail(), ring.head()] {
            sink.u64(cursor.ordinal)?;
            sink.u32(cursor.position)?;
        }
        let mut place = ring.tail();
        while place.ordinal < ring.head().ordinal {
            sink.0.write_all(&ring.row(place.position).to_bytes())?;
            place = ring.after(place);
        }
        let warm = &self.graph.warm[family as usize];
        let (fresh, returned) = warm.ground();
        sink.u32(fresh)?;
        sink.u64(returned.len() as u64)?;
        returned.iter().try_for_each(|record| sink.u32(*record))?;
        // States in the order of nodes: records in the pool lie in no order that means anything.
        for node in 0..self.graph.nodes.len() as u32 {
            if let Head::Warm(record) = self.graph.nodes.head(NodeId(node), family) {
                state::ground(warm.record(record)).iter().try_for_each(|word| sink.u32(*word))?;
            }
        }
        let velocity = &self.velocity[family as usize];
        let gaps = velocity.gaps();
        for time in [gaps.dropped, gaps.late_full, gaps.pairs_full_until] {
            sink.time(time)?;
        }
        sink.u64(velocity.late_rows().len() as u64)?;
        for row in velocity.late_rows() {
            sink.time(row.time)?;
            sink.u32(row.position)?;
        }
        Ok(())
    }

    /// BLAKE3 of the ground state.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut hasher = io::BufWriter::with_capacity(1 << 16, blake3::Hasher::new());
        self.write_state(&mut Sink(&mut hasher)).expect("a hasher takes everything");
        let hasher = hasher.into_inner().unwrap_or_else(|_| unreachable!("a hasher takes everything"));
        *hasher.finalize().as_bytes()
    }

    /// Restores a fresh engine, built from the options under which the snapshot was written, and rebuilds what is derived.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version and topology, or end early; the engine is then of no use.
    pub fn restore_snapshot(&mut self, input: &mut dyn Read) -> Result<(), SnapshotError> {
        let mut source = Source(input);
        let magic: [u8; 8] = source.bytes()?;
        if magic != MAGIC {
            return Err(SnapshotError::Invalid(format!("found a file that begins with {magic:02x?}, expected {MAGIC:02x?}")));
        }
        let version = source.u32()?;
        if version != VERSION {
            return Err(SnapshotError::Invalid(format!("found format {version}, expected {VERSION}")));
        }
        let course = source.u64()?;
        let topology: [u8; 16] = source.bytes()?;
        if topology != self.provenance.topology {
            return Err(SnapshotError::Invalid("it was written under another topology".to_owned()));
        }
        let policies: [[u8; 16]; 2] = [source.bytes()?, source.bytes()?];
        if policies != [self.provenance.policy, self.policy_before().unwrap_or_default()] {
            return Err(SnapshotError::Invalid("it was written under another policy, or after another one".to_owned()));
        }
        if [source.bytes()?, source.bytes()?] != self.models_named() {
            return Err(SnapshotError::Invalid("it was written under another model, or after another one".to_owned()));
        }
        let now = source.time()?;
        self.counts = Counts { duplicates: source.u64()?, late: source.u64()? };
        self.course.hash = course;
        self.restore_judged(&mut source)?;
        self.restore_nodes(&mut source)?;
        Family::ALL.into_iter().try_for_each(|family| self.restore_family(family, now, &mut source))?;
        self.restore_lists(&mut source)?;
        self.sources.restore::<SnapshotError>(|| Ok(source.u64()?))?;
        self.waiting.restore::<SnapshotError>(|| Ok(source.u64()?))?;
        let mut counters = vec![0; self.guard.ground().len()];
        for word in &mut counters {
            *word = source.u64()?;
        }
        self.guard.restore(&counters);
        self.guard.check()?;
        let (tail, head) = (source.u64()?, source.u64()?);
        self.evidence.restore::<SnapshotError>(tail, head, || Ok(source.u64()?))?;
        self.alerts.restore::<SnapshotError>(|| Ok(source.u64()?))?;
        self.suspicions.restore::<SnapshotError>(|| Ok(source.u64()?))?;
        self.now = now;
        Ok(())
    }

    fn restore_judged(&mut self, source: &mut Source<'_>) -> Result<(), SnapshotError> {
        let (tail, forgotten) = (source.u64()?, source.time()?);
        let length = source.length(self.options.limits.ids_max as usize, "ids")?;
        let mut entries = Vec::with_capacity(length);
        for _ in 0..length {
            entries.push([source.u64()?, source.u64()?, source.u64()?, source.u64()?, source.u64()?]);
        }
        Ok(self.judged.restore(tail, forgotten, entries.into_iter())?)
    }

    fn restore_nodes(&mut self, source: &mut Source<'_>) -> Result<(), SnapshotError> {
        let length = source.length(self.options.limits.nodes_max as usize, "nodes")?;
        for _ in 0..length {
            let tag = source.u32()?;
            self.graph.nodes.restore(tag, &source.bytes()?)?;
        }
        let dormant = (source.u32()?, source.u32()?);
        self.graph.nodes.restore_dormant(dormant);
        Ok(())
    }

    fn restore_family(&mut self, family: Family, now: Timestamp, source: &mut Source<'_>) -> Result<(), SnapshotError> {
        let limits = self.options.limits.families[family as usize];
        let mut cursor = || Ok::<_, io::Error>(Cursor { ordinal: source.u64()?, position: source.u32()? });
        let (tail, head) = (cursor()?, cursor()?);
        let ring = &mut self.graph.rings[family as usize];
        ring.restore(tail, head)?;
        let mut place = tail;
        while place.ordinal < head.ordinal {
            ring.restore_row(place, Row::from_bytes(&source.bytes()?));
            place = ring.after(place);
        }
        let fresh = source.u32()?;
        let length = source.length(limits.warm_nodes_max as usize, "returned warm records")?;
        let mut returned = Vec::with_capacity(length);
        for _ in 0..length {
            returned.push(source.u32()?);
        }
        let warm = &mut self.graph.warm[family as usize];
        warm.restore(fresh, &returned)?;
        for node in 0..self.graph.nodes.len() as u32 {
            if let Head::Warm(record) = self.graph.nodes.head(NodeId(node), family) {
                if record >= fresh {
                    return Err(SnapshotError::Invalid(format!("node {node} has warm record {record} of {fresh}")));
                }
                let words: [u32; STATE_WORDS] = {
                    let mut words = [0; STATE_WORDS];
                    for word in &mut words {
                        *word = source.u32()?;
                    }
                    words
                };
                state::ground_mut(warm.record_mut(record)).copy_from_slice(&words);
            }
        }
        let gaps = Gaps { dropped: source.time()?, late_full: source.time()?, pairs_full_until: source.time()? };
        let length = source.length(limits.late_rows_max as usize, "late rows")?;
        let mut late = Vec::with_capacity(length);
        for _ in 0..length {
            late.push(LateRow::new(source.time()?, source.u32()?));
        }
        Ok(self.velocity[family as usize].rebuild(&mut self.graph, now, gaps, &late)?)
    }

    /// BLAKE3 of what is derived: counters and recent positions of the warm nodes, pairs. A restored engine must agree with the one that
    /// was written.
    pub fn derived_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for family in Family::ALL {
            for node in (0..self.graph.nodes.len() as u32).map(NodeId) {
                let Head::Warm(record) = self.graph.nodes.head(node, family) else { continue };
                let words = self.graph.warm[family as usize].record(record);
                // Positions that are no longer visible may still stand in a record; only those that lead somewhere count.
                for position in self.graph.recent(family, node).positions() {
                    hasher.update(&position.to_le_bytes());
                }
                for word in &words[crate::graph::COUNTERS_AT..] {
                    hasher.update(&word.to_le_bytes());
                }
            }
            for (key, pair) in self.velocity[family as usize].pairs().sorted() {
                hasher.update(&key.to_le_bytes());
                hasher.update(&pair.newest.to_le_bytes());
                hasher.update(&pair.count.to_le_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}
