//! A process behind its doors: it leads, or it follows until it is promoted, or it has led and is fenced.

use super::asking::{Told, ask, ready, silent, tell};
use super::client::Peer;
use super::follower::{Ending, Follower, Snapping, greet};
use super::leadership::{Fenced, Leadership};
use super::link::Link;
use crate::api::{Answer, ChallengeResult, Change, Chunks, Desk, Page, Readiness, Shown, Stream, Submitted};
use crate::console;
use crate::event::{Content, Control, ControlKind, Effort, IdKey, Origin, Record, Sequence};
use crate::journal::{Blobs, DataDir, Disk, Files, Records};
use crate::metrics::Metrics;
use crate::runtime::demo::Show;
use crate::runtime::keep::FOUNDATIONS;
use crate::runtime::service::clock::Clock;
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
use tracing::{error, info, warn};

/// After so long without a record, what the fenced leader recorded comes no more. Longer than the follower rests between two connections.
const REST_PATIENCE: Wall = Wall::from_secs(10);
/// A journal without its first records – topology, policy, the clock's first tick – cannot be opened again, so nobody leads with it.
const RECORDS_MIN: u64 = FOUNDATIONS as u64 + 1;
/// An old leader that has not heard is told again.
const KNOCK_EVERY: Wall = Wall::from_secs(1);
/// Between two looks at how much happens.
const PULSE_EVERY: Wall = Wall::from_secs(1);
/// Between two attempts to hear whose journal a new standby shall have.
const GREET_EVERY: Wall = Wall::from_secs(1);

/// A standby: the thread that follows.
pub struct Standby {
    link: Arc<Link>,
    peer: Peer,
    thread: JoinHandle<Option<Standing>>,
}

impl Standby {
    /// Opens the data directory `dir`, or begins it as a standby of `peer` (then it waits until that one answers), and follows.
    ///
    /// # Errors
    /// As [`Service::start`]; and where the directory's journal is another one than the leader's.
    pub fn start(topology: &Topology, dir: &Path, peer: Peer, metrics: &Metrics, progress: bool) -> Result<Standby, String> {
        let files: Arc<dyn Files> = Arc::new(Disk);
        let words = |error: ServiceError| error.to_string();
        let key = match known_key(&files, dir)? {
            Some(key) => key,
            None => wait_for_key(&peer)?,
        };
        let opening = Opening { topology, root: dir, files, key: Some(key), begins: None, metrics, progress };
        let standing = Standing::open(&opening).map_err(words)?;
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
    fn end(self) -> Result<Standing, String> {
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
    leading: Arc<OnceLock<Service>>,
    standby: Mutex<Option<Standby>>,
    /// Where it follows or followed.
    followed: Option<(Arc<Link>, Peer)>,
    leadership: Leadership,
    /// One fence at a time: the later one must find what the earlier one wrote.
    fencing: sync::Mutex<()>,
    topology: Topology,
    metrics: Metrics,
    /// Where this process is reached.
    url: OnceLock<String>,
    pulse: Pulse,
    /// The demonstration that plays here.
    show: OnceLock<Arc<Show>>,
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
                show.link(&service.shared.alerts.all());
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
    fn heed(&self, service: &Service, fenced: &Fenced) -> Result<u64, String> {
        error!(epoch = fenced.epoch, leader = fenced.leader, "fenced: nothing is taken here any more");
        self.metrics.service_fenced.set(1);
        let (file, leader) = (self.leadership.fence_path(), &fenced.leader);
        service.fence(&format!(
            "{fenced}. This process records nothing more. To make it the standby of that leader, run it with --follow {leader}; if nobody \
             leads there, remove {} and start it again",
            file.display()
        ))
    }

    fn told(&self) -> Value {
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

/// What a promotion needs.
struct Succession {
    topology: Topology,
    metrics: Metrics,
    leadership: Leadership,
    epoch: u64,
    url: String,
    /// How many records the old leader has, if it has heard.
    records: Option<u64>,
}

impl Succession {
    /// Makes a service of a standby. Also says how many records the old leader is known to have that did not come.
    fn take(&self, standby: Standby) -> Result<(Service, u64), String> {
        let link = standby.link.clone();
        if let Some(records) = self.records {
            let (mut known, mut until) = (link.next.load(Ordering::Acquire), Instant::now() + REST_PATIENCE);
            while known < records && !standby.thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Wall::from_millis(1));
                let next = link.next.load(Ordering::Acquire);
                if next > known {
                    (known, until) = (next, Instant::now() + REST_PATIENCE);
                }
            }
        }
        let mut standing = standby.end()?;
        // One that is gone had at least what it last spoke of.
        let records = self.records.unwrap_or_else(|| link.leader_next.load(Ordering::Acquire));
        let missing = records.saturating_sub(standing.journal.next().0);
        if missing > 0 {
            error!(missing, "the old leader has records that did not come: what it answered for them is known only there");
        }
        self.sign(&mut standing)?;
        let service = Service::launch(&self.topology, standing, &self.metrics).map_err(|error| error.to_string())?;
        self.metrics.service_epoch.set(self.epoch as i64);
        Ok((service, missing))
    }

    /// Writes into the journal who leads from here on.
    fn sign(&self, standing: &mut Standing) -> Result<(), String> {
        let received = Clock::new(standing.latest).read();
        let text = json!({ "epoch": self.epoch, "leader": self.url, "since": received.to_string() }).to_string();
        let signed = (|| {
            let blob = Blobs::open(standing.files.clone(), &standing.dir.blobs())?.put(text.as_bytes())?;
            let content = Content::Control(Control { kind: ControlKind::Leader, blob });
            let record = Record { sequence: standing.journal.next(), received, origin: Origin::engine(), effort: Effort::Full, content };
            standing.journal.append(&record)?;
            standing.journal.commit()?;
            standing.journal.sync()?;
            standing.latest = received;
            standing.targets.note(&record);
            standing.step(&[record]).map(drop)
        })();
        signed.map_err(|error: ServiceError| error.to_string())?;
        self.leadership.set_epoch(self.epoch)?;
        self.leadership.end_fence()
    }
}

impl Desk for Node {
    async fn authorize(&self, json: &[u8], deadline: Wall) -> Answer {
        match self.leading.get() {
            Some(service) => {
                let began = Instant::now();
                let answer = service.authorize(json, deadline).await;
                self.metrics.hook_answer_seconds.observe(began.elapsed().as_secs_f64());
                answer
            }
            None => Answer::Closing,
        }
    }

    async fn challenge(&self, event_id: &str, result: ChallengeResult, deadline: Wall) -> Option<Answer> {
        self.leading.get()?.challenge(event_id, result, deadline).await
    }

    async fn submit(&self, json: &[u8]) -> Submitted {
        match self.leading.get() {
            Some(service) => service.submit(json).await,
            None => Submitted::Closing,
        }
    }

    fn policy(&self, before: bool) -> Result<Value, String> {
        match self.leading.get() {
            Some(service) => Desk::policy(service, before),
            None => Err("this process does not lead".to_owned()),
        }
    }

    async fn publish(&self, text: &str) -> Change {
        match self.leading.get() {
            Some(service) => Desk::publish(service, text).await,
            None => Change::Closing,
        }
    }

    async fn rollback(&self) -> Change {
        match self.leading.get() {
            Some(service) => Desk::rollback(service).await,
            None => Change::Closing,
        }
    }

    async fn list(&self, name: &str, json: &[u8]) -> Change {
        match self.leading.get() {
            Some(service) => service.list(name, json).await,
            None => Change::Closing,
        }
    }

    async fn alerts(&self) -> Vec<u8> {
        match self.leading.get() {
            Some(service) => Desk::alerts(service).await,
            None => br#"{"alerts":[],"held":0}"#.to_vec(),
        }
    }

    async fn decision(&self, event_id: &str, internal: bool) -> Option<Arc<[u8]>> {
        self.leading.get()?.decision(event_id, internal).await
    }

    async fn page(&self, stream: Stream, after: Option<&str>, limit: usize, wait: Wall) -> Result<Page, String> {
        match self.leading.get() {
            Some(service) => service.page(stream, after, limit, wait).await,
            None => Err("this process does not lead".to_owned()),
        }
    }

    fn readiness(&self) -> Readiness {
        let detail = match (self.leading.get(), &self.followed) {
            (Some(service), _) => return Desk::readiness(service),
            (None, Some((link, peer))) => match link.connected.load(Ordering::Relaxed) {
                true => format!("following {peer}, {} records behind", link.lag()),
                false => format!("following {peer}: {}", link.trouble.lock().expect("nobody panics with it")),
            },
            (None, None) => "starting".to_owned(),
        };
        Readiness { ready: false, detail }
    }

    fn elsewhere(&self, reading: bool) -> Option<String> {
        match (self.leading.get(), &self.followed) {
            (Some(service), _) => {
                if reading {
                    None
                } else {
                    service.shared.elsewhere.get().cloned()
                }
            }
            (None, Some((_, peer))) => Some(format!("this is a standby of {peer}: ask there, or promote this one (weir promote)")),
            (None, None) => Some("starting".to_owned()),
        }
    }

    fn console(&self) -> Option<Shown> {
        let url = self.url.get().map_or("", String::as_str);
        // Texts of ids are read from files that are in memory.
        let attack_of = |event| self.show.get()?.attack_of(event);
        let now = tokio::task::block_in_place(|| self.leading.get().map(|service| service.overview(self.pulse.read(), url, &attack_of)))?;
        let demonstration = self.show.get().map(|show| show.told(&now.alerts));
        let page = console::Now { demonstration, ..now }.page();
        Some(Shown { media_type: console::PAGE, body: page.into_bytes() })
    }

    fn console_file(&self, name: &str) -> Option<Shown> {
        console::file(name).map(|(media_type, text)| Shown { media_type, body: text.as_bytes().to_vec() })
    }

    fn attack(&self, name: &str) -> Option<Result<Value, String>> {
        self.show.get().map(|show| show.attack(name))
    }

    fn journal(&self, from: Sequence) -> Result<Chunks, String> {
        self.leading.get().ok_or_else(|| "this process does not lead".to_owned())?.journal(from)
    }

    fn leader(&self) -> Value {
        self.told()
    }

    fn close(&self) {
        if let Some(service) = self.leading.get() {
            service.close();
        }
    }

    async fn promote(&self, forced: bool) -> Result<Value, String> {
        let mut slot = self.standby.lock().await;
        let (Some(standby), Some((link, peer))) = (slot.as_ref(), &self.followed) else {
            return Err(format!("this process is no standby: {}", self.told()));
        };
        let began = Instant::now();
        let records = standby.link.next.load(Ordering::Acquire);
        if records < RECORDS_MIN {
            return Err(format!(
                "this standby has {records} records, expected at least {RECORDS_MIN}: it does not have the beginning of the journal, and could \
                 not be started again as a leader. Let it follow first, or start a leader with a directory of its own"
            ));
        }
        if !forced {
            let (asked, link) = (peer.clone(), link.clone());
            tokio::task::spawn_blocking(move || ready(&asked, &link)).await.map_err(|error| error.to_string())??;
        }
        let epoch = standby.link.epoch.load(Ordering::Acquire) + 1;
        let url = self.url.get().cloned().unwrap_or_default();
        let (asked, own) = (peer.clone(), url.clone());
        let told = tokio::task::spawn_blocking(move || tell(&asked, epoch, &own)).await.map_err(|error| error.to_string())?;
        let records = match told {
            Told::Fenced(records) => Some(records),
            Told::Refused(why) => return Err(format!("{peer} refuses: {why}")),
            Told::Gone(why) => {
                warn!(%peer, why, "the old leader is gone and is not fenced: it is told when it comes back");
                None
            }
            Told::Silent(why) if forced => {
                warn!(%peer, why, "the old leader does not answer and is not fenced: see to it that nothing reaches it");
                None
            }
            Told::Silent(why) => return Err(silent(peer, &why)),
        };
        let standby = slot.take().expect("it was there a moment ago");
        let (topology, leadership) = (self.topology.clone(), self.leadership.clone());
        let succession = Succession { topology, metrics: self.metrics.clone(), leadership, epoch, url: url.clone(), records };
        let (leading, link, knocked) = (self.leading.clone(), link.clone(), peer.clone());
        // From here on it runs to its end, also where whoever asked goes away meanwhile.
        let taken = tokio::task::spawn_blocking(move || match succession.take(standby) {
            Ok((service, missing)) => {
                let recorded = service.recorded();
                let _ = leading.set(service);
                let seconds = began.elapsed().as_secs_f64();
                info!(epoch, records = recorded, missing, seconds, fenced = records.is_some(), "promoted: this process leads");
                if records.is_none() {
                    tokio::runtime::Handle::current().spawn(knock(knocked, epoch, url));
                }
                let fenced = records.is_some();
                Ok(json!({ "epoch": epoch, "records": recorded, "old_leader_fenced": fenced, "missing": missing, "seconds": seconds }))
            }
            Err(why) => {
                // Neither a standby any more nor a leader: the process ends and says why.
                link.failed.send_replace(Some(format!("promotion failed: {why}")));
                Err(why)
            }
        });
        taken.await.map_err(|error| error.to_string())?
    }

    async fn fence(&self, epoch: u64, leader: &str) -> Result<Value, String> {
        let asking = Fenced { epoch, leader: leader.to_owned() };
        let Some(service) = self.leading.get() else {
            let (link, peer) = self.followed.as_ref().ok_or_else(|| "starting".to_owned())?;
            let known = link.epoch.load(Ordering::Acquire);
            let led_by = link.led_by.lock().expect("nobody panics with it").clone().unwrap_or_else(|| peer.to_string());
            gives_way(&Fenced { epoch: known, leader: led_by }, &asking).map_err(|why| format!("this is a standby of {peer}: {why}"))?;
            // It records for nobody but the leader that it follows.
            return Ok(json!({ "records": link.next.load(Ordering::Relaxed) }));
        };
        let own = service.shared.epoch;
        if epoch <= own {
            return Err(format!("this process leads in epoch {own}, it is not fenced by epoch {epoch}"));
        }
        let records = tokio::task::block_in_place(|| {
            let _alone = self.fencing.lock().expect("nobody panics with it");
            if let Some(fenced) = self.leadership.fenced()? {
                gives_way(&fenced, &asking).map_err(|why| {
                    format!(
                        "{why}. Where nobody leads there, remove {} and start this process again",
                        self.leadership.fence_path().display()
                    )
                })?;
            }
            // On disk first: a process that forgets its fence must not lead again.
            self.leadership.fence(&asking)?;
            self.heed(service, &asking)
        })?;
        Ok(json!({ "records": records }))
    }
}

/// Whether a process that knows of the leader `known` gives way to `asking`: to a later epoch, or to the same leader again. Two that ask in
/// one epoch would both lead.
fn gives_way(known: &Fenced, asking: &Fenced) -> Result<(), String> {
    if asking.epoch > known.epoch || asking == known {
        return Ok(());
    }
    Err(format!("{known}, it does not give way to {} in epoch {}", asking.leader, asking.epoch))
}

/// Tells the old leader, when it comes back, that it leads no more.
async fn knock(peer: Peer, epoch: u64, url: String) {
    loop {
        tokio::time::sleep(KNOCK_EVERY).await;
        let (asked, own) = (peer.clone(), url.clone());
        match tokio::task::spawn_blocking(move || tell(&asked, epoch, &own)).await {
            Ok(Told::Fenced(records)) => return info!(%peer, records, "the old leader has heard that it leads no more"),
            Ok(Told::Refused(why)) => return error!(%peer, why, "two processes lead: the other does not give way"),
            Ok(Told::Gone(_) | Told::Silent(_)) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asking::BEHIND_MAX;
    use super::*;
    use crate::topology::Layer;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// A standby with so many records of so many, whose thread gives nothing back: a promotion that is not refused fails there.
    fn node(dir: &Path, leader: &str, next: u64, leader_next: u64) -> Node {
        let topology = Topology::parse(&[Layer { name: "none", text: "", folder: Path::new("") }]).unwrap();
        let link = Arc::new(Link::new(next, 1));
        link.leader_next.store(leader_next, Ordering::Relaxed);
        let peer = Peer::new(leader, None, None).unwrap();
        let standby = Standby { link, peer, thread: std::thread::spawn(|| None) };
        Node::follow(topology, dir, standby, &Metrics::new("test"))
    }

    fn promoted(node: &Node, forced: bool) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(node.promote(forced)).unwrap_err()
    }

    /// An address at which nobody listens.
    fn nowhere() -> String {
        format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
    }

    const TAKEN: &str = "following has stopped";

    /// Its first record would be the one that says who leads, and the directory would never open again.
    #[test]
    fn a_standby_without_the_journals_beginning_is_not_promoted() {
        let dir = tempfile::tempdir().unwrap();
        for forced in [false, true] {
            let why = promoted(&node(dir.path(), &nowhere(), RECORDS_MIN - 1, RECORDS_MIN - 1), forced);
            assert!(why.starts_with("this standby has 2 records, expected at least 3"), "{why}");
            assert_eq!(promoted(&node(dir.path(), &nowhere(), RECORDS_MIN, RECORDS_MIN), forced), TAKEN);
        }
    }

    #[test]
    fn a_standby_that_is_far_behind_is_promoted_by_force_only() {
        let dir = tempfile::tempdir().unwrap();
        let why = promoted(&node(dir.path(), &nowhere(), 100, 100 + BEHIND_MAX + 1), false);
        assert!(why.starts_with("this standby is 5001 records behind"), "{why}");
        assert_eq!(promoted(&node(dir.path(), &nowhere(), 100, 100 + BEHIND_MAX + 1), true), TAKEN);
        assert_eq!(promoted(&node(dir.path(), &nowhere(), 100, 100 + BEHIND_MAX), false), TAKEN);
    }

    /// Also one that does not know of it, because it is not connected: the leader is asked, and is not fenced.
    #[test]
    fn a_living_leader_is_asked_how_far_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            let body = r#"{"role":"leader","epoch":1,"records":9000}"#;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let dir = tempfile::tempdir().unwrap();
        let why = promoted(&node(dir.path(), &url, 1_000, 1_000), false);
        assert!(why.starts_with("this standby is 8000 records behind"), "{why}");
        assert!(answering.join().unwrap().starts_with("GET /v1/leader "));
    }

    /// A time-out is not the word of a process that is gone.
    #[test]
    fn a_leader_that_does_not_answer_may_live() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let why = promoted(&node(dir.path(), &url, 100, 100), false);
        assert!(why.contains("does not refuse connections and does not answer either"), "{why}");
        assert_eq!(promoted(&node(dir.path(), &url, 100, 100), true), TAKEN);
    }

    #[test]
    fn who_knows_a_leader_gives_way_to_a_later_one_only() {
        let of = |epoch, leader: &str| Fenced { epoch, leader: leader.to_owned() };
        let known = of(2, "http://a:1");
        assert!(gives_way(&known, &of(2, "http://a:1")).is_ok());
        assert!(gives_way(&known, &of(3, "http://b:1")).is_ok());
        let why = gives_way(&known, &of(2, "http://b:1")).unwrap_err();
        assert_eq!(why, "fenced: epoch 2 leads at http://a:1, it does not give way to http://b:1 in epoch 2");
        assert!(gives_way(&known, &of(1, "http://a:1")).is_err());
    }
}
