//! The topology: the one configuration file, read, checked and turned into what is meant.
//!
//! The repository's `topology.toml` is the embedded default; files given with `-t` are layers over it. Every value remembers its file and
//! line, and all mistakes of all layers are told at once. Of what is meant, [`Deciding`] holds exactly what sways a decision; its canonical
//! text is what a journal keeps and what a decision's `topology` and `policy` are hashes of.

mod aggregate;
mod alert;
mod bill;

mod canonical;
mod check;

mod deciding;
mod difference;
mod document;
mod guard;
mod http;
mod kafka;
mod laundering;
mod limits;
mod lists;
mod model;
mod money;
mod operation;
mod picture;

mod policy;
mod published;
mod quantity;
mod relation;
mod section;
mod security;
mod source;

pub use bill::{Bill, Line, Sizes, TableSize};
pub use canonical::content_hash;
pub use check::{grouped, report, svg};

pub use deciding::Deciding;
pub use difference::policy_diff;
pub use document::{Error, Errors, Place};
pub use model::{BUILT_IN, ModelOptions};
pub use operation::{AuthorizeOptions, JournalOptions, SnapshotOptions, Topics, WaitFor};
pub use published::Published;
pub use quantity::{parse_duration, parse_moment};

use crate::api;
use crate::decision::StandIn;
use crate::doors::Security;
use crate::engine;
use crate::event::{Duration, IdKey};
use crate::ingress::{InputLimits, SourceOptions};
use crate::kafka::KafkaOptions;
use document::{Document, Log};
use section::Section;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The embedded default: the repository's `topology.toml`.
pub const DEFAULT: &str = include_str!("../../topology.toml");

/// The name under which messages speak of [`DEFAULT`].
pub const DEFAULT_NAME: &str = "built-in topology.toml";

/// The most bytes of one layer.
const LAYER_BYTES_MAX: usize = 1 << 20;

/// A topology as it is meant, after all checks.
#[derive(Clone, Debug)]
pub struct Topology {
    /// What sways decisions.
    pub deciding: Deciding,
    /// Sorted by name; [`crate::event::Origin::source`] is an index into it.
    pub sources: Vec<SourceOptions>,
    pub input: InputLimits,
    /// The most records of one step.
    pub batch_events_max: usize,
    /// Planned rows a day, by [`crate::graph::Family`]: what turns ring capacity into days.
    pub events_per_day: [u64; 3],
    pub journal: JournalOptions,
    pub snapshot: SnapshotOptions,
    pub topics: Topics,
    /// `None`: the embedded topics alone.
    pub kafka: Option<KafkaOptions>,
    pub authorize: AuthorizeOptions,
    /// Limits of the doors, with the deadlines of `authorize` and the longest line of `input`.
    pub http: api::Options,
    pub stand_in: StandIn,
    pub model: ModelOptions,
    pub security: Security,
    places: BTreeMap<String, Place>,
}

/// One topology text.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// As messages name it.
    pub name: &'a str,
    pub text: &'a str,
    /// Relative `files` of sources are looked up here.
    pub folder: &'a Path,
}

impl Topology {
    /// Reads `layers`, each over the one before it, the first over the embedded default. The error lists every mistake.
    pub fn load(layers: &[PathBuf]) -> Result<Topology, Errors> {
        Topology::load_over(&[], layers)
    }

    /// As [`Topology::load`], with `base` between the embedded default and the first of `layers`.
    pub fn load_over(base: &[Layer], layers: &[PathBuf]) -> Result<Topology, Errors> {
        let (mut texts, mut errors) = (Vec::new(), Vec::new());
        for path in layers {
            match read_layer(path) {
                Ok(text) => texts.push((path.display().to_string(), text, path.parent().unwrap_or(Path::new("")))),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(Errors(errors));
        }
        let layers = texts.iter().map(|(name, text, folder)| Layer { name, text, folder });
        let layers: Vec<Layer> = base.iter().copied().chain(layers).collect();
        Topology::parse(&layers)
    }

    /// As [`Topology::load`], of texts at hand.
    pub fn parse(layers: &[Layer]) -> Result<Topology, Errors> {
        let default = Layer { name: DEFAULT_NAME, text: DEFAULT, folder: Path::new("") };
        let layers: Vec<Layer> = std::iter::once(default).chain(layers.iter().copied()).collect();
        let (mut document, mut errors) = (Document::default(), Vec::new());
        for layer in &layers {
            errors.extend(document.lay(layer.name, layer.text).err().unwrap_or_default());
        }
        if !errors.is_empty() {
            return Err(Errors(errors));
        }
        let folders: Vec<&Path> = layers.iter().map(|layer| layer.folder).collect();
        let log = Log::new(&document);
        let read = read(&document, &folders, &log);
        let places = log.finish()?;
        Ok(Topology { places, ..read })
    }

    /// The options of an engine of this topology: what decides, with what the runtime adds.
    pub fn engine_options(&self, id_key: IdKey, threads: usize) -> engine::Options {
        self.deciding.engine_options(id_key, threads)
    }

    /// Where the key with this dotted path stands, such as `policy.rule.merchant_bad.when`.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// The canonical text of what decides besides the policy; see [`Deciding::canonical_topology`].
    pub fn canonical_topology(&self) -> String {
        self.deciding.canonical_topology()
    }

    /// How long labels take: the longest maturity of a source, else that of `[labels]`.
    pub fn label_delay(&self) -> Duration {
        let sources = self.deciding.sources.iter().filter_map(|(_, source)| source.maturity);
        sources.max().unwrap_or(self.deciding.labels.maturity)
    }

    /// The canonical text of the policy; see [`Deciding::canonical_policy`].
    pub fn canonical_policy(&self) -> String {
        self.deciding.canonical_policy()
    }

    /// Reads canonical texts, as a journal's blobs hold them, back into what decides.
    pub fn from_canonical(topology: &str, policy: &str) -> Result<Deciding, Errors> {
        Deciding::from_canonical(topology, policy)
    }
}

fn read_layer(path: &Path) -> Result<String, Error> {
    let error = |line, message| Error { file: path.display().to_string(), line, key: String::new(), message };
    let bytes = std::fs::read(path).map_err(|cause| error(0, format!("found no readable file ({cause}), expected a topology")))?;
    if bytes.len() > LAYER_BYTES_MAX {
        return Err(error(0, format!("found {} bytes, expected at most {LAYER_BYTES_MAX}", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let before = &cause.as_bytes()[..cause.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() as u32 + 1;
        error(line, "found bytes that are not UTF-8, expected text".to_string())
    })
}

fn read(document: &Document, folders: &[&Path], log: &Log) -> Topology {
    let root = Section::root(&document.root, log);
    let limits = limits::read(&root, limits::Form::Planned);
    let time = limits::read_time(&root, limits::Form::Planned);
    let sources = source::read(&root.section("source"), folders, time.jump_max);
    let deciding = Deciding {
        limits: limits.limits,
        aggregates: aggregate::read(&root.section("aggregate")),
        policy: policy::read(&root.section("policy")),
        lists: lists::read(&root, limits.list_entries_max),
        guard: guard::read(&root.section("guard")),
        alerts: alert::read(&root.section("alert")).within(limits.alerts),
        laundering: laundering::read(&root.section("laundering")),
        rates: money::read(&root.section("money")),
        labels: time.labels,
        dedupe: time.dedupe,
        future_skew_max: time.future_skew_max,
        sources: sources.iter().map(|source| (source.name.clone(), source::source_time(source, time.labels.maturity))).collect(),
    };
    let input = operation::read_input(&root.section("input"));
    let authorize = operation::read_authorize(&root.section("authorize"));
    let http = http::read(&root.section("http"), authorize.deadline, authorize.deadline_max, input.line_bytes_max);
    let stand_in = operation::read_stand_in(&root.section("stand_in"), &deciding.lists, log);
    let topology = Topology {
        deciding,
        sources,
        input,
        batch_events_max: limits.batch_events_max,
        events_per_day: limits.events_per_day,
        journal: operation::read_journal(&root.section("journal")),
        snapshot: operation::read_snapshot(&root.section("snapshot")),
        topics: operation::read_topics(&root.section("topics")),
        kafka: root.find_section("kafka").and_then(|section| kafka::read(&section, folders)),
        authorize,
        http,
        stand_in,
        model: model::read(&root.section("model"), folders),
        security: security::read(&root.section("security"), folders),
        places: BTreeMap::new(),
    };
    root.finish();
    relation::check(&topology.deciding, log);
    relation::check_plan(&topology, log);
    kafka::check(&topology, log);
    topology
}

#[cfg(test)]
mod tests;
