//! The consumer: events of the topics, read on from where the journal ends.
//!
//! The group decides nothing about where to read: positions come from the journal, and the committed offsets – which follow behind it – only
//! pass over what was skipped. Partitions come and go by cooperative rebalancing; of those that the group gives, this shard's are read.
//! Everything here happens on the thread that polls.

use super::client::{config, is_fenced, log, unmade};
use super::options::KafkaOptions;
use crate::engine::PARTITIONS_MAX;
use rdkafka::Offset;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::{error, info, warn};

/// How long the group's coordinator may take to say what was committed.
const COMMITTED_PATIENCE: Duration = Duration::from_secs(10);
/// Messages fetched ahead of the one that is read, in KiB: of all partitions together.
const AHEAD_KIB: &str = "16384";

/// A topic's number and a partition.
pub type Place = (usize, u32);

/// One record of a topic.
#[derive(Debug)]
pub struct Message<'a> {
    /// The topic's number among those that are read.
    pub topic: usize,
    pub partition: u32,
    pub offset: u64,
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub payload: Option<&'a [u8]>,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
    pub content_type: Option<&'a str>,
    /// The shard of Weir that told of this event: it came through a door there.
    pub told_by: Option<u32>,
}

/// What a poll gave.
pub enum Polled<T> {
    Message(T),
    Nothing,
    /// Another process has this one's place in the group.
    Fenced(String),
}

/// How far one partition is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    pub topic: usize,
    pub partition: u32,
    /// Records that nobody read, as of the broker's last word.
    pub records: u64,
    /// Milliseconds since this partition was last known to be read to its end, or since the newest record that was read.
    pub behind_ms: u64,
}

/// Topics being read.
pub struct Inbound {
    consumer: BaseConsumer<Context>,
}

/// What the callbacks know.
struct Context {
    topics: Vec<String>,
    shards: u32,
    shard: u32,
    /// Whether what was committed passes over what lies before it.
    trusts_committed: bool,
    partitions: Mutex<BTreeMap<Place, Partition>>,
    rebalances: Mutex<u64>,
    /// Partitions by topic.
    counts: Mutex<BTreeMap<String, u32>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Partition {
    /// The next offset to read; `None`: as the group has it.
    next: Option<u64>,
    assigned: bool,
    /// Milliseconds since 1970: nothing older is unread.
    fresh_as_of: i64,
    /// Records that nobody read.
    unread: u64,
}

impl Inbound {
    /// Subscribes to `topics`; partitions are read on from `positions`, or from what was committed where that is further and is this
    /// journal's: `trusts_committed`.
    ///
    /// # Errors
    /// Where the options make no client.
    pub fn subscribe(
        options: &KafkaOptions,
        topics: &[String],
        positions: &[(Place, u64)],
        trusts_committed: bool,
    ) -> Result<Inbound, String> {
        let mut config = config(options)?;
        config
            .set("group.id", options.consumer_group())
            // A restart within the session's time is no rebalance; and there is one of this name.
            .set("group.instance.id", options.identity())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", "1000");
        if config.get("queued.max.messages.kbytes").is_none() {
            config.set("queued.max.messages.kbytes", AHEAD_KIB);
        }
        let partitions = positions.iter().map(|(place, next)| (*place, Partition { next: Some(*next), ..Partition::default() })).collect();
        let context = Context {
            topics: topics.to_vec(),
            shards: options.shards,
            shard: options.shard,
            trusts_committed,
            partitions: Mutex::new(partitions),
            rebalances: Mutex::new(0),
            counts: Mutex::default(),
        };
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(|cause| unmade(&cause))?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|cause| cause.to_string())?;
        Ok(Inbound { consumer })
    }

    /// Waits so long for a record, and hands it to `take`.
    pub fn poll<T>(&self, patience: Duration, take: impl FnOnce(Message<'_>) -> T) -> Polled<T> {
        let message = match self.consumer.poll(patience) {
            None => return Polled::Nothing,
            Some(Ok(message)) => message,
            Some(Err(cause)) if is_fenced(&cause) => return Polled::Fenced(cause.to_string()),
            Some(Err(cause)) => {
                told(&cause);
                return Polled::Nothing;
            }
        };
        let context = self.consumer.context();
        let Some(topic) = context.topics.iter().position(|topic| topic == message.topic()) else { return Polled::Nothing };
        let (partition, offset) = (message.partition() as u32, message.offset() as u64);
        {
            let mut partitions = context.lock();
            let known = partitions.entry((topic, partition)).or_default();
            // What was fetched before a seek or a pause may come again.
            if known.next.is_some_and(|next| offset < next) {
                return Polled::Nothing;
            }
            known.next = Some(offset + 1);
            // Whoever dates a record ahead does not make the others fresh.
            known.fresh_as_of = known.fresh_as_of.max(message.timestamp().to_millis().unwrap_or_default().min(now_ms()));
        }
        let headers = message.headers();
        let header = |name: &str| {
            let found = headers?.iter().find(|header| header.key.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(found.value?).ok()
        };
        Polled::Message(take(Message {
            topic,
            partition,
            offset,
            key: message.key(),
            payload: message.payload(),
            traceparent: header("traceparent"),
            content_type: header("content-type"),
            told_by: header("weir-shard").and_then(|shard| shard.parse().ok()),
        }))
    }

    /// Fetches nothing more until [`Inbound::resume`].
    pub fn pause(&self) {
        let done = self.consumer.assignment().and_then(|assigned| self.consumer.pause(&assigned));
        if let Err(cause) = done {
            warn!(%cause, "the partitions could not be paused");
        }
    }

    /// Fetches again.
    pub fn resume(&self) {
        let done = self.consumer.assignment().and_then(|assigned| self.consumer.resume(&assigned));
        if let Err(cause) = done {
            warn!(%cause, "the partitions could not be resumed");
        }
    }

    /// How far every assigned partition is behind.
    pub fn lags(&self) -> Vec<Lag> {
        let now = now_ms();
        let partitions = self.consumer.context().lock();
        let assigned = partitions.iter().filter(|(_, partition)| partition.assigned);
        assigned
            .map(|(&(topic, partition), known)| Lag {
                topic,
                partition,
                records: known.unread,
                behind_ms: (now - known.fresh_as_of).max(0) as u64,
            })
            .collect()
    }

    /// How many partitions a topic that is read has; `None` while that is not known.
    pub fn partitions(&self, topic: &str) -> Option<u32> {
        self.consumer.context().counts.lock().expect("nobody panics with it").get(topic).copied()
    }

    /// How often partitions came or went.
    pub fn rebalances(&self) -> u64 {
        *self.consumer.context().rebalances.lock().expect("nobody panics with it")
    }
}

fn told(cause: &KafkaError) {
    match cause.rdkafka_error_code() {
        // The library connects again by itself, and has said so.
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => warn!(%cause, "a topic to be read does not exist; it is waited for"),
        _ => error!(%cause, "reading topics"),
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

impl Context {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Partition>> {
        self.partitions.lock().expect("nobody panics with it")
    }

    /// Of the partitions that the group gives or takes, this shard's.
    fn owned(&self, given: &TopicPartitionList) -> Vec<Place> {
        let place =
            |topic: &str, partition: i32| Some((self.topics.iter().position(|name| name == topic)?, u32::try_from(partition).ok()?));
        let places = given.elements().into_iter().filter_map(|element| place(element.topic(), element.partition()));
        places.filter(|(_, partition)| partition % self.shards == self.shard).collect()
    }

    fn list(&self, places: &[Place], offset: impl Fn(&Place) -> Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition_offset(&self.topics[place.0], place.1 as i32, offset(place)).expect("an offset of ours is a valid one");
        }
        list
    }

    fn assign(&self, consumer: &BaseConsumer<Context>, places: &[Place]) -> Result<(), KafkaError> {
        let known = self.lock().len();
        let new = places.iter().filter(|place| !self.lock().contains_key(place)).count();
        if known + new > PARTITIONS_MAX as usize {
            let found = known + new;
            error!(found, expected = PARTITIONS_MAX, "more partitions than one shard keeps positions of: none of the new ones is read");
            return Ok(());
        }
        // What lies between the journal's end and what was committed was skipped.
        let asked = self.list(places, |_| Offset::Invalid);
        let committed = consumer.committed_offsets(asked, COMMITTED_PATIENCE).inspect_err(|cause| {
            warn!(%cause, "what was committed is not known: what was skipped is read again");
        });
        let committed = committed.map_or_else(|_| Default::default(), |list| list.to_topic_map());
        let start = {
            let mut partitions = self.lock();
            let now = now_ms();
            places
                .iter()
                .map(|place| {
                    let known = partitions.entry(*place).or_default();
                    (known.assigned, known.fresh_as_of) = (true, now);
                    let committed = match committed.get(&(self.topics[place.0].clone(), place.1 as i32)) {
                        Some(Offset::Offset(offset)) if self.trusts_committed => Some(*offset as u64),
                        _ => None,
                    };
                    known.next = known.next.max(committed);
                    (*place, known.next.map_or(Offset::Beginning, |next| Offset::Offset(next as i64)))
                })
                .collect::<BTreeMap<_, _>>()
        };
        consumer.incremental_assign(&self.list(places, |place| start[place]))
    }

    fn unassign(&self, consumer: &BaseConsumer<Context>, places: &[Place]) -> Result<(), KafkaError> {
        for place in places {
            self.lock().entry(*place).or_default().assigned = false;
        }
        consumer.incremental_unassign(&self.list(places, |_| Offset::Invalid))
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Context>, kind: RDKafkaRespErr, given: &mut TopicPartitionList) {
        let places = self.owned(given);
        *self.rebalances.lock().expect("nobody panics with it") += 1;
        let gives = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        info!(partitions = places.len(), given = given.count(), gives, "the group gives partitions to this shard, or takes them");
        let done = match gives {
            true => self.assign(consumer, &places),
            false => self.unassign(consumer, &places),
        };
        if let Err(cause) = done {
            error!(%cause, "partitions could not be taken over");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, _: &str) {
        told(&error);
    }

    /// A partition whose broker answers and of which all is fetched and read is fresh as of now.
    fn stats(&self, statistics: Statistics) {
        let is_up = |broker: i32| statistics.brokers.values().any(|known| known.nodeid == broker && known.state == "UP");
        for (name, topic) in &statistics.topics {
            // One that stands for none has no number.
            let count = topic.partitions.keys().filter(|partition| **partition >= 0).count() as u32;
            if count > 0 {
                self.counts.lock().expect("nobody panics with it").insert(name.clone(), count);
            }
        }
        let now = now_ms();
        let mut partitions = self.lock();
        for (&(topic, partition), known) in partitions.iter_mut().filter(|(_, known)| known.assigned) {
            let of = statistics.topics.get(&self.topics[topic]).and_then(|topic| topic.partitions.get(&(partition as i32)));
            let Some(of) = of.filter(|of| is_up(of.leader) && of.ls_offset >= 0 && of.next_offset >= 0) else { continue };
            // Behind the last record stand the marks of transactions, which are fetched and not read.
            known.unread = of.fetchq_cnt.max(0) as u64 + (of.ls_offset - of.next_offset).max(0) as u64;
            if known.unread == 0 {
                known.fresh_as_of = now;
            }
        }
    }
}
