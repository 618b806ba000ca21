//! What a data directory holds, brought to where its journal ends: everything that a service is made of, before it has threads.
//!
//! The journal is the truth. The engine is filled from the newest snapshot that is whole and steps what the journal holds behind it, or
//! all of it. What it gives again is compared with what the output log holds, and what the log does not hold yet – the process ended
//! between the two – is written now. Outputs that tell of records which a power cut took from the journal are cut off.

use super::answers::Answers;
use super::clock::Clock;
use super::erasures::Erasures;
use super::error::ServiceError;
use super::namer::{Namer, entered};
use super::news::News;
use super::recorder::TICK_BEHIND;
use super::recovery::{Stepping, known_answers, note, step};
use crate::engine::{BuildError, Engine, NO_MODEL, Output};
use crate::event::{Content, Control, ControlKind, Effort, IdKey, Origin, Record, Sequence, Timestamp};
use crate::identity::Identity;
use crate::journal::{Blobs, DataDir, Durability, Files, Journal, LogOptions, OutputLog, Records, RejectedLog, TextLog, hex};
use crate::kafka::usable;
use crate::metrics::Metrics;
use crate::priority::give_way;
use crate::runtime::backing::{Backing, CPU, device_of, let_go, tell_lost, told};
use crate::runtime::models::Configured;
use crate::runtime::policies::{Policies, short};
use crate::runtime::progress::Progress;
use crate::runtime::source::{controls, foundation_texts};
use crate::snapshot::{Snapshots, inspect};
use crate::store::{Store, StoreError};
use crate::targets::Targets;
use crate::topology::{Bill, Sizes, Topology, content_hash};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread::scope;
use std::time::Instant;
use tracing::{Span, info, info_span, warn};

/// Everything that stands in a data directory, and the engine that stands where its journal ends.
pub(in crate::runtime) struct Standing {
    pub dir: DataDir,
    pub files: Arc<dyn Files>,
    pub journal: Journal,
    pub outputs: OutputLog,
    pub rejected: RejectedLog,
    pub texts: TextLog,
    pub store: Store,
    pub namer: Namer,
    pub erasures: Erasures,
    pub targets: Targets,
    pub engine: Engine,
    pub policies: Arc<Policies>,
    pub answers: Answers,
    pub news: News,
    /// No record in the journal was received later.
    pub latest: Timestamp,
    /// Where forward passes run: [`CPU`], or a device's name.
    pub device: String,
    out: Vec<Output>,
}

/// With what a directory is opened.
pub(in crate::runtime) struct Opening<'a> {
    pub topology: &'a Topology,
    pub root: &'a Path,
    pub files: Arc<dyn Files>,
    /// For the journal of a standby: whose ids it shall share where it begins now; its records come from there too, from the first on.
    /// `None`: a journal of its own, with a key made by chance.
    pub key: Option<IdKey>,
    /// When a journal begins that begins now; `None`: now.
    pub begins: Option<Timestamp>,
    pub metrics: &'a Metrics,
    pub progress: bool,
}

impl Standing {
    /// Opens the directory, or begins it.
    pub(in crate::runtime) fn open(opening: &Opening<'_>) -> Result<Standing, ServiceError> {
        let Opening { topology, root, files, key, begins, metrics, progress } = opening;
        if let Some(kafka) = &topology.kafka {
            usable(kafka).map_err(ServiceError::Kafka)?;
        }
        let dir = DataDir::write(root)?;
        let log = LogOptions { durability: topology.journal.durability, segment_bytes: topology.journal.segment_bytes };
        let key = key.map_or_else(fresh_key, Ok)?;
        let (mut journal, recovered) = Journal::open(files.clone(), &dir.journal(), key, log)?;
        if recovered.cut_bytes > 0 {
            warn!(bytes = recovered.cut_bytes, "a torn end of the journal was cut");
        }
        found(topology, &dir, files, &mut journal, opening.key.is_none().then_some(*begins))?;
        // What is not on disk of outputs is derived again: nobody need wait for it.
        let unwaited = LogOptions { durability: Durability::Written, ..log };
        let (mut outputs, _) = OutputLog::open(files.clone(), &dir.outputs(), unwaited)?;
        let cut = outputs.cut_from(journal.next())?;
        if cut > 0 {
            warn!(bytes = cut, "outputs of records that the journal lost in a power cut were cut off");
        }
        // As the outputs: it is synced before the journal is.
        let (mut rejected, _) = RejectedLog::open(files.clone(), &dir.rejected(), unwaited)?;
        let cut = rejected.cut_from(journal.next())?;
        if cut > 0 {
            warn!(bytes = cut, "refused input of records that the journal lost in a power cut was cut off");
        }
        // They leave it for the database, and are synced before the journal is.
        let (mut texts, _) = TextLog::open(files.clone(), &dir.texts(), log)?;
        texts.cut_from(journal.next())?;
        let blobs = Blobs::read(files.clone(), &dir.blobs());
        let policies = Arc::new(Policies::of(&topology.deciding, journal.key(), blobs));
        let ids_max = topology.deciding.limits.ids_max;
        let start = Span::current();
        let (database, restored) = scope(|scope| {
            let database = scope.spawn(|| start.in_scope(|| open_database(&dir)));
            let restored = restored(opening, &dir, &journal, &policies).and_then(|(engine, from, latest)| {
                let answers = known_answers(files, &dir, &engine, from, ids_max)?;
                Ok((engine, from, latest, answers))
            });
            (database.join().expect("the thread that opens the database does not panic"), restored)
        });
        let (store, identity, mut targets) = database?;
        let through = entered(&identity, files, &dir.texts(), journal.next())?;
        let mut erasures = Erasures::of(&identity, through);
        let mut namer = Namer::open(&store, identity, files.clone(), dir.texts(), texts.ending(), through)?;
        let (mut engine, from, mut latest, answers) = restored?;
        let news = News::new();
        if namer.through() < from {
            let (through, from) = (namer.through().0, from.0);
            warn!(through, from, "the identity store is older than the snapshot: erasures between the two are not repeated in it");
        }
        let stepping = Stepping {
            files,
            dir: &dir,
            engine: &mut engine,
            policies: &policies,
            erasures: &mut erasures,
            namer: &mut namer,
            outputs: &mut outputs,
            answers: &answers,
            news: &news,
            targets: &mut targets,
            latest: &mut latest,
            batch_events_max: topology.batch_events_max,
            dedupe: topology.deciding.dedupe,
            labels_known: topology.deciding.labels.known,
        };
        let stepped = stepping.run(from, *progress)?;
        namer.advance(journal.next())?;
        metrics.replay_records_total.inc_by(stepped);
        info!(records = journal.next().0, stepped, "the engine stands where the journal ends");
        let (files, out) = (files.clone(), Vec::new());
        Ok(Standing {
            dir,
            files,
            journal,
            outputs,
            rejected,
            texts,
            store,
            namer,
            erasures,
            targets,
            engine,
            policies,
            answers,
            news,
            latest,
            device: CPU.to_owned(),
            out,
        })
    }

    /// Puts the model that the topology names in force by a record, where the directory never kept it or never had one in force. One that it
    /// kept was in force before: what was published since stands, and so does that none was to be in force.
    ///
    /// # Errors
    /// Where the topology names no models of its own, or the record cannot be written.
    pub(in crate::runtime) fn begin_model(&mut self, topology: &Topology) -> Result<(), ServiceError> {
        let Configured { file, .. } = Configured::read(topology).map_err(ServiceError::Models)?;
        let Some(file) = file else { return Ok(()) };
        let (name, in_force) = (short(&file.hash()), self.engine.provenance().model);
        if in_force == Some(name) {
            return Ok(());
        }
        let never = in_force.is_none() && self.engine.model_before() == NO_MODEL;
        if !never && self.policies.models.keeps(&name) {
            let (model, in_force) = (hex(&name), in_force.map_or("none".to_owned(), |name| hex(&name)));
            warn!(model, in_force, "the topology's model was in force before, and stays out of it: `weir model publish` puts it there");
            return Ok(());
        }
        let content = Content::Control(Control { kind: ControlKind::Model, blob: self.policies.models.keep(&file)? });
        let (sequence, received, origin) = (self.journal.next(), self.latest, Origin::engine());
        let record = Record { sequence, received, origin, effort: Effort::Full, content };
        self.journal.append(&record)?;
        self.journal.commit()?;
        self.journal.sync()?;
        self.targets.note(&record);
        self.step(&[record])?;
        // Nothing is named by it, and it has no texts.
        self.namer.advance(self.journal.next())?;
        info!(model = hex(&name), sequence = sequence.0, "the topology's model is in force");
        Ok(())
    }

    /// Hands forward passes to `backing` from here on.
    pub(in crate::runtime) fn judge_on(&mut self, backing: Backing, metrics: &Metrics) {
        backing.tell(metrics);
        self.device = backing.name().to_owned();
        if let Some((backend, seeds_min)) = backing.into_backend() {
            self.engine.put_backend(backend, seeds_min);
        }
    }

    /// The blob of the record by which who leads says where forward passes run; `None` where the journal says so already. Until it says
    /// something they run on the CPU.
    ///
    /// # Errors
    /// Where the blob cannot be kept.
    pub(super) fn untold_backend(&self) -> Result<Option<[u8; 32]>, ServiceError> {
        let blobs = Blobs::open(self.files.clone(), &self.dir.blobs())?;
        let in_force = match self.engine.backend_told() {
            None => Some(CPU.to_owned()),
            // One that cannot be read names no device. That it is damaged is for `weir journal verify` to say.
            Some(blob) => blobs.get(&blob).ok().and_then(|blob| device_of(&blob)),
        };
        let is_told = in_force.as_ref() == Some(&self.device);
        Ok(if is_told { None } else { Some(blobs.put(&told(&self.device, "who leads runs them here"))?) })
    }

    /// Tells of a device that was lost; nothing is recorded: records are those of whom this process follows.
    pub(in crate::runtime) fn tend_backend(&mut self, metrics: &Metrics) {
        if let Some((lost, device)) = self.engine.take_lost() {
            let_go(device);
            tell_lost(metrics, &self.device, &lost.why);
            self.device = CPU.to_owned();
        }
    }

    /// Steps records that stand in the journal and writes their outputs.
    pub(in crate::runtime) fn step(&mut self, records: &[Record]) -> Result<(), ServiceError> {
        self.step_in_batches(records, records.len().max(1))
    }

    /// As [`Standing::step`], `batch_events_max` records a step.
    pub(in crate::runtime) fn step_in_batches(&mut self, records: &[Record], batch_events_max: usize) -> Result<(), ServiceError> {
        self.out.clear();
        for batch in records.chunks(batch_events_max) {
            step(&mut self.engine, &self.policies, batch, &mut self.out, &mut self.erasures, &mut self.namer)?;
        }
        note(records, &self.out, &mut self.outputs, None, &self.answers, &self.news)
    }
}

/// The database, with the texts of ids and the index of judged events.
fn open_database(dir: &DataDir) -> Result<(Store, Identity, Targets), StoreError> {
    let _span = info_span!("database").entered();
    // The threads that merge its tables begin here and are as this one.
    give_way();
    let store = Store::open(&dir.identity())?;
    let (identity, targets) = (Identity::open(&store)?, Targets::open(&store)?);
    Ok((store, identity, targets))
}

/// A key for a journal that begins now: nobody else has it.
fn fresh_key() -> Result<IdKey, ServiceError> {
    let mut key = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut key)).map_err(ServiceError::System)?;
    Ok(IdKey(key))
}

/// The first records name topology and policy: written where the journal is new, compared where it is not. Where the journal has let go of
/// them, the snapshot names both, and fits no engine of others. A new journal of its `own` begins at the clock, or when it is said to:
/// otherwise the first event, however old, would say what time it is.
fn found(
    topology: &Topology,
    dir: &DataDir,
    files: &Arc<dyn Files>,
    journal: &mut Journal,
    own: Option<Option<Timestamp>>,
) -> Result<(), ServiceError> {
    let texts = foundation_texts(&topology.deciding);
    if journal.next() == Sequence(0) {
        let blobs = Blobs::open(files.clone(), &dir.blobs())?;
        for (_, text) in &texts {
            blobs.put(text.as_bytes())?;
        }
        let Some(begins) = own else { return Ok(()) };
        for record in controls(&texts) {
            journal.append(&record)?;
        }
        let now = begins.unwrap_or_else(|| Clock::new(Timestamp::MIN).read());
        let content = Content::Tick(now - TICK_BEHIND);
        journal.append(&Record { sequence: journal.next(), received: now, origin: Origin::engine(), effort: Effort::Full, content })?;
        journal.commit()?;
        journal.sync()?;
        return Ok(());
    }
    let mut records = Records::open(files.clone(), &dir.journal(), Sequence(0))?;
    for ((_, text), what) in texts.iter().zip(["topology", "policy"]) {
        match records.next_record()? {
            Some(record) if record.sequence >= Sequence(texts.len() as u64) => break,
            Some(Record { content: Content::Control(control), .. }) if control.blob == content_hash(text) => {}
            _ => return Err(ServiceError::OtherTopology { what }),
        }
    }
    Ok(())
}

/// An engine, filled from the newest snapshot that is whole; the first record that it does not know, and when the snapshot was taken.
fn restored(
    opening: &Opening<'_>,
    dir: &DataDir,
    journal: &Journal,
    policies: &Policies,
) -> Result<(Engine, Sequence, Timestamp), ServiceError> {
    let Opening { topology, files, metrics, progress, .. } = opening;
    let mut engine = build(topology, journal.key(), *progress)?;
    let first = Records::open(files.clone(), &dir.journal(), Sequence(0))?.next_record()?.map_or(journal.next(), |record| record.sequence);
    let snapshots = Snapshots::at(files.clone(), &dir.snapshots());
    for kept in snapshots.list()? {
        if kept.sequence < first {
            warn!(path = %kept.path.display(), first = first.0, "passed over: the records that follow it are gone");
            continue;
        }
        if kept.sequence > journal.next() {
            warn!(path = %kept.path.display(), "passed over: it knows records that the journal lost in a power cut");
            continue;
        }
        let _span = info_span!("restore", sequence = kept.sequence.0).entered();
        let began = Instant::now();
        let read = inspect(&**files, &kept.path).map_err(ServiceError::from).and_then(|content| {
            policies.put_in_force(&mut engine, &content.head.shape)?;
            Ok((snapshots.restore(&mut engine, &kept)?, content.head.taken_at))
        });
        match read {
            Ok((sequence, taken_at)) => {
                metrics.snapshot_sequence.set(sequence.0 as i64);
                info!(sequence = sequence.0, seconds = began.elapsed().as_secs_f64(), "the newest snapshot was read");
                return Ok((engine, sequence, taken_at));
            }
            Err(cause) => {
                warn!(%cause, "a snapshot cannot be used; the one before it is tried");
                engine = build(topology, journal.key(), *progress)?;
            }
        }
    }
    if first > Sequence(0) {
        return Err(ServiceError::NoSnapshot { first });
    }
    Ok((engine, Sequence(0), Timestamp::MIN))
}

fn build(topology: &Topology, key: IdKey, progress: bool) -> Result<Engine, ServiceError> {
    let options = topology.engine_options(key, 1);
    let bytes = Bill::of(&topology.deciding.limits, 0, &Sizes::of(&topology.deciding)).bytes();
    let bar = Progress::bytes("allocating", bytes, progress);
    let engine = Engine::new(options, &mut |bytes| bar.advance(bytes as u64));
    bar.finish();
    engine.map_err(|error: BuildError| ServiceError::Rules(crate::runtime::mistakes(topology, &error)))
}
