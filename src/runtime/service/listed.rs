//! Who stands on which list, as the doors ask for it: a copy beside the engine's own, for the stand-in that answers where the engine does
//! not, and the door by which somebody is put on a list.

use super::{Service, Shared, Submission};
use crate::api::{Change, Submitted};
use crate::decision::ListsOptions;
use crate::engine::Lists;
use crate::event::{Duration, Event, Id, IdKind, ListChange, Timestamp, ends};
use crate::ingress::Texts;
use crate::runtime::naming::Told;
use dashmap::DashMap;
use serde_json::{Value, json};
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
    entries: DashMap<Id, Vec<(u16, Timestamp)>>,
    len: AtomicUsize,
}

impl Roll {
    /// The entries that an engine has.
    pub(super) fn of(options: &ListsOptions, lists: &Lists) -> Roll {
        let roll = Roll { options: options.clone(), entries: DashMap::new(), len: AtomicUsize::new(0) };
        lists.entries().for_each(|entry| roll.apply(&ListChange { list: entry.list, id: entry.id, until: Some(entry.until) }));
        roll
    }

    /// Takes a recorded change in.
    pub(super) fn apply(&self, change: &ListChange) {
        let mut of = self.entries.entry(change.id).or_default();
        let before = of.len();
        of.retain(|(list, _)| *list != change.list);
        of.extend(change.until.map(|until| (change.list, until)));
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
            entries.map_or(0, |of| of.iter().filter(|(_, until)| event.time < *until).fold(0, |bits, (list, _)| bits | 1 << list))
        };
        ends(&event.body).into_iter().flatten().fold(0, |bits, id| bits | of(id))
    }

    /// Lets go of what has ended.
    fn sweep(&self, now: Timestamp) {
        let mut gone = 0;
        self.entries.retain(|_, of| {
            let before = of.len();
            of.retain(|(_, until)| now < *until);
            gone += before - of.len();
            !of.is_empty()
        });
        self.len.fetch_sub(gone, Ordering::Relaxed);
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
    /// Records changes to the list `name`: one object, or a list of them. Either all are sensible or none is recorded.
    pub(super) async fn change_list(&self, name: &str, said: &[u8]) -> Change {
        let lists = &self.shared.listed.options.lists;
        let Some(list) = lists.iter().position(|list| list.name == name) else {
            let known: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
            return Change::Unknown { detail: format!("there is no list {name:?}; the topology has {}", known.join(", ")) };
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
