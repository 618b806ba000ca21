//! What of a record goes to which topic, under which key.

use super::lost::LISTED;
use super::sink::{Open, Reading, Sink, Stop};
use crate::engine::Output;
use crate::event::{Body, Content, Event, Id, Origin, Record, Sequence};
use crate::journal::{JournalError, RawInputs, event_json};
use crate::kafka::{Outbound, Outgoing, SendError};
use crate::render::{View, alert_id};
use crate::typology::Kind;
use std::cell::Cell;

/// The header of decisions that says how long they took, in microseconds.
const TOOK: &str = "weir-took-us";

fn scratch_failed(cause: std::io::Error) -> Stop {
    Stop::Journal(JournalError::Io { doing: "reading", path: LISTED.into(), source: cause })
}

impl Sink {
    /// Sends what the next record led to; `false` where the log does not hold it yet.
    pub(super) fn send_record(&self, outbound: &Outbound, reading: &mut Reading, open: &mut Open) -> Result<bool, Stop> {
        let Some(record) = reading.records.next_record()? else { return Ok(false) };
        let (sequence, (trace, took)) = (record.sequence, self.shared.topics.arrivals.of(record.sequence));
        if sequence.0 != reading.at {
            let why =
                format!("it has no record {} any more, whose outputs are not in the topics: it goes on with {}", reading.at, sequence.0);
            return Err(Stop::Journal(JournalError::Stopped { log: self.shared.dir.join("journal"), why }));
        }
        let number = sequence.0.to_string();
        let mut headers = vec![("weir-shard", &*self.shard), ("weir-sequence", &*number)];
        if let Some(trace) = &trace {
            headers.push(("traceparent", trace));
        }
        let took = took.map(|took| took.as_micros().to_string());
        let timed: Vec<_> = headers.iter().copied().chain(took.as_deref().map(|took| (TOOK, took))).collect();
        let (mut refused, mut decided) = (false, false);
        while let Some(output) = reading.outputs.next_before(Sequence(sequence.0 + 1))? {
            refused |= matches!(output, Output::Rejected(_));
            decided |= matches!(output, Output::Decision(_));
            let headers = if matches!(output, Output::Decision(_)) { &timed } else { &headers };
            self.send_output(outbound, &output, &mut reading.raw, headers)?;
        }
        match &record.content {
            Content::Event(event) if !refused && matches!(record.origin.source, Origin::HOOK | Origin::DOOR) => {
                // What is judged and has no decision came again.
                let again = !decided && matches!(event.body, Body::Payment(_) | Body::Transfer(_));
                if !again && !self.published(sequence).is_some_and(|published| published.has_told(event.id)) {
                    self.send_event(outbound, event, &headers)?;
                }
            }
            _ => self.note(&record, open),
        }
        reading.at = sequence.0 + 1;
        reading.last = Some(record);
        open.records += 1;
        Ok(true)
    }

    fn send_output(&self, outbound: &Outbound, output: &Output, raw: &mut RawInputs, headers: &[(&str, &str)]) -> Result<(), Stop> {
        let shared = &self.shared;
        let published = self.published(output.sequence());
        let kind = match output {
            Output::Alert(alert) => alert.kind,
            _ => Kind::Fraud,
        };
        let send = |topic: &str, key: Option<String>, payload: Vec<u8>| {
            shared.metrics.kafka_sent_total.with_label_values(&[kind.name(), topic]).inc();
            outbound.send(&Outgoing { topic, key: key.as_deref().map(str::as_bytes), payload: &payload, headers })
        };
        match output {
            Output::Decision(decision) => {
                let (key, id_text) = (self.key(decision.key)?, self.text(decision.event)?);
                let json = |view| shared.decision_json(decision, view, id_text.as_deref());
                let public = json(View::Public);
                if let Some(published) = published
                    && published.has_decision(decision.event, decision.revision, &public).map_err(scratch_failed)?
                {
                    return Ok(());
                }
                send(&self.topics.decisions, Some(key.clone()), public)?;
                send(&self.topics.decisions_internal, Some(key), json(View::Internal))?;
            }
            Output::Alert(alert) => {
                // Its versions stay in order, and a compacted topic holds the newest.
                let json = shared.alert_json(alert);
                if let Some(published) = published
                    && published.has_alert(&json).map_err(scratch_failed)?
                {
                    return Ok(());
                }
                send(&self.topics.alerts, Some(alert_id(alert.kind, alert.number, shared.options.shard)), json)?;
            }
            Output::Rejected(rejected) => {
                let input = raw.of(rejected.sequence)?;
                let json = shared.rejected_json(rejected, input.as_ref());
                if !published.is_some_and(|published| published.has_rejected(&json)) {
                    send(&self.topics.rejected, None, json)?;
                }
            }
        }
        Ok(())
    }

    /// Tells of an event that came by a door.
    fn send_event(&self, outbound: &Outbound, event: &Event, headers: &[(&str, &str)]) -> Result<(), Stop> {
        let shared = &self.shared;
        let unread = Cell::new(None);
        let text_of = |id| {
            shared.identity.text(id).unwrap_or_else(|cause| {
                unread.set(Some(cause.to_string()));
                None
            })
        };
        let key = event.body.stream_key().map(|id| self.key(id)).transpose()?;
        let payload = serde_json::to_vec(&event_json(event, &text_of)).expect("the object has text keys only");
        if let Some(cause) = unread.take() {
            return Err(Stop::Send(SendError::Lost(cause)));
        }
        shared.metrics.kafka_sent_total.with_label_values(&[Kind::Fraud.name(), &*self.topics.events]).inc();
        let outgoing = Outgoing { topic: &self.topics.events, key: key.as_deref().map(str::as_bytes), payload: &payload, headers };
        Ok(outbound.send(&outgoing)?)
    }

    /// The text of an id. Where the store cannot be asked nothing is sent: a hash in its place would stand there for good.
    fn text(&self, id: Id) -> Result<Option<String>, Stop> {
        let found = self.shared.identity.text(id).map_err(|cause| Stop::Send(SendError::Lost(cause.to_string())))?;
        Ok(found.map(|(_, text)| text))
    }

    /// The key that an id gives.
    fn key(&self, id: Id) -> Result<String, Stop> {
        Ok(self.text(id)?.unwrap_or_else(|| id.to_string()))
    }

    fn note(&self, record: &Record, open: &mut Open) {
        let Origin { source, partition, offset } = record.origin;
        if self.sources.iter().any(|(number, _)| *number == source) {
            let next = open.consumed.entry((source, partition)).or_default();
            // One that waited comes behind others.
            *next = (*next).max(offset + 1);
        }
    }
}
