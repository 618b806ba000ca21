//! Leader and standby as processes: what was answered stays answered when the leader is killed and the standby promoted; who led before is
//! fenced, and becomes a standby itself unless it holds what the new leader never got.

mod house;

use house::service::{Caller, PATIENCE, Room, Running, now};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn promote(url: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(["promote", "--json", "--url", url]).output().unwrap()
}

/// Stands between a standby and its leader, and can hold back the journal: what an overloaded line does.
struct Line {
    address: String,
    holds: Arc<AtomicBool>,
}

impl Line {
    fn to(leader: &str) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, holds) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicBool::new(false)));
        let (held, leader) = (holds.clone(), leader.to_owned());
        // Both threads of a connection end with it, and all of them with the test.
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&leader) else { continue };
                let mut head = BufReader::new(near.try_clone().unwrap());
                let mut first = String::new();
                if head.read_line(&mut first).is_err() || (&far).write_all(first.as_bytes()).is_err() {
                    continue;
                }
                let journal = first.contains(" /v1/journal");
                let (held, sink) = (held.clone(), far.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut head, &mut &sink));
                std::thread::spawn(move || {
                    let mut bytes = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = (&far).read(&mut bytes) {
                        while journal && held.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        if (&near).write_all(&bytes[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = near.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Line { address, holds }
    }

    fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }
}

fn payment(id: &str, number: u64) -> String {
    let (user, shop, amount) = (number % 211, number % 17, number % 9_000);
    format!(
        r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-{user}","merchant":"m-{shop}","amount":{amount},"currency":"EUR"}}"#,
        now()
    )
}

/// What callers got, by id: the body that was sent, the answer's bytes, and when it came.
type Answered = BTreeMap<String, (String, Vec<u8>, Instant)>;

/// Sends payments over four connections, about `rate` a second, until the leader breaks off or `during` has come back.
fn traffic(address: &str, prefix: &str, rate: u64, during: impl FnOnce()) -> Answered {
    const CALLERS: u64 = 4;
    let (answered, stop, numbers) = (Mutex::new(Answered::new()), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let Some(mut caller) = Caller::new(address) else { return };
                let mut due = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    due += Duration::from_micros(1_000_000 * CALLERS / rate);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let id = format!("{prefix}-{number}");
                    let body = payment(&id, number);
                    let Some((status, bytes)) = caller.ask("POST", "/v1/authorizations", &body) else { return };
                    if status == 503 {
                        return;
                    }
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
                    answered.lock().unwrap().insert(id, (body, bytes, Instant::now()));
                }
            });
        }
        during();
        stop.store(true, Ordering::Relaxed);
    });
    answered.into_inner().unwrap()
}

/// Asks again for everything that was answered; returns how long before `killed` those were answered that the standby never got.
fn asked_again(running: &Running, answered: &Answered, killed: Instant) -> Vec<Duration> {
    let mut caller = running.caller();
    let mut lost = Vec::new();
    for (id, (body, bytes, at)) in answered {
        let (status, decision) = caller.ask("GET", &format!("/v1/decisions/{id}"), "").unwrap();
        if status == 404 {
            lost.push(killed.saturating_duration_since(*at));
            continue;
        }
        assert_eq!((status, String::from_utf8_lossy(&decision)), (200, String::from_utf8_lossy(bytes)), "{id}");
        let (status, again) = caller.ask("POST", "/v1/authorizations", body).unwrap();
        assert_eq!((status, String::from_utf8_lossy(&again)), (200, String::from_utf8_lossy(bytes)), "{id}");
    }
    lost
}

/// Caught when planted: a course that depended on how records were cut into batches – the standby stopped.
#[test]
fn what_was_answered_stays_answered_when_the_leader_is_killed() {
    let room = Room::new("");
    let mut leader = room.start("first", &[]);
    // Before there is a standby, for it to catch up with.
    let mut answered = traffic(&leader.address, "early", 2_000, || std::thread::sleep(Duration::from_millis(500)));
    let standby = room.start("second", &["--follow", &leader.url()]);
    standby.caught_up();
    let (status, told) = standby.ask("GET", "/readyz", "");
    assert_eq!((status, told["title"].as_str()), (503, Some("traffic should not come here now")));
    let (status, body) = standby.caller().ask("POST", "/v1/authorizations", &payment("x", 1)).unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, told["type"].as_str()), (503, Some("urn:weir:problem:elsewhere")));
    assert!(told["detail"].as_str().unwrap().contains(&format!("a standby of {}", leader.url())), "{told}");
    assert_eq!(standby.ask("GET", "/v1/leader", "").1["role"], "standby");

    let mut killed = Instant::now();
    let address = leader.address.clone();
    let more = traffic(&address, "late", 2_000, || {
        // Past a checkpoint, and some seconds of it.
        let until = Instant::now() + PATIENCE;
        std::thread::sleep(Duration::from_millis(4_000));
        while leader.metric("journal_records_total").unwrap() < 10_500.0 {
            assert!(Instant::now() < until, "too slow for a checkpoint");
            std::thread::sleep(Duration::from_millis(50));
        }
        killed = Instant::now();
        leader.child.kill().unwrap();
    });
    let count = more.len();
    answered.extend(more);
    let promoted = promote(&standby.url());
    let told: Value = serde_json::from_slice(&promoted.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&promoted.stderr)));
    assert_eq!((promoted.status.code(), &told["epoch"], &told["old_leader_fenced"]), (Some(1), &2.into(), &false.into()));
    let (status, first) = standby.caller().ask("POST", "/v1/authorizations", &payment("after", 5)).unwrap();
    let took = killed.elapsed();
    let first: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((status, first["status"].as_str()), (200, Some("evaluated")), "{first}");
    let lost = asked_again(&standby, &answered, killed);
    let oldest = lost.iter().max().copied().unwrap_or_default();
    println!(
        "{count} answers while following, {} in all; first answer of the promoted standby {} ms after the kill (its own part {} ms); {} answered \
         events had not reached it, the oldest answered {:.1} ms before the kill",
        answered.len(),
        took.as_millis(),
        (told["seconds"].as_f64().unwrap() * 1e3) as u64,
        lost.len(),
        oldest.as_secs_f64() * 1e3
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(count > 3_000, "only {count} answers");
    assert!(lost.len() < count / 20 && oldest < Duration::from_secs(2), "{} lost, the oldest {oldest:?}", lost.len());
    assert!(standby.metric("standby_checkpoints_total").unwrap() >= 1.0, "a checkpoint was compared");
    assert_eq!(standby.metric("standby_mismatches_total"), Some(0.0));
    let (status, ready) = standby.ask("GET", "/readyz", "");
    assert_eq!((status, &ready["ready"]), (200, &true.into()));

    // The old leader comes back as if nothing had happened: it hears within a second or two, and takes nothing then.
    let old = room.start("first", &["--peer", &standby.url()]);
    let (status, body) = old.caller().ask("POST", "/v1/authorizations", &payment("y", 1)).unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, told["type"].as_str()), (503, Some("urn:weir:problem:elsewhere")));
    assert!(told["detail"].as_str().unwrap().starts_with(&format!("fenced: epoch 2 leads at {}", standby.url())), "{told}");
    drop(old);
    // Also without being asked for it: the fence is on disk.
    let old = room.start("first", &[]);
    assert_eq!(old.ask("GET", "/v1/leader", "").1["role"], "fenced");
    drop(old);
    // Where it holds what the new leader never got – answered or on its way to be – it says so; else it becomes the standby.
    let mut again = room.service("first", &["--follow", &standby.url()]).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(status) = again.try_wait().unwrap() {
            break Some(status.code());
        }
        if !room.path("first").join("fenced").exists() {
            break None;
        }
        assert!(Instant::now() < until, "{}", room.log("first"));
        std::thread::sleep(Duration::from_millis(20));
    };
    let _ = again.kill();
    again.wait().unwrap();
    println!("the old leader as a standby: {}", if ended.is_some() { "refused, it holds more" } else { "follows" });
    match ended {
        None => assert!(lost.is_empty(), "{} answers that the new leader never got", lost.len()),
        Some(code) => {
            assert_eq!(code, Some(1));
            assert!(room.log("first").contains("this directory holds records that"), "{}", room.log("first"));
        }
    }
}

/// A leader that lives hands over all that it recorded, and then follows. Caught when planted: answers not noted while following.
#[test]
fn a_living_leader_hands_over_without_a_loss() {
    let room = Room::new("");
    let first = room.start("first", &[]);
    let second = room.start("second", &["--follow", &first.url()]);
    second.caught_up();
    // A leader that comes back at once is followed again.
    let address = first.address.clone();
    drop(first);
    let first = room.start("first", &["--listen", &address]);
    drop(traffic(&first.address, "again", 500, || std::thread::sleep(Duration::from_millis(300))));
    second.caught_up();
    let mut told = Value::Null;
    let answered = traffic(&first.address, "p", 1_000, || {
        std::thread::sleep(Duration::from_millis(1_500));
        let promoted = promote(&second.url());
        assert_eq!(promoted.status.code(), Some(0), "{}", String::from_utf8_lossy(&promoted.stderr));
        told = serde_json::from_slice(&promoted.stdout).unwrap();
    });
    println!("{} answers; {told}", answered.len());
    assert!(answered.len() > 200);
    assert_eq!(asked_again(&second, &answered, Instant::now()).len(), 0);
    // The old one answers what it answered, and takes nothing.
    let (id, (_, bytes, _)) = answered.first_key_value().unwrap();
    let (status, decision) = first.caller().ask("GET", &format!("/v1/decisions/{id}"), "").unwrap();
    assert_eq!((status, &decision), (200, bytes));
    let (status, _) = first.caller().ask("POST", "/v1/authorizations", &payment("z", 1)).unwrap();
    assert_eq!(status, 503);
    assert!(room.log("first").contains("fenced"));
    // A second promotion is none.
    assert_eq!(promote(&second.url()).status.code(), Some(2));
    drop(first);
    let first = room.start("first", &["--follow", &second.url()]);
    first.caught_up();
    assert!(!room.path("first").join("fenced").exists());
    let again = promote(&first.url());
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((again.status.code(), &told["epoch"]), (Some(0), &3.into()), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(asked_again(&first, &answered, Instant::now()).len(), 0);
    // Both journals are one, and whole.
    for data in ["first", "second"] {
        // Also while a process writes it.
        let verified = room.weir(&["journal", "verify", data]);
        assert!(verified.status.code() != Some(2), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// What the fenced leader holds and cannot hand over is said aloud.
#[test]
fn what_does_not_come_from_a_living_leader_is_told() {
    let room = Room::new("");
    let leader = room.start("first", &[]);
    let line = Line::to(&leader.address);
    let standby = room.start("second", &["--follow", &format!("http://{}", line.address)]);
    drop(traffic(&leader.address, "a", 1_000, || std::thread::sleep(Duration::from_millis(500))));
    standby.caught_up();
    line.hold(true);
    let held = traffic(&leader.address, "b", 1_000, || std::thread::sleep(Duration::from_millis(500)));
    let promoted = promote(&standby.url());
    let (told, said) = (String::from_utf8_lossy(&promoted.stdout), String::from_utf8_lossy(&promoted.stderr));
    let reply: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((promoted.status.code(), &reply["old_leader_fenced"]), (Some(1), &true.into()), "{told}");
    let lost = asked_again(&standby, &held, Instant::now()).len() as u64;
    let missing = reply["missing"].as_u64().unwrap();
    // Ticks are records too.
    assert!(lost > 50 && (lost..lost + 30).contains(&missing), "{missing} missing, {lost} answers lost");
    assert!(said.contains(&format!("MISSING: {missing} records")), "{said}");
}

/// What comes late comes all the same, also over a connection that has to be made again.
#[test]
fn promotion_waits_for_records_that_are_on_their_way() {
    let room = Room::new("");
    let leader = room.start("first", &[]);
    let line = Line::to(&leader.address);
    let standby = room.start("second", &["--follow", &format!("http://{}", line.address)]);
    standby.caught_up();
    line.hold(true);
    let held = traffic(&leader.address, "b", 1_000, || std::thread::sleep(Duration::from_millis(500)));
    let promoted = std::thread::scope(|scope| {
        let promoting = scope.spawn(|| promote(&standby.url()));
        std::thread::sleep(Duration::from_secs(4));
        line.hold(false);
        promoting.join().unwrap()
    });
    assert_eq!(promoted.status.code(), Some(0), "{}", String::from_utf8_lossy(&promoted.stderr));
    assert_eq!(asked_again(&standby, &held, Instant::now()).len(), 0);
}

/// A fence for the one holds against the other, who asks in the same epoch.
#[test]
fn of_two_standbys_one_leads() {
    let room = Room::new("");
    let first = room.start("first", &[]);
    let follow = ["--follow", &first.url()];
    let (second, third) = (room.start("second", &follow), room.start("third", &follow));
    second.caught_up();
    third.caught_up();
    assert_eq!(promote(&second.url()).status.code(), Some(0));
    let refused = promote(&third.url());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("fenced: epoch 2 leads at {}", second.url())), "{said}");
    assert_eq!(third.ask("GET", "/v1/leader", "").1["role"], "standby");
    // Asking again is no new fence.
    let body = format!(r#"{{"epoch":2,"leader":"{}"}}"#, second.url());
    assert_eq!(first.caller().ask("POST", "/v1/fence", &body).unwrap().0, 200);
    // Nor does who became the standby of one give way to the other.
    drop(first);
    let first = room.start("first", &["--follow", &second.url()]);
    first.caught_up();
    assert_eq!(first.caller().ask("POST", "/v1/fence", &body).unwrap().0, 200);
    let body = format!(r#"{{"epoch":2,"leader":"{}"}}"#, third.url());
    assert_eq!(first.caller().ask("POST", "/v1/fence", &body).unwrap().0, 409);
}

/// A leader that is ended in order takes nothing with it.
#[test]
fn a_leader_that_ends_hands_over_what_it_answered_last() {
    let room = Room::new("");
    let mut leader = room.start("first", &[]);
    let standby = room.start("second", &["--follow", &leader.url()]);
    standby.caught_up();
    let address = leader.address.clone();
    let answered = traffic(&address, "p", 2_000, || {
        std::thread::sleep(Duration::from_millis(1_500));
        leader.terminate();
        let began = Instant::now();
        assert!(leader.child.wait().unwrap().success());
        assert!(began.elapsed() < Duration::from_secs(8), "the end waited for its standby: {:?}", began.elapsed());
    });
    let promoted = promote(&standby.url());
    let told: Value = serde_json::from_slice(&promoted.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&promoted.stderr)));
    assert_eq!((promoted.status.code(), &told["missing"]), (Some(1), &0.into()));
    assert!(answered.len() > 500, "{}", answered.len());
    assert_eq!(asked_again(&standby, &answered, Instant::now()).len(), 0);
    // Not even a tick is missing: it can follow.
    let first = room.start("first", &["--follow", &standby.url()]);
    first.caught_up();
}

#[test]
fn what_does_not_fit_is_refused() {
    let room = Room::new("");
    let leader = room.start("first", &[]);
    drop(traffic(&leader.address, "a", 500, || std::thread::sleep(Duration::from_millis(300))));
    let refused = |data: &str, more: &[&str]| {
        let mut child = room.service(data, more).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it goes on: {}", room.log(data));
            std::thread::sleep(Duration::from_millis(20));
        }
        (child.wait().unwrap().code(), room.log(data))
    };
    let url = leader.url();
    // Another topology.
    room.write("other.toml", "[dedupe]\ndays = 3\n");
    let (code, log) = refused("other", &["-t", "other.toml", "--follow", &url]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("runs with the topology"), "{log}");
    // Another journal.
    drop(room.start("own", &[]));
    let (code, log) = refused("own", &["--follow", &url]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("is another than that of"), "{log}");
    // A leader is promoted by nobody; and no key is told by an address.
    assert_eq!(promote(&url).status.code(), Some(2));
    assert_eq!(promote("127.0.0.1:1").status.code(), Some(2));
}
