//! Where records come from: files of the topology's sources, or a journal that was kept.

use super::error::ReplayError;
use super::keep::{FOUNDATIONS, Foundations, Reading};
use super::models::ModelFile;
use super::naming::{Told, is_erase};
use super::policies::Policies;
use crate::engine::{BuildError, Options, Output};
use crate::event::{Content, Control, ControlKind, Duration, Effort, Event, Id, IdKey, Origin, Record, Sequence, Target, Timestamp};
use crate::ingress::{Format, InputError, Merge, Rejections, Sinks};
use crate::journal::{Blobs, DataDir, Disk, Files, LogOptions, Records};
use crate::snapshot::{Snapshots, inspect};
use crate::store::{Store, StoreError};
use crate::targets::Targets;
use crate::topology::{Bill, Deciding, Sizes, Topology, content_hash};
use crossbeam::channel::{Receiver, Sender};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is replayed.
#[derive(Clone, Debug)]
pub enum Input {
    /// Files of the topology's sources, none: those that the topology names; and the model that judges them.
    Files(Box<Topology>, Vec<PathBuf>, Option<ModelFile>),
    /// A data directory whose journal is stepped again.
    Journal(PathBuf),
}

/// Records that travel between threads together; a step takes a part of them.
const CHUNK: usize = 2048;
/// A piece of work and its results; it goes round from the reader to the engine to the writer and back.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    pub(super) outputs: Vec<Output>,
    /// Bytes read when it was filled.
    pub(super) bytes: u64,
    /// Texts met while it was filled, if something is kept: those of its records and of some later ones.
    pub(super) texts: Told,
    /// Whether one of its records is an erasure whose texts are kept.
    pub(super) erases: bool,
    /// Then what was read and stands behind its records.
    pub(super) ahead: Vec<Event>,
    /// Then the erasures that the engine admitted, in order.
    pub(super) erased: Vec<Sequence>,
}

/// Where records come from.
pub(super) enum Source {
    Files { topology: Box<Topology>, merge: Box<Merge>, targets: Option<Box<Index>>, model: Option<ModelFile> },
    Journal { deciding: Box<Deciding>, records: Box<Records>, key: IdKey, blobs: Blobs },
}

impl Source {
    pub(super) fn open(input: Input) -> Result<Source, ReplayError> {
        match input {
            Input::Files(topology, files, model) => {
                // The control records that found the engine come first.
                let first = Sequence(FOUNDATIONS as u64 + u64::from(model.is_some()));
                let merge = Merge::open(&files, &topology.sources, topology.input, IdKey::FILES, first)?;
                // Labels with a row of their own are resolved by it; only the wire brings others.
                let wire = crate::ingress::assign(&files, &topology.sources)?
                    .iter()
                    .any(|(source, _)| topology.sources[*source].format == Format::Wire);
                let targets = if wire { Some(Box::new(Index::scratch(topology.deciding.labels.known)?)) } else { None };
                Ok(Source::Files { topology, merge: Box::new(merge), targets, model })
            }
            Input::Journal(root) => {
                let dir = DataDir::read(&root)?;
                let disk: Arc<dyn Files> = Arc::new(Disk);
                let first = Records::open(disk.clone(), &dir.journal(), Sequence(0))?.next_record()?.map(|record| record.sequence);
                if let Some(first) = first.filter(|first| *first > Sequence(0)) {
                    let what = format!(
                        "the journal begins at record {}, what was before it has been deleted (keep_days): a replay needs the beginning",
                        first.0
                    );
                    return Err(ReplayError::Unfounded(root, what));
                }
                let deciding = founded(&root, &disk, &dir)?;
                let records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
                let blobs = Blobs::read(disk, &dir.blobs());
                let key = records.0.key().ok_or_else(|| ReplayError::Unfounded(root.clone(), "the journal holds no segment".to_owned()))?;
                Ok(Source::Journal { deciding: Box::new(deciding), records: Box::new(records), key, blobs })
            }
        }
    }

    pub(super) fn engine_options(&self, threads: usize) -> Options {
        match self {
            Source::Files { topology, .. } => topology.engine_options(IdKey::FILES, threads),
            Source::Journal { deciding, key, .. } => deciding.engine_options(*key, threads),
        }
    }

    /// The policies and models that its records may name.
    pub(super) fn policies(&self) -> Policies {
        match self {
            Source::Files { topology, model, .. } => Policies::of_files(&topology.deciding, model.clone()),
            Source::Journal { deciding, key, blobs, .. } => Policies::of(deciding, *key, blobs.clone()),
        }
    }

    fn deciding(&self) -> &Deciding {
        match self {
            Source::Files { topology, .. } => &topology.deciding,
            Source::Journal { deciding, .. } => deciding,
        }
    }

    /// What the engine's tables take.
    pub(super) fn engine_bytes(&self) -> u64 {
        Bill::of(&self.deciding().limits, 0, &Sizes::of(self.deciding())).bytes()
    }

    /// What a journal of these records begins with.
    pub(super) fn foundations(&self) -> Foundations {
        let (key, log) = match self {
            Source::Files { topology, .. } => {
                let log = LogOptions { durability: topology.journal.durability, segment_bytes: topology.journal.segment_bytes };
                (IdKey::FILES, log)
            }
            Source::Journal { key, .. } => (*key, LogOptions::default()),
        };
        let model = match self {
            Source::Files { model, .. } => model.clone(),
            Source::Journal { .. } => None,
        };
        Foundations { key, log, texts: foundation_texts(self.deciding()), model }
    }

    /// A mistake in a rule with the line of the topology where it stands.
    pub(super) fn placed(&self, error: BuildError) -> ReplayError {
        match self {
            Source::Files { topology, .. } => ReplayError::BuildAt(error.clone(), super::mistakes(topology, &error)),
            Source::Journal { .. } => ReplayError::Build(error),
        }
    }

    pub(super) fn bytes_total(&self) -> u64 {
        match self {
            Source::Files { merge, .. } => merge.bytes_total(),
            Source::Journal { .. } => 0,
        }
    }

    /// Reads everything into chunks, with the texts of ids where they are `told` or kept; returns the errors of files that were given up.
    pub(super) fn read(
        self,
        mut reading: Option<Reading>,
        told: bool,
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
                        chunk.records.extend(controls(&foundations.texts));
                        chunk.records.extend(foundations.model.iter().map(model_control));
                    } else {
                        let more = match &mut reading {
                            Some(keep) => {
                                let (texts, rejected) = (&mut chunk.texts, keep.rejected());
                                fill(&mut merge, &mut chunk.records, texts, rejected, targets.as_deref_mut())
                            }
                            None if told => fill(&mut merge, &mut chunk.records, &mut chunk.texts, &mut (), targets.as_deref_mut()),
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
                        chunk.erases = chunk.records.iter().any(is_erase);
                        chunk.ahead = if chunk.erases { merge.ahead() } else { Vec::new() };
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
            Source::Journal { mut records, blobs, .. } => {
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
                        keep.blobs(&chunk.records, &blobs)?;
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

/// The texts that a journal's first records name.
pub(super) fn foundation_texts(deciding: &Deciding) -> [(ControlKind, String); FOUNDATIONS] {
    [(ControlKind::Topology, deciding.canonical_topology()), (ControlKind::Policy, deciding.canonical_policy())]
}

pub(super) fn controls(foundations: &[(ControlKind, String)]) -> impl Iterator<Item = Record> {
    foundations.iter().enumerate().map(|(sequence, (kind, text))| Record {
        sequence: Sequence(sequence as u64),
        received: Timestamp::MIN,
        origin: Origin::engine(),
        effort: Effort::Full,
        content: Content::Control(Control { kind: *kind, blob: content_hash(text) }),
    })
}

/// The record behind the foundations that puts a model in force.
fn model_control(model: &ModelFile) -> Record {
    let content = Content::Control(Control { kind: ControlKind::Model, blob: model.hash() });
    let (sequence, origin) = (Sequence(FOUNDATIONS as u64), Origin::engine());
    Record { sequence, received: Timestamp::MIN, origin, effort: Effort::Full, content }
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

/// What a journal's first control records name; where it has let go of them, what the newest readable snapshot was taken under.
pub(super) fn founded(root: &Path, disk: &Arc<dyn Files>, dir: &DataDir) -> Result<Deciding, ReplayError> {
    let unfounded = |what: String| ReplayError::Unfounded(root.to_owned(), what);
    let blobs = Blobs::read(disk.clone(), &dir.blobs());
    let mut records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
    let mut texts = [None, None];
    for number in 0..FOUNDATIONS {
        let Some(record) = records.next_record()? else { break };
        if number == 0 && record.sequence > Sequence(0) {
            let snapshots = Snapshots::at(disk.clone(), &dir.snapshots());
            let head = snapshots.list()?.iter().find_map(|kept| inspect(&**disk, &kept.path).ok()).map(|content| content.head);
            let head = head.ok_or_else(|| {
                let first = record.sequence.0;
                unfounded(format!(
                    "the journal begins at record {first} and no snapshot tells what it was judged under: expected a snapshot that is whole"
                ))
            })?;
            texts = [Some(blobs.starting_with(&head.shape.topology)?), Some(blobs.starting_with(&head.shape.policy)?)];
            break;
        }
        let Content::Control(control) = record.content else { break };
        texts[usize::from(control.kind == ControlKind::Policy)] = Some(blobs.get(&control.blob)?);
    }
    let [Some(topology), Some(policy)] = texts.map(|text| text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())) else {
        let what = "the journal's first records name no topology and policy, expected those of a replay with --out";
        return Err(unfounded(what.to_owned()));
    };
    Topology::from_canonical(&topology, &policy).map_err(ReplayError::Topology)
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
