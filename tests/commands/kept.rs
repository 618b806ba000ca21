//! Directories with snapshots, and without their beginning.

use crate::room::{Room, SMALL};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use weir::engine::Engine;
use weir::event::{IdKey, IdKind, Sequence, Timestamp};
use weir::journal::{DataDir, Disk, Files, LogKind, Records, Retention};
use weir::snapshot::{Taker, TakerOptions, Taking};
use weir::store::Store;
use weir::topology::Topology;

/// A kept replay and a snapshot of the engine behind it, as a service leaves them.
fn snapshot_of(room: &Room, events: &str) -> PathBuf {
    room.simulate("tiny", events);
    room.done(&["replay", "sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    let root = room.path("kept");
    let dir = DataDir::read(&root).unwrap();
    let topology = Topology::load(&[room.path("small.toml")]).unwrap();
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
    assert!(snapshot["age_seconds"].as_i64().unwrap() > 1_000_000);
    assert_eq!(snapshot["tables"].as_array().unwrap().len(), 38);
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

    // Without one the whole journal is copied.
    assert!(room.done(&["snapshot", "export", "kept", "--out", "copy"]).contains("it goes on with record 0"));
    assert_eq!(room.summary(&["copy"])["state_hash"], expected["state_hash"]);
}

/// The journal's beginning, which names topology and policy, goes after `keep_days`.
#[test]
fn a_directory_without_its_beginning_and_with_a_service_is_read_all_the_same() {
    let room = Room::new();
    room.write("small.toml", &format!("{SMALL}[journal]\nsegment_bytes = 65_536\n"));
    let snapshot = snapshot_of(&room, "4000");
    let decisions = room.done(&["tail", "decisions", "--data", "kept"]);
    assert!(decisions.lines().count() > 1000);
    let dir = DataDir::read(&room.path("kept")).unwrap();
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
    // Caught when planted: a copy made where it was to stand, and left there half made.
    let error = room.refused(&["snapshot", "export", "kept", "--out", "copy"]);
    assert!(error.contains("found no whole snapshot in it, and its journal's beginning is gone"), "{error}");
    assert!(!room.path("copy").exists() && !room.path("copy.partial").exists());
}
