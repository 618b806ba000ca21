//! A device that is lost in mid-run.

use crate::gnn::{Backend, Bound, DeviceLost, Score, SeedBatch, SeedView};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the device said last.
pub const LOST: &str = "the simulated device fell off the bus";

/// A device that gives what every device gives, and after so many batches is lost in the middle of one: half of the scores are written then,
/// and none of them is right. Whoever asks it again meets a panic.
#[derive(Debug)]
pub struct LostDevice {
    /// Batches that it still answers.
    left: u64,
    is_lost: bool,
    asked: Arc<AtomicU64>,
}

impl LostDevice {
    /// Lost in the batch behind so many.
    pub fn after(batches: u64) -> LostDevice {
        LostDevice { left: batches, is_lost: false, asked: Arc::default() }
    }

    /// How many batches it was asked about, for as long as somebody looks.
    pub fn asked(&self) -> Arc<AtomicU64> {
        self.asked.clone()
    }
}

impl Backend for LostDevice {
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost> {
        assert!(!self.is_lost, "a device that is lost was asked");
        assert!((batch.len(), batch.rows.len()) == (scores.len(), batch.width * scores.len()), "a batch in columns of one length");
        self.asked.fetch_add(1, Ordering::Relaxed);
        let scored = |seed: usize| {
            let kind = batch.judged[seed]?;
            model.score(SeedView { kind, row: batch.row(seed), egos: batch.egos, seed })
        };
        if self.left > 0 {
            self.left -= 1;
            scores.iter_mut().enumerate().for_each(|(seed, score)| *score = scored(seed));
            return Ok(());
        }
        self.is_lost = true;
        for (seed, score) in scores.iter_mut().enumerate().take(batch.len().div_ceil(2)) {
            *score = scored(seed).map(|right| Score { logit: f32::NAN, probability: 1.0 - right.probability, ..right });
        }
        Err(DeviceLost { why: LOST.to_owned() })
    }
}
