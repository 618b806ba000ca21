//! What decides changes while the program runs: policies, lists, and what the guard makes of a mistake. Whatever way the records are stepped
//! again, the answers are the same.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SMALL: &str = "
[limits]
nodes_max = 20_000
ids_max = 200_000
[limits.money]
rows_max = 200_000
warm_nodes_max = 2_000
pairs_max = 20_000
late_rows_max = 50_000
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
records = 400
[authorize]
deadline = \"10s\"
";

const MISTAKE: &str = "
[policy.rule.mistake]
of = \"payment\"
when = \"amount > 0\"
outcome = \"decline\"
risk_score = 950
";

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        room.write("small.toml", SMALL);
        room.write("mistake.toml", MISTAKE);
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn start(&self, data: &str, more: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command
            .arg("run")
            .args(["--listen", "127.0.0.1:0", "-t"])
            .arg(self.path("small.toml"))
            .arg("--data")
            .arg(self.path(data))
            .args(more);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("{data}.log"))).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on http://").and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("found {line:?}\n{}", self.log(data))).to_owned();
        Running { child, address }
    }

    fn log(&self, data: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{data}.log"))).unwrap_or_default()
    }

    fn weir(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert!(output.status.success(), "weir {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).unwrap()
    }
}

struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = Caller::new(&self.address).expect("it listens").ask(method, path, body).expect("an answer");
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body))))
    }

    fn metric(&self, name: &str) -> f64 {
        let (_, text) = Caller::new(&self.address).unwrap().ask("GET", "/metrics", "").expect("an answer");
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
    }

    /// Waits until `what` holds.
    fn until(&self, what: impl Fn(&Running) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !what(self) {
            assert!(Instant::now() < until, "it does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in order.
    fn end(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Payments of so many people at so many shops, with devices; their decisions.
    fn pay(&self, prefix: &str, count: u64) -> Vec<Value> {
        let mut caller = Caller::new(&self.address).unwrap();
        let mut decisions = Vec::new();
        for number in 0..count {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let body = format!(
                r#"{{"id":"{prefix}-{number}","type":"payment","time":"{}","user":"u-{}","merchant":"m-{}","device":"d-{}","amount":{},"currency":"EUR"}}"#,
                now(),
                mixed % 3_001,
                mixed % 131,
                mixed % 2_003,
                1 + mixed % 900
            );
            let (status, bytes) = caller.ask("POST", "/v1/authorizations", &body).expect("an answer");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
            decisions.push(serde_json::from_slice(&bytes).unwrap());
        }
        decisions
    }
}

/// One connection, kept alive.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn new(address: &str) -> Option<Caller> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
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

fn with(decisions: &[Value], outcome: &str) -> usize {
    decisions.iter().filter(|decision| decision["outcome"] == outcome).count()
}

/// Caught when planted: the guard's counters left out of the image (the service did not start again from it).
#[test]
fn a_mistake_is_published_contained_and_rolled_back_and_replay_says_the_same() {
    let room = Room::new();
    let leader = room.start("data", &[]);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    let url = leader.url();
    let first = leader.ask("GET", "/v1/policy", "").1["policy"].as_str().unwrap().to_owned();
    let before = leader.pay("before", 600);
    assert_eq!(with(&before, "decline"), 0);
    assert!(before.iter().all(|decision| decision["policy"] == first.as_str()));

    let diff = room.done(&["policy", "diff", "mistake.toml", "--url", &url]);
    assert_eq!(diff, "+ rule.mistake: of payment, when amount > 0, outcome decline, risk_score 950, reason rule\n");
    let published = room.json(&["policy", "publish", "mistake.toml", "--url", &url, "--json"]);
    let second = published["policy"].as_str().unwrap().to_owned();
    assert_eq!((published["before"].as_str(), first == second), (Some(&*first), false));
    let again = room.weir(&["policy", "publish", "mistake.toml", "--url", &url]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("in force already"), "{again:?}");

    let after = leader.pay("after", 1_500);
    assert!(after.iter().all(|decision| decision["policy"] == second.as_str() && decision["topology"] == before[0]["topology"]));
    let declined = with(&after, "decline");
    assert!((50..=1_000).contains(&declined), "{declined}");
    let (last, guarded) =
        (after.last().unwrap(), json!({ "part": "rules", "why": "rule mistake declined so much of a sudden that it yields" }));
    assert_eq!((&last["outcome"], &last["status"]), (&json!("challenge"), &json!("degraded")));
    assert!(last["skipped"].as_array().unwrap().contains(&guarded), "{last}");
    assert_eq!(leader.metric("guard_turns_total{to=\"yields_to_challenge\"}"), 1.0);
    assert!(room.log("data").contains("rule mistake"), "{}", room.log("data"));

    // Who is blocked is declined all the same, until they are taken off.
    let (status, told) = leader.ask("POST", "/v1/lists/blocked", r#"[{"kind":"merchant","id":"m-blocked"},{"kind":"user","id":"u-x"}]"#);
    assert_eq!((status, &told["recorded"]), (200, &json!(2)));
    let pay = |running: &Running, id: &str| {
        let body = format!(
            r#"{{"id":"{id}","type":"payment","time":"{}","user":"u-1","merchant":"m-blocked","amount":7,"currency":"EUR"}}"#,
            now()
        );
        running.ask("POST", "/v1/authorizations", &body).1
    };
    let blocked = pay(&leader, "b-1");
    assert_eq!(blocked["outcome"], "decline");
    assert_eq!(blocked["reasons"][0]["text"], "this merchant is blocked (list blocked)");
    for (name, change, expected) in [
        ("nobody", r#"{"kind":"user","id":"u"}"#, 404),
        ("stolen", r#"{"kind":"user","id":"u"}"#, 422),
        ("blocked", r#"{"kind":"user","id":"u","until":"2020-01-01T00:00:00Z"}"#, 422),
        ("blocked", r#"{"kind":"user"}"#, 422),
    ] {
        assert_eq!(leader.ask("POST", &format!("/v1/lists/{name}"), change).0, expected, "{name} {change}");
    }

    // Killed, and started again from a snapshot that was taken under the second policy.
    leader.until(|leader| leader.metric("snapshot_sequence") > published["sequence"].as_f64().unwrap() + 200.0);
    drop(leader);
    let leader = room.start("data", &[]);
    assert!(leader.metric("replay_records_total") < 2_000.0, "it began with a snapshot");
    assert_eq!(leader.ask("GET", "/v1/policy", "").1["policy"], second.as_str());
    assert_eq!(leader.ask("GET", "/v1/policy?which=before", "").1["policy"], first.as_str());
    let restarted = leader.pay("restarted", 100);
    assert_eq!(with(&restarted, "challenge"), 100, "the guard remembers");
    assert_eq!(pay(&leader, "b-2")["outcome"], "decline");

    // What is wrong with a policy is told, and nothing changes.
    room.write("wrong.toml", "[policy.rule.wrong]\nof = \"payment\"\nwhen = \"user_payments.count_3h > amuont\"\noutcome = \"review\"\nrisk_score = 1\n\
        [policy.velocity.wrong]\nof = \"payment\"\naggregate = \"nothing\"\nstat = \"count\"\nwindow = \"1h\"\nmax = 1\noutcome = \"review\"\nrisk_score = 1\n");
    let url = leader.url();
    let told = String::from_utf8(room.weir(&["policy", "publish", "wrong.toml", "--url", &url]).stderr).unwrap();
    assert!(told.contains("policy.velocity.wrong.aggregate") && told.contains("an aggregate over payment events"), "{told}");
    room.write(
        "wrong.toml",
        "[policy.rule.wrong]\nof = \"payment\"\nwhen = \"user_payments.count_3h > 1\"\noutcome = \"review\"\nrisk_score = 1\n",
    );
    let told = String::from_utf8(room.weir(&["policy", "publish", "wrong.toml", "--url", &url]).stderr).unwrap();
    assert!(told.contains("there is no `user_payments.count_3h`"), "{told}");
    let told = leader.ask("POST", "/v1/policy/publish", r#"{"text":"[limits]\nnodes_max = 1\n"}"#).1;
    assert!(told["detail"].as_str().unwrap().contains("limits"), "{told}");
    assert_eq!(leader.ask("GET", "/v1/policy", "").1["policy"], second.as_str());

    assert_eq!(room.json(&["policy", "rollback", "--url", &url, "--json"])["policy"], first.as_str());
    assert_eq!(room.done(&["policy", "diff", "--before", "--url", &url]).chars().next(), Some('+'));
    let back = leader.pay("back", 100);
    assert_eq!((with(&back, "approve"), back.iter().all(|decision| decision["policy"] == first.as_str())), (100, true));
    drop(standby);
    let standby = room.start("standby", &["--follow", &leader.url()]);
    standby.until(|standby| {
        let detail = standby.ask("GET", "/readyz", "").1["detail"].as_str().unwrap_or_default().to_owned();
        detail.starts_with("following") && detail.ends_with(", 0 records behind")
    });
    leader.end();
    standby.end();

    let verified = room.json(&["journal", "verify", "data", "--json"]);
    for more in [&[][..], &["--batch", "1"], &["--batch", "500", "--threads", "2"]] {
        let replayed = room.json(&[&["replay", "data", "--json"], more].concat());
        assert_eq!(replayed["digest"], verified["digest"], "{more:?}");
        assert_eq!(replayed["policy"], first.as_str());
    }
    let standby = room.json(&["journal", "verify", "standby", "--json"]);
    assert_eq!((&standby["digest"], &standby["journal"]), (&room.json(&["replay", "standby", "--json"])["digest"], &verified["journal"]));
    room.done(&["snapshot", "verify", "data"]);
    let shown = room.done(&["tail", "decisions", "--data", "data"]);
    assert!(shown.contains("rule mistake declined so much of a sudden that it yields"), "texts are those of the decision's own policy");
}
