//! The producer: outputs and consumed offsets, in transactions.
//!
//! Up to which record outputs were sent is an offset too: that of partition 0 of the topic of decisions, in a group of this shard alone. It is
//! committed with the outputs, so that both are there or neither. Its metadata name the journal and the process.

use super::client::{Quiet, config, is_fenced, log, unmade};
use super::options::KafkaOptions;
use rdkafka::Offset;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::debug;

/// How long a step of a transaction may take before somebody looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_secs(5);
/// Records that wait for their acknowledgement: beyond that the sender waits.
const WAITING: Duration = Duration::from_millis(10);
/// Between two looks whether all is acknowledged.
const FLUSHING: Duration = Duration::from_millis(1);

/// Why nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Not now: the same may be asked again.
    Again(String),
    /// The transaction is lost; a new one, of a new producer, begins behind the last that was committed.
    Lost(String),
    /// Another producer of this identity has taken over, or the broker has given up on this one.
    Fenced(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (SendError::Again(why) | SendError::Lost(why) | SendError::Fenced(why)) = self;
        f.write_str(why)
    }
}

/// Up to where outputs were committed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Outputs of the records before this sequence are in the topics.
    pub next: u64,
    /// Of this journal the records before this one were read for it: `next`, but while records are restored that it had lost.
    pub at: u64,
    /// The journal whose they are.
    pub journal: String,
    /// The process that sent them last.
    pub owner: String,
    /// What tells the record before `next` from any other that a journal may have there; empty where there is none.
    pub last: String,
}

impl Sent {
    fn metadata(&self) -> String {
        format!("journal={} owner={} last={} at={}", self.journal, self.owner, self.last, self.at)
    }

    fn parse(next: u64, metadata: &str) -> Option<Sent> {
        let word = |name: &str| metadata.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let at = word("at")?.parse().ok()?;
        Some(Sent { next, at, journal: word("journal")?, owner: word("owner")?, last: word("last")? })
    }
}

/// One record to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub payload: &'a [u8],
    /// Besides that of the content's type.
    pub headers: &'a [(&'a str, &'a str)],
}

/// Offsets to be committed with outputs, of a consumer group.
#[derive(Clone, Debug, Default)]
pub struct Consumed {
    /// Topic, partition, the next offset to read.
    pub offsets: Vec<(String, u32, u64)>,
}

/// A producer of transactions.
pub struct Outbound {
    producer: BaseProducer<Context>,
    sent_metadata: ConsumerGroupMetadata,
    consumed_metadata: ConsumerGroupMetadata,
    sent_topic: String,
}

struct Context {
    /// The first record that could not be delivered, if there was one.
    undelivered: Mutex<Option<String>>,
}

impl Outbound {
    /// A producer of this shard's identity: others of the same are fenced from here on, and what they left open is aborted. Says what was
    /// committed before, if anything was.
    ///
    /// # Errors
    /// [`SendError::Again`] where the brokers do not answer; where the options make no client [`SendError::Lost`].
    pub fn open(options: &KafkaOptions, sent_topic: &str) -> Result<(Outbound, Option<Sent>), SendError> {
        let lost = |cause: KafkaError| SendError::Lost(unmade(&cause));
        let producing = producing(options).map_err(SendError::Lost)?;
        let producer: BaseProducer<Context> = producing.create_with_context(Context { undelivered: Mutex::new(None) }).map_err(lost)?;
        producer.init_transactions(PATIENCE).map_err(|cause| sorted(&cause))?;
        let group = |consumer: &BaseConsumer<Quiet>| consumer.group_metadata().expect("it has a group");
        let sent_group = looking(options, &options.outputs_group(), "read_committed")?;
        let consumed_metadata = group(&looking(options, &options.consumer_group(), "read_committed")?);
        let sent = sent(&sent_group, sent_topic)?;
        let sent_metadata = group(&sent_group);
        Ok((Outbound { producer, sent_metadata, consumed_metadata, sent_topic: sent_topic.to_owned() }, sent))
    }

    /// What was committed last, whoever did, and whatever is being committed; nobody is fenced by this.
    ///
    /// # Errors
    /// Where the brokers do not answer, or somebody else wrote there.
    pub fn look(options: &KafkaOptions, sent_topic: &str) -> Result<Option<Sent>, SendError> {
        // A transaction that a crash left open would have to be waited for, and it ends only when somebody begins anew.
        sent(&looking(options, &options.outputs_group(), "read_uncommitted")?, sent_topic)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`SendError`] says.
    pub fn begin(&self) -> Result<(), SendError> {
        self.producer.begin_transaction().map_err(|cause| sorted(&cause))
    }

    /// Takes a record into the transaction; waits while too many are on their way.
    ///
    /// # Errors
    /// As [`SendError`] says.
    pub fn send(&self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let json = Header { key: "content-type", value: Some("application/json") };
        let headers = OwnedHeaders::new_with_capacity(outgoing.headers.len() + 1).insert(json);
        let headers = outgoing.headers.iter().fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let mut record = BaseRecord::<[u8], [u8]>::to(outgoing.topic).payload(outgoing.payload).headers(headers);
        if let Some(key) = outgoing.key {
            record = record.key(key);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if Instant::now() >= until => {
                    return Err(SendError::Lost("the brokers acknowledge nothing".to_owned()));
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(WAITING);
                    record = back;
                }
                Err((cause, _)) => return Err(sorted(&cause)),
            }
        }
    }

    /// Serves what the broker says; to be called often.
    pub fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Takes into the transaction what was consumed, and up to where outputs are sent by it.
    ///
    /// # Errors
    /// [`SendError::Again`]: the same call is to be made again.
    pub fn note(&self, consumed: &Consumed, sent: &Sent) -> Result<(), SendError> {
        let metadata = sent.metadata();
        let mut list = TopicPartitionList::with_capacity(consumed.offsets.len());
        for (topic, partition, next) in &consumed.offsets {
            let mut element = list.add_partition(topic, *partition as i32);
            element.set_offset(Offset::Offset(*next as i64)).expect("an offset of Kafka's is a valid one");
            element.set_metadata(format!("sent={} {metadata}", sent.next));
        }
        let sorted = |cause: KafkaError| sorted(&cause);
        if list.count() > 0 {
            self.producer.send_offsets_to_transaction(&list, &self.consumed_metadata, PATIENCE).map_err(sorted)?;
        }
        let mut list = TopicPartitionList::with_capacity(1);
        let mut element = list.add_partition(&self.sent_topic, 0);
        element.set_offset(Offset::Offset(sent.next as i64)).map_err(|cause| SendError::Lost(cause.to_string()))?;
        element.set_metadata(metadata);
        self.producer.send_offsets_to_transaction(&list, &self.sent_metadata, PATIENCE).map_err(sorted)
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`SendError::Again`]: the same call is to be made again; what was begun goes on.
    pub fn commit(&self) -> Result<(), SendError> {
        self.flush()?;
        if let Some(why) = self.producer.context().undelivered.lock().expect("nobody panics with it").take() {
            return Err(SendError::Lost(why));
        }
        self.producer.commit_transaction(PATIENCE).map_err(|cause| sorted(&cause))
    }

    /// Waits until everything sent is acknowledged. The library's own wait ends with an event, and acknowledgements give none.
    fn flush(&self) -> Result<(), SendError> {
        let until = Instant::now() + PATIENCE;
        while let Err(cause) = self.producer.flush(Duration::ZERO) {
            if Instant::now() >= until {
                // A new producer comes through sooner than what waits in this one for its minute to be over.
                return Err(SendError::Lost(format!("not acknowledged within {} s: {cause}", PATIENCE.as_secs())));
            }
            self.producer.poll(FLUSHING);
        }
        Ok(())
    }
}

/// The client of a producer of transactions.
///
/// # Errors
/// Where the value of an option cannot be read.
pub(super) fn producing(options: &KafkaOptions) -> Result<ClientConfig, String> {
    let mut producing = config(options)?;
    producing
        .set("transactional.id", options.identity())
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("delivery.report.only.error", "true");
    for (name, default) in
        [("linger.ms", "5"), ("compression.type", "lz4"), ("queue.buffering.max.kbytes", "65536"), ("retry.backoff.ms", "10")]
    {
        if producing.get(name).is_none() {
            producing.set(name, default);
        }
    }
    Ok(producing)
}

/// A consumer that never subscribes: it asks what a group has committed.
fn looking(options: &KafkaOptions, group: &str, isolation: &str) -> Result<BaseConsumer<Quiet>, SendError> {
    let mut looking = config(options).map_err(SendError::Lost)?;
    looking.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", isolation);
    looking.create_with_context(Quiet).map_err(|cause| SendError::Lost(unmade(&cause)))
}

fn sent(group: &BaseConsumer<Quiet>, topic: &str) -> Result<Option<Sent>, SendError> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let found = group.committed_offsets(asked, PATIENCE).map_err(|cause| SendError::Again(cause.to_string()))?;
    let elements = found.elements();
    let Some(element) = elements.first() else { return Ok(None) };
    element.error().map_err(|cause| SendError::Again(cause.to_string()))?;
    let Offset::Offset(next) = element.offset() else { return Ok(None) };
    let metadata = element.metadata();
    Sent::parse(next as u64, metadata).map(Some).ok_or_else(|| {
        SendError::Lost(format!(
            "found the metadata {metadata:?} where this shard keeps what it sent, expected journal=… owner=… last=… at=…"
        ))
    })
}

/// What an error means for the transaction.
fn sorted(cause: &KafkaError) -> SendError {
    if is_fenced(cause) {
        return SendError::Fenced(cause.to_string());
    }
    match cause {
        KafkaError::Transaction(error) if error.is_retriable() && !error.txn_requires_abort() && !error.is_fatal() => {
            SendError::Again(error.string())
        }
        KafkaError::Transaction(error) => SendError::Lost(error.string()),
        other => SendError::Lost(other.to_string()),
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((cause, _)) = result {
            self.undelivered.lock().expect("nobody panics with it").get_or_insert_with(|| cause.to_string());
        }
    }
}
