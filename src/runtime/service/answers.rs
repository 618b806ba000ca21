//! What was answered: for each id within the horizon of idempotency where its answer stands in the output log.

use crate::decision::{Decision, Status};
use crate::engine::Output;
use crate::event::{Duration, Id, Timestamp};
use crate::journal::{Files, JournalError, Place, output_at};
use dashmap::DashMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where an answer stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) fingerprint: u64,
    place: Place,
    /// Whether a stand-in gave it: then no judgement takes its place.
    fallback: bool,
}

/// The answers given.
pub(in crate::runtime) struct Answers {
    files: Arc<dyn Files>,
    outputs: PathBuf,
    by_id: DashMap<Id, Answered>,
    /// Ids in the order of their answers, with event times: who goes first.
    order: Mutex<VecDeque<(Id, Timestamp)>>,
    ids_max: usize,
}

impl Answers {
    /// No answers; they are to be found in the log in `outputs`.
    pub(super) fn new(files: Arc<dyn Files>, outputs: PathBuf, ids_max: usize) -> Answers {
        Answers { files, outputs, by_id: DashMap::new(), order: Mutex::new(VecDeque::new()), ids_max }
    }

    /// Takes note of a decision that stands at `place`. A stand-in's is the answer, whatever comes before or behind it; one for other content
    /// than that which is known is nobody's.
    pub(super) fn note(&self, decision: &Decision, fingerprint: u64, place: Place) {
        let fallback = decision.status == Status::Fallback;
        let mut new = true;
        self.by_id
            .entry(decision.event)
            .and_modify(|known| {
                new = false;
                if known.fingerprint == fingerprint && (fallback || !known.fallback) {
                    *known = Answered { fingerprint, place, fallback };
                }
            })
            .or_insert(Answered { fingerprint, place, fallback });
        if new {
            self.order.lock().expect("nobody panics with it").push_back((decision.event, decision.time));
        }
    }

    /// Forgets answers to events before `now - horizon`, and those beyond what is kept at most, oldest first.
    pub(super) fn forget(&self, now: Timestamp, horizon: Duration) {
        let mut order = self.order.lock().expect("nobody panics with it");
        while let Some(&(id, time)) = order.front()
            && (order.len() > self.ids_max || time < now - horizon)
        {
            order.pop_front();
            self.by_id.remove(&id);
        }
    }

    /// What is known of the answer for `id`.
    pub(super) fn get(&self, id: Id) -> Option<Answered> {
        self.by_id.get(&id).map(|answered| *answered)
    }

    /// Reads the answer for `id` back.
    ///
    /// # Errors
    /// Where the output log cannot be read there, or holds another output.
    pub(super) fn read(&self, id: Id, answered: Answered) -> Result<Decision, JournalError> {
        match output_at(&*self.files, &self.outputs, answered.place)? {
            Output::Decision(decision) if decision.event == id => Ok(decision),
            other => Err(JournalError::Damaged {
                segment: self.outputs.clone(),
                offset: 0,
                what: format!("an output of record {} where the answer to another event was noted", other.sequence().0),
            }),
        }
    }
}
