//! Load over topics of Kafka: the events of a stream, and what a reader of decisions sees of them.
//!
//! As with the hook, times are fixed before the run (`crate::schedule`), every event can be made again from its slot (`traffic`), and a
//! delay counts from when its event was due. What was lost or doubled is found by reading the topics themselves (`ledger`).

mod clients;
mod ledger;
mod listen;
mod measure;
mod options;
mod produce;
mod reconcile;
mod traffic;

pub use options::KafkaCommand;

use std::process::ExitCode;

/// Does what `command` says.
///
/// # Errors
/// What kept it from being done.
pub fn run(command: &KafkaCommand) -> Result<ExitCode, String> {
    match command {
        KafkaCommand::Produce(arguments) => produce::run(arguments),
        KafkaCommand::Measure(arguments) => measure::run(arguments),
        KafkaCommand::Reconcile(arguments) => reconcile::run(arguments),
    }
}
