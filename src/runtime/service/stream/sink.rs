//! The sink: a follower of the output log that sends outputs to topics, with the offsets of what led to them, in transactions.
//!
//! Up to which record outputs were sent is committed in the same transaction. After whatever went wrong a new producer of the same identity
//! begins: the broker aborts what the old one left open and says what it committed, and the sink reads the logs on from there. So each output
//! is to be seen once by whoever reads what is committed, wherever a process ended.

use super::lost::LISTED;
use super::notes::{End, Lost, Remembered};
use super::published::{Counts, Published};
use super::{Shared, leave};
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
/// Between two notes in the directory of up to where outputs are sent.
const REMEMBER_EVERY: Wall = Wall::from_secs(1);
/// Between two warnings of the same.
const WARN_EVERY: Wall = Wall::from_secs(60);

/// What tells a record from any other that may stand in its place.
fn record_name(record: &Record) -> String {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes);
    hex(&blake3::hash(&bytes).as_bytes()[..8])
}

/// A note of a restoration, or its list, could not be written.
fn unnoted(cause: std::io::Error) -> Stop {
    Stop::Journal(JournalError::Io { doing: "noting a restoration", path: LISTED.into(), source: cause })
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
    /// Where the journal ended when the brokers were met last, or at the first start since.
    end: End,
    /// Whether this process has committed: who finds another's name there then has been taken over from.
    has_led: bool,
    /// The name of the last record whose outputs are sent.
    last: String,
    /// Up to where outputs are sent, where the directory does not know it yet, and when it was told last.
    unremembered: Option<Remembered>,
    remembered_at: Instant,
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
        end: End,
        met: Sender<Option<Lost>>,
    ) -> Sink {
        let (journal, shard) = (journal_name(&shared.key), kafka.shard.to_string());
        let (met, owner) = (Some(met), owner.to_owned());
        Sink {
            shared,
            kafka,
            topics,
            sources,
            met,
            journal,
            owner,
            shard,
            warned: None,
            restoring: None,
            end,
            has_led: false,
            last: String::new(),
            unremembered: None,
            remembered_at: Instant::now(),
        }
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
            self.remember();
            match cause {
                Stop::Journal(cause) => return self.fail(&format!("the logs cannot be read: {cause}")),
                Stop::Send(SendError::Fenced(why)) => {
                    if self.is_taken_over(&why, &mut ending) {
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
        error!(why, "nothing more is sent to the topics");
        // The first cause is the one to be told.
        let _ = self.shared.topics.failed.set(why.to_owned());
    }

    /// Another producer of this identity has begun, or the broker gave up on this one. Who has taken over says so when it commits.
    fn is_taken_over(&mut self, why: &str, ending: &mut Option<Instant>) -> bool {
        loop {
            self.rest(FENCED_PATIENCE, ending);
            match Outbound::look(&self.kafka, &self.topics.decisions) {
                Ok(Some(sent)) if sent.owner != self.owner => {
                    self.leave_to(&sent.owner, why);
                    return true;
                }
                Ok(_) => return false,
                Err(_) if self.is_over(ending) => return true,
                Err(cause) => self.warn(&cause.to_string()),
            }
        }
    }

    /// Another process leads this shard.
    fn leave_to(&self, owner: &str, why: &str) {
        leave(&self.shared, &format!("fenced: process {owner} has taken over {} ({why})", self.kafka.identity()));
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
        Ok(Some((outbound, reading)))
    }

    /// Whether what was committed forbids to go on from there: it is another journal's, it is more than this one held or something else, or
    /// another process has sent since this one did.
    fn is_not_ours(&self, sent: Option<&Sent>) -> Result<bool, Stop> {
        let Some(sent) = sent else { return Ok(false) };
        if sent.journal != self.journal {
            leave(
                &self.shared,
                &format!(
                    "the topics hold outputs of another journal ({}, this one is {}), up to its record {}: give another kafka.group, or the data \
                 directory that they came from",
                    sent.journal, self.journal, sent.next
                ),
            );
            return Ok(true);
        }
        if self.has_led && sent.owner != self.owner {
            self.leave_to(&sent.owner, "while this one could not send");
            return Ok(true);
        }
        // What this process has sent is of no other journal.
        if self.has_led || self.kafka.recover || Lost::begun(&self.shared.dir).is_some() {
            return Ok(false);
        }
        if sent.next > self.end.next {
            leave(
                &self.shared,
                &format!(
                    "the topics hold outputs up to record {}, the journal ends before record {}: it has lost records, or is an old copy; `weir run \
                 --recover` goes on from it with what the topics know",
                    sent.next, self.end.next
                ),
            );
            return Ok(true);
        }
        let forks = self.name_before(sent.next)?.is_some_and(|found| found != sent.last);
        if forks {
            leave(
                &self.shared,
                &format!(
                    "the journal has another record before {} than the one whose outputs the topics hold: it went its own way after it had lost \
                 records. Go on from a copy that did not",
                    sent.next
                ),
            );
        }
        Ok(forks)
    }

    /// Says whose the topics are from here on, and opens the logs behind what was sent. What the journal has lost is to be restored.
    fn begin(&mut self, outbound: &Outbound, sent: Option<Sent>) -> Result<Reading, Stop> {
        let dir = self.shared.dir.clone();
        let mut place = sent.unwrap_or_else(|| self.remembered());
        let lost = match Lost::begun(&dir) {
            None if place.next > self.end.next && !self.has_led => {
                let lost = self.end.lost(place.next);
                lost.begin(&dir).map_err(unnoted)?;
                // What was taken while nobody was met is not sent yet.
                place.at = self.end.next;
                Some(lost)
            }
            begun => begun,
        };
        (self.restoring, self.last) = (lost, place.last);
        outbound.begin()?;
        self.commit_on(outbound, &Consumed::default(), place.at)?;
        End::met(&dir).map_err(unnoted)?;
        self.has_led = true;
        self.shared.metrics.kafka_connected.set(1);
        info!(next = place.next, owner = self.owner, identity = self.kafka.identity(), "outputs are sent to topics from this record on");
        if let Some(met) = self.met.take() {
            // Without sources nobody listens.
            let _ = met.send(lost);
        }
        let (files, from) = (self.shared.files.clone(), Sequence(place.at));
        Ok(Reading {
            records: Records::open(files.clone(), &dir.join("journal"), from)?,
            outputs: Outputs::open(files.clone(), &dir.join("outputs"), from)?,
            raw: RawInputs::open(files, &dir.join("rejected"), from)?,
            at: place.at,
            last: None,
        })
    }

    /// Up to where outputs were sent as this directory knows it, for brokers that know nothing: they forget it some days after the last commit.
    fn remembered(&self) -> Sent {
        let (journal, owner) = (self.journal.clone(), self.owner.clone());
        let nothing = Sent { next: 0, at: 0, journal, owner, last: String::new() };
        match Remembered::of(&self.shared.dir, &self.journal) {
            Some(Remembered { next, last }) => {
                warn!(next, "the brokers do not know any more up to where outputs were sent; it goes on as this directory knows");
                Sent { next, at: next, last, ..nothing }
            }
            None => nothing,
        }
    }

    /// Keeps up to where outputs are sent, beside the brokers. It is for days later: a second later does, for the sync that each note takes.
    fn remember(&mut self) {
        if let Some(remembered) = self.unremembered.take() {
            self.remembered_at = Instant::now();
            if let Err(cause) = remembered.write(&self.shared.dir, &self.journal) {
                debug!(%cause, "what was sent could not be noted in the directory");
            }
        }
    }

    /// The name of the record before `next`, where the journal still has it.
    fn name_before(&self, next: u64) -> Result<Option<String>, JournalError> {
        let Some(before) = next.checked_sub(1) else { return Ok(None) };
        let record = Records::open(self.shared.files.clone(), &self.shared.dir.join("journal"), Sequence(before))?.next_record()?;
        Ok(record.filter(|record| record.sequence.0 == before).map(|record| record_name(&record)))
    }

    /// Commits a transaction whose outputs are those before the record `at`.
    fn commit_on(&mut self, outbound: &Outbound, consumed: &Consumed, at: u64) -> Result<(), SendError> {
        let next = at.max(self.restoring.map_or(0, |lost| lost.until));
        let sent = Sent { next, at, journal: self.journal.clone(), owner: self.owner.clone(), last: self.last.clone() };
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
        self.shared.topics.arrivals.forget_before(at);
        self.shared.topics.sent.send_replace(at);
        self.unremembered = Some(Remembered { next, last: self.last.clone() });
        Ok(())
    }

    /// Sends what comes, until the service has ended.
    fn send(&mut self, outbound: &Outbound, mut reading: Reading, ending: &mut Option<Instant>) -> Result<(), Stop> {
        if let Some(published) = self.shared.topics.published.get() {
            published.aborted();
        }
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
            let idle = open.began.is_none() && offsets.elapsed() >= OFFSETS_EVERY;
            let alone = idle && !self.shared.topics.passed_before(reading.at).is_empty();
            if alone {
                outbound.begin()?;
            }
            if due || alone {
                offsets = Instant::now();
                let passed = self.shared.topics.passed_before(reading.at);
                let consumed = self.consumed(std::mem::take(&mut open.consumed), &passed);
                if let Some(record) = &reading.last {
                    self.last = record_name(record);
                }
                self.commit_on(outbound, &consumed, reading.at)?;
                self.shared.topics.forget_passed(&passed);
                open = Open::default();
                self.warned = None;
                self.end_restoration(reading.at)?;
            } else if open.began.is_none() && self.is_over(ending) {
                self.remember();
                return Ok(());
            }
            if self.remembered_at.elapsed() >= REMEMBER_EVERY {
                self.remember();
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

    /// A transaction is committed. Says how the restoration went, when everything of it is.
    fn end_restoration(&mut self, at: u64) -> Result<(), Stop> {
        let shared = self.shared.clone();
        let Some(published) = shared.topics.published.get().filter(|_| self.restoring.is_some()) else { return Ok(()) };
        published.committed().map_err(unnoted)?;
        if !published.is_over(at) {
            return Ok(());
        }
        let Counts { same, different, other_outcomes, lost } =
            published.finish(&|event| shared.answers.get(event).is_some()).map_err(unnoted)?;
        Lost::end(&shared.dir).map_err(unnoted)?;
        self.restoring = None;
        for (what, count) in [("same", same), ("different", different), ("lost", lost)] {
            shared.metrics.kafka_recovered_total.with_label_values(&[what]).inc_by(count);
        }
        warn!(same, different, other_outcomes, lost, list = LISTED, "the shard is restored from the topics: what was published stands");
        Ok(())
    }

    /// The offsets of what led to outputs, and of what was passed over.
    fn consumed(&self, mut consumed: BTreeMap<(u16, u32), u64>, passed: &BTreeMap<(u16, u32), u64>) -> Consumed {
        for (place, next) in passed {
            let known = consumed.entry(*place).or_default();
            *known = (*known).max(*next);
        }
        let name = |source: u16| self.sources.iter().find(|(number, _)| *number == source).map(|(_, topic)| topic.clone());
        let offsets = consumed.into_iter().filter_map(|((source, partition), next)| Some((name(source)?, partition, next)));
        Consumed { offsets: offsets.collect() }
    }
}
