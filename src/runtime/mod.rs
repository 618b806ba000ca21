//! Threads, queues and the clock: what turns the engine, a function, into a program.
//!
//! ```text
//! files ──▶ reader thread ──────────▶ engine (the caller's thread) ──▶ writer thread ──▶ digest, output log
//!           merge, journal            step(batch)                      counts
//!               └──▶ identity thread: texts of ids
//! ```
//!
//! The only place that reads the clock; nothing it reads reaches the engine.

mod keep;
mod measure;
mod progress;
mod replay;
mod summary;

pub use progress::Progress;
pub use replay::{Input, ReplayError, ReplayOptions, replay};
pub use summary::Summary;
