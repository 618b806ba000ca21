//! Brokers that go away: nobody at the till notices, and what waited is to be seen once when they are back.

use super::broker::{Own, Topics};
use super::crashes::caught_up;
use super::service::{Caller, Room, Running};
use super::traffic::{Stopping, decisions, ids, judged, payment, send};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// From a second on decisions say that the stream is behind.
const FRESH: &str = "[source.stream]\nfresh_max = \"1s\"\n";
/// How long brokers stay away.
const AWAY: Duration = Duration::from_secs(5);

/// A hook that is asked all the time: what it was asked, and how many answers said that the stream is behind.
struct Till {
    asked: AtomicUsize,
    behind: AtomicUsize,
    stop: AtomicBool,
}

impl Till {
    /// Asks until it is told to stop. No answer may be a stand-in's, and balancers must never hear that nobody should come here.
    fn ask_on(&self, service: &Running) {
        let mut caller = service.caller();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.asked.load(Ordering::Relaxed);
            let answer = judged_by(&mut caller, 10_000, number).0;
            let why = answer["skipped"].as_array().unwrap().iter().find(|skip| skip["part"] == "stream");
            if let Some(why) = why {
                assert_eq!(answer["status"], "degraded");
                assert!(why["why"].as_str().unwrap().ends_with("s behind"), "{answer}");
                self.behind.fetch_add(1, Ordering::Relaxed);
            }
            self.asked.store(number + 1, Ordering::Relaxed);
            let (ready, detail) = caller.ask("GET", "/readyz", "").unwrap();
            assert_eq!(ready, 200, "{}", String::from_utf8_lossy(&detail));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The engine's decision on the payment of this number, and what the answer said of where it is committed.
fn judged_by(caller: &mut Caller, deadline_ms: u32, number: usize) -> (Value, String) {
    let (id, body) = payment("till", number);
    let answer = caller.ask_within(deadline_ms, "POST", "/v1/authorizations", &body).expect("an answer");
    let decision: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, decision["event_id"].as_str()), (200, Some(&*id)), "{decision}");
    assert!(decision["status"] == "evaluated" || decision["status"] == "degraded", "{decision}");
    (decision, answer.headers.get("weir-committed").cloned().unwrap_or_default())
}

fn is_ready(service: &Running) -> bool {
    service.ask("GET", "/readyz", "").0 == 200
}

fn tills(until: usize) -> impl Iterator<Item = String> {
    (0..until).map(|n| format!("till-{n}"))
}

/// Caught when planted: a source without brokers that takes itself for fresh; figures told by whoever waits for brokers meanwhile.
#[test]
fn an_outage_is_not_noticed_at_the_till() {
    let own = Own::start();
    let topics = Topics::new(&own.bootstrap(), "outage");
    let room = Room::new(&topics.layer(""));
    room.write("fresh.toml", FRESH);
    let service = room.start("data", &["-t", "fresh.toml"]);
    send(&topics, "stream", 0, 200);
    topics.until("decisions", |seen| seen.len() >= judged("stream", 200).len());
    service.until(is_ready);
    let till = Till { asked: AtomicUsize::new(0), behind: AtomicUsize::new(0), stop: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| till.ask_on(&service));
        let stopping = Stopping(&till.stop);
        let mut sent = 200;
        for verb in ["kill", "stop"] {
            let behind = till.behind.load(Ordering::Relaxed);
            own.tell(verb);
            let since = Instant::now();
            while since.elapsed() < AWAY && !asking.is_finished() {
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(till.behind.load(Ordering::Relaxed) > behind, "{verb}: no decision said that the stream is behind");
            let figures = ["sink_lag_seconds", "hook_publish_lag_ms", "sink_lag_records"].map(|name| service.metric(name).unwrap());
            println!("{verb}: after {:?} {figures:?}", since.elapsed());
            assert!(figures[0] > 2.0 && figures[1] > 2_000.0 && figures[2] > 20.0, "{verb}: {figures:?}");
            own.tell("start");
            send(&topics, "stream", sent, sent + 200);
            sent += 200;
            let waited = judged("stream", sent).len() + till.asked.load(Ordering::Relaxed);
            topics.until("decisions", |seen| seen.len() >= waited);
            // It is fresh again.
            let behind = || service.metric("kafka_behind_seconds{topic=\"events.outage\"}").unwrap();
            service.until(|_| behind() < 1.0);
        }
        drop(stopping);
        asking.join().unwrap();
    });
    caught_up(&service);
    let all: BTreeSet<String> = judged("stream", 600).into_iter().chain(tills(till.asked.into_inner())).collect();
    assert_eq!(ids(&decisions(&topics.read("decisions"))), all);
    service.end();
    assert_eq!(ids(&decisions(&topics.read("decisions"))), all);
    assert_eq!(topics.read("rejected").len(), 0);
}

/// Whoever starts without brokers serves all the same; with them, an answer can wait until its decision is committed there.
///
/// Caught when planted: an answer that says it is committed and has not waited.
#[test]
fn without_brokers_answers_wait_no_longer_than_their_deadline() {
    let own = Own::start();
    let topics = Topics::new(&own.bootstrap(), "late");
    send(&topics, "stream", 0, 100);
    own.tell("stop");
    let room = Room::new(&format!("[authorize]\nwait_for = \"kafka\"\n{}", topics.layer("ready_lag_max = \"1s\"\n")));
    let service = room.start("data", &[]);
    let mut caller = service.caller();
    for number in 0..5 {
        let (_, committed) = judged_by(&mut caller, 800, number);
        assert_eq!(committed, "journal");
    }
    service.until(is_ready);
    own.tell("start");
    let early = topics.until("decisions", |seen| seen.len() >= judged("stream", 100).len() + 5);
    let all: BTreeSet<String> = judged("stream", 100).into_iter().chain(tills(5)).collect();
    assert_eq!(ids(&decisions(&early)), all);
    for number in 5..10 {
        let (decision, committed) = judged_by(&mut caller, 10_000, number);
        assert_eq!(committed, "kafka");
        // It is there already: nobody waits.
        let seen = topics.read("decisions").into_iter().find(|seen| seen.json()["event_id"] == decision["event_id"]);
        assert_eq!(seen.map(|seen| seen.json()), Some(decision));
    }
    own.tell("kill");
    let (decision, committed) = judged_by(&mut caller, 800, 10);
    assert_eq!(committed, "journal");
    own.tell("start");
    let seen = topics.until("decisions", |seen| seen.len() >= all.len() + 6);
    assert_eq!(decisions(&seen).len(), all.len() + 6);
    assert_eq!(decisions(&seen)["till-10"], decision);
    service.end();
}
