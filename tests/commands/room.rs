//! Where a command is called: a folder of its own, gone at the end.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Little memory, for little traffic: what a test machine can touch in a moment.
pub const SMALL: &str = "\
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
pub struct Room(TempDir);

impl Room {
    pub fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        room.write("small.toml", SMALL);
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn weir(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// What the command prints; it must end well.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "weir {}: {}\n{stderr}", arguments.join(" "), output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn summary(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[&["replay", "--json"], arguments].concat())).unwrap()
    }

    pub fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.done(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the command says of a mistake; it must end with 2.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert_eq!(output.status.code(), Some(2), "weir {}", arguments.join(" "));
        assert!(output.stdout.is_empty(), "weir {}", arguments.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn simulate(&self, world: &str, events: &str) {
        self.done(&["simulate", "--world", world, "--events", events, "--out", "sample.jsonl"]);
    }
}

/// A data set that not every machine has; says so where it is not there.
pub fn shared(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}
