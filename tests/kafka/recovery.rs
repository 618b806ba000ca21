//! A data directory that was lost, and a copy of how it was before.

use super::broker::{Topics, shared};
use super::service::{Room, Running};
use super::traffic::{decisions, event, is_judged, judged, send};
use std::collections::BTreeSet;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Sends what is judged of `from..until` to the hook.
fn ask(service: &Running, run: &str, from: usize, until: usize) {
    let mut caller = service.caller();
    for n in (from..until).filter(|n| is_judged(*n)) {
        let (status, body) = caller.ask("POST", "/v1/authorizations", &event(run, n).1).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn an_old_copy_goes_on_with_what_the_topics_know_and_nothing_is_published_twice() {
    let topics = Topics::new(shared(), "lost");
    let room = Room::new(&topics.layer(""));
    let service = room.start("data", &[]);
    send(&topics, "lost", 0, 200);
    ask(&service, "hook", 0, 20);
    topics.until("decisions", |seen| seen.len() >= 90 + 9);
    service.kill();
    copy(&room.path("data"), &room.path("copy"));
    let service = room.start("data", &[]);
    send(&topics, "lost", 200, 500);
    ask(&service, "hook", 20, 60);
    send(&topics, "lost", 500, 520);
    let before = topics.until("decisions", |seen| seen.len() >= 234 + 27);
    service.kill();
    // The disk is gone. The copy does not go on by itself.
    let service = room.start("copy", &[]);
    service.until(|service| service.ask("GET", "/readyz", "").1["detail"].as_str().unwrap().contains("--recover"));
    service.kill();
    // Killed while it restores, it goes on with that, whether it is told to or not.
    for (flag, rest) in [(true, 900), (false, 700), (false, 1_100), (true, 1_300)] {
        let service = room.start("copy", if flag { &["--recover"] } else { &[] });
        std::thread::sleep(std::time::Duration::from_millis(rest));
        service.kill();
    }
    let service = room.start("copy", &["--recover"]);
    service.until(|service| service.ask("GET", "/readyz", "").0 == 200);
    service.until(|service| room.log("copy").contains("the shard is restored") && service.metric("sink_lag_records") == Some(0.0));
    assert_eq!(service.metric("kafka_recovered_total{decision=\"lost\"}").unwrap_or_default(), 0.0);
    assert_eq!(topics.read("decisions").len(), before.len(), "what was published is not published again");
    // What the lost journal answered has its answer, and the same event asked again gets it.
    assert_eq!(service.ask("GET", "/v1/decisions/hook-47", "").0, 200);
    send(&topics, "lost", 520, 620);
    ask(&service, "hook", 60, 80);
    let seen = topics.until("decisions", |seen| seen.len() >= before.len() + 45 + 9);
    let hook = (0..80).filter(|n| is_judged(*n)).map(|n| format!("hook-{n}"));
    let all: BTreeSet<String> = judged("lost", 620).into_iter().chain(hook).collect();
    assert_eq!(decisions(&seen).into_keys().collect::<BTreeSet<_>>(), all);
    let events = topics.read("events");
    let told = events.iter().filter(|seen| seen.headers.contains_key("weir-shard")).count();
    assert_eq!(told, 36, "each event of the hook is told once");
    service.end();
    assert!(!room.path("copy/restoring.json").exists());
    // A restart is one as any other, and what the journal holds gives what was answered.
    let service = room.start("copy", &[]);
    service.until(|service| service.ask("GET", "/readyz", "").0 == 200);
    service.end();
    room.done(&["replay", "copy"]);
}
