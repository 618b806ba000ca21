//! `weir evaluate`.

use super::{duration, is_watched, moment, say, topology, words};
use crate::evaluate::reliability_plot;
use crate::event::{Duration, Timestamp};
use crate::runtime::{EvaluateOptions, Input, ModelFile, evaluate};
use std::path::PathBuf;
use std::process::ExitCode;

/// Judge a model's probabilities by the labels that came later
#[derive(clap::Args)]
#[command(after_help = "\
The whole stream goes through the engine, each event judged before its label is known; payments and transfers with FROM <= time < UNTIL are \
reported on: ranking, cards found a day, calibration, what was caught of each scenario and typology. An event without a label was good.

Examples:
  weir evaluate transactions.parquet -t mapping.toml --model fraud.safetensors --from 2018-08-08 --until 2018-08-15
  weir evaluate transactions.parquet -t mapping.toml --model fraud.safetensors --from 2018-08-08 --until 2018-08-15 --scores scores.csv --plot curve.svg
  weir evaluate ledger.jsonl --model aml.safetensors --from 2025-03-01 --until 2025-04-01 --patterns schemes.jsonl")]
pub struct Arguments {
    /// Files of events
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// The model that judges: MODEL.safetensors
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// A day or moment: events from then on
    #[arg(long, value_name = "FROM", value_parser = moment)]
    from: Timestamp,
    /// A day or moment: events before it
    #[arg(long, value_name = "UNTIL", value_parser = moment)]
    until: Timestamp,
    /// How long after UNTIL labels are waited for [default: all that the files hold]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    label_delay: Option<Duration>,
    /// From which probability on an event counts as caught [default: where F1 is best]
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    threshold: Option<f64>,
    /// Also judge events of which the model may know the labels; every output says so
    #[arg(long)]
    hindsight: bool,
    /// Say of each pattern whether it was found, and after how many of its events: what weir simulate --truth wrote (.jsonl), or a .csv or
    /// .parquet with the columns event_id, pattern_id and typology; without event_id the column that a source of the topology maps to the id
    #[arg(long, value_name = "FILE")]
    patterns: Option<PathBuf>,
    /// Write event, time, user and probabilities of each judged event into this file, .csv or .parquet
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Draw the calibration curve into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.from >= arguments.until {
        return Err(format!("--until: found {}, expected a moment behind --from, which is {}", arguments.until, arguments.from));
    }
    let topology = topology(&arguments.topology)?;
    let options = EvaluateOptions {
        from: arguments.from,
        until: arguments.until,
        label_delay: arguments.label_delay,
        threshold: arguments.threshold,
        hindsight: arguments.hindsight,
        model: arguments.model.clone(),
        patterns: arguments.patterns.clone(),
        scores: arguments.scores.clone(),
        batch: topology.batch_events_max,
        progress: is_watched(),
    };
    let model = arguments.model.as_deref().map(ModelFile::read).transpose().map_err(words)?;
    let input = Input::Files(Box::new(topology), arguments.files.clone(), model);
    let report = evaluate(&input, &options).map_err(words)?;
    if let Some(path) = &arguments.plot {
        std::fs::write(path, reliability_plot(&report)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    say(&match arguments.json {
        true => serde_json::to_string(&report).map_err(words)? + "\n",
        false => report.to_string(),
    })?;
    Ok(ExitCode::SUCCESS)
}
