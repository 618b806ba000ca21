//! `GET /v1/journal` for standbys, and who leads: `GET /v1/leader`, `POST /v1/promote`, `POST /v1/fence`.

use crate::api::authorize::{JSON, whole};
use crate::api::body::{expect_media_type, parameter};
use crate::api::desk::{Chunks, Desk};
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::Shared;
use crate::api::streams::Open;
use crate::event::Sequence;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A stream of the journal that is open.
struct Sending {
    chunks: Chunks,
    journals: Arc<AtomicUsize>,
    _open: Open,
}

impl Sending {
    fn begin(chunks: Chunks, journals: Arc<AtomicUsize>, open: Open) -> Sending {
        journals.fetch_add(1, Ordering::AcqRel);
        Sending { chunks, journals, _open: open }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.journals.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The journal from the record `from` on, as frames, for as long as the caller reads it. When the doors close it goes on until everything
/// is sent that was recorded for the requests under way: what is answered last must not be missing on the standby.
pub(super) async fn journal<D: Desk, G: Gate>(shared: &Arc<Shared<D, G>>, parts: &Parts) -> Result<Response<Body>, Problem> {
    let wrong = |found: &str| {
        let detail = format!("from is {found}, expected the sequence of a record");
        Problem::new(Kind::BadRequest, detail).reason("invalid").field("from")
    };
    let from = parameter(parts.uri.query(), "from")?.unwrap_or_else(|| "0".to_owned());
    let from = from.parse().map(Sequence).map_err(|_| wrong(&from))?;
    let Ok(permit) = shared.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(Kind::Busy, format!("{} streams are open, which is the most", shared.options.streams_max)));
    };
    let chunks = shared.desk.journal(from).map_err(|detail| Problem::new(Kind::NotReady, detail))?;
    let open = Open::new(shared.metrics.http_streams.clone(), permit);
    let sending = Sending::begin(chunks, shared.journals.clone(), open);
    let chunks = unfold(sending, async |mut sending| {
        let chunk = sending.chunks.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), sending))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Who leads, as far as this process knows.
pub(super) fn leader<D: Desk, G: Gate>(shared: &Shared<D, G>) -> Response<Body> {
    object(&shared.desk.leader())
}

/// Makes the leader of a standby.
pub(super) async fn promote<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts) -> Result<Response<Body>, Problem> {
    let forced = match parameter(parts.uri.query(), "force")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let detail = format!("force is {other}, expected true or false");
            return Err(Problem::new(Kind::BadRequest, detail).reason("invalid").field("force"));
        }
    };
    shared.desk.promote(forced).await.map(|promoted| object(&promoted)).map_err(|detail| Problem::new(Kind::Standing, detail))
}

/// Hears that another process leads.
pub(super) async fn fence<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let json = whole(shared, body).await?;
    let malformed = || Problem::new(Kind::BadRequest, "expected an object with epoch, a number, and leader, a URL").reason("malformed");
    let told: Value = serde_json::from_slice(&json).map_err(|_| malformed())?;
    let (Some(epoch), Some(leader)) = (told["epoch"].as_u64(), told["leader"].as_str()) else { return Err(malformed()) };
    shared.desk.fence(epoch, leader).await.map(|fenced| object(&fenced)).map_err(|detail| Problem::new(Kind::Standing, detail))
}

pub(super) fn object(value: &Value) -> Response<Body> {
    text(value.to_string())
}

/// A text that is JSON.
pub(super) fn text(json: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(json.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
