//! `weir model publish|rollback|show`.

use super::at::At;
use super::{say, words};
use crate::runtime::{Body, ModelFile};
use clap::Subcommand;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Change the model of a running service, and see which one judges
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  weir model show --url http://127.0.0.1:8080\n  weir model publish fraud.safetensors --url http://127.0.0.1:8080\n  weir model rollback --url http://127.0.0.1:8080"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put a model in force
    #[command(after_help = "\
The file is one of `weir train`, at most 4 MiB. Its names, shapes and numbers are checked here and there, and that the service counts every \
figure that the model reads; a file with a mistake is refused whole. Payments judged before its record had the old model, all others have the \
new one; none is lost or judged twice.

A restart goes on under the model that was published last, whatever model.file of the topology says.

Under WEIR_KEY stands a key with the scope admin, where keys are needed.

Examples:
  weir model publish fraud.safetensors
  WEIR_KEY=… weir model publish fraud.safetensors --url https://weir.internal:8443 --ca ca.pem")]
    Publish {
        /// MODEL.safetensors
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        at: At,
        /// Print what came of it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put the model in force again that was before the one in force; where none was, none judges
    #[command(after_help = "\
It is a record like any other: rolled back twice, the model is the one that was rolled back first.

Examples:
  weir model rollback --url http://127.0.0.1:8080")]
    Rollback {
        #[command(flatten)]
        at: At,
        /// Print what came of it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say which model is in force, and which was before
    #[command(after_help = "\
Examples:
  weir model show --url http://127.0.0.1:8080
  weir model show --json")]
    Show {
        #[command(flatten)]
        at: At,
        /// Print it as one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let name = |told: &Value, key: &str| told[key].as_str().unwrap_or("none").to_owned();
    let changed = |told: &Value| {
        let (model, before, sequence) = (name(told, "model"), name(told, "before"), &told["sequence"]);
        format!("model {model} is in force from record {sequence} on, before it was {before}")
    };
    let (told, json, line) = match &arguments.command {
        Command::Publish { file, at, json } => {
            let file = ModelFile::read(file).map_err(words)?;
            let told = at.ask("POST", "/v1/model/publish", Body::Bytes(file.bytes()))?;
            let line = changed(&told);
            (told, json, line)
        }
        Command::Rollback { at, json } => {
            let told = at.ask("POST", "/v1/model/rollback", "")?;
            let line = changed(&told);
            (told, json, line)
        }
        Command::Show { at, json } => {
            let told = at.ask("GET", "/v1/model", "")?;
            let line = format!("model {} is in force, before it was {}", name(&told, "model"), name(&told, "before"));
            (told, json, line)
        }
    };
    say(&if *json { format!("{told}\n") } else { format!("{line}\n") })?;
    Ok(ExitCode::SUCCESS)
}
