//! Texts of ids on their way into the identity store, and what erasures take out of it again.
//!
//! The last stop of a chunk: texts are written when it is known which erasures the engine admitted (a duplicate of one or a refused one
//! erases nothing), in the order of the records. What ARCHITECTURE says of erasure is done here.

use super::source::Chunk;
use crate::engine::Output;
use crate::event::{Body, Content, Event, Id, IdKind, Record, Sequence, Timestamp};
use crate::identity::{Identity, Recent};
use crate::ingress::Texts;
use crate::journal::{DataDir, JournalError, Telling, TextLog};
use crate::store::StoreError;
use crossbeam::channel::{Receiver, Sender};
use std::borrow::Cow;

/// Texts that were met while a chunk was read.
#[derive(Default)]
pub(super) struct Told {
    /// Each with the end of its text in `bytes`.
    entries: Vec<(Id, IdKind, usize)>,
    bytes: Vec<u8>,
}

impl Texts for Told {
    fn keep(&mut self, id: Id, kind: IdKind, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.entries.push((id, kind, self.bytes.len()));
    }

    fn told(&self) -> usize {
        self.entries.len()
    }

    fn take_back(&mut self, told: usize) {
        self.entries.truncate(told);
        self.bytes.truncate(self.entries.last().map_or(0, |(.., end)| *end));
    }
}

impl Told {
    /// The text told of `id`.
    pub(super) fn text(&self, id: Id) -> Option<String> {
        let place = self.entries.iter().position(|(other, ..)| *other == id)?;
        let start = place.checked_sub(1).map_or(0, |before| self.entries[before].2);
        Some(String::from_utf8_lossy(&self.bytes[start..self.entries[place].2]).into_owned())
    }

    /// Takes everything out, in the order in which it was told.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Id, IdKind, Cow<'_, str>)) {
        let mut start = 0;
        for (id, kind, end) in self.entries.drain(..) {
            each(id, kind, String::from_utf8_lossy(&self.bytes[start..end]));
            start = end;
        }
        self.bytes.clear();
    }

    pub(super) fn put(&mut self, identity: &mut Identity) {
        self.drain(|id, kind, text| identity.put(id, kind, &text));
    }

    /// Tells `log` what the record `sequence` names, but for what was told lately.
    pub(super) fn tell(&self, sequence: Sequence, recent: &mut Recent, log: &mut TextLog) -> Result<(), JournalError> {
        let mut start = 0;
        for &(id, kind, end) in &self.entries {
            // An event's id is new nearly always: it would only push others out.
            if kind == IdKind::Event || recent.is_news(id) {
                let text = &String::from_utf8_lossy(&self.bytes[start..end]);
                log.tell(sequence, Telling::Text { id, kind, text })?;
            }
            start = end;
        }
        Ok(())
    }
}

/// The identity store of a replay that keeps.
pub(super) struct Naming {
    identity: Identity,
    /// Whether a text was taken out.
    erased: bool,
    // The lock of the directory: this is the last thread that writes into it.
    _dir: DataDir,
}

impl Naming {
    /// Into `identity` in the directory `dir`, which stays locked as long as this lives.
    pub(super) fn new(identity: Identity, dir: DataDir) -> Naming {
        Naming { identity, erased: false, _dir: dir }
    }

    /// Takes what chunks say of names until no more come, and gives them back to be filled again.
    pub(super) fn run(mut self, chunks: &Receiver<Chunk>, give_back: &Sender<Chunk>) -> Result<(), StoreError> {
        for mut chunk in chunks {
            self.take(&mut chunk)?;
            // When the reader is done nobody takes it back.
            let _ = give_back.try_send(chunk);
        }
        // Here is the end, so erased texts leave the tables now and not with some later merge.
        if self.erased { self.identity.purge() } else { Ok(()) }
    }

    fn take(&mut self, chunk: &mut Chunk) -> Result<(), StoreError> {
        let Naming { identity, erased, .. } = self;
        chunk.texts.put(identity);
        let mut again = Vec::new();
        for (place, record) in chunk.records.iter().enumerate() {
            let Content::Event(event) = &record.content else { continue };
            if let Some((name, bearer)) = named(&event.body) {
                identity.belongs(name, bearer);
            }
            if let Body::Erase(erase) = &event.body
                && chunk.erased.binary_search(&record.sequence).is_ok()
            {
                let later = chunk.records[place + 1..].iter().filter_map(event_of).chain(&chunk.ahead);
                identity.erase_person(erase.user, event.time, &still_named(later, erase.user, event.time))?;
                *erased = true;
                continue;
            }
            if let Some(person) = speaks_of(&event.body)
                && let Some(at) = identity.erased_at(person)
            {
                match acts(&event.body) && event.time > at && !refused(&chunk.outputs, record.sequence) {
                    true => identity.came_back(person)?,
                    false => again.push(person),
                }
            }
        }
        // What the events of erased people have brought again falls again.
        again.sort_unstable();
        again.dedup();
        for person in again {
            if let Some(at) = identity.erased_at(person) {
                identity.erase_person(person, at, &still_named(chunk.ahead.iter(), person, at))?;
            }
        }
        identity.flush()
    }
}

pub(super) fn is_erase(record: &Record) -> bool {
    matches!(&record.content, Content::Event(Event { body: Body::Erase(_), .. }))
}

fn event_of(record: &Record) -> Option<&Event> {
    if let Content::Event(event) = &record.content { Some(event) } else { None }
}

/// A name or title, and whom or what it names.
pub(super) fn named(body: &Body) -> Option<(Id, Id)> {
    match body {
        Body::Profile(profile) => Some((profile.name?, profile.user)),
        Body::Item(item) => Some((item.title?, item.item)),
        _ => None,
    }
}

/// The user in an event.
pub(super) fn speaks_of(body: &Body) -> Option<Id> {
    match body {
        Body::Payment(payment) => Some(payment.user),
        Body::Transfer(transfer) => transfer.user,
        Body::Session(session) => Some(session.user),
        Body::Interaction(interaction) => Some(interaction.user),
        Body::Profile(profile) => Some(profile.user),
        Body::Erase(erase) => Some(erase.user),
        Body::PaymentResult(result) => result.user,
        Body::Label(label) => label.user,
        Body::Item(_) => None,
    }
}

/// Whether the event says that its user is a customer when it happens. A label or a result speaks of an earlier event.
pub(super) fn acts(body: &Body) -> bool {
    match body {
        Body::Payment(_) | Body::Transfer(_) | Body::Session(_) | Body::Interaction(_) | Body::Profile(_) => true,
        Body::PaymentResult(_) | Body::Item(_) | Body::Label(_) | Body::Erase(_) => false,
    }
}

/// Whether the engine refused this record; outputs stand in the order of their records.
fn refused(outputs: &[Output], sequence: Sequence) -> bool {
    let found = outputs.binary_search_by_key(&sequence, Output::sequence);
    found.is_ok_and(|place| matches!(outputs[place], Output::Rejected(_)))
}

/// What must stay when `person` is erased at `at`, since events that come `later` were read and their texts put already: the person's own
/// texts where they come back, and the names of others.
fn still_named<'a>(later: impl Iterator<Item = &'a Event>, person: Id, at: Timestamp) -> Vec<Id> {
    let mut still = Vec::new();
    for event in later {
        let own = speaks_of(&event.body) == Some(person);
        if own && !(acts(&event.body) && event.time > at) {
            continue;
        }
        if own {
            still.push(person);
        }
        still.extend(named(&event.body).map(|(name, _)| name));
    }
    still
}
