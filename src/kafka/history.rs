//! A topic as it stands, read from some place to its end, outside of any group: what a journal that lost its end is told again from.

use super::client::{Quiet, config, unmade};
use super::options::KafkaOptions;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long brokers may take to say something.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Where a topic is read from.
#[derive(Clone, Debug)]
pub enum From {
    /// Of each partition its offset, or what came at this time where that is earlier; the others from their beginning.
    Earlier(BTreeMap<u32, u64>, i64),
    /// Records that came at this time, in milliseconds since 1970, or later.
    Time(i64),
}

/// A record of the past.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    pub partition: u32,
    pub offset: u64,
    pub payload: Option<&'a [u8]>,
    /// The shard of Weir that sent it, and the record of its journal that led to it.
    pub sent_by: Option<(u32, u64)>,
}

/// How many partitions `topic` has, asked by a client of its own.
///
/// # Errors
/// Where the brokers do not say so, or there is no such topic.
pub fn partitions_of(options: &KafkaOptions, topic: &str) -> Result<u32, String> {
    let mut config = config(options)?;
    config.set("group.id", options.outputs_group()).set("enable.auto.commit", "false");
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(|cause| unmade(&cause))?;
    let known = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(|cause| format!("{topic}: {cause}"))?;
    let count = known.topics().iter().map(|topic| topic.partitions().len() as u32).sum();
    if count == 0 { Err(format!("{topic}: found no partitions")) } else { Ok(count) }
}

/// Hands what is committed in `topic` to `take`, partition by partition in order, up to where it ends when that is reached, as long as `go_on`
/// says so. Returns its partitions.
///
/// # Errors
/// Where the brokers do not answer or there is no such topic, and where it is not wanted any more.
pub fn read_to_end(
    options: &KafkaOptions,
    topic: &str,
    from: &From,
    go_on: &dyn Fn() -> bool,
    take: &mut dyn FnMut(Past<'_>),
) -> Result<Vec<u32>, String> {
    let mut config = config(options)?;
    // A group must be named, and is never joined.
    config
        .set("group.id", options.outputs_group())
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(|cause| unmade(&cause))?;
    let words = |cause: KafkaError| format!("{topic}: {cause}");
    let known = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(words)?;
    // A topic that is being moved has no partitions for a moment: that is not an empty one.
    if let Some(cause) = known.topics().iter().find_map(|topic| topic.error()) {
        return Err(format!("{topic}: {}", rdkafka::types::RDKafkaErrorCode::from(cause)));
    }
    let partitions: Vec<i32> = known.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(format!("{topic}: found no partitions"));
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in &partitions {
        let offset = match from {
            From::Earlier(_, time) | From::Time(time) => Offset::Offset((*time).max(0)),
        };
        list.add_partition_offset(topic, *partition, offset).map_err(words)?;
    }
    list = consumer.offsets_for_times(list, PATIENCE).map_err(words)?;
    if let From::Earlier(offsets, _) = from {
        let mut earlier = TopicPartitionList::with_capacity(partitions.len());
        for element in list.elements() {
            let known = offsets.get(&(element.partition() as u32)).map(|next| *next as i64);
            let offset = match (known, element.offset()) {
                (None, _) => Offset::Beginning,
                (Some(known), Offset::Offset(timed)) => Offset::Offset(known.min(timed)),
                // Nothing came since.
                (Some(known), _) => Offset::Offset(known),
            };
            earlier.add_partition_offset(topic, element.partition(), offset).map_err(words)?;
        }
        list = earlier;
    }
    consumer.assign(&list).map_err(words)?;
    let (mut ended, mut heard) = (BTreeSet::new(), Instant::now());
    while ended.len() < partitions.len() {
        if !go_on() {
            return Err(format!("{topic}: not read to its end, the service ends"));
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let headers = message.headers();
                let number = |name: &str| {
                    let found = headers?.iter().find(|header| header.key == name)?;
                    std::str::from_utf8(found.value?).ok()?.parse::<u64>().ok()
                };
                let sent_by = number("weir-shard").and_then(|shard| Some((shard as u32, number("weir-sequence")?)));
                let (partition, offset) = (message.partition() as u32, message.offset() as u64);
                take(Past { partition, offset, payload: message.payload(), sent_by });
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                heard = Instant::now();
                ended.insert(partition);
            }
            // The library tries again by itself.
            _ if heard.elapsed() >= PATIENCE => return Err(format!("{topic}: the brokers say nothing for {} s", PATIENCE.as_secs())),
            _ => {}
        }
    }
    Ok(partitions.into_iter().map(|partition| partition as u32).collect())
}
