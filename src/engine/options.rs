//! What decides: everything an engine is built from. Equal options and equal records give equal bytes.

use super::alerts::AlertOptions;
use crate::decision::{ListsOptions, PolicyOptions, Provenance};
use crate::event::{Duration, IdKey, Rates};
use crate::graph::Limits;
use crate::typology::laundering::LaunderingOptions;
use crate::velocity::{Aggregate, MATURITIES_MAX};

/// The engine's options; only `topology` fills them.
#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    /// Sorted by name.
    pub aggregates: Vec<Aggregate>,
    pub policy: PolicyOptions,
    pub lists: ListsOptions,
    pub guard: GuardOptions,
    pub alerts: AlertOptions,
    pub laundering: LaunderingOptions,
    pub rates: Rates,
    pub labels: LabelOptions,
    /// How long an id keeps its answer.
    pub dedupe: Duration,
    /// How far an event's time may lie ahead of `received`, for sources without a `jump_max`.
    pub future_skew_max: Duration,
    /// By [`crate::event::Origin::source`].
    pub sources: Vec<SourceTime>,
    pub id_key: IdKey,
    pub provenance: Provenance,
    /// Threads for the phases that only read; 1: the caller's own.
    pub threads: usize,
}

/// `[labels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelOptions {
    /// Without a label an event counts as genuine after this time, where its source says nothing else.
    pub maturity: Duration,
    /// How long the index on disk knows a label's target.
    pub known: Duration,
}

/// `[guard]`: how far a mistake in the policy may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardOptions {
    /// The last minutes, by `received`.
    pub window: Duration,
    /// With fewer declines in the window nothing trips.
    pub declines_min: u64,
    /// So many of a hundred events of the window must a cause decline to trip,
    pub share_percent: u64,
    /// and so many times the share that it used to decline.
    pub multiple: u64,
    /// How long a tripped cause yields at least, by `received`.
    pub rest: Duration,
}

impl GuardOptions {
    /// When an epoch, of which a window has two, is old.
    pub(super) fn half(&self) -> Duration {
        Duration(self.window.0 / 2)
    }
}

impl Default for GuardOptions {
    fn default() -> GuardOptions {
        let minutes = |count| Duration::MINUTE.times(count);
        GuardOptions { window: minutes(5), declines_min: 100, share_percent: 20, multiple: 4, rest: minutes(30) }
    }
}

/// What of a source decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTime {
    /// For files: how far an event's time may jump ahead of `received`.
    pub jump_max: Option<Duration>,
    /// Maturity of this source's events, where it differs from the default.
    pub maturity: Option<Duration>,
    /// For topics: decisions say so where the source is further behind.
    pub fresh_max: Option<Duration>,
}

/// The different maturities, and the class of every source; the last class is the default's.
pub(super) fn maturities(options: &Options) -> (Vec<Duration>, Vec<u8>) {
    let default = options.labels.maturity;
    let of: Vec<Duration> = options.sources.iter().map(|s| s.maturity.unwrap_or(default)).chain([default]).collect();
    let mut different = of.clone();
    different.sort();
    different.dedup();
    assert!(different.len() <= MATURITIES_MAX, "the topology has seen to it");
    let classes = of.iter().map(|m| different.binary_search(m).expect("collected from them") as u8).collect();
    (different, classes)
}
