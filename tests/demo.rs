//! The demonstration as somebody meets it: it starts, the page lives, an attack is followed, Ctrl-C ends it, and what it left is whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Tables of a few minutes in place of a day's.
const SMALL: &str = "
[limits]
nodes_max = 60_000
ids_max = 60_000
[limits.money]
rows_max = 40_000
warm_nodes_max = 5_000
pairs_max = 40_000
late_rows_max = 1_000
events_per_day = 100
[limits.access]
rows_max = 10_000
warm_nodes_max = 1_000
late_rows_max = 100
events_per_day = 100
[limits.interest]
rows_max = 40_000
warm_nodes_max = 2_000
late_rows_max = 100
events_per_day = 100
";

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Playing {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
    /// What it said before it named its page.
    said: String,
}

impl Drop for Playing {
    fn drop(&mut self) {
        // Only where a test fails it lives still.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let topology = dir.path().join("small.toml");
    std::fs::write(&topology, SMALL).unwrap();
    (dir, topology)
}

fn play(dir: &Path, more: &[&str]) -> Playing {
    let mut command = weir();
    command.args(["demo", "--listen", "127.0.0.1:0", "--people", "2000", "--rate", "200", "-t"]).arg(dir.join("small.toml"));
    let mut child = command.arg("--data").arg(dir.join("data")).args(more).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended before it named its page");
        if let Some(url) = line.trim().strip_prefix("page") {
            break url.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).expect("a page").to_owned();
        }
        said.push_str(&line);
    };
    Playing { child, stdout, address, said }
}

impl Playing {
    /// Head and body of an answer.
    fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    fn page(&self) -> String {
        let (head, page) = self.ask("GET /");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{page}");
        assert!(head.contains("content-security-policy: default-src 'none'") && head.contains("content-type: text/html"), "{head}");
        page
    }

    /// The page once it says what is expected.
    fn page_with(&self, expected: &str, is_so: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let page = self.page();
            if is_so(&page) {
                return page;
            }
            assert!(Instant::now() < until, "expected {expected}, found {page}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ctrl-C; what it said last.
    fn interrupt(mut self) -> String {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to a child that was not waited for yet, so the number is its.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
        self.rest()
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{text}");
        text
    }
}

/// The number behind `before`, with thin spaces between its digits.
fn number(page: &str, before: &str) -> Option<f64> {
    let rest = &page[page.find(before)? + before.len()..];
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".\u{202f}".contains(*c)).filter(|c| *c != '\u{202f}').collect();
    digits.parse().ok()
}

fn verified(dir: &Path) -> Output {
    weir().args(["journal", "verify"]).arg(dir.join("data")).output().unwrap()
}

#[test]
fn a_newcomer_sees_the_company_judged_and_an_attack_followed() {
    let (dir, _) = place();
    let playing = play(dir.path(), &[]);
    playing.page_with("events and decisions a second", |page| {
        number(page, "Events a second</h2><p class=\"figure\">").is_some_and(|rate| rate > 0.0)
            && number(page, "Decisions a second</h2><p class=\"figure\">").is_some_and(|rate| rate > 0.0)
            && number(page, "<span class=\"dot approve\"></span>").is_some_and(|approved| approved > 0.0)
    });
    let (head, told) = playing.ask("GET /v1/model");
    assert!(head.starts_with("HTTP/1.1 200") && !told.contains("\"model\":null"), "the demo's own model judges: {head}\n{told}");
    let (head, told) = playing.ask("POST /v1/demo/attacks/card-testing");
    assert!(head.starts_with("HTTP/1.1 202") && told.contains("\"begins\""), "{head}\n{told}");
    let (head, told) = playing.ask("POST /v1/demo/attacks/none");
    assert!(head.starts_with("HTTP/1.1 404") && told.contains("device-farm"), "{head}\n{told}");
    let page = playing.page_with("payments of the attack", |page| {
        page.contains("<b>Card testing</b>") && number(page, "goes on</small></td><td>").is_some_and(|judged| judged > 0.0)
    });
    assert!(page.contains("What needs attention now") && page.contains("Newest payments that were not approved"), "{page}");
    for (name, kind) in [("console.css", "text/css"), ("console.js", "text/javascript")] {
        let (head, _) = playing.ask(&format!("GET /console/{name}"));
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(kind), "{head}");
    }
    // Another process asks for an attack, by name.
    let asked = weir().args(["demo", "--attack", "laundering", "--listen", &playing.address]).output().unwrap();
    assert!(asked.status.success() && String::from_utf8_lossy(&asked.stdout).contains("laundering begins"), "{asked:?}");
    playing.page_with("the other attack", |page| page.contains("<b>Laundering</b>"));

    let said = playing.interrupt();
    assert!(said.contains("ended: ") && said.contains(" 0 not taken"), "{said}");
    assert!(verified(dir.path()).status.success());

    // The next ones go on with its data, under other numbers, and end by themselves.
    for _ in 0..2 {
        let mut again = play(dir.path(), &["--for", "2s"]);
        let said = again.rest();
        assert!(said.contains(" 0 not taken"), "no id was used twice: {said}");
        assert!(verified(dir.path()).status.success());
    }
}

/// Where nothing was sent yet, the company has a past; the journal with it is one like any other.
///
/// Caught when planted: a past that came again at the second start.
#[test]
fn a_company_has_a_past() {
    let (dir, _) = place();
    let playing = play(dir.path(), &[]);
    let past = playing.said.lines().find_map(|line| line.trim().strip_prefix("past")).expect("a past").to_owned();
    let events: u64 =
        past.split(' ').rev().find_map(|word| word.replace(',', "").parse().ok().filter(|events| *events > 100)).expect("a number");
    assert!((1_000..=60_000).contains(&events), "a quarter of the table of ids on the mean of a day: {past}");
    playing.page_with("the past in the graph", |page| {
        number(page, "people, cards, devices, shops …, by ").is_some_and(|rows| rows > events as f64 / 2.0)
    });
    playing.interrupt();
    let data = dir.path().join("data");
    let tail = weir().args(["tail", "rejected", "--data"]).arg(&data).output().unwrap();
    assert!(tail.status.success() && tail.stdout.is_empty(), "nothing of it was late or a conflict: {tail:?}");

    // Stepped again, the journal gives the outputs that stand in the log: otherwise this does not start.
    let mut again = play(dir.path(), &["--for", "1s"]);
    assert!(!again.said.contains("past"), "it is played once: {}", again.said);
    again.rest();
    assert!(verified(dir.path()).status.success());
}

#[test]
fn a_directory_of_another_topology_is_refused_with_what_to_do() {
    let (dir, _) = place();
    play(dir.path(), &["--for", "1s"]).rest();
    let other = dir.path().join("small.toml");
    std::fs::write(&other, format!("{SMALL}[dedupe]\ndays = 2\n")).unwrap();
    let mut command = weir();
    command.args(["demo", "--listen", "127.0.0.1:0", "--people", "2000", "-t"]).arg(&other).arg("--data").arg(dir.path().join("data"));
    let refused = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("to begin anew, or give another directory with --data"), "{said}");
}

#[test]
fn the_service_has_the_page_and_no_attacks() {
    let (dir, topology) = place();
    let mut command = weir();
    command.args(["run", "--listen", "127.0.0.1:0", "-t"]).arg(&topology).arg("--data").arg(dir.path().join("data"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on http://").and_then(|rest| rest.split(',').next()).expect("an address").to_owned();
    let service = Playing { child, stdout, address, said: String::new() };
    let page = service.page();
    assert!(page.contains("Nothing: all payments so far were approved.") && !page.contains("Start an attack"), "{page}");
    let (head, told) = service.ask("POST /v1/demo/attacks/card-testing");
    assert!(head.starts_with("HTTP/1.1 404") && told.contains("weir demo"), "{head}\n{told}");
    service.interrupt();
}
