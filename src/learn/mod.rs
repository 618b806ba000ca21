//! Learning: rows gathered by the engine that serves, with the labels that came later; with the feature `learn` also models from them.

#[cfg(feature = "learn")]
mod ablation;
mod chance;
#[cfg(feature = "learn")]
mod coding;
mod export;
#[cfg(feature = "learn")]
mod fitted;
#[cfg(feature = "learn")]
mod measure;
#[cfg(feature = "learn")]
mod network;
#[cfg(feature = "learn")]
mod optimizer;
mod rows;
mod sample;
#[cfg(feature = "learn")]
mod train;

#[cfg(feature = "learn")]
pub use ablation::Ablation;
#[cfg(feature = "learn")]
pub use chance::Chance;
#[cfg(feature = "learn")]
pub use coding::{Coding, Standard};
pub use export::{Export, ExportError};
#[cfg(feature = "learn")]
pub use fitted::{Fitted, KINDS};
#[cfg(feature = "learn")]
pub use measure::{Platt, Validation};
#[cfg(feature = "learn")]
pub use network::{BRANCHES, Forward, Network};
pub use rows::{Around, Count, Expected, Row, RowSink, pooled, pooled_names};
pub use sample::{EDGE_FIGURES, Rows, Sample, SampleOptions};
#[cfg(feature = "learn")]
pub use train::{Epoch, Learnt, PIECES_MAX_ALL, Stage, Step, TrainError, TrainOptions, Trained, train};
