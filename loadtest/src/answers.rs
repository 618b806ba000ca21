//! The answers file: one JSON line a request, so that what was acknowledged can be asked for again after a crash.

use crate::record::{Outcome, Record, hexadecimal};
use crate::source::Source;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// One request and its answer.
#[derive(Debug, Deserialize, Serialize)]
pub struct AnswerLine {
    pub id: String,
    /// `first`, `retry` or `conflict`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warmup: bool,
    /// When it was due.
    pub intended: String,
    /// From then to the answer, in microseconds; of a lost request to when it was given up.
    pub latency_us: u64,
    /// As counted: `evaluated`, `fallback`, `timed_out`, …
    pub outcome: String,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// The body's own `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The request's body, where it was asked to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What gives the lines their ids and times.
pub struct Writing<'a> {
    pub source: &'a Source,
    /// When the schedule began, on the clock and by the wall.
    pub start_ns: u64,
    pub started: Timestamp,
    /// The first slot that is measured.
    pub measured_from: u64,
    pub keep_requests: bool,
}

/// Writes one line for each of `records` to `path`.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, records: &[Record], writing: &Writing<'_>) -> Result<(), String> {
    let at = |error: io::Error| format!("{}: cannot be written: {error}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(at)?);
    for record in records {
        serde_json::to_writer(&mut out, &line(record, writing)).map_err(|error| at(error.into()))?;
        out.write_all(b"\n").map_err(at)?;
    }
    out.flush().map_err(at)
}

fn line(record: &Record, writing: &Writing<'_>) -> AnswerLine {
    let decision = record.outcome.is_decision();
    let since = SignedDuration::from_nanos(record.due_ns.saturating_sub(writing.start_ns) as i64);
    let request = writing.keep_requests.then(|| {
        let mut body = Vec::new();
        writing.source.body(record.kind.target(), record.kind.is_conflict(), &mut body);
        String::from_utf8_lossy(&body).into_owned()
    });
    AnswerLine {
        id: writing.source.id(record.kind.target()),
        kind: record.kind.name().to_owned(),
        warmup: record.slot < writing.measured_from,
        intended: writing.started.checked_add(since).unwrap_or(writing.started).to_string(),
        latency_us: record.latency_ns() / 1000,
        outcome: record.outcome.name().to_owned(),
        http: (record.http != 0).then_some(record.http),
        status: (decision && record.outcome != Outcome::Unmarked).then(|| record.outcome.name().to_owned()),
        sequence: record.sequence,
        sha256: (record.http != 0).then(|| hexadecimal(&record.sha256)),
        request,
    }
}

/// What the caller was told about an id: nothing, or an answer that must stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub id: String,
    /// Sequence and SHA-256 of the first answer that was a decision; none where the id was sent and never answered.
    pub answer: Option<(Option<u64>, [u8; 32])>,
    pub request: Option<String>,
}

/// Reads the ids of an answers file in their order, and how many lines contradict the first answer to their id.
///
/// # Errors
/// Where the file cannot be read or a line is none of its kind.
pub fn read(path: &Path) -> Result<(Vec<Known>, u64), String> {
    let file = File::open(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let mut known: Vec<Known> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut contradictions = 0;
    for (number, text) in BufReader::with_capacity(1 << 20, file).lines().enumerate() {
        let at = |what: String| format!("{}:{}: {what}", path.display(), number + 1);
        let text = text.map_err(|error| at(format!("cannot be read: {error}")))?;
        let line: AnswerLine = serde_json::from_str(&text).map_err(|error| at(format!("expected a line of --answers: {error}")))?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.name() == line.outcome);
        let outcome = outcome.ok_or_else(|| at(format!("outcome is {:?}, expected one of --answers", line.outcome)))?;
        // What was never sent says nothing, and a conflict's answer is no decision on the id.
        if outcome.is_unsent() || line.kind == "conflict" {
            continue;
        }
        let answer = match (outcome.is_decision(), &line.sha256) {
            (true, Some(text)) => {
                let sha256 = digest(text).ok_or_else(|| at(format!("sha256 is {text:?}, expected 64 hexadecimal digits")))?;
                Some((line.sequence, sha256))
            }
            (true, None) => return Err(at("found a decision without sha256".to_owned())),
            (false, _) => None,
        };
        // An answer that promised nothing (a refusal, an unrecorded stand-in) leaves nothing to ask for.
        if answer.is_none() && !outcome.is_lost() {
            continue;
        }
        let place = *places.entry(line.id.clone()).or_insert_with(|| {
            known.push(Known { id: line.id, answer: None, request: line.request });
            known.len() - 1
        });
        match (&known[place].answer, answer) {
            (Some((_, first)), Some((_, sha256))) => contradictions += u64::from(*first != sha256),
            (None, Some(answer)) => known[place].answer = Some(answer),
            (_, None) => {}
        }
    }
    Ok((known, contradictions))
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Arrivals, Schedule};
    use crate::source::{Kind, Population};
    use std::time::Duration;

    #[test]
    fn what_was_written_is_known_again() {
        let schedule = Schedule::new(Duration::ZERO, &["100:1s".parse().expect("a step")], Arrivals::Even, 1);
        let population = Population { users: 10, merchants: 10, transfer_share: 0.0 };
        let source = Source::made(population, 1, "p", &schedule);
        let record = |slot: u64, kind: Kind, outcome: Outcome, sha: u8| {
            let mut record = Record::overflowed(kind, slot, 1_000_000_000 + slot * 10_000_000);
            record.outcome = outcome;
            record.http = if outcome.is_lost() || outcome.is_unsent() { 0 } else { 200 };
            record.sequence = Some(slot);
            record.sha256 = [sha; 32];
            record
        };
        let records = [
            record(0, Kind::First { slot: 0 }, Outcome::Evaluated, 1),
            record(1, Kind::First { slot: 1 }, Outcome::TimedOut, 0),
            record(2, Kind::First { slot: 2 }, Outcome::Overflowed, 0),
            record(3, Kind::Retry { of: 0 }, Outcome::Evaluated, 2),
            record(4, Kind::Retry { of: 1 }, Outcome::Fallback, 4),
            record(5, Kind::Conflict { of: 0 }, Outcome::ConflictRefused, 5),
            record(6, Kind::First { slot: 6 }, Outcome::Refused, 6),
            record(7, Kind::First { slot: 7 }, Outcome::Closed, 0),
        ];
        let file = tempfile::NamedTempFile::new().expect("a file");
        let started = "2026-01-02T03:04:05Z".parse().expect("a time");
        let writing = Writing { source: &source, start_ns: 1_000_000_000, started, measured_from: 1, keep_requests: true };
        write(file.path(), &records, &writing).expect("written");
        let (known, contradictions) = read(file.path()).expect("read");
        let facts: Vec<_> = known.iter().map(|known| (known.id.as_str(), known.answer)).collect();
        assert_eq!(facts, [("p-0", Some((Some(0), [1; 32]))), ("p-1", Some((Some(4), [4; 32]))), ("p-7", None)]);
        assert_eq!(contradictions, 1, "the retry of 0 has another answer");
        assert!(known[0].request.as_deref().is_some_and(|request| request.contains(r#""id":"p-0""#)));
        let text = std::fs::read_to_string(file.path()).expect("readable");
        assert!(text.lines().nth(4).is_some_and(|line| line.contains(r#""intended":"2026-01-02T03:04:05.04Z""#)), "{text}");
        assert_eq!(text.matches(r#""warmup":true"#).count(), 1);
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "{\"id\":1}\n").expect("written");
        assert!(read(file.path()).is_err_and(|error| error.contains(":1: expected a line of --answers")));
        assert_eq!((digest("zz"), digest(&"é".repeat(32))), (None, None));
    }
}
