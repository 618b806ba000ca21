//! Threads, queues and the clock: what turns the engine, a function, into a program.
//!
//! ```text
//! files ──▶ reader thread ──▶ engine (the caller's thread) ──▶ writer thread ──▶ identity thread
//!           merge, journal    step(batch)                      output log,       texts of ids,
//!                                                              digest, counts    erasures
//! ```
//!
//! The only place that reads the clock; nothing it reads reaches the engine.

mod backing;
mod demo;
mod doctor;
mod error;
mod evaluating;
mod gathering;
mod history;
mod keep;
mod laundering;
mod measure;
mod models;
mod naming;
mod patterns;
mod policies;
mod progress;
mod replay;
mod scores;
mod service;
mod snapshots;
mod source;
mod summary;
mod tail;
#[cfg(feature = "learn")]
mod training;

pub use backing::Backing;
pub use demo::{Demo, DemoOptions, Past, Played, Stage};
pub use doctor::{Examination, examine};
pub use error::ReplayError;
pub use evaluating::{EvaluateError, EvaluateOptions, evaluate};
pub use gathering::{GatherError, GatherOptions, Gathered, gather};
pub use laundering::{Laundering, Listed, Product, Seen};
pub use models::{ModelFile, check_models};
pub use progress::Progress;
pub use replay::{ReplayOptions, replay};
pub use scores::ScoresError;
pub use service::{Body, Ended, Node, Peer, Service, ServiceError, Standby, device_bill, service_bill};
pub use snapshots::{Copied, Inspected, Verified, export_snapshot, inspect_snapshots, snapshots_in, verify_snapshot};
pub use source::Input;
pub use summary::Summary;
pub use tail::{Tail, tail};
#[cfg(feature = "learn")]
pub use training::train_watched;

use crate::engine::{BuildError, Engine, Layout};
use crate::event::IdKey;
use crate::feature::Feature;
use crate::topology::Topology;

/// What is wrong with the rules and filters of `topology`, a line each, with its place.
pub fn mistakes(topology: &Topology, error: &BuildError) -> Vec<String> {
    let at = |key: String, message: String| match topology.place(&key) {
        Some(place) => format!("{}:{}: {key}: {message}", place.file, place.line),
        None => format!("{key}: {message}"),
    };
    match error {
        BuildError::Policy(errors) => errors
            .iter()
            .map(|error| {
                let leaf = if error.name.starts_with("rule.") && error.offset.is_some() { ".when" } else { "" };
                at(format!("policy.{}{leaf}", error.name), error.message.clone())
            })
            .collect(),
        BuildError::Filter(name, error) => vec![at(format!("aggregate.{name}.where"), error.message.clone())],
    }
}

/// What is wrong with the rules and filters of a text whose lines nobody knows.
fn mistakes_in(error: &BuildError) -> Vec<String> {
    match error {
        BuildError::Policy(errors) => errors.iter().map(ToString::to_string).collect(),
        BuildError::Filter(..) => vec![error.to_string()],
    }
}

/// Checks the rules and filters of a topology without building an engine; a line for each mistake.
pub fn check_rules(topology: &Topology) -> Vec<String> {
    let options = topology.engine_options(IdKey::FILES, 1);
    Engine::check(&options).err().map_or(Vec::new(), |error| mistakes(topology, &error))
}

/// The feature columns that rules of `topology` may use.
pub fn columns(topology: &Topology) -> Vec<Feature> {
    Layout::new(&topology.deciding.aggregates, &topology.deciding.lists, &IdKey::FILES).schema.features
}
