//! Authorizations, challenges and the decisions that were given.

use super::{House, Named, Options, PATIENCE};
use serde_json::json;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const AUTHORIZE: &str = "POST /v1/authorizations\ncontent-type: application/json";

/// Planted: the JSON parsed and written again; the blanks went.
#[test]
fn a_decision_is_answered_byte_for_byte() {
    let house = House::open(Options { deadline_default: Duration::from_millis(77), ..Options::default() });
    let mut client = house.client();
    let reply = client.ask(AUTHORIZE, r#"{"id":"a","amount":1}"#);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.text(), "{\"event_id\": \"a\",  \"deadline_ms\":77}");
    let timing = reply.header("server-timing").and_then(|value| value.strip_prefix("total;dur=")).expect("a time");
    let (whole, decimals) = timing.split_once('.').expect("decimals");
    assert!(whole.parse::<u64>().is_ok_and(|whole| whole < 5000) && decimals.len() == 3, "{timing}");
    // The same event again, its keys in another order, on the same connection.
    let again = client.ask(AUTHORIZE, r#"{"amount":1,"id":"a"}"#);
    assert_eq!(again.body, reply.body);
    assert_eq!(client.get("/v1/decisions/a").body, reply.body);
    let other = client.ask(&format!("{AUTHORIZE}; charset=utf-8\nweir-deadline-ms: 12"), r#"{"id":"b"}"#);
    assert_eq!(other.text(), "{\"event_id\": \"b\",  \"deadline_ms\":12}");
    assert_eq!(house.metric("http_requests_total{route=\"/v1/authorizations\",status=\"200\"}").as_deref(), Some("3"));
    assert_eq!(house.metric("hook_answers_total{kind=\"evaluated\"}").as_deref(), Some("3"));
    assert_eq!(house.metric("http_authorization_seconds_count").as_deref(), Some("3"));
    assert_eq!(house.metric("http_connections").as_deref(), Some("1"));
}

#[test]
fn what_cannot_be_judged_is_a_problem() {
    let house = House::open(Options { body_bytes_max: 2000, ..Options::default() });
    let mut client = house.client();
    assert_eq!(client.ask(AUTHORIZE, r#"{"id":"a","amount":1}"#).status, 200);
    // One connection for all: what was refused leaves nothing behind on it.
    let conflict = client.ask(AUTHORIZE, r#"{"id":"a","amount":2}"#).problem(409);
    assert_eq!((&conflict["reason"], &conflict["detail"]), (&json!("id_conflict"), &json!("amount differs")));
    assert_eq!(conflict["instance"], "/v1/authorizations");
    let malformed = client.ask(AUTHORIZE, "{").problem(400);
    assert_eq!((&malformed["reason"], malformed.get("field")), (&json!("malformed"), None));
    assert_eq!(
        client.ask("POST /v1/authorizations\ncontent-type: application/json\ncontent-length: 0", "").problem(400)["reason"],
        "malformed"
    );
    let missing = client.ask(AUTHORIZE, "{}").problem(422);
    assert_eq!((&missing["reason"], &missing["field"]), (&json!("missing"), &json!("id")));
    assert_eq!(client.ask(AUTHORIZE, &"x".repeat(1001)).problem(413)["reason"], "oversized");
    assert_eq!(client.ask("POST /v1/authorizations\ncontent-type: text/plain", "{}").problem(415)["field"], "content-type");
    assert_eq!(client.ask("POST /v1/authorizations", "{}").problem(415)["field"], "content-type");
    for deadline in ["0", "10001", "soon", "1.5"] {
        let problem = client.ask(&format!("{AUTHORIZE}\nweir-deadline-ms: {deadline}"), "{}").problem(400);
        assert_eq!(problem["field"], "Weir-Deadline-Ms", "{deadline}");
    }
    assert_eq!(client.get("/v1/decisions/nobody").problem(404)["instance"], "/v1/decisions/nobody");
    assert_eq!(client.get("/v1/decisions/%ff").problem(400)["reason"], "invalid");
    assert_eq!(client.get("/v1/decisions/a").status, 200);
}

#[test]
fn large_bodies_are_refused_before_they_are_read() {
    let house = House::open(Options { body_bytes_max: 2000, ..Options::default() });
    let mut client = house.client();
    // The body never comes; that it is announced is enough.
    client.send("POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2001\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.problem(413)["reason"].clone(), reply.header("connection")), (json!("oversized"), Some("close")));
    assert_eq!(client.closed(), "");
    let mut client = house.client();
    client.send(
        "POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    client.chunk(&"x".repeat(1500));
    client.chunk(&"x".repeat(501));
    assert_eq!(client.reply().problem(413)["reason"], "oversized");
    assert_eq!(client.closed(), "");
}

#[test]
fn bodies_in_pieces_are_joined() {
    let house = House::open(Options::default());
    let mut client = house.client();
    client.send(
        "POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for piece in ["{\"id\"", ":\"in ", "pieces\"}"] {
        client.chunk(piece);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.reply().text(), "{\"event_id\": \"in pieces\",  \"deadline_ms\":40}");
    assert_eq!(client.get("/v1/decisions/in%20pieces").text(), "{\"event_id\": \"in pieces\",  \"deadline_ms\":40}");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let house = House::open(Options { body_timeout: Duration::from_millis(150), ..Options::default() });
    let mut client = house.client();
    client.send("POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{");
    let start = Instant::now();
    let reply = client.reply();
    reply.problem(408);
    assert!(start.elapsed() >= Duration::from_millis(140) && start.elapsed() < PATIENCE / 2);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.closed(), "");
    assert_eq!(house.metric("http_timeouts_total{what=\"body\"}").as_deref(), Some("1"));
}

/// Planted: the stand-in put in as a text; told.
#[test]
fn what_is_not_recorded_says_so() {
    let house = House::open(Options::default());
    house.desk.full.store(true, SeqCst);
    let mut client = house.client();
    let reply = client.ask(AUTHORIZE, r#"{"id":"a"}"#);
    let problem = reply.problem(503);
    assert_eq!((&problem["recorded"], &problem["decision"]), (&json!(false), &json!({ "outcome": "review" })));
    assert!(reply.text().contains("{\"outcome\":  \"review\"}"), "spliced in as it stands: {}", reply.text());
    assert_eq!(reply.header("retry-after"), Some("1"));
    house.desk.closing.store(true, SeqCst);
    let reply = client.ask(AUTHORIZE, r#"{"id":"a"}"#);
    let problem = reply.problem(503);
    assert_eq!((&problem["type"], problem.get("recorded")), (&json!("urn:weir:problem:closing"), None));
    assert_eq!((reply.header("retry-after"), reply.header("connection")), (Some("1"), Some("close")));
    assert_eq!(house.metric("hook_answers_total{kind=\"unrecorded\"}").as_deref(), Some("1"));
}

#[test]
fn a_challenge_gives_the_final_decision() {
    let house = House::open(Options::default());
    let mut client = house.client();
    assert_eq!(client.ask(AUTHORIZE, r#"{"id":"a/b ä"}"#).status, 200);
    let path = "POST /v1/authorizations/a%2Fb%20%C3%A4/challenge\ncontent-type: application/json";
    let reply = client.ask(&format!("{path}\nweir-deadline-ms: 9"), r#"{"result":"failed"}"#);
    assert_eq!((reply.status, reply.text()), (200, r#"{"event_id":"a/b ä","result":"Failed","deadline_ms":9}"#));
    assert!(reply.header("server-timing").is_some());
    assert_eq!(client.ask(path, r#"{"result":"won"}"#).problem(422)["field"], "result");
    assert_eq!(client.ask(path, "[]").problem(400)["reason"], "malformed");
    let unknown = "POST /v1/authorizations/b/challenge\ncontent-type: application/json";
    let problem = client.ask(unknown, r#"{"result":"passed"}"#).problem(404);
    assert_eq!((&problem["reason"], &problem["instance"]), (&json!("unknown_target"), &json!("/v1/authorizations/b/challenge")));
    assert_eq!(house.metric("hook_answers_total{kind=\"degraded\"}").as_deref(), Some("1"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let house = House::open(Options::default());
    let mut client = house.client();
    let request = |id: usize| {
        // The first is the slowest.
        let body = format!("{{\"id\":\"{id}\",\"sleep_ms\":{}}}", if id == 0 { 50 } else { 0 });
        format!(
            "POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    client.send((0..20).map(request).collect::<String>());
    for id in 0..20 {
        assert_eq!(client.reply().text(), format!("{{\"event_id\": \"{id}\",  \"deadline_ms\":40}}"));
    }
}

/// The second request's body never comes: the gate is asked before it is read. Planted: what was refused shown to subscribers; told.
#[test]
fn nobody_comes_in_without_a_key() {
    let house = House::with_gate(Options::default(), Named);
    let reply = house.client().ask(AUTHORIZE, r#"{"id":"a"}"#);
    assert_eq!((reply.problem(401)["detail"].clone(), reply.header("www-authenticate")), (json!("no key was sent"), Some("Bearer")));
    let mut client = house.client();
    client.send("POST /v1/authorizations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ingest\r\ncontent-length: 9\r\n\r\n");
    client.reply().problem(403);
    let reply = house.client().ask(&format!("{AUTHORIZE}\nauthorization: Bearer flood"), r#"{"id":"a"}"#);
    reply.problem(429);
    assert_eq!(reply.header("retry-after"), Some("2"));
    let mut client = house.client();
    let hook = "authorization: Bearer hook";
    assert_eq!(client.ask(&format!("{AUTHORIZE}\n{hook}"), r#"{"id":"a"}"#).status, 200);
    assert_eq!(client.ask(&format!("GET /v1/decisions/a\n{hook}"), "").status, 200);
    assert_eq!(client.ask(&format!("GET /v1/decisions/a?view=public\n{hook}"), "").status, 200);
    client.ask(&format!("GET /v1/decisions/a?view=internal\n{hook}"), "").problem(403);
    client.ask(&format!("GET /v1/decisions/a?view=all\n{hook}"), "").problem(400);
    let internal = client.ask("GET /v1/decisions/a?view=internal\nauthorization: Bearer analyst", "");
    assert_eq!(internal.text(), r#"{"internal":true}"#);
    // Who may see it does not see it unasked.
    assert!(client.ask("GET /v1/decisions/a\nauthorization: Bearer analyst", "").text().contains("event_id"));
    for (path, scope) in
        [("/v1/streams/decisions", "hook"), ("/v1/streams/rejected", "subscriber"), ("/metrics", "ingest"), ("/v1/decisions/a", "admin")]
    {
        client.ask(&format!("GET {path}\nauthorization: Bearer {scope}"), "").problem(403);
        client.ask(&format!("GET {path}"), "").problem(401);
    }
    for path in ["/livez", "/readyz", "/openapi.json", "/schemas/decision.json"] {
        assert_eq!(client.get(path).status, 200, "{path} is open");
    }
}
