//! One body for both kinds of topics: what the embedded ones promise, those of Kafka promise.

use super::broker::{Topics, shared};
use super::service::{Room, Running};
use super::traffic::{event, judged};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where events go in and outputs come out.
trait Bus {
    /// Laid over the small topology.
    fn layer(&self) -> String;
    /// Takes events in, in this order.
    fn send(&self, service: &Running, events: &[(String, Vec<u8>)]);
    /// All of a topic, in an order in which those of one key stand as they came; asked when nothing runs.
    fn outputs(&self, room: &Room, topic: &str) -> Vec<Value>;
    /// Whether everything that was taken in is among the outputs.
    fn is_out(&self, service: &Running) -> bool;
}

struct Embedded;

impl Bus for Embedded {
    fn layer(&self) -> String {
        String::new()
    }

    fn send(&self, service: &Running, events: &[(String, Vec<u8>)]) {
        let lines: Vec<u8> = events.iter().flat_map(|(_, line)| line.iter().copied().chain([b'\n'])).collect();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            lines.len()
        );
        let mut stream = std::net::TcpStream::connect(&service.address).unwrap();
        std::io::Write::write_all(&mut stream, &[head.as_bytes(), &lines].concat()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn outputs(&self, room: &Room, topic: &str) -> Vec<Value> {
        room.done(&["tail", topic, "--data", "data"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn is_out(&self, service: &Running) -> bool {
        service.metric("followers_lag_records") == Some(0.0)
    }
}

impl Bus for Topics {
    fn layer(&self) -> String {
        Topics::layer(self, "")
    }

    fn send(&self, _: &Running, events: &[(String, Vec<u8>)]) {
        Topics::send(self, events.iter().map(|(key, line)| (&**key, &**line)));
    }

    fn outputs(&self, _: &Room, topic: &str) -> Vec<Value> {
        self.read(topic).iter().map(super::broker::Seen::json).collect()
    }

    fn is_out(&self, service: &Running) -> bool {
        service.metric("sink_lag_records") == Some(0.0) && service.metric("followers_lag_records") == Some(0.0)
    }
}

/// Counts what the engine has stepped of each type.
fn stepped(service: &Running, kind: &str) -> f64 {
    service.metric(&format!("engine_records_total{{type=\"{kind}\"}}")).unwrap_or_default()
}

fn conforms(bus: &dyn Bus) {
    let room = Room::new(&bus.layer());
    let events =
        |from: usize, until: usize| (from..until).map(|n| event("c", n)).map(|(key, line)| (key, line.into_bytes())).collect::<Vec<_>>();
    let service = room.start("data", &[]);
    let mut first = events(0, 100);
    // Twice the same, once the same id with other content, and what is no event.
    first.push(first[0].clone());
    let other = String::from_utf8(first[1].1.clone()).unwrap().replace("\"amount\":1001", "\"amount\":1002").into_bytes();
    first.push((first[1].0.clone(), other));
    first.push(("u-0".to_owned(), b"{\"id\":7}".to_vec()));
    bus.send(&service, &first);
    let label = json!({"id": "l-0", "type": "label", "time": super::service::now(), "target": "c-0", "label": "fraud", "user": "u-0"});
    service.until(|service| stepped(service, "payment") == 42.0 && stepped(service, "refused") == 1.0);
    bus.send(&service, &[("u-0".to_owned(), label.to_string().into_bytes())]);
    service.until(|service| stepped(service, "label") == 1.0);
    // Nothing that was taken in is lost by a kill, and nothing of it comes twice.
    service.kill();
    let service = room.start("data", &[]);
    bus.send(&service, &events(100, 200));
    service.until(|service| stepped(service, "payment") == 40.0 && stepped(service, "transfer") == 5.0);
    service.until(|service| bus.is_out(service));
    service.end();
    let decisions = bus.outputs(&room, "decisions");
    let ids: BTreeSet<String> = decisions.iter().map(|decision| decision["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids, decisions.len()), (judged("c", 200), 90));
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for decision in &decisions {
        let number: usize = decision["event_id"].as_str().unwrap()[2..].parse().unwrap();
        let sequence = decision["sequence"].as_u64().unwrap();
        let before = last.insert(event("c", number).0, sequence);
        assert!(before < Some(sequence), "of one key in the order of their records: {decision}");
    }
    let rejected = bus.outputs(&room, "rejected");
    let codes: BTreeSet<&str> = rejected.iter().map(|rejected| rejected["code"].as_str().unwrap()).collect();
    assert_eq!((codes, rejected.len()), (BTreeSet::from(["id_conflict", "missing"]), 2));
    // What the topic has is what the journal gives.
    let replayed = room.json(&["replay", "data", "--json"]);
    assert_eq!(replayed["rejected"], 2);
    let tailed = Embedded.outputs(&room, "decisions");
    let by_id = |decisions: &[Value]| {
        decisions.iter().map(|decision| (decision["event_id"].to_string(), decision.clone())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(by_id(&tailed), by_id(&decisions));
}

#[test]
fn the_embedded_topics_conform() {
    conforms(&Embedded);
}

#[test]
fn the_topics_of_kafka_conform() {
    conforms(&Topics::new(shared(), "conform"));
}
