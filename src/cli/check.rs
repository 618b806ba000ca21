//! `weir check`.

use super::{say, topology};
use crate::feature::Feature;
use crate::runtime::{check_models, check_rules, columns, device_bill, service_bill};
use crate::topology::{Sizes, report, svg};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Validate a topology; show the way of an event, the bill of memory, and how many days the rings hold
#[derive(clap::Args)]
#[command(after_help = "\
All mistakes are told at once, each with file, line and key.

Examples:
  weir check                                    the built-in topology
  weir check mapping.toml --svg picture.svg")]
pub struct Arguments {
    /// Topology files laid over the built-in one, in this order
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// As FILE
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// Draw the picture into this SVG file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// List the feature columns that rules may use
    #[arg(long)]
    columns: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let layers: Vec<PathBuf> = arguments.files.iter().chain(&arguments.topology).cloned().collect();
    let topology = topology(&layers)?;
    let mut mistakes = check_rules(&topology);
    let models = check_models(&topology).unwrap_or_else(|wrong| {
        mistakes.extend(wrong);
        Vec::new()
    });
    if !mistakes.is_empty() {
        return Err(mistakes.join("\n"));
    }
    if arguments.columns {
        let line = |feature: &Feature| format!("{:<44} {}\n", feature.name, feature.help);
        say(&columns(&topology).iter().map(line).collect::<String>())?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&report(&topology, &Sizes::of(&topology.deciding), &service_bill(&topology), &device_bill(&topology)))?;
    say(&models.iter().map(|line| format!("  {line}\n")).collect::<String>())?;
    if let Some(path) = &arguments.svg {
        fs::write(path, svg(&topology)).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
