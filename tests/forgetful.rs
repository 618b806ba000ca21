//! The whole service on a disk that forgets, at whatever call the crash comes: in a write, before a sync, in a rotation, in a snapshot's
//! rename. And on one that is full.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir::api::{Answer, Desk};
use weir::metrics::Metrics;
use weir::runtime::{Backing, Service, ServiceError};
use weir::sim::fault::{Chance, Crash, ForgetfulFiles};
use weir::topology::{Layer, Topology};

/// Segments and snapshots so small that a run of some hundred payments meets every kind of call.
const SMALL: &str = "
[limits]
nodes_max = 2_000
ids_max = 2_000
[limits.money]
rows_max = 2_000
warm_nodes_max = 200
pairs_max = 2_000
late_rows_max = 100
events_per_day = 10
[limits.access]
rows_max = 300
warm_nodes_max = 10
late_rows_max = 10
events_per_day = 1
[limits.interest]
rows_max = 300
warm_nodes_max = 10
late_rows_max = 10
events_per_day = 1
[journal]
segment_bytes = 65_536
sync_ms_max = 1
[snapshot]
records = 150
copy_bytes_max = 4_194_304
";

/// Where judging has stopped, so long does a caller wait for the word that nothing is recorded.
const DEADLINE: Duration = Duration::from_millis(500);

fn topology(durability: &str) -> Topology {
    let text = SMALL.replace("[journal]", &format!("[journal]\ndurability = {durability:?}"));
    Topology::parse(&[Layer { name: "small", text: &text, folder: Path::new("") }]).unwrap()
}

fn start(files: &ForgetfulFiles, topology: &Topology, dir: &Path) -> Result<Service, ServiceError> {
    Service::start_on(Arc::new(files.clone()), Backing::cpu(), topology, dir, &Metrics::new("test"), false)
}

fn payment(number: u64) -> Vec<u8> {
    // The clock's day: the service refuses what is older than its horizon.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let day = since.as_micros() as i64 / 86_400_000_000 * 86_400_000_000;
    let (time, user, shop) = (weir::event::Timestamp(day + number as i64), number % 23, number % 5);
    format!(
        r#"{{"id":"f-{number}","type":"payment","time":"{time}","user":"u-{user}","merchant":"m-{shop}","amount":900,"currency":"EUR"}}"#
    )
    .into_bytes()
}

/// An answer that a caller got: the number of the payment, and the bytes.
type Given = (u64, Arc<[u8]>);

/// Asks for `numbers` one after the other, until something is not recorded.
fn ask(runtime: &tokio::runtime::Runtime, service: &Service, numbers: std::ops::Range<u64>) -> Vec<Given> {
    let mut given = Vec::new();
    for number in numbers {
        match runtime.block_on(service.authorize(&payment(number), DEADLINE)) {
            Answer::Decided { json, .. } => given.push((number, json)),
            Answer::Unrecorded { .. } => break,
            other => panic!("payment {number}: expected a decision or that nothing is recorded, found {other:?}"),
        }
    }
    given
}

/// How many of `given`, from the first on, are answered as before; the rest must be unknown.
fn same(runtime: &tokio::runtime::Runtime, service: &Service, given: &[Given], place: &str) -> usize {
    let found = |number: u64| runtime.block_on(service.decision(&format!("f-{number}"), false));
    let kept = given.iter().take_while(|(number, _)| found(*number).is_some()).count();
    for (number, bytes) in &given[..kept] {
        let found = found(*number).unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(bytes), "{place}: payment {number}");
    }
    for (number, _) in &given[kept..] {
        assert!(found(*number).is_none(), "{place}: payment {number} is known, one answered before it is not");
    }
    kept
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Payments of a run: three segments of the journal, three snapshots.
const PAYMENTS: u64 = 500;
/// Crashes tried for each kind and durability.
const CRASHES: usize = 16;

/// Caught when planted: outputs of lost records left in their log (a restart refuses itself); a snapshot named before the outputs behind it
/// are synced (answers are unknown afterwards); answers that leave before the sync under `synced`.
#[test]
fn a_crash_at_any_call_loses_no_answer_that_was_promised() {
    let runtime = runtime();
    for durability in ["written", "synced"] {
        let topology = topology(durability);
        let dir = tempfile::tempdir().unwrap();
        let files = ForgetfulFiles::new(1);
        let service = start(&files, &topology, dir.path()).unwrap();
        let before = files.calls();
        assert_eq!(ask(&runtime, &service, 0..PAYMENTS).len() as u64, PAYMENTS);
        let whole = service.end().unwrap();
        let calls = files.calls() - before;
        assert!(whole.records >= PAYMENTS, "{whole:?}");
        let mut chance = Chance::new(11);
        for crash in [Crash::Process, Crash::Power] {
            let mut lost = 0;
            for number in 0..CRASHES {
                let dir = tempfile::tempdir().unwrap();
                let files = ForgetfulFiles::new(number as u64);
                let service = start(&files, &topology, dir.path()).unwrap();
                let at = chance.up_to(calls as usize) as u64;
                files.crash_after(at);
                let place = format!("{durability}, {crash:?}, crash {number} at call {at}");
                let given = ask(&runtime, &service, 0..PAYMENTS);
                drop(service);
                files.restart(crash);
                let service = start(&files, &topology, dir.path()).unwrap_or_else(|error| panic!("{place}: {error}"));
                let kept = same(&runtime, &service, &given, &place);
                lost += given.len() - kept;
                if crash == Crash::Process || durability == "synced" {
                    assert_eq!(kept, given.len(), "{place}: answers are lost that were promised");
                }
                // It goes on, and nothing is judged twice: each payment has one record that was judged, and those asked again have theirs.
                let from = given.len() as u64;
                let more = ask(&runtime, &service, from..from + 20);
                assert_eq!(more.len(), 20, "{place}");
                assert_eq!(same(&runtime, &service, &given[..kept], &place), kept);
                let ended = service.end().unwrap();
                drop(service);
                let service = start(&files, &topology, dir.path()).unwrap_or_else(|error| panic!("{place}, second start: {error}"));
                assert_eq!(same(&runtime, &service, &more, &place), more.len());
                assert_eq!(service.end().unwrap(), ended, "{place}: the state after a restart");
            }
            println!("{durability}, {crash:?}: {lost} answers lost in {CRASHES} crashes");
        }
    }
}

/// Caught when planted: a write that fails and is tried again behind what was written of it.
#[test]
fn a_full_disk_stops_with_a_clear_word_and_loses_nothing() {
    let (runtime, topology) = (runtime(), topology("written"));
    for room in [0, 1, 3_000, 40_000, 90_000] {
        let dir = tempfile::tempdir().unwrap();
        let files = ForgetfulFiles::new(room as u64);
        let service = start(&files, &topology, dir.path()).unwrap();
        files.leave_room(Some(room));
        let given = ask(&runtime, &service, 0..PAYMENTS);
        assert!((given.len() as u64) < PAYMENTS, "{room} bytes were room for {PAYMENTS} payments");
        let readiness = Desk::readiness(&service);
        assert!(!readiness.ready && readiness.detail.contains("no storage space"), "{readiness:?}");
        drop(service);
        // Somebody made room.
        files.leave_room(None);
        files.restart(Crash::Process);
        let service = start(&files, &topology, dir.path()).unwrap();
        assert_eq!(same(&runtime, &service, &given, "full"), given.len());
        assert_eq!(ask(&runtime, &service, given.len() as u64..PAYMENTS).len() as u64, PAYMENTS - given.len() as u64);
    }
}
