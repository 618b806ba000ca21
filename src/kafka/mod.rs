//! Kafka: topics as sources and sinks.
//!
//! What a build without the feature `kafka` has of it are its options, so that every build can read a topology.

#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod consumer;
#[cfg(feature = "kafka")]
mod history;
mod options;
mod partition;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod reach;

#[cfg(feature = "kafka")]
pub use consumer::{Inbound, Lag, Message, Place, Polled};
#[cfg(feature = "kafka")]
pub use history::{From, Past, partitions_of, read_to_end};
pub use options::{KafkaOptions, OptionValue, RESERVED};
pub use partition::partition_of;
#[cfg(feature = "kafka")]
pub use producer::{Consumed, Outbound, Outgoing, SendError, Sent};
#[cfg(feature = "kafka")]
pub use reach::{library_version, reach, usable};

/// Without the feature `kafka` there is no library.
#[cfg(not(feature = "kafka"))]
pub fn library_version() -> Option<String> {
    None
}

/// Without the feature `kafka` no options make a client.
///
/// # Errors
/// Always, and it says so.
#[cfg(not(feature = "kafka"))]
pub fn usable(options: &KafkaOptions) -> Result<(), String> {
    reach(options).map(drop).map_err(|told| format!("kafka.brokers: {told}"))
}

/// Without the feature `kafka` nobody can be asked.
///
/// # Errors
/// Always, and it says so.
#[cfg(not(feature = "kafka"))]
pub fn reach(options: &KafkaOptions) -> Result<Vec<String>, String> {
    Err(format!("found {}, and this build has no Kafka: build it with `cargo build --release --features kafka`", options.brokers))
}
