//! Where forward passes run: the seam between the engine and a device beside the CPU.

use super::bound::Bound;
use super::cpu::Score;
use crate::event::EventType;
use crate::graph::ego::EgoBatch;
use std::fmt;
use std::sync::Arc;

/// A batch's seeds as a backend sees them: S seeds, F words of figures a seed.
#[derive(Clone, Copy)]
pub struct SeedBatch<'a> {
    /// By seed the type of the event that is asked about; `None` where the model is not asked. (S)
    pub judged: &'a [Option<EventType>],
    /// Words of the feature columns. (S, F)
    pub rows: &'a [u64],
    /// F
    pub width: usize,
    pub egos: &'a EgoBatch,
}

/// A device that does not answer any more, or not with what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLost {
    /// What the device or its driver said.
    pub why: String,
}

/// Where forward passes run. Its scores are those of [`Bound::score`], to the bit.
pub trait Backend: Send {
    /// Scores of all seeds that are asked about, all or nothing: after an error `scores` is not read. `None` stands where a seed is not asked
    /// about, or the model has nothing for its type.
    ///
    /// # Errors
    /// The device is lost; it is not asked again.
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost>;
}

impl SeedBatch<'_> {
    /// Seeds.
    pub fn len(&self) -> usize {
        self.judged.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.judged.is_empty()
    }

    /// The words of a seed's feature columns.
    pub fn row(&self, seed: usize) -> &[u64] {
        &self.rows[seed * self.width..][..self.width]
    }
}

impl fmt::Display for DeviceLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for DeviceLost {}
