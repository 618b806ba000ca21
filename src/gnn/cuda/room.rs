//! What a device keeps room for, and what that takes of memory: its own, and the host's.

use super::pack::MODEL_BYTES_MAX;
#[cfg(feature = "cuda")]
use super::residents::SLOT_BYTES;
#[cfg(feature = "cuda")]
use super::staging::EDGES_MAX;
use super::staging::Staging;
use crate::gnn::model::NARROW;
use crate::graph::state::STATE;

/// Bytes from one row that stays to the next.
const RESIDENT_BYTES: usize = 64;
/// Bytes of a score: embedding, logit, probability.
pub(super) const SCORE_BYTES: usize = 4 * (NARROW + 2);

const _: () = assert!(STATE * 4 <= RESIDENT_BYTES);

/// What is kept on a card: batches as the engine makes them at most, and the rows of the nodes that were met last, 16 MiB of them.
#[cfg(feature = "cuda")]
pub(super) const ROOM: Room = Room { seeds_max: 1_024, resident_rows: 1 << 18 };

/// What a device keeps room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Seeds of one launch; batches of more take several.
    pub seeds_max: usize,
    /// Rows of nodes that stay from one batch to the next, 64 bytes each; 0: every batch brings all that it needs.
    pub resident_rows: usize,
}

/// A part of what forward passes on a device take of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub part: &'static str,
    pub count: usize,
    pub bytes_each: usize,
}

impl Share {
    /// Bytes of all of it.
    pub fn bytes(&self) -> usize {
        self.count * self.bytes_each
    }
}

impl Room {
    /// Of the device's memory: model, a batch, rows that stay, scores.
    pub(super) fn on_device(self) -> [Share; 4] {
        let share = |part, count, bytes_each| Share { part, count, bytes_each };
        [
            share("model", 1, MODEL_BYTES_MAX),
            share("batch", 1, Staging::bytes_max(self.seeds_max)),
            share("rows that stay", self.resident_rows.max(1), RESIDENT_BYTES),
            share("scores", self.seeds_max, SCORE_BYTES),
        ]
    }

    /// Of the host's memory, beside what a driver pins: the same model and batch, what is known of the rows that stay, and scores as they come
    /// back. A seed has its place in the batch beside its bytes, and a row that it changes its slot.
    #[cfg(feature = "cuda")]
    fn on_host(self) -> [Share; 4] {
        let share = |part, count, bytes_each| Share { part, count, bytes_each };
        [
            share("device: model", 1, MODEL_BYTES_MAX),
            share("device: batch", 1, Staging::bytes_max(self.seeds_max) + self.seeds_max * size_of::<u32>() * (1 + EDGES_MAX)),
            share("device: rows known", self.resident_rows, SLOT_BYTES),
            share("device: scores", self.seeds_max, SCORE_BYTES),
        ]
    }
}

/// What forward passes on a card take of the card's memory, beside the driver's own, and what of this machine's; nothing without the feature
/// `cuda`.
#[cfg(feature = "cuda")]
pub fn taken() -> (Vec<Share>, Vec<Share>) {
    use super::driver::{READING_BYTES, STAGING_BYTES};
    let pinned = Share { part: "device: pinned", count: 1, bytes_each: STAGING_BYTES + READING_BYTES };
    (ROOM.on_device().to_vec(), ROOM.on_host().into_iter().chain([pinned]).collect())
}

/// As above.
#[cfg(not(feature = "cuda"))]
pub fn taken() -> (Vec<Share>, Vec<Share>) {
    (Vec::new(), Vec::new())
}
