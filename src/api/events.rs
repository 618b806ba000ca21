//! `POST /v1/events`: lines in, one result a line out, while the request is still coming.
//!
//! The results of a request are in the order of its lines; a line without a result was not taken. Reading goes on while a client does not yet
//! read its results (most send everything first), up to `result_bytes_max`; then the request waits for it.

use crate::api::body::expect_media_type;
use crate::api::desk::{Desk, Submitted};
use crate::api::gate::Gate;
use crate::api::lines::Lines;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, draining};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use futures_util::stream::{self, FuturesOrdered, StreamExt};
use serde::Serialize;
use std::convert::Infallible;
use std::mem;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

const NDJSON: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

/// What became of one line; the order of the fields is that of the keys.
#[derive(Serialize)]
struct LineResult<'a> {
    /// From 1; blank lines count too.
    line: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Records events that nobody waits for.
pub(super) async fn events<D: Desk, G: Gate>(shared: &Arc<Shared<D, G>>, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &NDJSON)?;
    let Ok(permit) = shared.event_requests.clone().try_acquire_owned() else {
        let detail = format!("{} requests of lines are open, which is the most", shared.options.event_requests_max);
        return Err(Problem::new(Kind::Busy, detail));
    };
    let mut pieces = body.into_data_stream();
    // The answer begins when something has come: clients that wait for `100 Continue` would take an earlier one for a refusal.
    let first = match timeout(shared.options.body_timeout, pieces.next()).await {
        Ok(Some(Ok(piece))) => piece,
        Ok(Some(Err(_))) => return Err(Problem::new(Kind::BadRequest, "the body broke off").reason("malformed")),
        Ok(None) => Bytes::new(),
        Err(_) => {
            shared.metrics.http_timeouts_total.with_label_values(&["body"]).inc();
            let detail = format!("no line came within {} ms", shared.options.body_timeout.as_millis());
            return Err(Problem::new(Kind::Timeout, detail));
        }
    };
    let results = Arc::new(Results::new(shared.options.result_bytes_max));
    let (shared, written) = (shared.clone(), results.clone());
    // A task of its own: it goes on reading while the connection cannot write.
    let task = tokio::spawn(async move {
        let _permit = permit;
        record(&shared, first, pieces, &written).await;
        written.finish();
    });
    let reader = Reader { results, task: task.abort_handle() };
    let chunks = stream::unfold(reader, async |reader| reader.results.take().await.map(|chunk| (Ok::<_, Infallible>(chunk), reader)));
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON[0]));
    Ok(response)
}

/// Hands line after line to the desk and writes what became of it, until the body ends, stalls, breaks off, or the service ends.
async fn record<D: Desk, G: Gate>(shared: &Shared<D, G>, first: Bytes, mut pieces: BodyDataStream, results: &Results) {
    let options = &shared.options;
    let mut phase = shared.phase.clone();
    let mut lines = Lines::new(options.line_bytes_max);
    lines.push(first);
    let mut number = 0;
    let mut waiting = FuturesOrdered::new();
    // Nothing more is read from the body.
    let mut ended = false;
    // Why the body was not read to its end, for the line that would have come next.
    let mut stopped: Option<String> = None;
    loop {
        let mut dry = false;
        while stopped.is_none() && waiting.len() < options.lines_in_flight_max {
            let Some(line) = lines.next().or_else(|| if ended { lines.rest() } else { None }) else {
                dry = true;
                break;
            };
            number += 1;
            if !line.trim_ascii().is_empty() {
                waiting.push_back(async move { (number, shared.desk.submit(&line).await) });
            }
        }
        if waiting.is_empty() && (ended || stopped.is_some()) {
            break;
        }
        tokio::select! {
            biased;
            Some((number, submitted)) = waiting.next(), if !waiting.is_empty() => {
                if submitted == Submitted::Closing {
                    // The lines behind it that wait already are told the same; no others are read.
                    stopped.get_or_insert_default();
                }
                results.push(shared, number, &submitted).await;
            }
            () = draining(&mut phase), if !ended && stopped.is_none() => stopped = Some("the service is ending".to_owned()),
            piece = timeout(options.body_timeout, pieces.next()), if dry && !ended && stopped.is_none() => match piece {
                Ok(Some(Ok(piece))) => lines.push(piece),
                Ok(None) => ended = true,
                // Half a line may be whole JSON, but it is not what was meant.
                Ok(Some(Err(_))) => stopped = Some("the body broke off".to_owned()),
                Err(_) => {
                    shared.metrics.http_timeouts_total.with_label_values(&["body"]).inc();
                    stopped = Some(format!("nothing more came within {} ms", options.body_timeout.as_millis()));
                }
            }
        }
    }
    if let Some(detail) = stopped.filter(|detail| !detail.is_empty()) {
        results.push(shared, number + 1, &Submitted::Unrecorded { detail }).await;
    }
}

/// Results on their way to the client: written by the task, taken by the connection, bounded in bytes.
struct Results {
    state: Mutex<Written>,
    bytes_max: usize,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    finished: bool,
}

impl Results {
    fn new(bytes_max: usize) -> Results {
        Results { state: Mutex::default(), bytes_max, readable: Notify::new(), writable: Notify::new() }
    }

    /// Adds the result of a line, when there is room.
    async fn push<D: Desk, G: Gate>(&self, shared: &Shared<D, G>, line: u64, submitted: &Submitted) {
        let none = LineResult { line, status: "unrecorded", sequence: None, reason: None, field: None, detail: None };
        let result = match submitted {
            Submitted::Recorded { sequence } => LineResult { status: "recorded", sequence: Some(sequence.0), ..none },
            Submitted::Refused { sequence, refused, detail } => LineResult {
                status: "refused",
                sequence: Some(sequence.0),
                reason: Some(refused.reason.code()),
                field: refused.field.map(|field| field.name()),
                detail: Some(detail),
                ..none
            },
            Submitted::Unrecorded { detail } => LineResult { detail: Some(detail), ..none },
            Submitted::Closing => LineResult { detail: Some("the service is ending"), ..none },
        };
        shared.metrics.http_event_lines_total.with_label_values(&[result.status]).inc();
        loop {
            if self.write(&result) {
                self.readable.notify_one();
                return;
            }
            // A permit is kept, so a notice between the look and the wait is not lost.
            self.writable.notified().await;
        }
    }

    /// Whether there was room.
    fn write(&self, result: &LineResult) -> bool {
        let mut state = self.state.lock().expect("nobody panics while writing results");
        if state.bytes.len() >= self.bytes_max {
            return false;
        }
        serde_json::to_writer(&mut state.bytes, result).expect("a vector takes every byte, and the object has text keys only");
        state.bytes.push(b'\n');
        true
    }

    fn finish(&self) {
        self.state.lock().expect("nobody panics while writing results").finished = true;
        self.readable.notify_one();
    }

    /// All that was written since the last time; `None` when nothing more comes.
    async fn take(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state.lock().expect("nobody panics while writing results");
                if !state.bytes.is_empty() {
                    self.writable.notify_one();
                    return Some(Bytes::from(mem::take(&mut state.bytes)));
                }
                if state.finished {
                    return None;
                }
            }
            self.readable.notified().await;
        }
    }
}

/// The connection's end of the results. When it is gone, nobody reads them, and the task ends too.
struct Reader {
    results: Arc<Results>,
    task: AbortHandle,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
