//! The engine stands still while callers come, and then the process is killed: every caller has had one answer, and it is the answer still.

mod house;

use house::service::{now, runtime, start};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use weir::api::{Answer, Desk};
use weir::decision::Status;

/// Tells the process that is killed where its data are, and begins each line by which it tells what a caller got.
const DATA: &str = "WEIR_TEST_PAUSED";
const TOLD: &str = "answered ";
/// Each has two records, the event's and the stand-in's: more than wait for the engine, so some stand in the journal alone.
const ANSWERS: usize = 6_000;
const PER_SECOND: u32 = 2_000;
const DEADLINE: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn answers_given_while_the_engine_stood_still_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
        .env(DATA, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers: BTreeMap<String, String> = BTreeMap::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        // The last one may be cut.
        let Some((body, answer)) = line.strip_prefix(TOLD).and_then(|told| told.split_once('\t')) else { continue };
        let Some(answer) = answer.strip_suffix('\t') else { continue };
        let before = answers.insert(body.to_owned(), answer.to_owned());
        assert!(before.is_none_or(|before| before == answer), "two answers to {body}");
        if answers.len() == ANSWERS && !killed {
            // SIGKILL: nothing in the process gets to run.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "it ended after {} answers", answers.len());

    let (runtime, service) = (runtime(), start(dir.path()));
    for (body, answer) in &answers {
        match runtime.block_on(service.authorize(body.as_bytes(), LONG)) {
            Answer::Decided { status: Status::Fallback, json, .. } => assert_eq!(&String::from_utf8_lossy(&json), answer, "{body}"),
            other => panic!("expected the stand-in's answer to {body}, found {other:?}"),
        }
    }
    // Each was judged all the same, once.
    assert_eq!(service.judged(), service.recorded());
    service.end().unwrap();
}

#[test]
#[ignore = "is no test: the one above runs it in a process of its own and kills it"]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(DATA) else { return };
    let service = start(Path::new(&dir));
    service.pause(true);
    let began = Instant::now();
    runtime().block_on(async {
        for number in 0.. {
            let due = began + Duration::from_secs(1) / PER_SECOND * number;
            assert!(began.elapsed() < 10 * LONG, "nobody has killed it");
            tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
            let service = service.clone();
            tokio::spawn(async move {
                let (user, amount) = (number % 211, 1 + number % 9_000);
                let body = format!(
                    r#"{{"id":"q-{number}","type":"payment","time":"{}","user":"u-{user}","merchant":"m-1","amount":{amount},"currency":"EUR"}}"#,
                    now()
                );
                // One caller in eight asks again when it has its answer.
                let times = 1 + usize::from(number % 8 == 0);
                for _ in 0..times {
                    match service.authorize(body.as_bytes(), DEADLINE).await {
                        Answer::Decided { json, .. } => {
                            let line = format!("{TOLD}{body}\t{}\t\n", String::from_utf8_lossy(&json));
                            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        }
                        other => panic!("expected an answer, found {other:?}"),
                    }
                }
            });
        }
    });
}
