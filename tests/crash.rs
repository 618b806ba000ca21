//! `kill -9` under load: every answer that a caller got is the same afterwards, and nothing is applied twice.

mod house;

use house::service::{Caller, Room, Running, now};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// So often that starts go on from snapshots here, not only from the journal's beginning.
const OFTEN: &str = "
[snapshot]
records = 60
every = \"300ms\"
";

/// What every caller got, by id: the body that was sent, and the answer's bytes.
type Answered = BTreeMap<String, (String, Vec<u8>)>;

const KILLS: u64 = 50;

fn payment(id: &str, number: u64) -> String {
    let (user, shop, amount) = (number % 211, number % 17, number % 9_000);
    format!(
        r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-{user}","merchant":"m-{shop}","amount":{amount},"currency":"EUR"}}"#,
        now()
    )
}

/// Caught when planted: answers that leave before the journal's write; a restart that takes outputs for journalled that are not.
#[test]
fn answers_survive_kill_9() {
    let room = Room::new(OFTEN);
    let numbers = AtomicU64::new(0);
    let mut all = Answered::new();
    let mut state = 7u64;
    for round in 0..KILLS {
        let mut running = room.start("data", &[]);
        // What was answered before is answered so again: a sample by the hook, in another order of keys, and by look-up.
        let mut caller = running.caller();
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
                        let id = format!("k-{number}");
                        let body = payment(&id, number);
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
    let snapshots = std::fs::read_dir(room.path("data/snapshots")).unwrap();
    assert!(snapshots.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "snapshot")).count() > 0);
    let running = room.start("data", &[]);
    let mut caller = running.caller();
    let mut sequences = BTreeMap::new();
    for (id, (body, bytes)) in &all {
        let (status, again) = caller.ask("POST", "/v1/authorizations", body).unwrap();
        assert_eq!((status, String::from_utf8_lossy(&again)), (200, String::from_utf8_lossy(bytes)), "{id}");
        let decision: serde_json::Value = serde_json::from_slice(&again).unwrap();
        let before = sequences.insert(decision["sequence"].as_u64().unwrap(), id);
        assert_eq!(before, None, "two events have one record");
    }
    running.kill();
    let verified = room.weir(&["journal", "verify", "data"]);
    println!("{} answers in {KILLS} rounds\n{}", all.len(), String::from_utf8_lossy(&verified.stdout));
    assert!(verified.status.code() != Some(2), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// So seldom that none is taken here in its time. An eighth of the records is 100.
const SELDOM: &str = "
[snapshot]
records = 800
every = \"1h\"
";

/// The sequences of the snapshots, by the names of their files.
fn snapshots(room: &Room) -> Vec<u64> {
    let entries = std::fs::read_dir(room.path("data/snapshots")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut taken: Vec<u64> = names.filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok()).collect();
    taken.sort_unstable();
    taken
}

/// Has `number` payments judged that nobody asked for before, and is killed.
fn killed_after(running: Running, asked: &mut u64, number: u64) {
    let mut caller = running.caller();
    for _ in 0..number {
        let (status, bytes) = caller.ask("POST", "/v1/authorizations", &payment(&format!("s-{asked}"), *asked)).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        *asked += 1;
    }
    running.kill();
}

/// A start that stepped much begins with a snapshot; one behind a process that was killed before its snapshot was done takes it before it
/// serves, so that whatever the pace of kills none steps more than the one before.
///
/// Caught when planted: no snapshot due at a start; one that is not waited for.
#[test]
fn a_start_that_stepped_much_takes_a_snapshot_and_behind_an_unfinished_one_at_once() {
    let room = Room::new(SELDOM);
    let mut asked = 0;
    killed_after(room.start("data", &[]), &mut asked, 150);
    assert_eq!(snapshots(&room), [0u64; 0]);
    let running = room.start("data", &[]);
    running.until(|_| !snapshots(&room).is_empty());
    let first = snapshots(&room)[0];
    assert!((150..400).contains(&first), "{first}");
    killed_after(running, &mut asked, 10);
    // Few records were stepped: what was left in the making changes nothing.
    let unfinished = || std::fs::write(room.path("data/snapshots/00000000000000000007.partial"), b"WEIR").unwrap();
    unfinished();
    let running = room.start("data", &[]);
    killed_after(running, &mut asked, 150);
    assert_eq!(snapshots(&room), [first]);
    for _ in 0..3 {
        unfinished();
        let before = snapshots(&room).pop();
        // It is there as soon as somebody can ask.
        let running = room.start("data", &[]);
        let taken = snapshots(&room).pop();
        assert!(taken > before.map(|before| before + 150), "{taken:?} behind {before:?}\n{}", room.log("data"));
        let stood = running.ask("GET", &format!("/v1/decisions/s-{}", asked - 1), "");
        assert_eq!(stood.0, 200, "{}", stood.1);
        killed_after(running, &mut asked, 160);
    }
    // One that was begun where this start begins may be what ended the process before: it is not waited for again.
    let waited = || room.log("data").matches("before this process serves").count();
    assert_eq!(waited(), 3);
    std::fs::write(room.path(&format!("data/snapshots/{:020}.partial", u64::MAX >> 1)), b"WEIR").unwrap();
    killed_after(room.start("data", &[]), &mut asked, 1);
    assert_eq!(waited(), 3);
}
