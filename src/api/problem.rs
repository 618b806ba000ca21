//! Problem documents (RFC 9457): every answer of the doors that is not what was asked for.

use crate::api::gate::Denied;
use crate::event::{Field, Refusal, Refused};
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong; each with its own `type`, `title` and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BadRequest,
    Unauthenticated,
    Forbidden,
    Foreign,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    TooLarge,
    MediaType,
    Unprocessable,
    Senseless,
    TooManyRequests,
    Unrecorded,
    Closing,
    NotReady,
    Busy,
    Elsewhere,
    Standing,
    Misdirected,
}

impl Kind {
    #[cfg(test)]
    pub(super) const ALL: [Kind; 20] = [
        Kind::BadRequest,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::Foreign,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::Timeout,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::MediaType,
        Kind::Unprocessable,
        Kind::Senseless,
        Kind::TooManyRequests,
        Kind::Unrecorded,
        Kind::Closing,
        Kind::NotReady,
        Kind::Busy,
        Kind::Elsewhere,
        Kind::Standing,
        Kind::Misdirected,
    ];

    /// Status, last part of the type, title.
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "the request cannot be understood"),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "a valid key is needed"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "the key does not allow this"),
            Kind::Foreign => (StatusCode::FORBIDDEN, "foreign", "the request may be a web page's"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "nothing is there"),
            Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the method is not allowed here"),
            Kind::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not come in time"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "the id was used before with other content"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large"),
            Kind::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the media type is not supported"),
            Kind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "the event was refused"),
            Kind::Senseless => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-change", "the change cannot be made"),
            Kind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "the key sends too much"),
            Kind::Unrecorded => (StatusCode::SERVICE_UNAVAILABLE, "unrecorded", "the event could not be recorded"),
            Kind::Closing => (StatusCode::SERVICE_UNAVAILABLE, "closing", "the service is ending"),
            Kind::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "traffic should not come here now"),
            Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "as many as are allowed are open already"),
            Kind::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected", "another shard answers for this user"),
            Kind::Elsewhere => (StatusCode::SERVICE_UNAVAILABLE, "elsewhere", "another process answers"),
            Kind::Standing => (StatusCode::CONFLICT, "standing", "that cannot be done as this process stands"),
        }
    }
}

/// How long a caller should wait before it asks a service again that is ending or full.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// A problem document in the making.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    /// For the person who must act: what was found, what was expected.
    detail: String,
    reason: Option<&'static str>,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
    /// The stand-in of an event that was not recorded.
    decision: Option<Arc<[u8]>>,
    /// The connection cannot be used further: the rest of a body is still to come.
    close: bool,
}

/// The contract's members; the order of the fields is that of the keys.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        let retry_after = matches!(kind, Kind::Closing | Kind::Busy | Kind::Unrecorded).then_some(COME_AGAIN);
        let close = matches!(kind, Kind::Timeout | Kind::TooLarge | Kind::Closing);
        Problem { kind, detail: detail.into(), reason: None, field: None, retry_after, decision: None, close }
    }

    /// With the code of what was wrong.
    pub(super) fn reason(self, reason: &'static str) -> Problem {
        Problem { reason: Some(reason), ..self }
    }

    /// With the field or header that was wrong.
    pub(super) fn field(self, field: &'static str) -> Problem {
        Problem { field: Some(field), ..self }
    }

    /// Input that is no event.
    pub(super) fn refused(refused: Refused, detail: String) -> Problem {
        let kind = match refused.reason {
            Refusal::Malformed => Kind::BadRequest,
            Refusal::IdConflict => Kind::Conflict,
            // A field that is too long is no large body: that would have been refused before it was read.
            Refusal::Oversized if refused.field.is_none() => Kind::TooLarge,
            _ => Kind::Unprocessable,
        };
        // The body was read to its end, so the connection goes on.
        let problem = Problem { close: false, ..Problem::new(kind, detail) }.reason(refused.reason.code());
        Problem { field: refused.field.map(Field::name), ..problem }
    }

    /// An event that the journal could not take, with what the stand-in says.
    pub(super) fn unrecorded(decision: Arc<[u8]>) -> Problem {
        let detail = "the journal takes nothing now; the decision is a stand-in's and cannot be asked for again";
        Problem { decision: Some(decision), ..Problem::new(Kind::Unrecorded, detail) }
    }

    /// A caller that was not let in.
    pub(super) fn denied(denied: Denied) -> Problem {
        match denied {
            Denied::Unauthenticated { detail } => Problem::new(Kind::Unauthenticated, detail),
            Denied::Forbidden { detail } => Problem::new(Kind::Forbidden, detail),
            Denied::TooMany { retry_after } => {
                let detail = format!("the next request is taken in {} ms", retry_after.as_millis());
                Problem { retry_after: Some(retry_after), ..Problem::new(Kind::TooManyRequests, detail) }
            }
        }
    }

    /// The status it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        self.kind.words().0
    }

    /// The answer, for a request to the path `instance`.
    pub(super) fn response(self, instance: &str) -> Response<Body> {
        let (status, kind, title) = self.kind.words();
        let document = Document {
            r#type: format!("urn:weir:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            reason: self.reason,
            field: self.field,
        };
        let mut json = serde_json::to_vec(&document).expect("the object has text keys only");
        if let Some(decision) = &self.decision {
            // Spliced in, not parsed and written again: its bytes are the stand-in's.
            json.pop();
            json.extend_from_slice(b",\"recorded\":false,\"decision\":");
            json.extend_from_slice(decision);
            json.push(b'}');
        }
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = status;
        let mut header = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        header(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Unauthenticated {
            header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: who comes earlier is refused again.
            header(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64));
        }
        if self.close {
            header(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Problem};
    use crate::api::gate::Denied;
    use crate::event::{Field, Refusal, Refused};
    use axum::http::header::{CONNECTION, RETRY_AFTER};
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn every_kind_has_its_own_type() {
        let types: BTreeSet<&str> = Kind::ALL.into_iter().map(|kind| kind.words().1).collect();
        assert_eq!(types.len(), Kind::ALL.len());
    }

    #[test]
    fn refused_input_has_the_status_of_its_reason() {
        for (reason, field, status) in [
            (Refusal::Malformed, None, 400),
            (Refusal::Oversized, None, 413),
            (Refusal::Oversized, Some(Field::User), 422),
            (Refusal::Missing, Some(Field::Amount), 422),
            (Refusal::UnknownType, Some(Field::Type), 422),
            (Refusal::IdConflict, Some(Field::Id), 409),
            (Refusal::TooOldToDeduplicate, Some(Field::Time), 422),
        ] {
            let problem = Problem::refused(Refused { reason, field }, "found".to_owned());
            assert_eq!(problem.status(), status, "{reason:?}");
            assert!(!problem.response("/").headers().contains_key(CONNECTION), "{reason:?}: the body was read");
        }
    }

    /// Planted: seconds rounded down; told.
    #[test]
    fn who_sends_too_much_hears_when_to_come_again() {
        for (wait, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let response = Problem::denied(Denied::TooMany { retry_after: Duration::from_millis(wait) }).response("/");
            assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (429, &seconds.parse().expect("a value")));
        }
    }
}
