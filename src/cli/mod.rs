//! The command line: each command is a short function that calls the library.
//!
//! Exit codes: 0 done; 1 done, but something was found that someone must act on (a file not read to its end, damage in a journal);
//! 2 not done: wrong arguments, a topology with mistakes, files that cannot be read or written.

mod aml;
mod at;
mod check;
mod demo;
mod doctor;
mod evaluate;
mod journal;
mod keys;
mod lists;
#[cfg(feature = "learn")]
mod model;
mod models;
mod policy;
mod promote;
mod replay;
mod run;
mod simulate;
mod snapshot;
mod tail;
mod train;

use crate::event::{Duration, Timestamp};
use crate::identity::Identity;
use crate::journal::{DataDir, Disk, Telling, Tellings};
use crate::store::Store;
use crate::topology::{Topology, parse_duration, parse_moment};
use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Parser)]
#[command(
    name = "weir",
    version,
    about = "A real-time graph engine in the stream of payments",
    long_about = "Weir stands in the stream of a payments company and judges every payment and transfer from one in-memory graph.",
    after_help = "Examples:\n  weir demo\n  weir simulate --world small --out sample.jsonl && weir replay sample.jsonl\n  weir check\n\nEvery command has --help with examples of its own.",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Run(run::Arguments),
    Promote(promote::Arguments),
    Replay(replay::Arguments),
    Simulate(simulate::Arguments),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Tail(tail::Arguments),
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Aml(aml::Arguments),
    Journal(journal::Arguments),
    Keys(keys::Arguments),
    Policy(policy::Arguments),
    Model(models::Arguments),
    Lists(lists::Arguments),
    Snapshot(snapshot::Arguments),
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Promote(arguments) => promote::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Aml(arguments) => aml::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Model(arguments) => models::run(&arguments),
        Command::Lists(arguments) => lists::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            for line in message.lines() {
                eprintln!("error: {line}");
            }
            ExitCode::from(2)
        }
    }
}

/// Something was found that someone must act on.
const FOUND: u8 = 1;

/// The topology of `layers` over the embedded default, or all its mistakes.
fn topology(layers: &[PathBuf]) -> Result<Topology, String> {
    Topology::load(layers).map_err(words)
}

/// An argument that is a day or a moment.
fn moment(text: &str) -> Result<Timestamp, String> {
    parse_moment(text).ok_or_else(|| "expected a day such as 2018-08-01, or a moment such as 2018-08-01T12:00:00Z".to_owned())
}

/// An argument that is a length of time.
fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a number and a unit, such as 7d or 12h".to_owned())
}

fn words(error: impl Display) -> String {
    error.to_string()
}

/// The texts of ids in a data directory; none, and a word about it on standard error, while another process has them open.
fn texts(dir: &DataDir) -> Result<Option<Identity>, String> {
    match Store::open(&dir.identity()) {
        Ok(store) => entered(&store, dir).map(Some),
        Err(error) if error.is_locked() => {
            eprintln!("note: {}: another process has the texts of ids open: ids are shown as hashes", dir.identity().display());
            Ok(None)
        }
        Err(error) => Err(words(error)),
    }
}

/// The texts of ids, with those that a service which was killed had not entered. Entering them does no harm: it is done again, with what
/// erasures ask for, when the service starts.
fn entered(store: &Store, dir: &DataDir) -> Result<Identity, String> {
    let mut identity = Identity::open(store).map_err(words)?;
    let Some(through) = identity.through() else { return Ok(identity) };
    let mut tellings = Tellings::open(Arc::new(Disk), &dir.texts(), through).map_err(words)?;
    while tellings.upcoming().map_err(words)?.is_some() {
        let entered = tellings.take(|telling| {
            if let Telling::Text { id, kind, text } = telling {
                identity.put(id, kind, text);
            }
        });
        entered.map_err(words)?;
        if identity.waiting() >= ENTERED_AT_ONCE {
            identity.flush().map_err(words)?;
        }
    }
    identity.flush().map_err(words)?;
    Ok(identity)
}

/// Texts that are written at once.
const ENTERED_AT_ONCE: usize = 1_024;

/// The log goes to standard error; `WEIR_LOG` says how much of it, as in `weir=debug`, else `usually` does. A phase – start, reload, drain,
/// end – is a span: it stands in the lines that are logged within it, and a line tells how long it took.
fn log_to_stderr(json: bool, usually: &str) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(usually));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    // A second service in one process keeps the log of the first.
    let _ = if json { log.json().try_init() } else { log.with_ansi(is_watched()).try_init() };
}

/// Whether somebody looks at standard error, so that progress is worth showing.
fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Writes a command's result to standard output.
fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !ended_early(&error) => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// A reader that went away (`weir tail … | head`) ends a command without a complaint.
fn ended_early(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
