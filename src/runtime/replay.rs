//! The whole way of an event over files or a journal, as fast as it goes.

use super::keep::Keeper;
use super::measure::{StepTimes, peak_rss_bytes};
use super::progress::Progress;
use super::summary::{Summary, Tally};
use crate::engine::{BuildError, Engine, Options, Output, Phase};
use crate::event::{Body, Content, Control, ControlKind, Duration, Effort, Id, IdKey, Origin, Record, Sequence, Target, Timestamp};
use crate::ingress::{Format, InputError, Merge, Rejections, Sinks};
use crate::journal::{Blobs, DataDir, Digest, Disk, Durability, Files, JournalError, LogOptions, Records};
use crate::store::{Store, StoreError};
use crate::targets::Targets;
use crate::topology::{self, Bill, Deciding, Errors, Sizes, Topology, content_hash};
use crossbeam::channel::{Receiver, Sender, bounded};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How a replay is run; none of it sways a decision.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Records a step.
    pub batch: usize,
    pub threads: usize,
    /// Where journal, outputs and summary are kept; `None` writes nothing.
    pub out: Option<PathBuf>,
    /// Whether progress may be shown.
    pub progress: bool,
}

/// What is replayed.
#[derive(Clone, Debug)]
pub enum Input {
    /// Files of the topology's sources; none: those that the topology names.
    Files(Box<Topology>, Vec<PathBuf>),
    /// A data directory whose journal is stepped again.
    Journal(PathBuf),
}

/// Why a replay cannot be done.
#[derive(Debug)]
pub enum ReplayError {
    Build(BuildError),
    /// What the topology's own line is for the first mistake in a rule, if it is known.
    BuildAt(BuildError, Vec<String>),
    Input(InputError),
    Journal(JournalError),
    Store(StoreError),
    Topology(Errors),
    /// The journal does not begin with what an engine is built from.
    Unfounded(PathBuf, String),
    Output(PathBuf, String),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Build(error) => write!(f, "{error}"),
            ReplayError::BuildAt(_, lines) => write!(f, "{}", lines.join("\n")),
            ReplayError::Input(error) => write!(f, "{error}"),
            ReplayError::Journal(error) => write!(f, "{error}"),
            ReplayError::Store(error) => write!(f, "{error}"),
            ReplayError::Topology(errors) => write!(f, "{errors}"),
            ReplayError::Unfounded(dir, what) => write!(f, "{}: {what}", dir.display()),
            ReplayError::Output(path, what) => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<InputError> for ReplayError {
    fn from(error: InputError) -> ReplayError {
        ReplayError::Input(error)
    }
}

impl From<JournalError> for ReplayError {
    fn from(error: JournalError) -> ReplayError {
        ReplayError::Journal(error)
    }
}

impl From<StoreError> for ReplayError {
    fn from(error: StoreError) -> ReplayError {
        ReplayError::Store(error)
    }
}

/// Records that travel between threads together; a step takes a part of them.
const CHUNK: usize = 2048;
/// Chunks on their way between two threads.
const CHUNKS_WAITING: usize = 4;

/// A piece of work and its results; it goes round from the reader to the engine to the writer and back.
#[derive(Default)]
struct Chunk {
    records: Vec<Record>,
    outputs: Vec<Output>,
    /// Bytes read when it was filled.
    bytes: u64,
}

/// Replays `input` and says what was found.
///
/// # Errors
/// Where the topology's rules do not compile, a file cannot be opened, or what is kept cannot be written. A file that breaks off in
/// the middle is told in the summary.
pub fn replay(input: Input, options: &ReplayOptions) -> Result<Summary, ReplayError> {
    let source = Source::open(input)?;
    let engine_options = source.engine_options(options.threads);
    let started = Instant::now();
    let mut engine = start(engine_options, &source, options)?;
    let start_seconds = started.elapsed().as_secs_f64();
    let keeper = options.out.as_deref().map(|dir| Keeper::begin(dir, &source)).transpose()?;
    let bar = Progress::bytes("replaying", source.bytes_total(), options.progress);

    let mut times = StepTimes::new();
    let mut applied = Applied::default();
    let streaming = Instant::now();
    let (read, written) = std::thread::scope(|scope| {
        let (to_engine, from_reader) = bounded::<Chunk>(CHUNKS_WAITING);
        let (to_writer, from_engine) = bounded::<Chunk>(CHUNKS_WAITING);
        let (give_back, free) = bounded::<Chunk>(2 * CHUNKS_WAITING + 3);
        let (reading, writing) = keeper.map_or((None, None), |keeper| {
            let (reading, writing) = keeper.split();
            (Some(reading), Some(writing))
        });
        let reader = scope.spawn(move || source.read(reading, &to_engine, &free));
        let writer = scope.spawn(move || write(writing, &from_engine, &give_back));
        for mut chunk in from_reader {
            chunk.outputs.clear();
            for batch in chunk.records.chunks(options.batch) {
                let began = Instant::now();
                engine.step(batch, &mut |_: Phase| {}, &mut chunk.outputs);
                times.step(batch.len(), began.elapsed());
            }
            applied.count(&chunk.records);
            bar.at(chunk.bytes, || format!("{:.0} events/s", applied.events as f64 / streaming.elapsed().as_secs_f64()));
            if to_writer.send(chunk).is_err() {
                // The writer has failed: its error is told when it is joined.
                break;
            }
        }
        drop(to_writer);
        (reader.join().expect("the reader does not panic"), writer.join().expect("the writer does not panic"))
    });
    let seconds = streaming.elapsed().as_secs_f64();
    bar.finish();
    let (tally, digest) = written?;
    let input_errors = read?;

    let rows = engine.graph().rings.iter().map(|ring| ring.len()).sum();
    let rejected = tally.rejected.values().sum();
    let provenance = engine.provenance();
    let summary = Summary {
        events: applied.events,
        labels: applied.labels,
        seconds,
        events_per_second: applied.events as f64 / seconds,
        step_us_p50: times.quantile_us(0.5),
        step_us_p99: times.quantile_us(0.99),
        step_us_p999: times.quantile_us(0.999),
        peak_rss_bytes: peak_rss_bytes(),
        nodes: engine.graph().nodes.len() as u64,
        rows,
        outcomes: tally.outcomes,
        alerts: 0,
        rejected,
        digest,
        state_hash: engine.state_hash(),
        rejected_by_reason: tally.rejected,
        degraded: tally.degraded,
        duplicates: engine.counts().duplicates,
        late: engine.counts().late,
        start_seconds,
        batch: options.batch,
        threads: options.threads,
        topology: provenance.topology,
        policy: provenance.policy,
        engine_version: crate::ENGINE_VERSION,
        input_errors: input_errors.iter().map(ToString::to_string).collect(),
    };
    if let Some(dir) = &options.out {
        super::keep::write_summary(dir, &summary)?;
    }
    Ok(summary)
}

/// Allocates the engine, with a bar: it touches all its memory.
fn start(engine_options: Options, source: &Source, options: &ReplayOptions) -> Result<Engine, ReplayError> {
    let bytes = source.engine_bytes();
    let bar = Progress::bytes("allocating", bytes, options.progress);
    let engine = Engine::new(engine_options, &mut |bytes| bar.advance(bytes as u64)).map_err(|error| source.placed(error));
    bar.finish();
    engine
}

/// Events that went by.
#[derive(Default)]
struct Applied {
    events: u64,
    labels: u64,
}

impl Applied {
    fn count(&mut self, records: &[Record]) {
        for record in records {
            if let Content::Event(event) = &record.content {
                match event.body {
                    Body::Label(_) => self.labels += 1,
                    _ => self.events += 1,
                }
            }
        }
    }
}

/// Where records come from.
pub(super) enum Source {
    Files { topology: Box<Topology>, merge: Box<Merge>, targets: Option<Box<Index>> },
    Journal { deciding: Box<Deciding>, records: Box<Records>, key: IdKey },
}

impl Source {
    fn open(input: Input) -> Result<Source, ReplayError> {
        match input {
            Input::Files(topology, files) => {
                // The control records that found the engine come first.
                let merge = Merge::open(&files, &topology.sources, topology.input, IdKey::FILES, Sequence(FOUNDATIONS as u64))?;
                // Labels with a row of their own are resolved by it; only the wire brings others.
                let wire = crate::ingress::assign(&files, &topology.sources)?
                    .iter()
                    .any(|(source, _)| topology.sources[*source].format == Format::Wire);
                let targets = if wire { Some(Box::new(Index::scratch(topology.deciding.labels.known)?)) } else { None };
                Ok(Source::Files { topology, merge: Box::new(merge), targets })
            }
            Input::Journal(root) => {
                let dir = DataDir::read(&root)?;
                let disk: Arc<dyn Files> = Arc::new(Disk);
                let deciding = founded(&root, &disk, &dir)?;
                let records = Records::open(disk, &dir.journal(), Sequence(0))?;
                let key = records.0.key().ok_or_else(|| ReplayError::Unfounded(root.clone(), "the journal holds no segment".to_owned()))?;
                Ok(Source::Journal { deciding: Box::new(deciding), records: Box::new(records), key })
            }
        }
    }

    /// How what is kept is written: as the topology says.
    pub(super) fn log_options(&self) -> LogOptions {
        match self {
            Source::Files { topology, .. } => {
                let durability = match topology.journal.durability {
                    topology::Durability::Written => Durability::Written,
                    topology::Durability::Synced => Durability::Synced,
                };
                LogOptions { durability, segment_bytes: topology.journal.segment_bytes }
            }
            Source::Journal { .. } => LogOptions::default(),
        }
    }

    fn engine_options(&self, threads: usize) -> Options {
        match self {
            Source::Files { topology, .. } => topology.engine_options(IdKey::FILES, threads),
            Source::Journal { deciding, key, .. } => deciding.engine_options(*key, threads),
        }
    }

    fn deciding(&self) -> &Deciding {
        match self {
            Source::Files { topology, .. } => &topology.deciding,
            Source::Journal { deciding, .. } => deciding,
        }
    }

    /// What the engine's tables take.
    fn engine_bytes(&self) -> u64 {
        Bill::of(&self.deciding().limits, 0, &Sizes::of(self.deciding())).bytes()
    }

    /// The texts of what decides, as blobs hold them.
    pub(super) fn foundations(&self) -> [(ControlKind, String); FOUNDATIONS] {
        let deciding = self.deciding();
        [(ControlKind::Topology, deciding.canonical_topology()), (ControlKind::Policy, deciding.canonical_policy())]
    }

    /// The key under which the records' ids are hashed.
    pub(super) fn key(&self) -> IdKey {
        match self {
            Source::Files { .. } => IdKey::FILES,
            Source::Journal { key, .. } => *key,
        }
    }

    /// A mistake in a rule with the line of the topology where it stands.
    fn placed(&self, error: BuildError) -> ReplayError {
        match self {
            Source::Files { topology, .. } => ReplayError::BuildAt(error.clone(), super::mistakes(topology, &error)),
            Source::Journal { .. } => ReplayError::Build(error),
        }
    }

    fn bytes_total(&self) -> u64 {
        match self {
            Source::Files { merge, .. } => merge.bytes_total(),
            Source::Journal { .. } => 0,
        }
    }

    /// Reads everything into chunks; returns the errors of files that were given up.
    fn read(
        self,
        mut reading: Option<super::keep::Reading>,
        out: &Sender<Chunk>,
        free: &Receiver<Chunk>,
    ) -> Result<Vec<InputError>, ReplayError> {
        let foundations = self.foundations();
        match self {
            Source::Files { mut merge, mut targets, .. } => {
                let progress = merge.progress();
                let mut errors = Vec::new();
                let mut first = true;
                loop {
                    let mut chunk = free.try_recv().unwrap_or_default();
                    if std::mem::take(&mut first) {
                        chunk.records.extend(controls(&foundations));
                    } else {
                        let more = match &mut reading {
                            Some(keep) => {
                                let (texts, rejected) = keep.sinks();
                                fill(&mut merge, &mut chunk.records, texts, rejected, targets.as_deref_mut())
                            }
                            None => fill(&mut merge, &mut chunk.records, &mut (), &mut (), targets.as_deref_mut()),
                        };
                        match more {
                            Ok(true) => {}
                            Ok(false) => break,
                            Err(error) => errors.push(error),
                        }
                    }
                    if let Some(index) = targets.as_deref_mut() {
                        index.keep_up(&chunk.records)?;
                    }
                    if let Some(keep) = &mut reading {
                        keep.journal(&chunk.records)?;
                    }
                    chunk.bytes = progress.bytes();
                    if out.send(chunk).is_err() {
                        break;
                    }
                }
                if let Some(keep) = reading {
                    keep.finish()?;
                }
                Ok(errors)
            }
            Source::Journal { mut records, .. } => {
                loop {
                    let mut chunk = free.try_recv().unwrap_or_default();
                    chunk.records.clear();
                    while chunk.records.len() < CHUNK
                        && let Some(record) = records.next_record()?
                    {
                        chunk.records.push(record);
                    }
                    if chunk.records.is_empty() {
                        break;
                    }
                    if let Some(keep) = &mut reading {
                        keep.journal(&chunk.records)?;
                    }
                    if out.send(chunk).is_err() {
                        break;
                    }
                }
                if let Some(keep) = reading {
                    keep.finish()?;
                }
                Ok(Vec::new())
            }
        }
    }
}

/// Control records ahead of the first event.
const FOUNDATIONS: usize = 2;

fn controls(foundations: &[(ControlKind, String)]) -> impl Iterator<Item = Record> {
    foundations.iter().enumerate().map(|(sequence, (kind, text))| Record {
        sequence: Sequence(sequence as u64),
        received: Timestamp::MIN,
        origin: Origin::engine(),
        effort: Effort::Full,
        content: Content::Control(Control { kind: *kind, blob: content_hash(text) }),
    })
}

fn fill<T: crate::ingress::Texts + ?Sized>(
    merge: &mut Merge,
    records: &mut Vec<Record>,
    texts: &mut T,
    rejected: &mut dyn Rejections,
    targets: Option<&mut Index>,
) -> Result<bool, InputError> {
    let mut unknown = ();
    let targets: &mut dyn crate::ingress::Targets = match targets {
        Some(index) => index,
        None => &mut unknown,
    };
    merge.next_batch(CHUNK, records, Sinks { texts, targets, rejected })
}

/// What a journal's first control records name.
pub(super) fn founded(root: &Path, disk: &Arc<dyn Files>, dir: &DataDir) -> Result<Deciding, ReplayError> {
    let blobs = Blobs::open(disk.clone(), &dir.blobs())?;
    let mut records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
    let mut texts = [None, None];
    for _ in 0..FOUNDATIONS {
        let Some(record) = records.next_record()? else { break };
        let Content::Control(control) = record.content else { break };
        let text = String::from_utf8_lossy(&blobs.get(&control.blob)?).into_owned();
        texts[usize::from(control.kind == ControlKind::Policy)] = Some(text);
    }
    let [Some(topology), Some(policy)] = texts else {
        let what = "the journal's first records name no topology and policy, expected those of a replay with --out";
        return Err(ReplayError::Unfounded(root.to_owned(), what.to_owned()));
    };
    Topology::from_canonical(&topology, &policy).map_err(ReplayError::Topology)
}

/// Takes outputs in order: digest, counts, and where they are kept the output log.
fn write(
    mut keep: Option<super::keep::Writing>,
    from_engine: &Receiver<Chunk>,
    give_back: &Sender<Chunk>,
) -> Result<(Tally, [u8; 32]), ReplayError> {
    let mut digest = Digest::new();
    let mut tally = Tally::default();
    for chunk in from_engine {
        for output in &chunk.outputs {
            match output {
                Output::Decision(decision) => tally.decision(decision.outcome, decision.status),
                Output::Rejected(rejected) => tally.rejected(rejected.refused.reason),
            }
            digest.update(output);
        }
        if let Some(keep) = &mut keep {
            keep.outputs(&chunk.outputs)?;
        }
        // When the reader is done nobody takes it back.
        let _ = give_back.try_send(chunk);
    }
    if let Some(keep) = keep {
        keep.finish()?;
    }
    Ok((tally, digest.finish()))
}

/// The index of judged events of a replay, for labels that come as events of their own.
pub(super) struct Index {
    targets: Targets,
    known: Duration,
    newest: Timestamp,
    /// What went wrong where the merge could not be told.
    failed: Option<StoreError>,
}

/// Entries that wait at most before they are written.
const TARGETS_WAITING: usize = 16_384;

impl Index {
    fn scratch(known: Duration) -> Result<Index, StoreError> {
        let targets = Targets::open(&Store::scratch()?)?;
        Ok(Index { targets, known, newest: Timestamp::MIN, failed: None })
    }

    /// Writes what waits, and lets go of what is too old for labels.
    fn keep_up(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if let Some(Record { received, .. }) = records.last() {
            self.newest = self.newest.max(*received);
        }
        if self.targets.waiting() >= TARGETS_WAITING {
            self.targets.expire(self.newest - self.known);
            self.targets.flush()?;
        }
        Ok(())
    }
}

impl crate::ingress::Targets for Index {
    fn resolve(&mut self, id: Id) -> Option<Target> {
        self.targets.resolve(id).unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }

    fn note(&mut self, record: &Record) {
        self.targets.note(record);
    }
}
