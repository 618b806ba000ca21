//! `weir replay`.

use super::{FOUND, is_watched, say, topology, words};
use crate::gnn::DeviceChoice;
use crate::runtime::{Input, ModelFile, ReplayOptions, replay};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run files, or a kept journal, through the whole pipeline as fast as it goes
#[derive(clap::Args)]
#[command(after_help = "\
Files ending in .jsonl, .jsonl.gz and .jsonl.zst hold events in the wire format; .csv and .parquet are foreign tables, read through the \
mapping of a source in the topology. NAME=FILE gives a file to the source NAME. Without files, those that the topology names are read. \
A directory that an earlier replay kept with --out is stepped again from its journal, under the topology it was made with.

Examples:
  weir replay sample.jsonl
  weir replay transactions.parquet -t mapping.toml --json
  weir replay sample.jsonl --out kept && weir tail decisions --data kept
  weir replay kept --batch 1                    the same digest, whatever the batch
  weir replay sample.jsonl --model fraud.safetensors --backend cuda")]
pub struct Arguments {
    /// Files, or one data directory
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// The model that judges: MODEL.safetensors [default: model.file of the topology, else none]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Records a step; no decision depends on it [default: limits.batch_events_max]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// Threads that judge; no decision depends on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Where forward passes run: cpu, cuda or cuda:N, or auto; no decision depends on it [default: model.device, of a directory auto]
    #[arg(long, value_name = "DEVICE")]
    backend: Option<DeviceChoice>,
    /// Keep journal, outputs and summary in this new directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let (input, batch, device) = match arguments.files.as_slice() {
        [dir] if dir.is_dir() => {
            if !arguments.topology.is_empty() {
                return Err(format!("-t: {} is stepped under the topology it was made with", dir.display()));
            }
            if arguments.model.is_some() {
                return Err(format!("--model: {} is stepped under the models that its journal names", dir.display()));
            }
            if arguments.out.is_some() {
                return Err(format!("--out: {} is kept already; replay the files themselves to keep them elsewhere", dir.display()));
            }
            (Input::Journal(dir.clone()), DEFAULT_BATCH, DeviceChoice::Auto)
        }
        files => {
            if let Some(dir) = files.iter().find(|file| file.is_dir()) {
                return Err(format!("{}: found a directory among files, expected one data directory alone, or files", dir.display()));
            }
            let topology = topology(&arguments.topology)?;
            let (batch, device) = (topology.batch_events_max, topology.model.device);
            let named = arguments.model.as_deref().or(topology.model.file.as_deref());
            let model = named.map(ModelFile::read).transpose().map_err(words)?;
            (Input::Files(Box::new(topology), files.to_vec(), model), batch, device)
        }
    };
    let options = ReplayOptions {
        batch: arguments.batch.map_or(batch, |batch| batch as usize),
        threads: usize::from(arguments.threads),
        device: arguments.backend.unwrap_or(device),
        out: arguments.out.clone(),
        progress: is_watched(),
    };
    let summary = replay(input, &options).map_err(words)?;
    say(&match arguments.json {
        true => serde_json::to_string(&summary).map_err(words)? + "\n",
        false => format!("{summary}\n"),
    })?;
    Ok(if summary.input_errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Records a step where no topology says it.
const DEFAULT_BATCH: usize = 256;
