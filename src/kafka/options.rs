//! `[kafka]`: where the brokers are, and who this process is among those that read and write there.

use crate::event::Duration as Length;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Options of librdkafka that Weir sets itself: what it promises hangs on them.
pub const RESERVED: [&str; 18] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "partition.assignment.strategy",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "statistics.interval.ms",
    "client.id",
];

/// `[kafka]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The consumer group. What outputs were sent is kept under its name and the shard's.
    pub group: String,
    /// Which of `shards` this process is: partition p of every source belongs to shard p mod `shards`.
    pub shard: u32,
    pub shards: u32,
    /// Outputs and offsets are committed this often, or once so many records were sent.
    pub commit_every: Duration,
    pub commit_records_max: usize,
    /// After a start the service says that it is not ready while a source is further behind.
    pub ready_lag_max: Duration,
    /// The alarm of events that came through the doors and are not in the topic.
    pub publish_lag_max: Duration,
    /// Whether a journal that has lost its end is restored from the topics; without it nothing is sent or read then.
    pub recover: bool,
    /// How long a label or result waits for what it speaks of; then it is refused.
    pub orphans_wait: Length,
    /// Options of librdkafka, sorted by name.
    pub options: Vec<(String, OptionValue)>,
}

/// Where the value of an option stands.
#[derive(Clone, PartialEq, Eq)]
pub enum OptionValue {
    Text(String),
    /// In a variable of the environment.
    Env(String),
    /// In a file, but for white space around it.
    File(PathBuf),
}

/// A value may be a password: it is not shown.
impl fmt::Debug for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Text(_) => f.write_str("Text"),
            OptionValue::Env(name) => write!(f, "Env({name})"),
            OptionValue::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl OptionValue {
    /// The value.
    ///
    /// # Errors
    /// Where the variable is not set or the file cannot be read.
    pub fn read(&self) -> Result<String, String> {
        match self {
            OptionValue::Text(text) => Ok(text.clone()),
            OptionValue::Env(name) => std::env::var(name).map_err(|_| format!("found no variable {name} in the environment")),
            OptionValue::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|cause| format!("found no readable {} ({cause})", path.display()))?;
                Ok(text.trim().to_owned())
            }
        }
    }
}

impl KafkaOptions {
    /// The name of this shard among all that use the same brokers: its transactions, its place in the consumer group.
    pub fn identity(&self) -> String {
        format!("{}-{}", self.group, self.shard)
    }

    /// The consumer group of this shard. With several shards each has its own, so that none reads what is another's.
    pub fn consumer_group(&self) -> String {
        if self.shards == 1 { self.group.clone() } else { self.identity() }
    }

    /// The group under whose name the broker keeps which outputs were sent.
    pub fn outputs_group(&self) -> String {
        format!("{}.outputs", self.identity())
    }

    /// Whether a partition belongs to this shard.
    pub fn owns(&self, partition: u32) -> bool {
        partition % self.shards == self.shard
    }
}
