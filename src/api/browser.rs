//! Requests that a web page makes its reader's browser send.
//!
//! Where an address is all that lets a caller in, a browser on this machine is let in too, and with it whatever page it shows. A page of
//! another origin betrays itself by `Origin` or `Sec-Fetch-Site`; one whose own name was made to lead to this machine (DNS rebinding) is of
//! our origin as the browser sees it, but asks by that name: `Host` tells. Who sends a key is no such page: a page does not know it.

use crate::api::problem::{Kind, Problem};
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::request::Parts;
use std::net::IpAddr;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What to do about a refusal.
const REMEDY: &str = "or send a key, which `weir keys add` makes";

/// Refuses what may be a page's request.
///
/// # Errors
/// Asked by another name than one of this machine's own, or by a page of another origin.
pub(super) fn refuse_pages(parts: &Parts) -> Result<(), Problem> {
    // Two hosts are none: which of them an intermediary believed, nobody knows.
    let mut hosts = parts.headers.get_all(HOST).iter().map(|value| value.to_str().unwrap_or("unreadable"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, _) => return Err(foreign("no header Host".to_owned(), "localhost or a loopback address").field("Host")),
        (Some(_), Some(_)) => return Err(foreign("several headers Host".to_owned(), "one").field("Host")),
    };
    // A target in absolute form names the host once more, and counts before the header.
    for name in [Some(host), parts.uri.authority().map(|authority| authority.as_str())].into_iter().flatten() {
        if !is_loopback_name(name) {
            return Err(foreign(format!("the host {name}"), "localhost or a loopback address").field("Host"));
        }
    }
    if let Some(origin) = parts.headers.get_all(ORIGIN).iter().map(|value| value.to_str().unwrap_or("unreadable")).find(|origin| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }) {
        return Err(foreign(format!("a page of the origin {origin}"), "none, or one of this service").field("Origin"));
    }
    match parts.headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes()) {
        // `none`: somebody typed the address.
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(foreign("a page of another site".to_owned(), "none, or one of this service").field("Sec-Fetch-Site")),
    }
}

fn foreign(found: String, expected: &str) -> Problem {
    let detail = format!(
        "found {found}, expected {expected}: without a key only programs on this machine are served, not web pages; ask at localhost, {REMEDY}"
    );
    Problem::new(Kind::Foreign, detail)
}

/// Whether `host`, with or without a port, is a name that nobody can make lead here from elsewhere. The port does not matter: it may be
/// that of a tunnel.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_port(port) => return address.parse().is_ok_and(is_loopback),
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address| is_loopback(IpAddr::V4(address)))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::is_loopback_name;

    /// Planted: `starts_with("localhost")`; `localhost.evil.example` was let in.
    #[test]
    fn names_of_this_machine_are_told_from_names_that_only_look_so() {
        for host in
            ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:80", "127.8.9.1:1", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "weir",
            "localhost.evil.example",
            "localhost.:80",
            "127.0.0.1.evil.example",
            "127.0.0.1:80.evil.example",
            "evil.example:8080",
            "evil@localhost",
            "0.0.0.0:8080",
            "192.0.2.1",
            "2130706433",
            "127.1",
            "::1",
            "[::1",
            "[::1]evil",
            "[::2]:80",
            "[localhost]:80",
            "[127.0.0.1]x:80",
            "unreadable",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
