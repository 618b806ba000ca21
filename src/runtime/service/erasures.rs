//! Whose texts fall and whose come back, decided where it is known what was admitted: beside the engine, record by record.
//!
//! What ARCHITECTURE says of erasure is done here for a service and its standby; a replay does it in [`crate::runtime::naming`].

use crate::event::{Body, Content, Id, Record, Sequence, Timestamp};
use crate::identity::Identity;
use crate::runtime::naming::{acts, speaks_of};
use std::collections::HashMap;

/// What the record `sequence` does to the texts of `person`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Consequence {
    pub sequence: Sequence,
    pub person: Id,
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Change {
    /// They were erased, at this event time.
    Erased(Timestamp),
    /// They are a customer again.
    Back,
    /// The record spoke of them and they are erased: what it told of them falls again.
    Again(Timestamp),
}

/// The people who were erased and have not come back.
pub(in crate::runtime) struct Erasures {
    erased: HashMap<Id, Timestamp>,
    /// What records before this one do was done already.
    from: Sequence,
}

impl Erasures {
    /// As `identity` knows them, in which everything before the record `from` is done.
    pub(in crate::runtime) fn of(identity: &Identity, from: Sequence) -> Erasures {
        Erasures { erased: identity.erased().clone(), from }
    }

    /// What the next record does. `refused`: the engine did not admit it; `first`: asked of an erasure that gave no output, whether it is
    /// the one that was admitted and not one that came again.
    pub(in crate::runtime) fn after(&mut self, record: &Record, refused: bool, first: impl FnOnce(Id) -> bool) -> Option<Consequence> {
        // What waits for its target is told of already.
        let (Content::Event(event) | Content::Waiting(event)) = &record.content else { return None };
        if record.sequence < self.from {
            return None;
        }
        let (person, change) = match &event.body {
            Body::Erase(erase) if !refused && first(event.id) => {
                self.erased.insert(erase.user, event.time);
                (erase.user, Change::Erased(event.time))
            }
            _ if self.erased.is_empty() => return None,
            body => {
                let person = speaks_of(body)?;
                let at = *self.erased.get(&person)?;
                match acts(body) && event.time > at && !refused {
                    true => {
                        self.erased.remove(&person);
                        (person, Change::Back)
                    }
                    false => (person, Change::Again(at)),
                }
            }
        };
        Some(Consequence { sequence: record.sequence, person, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Effort, Erase, Event, IdKey, IdKind, Origin, Session};
    use crate::store::Store;

    fn id(kind: IdKind, text: &str) -> Id {
        IdKey::FILES.id(kind, text.as_bytes())
    }

    fn record(sequence: u64, time: i64, body: Body) -> Record {
        let content = Content::Event(Event { id: id(IdKind::Event, &sequence.to_string()), time: Timestamp(time), body });
        Record { sequence: Sequence(sequence), received: Timestamp(time), origin: Origin::engine(), effort: Effort::Full, content }
    }

    #[test]
    fn an_erased_person_comes_back_by_what_they_do_and_by_nothing_else() {
        let store = Store::scratch().unwrap();
        let mut erasures = Erasures::of(&Identity::open(&store).unwrap(), Sequence(0));
        let (user, other) = (id(IdKind::User, "u"), id(IdKind::User, "v"));
        let session = |user| Body::Session(Session { user, device: None, ip: None, action: None, session: None });
        let erase = || Body::Erase(Erase { user });
        let mut change = |record: &Record, refused, first| erasures.after(record, refused, |_| first).map(|found| found.change);
        assert_eq!(change(&record(0, 10, session(user)), false, false), None);
        assert_eq!(change(&record(1, 20, erase()), true, true), None, "it was refused");
        assert_eq!(change(&record(2, 20, erase()), false, true), Some(Change::Erased(Timestamp(20))));
        assert_eq!(change(&record(3, 30, session(other)), false, false), None);
        assert_eq!(change(&record(4, 20, erase()), false, false), Some(Change::Again(Timestamp(20))), "it came again");
        assert_eq!(change(&record(5, 20, session(user)), false, false), Some(Change::Again(Timestamp(20))), "it speaks of the past");
        // Caught when planted: an event that was refused and brought the person back.
        assert_eq!(change(&record(6, 30, session(user)), true, false), Some(Change::Again(Timestamp(20))));
        assert_eq!(change(&record(7, 30, session(user)), false, false), Some(Change::Back));
        assert_eq!(change(&record(8, 10, session(user)), false, false), None);
    }
}
