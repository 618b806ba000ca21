//! What comes from topics.

use super::broker::{PARTITIONS, Topics, shared};
use super::crashes::caught_up;
use super::service::{PATIENCE, Room};
use super::traffic::{decisions, ids, judged, send};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn each_event_of_a_topic_is_judged_once() {
    let topics = Topics::new(shared(), "once");
    let room = Room::new(&topics.layer(""));
    send(&topics, "once", 0, 500);
    let service = room.start("data", &[]);
    topics.until("decisions", |seen| seen.len() >= judged("once", 500).len());
    send(&topics, "once", 500, 1_000);
    let seen = topics.until("decisions", |seen| seen.len() >= judged("once", 1_000).len());
    let found = decisions(&seen);
    assert_eq!(ids(&found), judged("once", 1_000));
    for seen in &seen {
        assert_eq!((&*seen.headers["content-type"], &*seen.headers["weir-shard"]), ("application/json", "0"));
        assert_eq!(seen.headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let id = seen.json()["event_id"].as_str().unwrap().to_owned();
        let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(seen.key.as_deref(), Some(&*super::traffic::event("once", number).0), "{id}");
    }
    assert_eq!(ids(&decisions(&topics.read("internal"))), ids(&found));
    service.until(|service| service.metric("kafka_behind_seconds{topic=\"events.once\"}").is_some_and(|behind| behind < 5.0));
    assert_eq!(service.ask("GET", "/readyz", "").0, 200);
    service.end();
    // A restart reads on where the journal ends, and sends on where the topics end.
    let service = room.start("data", &[]);
    send(&topics, "once", 1_000, 1_100);
    let seen = topics.until("decisions", |seen| seen.len() >= judged("once", 1_100).len());
    assert_eq!(ids(&decisions(&seen)), judged("once", 1_100));
    service.end();
    // What was sent is what the journal gives, byte for byte.
    let replayed = room.done(&["tail", "decisions", "--data", "data"]);
    let mut sent: Vec<(u64, Vec<u8>)> = seen.into_iter().map(|seen| (seen.json()["sequence"].as_u64().unwrap(), seen.value)).collect();
    sent.sort();
    let sent: Vec<String> = sent.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect();
    assert_eq!(replayed.lines().collect::<Vec<_>>(), sent);
}

#[test]
fn what_is_no_event_is_rejected_with_its_place_and_the_rest_goes_on() {
    let topics = Topics::new(shared(), "poison");
    let room = Room::new(&topics.layer(""));
    let good = super::traffic::event("poison", 0);
    let poison: [&[u8]; 4] =
        [b"{\"id\": 1", b"\xff\xfe\x00", b"", b"{\"id\":\"x\",\"type\":\"paymant\",\"time\":\"2026-01-01T00:00:00Z\"}"];
    topics.send(poison.iter().map(|poison| ("u-0", *poison)).chain([(&*good.0, good.1.as_bytes())]));
    let service = room.start("data", &[]);
    let seen = topics.until("decisions", |seen| !seen.is_empty());
    assert_eq!(ids(&decisions(&seen)), BTreeSet::from(["poison-0".to_owned()]));
    let rejected = topics.until("rejected", |seen| seen.len() >= poison.len());
    let events = topics.read("events");
    for rejected in rejected {
        let rejected = rejected.json();
        assert_eq!((&rejected["source"], &rejected["topic"]), (&json!("stream"), &json!("events.poison")));
        let is_it = |seen: &&super::broker::Seen| {
            (json!(seen.partition), json!(seen.offset)) == (rejected["partition"].clone(), rejected["offset"].clone())
        };
        let event = events.iter().find(is_it).unwrap();
        let raw = match rejected.get("raw_base64") {
            Some(text) => base64(text.as_str().unwrap()),
            None => rejected["raw"].as_str().unwrap().as_bytes().to_vec(),
        };
        assert_eq!(raw, event.value, "{rejected}");
    }
    service.end();
}

/// The standard alphabet with padding.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|known| *known == byte);
    let bits: Vec<u8> = text.bytes().filter_map(digit).flat_map(|digit| (0..6).rev().map(move |bit| (digit >> bit & 1) as u8)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect()
}

/// Caught when planted: partitions that come back, read from their end.
#[test]
fn partitions_that_go_to_somebody_else_and_come_back_are_read_on() {
    let topics = Topics::new(shared(), "shared");
    let room = Room::new(&topics.layer(""));
    let service = room.start("data", &[]);
    send(&topics, "shared", 0, 200);
    topics.until("decisions", |seen| seen.len() >= judged("shared", 200).len());
    let stranger = topics.join();
    let until = Instant::now() + PATIENCE;
    let (mut sent, mut read) = (200, 0);
    // It reads from its partitions what Weir then must read as well.
    while read == 0 {
        assert!(Instant::now() < until, "the group gives it nothing");
        send(&topics, "shared", sent, sent + 20);
        sent += 20;
        read += usize::from(matches!(stranger.poll(Duration::from_millis(100)), Some(Ok(message)) if message.offset() > 0));
    }
    let given = stranger.assignment().unwrap().count();
    assert!((1..PARTITIONS as usize).contains(&given), "{given} partitions");
    send(&topics, "shared", sent, sent + 200);
    sent += 200;
    drop(stranger);
    send(&topics, "shared", sent, sent + 100);
    sent += 100;
    let seen = topics.until("decisions", |seen| seen.len() >= judged("shared", sent).len());
    assert_eq!(ids(&decisions(&seen)), judged("shared", sent));
    caught_up(&service);
    assert!(service.metric("kafka_rebalances_total").is_some_and(|rebalances| rebalances >= 3.0));
    service.end();
    assert_eq!(topics.read("decisions").len(), seen.len());
    assert_eq!(topics.read("rejected").len(), 0);
}

fn label(id: &str, target: &str) -> String {
    let time = super::service::now();
    json!({"id": id, "type": "label", "time": time, "target": target, "label": "fraud", "source": "chargeback", "user": "u-0"}).to_string()
}

#[test]
fn a_label_waits_for_its_payment_over_a_kill_and_is_refused_when_that_does_not_come() {
    let topics = Topics::new(shared(), "orphans");
    let room = Room::new(&topics.layer("orphans_wait = \"8s\""));
    let (early, lost) = (label("l-early", "orphans-0"), label("l-lost", "nobody"));
    topics.send([("u-0", early.as_bytes()), ("u-0", lost.as_bytes())]);
    let service = room.start("data", &[]);
    service.until(|service| service.metric("inbox_orphans") == Some(2.0));
    service.kill();
    let service = room.start("data", &[]);
    service.until(|service| service.metric("inbox_orphans") == Some(2.0));
    send(&topics, "orphans", 0, 1);
    service.until(|service| service.metric("inbox_orphans").is_some_and(|waiting| waiting < 2.0));
    let late = label("l-late", "orphans-0");
    topics.send([("u-0", late.as_bytes())]);
    let rejected = topics.until("rejected", |seen| !seen.is_empty());
    assert_eq!(rejected.len(), 1);
    let rejected = rejected[0].json();
    assert_eq!(
        (&rejected["reason"], &rejected["event_id"], &rejected["topic"]),
        (&json!("unknown target"), &json!("l-lost"), &json!("events.orphans"))
    );
    // The first from where it waited, the one that came late at once, and the one that was refused.
    service.until(|service| service.metric("engine_records_total{type=\"label\"}") == Some(3.0));
    service.end();
    let exported = room.done(&["journal", "export", "data", "--all"]);
    let types: Vec<String> = exported
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types.iter().filter(|kind| *kind == "waiting").count(), 2);
    let payment = types.iter().position(|kind| kind == "payment").unwrap();
    assert_eq!(types[payment + 1], "label", "right behind what it speaks of");
}
