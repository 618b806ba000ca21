//! What requests bring: bodies within their limits, media types, deadlines, query parameters.

use crate::api::Options;
use crate::api::problem::{Kind, Problem};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use std::time::Duration;
use tokio::time::timeout;

/// The header that says how long a caller waits, in milliseconds.
pub(super) const DEADLINE: &str = "weir-deadline-ms";

/// Reads a body to its end. One that came in a piece, as nearly all do, is not copied.
///
/// # Errors
/// Larger than `bytes_max`, not there after `wait`, or broken off.
pub(super) async fn read(body: Body, bytes_max: usize, wait: Duration) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Kind::TooLarge, format!("the body may have {bytes_max} bytes")).reason("oversized");
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let gather = async {
        let mut pieces = body.into_data_stream();
        let mut whole = Bytes::new();
        let mut joined = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Problem::new(Kind::BadRequest, "the body broke off").reason("malformed"))?;
            if whole.len() + joined.len() + piece.len() > bytes_max {
                return Err(too_large());
            }
            if whole.is_empty() && joined.is_empty() {
                whole = piece;
                continue;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&whole);
                whole = Bytes::new();
            }
            joined.extend_from_slice(&piece);
        }
        Ok(if joined.is_empty() { whole } else { Bytes::from(joined) })
    };
    match timeout(wait, gather).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(Kind::Timeout, format!("the body was not there after {} ms", wait.as_millis()))),
    }
}

/// Refuses a body of any other media type than `expected`; parameters such as a charset do not matter.
///
/// # Errors
/// Another media type, or none.
pub(super) fn expect_media_type(headers: &HeaderMap, expected: &[&str]) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(media_type("none", expected));
    };
    let found = value.to_str().unwrap_or("unreadable");
    let essence = found.split(';').next().unwrap_or_default().trim();
    match expected.iter().any(|name| essence.eq_ignore_ascii_case(name)) {
        true => Ok(()),
        false => Err(media_type(essence, expected)),
    }
}

fn media_type(found: &str, expected: &[&str]) -> Problem {
    Problem::new(Kind::MediaType, format!("content type is {found}, expected {}", expected.join(" or "))).field("content-type")
}

/// How long the caller waits.
///
/// # Errors
/// No whole number of milliseconds from 1 to the greatest that is allowed.
pub(super) fn deadline(headers: &HeaderMap, options: &Options) -> Result<Duration, Problem> {
    let Some(value) = headers.get(DEADLINE) else {
        return Ok(options.deadline_default);
    };
    let most = options.deadline_max.as_millis() as u64;
    let found = value.to_str().unwrap_or("unreadable");
    // `parse` would take a sign too.
    let milliseconds = found.parse::<u64>().ok().filter(|_| found.bytes().all(|byte| byte.is_ascii_digit()));
    match milliseconds.filter(|milliseconds| (1..=most).contains(milliseconds)) {
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(Problem::new(Kind::BadRequest, format!("deadline is {found}, expected milliseconds from 1 to {most}"))
            .reason("invalid")
            .field("Weir-Deadline-Ms")),
    }
}

/// The value of a query parameter, `None` where it is absent.
///
/// # Errors
/// Not UTF-8.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, Problem> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let Some((_, value)) = pairs.into_iter().find(|(key, _)| *key == name) else {
        return Ok(None);
    };
    match percent_decode_str(&value.replace('+', " ")).decode_utf8() {
        Ok(text) => Ok(Some(text.into_owned())),
        Err(_) => Err(Problem::new(Kind::BadRequest, format!("parameter {name} is not UTF-8")).reason("invalid")),
    }
}

#[cfg(test)]
mod tests {
    use super::{DEADLINE, deadline, expect_media_type, parameter, read};
    use crate::api::Options;
    use axum::body::{Body, Bytes};
    use axum::http::HeaderMap;
    use axum::http::header::CONTENT_TYPE;
    use futures_util::stream;
    use std::io;
    use std::time::Duration;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(name.parse().expect("a name"), value.parse().expect("a value"))].into_iter().collect()
    }

    /// Planted: the length of `whole` left out of the sum; the third was read.
    #[test]
    fn bodies_are_read_up_to_their_limit() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let pieces =
            |pieces: &'static [&'static str]| Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, io::Error>(*piece))));
        let read = |body| runtime.block_on(read(body, 10, Duration::from_millis(20))).map_err(|problem| problem.status().as_u16());
        assert_eq!(read(Body::from("0123456789")), Ok(Bytes::from("0123456789")));
        assert_eq!(read(pieces(&["0123", "4567", "", "89"])), Ok(Bytes::from("0123456789")));
        assert_eq!(read(pieces(&["0123456", "789a"])), Err(413));
        assert_eq!(read(pieces(&["0123", "4567", "89a"])), Err(413));
        assert_eq!(read(Body::from("0123456789a")), Err(413));
        assert_eq!(read(Body::from("")), Ok(Bytes::new()));
        assert_eq!(read(Body::from_stream(stream::pending::<io::Result<Bytes>>())), Err(408));
        assert_eq!(read(Body::from_stream(stream::iter([Err::<Bytes, _>(io::Error::other("gone"))]))), Err(400));
    }

    #[test]
    fn deadlines_are_whole_milliseconds() {
        let options = Options { deadline_max: Duration::from_secs(10), ..Options::default() };
        assert_eq!(deadline(&HeaderMap::new(), &options).ok(), Some(options.deadline_default));
        for (value, expected) in [("1", Some(1)), ("10000", Some(10_000)), ("010", Some(10))] {
            assert_eq!(deadline(&headers(DEADLINE, value), &options).ok(), expected.map(Duration::from_millis), "{value}");
        }
        for value in ["0", "10001", "-1", "+5", "1.5", "", "1e3", "99999999999999999999"] {
            assert!(deadline(&headers(DEADLINE, value), &options).is_err(), "{value}");
        }
    }

    #[test]
    fn media_types_are_compared_without_their_parameters() {
        let json = ["application/json"];
        for value in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
            assert!(expect_media_type(&headers(CONTENT_TYPE.as_str(), value), &json).is_ok(), "{value}");
        }
        for value in ["text/plain", "application/json5", "", "application/x-www-form-urlencoded"] {
            assert!(expect_media_type(&headers(CONTENT_TYPE.as_str(), value), &json).is_err(), "{value}");
        }
        assert!(expect_media_type(&HeaderMap::new(), &json).is_err());
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter(Some("after=12%3A3&view=internal"), "after").ok(), Some(Some("12:3".to_owned())));
        assert_eq!(parameter(Some("a+b=1&after=a+b"), "after").ok(), Some(Some("a b".to_owned())));
        assert_eq!(parameter(Some("hereafter=1"), "after").ok(), Some(None));
        assert_eq!(parameter(None, "after").ok(), Some(None));
        assert!(parameter(Some("after=%ff"), "after").is_err());
    }
}
