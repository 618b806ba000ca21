//! Who leads next: a standby that is promoted, and a leader that gives way to it.

use super::asking::{Told, ready, silent, tell};
use super::client::Peer;
use super::leadership::{Fenced, Leadership};
use super::node::{Node, Standby};
use crate::event::{Content, Control, ControlKind, Effort, Origin, Record};
use crate::journal::Blobs;
use crate::metrics::Metrics;
use crate::runtime::keep::FOUNDATIONS;
use crate::runtime::service::Service;
use crate::runtime::service::clock::Clock;
use crate::runtime::service::error::ServiceError;
use crate::runtime::service::standing::Standing;
use crate::topology::Topology;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// After so long without a record, what the fenced leader recorded comes no more. Longer than the follower rests between two connections.
const REST_PATIENCE: Wall = Wall::from_secs(10);
/// A journal without its first records – topology, policy, the clock's first tick – cannot be opened again, so nobody leads with it.
const RECORDS_MIN: u64 = FOUNDATIONS as u64 + 1;
/// An old leader that has not heard is told again.
const KNOCK_EVERY: Wall = Wall::from_secs(1);

impl Node {
    /// Makes the leader of this standby, as [`crate::api::Desk::promote`] says.
    pub(super) async fn succeed(&self, forced: bool) -> Result<Value, String> {
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

    /// Leads no more, as [`crate::api::Desk::fence`] says.
    pub(super) fn give_way(&self, epoch: u64, leader: &str) -> Result<Value, String> {
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
        // The last records of a leader that was killed may be missing here, and not in its topics.
        let mut topology = self.topology.clone();
        if let Some(kafka) = &mut topology.kafka {
            kafka.recover = true;
        }
        let service = Service::launch(&topology, standing, &self.metrics).map_err(|error| error.to_string())?;
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
    use super::super::link::Link;
    use super::*;
    use crate::topology::Layer;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::sync::Arc;

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
        runtime.block_on(node.succeed(forced)).unwrap_err()
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
