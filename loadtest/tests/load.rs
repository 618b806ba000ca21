//! Whether the generator measures honestly: the program as it is called, against a hook that misbehaves on purpose.
//!
//! The machine may be busy: bounds on times are wide, and wherever possible a count decides instead.

mod hook;

use hook::{Faults, Hook};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn program(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-loadtest"));
    command.env_remove("WEIR_KEY").args(arguments.split_whitespace()).args(["--url", url]);
    command
}

fn run(url: &str, arguments: &str) -> (i32, Value) {
    let output = program(url, arguments).arg("--json").output().expect("it runs");
    let code = output.status.code().expect("it ends by itself");
    let report = serde_json::from_slice(&output.stdout);
    (code, report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr))))
}

fn refused(url: &str, arguments: &str) -> String {
    let Output { status, stderr, .. } = program(url, arguments).output().expect("it runs");
    assert_eq!(status.code(), Some(2), "{arguments}");
    String::from_utf8_lossy(&stderr).into_owned()
}

fn count(report: &Value, name: &str) -> u64 {
    report["counts"][name].as_u64().unwrap_or_else(|| panic!("no count {name} in {report}"))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("readable");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_stall_is_seen_by_every_request_that_was_due_in_it() {
    // 1,000/s over 8 connections, and the server stands still for 200 ms: 200 requests are due meanwhile, though only 8 can be sent. None of
    // them can have been answered before the end, so that the one due first waited 200 ms and the others less by what they came later.
    // Counting from sending instead of from due (planted once: a latency 186 ms too short, seen here) shows a few slow requests; a generator
    // that waits for answers before it goes on would have sent nothing.
    let hook = Hook::start(Faults { stall: Some((700, Duration::from_millis(200))), ..Faults::default() });
    let folder = scratch();
    let answers = folder.path().join("answers.jsonl");
    let (code, report) = run(&hook.url(), &format!("--rate 1000 --duration 2s --connections 8 --answers {}", answers.display()));
    assert_eq!((code, count(&report, "offered"), count(&report, "evaluated")), (0, 2000, 2000));
    let (begin, end) = hook.memory.lock().expect("no panic").stalled.expect("it stalled");
    let ms = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).expect("later").as_secs_f64() * 1000.0;
    let (begin_ms, end_ms) = (ms(begin), ms(end));
    let mut beyond: Vec<f64> = Vec::new();
    for line in lines(&answers) {
        let due: jiff::Timestamp = line["intended"].as_str().and_then(|text| text.parse().ok()).expect("a time");
        let due_ms = due.as_microsecond() as f64 / 1000.0;
        if due_ms >= begin_ms && due_ms < end_ms {
            let latency_ms = line["latency_us"].as_f64().expect("a latency") / 1000.0;
            beyond.push(latency_ms - (end_ms - due_ms));
        }
    }
    assert!((195..=205).contains(&beyond.len()), "{} requests were due in the stall", beyond.len());
    beyond.sort_by(f64::total_cmp);
    assert!(beyond[0] > -5.0, "a latency is {} ms shorter than the stall lasted", -beyond[0]);
    assert!(beyond[beyond.len() / 2] < 200.0, "half of them waited {} ms beyond the stall", beyond[beyond.len() / 2]);
    // A tenth of all waited, so that the quantiles say so.
    let p99 = |of: &str| report[of]["p99_ms"].as_f64().expect("a time");
    assert!(p99("latency") > 150.0 && p99("service") < p99("latency"), "{} and {}", p99("latency"), p99("service"));
}

#[test]
fn retries_must_bring_the_same_bytes() {
    for (faults, name) in [
        (Faults::default(), "same"),
        (Faults { change_repeats: true, ..Faults::default() }, "different"),
        (Faults { judge_repeats: true, ..Faults::default() }, "doubled"),
    ] {
        let hook = Hook::start(faults);
        let (code, report) = run(&hook.url(), "--rate 500 --duration 2s --retry-share 0.2 --seed 4");
        let repeats = &report["repeats"];
        let (retries, found) = (repeats["retries"].as_u64().expect("a count"), repeats[name].as_u64().expect("a count"));
        assert!((150..250).contains(&retries), "{report}");
        assert_eq!(code, i32::from(name != "same"), "{name}: {repeats}");
        // A retry close behind its original may overtake it.
        assert!(found * 10 >= retries * 9, "{name}: {repeats}");
        let distinct = hook.memory.lock().expect("no panic").decisions.len() as u64;
        assert_eq!(distinct, 1000 - retries, "a retry sends no id of its own");
    }
}

#[test]
fn conflicts_must_be_refused() {
    for accept_conflicts in [false, true] {
        let hook = Hook::start(Faults { accept_conflicts, ..Faults::default() });
        let (code, report) = run(&hook.url(), "--rate 300 --duration 1s --conflict-share 0.2 --fail-errors 5");
        let repeats = &report["repeats"];
        let name = if accept_conflicts { "conflicts_accepted" } else { "conflicts_refused" };
        assert!(repeats["conflicts"].as_u64() > Some(30) && repeats[name].as_u64() > Some(25), "{repeats}");
        assert_eq!(code, i32::from(accept_conflicts), "a refused conflict is no error: {report}");
    }
}

#[test]
fn what_has_no_answer_is_lost_and_told_apart() {
    let hook = Hook::start(Faults { hang_up_each: Some(10), ..Faults::default() });
    let (code, report) = run(&hook.url(), "--rate 400 --duration 1s --fail-lost 0 --fail-p99-ms 100000");
    assert_eq!((count(&report, "offered"), count(&report, "closed"), count(&report, "lost")), (400, 40, 40));
    assert_eq!(count(&report, "evaluated"), 360);
    let limits: Vec<bool> = report["limits"].as_array().expect("limits").iter().map(|limit| limit["holds"] == true).collect();
    assert_eq!(
        (code, &limits[..]),
        (1, &[false, false, true][..]),
        "a tenth without an answer has no 99th percentile: {}",
        report["limits"]
    );

    let hook = Hook::start(Faults { hang_each: Some(50), ..Faults::default() });
    let (code, report) = run(&hook.url(), "--rate 400 --duration 1s --timeout-ms 400 --fail-lost 8 --reconcile");
    assert_eq!((count(&report, "timed_out"), count(&report, "lost"), code), (8, 8, 0));
    let found = &report["reconciliation"];
    assert_eq!((found["asked"].as_u64(), found["same"].as_u64(), found["unanswered"].as_u64()), (Some(392), Some(392), Some(8)));
}

#[test]
fn a_full_queue_is_counted_and_nothing_vanishes() {
    // Two connections at 10 answers a second each, 50 may wait: of 500 due in a second nearly all find no room.
    let hook = Hook::start(Faults { slow: Some(Duration::from_millis(100)), ..Faults::default() });
    let (_, report) = run(&hook.url(), "--rate 500 --duration 1s --connections 2 --queue 50 --timeout-ms 20000");
    let (decided, overflowed) = (count(&report, "evaluated"), count(&report, "overflowed"));
    assert_eq!((count(&report, "offered"), decided + overflowed, count(&report, "lost")), (500, 500, 0));
    assert!((50..110).contains(&decided), "{decided} decided");
    assert_eq!(hook.memory.lock().expect("no panic").authorizations, decided, "sent is what was decided, no more");
    // What waited counts its waiting: the last of fifty waits for 25 answers on its connection.
    let (latency, service) = (report["latency"]["max_ms"].as_f64(), report["service"]["max_ms"].as_f64());
    assert!(latency > Some(2000.0) && service < Some(1500.0), "latency {latency:?}, service {service:?}");
    // The same with a short time limit: what waits too long is not sent.
    let (_, report) = run(&hook.url(), "--rate 500 --duration 1s --connections 2 --queue 50 --timeout-ms 500");
    assert!(count(&report, "expired") > 20, "{report}");
    assert_eq!(count(&report, "evaluated") + count(&report, "not_sent") + count(&report, "lost"), 500);
}

#[test]
fn answers_are_counted_by_status() {
    let hook = Hook::start(Faults { mixed: true, ..Faults::default() });
    let (_, report) = run(&hook.url(), "--rate 500 --duration 1s --transfer-share 0.5 --reconcile --reconcile-share 0.3");
    let counts: Vec<u64> =
        ["fallback", "degraded", "unrecorded", "failed", "refused", "evaluated"].into_iter().map(|name| count(&report, name)).collect();
    assert_eq!(counts, [50, 50, 50, 50, 50, 250]);
    assert_eq!(report["http"], serde_json::json!([[200, 350], [429, 50], [503, 100]]));
    assert_eq!(report["server"]["count"], 350, "the server's own time was read");
    let asked = report["reconciliation"]["asked"].as_u64();
    assert!(asked > Some(60) && asked < Some(150), "{asked:?} of 350 are no 0.3");
}

#[test]
fn a_server_that_closes_after_each_answer_loses_nothing() {
    let hook = Hook::start(Faults { shut_after_each_answer: true, ..Faults::default() });
    let (code, report) = run(&hook.url(), "--rate 300 --duration 1s --connections 16 --fail-lost 0 --fail-not-sent 0");
    assert_eq!((code, count(&report, "evaluated")), (0, 300));
    assert!(report["connections_opened"].as_u64() >= Some(300), "{}", report["connections_opened"]);
}

#[test]
fn a_server_that_dies_and_comes_back_is_met_again() {
    let hook = Hook::start(Faults::default());
    let (url, address, memory) = (hook.url(), hook.address, Arc::clone(&hook.memory));
    let folder = scratch();
    let answers = folder.path().join("answers.jsonl");
    let arguments = format!("--rate 200 --duration 3s --connections 16 --timeout-ms 10000 --json --answers {}", answers.display());
    let child = program(&url, &arguments).stdout(Stdio::piped()).spawn().expect("it runs");
    while memory.lock().expect("no panic").authorizations < 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(hook);
    std::thread::sleep(Duration::from_millis(600));
    let hook = Hook::start_from(memory, address, None);
    let output = child.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    // What was under way is lost, at most one request a connection; what was due meanwhile waited, and its waiting counts.
    let (decided, lost) = (count(&report, "evaluated"), count(&report, "lost"));
    assert_eq!((decided + lost, count(&report, "not_sent")), (600, 0), "{report}");
    assert!(lost <= 16, "{lost} lost");
    assert!(report["latency"]["max_ms"].as_f64() > Some(500.0), "{}", report["latency"]);
    assert!(report["connections_failed"].as_u64() > Some(0));
    let (code, found) = run(&hook.url(), &format!("verify --answers {} --wait-ready 5s", answers.display()));
    assert_eq!((code, found["same"].as_u64(), found["unanswered"].as_u64()), (0, Some(decided), Some(lost)), "{found}");
}

#[test]
fn the_page_is_well_formed_and_needs_nothing() {
    let hook = Hook::start(Faults { mixed: true, change_repeats: true, ..Faults::default() });
    let folder = scratch();
    let page = folder.path().join("report.html");
    let (code, _) = run(
        &hook.url(),
        &format!(
            "--steps 200:1s,600:1s,200:1s --warmup 500ms --arrivals poisson --retry-share 0.1 --reconcile --fail-p99-ms 0.001 --note a<b&c --key s3cret --html {}",
            page.display()
        ),
    );
    assert_eq!(code, 1);
    let text = std::fs::read_to_string(&page).expect("a page");
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&text, options).expect("well-formed");
    let named = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).collect::<Vec<_>>();
    assert_eq!((named("svg").len(), named("script").len(), named("link").len(), named("img").len()), (3, 0, 0, 0));
    let words: String = document.descendants().filter_map(|node| node.text()).collect();
    assert!(words.contains("a<b&c") && words.contains("Requests due") && words.contains("200/s"), "{words}");
    assert!(!text.contains("s3cret"), "the key is nobody's business");
    assert!(!text.contains("NaN") && !text.contains("inf\""), "every figure is one");
    let fetched = document.descendants().flat_map(|node| node.attributes()).filter(|a| matches!(a.name(), "src" | "href")).count();
    assert_eq!((fetched, text.contains("url(")), (0, false));
    // Each line of the first picture has a point a second.
    let paths: Vec<&str> = named("path").into_iter().filter_map(|node| node.attribute("d")).collect();
    assert_eq!(paths[0].matches(['M', 'L']).count(), 3, "{}", paths[0]);
}

#[test]
fn verify_finds_what_is_no_longer_the_same() {
    let hook = Hook::start(Faults { hang_up_each: Some(100), ..Faults::default() });
    let folder = scratch();
    let answers = folder.path().join("answers.jsonl");
    let (_, report) = run(
        &hook.url(),
        &format!("--rate 400 --duration 1s --prefix v --answers {} --keep-requests --retry-share 0.05", answers.display()),
    );
    let acknowledged = hook.memory.lock().expect("no panic").decisions.len() as u64;
    assert!(acknowledged > 300 && count(&report, "lost") == 4, "{report}");
    let verify = |extra: &str| run(&hook.url(), &format!("verify --answers {} {extra}", answers.display()));

    let (code, found) = verify("--wait-ready 5s");
    assert_eq!((code, found["asked"].as_u64(), found["same"].as_u64()), (0, Some(acknowledged), Some(acknowledged)), "{found}");
    // The hook hung up before it knew the event; sent again, it hangs up on others, which are asked for once more.
    let (code, found) = verify("--resend");
    assert_eq!((code, found["same"].as_u64(), found["different"].as_u64()), (0, Some(acknowledged), Some(0)), "{found}");

    let mut ids: Vec<String> =
        lines(&answers).iter().filter(|line| line["http"] == 200).map(|line| line["id"].as_str().expect("an id").to_owned()).collect();
    ids.dedup();
    {
        let mut memory = hook.memory.lock().expect("no panic");
        memory.decisions.remove(&ids[10]);
        let changed = memory.decisions.get_mut(&ids[20]).expect("known");
        changed.body = changed.body.replace("approve", "decline");
        let doubled = memory.decisions.get_mut(&ids[30]).expect("known");
        doubled.body = doubled.body.replace("\"sequence\":", "\"sequence\":9");
    }
    let (code, found) = verify("");
    let counts = ["same", "lost", "different", "doubled", "unknown"].map(|name| found[name].as_u64());
    assert_eq!((code, counts), (1, [Some(acknowledged - 3), Some(1), Some(1), Some(1), Some(0)]), "{found}");
    let examples = found["examples"].to_string();
    assert!([10, 20, 30].iter().all(|at| examples.contains(&format!("{}: ", ids[*at]))), "{examples}");
}

#[test]
fn keys_and_certificates_are_used() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let folder = scratch();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certified.cert.pem()).expect("written");
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = tokio_rustls::rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a key that fits");
    let hook = Hook::start_with(Faults { key: Some("k1"), ..Faults::default() }, Some(std::sync::Arc::new(config).into()));
    let url = format!("https://{}", hook.address);
    let base = format!("--rate 300 --duration 1s --connections 8 --reconcile --ca {}", ca.display());
    let (code, report) = run(&url, &format!("{base} --key k1 --fail-lost 0"));
    assert_eq!((code, count(&report, "evaluated"), report["reconciliation"]["same"].as_u64()), (0, 300, Some(300)), "{report}");
    assert!(!report.to_string().contains("k1\""), "{}", report["command"]);
    let (code, report) = run(&url, &format!("{base} --key other --fail-errors 0"));
    assert_eq!((code, count(&report, "refused")), (1, 300));
    // Another certificate is not trusted.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&ca, other.cert.pem()).expect("written");
    assert!(refused(&url, &base).contains("cannot be connected to"));
}

#[test]
fn events_of_a_file_are_sent_as_they_stand_or_restamped() {
    let hook = Hook::start(Faults::default());
    let folder = scratch();
    let file = folder.path().join("events.jsonl");
    let mut text = String::new();
    for number in 0..100 {
        let kind = if number % 4 == 0 { "session" } else { "payment" };
        text += &format!(
            "{{\"type\":\"{kind}\",\"id\":\"e{number}\",\"time\":\"2025-01-01T00:00:00Z\",\"user\":\"u\",\"merchant\":\"m\",\"amount\":{number},\"currency\":\"EUR\"}}\n"
        );
    }
    std::fs::write(&file, text).expect("written");
    let (_, report) = run(&hook.url(), &format!("--rate 300 --events {}", file.display()));
    assert_eq!((count(&report, "offered"), count(&report, "evaluated")), (75, 75));
    let (_, report) = run(&hook.url(), &format!("--rate 300 --prefix again --restamp --events {}", file.display()));
    assert_eq!(count(&report, "evaluated"), 75);
    let memory = hook.memory.lock().expect("no panic");
    assert!(memory.decisions.contains_key("e1") && memory.decisions.contains_key("again-e99") && !memory.decisions.contains_key("e0"));
    drop(memory);
    assert!(refused(&hook.url(), &format!("--rate 300 --duration 10s --events {}", file.display())).contains("found 75"));
}

#[test]
fn what_must_not_be_begun_is_refused() {
    let hook = Hook::start(Faults::default());
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port()
    };
    assert!(refused(&format!("http://127.0.0.1:{port}"), "--rate 10 --duration 1s").contains("cannot be connected to"));
    assert!(refused("http://192.0.2.1", "--rate 10 --duration 1s").contains("--i-own-this-host"));
    assert!(refused(&hook.url(), "--rate 10 --duration 11m").contains("--duration-max"));
    assert!(refused(&hook.url(), "--rate 10 --duration 1s --requests-max 9").contains("--requests-max"));
    assert!(refused(&hook.url(), "--rate 10 --prefix a/b").contains("--prefix"));
    assert!(refused(&hook.url(), "verify --answers /nowhere/answers.jsonl").contains("cannot be read"));
    assert_eq!(hook.memory.lock().expect("no panic").authorizations, 0);
}

#[test]
fn an_interrupt_ends_the_schedule_and_the_report_is_written() {
    let hook = Hook::start(Faults::default());
    let child = program(&hook.url(), "--rate 200 --duration 60s --json").stdout(Stdio::piped()).spawn().expect("it runs");
    while hook.memory.lock().expect("no panic").authorizations < 100 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("a signal");
    assert!(interrupted.success());
    let output = child.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let sent = hook.memory.lock().expect("no panic").authorizations;
    assert_eq!((report["stopped_early"].as_bool(), count(&report, "evaluated")), (Some(true), sent));
    assert!(report["seconds"].as_f64() < Some(30.0), "{report}");
}
