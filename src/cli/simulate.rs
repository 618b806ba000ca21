//! `weir simulate`.

use super::{is_watched, words};
use crate::runtime::Progress;
use crate::sim::world::{World, worlds};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a seeded, labelled stream of events as JSON lines
#[derive(clap::Args)]
#[command(after_help = "\
The same world, seed and number of events give the same bytes on every machine.

Examples:
  weir simulate --world small --out sample.jsonl
  weir simulate --world small --events 1000000 --seed 7 --out - | zstd > sample.jsonl.zst
  weir simulate --list")]
pub struct Arguments {
    /// The world
    #[arg(long, value_name = "NAME", default_value = "small")]
    world: String,
    /// Lines to write, labels and repetitions among them
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// Another seed, other people
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// List the worlds
    #[arg(long)]
    list: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

/// Lines between two looks at the progress bar.
const LINES_A_LOOK: u64 = 4096;

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.list {
        for (name, what) in worlds() {
            println!("{name:<10} {what}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let world = World::named(&arguments.world, arguments.seed, arguments.events).map_err(words)?;
    let path = arguments.out.as_deref().ok_or("--out: expected a file to write")?;
    let standard_output = path.as_os_str() == "-";
    let at = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
    let mut out: Box<dyn Write> = match standard_output {
        true => Box::new(BufWriter::new(std::io::stdout().lock())),
        false => Box::new(BufWriter::with_capacity(1 << 20, File::create(path).map_err(at)?)),
    };
    let bar = Progress::count("simulating", arguments.events, is_watched());
    let mut line = Vec::new();
    let (mut lines, mut bytes) = (0u64, 0u64);
    for happening in world.stream() {
        line.clear();
        happening.write_json(&mut line);
        line.push(b'\n');
        match out.write_all(&line) {
            Err(error) if super::ended_early(&error) => return Ok(ExitCode::SUCCESS),
            written => written.map_err(at)?,
        }
        lines += 1;
        bytes += line.len() as u64;
        if lines.is_multiple_of(LINES_A_LOOK) {
            bar.at(lines, String::new);
        }
    }
    out.flush().map_err(at)?;
    bar.finish();
    match (arguments.json, standard_output) {
        (true, false) => {
            println!("{}", serde_json::json!({"world": arguments.world, "seed": arguments.seed, "events": lines, "bytes": bytes}))
        }
        (false, false) => {
            println!("{}: {lines} events of world {:?}, seed {}, {bytes} bytes", path.display(), arguments.world, arguments.seed)
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}
