//! The sink: a follower of the output log that sends outputs to topics, with the offsets of what led to them, in transactions.
//!
//! Up to which record outputs were sent is committed in the same transaction. After whatever went wrong a new producer of the same identity
//! begins: the broker aborts what the old one left open and says what it committed, and the sink reads the logs on from there. So each output
//! is to be seen once by whoever reads what is committed, wherever a process ended.

use super::Shared;
use super::lost::{Counts, LISTED, Lost, Published};
use crate::event::{IdKey, Record, Sequence};
use crate::journal::{JournalError, Outputs, RawInputs, Records, encode_record, hex};
use crate::kafka::{Consumed, KafkaOptions, Outbound, SendError, Sent};
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

/// What tells a record from any other that may stand in its place.
fn record_name(record: &Record) -> String {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes);
    hex(&blake3::hash(&bytes).as_bytes()[..8])
}

/// The name of a journal in the topics: it tells the keys of ids apart and gives none away.
fn journal_name(key: &IdKey) -> String {
    hex(&blake3::hash(&key.0).as_bytes()[..8])
}

/// The sink's own things.
pub(super) struct Sink {
    pub(super) shared: Arc<Shared>,
    kafka: KafkaOptions,
    pub(super) topics: Topics,
    /// Topics that are read, each with the number of its source.
    pub(super) sources: Vec<(u16, String)>,
    /// Tells the source that the brokers were met, and that the topics are this journal's.
    met: Option<Sender<Option<Lost>>>,
    journal: String,
    owner: String,
    pub(super) shard: String,
    warned: Option<Instant>,
    /// What the journal has lost, until that is restored.
    restoring: Option<Lost>,
    /// The name of the last record whose outputs are sent.
    last: String,
}

/// The logs, read from what was committed on.
pub(super) struct Reading {
    pub(super) records: Records,
    pub(super) outputs: Outputs,
    pub(super) raw: RawInputs,
    /// Records before this one are sent.
    pub(super) at: u64,
    /// The last of them.
    pub(super) last: Option<Record>,
}

/// What is sent and not committed.
#[derive(Default)]
pub(super) struct Open {
    began: Option<Instant>,
    pub(super) records: usize,
    /// By source and partition the next offset.
    pub(super) consumed: BTreeMap<(u16, u32), u64>,
}

/// Why the sink does not go on as it did.
pub(super) enum Stop {
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
        Sink { shared, kafka, topics, sources, met, journal, owner, shard, warned: None, restoring: None, last: String::new() }
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

    /// Nothing more is sent until somebody acts; nor is anything recorded, which would be a history of its own.
    fn fail(&self, why: &str) {
        error!(why, "nothing more is sent to the topics, read from them or recorded");
        // What could not be synced is told by whoever syncs.
        let _ = self.shared.fence(why);
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
        if self.is_not_ours(Outbound::look(&self.kafka, &self.topics.decisions)?.as_ref())? {
            return Ok(None);
        }
        let (outbound, sent) = Outbound::open(&self.kafka, &self.topics.decisions)?;
        if self.is_not_ours(sent.as_ref())? {
            return Ok(None);
        }
        let reading = self.begin(&outbound, sent)?;
        Ok(reading.map(|reading| (outbound, reading)))
    }

    /// Whether what was committed forbids to go on from there: it is another journal's, or of other records, or of more than this one holds;
    /// or another process has sent since this one did.
    fn is_not_ours(&self, sent: Option<&Sent>) -> Result<bool, JournalError> {
        let recorded = self.shared.recorded.load(Ordering::Acquire);
        let has_sent = self.met.is_none();
        let restores = self.kafka.recover || Lost::begun(&self.shared.dir).is_some();
        match sent {
            Some(sent) if sent.journal != self.journal => self.fail(&format!(
                "the topics hold outputs of another journal ({}, this one is {}), up to its record {}: give another kafka.group, or the data \
                 directory that they came from",
                sent.journal, self.journal, sent.next
            )),
            Some(sent) if sent.owner != self.owner && has_sent => self.give_way(sent, "while this one could not send"),
            Some(Sent { next, .. }) if *next > recorded && !restores => self.fail(&format!(
                "the topics hold outputs up to record {next}, the journal ends before record {recorded}: it has lost records, or is an old \
                 copy; `weir run --recover` goes on from it with what the topics know"
            )),
            Some(Sent { next, last, .. }) if *next <= recorded && Lost::begun(&self.shared.dir).is_none() => {
                if self.name_before(*next)?.is_none_or(|found| found == *last) {
                    return Ok(false);
                }
                self.fail(&format!(
                    "the journal has another record before {next} than the one whose outputs the topics hold: it went its own way after it \
                     had lost records. Go on from a copy that did not"
                ));
            }
            None if has_sent => self.fail("the brokers do not know any more up to which record outputs were sent"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Says whose the topics are from here on, and opens the logs at the record `next`. Where the journal ends before it, what it has lost is
    /// to be restored; `None` where that cannot be noted.
    fn begin(&mut self, outbound: &Outbound, sent: Option<Sent>) -> Result<Option<Reading>, Stop> {
        let recorded = self.shared.recorded.load(Ordering::Acquire);
        let (next, last) = sent.map_or((0, String::new()), |sent| (sent.next, sent.last));
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
        (self.restoring, self.last) = (lost, last);
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
            last: None,
        }))
    }

    /// The name of the record before `next`, where the journal still has it.
    fn name_before(&self, next: u64) -> Result<Option<String>, JournalError> {
        let Some(before) = next.checked_sub(1) else { return Ok(None) };
        let record = Records::open(self.shared.files.clone(), &self.shared.dir.join("journal"), Sequence(before))?.next_record()?;
        Ok(record.filter(|record| record.sequence.0 == before).map(|record| record_name(&record)))
    }

    /// Commits a transaction whose outputs are those before the record `next`.
    fn commit_on(&mut self, outbound: &Outbound, consumed: &Consumed, next: u64) -> Result<(), SendError> {
        let sent = Sent { next, journal: self.journal.clone(), owner: self.owner.clone(), last: self.last.clone() };
        let began = Instant::now();
        let mut noted = false;
        loop {
            let done = if noted { outbound.commit() } else { outbound.note(consumed, &sent) };
            match done {
                Ok(()) if noted => break,
                Ok(()) => noted = true,
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
                if let Some(record) = &reading.last {
                    self.last = record_name(record);
                }
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

    /// What was published of the records that the journal lost, where `sequence` is of the restoration.
    pub(super) fn published(&self, sequence: Sequence) -> Option<&Published> {
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
}
