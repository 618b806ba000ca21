//! `kill -9` under load: every answer that a caller got is the same afterwards, and nothing is applied twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SMALL: &str = "
[limits]
nodes_max = 20_000
ids_max = 200_000
[limits.money]
rows_max = 200_000
warm_nodes_max = 2_000
pairs_max = 20_000
late_rows_max = 1_000
events_per_day = 1_000
[limits.access]
rows_max = 1_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 10
[limits.interest]
rows_max = 1_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 10
[snapshot]
records = 60
every = \"300ms\"
";

struct Running {
    child: Child,
    address: String,
}

fn start(dir: &Path) -> Running {
    let topology = dir.join("small.toml");
    std::fs::write(&topology, SMALL).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", "--listen", "127.0.0.1:0", "-t"])
        .arg(&topology)
        .arg("--data")
        .arg(dir.join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on http://").and_then(|rest| rest.split(',').next());
    Running { address: address.unwrap_or_else(|| panic!("found {line:?}, expected where it listens")).to_owned(), child }
}

/// One connection, kept alive.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn new(address: &str) -> Option<Caller> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Caller(BufReader::new(stream)))
    }

    /// Status and body; `None` where the connection broke.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nWeir-Deadline-Ms: 5000\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).ok()?;
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((status, body))
    }
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    weir::event::Timestamp(since.as_micros() as i64).to_string()
}

/// What every caller got, by id: the body that was sent, and the answer's bytes.
type Answered = BTreeMap<String, (String, Vec<u8>)>;

const KILLS: u64 = 50;

/// Caught when planted: answers that leave before the journal's write; a restart that takes outputs for journalled that are not.
#[test]
fn answers_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = AtomicU64::new(0);
    let mut all = Answered::new();
    let mut state = 7u64;
    for round in 0..KILLS {
        let mut running = start(dir.path());
        // What was answered before is answered so again: a sample by the hook, in another order of keys, and by look-up.
        let mut caller = Caller::new(&running.address).unwrap();
        for (n, (id, (body, bytes))) in all.iter().enumerate().filter(|(n, _)| (*n as u64 + round).is_multiple_of(37)) {
            let (status, again) = match n % 2 {
                0 => caller.ask("POST", "/v1/authorizations", body).unwrap(),
                _ => caller.ask("GET", &format!("/v1/decisions/{id}"), "").unwrap(),
            };
            assert_eq!((status, String::from_utf8_lossy(&again)), (200, String::from_utf8_lossy(bytes)), "round {round}, {id}");
        }
        let (answered, stop) = (Mutex::new(Answered::new()), AtomicBool::new(false));
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let chance = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let Some(mut caller) = Caller::new(&running.address) else { return };
                    while !stop.load(Ordering::Relaxed) {
                        let number = numbers.fetch_add(1, Ordering::Relaxed);
                        let (id, user, shop) = (format!("k-{number}"), number % 211, number % 17);
                        let body = format!(
                            r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-{user}","merchant":"m-{shop}","amount":{},"currency":"EUR"}}"#,
                            now(),
                            number % 9_000
                        );
                        let Some((status, bytes)) = caller.ask("POST", "/v1/authorizations", &body) else { return };
                        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
                        answered.lock().unwrap().insert(id, (body, bytes));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(20 + (chance >> 40) % 180));
            // SIGKILL: nothing in the process gets to run.
            running.child.kill().unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        running.child.wait().unwrap();
        all.append(&mut answered.into_inner().unwrap());
    }
    assert!(all.len() as u64 > KILLS, "only {} answers in {KILLS} rounds", all.len());
    // Starts go on from snapshots here, not only from the journal's beginning.
    let snapshots = std::fs::read_dir(dir.path().join("data/snapshots")).unwrap();
    assert!(snapshots.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "snapshot")).count() > 0);
    let mut running = start(dir.path());
    let mut caller = Caller::new(&running.address).unwrap();
    let mut sequences = BTreeMap::new();
    for (id, (body, bytes)) in &all {
        let (status, again) = caller.ask("POST", "/v1/authorizations", body).unwrap();
        assert_eq!((status, String::from_utf8_lossy(&again)), (200, String::from_utf8_lossy(bytes)), "{id}");
        let decision: serde_json::Value = serde_json::from_slice(&again).unwrap();
        let before = sequences.insert(decision["sequence"].as_u64().unwrap(), id);
        assert_eq!(before, None, "two events have one record");
    }
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let verified = Command::new(env!("CARGO_BIN_EXE_weir")).args(["journal", "verify"]).arg(dir.path().join("data")).output().unwrap();
    println!("{} answers in {KILLS} rounds\n{}", all.len(), String::from_utf8_lossy(&verified.stdout));
    assert!(verified.status.code() != Some(2), "{}", String::from_utf8_lossy(&verified.stderr));
}
