//! A broker of the tests' own: Apache Kafka, started by `loadtest/broker/broker.sh`, and clients that look from outside.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Partitions of every topic.
pub const PARTITIONS: i32 = 4;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("loadtest/broker/broker.sh")
}

/// The broker that tests share which do not stop it; each takes topics of its own. It ends with this process, whose end closes its input.
pub fn shared() -> &'static str {
    struct Shared {
        bootstrap: String,
        _child: Child,
        _input: ChildStdin,
    }
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let mut child = Command::new(script())
            .args(["run", "sh", "-c", "echo \"at $KAFKA_BOOTSTRAP\"; cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("broker.sh can be run");
        let input = child.stdin.take().expect("it was piped");
        let lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let at = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("at ").map(str::to_owned));
        let bootstrap = at.expect("broker.sh says why it starts no broker: it needs a JDK from 17 on, and Maven for the first time");
        Shared { bootstrap, _child: child, _input: input }
    });
    &shared.bootstrap
}

/// A broker of one test, which may stop it.
pub struct Own {
    dir: tempfile::TempDir,
    port: u16,
}

impl Own {
    pub fn start() -> Own {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = Own { dir: tempfile::tempdir().unwrap(), port };
        own.tell("start");
        own
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `start`, `stop` or `kill`.
    pub fn tell(&self, verb: &str) {
        // A broker that was killed is waited for by its own successor.
        let quick = ["--set", "broker.session.timeout.ms=3000"];
        let set = if verb == "start" { &quick[..] } else { &[] };
        let port = self.port.to_string();
        let done = Command::new(script()).args([verb, "--port", &port, "--dir"]).arg(self.dir.path()).args(set).status().unwrap();
        assert!(done.success(), "broker.sh {verb}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.tell("kill");
    }
}

/// Topics of one test, all with one ending.
#[derive(Clone)]
pub struct Topics {
    pub bootstrap: String,
    ending: String,
}

/// A record as a reader of what is committed sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).expect("a record of a topic is JSON")
    }
}

impl Topics {
    /// Makes them.
    pub fn new(bootstrap: &str, name: &str) -> Topics {
        let topics = Topics { bootstrap: bootstrap.to_owned(), ending: format!(".{name}") };
        let names = ["events", "decisions", "internal", "alerts", "rejected"].map(|name| topics.name(name));
        let admin: rdkafka::admin::AdminClient<_> = topics.client().create().unwrap();
        let new: Vec<_> =
            names.iter().map(|name| rdkafka::admin::NewTopic::new(name, PARTITIONS, rdkafka::admin::TopicReplication::Fixed(1))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime.block_on(admin.create_topics(&new, &rdkafka::admin::AdminOptions::new())).unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
        topics
    }

    pub fn name(&self, of: &str) -> String {
        format!("{of}{}", self.ending)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// The layer that names broker and topics; `more` goes into `[kafka]`.
    pub fn layer(&self, more: &str) -> String {
        let (bootstrap, [events, decisions, internal, alerts, rejected]) =
            (&self.bootstrap, ["events", "decisions", "internal", "alerts", "rejected"].map(|name| self.name(name)));
        format!(
            "[kafka]\nbrokers = \"{bootstrap}\"\ngroup = \"weir{}\"\n{more}\n[source.stream]\ntopic = \"{events}\"\n[topics]\nevents = \"{events}\"\n\
             decisions = \"{decisions}\"\ndecisions_internal = \"{internal}\"\nalerts = \"{alerts}\"\nrejected = \"{rejected}\"\n",
            self.ending
        )
    }

    /// Sends records to the topic of events: key and value each.
    pub fn send<'r>(&self, records: impl IntoIterator<Item = (&'r str, &'r [u8])>) {
        let producer: BaseProducer = self.client().set("partitioner", "murmur2_random").set("enable.idempotence", "true").create().unwrap();
        let topic = self.name("events");
        for (key, value) in records {
            let traced = OwnedHeaders::new()
                .insert(Header { key: "traceparent", value: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") });
            let mut record = BaseRecord::to(&topic).key(key).payload(value).headers(traced);
            while let Err((cause, back)) = producer.send(record) {
                assert_eq!(cause, KafkaError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Somebody else in the service's consumer group, who leaves it when dropped.
    pub fn join(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", format!("weir{}", self.ending)).set("partition.assignment.strategy", "cooperative-sticky");
        let consumer: BaseConsumer = config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest").create().unwrap();
        consumer.subscribe(&[&self.name("events")]).unwrap();
        consumer
    }

    /// All that is committed in a topic, up to where it ends now.
    pub fn read(&self, of: &str) -> Vec<Seen> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "looks-from-outside")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let topic = self.name(of);
        let mut list = rdkafka::TopicPartitionList::new();
        (0..PARTITIONS).for_each(|partition| list.add_partition_offset(&topic, partition, rdkafka::Offset::Beginning).unwrap());
        consumer.assign(&list).unwrap();
        let (mut seen, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
        let until = Instant::now() + PATIENCE;
        while ended.len() < PARTITIONS as usize {
            assert!(Instant::now() < until, "{topic} does not come to its end");
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(cause)) => panic!("{cause}"),
                Some(Ok(message)) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let headers = message.headers().into_iter().flat_map(|headers| headers.iter().collect::<Vec<_>>());
                    seen.push(Seen {
                        partition: message.partition(),
                        offset: message.offset(),
                        key: message.key().map(text),
                        value: message.payload().unwrap_or_default().to_vec(),
                        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect(),
                    });
                }
            }
        }
        seen
    }

    /// Reads a topic until `enough` says so.
    pub fn until(&self, of: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.read(of);
            if enough(&seen) {
                return seen;
            }
            assert!(Instant::now() < until, "{of}: {} records are not what is waited for", seen.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
