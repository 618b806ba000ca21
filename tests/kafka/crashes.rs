//! `kill -9` and full disks while events come from a topic and by the hook: in what is committed each has its one decision.

use super::broker::{Topics, shared};
use super::service::{Caller, PATIENCE, Room, Running, address};
use super::traffic::{Stopping, decisions, ids, judged, payment, send};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// So often that starts go on from snapshots here, not only from the journal's beginning.
const OFTEN: &str = "
[snapshot]
records = 200
every = \"500ms\"
";

/// Files of a full disk do not grow beyond it.
const FILE_BYTES_MAX: u32 = 400_000;

const KILLS: u64 = 8;
const SEED: u64 = 6;

/// splitmix64
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Asks for payments until it is told to stop, and again after each crash until somebody answers: the answers by id.
fn ask_on(at: &Mutex<String>, stop: &AtomicBool) -> BTreeMap<String, Vec<u8>> {
    let (mut caller, mut answers) = (None, BTreeMap::new());
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, body) = payment("hook", number);
        let until = Instant::now() + PATIENCE;
        let bytes = loop {
            assert!(Instant::now() < until, "{id}: nobody answers");
            if caller.is_none() {
                caller = Caller::new(&at.lock().unwrap());
            }
            match caller.as_mut().and_then(|caller| caller.ask("POST", "/v1/authorizations", &body)) {
                Some((200, bytes)) => break bytes,
                Some((503, _)) | None => {
                    caller = None;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some((status, bytes)) => panic!("{id}: {status} {}", String::from_utf8_lossy(&bytes)),
            }
        };
        answers.insert(id, bytes);
        std::thread::sleep(Duration::from_millis(5));
    }
    answers
}

/// The state that `weir run` named when it ended.
fn state_at_end(log: &str) -> Option<&str> {
    let line = log.lines().rfind(|line| line.contains("ended"))?;
    line.split_once("state=").map(|(_, state)| state.trim())
}

/// Caught when planted: the record before the last that was sent, sent again; the one behind it passed over.
#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    let topics = Topics::new(shared(), "crashes");
    let room = Room::new(&format!("{OFTEN}{}", topics.layer("")));
    let mut chance = Chance(SEED);
    let service = room.start("data", &[]);
    let (at, stop) = (Mutex::new(service.address.clone()), AtomicBool::new(false));
    let (sent, answers, service) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_on(&at, &stop));
        let producing = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                send(&topics, "crash", sent, sent + 200);
                sent += 200;
                std::thread::sleep(Duration::from_millis(50));
            }
            sent
        });
        let stopping = Stopping(&stop);
        let mut service = service;
        for kill in 0..KILLS {
            let rest = Duration::from_millis(100 + chance.below(3_000));
            println!("kill {kill} of seed {SEED} after {rest:?}");
            std::thread::sleep(rest);
            service.kill();
            service = room.start("data", &[]);
            *at.lock().unwrap() = service.address.clone();
        }
        drop(stopping);
        (producing.join().unwrap(), asking.join().unwrap(), service)
    });
    let asked: BTreeSet<String> = judged("crash", sent).into_iter().chain(answers.keys().cloned()).collect();
    topics.until("decisions", |seen| seen.len() >= asked.len());
    caught_up(&service);
    service.end();
    let seen = topics.read("decisions");
    let found = decisions(&seen);
    assert_eq!(ids(&found), asked);
    assert_eq!(ids(&decisions(&topics.read("internal"))), asked);
    println!("{sent} events sent, {} answers by the hook, {} decisions", answers.len(), found.len());
    assert!(answers.len() > 100 && found.len() > 500);
    // The first transaction of a producer takes a second to come: some were killed before, most while they sent.
    assert!(begun(&room, "data") as u64 > KILLS / 2, "{}", room.log("data"));
    // Callers heard what stands in the topic, whichever process told them.
    let values: BTreeMap<String, &[u8]> = seen.iter().map(|seen| (text(&seen.json(), "event_id"), &*seen.value)).collect();
    for (id, answer) in &answers {
        assert_eq!(String::from_utf8_lossy(values[id]), String::from_utf8_lossy(answer), "{id}");
    }
    // Events of the hook stand in their topic once, and were not read back.
    let told: Vec<String> =
        topics.read("events").iter().filter(|seen| seen.headers.contains_key("weir-shard")).map(|seen| text(&seen.json(), "id")).collect();
    assert_eq!(told.len(), answers.len());
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), answers.keys().cloned().collect());
    // Nothing was refused as something that came before, or for any other reason.
    assert_eq!(topics.read("rejected").len(), 0);
    same_by_journal(&room, &seen.iter().map(|seen| (sequence(&seen.json()), seen.value.clone())).collect());
}

/// A service that hears of a file that may not grow further by an error, not by a signal that ends it.
fn start_unsignalled(room: &Room) -> Running {
    let weir = room.command(&["run", "-t", "small.toml", "--data", "data", "--listen", "127.0.0.1:0"]);
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(weir.get_program())
        .args(weir.get_args())
        .current_dir(room.path(""))
        .stdout(Stdio::piped())
        .stderr(File::create(room.path("data.log")).unwrap())
        .spawn()
        .unwrap();
    let address = address(&mut child).unwrap_or_else(|line| panic!("found {line:?}\n{}", room.log("data")));
    Running { child, address }
}

/// As on a full disk, but for the error's name: no file may grow beyond a limit.
///
/// Caught when planted: a journal that fails and does not say so.
#[test]
fn a_full_disk_ends_the_journal_and_with_room_everything_is_there_once() {
    let topics = Topics::new(shared(), "full");
    let room = Room::new(&topics.layer(""));
    let service = start_unsignalled(&room);
    let limit = [format!("--pid={}", service.child.id()), format!("--fsize={FILE_BYTES_MAX}")];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    let (mut sent, mut asked, mut caller) = (0, 0, service.caller());
    let stopped = loop {
        send(&topics, "full", sent, sent + 500);
        sent += 500;
        let (_, line) = payment("hook", asked);
        let (status, _) = caller.ask("POST", "/v1/authorizations", &line).unwrap();
        // Whoever hears no answer asks again later.
        if status != 200 {
            break status;
        }
        asked += 1;
        assert!(sent < 200_000, "no file is full");
    };
    assert_eq!(stopped, 503);
    let (status, ready) = service.ask("GET", "/readyz", "");
    assert_eq!(status, 503);
    // The journal or the log of outputs: whichever was full first.
    assert!(ready["detail"].as_str().unwrap().contains(".log: writing: File too large"), "{ready}");
    assert_eq!(service.metric("journal_failed"), Some(1.0));
    send(&topics, "full", sent, sent + 100);
    sent += 100;
    service.kill();
    let service = room.start("data", &[]);
    let (id, line) = payment("hook", asked);
    assert_eq!(service.ask("POST", "/v1/authorizations", &line).0, 200, "{id}");
    let all: BTreeSet<String> = judged("full", sent).into_iter().chain((0..=asked).map(|n| payment("hook", n).0)).collect();
    topics.until("decisions", |seen| seen.len() >= all.len());
    caught_up(&service);
    service.end();
    let seen = topics.read("decisions");
    assert_eq!(ids(&decisions(&seen)), all);
    assert_eq!(topics.read("rejected").len(), 0);
    same_by_journal(&room, &seen.iter().map(|seen| (sequence(&seen.json()), seen.value.clone())).collect());
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap().to_owned()
}

fn sequence(decision: &Value) -> u64 {
    decision["sequence"].as_u64().unwrap()
}

/// How often services with this data directory have begun to send.
pub fn begun(room: &Room, data: &str) -> usize {
    room.log(data).matches("outputs are sent to topics from this record on").count()
}

/// Waits until all that was recorded is sent.
pub fn caught_up(service: &Running) {
    service.until(|service| service.metric("sink_lag_records") == Some(0.0));
}

/// The data directory gives the same decisions, byte for byte, and its journal, stepped anew, the same outputs and the same state.
fn same_by_journal(room: &Room, sent: &BTreeMap<u64, Vec<u8>>) {
    let sent: Vec<_> = sent.values().map(|value| String::from_utf8_lossy(value)).collect();
    let kept = room.done(&["tail", "decisions", "--data", "data"]);
    assert_eq!(kept.lines().collect::<Vec<_>>(), sent);
    let (kept, stepped) = (room.json(&["journal", "verify", "data", "--json"]), room.json(&["replay", "data", "--json"]));
    assert_eq!((stepped["digest"].as_str(), stepped["digest"].is_string()), (kept["digest"].as_str(), true), "{kept}\n{stepped}");
    assert_eq!(stepped["state_hash"].as_str(), state_at_end(&room.log("data")), "{stepped}");
}
