//! The leader's side: the journal as frames, for one standby that follows.
//!
//! It reads the journal's files behind the recorder, as anybody may: no lock, no queue, nothing of the recorder's or the judge's waits for
//! it. What the standby does not take stays in the socket, and a chunk is made when the one before it is gone. A chunk ends with a beat,
//! which says that everything before it may be applied.

use super::frame::{Frame, Hello, put_record, put_text};
use crate::engine::Checkpoint;
use crate::event::{Body, Content, Control, ControlKind, Id, IdKind, Record, Sequence};
use crate::journal::{Blobs, ENGINE_VERSION, LogKind, Records, Retention, encode_record, record_json};
use crate::runtime::service::Shared;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration as Wall;

/// A chunk that has grown so large is sent.
const CHUNK_BYTES: usize = 256 << 10;
/// Where nothing happens, a beat says so this often.
const BEAT_EVERY: Wall = Wall::from_secs(1);
/// Sets of four ids whose texts were sent lately: 1 MiB a standby.
const SENT_SETS: usize = 1 << 14;

/// The journal from some record on, for one connection.
pub(in crate::runtime::service) struct Feed {
    shared: Arc<Shared>,
    records: Records,
    /// The next record to be sent.
    next: u64,
    sent: Sent,
    /// Checkpoints before this sequence were sent.
    checked: u64,
    /// What is said first.
    hello: Option<Hello>,
}

/// Ids whose texts were sent on this connection: the latest of each set. A text that is sent again does no harm.
struct Sent(Box<[[u128; 4]]>);

impl Sent {
    fn new() -> Sent {
        Sent(vec![[0; 4]; SENT_SETS].into())
    }

    /// Whether the text of `id` is still to be sent; from now on it is not.
    fn is_news(&mut self, id: Id) -> bool {
        let set = &mut self.0[id.high() as usize % SENT_SETS];
        let found = set.iter().position(|sent| *sent == id.bits());
        set[..=found.unwrap_or(3)].rotate_right(1);
        set[0] = id.bits();
        found.is_none()
    }

    fn forget(&mut self) {
        self.0.fill([0; 4]);
    }
}

impl Feed {
    /// The journal of the service from the record `from` on.
    pub(in crate::runtime::service) fn open(shared: Arc<Shared>, from: Sequence) -> Result<Feed, String> {
        let dir = shared.dir.join("journal");
        let first = Retention::of(shared.files.clone(), &dir, LogKind::Journal).first().map_err(|cause| cause.to_string())?;
        let records = Records::open(shared.files.clone(), &dir, from).map_err(|cause| cause.to_string())?;
        let [topology, policy] = shared.foundations;
        let hello = Hello {
            engine_version: ENGINE_VERSION,
            key: shared.key,
            first: first.0,
            next: shared.recorded.load(Ordering::Acquire),
            epoch: shared.epoch,
            topology,
            policy,
        };
        let next = from.0.max(first.0);
        Ok(Feed { shared, records, next, sent: Sent::new(), checked: next, hello: Some(hello) })
    }

    /// The next chunk, when there is something to say or a second is over; `None` when the service ends, when it takes nothing more and
    /// everything was sent, or when the journal cannot be read.
    pub(in crate::runtime::service) async fn chunk(mut self) -> Option<(Vec<u8>, Feed)> {
        let shared = self.shared.clone();
        let mut more = std::pin::pin!(shared.more.notified());
        // From here on no news is missed, though nobody waits yet.
        more.as_mut().enable();
        if self.hello.is_none() && !self.has_news() && !shared.is_closing() {
            let _ = tokio::time::timeout(BEAT_EVERY, more).await;
        }
        // Asked in this order: once it is closed no news comes.
        if shared.is_ended() || (shared.is_closing() && self.hello.is_none() && !self.has_news()) {
            return None;
        }
        // Reading files and the database may wait for a disk: not on a thread that serves connections.
        let filled = tokio::task::spawn_blocking(move || {
            let filled = self.fill();
            (filled, self)
        });
        match filled.await {
            Ok((Ok(chunk), feed)) => Some((chunk, feed)),
            Ok((Err(cause), feed)) => {
                tracing::error!(%cause, next = feed.next, "the journal cannot be sent to a standby");
                None
            }
            Err(_) => None,
        }
    }

    fn has_news(&self) -> bool {
        self.next < self.shared.recorded.load(Ordering::Acquire) || self.checkpoints().next_back().is_some()
    }

    /// Checkpoints that were not sent.
    fn checkpoints(&self) -> std::vec::IntoIter<Checkpoint> {
        let known = self.shared.checkpoints.lock().expect("nobody panics with it");
        known.iter().filter(|checkpoint| checkpoint.sequence.0 > self.checked).copied().collect::<Vec<_>>().into_iter()
    }

    fn fill(&mut self) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(CHUNK_BYTES / 4);
        if let Some(hello) = self.hello.take() {
            Frame::Hello(Box::new(hello)).put(&mut out);
        }
        let mut body = Vec::with_capacity(1024);
        while out.len() < CHUNK_BYTES && self.next < self.shared.recorded.load(Ordering::Acquire) {
            let record = self.records.next_record().map_err(|cause| cause.to_string())?;
            let record = record.filter(|record| record.sequence.0 == self.next);
            let record = record.ok_or_else(|| format!("record {} is no longer there", self.next))?;
            self.put(&record, &mut body, &mut out)?;
            self.next += 1;
        }
        for checkpoint in self.checkpoints() {
            Frame::Checkpoint(checkpoint).put(&mut out);
            self.checked = checkpoint.sequence.0;
        }
        Frame::Beat { next: self.shared.recorded.load(Ordering::Acquire) }.put(&mut out);
        Ok(out)
    }

    /// A record behind the texts of its ids.
    fn put(&mut self, record: &Record, body: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        match &record.content {
            Content::Control(Control { kind: ControlKind::Leader | ControlKind::Policy, blob }) => {
                let blobs = Blobs::read(self.shared.files.clone(), &self.shared.dir.join("blobs"));
                Frame::Blob(blobs.get(blob).map_err(|cause| cause.to_string())?).put(out);
            }
            Content::Event(_) | Content::Listed(_) => {
                // Whatever an event names is shown in its JSON form, so that is asked which ids there are.
                let state = RefCell::new((&mut self.sent, &mut *out, None));
                let identity = &self.shared.identity;
                let look = |id: Id| -> Option<(IdKind, String)> {
                    let (sent, out, failed) = &mut *state.borrow_mut();
                    if sent.is_news(id) {
                        // Nothing is found of somebody who was erased, nor of what nobody named.
                        match identity.text(id) {
                            Ok(Some((kind, text))) => put_text(out, id, kind, &text),
                            Ok(None) => {}
                            Err(cause) => *failed = Some(cause.to_string()),
                        }
                    }
                    None
                };
                record_json(record, &look);
                if let (.., Some(cause)) = state.into_inner() {
                    return Err(cause);
                }
            }
            _ => {}
        }
        body.clear();
        encode_record(record, body);
        put_record(out, record.sequence, body);
        if let Content::Event(event) = &record.content
            && let Body::Erase(_) = &event.body
        {
            // Who comes back is to be named again, and which names fall with a person only the database knows.
            self.sent.forget();
        }
        Ok(())
    }
}
