//! The recorder: one thread that decides the order. It gives every submission its sequence, writes groups to the journal, and only then
//! tells those who wait that they stand there.
//!
//! What ids name is told to a log of its own before the group is committed. Callers' events go before the stream's, so that catching up
//! cannot starve the hook. What the judge has no room for is not kept in memory: it stands in the journal, and the judge reads it there.

use super::clock::Clock;
use super::keeper::Task;
use super::orphans::{Orphan, Orphans, unknown_target};
use super::ticket::Reply;
use super::waiting::Waiting;
use super::{Shared, Submission};
use crate::api::Submitted;
use crate::decision::Decision;
use crate::event::{
    Answered, Body, Content, Control, ControlKind, Duration, Effort, Event, Id, Origin, Record, Sequence, StandInWhy, Timestamp,
};
use crate::identity::Recent;
use crate::journal::{Journal, JournalError, RawInput, RejectedLog, Telling, TextLog};
use crate::runtime::naming::Told;
use crate::runtime::naming::named;
use crate::runtime::policies::short;
use crate::store::StoreError;
use crate::targets::Targets;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, select};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, warn};

/// Records of one group at most.
const GROUP_MAX: usize = 512;
/// Without a record for so long a tick moves stream time.
const TICK_EVERY: Wall = Wall::from_secs(1);
/// How often a recorder that ends looks whether everything is judged.
const CLOSING_PATIENCE: Wall = Wall::from_millis(10);
/// How far a tick stays behind the clock: events on their way are not to be late for it.
pub(super) const TICK_BEHIND: Duration = Duration::SECOND.times(5);
/// Entries of the index of targets that the keeper is given at once.
const TARGETS_WAITING: usize = 4_096;
/// Where the keeper cannot keep up, so many and no more.
const TARGETS_WAITING_MAX: usize = 1 << 20;

/// What keeps the recorder from going on.
#[derive(Debug)]
pub(super) enum RecordError {
    Journal(JournalError),
    Store(StoreError),
}

impl From<JournalError> for RecordError {
    fn from(error: JournalError) -> RecordError {
        RecordError::Journal(error)
    }
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> RecordError {
        RecordError::Store(error)
    }
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordError::Journal(error) => error.fmt(f),
            RecordError::Store(error) => error.fmt(f),
        }
    }
}

/// The recorder's own things.
pub(super) struct Recorder {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    pub(super) rejected: RejectedLog,
    pub(super) texts: TextLog,
    /// Ids told lately.
    pub(super) told: Recent,
    pub(super) orphans: Orphans,
    /// Of topics: by source and partition the next offset.
    pub(super) positions: BTreeMap<(u16, u32), u64>,
    pub(super) targets: Targets,
    pub(super) clock: Clock,
    pub(super) to_judge: Sender<Record>,
    pub(super) keeper: Sender<Task>,
    pub(super) group: Vec<Record>,
}

impl Recorder {
    /// Takes submissions until both lanes have ended or the service is drained.
    pub(super) fn run(mut self, hook: &Receiver<Submission>, stream: &Receiver<Submission>) {
        let mut waiting = Vec::with_capacity(GROUP_MAX);
        let mut recorded = Instant::now();
        if !self.shared.topics.is_cold() {
            // Held in a restoration that a start without one did not go on with.
            let received = self.clock.read();
            self.release(received);
        }
        loop {
            let patience = if self.shared.is_closing() { CLOSING_PATIENCE } else { TICK_EVERY };
            let first = match next(hook, stream, patience) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) if self.shared.is_drained() => break,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let received = self.clock.read();
            self.shared.clock.store(received.0, Ordering::Relaxed);
            let metrics = &self.shared.metrics;
            metrics.inbox_events.with_label_values(&["hook"]).set(hook.len() as i64);
            metrics.inbox_events.with_label_values(&["stream"]).set(stream.len() as i64);
            metrics.hook_waiting.set(self.shared.tickets.len() as i64);
            let rest = hook.try_iter().chain(stream.try_iter());
            // Held to the end of the group: who fences knows then what was recorded, for good.
            let shared = self.shared.clone();
            let fenced = shared.fenced.lock().expect("nobody panics with it");
            if *fenced {
                for submission in first.into_iter().chain(rest).take(GROUP_MAX) {
                    self.refuse(submission);
                }
                continue;
            }
            for submission in first.into_iter().chain(rest).take(GROUP_MAX) {
                self.take(submission, received, &mut waiting);
            }
            for orphan in self.orphans.due(received) {
                self.push_orphan(orphan, received);
            }
            self.shared.metrics.inbox_orphans.set(self.orphans.len() as i64);
            // What a source says of itself is no sign of life of the stream.
            if self.group.iter().any(|record| !matches!(record.content, Content::Lag(_))) {
                recorded = Instant::now();
            } else if recorded.elapsed() >= TICK_EVERY {
                recorded = Instant::now();
                self.push(Origin::engine(), received, Content::Tick(received - TICK_BEHIND));
            }
            if !self.group.is_empty() {
                match self.commit() {
                    Ok(()) => {
                        waiting.drain(..).for_each(|waiting| waiting.recorded(&self.shared.topics));
                        self.hand_on();
                    }
                    Err(cause) => {
                        self.shared.stop(format!("nothing more can be recorded: {cause}"));
                        error!(%cause, "the journal takes no more records");
                        waiting.drain(..).for_each(Waiting::unrecorded);
                        // What of it is on disk all the same, a restart finds and judges.
                        self.group.clear();
                    }
                }
            }
        }
        let done = self.texts.sync().and_then(|()| self.rejected.sync()).and_then(|()| self.journal.sync()).map_err(RecordError::from);
        // The index knows of no record that a power cut can take away, nor of one that was never written.
        let done = done.and_then(|()| if self.shared.is_stopped() { Ok(()) } else { Ok(self.targets.flush()?) });
        if let Err(cause) = done {
            error!(%cause, "what was recorded last may not survive a power cut");
        }
    }

    fn take(&mut self, submission: Submission, received: Timestamp, waiting: &mut Vec<Waiting>) {
        match submission {
            Submission::Event { origin, mut event, texts, arrival, ticket, line } => {
                if !self.is_news(origin) {
                    return;
                }
                if let Err(cause) = resolve(&self.targets, &mut event) {
                    warn!(%cause, "an event's target could not be looked up");
                }
                let is_door = origin.source >= Origin::DOOR;
                // What was told again is among what the shard is restored from.
                let held = is_door && (ticket.is_some() || line.is_some()) && self.shared.topics.is_cold();
                if held && !self.orphans.may_hold() {
                    Waiting::Event(ticket).unrecorded();
                    if let Some(line) = line {
                        Waiting::Line(line, Submitted::Closing).unrecorded();
                    }
                    return;
                }
                let waits = held || !is_door && unknown_target(&event).is_some() && self.orphans.has_room();
                if let Err(cause) = self.tell(&event, &texts) {
                    // The group it belongs to cannot be written either, and says so to those who wait.
                    warn!(%cause, "what an event's ids name could not be told");
                }
                if waits {
                    match held {
                        true => self.orphans.hold(origin, (*event).clone()),
                        false => self.orphans.insert(origin, (*event).clone(), received),
                    }
                    let sequence = self.push(origin, received, Content::Waiting(*event));
                    if let Some(line) = line {
                        waiting.push(Waiting::Line(line, Submitted::Recorded { sequence }));
                    }
                    return;
                }
                let sequence = self.push_event(origin, received, *event);
                if let Some(arrival) = arrival {
                    self.shared.topics.came(sequence, arrival);
                }
                if let Some(ticket) = &ticket {
                    ticket.note_recorded(sequence.0);
                }
                waiting.push(Waiting::Event(ticket));
                if let Some(line) = line {
                    waiting.push(Waiting::Line(line, Submitted::Recorded { sequence }));
                }
            }
            Submission::Refused { origin, fault, raw, line } => {
                if !self.is_news(origin) {
                    return;
                }
                let refused = fault.refused;
                let sequence = self.push(origin, received, Content::Refused(refused));
                let kept = self.rejected.append(&RawInput { sequence, received, detail: fault.detail.clone(), raw });
                if let Err(cause) = kept {
                    warn!(%cause, "refused input could not be kept");
                }
                if let Some(line) = line {
                    waiting.push(Waiting::Line(line, Submitted::Refused { sequence, refused, detail: fault.detail }));
                }
            }
            Submission::Answered { mut answered, ticket } => {
                if let Some(ticket) = &ticket {
                    answered.revision = if ticket.is_recorded() { 2 } else { 1 };
                }
                let sequence = self.push(Origin::engine(), received, Content::Answered(answered));
                let decision = Decision::stand_in(sequence, &answered, self.shared.provenance());
                if let Some(ticket) = ticket {
                    self.shared.topics.came(sequence, ticket.arrival.clone());
                    waiting.push(Waiting::StandIn(ticket, Box::new(decision)));
                }
            }
            Submission::Listed { changes, texts, line } => {
                let mut sequence = self.next_sequence();
                if let Err(cause) = texts.tell(sequence, &mut self.told, &mut self.texts) {
                    warn!(%cause, "what a list's ids name could not be told");
                }
                for change in changes {
                    sequence = self.push(Origin::engine(), received, Content::Listed(change));
                }
                waiting.push(Waiting::Line(line, Submitted::Recorded { sequence }));
            }
            Submission::InForce { kind, blob, line } => {
                let sequence = self.push(Origin::engine(), received, Content::Control(Control { kind, blob }));
                // Whoever answers in the engine's place behind this record answers under this policy, and names this model.
                let mut in_force = self.shared.in_force.lock().expect("nobody panics with it");
                *in_force = in_force.with(kind, short(&blob));
                waiting.push(Waiting::Line(line, Submitted::Recorded { sequence }));
            }
            Submission::Passed(origin) => {
                if self.is_news(origin) {
                    self.shared.topics.pass(origin, self.next_sequence());
                }
            }
            Submission::Pad(until) => {
                while self.next_sequence().0 < until {
                    self.push(Origin::engine(), received, Content::Tick(Timestamp::MIN));
                }
            }
            Submission::Warm => {
                self.release(received);
                self.shared.topics.warm(self.next_sequence());
            }
            Submission::Backend(blob) => {
                self.push(Origin::engine(), received, Content::Control(Control { kind: ControlKind::Backend, blob }));
            }
            Submission::Lag(lag) => drop(self.push(Origin::engine(), received, Content::Lag(lag))),
            Submission::Wake => {}
        }
    }

    /// Records one that waited: its target is known now or will not be, or the shard is warm.
    fn push_orphan(&mut self, Orphan { origin, mut event, .. }: Orphan, received: Timestamp) {
        if let Err(cause) = resolve(&self.targets, &mut event) {
            warn!(%cause, "an event's target could not be looked up");
        }
        self.push_event(origin, received, event);
    }

    /// Records an event, and behind it what waited for it.
    fn push_event(&mut self, origin: Origin, received: Timestamp, event: Event) -> Sequence {
        let awaited = matches!(event.body, Body::Payment(_) | Body::Transfer(_)).then_some(event.id);
        let sequence = self.push(origin, received, Content::Event(event));
        for orphan in awaited.map(|id| self.orphans.take(id)).unwrap_or_default() {
            self.push_orphan(orphan, received);
        }
        sequence
    }

    /// Records what was held while the shard was cold.
    fn release(&mut self, received: Timestamp) {
        for held in self.orphans.release() {
            self.push_orphan(held, received);
        }
    }

    /// Whether what stands there in a topic was not taken yet. Doors have no such places.
    fn is_news(&mut self, origin: Origin) -> bool {
        if origin.source >= Origin::DOOR {
            return true;
        }
        let next = self.positions.entry((origin.source, origin.partition)).or_default();
        let is_news = origin.offset >= *next;
        *next = (*next).max(origin.offset + 1);
        is_news
    }

    /// Tells those who wait that nothing is recorded here any more: another process leads.
    fn refuse(&mut self, submission: Submission) {
        match submission {
            Submission::Event { ticket, line, .. } => {
                Waiting::Event(ticket).unrecorded();
                if let Some(line) = line {
                    // Who asked may have gone away.
                    drop(line.send(led_elsewhere()));
                }
            }
            Submission::Listed { line, .. } | Submission::InForce { line, .. } => drop(line.send(led_elsewhere())),
            Submission::Refused { line, .. } => drop(line.map(|line| line.send(Submitted::Closing))),
            Submission::Answered { ticket, .. } => drop(ticket.map(|ticket| ticket.settle(Reply::Unrecorded))),
            Submission::Passed(_)
            | Submission::Pad(_)
            | Submission::Warm
            | Submission::Backend(_)
            | Submission::Lag(_)
            | Submission::Wake => {}
        }
    }

    /// Tells what the ids name of the event that comes next.
    fn tell(&mut self, event: &Event, texts: &Told) -> Result<(), JournalError> {
        if matches!(event.body, Body::Erase(_)) {
            // Which texts fall is not known here: all are told again.
            self.told.clear();
        }
        let sequence = self.next_sequence();
        tell(&mut self.texts, &mut self.told, sequence, event, texts)
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.journal.next().0 + self.group.len() as u64)
    }

    fn push(&mut self, origin: Origin, received: Timestamp, content: Content) -> Sequence {
        let sequence = self.next_sequence();
        let behind = sequence.0.saturating_sub(self.shared.judged.load(Ordering::Relaxed));
        let effort = if behind >= self.shared.options.rules_only_from { Effort::RulesOnly } else { Effort::Full };
        if let Content::Event(_) = &content {
            let word = if effort == Effort::Full { "full" } else { "rules_only" };
            self.shared.metrics.hook_efforts_total.with_label_values(&[word]).inc();
        }
        let is_door = matches!(origin.source, Origin::HOOK | Origin::DOOR);
        let origin = if is_door { Origin { offset: sequence.0, ..origin } } else { origin };
        if is_door && matches!(content, Content::Event(_)) {
            self.shared.topics.came_by_door(sequence);
        }
        let record = Record { sequence, received, origin, effort, content };
        self.targets.note(&record);
        self.group.push(record);
        sequence
    }

    /// Writes the group: texts first, raw refused input, then the records.
    fn commit(&mut self) -> Result<(), RecordError> {
        if self.shared.is_stopped() {
            return Err(RecordError::Journal(JournalError::Stopped {
                log: self.shared.dir.clone(),
                why: "an earlier write failed".to_owned(),
            }));
        }
        self.texts.commit()?;
        self.rejected.commit()?;
        for record in &self.group {
            let place = self.journal.append(record)?;
            self.shared.landmarks.note(record.sequence, place);
        }
        let began = Instant::now();
        self.journal.commit()?;
        let metrics = &self.shared.metrics;
        metrics.journal_write_seconds.observe(began.elapsed().as_secs_f64());
        metrics.journal_records_total.inc_by(self.group.len() as u64);
        self.give_targets()
    }

    /// Gives the index of judged events to the keeper, a part at a time; where that one is far behind, writes it here.
    fn give_targets(&mut self) -> Result<(), RecordError> {
        let waiting = self.targets.waiting();
        if waiting < TARGETS_WAITING {
            return Ok(());
        }
        self.targets.expire(self.clock.read() - self.shared.options.labels_known);
        if let Some(leaving) = self.targets.give() {
            self.shared.noted.store(leaving.before().0, Ordering::Relaxed);
            if let Err(back) = self.keeper.try_send(Task::Targets(leaving))
                && let Task::Targets(leaving) = back.into_inner()
            {
                self.journal.sync()?;
                leaving.write()?;
            }
        } else if waiting >= TARGETS_WAITING_MAX {
            self.journal.sync()?;
            self.targets.flush()?;
        }
        Ok(())
    }

    /// Hands the group to the judge; what finds no room stands in the journal.
    fn hand_on(&mut self) {
        let mut spilled = 0;
        for record in self.group.drain(..) {
            if let Content::Listed(change) = &record.content {
                self.shared.listed.apply(change, record.received);
            }
            if spilled > 0 {
                spilled += 1;
                continue;
            }
            match self.to_judge.try_send(record) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => spilled += 1,
            }
        }
        // Behind what was handed on: the judge takes what is recorded and not in its queue for spilled.
        self.shared.recorded.store(self.journal.next().0, Ordering::Release);
        self.shared.more.notify_waiters();
        self.shared.metrics.inbox_spilled_total.inc_by(spilled);
    }
}

/// Puts the target of a label or result into the event: the engine looks nothing up.
pub(super) fn resolve(targets: &Targets, event: &mut Event) -> Result<(), StoreError> {
    match &mut event.body {
        Body::Label(label) => label.resolved = targets.resolve(label.target)?,
        Body::PaymentResult(result) => result.resolved = targets.resolve(result.target)?,
        _ => {}
    }
    Ok(())
}

/// Tells what the ids name of the event that gets `sequence`.
pub(super) fn tell(log: &mut TextLog, told: &mut Recent, sequence: Sequence, event: &Event, texts: &Told) -> Result<(), JournalError> {
    texts.tell(sequence, told, log)?;
    match named(&event.body) {
        Some((name, bearer)) => log.tell(sequence, Telling::Name { name, bearer }),
        None => Ok(()),
    }
}

fn led_elsewhere() -> Submitted {
    Submitted::Unrecorded { detail: "another process leads now; send it there".to_owned() }
}

/// The next submission: a caller's before the stream's.
fn next(hook: &Receiver<Submission>, stream: &Receiver<Submission>, patience: Wall) -> Result<Submission, RecvTimeoutError> {
    if let Ok(submission) = hook.try_recv() {
        return Ok(submission);
    }
    // Both lanes end together, with the service that holds their senders.
    select! {
        recv(hook) -> found => found.map_err(|_| RecvTimeoutError::Disconnected),
        recv(stream) -> found => found.map_err(|_| RecvTimeoutError::Disconnected),
        default(patience) => Err(RecvTimeoutError::Timeout),
    }
}

/// What the record of a stand-in says, but for its revision.
pub(super) fn answered(event: &Event, key: Id, fingerprint: u64, outcome: crate::decision::Outcome, why: StandInWhy) -> Answered {
    let (kind, outcome) = (event.body.kind(), outcome as u8);
    Answered { event: event.id, fingerprint, kind, key, time: event.time, revision: 1, outcome, why }
}
