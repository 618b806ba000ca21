//! The program as its users call it: what comes out of each command, and what is said of a mistake.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

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

/// Same bytes whatever the batch, the threads, and the way through the journal.
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
