//! Exact sliding windows by tails over the rings: counts, sums, distinct counterparts, delayed-label rates.

mod aggregate;

pub use aggregate::*;
