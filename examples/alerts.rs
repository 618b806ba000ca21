//! Follows `weir.alerts`: one line for every new version of an alert, and the newest version of each at hand.
//!
//! The table of alerts is not kept here: the topic is the table, and is read from its beginning at every start. What the group has committed
//! says how far this subscriber had come, so versions up to there go into the table without a word. A version is told when it was printed, and
//! committed only then: a crash in between prints it again, and none is lost.

use clap::Parser;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

/// Follow Weir's alerts: `cargo run --features kafka --example alerts -- --brokers 127.0.0.1:9092`
#[derive(Parser)]
struct Arguments {
    /// Where the brokers are: host:port, several with commas between.
    #[arg(long)]
    brokers: String,
    /// The topic, as the topology's `[topics]` calls it.
    #[arg(long, default_value = "weir.alerts")]
    topic: String,
    /// The name under which Kafka keeps how far this subscriber has come.
    #[arg(long, default_value = "weir-example-alerts")]
    group: String,
}

/// What is needed of an alert; `/schemas/alert.json` has the rest. Fields that come later are passed over, and words such as `typology` stay
/// texts: the lists are open.
#[derive(Deserialize)]
struct Alert {
    alert_id: String,
    version: u32,
    status: String,
    subject: Entity,
    kind: String,
    typology: String,
    score: u16,
    money: Money,
    events: u64,
    last_event: String,
    merged_into: Option<String>,
}

#[derive(Deserialize)]
struct Entity {
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct Money {
    /// Minor units.
    amount: i64,
    currency: String,
}

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match follow(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alerts: {error}");
            ExitCode::from(2)
        }
    }
}

fn follow(arguments: &Arguments) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("group.id", &arguments.group)
        // What stands in a transaction that is not committed, or was aborted, is never seen.
        .set("isolation.level", "read_committed")
        // Committed is what was printed, not what was fetched.
        .set("enable.auto.commit", "false")
        .create()?;
    let committed = assign(&consumer, &arguments.topic)?;
    let mut newest: HashMap<String, Alert> = HashMap::new();
    loop {
        let message = match consumer.poll(PATIENCE) {
            None => continue,
            Some(Ok(message)) => message,
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
            // The client goes on by itself: a broker that is away, a leader that moves.
            Some(Err(error)) => {
                eprintln!("alerts: {error}");
                continue;
            }
        };
        let Some(alert) = read(&message) else { continue };
        // Versions of one alert come in their order; an older one is a repetition.
        if newest.get(&alert.alert_id).is_some_and(|held| held.version >= alert.version) {
            continue;
        }
        if committed.get(&message.partition()).is_none_or(|next| message.offset() >= *next) {
            println!("{}", line(&alert));
            // A commit that fails costs a repetition after the next start.
            if let Err(error) = consumer.commit_message(&message, CommitMode::Async) {
                eprintln!("alerts: {error}");
            }
        }
        newest.insert(alert.alert_id.clone(), alert);
    }
}

/// Has the consumer read all partitions from their beginning; gives the offset by partition from which on nothing was told yet.
fn assign(consumer: &BaseConsumer, topic: &str) -> Result<HashMap<i32, i64>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        partitions.add_partition(topic, partition.id());
    }
    let committed = consumer.committed_offsets(partitions.clone(), PATIENCE)?;
    partitions.set_all_offsets(Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let next = committed.elements().into_iter().filter_map(|of| Some((of.partition(), of.offset().to_raw().filter(|next| *next >= 0)?)));
    Ok(next.collect())
}

/// The alert of a record. One that cannot be read is told and passed over: the rest of the topic is not lost with it.
fn read(message: &BorrowedMessage) -> Option<Alert> {
    match serde_json::from_slice(message.payload()?) {
        Ok(alert) => Some(alert),
        Err(error) => {
            eprintln!("alerts: partition {} offset {}: {error}", message.partition(), message.offset());
            None
        }
    }
}

fn line(alert: &Alert) -> String {
    let Alert { alert_id, version, status, subject, kind, typology, score, money, events, last_event, merged_into } = alert;
    let into = merged_into.as_ref().map_or(String::new(), |other| format!(" into {other}"));
    format!(
        "{last_event} {alert_id} v{version} {status}{into}: {kind} {typology}, score {score}, {} {}, {events} events, {} minor units of {}",
        subject.kind, subject.id, money.amount, money.currency
    )
}
