//! `weir snapshot inspect|verify|export`.

use super::{FOUND, say, words};
use crate::event::Duration;
use crate::journal::hex;
use crate::runtime::{Copied, Inspected, Verified, export_snapshot, inspect_snapshots, snapshots_in, verify_snapshot};
use crate::snapshot::Content;
use clap::Subcommand;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Look after the snapshots of a data directory
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  weir snapshot inspect kept\n  weir snapshot verify kept --json")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what each snapshot is: sequence, time, versions, hashes, tables, age
    #[command(after_help = "\
Tables are not read; whether they are whole is for verify. Exit code 1: one of them is torn or of another version.

Examples:
  weir snapshot inspect kept                    all of a data directory, newest first
  weir snapshot inspect kept/snapshots/00000000000000010000.snapshot --json")]
    Inspect {
        /// The data directory, or one snapshot of it
        #[arg(value_name = "DIR|FILE")]
        target: PathBuf,
        /// Print them as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Read all checksums, restore an engine, compute again what is derived, and compare; changes nothing
    #[command(after_help = "\
An engine is built as the journal of the data directory says, so this takes its memory once. Exit code 1: a snapshot cannot be relied on.

Examples:
  weir snapshot verify kept
  weir snapshot verify kept/snapshots/00000000000000010000.snapshot --json")]
    Verify {
        /// The data directory, or one snapshot of it
        #[arg(value_name = "DIR|FILE")]
        target: PathBuf,
        /// Print the findings as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Copy what a service needs to go on from the newest snapshot into a new directory, also while one runs
    #[command(after_help = "\
The copy holds the snapshot, the journal behind it, the answers that were given, policies and models, keys: a data directory, smaller than the \
whole; where no snapshot was taken yet it holds the whole journal. Texts of ids and refused input stay behind: an id shows as a hash until it comes again. Kept elsewhere, it is what a shard is moved or \
restored from: `weir run --data COPY --recover` fetches from the topics what came behind it.

Examples:
  weir snapshot export weir-data --out /backup/weir-$(date +%F)")]
    Export {
        /// The data directory
        #[arg(value_name = "DIR")]
        target: PathBuf,
        /// The directory that is made
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    match &arguments.command {
        Command::Inspect { target, json } => inspect(target, *json),
        Command::Verify { target, json } => verify(target, *json),
        Command::Export { target, out } => {
            let Copied { sequence, files, bytes } = export_snapshot(target, out).map_err(words)?;
            say(&format!("{files} files, {bytes} bytes in {}: it goes on with record {}\n", out.display(), sequence.0))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn inspect(target: &Path, json: bool) -> Result<ExitCode, String> {
    let (_, paths) = snapshots_in(target).map_err(words)?;
    let all = inspect_snapshots(&paths);
    say(&match json {
        true => json!({"snapshots": all.iter().map(inspected_json).collect::<Vec<_>>()}).to_string() + "\n",
        false => all.iter().map(inspected_text).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(code(all.iter().all(|inspected| inspected.content.is_ok())))
}

fn verify(target: &Path, json: bool) -> Result<ExitCode, String> {
    let (root, paths) = snapshots_in(target).map_err(words)?;
    let mut all = Vec::new();
    for path in paths {
        let verified = verify_snapshot(&root, &path).map_err(words)?;
        all.push((path, verified));
    }
    say(&match json {
        true => {
            let one = |(path, verified): &(PathBuf, Result<Verified, String>)| match verified {
                Ok(verified) => verified_json(path, verified),
                Err(problem) => json!({"path": path, "valid": false, "problem": problem}),
            };
            json!({"snapshots": all.iter().map(one).collect::<Vec<_>>()}).to_string() + "\n"
        }
        false => all.iter().map(|(path, verified)| verified_text(path, verified)).collect(),
    })?;
    Ok(code(all.iter().all(|(_, verified)| verified.is_ok())))
}

fn code(fine: bool) -> ExitCode {
    if fine { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

fn seconds(duration: Duration) -> i64 {
    duration.0 / Duration::SECOND.0
}

fn content_json(path: &Path, content: &Content) -> Value {
    let (head, shape) = (&content.head, &content.head.shape);
    let tables: Vec<Value> =
        shape.tables.iter().map(|table| json!({"name": table.name, "bytes": table.bytes, "used_bytes": table.used})).collect();
    json!({
        "path": path,
        "sequence": head.sequence.0,
        "taken_at": head.taken_at.to_string(),
        "stream_time": stream_time(content),
        "engine_version": head.engine_version,
        "layout": shape.layout,
        "topology": hex(&shape.topology),
        "policy": hex(&shape.policy),
        "id_key_fingerprint": hex(&shape.id_key),
        "bytes": content.bytes,
        "copied_bytes": content.totals.copied,
        "zero_bytes": content.totals.zeros,
        "tables": tables,
    })
}

fn stream_time(content: &Content) -> Option<String> {
    Some(content.head.now).filter(|now| now.is_valid()).map(|now| now.to_string())
}

fn inspected_json(inspected: &Inspected) -> Value {
    match &inspected.content {
        Ok(content) => {
            let mut object = content_json(&inspected.path, content);
            object["age_seconds"] = json!(inspected.age.map(seconds));
            object
        }
        Err(problem) => json!({"path": inspected.path, "problem": problem.to_string()}),
    }
}

fn inspected_text(inspected: &Inspected) -> String {
    let mut text = format!("{}\n", inspected.path.display());
    let content = match &inspected.content {
        Ok(content) => content,
        Err(problem) => return text + &format!("  problem          {problem}\n"),
    };
    let (head, shape) = (&content.head, &content.head.shape);
    let age = inspected.age.map_or(String::new(), |age| format!(", {} s ago", seconds(age)));
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<22} {value}").expect("text grows");
    line("sequence", format!("{} is the first record it does not know", head.sequence.0));
    line("taken", format!("{}{age}", head.taken_at));
    line("stream time", stream_time(content).unwrap_or_else(|| "before any event".to_owned()));
    line("engine version", format!("{}, layout {}", head.engine_version, shape.layout));
    line("topology", hex(&shape.topology));
    line("policy", hex(&shape.policy));
    line("id key fingerprint", hex(&shape.id_key));
    let (copied, zeros) = (mebibytes(content.totals.copied), mebibytes(content.totals.zeros));
    line("file", format!("{}, of it {copied} copied before a write; {zeros} of zeros left out", mebibytes(content.bytes)));
    for table in shape.tables.iter().filter(|table| table.used > 0) {
        line(&table.name, format!("{} of {}", mebibytes(table.used), mebibytes(table.bytes)));
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn verified_json(path: &Path, verified: &Verified) -> Value {
    let mut object = content_json(path, &verified.content);
    object["valid"] = json!(true);
    object["state_hash"] = json!(hex(&verified.state_hash));
    object["derived_hash"] = json!(hex(&verified.derived_hash));
    object["restore_seconds"] = json!(verified.restore_seconds);
    object
}

fn verified_text(path: &Path, verified: &Result<Verified, String>) -> String {
    match verified {
        Ok(verified) => format!(
            "{}: whole; sequence {}, {}, restored in {:.2} s, state hash {}\n",
            path.display(),
            verified.sequence.0,
            mebibytes(verified.content.bytes),
            verified.restore_seconds,
            hex(&verified.state_hash)
        ),
        Err(problem) => format!("problem   {problem}\n"),
    }
}
