//! `weir train`.

use super::{duration, is_watched, moment, say, topology, words};
use crate::event::{Duration, Timestamp};
use crate::learn::Export;
use crate::runtime::{GatherOptions, Input, gather};
use std::path::PathBuf;
use std::process::ExitCode;

/// Gather what the engine saw of each payment and transfer, with what it turned out to be
#[derive(clap::Args)]
#[command(after_help = "\
The whole stream goes through the engine; payments and transfers with FROM <= time < UNTIL become rows. A row holds what the engine knew at \
that moment – labels in it have taken their delay – and what labels until UNTIL and --label-delay later say the event was.

Examples:
  weir train transactions.parquet -t mapping.toml --from 2018-05-01 --until 2018-08-01 --export rows.parquet")]
pub struct Arguments {
    /// Files, or one data directory
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// A day or moment: events from then on
    #[arg(long, value_name = "FROM", value_parser = moment)]
    from: Timestamp,
    /// A day or moment: events before it
    #[arg(long, value_name = "UNTIL", value_parser = moment)]
    until: Timestamp,
    /// How long after UNTIL labels are waited for [default: what the sources' labels take]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    label_delay: Option<Duration>,
    /// Write the rows into this Parquet file
    #[arg(long, value_name = "ROWS.parquet")]
    export: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.from >= arguments.until {
        return Err(format!("--until: found {}, expected a moment behind --from, which is {}", arguments.until, arguments.from));
    }
    let topology = topology(&arguments.topology)?;
    let options = GatherOptions {
        from: arguments.from,
        until: arguments.until,
        label_delay: arguments.label_delay.unwrap_or_else(|| topology.label_delay()),
        batch: topology.batch_events_max,
        progress: is_watched(),
    };
    let input = Input::Files(Box::new(topology), arguments.files.clone(), None);
    let path = &arguments.export;
    let (export, gathered) = gather(&input, &options, |inputs| Export::create(path, inputs.names())).map_err(words)?;
    export.finish().map_err(words)?;
    say(&match arguments.json {
        true => serde_json::json!({ "rows": gathered.rows, "bad": gathered.bad, "export": path }).to_string() + "\n",
        false => format!("{} rows, {} of them bad, in {}\n", gathered.rows, gathered.bad, path.display()),
    })?;
    Ok(ExitCode::SUCCESS)
}
