//! `GET /v1/decisions/{event_id}`: the answer that was given.

use crate::api::desk::Desk;
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, segment};
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;

/// The decision for an event, in the same bytes as the caller of the hook had them; in the internal view with what is internal.
pub(super) async fn decision<D: Desk, G: Gate>(
    shared: &Shared<D, G>,
    parts: &mut Parts,
    internal: bool,
) -> Result<Response<Body>, Problem> {
    let event_id = segment(parts).await?;
    let Some(json) = shared.desk.decision(&event_id, internal).await else {
        return Err(Problem::new(Kind::NotFound, "no decision is known for an event with this id"));
    };
    let mut response = Response::new(Body::from(Bytes::from_owner(json)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A challenge may still change it, and it concerns a person.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
