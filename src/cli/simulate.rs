//! `weir simulate`.

use super::{is_watched, moment};
use crate::event::{Duration, Timestamp};
use crate::runtime::Progress;
use crate::sim::company::people::PEOPLE_MAX;
use crate::sim::company::truth::Truth;
use crate::sim::company::{Company, Options, PEOPLE_MIN, occurrence};
use crate::sim::world::{World, worlds};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a seeded, labelled stream of events as JSON lines
#[derive(clap::Args)]
#[command(after_help = "\
The same world, seed and settings give the same bytes on every machine. A file ending in .gz or .zst is compressed.

The company is a world like the one that Weir is for: people with households, devices, cards, habits and tastes in many countries, shops \
with seasons, an item catalogue with fashions, 40 % payments, 5 % transfers, 55 % sessions and interactions; seven kinds of fraud and \
thirteen forms of laundering, with labels that come as late as in life. The ledger is what a bank sees of it: transfers, their labels and \
profiles. The small worlds are for tests: few entities, much disorder.

Examples:
  weir simulate --world company --events 1000000 --out company.jsonl && weir replay company.jsonl
  weir simulate --world company --people 5000000 --rate 20000000 --events 3000000 --seed 7 --out day.jsonl.zst
  weir simulate --world company --start 2025-11-20 --fraud 60 --out sales.jsonl.gz --truth attacks.jsonl
  weir simulate --world company --start 2025-03-01T09:00:00Z --out company.jsonl --labels crimes.jsonl
  weir simulate --world ledger --people 10000 --laundering 100 --events 1000000 --out transfers.jsonl --truth schemes.jsonl
  weir simulate --world small --out sample.jsonl
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
    /// Customers of the company at the start [default: 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(PEOPLE_MIN)..=i64::from(PEOPLE_MAX)))]
    people: Option<u32>,
    /// Payments, transfers, sessions and interactions of the company on a day like the mean [default: 2.5 a person; of the ledger 1]
    #[arg(long, value_name = "PER_DAY", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    rate: Option<u64>,
    /// The company's first day or moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Timestamp>,
    /// Payments of the company that are fraud, in ten thousand [default: 35]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    fraud: Option<u32>,
    /// Transfers of the company that launder, in ten thousand [default: 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    laundering: Option<u32>,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Write what the company's attacks really were, one JSON object an attack
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write a label for each crime of the company, an hour behind the last event: to learn from what nobody in the stream knows yet. Its id
    /// has the number of the attack or scheme
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// List the worlds
    #[arg(long)]
    list: bool,
    /// Print what was written as one JSON object
    #[arg(long)]
    json: bool,
}

/// The worlds that are none of the small ones.
const COMPANY: (&str, &str) =
    ("company", "a payments company: people, shops, a catalogue, seven kinds of fraud, thirteen forms of laundering; any size");
const LEDGER: (&str, &str) = ("ledger", "the company as a bank sees it: transfers, their labels and profiles alone");
const PEOPLE_DEFAULT: u32 = 20_000;
/// Lines between two looks at the progress bar.
const LINES_A_LOOK: u64 = 4096;
/// Bytes gathered before they are written.
const GATHERED: usize = 1 << 18;

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.list {
        for (name, what) in [COMPANY, LEDGER].iter().chain(worlds()) {
            println!("{name:<10} {what}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.out.as_deref().ok_or("--out: expected a file to write")?;
    let is_company = [COMPANY.0, LEDGER.0].contains(&arguments.world.as_str());
    let for_company = [
        ("--people", arguments.people.is_some()),
        ("--rate", arguments.rate.is_some()),
        ("--start", arguments.start.is_some()),
        ("--fraud", arguments.fraud.is_some()),
        ("--laundering", arguments.laundering.is_some()),
        ("--truth", arguments.truth.is_some()),
        ("--labels", arguments.labels.is_some()),
    ];
    for (option, given) in for_company {
        if given && !is_company {
            return Err(format!("{option}: world is {:?}, expected company or ledger", arguments.world));
        }
    }
    if arguments.fraud.is_some() && arguments.world == LEDGER.0 {
        return Err("--fraud: world is \"ledger\", expected company: a bank's ledger has no payments".to_owned());
    }
    let mut lines = match is_company {
        true => Lines::Company(Box::new(Company::new(company_options(arguments)?)), occurrence::Writer::default()),
        false => {
            let world = World::named(&arguments.world, arguments.seed, arguments.events);
            Lines::World(Box::new(world.map_err(|error| format!("{error}, {}, {}", COMPANY.0, LEDGER.0))?.stream()))
        }
    };
    let standard_output = path.as_os_str() == "-";
    let at = |error: io::Error| format!("{}: cannot be written: {error}", path.display());
    let mut out = Sink::open(path).map_err(at)?;
    let mut truths = Truths::open(arguments)?;
    let bar = Progress::count("simulating", arguments.events, is_watched());
    let mut gathered = Vec::with_capacity(2 * GATHERED);
    let (mut written, mut bytes) = (0u64, 0u64);
    while written < arguments.events && lines.next(&mut gathered) {
        written += 1;
        if gathered.len() >= GATHERED || written == arguments.events {
            bytes += gathered.len() as u64;
            match out.write_all(&gathered) {
                Err(error) if super::ended_early(&error) => return Ok(ExitCode::SUCCESS),
                done => done.map_err(at)?,
            }
            gathered.clear();
        }
        if written.is_multiple_of(LINES_A_LOOK) {
            bar.at(written, String::new);
            if let Lines::Company(company, _) = &mut lines {
                truths.note(company)?;
            }
        }
    }
    match out.finish() {
        Err(error) if super::ended_early(&error) => return Ok(ExitCode::SUCCESS),
        done => done.map_err(at)?,
    }
    if let Lines::Company(company, _) = &mut lines {
        truths.note(company)?;
        truths.finish(company)?;
    }
    bar.finish();
    match (arguments.json, standard_output) {
        (true, false) => {
            println!("{}", serde_json::json!({"world": arguments.world, "seed": arguments.seed, "events": written, "bytes": bytes}))
        }
        (false, false) => {
            println!("{}: {written} events of world {:?}, seed {}, {bytes} bytes", path.display(), arguments.world, arguments.seed)
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn company_options(arguments: &Arguments) -> Result<Options, String> {
    let of = if arguments.world == LEDGER.0 { Options::ledger } else { Options::of };
    let mut options = of(arguments.seed, arguments.people.unwrap_or(PEOPLE_DEFAULT));
    if let Some(rate) = arguments.rate {
        options.activities_per_day = rate;
    }
    if let Some(fraud) = arguments.fraud {
        options.fraud_permyriad = fraud;
    }
    if let Some(laundering) = arguments.laundering {
        options.laundering_permyriad = laundering;
    }
    if let Some(start) = arguments.start {
        // From then on there are a hundred and thirty years for labels to come in.
        if !STARTS.contains(&start.0) {
            return Err(format!("--start: found {start}, expected a moment in 1970 to 2069"));
        }
        options.start = start;
    }
    Ok(options)
}

/// 1970 to 2069.
const STARTS: std::ops::Range<i64> = 0..3_155_760_000_000_000;

/// Where lines come from.
enum Lines {
    Company(Box<Company>, occurrence::Writer),
    World(Box<crate::sim::world::Stream>),
}

impl Lines {
    /// Appends the next line, if there is one.
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Lines::Company(company, writer) => company.next().map(|occurrence| writer.write(&occurrence, out)).is_some(),
            Lines::World(stream) => {
                let Some(happening) = stream.next() else { return false };
                happening.write_json(out);
                out.push(b'\n');
                true
            }
        }
    }
}

/// Where lines go to.
enum Sink {
    Plain(Box<dyn Write>),
    Gzip(GzEncoder<File>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl Sink {
    fn open(path: &Path) -> io::Result<Sink> {
        if path.as_os_str() == "-" {
            return Ok(Sink::Plain(Box::new(io::stdout().lock())));
        }
        let file = File::create(path)?;
        Ok(match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Sink::Gzip(GzEncoder::new(file, Compression::fast())),
            Some("zst") => Sink::Zstd(zstd::stream::write::Encoder::new(file, 1)?),
            _ => Sink::Plain(Box::new(file)),
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(out) => out.write_all(bytes),
            Sink::Gzip(out) => out.write_all(bytes),
            Sink::Zstd(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Sink::Plain(mut out) => out.flush(),
            Sink::Gzip(out) => out.finish().map(drop),
            Sink::Zstd(out) => out.finish().map(drop),
        }
    }
}

/// A file beside the events.
struct Beside {
    option: &'static str,
    path: PathBuf,
    out: BufWriter<File>,
}

impl Beside {
    fn open(option: &'static str, path: &Path) -> Result<Beside, String> {
        match File::create(path) {
            Ok(file) => Ok(Beside { option, path: path.to_owned(), out: BufWriter::new(file) }),
            Err(error) => Err(format!("{option}: {}: cannot be written: {error}", path.display())),
        }
    }

    fn said(&self, done: io::Result<()>) -> Result<(), String> {
        done.map_err(|error| format!("{}: {}: cannot be written: {error}", self.option, self.path.display()))
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        let done = self.out.write_all(lines);
        self.said(done)
    }

    fn finish(&mut self) -> Result<(), String> {
        let done = self.out.flush();
        self.said(done)
    }
}

/// What attacks really were, and the labels that say it.
struct Truths {
    truth: Option<Beside>,
    labels: Option<Beside>,
    /// The crimes to be labelled: each with the attack's number and name, and whether it launders.
    crimes: Vec<(String, u32, &'static str, bool)>,
    lines: Vec<u8>,
}

impl Truths {
    fn open(arguments: &Arguments) -> Result<Truths, String> {
        let open = |option, path: &Option<PathBuf>| path.as_deref().map(|path| Beside::open(option, path)).transpose();
        let (truth, labels) = (open("--truth", &arguments.truth)?, open("--labels", &arguments.labels)?);
        Ok(Truths { truth, labels, crimes: Vec::new(), lines: Vec::new() })
    }

    fn tell(&mut self, truth: &Truth) -> Result<(), String> {
        if let Some(file) = &mut self.truth {
            truth.write_json(&mut self.lines);
            file.write(&self.lines)?;
            self.lines.clear();
        }
        if self.labels.is_some() {
            let scenario = truth.form.unwrap_or(truth.attack.name());
            self.crimes.extend(truth.crimes.iter().map(|crime| (crime.to_string(), truth.episode, scenario, truth.form.is_some())));
        }
        Ok(())
    }

    /// Notes the attacks that ended lately.
    fn note(&mut self, company: &mut Company) -> Result<(), String> {
        company.drain_ended().try_for_each(|truth| self.tell(&truth))
    }

    /// Notes the attacks that go on still, and ends the files.
    fn finish(&mut self, company: &Company) -> Result<(), String> {
        company.under_way().try_for_each(|truth| self.tell(truth))?;
        if let Some(file) = &mut self.labels {
            let time = company.now() + Duration::HOUR;
            for (target, episode, scenario, launders) in &self.crimes {
                let verdict = if *launders { "laundering" } else { "fraud" };
                let label = serde_json::json!({
                    "id": format!("x-{episode}-{target}"), "type": "label", "time": time.to_string(), "target": target, "label": verdict,
                    "source": "analyst", "scenario": scenario,
                });
                file.write(format!("{label}\n").as_bytes())?;
            }
            file.finish()?;
        }
        self.truth.as_mut().map_or(Ok(()), Beside::finish)
    }
}
