//! The console: `/`, the files that its pages load, and the demonstration's button.

use crate::api::desk::{Desk, Shown};
use crate::api::gate::Gate;
use crate::api::problem::{Kind, Problem};
use crate::api::route::{Shared, segment};
use axum::body::Body;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};

/// Nothing from elsewhere, nothing inline, no frame around it: what an id might smuggle in does not run.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The page of what happens now, with alerts of laundering only where `aml`.
pub(super) fn page<D: Desk, G: Gate>(shared: &Shared<D, G>, aml: bool) -> Result<Response<Body>, Problem> {
    let page =
        shared.desk.console(aml).ok_or_else(|| Problem::new(Kind::NotFound, "there is no page here; /openapi.json lists the doors"))?;
    Ok(response(page))
}

/// The file called `name`.
pub(super) fn file<D: Desk, G: Gate>(shared: &Shared<D, G>, name: &str) -> Result<Response<Body>, Problem> {
    shared.desk.console_file(name).map(response).ok_or_else(|| Problem::new(Kind::NotFound, "the console has no file of this name"))
}

fn response(shown: Shown) -> Response<Body> {
    let mut response = Response::new(Body::from(shown.body));
    for (name, value) in [
        (CONTENT_TYPE, shown.media_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Begins an attack. A browser that sent the page's form is led back to the page.
pub(super) async fn attack<D: Desk, G: Gate>(shared: &Shared<D, G>, parts: &mut Parts) -> Result<Response<Body>, Problem> {
    let name = segment(parts).await?;
    let begun = match shared.desk.attack(&name) {
        Some(begun) => begun.map_err(|why| Problem::new(Kind::NotFound, why))?,
        None => return Err(Problem::new(Kind::NotFound, "this is no demonstration: `weir demo` starts one")),
    };
    let mut response = Response::new(Body::from(begun.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let is_form = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    *response.status_mut() = if is_form { StatusCode::SEE_OTHER } else { StatusCode::ACCEPTED };
    if is_form {
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    }
    Ok(response)
}
