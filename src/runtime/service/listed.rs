//! Who stands on which list, as the doors ask for it: a copy beside the engine's own, for the stand-in that answers where the engine does
//! not, and the doors by which somebody is put on a list and by which it is seen who stands there.

use super::{Service, Shared, Submission};
use crate::api::{Change, Submitted};
use crate::decision::ListsOptions;
use crate::engine::{ListEntry, Lists};
use crate::event::{Duration, Event, Id, IdKind, ListChange, Timestamp, ends};
use crate::ingress::Texts;
use crate::runtime::naming::Told;
use dashmap::DashMap;
use serde_json::{Value, json};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// The most changes of one request.
const CHANGES_MAX: usize = 1_000;

/// A moment as late as any: who is put on a list without an end stays until then.
const FOR_GOOD: Timestamp = Timestamp(7_258_118_400_000_000 - 1);

/// What stands in the journal of who is listed. It may know of an entry earlier than the engine, and of one for which the engine had no
/// place: a stand-in declines one too many then.
pub(super) struct Roll {
    options: ListsOptions,
    entries: DashMap<Id, Vec<Entry>>,
    len: AtomicUsize,
}

/// Somebody on a list, as [`ListEntry`] says it.
#[derive(Clone, Copy)]
struct Entry {
    list: u16,
    until: Timestamp,
    since: Timestamp,
}

impl Roll {
    /// The entries that an engine has.
    pub(super) fn of(options: &ListsOptions, lists: &Lists) -> Roll {
        let roll = Roll { options: options.clone(), entries: DashMap::new(), len: AtomicUsize::new(0) };
        for ListEntry { id, list, until, since } in lists.entries() {
            roll.apply(&ListChange { list, id, until: Some(until) }, since);
        }
        roll
    }

    /// Takes a recorded change in; `received` is that of its record.
    pub(super) fn apply(&self, change: &ListChange, received: Timestamp) {
        let mut of = self.entries.entry(change.id).or_default();
        let before = of.len();
        let stood = of.iter().position(|entry| entry.list == change.list).map(|place| of.swap_remove(place));
        let since = stood.filter(|entry| received < entry.until).map_or(received, |entry| entry.since);
        of.extend(change.until.map(|until| Entry { list: change.list, until, since }));
        let after = of.len();
        drop(of);
        if after == 0 {
            self.entries.remove_if(&change.id, |_, of| of.is_empty());
        }
        if after > before {
            self.len.fetch_add(1, Ordering::Relaxed);
        } else if after < before {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The lists that the event's entities stand on at its time, a bit each.
    pub(super) fn listed(&self, event: &Event) -> u32 {
        if self.len.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let of = |id: Id| {
            let entries = self.entries.get(&id);
            entries.map_or(0, |of| of.iter().filter(|entry| event.time < entry.until).fold(0, |bits, entry| bits | 1 << entry.list))
        };
        ends(&event.body).into_iter().flatten().fold(0, |bits, id| bits | of(id))
    }

    /// Lets go of what has ended.
    fn sweep(&self, now: Timestamp) {
        let mut gone = 0;
        self.entries.retain(|_, of| {
            let before = of.len();
            of.retain(|entry| now < entry.until);
            gone += before - of.len();
            !of.is_empty()
        });
        self.len.fetch_sub(gone, Ordering::Relaxed);
    }

    /// The first `limit` of a list by id, behind the id `after`, who stand there at `now`; whether there are more; and how many there are in
    /// all.
    fn page(&self, list: u16, after: Option<Id>, limit: usize, now: Timestamp) -> (Vec<(Id, Entry)>, bool, usize) {
        // The greatest of those kept stands on top: it gives way to a smaller one.
        let (mut first, mut total) = (BinaryHeap::with_capacity(limit + 2), 0);
        for of in &self.entries {
            if of.iter().any(|entry| entry.list == list && now < entry.until) {
                total += 1;
                if after.is_none_or(|after| after < *of.key()) {
                    first.push(*of.key());
                    if first.len() > limit + 1 {
                        first.pop();
                    }
                }
            }
        }
        let mut ids = first.into_sorted_vec();
        let more = ids.len() > limit;
        ids.truncate(limit);
        // Who was taken off meanwhile is passed over.
        let entry = |id: Id| Some((id, *self.entries.get(&id)?.iter().find(|entry| entry.list == list)?));
        (ids.into_iter().filter_map(entry).collect(), more, total)
    }

    fn has_room(&self, for_more: usize, now: Timestamp) -> bool {
        let room = || self.len.load(Ordering::Relaxed) + for_more <= self.options.entries_max as usize;
        room() || {
            self.sweep(now);
            room()
        }
    }
}

impl Shared {
    /// One change as a request says it, with the text of its id.
    fn change(&self, list: u16, said: &Value, texts: &mut Told) -> Result<ListChange, String> {
        let Some(members) = said.as_object() else { return Err(format!("found {said}, expected an object with kind and id")) };
        if let Some(other) = members.keys().find(|key| !["kind", "id", "until", "remove"].contains(&key.as_str())) {
            return Err(format!("found the member {other}, expected kind, id, until, remove"));
        }
        let of = &self.listed.options.lists[usize::from(list)].of;
        let kinds = || of.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let kind = said["kind"].as_str().and_then(|name| of.iter().find(|kind| kind.name() == name).copied());
        let kind: IdKind =
            kind.ok_or_else(|| format!("kind is {}, expected one that may stand on this list: {}", said["kind"], kinds()))?;
        let id_bytes_max = self.options.id_bytes_max;
        let text = said["id"].as_str().filter(|text| !text.is_empty() && text.len() <= id_bytes_max);
        let text = text.ok_or_else(|| format!("id is {}, expected a text of 1 to {id_bytes_max} bytes", said["id"]))?;
        let remove = match &said["remove"] {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            other => return Err(format!("remove is {other}, expected true or false")),
        };
        let until = match &said["until"] {
            Value::Null => FOR_GOOD,
            Value::String(text) => {
                let moment: Result<jiff::Timestamp, _> = text.parse();
                let until = moment.map(|moment| Timestamp(moment.as_microsecond())).ok().filter(|until| until.is_valid());
                until
                    .filter(|until| *until > self.now())
                    .ok_or_else(|| format!("until is {text:?}, expected a moment ahead, in RFC 3339"))?
            }
            other => return Err(format!("until is {other}, expected a moment ahead, in RFC 3339")),
        };
        let id = self.key.id(kind, text.as_bytes());
        texts.keep(id, kind, text.as_bytes());
        Ok(ListChange { list, id, until: (!remove).then_some(until) })
    }
}

impl Service {
    fn list_called(&self, name: &str) -> Result<usize, String> {
        let lists = &self.shared.listed.options.lists;
        lists.iter().position(|list| list.name == name).ok_or_else(|| {
            let known: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
            format!("there is no list {name:?}; the topology has {}", known.join(", "))
        })
    }

    /// Who stands on the list `name` now, from behind the id `after` on.
    pub(super) fn who_is_listed(&self, name: &str, after: Option<Id>, limit: usize) -> Result<Value, String> {
        let list = self.list_called(name)?;
        let (page, more, total) = self.shared.listed.page(list as u16, after, limit, self.shared.now());
        let hash = |id: Id| format!("{:032x}", id.bits());
        let next = page.last().filter(|_| more).map(|(id, _)| hash(*id));
        let entry = |(id, entry): (Id, Entry)| {
            // A text is there when the namer has come to the record that brought it, and until it is erased.
            let (kind, text) = self.shared.identity.text(id).ok().flatten().unzip();
            json!({
                "hash": hash(id),
                "kind": kind.map(IdKind::name),
                "id": text,
                "since": entry.since.to_string(),
                "until": (entry.until < FOR_GOOD).then(|| entry.until.to_string()),
            })
        };
        let entries: Vec<Value> = page.into_iter().map(entry).collect();
        let effect = self.shared.listed.options.lists[list].effect.name();
        Ok(json!({ "list": name, "effect": effect, "total": total, "entries": entries, "next": next }))
    }

    /// Records changes to the list `name`: one object, or a list of them. Either all are sensible or none is recorded.
    pub(super) async fn change_list(&self, name: &str, said: &[u8]) -> Change {
        let list = match self.list_called(name) {
            Ok(list) => list,
            Err(detail) => return Change::Unknown { detail },
        };
        let said = match serde_json::from_slice::<Value>(said) {
            Ok(Value::Array(all)) => all,
            Ok(one) => vec![one],
            Err(error) => return Change::Refused { detail: format!("found no JSON: {error}") },
        };
        if said.is_empty() || said.len() > CHANGES_MAX {
            return Change::Refused { detail: format!("found {} changes, expected 1 to {CHANGES_MAX}", said.len()) };
        }
        let mut texts = Told::default();
        let changes: Result<Vec<ListChange>, String> = said.iter().map(|said| self.shared.change(list as u16, said, &mut texts)).collect();
        let changes = match changes {
            Ok(changes) => changes,
            Err(detail) => return Change::Refused { detail },
        };
        let more = changes.iter().filter(|change| change.until.is_some()).count();
        if !self.shared.listed.has_room(more, self.shared.now() - ENDED_BEFORE) {
            let most = self.shared.listed.options.entries_max;
            return Change::Refused { detail: format!("no place is left: limits.list_entries_max is {most}") };
        }
        let (line, told) = oneshot::channel();
        let submission = Submission::Listed { changes, texts, line };
        match self.record(submission, told).await {
            Submitted::Recorded { sequence } => {
                tracing::info!(list = name, changes = said.len(), sequence = sequence.0, "a list was changed");
                Change::Done(json!({ "recorded": said.len(), "sequence": sequence.0 }))
            }
            Submitted::Unrecorded { detail } | Submitted::Refused { detail, .. } => Change::Unrecorded { detail },
            Submitted::Closing => Change::Closing,
        }
    }
}

/// Events come late: a stand-in may be asked for one whose time lies so far behind the clock.
const ENDED_BEFORE: Duration = Duration::HOUR;
