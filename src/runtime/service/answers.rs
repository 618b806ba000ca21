//! What was answered: for each id within the horizon of idempotency where its answer stands in the output log.
//!
//! The judge writes here while doors read. Ids are spread over parts with a lock each, so that nobody waits for somebody who lost the
//! processor. A part is a ring with an index, of a size that never changes: nothing grows, and no look-up waits for a table that does.

use crate::decision::Decision;
use crate::engine::Output;
use crate::event::{Duration, Id, Timestamp};
use crate::graph::{Index, NodeId, tag};
use crate::journal::{Files, JournalError, Place, output_at};
use crate::memory::slots_for;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) fingerprint: u64,
    place: Place,
    /// Whether a stand-in gave it: then no judgement takes its place.
    fallback: bool,
}

/// The answers given.
pub(in crate::runtime) struct Answers {
    files: Arc<dyn Files>,
    outputs: PathBuf,
    parts: Box<[Mutex<Part>]>,
    /// Answers to events before it are forgotten.
    oldest: AtomicI64,
}

/// Parts with a lock each; a power of two.
const PARTS: usize = 64;

/// The ids of which the hash says that they stand here, in the order of their answers: the newest takes the place of the oldest.
struct Part {
    entries: Vec<Entry>,
    entries_max: usize,
    /// Whose entry goes next, once there are as many as there may be.
    oldest: usize,
    index: Index,
}

/// An id's half-words, so that an entry has the alignment of a word: 48 bytes, not 64.
#[derive(Clone, Copy)]
struct Entry {
    low: u64,
    high: u64,
    fingerprint: u64,
    place: Place,
    /// The event's time, doubled, and one more where a stand-in answered.
    time_and_fallback: i64,
}

impl Entry {
    fn new(id: Id, time: Timestamp, answered: Answered) -> Entry {
        let Answered { fingerprint, place, fallback } = answered;
        let time_and_fallback = time.0 << 1 | i64::from(fallback);
        Entry { low: id.low(), high: id.high(), fingerprint, place, time_and_fallback }
    }

    fn is_of(&self, id: Id) -> bool {
        (self.low, self.high) == (id.low(), id.high())
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.time_and_fallback >> 1)
    }

    fn answered(&self) -> Answered {
        Answered { fingerprint: self.fingerprint, place: self.place, fallback: self.time_and_fallback & 1 == 1 }
    }
}

impl Part {
    /// The most entries of a part, where `ids_max` ids are to be kept in all. Ids are keyed hashes: what of the latest `ids_max` falls to one
    /// part strays from the mean by its root. An eighth and 256 more is at least ten times that, at any number.
    fn entries_max(ids_max: u32) -> u32 {
        let mean = ids_max.div_ceil(PARTS as u32);
        mean + mean / 8 + 256
    }

    fn new(ids_max: u32) -> Part {
        let entries_max = Part::entries_max(ids_max);
        let (entries, index) = (Vec::with_capacity(entries_max as usize), Index::new(entries_max, &mut |_| {}));
        Part { entries, entries_max: entries_max as usize, oldest: 0, index }
    }

    fn find(&self, id: Id) -> Option<usize> {
        self.index.find(id, |number| self.entries[number.0 as usize].is_of(id)).map(|number| number.0 as usize)
    }

    fn insert(&mut self, id: Id, entry: Entry) {
        let number = if self.entries.len() < self.entries_max {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let number = self.oldest;
            self.oldest = if number + 1 == self.entries.len() { 0 } else { number + 1 };
            self.index.remove(NodeId(number as u32), |of| self.entries[of.0 as usize].low);
            self.entries[number] = entry;
            number
        };
        self.index.insert(tag(id), id.low(), NodeId(number as u32));
    }
}

impl Answers {
    /// No answers; they are to be found in the log in `outputs`. At least the latest `ids_max` are kept.
    pub(super) fn new(files: Arc<dyn Files>, outputs: PathBuf, ids_max: u32) -> Answers {
        let parts = (0..PARTS).map(|_| Mutex::new(Part::new(ids_max))).collect();
        Answers { files, outputs, parts, oldest: AtomicI64::new(Timestamp::MIN.0) }
    }

    /// Answers that find room, and bytes of each.
    pub(in crate::runtime) fn room(ids_max: u32) -> (u64, u64) {
        let each = Part::entries_max(ids_max);
        let bytes = u64::from(each) * size_of::<Entry>() as u64 + (slots_for(each) * Index::SLOT_BYTES) as u64;
        (u64::from(each) * PARTS as u64, bytes.div_ceil(u64::from(each)))
    }

    fn part(&self, id: Id) -> MutexGuard<'_, Part> {
        // The index takes the upper half of the same word.
        self.parts[id.low() as usize % PARTS].lock().expect("nobody panics with it")
    }

    /// Takes note of a decision that stands at `place`. A stand-in's is the answer, whatever comes before or behind it; one for other content
    /// than that which is known is nobody's.
    pub(super) fn note(&self, decision: &Decision, fingerprint: u64, place: Place) {
        let (id, fallback) = (decision.event, decision.is_stand_in());
        let answered = Answered { fingerprint, place, fallback };
        let mut part = self.part(id);
        match part.find(id) {
            None => part.insert(id, Entry::new(id, decision.time, answered)),
            Some(number) => {
                let entry = &mut part.entries[number];
                let known = entry.answered();
                if known.fingerprint == fingerprint && (fallback || !known.fallback) {
                    *entry = Entry::new(id, entry.time(), answered);
                }
            }
        }
    }

    /// Forgets answers to events before `now - horizon`.
    pub(super) fn forget(&self, now: Timestamp, horizon: Duration) {
        self.oldest.fetch_max((now - horizon).0, Ordering::Relaxed);
    }

    /// What is known of the answer for `id`.
    pub(super) fn get(&self, id: Id) -> Option<Answered> {
        let part = self.part(id);
        let entry = part.entries[part.find(id)?];
        (entry.time().0 >= self.oldest.load(Ordering::Relaxed)).then(|| entry.answered())
    }

    /// Reads the answer for `id` back.
    ///
    /// # Errors
    /// Where the output log cannot be read there, or holds another output.
    pub(super) fn read(&self, id: Id, answered: Answered) -> Result<Decision, JournalError> {
        match output_at(&*self.files, &self.outputs, answered.place)? {
            Output::Decision(decision) if decision.event == id => Ok(decision),
            other => Err(JournalError::Damaged {
                segment: self.outputs.clone(),
                offset: 0,
                what: format!("an output of record {} where the answer to another event was noted", other.sequence().0),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Outcome, Provenance, Status};
    use crate::event::{Answered as Told, EventType, IdKey, IdKind, Sequence, StandInWhy};
    use crate::journal::{Disk, LogOptions, OutputLog};
    use std::collections::BTreeMap;

    const HORIZON: Duration = Duration::HOUR;

    fn id(number: u64) -> Id {
        IdKey::FILES.id(IdKind::Event, &number.to_le_bytes())
    }

    fn decision(event: u64, sequence: u64, fallback: bool) -> Decision {
        let provenance = Provenance { model: None, policy: [0; 16], topology: [0; 16] };
        let told = Told {
            event: id(event),
            fingerprint: 0,
            kind: EventType::Payment,
            key: id(event),
            time: Timestamp(event as i64 * 1_000_000),
            outcome: Outcome::Approve as u8,
            revision: 1,
            why: StandInWhy::Deadline,
        };
        let decision = Decision::stand_in(Sequence(sequence), &told, provenance);
        Decision { status: if fallback { Status::Fallback } else { Status::Evaluated }, ..decision }
    }

    /// Against a map that is walked: which answer stands, that none of the latest `ids_max` is gone, and that the old ones are.
    #[test]
    fn the_latest_answers_stand_and_older_ones_give_way() {
        const IDS_MAX: u64 = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = OutputLog::open(Arc::new(Disk), dir.path(), LogOptions::default()).unwrap();
        let answers = Answers::new(Arc::new(Disk), dir.path().to_owned(), IDS_MAX as u32);
        let mut known: BTreeMap<u64, (u64, bool, Decision)> = BTreeMap::new();
        let events = 4 * IDS_MAX;
        for sequence in 0..events {
            // New, or one of before again: judged after a stand-in, a stand-in after it was judged, or with other content.
            let event = if sequence % 3 == 2 { sequence.saturating_sub(1 + sequence * 31 % 977) } else { sequence };
            let (fingerprint, fallback) = (event % 7 + u64::from(sequence % 11 == 0), sequence % 5 == 0);
            let decision = decision(event, sequence, fallback);
            let place = log.append(&Output::Decision(decision)).unwrap();
            answers.note(&decision, fingerprint, place);
            known
                .entry(event)
                .and_modify(|known| {
                    if known.0 == fingerprint && (fallback || !known.1) {
                        *known = (fingerprint, fallback, decision);
                    }
                })
                .or_insert((fingerprint, fallback, decision));
        }
        log.commit().unwrap();
        for (event, (fingerprint, fallback, decision)) in known.range(events - IDS_MAX..) {
            let answered = answers.get(id(*event)).unwrap_or_else(|| panic!("event {event} is gone"));
            assert_eq!((answered.fingerprint, answered.fallback), (*fingerprint, *fallback));
            if event % 100 == 0 {
                assert_eq!(answers.read(id(*event), answered).unwrap(), *decision);
            }
        }
        let (room, _) = Answers::room(IDS_MAX as u32);
        let held = known.keys().filter(|event| answers.get(id(**event)).is_some()).count() as u64;
        assert!((IDS_MAX..=room).contains(&held), "{held} answers in room for {room}");
        assert_eq!(answers.get(id(events + 1)), None);
        // What the horizon has passed is gone though it is held.
        let now = Timestamp(events as i64 * 1_000_000);
        answers.forget(now, HORIZON);
        answers.forget(Timestamp::MIN, HORIZON);
        for (event, (.., decision)) in known.range(events - IDS_MAX..) {
            assert_eq!(answers.get(id(*event)).is_some(), decision.time >= now - HORIZON, "{event}");
        }
    }
}
