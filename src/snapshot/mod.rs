//! Snapshots on disk: images of the engine, each with the position in the journal from which its owner goes on.
//!
//! ```text
//! DIR/snapshots/<sequence>.snapshot   a whole one; <sequence> is that of the first record it does not know
//! DIR/snapshots/<sequence>.partial    one in the making, or what a crash left of it
//! ```
//!
//! The engine's thread gives blocks away ([`Taker`]), a thread of its own writes them. A snapshot gets its name only when its content is
//! synced and the journal is synced up to its sequence: it never knows of records that a power cut can take away. Every byte is under a
//! checksum; one that is torn or damaged is passed over, and the one before it taken.

mod error;
mod file;
mod kept;
mod read;
mod taker;
mod writer;

pub use error::SnapshotFileError;
pub use file::{FORMAT, Head};
pub use kept::{Kept, Newest, Skipped, Snapshots};
pub use read::{Content, inspect, restore, verify};
pub use taker::{Taker, TakerOptions, Taking};
pub use writer::Taken;
