//! The source: one thread that reads topics into the lane of the stream.
//!
//! What it hands on bears topic, partition and offset, and the recorder takes each of them once. While the lane is nearly full the partitions
//! are paused: the group is served all the same. Once a second it says how far each source is behind.

use super::super::Submission;
use super::arrivals::Arrival;
use super::lost::{Restoration, Retold};
use super::notes::Lost;
use super::{Shared, leave};
use crate::event::{Event, Origin, Refusal, SourceLag};
use crate::ingress::wire::parse_event;
use crate::ingress::{Fault, Reading};
use crate::kafka::{Inbound, KafkaOptions, Lag, Message, Polled, partitions_of};
use crate::runtime::naming::Told;
use crate::topology::Topics;
use crossbeam::channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// How long a poll waits for a record.
const POLL: Wall = Wall::from_millis(50);
/// Between two attempts at a lane that is full, or at brokers that make no client.
const PATIENCE: Wall = Wall::from_millis(100);
const AGAIN: Wall = Wall::from_secs(5);
/// How often lags are told.
const LAG_EVERY: Wall = Wall::from_secs(1);
/// Of the lane's room in percent: beyond the first nothing more is read, below the second it is again.
const FULL_PERCENT: usize = 75;
const ROOM_PERCENT: usize = 50;

/// Ticks recorded at once in the place of lost records.
const PAD: usize = 10_000;

/// The source's own things.
pub(super) struct Source {
    shared: Arc<Shared>,
    kafka: KafkaOptions,
    feed: Feed,
    payload_bytes_max: usize,
    /// As of the start, or while the topic had partitions here.
    present: Vec<Instant>,
    caught_up: bool,
    rebalances: u64,
    started: Instant,
}

/// What the source reads, and where it puts it.
pub(super) struct Feed {
    pub(super) lane: Sender<Submission>,
    /// Each with the number of its source.
    pub(super) topics: Vec<(u16, String)>,
    /// Those of Weir itself.
    pub(super) outputs: Topics,
    /// By source and partition the next offset.
    pub(super) positions: BTreeMap<(u16, u32), u64>,
}

impl Source {
    pub(super) fn new(shared: Arc<Shared>, kafka: KafkaOptions, feed: Feed, payload_bytes_max: usize) -> Source {
        let started = Instant::now();
        let present = vec![started; feed.topics.len()];
        Source { shared, kafka, feed, payload_bytes_max, present, caught_up: false, rebalances: 0, started }
    }

    /// Reads until the service ends, once the sink has met the brokers and found that the topics hold what this journal wrote: `known`.
    pub(super) fn run(mut self, known: &Receiver<Option<Lost>>) {
        let mut told = Instant::now();
        let lost = loop {
            match known.recv_timeout(POLL) {
                Ok(lost) => break lost,
                Err(RecvTimeoutError::Timeout) if !self.is_over() => {}
                Err(_) => return,
            }
            if told.elapsed() >= LAG_EVERY {
                told = Instant::now();
                self.tell_lags(&[]);
            }
        };
        if let Some(lost) = lost
            && !self.restore(lost)
        {
            return;
        }
        if self.shared.topics.is_cold() {
            self.hand_on(Submission::Warm);
        }
        if self.feed.topics.is_empty() {
            *self.shared.topics.unready.lock().expect("nobody panics with it") = None;
            return;
        }
        let topic = |source: u16| self.feed.topics.iter().position(|(number, _)| *number == source);
        let positions = self.feed.positions.iter();
        let positions = positions.filter_map(|((source, partition), next)| Some(((topic(*source)?, *partition), *next)));
        let positions: Vec<_> = positions.collect();
        let names: Vec<String> = self.feed.topics.iter().map(|(_, topic)| topic.clone()).collect();
        let inbound = loop {
            match Inbound::subscribe(&self.kafka, &names, &positions, lost.is_none()) {
                Ok(inbound) => break inbound,
                Err(cause) => error!(cause, "topics cannot be read"),
            }
            if !self.rest() {
                return;
            }
        };
        if self.kafka.shards > 1 {
            // Before anybody is told whose they are; later counts come with the client's statistics.
            match partitions_of(&self.kafka, &self.feed.outputs.events) {
                Ok(partitions) => self.shared.topics.partitions.store(partitions, Ordering::Relaxed),
                Err(cause) => warn!(cause, "which keys belong to this shard is not known yet: whoever asks is answered"),
            }
        }
        info!(topics = names.join(", "), group = self.kafka.consumer_group(), "reading topics");
        let mut paused = false;
        while !self.is_over() {
            if told.elapsed() >= LAG_EVERY {
                told = Instant::now();
                self.tell_lags(&inbound.lags());
                let rebalances = inbound.rebalances();
                if let Some(partitions) = inbound.partitions(&self.feed.outputs.events) {
                    self.shared.topics.partitions.store(partitions, Ordering::Relaxed);
                }
                self.shared.metrics.kafka_rebalances_total.inc_by(rebalances - self.rebalances);
                self.rebalances = rebalances;
            }
            let waiting = self.feed.lane.len() * 100;
            let room = self.feed.lane.capacity().unwrap_or(usize::MAX);
            if !paused && waiting >= room * FULL_PERCENT {
                inbound.pause();
                paused = true;
                self.shared.metrics.kafka_pauses_total.inc();
            } else if paused && waiting <= room * ROOM_PERCENT {
                inbound.resume();
                paused = false;
            }
            match inbound.poll(POLL, |message| self.submission(&message)) {
                Polled::Message(submission) => self.hand_on(submission),
                Polled::Nothing => {}
                Polled::Fenced(why) => {
                    return leave(&self.shared, &format!("fenced: another process is {} of the group now ({why})", self.kafka.identity()));
                }
            }
        }
    }

    /// Tells the events of lost records again, as the topics know them; `false` where the service ended meanwhile.
    fn restore(&mut self, lost: Lost) -> bool {
        warn!(
            from = lost.from,
            until = lost.until,
            "the journal has lost records: it is restored from the topics. Policies, models and entries of lists that were published behind its \
             end are not there: publish them again"
        );
        let recorded = self.shared.recorded.load(Ordering::Acquire);
        for from in (recorded..lost.until).step_by(PAD) {
            self.hand_on(Submission::Pad(lost.until.min(from + PAD as u64)));
        }
        let (restoration, published) = loop {
            let Feed { topics, outputs, positions, .. } = &self.feed;
            match Restoration::read(&self.shared, &self.kafka, outputs, topics, positions, lost, &|| !self.is_over()) {
                Ok(read) => break read,
                Err(cause) => warn!(cause, "the topics cannot be read back"),
            }
            if !self.rest() {
                return false;
            }
        };
        let events = restoration.len();
        info!(events, "events of lost records are told again");
        self.feed.positions.clone_from(&restoration.positions);
        let _ = self.shared.topics.published.set(published);
        let told = restoration.tell(&self.shared.clone(), &mut |retold| {
            self.hand_on(match retold {
                Retold::Event { origin, event, texts } => {
                    Submission::Event { origin, event, texts, arrival: None, ticket: None, line: None }
                }
                Retold::Answered(answered) => Submission::Answered { answered, ticket: None },
            });
            !self.is_over()
        });
        if let Err(cause) = told {
            self.shared.stop(format!("the shard cannot be restored: {cause}"));
            error!(%cause, "the shard cannot be restored");
            return false;
        }
        !self.is_over()
    }

    /// Rests between two attempts; `false` where the service ended meanwhile.
    fn rest(&self) -> bool {
        let until = Instant::now() + AGAIN;
        while Instant::now() < until && !self.is_over() {
            std::thread::sleep(PATIENCE);
        }
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        let shared = &self.shared;
        shared.is_closing() || shared.is_stopped() || shared.elsewhere.get().is_some() || shared.topics.failed.get().is_some()
    }

    /// What becomes of a record of a topic.
    fn submission(&self, message: &Message<'_>) -> Submission {
        let (source, _) = self.feed.topics[message.topic];
        let origin = Origin { source, partition: message.partition, offset: message.offset };
        if message.told_by.is_some() {
            // It came through a door, was judged and told there.
            return Submission::Passed(origin);
        }
        let mut texts = Told::default();
        match self.event(message, &mut texts) {
            Ok(event) => {
                let arrival = Some(Arrival::now(message.traceparent));
                Submission::Event { origin, event: Box::new(event), texts, arrival, ticket: None, line: None }
            }
            Err(fault) => {
                let raw = message.payload.unwrap_or_default();
                let raw = raw[..raw.len().min(self.shared.options.rejected_bytes_max)].to_vec();
                Submission::Refused { origin, fault, raw, line: None }
            }
        }
    }

    fn event(&self, message: &Message<'_>, texts: &mut Told) -> Result<Event, Fault> {
        if let Some(other) = message.content_type.filter(|kind| !kind.starts_with("application/json")) {
            return Err(Fault::whole(Refusal::Malformed, format!("found content of type {other}, expected application/json")));
        }
        let payload = message.payload.ok_or_else(|| Fault::whole(Refusal::Malformed, "found no value, expected an event"))?;
        if payload.len() > self.payload_bytes_max {
            let detail = format!("found {} bytes, expected at most {}", payload.len(), self.payload_bytes_max);
            return Err(Fault::whole(Refusal::Oversized, detail));
        }
        parse_event(payload, &mut Reading::new(self.shared.key, self.shared.options.id_bytes_max), texts)
    }

    /// Waits for room in the lane.
    fn hand_on(&self, mut submission: Submission) {
        while let Err(back) = self.feed.lane.send_timeout(submission, PATIENCE) {
            match back {
                SendTimeoutError::Timeout(back) if !self.is_over() => submission = back,
                _ => return,
            }
        }
    }

    /// Tells journal and metrics how far each source is behind; and balancers, until all of them have caught up once.
    fn tell_lags(&mut self, lags: &[Lag]) {
        let metrics = &self.shared.metrics;
        metrics.kafka_lag_records.reset();
        let mut worst = Wall::ZERO;
        for (topic, (source, name)) in self.feed.topics.iter().enumerate() {
            let own = || lags.iter().filter(|lag| lag.topic == topic);
            for lag in own() {
                metrics.kafka_lag_records.with_label_values(&[&**name, &*lag.partition.to_string()]).set(lag.records as i64);
            }
            let behind = match own().map(|lag| lag.behind_ms).max() {
                Some(behind_ms) => {
                    self.present[topic] = Instant::now();
                    Wall::from_millis(behind_ms)
                }
                None => self.present[topic].elapsed(),
            };
            metrics.kafka_behind_seconds.with_label_values(&[&**name]).set(behind.as_secs_f64());
            worst = worst.max(behind);
            // Where there is no room the next second tells.
            let _ = self.feed.lane.try_send(Submission::Lag(SourceLag { source: *source, behind_ms: behind.as_millis() as u64 }));
        }
        if self.caught_up {
            return;
        }
        let reached = !lags.is_empty();
        let patience = self.kafka.ready_lag_max;
        // Without brokers callers are served all the same, and told that the stream is behind.
        self.caught_up = if reached { worst <= patience } else { self.started.elapsed() > patience };
        let words = match reached {
            true => format!("catching up: {} s behind, expected at most {}", worst.as_secs(), patience.as_secs()),
            false => "the topics were not reached yet".to_owned(),
        };
        *self.shared.topics.unready.lock().expect("nobody panics with it") = (!self.caught_up).then_some(words);
    }
}
