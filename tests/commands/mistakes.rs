//! What is said of a mistake: in a topology, in a line, on the command line.

use crate::room::Room;
use serde_json::Value;
use std::fs;

#[test]
fn five_mistakes_have_five_messages() {
    let room = Room::new();
    let mistakes = "\
[limits]
nodes_max = \"many\"

[dedupe]
dayz = 7

[aggregate.shop]
key = \"usr\"
of = \"payment\"
windows = [\"1h\"]
stats = [\"count\"]

[policy.rule.large_payment]
outcome = \"refuse\"

[money]
reporting = \"EURO\"
";
    room.write("five.toml", mistakes);
    let expected = "\
error: five.toml:2: limits.nodes_max: found \"many\", expected a whole number from 1 to 1073741824
error: five.toml:5: dedupe.dayz: found an unknown key (did you mean days?), expected days
error: five.toml:8: aggregate.shop.key: found \"usr\" (did you mean user?), expected user, merchant, device, card or ip
error: five.toml:14: policy.rule.large_payment.outcome: found \"refuse\", expected approve, challenge, review or decline
error: five.toml:17: money.reporting: found 4 bytes, expected a currency of ISO 4217, such as \"EUR\" of at most 3 bytes
";
    for command in [&["check", "five.toml"][..], &["replay", "sample.jsonl", "-t", "five.toml"]] {
        assert_eq!(room.refused(command), expected);
    }
    // A rule's own language is checked when everything else is sound.
    room.write("rule.toml", "[policy.rule.large_payment]\nwhen = \"amount >= user_payments.coun_1h\"\n");
    assert!(room.refused(&["check", "rule.toml"]).starts_with(
        "error: rule.toml:2: policy.rule.large_payment.when: there is no `user_payments.coun_1h`; `user_payments` has count_1m, count_1h,"
    ));
}

#[test]
fn every_broken_line_is_accounted_for() {
    let room = Room::new();
    let payment = |id: &str, rest: &str| {
        format!("{{\"id\":\"{id}\",\"type\":\"payment\",\"time\":\"2025-01-01T00:00:02Z\",\"user\":\"u1\",\"merchant\":\"m1\",{rest}}}")
    };
    let sound = "\"amount\":100,\"currency\":\"EUR\"";
    let long = format!("{},\"session\":\"{}\"", sound, "s".repeat(70_000));
    let lines = [
        payment("p0", sound),
        "{\"id\":\"p1\",\"type\":\"payment\",".to_owned(),
        "{\"id\":\"p2\",\"type\":\"paymant\",\"time\":\"2025-01-01T00:00:02Z\",\"user\":\"u1\"}".to_owned(),
        payment("p3", "\"amount\":1.5,\"currency\":\"EUR\""),
        payment("p4", "\"amount\":100,\"currency\":\"XYZ\""),
        payment("p5", "\"amount\":100"),
        payment("p6", &long),
        payment("p7", sound),
        payment("p0", "\"amount\":101,\"currency\":\"EUR\""),
        payment("p0", sound),
        "[1,2]".to_owned(),
        "{\"id\":\"l1\",\"type\":\"label\",\"time\":\"2025-01-01T00:00:03Z\",\"target\":\"nobody\",\"label\":\"fraud\"}".to_owned(),
        payment("p8", sound),
    ];
    room.write("broken.jsonl", &(lines.join("\n") + "\n"));
    let summary = room.summary(&["broken.jsonl", "-t", "small.toml", "--out", "kept"]);
    let judged: Vec<Value> =
        room.lines(&["tail", "decisions", "--data", "kept"]).into_iter().map(|line| line["event_id"].clone()).collect();
    assert_eq!(judged, ["p0", "p7", "p8"]);
    let rejected = room.lines(&["tail", "rejected", "--data", "kept"]);
    let told: Vec<(u64, &str)> = rejected.iter().map(|line| (line["offset"].as_u64().unwrap(), line["reason"].as_str().unwrap())).collect();
    let expected = [
        (1, "malformed"),
        (2, "unknown type: found \"paymant\""),
        (3, "invalid amount: found 1.5, expected an integer of minor units"),
        (4, "invalid currency: found \"XYZ\""),
        (5, "missing currency"),
        (6, "oversized"),
        (8, "id conflict"),
        (10, "malformed"),
        (11, "unknown target"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((offset, reason), (at, begins)) in told.iter().zip(expected) {
        assert!(*offset == at && reason.starts_with(begins), "found {offset}: {reason}, expected {at}: {begins}");
    }
    // What could not be read is kept as it was, up to its limit; what was an event stands in the journal.
    assert_eq!(rejected[0]["raw"], lines[1].as_str());
    assert!(rejected[5]["raw"].as_str().is_some_and(|raw| raw.len() <= 4096 && lines[6].starts_with(raw)));
    assert_eq!((&rejected[6]["raw"], &rejected[6]["event_id"]), (&Value::Null, &Value::from("p0")));
    assert_eq!(summary["duplicates"], 1);
    assert_eq!(summary["rejected"], 9);
}

#[test]
fn wrong_usage_is_told_as_one_would_want() {
    let room = Room::new();
    room.simulate("small", "300");
    room.done(&["replay", "sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    room.write("table.csv", "a,b\n1,2\n");
    room.write("events.txt", "");
    fs::create_dir(room.path("other")).unwrap();
    let endings = ".jsonl, .jsonl.gz, .jsonl.zst, .csv, .csv.gz, .csv.zst or .parquet";
    let no_journal = "other: opening: found no journal in it, expected a data directory, as a replay with --out makes one";
    let cases: &[(&[&str], &str)] = &[
        (&["replay", "none.jsonl"], "none.jsonl: cannot be opened: No such file or directory (os error 2)"),
        (&["replay", "events.txt"], &format!("events.txt: found an unknown ending, expected {endings}")),
        (
            &["replay", "nobody=sample.jsonl"],
            &format!("nobody=sample.jsonl: found the source \"nobody\", expected one of events before a file ending in {endings}"),
        ),
        (
            &["replay", "table.csv"],
            "table.csv: found no source with a mapping, expected one that names its columns ([source.NAME.fields] in a topology given with -t)",
        ),
        (&["replay"], "found no file, expected some on the command line or in the files of a source"),
        (&["replay", "kept", "-t", "small.toml"], "-t: kept is stepped under the topology it was made with"),
        (&["replay", "kept", "--out", "new"], "--out: kept is kept already; replay the files themselves to keep them elsewhere"),
        (&["replay", "sample.jsonl", "kept"], "kept: found a directory among files, expected one data directory alone, or files"),
        (
            &["replay", "sample.jsonl", "-t", "small.toml", "--out", "kept"],
            "kept: found a journal, expected an empty or new directory: a replay begins its own",
        ),
        (
            &["replay", "sample.jsonl", "-t", "none.toml"],
            "none.toml: found no readable file (No such file or directory (os error 2)), expected a topology",
        ),
        (&["replay", "other"], no_journal),
        (&["tail", "decisions", "--data", "other"], no_journal),
        (&["journal", "verify", "other"], no_journal),
        (&["tail", "alarms", "--data", "kept"], "TOPIC: found \"alarms\", expected decisions or rejected or alerts"),
        (&["simulate", "--world", "large", "--out", "-"], "world is \"large\", expected one of: small, tiny, company, ledger"),
        (
            &["simulate", "--world", "company", "--start", "2166-10-14", "--out", "-"],
            "--start: found 2166-10-14T00:00:00Z, expected a moment in 1970 to 2069",
        ),
        (&["simulate", "--world", "small", "--people", "5000", "--out", "-"], "--people: world is \"small\", expected company or ledger"),
        (
            &["simulate", "--world", "ledger", "--fraud", "5", "--out", "-"],
            "--fraud: world is \"ledger\", expected company: a bank's ledger has no payments",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(room.refused(arguments), format!("error: {message}\n"), "weir {}", arguments.join(" "));
    }
    // Looking left nothing behind.
    assert_eq!(fs::read_dir(room.path("other")).unwrap().count(), 0);
    // A file that breaks off: what was read is judged, the rest is told, and the exit code says that somebody must act.
    let zipped = room.path("cut.jsonl.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut fs::File::open(room.path("sample.jsonl")).unwrap(), &mut packed).unwrap();
    let packed = packed.finish().unwrap();
    fs::write(&zipped, &packed[..packed.len() / 2]).unwrap();
    let output = room.weir(&["replay", "cut.jsonl.gz", "-t", "small.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["events"].as_u64().unwrap() > 20 && summary["input_errors"][0].as_str().unwrap().contains("cut.jsonl.gz"), "{summary}");
}
