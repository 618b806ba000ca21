//! What the world promises: its proportions, its order, its determinism, and that no column gives a fraud away.

mod alike;
mod disguise;
mod laundering;
mod proportions;

use super::*;

/// A small company that has time for everything within a few hundred thousand events.
fn town(seed: u64) -> Options {
    Options { activities_per_day: 15_000, fraud_permyriad: 100, laundering_permyriad: 200, ..Options::of(seed, 6000) }
}
