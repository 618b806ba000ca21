//! Labels of a mapping that wait for their time: a queue in the order of their events, of which only a part is held in memory.

use super::file::InputError;
use crate::event::{EventType, Id, SLOTS, Sequence, Timestamp, Verdict};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A label until its time comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pending {
    pub(super) id: Id,
    pub(super) time: Timestamp,
    pub(super) verdict: Verdict,
    pub(super) scenario: Option<Id>,
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// The event that it judges.
    pub(super) target: Id,
    pub(super) target_sequence: Sequence,
    pub(super) target_time: Timestamp,
    pub(super) target_kind: EventType,
    pub(super) target_ends: [Option<Id>; SLOTS],
}

/// Labels held in memory by default, at most, besides one chunk at the end: 45 MB.
const MEMORY_MAX: usize = 1 << 18;
/// Labels written or read at once.
const CHUNK: usize = 1 << 13;

/// The queue.
pub(super) struct PendingLabels {
    front: VecDeque<Pending>,
    spill: Option<Spill>,
    /// What came last, while something is spilled or the front is full.
    back: Vec<Pending>,
    memory_max: usize,
    chunk: usize,
}

/// Chunks in an unlinked temporary file; a slot is used again when its chunk was read.
struct Spill {
    file: File,
    /// Slots in the order of their chunks.
    slots: VecDeque<u64>,
    free: Vec<u64>,
    slots_made: u64,
    bytes: Vec<u8>,
}

impl Default for PendingLabels {
    fn default() -> PendingLabels {
        PendingLabels::new(MEMORY_MAX, CHUNK)
    }
}

impl PendingLabels {
    /// A queue that spills beyond `memory_max` labels, `chunk` at a time.
    pub(super) fn new(memory_max: usize, chunk: usize) -> PendingLabels {
        assert!(memory_max > 0 && chunk > 0);
        PendingLabels { front: VecDeque::new(), spill: None, back: Vec::new(), memory_max, chunk }
    }

    /// The label that comes next.
    pub(super) fn first(&self) -> Option<&Pending> {
        self.front.front()
    }

    /// Appends a label.
    pub(super) fn push(&mut self, label: Pending) -> Result<(), InputError> {
        let spilled = self.spill.as_ref().is_some_and(|spill| !spill.slots.is_empty());
        if !spilled && self.back.is_empty() && self.front.len() < self.memory_max {
            self.front.push_back(label);
            return Ok(());
        }
        self.back.push(label);
        if self.back.len() == self.chunk {
            self.write_chunk().map_err(spill_error)?;
        }
        Ok(())
    }

    /// Takes the label that comes next.
    pub(super) fn pop(&mut self) -> Result<Option<Pending>, InputError> {
        let label = self.front.pop_front();
        if self.front.is_empty() {
            self.refill().map_err(spill_error)?;
        }
        Ok(label)
    }

    fn refill(&mut self) -> io::Result<()> {
        if let Some(spill) = &mut self.spill
            && let Some(slot) = spill.slots.pop_front()
        {
            spill.bytes.resize(self.chunk * BYTES, 0);
            spill.file.seek(SeekFrom::Start(slot * (self.chunk * BYTES) as u64))?;
            spill.file.read_exact(&mut spill.bytes)?;
            spill.free.push(slot);
            let labels = spill.bytes.as_chunks::<BYTES>().0.iter().map(read);
            self.front.extend(labels);
        } else {
            self.front.extend(self.back.drain(..));
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill {
                file: tempfile::tempfile()?,
                slots: VecDeque::new(),
                free: Vec::new(),
                slots_made: 0,
                bytes: Vec::new(),
            }),
        };
        let slot = spill.free.pop().unwrap_or_else(|| {
            spill.slots_made += 1;
            spill.slots_made - 1
        });
        spill.bytes.clear();
        self.back.drain(..).for_each(|label| write(&label, &mut spill.bytes));
        spill.file.seek(SeekFrom::Start(slot * spill.bytes.len() as u64))?;
        spill.file.write_all(&spill.bytes)?;
        spill.slots.push_back(slot);
        Ok(())
    }
}

fn spill_error(error: io::Error) -> InputError {
    InputError::new(format!("the temporary file of pending labels cannot be used: {error}"))
}

/// Bytes of a label in the file.
const BYTES: usize = 16 + 8 + 1 + 16 + 4 + 8 + 16 + 8 + 8 + 1 + 16 * SLOTS;

fn bits(id: Option<Id>) -> u128 {
    id.map_or(0, Id::bits)
}

fn write(label: &Pending, out: &mut Vec<u8>) {
    out.extend(label.id.bits().to_le_bytes());
    out.extend(label.time.0.to_le_bytes());
    out.push(label.verdict as u8);
    out.extend(bits(label.scenario).to_le_bytes());
    out.extend(label.partition.to_le_bytes());
    out.extend(label.offset.to_le_bytes());
    out.extend(label.target.bits().to_le_bytes());
    out.extend(label.target_sequence.0.to_le_bytes());
    out.extend(label.target_time.0.to_le_bytes());
    out.push(label.target_kind as u8);
    for end in label.target_ends {
        out.extend(bits(end).to_le_bytes());
    }
}

fn read(bytes: &[u8; BYTES]) -> Pending {
    let mut rest = &bytes[..];
    let id = |bits: u128| (bits != 0).then(|| Id::from_bits(bits));
    Pending {
        id: Id::from_bits(u128::from_le_bytes(take(&mut rest))),
        time: Timestamp(i64::from_le_bytes(take(&mut rest))),
        verdict: Verdict::ALL[usize::from(take::<1>(&mut rest)[0]) - 1],
        scenario: id(u128::from_le_bytes(take(&mut rest))),
        partition: u32::from_le_bytes(take(&mut rest)),
        offset: u64::from_le_bytes(take(&mut rest)),
        target: Id::from_bits(u128::from_le_bytes(take(&mut rest))),
        target_sequence: Sequence(u64::from_le_bytes(take(&mut rest))),
        target_time: Timestamp(i64::from_le_bytes(take(&mut rest))),
        target_kind: EventType::ALL[usize::from(take::<1>(&mut rest)[0])],
        target_ends: std::array::from_fn(|_| id(u128::from_le_bytes(take(&mut rest)))),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, behind) = rest.split_first_chunk().expect("as long as it was written");
    *rest = behind;
    *first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind};
    use proptest::prelude::*;

    fn label(number: u64) -> Pending {
        let id = |kind| IdKey::FILES.id(kind, &number.to_le_bytes());
        let some = |bit: u64| (number >> bit & 1 == 1).then(|| id(IdKind::User));
        Pending {
            id: id(IdKind::RowLabel),
            time: Timestamp(-(number as i64)),
            verdict: Verdict::ALL[number as usize % 3],
            scenario: some(0),
            partition: number as u32,
            offset: number << 40,
            target: id(IdKind::Event),
            target_sequence: Sequence(number),
            target_time: Timestamp(number as i64),
            target_kind: EventType::ALL[number as usize % 9],
            target_ends: [some(1), some(2), None, some(3), some(4)],
        }
    }

    proptest! {
        // Caught a refill that took the back before the chunks that were still in the file.
        #[test]
        fn the_order_is_kept_however_little_fits(
            memory_max in 1usize..9, chunk in 1usize..6, steps in prop::collection::vec(any::<bool>(), 0..200)
        ) {
            let mut queue = PendingLabels::new(memory_max, chunk);
            let mut plain = VecDeque::new();
            for (number, push) in steps.into_iter().enumerate() {
                if push {
                    queue.push(label(number as u64)).unwrap();
                    plain.push_back(label(number as u64));
                } else {
                    prop_assert_eq!(queue.pop().unwrap(), plain.pop_front());
                }
                prop_assert_eq!(queue.first(), plain.front());
                prop_assert!(queue.front.len() <= memory_max.max(chunk) && queue.back.len() <= chunk);
            }
            while let Some(expected) = plain.pop_front() {
                prop_assert_eq!(queue.pop().unwrap(), Some(expected));
            }
            prop_assert_eq!(queue.pop().unwrap(), None);
        }
    }

    #[test]
    fn the_file_stays_as_small_as_what_waits() {
        let mut queue = PendingLabels::new(4, 4);
        for number in 0..16 {
            queue.push(label(number)).unwrap();
        }
        for number in 16..10_000 {
            queue.push(label(number)).unwrap();
            queue.pop().unwrap();
        }
        let spill = queue.spill.as_ref().unwrap();
        assert!(spill.slots_made <= 5, "{} slots for 16 labels", spill.slots_made);
    }
}
