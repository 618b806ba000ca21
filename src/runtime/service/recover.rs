//! Starting: what the data directory holds becomes the state that was left.
//!
//! The journal is the truth. The engine steps it from its first record; what it gives again is compared with what the output log holds, and
//! what the log does not hold yet – the process ended between the two – is written now.

use super::answers::Answers;
use super::clock::Clock;
use super::judge::Judge;
use super::recorder::{Recorder, TICK_BEHIND};
use super::{Minute, Service, ServiceOptions, Shared, Threads};
use crate::engine::{BuildError, Engine, Output, Phase};
use crate::event::{Content, Effort, IdKey, Origin, Record, Sequence, Timestamp};
use crate::identity::Identity;
use crate::journal::{Blobs, DataDir, Disk, Files, Journal, JournalError, LogOptions, OutputLog, Outputs, Records, RejectedLog};
use crate::metrics::Metrics;
use crate::render::PolicyTexts;
use crate::runtime::error::ReplayError;
use crate::runtime::progress::Progress;
use crate::runtime::source::{controls, foundation_texts};
use crate::store::{Store, StoreError};
use crate::targets::Targets;
use crate::topology::{Bill, Sizes, Topology, content_hash};
use crossbeam::channel::bounded;
use dashmap::DashMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use tracing::{info, warn};

/// Why a service cannot start.
#[derive(Debug)]
pub enum ServiceError {
    Journal(JournalError),
    Store(StoreError),
    /// The rules do not compile: each mistake with its place.
    Rules(Vec<String>),
    /// The directory was begun under another topology or policy.
    OtherTopology {
        what: &'static str,
    },
    /// A record's output is not what the output log holds.
    Mismatch {
        sequence: Sequence,
    },
    Replay(ReplayError),
    /// The system gives no random bytes, or no thread.
    System(std::io::Error),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceError::Journal(error) => error.fmt(f),
            ServiceError::Store(error) => error.fmt(f),
            ServiceError::Rules(mistakes) => f.write_str(&mistakes.join("\n")),
            ServiceError::OtherTopology { what } => write!(
                f,
                "the data directory was begun under another {what}, expected the one it was begun under: give that one with -t, or another \
                 directory with --data"
            ),
            ServiceError::Mismatch { sequence } => write!(
                f,
                "record {} gives another output now than the output log holds: this is another engine, or a file was changed",
                sequence.0
            ),
            ServiceError::Replay(error) => error.fmt(f),
            ServiceError::System(error) => write!(f, "starting: {error}"),
        }
    }
}

impl std::error::Error for ServiceError {}

impl From<JournalError> for ServiceError {
    fn from(error: JournalError) -> ServiceError {
        ServiceError::Journal(error)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> ServiceError {
        ServiceError::Store(error)
    }
}

impl From<ReplayError> for ServiceError {
    fn from(error: ReplayError) -> ServiceError {
        ServiceError::Replay(error)
    }
}

/// Records that wait for the judge; what comes beyond stands in the journal.
const JUDGE_WAITING: usize = 8_192;

pub(super) fn start(topology: &Topology, root: &Path, metrics: &Metrics, progress: bool) -> Result<Service, ServiceError> {
    let dir = DataDir::write(root)?;
    let disk: Arc<dyn Files> = Arc::new(Disk);
    let log = LogOptions { durability: topology.journal.durability, segment_bytes: topology.journal.segment_bytes };
    let (mut journal, recovered) = Journal::open(disk.clone(), &dir.journal(), fresh_key()?, log)?;
    if recovered.cut_bytes > 0 {
        warn!(bytes = recovered.cut_bytes, "a torn end of the journal was cut");
    }
    let key = journal.key();
    let mut clock = Clock::new(Timestamp::MIN);
    found(topology, &dir, &disk, &mut journal, clock.read())?;
    let (mut outputs, _) = OutputLog::open(disk.clone(), &dir.outputs(), log)?;
    let (rejected, _) = RejectedLog::open(disk.clone(), &dir.rejected(), log)?;
    let store = Store::open(&dir.identity(), log.durability)?;
    let mut targets = Targets::open(&store)?;

    let mut engine = build(topology, key, progress)?;
    let answers = Answers::new(dir.outputs(), topology.deciding.limits.ids_max as usize);
    let latest = step_again(topology, &dir, &disk, &mut engine, &mut outputs, &answers, &mut targets, progress)?;
    let next = journal.next().0;
    metrics.replay_records_total.inc_by(next);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    metrics.service_start_time_seconds.set(since.as_secs_f64());
    info!(records = next, "the engine stands where the journal ends");

    let (hook_sender, hook) = bounded(topology.authorize.waiting_max);
    let (stream_sender, stream) = bounded(topology.authorize.stream_waiting_max);
    let (to_judge, from_recorder) = bounded::<Record>(JUDGE_WAITING);
    let shared = Arc::new(Shared {
        options: options(topology),
        dir: root.to_owned(),
        key,
        provenance: engine.provenance(),
        tickets: DashMap::new(),
        answers,
        recorded: AtomicU64::new(next),
        judged: AtomicU64::new(next),
        published: tokio::sync::watch::Sender::new(next),
        closing: AtomicBool::new(false),
        stopped: OnceLock::new(),
        paused: (Mutex::new(false), Condvar::new()),
        minute: Mutex::new(Minute::new()),
        texts: PolicyTexts::new(&topology.deciding.policy, &topology.deciding.aggregates, topology.deciding.rates.reporting),
        identity: Identity::open(&store)?,
        sources: topology.deciding.sources.iter().map(|(name, _)| name.clone()).collect(),
        metrics: metrics.clone(),
        parked: DashMap::new(),
    });
    let recorder = Recorder {
        shared: shared.clone(),
        journal,
        rejected,
        identity: Identity::open(&store)?,
        targets,
        clock: Clock::new(latest),
        to_judge,
        group: Vec::new(),
    };
    let judge = Judge {
        shared: shared.clone(),
        engine,
        outputs,
        batch_max: topology.batch_events_max,
        erasures: hook_sender.clone(),
        out: Vec::new(),
        places: Vec::new(),
    };
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let recorder = thread("recorder").spawn(move || recorder.run(&hook, &stream)).map_err(ServiceError::System)?;
    let judge = thread("judge").spawn(move || judge.run(&from_recorder)).map_err(ServiceError::System)?;
    let threads = Mutex::new(Some(Threads { recorder, judge, _dir: dir }));
    Ok(Service { shared, hook: hook_sender, stream: stream_sender, threads })
}

fn options(topology: &Topology) -> ServiceOptions {
    ServiceOptions {
        dedupe: topology.deciding.dedupe,
        labels_known: topology.deciding.labels.known,
        waiting_max: topology.authorize.waiting_max,
        rules_only_from: topology.authorize.rules_only_from,
        stand_in_percent_max: topology.authorize.stand_in_percent_max,
        sync_ms_max: topology.journal.sync_ms_max,
        id_bytes_max: topology.input.id_bytes_max,
        rejected_bytes_max: topology.input.rejected_bytes_max,
        rates: topology.deciding.rates.clone(),
        stand_in: topology.stand_in,
    }
}

/// A key for a journal that begins now: nobody else has it.
fn fresh_key() -> Result<IdKey, ServiceError> {
    let mut key = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut key)).map_err(ServiceError::System)?;
    Ok(IdKey(key))
}

/// The first records name topology and policy: written where the journal is new, compared where it is not. A new journal begins at the
/// clock: otherwise the first event, however old, would say what time it is.
fn found(topology: &Topology, dir: &DataDir, disk: &Arc<dyn Files>, journal: &mut Journal, now: Timestamp) -> Result<(), ServiceError> {
    let texts = foundation_texts(&topology.deciding);
    if journal.next() == Sequence(0) {
        let blobs = Blobs::open(disk.clone(), &dir.blobs())?;
        for (_, text) in &texts {
            blobs.put(text.as_bytes())?;
        }
        for record in controls(&texts) {
            journal.append(&record)?;
        }
        let content = Content::Tick(now - TICK_BEHIND);
        journal.append(&Record { sequence: journal.next(), received: now, origin: Origin::engine(), effort: Effort::Full, content })?;
        journal.commit()?;
        journal.sync()?;
        return Ok(());
    }
    let mut records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
    for ((_, text), what) in texts.iter().zip(["topology", "policy"]) {
        match records.next_record()?.map(|record| record.content) {
            Some(Content::Control(control)) if control.blob == content_hash(text) => {}
            _ => return Err(ServiceError::OtherTopology { what }),
        }
    }
    Ok(())
}

fn build(topology: &Topology, key: IdKey, progress: bool) -> Result<Engine, ServiceError> {
    let options = topology.engine_options(key, 1);
    let bytes = Bill::of(&topology.deciding.limits, 0, &Sizes::of(&topology.deciding)).bytes();
    let bar = Progress::bytes("allocating", bytes, progress);
    let engine = Engine::new(options, &mut |bytes| bar.advance(bytes as u64));
    bar.finish();
    engine.map_err(|error: BuildError| ServiceError::Rules(crate::runtime::mistakes(topology, &error)))
}

/// Steps the journal; returns the clock of its last record.
#[expect(clippy::too_many_arguments, reason = "each is one of the things that a start brings to where the journal ends")]
fn step_again(
    topology: &Topology,
    dir: &DataDir,
    disk: &Arc<dyn Files>,
    engine: &mut Engine,
    log: &mut OutputLog,
    answers: &Answers,
    targets: &mut Targets,
    progress: bool,
) -> Result<Timestamp, ServiceError> {
    let mut records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
    let mut logged = Outputs::open(disk.clone(), &dir.outputs(), Sequence(0))?;
    let written = log.next();
    let bar = Progress::bytes("stepping the journal", 0, progress);
    let (mut batch, mut out): (Vec<Record>, Vec<Output>) = (Vec::new(), Vec::new());
    let mut latest = Timestamp::MIN;
    loop {
        batch.clear();
        out.clear();
        while batch.len() < topology.batch_events_max
            && let Some(record) = records.next_record()?
        {
            batch.push(record);
        }
        let Some(last) = batch.last() else { break };
        latest = latest.max(last.received);
        engine.step(&batch, &mut |_: Phase| {}, &mut out);
        let mut given = out.iter().peekable();
        for record in &batch {
            if record.sequence >= targets.noted() {
                targets.note(record);
            }
            let Some(output) = given.next_if(|output| output.sequence() == record.sequence) else { continue };
            let place = if record.sequence < written {
                let place = logged.place();
                if logged.next_output()?.as_ref() != Some(output) {
                    return Err(ServiceError::Mismatch { sequence: record.sequence });
                }
                // Where a segment ended the reader has moved on: then the place is that of the new one.
                match place {
                    Some(place) if logged.is_in(place) => place,
                    _ => logged.first_place().ok_or(ServiceError::Mismatch { sequence: record.sequence })?,
                }
            } else {
                log.append(output)?
            };
            if let Output::Decision(decision) = output {
                let fingerprint = match &record.content {
                    Content::Event(event) => event.fingerprint(),
                    Content::Answered(answered) => answered.fingerprint,
                    _ => continue,
                };
                answers.note(decision, fingerprint, place);
            }
        }
        log.commit()?;
        answers.forget(engine.now(), topology.deciding.dedupe);
        bar.at(last.sequence.0, || format!("{} records", last.sequence.0 + 1));
    }
    log.sync()?;
    targets.flush()?;
    bar.finish();
    Ok(latest)
}
