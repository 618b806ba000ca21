//! The engine: a pure function of its records.

mod options;
mod output;

pub use options::{LabelOptions, Options, SourceTime};
pub use output::{Output, Rejected};
