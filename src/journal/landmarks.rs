//! Where records stand in a journal that is being written, every so often: who must read on from one of them need not walk its segment.

use super::log::Place;
use crate::event::Sequence;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Places of some records, in order; the oldest go first.
#[derive(Debug, Default)]
pub struct Landmarks(Mutex<VecDeque<(Sequence, Place)>>);

/// Bytes between two landmarks: some hundred records.
const APART_BYTES: u64 = 64 << 10;
/// Landmarks kept: of 256 MiB.
const KEPT: usize = 4_096;

impl Landmarks {
    /// Takes note that the record `sequence` stands at `place`, where the last landmark is far enough away. Sequences rise.
    pub fn note(&self, sequence: Sequence, place: Place) {
        let mut known = self.0.lock().expect("nobody panics with it");
        let near = |last: &(Sequence, Place)| last.1.segment == place.segment && place.offset < last.1.offset + APART_BYTES;
        if !known.back().is_some_and(near) {
            if known.len() == KEPT {
                known.pop_front();
            }
            known.push_back((sequence, place));
        }
    }

    /// The last landmark that is not behind the record `sequence`.
    pub fn before(&self, sequence: Sequence) -> Option<(Sequence, Place)> {
        let known = self.0.lock().expect("nobody panics with it");
        let behind = known.partition_point(|(landmark, _)| *landmark <= sequence);
        behind.checked_sub(1).map(|last| known[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Content, Effort, IdKey, Origin, Record, Timestamp};
    use crate::journal::{Disk, Journal, LogOptions, Records};
    use std::sync::Arc;

    /// Caught when planted: the landmark behind the record taken for the one before it.
    #[test]
    fn a_journal_is_read_from_the_landmark_before_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_bytes: 300_000, ..LogOptions::default() };
        let (mut journal, _) = Journal::open(Arc::new(Disk), dir.path(), IdKey([1; 16]), options).unwrap();
        let landmarks = Landmarks::default();
        for number in 0..20_000 {
            let content = Content::Tick(Timestamp(number));
            let sequence = journal.next();
            let record = Record { sequence, received: Timestamp(0), origin: Origin::engine(), effort: Effort::Full, content };
            landmarks.note(sequence, journal.append(&record).unwrap());
        }
        journal.commit().unwrap();
        for asked in [0, 1, 999, 7_777, 19_999] {
            let (sequence, place) = landmarks.before(Sequence(asked)).unwrap();
            assert!(sequence.0 <= asked && asked - sequence.0 < 3_000, "{sequence:?} before {asked}");
            let mut records = Records::open_at(Arc::new(Disk), dir.path(), sequence, place, Sequence(asked)).unwrap();
            for expected in asked..20_000 {
                assert_eq!(records.next_record().unwrap().unwrap().content, Content::Tick(Timestamp(expected as i64)));
            }
            assert!(records.next_record().unwrap().is_none());
        }
    }
}
