//! The identity store: hash → kind and text. The only place that knows whom a hash means.
//!
//! It is written behind the engine's steps: what a service must keep before a record is acknowledged stands in the log of texts
//! ([`crate::journal::TextLog`]) until it is on disk here. [`Identity::through`] says up to which record that is so.

mod recent;

pub use recent::Recent;

use crate::event::{Id, IdKind, Sequence, Timestamp};
use crate::store::{Store, StoreError, key};
use std::collections::HashMap;

/// The open identity store.
pub struct Identity {
    store: Store,
    texts: fjall::Keyspace,
    /// Person ‖ id and id ‖ person, behind a byte that says which: whose text falls when a person is erased. And who was erased, with the
    /// time of it.
    persons: fjall::Keyspace,
    /// People erased who have not come back: 24 bytes of memory each.
    erased: HashMap<Id, Timestamp>,
    batch: Vec<Entry>,
    /// Whose name is whose, for the next flush: name, person.
    links: Vec<(Id, Id)>,
    /// The texts of the batch, back to back.
    text_bytes: Vec<u8>,
    recent: Recent,
    /// What is told of records before this one was put, and is in the store with the next flush; `None` where nobody has said.
    through: Option<Sequence>,
}

struct Entry {
    id: Id,
    kind: IdKind,
    start: u32,
    end: u32,
}

/// Sets of ids put lately: 4 MiB.
const RECENT: usize = 1 << 16;
/// No id's key: those have 16 bytes.
const PURGED: &[u8] = b"purged";
const PERSON_TO_ID: u8 = 0;
const ID_TO_PERSON: u8 = 1;
const ERASED: u8 = 2;
/// Alone a key: before which record everything told is in the store.
const THROUGH: u8 = 4;

impl std::fmt::Debug for Identity {
    // Texts are personal: none may reach a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("store", &self.store).field("waiting", &self.batch.len()).finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity store in `store`.
    ///
    /// # Errors
    /// Where the database refuses or a mark of an erasure is damaged.
    pub fn open(store: &Store) -> Result<Identity, StoreError> {
        let persons = store.keyspace("persons")?;
        let mut erased = HashMap::new();
        for entry in persons.prefix([ERASED]) {
            let (mark, time) = entry.into_inner().map_err(store.failed("reading who was erased"))?;
            let (Ok(person), Ok(time)) = (mark[1..].try_into(), time[..].try_into()) else {
                return Err(store.damaged(Id::from_bits(0), "a mark of an erasure that is none"));
            };
            erased.insert(Id::from_bits(u128::from_be_bytes(person)), Timestamp(i64::from_le_bytes(time)));
        }
        let through = persons.get([THROUGH]).map_err(store.failed("reading how far texts are entered"))?;
        let through = through.and_then(|value| Some(Sequence(u64::from_le_bytes(*value.first_chunk()?))));
        Ok(Identity {
            store: store.clone(),
            texts: store.keyspace("texts")?,
            persons,
            erased,
            batch: Vec::new(),
            links: Vec::new(),
            text_bytes: Vec::new(),
            recent: Recent::new(RECENT),
            through,
        })
    }

    /// Takes `text` into the batch that the next [`Identity::flush`] writes.
    pub fn put(&mut self, id: Id, kind: IdKind, text: &str) {
        // An event's id is new nearly always: it would only push others out.
        if kind != IdKind::Event && !self.recent.is_news(id) {
            return;
        }
        let start = self.text_bytes.len() as u32;
        self.text_bytes.extend_from_slice(text.as_bytes());
        self.batch.push(Entry { id, kind, start, end: self.text_bytes.len() as u32 });
    }

    /// Texts that wait for the next flush.
    pub fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Before which record everything told is in the store or, after the next flush, will be; `None` in a store that nobody has told.
    pub fn through(&self) -> Option<Sequence> {
        self.through
    }

    /// Everything told of records before `sequence` was put. Kept with the next flush that writes something.
    pub fn reached(&mut self, sequence: Sequence) {
        self.through = Some(sequence);
    }

    /// Who was erased and has not come back, with the event time of the erasure.
    pub fn erased(&self) -> &HashMap<Id, Timestamp> {
        &self.erased
    }

    /// Writes the batch at once: all of it or, after a crash, nothing. It survives a crash of the process; a power cut after
    /// [`Store::sync`].
    ///
    /// # Errors
    /// Where the database refuses: it then takes no further writes.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() && self.links.is_empty() {
            return Ok(());
        }
        // In the order of keys, so that neighbours in the tree are entered one after the other.
        self.batch.sort_unstable_by_key(|entry| entry.id);
        let mut batch = self.store.batch();
        let mut value = Vec::with_capacity(64);
        for entry in &self.batch {
            value.clear();
            value.push(entry.kind as u8);
            value.extend_from_slice(&self.text_bytes[entry.start as usize..entry.end as usize]);
            batch.insert(&self.texts, key(entry.id), value.as_slice());
        }
        for (id, person) in &self.links {
            batch.insert(&self.persons, link(PERSON_TO_ID, *person, *id), []);
            batch.insert(&self.persons, link(ID_TO_PERSON, *id, *person), []);
        }
        if let Some(through) = self.through {
            batch.insert(&self.persons, [THROUGH], through.0.to_le_bytes());
        }
        batch.commit().map_err(self.store.failed("writing texts"))?;
        self.links.clear();
        self.batch.clear();
        self.text_bytes.clear();
        Ok(())
    }

    /// What `id` names, flushed or not; `None` where nobody said or it was erased.
    ///
    /// # Errors
    /// Where the database refuses or a value is damaged.
    pub fn text(&self, id: Id) -> Result<Option<(IdKind, String)>, StoreError> {
        if let Some(entry) = self.batch.iter().rev().find(|entry| entry.id == id) {
            let text = &self.text_bytes[entry.start as usize..entry.end as usize];
            return Ok(Some((entry.kind, String::from_utf8_lossy(text).into_owned())));
        }
        let Some(value) = self.texts.get(key(id)).map_err(self.store.failed("reading a text"))? else { return Ok(None) };
        let (kind, text) = value.split_first().ok_or_else(|| self.store.damaged(id, "it is empty"))?;
        let kind = IdKind::from_number(*kind).ok_or_else(|| self.store.damaged(id, format!("no kind of id has number {kind}")))?;
        let text = std::str::from_utf8(text).map_err(|_| self.store.damaged(id, "its text is not UTF-8"))?;
        Ok(Some((kind, text.to_owned())))
    }

    /// Says that the text of `id` (a name, a title) speaks of `person` (or of a thing), so that it falls with them and with nobody else.
    /// Written by the next flush.
    pub fn belongs(&mut self, id: Id, person: Id) {
        self.links.push((id, person));
    }

    /// Forgets the text of `id`. Written at once, as a flush is.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn erase(&mut self, id: Id) -> Result<(), StoreError> {
        self.erase_all(&[id])
    }

    /// Forgets a person: the text of their id and every text that speaks of them and of nobody else, but for those in `keep`. Remembers
    /// that it was `at` this time, until [`Identity::came_back`]. Returns how many texts may have fallen. Written at once, as a flush is;
    /// what was cut off by a crash is done by erasing again.
    ///
    /// # Errors
    /// Where the database refuses or a link is damaged.
    pub fn erase_person(&mut self, person: Id, at: Timestamp, keep: &[Id]) -> Result<usize, StoreError> {
        self.flush()?;
        let mut erased = vec![person];
        let mut links = Vec::new();
        for id in self.linked(PERSON_TO_ID, person)? {
            links.push(link(PERSON_TO_ID, person, id));
            links.push(link(ID_TO_PERSON, id, person));
            // Two people may bear one name: it stays for the other.
            if self.linked(ID_TO_PERSON, id)? == [person] {
                erased.push(id);
            }
        }
        erased.retain(|id| !keep.contains(id));
        self.erase_all(&erased)?;
        // The links go last: cut off before, the erasure is repeated with all it needs to know.
        let mut batch = self.store.batch();
        links.into_iter().for_each(|link| batch.remove(&self.persons, link));
        batch.insert(&self.persons, mark(person), at.0.to_le_bytes());
        batch.commit().map_err(self.store.failed("forgetting a person's names"))?;
        self.erased.insert(person, at);
        Ok(erased.len())
    }

    /// When `person` was erased; `None` where they never were, or have come back.
    pub fn erased_at(&self, person: Id) -> Option<Timestamp> {
        self.erased.get(&person).copied()
    }

    /// An erased person is a customer again: from now on their texts are kept as anybody's.
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn came_back(&mut self, person: Id) -> Result<(), StoreError> {
        if self.erased.remove(&person).is_some() {
            let mut batch = self.store.batch();
            batch.remove(&self.persons, mark(person));
            batch.commit().map_err(self.store.failed("taking back an erased person"))?;
        }
        Ok(())
    }

    /// Takes erased texts out of the tables too: until then they stand there, unreachable, where a merge has not come by. Rewrites the
    /// store, so it is for once an hour, not for once an erasure. The database's own log still holds what was written lately; it goes with
    /// the next hundreds of megabytes of writes (`LOG_BYTES_MAX` in `store.rs`).
    ///
    /// # Errors
    /// Where the database refuses.
    pub fn purge(&self) -> Result<(), StoreError> {
        // The database keeps merged tables until a later write shows that nobody reads as of then: hence a mark, written each time, and a
        // second round that frees what the first one merged.
        for _ in 0..2 {
            self.texts.insert(PURGED, []).map_err(self.store.failed("marking a purge"))?;
            self.texts.rotate_memtable_and_wait().map_err(self.store.failed("writing texts to their tables"))?;
            self.texts.major_compact().map_err(self.store.failed("merging the tables of texts"))?;
        }
        Ok(())
    }

    fn erase_all(&mut self, ids: &[Id]) -> Result<(), StoreError> {
        self.flush()?;
        let mut batch = self.store.batch();
        for id in ids {
            // Who comes back after being erased is written again.
            self.recent.forget(*id);
            batch.remove(&self.texts, key(*id));
        }
        batch.commit().map_err(self.store.failed("erasing texts"))
    }

    /// The second halves of the links that begin with `first`.
    fn linked(&self, direction: u8, first: Id) -> Result<Vec<Id>, StoreError> {
        let mut prefix = vec![direction];
        prefix.extend_from_slice(&key(first));
        let mut found = Vec::new();
        for entry in self.persons.prefix(prefix) {
            let entry = entry.key().map_err(self.store.failed("reading a person's names"))?;
            let second = entry.last_chunk::<16>().filter(|_| entry.len() == 33);
            let second = second.ok_or_else(|| self.store.damaged(first, "a link that is none"))?;
            found.push(Id::from_bits(u128::from_be_bytes(*second)));
        }
        Ok(found)
    }
}

fn mark(person: Id) -> [u8; 17] {
    let mut mark = [ERASED; 17];
    mark[1..].copy_from_slice(&key(person));
    mark
}

fn link(direction: u8, first: Id, second: Id) -> [u8; 33] {
    let mut link = [direction; 33];
    link[1..17].copy_from_slice(&key(first));
    link[17..].copy_from_slice(&key(second));
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IdKey;
    use std::path::Path;

    fn id(kind: IdKind, text: &str) -> Id {
        IdKey::FILES.id(kind, text.as_bytes())
    }

    fn open(dir: &Path) -> Identity {
        Identity::open(&Store::open(dir).unwrap()).unwrap()
    }

    /// What the system would have after the process was killed now.
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(std::fs::copy(entry.path(), target).unwrap()),
            }
        }
    }

    #[test]
    fn flushed_texts_survive_a_killed_process() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(&dir.path().join("live"));
        let users: Vec<String> = (0..500).map(|n| format!("user-{n}")).collect();
        for user in &users {
            identity.put(id(IdKind::User, user), IdKind::User, user);
        }
        identity.reached(Sequence(500));
        identity.flush().unwrap();
        identity.put(id(IdKind::User, "late"), IdKind::User, "late");
        identity.reached(Sequence(501));
        assert_eq!(identity.text(id(IdKind::User, "late")).unwrap(), Some((IdKind::User, "late".to_owned())));
        copy(&dir.path().join("live"), &dir.path().join("killed"));
        let survivor = open(&dir.path().join("killed"));
        for user in &users {
            // Caught when planted: a batch without durability (it stayed in the database's own buffer).
            assert_eq!(survivor.text(id(IdKind::User, user)).unwrap(), Some((IdKind::User, user.clone())));
        }
        assert_eq!(survivor.text(id(IdKind::User, "late")).unwrap(), None);
        assert_eq!(survivor.through(), Some(Sequence(500)));
    }

    #[test]
    fn an_id_put_again_is_not_written_again_until_it_was_erased() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path());
        let shop = id(IdKind::Merchant, "shop");
        identity.put(shop, IdKind::Merchant, "shop");
        identity.put(shop, IdKind::Merchant, "shop");
        assert_eq!(identity.waiting(), 1);
        identity.flush().unwrap();
        identity.put(shop, IdKind::Merchant, "shop");
        assert_eq!(identity.waiting(), 0);
        identity.erase(shop).unwrap();
        assert_eq!(identity.text(shop).unwrap(), None);
        // Caught when planted: the set of recent ids not told of the erasure.
        identity.put(shop, IdKind::Merchant, "shop");
        identity.flush().unwrap();
        assert_eq!(identity.text(shop).unwrap(), Some((IdKind::Merchant, "shop".to_owned())));
    }

    #[test]
    fn a_text_that_waits_is_erased_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path());
        let user = id(IdKind::User, "u");
        identity.put(user, IdKind::User, "u");
        identity.erase(user).unwrap();
        identity.flush().unwrap();
        assert_eq!(identity.text(user).unwrap(), None);
    }

    #[test]
    fn a_person_falls_with_the_names_that_only_they_bear() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path());
        let (anna, other) = (id(IdKind::User, "7"), id(IdKind::User, "8"));
        let (shared, own) = (id(IdKind::Name, "Anna Berg"), id(IdKind::Name, "Anna Svensson"));
        for (id, kind, text) in [
            (anna, IdKind::User, "7"),
            (other, IdKind::User, "8"),
            (shared, IdKind::Name, "Anna Berg"),
            (own, IdKind::Name, "Anna Svensson"),
        ] {
            identity.put(id, kind, text);
        }
        identity.belongs(shared, anna);
        identity.belongs(own, anna);
        identity.belongs(shared, other);
        assert_eq!(identity.erase_person(anna, Timestamp(5), &[]).unwrap(), 2);
        assert_eq!((identity.text(anna).unwrap(), identity.text(own).unwrap()), (None, None));
        // Caught when planted: a name taken from everybody who bears it.
        assert!(identity.text(shared).unwrap().is_some());
        // What a later event has brought already stays, though nobody is known yet who bears it.
        assert_eq!(identity.erase_person(other, Timestamp(6), &[shared]).unwrap(), 1);
        assert!(identity.text(shared).unwrap().is_some());
        identity.belongs(shared, other);
        assert_eq!(identity.erase_person(other, Timestamp(7), &[]).unwrap(), 2);
        assert_eq!(identity.text(shared).unwrap(), None);
    }

    #[test]
    fn who_was_erased_is_known_until_they_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let (anna, other) = (id(IdKind::User, "7"), id(IdKind::User, "8"));
        let mut identity = open(dir.path());
        identity.erase_person(anna, Timestamp(-5), &[]).unwrap();
        identity.erase_person(other, Timestamp(6), &[]).unwrap();
        identity.came_back(other).unwrap();
        drop(identity);
        // Caught when planted: a mark that only memory held; one that stayed when the person came back.
        let identity = open(dir.path());
        assert_eq!((identity.erased_at(anna), identity.erased_at(other)), (Some(Timestamp(-5)), None));
    }

    #[test]
    fn erased_texts_leave_the_files_when_purged() {
        fn holds(dir: &Path, text: &[u8]) -> bool {
            std::fs::read_dir(dir).unwrap().map(Result::unwrap).any(|entry| match entry.file_type().unwrap().is_dir() {
                true => holds(&entry.path(), text),
                false => std::fs::read(entry.path()).unwrap().windows(text.len()).any(|window| window == text),
            })
        }
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path());
        let name = id(IdKind::Name, "Ebba Purged");
        identity.put(name, IdKind::Name, "Ebba Purged");
        identity.put(id(IdKind::Name, "Someone Else"), IdKind::Name, "Someone Else");
        identity.flush().unwrap();
        identity.texts.rotate_memtable_and_wait().unwrap();
        identity.erase(name).unwrap();
        identity.purge().unwrap();
        let tables = dir.path().join("keyspaces");
        assert!(holds(&tables, b"Someone Else"));
        assert!(!holds(&tables, b"Ebba Purged"));
    }
}
