//! Alerts as an analyst meets them: payments and results come in by the doors of a real service, an alert opens and grows, and door, stream
//! and topic say the same of it. Of those of laundering `taint` tells.

mod house;

use house::service::{PATIENCE, Room, Running};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn key(room: &Room, scope: &str) -> String {
    room.done(&["keys", "add", "--name", scope, "--scope", scope, "--data", "data"]).trim().to_owned()
}

/// A service that asks for keys.
struct Guarded(Running);

impl Guarded {
    /// A request by this version of HTTP: 1.0 has no chunks.
    fn open(&self, line: &str, key: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.0.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        BufReader::new(stream)
    }

    /// Status and body.
    fn ask(&self, line: &str, key: &str, headers: &str, body: &str) -> (u16, String) {
        let mut text = String::new();
        self.open(line, key, headers, body).read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).expect("a status").parse().unwrap(), body.to_owned())
    }

    /// Sends events, each of which must be taken.
    fn send(&self, key: &str, lines: &[String]) {
        let headers = "content-type: application/x-ndjson\r\n";
        let (status, told) = self.ask("POST /v1/events", key, headers, &lines.concat());
        assert_eq!(status, 200, "{told}");
        assert_eq!(told.lines().filter(|line| line.contains("\"recorded\"")).count(), lines.len(), "{told}");
    }

    /// A stream of alerts behind this place.
    fn follow(&self, key: &str, after: &str) -> Stream {
        Stream(self.open("GET /v1/streams/alerts", key, &format!("last-event-id: {after}\r\n"), ""))
    }

    /// The open alerts once there are so many, the first of them in this version.
    fn alerts(&self, key: &str, version: u64) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.ask("GET /v1/alerts", key, "", "");
            assert_eq!(status, 200, "{body}");
            let told: Value = serde_json::from_str(&body).unwrap();
            if told["alerts"][0]["version"] == version {
                return body;
            }
            assert!(Instant::now() < until, "expected version {version}, found {body}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Server-sent events as they come.
struct Stream(BufReader<TcpStream>);

impl Stream {
    /// The next alert: its place, and the bytes of its JSON.
    fn next(&mut self) -> (String, String) {
        let (mut place, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
            let line = line.trim_end();
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut place);
            } else if let Some(json) = line.strip_prefix("data: ") {
                return (place, json.to_owned());
            }
        }
    }
}

fn time(second: i64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    weir::event::Timestamp(since.as_micros() as i64 + (second - 30) * 1_000_000).to_string()
}

/// Card number `n` is tried at the shop, each by somebody else.
fn tried(n: i64) -> String {
    format!(
        "{{\"id\":\"p{n}\",\"type\":\"payment\",\"time\":\"{}\",\"user\":\"u{n}\",\"card\":\"c{n}\",\"merchant\":\"shop\",\"amount\":100,\
         \"currency\":\"EUR\"}}\n",
        time(n)
    )
}

/// And the issuer refuses it.
fn refused(n: i64) -> String {
    format!(
        "{{\"id\":\"r{n}\",\"type\":\"payment_result\",\"time\":\"{}\",\"target\":\"p{n}\",\"status\":\"declined_by_issuer\"}}\n",
        time(n)
    )
}

/// Caught when planted: the door's alerts parsed and written again, so that their keys were sorted; the stream begun at the entry that the
/// client had read last.
#[test]
fn an_alert_raised_by_events_is_the_same_at_door_stream_and_topic() {
    // Also on loopback nobody comes in without a key.
    let room = Room::new("[security]\nloopback_open = false\n");
    let [hook, ingest, analyst] = ["hook", "ingest", "analyst"].map(|scope| key(&room, scope));
    let service = Guarded(room.start("data", &[]));
    for door in ["GET /v1/alerts", "GET /v1/streams/alerts"] {
        for key in [&hook, &ingest] {
            assert_eq!(service.ask(door, key, "", "").0, 403, "{door}");
        }
        assert_eq!(service.ask(door, "weir_no_key", "", "").0, 401, "{door}");
    }
    assert_eq!(service.ask("GET /v1/alerts", &analyst, "", ""), (200, "{\"alerts\":[],\"held\":0}".to_owned()));

    // Five cards are refused at one shop: the first version. The stream is open before.
    let mut live = service.follow(&analyst, "0");
    service.send(&ingest, &(0..5).map(tried).collect::<Vec<_>>());
    service.send(&ingest, &(0..5).map(refused).collect::<Vec<_>>());
    let (place, first) = live.next();
    assert_eq!(service.alerts(&analyst, 1), format!("{{\"alerts\":[{first}],\"held\":0}}"));
    let told: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&told["kind"], &told["typology"], &told["status"]), (&"fraud".into(), &"card_testing".into(), &"open".into()));
    assert_eq!((&told["subject"]["kind"], &told["subject"]["id"]), (&"merchant".into(), &"shop".into()), "the texts are there, too");
    assert_eq!((&told["events"], &told["money"]["amount"]), (&5.into(), &500.into()));

    // The sixth makes it grow.
    service.send(&ingest, &[tried(5), refused(5)]);
    let (next, second) = live.next();
    assert_eq!(service.alerts(&analyst, 2), format!("{{\"alerts\":[{second}],\"held\":0}}"));
    let grown: Value = serde_json::from_str(&second).unwrap();
    assert_eq!((&grown["alert_id"], &grown["version"], &grown["events"]), (&told["alert_id"], &2.into(), &6.into()));
    assert!(grown["members"].as_array().map(Vec::len) > told["members"].as_array().map(Vec::len), "{grown}");
    assert!(next.parse::<u64>().unwrap() > place.parse::<u64>().unwrap());

    // Who comes again goes on behind what was read.
    assert_eq!(service.follow(&analyst, &place).next(), (next, second.clone()));
    assert_eq!(service.follow(&analyst, "0").next(), (place, first.clone()));

    service.0.end();
    assert_eq!(
        room.done(&["tail", "alerts", "--data", "data"]),
        format!("{first}\n{second}\n"),
        "the topic has both versions, in their order"
    );
}
