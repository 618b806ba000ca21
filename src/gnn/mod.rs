//! Message passing over ego graphs: what a model reads.

pub mod input;

pub use input::{Inputs, STATE_FIGURES, state_figures};
