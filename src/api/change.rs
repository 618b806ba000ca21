//! Changes to what decides, while it decides: `POST /v1/lists/{name}`.

use crate::api::authorize::{JSON, whole};
use crate::api::body::expect_media_type;
use crate::api::desk::{Change, Desk};
use crate::api::gate::Gate;
use crate::api::journal::object;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, segment};
use axum::body::Body;
use axum::http::Response;
use axum::http::request::Parts;

/// Puts somebody on a list, or takes them off.
pub(super) async fn list<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &mut Parts, body: Body) -> Result<Response<Body>, Problem> {
    expect_media_type(&parts.headers, &JSON)?;
    let name = segment(parts).await?;
    let json = whole(shared, body).await?;
    told(shared.desk.list(&name, &json).await)
}

fn told(change: Change) -> Result<Response<Body>, Problem> {
    match change {
        Change::Done(told) => Ok(object(&told)),
        Change::Unknown { detail } => Err(Problem::new(Kind::NotFound, detail)),
        Change::Refused { detail } => Err(Problem::new(Kind::Senseless, detail).reason("invalid")),
        Change::Unrecorded { detail } => Err(Problem::new(Kind::Unrecorded, detail)),
        Change::Closing => Err(Problem::new(Kind::Closing, "the service is ending")),
    }
}
