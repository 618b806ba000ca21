//! Answers: from bytes to status, body and server time.

use std::borrow::Cow;

/// An answer that has arrived whole.
#[derive(Debug, PartialEq)]
pub struct Response<'a> {
    pub status: u16,
    pub body: Cow<'a, [u8]>,
    /// `total;dur=` of the header `Server-Timing`, in milliseconds.
    pub server_ms: Option<f64>,
    /// Whether the connection takes another request.
    pub keeps: bool,
    /// How many bytes of the input it took.
    pub length: usize,
}

/// Bytes that are no HTTP/1 answer, or too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The longest answer in bytes: a decision has one or two thousand.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 64;
/// How many interim answers (1xx) may stand before an answer.
const INTERIM_MAX: usize = 8;

/// Reads the answer at the beginning of `input`; none where it is not whole yet. `ended`: the other side has closed, no more comes.
///
/// # Errors
/// Where it is no answer and cannot become one.
pub fn parse(input: &[u8], ended: bool) -> Result<Option<Response<'_>>, Malformed> {
    parse_behind(input, ended, INTERIM_MAX)
}

fn parse_behind(input: &[u8], ended: bool, interim_max: usize) -> Result<Option<Response<'_>>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(input) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) if input.len() < ANSWER_BYTES_MAX => return Ok(None),
        _ => return Err(Malformed),
    };
    let status = head.code.ok_or(Malformed)?;
    if (100..200).contains(&status) && status != 101 {
        // An interim answer: the real one follows.
        let left = interim_max.checked_sub(1).ok_or(Malformed)?;
        let rest = parse_behind(&input[start..], ended, left)?;
        return Ok(rest.map(|rest| Response { length: rest.length + start, ..rest }));
    }
    let mut declared = None;
    let mut chunked = false;
    let mut keeps = head.version == Some(1);
    let mut server_ms = None;
    for header in head.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.parse::<usize>().map_err(|_| Malformed)?;
            if length > ANSWER_BYTES_MAX || declared.is_some_and(|declared| declared != length) {
                return Err(Malformed);
            }
            declared = Some(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(Malformed);
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            if value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")) {
                keeps = false;
            }
        } else if header.name.eq_ignore_ascii_case("server-timing") {
            server_ms = server_ms.or_else(|| total_ms(value));
        }
    }
    let rest = &input[start..];
    let (body, taken) = match declared {
        _ if status == 204 || status == 304 => (Cow::Borrowed(&rest[..0]), 0),
        _ if chunked => match dechunk(rest)? {
            Some((body, taken)) => (Cow::Owned(body), taken),
            None => return Ok(None),
        },
        Some(length) => match rest.get(..length) {
            Some(body) => (Cow::Borrowed(body), length),
            None => return Ok(None),
        },
        // Neither length nor chunks: the body ends with the connection.
        None if rest.len() > ANSWER_BYTES_MAX => return Err(Malformed),
        None if !ended => return Ok(None),
        None => {
            keeps = false;
            (Cow::Borrowed(rest), rest.len())
        }
    };
    Ok(Some(Response { status, body, server_ms, keeps, length: start + taken }))
}

/// The body behind `input`'s chunks and how many bytes it took; none where it is not whole yet.
fn dechunk(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&input[at..]) {
            Ok(httparse::Status::Complete((line, size))) => (line, usize::try_from(size).map_err(|_| Malformed)?),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        if size > ANSWER_BYTES_MAX || body.len() + size > ANSWER_BYTES_MAX {
            return Err(Malformed);
        }
        at += line;
        if size == 0 {
            // Trailers, each with its line end, then an empty line.
            let Some(end) = trailers_end(&input[at..]) else { return Ok(None) };
            return Ok(Some((body, at + end)));
        }
        let Some(chunk) = input.get(at..at + size + 2) else { return Ok(None) };
        if &chunk[size..] != b"\r\n" {
            return Err(Malformed);
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

fn trailers_end(input: &[u8]) -> Option<usize> {
    if input.starts_with(b"\r\n") {
        return Some(2);
    }
    input.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The duration of the metric `total` in a `Server-Timing` value.
fn total_ms(value: &str) -> Option<f64> {
    value.split(',').find_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        if parts.next() != Some("total") {
            return None;
        }
        let dur = parts.find_map(|part| part.strip_prefix("dur="))?;
        dur.trim_matches('"').parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms >= 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let plain: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nServer-Timing: queue;dur=0.1, total;dur=0.41\r\n\r\nhello";
        let chunked: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n";
        let interim: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for text in [plain, chunked, interim] {
            for cut in 0..text.len() {
                assert_eq!(parse(&text[..cut], false), Ok(None), "after {cut} bytes of {:?}", String::from_utf8_lossy(text));
            }
            let answer = parse(text, false).expect("an answer").expect("whole");
            assert_eq!((answer.status, &*answer.body, answer.keeps, answer.length), (200, &b"hello"[..], true, text.len()));
        }
        let answer = parse(plain, false).expect("an answer").expect("whole");
        assert_eq!(answer.server_ms, Some(0.41));
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(parse(text, false), Ok(None));
        let answer = parse(text, true).expect("an answer").expect("whole");
        assert_eq!((&*answer.body, answer.keeps), (&b"hello"[..], false));
        // With a length, an end before it is no answer.
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", true), Ok(None));
    }

    #[test]
    fn a_connection_closes_when_told() {
        let close = b"HTTP/1.1 200 OK\r\nconnection: Foo, Close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(parse(close, false).map(|answer| answer.map(|answer| answer.keeps)), Ok(Some(false)));
        let old = b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(parse(old, false).map(|answer| answer.map(|answer| answer.keeps)), Ok(Some(false)));
        let none = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(none, false).map(|answer| answer.map(|answer| answer.length)), Ok(Some(none.len())));
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [
            &b"SSH-2.0-x\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert_eq!(parse(text, false), Err(Malformed), "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn server_timing_is_read_where_it_is_one() {
        for (value, ms) in [
            ("total;dur=1.5", Some(1.5)),
            ("a, total;desc=\"x\";dur=2", Some(2.0)),
            ("totals;dur=3", None),
            ("total", None),
            ("total;dur=-1", None),
            ("total;dur=NaN", None),
        ] {
            assert_eq!(total_ms(value), ms, "{value}");
        }
    }
}
