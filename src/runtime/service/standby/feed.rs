//! The leader's side: the journal as frames, for one standby that follows.
//!
//! It reads the journal's files behind the recorder, as anybody may: no lock, no queue, nothing of the recorder's or the judge's waits for
//! it. What the standby does not take stays in the socket, and a chunk is made when the one before it is gone. A chunk ends with a beat,
//! which says that everything before it may be applied.

use super::frame::{Frame, Hello, put_record, put_text};
use crate::engine::Checkpoint;
use crate::event::{Body, Content, ControlKind, Id, IdKind, Record, Sequence};
use crate::identity::Recent;
use crate::journal::{Blobs, ENGINE_VERSION, LogKind, Records, Retention, Telling, Tellings, encode_record, record_json};
use crate::runtime::service::Shared;
use crate::store::StoreError;
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
    /// Ids whose texts were sent. A text that is sent again does no harm.
    sent: Recent,
    /// Texts that the identity store may not have yet.
    tellings: Tellings,
    /// Checkpoints before this sequence were sent.
    checked: u64,
    /// What is said first.
    hello: Option<Hello>,
}

impl Feed {
    /// The journal of the service from the record `from` on.
    pub(in crate::runtime::service) fn open(shared: Arc<Shared>, from: Sequence) -> Result<Feed, String> {
        let dir = shared.dir.join("journal");
        let first = Retention::of(shared.files.clone(), &dir, LogKind::Journal).first().map_err(|cause| cause.to_string())?;
        let records = Records::open(shared.files.clone(), &dir, from).map_err(|cause| cause.to_string())?;
        let next = from.0.max(first.0);
        let tellings =
            Tellings::open(shared.files.clone(), &shared.dir.join("texts"), Sequence(next)).map_err(|cause| cause.to_string())?;
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
        Ok(Feed { shared, records, next, sent: Recent::new(SENT_SETS), tellings, checked: next, hello: Some(hello) })
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

    /// What the record was the first to tell: it may not be in the identity store yet.
    fn put_tellings(&mut self, sequence: Sequence, out: &mut Vec<u8>) -> Result<(), String> {
        let sent = &mut self.sent;
        loop {
            match self.tellings.upcoming() {
                Ok(Some(next)) if next <= sequence => {}
                Ok(_) => return Ok(()),
                // Segments that were entered meanwhile are gone: what they told is found in the store.
                Err(_) => {
                    let dir = self.shared.dir.join("texts");
                    self.tellings = Tellings::open(self.shared.files.clone(), &dir, sequence).map_err(|cause| cause.to_string())?;
                }
            }
            let put = self.tellings.take(|telling| {
                // The name in a profile is linked to its bearer where the event is read.
                if let Telling::Text { id, kind, text } = telling {
                    sent.is_news(id);
                    put_text(out, id, kind, text);
                }
            });
            put.map_err(|cause| cause.to_string())?;
        }
    }

    /// A record behind the texts of its ids.
    fn put(&mut self, record: &Record, body: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        match &record.content {
            Content::Control(control) if control.kind != ControlKind::Topology && control.names_blob() => {
                let blobs = Blobs::read(self.shared.files.clone(), &self.shared.dir.join("blobs"));
                Frame::Blob(blobs.get(&control.blob).map_err(|cause| cause.to_string())?).put(out);
            }
            Content::Event(_) | Content::Listed(_) => {
                self.put_tellings(record.sequence, out)?;
                // Whatever an event names is shown in its JSON form, so that is asked which ids there are.
                let state = RefCell::new((&mut self.sent, &mut *out, None));
                let shared = &self.shared;
                let look = |id: Id| -> Option<(IdKind, String)> {
                    let (sent, out, failed) = &mut *state.borrow_mut();
                    if sent.is_news(id) {
                        // Nothing is found of somebody who was erased, nor of what nobody named.
                        match entered(shared, id, record.sequence) {
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
            self.sent.clear();
        }
        Ok(())
    }
}

/// Between two looks whether the namer has come as far as the records.
const NAMER_PATIENCE: Wall = Wall::from_millis(2);

/// The text of `id` in the identity store once that holds what was told of the records before `sequence`.
fn entered(shared: &Shared, id: Id, sequence: Sequence) -> Result<Option<(IdKind, String)>, StoreError> {
    loop {
        // Asked in this order: what is named when the text is looked for is found.
        let named = shared.named.load(Ordering::Acquire) >= sequence.0;
        let found = shared.identity.text(id)?;
        if found.is_some() || named || shared.is_ended() || shared.is_stopped() {
            return Ok(found);
        }
        std::thread::sleep(NAMER_PATIENCE);
    }
}
