//! The service: what stands behind the doors.
//!
//! ```text
//! doors ──▶ tickets ──▶ recorder thread ──────▶ judge thread ──▶ output log ──▶ answers, streams
//!           (who waits)  order, journal, texts   engine.step      settles tickets
//!                            │                      │
//!                        syncer: fdatasync       snapshots; keeper: index of judged events, retention; namer: texts of ids
//! ```
//!
//! An event is answered once. Its ticket is raced for by the judge, who has judged it, and by the timer of the caller's deadline; where
//! the timer wins, the stand-in's answer is journalled before its bytes leave, and it is the answer from then on.

mod alerts;
mod answers;
mod bill;
mod clock;
mod desk;
mod erasures;
mod error;
mod judge;
mod keeper;
mod launch;
mod listed;
mod monitor;
mod namer;
mod news;
mod orphans;
mod overview;
mod past;
mod publishing;
mod pulse;
mod recorder;
mod recovery;
mod rendering;
mod snapping;
mod standby;
mod standing;
mod stream;
mod syncer;
mod ticket;
mod waiting;
mod watching;

pub use bill::{device_bill, service_bill};
pub use error::ServiceError;
pub(in crate::runtime) use overview::clock_time;
pub(in crate::runtime) use past::{PastReader, PastRecorder};
use standby::Leadership;
pub use standby::{Body, Node, Peer, Standby};

use crate::api::{Readiness, Submitted};
use crate::decision::{Decision, Provenance, StandIn, Status};
use crate::engine::{Checkpoint, Engine, NO_MODEL};
use crate::event::{Answered, ControlKind, Duration, Event, Id, IdKey, ListChange, Origin, Rates, Sequence, SourceLag, Timestamp};
use crate::identity::Identity;
use crate::ingress::Fault;
use crate::journal::{Disk, Files, Landmarks, Outputs, Syncing};
use crate::metrics::Metrics;
use crate::runtime::backing::Backing;
use crate::runtime::naming::Told;
use crate::runtime::policies::Policies;
use crate::topology::{Topology, WaitFor};
use alerts::OpenAlerts;
use answers::Answers;
use crossbeam::channel::Sender;
use dashmap::DashMap;
use listed::Roll;
use news::News;
use publishing::InForce;
pub(in crate::runtime) use standing::{Opening, Standing};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;
use stream::{Arrival, TopicState};
use ticket::Ticket;
use tokio::sync::{Notify, oneshot, watch};

/// What reaches the recorder.
enum Submission {
    Event {
        origin: Origin,
        event: Box<Event>,
        texts: Told,
        /// `None` where it came to a process before this one.
        arrival: Option<Arrival>,
        ticket: Option<Arc<Ticket>>,
        line: Option<oneshot::Sender<Submitted>>,
    },
    Refused {
        origin: Origin,
        fault: Fault,
        raw: Vec<u8>,
        line: Option<oneshot::Sender<Submitted>>,
    },
    /// A record of a topic that gives none in the journal.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "topics alone send it"))]
    Passed(Origin),
    /// The journal lost its end, up to this record: ticks take the place of what is gone.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "topics alone send it"))]
    Pad(u64),
    /// The shard is restored.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "topics alone send it"))]
    Warm,
    /// How far a source is behind.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "topics alone send it"))]
    Lag(SourceLag),
    /// Without a ticket it is told again, with the revision that it had.
    Answered {
        answered: Answered,
        ticket: Option<Arc<Ticket>>,
    },
    Listed {
        changes: Vec<ListChange>,
        texts: Told,
        line: oneshot::Sender<Submitted>,
    },
    /// Another policy or model is to be in force: the name of its blob.
    InForce {
        kind: ControlKind,
        blob: [u8; 32],
        line: oneshot::Sender<Submitted>,
    },
    /// Forward passes run elsewhere: the name of the blob that says where, and why.
    Backend([u8; 32]),
    /// Look again what is asked of you: the service ends.
    Wake,
}

impl Submission {
    /// Somebody waits for the answer.
    fn hook(event: Event, texts: Told, ticket: Arc<Ticket>) -> Submission {
        let origin = Submission::at(Origin::HOOK);
        let arrival = Some(ticket.arrival.clone());
        Submission::Event { origin, event: Box::new(event), texts, arrival, ticket: Some(ticket), line: None }
    }

    /// Somebody waits for the record.
    fn door(event: Event, texts: Told, line: oneshot::Sender<Submitted>) -> Submission {
        let origin = Submission::at(Origin::DOOR);
        let arrival = Some(Arrival::now(None));
        Submission::Event { origin, event: Box::new(event), texts, arrival, ticket: None, line: Some(line) }
    }

    /// A door: its offset is the sequence of the record.
    fn at(source: u16) -> Origin {
        Origin { source, ..Origin::default() }
    }
}

/// What the service takes of the topology.
struct ServiceOptions {
    dedupe: Duration,
    labels_known: Duration,
    waiting_max: usize,
    rules_only_from: u64,
    stand_in_percent_max: u64,
    id_bytes_max: usize,
    rejected_bytes_max: usize,
    rates: Rates,
    stand_in: StandIn,
    wait_for: WaitFor,
    /// Which shard this is, where there are several.
    shard: Option<u32>,
}

/// What the threads share.
struct Shared {
    options: ServiceOptions,
    dir: PathBuf,
    files: Arc<dyn Files>,
    key: IdKey,
    /// What decided when the service began.
    provenance: Provenance,
    in_force: Mutex<InForce>,
    /// Held by whoever puts another policy or model in force.
    publishing: tokio::sync::Mutex<()>,
    policies: Arc<Policies>,
    tickets: DashMap<Id, Arc<Ticket>>,
    answers: Answers,
    listed: Roll,
    /// Where records stand that were written lately.
    landmarks: Landmarks,
    alerts: OpenAlerts,
    /// The journal's second hold.
    journal: Arc<Syncing>,
    /// The clock as the recorder read it last.
    clock: AtomicI64,
    /// Records before this one need not be noted in the index of judged events any more.
    noted: AtomicU64,
    /// The first sequence that is not in the journal yet, and the first that is not judged.
    recorded: AtomicU64,
    judged: AtomicU64,
    /// Before this one every event has its one answer: nobody is still to hear a stand-in.
    settled: AtomicU64,
    /// Before this one what ids name stands in the identity store, and is on disk there.
    named: AtomicU64,
    named_durable: AtomicU64,
    /// What a snapshot waits for `named_durable` to reach.
    named_awaited: AtomicU64,
    /// Tells those who send the journal on that there is more of it, or a checkpoint.
    more: Notify,
    /// The latest checkpoints of the engine's course, for standbys.
    checkpoints: Mutex<VecDeque<Checkpoint>>,
    /// SHA-256 of the texts of topology and policy.
    foundations: [[u8; 32]; 2],
    /// In which this process leads.
    epoch: u64,
    /// Whether another process leads: then nothing is recorded. And what is said to those who ask.
    fenced: Mutex<bool>,
    elsewhere: OnceLock<String>,
    /// As `named`, for followers: they see what is settled, cannot be lost any more, and has its texts.
    published: watch::Sender<u64>,
    closing: AtomicBool,
    /// Nothing is written any more.
    ended: AtomicBool,
    /// Why nothing can be recorded or judged any more.
    stopped: OnceLock<String>,
    /// The judge rests while this holds: for tests of what happens then.
    paused: (Mutex<bool>, Condvar),
    /// Microseconds that the shadow rests before each event: for tests of what happens when it is slow.
    shadow_delay: AtomicU64,
    minute: Mutex<Minute>,
    news: News,
    /// Reads texts that the namer writes.
    identity: Identity,
    sources: Vec<Named>,
    metrics: Metrics,
    /// What recorder and topics tell each other.
    topics: TopicState,
    /// Places in streams at which somebody stopped reading, to go on from.
    parked: Mutex<VecDeque<(u64, Outputs)>>,
}

/// How a source is called.
struct Named {
    name: String,
    /// The topic that it is.
    topic: Option<String>,
}

/// Answers of the last minute.
struct Minute {
    began: Instant,
    answers: u64,
    stand_ins: u64,
    /// Percent of stand-ins in the minute before, and their number.
    before: (u64, u64),
}

/// With fewer answers a minute, a share of stand-ins says nothing.
const ANSWERS_MIN: u64 = 20;

impl Shared {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the service is ending and nothing is left to be done.
    fn is_drained(&self) -> bool {
        self.is_closing() && (self.is_stopped() || self.recorded.load(Ordering::Acquire) == self.judged.load(Ordering::Acquire))
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }

    fn noted(&self) -> Sequence {
        Sequence(self.noted.load(Ordering::Relaxed))
    }

    /// What decides behind the newest record.
    fn provenance(&self) -> Provenance {
        let InForce { policy, model, .. } = *self.in_force.lock().expect("nobody panics with it");
        let model = (model != NO_MODEL).then_some(model);
        Provenance { policy, model, ..self.provenance }
    }

    fn stop(&self, why: String) {
        // The first cause is the one to be told.
        let _ = self.stopped.set(why);
        self.metrics.journal_failed.set(1);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// As [`Service::fence`].
    fn fence(&self, why: &str) -> Result<u64, String> {
        // The first word stays; it names the leader that was met first.
        let _ = self.elsewhere.set(why.to_owned());
        *self.fenced.lock().expect("nobody panics with it") = true;
        // Those who wait behind the fence hear of it now.
        let synced = self.journal.sync().map_err(|cause| cause.to_string());
        synced.map(|_| self.journal.durable().0)
    }

    fn wait_while_paused(&self) {
        let (paused, wake) = &self.paused;
        let mut resting = paused.lock().expect("nobody panics with it");
        while *resting && !self.is_closing() {
            resting = wake.wait(resting).expect("nobody panics with it");
        }
    }

    fn count_answer(&self, decision: &Decision) {
        let mut minute = self.minute.lock().expect("nobody panics with it");
        minute.roll();
        if decision.status == Status::Fallback {
            self.metrics.hook_stand_ins_total.with_label_values(&["deadline"]).inc();
        }
        minute.answers += 1;
        minute.stand_ins += u64::from(decision.status == Status::Fallback);
        self.metrics.hook_outcomes_total.with_label_values(&[decision.outcome.name()]).inc();
        self.metrics.hook_stand_in_ratio.set(minute.stand_ins as f64 / minute.answers as f64);
    }

    /// Percent of stand-ins among the answers of a minute: the last whole one, or this one where it is worse.
    fn stand_in_percent(&self) -> u64 {
        let mut minute = self.minute.lock().expect("nobody panics with it");
        minute.roll();
        minute.percent().max(minute.before.0)
    }
}

impl Minute {
    fn new() -> Minute {
        Minute { began: Instant::now(), answers: 0, stand_ins: 0, before: (0, 0) }
    }

    fn percent(&self) -> u64 {
        if self.answers < ANSWERS_MIN { 0 } else { self.stand_ins * 100 / self.answers }
    }

    fn roll(&mut self) {
        let minutes = self.began.elapsed().as_secs() / 60;
        if minutes > 0 {
            let before = if minutes == 1 { (self.percent(), self.stand_ins) } else { (0, 0) };
            *self = Minute { before, ..Minute::new() };
        }
    }
}

/// The running service.
pub struct Service {
    shared: Arc<Shared>,
    hook: Sender<Submission>,
    stream: Sender<Submission>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    recorder: JoinHandle<()>,
    judge: JoinHandle<Engine>,
    others: Vec<JoinHandle<()>>,
    // The lock of the directory, held to the end.
    _dir: crate::journal::DataDir,
}

/// What a service was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Records in the journal.
    pub records: u64,
    pub state_hash: [u8; 32],
}

impl Service {
    /// Opens the data directory `dir`, or begins it, brings the engine to where the journal ends, and starts.
    ///
    /// # Errors
    /// Where the directory is another process's, another topology's, or damaged; where the rules do not compile.
    pub fn start(topology: &Topology, dir: &Path, metrics: &Metrics, progress: bool) -> Result<Service, ServiceError> {
        Service::start_on(Arc::new(Disk), Backing::choose(topology.model.device)?, topology, dir, metrics, progress)
    }

    /// As [`Service::start`], with logs, blobs and snapshots on `files`, and forward passes where `backing` says; the identity store and the
    /// lock are in `dir` all the same.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_on(
        files: Arc<dyn Files>,
        backing: Backing,
        topology: &Topology,
        dir: &Path,
        metrics: &Metrics,
        progress: bool,
    ) -> Result<Service, ServiceError> {
        let mut standing = Standing::open(&Opening { topology, root: dir, files, key: None, begins: None, metrics, progress })?;
        standing.judge_on(backing, metrics);
        // Where another process leads nothing is recorded.
        let fenced = Leadership::of(dir).is_fenced().map_err(|why| ServiceError::System(std::io::Error::other(why)))?;
        if !fenced {
            standing.begin_model(topology)?;
        }
        Service::launch(topology, standing, metrics)
    }

    /// Lets the judge rest, or go on: what a caller meets when it is stuck.
    pub fn pause(&self, paused: bool) {
        *self.shared.paused.0.lock().expect("nobody panics with it") = paused;
        self.shared.paused.1.notify_all();
    }

    /// Has the shadow rest so long before each event: what it is when it is slow.
    pub fn slow_shadow(&self, rest: std::time::Duration) {
        self.shared.shadow_delay.store(rest.as_micros() as u64, Ordering::Relaxed);
    }

    /// Records in the journal.
    pub fn recorded(&self) -> u64 {
        self.shared.recorded.load(Ordering::Acquire)
    }

    /// Records judged.
    pub fn judged(&self) -> u64 {
        self.shared.judged.load(Ordering::Acquire)
    }

    /// Takes nothing more, waits until everything recorded is judged and synced, and ends. The second call gives nothing.
    pub fn end(&self) -> Option<Ended> {
        let threads = self.threads.lock().expect("nobody panics with it").take()?;
        self.shared.closing.store(true, Ordering::Release);
        self.shared.paused.1.notify_all();
        // Where the lane is full nobody sleeps.
        let _ = self.hook.try_send(Submission::Wake);
        let (recorder, judge) = (threads.recorder.join(), threads.judge.join());
        self.shared.ended.store(true, Ordering::Release);
        let others: Vec<_> = threads.others.into_iter().map(JoinHandle::join).collect();
        // One that has panicked has said so, and why.
        if recorder.is_err() || others.iter().any(Result::is_err) {
            return None;
        }
        let engine = judge.ok()?;
        Some(Ended { records: self.recorded(), state_hash: engine.state_hash() })
    }

    /// Records nothing more, not even a tick, because this process ends: standbys get what there is, and then the end of their streams.
    fn close(&self) {
        // Waits for the group that is being recorded; who sees that it closes sees all of it.
        *self.shared.fenced.lock().expect("nobody panics with it") = true;
        self.shared.closing.store(true, Ordering::Release);
        self.shared.paused.1.notify_all();
        self.shared.more.notify_waiters();
    }

    /// Records nothing more, because another process leads: `why` is said to everybody who asks. Returns how many records there are, for
    /// good; they are on disk.
    fn fence(&self, why: &str) -> Result<u64, String> {
        self.shared.fence(why)
    }

    fn readiness(&self) -> Readiness {
        let not = |detail: String| Readiness { ready: false, detail };
        if let Some(why) = self.shared.stopped.get() {
            return not(why.clone());
        }
        if self.shared.is_closing() {
            return not("ending".to_owned());
        }
        if let Some(why) = self.shared.elsewhere.get() {
            return not(why.clone());
        }
        if let Some(why) = self.shared.topics.unready() {
            return not(why);
        }
        let percent = self.shared.stand_in_percent();
        if percent > self.shared.options.stand_in_percent_max {
            return not(format!("stand-ins gave {percent} % of the answers in a minute"));
        }
        Readiness { ready: true, detail: "ready".to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}
