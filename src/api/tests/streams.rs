//! Server-sent events over a socket.

use super::{Client, House, Named, Options};
use serde_json::json;
use std::thread;
use std::time::Duration;

/// Opens a stream and reads its head.
fn follow(house: &House, path: &str, headers: &str) -> Client {
    let mut client = house.client();
    client.request(&format!("GET {path}\n{headers}"), "");
    let head = client.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
    client
}

/// The next event, without comments.
fn event(client: &mut Client) -> String {
    loop {
        let piece = client.piece();
        assert!(!piece.is_empty(), "the stream ended");
        if !piece.starts_with(':') {
            return piece;
        }
    }
}

/// Planted: the place of the page not taken over; the first entry came again and again.
#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let house = House::open(Options::default());
    house.desk.publish("one");
    let mut client = follow(&house, "/v1/streams/decisions", "");
    assert_eq!(client.piece(), ": nothing new\n\n", "from now on, and the head does not wait for the first entry");
    house.desk.publish("two");
    assert_eq!(event(&mut client), "event: decision\nid: p2\ndata: {\"public\":\"two\"}\n\n");
    house.desk.publish("three");
    assert_eq!(event(&mut client), "event: decision\nid: p3\ndata: {\"public\":\"three\"}\n\n");
    drop(client);
    house.desk.publish("four");
    house.desk.publish("five");
    let mut client = follow(&house, "/v1/streams/decisions?after=p0", "last-event-id: p3");
    let both = "event: decision\nid: p4\ndata: {\"public\":\"four\"}\n\nevent: decision\nid: p5\ndata: {\"public\":\"five\"}\n\n";
    assert_eq!(event(&mut client), both);
    house.desk.publish("six");
    assert!(event(&mut client).contains("id: p6\n"));
    let mut client = follow(&house, "/v1/streams/rejected?after=p%35", "");
    assert_eq!(event(&mut client), "event: rejected\nid: p6\ndata: {\"rejected\":\"six\"}\n\n");
}

#[test]
fn pages_are_bounded() {
    let house = House::open(Options { page_entries_max: 2, ..Options::default() });
    for entry in ["one", "two", "three"] {
        house.desk.publish(entry);
    }
    let mut client = follow(&house, "/v1/streams/decisions?after=p0", "");
    assert_eq!(event(&mut client).matches("data:").count(), 2);
    assert_eq!(event(&mut client), "event: decision\nid: p3\ndata: {\"public\":\"three\"}\n\n");
}

#[test]
fn what_is_no_place_is_told_at_once() {
    let house = House::open(Options::default());
    let mut client = house.client();
    let problem = client.get("/v1/streams/decisions?after=yesterday").problem(400);
    assert_eq!((&problem["reason"], &problem["detail"]), (&json!("unknown_place"), &json!("yesterday is no place")));
    client.ask("GET /v1/streams/rejected\nlast-event-id: 12", "").problem(400);
    client.get("/v1/streams/personalization").problem(404);
}

#[test]
fn the_internal_view_is_for_those_who_may_see_it() {
    let house = House::with_gate(Options::default(), Named);
    house.desk.publish("one");
    let internal = "/v1/streams/decisions?after=p0&view=internal";
    let mut client = house.client();
    client.ask(&format!("GET {internal}\nauthorization: Bearer subscriber"), "").problem(403);
    client.ask(&format!("GET {internal}\nauthorization: Bearer hook,admin"), "").problem(403);
    client.ask(&format!("GET {internal}\nauthorization: Bearer supervisor"), "").problem(403);
    for key in ["analyst", "supervisor,analyst", "subscriber,analyst"] {
        let mut client = follow(&house, internal, &format!("authorization: Bearer {key}"));
        assert!(event(&mut client).contains("data: {\"internal\":\"one\"}"), "{key}");
        let mut client = follow(&house, "/v1/streams/decisions?after=p0", &format!("authorization: Bearer {key}"));
        assert!(event(&mut client).contains("data: {\"public\":\"one\"}"), "{key}: not asked for");
    }
}

#[test]
fn alerts_of_laundering_are_for_analysts_alone() {
    let house = House::with_gate(Options::default(), Named);
    house.desk.publish("one");
    for (key, field) in [("supervisor", "alert"), ("analyst", "internal_alert"), ("supervisor,analyst", "internal_alert")] {
        let mut client = follow(&house, "/v1/streams/alerts?after=p0", &format!("authorization: Bearer {key}"));
        assert!(event(&mut client).contains(&format!("data: {{\"{field}\":\"one\"}}")), "{key}");
    }
}

#[test]
fn a_silent_stream_says_that_it_lives() {
    let options = Options { keep_alive: Duration::from_millis(50), idle_timeout: Duration::from_millis(100), ..Options::default() };
    let house = House::open(options);
    let mut client = follow(&house, "/v1/streams/decisions", "");
    // Far beyond the time that an idle connection may rest.
    for _ in 0..10 {
        assert_eq!(client.piece(), ": nothing new\n\n");
    }
    house.desk.publish("one");
    assert!(event(&mut client).contains("one"));
}

#[test]
fn streams_are_bounded_and_given_back() {
    let house = House::open(Options { streams_max: 1, keep_alive: Duration::from_millis(50), ..Options::default() });
    let client = follow(&house, "/v1/streams/decisions", "");
    assert_eq!(house.metric("http_streams").as_deref(), Some("1"));
    let reply = house.client().get("/v1/streams/rejected");
    assert_eq!((reply.problem(503)["type"].clone(), reply.header("retry-after")), (json!("urn:weir:problem:busy"), Some("1")));
    drop(client);
    // That the client is gone shows when something is written to it.
    let gone = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        house.metric("http_streams").as_deref() == Some("0")
    });
    assert!(gone, "the stream of a client that is gone stays open");
    follow(&house, "/v1/streams/rejected", "");
}

/// Planted: the stream not told of the end; told.
#[test]
fn streams_end_with_the_service() {
    let mut house = House::open(Options::default());
    let mut client = follow(&house, "/v1/streams/decisions", "");
    assert_eq!(client.piece(), ": nothing new\n\n");
    house.stop();
    assert_eq!(client.piece(), "", "an orderly end");
    assert_eq!(client.closed(), "");
    house.ended();
}
