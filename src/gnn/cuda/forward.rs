//! Forward passes on a device: a model is written once, a batch in one piece; one launch makes its scores.

use super::device::{Argument, Buffer, Device, DeviceError, Kernel};
use super::pack::{Packed, WARP};
use super::residents::Residents;
use super::room::{Room, SCORE_BYTES};
use super::staging::{EDGES_MAX, ROWS_MAX, Staging};
use crate::gnn::backend::{Backend, DeviceLost, SeedBatch};
use crate::gnn::bound::Bound;
use crate::gnn::cpu::Score;
use crate::gnn::model::NARROW;
use std::sync::Arc;

/// Warps of a block of the forward pass, and the shared memory of one, as in `kernels/layout.cuh`.
const WARPS: usize = 4;
const WARP_SHARED_BYTES: usize = 6_800;
/// Threads that write a row which stays, and threads of a block of them.
const KEEP_PARTS: usize = 8;
const KEEP_THREADS: usize = 128;
/// A device with its buffers, and what is in them.
#[derive(Debug)]
pub struct OnDevice<D> {
    device: D,
    model: Buffer,
    staged: Buffer,
    resident: Buffer,
    scores: Buffer,
    /// Whose words lie in `model`. Held, so that no other model can come to lie where it lay.
    packed: Option<(Arc<Bound>, Packed)>,
    staging: Staging,
    residents: Option<Residents>,
    read: Vec<u8>,
    /// What it holds is not known any more.
    is_lost: bool,
}

impl<D: Device> OnDevice<D> {
    /// Takes all the memory that is ever needed of the device.
    ///
    /// # Errors
    /// The device has not so much, or is lost.
    ///
    /// # Panics
    /// No room for a seed, or more rows than an edge can name.
    pub fn new(mut device: D, room: Room) -> Result<OnDevice<D>, DeviceError> {
        let Room { seeds_max, resident_rows } = room;
        assert!(seeds_max > 0 && resident_rows.max(seeds_max * (EDGES_MAX + 3)) <= ROWS_MAX, "found room for {room:?}");
        let [model, staged, resident, scores] = room.on_device().map(|share| share.bytes());
        Ok(OnDevice {
            model: device.allocate(model)?,
            staged: device.allocate(staged)?,
            resident: device.allocate(resident)?,
            scores: device.allocate(scores)?,
            packed: None,
            staging: Staging::new(seeds_max),
            residents: (resident_rows > 0).then(|| Residents::new(resident_rows, seeds_max * EDGES_MAX)),
            read: vec![0; seeds_max * SCORE_BYTES],
            is_lost: false,
            device,
        })
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// As [`OnDevice::device`].
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    fn run(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceError> {
        if !self.packed.as_ref().is_some_and(|(packed, _)| Arc::ptr_eq(packed, model)) {
            let packed = Packed::new(model);
            self.device.write(self.model, 0, &packed.bytes)?;
            self.packed = Some((Arc::clone(model), packed));
        }
        let (_, packed) = self.packed.as_ref().expect("a model was just written");
        let mut next = 0;
        while next < batch.len() {
            next = self.staging.fill(packed, batch, next, self.residents.as_mut());
            let seeds = self.staging.seeds();
            if seeds.is_empty() {
                break;
            }
            self.device.write(self.staged, 0, self.staging.bytes())?;
            let grid = [seeds.len().div_ceil(WARPS) as u32, 1, 1];
            let [model, staged, resident, out] = [self.model, self.staged, self.resident, self.scores].map(Argument::Buffer);
            let shared_bytes = (WARPS * WARP_SHARED_BYTES) as u32;
            self.device.launch(Kernel::Forward, grid, [(WARPS * WARP) as u32, 1, 1], shared_bytes, &[model, staged, resident, out])?;
            // Behind the forward pass, which reads what the slots held before.
            if self.staging.keeps() > 0 {
                let grid = [(self.staging.keeps() * KEEP_PARTS).div_ceil(KEEP_THREADS) as u32, 1, 1];
                self.device.launch(Kernel::Keep, grid, [KEEP_THREADS as u32, 1, 1], 0, &[staged, resident])?;
            }
            let read = &mut self.read[..seeds.len() * SCORE_BYTES];
            self.device.read(self.scores, 0, read)?;
            for (seed, bytes) in seeds.iter().zip(read.as_chunks::<SCORE_BYTES>().0) {
                scores[*seed as usize] = Some(score_of(bytes));
            }
        }
        Ok(())
    }
}

fn score_of(bytes: &[u8; SCORE_BYTES]) -> Score {
    let words = bytes.as_chunks::<4>().0;
    let float = |at: usize| f32::from_le_bytes(words[at]);
    Score { logit: float(NARROW), probability: float(NARROW + 1), embedding: std::array::from_fn(float) }
}

impl<D: Device> Backend for OnDevice<D> {
    fn forward(&mut self, model: &Arc<Bound>, batch: SeedBatch<'_>, scores: &mut [Option<Score>]) -> Result<(), DeviceLost> {
        assert!(!self.is_lost, "a device that is lost was asked");
        scores.fill(None);
        self.run(model, batch, scores).map_err(|error| {
            self.is_lost = true;
            DeviceLost { why: error.to_string() }
        })
    }
}
