//! `weir doctor`.

use super::{FOUND, say, topology, words};
use crate::gnn::DeviceChoice;
use crate::runtime::examine;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what Weir sees of this machine: processor, memory, limits, NVIDIA devices, brokers, a data directory
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is changed, and no service is asked. What a topology names is tried: its brokers are asked who they are, its device is brought up. \
Exit code 1 says that something configured cannot work; `PROBLEM` says what, and what to do.

Examples:
  weir doctor
  weir doctor -t company.toml --data /var/lib/weir
  weir doctor --backend cuda                    why the device cannot be used
  weir doctor --json | jq .devices")]
pub struct Arguments {
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// Look at this data directory, which need not be there yet
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where forward passes are to run: cpu, cuda or cuda:N, or auto [default: model.device]
    #[arg(long, value_name = "DEVICE")]
    backend: Option<DeviceChoice>,
    /// Print what was seen as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let mut topology = topology(&arguments.topology)?;
    topology.model.device = arguments.backend.unwrap_or(topology.model.device);
    let seen = examine(&topology, arguments.data.as_deref());
    say(&match arguments.json {
        true => serde_json::to_string(&seen).map_err(words)? + "\n",
        false => format!("{seen}\n"),
    })?;
    Ok(if seen.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
