//! Message passing over ego graphs: what a model reads, what it is, and what it says.

pub mod input;
pub mod model;

pub use input::{Inputs, STATE_FIGURES, state_figures};
pub use model::{Branch, Coded, Model};
