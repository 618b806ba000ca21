//! Message passing over ego graphs: what a model reads, what it is, and what it says.

mod backend;
mod bound;
mod cpu;
pub mod cuda;
mod file;
mod input;
mod model;
mod reference;
mod spread;

pub use backend::{Backend, DeviceChoice, DeviceLost, SeedBatch};
pub use bound::Bound;
pub use cpu::{Score, SeedView, sigmoid};
pub use file::{BYTES_MAX, FORM, ModelError};
pub use input::{Inputs, STATE_FIGURES, state_figures};
pub use model::{
    AGE_BUCKETS, Branch, Coded, EDGE_INPUTS, HIDDEN, INPUTS_MAX, MESSAGE, Model, NARROW, PIECES_MAX, SUMS, TIME_CODES, bucket,
};
pub use reference::reference;
pub use spread::{FIGURES_MAX, Reference, Spread};
