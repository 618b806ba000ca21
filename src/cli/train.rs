//! `weir train`.

use super::{duration, is_watched, moment, say, topology, words};
use crate::event::{Duration, Timestamp};
use crate::learn::{Export, ExportError, Row, RowSink, Sample, SampleOptions};
use crate::runtime::{GatherOptions, Input, gather};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;

/// Train a model on what the engine saw of each payment and transfer, and what it turned out to be
#[derive(clap::Args)]
#[command(after_help = "\
The whole stream goes through the engine; payments and transfers with FROM <= time < UNTIL become rows. A row holds what the engine knew at \
that moment – labels in it have taken their delay – and what labels until UNTIL and --label-delay later say the event was.

--out trains a model on the rows and writes it with its card, MODEL.json; it needs a build with `--features learn`. The newest 15 % of the \
time say how long to learn and calibrate the probabilities, and are learnt from last. Ctrl-C leaves the best model so far. --export writes \
the rows instead or as well, for models of another kind.

Examples:
  weir train transactions.parquet -t mapping.toml --from 2018-05-01 --until 2018-08-01 --out model.safetensors
  weir train transactions.parquet -t mapping.toml --from 2018-05-01 --until 2018-08-01 --export rows.parquet")]
pub struct Arguments {
    /// Files of events
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
    /// Train a model and write it into this file, with its card beside it
    #[arg(long, value_name = "MODEL.safetensors", required_unless_present = "export")]
    out: Option<PathBuf>,
    /// Write the rows into this Parquet file
    #[arg(long, value_name = "ROWS.parquet")]
    export: Option<PathBuf>,
    /// What chance begins with: one seed, one model
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How often each row is seen, at most [default: 8, or more where there are few rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    epochs: Option<u16>,
    /// For a study of what a part is worth: learn without states and messages, without messages, or with the neighbours of others
    #[arg(long, value_name = "PART", requires = "out", value_parser = ["states", "messages", "neighbours"])]
    ablate: Option<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.from >= arguments.until {
        return Err(format!("--until: found {}, expected a moment behind --from, which is {}", arguments.until, arguments.from));
    }
    if arguments.out.is_some() && !cfg!(feature = "learn") {
        return Err("--out: this build cannot train, expected one that was made with `--features learn`".to_owned());
    }
    #[cfg(feature = "learn")]
    let out = arguments.out.as_deref().map(super::model::Unfinished::create).transpose()?;
    let topology = topology(&arguments.topology)?;
    let options = GatherOptions {
        from: arguments.from,
        until: arguments.until,
        label_delay: arguments.label_delay.unwrap_or_else(|| topology.label_delay()),
        batch: topology.batch_events_max,
        progress: is_watched(),
    };
    let input = Input::Files(Box::new(topology), arguments.files.clone(), None);
    let (rows, gathered) = gather(&input, &options, |inputs, expected| {
        let export = arguments.export.as_deref().map(|path| Export::create(path, inputs.names())).transpose()?;
        let sample = arguments.out.is_some().then(|| Sample::new(inputs.names(), expected, sample_options(arguments)));
        Ok(Wanted { export, sample })
    })
    .map_err(words)?;
    let mut told = Told { json: Map::new(), text: String::new() };
    told.add("rows", gathered.rows.into(), &format!("{} rows, {} of them bad", gathered.rows, gathered.bad));
    told.json.insert("bad".to_owned(), gathered.bad.into());
    if let (Some(export), Some(path)) = (rows.export, &arguments.export) {
        export.finish().map_err(words)?;
        told.add("export", path.display().to_string().into(), &format!("rows in {}", path.display()));
    }
    #[cfg(feature = "learn")]
    if let (Some(mut sample), Some(out)) = (rows.sample, out) {
        let without = arguments.ablate.as_deref().map(super::model::ablation);
        if let Some(without) = without {
            without.apply(&mut sample, arguments.seed);
        }
        let epochs = arguments.epochs.map(usize::from);
        let learning = crate::learn::TrainOptions { seed: arguments.seed, epochs, without, ..Default::default() };
        super::model::learn(out, &options, &sample, &learning, &mut told)?;
    }
    say(&match arguments.json {
        true => Value::Object(told.json).to_string() + "\n",
        false => told.text,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The newest part of the time, which validates.
const VALIDATION_PERCENT: i64 = 15;

fn sample_options(arguments: &Arguments) -> SampleOptions {
    let length = arguments.until - arguments.from;
    SampleOptions {
        seed: arguments.seed,
        validation_from: arguments.until - Duration(length.0 / 100 * VALIDATION_PERCENT),
        validation_share: VALIDATION_PERCENT as f64 / 100.0,
        goods_per_bad: 30,
        validation_goods_max: 1 << 17,
        bytes_max: 2 << 30,
    }
}

/// What is said in the end, for machines and for people.
pub struct Told {
    json: Map<String, Value>,
    text: String,
}

impl Told {
    /// Both say it: `line` in words.
    pub fn add(&mut self, name: &str, value: Value, line: &str) {
        self.json.insert(name.to_owned(), value);
        self.text += line;
        self.text += "\n";
    }
}

/// Whoever wants the rows.
struct Wanted {
    export: Option<Export>,
    sample: Option<Sample>,
}

impl RowSink for Wanted {
    type Error = ExportError;

    fn row(&mut self, row: &Row<'_>) -> Result<(), ExportError> {
        if let Some(sample) = &mut self.sample {
            let Ok(()) = sample.row(row);
        }
        self.export.as_mut().map_or(Ok(()), |export| export.row(row))
    }
}
