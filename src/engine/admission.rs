//! Admission: each event once, in its time.

use super::batch::Pending;
use super::dedupe::Known;
use super::{Engine, Rejected};
use crate::event::{Answered, Body, Event, Id, Record, Refusal, Refused, Timestamp};

impl Engine {
    /// Why an event with this time is refused, whatever it says.
    fn untimely(&self, record: &Record, time: Timestamp) -> Option<Refusal> {
        if !time.is_valid() {
            return Some(Refusal::TimeOutOfRange);
        }
        let source = self.options.sources.get(usize::from(record.origin.source));
        let ahead = source.and_then(|source| source.jump_max).unwrap_or(self.options.future_skew_max);
        if time - record.received > ahead {
            return Some(Refusal::FutureDated);
        }
        (time < self.now - self.options.dedupe || time <= self.judged.forgotten()).then_some(Refusal::TooOldToDeduplicate)
    }

    /// The revision of the event's judgement, if it is judged; else why not, or nothing for a duplicate.
    pub(super) fn admit(&mut self, record: &Record, event: &Event) -> Result<u8, Option<Refusal>> {
        if let Some(reason) = self.untimely(record, event.time) {
            return Err(Some(reason));
        }
        let fingerprint = event.fingerprint();
        match self.judged.find(event.id, fingerprint) {
            Known::New => {}
            Known::Awaited => {
                self.judged.judge_awaited(event.id);
                return Ok(2);
            }
            Known::Duplicate(_) => {
                self.counts.duplicates += 1;
                return Err(None);
            }
            Known::Conflict => return Err(Some(Refusal::IdConflict)),
        }
        let target_unknown = match &event.body {
            Body::Label(label) => label.resolved.is_none(),
            Body::PaymentResult(result) => result.resolved.is_none(),
            _ => false,
        };
        if target_unknown {
            return Err(Some(Refusal::UnknownTarget));
        }
        self.judged.advance(self.now.max(event.time), self.options.dedupe);
        self.judged.insert(event.id, fingerprint, record.sequence, event.time);
        Ok(1)
    }

    /// A stand-in has answered: its decision is an output of this record, and the event's own judgement, if it is yet to come, the second.
    pub(super) fn take_answered(&mut self, record: &Record, answered: &Answered) {
        let news = match self.judged.find(answered.event, answered.fingerprint) {
            Known::Duplicate(_) => self.judged.mark_answered(answered.event),
            Known::Awaited => false,
            // The event will be refused for it, as another of its id was judged; its caller has this answer nonetheless.
            Known::Conflict => true,
            Known::New => {
                // An event that will be refused for its time must not stand among the ids judged.
                if self.untimely(record, answered.time).is_none() {
                    self.judged.insert_answered(answered.event, answered.fingerprint, record.sequence, answered.time);
                }
                true
            }
        };
        if news {
            self.batch.pending.push(Pending::StandIn(record.sequence, *answered));
        }
    }

    pub(super) fn reject(&mut self, record: &Record, refused: Refused, event: Option<Id>) {
        let rejected = Rejected { sequence: record.sequence, origin: record.origin, refused, event };
        self.batch.pending.push(Pending::Rejected(rejected));
    }
}
