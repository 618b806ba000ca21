//! What describes the doors to programs: the OpenAPI document and the JSON Schemas of what comes out.

use crate::api::problem::{Kind, Problem};
use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};

const OPENAPI: &str = include_str!("openapi.json");

/// Name and text of every schema.
const SCHEMAS: [(&str, &str); 6] = [
    ("alert.json", include_str!("schemas/alert.json")),
    ("decision.json", include_str!("schemas/decision.json")),
    ("event.json", include_str!("schemas/event.json")),
    ("line-result.json", include_str!("schemas/line-result.json")),
    ("problem.json", include_str!("schemas/problem.json")),
    ("rejected.json", include_str!("schemas/rejected.json")),
];

/// The OpenAPI document.
pub(super) fn openapi() -> Response<Body> {
    document("application/json", OPENAPI)
}

/// The schema called `name`.
pub(super) fn schema(name: &str) -> Result<Response<Body>, Problem> {
    match SCHEMAS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok(document("application/schema+json", text)),
        None => {
            let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
            Err(Problem::new(Kind::NotFound, format!("no schema has this name; there are {}", names.join(", "))))
        }
    }
}

fn document(media_type: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
