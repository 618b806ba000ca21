//! The standby's side: one thread that takes frames, keeps the records they bring, and steps them.
//!
//! What the leader's journal holds becomes this directory's journal, record by record and byte by byte; texts are put before the records
//! that bear their ids, as the leader does. At every checkpoint the courses of both engines are compared. A difference is no trouble of
//! the connection: one of the two machines is wrong, and this one stops.

use super::client::Peer;
use super::frame::{self, Frame, Hello};
use super::leadership::Leadership;
use super::link::Link;
use super::meeting::begin;
use super::snapping::Snapping;
use crate::engine::Checkpoint;
use crate::event::{Content, Control, ControlKind, Record, Sequence};
use crate::journal::{Blobs, Telling, decode_record};
use crate::metrics::Metrics;
use crate::runtime::naming::named;
use crate::runtime::service::standing::Standing;
use crate::topology::Topology;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// A leader that says nothing for so long is gone: it beats every second.
pub(super) const SILENCE: Wall = Wall::from_secs(5);
/// Between two attempts at the leader, first and last.
const AGAIN: (Wall, Wall) = (Wall::from_millis(100), Wall::from_secs(5));
/// Entries of the index of judged events that are written at once.
const TARGETS_WAITING: usize = 4_096;
/// How often the outputs are synced: they can be made again.
const OUTPUTS_EVERY: Wall = Wall::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// It may come again.
    Lost(String),
    /// Nothing that comes again would help.
    Fatal(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ending::Lost(why) | Ending::Fatal(why)) = self;
        f.write_str(why)
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Ending {
        Ending::Lost(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("no word for {} s", SILENCE.as_secs()),
            io::ErrorKind::UnexpectedEof => "the connection ended".to_owned(),
            _ => error.to_string(),
        })
    }
}

pub(super) fn fatal(error: impl fmt::Display) -> Ending {
    Ending::Fatal(error.to_string())
}

/// The thread's own things.
pub(super) struct Follower {
    pub link: Arc<Link>,
    pub peer: Peer,
    pub topology: Arc<Topology>,
    /// SHA-256 of the texts of topology and policy.
    pub foundations: [[u8; 32]; 2],
    pub metrics: Metrics,
    pub leadership: Leadership,
    pub standing: Standing,
    /// Records that came and are not written yet.
    pub group: Vec<Record>,
    /// Checkpoints of the leader to which this engine has not come.
    pub awaited: VecDeque<Checkpoint>,
    pub outputs_synced: Instant,
    pub snapping: Option<Snapping>,
}

impl Follower {
    /// Follows until it is told to stop; gives back what stands then. `None`: it has stopped for good, and the link says why.
    pub(super) fn run(mut self) -> Option<Standing> {
        let mut pause = AGAIN.0;
        while !self.link.is_done() {
            let began = Instant::now();
            let ended = self.follow();
            self.link.connected.store(false, Ordering::Release);
            self.metrics.standby_connected.set(0);
            *self.link.socket.lock().expect("nobody panics with it") = None;
            // What came whole is kept, also where the connection broke behind it.
            let ended = ended.and_then(|()| self.apply()).or_else(|ending| match ending {
                Ending::Lost(_) => self.apply().and(Err(ending)),
                Ending::Fatal(_) => Err(ending),
            });
            match ended {
                Ok(()) => {}
                Err(Ending::Lost(why)) => {
                    if !self.link.is_done() {
                        let mut trouble = self.link.trouble.lock().expect("nobody panics with it");
                        // Said once, not every five seconds through a night.
                        if *trouble != why {
                            warn!(leader = %self.peer, why, "not connected; trying again");
                        }
                        *trouble = why;
                    }
                }
                Err(Ending::Fatal(why)) => {
                    error!(leader = %self.peer, why, "following has stopped");
                    self.link.failed.send_replace(Some(why));
                    return None;
                }
            }
            if began.elapsed() > SILENCE {
                pause = AGAIN.0;
            }
            self.link.rest(pause);
            pause = (pause * 2).min(AGAIN.1);
        }
        let link = self.link.clone();
        match self.finish() {
            Ok(standing) => Some(standing),
            Err(ending) => {
                error!(why = %ending, "following has stopped");
                link.failed.send_replace(Some(ending.to_string()));
                None
            }
        }
    }

    /// One connection, to its end.
    fn follow(&mut self) -> Result<(), Ending> {
        let own = self.standing.journal.next().0;
        let stream = self.peer.connect(SILENCE)?;
        *self.link.socket.lock().expect("nobody panics with it") = Some(stream.try_clone()?);
        if self.link.is_done() {
            return Ok(());
        }
        // One record that is here already comes again: it tells whether both journals are one.
        let from = own.saturating_sub(1);
        let (mut reply, hello) = begin(&self.peer, stream, from)?;
        self.check(&hello, own)?;
        // It tells the latest again.
        self.awaited.clear();
        let mut overlap = (own > 0).then(|| self.own(from)).transpose()?;
        self.link.leader_next.store(hello.next, Ordering::Relaxed);
        let mut due = Instant::now();
        while !self.link.is_done() {
            let Some(frame) = frame::read(&mut reply)? else { return Err(Ending::Lost("the leader ended the stream".to_owned())) };
            match frame {
                Frame::Hello(_) => return Err(Ending::Lost("a second hello".to_owned())),
                Frame::Blob(bytes) => {
                    let blobs = Blobs::open(self.standing.files.clone(), &self.standing.dir.blobs()).map_err(fatal)?;
                    blobs.put(&bytes).map_err(fatal)?;
                }
                Frame::Text { id, kind, text } => {
                    let telling = Telling::Text { id, kind, text: &text };
                    self.standing.texts.tell(self.next_sequence(), telling).map_err(fatal)?;
                }
                Frame::Record { sequence, body } => match overlap.take() {
                    Some(expected) if sequence.0 == from && body == expected => self.greeted(&hello)?,
                    Some(_) => return Err(self.diverged(hello.first, own.min(hello.next))),
                    None => self.take(sequence, &body)?,
                },
                Frame::Checkpoint(checkpoint) => self.awaited.push_back(checkpoint),
                Frame::Beat { next } => {
                    self.link.leader_next.store(next, Ordering::Relaxed);
                    if own == 0 && !self.link.connected.load(Ordering::Relaxed) {
                        self.greeted(&hello)?;
                    }
                    let quiet = self.group.is_empty();
                    self.apply()?;
                    if due <= Instant::now() {
                        due = Instant::now() + Wall::from_millis(u64::from(self.topology.journal.sync_ms_max));
                        self.sync()?;
                    }
                    self.snap(quiet)?;
                }
            }
        }
        Ok(())
    }

    /// Both journals are one: from here on it is followed.
    fn greeted(&mut self, hello: &Hello) -> Result<(), Ending> {
        // Where this directory led once and was fenced, it has now found who leads, and holds nothing that one lacks.
        self.leadership.end_fence().map_err(fatal)?;
        self.link.epoch.store(hello.epoch, Ordering::Release);
        self.leadership.set_epoch(hello.epoch).map_err(fatal)?;
        self.link.connected.store(true, Ordering::Release);
        self.metrics.standby_connected.set(1);
        self.link.trouble.lock().expect("nobody panics with it").clear();
        info!(leader = %self.peer, epoch = hello.epoch, behind = hello.next.saturating_sub(self.standing.journal.next().0), "following");
        Ok(())
    }

    /// Takes a record that comes next.
    fn take(&mut self, sequence: Sequence, body: &[u8]) -> Result<(), Ending> {
        let expected = self.next_sequence().0;
        if sequence.0 != expected {
            return Err(Ending::Lost(format!("found record {}, expected {expected}", sequence.0)));
        }
        let record = decode_record(sequence, body).map_err(|error| fatal(format!("record {expected}: {error}")))?;
        let alone = matches!(record.content, Content::Control(_));
        if let Content::Event(event) = &record.content
            && let Some((name, bearer)) = named(&event.body)
        {
            self.standing.texts.tell(sequence, Telling::Name { name, bearer }).map_err(fatal)?;
        }
        self.group.push(record);
        if alone || self.group.len() >= self.topology.batch_events_max { self.apply() } else { Ok(()) }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.standing.journal.next().0 + self.group.len() as u64)
    }

    /// Writes the group, steps it, and compares where a checkpoint was passed.
    fn apply(&mut self) -> Result<(), Ending> {
        if !self.group.is_empty() {
            let standing = &mut self.standing;
            standing.texts.commit().map_err(fatal)?;
            for record in &self.group {
                standing.journal.append(record).map_err(fatal)?;
                standing.targets.note(record);
                standing.latest = standing.latest.max(record.received);
            }
            standing.journal.commit().map_err(fatal)?;
            self.metrics.journal_records_total.inc_by(self.group.len() as u64);
            standing.step(&self.group).map_err(fatal)?;
            standing.tend_backend(&self.metrics);
            standing.answers.forget(standing.engine.now(), self.topology.deciding.dedupe);
            self.link.next.store(standing.journal.next().0, Ordering::Release);
            self.metrics.engine_stream_time_seconds.set(standing.engine.now().0 as f64 / 1e6);
            self.metrics.graph_nodes.set(standing.engine.graph().nodes.len() as i64);
            if let Some((epoch, leader)) = self.group.iter().find_map(|record| led(record, standing)) {
                self.link.epoch.store(epoch, Ordering::Release);
                *self.link.led_by.lock().expect("nobody panics with it") = leader;
                self.leadership.set_epoch(epoch).map_err(fatal)?;
            }
            self.group.clear();
            if self.standing.targets.waiting() >= TARGETS_WAITING {
                // The index knows of no record that a power cut can take away.
                self.standing.journal.sync().map_err(fatal)?;
                self.standing.targets.expire(self.standing.latest - self.topology.deciding.labels.known);
                self.standing.targets.flush().map_err(fatal)?;
            }
        }
        self.metrics.standby_lag_records.set(self.link.lag() as i64);
        self.compare()
    }

    /// Compares courses at the checkpoints that both engines have passed.
    fn compare(&mut self) -> Result<(), Ending> {
        let next = self.standing.journal.next();
        while let Some(theirs) = self.awaited.pop_front_if(|awaited| awaited.sequence <= next) {
            // One that the engine passed before this process began it does not know.
            let Some(ours) = self.standing.engine.checkpoints().find(|ours| ours.sequence == theirs.sequence) else { continue };
            self.metrics.standby_checkpoints_total.inc();
            if ours.course != theirs.course {
                self.metrics.standby_mismatches_total.inc();
                return Err(Ending::Fatal(mismatch(&self.peer.to_string(), theirs, ours)));
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Ending> {
        let standing = &mut self.standing;
        if standing.journal.is_unsynced() {
            standing.texts.sync().map_err(fatal)?;
            standing.journal.sync().map_err(fatal)?;
        }
        standing.namer.advance(standing.journal.next()).map_err(fatal)?;
        if self.outputs_synced.elapsed() > OUTPUTS_EVERY {
            standing.outputs.sync().map_err(fatal)?;
            standing.namer.sync().map_err(fatal)?;
            self.outputs_synced = Instant::now();
        }
        Ok(())
    }

    /// Ends in order: everything that came is applied and on disk.
    fn finish(mut self) -> Result<Standing, Ending> {
        self.apply()?;
        let mut standing = self.standing;
        if let Some(snapping) = self.snapping.take() {
            snapping.end(&mut standing);
        }
        standing.texts.sync().map_err(fatal)?;
        standing.journal.sync().map_err(fatal)?;
        standing.namer.advance(standing.journal.next()).map_err(fatal)?;
        standing.outputs.sync().map_err(fatal)?;
        standing.targets.flush().map_err(fatal)?;
        self.metrics.standby_lag_records.set(0);
        Ok(standing)
    }
}

/// The epoch that a record begins, and who leads in it.
fn led(record: &Record, standing: &Standing) -> Option<(u64, Option<String>)> {
    let Content::Control(Control { kind: ControlKind::Leader, blob }) = &record.content else { return None };
    let text = Blobs::read(standing.files.clone(), &standing.dir.blobs()).get(blob).ok()?;
    let told: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some((told["epoch"].as_u64()?, told["leader"].as_str().map(str::to_owned)))
}

/// What is said when both engines differ.
fn mismatch(leader: &str, theirs: Checkpoint, ours: Checkpoint) -> String {
    format!(
        "before record {} the course of the engine of {leader} is {:016x}, here it is {:016x}: the same records led to other decisions or \
         figures. One of both machines computes or remembers wrongly. This standby must not be promoted: replay the journals of both (weir \
         replay DIR --json) to learn which is right, then begin with an empty directory",
        theirs.sequence.0, theirs.course, ours.course
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CHECKPOINT_EVERY;
    use crate::event::{Body, Effort, Erase, Event, Id, IdKey, IdKind, Origin, Session, Timestamp};
    use crate::identity::Identity;
    use crate::journal::{Disk, encode_record};
    use crate::runtime::service::standing::Opening;
    use crate::topology::Layer;
    use std::path::Path;

    const SMALL: &str = "[limits]\nnodes_max = 1_000\nids_max = 1_000\n\
        [limits.money]\nrows_max = 1_000\nwarm_nodes_max = 100\npairs_max = 1_000\nlate_rows_max = 100\nevents_per_day = 1\n\
        [limits.access]\nrows_max = 1_000\nwarm_nodes_max = 100\nlate_rows_max = 100\nevents_per_day = 1\n\
        [limits.interest]\nrows_max = 1_000\nwarm_nodes_max = 100\nlate_rows_max = 100\nevents_per_day = 1\n";

    const NOON: i64 = 1_700_000_000_000_000;

    fn follower(dir: &Path) -> Follower {
        let topology = Topology::parse(&[Layer { name: "small", text: SMALL, folder: Path::new("") }]).unwrap();
        let metrics = Metrics::new("test");
        let files = Arc::new(Disk);
        let key = Some(IdKey([3; 16]));
        let standing =
            Standing::open(&Opening { topology: &topology, root: dir, files, key, begins: None, metrics: &metrics, progress: false })
                .unwrap();
        Follower {
            link: Arc::new(Link::new(standing.journal.next().0, 1)),
            peer: Peer::new("http://127.0.0.1:1", None, None).unwrap(),
            topology: Arc::new(topology),
            foundations: [[0; 32]; 2],
            metrics,
            leadership: Leadership::of(dir),
            standing,
            group: Vec::new(),
            awaited: VecDeque::new(),
            outputs_synced: Instant::now(),
            snapping: None,
        }
    }

    fn taken(follower: &mut Follower, content: Content) -> Result<(), Ending> {
        let sequence = Sequence(follower.standing.journal.next().0 + follower.group.len() as u64);
        let received = Timestamp(NOON + sequence.0 as i64);
        let record = Record { sequence, received, origin: Origin::engine(), effort: Effort::Full, content };
        let mut body = Vec::new();
        encode_record(&record, &mut body);
        follower.take(sequence, &body)
    }

    /// Caught when planted: a comparison that asked whether the checkpoint was there and not what it said.
    #[test]
    fn another_course_than_the_leaders_stops_the_standby() {
        let dir = tempfile::tempdir().unwrap();
        let mut follower = follower(dir.path());
        for n in 0..CHECKPOINT_EVERY + 50 {
            taken(&mut follower, Content::Tick(Timestamp(NOON + n as i64))).unwrap();
        }
        follower.apply().unwrap();
        let ours = follower.standing.engine.checkpoints().next_back().unwrap();
        assert_eq!(ours.sequence, Sequence(CHECKPOINT_EVERY));
        // The leader's word comes after the records, before them, or of a time that this process does not know.
        let ahead = Checkpoint { sequence: Sequence(2 * CHECKPOINT_EVERY), course: 1 };
        follower.awaited.extend([Checkpoint { sequence: Sequence(0), course: 1 }, ours, ahead]);
        follower.compare().unwrap();
        assert_eq!((follower.metrics.standby_checkpoints_total.get(), follower.awaited.len()), (1, 1));
        follower.awaited.push_front(Checkpoint { course: ours.course ^ 1, ..ours });
        let ending = follower.compare().unwrap_err();
        let told = format!(
            "before record 10000 the course of the engine of http://127.0.0.1:1 is {:016x}, here it is {:016x}",
            ours.course ^ 1,
            ours.course
        );
        assert!(matches!(&ending, Ending::Fatal(why) if why.starts_with(&told)), "{ending}");
        assert_eq!(follower.metrics.standby_mismatches_total.get(), 1);
    }

    #[test]
    fn records_come_one_after_the_other_and_stand_as_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut follower = follower(dir.path());
        for n in 0..5 {
            taken(&mut follower, Content::Tick(Timestamp(NOON + n))).unwrap();
        }
        follower.apply().unwrap();
        let body = follower.own(3).unwrap();
        assert_eq!(decode_record(Sequence(3), &body).unwrap().content, Content::Tick(Timestamp(NOON + 3)));
        assert!(matches!(follower.take(Sequence(7), &body), Err(Ending::Lost(why)) if why.contains("found record 7, expected 5")));
        assert!(matches!(follower.take(Sequence(5), &body[1..]), Err(Ending::Fatal(_))));
        let standing = follower.finish().unwrap();
        assert_eq!(standing.journal.next(), Sequence(5));
    }

    /// Texts that come behind an erasure are of who came back, also where all of it arrives at once. Caught when planted: an erasure done
    /// before the texts of the records ahead of it.
    #[test]
    fn an_erasure_takes_what_came_before_it_and_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut follower = follower(dir.path());
        let id = |kind, text: &str| -> Id { IdKey([3; 16]).id(kind, text.as_bytes()) };
        let user = id(IdKind::User, "u-1");
        let session = |name: &str, at: i64| {
            let session = Session { user, device: None, ip: None, action: None, session: None };
            Content::Event(Event { id: id(IdKind::Event, name), time: Timestamp(NOON + at), body: Body::Session(session) })
        };
        let known = |follower: &Follower| Identity::open(&follower.standing.store).unwrap().text(user).unwrap().map(|(_, text)| text);
        let tell = |follower: &mut Follower| {
            let telling = Telling::Text { id: user, kind: IdKind::User, text: "u-1" };
            follower.standing.texts.tell(follower.next_sequence(), telling).unwrap();
        };
        let erasure = |at: i64| {
            let id = id(IdKind::Event, &format!("e-{at}"));
            Content::Event(Event { id, time: Timestamp(NOON + at), body: Body::Erase(Erase { user }) })
        };
        tell(&mut follower);
        taken(&mut follower, session("s-1", 1)).unwrap();
        taken(&mut follower, erasure(2)).unwrap();
        tell(&mut follower);
        taken(&mut follower, session("s-2", 3)).unwrap();
        follower.apply().unwrap();
        follower.sync().unwrap();
        assert_eq!(known(&follower), Some("u-1".to_owned()));
        tell(&mut follower);
        taken(&mut follower, session("s-3", 4)).unwrap();
        taken(&mut follower, erasure(5)).unwrap();
        follower.apply().unwrap();
        follower.sync().unwrap();
        assert_eq!(known(&follower), None);
    }
}
