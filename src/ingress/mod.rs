//! From bytes to events: refuses, never guesses.
//!
//! ```text
//! .jsonl ── file (bounded lines) ── wire ──────┐
//! .csv ──── csv ──────┐                        ├─ contract: fields → Event ─ input ─ merge ─ ordered records
//! .parquet ─ parquet ─┴─ table (a mapping) ────┘
//! ```

mod assign;
mod contract;
mod csv;
mod decimal;
mod feed;
mod file;
mod input;
mod merge;
mod moment;
mod options;
mod parquet;
mod pending;
#[cfg(test)]
pub(crate) mod schema;
mod table;
pub mod wire;

pub use assign::assign;
pub use contract::{Fault, NAME_BYTES_MAX, Reading, Texts};
pub use file::{FileKind, InputError, Progress};
pub use merge::{CATALOGUE_ITEMS_MAX, Merge, Rejections, Sinks, Targets};
pub use moment::parse_rfc_3339;
pub use options::*;

#[cfg(test)]
mod tests;
