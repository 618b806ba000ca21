//! Slow clients, too many clients, and the end.

use super::{House, Options, PATIENCE};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const QUICK: Duration = Duration::from_millis(200);

/// Planted: the mark of the first byte set anew by every byte; the client was never given up.
#[test]
fn a_head_that_drips_is_given_up() {
    let house = House::open(Options { head_timeout: QUICK, ..Options::default() });
    let mut client = house.client();
    assert_eq!(client.get("/livez").status, 200);
    let start = Instant::now();
    let mut dripped = 0;
    for byte in "GET /livez HTTP/1.1\r\nhost: weir\r\nx: a long header\r\n".bytes() {
        if client.stream.write_all(&[byte]).is_err() {
            break;
        }
        dripped += 1;
        thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() < PATIENCE / 2 && dripped < 40, "{dripped} bytes were taken");
    assert_eq!(client.closed(), "");
    assert_eq!(house.metric("http_timeouts_total{what=\"head\"}").as_deref(), Some("1"));
}

#[test]
fn a_connection_rests_only_so_long() {
    let house = House::open(Options { idle_timeout: QUICK, ..Options::default() });
    let mut fresh = house.client();
    let start = Instant::now();
    assert_eq!(fresh.closed(), "", "one that asks nothing");
    assert!(start.elapsed() >= QUICK);
    let mut used = house.client();
    for _ in 0..4 {
        // Longer together than one rest may be.
        assert_eq!(used.get("/livez").status, 200);
        thread::sleep(QUICK / 3);
    }
    let start = Instant::now();
    assert_eq!(used.closed(), "");
    assert!(start.elapsed() >= QUICK / 2 && start.elapsed() < PATIENCE / 2);
    // A request that takes longer than a rest is none.
    let slow = house.client().ask("POST /v1/authorizations\ncontent-type: application/json", r#"{"id":"a","sleep_ms":600}"#);
    assert_eq!(slow.status, 200);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let house = House::open(Options { write_timeout: QUICK, ..Options::default() });
    let entry = "e".repeat(1 << 20);
    for _ in 0..40 {
        house.desk.publish(&entry);
    }
    let mut client = house.client();
    client.request("GET /v1/streams/decisions?after=p0", "");
    let start = Instant::now();
    let gone = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        house.metric("http_timeouts_total{what=\"write\"}").as_deref() == Some("1")
    });
    assert!(gone && start.elapsed() >= QUICK);
    assert_eq!(house.metric("http_streams").as_deref(), Some("0"));
}

#[test]
fn heads_are_bounded() {
    let house = House::open(Options { head_bytes_max: 2000, ..Options::default() });
    let mut client = house.client();
    client.send(format!("GET /livez HTTP/1.1\r\nhost: w\r\nx: {}\r\n\r\n", "x".repeat(3000)));
    assert_eq!(client.head().status, 431);
    let house = House::open(Options { headers_max: 5, ..Options::default() });
    let ask = |headers: usize| {
        let mut client = house.client();
        client.send(format!("GET /livez HTTP/1.1\r\nhost: w\r\n{}\r\n", "x: 1\r\n".repeat(headers - 1)));
        client.head().status
    };
    assert_eq!((ask(5), ask(6)), (200, 431));
}

#[test]
fn what_is_no_http_is_closed() {
    let house = House::open(Options::default());
    let mut client = house.client();
    client.send("\x16\x03\x01 hello, this is no request\r\n\r\n");
    assert_eq!(client.head().status, 400);
    assert_eq!(client.closed(), "");
    assert_eq!(house.client().get("/livez").status, 200);
}

#[test]
fn connections_are_bounded_and_given_back() {
    let house = House::open(Options { connections_max: 2, ..Options::default() });
    let (mut one, mut two) = (house.client(), house.client());
    assert_eq!((one.get("/livez").status, two.get("/livez").status), (200, 200));
    let mut third = house.client();
    assert_eq!(third.closed(), "");
    assert_eq!(house.metric("http_connections_refused_total").as_deref(), Some("1"));
    one.stream.shutdown(Shutdown::Both).expect("open");
    let mut answered = (0..200).map(|_| {
        thread::sleep(Duration::from_millis(10));
        let mut stream = TcpStream::connect(house.address).expect("the doors are open");
        let mut answer = [0; 12];
        let sent = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: w\r\n\r\n").and_then(|()| stream.read_exact(&mut answer));
        sent.is_ok() && answer == *b"HTTP/1.1 200"
    });
    assert!(answered.any(|answered| answered));
    assert_eq!(two.get("/livez").status, 200);
}

/// Planted: `graceful_shutdown` left out; told.
#[test]
fn requests_that_were_begun_are_finished() {
    let mut house = House::open(Options::default());
    let mut resting = house.client();
    assert_eq!(resting.get("/livez").status, 200);
    let mut fresh = house.client();
    let mut client = house.client();
    client.request("POST /v1/authorizations\ncontent-type: application/json", r#"{"id":"a","sleep_ms":400}"#);
    thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    house.stop();
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!((client.closed(), resting.closed(), fresh.closed()), (String::new(), String::new(), String::new()));
    house.ended();
    assert!(start.elapsed() < PATIENCE / 2, "the end took {:?}", start.elapsed());
    assert!(TcpStream::connect(house.address).is_err(), "nobody listens");
    assert_eq!(house.metric("http_connections").as_deref(), Some("0"));
}

#[test]
fn the_end_waits_only_so_long() {
    let mut house = House::open(Options { drain_timeout: QUICK, ..Options::default() });
    let mut client = house.client();
    client.request("POST /v1/authorizations\ncontent-type: application/json", r#"{"id":"a","sleep_ms":60000}"#);
    thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    house.stop();
    assert_eq!(client.closed(), "");
    house.ended();
    assert!(start.elapsed() >= QUICK && start.elapsed() < PATIENCE / 2);
}
