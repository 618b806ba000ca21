//! A past: events that are recorded and judged before a service has threads, each at the time at which it would have come to a door.
//!
//! Nobody waits for an answer, so groups are large; but what is told, journalled, stepped and put out is what recorder and judge would have
//! made of the same events: a restart, a replay and a standby find nothing unusual.

use super::error::ServiceError;
use super::recorder::{resolve, tell};
use super::standing::Standing;
use crate::event::{Content, Effort, Event, IdKey, Origin, Record, Sequence, Timestamp};
use crate::identity::Recent;
use crate::ingress::Reading;
use crate::ingress::wire::parse_event;
use crate::runtime::naming::Told;
use std::io::Error;

/// Sets of ids that were told lately: 1 MiB.
const TOLD: usize = 1 << 14;

/// An event of the past, read.
pub(in crate::runtime) struct PastEvent {
    event: Event,
    texts: Told,
    received: Timestamp,
    is_awaited: bool,
}

/// Reads events as the doors of a service would, beside whoever records them.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct PastReader {
    key: IdKey,
    id_bytes_max: usize,
}

impl PastReader {
    /// Reads for the journal with this key.
    pub(in crate::runtime) fn new(key: IdKey, id_bytes_max: usize) -> PastReader {
        PastReader { key, id_bytes_max }
    }

    /// Reads one event, received at a time that never runs back; `is_awaited` where somebody would have waited for its answer.
    pub(in crate::runtime) fn read(&self, json: &[u8], received: Timestamp, is_awaited: bool) -> Result<PastEvent, ServiceError> {
        let mut texts = Told::default();
        match parse_event(json, &mut Reading::new(self.key, self.id_bytes_max), &mut texts) {
            Ok(event) => Ok(PastEvent { event, texts, received, is_awaited }),
            Err(fault) => Err(ServiceError::System(Error::other(format!("an event of the past is refused: {}", fault.detail)))),
        }
    }
}

/// Records a past into what stands.
pub(in crate::runtime) struct PastRecorder<'s> {
    standing: &'s mut Standing,
    told: Recent,
    group: Vec<Record>,
    /// Records a step.
    batch_events_max: usize,
}

impl<'s> PastRecorder<'s> {
    /// Records behind what `standing` holds.
    pub(in crate::runtime) fn new(standing: &'s mut Standing, batch_events_max: usize) -> PastRecorder<'s> {
        PastRecorder { standing, told: Recent::new(TOLD), group: Vec::new(), batch_events_max }
    }

    /// Records and judges `events`, in their order.
    pub(in crate::runtime) fn take(&mut self, events: Vec<PastEvent>) -> Result<(), ServiceError> {
        let Standing { journal, texts: log, targets, latest, .. } = &mut *self.standing;
        self.group.clear();
        let first = journal.next().0;
        for (sequence, PastEvent { mut event, texts, received, is_awaited }) in (first..).map(Sequence).zip(events) {
            resolve(targets, &mut event)?;
            tell(log, &mut self.told, sequence, &event, &texts)?;
            let source = if is_awaited { Origin::HOOK } else { Origin::DOOR };
            let origin = Origin { source, offset: sequence.0, ..Origin::default() };
            let record = Record { sequence, received, origin, effort: Effort::Full, content: Content::Event(event) };
            targets.note(&record);
            *latest = received.max(*latest);
            self.group.push(record);
        }
        log.commit()?;
        for record in &self.group {
            journal.append(record)?;
        }
        journal.commit()?;
        self.standing.step_in_batches(&self.group, self.batch_events_max)
    }
}
