//! Whether `weir-loadtest kafka` sees what is in topics, and what is not: the program as it is called, against a broker and a decider that
//! does as it is told.
//!
//! Needs a broker in KAFKA_BOOTSTRAP (`loadtest/broker/broker.sh run cargo test -p weir-loadtest --features kafka --test kafka`). Without one
//! the tests say that they did nothing; with WEIR_REQUIRE_KAFKA=1 they fail.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker and topics that only this test uses.
struct Topics {
    brokers: String,
    events: String,
    decisions: String,
    rejected: String,
}

impl Topics {
    /// New topics; none where there is no broker and none is demanded.
    fn make(test: &str) -> Option<Topics> {
        let Ok(brokers) = std::env::var("KAFKA_BOOTSTRAP") else {
            let demanded = std::env::var("WEIR_REQUIRE_KAFKA").is_ok_and(|value| value == "1");
            assert!(!demanded, "WEIR_REQUIRE_KAFKA is 1 and KAFKA_BOOTSTRAP is not set");
            // Not `eprintln!`, which is kept from whoever runs the tests.
            writeln!(std::io::stderr(), "SKIPPED {test}: KAFKA_BOOTSTRAP is not set").expect("a line");
            return None;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later").as_nanos();
        let [events, decisions, rejected] = ["events", "decisions", "rejected"].map(|name| format!("loadtest.{test}.{now}.{name}"));
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a client");
        let topics = [&events, &decisions, &rejected].map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = runtime.block_on(admin.create_topics(&topics, &options)).expect("a broker");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        Some(Topics { brokers, events, decisions, rejected })
    }

    /// Calls the program, and what it printed.
    fn call(&self, arguments: &str) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-loadtest"));
        command.env("KAFKA_BOOTSTRAP", &self.brokers).arg("kafka").args(arguments.split_whitespace()).arg("--json");
        let output = command.output().expect("it runs");
        let code = output.status.code().expect("it ends by itself");
        let report = serde_json::from_slice(&output.stdout);
        (code, report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr))))
    }

    fn measure(&self, arguments: &str) -> (i32, Value) {
        self.call(&format!("measure --topic {} --decisions {} {arguments}", self.events, self.decisions))
    }

    fn reconcile(&self, arguments: &str) -> (i32, Value) {
        self.call(&format!("reconcile --events {} --decisions {} --rejected {} {arguments}", self.events, self.decisions, self.rejected))
    }

    /// All events, from the first on.
    fn reader(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", "decider").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(&self.events, partition, Offset::Beginning).expect("a place");
        }
        consumer.assign(&list).expect("assigned");
        consumer
    }

    fn writer(&self) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", &self.decisions).set("partitioner", "murmur2_random");
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("a transaction coordinator");
        producer
    }

    fn send(&self, producer: &BaseProducer, decision: &Decision) {
        let number = decision.sequence.to_string();
        let headers = OwnedHeaders::new()
            .insert(Header { key: "weir-shard", value: Some("0") })
            .insert(Header { key: "weir-sequence", value: Some(&number) });
        let record = BaseRecord::to(&self.decisions).key(&decision.key).payload(&decision.value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).expect("room");
    }
}

struct Decision {
    sequence: u64,
    key: Vec<u8>,
    value: String,
}

/// How the decider errs.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// Leaves this decision out, counted from 0.
    leaves_out: Option<usize>,
    /// Writes this decision twice.
    doubles: Option<usize>,
    /// Writes what is in a transaction, aborts it, and writes it again.
    aborts: bool,
    /// Leaves the last transaction open.
    leaves_open: bool,
}

/// Decides on every payment and transfer until `done`, in transactions; gives back what it decided.
fn decide(topics: &Topics, faults: Faults, done: &AtomicBool) -> (Vec<Decision>, BaseProducer) {
    let (reader, writer) = (topics.reader(), topics.writer());
    let mut decided: Vec<Decision> = Vec::new();
    let mut sequence = 0;
    while !done.load(Ordering::Relaxed) {
        let from = decided.len();
        let until = SystemTime::now() + Duration::from_millis(50);
        while SystemTime::now() < until {
            let Some(Ok(message)) = reader.poll(Duration::from_millis(20)) else { continue };
            decided.extend(judged(&message.detach(), &mut sequence));
        }
        if decided.len() == from {
            continue;
        }
        if faults.aborts {
            writer.begin_transaction().expect("begun");
            decided[from..].iter().for_each(|decision| topics.send(&writer, decision));
            writer.flush(PATIENCE).expect("written");
            writer.abort_transaction(PATIENCE).expect("aborted");
        }
        writer.begin_transaction().expect("begun");
        for (place, decision) in decided.iter().enumerate().skip(from).filter(|(place, _)| faults.leaves_out != Some(*place)) {
            topics.send(&writer, decision);
            if faults.doubles == Some(place) {
                topics.send(&writer, decision);
            }
        }
        writer.commit_transaction(PATIENCE).expect("committed");
    }
    if faults.leaves_open {
        writer.begin_transaction().expect("begun");
        topics.send(&writer, &Decision { sequence, key: b"u".to_vec(), value: "{}".to_owned() });
        writer.flush(PATIENCE).expect("written");
    }
    (decided, writer)
}

/// Caught when planted: the id as the key of an event; a record without the time at which it was due.
fn judged(message: &OwnedMessage, sequence: &mut u64) -> Option<Decision> {
    let event: Value = serde_json::from_slice(message.payload()?).expect("an event");
    *sequence += 1;
    let whose = event["from"].as_str().or(event["user"].as_str());
    assert_eq!(message.key(), whose.map(str::as_bytes), "the key of {event}");
    let due: jiff::Timestamp = event["time"].as_str().expect("a text").parse().expect("a time");
    assert_eq!(message.timestamp().to_millis(), Some(due.as_millisecond()), "when {event} was due");
    let (id, of) = (event["id"].as_str().expect("an id"), event["type"].as_str().expect("a type"));
    let value = format!(r#"{{"event_id":"{id}","revision":1,"sequence":{sequence},"outcome":"approve","status":"evaluated"}}"#);
    ["payment", "transfer"].contains(&of).then(|| Decision { sequence: *sequence, key: message.key().expect("a key").to_vec(), value })
}

/// Measures with a decider beside it.
fn measure_beside(topics: &Topics, faults: Faults, arguments: &str) -> ((i32, Value), Vec<Decision>, BaseProducer) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let deciding = scope.spawn(|| decide(topics, faults, &done));
        let measured = topics.measure(arguments);
        done.store(true, Ordering::Relaxed);
        let (decided, writer) = deciding.join().expect("no panic");
        (measured, decided, writer)
    })
}

fn write_replay(path: &Path, decided: &[Decision]) {
    let lines: Vec<&str> = decided.iter().map(|decision| &decision.value[..]).collect();
    std::fs::write(path, lines.join("\n")).expect("written");
}

#[test]
fn what_is_right_is_found_right_and_its_bytes_the_same() {
    let Some(topics) = Topics::make("right") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (ids, replay) = (folder.path().join("ids.jsonl"), folder.path().join("replay.jsonl"));
    // What was aborted is in the topic, too. Caught when planted: isolation.level=read_uncommitted.
    let arguments = format!("--rate 2000 --events 2000 --warmup 250ms --fail-p99-ms 60000 --ids {}", ids.display());
    let ((code, report), mut decided, _writer) = measure_beside(&topics, Faults { aborts: true, ..Faults::default() }, &arguments);
    let count = |of: &str, name: &str| report[of][name].as_u64().unwrap_or_else(|| panic!("no count {of} {name} in {report}"));
    assert_eq!((code, count("sent", "events"), count("sent", "warmup_events"), count("sent", "failed")), (0, 2000, 500, 0), "{report}");
    assert_eq!((count("sent", "delivered"), count("decisions", "missing")), (2000, 0), "{report}");
    assert_eq!(count("decisions", "decided"), count("sent", "delivered_money"), "{report}");
    assert_eq!((count("decisions", "records"), count("decisions", "further")), (decided.len() as u64, 0), "{report}");

    let (code, found) = topics.reconcile("");
    assert_eq!((code, &found["events"], &found["holds"]), (0, &Value::from(2500), &Value::from(true)), "{found}");
    assert_eq!((found["asked"].as_u64(), found["decided"].as_u64()), (Some(decided.len() as u64), Some(decided.len() as u64)));
    let receipts = std::fs::read_to_string(&ids).expect("written");
    let receipt: Value = serde_json::from_str(receipts.lines().next().expect("a line")).expect("JSON");
    assert_eq!(receipts.lines().count(), decided.len());
    assert!(receipt["key"].is_string() && receipt["offset"].is_u64() && receipt["partition"].is_u64(), "{receipt}");

    write_replay(&replay, &decided);
    let (code, found) = topics.reconcile(&format!("--replay {}", replay.display()));
    assert_eq!((code, &found["replay"]["same"]), (0, &Value::from(decided.len())), "{found}");
    decided[7].value = decided[7].value.replace("approve", "decline");
    write_replay(&replay, &decided[1..]);
    let (code, found) = topics.reconcile(&format!("--replay {}", replay.display()));
    assert_eq!((code, &found["replay"]["different"], &found["replay"]["not_in_replay"]), (1, &Value::from(1), &Value::from(1)), "{found}");
}

#[test]
fn what_is_missing_doubled_or_not_committed_is_told() {
    let Some(topics) = Topics::make("wrong") else { return };
    // More than the client's queue holds: what finds it full is sent later. Caught when planted: it is left out.
    let arguments = format!("produce --topic {} --rate 100000 --events 1000 --seed 7 -X queue.buffering.max.messages=50", topics.events);
    let (code, report) = topics.call(&arguments);
    assert_eq!((code, &report["delivered"]), (0, &Value::from(1000)), "{report}");
    let (code, found) = topics.reconcile("");
    assert_eq!((code, &found["missing"], &found["decided"]), (1, &report["delivered_money"], &Value::from(0)), "{found}");

    let faults = Faults { leaves_out: Some(100), doubles: Some(200), aborts: false, leaves_open: true };
    let done = AtomicBool::new(false);
    let (decided, _writer) = thread::scope(|scope| {
        let deciding = scope.spawn(|| decide(&topics, faults, &done));
        let (code, waited) = topics.reconcile("--wait 5s");
        assert_eq!(code, 1, "{waited}");
        done.store(true, Ordering::Relaxed);
        deciding.join().expect("no panic")
    });
    assert_eq!(Some(decided.len() as u64), report["delivered_money"].as_u64());
    let (code, found) = topics.reconcile("");
    assert_eq!((found["missing"].as_u64(), found["duplicates"].as_u64()), (Some(1), Some(1)), "{found}");
    // The record and nothing else: the topic's markers end before it. Caught when planted: asking for the stable end twice.
    assert_eq!((code, &found["held_back"], &found["malformed_decisions"]), (1, &Value::from(1), &Value::from(0)), "{found}");
}

#[test]
fn there_must_be_a_topic() {
    let Some(topics) = Topics::make("absent") else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-loadtest"));
    let output = command.args(["kafka", "produce", "--brokers", &topics.brokers, "--topic", "nobody.made.this"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no such topic"), "{output:?}");
}
