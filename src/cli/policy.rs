//! `weir policy publish|rollback|diff`.

use super::at::At;
use super::{say, words};
use crate::topology::{Published, policy_diff};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Change the policy of a running service, and see what changes
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  weir policy diff old.toml new.toml\n  weir policy publish new.toml --url http://127.0.0.1:8080\n  weir policy rollback --url http://127.0.0.1:8080"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put the policy of these layers in force, from its record in the journal on
    #[command(after_help = "\
The layers are laid over the embedded default as `weir run -t` lays them, or with --amend over the policy in force. They hold what may change while a service runs: [policy], [guard] \
and [alert], which are in force together and rolled back together; every other section needs a restart and is refused. Rules may ask for no \
figure that the service does not count: aggregates belong to the topology that its data directory was begun under.

A restart goes on under the policy that was published last, whatever the files say that were given with -t.

Under WEIR_KEY stands a key with the scope admin, where keys are needed.

Examples:
  weir policy publish new.toml
  weir policy publish --amend one-rule-more.toml
  WEIR_KEY=… weir policy publish rules.toml guard.toml --url https://weir.internal:8443 --ca ca.pem")]
    Publish {
        /// Layers over the embedded default, each over the one before it
        #[arg(required = true, value_name = "FILE")]
        layers: Vec<PathBuf>,
        /// Lay them over the policy in force instead: what they do not name stays
        #[arg(long)]
        amend: bool,
        #[command(flatten)]
        at: At,
        /// Print what came of it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put the policy in force again that was before the one in force
    #[command(after_help = "\
It is a record like any other: rolled back twice, the policy is the one that was rolled back first.

Examples:
  weir policy rollback --url http://127.0.0.1:8080")]
    Rollback {
        #[command(flatten)]
        at: At,
        /// Print what came of it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say in words what is different between two policies with their [guard] and [alert], or between what is in force and a file's
    #[command(after_help = "\
Each file is laid over the embedded default, or with --amend over the policy in force. Lines begin with + (new), - (gone) or ~ (changed); none: both say the same.

Examples:
  weir policy diff old.toml new.toml
  weir policy diff new.toml --url http://127.0.0.1:8080        from the one in force to the file's
  weir policy diff --amend one-rule-more.toml                  what publishing it so would change
  weir policy diff --before --url http://127.0.0.1:8080        from the one in force to what a rollback would bring")]
    Diff {
        /// One file or two
        #[arg(value_name = "FILE", num_args = 1..=2, required_unless_present = "before", conflicts_with = "before")]
        files: Vec<PathBuf>,
        /// Lay the file over the policy in force, as publish --amend would
        #[arg(long, conflicts_with = "before")]
        amend: bool,
        /// Compare the policy in force with the one before it
        #[arg(long)]
        before: bool,
        #[command(flatten)]
        at: At,
        /// Print the lines as a JSON list
        #[arg(long)]
        json: bool,
    },
}

fn in_force(at: &At, which: &str) -> Result<Published, String> {
    let told = at.ask("GET", &format!("/v1/policy?which={which}"), "")?;
    Published::parse("the policy in force", told["text"].as_str().unwrap_or_default()).map_err(words)
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    match &arguments.command {
        Command::Publish { layers, amend, at, json } => {
            let published = match amend {
                true => in_force(at, "current")?.amended(layers),
                false => Published::load(layers),
            };
            let published = published.map_err(words)?;
            told(&at.ask("POST", "/v1/policy/publish", json!({ "text": published.text() }).to_string().as_str())?, *json)
        }
        Command::Rollback { at, json } => told(&at.ask("POST", "/v1/policy/rollback", "")?, *json),
        Command::Diff { files, amend, before, at, json } => {
            let of = |file: &PathBuf| Published::load(std::slice::from_ref(file)).map_err(words);
            let (old, new) = match files.as_slice() {
                [old, new] if !amend => (of(old)?, of(new)?),
                files if *amend && !files.is_empty() => {
                    let current = in_force(at, "current")?;
                    let amended = current.amended(files).map_err(words)?;
                    (current, amended)
                }
                [file] => (in_force(at, "current")?, of(file)?),
                _ if *before => (in_force(at, "current")?, in_force(at, "before")?),
                _ => return Err("expected a file or two, or --before".to_owned()),
            };
            let lines = policy_diff(&old, &new);
            match json {
                true => say(&format!("{}\n", json!(lines)))?,
                false => say(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn told(told: &Value, json: bool) -> Result<ExitCode, String> {
    if json {
        say(&format!("{told}\n"))?;
    } else {
        let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        let (policy, before, sequence) = (text("policy"), text("before"), &told["sequence"]);
        say(&format!("policy {policy} is in force from record {sequence} on, before it was {before}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
