//! Who a service is among all that use the same topics: one that was taken over from ends, a stranger does not begin.

use super::broker::{Own, Topics, shared};
use super::crashes::{begun, caught_up};
use super::service::{Room, Running};
use super::traffic::{decisions, event, ids, judged, payment, send};
use std::process::Command;

fn signal(service: &Running, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &service.child.id().to_string()]).status().unwrap().success());
}

fn copy(room: &Room, from: &str, to: &str) {
    let done = Command::new("cp").arg("-a").args([room.path(from), room.path(to)]).status().unwrap();
    assert!(done.success());
}

/// What the service says to balancers and callers where another has taken over.
fn is_fenced(service: &Running) -> bool {
    let (status, ready) = service.ask("GET", "/readyz", "");
    let detail = ready["detail"].as_str().unwrap().to_owned();
    if !detail.starts_with("fenced: ") {
        return false;
    }
    assert_eq!(status, 503, "{detail}");
    let (status, answer) = service.ask("POST", "/v1/authorizations", &payment("zombie", 0).1);
    assert_eq!(status, 503, "{answer}");
    true
}

/// A service stood still, its disk was given to another one, and then it goes on.
///
/// Caught when planted: a producer and a consumer that pass over being fenced.
#[test]
fn who_was_taken_over_from_is_fenced_and_says_so() {
    let topics = Topics::new(shared(), "zombie");
    let room = Room::new(&topics.layer(""));
    let old = room.start("data", &[]);
    send(&topics, "before", 0, 200);
    topics.until("decisions", |seen| !seen.is_empty());
    signal(&old, "STOP");
    copy(&room, "data", "copy");
    let new = room.start("copy", &[]);
    send(&topics, "before", 200, 300);
    topics.until("decisions", |seen| seen.len() >= judged("before", 300).len());
    signal(&old, "CONT");
    old.until(is_fenced);
    assert!(room.log("data").contains("fenced: "), "{}", room.log("data"));
    send(&topics, "before", 300, 400);
    let (id, line) = payment("till", 0);
    let (status, answer) = new.ask("POST", "/v1/authorizations", &line);
    assert!(status == 200 && answer["status"] != "fallback", "{answer}");
    let mut all = judged("before", 400);
    all.insert(id);
    let seen = topics.until("decisions", |seen| seen.len() >= all.len());
    assert_eq!(ids(&decisions(&seen)), all);
    caught_up(&new);
    old.end();
    new.end();
    assert_eq!(ids(&decisions(&topics.read("decisions"))), all);
    assert_eq!(begun(&room, "copy"), 1, "{}", room.log("copy"));
}

/// As above, and the old one was away from the brokers when it stood still: it begins anew with them, and must not take back what it lost.
/// It reads no topic, so no consumer group tells it.
///
/// Caught when planted: a producer that begins anew without a look at who has sent since it did.
#[test]
fn who_was_away_when_it_was_taken_over_from_does_not_take_back() {
    let own = Own::start();
    let topics = Topics::new(&own.bootstrap(), "away");
    // So soon the broker gives up on a transaction, and the producer on its records.
    let layer = topics.layer("options = { \"transaction.timeout.ms\" = 1_000 }\n");
    let room = Room::new(&layer.replace("[source.stream]\ntopic = \"events.away\"\n", ""));
    let ask = |service: &Running, numbers: std::ops::Range<usize>| {
        let mut caller = service.caller();
        numbers.for_each(|n| assert_eq!(caller.ask("POST", "/v1/authorizations", &payment("till", n).1).unwrap().0, 200));
    };
    let old = room.start("data", &[]);
    ask(&old, 0..20);
    topics.until("decisions", |seen| seen.len() >= 20);
    own.tell("kill");
    ask(&old, 20..40);
    old.until(|service| service.metric("kafka_transactions_total{outcome=\"aborted\"}").is_some_and(|aborted| aborted > 0.0));
    signal(&old, "STOP");
    copy(&room, "data", "copy");
    own.tell("start");
    let new = room.start("copy", &[]);
    ask(&new, 40..60);
    topics.until("decisions", |seen| seen.len() >= 60);
    signal(&old, "CONT");
    old.until(is_fenced);
    ask(&new, 60..80);
    let seen = topics.until("decisions", |seen| seen.len() >= 80);
    assert_eq!(ids(&decisions(&seen)), (0..80).map(|n| payment("till", n).0).collect());
    caught_up(&new);
    old.end();
    new.end();
    assert_eq!(topics.read("decisions").len(), 80);
    assert_eq!(begun(&room, "copy"), 1, "{}", room.log("copy"));
}

/// Neither another journal nor an old copy of the right one sends or reads anything, and whoever sends is not disturbed.
///
/// Caught when planted: a producer that begins before it looks.
#[test]
fn strangers_neither_send_nor_read() {
    let topics = Topics::new(shared(), "stranger");
    let room = Room::new(&topics.layer(""));
    let service = room.start("data", &[]);
    send(&topics, "ours", 0, 100);
    topics.until("decisions", |seen| seen.len() >= judged("ours", 100).len());
    service.end();
    copy(&room, "data", "old");
    let service = room.start("data", &[]);
    send(&topics, "ours", 100, 200);
    topics.until("decisions", |seen| seen.len() >= judged("ours", 200).len());
    for (data, words) in [("fresh", "the topics hold outputs of another journal ("), ("old", "it has lost records, or is an old copy")] {
        let stranger = room.start(data, &[]);
        stranger.until(|stranger| {
            let (status, ready) = stranger.ask("GET", "/readyz", "");
            status == 503 && ready["detail"].as_str().unwrap().contains(words)
        });
        assert!(room.log(data).contains(words), "{}", room.log(data));
        let sent = if data == "fresh" { 300 } else { 400 };
        send(&topics, "ours", sent - 100, sent);
        topics.until("decisions", |seen| seen.len() >= judged("ours", sent).len());
        // It records nothing, which would be a history of its own.
        assert_eq!(stranger.ask("POST", "/v1/authorizations", &event("theirs", 0).1).0, 503);
        assert_eq!(stranger.metric("kafka_rebalances_total"), Some(0.0));
        let (status, ready) = stranger.ask("GET", "/readyz", "");
        assert!(status == 503 && ready["detail"].as_str().unwrap().contains(words), "{ready}");
        stranger.end();
    }
    caught_up(&service);
    service.end();
    assert_eq!(ids(&decisions(&topics.read("decisions"))), judged("ours", 400));
    assert_eq!(begun(&room, "data"), 2, "{}", room.log("data"));
}
