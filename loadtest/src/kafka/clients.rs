//! Producers and consumers, and a topic from its beginning to its end.

use super::ledger::Entry;
use super::options::BrokerArguments;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// For the first answer of a broker.
pub const OPENING: Duration = Duration::from_secs(10);

/// For any other answer, and for the next record of a topic that has one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kafka's names of what is read: what is committed, or everything.
pub const COMMITTED: &str = "read_committed";
const UNCOMMITTED: &str = "read_uncommitted";

/// Refuses brokers that are not at the loopback, unless they are said to be the caller's own.
pub fn check_brokers(arguments: &BrokerArguments) -> Result<(), String> {
    for broker in arguments.brokers.split(',') {
        // A protocol before the host is allowed.
        let place = broker.trim().rsplit("://").next().unwrap_or_default();
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_loopback && !arguments.i_own_this_host {
            return Err(format!("{broker:?} is not at the loopback, expected --i-own-this-host with it"));
        }
    }
    Ok(())
}

fn config(arguments: &BrokerArguments, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &arguments.brokers).set("client.id", "weir-loadtest");
    // Ten seconds by default: after an outage they would count as delay, and are the client's alone.
    config.set("reconnect.backoff.max.ms", "500");
    for (key, value) in settings.iter().copied().chain(arguments.options.iter().map(|(key, value)| (&key[..], &value[..]))) {
        config.set(key, value);
    }
    config
}

/// A producer that writes each record once and in order per partition, and tells `context` what became of it.
///
/// # Errors
/// Where an option is none.
pub fn producer<C: ProducerContext + 'static>(
    arguments: &BrokerArguments,
    delivery_timeout: Duration,
    context: C,
) -> Result<ThreadedProducer<C>, String> {
    let timeout_ms = delivery_timeout.as_millis().to_string();
    let settings = [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("partitioner", "murmur2_random"),
        ("message.timeout.ms", &timeout_ms),
        ("queue.buffering.max.messages", "1000000"),
        ("queue.buffering.max.kbytes", "524288"),
    ];
    let config = config(arguments, &settings);
    ThreadedProducer::from_config_and_context(&config, context).map_err(|error| format!("producer: {error}"))
}

/// A topic that can be read.
pub struct Topic {
    name: String,
    consumer: BaseConsumer,
    partitions: Vec<i32>,
    arguments: ClientConfig,
}

/// What lies in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Beginning,
    End,
}

impl Topic {
    /// Begins to read `name`; none where there is no such topic.
    ///
    /// # Errors
    /// Where no broker answers or an option is none.
    pub fn open(arguments: &BrokerArguments, name: &str, from: From) -> Result<Option<Topic>, String> {
        let settings = [
            // Partitions are assigned by hand; the name is for brokers that want one.
            ("group.id", "weir-loadtest"),
            ("enable.auto.commit", "false"),
            ("isolation.level", COMMITTED),
            ("enable.partition.eof", "true"),
            ("queued.max.messages.kbytes", "131072"),
            // A second by default, in which a full queue of ours would count as the delay of decisions.
            ("fetch.queue.backoff.ms", "2"),
        ];
        let config = config(arguments, &settings);
        let consumer: BaseConsumer = config.create().map_err(|error| format!("consumer: {error}"))?;
        let at = |error: KafkaError| format!("{name} at {}: {error}", arguments.brokers);
        let metadata = consumer.fetch_metadata(Some(name), OPENING).map_err(at)?;
        let partitions: Vec<i32> = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in &partitions {
            let offset = match from {
                From::Beginning => Offset::Beginning,
                // By number: `Offset::End` would be asked for when the first fetch is made, which may be after the first record has come.
                From::End => Offset::Offset(consumer.fetch_watermarks(name, partition, PATIENCE).map_err(at)?.1),
            };
            list.add_partition_offset(name, partition, offset).map_err(at)?;
        }
        consumer.assign(&list).map_err(at)?;
        Ok(Some(Topic { name: name.to_owned(), consumer, partitions, arguments: config }))
    }

    /// As [`Topic::open`].
    ///
    /// # Errors
    /// Where there is no such topic, too.
    pub fn find(arguments: &BrokerArguments, name: &str, from: From) -> Result<Topic, String> {
        Topic::open(arguments, name, from)?.ok_or_else(|| format!("{name} at {}: there is no such topic", arguments.brokers))
    }

    /// What comes within `timeout`.
    pub fn poll(&self, timeout: Duration) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
        self.consumer.poll(timeout)
    }

    /// Gives every committed record from where it stands to the end of each partition to `take`, then returns.
    ///
    /// # Errors
    /// Where no record and no end comes for long.
    pub fn read_to_end(&self, take: &mut dyn FnMut(Entry<'_>)) -> Result<(), String> {
        let mut open = self.partitions.clone();
        let mut heard = Instant::now();
        let mut last_error = None;
        while !open.is_empty() {
            match self.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    take(entry(&message));
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.retain(|other| *other != partition);
                    heard = Instant::now();
                }
                // The client tries again by itself.
                Some(Err(error)) => last_error = Some(error),
                None => {}
            }
            if heard.elapsed() > PATIENCE {
                let why = last_error.map_or("nothing was heard".to_owned(), |error| error.to_string());
                return Err(format!("{}: the end was not reached for {PATIENCE:?}: {why}", self.name));
            }
        }
        Ok(())
    }

    /// How many offsets lie behind the begin of a transaction that is still open, and so cannot be read yet.
    ///
    /// # Errors
    /// Where no broker answers.
    pub fn held_back(&self) -> Result<u64, String> {
        let mut config = self.arguments.clone();
        config.set("isolation.level", UNCOMMITTED);
        let everything: BaseConsumer = config.create().map_err(|error| format!("consumer: {error}"))?;
        let at = |error: KafkaError| format!("{}: {error}", self.name);
        let mut held_back = 0;
        for &partition in &self.partitions {
            let (_, end) = everything.fetch_watermarks(&self.name, partition, PATIENCE).map_err(at)?;
            let (_, stable) = self.consumer.fetch_watermarks(&self.name, partition, PATIENCE).map_err(at)?;
            held_back += u64::try_from(end - stable).unwrap_or(0);
        }
        Ok(held_back)
    }
}

/// The parts of `message` that are looked at.
pub fn entry<'a>(message: &'a BorrowedMessage<'_>) -> Entry<'a> {
    let number = |name: &str| {
        let headers = message.headers()?;
        let header = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(header.value?).ok()?.parse().ok()
    };
    Entry {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        value: message.payload().unwrap_or_default(),
        shard: number("weir-shard"),
        sequence: number("weir-sequence"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_of_others_are_left_alone() {
        let check = |brokers: &str, i_own_this_host| {
            check_brokers(&BrokerArguments { brokers: brokers.to_owned(), options: Vec::new(), i_own_this_host })
        };
        for own in ["127.0.0.1:29092", "localhost:9092,[::1]:9092", "PLAINTEXT://127.0.0.1:9092"] {
            assert_eq!(check(own, false), Ok(()));
        }
        for other in ["kafka:9092", "127.0.0.1:29092,10.0.0.5:9092", ""] {
            assert!(check(other, false).is_err(), "{other}");
            assert_eq!(check(other, true), Ok(()));
        }
    }
}
