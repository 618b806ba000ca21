//! `/livez`, `/readyz` and `/metrics`.

use crate::api::desk::Desk;
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::Shared;
use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::json;

/// The process answers.
pub(super) fn live() -> Response<Body> {
    fresh("application/json", br#"{"alive":true}"#.to_vec())
}

/// Whether traffic should come here, and why not.
pub(super) fn ready<D: Desk, G: Gate>(shared: &Shared<D, G>) -> Result<Response<Body>, Problem> {
    let readiness = shared.desk.readiness();
    shared.metrics.service_ready.set(i64::from(readiness.ready));
    match readiness.ready {
        true => Ok(fresh("application/json", json!({ "ready": true, "detail": readiness.detail }).to_string().into_bytes())),
        false => Err(Problem::new(Kind::NotReady, readiness.detail)),
    }
}

/// All metrics; those that tell of laundering only where `aml`.
pub(super) fn metrics<D: Desk, G: Gate>(shared: &Shared<D, G>, aml: bool) -> Response<Body> {
    // Nobody else asks the desk between two calls of `/readyz`.
    shared.metrics.service_ready.set(i64::from(shared.desk.readiness().ready));
    fresh(shared.metrics.media_type(), shared.metrics.render(aml))
}

fn fresh(media_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
