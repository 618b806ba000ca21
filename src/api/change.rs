//! Changes to what decides, while it decides: `GET` and `POST /v1/lists/{name}`, `GET /v1/policy`, `POST /v1/policy/publish`,
//! `POST /v1/policy/rollback`, and the same of `/v1/model`.

use crate::api::authorize::{JSON, whole};
use crate::api::body::{expect_media_type, parameter, read};
use crate::api::desk::{Change, Desk};
use crate::api::gate::Gate;
use crate::api::journal::object;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, segment};
use crate::event::Id;
use crate::gnn::BYTES_MAX;
use axum::body::Body;
use axum::http::Response;
use axum::http::request::Parts;
use serde_json::Value;

/// Puts somebody on a list, or takes them off.
pub(super) async fn list<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &mut Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let name = segment(parts).await?;
    let json = whole(shared, body).await?;
    told(shared.desk.list(&name, &json).await)
}

/// Shows who stands on a list, a page at a time.
pub(super) async fn listed<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &mut Parts) -> Result<Response<Body>, Problem> {
    let query = parts.uri.query();
    let wrong = |name: &'static str, found: &str, expected: String| {
        Problem::new(Kind::BadRequest, format!("{name} is {found}, expected {expected}")).reason("invalid").field(name)
    };
    let limit = match parameter(query, "limit")? {
        None => LISTED_AT_ONCE,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=LISTED_MAX) => limit,
            _ => return Err(wrong("limit", &text, format!("1 to {LISTED_MAX}"))),
        },
    };
    let after = match parameter(query, "after")? {
        None => None,
        Some(text) => match u128::from_str_radix(&text, 16) {
            Ok(bits @ 1..) if text.len() == 32 => Some(Id::from_bits(bits)),
            _ => return Err(wrong("after", &text, "the member next of the page before".to_owned())),
        },
    };
    let name = segment(parts).await?;
    let page = shared.desk.listed(&name, after, limit).await;
    page.map(|page| object(&page)).map_err(|detail| Problem::new(Kind::NotFound, detail))
}

/// The most entries of one page, and how many there are where nobody says it.
const LISTED_MAX: usize = 1_000;
const LISTED_AT_ONCE: usize = 100;

/// Shows the policy in force, or the one before it.
pub(super) fn policy<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts) -> Result<Response<Body>, Problem> {
    let before = match parameter(parts.uri.query(), "which")?.as_deref() {
        None | Some("current") => false,
        Some("before") => true,
        Some(other) => {
            let detail = format!("which is {other}, expected current or before");
            return Err(Problem::new(Kind::BadRequest, detail).reason("invalid").field("which"));
        }
    };
    shared.desk.policy(before).map(|told| object(&told)).map_err(|detail| Problem::new(Kind::NotReady, detail))
}

/// Puts another policy in force.
pub(super) async fn publish<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let json = read(body, POLICY_BYTES_MAX, shared.options.body_timeout).await?;
    let malformed = || Problem::new(Kind::BadRequest, "expected an object with text, the policy in TOML").reason("malformed");
    let said: Value = serde_json::from_slice(&json).map_err(|_| malformed())?;
    told(shared.desk.publish(said["text"].as_str().ok_or_else(malformed)?).await)
}

/// Puts the policy before in force again.
pub(super) async fn rollback<D: Desk, G: Gate>(shared: &Shared<D, G>) -> Result<Response<Body>, Problem> {
    told(shared.desk.rollback().await)
}

/// Shows the model in force, and the one before it.
pub(super) fn model<D: Desk, G: Gate>(shared: &Shared<D, G>) -> Result<Response<Body>, Problem> {
    shared.desk.model().map(|told| object(&told)).map_err(|detail| Problem::new(Kind::NotReady, detail))
}

/// Puts another model in force.
pub(super) async fn publish_model<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &[BYTES])?;
    let bytes = read(body, BYTES_MAX, shared.options.body_timeout).await?;
    told(shared.desk.publish_model(&bytes).await)
}

/// Puts the model before in force again.
pub(super) async fn rollback_model<D: Desk, G: Gate>(shared: &Shared<D, G>) -> Result<Response<Body>, Problem> {
    told(shared.desk.rollback_model().await)
}

/// What a file of tensors is.
const BYTES: &str = "application/octet-stream";

/// As a layer of a topology.
const POLICY_BYTES_MAX: usize = 1 << 20;

fn told(change: Change) -> Result<Response<Body>, Problem> {
    match change {
        Change::Done(told) => Ok(object(&told)),
        Change::Unknown { detail } => Err(Problem::new(Kind::NotFound, detail)),
        Change::Refused { detail } => Err(Problem::new(Kind::Senseless, detail).reason("invalid")),
        Change::Unrecorded { detail } => Err(Problem::new(Kind::Unrecorded, detail)),
        Change::Closing => Err(Problem::new(Kind::Closing, "the service is ending")),
    }
}
