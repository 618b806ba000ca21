//! Learning: rows gathered by the engine that serves, with the labels that came later.

mod export;
mod rows;

pub use export::{Export, ExportError};
pub use rows::{Around, Row, RowSink, pooled, pooled_names};
