//! `weir tail`.

use super::{texts, words};
use crate::event::Sequence;
use crate::journal::{DataDir, Topic};
use crate::runtime::{Tail, tail};
use std::path::PathBuf;
use std::process::ExitCode;

/// Read a topic of a data directory as JSON lines
#[derive(clap::Args)]
#[command(after_help = "\
Topics: decisions, rejected, alerts.

Examples:
  weir tail decisions --data kept | head
  weir tail decisions --data kept --internal
  weir tail rejected --data kept --follow
  weir tail alerts --data kept --follow")]
pub struct Arguments {
    /// The topic, with or without `weir.`
    topic: String,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The first sequence
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    from: u64,
    /// Wait for more at the end
    #[arg(long)]
    follow: bool,
    /// Everything that the internal topic holds
    #[arg(long)]
    internal: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let topic = Topic::parse(&arguments.topic).ok_or_else(|| {
        let names: Vec<&str> = Topic::ALL.iter().map(|topic| topic.name()).collect();
        format!("TOPIC: found {:?}, expected {}", arguments.topic, names.join(" or "))
    })?;
    let options = Tail { from: Sequence(arguments.from), follow: arguments.follow, internal: arguments.internal };
    let identity = texts(&DataDir::read(&arguments.data).map_err(words)?)?;
    match tail(&arguments.data, identity.as_ref(), topic, options, &mut std::io::stdout().lock()) {
        Err(error) if error.reader_went_away() => Ok(ExitCode::SUCCESS),
        done => done.map(|_| ExitCode::SUCCESS).map_err(words),
    }
}
