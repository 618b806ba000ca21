//! A process behind its doors: it leads, or it follows until it is promoted, or it has led and is fenced.

use super::asking::ask;
use super::client::Peer;
use super::follower::{Ending, Follower};
use super::leadership::{Fenced, Leadership};
use super::link::Link;
use super::meeting::greet;
use super::snapping::Snapping;
use crate::event::{IdKey, Sequence};
use crate::journal::{DataDir, Disk, Files, Records};
use crate::metrics::Metrics;
use crate::runtime::backing::Backing;
use crate::runtime::check_models;
use crate::runtime::demo::Show;
use crate::runtime::service::error::ServiceError;
use crate::runtime::service::pulse::Pulse;
use crate::runtime::service::standing::{Opening, Standing};
use crate::runtime::service::{Ended, Service};
use crate::runtime::source::foundation_texts;
use crate::topology::{Topology, content_hash};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{self, Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration as Wall, Instant};
use tokio::sync::Mutex;
use tracing::{error, warn};

/// Between two looks at how much happens.
const PULSE_EVERY: Wall = Wall::from_secs(1);
/// Between two attempts to hear whose journal a new standby shall have.
const GREET_EVERY: Wall = Wall::from_secs(1);

/// A standby: the thread that follows.
pub struct Standby {
    pub(super) link: Arc<Link>,
    pub(super) peer: Peer,
    pub(super) thread: JoinHandle<Option<Standing>>,
}

impl Standby {
    /// Opens the data directory `dir`, or begins it as a standby of `peer` (then it waits until that one answers), and follows.
    ///
    /// # Errors
    /// As [`Service::start`]; and where the directory's journal is another one than the leader's.
    pub fn start(topology: &Topology, dir: &Path, peer: Peer, metrics: &Metrics, progress: bool) -> Result<Standby, String> {
        let backing = Backing::choose(topology.model.device).map_err(|error| error.to_string())?;
        Standby::start_on(backing, topology, dir, peer, metrics, progress)
    }

    /// As [`Standby::start`], with forward passes where `backing` says: while it follows, and when it leads.
    ///
    /// # Errors
    /// As [`Standby::start`].
    pub fn start_on(
        backing: Backing,
        topology: &Topology,
        dir: &Path,
        peer: Peer,
        metrics: &Metrics,
        progress: bool,
    ) -> Result<Standby, String> {
        let files: Arc<dyn Files> = Arc::new(Disk);
        let words = |error: ServiceError| error.to_string();
        let key = match known_key(&files, dir)? {
            Some(key) => key,
            None => wait_for_key(&peer)?,
        };
        // They are put in force by nobody who follows; a file that is broken is told before it is needed.
        check_models(topology).map_err(|mistakes| mistakes.join("\n"))?;
        let opening = Opening { topology, root: dir, files, key: Some(key), begins: None, metrics, progress };
        let mut standing = Standing::open(&opening).map_err(words)?;
        standing.judge_on(backing, metrics);
        let leadership = Leadership::of(dir);
        let link = Arc::new(Link::new(standing.journal.next().0, leadership.epoch()?));
        let snapping = Some(Snapping::start(&standing, topology).map_err(words)?);
        let follower = Follower {
            link: link.clone(),
            peer: peer.clone(),
            topology: Arc::new(topology.clone()),
            foundations: foundation_texts(&topology.deciding).map(|(_, text)| content_hash(&text)),
            metrics: metrics.clone(),
            leadership,
            standing,
            group: Vec::new(),
            awaited: VecDeque::new(),
            outputs_synced: Instant::now(),
            snapping,
        };
        let watching = link.clone();
        let follow = move || {
            // A standby that does nothing must not look as if it did.
            catch_unwind(AssertUnwindSafe(|| follower.run())).unwrap_or_else(|_| {
                watching.failed.send_replace(Some("the thread that follows broke off; the log says where".to_owned()));
                None
            })
        };
        let thread = Builder::new().name("follower".to_owned()).spawn(follow).map_err(|error| error.to_string())?;
        Ok(Standby { link, peer, thread })
    }

    /// Follows no further, and gives what stands.
    pub(super) fn end(self) -> Result<Standing, String> {
        self.link.stop();
        let standing = self.thread.join().expect("the follower does not panic");
        standing.ok_or_else(|| self.link.failed.borrow().clone().unwrap_or_else(|| "following has stopped".to_owned()))
    }
}

/// The key of the journal in `dir`, if there is one.
fn known_key(files: &Arc<dyn Files>, dir: &Path) -> Result<Option<IdKey>, String> {
    let Ok(dir) = DataDir::read(dir) else { return Ok(None) };
    let records = Records::open(files.clone(), &dir.journal(), Sequence(0)).map_err(|error| error.to_string())?;
    Ok(records.0.key())
}

fn wait_for_key(peer: &Peer) -> Result<IdKey, String> {
    let mut told = String::new();
    loop {
        match greet(peer) {
            Ok(hello) => return Ok(hello.key),
            Err(Ending::Fatal(why)) => return Err(why),
            Err(Ending::Lost(why)) => {
                if why != told {
                    warn!(leader = %peer, why, "a new standby needs its leader to begin; trying again");
                }
                told = why;
                std::thread::sleep(GREET_EVERY);
            }
        }
    }
}

/// What a process is, for the doors.
pub struct Node {
    pub(super) leading: Arc<OnceLock<Service>>,
    pub(super) standby: Mutex<Option<Standby>>,
    /// Where it follows or followed.
    pub(super) followed: Option<(Arc<Link>, Peer)>,
    pub(super) leadership: Leadership,
    /// One fence at a time: the later one must find what the earlier one wrote.
    pub(super) fencing: sync::Mutex<()>,
    pub(super) topology: Topology,
    pub(super) metrics: Metrics,
    /// Where this process is reached.
    pub(super) url: OnceLock<String>,
    pub(super) pulse: Pulse,
    /// The demonstration that plays here.
    pub(super) show: OnceLock<Arc<Show>>,
}

impl Node {
    /// A leader; one that was fenced before is so again. `peer` is asked first whether it leads in a later epoch.
    ///
    /// # Errors
    /// As [`Service::start`]; where the files that say who leads are damaged.
    pub fn lead(topology: Topology, dir: &Path, peer: Option<&Peer>, metrics: &Metrics, progress: bool) -> Result<Node, String> {
        let leadership = Leadership::of(dir);
        if let Some(fenced) = peer.map(|peer| ask(peer, leadership.epoch()?)).transpose()?.flatten() {
            leadership.fence(&fenced)?;
        }
        let service = Service::start(&topology, dir, metrics, progress).map_err(|error| error.to_string())?;
        Node::over(service, topology, dir, metrics)
    }

    /// A leader whose service was started on the directory `dir`; one that was fenced before is so again.
    pub(in crate::runtime) fn over(service: Service, topology: Topology, dir: &Path, metrics: &Metrics) -> Result<Node, String> {
        let leadership = Leadership::of(dir);
        let fenced = leadership.fenced()?;
        metrics.service_epoch.set(service.shared.epoch as i64);
        let node = Node::new(topology, leadership, metrics, None);
        if let Some(fenced) = fenced {
            node.heed(&service, &fenced)?;
        }
        let _ = node.leading.set(service);
        Ok(node)
    }

    /// A standby.
    pub fn follow(topology: Topology, dir: &Path, standby: Standby, metrics: &Metrics) -> Node {
        let followed = (standby.link.clone(), standby.peer.clone());
        let mut node = Node::new(topology, Leadership::of(dir), metrics, Some(followed));
        *node.standby.get_mut() = Some(standby);
        node
    }

    fn new(topology: Topology, leadership: Leadership, metrics: &Metrics, followed: Option<(Arc<Link>, Peer)>) -> Node {
        let (leading, standby, url) = (Arc::new(OnceLock::new()), Mutex::new(None), OnceLock::new());
        let (fencing, metrics, pulse, show) = (sync::Mutex::new(()), metrics.clone(), Pulse::new(), OnceLock::new());
        Node { leading, standby, followed, leadership, fencing, topology, metrics, url, pulse, show }
    }

    /// Says where this process is reached: what an old leader tells its callers.
    pub fn reached_at(&self, url: &str) {
        let _ = self.url.set(url.to_owned());
    }

    /// Notes once a second how much happens, and which alerts tell of a demonstration's attacks, for the console, as long as it is polled.
    pub async fn watch(&self) {
        loop {
            self.pulse.beat(&self.metrics);
            if let (Some(show), Some(service)) = (self.show.get(), self.leading.get()) {
                show.link(&service.shared.alerts.all(true));
            }
            tokio::time::sleep(PULSE_EVERY).await;
        }
    }

    /// `show` plays here: the console tells of it, and its attacks can be begun.
    pub(in crate::runtime) fn plays(&self, show: Arc<Show>) {
        let _ = self.show.set(show);
    }

    /// Resolves when a standby has stopped for good: why.
    pub async fn failed(&self) -> String {
        let Some((link, _)) = &self.followed else { return std::future::pending().await };
        let mut failed = link.failed.subscribe();
        match failed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(why)) => why.clone(),
            // The link lives as long as this.
            _ => std::future::pending().await,
        }
    }

    /// Ends in order: [`Service::end`], or the end of following.
    pub fn end(&self) -> Option<Ended> {
        if let Some(service) = self.leading.get() {
            return service.end();
        }
        let standby = self.standby.blocking_lock().take()?;
        match standby.end() {
            Ok(standing) => Some(Ended { records: standing.journal.next().0, state_hash: standing.engine.state_hash() }),
            Err(why) => {
                error!(why, "the end was not orderly");
                None
            }
        }
    }

    /// Stops taking requests: another process leads.
    pub(super) fn heed(&self, service: &Service, fenced: &Fenced) -> Result<u64, String> {
        error!(epoch = fenced.epoch, leader = fenced.leader, "fenced: nothing is taken here any more");
        self.metrics.service_fenced.set(1);
        let (file, leader) = (self.leadership.fence_path(), &fenced.leader);
        service.fence(&format!(
            "{fenced}. This process records nothing more. To make it the standby of that leader, run it with --follow {leader}; if nobody \
             leads there, remove {} and start it again",
            file.display()
        ))
    }

    pub(super) fn told(&self) -> Value {
        let url = self.url.get().map(String::as_str);
        match (self.leading.get(), &self.followed) {
            (Some(service), _) => match self.leadership.fenced() {
                Ok(Some(fenced)) => json!({ "role": "fenced", "epoch": fenced.epoch, "leader": fenced.leader }),
                _ => json!({ "role": "leader", "epoch": service.shared.epoch, "leader": url, "records": service.recorded() }),
            },
            (None, Some((link, peer))) => {
                json!({ "role": "standby", "epoch": link.epoch.load(Ordering::Relaxed), "leader": peer.to_string(), "behind": link.lag() })
            }
            (None, None) => json!({ "role": "starting" }),
        }
    }
}
