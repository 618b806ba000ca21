//! What was published of records that a journal has lost: it is not published again, and compared with what comes now.

use super::scratch::{Piece, Scratch};
use crate::event::Id;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was published and is not published again.
pub(super) struct Published {
    inner: Mutex<Inner>,
    /// Of records before this one: the first that comes behind the restoration.
    end: AtomicU64,
    listed: PathBuf,
    /// From where on the source reads.
    positions: BTreeMap<(u16, u32), u64>,
}

/// What is known, under one lock.
struct Inner {
    scratch: Scratch,
    /// Decisions by event and revision, alerts by id and version.
    known: HashMap<Key, Piece>,
    /// By source and place, or by event.
    rejected: HashSet<String>,
    told: HashSet<Id>,
    /// Those that came again in the transaction that is open, and how.
    open: Vec<(Key, Option<Value>)>,
    counts: Counts,
}

/// What was published is known by this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Decision(Id, u8),
    Alert(String, u64),
}

/// How the restoration went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Decisions that came out as they were published, and otherwise.
    pub(super) same: u64,
    pub(super) different: u64,
    /// Of those that came out otherwise: with another outcome, not only another figure.
    pub(super) other_outcomes: u64,
    /// Decisions that were published and did not come again.
    pub(super) lost: u64,
}

/// What was published, as it was read.
pub(super) struct Read {
    pub(super) scratch: Scratch,
    pub(super) known: HashMap<Key, Piece>,
    pub(super) rejected: HashSet<String>,
    pub(super) told: HashSet<Id>,
    /// From where on partitions are read, by source and partition.
    pub(super) positions: BTreeMap<(u16, u32), u64>,
}

impl Published {
    /// What was read; what comes otherwise is listed in the file `listed`.
    pub(super) fn new(read: Read, listed: PathBuf) -> Published {
        let Read { scratch, known, rejected, told, positions } = read;
        let inner = Inner { scratch, known, rejected, told, open: Vec::new(), counts: Counts::default() };
        Published { inner: Mutex::new(inner), end: AtomicU64::new(u64::MAX), listed, positions }
    }

    /// Whether records from `sequence` on have nothing to do with it.
    pub(super) fn is_over(&self, sequence: u64) -> bool {
        sequence >= self.end.load(Ordering::Acquire)
    }

    /// The restoration ends before this record.
    pub(super) fn end_before(&self, sequence: u64) {
        self.end.store(sequence, Ordering::Release);
    }

    /// From where on partitions are read, by source and partition.
    pub(super) fn positions(&self) -> impl Iterator<Item = ((u16, u32), u64)> {
        self.positions.iter().map(|(place, next)| (*place, *next))
    }

    /// Whether this decision was published; compares both.
    pub(super) fn has_decision(&self, event: Id, revision: u8, now: &[u8]) -> io::Result<bool> {
        self.has(Key::Decision(event, revision), now)
    }

    /// Whether this version of an alert was published; compares both.
    pub(super) fn has_alert(&self, now: &[u8]) -> io::Result<bool> {
        let key = serde_json::from_slice(now).ok().and_then(|alert| alert_key(&alert));
        key.map_or(Ok(false), |key| self.has(key, now))
    }

    fn has(&self, key: Key, now: &[u8]) -> io::Result<bool> {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        let Some(piece) = inner.known.get(&key).copied() else { return Ok(false) };
        let published = inner.scratch.get(piece)?;
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let differs = without_sequence(&published) != without_sequence(now);
        let line = differs.then(|| json!({ "what": "different", "published": value(&published), "now": value(now) }));
        inner.open.push((key, line));
        Ok(true)
    }

    /// What was answered for an event: the stand-in's answer where there was one. `None` where nothing was published for it.
    pub(super) fn answer(&self, event: Id) -> Option<Vec<u8>> {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        let of = [1, 2].map(|revision| inner.known.get(&Key::Decision(event, revision)).copied());
        let mut answers = of.into_iter().flatten().filter_map(|piece| inner.scratch.get(piece).ok()).collect::<Vec<_>>();
        let stand_in = answers.iter().position(|answer| serde_json::from_slice(answer).is_ok_and(|answer| is_stand_in(&answer)));
        (!answers.is_empty()).then(|| answers.swap_remove(stand_in.unwrap_or(0)))
    }

    /// The transaction is committed: what came again in it will not come any more.
    pub(super) fn committed(&self) -> io::Result<()> {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        for (key, line) in std::mem::take(&mut inner.open) {
            inner.known.remove(&key);
            match line {
                None => inner.counts.same += 1,
                Some(line) => {
                    inner.counts.different += 1;
                    inner.counts.other_outcomes += u64::from(line["published"]["outcome"] != line["now"]["outcome"]);
                    self.list(&line)?;
                }
            }
        }
        Ok(())
    }

    /// The transaction is lost: it comes all again.
    pub(super) fn aborted(&self) {
        self.inner.lock().expect("nobody panics with it").open.clear();
    }

    pub(super) fn has_rejected(&self, json: &[u8]) -> bool {
        let key = serde_json::from_slice(json).ok().and_then(|rejected| rejected_key(&rejected));
        key.is_some_and(|key| self.inner.lock().expect("nobody panics with it").rejected.contains(&key))
    }

    /// Whether an event that came by a door stands in the topic of events.
    pub(super) fn has_told(&self, event: Id) -> bool {
        self.inner.lock().expect("nobody panics with it").told.contains(&event)
    }

    /// Lists what did not come again, and says how it went. `is_here` says of an event whether it was judged all the same: before a crash in
    /// between.
    pub(super) fn finish(&self, is_here: &dyn Fn(Id) -> bool) -> io::Result<Counts> {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        let left = inner.known.drain().filter(|(key, _)| !matches!(key, Key::Decision(event, _) if is_here(*event)));
        let left: Vec<Piece> = left.map(|(_, piece)| piece).collect();
        inner.counts.lost += left.len() as u64;
        let counts = inner.counts;
        let texts: io::Result<Vec<Vec<u8>>> = left.into_iter().map(|piece| inner.scratch.get(piece)).collect();
        drop(inner);
        for text in texts? {
            self.list(&json!({ "what": "lost", "published": serde_json::from_slice::<Value>(&text).unwrap_or_default() }))?;
        }
        Ok(counts)
    }

    fn list(&self, line: &Value) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.listed)?;
        writeln!(file, "{line}")
    }
}

fn without_sequence(json: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    value.as_object_mut()?.remove("sequence");
    Some(value)
}

pub(super) fn alert_key(alert: &Value) -> Option<Key> {
    Some(Key::Alert(alert["alert_id"].as_str()?.to_owned(), alert["version"].as_u64()?))
}

pub(super) fn rejected_key(rejected: &Value) -> Option<String> {
    match rejected["topic"].as_str() {
        Some(topic) => Some(format!("{topic} {} {}", rejected["partition"], rejected["offset"])),
        None => Some(rejected["event_id"].as_str()?.to_owned()),
    }
}

/// Whether a stand-in gave a decision.
pub(super) fn is_stand_in(decision: &Value) -> bool {
    let cold = |skip: &Value| skip["why"] == "cold shard";
    decision["status"] == "fallback" || decision["skipped"].as_array().is_some_and(|skipped| skipped.iter().any(cold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_is_compared_once_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new().unwrap();
        let decision =
            |outcome: &str, sequence: u64| json!({"event_id": "p", "outcome": outcome, "sequence": sequence}).to_string().into_bytes();
        let mut known = HashMap::new();
        for event in 1..=3 {
            known.insert(Key::Decision(Id::from_bits(event), 1), scratch.put(&decision("approve", 7)).unwrap());
        }
        known
            .insert(Key::Alert("a-1".to_owned(), 2), scratch.put(br#"{"alert_id":"a-1","version":2,"subject":"s","sequence":5}"#).unwrap());
        let rejected = HashSet::from(["t 0 5".to_owned()]);
        let read = Read { scratch, known, rejected, told: HashSet::new(), positions: BTreeMap::new() };
        let published = Published::new(read, dir.path().join("listed.jsonl"));
        let has = |event, outcome| published.has_decision(Id::from_bits(event), 1, &decision(outcome, 90)).unwrap();
        // A transaction that is lost: all comes again. Caught when planted: an entry gone as soon as it was looked up.
        assert_eq!([has(1, "approve"), has(2, "decline"), has(9, "approve")], [true, true, false]);
        published.aborted();
        assert_eq!([has(1, "approve"), has(2, "decline")], [true, true]);
        assert!(published.has_alert(br#"{"alert_id":"a-1","version":2,"subject":"other","sequence":9}"#).unwrap());
        assert!(!published.has_alert(br#"{"alert_id":"a-1","version":3,"subject":"s"}"#).unwrap());
        published.committed().unwrap();
        assert_eq!([has(1, "approve"), has(3, "approve")], [false, true]);
        assert_eq!(published.answer(Id::from_bits(3)), Some(decision("approve", 7)));
        published.aborted();
        assert!(published.has_rejected(br#"{"topic":"t","partition":0,"offset":5}"#));
        assert_eq!(published.finish(&|_| false).unwrap(), Counts { same: 1, different: 2, other_outcomes: 1, lost: 1 });
        let listed = std::fs::read_to_string(dir.path().join("listed.jsonl")).unwrap();
        let what: Vec<Value> = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].clone()).collect();
        assert_eq!(what, ["different", "different", "lost"]);
    }
}
