//! The program as its users call it: what comes out of each command, and what is said of a mistake.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;
use weir::engine::Engine;
use weir::event::{IdKey, IdKind, Sequence, Timestamp};
use weir::journal::{DataDir, Disk, Files, LogKind, Records, Retention};
use weir::snapshot::{Taker, TakerOptions, Taking};
use weir::store::Store;
use weir::topology::Topology;

/// Little memory, for little traffic: what a test machine can touch in a moment.
const SMALL: &str = "\
[limits]
nodes_max = 20_000
ids_max = 50_000
[limits.money]
rows_max = 40_000
warm_nodes_max = 5_000
pairs_max = 40_000
late_rows_max = 5_000
events_per_day = 600
[limits.access]
rows_max = 10_000
warm_nodes_max = 2_000
late_rows_max = 1_000
events_per_day = 600
[limits.interest]
rows_max = 10_000
warm_nodes_max = 2_000
late_rows_max = 1_000
events_per_day = 600
";

/// A folder with `small.toml`, gone at the end.
struct Room(TempDir);

impl Room {
    fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        room.write("small.toml", SMALL);
        room
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn weir(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// What the command prints; it must end well.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "weir {}: {}\n{stderr}", arguments.join(" "), output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn summary(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[&["replay", "--json"], arguments].concat())).unwrap()
    }

    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.done(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the command says of a mistake; it must end with 2.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert_eq!(output.status.code(), Some(2), "weir {}", arguments.join(" "));
        assert!(output.stdout.is_empty(), "weir {}", arguments.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    fn simulate(&self, world: &str, events: &str) {
        self.done(&["simulate", "--world", world, "--events", events, "--out", "sample.jsonl"]);
    }
}

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
    assert_eq!(verified["outputs"]["records"].as_u64().unwrap(), outcomes + count("rejected"));
    let summary: Value = serde_json::from_slice(&fs::read(room.0.path().join("kept/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["digest"], kept["digest"]);

    // An export of one JSON source has the same events in the same order under the same ids: nothing that decides is lost. (The export of
    // a table differs: its labels come back as events of their own. Erased people come back under other ids: nodes other than before.)
    let whole = fs::read_to_string(room.0.path().join("sample.jsonl")).unwrap();
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
    assert_eq!(keys(first), ["source", "partition", "offset", "reason", "raw", "event_id"]);
}

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

/// Whether a file under `dir` holds `text`.
fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().map(Result::unwrap).any(|entry| match entry.file_type().unwrap().is_dir() {
        true => holds(&entry.path(), text),
        false => fs::read(entry.path()).unwrap().windows(text.len()).any(|window| window == text.as_bytes()),
    })
}

/// People are erased at their place in the stream, in one chunk of records and over several. Caught when planted: an erasure that came again
/// and was obeyed again (dora), a duplicate or a late event that brought the texts back (anna), one of another file that was read
/// before the erasure and lost them (fred), a refused erasure that was obeyed (gina), the texts of a refused line kept.
#[test]
fn an_erased_person_is_named_nowhere_and_changes_no_digest() {
    for filler in [0, 3000] {
        let room = Room::new();
        let line = |kind: &str, id: &str, second: u32, user: &str, rest: &str| {
            let (minute, second) = (second / 60, second % 60);
            format!(
                "{{\"type\":\"{kind}\",\"id\":\"{id}\",\"time\":\"2025-01-01T00:{minute:02}:{second:02}Z\",\"user\":\"{user}\"{rest}}}\n"
            )
        };
        let named = |name: &str| format!(",\"name\":\"{name}\"");
        let bought = ",\"merchant\":\"m\",\"amount\":100,\"currency\":\"EUR\"";
        let fillers: String = (0..filler).map(|n| line("payment", &format!("x{n}"), 30 + n / 100, "filler", bought)).collect();
        let dora_erased = line("erase", "e-dora", 22, "dora", "");
        let stream = [
            line("profile", "c1", 1, "anna", &named("Anna Berg")),
            line("profile", "c2", 2, "anna", &named("Common Name")),
            line("profile", "c3", 3, "bert", &named("Common Name")),
            line("profile", "c4", 4, "dora", &named("Dora Dal")),
            line("profile", "c5", 5, "fred", &named("Fred Fors")),
            line("profile", "c6", 6, "gina", &named("Gina Gran")),
            line("payment", "p-anna", 10, "anna", bought),
            line("payment", "p-dora", 11, "dora", bought),
            // The heads of the other files were read long ago.
            line("erase", "e-fred", 20, "fred", ""),
            line("erase", "e-anna", 21, "anna", ""),
            dora_erased.clone(),
            line("erase", "e-gina", 0, "gina", "").replace("2025-01-01", "2044-01-01"),
            fillers,
            // None of these makes anna a customer again.
            line("payment", "p-anna", 10, "anna", bought),
            line("session", "s-anna", 12, "anna", ""),
            line("profile", "c7", 13, "anna", &named("Anna Late")),
            line("label", "l-anna", 70, "anna", ",\"target\":\"p-anna\",\"label\":\"fraud\""),
            line("profile", "c8", 71, "hugo", ",\"name\":\"Hugo Refused\",\"kyc_risk\":\"none at all\""),
            // This makes dora one, and the erasure is delivered once more.
            line("payment", "p-back", 72, "dora", bought),
            line("profile", "c9", 73, "dora", &named("Dora Back")),
            dora_erased,
        ];
        room.write("a.jsonl", &stream.concat());
        room.write("b.jsonl", &line("payment", "p-fred", 80, "fred", bought));
        room.write("c.jsonl", &line("profile", "c10", 81, "ivar", &named("Fred Fors")));
        let replay = ["a.jsonl", "b.jsonl", "c.jsonl", "-t", "small.toml"];
        let kept = room.summary(&[&replay[..], &["--out", "kept"]].concat());
        assert_eq!((&kept["duplicates"], &kept["rejected"]), (&Value::from(2), &Value::from(2)), "{kept}");
        assert_eq!(kept["digest"], room.summary(&replay)["digest"]);

        let export = room.done(&["journal", "export", "kept"]);
        let shown = export.clone() + &room.done(&["tail", "decisions", "--data", "kept", "--internal"]);
        for gone in ["\"anna\"", "Anna Berg", "Anna Late", "Dora Dal", "Hugo Refused"] {
            assert!(!shown.contains(gone), "{gone}, {filler} between: {export}");
        }
        for stays in
            ["p-anna", "e-anna", "\"bert\"", "Common Name", "\"dora\"", "Dora Back", "\"fred\"", "Fred Fors", "\"gina\"", "Gina Gran"]
        {
            assert!(shown.contains(stays), "{stays}, {filler} between: {export}");
        }
        // Nor do the tables on disk hold it.
        let tables = room.0.path().join("kept/identity/keyspaces");
        assert!(holds(&tables, "Common Name") && !holds(&tables, "Anna Berg") && !holds(&tables, "Hugo Refused"));

        // Who is meant sways nothing: not even when nobody is known any more.
        fs::remove_dir_all(room.0.path().join("kept/identity")).unwrap();
        let again = room.summary(&["kept"]);
        assert_eq!((&again["digest"], &again["state_hash"]), (&kept["digest"], &kept["state_hash"]));
    }
}

#[test]
fn wrong_usage_is_told_as_one_would_want() {
    let room = Room::new();
    room.simulate("small", "300");
    room.done(&["replay", "sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    room.write("table.csv", "a,b\n1,2\n");
    room.write("events.txt", "");
    fs::create_dir(room.0.path().join("other")).unwrap();
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
        (&["tail", "alerts", "--data", "kept"], "TOPIC: found \"alerts\", expected decisions or rejected"),
        (&["simulate", "--world", "large", "--out", "-"], "world is \"large\", expected one of: small, tiny"),
    ];
    for (arguments, message) in cases {
        assert_eq!(room.refused(arguments), format!("error: {message}\n"), "weir {}", arguments.join(" "));
    }
    // Looking left nothing behind.
    assert_eq!(fs::read_dir(room.0.path().join("other")).unwrap().count(), 0);
    // A file that breaks off: what was read is judged, the rest is told, and the exit code says that somebody must act.
    let zipped = room.0.path().join("cut.jsonl.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut fs::File::open(room.0.path().join("sample.jsonl")).unwrap(), &mut packed).unwrap();
    let packed = packed.finish().unwrap();
    fs::write(&zipped, &packed[..packed.len() / 2]).unwrap();
    let output = room.weir(&["replay", "cut.jsonl.gz", "-t", "small.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["events"].as_u64().unwrap() > 20 && summary["input_errors"][0].as_str().unwrap().contains("cut.jsonl.gz"), "{summary}");
}

/// A bank's table, with and without a verdict for what was genuine: at the same delay nothing is known sooner or later, so nothing differs.
/// Planted: nine days of maturity for every source, whatever its delay (without the rule known_shop it went unseen).
#[test]
fn saying_that_the_rest_is_legitimate_changes_nothing() {
    let room = Room::new();
    let mut table = "TX,BOOKED,CUSTOMER,SHOP,AMOUNT,FRAUD\n".to_owned();
    for row in 0..4000u64 {
        // Three weeks, two dozen shops of which one is bad, numbers without a pattern from a multiplicative step.
        let chance = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (day, second) = (row / 200, row % 200 * 400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let (customer, shop) = (chance % 90, chance / 90 % 24);
        let fraud = u64::from(shop == 3 && chance / 5000 % 3 > 0);
        table += &format!(
            "{row},2025-03-{:02} {hour:02}:{minute:02}:{:02},{customer},{shop},{}.{:02},{fraud}\n",
            day + 1,
            second % 60,
            chance % 700,
            chance % 100
        );
    }
    room.write("bank.csv", &table);
    let mapping = |kinds: &str| {
        format!(
            "{SMALL}
[source.bank]
files = [\"bank.csv\"]
event = \"payment\"
[source.bank.fields]
id = {{ column = \"TX\", prefix = \"b-\" }}
time = {{ column = \"BOOKED\", format = \"%Y-%m-%d %H:%M:%S\", zone = \"Europe/Stockholm\" }}
user = {{ column = \"CUSTOMER\", prefix = \"c\" }}
merchant = {{ column = \"SHOP\", prefix = \"s\" }}
amount = {{ column = \"AMOUNT\", scale = 100 }}
currency = {{ constant = \"SEK\" }}
[source.bank.label]
column = \"FRAUD\"
kind = {{ {kinds} }}
delay = \"7d\"
# An answer that shows to the row when a payment begins to count as genuine.
[policy.rule.known_shop]
of = \"payment\"
when = \"merchant_payments.good_7d >= 10\"
outcome = \"challenge\"
risk_score = 450
reason = \"amount_unusual\"
"
        )
    };
    room.write("both.toml", &mapping("1 = \"fraud\", 0 = \"legitimate\""));
    room.write("frauds.toml", &mapping("1 = \"fraud\""));
    let both = room.summary(&["-t", "both.toml"]);
    let frauds = room.summary(&["bank.csv", "-t", "frauds.toml"]);
    assert_eq!((&both["events"], &both["labels"]), (&Value::from(4000), &Value::from(4000)));
    assert!(frauds["labels"].as_u64().unwrap() > 50 && frauds["labels"].as_u64().unwrap() < 400, "{frauds}");
    assert!(both["outcomes"]["challenge"].as_u64().unwrap() > 100, "labels sway something: {both}");
    assert_eq!(both["topology"], frauds["topology"], "how a verdict is spelt does not decide");
    assert_eq!(both["digest"], frauds["digest"]);
}

/// A data set that not every machine has; says so where it is not there.
fn shared(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn check_shows_the_way_and_the_bill() {
    let room = Room::new();
    let text = room.done(&["check", "--svg", "picture.svg"]);
    for part in ["The way of an event", "JOURNAL", "ENGINE", "weir.decisions", "Memory, allocated and touched at start", "money: rows"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(fs::read_to_string(room.0.path().join("picture.svg")).unwrap().starts_with("<svg"));
    assert!(room.done(&["check", "--columns"]).contains("user_payments.count_1h"));
    for (name, source) in [("handbook", "payment"), ("aml", "transfer"), ("wiki", "interaction")] {
        let Some(mapping) = shared(&format!("{name}/{name}.toml")) else { continue };
        let text = room.done(&["check", mapping.to_str().unwrap()]);
        assert!(text.contains(&format!("source {name}")) && text.contains(&format!("table of {source} events")), "{text}");
    }
}

#[test]
fn edits_of_an_encyclopedia_are_read_as_they_stand() {
    let Some(mapping) = shared("wiki/wiki.toml") else { return };
    let summary = Room::new().summary(&["-t", mapping.to_str().unwrap()]);
    // 157,474 edits behind a catalogue of 1,000 pages; an interaction is no question, so there is no decision.
    assert_eq!((&summary["events"], &summary["rejected"]), (&Value::from(158_474), &Value::from(0)));
    assert_eq!(summary["nodes"], 9227);
}

/// Whole data sets: two minutes on a shared core of the development profile, and less than one the one below.
/// `cargo test --test commands -- --ignored`
#[test]
#[ignore = "reads 1.75 million rows twice"]
fn the_handbook_with_and_without_its_legitimate_labels() {
    let Some(mapping) = shared("handbook/handbook.toml") else { return };
    let room = Room::new();
    let text = fs::read_to_string(&mapping).unwrap();
    room.write("frauds.toml", &text.replace(", 0 = \"legitimate\"", ""));
    let table = mapping.with_file_name("transactions.parquet");
    let table = table.to_str().unwrap();
    let both = room.summary(&[table, "-t", mapping.to_str().unwrap(), "--batch", "500"]);
    let frauds = room.summary(&[table, "-t", "frauds.toml", "--batch", "1"]);
    assert_eq!(both["events"], both["labels"]);
    assert!(frauds["labels"].as_u64().unwrap() * 50 < both["labels"].as_u64().unwrap());
    assert_eq!(both["rejected"], 0);
    assert_eq!((&both["topology"], &both["digest"]), (&frauds["topology"], &frauds["digest"]));
}

#[test]
#[ignore = "344,208 transfers"]
fn transfers_are_read_as_they_stand() {
    let Some(mapping) = shared("aml/aml.toml") else { return };
    let summary = Room::new().summary(&["-t", mapping.to_str().unwrap()]);
    assert_eq!(
        (&summary["events"], &summary["labels"], &summary["rejected"]),
        (&Value::from(344_208), &Value::from(344_208), &Value::from(0))
    );
}

/// A kept replay and a snapshot of the engine behind it, as a service leaves them.
fn snapshot_of(room: &Room, events: &str) -> PathBuf {
    room.simulate("tiny", events);
    room.done(&["replay", "sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    let root = room.0.path().join("kept");
    let dir = DataDir::read(&root).unwrap();
    let topology = Topology::load(&[room.0.path().join("small.toml")]).unwrap();
    let mut engine = Engine::new(topology.engine_options(IdKey::FILES, 1), &mut |_| {}).unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk);
    let mut records = Records::open(files.clone(), &dir.journal(), Sequence(0)).unwrap();
    let mut next = Sequence(0);
    while let Some(record) = records.next_record().unwrap() {
        next = Sequence(record.sequence.0 + 1);
        engine.step(std::slice::from_ref(&record), &mut |_| {}, &mut Vec::new());
    }
    let mut taker = Taker::start(files, &dir.snapshots(), TakerOptions { copy_bytes_max: 4 << 20, keep: 2 }).unwrap();
    taker.begin(&mut engine, next, Timestamp(1_600_000_000_000_000)).unwrap();
    loop {
        match taker.pump(&mut engine, 1 << 20, next) {
            Taking::Taken(taken) => return taken.path,
            Taking::Going { .. } | Taking::Settling => std::thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
}

/// Its state hash is that of the replay.
#[test]
fn snapshots_are_inspected_and_verified() {
    let room = Room::new();
    let path = snapshot_of(&room, "800");
    let expected = room.summary(&["kept"]);
    let found: Value = serde_json::from_str(&room.done(&["snapshot", "verify", "kept", "--json"])).unwrap();
    let snapshot = &found["snapshots"][0];
    assert_eq!((&snapshot["valid"], &snapshot["state_hash"]), (&Value::Bool(true), &expected["state_hash"]));
    let file = path.to_str().unwrap();
    assert_eq!(room.done(&["snapshot", "verify", file]).matches("whole; sequence").count(), 1);
    let found: Value = serde_json::from_str(&room.done(&["snapshot", "inspect", file, "--json"])).unwrap();
    let snapshot = &found["snapshots"][0];
    assert_eq!(snapshot["taken_at"], "2020-09-13T12:26:40Z");
    assert!(snapshot["age_seconds"].as_i64().unwrap() > 1_000_000 && snapshot["tables"].as_array().unwrap().len() == 21);
    let text = room.done(&["snapshot", "inspect", "kept"]);
    assert!(text.contains("money: rows") && text.contains("topology"), "{text}");

    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let output = room.weir(&["snapshot", "verify", "kept"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("damaged: the checksum of block"));
    fs::write(&path, &bytes[..middle]).unwrap();
    assert_eq!(room.weir(&["snapshot", "inspect", "kept", "--json"]).status.code(), Some(1));
    fs::remove_file(&path).unwrap();
    let error = room.refused(&["snapshot", "verify", "kept"]);
    assert!(error.contains("found no snapshot in it"), "{error}");
}

/// The journal's beginning, which names topology and policy, goes after `keep_days`.
#[test]
fn a_directory_without_its_beginning_and_with_a_service_is_read_all_the_same() {
    let room = Room::new();
    room.write("small.toml", &format!("{SMALL}[journal]\nsegment_bytes = 65_536\n"));
    let snapshot = snapshot_of(&room, "4000");
    let decisions = room.done(&["tail", "decisions", "--data", "kept"]);
    assert!(decisions.lines().count() > 1000);
    let dir = DataDir::read(&room.0.path().join("kept")).unwrap();
    let journal = Retention::of(Arc::new(Disk), &dir.journal(), LogKind::Journal);
    let first = journal.apply(Sequence(u64::MAX), Timestamp(i64::MAX)).unwrap();
    assert!(first > Sequence(1), "{first:?}");

    assert_eq!(room.done(&["tail", "decisions", "--data", "kept"]), decisions);
    let verified = room.done(&["snapshot", "verify", "kept"]);
    assert!(verified.contains(": whole; sequence"), "{verified}");
    let error = room.refused(&["replay", "kept"]);
    assert!(error.contains(&format!("the journal begins at record {}", first.0)) && error.contains("needs the beginning"), "{error}");

    let store = Store::open(&dir.identity()).unwrap();
    let event = decisions.split('"').nth(3).unwrap();
    let hash = format!("\"event_id\":\"{}", IdKey::FILES.id(IdKind::Event, event.as_bytes()));
    for (arguments, hashed) in [(&["tail", "decisions", "--data", "kept"][..], &hash[..]), (&["journal", "export", "kept"], "\"unknown:")] {
        let output = room.weir(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.lines().count() == 1 && told.contains("ids are shown as hashes"), "{told}");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert!(lines.contains(hashed), "{arguments:?}");
    }
    drop(store);

    fs::remove_file(snapshot).unwrap();
    let error = room.refused(&["tail", "decisions", "--data", "kept"]);
    assert!(error.contains("no snapshot tells what it was judged under"), "{error}");
}
