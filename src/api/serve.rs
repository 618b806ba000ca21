//! The loop that takes connections, and the orderly end.

use crate::api::connection;
use crate::api::desk::Desk;
use crate::api::gate::Gate;
use crate::api::options::Options;
use crate::api::route::{Phase, Shared, router};
use crate::metrics::Metrics;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::Instrument;

/// What is done with a connection before its first request: nothing, or the handshake of an encrypted one.
pub trait Acceptor: Send + Sync + 'static {
    /// What requests are read from and answers written to.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Prepares a connection; it is given `head_timeout` for it.
    ///
    /// # Errors
    /// The handshake failed; the connection is closed.
    fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Connections as they come, not encrypted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Acceptor for Plain {
    type Io = TcpStream;

    async fn accept(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// After an error of the listener – usually too many open files – there is nothing to do but to wait until something was closed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How often it is looked whether only streams of the journal are left.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// Serves plain connections of `listener` until `shutdown` resolves; then takes no more, ends streams, lets requests that were begun finish
/// for `drain_timeout` and returns. It must run on a tokio runtime with I/O and time.
pub async fn serve<D: Desk, G: Gate>(
    listener: TcpListener,
    desk: Arc<D>,
    gate: Arc<G>,
    options: Options,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) {
    serve_over(listener, Plain, desk, gate, options, metrics, shutdown).await;
}

/// As [`serve`], over connections that `acceptor` prepares.
pub async fn serve_over<A: Acceptor, D: Desk, G: Gate>(
    listener: TcpListener,
    acceptor: A,
    desk: Arc<D>,
    gate: Arc<G>,
    options: Options,
    metrics: Metrics,
    shutdown: impl Future<Output = ()>,
) {
    let (phase, watching) = watch::channel(Phase::Serving);
    let connections = Arc::new(Semaphore::new(options.connections_max));
    let shared = Arc::new(Shared::new(desk, gate, options, metrics, watching.clone()));
    let router = router(&shared);
    let acceptor = Arc::new(acceptor);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Closed at once and counted: a client that hangs in a queue would not know why.
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            shared.metrics.http_connections_refused_total.inc();
            continue;
        };
        let (shared, router, acceptor, watching) = (shared.clone(), router.clone(), acceptor.clone(), watching.clone());
        tokio::spawn(async move {
            shared.metrics.http_connections.inc();
            // Answers are small and awaited: they must not wait for more to send. An error means that the connection is gone.
            let _ = stream.set_nodelay(true);
            let slow = match timeout(shared.options.head_timeout, acceptor.accept(stream)).await {
                Ok(Ok(io)) => connection::serve(io, peer, router, &shared.options, watching).await,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "handshake failed");
                    None
                }
                Err(_) => Some(connection::Slow::Head),
            };
            if let Some(slow) = slow {
                shared.metrics.http_timeouts_total.with_label_values(&[slow.name()]).inc();
            }
            shared.metrics.http_connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    phase.send_replace(Phase::Draining);
    drain(&shared, &phase, &connections).instrument(tracing::info_span!("drain")).await;
}

/// Waits until the connections that are open have finished what was begun, and closes those that do not in time.
/// Streams of the journal come last: they have to bring what the others were answered.
async fn drain<D: Desk, G: Gate>(shared: &Shared<D, G>, phase: &watch::Sender<Phase>, connections: &Semaphore) {
    let (options, metrics) = (&shared.options, &shared.metrics);
    let all = u32::try_from(options.connections_max).expect("fewer connections than a machine has ports");
    tracing::info!(open = metrics.http_connections.get(), "no more connections are taken");
    let drained = timeout(options.drain_timeout, async {
        // A stream is counted within the life of its connection: the sum never says too early that no other is left.
        while connections.available_permits() + shared.journals.load(Ordering::Acquire) < options.connections_max {
            sleep(DRAIN_LOOK).await;
        }
        shared.desk.close();
        let _ = connections.acquire_many(all).await;
    });
    if drained.await.is_err() {
        let open = metrics.http_connections.get();
        tracing::warn!(open, "connections were closed before their requests were finished");
        phase.send_replace(Phase::Ended);
        // Nothing waits any more, so this takes no time; nobody closes the semaphore.
        let _ = connections.acquire_many(all).await;
    }
}
