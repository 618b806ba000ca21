//! Load over topics of Kafka: the events of a stream, and what a reader of decisions sees of them.
//!
//! As with the hook, times are fixed before the run (`crate::schedule`), every event can be made again from its slot (`traffic`), and a
//! delay counts from when its event was due. What was lost or doubled is found by reading the topics themselves (`ledger`).

mod clients;
mod decision;
mod ledger;
mod listen;
mod measure;
mod options;
mod produce;
mod reconcile;
mod traffic;

pub use options::KafkaCommand;

use serde::Serialize;
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

/// Prints a report: as one JSON object, or in the words that it gives.
fn tell<R: Serialize>(report: &R, json: bool, words: impl FnOnce(&R) -> String) -> Result<(), String> {
    let text = match json {
        true => serde_json::to_string(report).expect("numbers and texts are JSON") + "\n",
        false => words(report),
    };
    crate::say(&text)
}
