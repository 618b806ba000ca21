//! `GET /v1/streams/…`: topics as server-sent events, resumed by the place of the last entry that was read.

use crate::api::body::parameter;
use crate::api::desk::{Desk, Page, Stream};
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Phase, Shared, draining};
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use futures_util::stream::unfold;
use prometheus::IntGauge;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// The header that browsers send when they come again.
const LAST_EVENT_ID: &str = "last-event-id";

/// Follows `stream` behind the place that the caller names, or from now on.
pub(super) async fn stream<D: Desk, G: Gate>(shared: &Arc<Shared<D, G>>, parts: &Parts, stream: Stream) -> Result<Response<Body>, Problem> {
    let place = place(parts)?;
    let Ok(permit) = shared.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(Kind::Busy, format!("{} streams are open, which is the most", shared.options.streams_max)));
    };
    // What is there is fetched before anything is answered: a place that is none is the caller's mistake and no stream.
    let limit = shared.options.page_entries_max;
    let first = match shared.desk.page(stream, place.as_deref(), limit, Duration::ZERO).await {
        Ok(page) => page,
        Err(detail) => return Err(Problem::new(Kind::BadRequest, detail).reason("unknown_place").field("Last-Event-ID")),
    };
    let following = Following {
        shared: shared.clone(),
        stream,
        next: first.next.clone(),
        first: Some(first),
        phase: shared.phase.clone(),
        _open: Open::new(shared.metrics.http_streams.clone(), permit),
    };
    let chunks = unfold(following, async |mut following| following.chunk().await.map(|chunk| (Ok::<_, Infallible>(chunk), following)));
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The place to go on from: the header of a client that comes again is newer than the address it once began with.
fn place(parts: &Parts) -> Result<Option<String>, Problem> {
    match parts.headers.get(LAST_EVENT_ID) {
        Some(value) => match value.to_str() {
            Ok(place) => Ok(Some(place.to_owned())),
            Err(_) => Err(Problem::new(Kind::BadRequest, "Last-Event-ID is unreadable").reason("unknown_place").field("Last-Event-ID")),
        },
        None => parameter(parts.uri.query(), "after"),
    }
}

/// One subscriber.
struct Following<D, G> {
    shared: Arc<Shared<D, G>>,
    stream: Stream,
    next: String,
    /// Fetched already.
    first: Option<Page>,
    phase: watch::Receiver<Phase>,
    _open: Open,
}

impl<D: Desk, G: Gate> Following<D, G> {
    /// The next entries, or a comment where none came for a while; `None` when the stream ends.
    async fn chunk(&mut self) -> Option<Bytes> {
        let page = match self.first.take() {
            Some(page) => page,
            None => {
                let Shared { desk, options, .. } = &*self.shared;
                let page = desk.page(self.stream, Some(&self.next), options.page_entries_max, options.keep_alive);
                let page = tokio::select! {
                    biased;
                    () = draining(&mut self.phase) => return None,
                    page = page => page,
                };
                // The place was good a moment ago; the client comes again and hears what became of it.
                page.inspect_err(|detail| tracing::warn!(stream = ?self.stream, place = self.next, detail, "stream ended")).ok()?
            }
        };
        let chunk = render(self.stream, &page);
        self.next = page.next;
        Some(chunk)
    }
}

/// A page as server-sent events.
fn render(stream: Stream, page: &Page) -> Bytes {
    let name = match stream {
        Stream::Decisions | Stream::DecisionsInternal => "decision",
        Stream::Rejected => "rejected",
        Stream::Alerts | Stream::AlertsInternal => "alert",
    };
    if page.entries.is_empty() {
        return Bytes::from_static(b": nothing new\n\n");
    }
    let room = page.entries.iter().map(|(place, json)| place.len() + json.len() + 40).sum();
    let mut out = Vec::with_capacity(room);
    for (place, json) in &page.entries {
        for part in ["event: ", name, "\nid: ", place] {
            out.extend_from_slice(part.as_bytes());
        }
        // An entry in several lines arrives in several lines; a line end of any kind would otherwise begin a new field.
        for line in json.split(|byte| matches!(byte, b'\n' | b'\r')) {
            out.extend_from_slice(b"\ndata: ");
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b"\n\n");
    }
    Bytes::from(out)
}

/// Counts a stream while it is open.
pub(super) struct Open {
    gauge: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    pub(super) fn new(gauge: IntGauge, permit: OwnedSemaphorePermit) -> Open {
        gauge.inc();
        Open { gauge, _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::api::{Page, Stream};

    #[test]
    fn entries_become_events() {
        let entry = |place: &str, json: &[u8]| (place.to_owned(), json.into());
        let page = Page { entries: vec![entry("7", b"{\"a\":1}"), entry("8", b"{\n}")], next: "8".to_owned() };
        let text = "event: decision\nid: 7\ndata: {\"a\":1}\n\nevent: decision\nid: 8\ndata: {\ndata: }\n\n";
        assert_eq!(render(Stream::DecisionsInternal, &page), text);
        assert_eq!(render(Stream::Rejected, &Page::default()), ": nothing new\n\n");
    }
}
