//! Open-loop load against the authorization hook of Weir, and over topics of Kafka (`kafka`, a feature of its own).
//!
//! Three threads: one paces (`pace`), one owns all connections (`pool`), one shows progress. Requests are due at absolute times that are
//! fixed before the run (`schedule`) and go through a bounded queue (`inbox`); every one of them ends in exactly one record (`record`),
//! from which all figures are made after the run (`measure`, `reconcile`, `report`). Nothing is estimated, and nothing that was due is
//! left out.

mod answers;
mod chance;
mod clock;
mod inbox;
#[cfg(feature = "kafka")]
mod kafka;
mod machine;
mod measure;
mod options;
mod pace;
mod pool;
mod reconcile;
mod record;
mod report;
mod request;
mod response;
mod run;
mod schedule;
mod source;
mod transport;
mod verify;

use clap::Parser;
use options::{Arguments, Command};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Verify(verify)) => verify::verify(verify),
        #[cfg(feature = "kafka")]
        Some(Command::Kafka(command)) => kafka::run(command),
        None => run::run(&arguments.run),
    };
    done.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}

/// Writes a result to standard output; a reader that went away is no error.
fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
