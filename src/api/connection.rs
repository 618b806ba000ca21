//! One connection: what it is doing, how long it may take, and its way through hyper.
//!
//! hyper has a timer for heads only, and arms it for every request. Here a connection has one timer that looks a few times within the
//! shortest limit what the connection is doing; requests only leave a mark.

use crate::api::options::Options;
use crate::api::route::{Peer, Phase};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::sleep;

/// What a client was too slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    /// Sending a head.
    Head,
    /// Reading what was sent to it.
    Write,
    /// Asking for anything.
    Idle,
}

impl Slow {
    /// The label of `http_timeouts_total`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Slow::Head => "head",
            Slow::Write => "write",
            Slow::Idle => "idle",
        }
    }
}

/// Serves one connection to its end. Returns what the client was too slow at, if that is why it ended.
pub(super) async fn serve<I>(io: I, peer: SocketAddr, router: Router, options: &Options, mut phase: watch::Receiver<Phase>) -> Option<Slow>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let router = TowerToHyperService::new(router);
    let mark = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::begin(mark.clone());
        request.extensions_mut().insert(Peer(peer));
        let response = router.call(request);
        async move { response.await.map(|response: Response<Body>| response.map(|body| Held { body, _busy: busy })) }
    });
    let mut builder = Builder::new();
    builder.header_read_timeout(None).max_header_size(options.head_bytes_max);
    // Stating hyper's own number would cost an allocation a request.
    if options.headers_max != HYPER_HEADERS_MAX {
        builder.max_headers(options.headers_max);
    }
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Watched { io, activity: activity.clone() }), service));
    let look = (options.head_timeout.min(options.write_timeout).min(options.idle_timeout) / 4).max(Duration::from_millis(10));
    let mut timer = pin!(sleep(look));
    let mut known = Phase::Serving;
    let mut slow = None;
    loop {
        tokio::select! {
            biased;
            // An error is the client's: broken off, or no HTTP; hyper has answered what could be answered.
            _ = connection.as_mut() => return slow,
            now = behind(&mut phase, known) => {
                known = now;
                match now {
                    Phase::Serving | Phase::Draining => connection.as_mut().graceful_shutdown(),
                    Phase::Ended => return slow,
                }
            }
            () = timer.as_mut() => {
                match activity.overdue(options) {
                    // Nothing is under way: the client hears of it by an orderly end.
                    Some(Slow::Idle) => {
                        slow = Some(Slow::Idle);
                        connection.as_mut().graceful_shutdown();
                    }
                    Some(other) => return Some(other),
                    None => {}
                }
                timer.set(sleep(look));
            }
        }
    }
}

/// The phase behind `known`, when it has come.
async fn behind(phase: &mut watch::Receiver<Phase>, known: Phase) -> Phase {
    // An error means that nobody is left who could bring one.
    phase.wait_for(|phase| *phase != known).await.map_or(Phase::Ended, |phase| *phase)
}

/// The headers that hyper parses without an allocation.
const HYPER_HEADERS_MAX: usize = 100;

/// What a connection is doing, in milliseconds since it began.
#[derive(Debug)]
struct Activity {
    began: Instant,
    /// Requests that were begun and are not answered to their end.
    busy: AtomicU32,
    /// The first byte of a head that is not complete, plus one; 0: none.
    head_since: AtomicU64,
    /// Since when the socket takes nothing, plus one; 0: it does.
    blocked_since: AtomicU64,
    /// The end of the last request.
    rests_since: AtomicU64,
}

impl Activity {
    fn new() -> Activity {
        Activity {
            began: Instant::now(),
            busy: AtomicU32::new(0),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            rests_since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn read(&self) {
        if self.busy.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now() + 1, Relaxed);
        }
    }

    fn written<T>(&self, poll: Poll<T>) -> Poll<T> {
        let since = self.blocked_since.load(Relaxed);
        match (poll.is_ready(), since) {
            (true, 1..) => self.blocked_since.store(0, Relaxed),
            (false, 0) => self.blocked_since.store(self.now() + 1, Relaxed),
            _ => {}
        }
        poll
    }

    fn overdue(&self, options: &Options) -> Option<Slow> {
        let now = self.now();
        let over = |since: u64, limit: Duration| now.saturating_sub(since) >= limit.as_millis() as u64;
        let blocked = self.blocked_since.load(Relaxed);
        if blocked > 0 {
            return over(blocked - 1, options.write_timeout).then_some(Slow::Write);
        }
        if self.busy.load(Relaxed) > 0 {
            return None;
        }
        match self.head_since.load(Relaxed) {
            0 => over(self.rests_since.load(Relaxed), options.idle_timeout).then_some(Slow::Idle),
            since => over(since - 1, options.head_timeout).then_some(Slow::Head),
        }
    }
}

/// A request under way, from its head to the end of its answer.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: Arc<Activity>) -> Busy {
        activity.busy.fetch_add(1, Relaxed);
        activity.head_since.store(0, Relaxed);
        Busy(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rests_since.store(self.0.now(), Relaxed);
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer, which is under way until it is dropped.
struct Held {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that marks what happens on it.
struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut watched.io).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            watched.activity.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let watched = self.get_mut();
        watched.activity.written(Pin::new(&mut watched.io).poll_write(context, bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let watched = self.get_mut();
        watched.activity.written(Pin::new(&mut watched.io).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        watched.activity.written(Pin::new(&mut watched.io).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        watched.activity.written(Pin::new(&mut watched.io).poll_shutdown(context))
    }
}
