//! What describes the doors and the topics to programs: the OpenAPI document and the JSON Schemas.

use crate::api::problem::{Kind, Problem};
use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use std::sync::LazyLock;

const OPENAPI: &str = include_str!("openapi.json");

/// Name and text of every schema.
pub(super) const SCHEMAS: [(&str, &str); 7] = [
    ("alert.json", include_str!("../../schemas/alert.json")),
    ("decision-internal.json", include_str!("../../schemas/decision-internal.json")),
    ("decision.json", include_str!("../../schemas/decision.json")),
    ("event.json", include_str!("../../schemas/event.json")),
    ("line-result.json", include_str!("../../schemas/line-result.json")),
    ("problem.json", include_str!("../../schemas/problem.json")),
    ("rejected.json", include_str!("../../schemas/rejected.json")),
];

/// What stands at `/schemas`: of every schema where it is and what it is of.
static INDEX: LazyLock<String> = LazyLock::new(|| {
    let about = |(name, text): (&str, &str)| {
        let schema: Value = serde_json::from_str(text).expect("the tests read every schema");
        json!({ "name": name, "url": schema["$id"], "title": schema["title"], "description": schema["description"] })
    };
    json!({ "schemas": SCHEMAS.map(about) }).to_string()
});

/// The OpenAPI document.
pub(super) fn openapi() -> Response<Body> {
    document("application/json", OPENAPI)
}

/// Which schemas there are.
pub(super) fn index() -> Response<Body> {
    document("application/json", &INDEX)
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
