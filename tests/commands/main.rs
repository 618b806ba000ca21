//! The program as its users call it: what comes out of each command, and what is said of a mistake.

mod company;
mod erasure;
mod evaluate;
mod kept;
mod laundering;
mod mistakes;
mod room;
mod schemas;
mod tables;

use room::{Room, shared};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

fn keys(line: &str) -> Vec<String> {
    // serde_json sorts the keys of a map: their order is read from the text.
    let object: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    let mut keys: Vec<String> = object.into_keys().collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
    keys
}

/// Same bytes whatever the batch, the threads, and the way through the journal. Planted: a digest
/// of decisions alone (that of `journal verify` differed).
#[test]
fn one_stream_has_one_digest() {
    let room = Room::new();
    room.simulate("small", "6000");
    let stream = ["sample.jsonl", "-t", "small.toml"];
    let kept = room.summary(&[&stream[..], &["--out", "kept"]].concat());
    let of = |summary: &Value| (summary["digest"].clone(), summary["state_hash"].clone(), summary["outcomes"].clone());
    for (batch, threads) in [("1", "1"), ("7", "2"), ("64", "1"), ("500", "2")] {
        let other = room.summary(&[&stream[..], &["--batch", batch, "--threads", threads]].concat());
        assert_eq!(of(&other), of(&kept), "batch {batch}, threads {threads}");
    }
    let again = room.summary(&["kept", "--batch", "3"]);
    assert_eq!(of(&again), of(&kept));
    assert_eq!((&again["topology"], &again["policy"]), (&kept["topology"], &kept["policy"]));

    // Everything that came in is accounted for.
    let count = |name: &str| kept[name].as_u64().unwrap();
    assert_eq!(count("events") + count("labels"), 6000);
    assert!(count("rejected") > 0 && count("rejected") < 100, "{kept}");
    assert!(count("duplicates") > 0 && count("late") > 0, "{kept}");
    let outcomes: u64 = kept["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(outcomes > 2000, "{kept}");

    let verified: Value = serde_json::from_str(&room.done(&["journal", "verify", "kept", "--json"])).unwrap();
    assert_eq!(verified["digest"], kept["digest"]);
    assert_eq!(verified["problems"], serde_json::json!([]));
    assert_eq!(verified["journal"]["records"], 6002, "two control records and the stream");
    // An alert has an output for each of its versions.
    let versions = room.lines(&["tail", "alerts", "--data", "kept"]).len() as u64;
    assert!(versions >= count("alerts"), "{kept}");
    assert_eq!(verified["outputs"]["records"].as_u64().unwrap(), outcomes + count("rejected") + versions);
    let summary: Value = serde_json::from_slice(&fs::read(room.path("kept/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["digest"], kept["digest"]);

    // An export of one JSON source has the same events in the same order under the same ids: nothing that decides is lost. (The export of
    // a table differs: its labels come back as events of their own. Erased people come back under other ids: nodes other than before.)
    let whole = fs::read_to_string(room.path("sample.jsonl")).unwrap();
    let kept_whole: String = whole.split_inclusive('\n').filter(|line| !line.contains("\"erase\"")).collect();
    assert!(kept_whole.len() < whole.len());
    room.write("nobody-erased.jsonl", &kept_whole);
    let kept = room.summary(&["nobody-erased.jsonl", "-t", "small.toml", "--out", "nobody-erased"]);
    room.done(&["journal", "export", "nobody-erased", "--out", "export.jsonl"]);
    assert_eq!(of(&room.summary(&["export.jsonl", "-t", "small.toml"])), of(&kept));
}

#[test]
fn topics_have_the_keys_of_the_contract() {
    let room = Room::new();
    room.simulate("small", "3000");
    let summary = room.summary(&["sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    let text = room.done(&["tail", "decisions", "--data", "kept"]);
    let decision = [
        "event_id",
        "revision",
        "sequence",
        "time",
        "outcome",
        "risk_score",
        "fraud_probability",
        "reasons",
        "control_group",
        "status",
        "used",
        "skipped",
        "model",
        "policy",
        "topology",
        "engine_version",
    ];
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["risk_score"].as_u64().unwrap() <= 1000);
        assert!(["approve", "challenge", "review", "decline"].contains(&value["outcome"].as_str().unwrap()), "{line}");
        // No model is there: it is skipped, and nothing is degraded by it.
        assert!(value["model"].is_null() && value["fraud_probability"].is_null());
        assert!(value["skipped"].as_array().unwrap().contains(&serde_json::json!({"part": "gnn", "why": "no model configured"})));
    }
    let first = text.lines().next().unwrap();
    assert_eq!(keys(first), decision);
    let outcomes = summary["outcomes"].as_object().unwrap();
    for (outcome, count) in outcomes {
        let found = text.matches(&format!("\"outcome\":\"{outcome}\"")).count() as u64;
        assert_eq!(Some(found), count.as_u64(), "{outcome}");
    }
    let later = text.lines().nth(10).unwrap();
    let from = serde_json::from_str::<Value>(later).unwrap()["sequence"].to_string();
    assert_eq!(room.done(&["tail", "weir.decisions", "--data", "kept", "--from", &from]).lines().next(), Some(later));

    let rejected = room.done(&["tail", "rejected", "--data", "kept"]);
    assert_eq!(rejected.lines().count() as u64, summary["rejected"].as_u64().unwrap());
    let first = rejected.lines().next().unwrap();
    assert_eq!(keys(first), ["source", "partition", "offset", "code", "field", "reason", "raw", "event_id"]);
}
#[test]
fn check_shows_the_way_and_the_bill() {
    let room = Room::new();
    let text = room.done(&["check", "--svg", "picture.svg"]);
    for part in ["The way of an event", "JOURNAL", "ENGINE", "weir.decisions", "Memory, allocated and touched at start", "money: rows"] {
        assert!(text.contains(part), "{part}");
    }
    if cfg!(feature = "cuda") {
        assert!(text.contains("device: rows known") && text.contains("A device, where one is found"), "{text}");
        room.write("cpu.toml", "[model]\ndevice = 'cpu'\n");
        assert!(!room.done(&["check", "cpu.toml"]).contains("device: "), "none is used");
    }
    assert!(fs::read_to_string(room.path("picture.svg")).unwrap().starts_with("<svg"));
    assert!(room.done(&["check", "--columns"]).contains("user_payments.count_1h"));
    for (name, source) in [("handbook", "payment"), ("aml", "transfer"), ("wiki", "interaction")] {
        let Some(mapping) = shared(&format!("{name}/{name}.toml")) else { continue };
        let text = room.done(&["check", mapping.to_str().unwrap()]);
        assert!(text.contains(&format!("source {name}")) && text.contains(&format!("table of {source} events")), "{text}");
    }
}

/// Before any memory is taken, whichever build it is.
#[test]
fn options_that_make_no_client_of_kafka_end_the_start() {
    let room = Room::new();
    let kafka = "[kafka]\nbrokers = '127.0.0.1:1'\n[kafka.options]\n'bogus.option' = '1'\n[source.stream]\ntopic = 'weir.events'\n";
    room.write("kafka.toml", kafka);
    let error = room.refused(&["run", "-t", "small.toml", "-t", "kafka.toml", "--data", "data"]);
    let expected = if cfg!(feature = "kafka") { "No such configuration property: \"bogus.option\"" } else { "this build has no Kafka" };
    assert!(error.contains(expected), "{error}");
    assert!(!room.path("data").exists());
}
