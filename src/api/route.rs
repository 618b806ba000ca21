//! The table of routes, and the one way that every request goes.

use crate::api::body::parameter;
use crate::api::browser::refuse_pages;
use crate::api::desk::{Desk, Stream};
use crate::api::gate::{Caller, Gate, Scope};
use crate::api::options::Options;
use crate::api::problem::{Kind, Problem};
use crate::api::{authorize, change, console, decision, documents, events, health, journal, streams};
use crate::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use axum::routing::{MethodFilter, on};
use prometheus::IntCounter;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, watch};

/// Everything that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Authorize,
    Challenge,
    Events,
    Decision,
    Decisions,
    Rejected,
    AlertStream,
    Alerts,
    Journal,
    Leader,
    Promote,
    Fence,
    List,
    Listed,
    Policy,
    Publish,
    Rollback,
    Model,
    PublishModel,
    RollbackModel,
    Live,
    Ready,
    Metrics,
    OpenApi,
    Schemas,
    Schema,
    Console,
    ConsoleFile,
    Attack,
}

impl Route {
    pub(super) const ALL: [Route; 29] = [
        Route::Authorize,
        Route::Challenge,
        Route::Events,
        Route::Decision,
        Route::Decisions,
        Route::Rejected,
        Route::AlertStream,
        Route::Alerts,
        Route::Journal,
        Route::Leader,
        Route::Promote,
        Route::Fence,
        Route::List,
        Route::Listed,
        Route::Policy,
        Route::Publish,
        Route::Rollback,
        Route::Model,
        Route::PublishModel,
        Route::RollbackModel,
        Route::Live,
        Route::Ready,
        Route::Metrics,
        Route::OpenApi,
        Route::Schemas,
        Route::Schema,
        Route::Console,
        Route::ConsoleFile,
        Route::Attack,
    ];

    /// Its path, with names for what varies; the label of its metrics.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Route::Authorize => "/v1/authorizations",
            Route::Challenge => "/v1/authorizations/{id}/challenge",
            Route::Events => "/v1/events",
            Route::Decision => "/v1/decisions/{event_id}",
            Route::Decisions => "/v1/streams/decisions",
            Route::Rejected => "/v1/streams/rejected",
            Route::AlertStream => "/v1/streams/alerts",
            Route::Alerts => "/v1/alerts",
            Route::Journal => "/v1/journal",
            Route::Leader => "/v1/leader",
            Route::Promote => "/v1/promote",
            Route::Fence => "/v1/fence",
            Route::List | Route::Listed => "/v1/lists/{name}",
            Route::Policy => "/v1/policy",
            Route::Publish => "/v1/policy/publish",
            Route::Rollback => "/v1/policy/rollback",
            Route::Model => "/v1/model",
            Route::PublishModel => "/v1/model/publish",
            Route::RollbackModel => "/v1/model/rollback",
            Route::Live => "/livez",
            Route::Ready => "/readyz",
            Route::Metrics => "/metrics",
            Route::OpenApi => "/openapi.json",
            Route::Schemas => "/schemas",
            Route::Schema => "/schemas/{name}",
            Route::Console => "/",
            Route::ConsoleFile => "/console/{name}",
            Route::Attack => "/v1/demo/attacks/{name}",
        }
    }

    /// Its one method; where it is GET, HEAD is answered too.
    pub(super) fn method(self) -> MethodFilter {
        match self {
            Route::Authorize | Route::Challenge | Route::Events | Route::Promote | Route::Fence => MethodFilter::POST,
            Route::List | Route::Publish | Route::Rollback | Route::Attack => MethodFilter::POST,
            Route::PublishModel | Route::RollbackModel => MethodFilter::POST,
            _ => MethodFilter::GET,
        }
    }

    /// Any one of these is needed; none: the route is open to everybody.
    fn needed(self) -> &'static [Scope] {
        match self {
            Route::Authorize | Route::Challenge => &[Scope::Hook],
            Route::Events => &[Scope::Ingest],
            Route::Decision => &[Scope::Hook, Scope::Subscriber, Scope::Analyst, Scope::Supervisor],
            Route::Decisions => &[Scope::Subscriber, Scope::Analyst, Scope::Supervisor],
            // What was refused stands there as it came, with whatever personal data it held.
            Route::Rejected => &[Scope::Analyst, Scope::Supervisor, Scope::Admin],
            // Whom they name is suspected; those of laundering are shown to analysts alone.
            Route::AlertStream | Route::Alerts => &[Scope::Analyst, Scope::Supervisor],
            Route::Metrics => &[Scope::Subscriber, Scope::Analyst, Scope::Supervisor, Scope::Admin],
            // The journal bears the key of ids and everybody's texts.
            Route::Journal | Route::Leader | Route::Promote | Route::Fence => &[Scope::Admin],
            // Blocking somebody is a decision that takes two elsewhere.
            Route::List | Route::Listed => &[Scope::Supervisor, Scope::Admin],
            // Who knows the rules knows how to pass under them.
            Route::Policy | Route::Model => &[Scope::Analyst, Scope::Supervisor, Scope::Admin],
            Route::Publish | Route::Rollback | Route::PublishModel | Route::RollbackModel => &[Scope::Admin],
            // It shows what analysts see.
            Route::Console => &[Scope::Analyst, Scope::Supervisor],
            Route::Attack => &[Scope::Admin],
            Route::Live | Route::Ready | Route::OpenApi | Route::Schemas | Route::Schema | Route::ConsoleFile => &[],
        }
    }

    /// Whether it only reads, for those that another process may answer instead.
    fn reading(self) -> Option<bool> {
        match self {
            Route::Authorize | Route::Challenge | Route::Events | Route::List | Route::Publish | Route::Rollback => Some(false),
            Route::PublishModel | Route::RollbackModel => Some(false),
            Route::Decision
            | Route::Decisions
            | Route::Rejected
            | Route::Journal
            | Route::Policy
            | Route::Model
            | Route::Listed
            | Route::Console
            | Route::AlertStream
            | Route::Alerts => Some(true),
            _ => None,
        }
    }
}

/// How far the doors have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Requests that were begun are finished, streams end but for those of the journal, nothing new is taken.
    Draining,
    /// What is still open is closed as it is.
    Ended,
}

/// Resolves when the doors no longer serve.
pub(super) async fn draining(phase: &mut watch::Receiver<Phase>) {
    // An error means that `serve` itself is gone.
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// The address of the caller, put beside each request by its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub SocketAddr);

/// Statuses whose counters are kept at hand.
const STATUSES: [u16; 14] = [200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 429, 503];

/// What all requests share.
pub(super) struct Shared<D, G> {
    pub desk: Arc<D>,
    pub gate: Arc<G>,
    pub options: Options,
    pub metrics: Metrics,
    pub answers: authorize::Answers,
    pub streams: Arc<Semaphore>,
    /// Streams of the journal that are open: each has a connection for itself.
    pub journals: Arc<AtomicUsize>,
    pub event_requests: Arc<Semaphore>,
    pub phase: watch::Receiver<Phase>,
    /// By route and status, found in the registry when first used.
    counters: Vec<[OnceLock<IntCounter>; STATUSES.len()]>,
}

impl<D: Desk, G: Gate> Shared<D, G> {
    pub(super) fn new(desk: Arc<D>, gate: Arc<G>, options: Options, metrics: Metrics, phase: watch::Receiver<Phase>) -> Shared<D, G> {
        Shared {
            answers: authorize::Answers::new(&metrics),
            streams: Arc::new(Semaphore::new(options.streams_max)),
            journals: Arc::default(),
            event_requests: Arc::new(Semaphore::new(options.event_requests_max)),
            counters: Route::ALL.iter().map(|_| Default::default()).collect(),
            desk,
            gate,
            options,
            metrics,
            phase,
        }
    }

    fn count(&self, route: Route, status: u16) {
        let find = || self.metrics.http_requests_total.with_label_values(&[route.pattern(), code(status)]);
        match STATUSES.iter().position(|known| *known == status) {
            Some(at) => self.counters[route as usize][at].get_or_init(find).inc(),
            None => find().inc(),
        }
    }

    /// A request that no route takes: one label for all, because paths are the caller's to invent.
    fn count_unrouted(&self, status: u16) {
        self.metrics.http_requests_total.with_label_values(&["none", code(status)]).inc();
    }

    fn admit(&self, route: Route, parts: &Parts) -> Result<Option<Caller>, Problem> {
        if route.needed().is_empty() {
            return Ok(None);
        }
        let Peer(peer) = *parts.extensions.get::<Peer>().expect("the connection puts the caller's address beside every request");
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = self.gate.admit(authorization, peer, route.needed()).map_err(Problem::denied)?;
        if caller.by_address {
            refuse_pages(parts)?;
        }
        Ok(Some(caller))
    }
}

/// The text of a status.
fn code(status: u16) -> &'static str {
    const CODES: [&str; STATUSES.len()] =
        ["200", "400", "401", "403", "404", "405", "408", "409", "413", "415", "421", "422", "429", "503"];
    STATUSES.iter().position(|known| *known == status).map_or("other", |at| CODES[at])
}

/// The router of all routes. What is not found, and a method that is not allowed, is a problem document like everything else.
pub(super) fn router<D: Desk, G: Gate>(shared: &Arc<Shared<D, G>>) -> Router {
    let mut router = Router::new();
    for route in Route::ALL {
        let shared = shared.clone();
        router = router.route(route.pattern(), on(route.method(), move |request| answer(shared.clone(), route, request)));
    }
    let (missing, method) = (shared.clone(), shared.clone());
    router
        .fallback(async move |request: Request<Body>| {
            missing.count_unrouted(404);
            Problem::new(Kind::NotFound, "no route has this path; /openapi.json lists them").response(request.uri().path())
        })
        .method_not_allowed_fallback(async move |request: Request<Body>| {
            method.count_unrouted(405);
            let detail = format!("{} is not allowed here; the header Allow says what is", request.method());
            Problem::new(Kind::MethodNotAllowed, detail).response(request.uri().path())
        })
}

/// The one way of a request: the gate, the handler, the counters.
async fn answer<D: Desk, G: Gate>(shared: Arc<Shared<D, G>>, route: Route, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let response = match handle(&shared, route, &mut parts, body).await {
        Ok(response) => response,
        Err(problem) => problem.response(parts.uri.path()),
    };
    shared.count(route, response.status().as_u16());
    response
}

async fn handle<D: Desk, G: Gate>(
    shared: &Arc<Shared<D, G>>,
    route: Route,
    parts: &mut Parts,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let caller = shared.admit(route, parts)?;
    if let Some(detail) = route.reading().and_then(|reading| shared.desk.elsewhere(reading)) {
        return Err(Problem::new(Kind::Elsewhere, detail));
    }
    match route {
        Route::Authorize => authorize::authorize(shared, parts, body).await,
        Route::Challenge => authorize::challenge(shared, parts, body).await,
        Route::Events => events::events(shared, parts, body).await,
        Route::Decision => {
            let internal = internal(parts, caller.as_ref())?;
            decision::decision(shared, parts, internal).await
        }
        Route::Decisions => match internal(parts, caller.as_ref())? {
            true => streams::stream(shared, parts, Stream::DecisionsInternal).await,
            false => streams::stream(shared, parts, Stream::Decisions).await,
        },
        Route::Rejected => streams::stream(shared, parts, Stream::Rejected).await,
        Route::AlertStream => match has(caller.as_ref(), &AML) {
            true => streams::stream(shared, parts, Stream::AlertsInternal).await,
            false => streams::stream(shared, parts, Stream::Alerts).await,
        },
        Route::Alerts => Ok(journal::text(shared.desk.alerts(has(caller.as_ref(), &AML)).await)),
        Route::Journal => journal::journal(shared, parts).await,
        Route::Leader => Ok(journal::leader(shared)),
        Route::Promote => journal::promote(shared, parts).await,
        Route::Fence => journal::fence(shared, parts, body).await,
        Route::List => change::list(shared, parts, body).await,
        Route::Listed => change::listed(shared, parts).await,
        Route::Policy => change::policy(shared, parts),
        Route::Publish => change::publish(shared, parts, body).await,
        Route::Rollback => change::rollback(shared).await,
        Route::Model => change::model(shared),
        Route::PublishModel => change::publish_model(shared, parts, body).await,
        Route::RollbackModel => change::rollback_model(shared).await,
        Route::Live => Ok(health::live()),
        Route::Ready => health::ready(shared),
        Route::Metrics => Ok(health::metrics(shared, has(caller.as_ref(), &AML_COUNTS))),
        Route::OpenApi => Ok(documents::openapi()),
        Route::Schemas => Ok(documents::index()),
        Route::Schema => documents::schema(&segment(parts).await?),
        Route::Console => console::page(shared, has(caller.as_ref(), &AML)),
        Route::ConsoleFile => console::file(shared, &segment(parts).await?),
        Route::Attack => console::attack(shared, parts).await,
    }
}

/// Whether the internal view is asked for. Only who asks for it by name sees it: that way nobody who may see it shows it by accident.
fn internal(parts: &Parts, caller: Option<&Caller>) -> Result<bool, Problem> {
    match parameter(parts.uri.query(), "view")?.as_deref() {
        None | Some("public") => Ok(false),
        Some("internal") => match has(caller, &AML) {
            true => Ok(true),
            false => Err(Problem::new(Kind::Forbidden, "the internal view needs the scope analyst")),
        },
        Some(other) => {
            let detail = format!("view is {other}, expected public or internal");
            Err(Problem::new(Kind::BadRequest, detail).reason("invalid").field("view"))
        }
    }
}

/// Who may see what speaks of laundering: telling anybody else of a suspicion is an offence. A supervisor of such cases is an analyst, too.
const AML: [Scope; 1] = [Scope::Analyst];
/// Who may see how much of it there is: who runs the service may read its journal anyway.
const AML_COUNTS: [Scope; 2] = [Scope::Analyst, Scope::Admin];

/// Whether the caller has one of these.
fn has(caller: Option<&Caller>, scopes: &[Scope]) -> bool {
    caller.is_some_and(|caller| caller.scopes.iter().any(|scope| scopes.contains(scope)))
}

/// What stands in the path where the route's pattern has a name.
///
/// # Errors
/// Not UTF-8.
pub(super) async fn segment(parts: &mut Parts) -> Result<String, Problem> {
    match Path::<String>::from_request_parts(parts, &()).await {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(Problem::new(Kind::BadRequest, "the path is not UTF-8").reason("invalid")),
    }
}

#[cfg(test)]
mod tests {
    use super::{STATUSES, code};
    use crate::api::problem::{Kind, Problem};

    #[test]
    fn every_status_that_is_answered_has_its_counter() {
        for kind in Kind::ALL {
            assert!(STATUSES.contains(&Problem::new(kind, "").status().as_u16()), "{kind:?}");
        }
        for status in STATUSES {
            assert_eq!(code(status), status.to_string());
        }
    }
}
