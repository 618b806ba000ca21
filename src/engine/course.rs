//! The course of an engine: a running hash over what its records met and led to, by which two engines on two machines are compared
//! without stopping either.
//!
//! The state hash walks the whole state, which takes seconds. The course takes one to two tenths of a microsecond a judged event (and some
//! tens of nanoseconds any other) and is a pure function of the records: each adds its sequence, stream time, how full rings and tables
//! are, and, where it was judged, every bit of its feature row and what was decided. A difference of state that sways a decision shows in
//! the first event that reads it, and from then on for good, because each hash holds the one before. (It is no proof of equality of what
//! nobody has read yet: that is the state hash's.)
//!
//! It tells machines apart that differ by accident, not those that cheat: it is no cryptographic hash.

use super::Engine;
use super::alerts::Alert;
use super::batch::{Batch, Pending};
use crate::decision::{Skip, Skips, Verdict};
use crate::event::{Answered, Refused, Sequence};
use std::collections::VecDeque;

/// Records between two checkpoints.
pub const CHECKPOINT_EVERY: u64 = 10_000;
/// The latest checkpoints that an engine remembers.
const KEPT: usize = 64;

/// The course before a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first record that is not in it: a multiple of [`CHECKPOINT_EVERY`].
    pub sequence: Sequence,
    pub course: u64,
}

/// The course and its latest checkpoints.
pub(super) struct Course {
    /// Part of every snapshot.
    pub(super) hash: u64,
    checkpoints: VecDeque<Checkpoint>,
}

impl Engine {
    /// What a record finds when it is taken, in a word.
    pub(super) fn met(&self) -> u64 {
        let mut hash = mixed(self.now.0 as u64, self.graph.nodes.len() as u64, self.judged.tail() << 32 ^ self.judged.len());
        for ring in &self.graph.rings {
            hash = mixed(hash, ring.tail().ordinal, ring.head().ordinal);
        }
        hash
    }

    /// Goes on in the course by the records of the batch.
    pub(super) fn pass(&mut self) {
        let Batch { seeds, features, pending, moments, verdicts, alerts, alerts_end, .. } = &self.batch;
        let width = self.layout.schema.len();
        let mut pending = pending.iter().zip(alerts_end);
        let (mut passed, mut told) = (0, 0);
        for moment in moments {
            let mut hash = moment.met;
            for (led_to, alerts_end) in pending.by_ref().take((moment.pending_end - passed) as usize) {
                hash = match led_to {
                    Pending::Rejected(rejected) => refused(hash, &rejected.refused),
                    Pending::Found(..) | Pending::Laundered(..) | Pending::Suppressed(..) => hash,
                    Pending::StandIn(_, answered) => stood_in(hash, answered),
                    Pending::Judgement(seed) => {
                        let seed = *seed as usize;
                        let row = row_hash(&features[seed * width..][..width]);
                        decided(mixed(hash, row, 2), &seeds[seed].skips, &verdicts[seed], seeds[seed].revision)
                    }
                };
                hash = alerts[told..*alerts_end as usize].iter().fold(hash, alerted);
                told = *alerts_end as usize;
            }
            passed = moment.pending_end;
            self.course.pass(moment.sequence, hash);
        }
    }
}

/// Odd numbers without a pattern: the first digits of π, as others use them.
const KEYS: [u64; 5] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89, 0x4528_21e6_38d0_1377];

/// Both halves of a product: every bit of either factor reaches about half of the bits.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// `hash` with `a` and `b` in it, in this order.
fn mixed(hash: u64, a: u64, b: u64) -> u64 {
    fold(a ^ KEYS[0], b ^ hash.rotate_left(29) ^ KEYS[1]).wrapping_add(hash ^ KEYS[4])
}

/// The hash of a feature row. Four lanes, since one multiplication waits for the one before it.
fn row_hash(row: &[u64]) -> u64 {
    let mut lanes = KEYS;
    let (eights, rest) = row.as_chunks::<8>();
    for words in eights {
        for (lane, pair) in lanes.iter_mut().zip(words.as_chunks::<2>().0) {
            *lane = fold(pair[0] ^ *lane, pair[1] ^ KEYS[4]).wrapping_add(*lane);
        }
    }
    let mut hash = mixed(mixed(row.len() as u64, lanes[0], lanes[1]), lanes[2], lanes[3]);
    for word in rest {
        hash = mixed(hash, *word, 0);
    }
    hash
}

/// What was decided.
fn decided(hash: u64, skips: &Skips, verdict: &Verdict, revision: u8) -> u64 {
    let told = u64::from(verdict.risk_score)
        | (verdict.outcome as u64) << 16
        | u64::from(revision) << 24
        | u64::from(verdict.propensity.is_some()) << 32
        | (verdict.suspicion.outcome as u64) << 33
        | u64::from(verdict.suspicion.risk_score) << 40;
    skips.as_slice().iter().fold(mixed(hash, told, skips.as_slice().len() as u64), |hash, skip: &Skip| {
        let named = (skip.part as u64) << 8 | skip.why as u64;
        mixed(mixed(hash, named, skip.value as u64), skip.window as u64, 1)
    })
}

/// What an alert came to.
fn alerted(hash: u64, alert: &Alert) -> u64 {
    let told = u64::from(alert.version) << 32 | u64::from(alert.score) << 8 | alert.status as u64;
    mixed(mixed(hash, alert.number << 1 | alert.kind as u64, told), alert.events, alert.money_minor as u64)
}

/// What a stand-in said.
fn stood_in(hash: u64, answered: &Answered) -> u64 {
    mixed(hash, answered.fingerprint, u64::from(answered.outcome) | u64::from(answered.revision) << 8 | 1 << 16)
}

/// Why nothing was decided.
fn refused(hash: u64, refused: &Refused) -> u64 {
    mixed(hash, refused.reason as u64, refused.field.map_or(0, |field| field as u64 + 1))
}

impl Course {
    pub(super) fn new() -> Course {
        Course { hash: 0, checkpoints: VecDeque::with_capacity(KEPT) }
    }

    /// The record of `sequence` is done, and `hash` holds what it met and led to.
    pub(super) fn pass(&mut self, sequence: Sequence, hash: u64) {
        self.hash = mixed(self.hash, sequence.0, hash);
        let next = sequence.0 + 1;
        if next.is_multiple_of(CHECKPOINT_EVERY) {
            if self.checkpoints.len() == KEPT {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back(Checkpoint { sequence: Sequence(next), course: self.hash });
        }
    }

    /// The latest checkpoints, in their order.
    pub(super) fn checkpoints(&self) -> impl DoubleEndedIterator<Item = Checkpoint> {
        self.checkpoints.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every bit of a row counts, wherever it stands. Caught when planted: lanes 2 and 3 left out of the end.
        #[test]
        fn every_bit_of_a_row_counts(row in prop::collection::vec(any::<u64>(), 1..70), place in any::<prop::sample::Index>(), bit in 0..64) {
            let mut other = row.clone();
            other[place.index(row.len())] ^= 1u64 << bit;
            prop_assert_ne!(row_hash(&row), row_hash(&other));
            // So does its order: equal words in other places are another row.
            let mut turned = row.clone();
            turned.rotate_left(1);
            prop_assert_eq!(row_hash(&row) == row_hash(&turned), row == turned);
        }
    }

    #[test]
    fn the_latest_checkpoints_are_kept() {
        let mut course = Course::new();
        for sequence in 0..CHECKPOINT_EVERY * 70 {
            course.pass(Sequence(sequence), 7);
        }
        let kept: Vec<u64> = course.checkpoints().map(|checkpoint| checkpoint.sequence.0).collect();
        assert_eq!(kept, (7..=70).map(|n| n * CHECKPOINT_EVERY).collect::<Vec<_>>());
        assert_eq!(course.checkpoints().next_back().map(|last| last.course), Some(course.hash));
    }
}
