//! Weir: a real-time graph engine in the stream of payments.

pub mod arithmetic;
pub mod cli;
pub mod decision;
pub mod engine;
pub mod event;
pub mod feature;
pub mod graph;
pub mod identity;
pub mod ingress;
pub mod journal;
pub mod memory;
pub mod render;
pub mod runtime;
pub mod sim;
pub mod store;
pub mod targets;
pub mod topology;
pub mod velocity;

/// The engine's version, as every decision bears it: what decided, besides model, policy and topology.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");
