//! The service behind the doors: one answer for each id, whatever happens.

mod house;

use house::service::{now, runtime, start, topology};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use weir::api::{Answer, ChallengeResult, Change, Desk, Stream, Submitted};
use weir::decision::Status;
use weir::event::{Refusal, Sequence, Timestamp};
use weir::gnn::DeviceChoice;
use weir::journal::{DataDir, Disk, Files, LogKind, LogOptions, RawInput, RejectedLog, Retention, hex, verify};
use weir::metrics::Metrics;
use weir::runtime::{Input, ReplayOptions, Service, ServiceError, replay};
use weir::snapshot::Snapshots;

fn payment(id: &str, time: &str, amount: i64) -> Vec<u8> {
    let text = format!(
        r#"{{"id":"{id}","type":"payment","time":"{time}","user":"u-{}","merchant":"m-1","amount":{amount},"currency":"EUR"}}"#,
        id.len()
    );
    text.into_bytes()
}

const LONG: Duration = Duration::from_secs(20);

fn json(answer: &Answer) -> &[u8] {
    match answer {
        Answer::Decided { json, .. } => json,
        other => panic!("expected a decision, found {other:?}"),
    }
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(json(answer)).unwrap()
}

/// The first entries of the stream of decisions, as many as are asked for at least.
fn stream(runtime: &tokio::runtime::Runtime, service: &Arc<Service>, count: usize) -> Vec<Value> {
    let (mut entries, mut after) = (Vec::new(), "0".to_owned());
    while entries.len() < count {
        let page = runtime.block_on(async {
            let (service, after) = (service.clone(), after.clone());
            tokio::spawn(async move { service.page(Stream::Decisions, Some(&after), 10, LONG).await }).await.unwrap().unwrap()
        });
        assert!(!page.entries.is_empty(), "only {entries:?}");
        after = page.next;
        entries.extend(page.entries.iter().map(|(_, json)| serde_json::from_slice::<Value>(json).unwrap()));
    }
    entries
}

#[test]
fn an_id_has_one_answer_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    let first = runtime.block_on(service.authorize(&payment("p-1", &time, 700), LONG));
    assert!(matches!(first, Answer::Decided { status: Status::Evaluated, .. }), "{first:?}");
    let again = runtime.block_on(service.authorize(&payment("p-1", &time, 700), LONG));
    assert_eq!(json(&first), json(&again));
    let turned = format!(
        r#"{{"currency":"EUR","amount":700,"merchant":"m-1","unknown":[1],"user":"u-3","time":"{time}","type":"payment","id":"p-1"}}"#
    );
    let turned = runtime.block_on(service.authorize(turned.as_bytes(), LONG));
    assert_eq!(json(&first), json(&turned));
    let other = runtime.block_on(service.authorize(&payment("p-1", &time, 701), LONG));
    assert!(matches!(&other, Answer::Conflict { detail } if detail.contains("\"p-1\"")), "{other:?}");
    assert_eq!(runtime.block_on(service.decision("p-1", false)).unwrap()[..], *json(&first));
    assert_eq!(runtime.block_on(service.decision("p-2", false)), None);
    let ended = service.end().unwrap();
    drop(service);

    let service = start(dir.path());
    assert_eq!(json(&runtime.block_on(service.authorize(&payment("p-1", &time, 700), LONG))), json(&first));
    assert!(matches!(runtime.block_on(service.authorize(&payment("p-1", &time, 701), LONG)), Answer::Conflict { .. }));
    assert_eq!(service.end().unwrap(), ended, "a retry and a conflict that the answers know leave no record");
}

#[test]
fn a_stand_in_answers_when_the_judge_rests_and_it_is_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    service.pause(true);
    let deadline = Duration::from_millis(30);
    let (small, large) = runtime.block_on(async {
        let (small, large) = (payment("s-1", &time, 700), payment("s-22", &time, 700_000));
        tokio::join!(service.authorize(&small, deadline), service.authorize(&large, deadline))
    });
    for (answer, outcome) in [(&small, "approve"), (&large, "review")] {
        assert!(matches!(answer, Answer::Decided { status: Status::Fallback, .. }), "{answer:?}");
        let value = value(answer);
        assert_eq!((&value["outcome"], &value["status"], &value["revision"]), (&outcome.into(), &"fallback".into(), &2.into()));
        assert_eq!(value["skipped"][0]["part"], "judgement");
    }
    // While the judge still rests: retries, other content, and who asks.
    assert_eq!(json(&runtime.block_on(service.authorize(&payment("s-1", &time, 700), deadline))), json(&small));
    assert!(matches!(runtime.block_on(service.authorize(&payment("s-1", &time, 2), deadline)), Answer::Conflict { .. }));
    assert_eq!(runtime.block_on(service.decision("s-1", false)).unwrap()[..], *json(&small));
    service.pause(false);
    while service.judged() < service.recorded() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(json(&runtime.block_on(service.authorize(&payment("s-1", &time, 700), LONG))), json(&small));
    // The stream has both, in the order of their records.
    let told: Vec<(String, u64, String)> = stream(&runtime, &service, 4)
        .iter()
        .map(|v| (v["event_id"].as_str().unwrap().to_owned(), v["revision"].as_u64().unwrap(), v["status"].as_str().unwrap().to_owned()))
        .collect();
    for id in ["s-1", "s-22"] {
        let of: Vec<(u64, &str)> =
            told.iter().filter(|(event, ..)| event == id).map(|(_, revision, status)| (*revision, &**status)).collect();
        assert_eq!(of, [(1, "evaluated"), (2, "fallback")]);
    }
    drop(service);
    let service = start(dir.path());
    assert_eq!(json(&runtime.block_on(service.authorize(&payment("s-22", &time, 700_000), LONG))), json(&large));
}

/// From the moment that it is recorded, though the judge has not heard of it. Caught when planted: the copy of lists filled by the judge.
#[test]
fn a_stand_in_declines_who_is_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    service.pause(true);
    let said = |change: &str| runtime.block_on(service.list("blocked", change.as_bytes()));
    let answered = |service: &Arc<Service>, id: &str| {
        let answer = runtime.block_on(service.authorize(&payment(id, &time, 700), Duration::from_millis(30)));
        (value(&answer)["outcome"].as_str().unwrap().to_owned(), matches!(answer, Answer::Decided { status: Status::Fallback, .. }))
    };
    assert_eq!(answered(&service, "l-1"), ("approve".to_owned(), true));
    assert!(matches!(said(r#"{"kind":"merchant","id":"m-1"}"#), Change::Done(_)));
    assert_eq!(answered(&service, "l-2"), ("decline".to_owned(), true));
    assert!(matches!(said(r#"{"kind":"merchant","id":"m-1","remove":true}"#), Change::Done(_)));
    assert_eq!(answered(&service, "l-3"), ("approve".to_owned(), true));
    assert!(matches!(said(r#"{"kind":"merchant","id":"m-1"}"#), Change::Done(_)));
    service.pause(false);
    drop(service);
    // And after a restart, when it is read out of the engine.
    let service = start(dir.path());
    service.pause(true);
    assert_eq!(answered(&service, "l-4"), ("decline".to_owned(), true));
}

/// The answer of a stand-in bears the policy that is in force at its record, published while the judge rests and knows nothing of it yet.
/// Caught when planted: an answer that bears the policy that the service was started under.
#[test]
fn a_stand_in_answers_under_the_policy_that_was_published() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    service.pause(true);
    let answered =
        |service: &Arc<Service>, id: &str| runtime.block_on(service.authorize(&payment(id, &time, 700), Duration::from_millis(30)));
    let before = answered(&service, "s-1");
    let told = service.policy(false).unwrap();
    let text = told["text"].as_str().unwrap().replace("review_risk_score_min = 600", "review_risk_score_min = 650");
    let Change::Done(published) = runtime.block_on(service.publish(&text)) else { panic!("a sound policy") };
    let after = answered(&service, "s-22");
    assert!([&before, &after].into_iter().all(|answer| matches!(answer, Answer::Decided { status: Status::Fallback, .. })));
    assert_eq!((&value(&before)["policy"], &value(&after)["policy"]), (&told["policy"], &published["policy"]));
    assert_ne!(told["policy"], published["policy"]);
    // Retry and look-up, while the judge rests, when it has judged, and after a restart.
    let agree = |service: &Arc<Service>| {
        for (id, answer) in [("s-1", &before), ("s-22", &after)] {
            assert_eq!(json(&answered(service, id)), json(answer));
            assert_eq!(runtime.block_on(service.decision(id, false)).unwrap()[..], *json(answer));
        }
    };
    agree(&service);
    service.pause(false);
    while service.judged() < service.recorded() {
        std::thread::sleep(Duration::from_millis(1));
    }
    agree(&service);
    // The topic has judgements and answers, in the order of their records, each under the policy of its place.
    let told = stream(&runtime, &service, 4);
    let of = |id: &str| -> Vec<(&Value, &Value)> {
        told.iter().filter(|told| told["event_id"] == id).map(|told| (&told["status"], &told["policy"])).collect()
    };
    let (old, new) = (&value(&before)["policy"], &value(&after)["policy"]);
    assert_eq!(of("s-1"), [(&"evaluated".into(), old), (&"fallback".into(), old)]);
    assert_eq!(of("s-22"), [(&"evaluated".into(), new), (&"fallback".into(), new)]);
    let ended = service.end().unwrap();
    drop(service);
    let verified = verify(&(Arc::new(Disk) as Arc<dyn Files>), &DataDir::read(dir.path()).unwrap());
    let replayed = replay(
        Input::Journal(dir.path().to_owned()),
        &ReplayOptions { batch: 64, threads: 1, device: DeviceChoice::Cpu, out: None, progress: false },
    )
    .unwrap();
    assert_eq!((hex(&replayed.digest), replayed.state_hash), (verified.digest, ended.state_hash));
    let service = start(dir.path());
    agree(&service);
    assert_eq!(service.policy(false).unwrap()["policy"], published["policy"]);
    assert_eq!(service.end().unwrap(), ended);
}

#[test]
fn what_the_judge_has_no_room_for_stands_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    service.pause(true);
    let count = 9_500;
    runtime.block_on(async {
        let mut lines = tokio::task::JoinSet::new();
        for n in 0..count {
            let (service, line) = (service.clone(), payment(&format!("e-{n}"), &time, 100));
            lines.spawn(async move { service.submit(&line).await });
        }
        while let Some(line) = lines.join_next().await {
            assert!(matches!(line.unwrap(), Submitted::Recorded { .. }));
        }
    });
    service.pause(false);
    while service.judged() < service.recorded() {
        std::thread::sleep(Duration::from_millis(5));
    }
    for n in [0, 4_711, 8_999, count - 1] {
        assert!(runtime.block_on(service.decision(&format!("e-{n}"), false)).is_some(), "{n}");
    }
    let ended = service.end().unwrap();
    drop(service);
    let again = start(dir.path()).end().unwrap();
    assert_eq!(ended, again);
}

#[test]
fn refusals_are_words_and_lines_are_records() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    let refused = |json: &[u8]| match runtime.block_on(service.authorize(json, LONG)) {
        Answer::Refused { refused, detail } => (refused.reason, detail),
        other => panic!("expected a refusal, found {other:?}"),
    };
    assert_eq!(refused(b"{").0, Refusal::Malformed);
    let session = format!(r#"{{"id":"x","type":"session","time":"{time}","user":"u"}}"#);
    assert!(refused(session.as_bytes()).1.contains("expected payment or transfer"));
    assert_eq!(refused(&payment("f-1", "2199-01-01T00:00:00Z", 1)).0, Refusal::FutureDated);
    assert_eq!(refused(&payment("f-2", "2001-01-01T00:00:00Z", 1)).0, Refusal::TooOldToDeduplicate);
    let line = runtime.block_on(service.submit(b"{\"id\":7"));
    assert!(matches!(line, Submitted::Refused { refused, .. } if refused.reason == Refusal::Malformed), "{line:?}");
    let line = runtime.block_on(service.submit(&payment("l-1", &time, 5)));
    assert!(matches!(line, Submitted::Recorded { .. }), "{line:?}");
    // The same id through the other door.
    while service.judged() < service.recorded() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let answer = runtime.block_on(service.authorize(&payment("l-1", &time, 5), LONG));
    assert_eq!(runtime.block_on(service.decision("l-1", false)).unwrap()[..], *json(&answer));
}

#[test]
fn a_step_up_ends_in_a_final_decision() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let service = start(dir.path());
    // More than five in a minute are challenged by the default policy.
    let answers: Vec<Answer> = (0..8).map(|n| runtime.block_on(service.authorize(&payment(&format!("c-{n}"), &time, 100), LONG))).collect();
    assert_eq!(value(&answers[0])["outcome"], "approve");
    assert_eq!(value(&answers[7])["outcome"], "challenge");
    let passed = runtime.block_on(service.challenge("c-7", ChallengeResult::Passed, LONG)).unwrap();
    assert_eq!(value(&passed)["outcome"], "approve");
    let again = runtime.block_on(service.challenge("c-7", ChallengeResult::Passed, LONG)).unwrap();
    assert_eq!(json(&passed), json(&again));
    let failed = runtime.block_on(service.challenge("c-6", ChallengeResult::Failed, LONG)).unwrap();
    assert_eq!(value(&failed)["outcome"], "decline");
    // The first result stands. Caught before it was mended: the second one answered with 200.
    let contrary = runtime.block_on(service.challenge("c-6", ChallengeResult::Passed, LONG)).unwrap();
    assert!(matches!(&contrary, Answer::Conflict { detail } if detail.contains("c-6")), "{contrary:?}");
    let still = runtime.block_on(service.challenge("c-6", ChallengeResult::Failed, LONG)).unwrap();
    assert_eq!(json(&failed), json(&still));
    assert_eq!(runtime.block_on(service.challenge("unknown", ChallengeResult::Passed, LONG)), None);
}

/// Caught before it was mended: past `waiting_max` a retry got an answer of its own beside the one that its first caller still waited for.
#[test]
fn past_the_limit_of_waiters_an_event_has_one_answer_still() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let topology = topology("[authorize]\nwaiting_max = 1\n");
    let service = Arc::new(Service::start(&topology, dir.path(), &Metrics::new("test"), false).unwrap());
    service.pause(true);
    let ask = |id: &str, deadline| {
        let (service, body) = (service.clone(), payment(id, &time, 700));
        runtime.spawn(async move { service.authorize(&body, deadline).await })
    };
    let first = ask("w-1", Duration::from_secs(5));
    // A caller who hangs up leaves the event and its ticket to others.
    let gone = ask("w-22", LONG);
    std::thread::sleep(Duration::from_millis(200));
    gone.abort();
    assert_eq!(runtime.block_on(service.decision("w-1", false)), None, "nobody has answered yet");
    let retry = ask("w-1", Duration::from_millis(20));
    let beyond = runtime.block_on(ask("w-333", LONG)).unwrap();
    assert!(matches!(beyond, Answer::Decided { status: Status::Fallback, .. }), "{beyond:?}");
    let (first, retry) = runtime.block_on(async { (first.await.unwrap(), retry.await.unwrap()) });
    assert!(matches!(first, Answer::Decided { status: Status::Fallback, .. }), "{first:?}");
    assert_eq!(json(&first), json(&retry));
    service.pause(false);
    while service.judged() < service.recorded() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for (id, answer) in [("w-1", &first), ("w-333", &beyond)] {
        assert_eq!(json(&runtime.block_on(ask(id, LONG)).unwrap()), json(answer));
        assert_eq!(runtime.block_on(service.decision(id, false)).unwrap()[..], *json(answer));
    }
    let came_back = runtime.block_on(ask("w-22", LONG)).unwrap();
    assert_eq!(runtime.block_on(service.decision("w-22", false)).unwrap()[..], *json(&came_back));
}

/// Refused input of long ago goes at the start, though no snapshot is taken.
#[test]
fn refused_input_goes_in_its_time() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).end().unwrap();
    let place = DataDir::read(dir.path()).unwrap();
    let segments = || std::fs::read_dir(place.rejected()).unwrap().count();
    let (mut log, _) =
        RejectedLog::open(Arc::new(Disk), &place.rejected(), LogOptions { segment_bytes: 100, ..LogOptions::default() }).unwrap();
    for sequence in 0..2 {
        let input =
            RawInput { sequence: Sequence(sequence), received: Timestamp(sequence as i64), detail: String::new(), raw: vec![b'x'; 60] };
        log.append(&input).unwrap();
    }
    log.commit().unwrap();
    drop(log);
    assert_eq!(segments(), 2);
    let service = start(dir.path());
    let until = std::time::Instant::now() + LONG;
    while segments() > 1 && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(segments(), 1);
    service.end().unwrap();
}

/// A snapshot that lies before the journal's first record leads nowhere.
#[test]
fn a_snapshot_before_a_gap_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, time) = (runtime(), now());
    let topology = topology("[journal]\nsegment_bytes = 65_536\n[snapshot]\nrecords = 100\n");
    let start = || Service::start(&topology, dir.path(), &Metrics::new("test"), false);
    let service = start().unwrap();
    let place = DataDir::read(dir.path()).unwrap();
    let snapshots = Snapshots::at(Arc::new(Disk), &place.snapshots());
    let (mut first, mut number) = (None, 0);
    while service.recorded() < 2_000 {
        number += 1;
        let answer = runtime.block_on(service.authorize(&payment(&format!("g-{number}"), &time, 700), LONG));
        assert!(matches!(answer, Answer::Decided { .. }), "{answer:?}");
        if let (None, Some(kept)) = (&first, snapshots.list().unwrap().pop()) {
            let bytes = std::fs::read(&kept.path).unwrap();
            first = Some((kept, bytes));
        }
    }
    service.end().unwrap();
    let retention = Retention::of(Arc::new(Disk), &place.journal(), LogKind::Journal);
    let newest = snapshots.list().unwrap()[0].sequence;
    let begins = retention.apply(newest, Timestamp::MAX).unwrap();
    drop(service);
    start().unwrap().end().unwrap();
    for kept in snapshots.list().unwrap() {
        std::fs::remove_file(kept.path).unwrap();
    }
    let (kept, bytes) = first.unwrap();
    assert!(kept.sequence < begins, "{kept:?}, the journal begins at {begins:?}");
    std::fs::write(&kept.path, bytes).unwrap();
    match start().map(drop) {
        Err(ServiceError::NoSnapshot { first }) => assert_eq!(first, begins),
        other => panic!("expected that no snapshot leads there, found {other:?}"),
    }
}
