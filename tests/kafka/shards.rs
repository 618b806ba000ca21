//! Shards: each has its partitions, and moves as a whole.

use super::broker::{PARTITIONS, Topics, shared};
use super::service::Room;
use super::traffic::{decisions, event, is_judged, judged, send};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn two_shards_share_the_partitions_and_one_moves_to_another_process() {
    let topics = Topics::new(shared(), "shards");
    let of = |shard: u32| {
        let layer = format!("{}[snapshot]\nrecords = 100\n", topics.layer(&format!("shard = {shard}\nshards = 2")));
        Room::new(&layer)
    };
    let (room, other) = (of(0), of(1));
    let (first, second) = (room.start("data", &[]), other.start("data", &[]));
    send(&topics, "shards", 0, 1_000);
    let seen = topics.until("decisions", |seen| seen.len() >= judged("shards", 1_000).len());
    assert_eq!(decisions(&seen).into_keys().collect::<BTreeSet<_>>(), judged("shards", 1_000));
    // By key: where the broker's partition says so.
    let partitions: BTreeMap<String, i32> = topics.read("events").into_iter().map(|seen| (seen.key.unwrap(), seen.partition)).collect();
    assert!(partitions.values().copied().collect::<BTreeSet<_>>().len() == PARTITIONS as usize, "keys in all partitions");
    let shard_of = |key: &str| (partitions[key] % 2).to_string();
    for seen in &seen {
        assert_eq!(seen.headers["weir-shard"], shard_of(seen.key.as_deref().unwrap()), "{:?}", seen.key);
    }
    // A caller of the wrong shard hears so, and nothing is recorded.
    let asked: Vec<_> = (0..20).filter(|n| is_judged(*n)).map(|n| event("hook", n)).collect();
    for (key, line) in &asked {
        let (status, body) = first.ask("POST", "/v1/authorizations", line);
        match &*shard_of(key) {
            "0" => assert_eq!(status, 200, "{body}"),
            _ => {
                assert_eq!((status, &body["reason"]), (421, &json!("other_shard")), "{body}");
                assert_eq!(second.ask("POST", "/v1/authorizations", line).0, 200);
            }
        }
    }
    let all: BTreeSet<String> = judged("shards", 1_000).into_iter().chain((0..9).map(|n| format!("hook-{n}"))).collect();
    topics.until("decisions", |seen| seen.len() >= all.len());
    // The first shard moves: a copy is taken while it runs, more comes, and then the new owner takes over from it.
    first.until(|first| first.metric("snapshot_sequence").is_some_and(|at| at > 100.0));
    room.done(&["snapshot", "export", "data", "--out", "moved"]);
    send(&topics, "shards", 1_000, 1_400);
    let all: BTreeSet<String> = all.into_iter().chain(judged("shards", 1_400)).collect();
    topics.until("decisions", |seen| seen.len() >= all.len());
    let moved = room.start("moved", &["--recover"]);
    first.until(|first| first.ask("GET", "/readyz", "").1["detail"].as_str().unwrap().contains("fenced"));
    moved.until(|moved| moved.ask("GET", "/readyz", "").0 == 200);
    send(&topics, "shards", 1_400, 1_500);
    let all: BTreeSet<String> = all.into_iter().chain(judged("shards", 1_500)).collect();
    let seen = topics.until("decisions", |seen| seen.len() >= all.len());
    assert_eq!(decisions(&seen).into_keys().collect::<BTreeSet<_>>(), all);
    assert!(room.log("moved").contains("the shard is restored"));
    let (status, answer) = first.ask("POST", "/v1/authorizations", &asked.iter().find(|(key, _)| shard_of(key) == "0").unwrap().1);
    assert!(status == 200 || status == 503, "known before, or not taken any more: {answer}");
    // What it answered before is the same there.
    let known = asked.iter().find(|(key, _)| shard_of(key) == "0").unwrap();
    let id = serde_json::from_str::<serde_json::Value>(&known.1).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(moved.ask("GET", &format!("/v1/decisions/{id}"), "").0, 200);
    moved.end();
    second.end();
}
