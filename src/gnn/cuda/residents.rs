//! Which rows of nodes a device still has from earlier batches.
//!
//! Each node has one slot, which it shares with others: the latest that came keeps it. So who is where hangs on the batches alone, and
//! finding it takes one line of the cache. Whether a row is still the one that the device has is read off the row itself, bit by bit: no
//! stamp of the engine can be wrong about it.

use crate::graph::NodeId;
use crate::graph::state::STATE;

/// Slots of the device's memory, as they will be when all that was launched is done.
#[derive(Debug)]
pub(super) struct Residents {
    slots: Vec<Slot>,
    /// Slots that this batch changes.
    changed: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Slot {
    row: [f32; STATE],
    node: NodeId,
    /// Where in the staging of this batch the row stands; [`UNCHANGED`] where the device has it.
    staged: u32,
}

/// Bytes of a slot here.
#[cfg(feature = "cuda")]
pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

const UNCHANGED: u32 = u32::MAX;
const EMPTY: Slot = Slot { row: [0.0; STATE], node: NodeId::NONE, staged: UNCHANGED };

/// Where a device finds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Kept from an earlier batch, in this slot. It stays there until the batch is through.
    Resident(u32),
    /// Staged earlier in this batch.
    Staged(u32),
    /// To be staged now, at the place that was offered.
    New,
}

impl Residents {
    pub(super) fn new(slots: usize, changes_max: usize) -> Residents {
        Residents { slots: vec![EMPTY; slots], changed: Vec::with_capacity(changes_max) }
    }

    /// Where the device finds `row` of `node`; if nowhere, it is to be staged at `next`, and stays when the batch is through.
    #[inline]
    pub(super) fn find(&mut self, node: NodeId, row: &[f32; STATE], next: u32) -> Place {
        let place = node.0 as usize % self.slots.len();
        let slot = &mut self.slots[place];
        let is_changed = slot.staged != UNCHANGED;
        if slot.node == node && is_same(&slot.row, row) {
            return if is_changed { Place::Staged(slot.staged) } else { Place::Resident(place as u32) };
        }
        if !is_changed {
            self.changed.push(place as u32);
        }
        *slot = Slot { row: *row, node, staged: next };
        Place::New
    }

    /// Ends a batch: what stays, as staged row and slot, no slot twice.
    pub(super) fn keep(&mut self, mut each: impl FnMut(u32, u32)) {
        for place in self.changed.drain(..) {
            let slot = &mut self.slots[place as usize];
            each(slot.staged, place);
            slot.staged = UNCHANGED;
        }
    }
}

/// Whether two rows have the same bits.
#[inline]
fn is_same(a: &[f32; STATE], b: &[f32; STATE]) -> bool {
    a.iter().zip(b).fold(0, |unlike, (a, b)| unlike | (a.to_bits() ^ b.to_bits())) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(residents: &mut Residents) -> Vec<(u32, u32)> {
        let mut kept = Vec::new();
        residents.keep(|row, slot| kept.push((row, slot)));
        kept
    }

    /// Caught when planted: a slot noted again each time it changes, as a device would write it twice at once.
    #[test]
    fn a_row_that_changes_travels_as_often_and_stays_once() {
        let mut residents = Residents::new(8, 8);
        let row = |of: f32| [of; STATE];
        let (node, other) = (NodeId(3), NodeId(11));
        assert_eq!(residents.find(node, &row(1.0), 100), Place::New);
        assert_eq!(residents.find(node, &row(1.0), 101), Place::Staged(100));
        assert_eq!(residents.find(node, &row(2.0), 101), Place::New);
        assert_eq!(residents.find(node, &row(2.0), 102), Place::Staged(101));
        // As it was before: what is staged last is what stays.
        assert_eq!(residents.find(node, &row(1.0), 102), Place::New);
        assert_eq!(kept(&mut residents), [(102, 3)]);
        assert_eq!(residents.find(node, &row(1.0), 0), Place::Resident(3));
        assert_eq!(residents.find(NodeId(4), &row(1.0), 0), Place::New);
        // Another in the same slot: the first is staged anew, though the device still has its row.
        assert_eq!(residents.find(other, &row(1.0), 1), Place::New);
        assert_eq!(residents.find(node, &row(1.0), 2), Place::New);
        assert_eq!(kept(&mut residents), [(0, 4), (2, 3)]);
        assert_eq!(residents.find(node, &row(1.0), 0), Place::Resident(3));
        assert_eq!(kept(&mut residents), []);
    }

    #[test]
    fn rows_are_the_same_to_the_bit() {
        let mut residents = Residents::new(1, 4);
        let mut row = [f32::NAN; STATE];
        row[3] = 0.0;
        assert_eq!(residents.find(NodeId(0), &row, 0), Place::New);
        assert_eq!(residents.find(NodeId(0), &row, 1), Place::Staged(0));
        row[3] = -0.0;
        assert_eq!(residents.find(NodeId(0), &row, 1), Place::New);
    }
}
