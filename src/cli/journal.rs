//! `weir journal verify|export`.

use super::{FOUND, texts, words};
use crate::event::Sequence;
use crate::journal::{Blobs, DataDir, Disk, Exported, Files, LogReport, Records, export, verify};
use clap::Subcommand;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Look after the journal of a data directory
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  weir journal verify kept\n  weir journal export kept --out events.jsonl")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read everything that is kept and check it; changes nothing
    Verify {
        /// The data directory
        dir: PathBuf,
        /// Print the findings as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the records as JSON lines, ids as texts where these are known
    #[command(
        after_help = "The events of an export can be replayed: weir journal export kept --out events.jsonl && weir replay events.jsonl"
    )]
    Export {
        /// The data directory
        dir: PathBuf,
        /// The file to write; - is standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        out: PathBuf,
        /// The first sequence
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        from: u64,
        /// Refused input, control records and ticks too
        #[arg(long)]
        all: bool,
    },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let files: Arc<dyn Files> = Arc::new(Disk);
    match &arguments.command {
        Command::Verify { dir, json } => {
            let report = verify(&files, &DataDir::read(dir).map_err(words)?);
            let logs =
                [("journal", &report.journal), ("outputs", &report.outputs), ("rejected", &report.rejected), ("texts", &report.texts)];
            if *json {
                let of = |log: &LogReport| {
                    let (first, last) = (log.first.map(|s| s.0), log.last.map(|s| s.0));
                    serde_json::json!({"segments": log.segments, "records": log.records, "first": first, "last": last, "torn_bytes": log.torn_bytes})
                };
                let mut object = serde_json::json!({"blobs": report.blobs, "digest": report.digest, "problems": report.problems});
                for (name, log) in logs {
                    object[name] = of(log);
                }
                println!("{object}");
            } else {
                for (name, log) in logs {
                    let span = match (log.first, log.last) {
                        (Some(first), Some(last)) => format!("sequences {} to {}", first.0, last.0),
                        _ => "empty".to_owned(),
                    };
                    println!("{name:<9} {} records in {} segment(s), {span}, {} torn bytes", log.records, log.segments, log.torn_bytes);
                }
                println!("blobs     {} named by control records, all whole", report.blobs);
                println!("digest    {}", report.digest);
                for problem in &report.problems {
                    println!("problem   {problem}");
                }
            }
            Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
        }
        Command::Export { dir, out, from, all } => {
            let place = DataDir::read(dir).map_err(words)?;
            let blobs = Blobs::read(files.clone(), &place.blobs());
            let mut records = Records::open(files, &place.journal(), Sequence(*from)).map_err(words)?;
            let identity = texts(&place)?;
            let at = |error: std::io::Error| format!("{}: cannot be written: {error}", out.display());
            let mut sink: Box<dyn Write> = match out.as_os_str() == "-" {
                true => Box::new(BufWriter::new(std::io::stdout().lock())),
                false => Box::new(BufWriter::with_capacity(1 << 20, File::create(out).map_err(at)?)),
            };
            let which = if *all { Exported::All } else { Exported::Events };
            let lines = export(&mut records, &blobs, which, &|id| identity.as_ref()?.text(id).ok().flatten(), &mut sink).map_err(words)?;
            if out.as_os_str() != "-" {
                println!("{}: {lines} records", out.display());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
