//! From what stands in a directory to a service with threads.

use super::alerts::OpenAlerts;
use super::clock::Clock;
use super::error::ServiceError;
use super::judge::Judge;
use super::keeper::Keeper;
use super::listed::Roll;
use super::monitor::{Monitor, Shadow};
use super::orphans::Orphans;
use super::publishing::InForce;
use super::recorder::Recorder;
use super::snapping::{Snapping, is_due_at_start};
use super::standby::Leadership;
use super::standing::Standing;
use super::stream::{self, TopicState};
use super::syncer::Syncer;
use super::watching::{BOXES, Watcher};
use super::{Minute, Named, Service, ServiceOptions, Shared, Submission, Threads};
use crate::event::{Duration, Record};
use crate::identity::{Identity, Recent};
use crate::journal::{Landmarks, hex};
use crate::metrics::Metrics;
use crate::priority::{come_promptly, give_way};
use crate::runtime::models::Configured;
use crate::runtime::source::foundation_texts;
use crate::snapshot::{Snapshots, Taker, TakerOptions};
use crate::topology::{Topology, content_hash};
use crossbeam::channel::{bounded, unbounded};
use dashmap::DashMap;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration as Wall, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// Records that wait for the judge; what comes beyond stands in the journal.
pub(super) const JUDGE_WAITING: usize = 8_192;
/// Sets of ids that the recorder has told lately: 4 MiB.
const TOLD: usize = 1 << 16;
/// Tasks that wait for the keeper: parts of the index, of which one is written at a time, and a word after a snapshot.
const KEEPER_WAITING: usize = 4;

impl Service {
    /// Starts the threads on what stands.
    ///
    /// # Errors
    /// Where the system gives no thread, or what earlier snapshots left cannot be swept away.
    pub(in crate::runtime) fn launch(topology: &Topology, standing: Standing, metrics: &Metrics) -> Result<Service, ServiceError> {
        let unread = |why: String| ServiceError::System(std::io::Error::other(why));
        let leadership = Leadership::of(standing.dir.root());
        // Where another process leads nothing is recorded.
        let untold = if leadership.is_fenced().map_err(unread)? { None } else { standing.untold_backend()? };
        let Standing {
            dir,
            files,
            mut journal,
            mut outputs,
            mut rejected,
            mut texts,
            store,
            mut namer,
            erasures,
            targets,
            mut engine,
            policies,
            answers,
            news,
            latest,
            device,
            ..
        } = standing;
        let next = journal.next();
        let snapshots = Snapshots::at(files.clone(), &dir.snapshots());
        // One beyond the journal is passed over by whoever starts.
        let last = snapshots.list()?.iter().map(|kept| kept.sequence).find(|sequence| *sequence <= next).unwrap_or_default();
        // Who was killed before its snapshot was done may be again; but not while it took it here, or nobody would ever serve.
        let takes_first = is_due_at_start(&topology.snapshot, last, next) && snapshots.unfinished()?.iter().any(|begun| *begun < next);
        if takes_first {
            journal.sync()?;
            outputs.sync()?;
            namer.sync()?;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metrics.service_start_time_seconds.set(since.as_secs_f64());
        let (hook_sender, hook) = bounded(topology.authorize.waiting_max);
        let (stream_sender, stream) = bounded(topology.authorize.stream_waiting_max);
        let (to_judge, from_recorder) = bounded::<Record>(JUDGE_WAITING);
        let (to_keeper, tasks) = bounded(KEEPER_WAITING);
        // A consequence is of an erasure, or of somebody who was erased: they are few.
        let (consequences, from_judge) = unbounded();
        let shared = Arc::new(Shared {
            options: options(topology),
            dir: dir.root().to_owned(),
            files: files.clone(),
            key: journal.key(),
            provenance: engine.provenance(),
            in_force: Mutex::new(InForce::of(&engine)),
            publishing: tokio::sync::Mutex::new(()),
            policies,
            tickets: DashMap::new(),
            answers,
            listed: Roll::of(&topology.deciding.lists, engine.lists()),
            landmarks: Landmarks::default(),
            alerts: OpenAlerts::of(&engine),
            journal: journal.syncing()?,
            clock: AtomicI64::new(latest.0),
            more: Notify::new(),
            checkpoints: Mutex::new(engine.checkpoints().collect()),
            foundations: foundation_texts(&topology.deciding).map(|(_, text)| content_hash(&text)),
            epoch: leadership.epoch().map_err(unread)?,
            fenced: Mutex::new(false),
            elsewhere: OnceLock::new(),
            noted: AtomicU64::new(targets.noted().0),
            recorded: AtomicU64::new(next.0),
            judged: AtomicU64::new(next.0),
            settled: AtomicU64::new(next.0),
            named: AtomicU64::new(namer.through().0),
            named_durable: AtomicU64::new(namer.durable().0),
            named_awaited: AtomicU64::new(0),
            published: tokio::sync::watch::Sender::new(namer.through().0),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            stopped: OnceLock::new(),
            paused: (Mutex::new(false), Condvar::new()),
            shadow_delay: AtomicU64::new(0),
            minute: Mutex::new(Minute::new()),
            news,
            identity: Identity::open(&store)?,
            sources: topology.sources.iter().map(|source| Named { name: source.name.clone(), topic: source.topic.clone() }).collect(),
            metrics: metrics.clone(),
            topics: TopicState::default(),
            parked: Mutex::new(VecDeque::new()),
        });
        let (told, rejections) = (texts.syncing()?, rejected.syncing()?);
        let syncer = Syncer { shared: shared.clone(), texts: told, rejected: rejections, outputs: outputs.syncing()? };
        let keeper = Keeper::new(shared.clone(), &files, &dir, rejected.ending(), &topology.journal);
        let taking = TakerOptions { copy_bytes_max: topology.snapshot.copy_bytes_max, keep: topology.snapshot.keep };
        let taker = Taker::start(files.clone(), &dir.snapshots(), taking)?;
        let places = (last, next);
        let mut snapping =
            Snapping::new(shared.clone(), taker, snapshots, topology.snapshot, to_keeper.clone(), outputs.syncing()?, places);
        if takes_first {
            let records = next.0 - last.0;
            warn!(records, "a process was killed before its snapshot was done: one is taken before this process serves");
            snapping.take_before_serving(&mut engine, next);
        }
        let patience = topology.kafka.as_ref().map_or(Duration(0), |kafka| kafka.orphans_wait);
        let orphans = Orphans::of(&engine, &files, &dir, patience)?;
        let positions: BTreeMap<_, _> = engine.positions().map(|at| ((at.source, at.partition), at.next)).collect();
        let recorder = Recorder {
            shared: shared.clone(),
            positions: positions.clone(),
            orphans,
            journal,
            rejected,
            texts,
            told: Recent::new(TOLD),
            targets,
            clock: Clock::new(latest),
            to_judge,
            keeper: to_keeper,
            group: Vec::new(),
        };
        let shadow = shadow(topology, &shared);
        metrics.model_info.reset();
        show_model(metrics, "serving", shared.provenance().model);
        show_model(metrics, "shadow", shadow.as_ref().map(|shadow| shadow.name));
        // A place for every box.
        let ((to_monitor, shown), (give_back, free)) = (bounded(BOXES), bounded(BOXES));
        for _ in 0..BOXES {
            give_back.try_send(Box::default()).expect("there is room for all of them");
        }
        let watcher = Watcher::new(shared.clone(), shadow.is_some(), to_monitor, free);
        let monitor = Monitor::new(shared.clone(), shared.policies.models.inputs().clone(), shadow);
        let judge = Judge {
            watcher,
            shared: shared.clone(),
            engine,
            outputs,
            files,
            snapping,
            device,
            to_recorder: hook_sender.clone(),
            batch_max: topology.batch_events_max,
            erasures,
            consequences,
            unsettled: Vec::new(),
            out: Vec::new(),
            places: Vec::new(),
        };
        // Ahead of all that comes by the doors; there is room.
        if let Some(blob) = untold {
            drop(hook_sender.send(Submission::Backend(blob)));
        }
        let sync_every = Wall::from_millis(u64::from(topology.journal.sync_ms_max));
        let naming = shared.clone();
        let mut others = vec![
            thread("syncer", &shared, move || syncer.run(sync_every))?,
            thread("keeper", &shared, move || {
                give_way();
                keeper.run(&tasks);
            })?,
            thread("namer", &shared, move || {
                give_way();
                namer.run(&naming, &from_judge)
            })?,
            thread("monitor", &shared, move || {
                give_way();
                monitor.run(&shown, &give_back);
            })?,
        ];
        others.extend(stream::launch(topology, &shared, &stream_sender, &positions)?);
        let recorder = thread("recorder", &shared, move || {
            come_promptly();
            recorder.run(&hook, &stream);
        })?;
        let judge = thread("judge", &shared, move || {
            come_promptly();
            judge.run(&from_recorder)
        })?;
        let threads = Mutex::new(Some(Threads { recorder, judge, others, _dir: dir }));
        Ok(Service { shared, hook: hook_sender, stream: stream_sender, threads })
    }
}

/// Says which model is in force, or which one is its shadow, where one is.
fn show_model(metrics: &Metrics, use_: &str, model: Option<[u8; 16]>) {
    if let Some(name) = model {
        metrics.model_info.with_label_values(&[&*hex(&name), use_]).set(1);
    }
}

/// Another model serves from here on.
pub(super) fn show_change(metrics: &Metrics, old: Option<[u8; 16]>, new: Option<[u8; 16]>) {
    if let Some(name) = old {
        // It is there: it was shown.
        let _ = metrics.model_info.remove_label_values(&[&*hex(&name), "serving"]);
    }
    show_model(metrics, "serving", new);
}

/// The shadow that the topology names, if it names one. One that cannot be used is told of; who is to lead does so without.
fn shadow(topology: &Topology, shared: &Shared) -> Option<Shadow> {
    let file = Configured::read(topology).map_err(|mistakes| mistakes.join("; ")).map(|configured| configured.shadow);
    let shadow = file.and_then(|file| {
        let Some(file) = file else { return Ok(None) };
        let named = shared.policies.models.bound(&file).map_err(|cause| cause.to_string())?;
        info!(model = hex(&named.name), "a model runs in shadow: its scores are recorded and compared, never used");
        Shadow::new(named, &shared.dir).map(Some).map_err(|cause| cause.to_string())
    });
    shadow.unwrap_or_else(|why| {
        error!(why, "no model runs in shadow");
        None
    })
}

/// Starts a thread whose panic stops the service: otherwise callers would get stand-ins for ever, and an end would wait for what never comes.
pub(super) fn thread<T: Send + 'static>(
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ServiceError> {
    let shared = shared.clone();
    let told = move || {
        // What the thread held goes with it; nobody looks at it again.
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let why = panic.downcast_ref::<&str>().map(|why| (*why).to_owned());
            let why = why.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            error!(thread = name, why, "a thread of the service has panicked: nothing more is recorded");
            shared.stop(format!("the {name} has panicked: {why}"));
            resume_unwind(panic)
        })
    };
    Builder::new().name(name.to_owned()).spawn(told).map_err(ServiceError::System)
}

fn options(topology: &Topology) -> ServiceOptions {
    ServiceOptions {
        dedupe: topology.deciding.dedupe,
        labels_known: topology.deciding.labels.known,
        waiting_max: topology.authorize.waiting_max,
        rules_only_from: topology.authorize.rules_only_from,
        stand_in_percent_max: topology.authorize.stand_in_percent_max,
        id_bytes_max: topology.input.id_bytes_max,
        rejected_bytes_max: topology.input.rejected_bytes_max,
        rates: topology.deciding.rates.clone(),
        stand_in: topology.stand_in,
        wait_for: topology.authorize.wait_for,
        shard: topology.kafka.as_ref().filter(|kafka| kafka.shards > 1).map(|kafka| kafka.shard),
    }
}
