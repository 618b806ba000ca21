//! `POST /v1/events` over a socket.

use super::{Client, House, Options};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

const CHUNKED: &str =
    "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
const SUBMIT: &str = "POST /v1/events\ncontent-type: application/x-ndjson";

fn results(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

/// The next result of an answer that is still coming.
fn next(client: &mut Client) -> Value {
    serde_json::from_str(&client.piece()).expect("one object")
}

/// Planted: the last line without an end forgotten, blank lines not counted; both were told.
#[test]
fn every_line_has_its_result() {
    let house = House::open(Options { line_bytes_max: 1000, ..Options::default() });
    let body =
        format!("{{\"id\":\"a\"}}\n\n  \r\n{{\n{{}}\r\n{}\n{{\"id\":\"{}\"}}\n{{\"id\":\"last\"}}", "y".repeat(5000), "z".repeat(991));
    let mut client = house.client();
    let reply = client.ask(SUBMIT, &body);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")));
    let found = results(reply.text());
    let seen: Vec<(u64, &str, Option<&str>)> = found
        .iter()
        .map(|result| (result["line"].as_u64().expect("a number"), result["status"].as_str().expect("a word"), result["reason"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, "recorded", None),
            (4, "refused", Some("malformed")),
            (5, "refused", Some("missing")),
            (6, "refused", Some("oversized")),
            (7, "recorded", None),
            (8, "recorded", None)
        ]
    );
    assert_eq!((&found[2]["field"], &found[2]["detail"]), (&json!("id"), &json!("id: found nothing")));
    assert!(found.iter().all(|result| result["sequence"].is_u64()));
    assert_eq!(house.metric("http_event_lines_total{status=\"refused\"}").as_deref(), Some("3"));
    let empty = client.ask(&format!("{SUBMIT}\ncontent-length: 0"), "");
    assert_eq!((empty.status, empty.text()), (200, ""));
    assert_eq!(client.ask("POST /v1/events\ncontent-type: application/json", "{}").problem(415)["field"], "content-type");
}

#[test]
fn results_come_while_lines_are_sent() {
    let house = House::open(Options::default());
    let mut client = house.client();
    client.send(CHUNKED);
    client.chunk("{\"id\":\"a\"}\n{\"id\"");
    assert_eq!(client.head().status, 200);
    assert_eq!(next(&mut client)["line"], 1);
    client.chunk(":\"b\"}\n");
    assert_eq!(next(&mut client), json!({ "line": 2, "status": "recorded", "sequence": 1 }));
    house.desk.full.store(true, SeqCst);
    client.chunk("{\"id\":\"c\"}");
    client.send("0\r\n\r\n");
    assert_eq!(next(&mut client), json!({ "line": 3, "status": "unrecorded", "detail": "the disk is full" }));
    assert_eq!(client.piece(), "");
    assert_eq!(client.get("/livez").status, 200, "the connection goes on");
}

/// Most clients send everything before they read anything: there is room for their results. Past the room they are made to read.
#[test]
fn a_client_may_send_everything_first() {
    let house = House::open(Options::default());
    const LINES: usize = 60_000;
    let body: String = (0..LINES).map(|line| format!("{{\"id\":\"{line}\"}}\n")).collect();
    let mut client = house.narrow_client();
    let reply = client.ask(SUBMIT, &body);
    let found = results(reply.text());
    assert_eq!(found.len(), LINES);
    for (at, result) in found.iter().enumerate() {
        assert_eq!((&result["line"], &result["status"]), (&json!(at + 1), &json!("recorded")));
    }
    let house = House::open(Options { result_bytes_max: 4096, ..Options::default() });
    let mut client = house.narrow_client();
    client.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    // Far more than sockets hold in both directions.
    const TIMES: usize = 40;
    client.send(CHUNKED.replace("transfer-encoding: chunked", &format!("content-length: {}", TIMES * body.len())));
    let stopped = (0..TIMES).find_map(|_| client.stream.write_all(body.as_bytes()).err()).expect("it was let send everything");
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
}

#[test]
fn results_are_bounded_and_none_is_lost() {
    let house = House::open(Options { result_bytes_max: 200, lines_in_flight_max: 3, ..Options::default() });
    const LINES: usize = 20_000;
    let mut client = house.client();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sending = thread::spawn(move || {
        let body: String = (0..LINES).map(|line| format!("{{\"id\":\"{line}\"}}\n")).collect();
        let head = CHUNKED.replace("transfer-encoding: chunked", &format!("content-length: {}", body.len()));
        writer.write_all(format!("{head}{body}").as_bytes()).expect("the doors read");
    });
    let found = results(client.reply().text());
    sending.join().expect("sent");
    assert_eq!(found.len(), LINES);
    assert!(found.iter().enumerate().all(|(at, result)| result["line"] == json!(at + 1)));
}

#[test]
fn a_request_that_stalls_is_told_where() {
    let house = House::open(Options { body_timeout: Duration::from_millis(150), ..Options::default() });
    let mut client = house.client();
    client.send(CHUNKED);
    client.chunk("{\"id\":\"a\"}\n{\"id\":\"b\"}");
    let reply = client.reply();
    let found = results(reply.text());
    assert_eq!((&found[0]["status"], found.len()), (&json!("recorded"), 2), "{}", reply.text());
    assert_eq!((&found[1]["line"], &found[1]["status"]), (&json!(2), &json!("unrecorded")));
    assert_eq!(house.desk.taken.load(SeqCst), 1, "a line without its end is not taken");
    assert_eq!(client.closed(), "");
    // One that sends nothing at all.
    let mut client = house.client();
    client.send(CHUNKED);
    client.reply().problem(408);
}

#[test]
fn a_service_that_ends_takes_no_more_lines() {
    let mut house = House::open(Options::default());
    let mut client = house.client();
    client.send(CHUNKED);
    client.chunk("{\"id\":\"a\"}\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(next(&mut client)["status"], "recorded");
    house.stop();
    assert_eq!(next(&mut client), json!({ "line": 2, "status": "unrecorded", "detail": "the service is ending" }));
    assert_eq!(client.piece(), "");
    house.ended();
    // The desk ends before the doors do.
    let house = House::open(Options { lines_in_flight_max: 2, ..Options::default() });
    house.desk.closing.store(true, SeqCst);
    let reply = house.client().ask(SUBMIT, &"{\"id\":\"a\"}\n".repeat(50));
    let found = results(reply.text());
    assert!((1..=2).contains(&found.len()), "only those that were under way: {}", reply.text());
    assert_eq!((&found[0]["line"], &found[0]["status"]), (&json!(1), &json!("unrecorded")));
}

#[test]
fn requests_of_lines_are_bounded() {
    let house = House::open(Options { event_requests_max: 1, ..Options::default() });
    let mut first = house.client();
    first.send(CHUNKED);
    first.chunk("{\"id\":\"a\"}\n");
    assert_eq!(first.head().status, 200);
    let reply = house.client().ask(SUBMIT, "{\"id\":\"b\"}");
    assert_eq!((reply.problem(503)["type"].clone(), reply.header("retry-after")), (json!("urn:weir:problem:busy"), Some("1")));
    first.send("0\r\n\r\n");
    while !first.piece().is_empty() {}
    // The place is given back when the request's task is gone, a moment after its answer.
    let mut statuses = (0..100).map(|_| {
        thread::sleep(Duration::from_millis(10));
        house.client().ask(SUBMIT, "{\"id\":\"b\"}").status
    });
    assert!(statuses.any(|status| status == 200));
}
