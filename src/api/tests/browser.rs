//! Web pages that make a browser on this machine ask.

use super::{House, Named, Options};

const EVENT: &str = r#"{"id":"a"}"#;

/// Sends a request with these headers, and nothing else beside the length of the body.
fn ask(house: &House, line: &str, headers: &[&str]) -> super::Reply {
    let body = if line.starts_with("POST") { EVENT } else { "" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let mut client = house.client();
    client.send(format!("{line} HTTP/1.1\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    client.reply()
}

/// Planted: no look at the header `Host`; at the first of two only; the target's own host not looked at. Each was told.
#[test]
fn who_asks_by_a_foreign_name_is_refused() {
    let house = House::open(Options::default());
    let hook = "POST /v1/authorizations";
    let port = house.address.port();
    for host in ["localhost".to_owned(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]:1".to_owned()] {
        assert_eq!(ask(&house, hook, &[&format!("host: {host}")]).status, 200, "{host}");
    }
    for (hosts, found) in [
        (&["host: evil.example:8080"][..], "found the host evil.example:8080, expected localhost or a loopback address"),
        (&["host: 192.0.2.1"], "found the host 192.0.2.1"),
        (&["host: localhost", "host: evil.example"], "found several headers Host, expected one"),
        (&["host: caf\u{e9}.localhost"], "found the host unreadable"),
        (&[], "found no header Host"),
    ] {
        let problem = ask(&house, hook, hosts).problem(403);
        assert_eq!((&problem["type"], &problem["field"]), (&"urn:weir:problem:foreign".into(), &"Host".into()));
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.starts_with(found) && detail.contains("weir keys add"), "{detail}");
    }
    let target = ask(&house, "POST http://evil.example/v1/authorizations", &["host: localhost"]).problem(403);
    assert!(target["detail"].as_str().expect("a text").starts_with("found the host evil.example,"), "{target}");
    for route in ["GET /v1/decisions/a", "GET /v1/streams/decisions", "GET /metrics", "POST /v1/events"] {
        ask(&house, route, &["host: evil.example"]).problem(403);
    }
    // What is open to everybody says nothing that a page must not know; probes ask by any name.
    for route in ["GET /livez", "GET /readyz", "GET /openapi.json"] {
        assert_eq!(ask(&house, route, &["host: evil.example"]).status, 200, "{route}");
    }
}

/// Planted: `Origin` compared with the names of this machine, not with the host that was asked; another port's page was let in.
#[test]
fn a_page_of_another_origin_is_refused() {
    let house = House::open(Options::default());
    let host = format!("host: 127.0.0.1:{}", house.address.port());
    let own = &*format!("origin: http://127.0.0.1:{}", house.address.port());
    let with = |headers: &[&str]| ask(&house, "POST /v1/authorizations", &[&[&*host], headers].concat());
    for headers in [&[][..], &[own], &["sec-fetch-site: none"], &["sec-fetch-site: same-origin", own]] {
        assert_eq!(with(headers).status, 200, "{headers:?}");
    }
    for (headers, field) in [
        (&["origin: https://evil.example"][..], "Origin"),
        (&["origin: null"], "Origin"),
        (&["origin: http://127.0.0.1:1"], "Origin"),
        (&["origin: http://localhost"], "Origin"),
        (&[own, "origin: https://evil.example"], "Origin"),
        (&["sec-fetch-site: cross-site"], "Sec-Fetch-Site"),
        (&["sec-fetch-site: same-site"], "Sec-Fetch-Site"),
    ] {
        let problem = with(headers).problem(403);
        assert_eq!((&problem["type"], &problem["field"]), (&"urn:weir:problem:foreign".into(), &field.into()), "{headers:?}");
    }
}

#[test]
fn a_key_is_no_page_s() {
    let house = House::with_gate(Options::default(), Named);
    let headers = ["host: weir.example", "origin: https://console.example", "sec-fetch-site: cross-site", "authorization: Bearer hook"];
    assert_eq!(ask(&house, "POST /v1/authorizations", &headers).status, 200);
}
