//! Labels and results that came from a topic before what they speak of, and events that came by a door before the shard was restored: in
//! memory, for they stand in the journal as `waiting` records.
//!
//! When the payment or transfer comes, they are recorded behind it as events; when it does not come in time, they are recorded as they are,
//! and the engine refuses them for their unknown target.

use super::error::ServiceError;
use crate::engine::{Engine, WAITING_MAX};
use crate::event::{Body, Content, Duration, Event, Id, Origin, Timestamp};
use crate::journal::{DataDir, Files, Records};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tracing::warn;

/// One that waits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Orphan {
    pub(super) origin: Origin,
    pub(super) event: Event,
    /// When it was recorded.
    received: Timestamp,
}

/// All that wait.
pub(super) struct Orphans {
    by_target: BTreeMap<Id, Vec<Orphan>>,
    /// Of all that came, in order, when each did and for what it waits; those that wait no more among them.
    order: VecDeque<(Timestamp, Id)>,
    len: usize,
    /// How long they may wait.
    patience: Duration,
    /// What came by a door while the shard was cold.
    held: Vec<Orphan>,
}

/// Labels and results that may wait; the other places are for what comes by a door.
const ORPHANS_MAX: usize = 16_384;

/// What a label or result speaks of, where nobody knows it.
pub(super) fn unknown_target(event: &Event) -> Option<Id> {
    match &event.body {
        Body::Label(label) if label.resolved.is_none() => Some(label.target),
        Body::PaymentResult(result) if result.resolved.is_none() => Some(result.target),
        _ => None,
    }
}

impl Orphans {
    /// None; they may wait so long.
    pub(super) fn new(patience: Duration) -> Orphans {
        Orphans { by_target: BTreeMap::new(), order: VecDeque::new(), len: 0, patience, held: Vec::new() }
    }

    /// Those that `engine` knows to wait, as the journal holds them.
    pub(super) fn of(engine: &Engine, files: &Arc<dyn Files>, dir: &DataDir, patience: Duration) -> Result<Orphans, ServiceError> {
        let mut orphans = Orphans::new(patience);
        let mut waiting: Vec<_> = engine.waiting().collect();
        waiting.sort_unstable();
        let Some(first) = waiting.first() else { return Ok(orphans) };
        let (mut records, mut waiting) = (Records::open(files.clone(), &dir.journal(), *first)?, waiting.iter().peekable());
        while waiting.peek().is_some()
            && let Some(record) = records.next_record()?
        {
            while waiting.peek().is_some_and(|sequence| **sequence < record.sequence) {
                warn!(sequence = waiting.next().map(|sequence| sequence.0), "the record of an event that waits is gone: it is lost");
            }
            if waiting.peek().is_some_and(|sequence| **sequence == record.sequence) {
                waiting.next();
                match record.content {
                    Content::Waiting(event) if record.origin.source >= Origin::DOOR => orphans.hold(record.origin, event),
                    Content::Waiting(event) => orphans.insert(record.origin, event, record.received),
                    _ => {}
                }
            }
        }
        Ok(orphans)
    }

    /// Whether one more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.patience > Duration(0) && self.len < ORPHANS_MAX
    }

    /// Whether one more may be held until the shard is warm.
    pub(super) fn may_hold(&self) -> bool {
        self.held.len() < WAITING_MAX as usize - ORPHANS_MAX
    }

    /// An event that came by a door is held until the shard is warm.
    pub(super) fn hold(&mut self, origin: Origin, event: Event) {
        self.held.push(Orphan { origin, event, received: Timestamp(0) });
    }

    /// Those that were held, in the order in which they came.
    pub(super) fn release(&mut self) -> Vec<Orphan> {
        std::mem::take(&mut self.held)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more waits, since `received`.
    pub(super) fn insert(&mut self, origin: Origin, event: Event, received: Timestamp) {
        let Some(target) = unknown_target(&event) else { return };
        if self.order.len() >= 4 * ORPHANS_MAX {
            // Most of them wait no more.
            let by_target = &self.by_target;
            self.order.retain(|(received, target)| {
                by_target.get(target).is_some_and(|waiting| waiting.iter().any(|orphan| orphan.received == *received))
            });
        }
        self.by_target.entry(target).or_default().push(Orphan { origin, event, received });
        self.order.push_back((received, target));
        self.len += 1;
    }

    /// Those that waited for `target`, in the order in which they came.
    pub(super) fn take(&mut self, target: Id) -> Vec<Orphan> {
        if self.len == 0 {
            return Vec::new();
        }
        let taken = self.by_target.remove(&target).unwrap_or_default();
        self.len -= taken.len();
        taken
    }

    /// Those that have waited long enough at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Orphan> {
        let mut due = Vec::new();
        while let Some((received, target)) = self.order.front().copied().filter(|(received, _)| *received + self.patience <= now) {
            self.order.pop_front();
            let Some(waiting) = self.by_target.get_mut(&target) else { continue };
            if let Some(place) = waiting.iter().position(|orphan| orphan.received == received) {
                due.push(waiting.remove(place));
                self.len -= 1;
            }
            if waiting.is_empty() {
                self.by_target.remove(&target);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind, Label, LabelSource, Verdict};

    fn id(text: &str) -> Id {
        IdKey::FILES.id(IdKind::Event, text.as_bytes())
    }

    fn label(name: &str, target: &str) -> Event {
        let (verdict, source) = (Verdict::Fraud, LabelSource::Chargeback);
        let body = Body::Label(Label { target: id(target), verdict, source, scenario: None, user: None, from: None, resolved: None });
        Event { id: id(name), time: Timestamp(0), body }
    }

    /// Caught when planted: one that was taken comes due as well; the last that waits for a target keeps the others from coming due.
    #[test]
    fn they_wait_for_their_target_or_until_they_are_due() {
        let mut orphans = Orphans::new(Duration(10));
        for (at, name, target) in [(0, "a", "p"), (1, "b", "q"), (2, "c", "p"), (5, "d", "q")] {
            orphans.insert(Origin::default(), label(name, target), Timestamp(at));
        }
        let ids = |orphans: Vec<Orphan>| orphans.into_iter().map(|orphan| orphan.event.id).collect::<Vec<_>>();
        assert_eq!((orphans.len(), ids(orphans.due(Timestamp(9)))), (4, vec![]));
        assert_eq!(ids(orphans.take(id("p"))), [id("a"), id("c")]);
        assert_eq!(ids(orphans.take(id("p"))), []);
        assert_eq!(ids(orphans.due(Timestamp(12))), [id("b")]);
        assert_eq!((orphans.len(), ids(orphans.due(Timestamp(15)))), (1, vec![id("d")]));
        assert_eq!(orphans.len(), 0);
        assert!(!Orphans::new(Duration(0)).has_room());
    }
}
