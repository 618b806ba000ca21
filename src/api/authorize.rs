//! The hook: `POST /v1/authorizations` and the results of step-ups.

use crate::api::body::{deadline, expect_media_type, read};
use crate::api::desk::{Answer, ChallengeResult, Desk};
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, segment};
use crate::decision::Status;
use crate::metrics::Metrics;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response};
use prometheus::IntCounter;
use serde_json::Value;
use std::io::Write;
use std::time::{Duration, Instant};

pub(super) const JSON: [&str; 1] = ["application/json"];
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The caller's W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Where the decision is when the answer leaves: `kafka` or, at the deadline, the `journal` alone.
const COMMITTED: HeaderName = HeaderName::from_static("weir-committed");

/// Counters of answers, by kind.
pub(super) struct Answers {
    decided: [IntCounter; 3],
    conflict: IntCounter,
    misdirected: IntCounter,
    refused: IntCounter,
    unrecorded: IntCounter,
    closing: IntCounter,
}

impl Answers {
    pub(super) fn new(metrics: &Metrics) -> Answers {
        let counter = |kind| metrics.hook_answers_total.with_label_values(&[kind]);
        Answers {
            decided: [Status::Evaluated, Status::Degraded, Status::Fallback].map(|status| counter(status.name())),
            conflict: counter("conflict"),
            misdirected: counter("misdirected"),
            refused: counter("refused"),
            unrecorded: counter("unrecorded"),
            closing: counter("closing"),
        }
    }

    fn count(&self, answer: &Answer) {
        let counter = match answer {
            Answer::Decided { status, .. } => &self.decided[*status as usize],
            Answer::Conflict { .. } => &self.conflict,
            Answer::Misdirected { .. } => &self.misdirected,
            Answer::Refused { .. } => &self.refused,
            Answer::Unrecorded { .. } => &self.unrecorded,
            Answer::Closing => &self.closing,
        };
        counter.inc();
    }
}

/// Judges one payment or transfer. The deadline counts from the moment the body has been read: until then it is the caller who is slow.
pub(super) async fn authorize<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let deadline = deadline(&parts.headers, &shared.options)?;
    let json = whole(shared, body).await?;
    let start = Instant::now();
    let trace = parts.headers.get(TRACEPARENT).and_then(|trace| trace.to_str().ok());
    let answer = shared.desk.authorize_traced(&json, deadline, trace).await;
    answered(shared, answer, start)
}

/// Takes in how a step-up ended: the final decision for its payment.
pub(super) async fn challenge<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &mut Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let deadline = deadline(&parts.headers, &shared.options)?;
    let event_id = segment(parts).await?;
    let json = whole(shared, body).await?;
    let result = challenge_result(&json)?;
    let start = Instant::now();
    match shared.desk.challenge(&event_id, result, deadline).await {
        Some(answer) => answered(shared, answer, start),
        None => Err(Problem::new(Kind::NotFound, "no payment or transfer with this id is known").reason("unknown_target")),
    }
}

pub(super) async fn whole<D: Desk, G: Gate>(shared: &Shared<D, G>, body: Body) -> Result<Bytes, Problem> {
    let read = read(body, shared.options.body_bytes_max, shared.options.body_timeout).await;
    if read.as_ref().is_err_and(|problem| problem.status() == 408) {
        shared.metrics.http_timeouts_total.with_label_values(&["body"]).inc();
    }
    read
}

fn challenge_result(json: &[u8]) -> Result<ChallengeResult, Problem> {
    let malformed = |detail: String| Problem::new(Kind::BadRequest, detail).reason("malformed");
    let body: Value = serde_json::from_slice(json).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    let Value::Object(body) = body else {
        return Err(malformed("the body is no JSON object".to_owned()));
    };
    let wrong = |reason, detail: String| Problem::new(Kind::Unprocessable, detail).reason(reason).field("result");
    match body.get("result") {
        None => Err(wrong("missing", "result is missing, expected passed, failed or abandoned".to_owned())),
        Some(Value::String(word)) if word == "passed" => Ok(ChallengeResult::Passed),
        Some(Value::String(word)) if word == "failed" => Ok(ChallengeResult::Failed),
        Some(Value::String(word)) if word == "abandoned" => Ok(ChallengeResult::Abandoned),
        Some(other) => Err(wrong("invalid", format!("result is {other}, expected passed, failed or abandoned"))),
    }
}

fn answered<D: Desk, G: Gate>(shared: &Shared<D, G>, answer: Answer, start: Instant) -> Result<Response<Body>, Problem> {
    shared.answers.count(&answer);
    let took = start.elapsed();
    shared.metrics.http_authorization_seconds.observe(took.as_secs_f64());
    match answer {
        Answer::Decided { json, committed, .. } => {
            // The bytes as they are: a retry, whenever it comes, is answered with the same.
            let mut response = Response::new(Body::from(Bytes::from_owner(json)));
            let headers: &mut HeaderMap = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(SERVER_TIMING, server_timing(took));
            if let Some(committed) = committed {
                headers.insert(COMMITTED, HeaderValue::from_static(if committed { "kafka" } else { "journal" }));
            }
            Ok(response)
        }
        Answer::Misdirected { detail } => Err(Problem::new(Kind::Misdirected, detail).reason("other_shard")),
        Answer::Conflict { detail } => Err(Problem::new(Kind::Conflict, detail).reason("id_conflict").field("id")),
        Answer::Refused { refused, detail } => Err(Problem::refused(refused, detail)),
        Answer::Unrecorded { json } => Err(Problem::unrecorded(json)),
        Answer::Closing => Err(Problem::new(Kind::Closing, "the service is ending and takes nothing more")),
    }
}

/// `total;dur=0.123`, in milliseconds.
fn server_timing(took: Duration) -> HeaderValue {
    let mut text = [0; 40];
    let mut rest = &mut text[..];
    let microseconds = took.as_micros();
    write!(rest, "total;dur={}.{:03}", microseconds / 1000, microseconds % 1000).expect("40 bytes hold the longest number");
    let left = rest.len();
    HeaderValue::from_bytes(&text[..text.len() - left]).expect("digits and letters")
}

#[cfg(test)]
mod tests {
    use super::{challenge_result, server_timing};
    use crate::api::ChallengeResult;
    use std::time::Duration;

    #[test]
    fn times_have_three_decimals() {
        for (nanoseconds, text) in [(0, "0.000"), (1_999, "0.001"), (45_000, "0.045"), (1_234_567, "1.234"), (12_000_000_000, "12000.000")]
        {
            assert_eq!(server_timing(Duration::from_nanos(nanoseconds)), format!("total;dur={text}").as_str());
        }
        assert!(server_timing(Duration::MAX).len() > 20);
    }

    #[test]
    fn results_are_one_of_three_words() {
        assert_eq!(challenge_result(br#"{"more": 1, "result": "passed"}"#).ok(), Some(ChallengeResult::Passed));
        assert_eq!(challenge_result(br#"{"result": "abandoned"}"#).ok(), Some(ChallengeResult::Abandoned));
        for (body, status) in [
            (&b"{"[..], 400),
            (b"", 400),
            (b"[\"passed\"]", 400),
            (b"{}", 422),
            (b"{\"result\": \"Passed\"}", 422),
            (b"{\"result\": 1}", 422),
        ] {
            assert_eq!(challenge_result(body).err().map(|problem| problem.status().as_u16()), Some(status), "{body:?}");
        }
    }
}
