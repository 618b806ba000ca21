//! The sink: a follower of the output log that sends outputs to topics, with the offsets of what led to them, in transactions.
//!
//! Up to which record outputs were sent is committed in the same transaction. After whatever went wrong a new producer of the same identity
//! begins: the broker aborts what the old one left open and says what it committed, and the sink reads the logs on from there. So each output
//! is to be seen once by whoever reads what is committed, wherever a process ended.

use super::Shared;
use super::lost::{Counts, LISTED, Lost, Published};
use crate::engine::Output;
use crate::event::{Content, Event, IdKey, Origin, Record, Sequence};
use crate::journal::{JournalError, Outputs, RawInputs, Records, event_json, hex};
use crate::kafka::{Consumed, KafkaOptions, Outbound, Outgoing, SendError, Sent};
use crate::render::{View, alert_id};
use crate::topology::Topics;
use crossbeam::channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{debug, error, info, warn};

/// Between two looks at what is new.
const LOOK_EVERY: Wall = Wall::from_millis(2);
/// Between two attempts at brokers that do not answer.
const AGAIN: Wall = Wall::from_secs(1);
/// Whoever is fenced looks after this who has taken over: that one says so with its first transaction.
const FENCED_PATIENCE: Wall = Wall::from_secs(3);
/// Without outputs offsets are committed this often.
const OFFSETS_EVERY: Wall = Wall::from_secs(1);
/// How long a service that ends waits for its last outputs to be sent.
const END_PATIENCE: Wall = Wall::from_secs(10);
/// Between two warnings of the same.
const WARN_EVERY: Wall = Wall::from_secs(60);

fn scratch_failed(cause: std::io::Error) -> Stop {
    Stop::Journal(JournalError::Io { doing: "reading", path: LISTED.into(), source: cause })
}

/// The name of a journal in the topics: it tells the keys of ids apart and gives none away.
fn journal_name(key: &IdKey) -> String {
    hex(&blake3::hash(&key.0).as_bytes()[..8])
}

/// The sink's own things.
pub(super) struct Sink {
    shared: Arc<Shared>,
    kafka: KafkaOptions,
    topics: Topics,
    /// Topics that are read, each with the number of its source.
    sources: Vec<(u16, String)>,
    /// Tells the source that the brokers were met, and that the topics are this journal's.
    met: Option<Sender<Option<Lost>>>,
    journal: String,
    owner: String,
    shard: String,
    warned: Option<Instant>,
    /// What the journal has lost, until that is restored.
    restoring: Option<Lost>,
}

/// The logs, read from what was committed on.
struct Reading {
    records: Records,
    outputs: Outputs,
    raw: RawInputs,
    /// Records before this one are sent.
    at: u64,
}

/// What is sent and not committed.
#[derive(Default)]
struct Open {
    began: Option<Instant>,
    records: usize,
    /// By source and partition the next offset.
    consumed: BTreeMap<(u16, u32), u64>,
}

/// Why the sink does not go on as it did.
enum Stop {
    Send(SendError),
    Journal(JournalError),
}

impl From<SendError> for Stop {
    fn from(cause: SendError) -> Stop {
        Stop::Send(cause)
    }
}

impl From<JournalError> for Stop {
    fn from(cause: JournalError) -> Stop {
        Stop::Journal(cause)
    }
}

impl Sink {
    /// `owner` is this process's own name among all that ever were of this identity.
    pub(super) fn new(
        shared: Arc<Shared>,
        kafka: KafkaOptions,
        topics: Topics,
        sources: Vec<(u16, String)>,
        owner: &str,
        met: Sender<Option<Lost>>,
    ) -> Sink {
        let (journal, shard) = (journal_name(&shared.key), kafka.shard.to_string());
        let (met, owner) = (Some(met), owner.to_owned());
        Sink { shared, kafka, topics, sources, met, journal, owner, shard, warned: None, restoring: None }
    }

    /// Sends until the service has ended and everything is sent, or somebody else has taken over.
    pub(super) fn run(mut self) {
        let mut ending = None;
        while !self.is_over(&mut ending) {
            let cause = match self.open() {
                Ok(Some((outbound, reading))) => match self.send(&outbound, reading, &mut ending) {
                    Ok(()) => return,
                    Err(cause) => cause,
                },
                Ok(None) => return,
                Err(cause) => cause,
            };
            self.shared.metrics.kafka_connected.set(0);
            match cause {
                Stop::Journal(cause) => return self.fail(&format!("the logs cannot be read: {cause}")),
                Stop::Send(SendError::Fenced(why)) => {
                    if self.is_taken_over(&why) {
                        return;
                    }
                }
                Stop::Send(SendError::Lost(why)) => {
                    self.shared.metrics.kafka_transactions_total.with_label_values(&["aborted"]).inc();
                    self.warn(&why);
                    self.rest(AGAIN, &mut ending);
                }
                Stop::Send(SendError::Again(why)) => {
                    self.warn(&why);
                    self.rest(AGAIN, &mut ending);
                }
            }
        }
    }

    /// Whether the service has ended, and either everything was sent or that takes too long.
    fn is_over(&self, ending: &mut Option<Instant>) -> bool {
        if self.shared.elsewhere.get().is_some() && !self.shared.is_closing() {
            return true;
        }
        if !self.shared.is_ended() {
            return false;
        }
        let since = ending.get_or_insert_with(Instant::now);
        let unsent = self.shared.named.load(Ordering::Acquire).saturating_sub(*self.shared.topics.sent.borrow());
        let late = since.elapsed() >= END_PATIENCE;
        if late && unsent > 0 {
            warn!(records = unsent, "outputs of the last records are not in the topics; the next start sends them");
        }
        late || (unsent == 0 && self.shared.named.load(Ordering::Acquire) >= self.shared.judged.load(Ordering::Acquire))
    }

    fn rest(&mut self, length: Wall, ending: &mut Option<Instant>) {
        let until = Instant::now() + length;
        while Instant::now() < until && !self.is_over(ending) {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Once a minute.
    fn warn(&mut self, why: &str) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            warn!(why, brokers = self.kafka.brokers, "outputs wait in the log: nothing can be sent to the topics");
        } else {
            debug!(why, "nothing can be sent to the topics");
        }
    }

    /// Nothing more is sent until somebody acts.
    fn fail(&self, why: &str) {
        error!(why, "nothing more is sent to the topics, or read from them");
        // The first cause is the one to be told.
        let _ = self.shared.topics.failed.set(why.to_owned());
    }

    /// Another producer of this identity has begun, or the broker gave up on this one. Who has taken over says so when it commits.
    fn is_taken_over(&mut self, why: &str) -> bool {
        std::thread::sleep(FENCED_PATIENCE);
        match Outbound::look(&self.kafka, &self.topics.decisions) {
            Ok(Some(sent)) if sent.owner != self.owner => {
                self.give_way(&sent, why);
                true
            }
            Ok(_) => false,
            Err(cause) => {
                self.warn(&cause.to_string());
                false
            }
        }
    }

    /// Another process has sent since this one did: nothing is recorded here any more.
    fn give_way(&self, sent: &Sent, why: &str) {
        let elsewhere = format!("fenced: process {} has taken over {} ({why})", sent.owner, self.kafka.identity());
        warn!(elsewhere, "nothing more is recorded here");
        // What could not be synced is told by whoever syncs.
        let _ = self.shared.fence(&elsewhere);
    }

    /// A producer, and the logs behind what was committed; `None` where it is not this process that sends.
    fn open(&mut self) -> Result<Option<(Outbound, Reading)>, Stop> {
        // A look fences nobody: who has no business here disturbs nobody.
        if self.is_not_ours(Outbound::look(&self.kafka, &self.topics.decisions)?.as_ref()) {
            return Ok(None);
        }
        let (outbound, sent) = Outbound::open(&self.kafka, &self.topics.decisions)?;
        if self.is_not_ours(sent.as_ref()) {
            return Ok(None);
        }
        let reading = self.begin(&outbound, sent.map_or(0, |sent| sent.next))?;
        Ok(reading.map(|reading| (outbound, reading)))
    }

    /// Whether what was committed forbids to go on from there: it is another journal's, it is more than this one holds, or another process
    /// has sent since this one did.
    fn is_not_ours(&self, sent: Option<&Sent>) -> bool {
        let recorded = self.shared.recorded.load(Ordering::Acquire);
        let has_sent = self.met.is_none();
        let restores = || self.kafka.recover || Lost::begun(&self.shared.dir).is_some();
        match sent {
            Some(sent) if sent.journal != self.journal => self.fail(&format!(
                "the topics hold outputs of another journal ({}, this one is {}), up to its record {}: give another kafka.group, or the data \
                 directory that they came from",
                sent.journal, self.journal, sent.next
            )),
            Some(sent) if sent.owner != self.owner && has_sent => self.give_way(sent, "while this one could not send"),
            Some(Sent { next, .. }) if *next > recorded && !restores() => self.fail(&format!(
                "the topics hold outputs up to record {next}, the journal ends before record {recorded}: it has lost records, or is an old \
                 copy; `weir run --recover` goes on from it with what the topics know"
            )),
            None if has_sent => self.fail("the brokers do not know any more up to which record outputs were sent"),
            _ => return false,
        }
        true
    }

    /// Says whose the topics are from here on, and opens the logs at the record `next`. Where the journal ends before it, what it has lost is
    /// to be restored; `None` where that cannot be noted.
    fn begin(&mut self, outbound: &Outbound, next: u64) -> Result<Option<Reading>, Stop> {
        let recorded = self.shared.recorded.load(Ordering::Acquire);
        let lost = match Lost::begun(&self.shared.dir) {
            None if next > recorded => {
                let lost = Lost { from: recorded, until: next };
                if let Err(cause) = lost.begin(&self.shared.dir) {
                    self.fail(&format!("the restoration cannot be noted: {cause}"));
                    return Ok(None);
                }
                Some(lost)
            }
            begun => begun,
        };
        self.restoring = lost;
        outbound.begin()?;
        self.commit_on(outbound, &Consumed::default(), next)?;
        self.shared.topics.sent.send_replace(next);
        self.shared.metrics.kafka_connected.set(1);
        info!(next, owner = self.owner, identity = self.kafka.identity(), "outputs are sent to topics from this record on");
        if let Some(met) = self.met.take() {
            // Without sources nobody listens.
            let _ = met.send(lost);
        }
        let (files, dir) = (self.shared.files.clone(), &self.shared.dir);
        let from = Sequence(next);
        Ok(Some(Reading {
            records: Records::open(files.clone(), &dir.join("journal"), from)?,
            outputs: Outputs::open(files.clone(), &dir.join("outputs"), from)?,
            raw: RawInputs::open(files, &dir.join("rejected"), from)?,
            at: next,
        }))
    }

    /// Commits a transaction whose outputs are those before the record `next`.
    fn commit_on(&mut self, outbound: &Outbound, consumed: &Consumed, next: u64) -> Result<(), SendError> {
        let sent = Sent { next, journal: self.journal.clone(), owner: self.owner.clone() };
        let began = Instant::now();
        loop {
            match outbound.commit(consumed, &sent) {
                Ok(()) => break,
                // It may be that nobody waits for it any more; then the next start does it again.
                Err(SendError::Again(why)) if self.shared.is_ended() && began.elapsed() >= END_PATIENCE => {
                    return Err(SendError::Lost(why));
                }
                Err(SendError::Again(why)) => debug!(why, "a transaction is not committed yet"),
                Err(other) => return Err(other),
            }
        }
        let metrics = &self.shared.metrics;
        metrics.kafka_commit_seconds.observe(began.elapsed().as_secs_f64());
        metrics.kafka_transactions_total.with_label_values(&["committed"]).inc();
        Ok(())
    }

    /// Sends what comes, until the service has ended.
    fn send(&mut self, outbound: &Outbound, mut reading: Reading, ending: &mut Option<Instant>) -> Result<(), Stop> {
        let mut open = Open::default();
        let mut offsets = Instant::now();
        loop {
            let mut until = self.shared.named.load(Ordering::Acquire);
            if self.restoring.is_some() {
                match self.shared.topics.published.get() {
                    // What was published is not known yet.
                    None => until = reading.at,
                    Some(published) => published.positions().for_each(|(place, next)| {
                        open.consumed.entry(place).or_insert(next);
                    }),
                }
            }
            while reading.at < until && open.records < self.kafka.commit_records_max {
                if open.began.is_none() {
                    outbound.begin()?;
                    open.began = Some(Instant::now());
                }
                if !self.send_record(outbound, &mut reading, &mut open)? {
                    break;
                }
            }
            let full = open.records >= self.kafka.commit_records_max;
            let due = open.began.is_some_and(|began| full || began.elapsed() >= self.kafka.commit_every || self.shared.is_ended());
            let passed = open.began.is_none() && offsets.elapsed() >= OFFSETS_EVERY && self.has_passed(reading.at);
            if passed {
                outbound.begin()?;
            }
            if due || passed {
                offsets = Instant::now();
                let consumed = self.consumed(std::mem::take(&mut open.consumed), reading.at);
                self.commit_on(outbound, &consumed, reading.at)?;
                self.shared.topics.sent.send_replace(reading.at);
                open = Open::default();
                self.warned = None;
                self.end_restoration(reading.at);
            } else if open.began.is_none() && self.is_over(ending) {
                return Ok(());
            }
            if reading.at >= self.shared.named.load(Ordering::Acquire) {
                outbound.serve();
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }

    /// Sends what the next record led to; `false` where the log does not hold it yet.
    fn send_record(&self, outbound: &Outbound, reading: &mut Reading, open: &mut Open) -> Result<bool, Stop> {
        let Some(record) = reading.records.next_record()? else { return Ok(false) };
        let (sequence, trace) = (record.sequence, self.trace_of(record.sequence));
        let number = sequence.0.to_string();
        let mut headers = vec![("weir-shard", &*self.shard), ("weir-sequence", &*number)];
        if let Some(trace) = &trace {
            headers.push(("traceparent", trace));
        }
        let mut refused = false;
        while let Some(output) = reading.outputs.next_before(Sequence(sequence.0 + 1))? {
            refused |= matches!(output, Output::Rejected(_));
            self.send_output(outbound, &output, &mut reading.raw, &headers)?;
        }
        match &record.content {
            Content::Event(event) if !refused && matches!(record.origin.source, Origin::HOOK | Origin::DOOR) => {
                if !self.published(sequence).is_some_and(|published| published.has_told(event.id)) {
                    self.send_event(outbound, event, &headers)?;
                }
            }
            _ => self.note(&record, open),
        }
        reading.at = sequence.0 + 1;
        open.records += 1;
        Ok(true)
    }

    fn send_output(&self, outbound: &Outbound, output: &Output, raw: &mut RawInputs, headers: &[(&str, &str)]) -> Result<(), Stop> {
        let shared = &self.shared;
        let published = self.published(output.sequence());
        let send = |topic: &str, key: Option<String>, payload: Vec<u8>| {
            shared.metrics.kafka_sent_total.with_label_values(&[topic]).inc();
            outbound.send(&Outgoing { topic, key: key.as_deref().map(str::as_bytes), payload: &payload, headers })
        };
        match output {
            Output::Decision(decision) => {
                let (key, id_text) = (shared.text(decision.key), shared.text(decision.event));
                let key = key.unwrap_or_else(|| decision.key.to_string());
                let json = |view| shared.decision_json(decision, view, id_text.as_deref());
                let public = json(View::Public);
                if let Some(published) = published
                    && published.has_decision(decision.event, decision.revision, &public).map_err(scratch_failed)?
                {
                    return Ok(());
                }
                send(&self.topics.decisions, Some(key.clone()), public)?;
                send(&self.topics.decisions_internal, Some(key), json(View::Internal))?;
            }
            Output::Alert(alert) => {
                // Its versions stay in order, and a compacted topic holds the newest.
                let json = shared.alert_json(alert);
                if !published.is_some_and(|published| published.has_alert(&json)) {
                    send(&self.topics.alerts, Some(alert_id(alert.number)), json)?;
                }
            }
            Output::Rejected(rejected) => {
                let input = raw.of(rejected.sequence)?;
                let json = shared.rejected_json(rejected, input.as_ref());
                if !published.is_some_and(|published| published.has_rejected(&json)) {
                    send(&self.topics.rejected, None, json)?;
                }
            }
        }
        Ok(())
    }

    /// Tells of an event that came by a door.
    fn send_event(&self, outbound: &Outbound, event: &Event, headers: &[(&str, &str)]) -> Result<(), Stop> {
        let shared = &self.shared;
        let text_of = |id| shared.identity.text(id).ok().flatten();
        let key = event.body.stream_key().map(|id| shared.text(id).unwrap_or_else(|| id.to_string()));
        let payload = serde_json::to_vec(&event_json(event, &text_of)).expect("the object has text keys only");
        shared.metrics.kafka_sent_total.with_label_values(&[&*self.topics.events]).inc();
        let outgoing = Outgoing { topic: &self.topics.events, key: key.as_deref().map(str::as_bytes), payload: &payload, headers };
        Ok(outbound.send(&outgoing)?)
    }

    /// What was published of the records that the journal lost, where `sequence` is of the restoration.
    fn published(&self, sequence: Sequence) -> Option<&Published> {
        self.restoring?;
        self.shared.topics.published.get().filter(|published| !published.is_over(sequence.0))
    }

    /// Says how the restoration went, when everything of it is committed.
    fn end_restoration(&mut self, at: u64) {
        let Some(published) = self.shared.topics.published.get().filter(|published| self.restoring.is_some() && published.is_over(at))
        else {
            return;
        };
        match published.finish().and_then(|counts| Lost::end(&self.shared.dir).map(|()| counts)) {
            Ok(Counts { same, different, lost }) => {
                self.restoring = None;
                self.shared.metrics.kafka_recovered_total.with_label_values(&["same"]).inc_by(same);
                self.shared.metrics.kafka_recovered_total.with_label_values(&["different"]).inc_by(different);
                self.shared.metrics.kafka_recovered_total.with_label_values(&["lost"]).inc_by(lost);
                warn!(same, different, lost, list = LISTED, "the shard is restored from the topics: what was published stands");
            }
            Err(cause) => self.warn(&format!("the end of the restoration cannot be noted: {cause}")),
        }
    }

    fn note(&self, record: &Record, open: &mut Open) {
        let Origin { source, partition, offset } = record.origin;
        if self.sources.iter().any(|(number, _)| *number == source) {
            open.consumed.insert((source, partition), offset + 1);
        }
    }

    fn has_passed(&self, at: u64) -> bool {
        self.shared.topics.passed.lock().expect("nobody panics with it").iter().any(|passed| passed.behind.0 <= at)
    }

    /// The offsets of what led to outputs before the record `at`, and of what was passed over before it.
    fn consumed(&self, mut consumed: BTreeMap<(u16, u32), u64>, at: u64) -> Consumed {
        self.shared.topics.passed.lock().expect("nobody panics with it").retain(|passed| {
            let is_before = passed.behind.0 <= at;
            if is_before {
                let next = consumed.entry((passed.source, passed.partition)).or_default();
                *next = passed.next.max(*next);
            }
            !is_before
        });
        let name = |source: u16| self.sources.iter().find(|(number, _)| *number == source).map(|(_, topic)| topic.clone());
        let offsets = consumed.into_iter().filter_map(|((source, partition), next)| Some((name(source)?, partition, next)));
        Consumed { offsets: offsets.collect() }
    }

    fn trace_of(&self, sequence: Sequence) -> Option<Box<str>> {
        let mut traces = self.shared.topics.traces.lock().expect("nobody panics with it");
        while traces.front().is_some_and(|(of, _)| *of < sequence) {
            traces.pop_front();
        }
        traces.front().filter(|(of, _)| *of == sequence)?;
        traces.pop_front().map(|(_, trace)| trace)
    }
}
