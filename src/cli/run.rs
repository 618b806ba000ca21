//! `weir run`.

use super::{FOUND, is_watched, log_to_stderr, say, topology, words};
use crate::api;
use crate::doors::Doors;
use crate::gnn::DeviceChoice;
use crate::metrics::Metrics;
use crate::priority::come_promptly;
use crate::runtime::{Node, Peer, Standby};
use crate::topology::Topology;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, info_span};

/// Run the service: the authorization hook, doors for events, streams of outputs
#[derive(clap::Args)]
#[command(after_help = "\
POST a payment or transfer to /v1/authorizations and wait for its decision; the header Weir-Deadline-Ms says how long. What is not judged \
by then is answered by a stand-in, and says so. /openapi.json describes every door, /metrics is for Prometheus, /readyz for a balancer.

What is kept stands in the data directory; after a crash the same command goes on where it ended. Ctrl-C or SIGTERM ends it: what was \
begun is finished, then everything is synced.

With --follow the process is a standby: it takes the leader's journal record by record, steps it, and answers nothing until `weir promote` \
makes it the leader. Under WEIR_KEY stands a key of the leader (or of --peer) with the scope admin, where keys are needed.

Examples:
  weir run
  weir run --data standby --listen 127.0.0.1:8081 --follow http://127.0.0.1:8080
  weir run --data /var/lib/weir -t company.toml
  curl -s localhost:8080/v1/authorizations -H 'Content-Type: application/json' -d '{\"id\":\"p-1\",\"type\":\"payment\",\
\"time\":\"'$(date -u +%FT%TZ)'\",\"user\":\"u-1\",\"merchant\":\"m-1\",\"amount\":1250,\"currency\":\"EUR\"}'")]
pub struct Arguments {
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// Where to listen [default: authorize.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where journal, outputs and texts are kept
    #[arg(long, value_name = "DIR", default_value = "weir-data")]
    data: PathBuf,
    /// Follow this leader as its standby
    #[arg(long, value_name = "URL")]
    follow: Option<String>,
    /// Ask this one first whether it has been promoted meanwhile; then this process is fenced
    #[arg(long, value_name = "URL", conflicts_with = "follow")]
    peer: Option<String>,
    /// Where others reach this process: what an old leader tells its callers [default: where it listens]
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Certificates that an https leader or peer is checked against
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Go on from an old copy of the data directory, or one that lost records, with what the topics of Kafka know
    #[arg(long)]
    recover: bool,
    /// Where forward passes run: cpu, cuda or cuda:N, or auto; no decision depends on it [default: model.device]
    #[arg(long, value_name = "DEVICE")]
    backend: Option<DeviceChoice>,
    /// Write the log as JSON lines
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    log_to_stderr(arguments.json, "info");
    let mut topology = topology(&arguments.topology)?;
    topology.model.device = arguments.backend.unwrap_or(topology.model.device);
    match &mut topology.kafka {
        Some(kafka) => kafka.recover = arguments.recover,
        None if arguments.recover => {
            return Err("--recover: found no [kafka] in the topology, expected the topics to recover from".to_owned());
        }
        None => {}
    }
    let listen = arguments.listen.unwrap_or(topology.authorize.listen);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("door")
        .on_thread_start(come_promptly)
        .build()
        .map_err(words)?;
    // Before anything that takes long: a reload while the journal is stepped must not end the process.
    let hangup = {
        let _entered = runtime.enter();
        signal(SignalKind::hangup()).map_err(|error| format!("listening to SIGHUP: {error}"))?
    };
    let metrics = Metrics::new(crate::ENGINE_VERSION);
    let doors = Arc::new(Doors::open(listen, &topology.security, &arguments.data)?);
    let http = topology.http.clone();
    let node = Arc::new(info_span!("start").in_scope(|| node(arguments, topology, &metrics))?);
    let failed = runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(|error| format!("listening on {listen}: {error}"))?;
        let address = listener.local_addr().map_err(words)?;
        let scheme = if doors.has_tls() { "https" } else { "http" };
        node.reached_at(&arguments.advertise.clone().unwrap_or_else(|| format!("{scheme}://{address}")));
        say(&format!("listening on {scheme}://{address}, data in {}\n", arguments.data.display()))?;
        let tending = tokio::spawn(doors.clone().tend(hangup));
        let watching = tokio::spawn({
            let node = node.clone();
            async move { node.watch().await }
        });
        let mut terminate = signal(SignalKind::terminate()).map_err(words)?;
        let mut failed = None;
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
                why = node.failed() => failed = Some(why),
            }
            info!("ending: what was begun is finished");
        };
        api::serve_over(listener, doors.clone(), node.clone(), doors.gate(), http, metrics, shutdown).await;
        tending.abort();
        watching.abort();
        Ok::<_, String>(failed)
    })?;
    if let Some(why) = failed {
        eprintln!("error: this standby has stopped: {why}");
        return Ok(ExitCode::from(FOUND));
    }
    if let Some(ended) = info_span!("end").in_scope(|| node.end()) {
        info!(records = ended.records, state = %crate::journal::hex(&ended.state_hash), "ended");
    }
    Ok(ExitCode::SUCCESS)
}

/// A leader or, with --follow, a standby.
fn node(arguments: &Arguments, topology: Topology, metrics: &Metrics) -> Result<Node, String> {
    let key = std::env::var("WEIR_KEY").ok();
    let peer = |url: &String| Peer::new(url, key.as_deref(), arguments.ca.as_deref());
    match &arguments.follow {
        None => {
            let asked = arguments.peer.as_ref().map(peer).transpose()?;
            Node::lead(topology, &arguments.data, asked.as_ref(), metrics, is_watched())
        }
        Some(url) => {
            let standby = Standby::start(&topology, &arguments.data, peer(url)?, metrics, is_watched())?;
            Ok(Node::follow(topology, &arguments.data, standby, metrics))
        }
    }
}
