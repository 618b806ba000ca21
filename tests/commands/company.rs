//! The simulated company, from its file to its digest.

use crate::room::Room;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The company: written plain and packed it is the same, nothing of it is refused, and the truth names its events.
/// Planted: payment results without the letter of their target (each was an unknown target).
#[test]
fn the_company_is_judged_without_a_refusal() {
    let room = Room::new();
    let simulate = |file: &str, more: &[&str]| {
        let what =
            ["simulate", "--world", "company", "--people", "3000", "--rate", "6000", "--events", "30000", "--seed", "5", "--out", file];
        room.done(&[&what[..], more].concat())
    };
    let said: Value =
        serde_json::from_str(&simulate("company.jsonl", &["--json", "--truth", "truth.jsonl", "--labels", "crimes.jsonl"])).unwrap();
    assert_eq!((&said["world"], &said["events"]), (&"company".into(), &30_000.into()));
    simulate("company.jsonl.gz", &[]);
    simulate("company.jsonl.zst", &[]);
    let plain = room.summary(&["company.jsonl", "-t", "small.toml"]);
    let count = |name: &str| plain[name].as_u64().unwrap();
    assert_eq!(count("events") + count("labels"), 30_000);
    assert_eq!((count("rejected"), count("duplicates")), (0, 0), "{plain}");
    assert!(count("labels") > 20, "{plain}");
    for packed in ["company.jsonl.gz", "company.jsonl.zst"] {
        assert_eq!(room.summary(&[packed, "-t", "small.toml"])["digest"], plain["digest"], "{packed}");
    }
    let text = fs::read_to_string(room.path("company.jsonl")).unwrap();
    let ids: BTreeSet<&str> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(ids.len(), 30_000);
    let truths = fs::read_to_string(room.path("truth.jsonl")).unwrap();
    let crimes: Vec<String> = truths
        .lines()
        .flat_map(|line| serde_json::from_str::<Value>(line).unwrap()["crimes"].as_array().unwrap().clone())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    assert!(crimes.len() > 10 && crimes.iter().all(|id| ids.contains(id.as_str())), "{crimes:?}");
    // Each of them can be labelled, behind all that anybody in the stream knew.
    let labelled = room.summary(&["company.jsonl", "crimes.jsonl", "-t", "small.toml"]);
    let count = |name: &str| labelled[name].as_u64().unwrap() - plain[name].as_u64().unwrap();
    assert_eq!((count("labels"), count("rejected"), count("duplicates")), (crimes.len() as u64, 0, 0), "{labelled}");
}

/// The ledger: transfers, profiles and labels alone, none refused; a scheme's edges are its transfers, and each label names its scheme.
/// Planted: labels without the scheme's number.
#[test]
fn the_ledger_tells_who_launders() {
    let room = Room::new();
    let what = ["simulate", "--world", "ledger", "--people", "2000", "--laundering", "300", "--events", "20000", "--out", "ledger.jsonl"];
    room.done(&[&what[..], &["--truth", "schemes.jsonl", "--labels", "crimes.jsonl"]].concat());
    let read = |name: &str| -> Vec<Value> {
        fs::read_to_string(room.path(name)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (lines, schemes, labels) = (read("ledger.jsonl"), read("schemes.jsonl"), read("crimes.jsonl"));
    let kinds: BTreeSet<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["label", "profile", "transfer"].into());
    let summary = room.summary(&["ledger.jsonl", "-t", "small.toml"]);
    assert_eq!((&summary["rejected"], &summary["duplicates"]), (&0.into(), &0.into()), "{summary}");
    let transfers: BTreeMap<&str, &Value> = lines.iter().map(|line| (line["id"].as_str().unwrap(), line)).collect();
    let mut named = BTreeMap::new();
    for scheme in &schemes {
        for edge in scheme["edges"].as_array().unwrap() {
            let event = edge["event"].as_str().unwrap();
            for field in ["from", "to", "amount", "currency"] {
                assert_eq!(edge[field], transfers[event][field], "{field} of {event}");
            }
            named.insert(format!("x-{}-{event}", scheme["episode"]), (event, scheme["form"].as_str().unwrap()));
        }
    }
    assert!(schemes.len() > 20 && named.len() == labels.len(), "{} {} {}", schemes.len(), named.len(), labels.len());
    for label in &labels {
        let (event, form) = named[label["id"].as_str().unwrap()];
        assert_eq!((&label["target"], &label["scenario"], &label["label"]), (&event.into(), &form.into(), &"laundering".into()));
    }
}
