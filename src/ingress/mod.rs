//! From bytes to events: refuses, never guesses.

mod options;

pub use options::*;
