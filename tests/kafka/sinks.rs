//! What goes to topics.

use super::broker::{Topics, shared};
use super::service::Room;
use super::traffic::{decisions, event, judged, send};
use std::collections::BTreeSet;

/// The trace context of the hook's event number `n`.
fn trace(n: usize) -> String {
    format!("00-{:032x}-{:016x}-01", n + 1, n + 7)
}

#[test]
fn what_comes_by_the_hook_is_told_in_the_topic_and_not_read_back() {
    let topics = Topics::new(shared(), "told");
    let room = Room::new(&topics.layer(""));
    let service = room.start("data", &[]);
    let mut caller = service.caller();
    let mut sent = BTreeSet::new();
    for n in (0..40).filter(|n| super::traffic::is_judged(*n)) {
        let (_, line) = event("hook", n);
        let header = format!("traceparent: {}\r\nWeir-Deadline-Ms: 5000", trace(n));
        assert_eq!(caller.ask_with(&header, "POST", "/v1/authorizations", &line).unwrap().status, 200);
        sent.insert(format!("hook-{n}"));
    }
    send(&topics, "told", 0, 100);
    let all: BTreeSet<String> = sent.iter().cloned().chain(judged("told", 100)).collect();
    let seen = topics.until("decisions", |seen| seen.len() >= all.len());
    let found = decisions(&seen);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), all);
    for seen in seen.iter().chain(&topics.read("internal")) {
        let id = seen.json()["event_id"].as_str().unwrap().to_owned();
        if let Some(n) = id.strip_prefix("hook-") {
            assert_eq!(seen.headers["traceparent"], trace(n.parse().unwrap()), "{id}");
        }
        assert!(seen.headers["weir-took-us"].parse::<u64>().unwrap() > 0, "{id}");
    }
    let told: Vec<_> = topics.read("events").into_iter().filter(|seen| seen.headers.contains_key("weir-shard")).collect();
    assert_eq!(told.iter().map(|seen| seen.json()["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), sent);
    for told in &told {
        let (event, decision) = (told.json(), &found[told.json()["id"].as_str().unwrap()]);
        assert_eq!(told.headers["weir-sequence"], decision["sequence"].to_string());
        let number: usize = event["id"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!((&*told.headers["traceparent"], told.headers.contains_key("weir-took-us")), (&*trace(number), false));
        let (key, line) = super::traffic::event("hook", number);
        let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
        // It was sent then.
        line["time"] = event["time"].clone();
        assert_eq!((event, told.key.as_deref()), (line, Some(&*key)));
    }
    service.end();
    // Nor does a restart take them for news.
    let service = room.start("data", &[]);
    send(&topics, "told", 100, 120);
    topics.until("decisions", |seen| seen.len() >= all.len() + 9);
    let stepped = ["payment", "transfer"].map(|kind| service.metric(&format!("engine_records_total{{type=\"{kind}\"}}")));
    assert_eq!(stepped, [Some(8.0), Some(1.0)]);
    service.end();
}
