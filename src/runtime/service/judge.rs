//! The judge: the one thread that owns the engine. It steps what was recorded, writes the outputs to their log, and settles tickets.

use super::erasures::{Consequence, Erasures};
use super::launch::show_change;
use super::snapping::Snapping;
use super::ticket::{Reply, Ticket, Winner};
use super::watching::Watcher;
use super::{Shared, Submission};
use crate::decision::Decision;
use crate::engine::{Engine, Output, Phase, Standing};
use crate::event::{Body, Content, Id, Record, Refusal, Sequence};
use crate::gnn::DeviceLost;
use crate::graph::Family;
use crate::journal::{Blobs, Files, JournalError, OutputLog, Place, Records, hex};
use crate::render::View;
use crate::runtime::backing::{CPU, let_go, tell_lost, told};
use crate::typology::Kind;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// How long the judge sleeps where nothing comes, before it looks whether something was spilled.
const PATIENCE: Wall = Wall::from_millis(20);

/// And while a snapshot is being taken.
const PUMPING_PATIENCE: Wall = Wall::from_micros(100);

/// The judge's own things.
pub(super) struct Judge {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Engine,
    pub(super) outputs: OutputLog,
    pub(super) files: Arc<dyn Files>,
    pub(super) snapping: Snapping,
    pub(super) watcher: Watcher,
    /// Where forward passes run.
    pub(super) device: String,
    pub(super) to_recorder: Sender<Submission>,
    pub(super) batch_max: usize,
    pub(super) erasures: Erasures,
    pub(super) consequences: Sender<Consequence>,
    /// Judged, and the timer had been faster: the stand-in's record is still to come.
    pub(super) unsettled: Vec<Unsettled>,
    pub(super) out: Vec<Output>,
    pub(super) places: Vec<Place>,
}

/// An event whose answer the judgement is not.
pub(super) struct Unsettled {
    sequence: u64,
    event: Id,
    ticket: Arc<Ticket>,
}

impl Judge {
    /// Steps what comes, in order, until the recorder has ended and everything recorded is judged.
    pub(super) fn run(mut self, records: &Receiver<Record>) -> Engine {
        let mut batch: Vec<Record> = Vec::with_capacity(self.batch_max);
        let mut held: Option<Record> = None;
        loop {
            let expected = self.shared.judged.load(Ordering::Relaxed);
            self.snapping.tend(&mut self.engine, Sequence(expected));
            let patience = if self.snapping.is_busy() { PUMPING_PATIENCE } else { PATIENCE };
            batch.clear();
            // Asked before the queue is looked at: what was handed on by then is there, unless it found no room.
            let recorded = self.shared.recorded.load(Ordering::Acquire);
            let first = match held.take() {
                Some(record) => Ok(record),
                None if expected < recorded && records.is_empty() => Err(RecvTimeoutError::Timeout),
                None => records.recv_timeout(patience),
            };
            match first {
                // It was stepped from the journal.
                Ok(record) if record.sequence.0 < expected => continue,
                Ok(record) if record.sequence.0 > expected => {
                    let until = record.sequence;
                    held = Some(record);
                    if !self.read_spilled(Sequence(expected), until) {
                        break;
                    }
                    continue;
                }
                Ok(record) => batch.push(record),
                Err(RecvTimeoutError::Timeout) => {
                    self.watcher.show(false);
                    // The channel may have been filled since it was looked at: what it holds is then passed over above.
                    let recorded = self.shared.recorded.load(Ordering::Acquire);
                    if expected < recorded && records.is_empty() && !self.read_spilled(Sequence(expected), Sequence(recorded)) {
                        break;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let recorded = self.shared.recorded.load(Ordering::Acquire);
                    if expected < recorded && self.read_spilled(Sequence(expected), Sequence(recorded)) {
                        continue;
                    }
                    break;
                }
            }
            while batch.len() < self.batch_max
                && let Ok(record) = records.try_recv()
            {
                let next = batch.last().expect("it has a first").sequence.0 + 1;
                if record.sequence.0 == next {
                    batch.push(record);
                } else if record.sequence.0 > next {
                    held = Some(record);
                    break;
                }
            }
            if !self.judge(&batch) {
                break;
            }
        }
        self.watcher.show(true);
        self.snapping.end(&mut self.engine);
        if let Err(cause) = self.outputs.sync() {
            error!(%cause, "the last outputs may not survive a power cut; a restart makes them again");
        }
        self.engine
    }

    /// Judges what stands in the journal from `from` to before `until`; `false` where that could not be done.
    fn read_spilled(&mut self, from: Sequence, until: Sequence) -> bool {
        let mut batch = Vec::with_capacity(self.batch_max);
        let (files, dir) = (self.files.clone(), self.shared.dir.join("journal"));
        let opened = match self.shared.landmarks.before(from) {
            Some((known, place)) => Records::open_at(files, &dir, known, place, from),
            None => Records::open(files, &dir, from),
        };
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(cause) => return self.fail(&cause),
        };
        let mut next = from;
        while next < until {
            batch.clear();
            while batch.len() < self.batch_max && next < until {
                match reader.next_record() {
                    Ok(Some(record)) => {
                        next = Sequence(record.sequence.0 + 1);
                        batch.push(record);
                    }
                    Ok(None) => break,
                    Err(cause) => return self.fail(&cause),
                }
            }
            if batch.is_empty() {
                let log = self.shared.dir.join("journal");
                let why = format!("it ends before record {}, expected all before {}", next.0, until.0);
                return self.fail(&JournalError::Stopped { log, why });
            }
            if !self.judge(&batch) {
                return false;
            }
            self.snapping.tend(&mut self.engine, next);
        }
        true
    }

    fn fail(&self, cause: &JournalError) -> bool {
        self.shared.stop(format!("judging has stopped: {cause}"));
        error!(%cause, "judging has stopped");
        false
    }

    /// Steps a batch, writes what comes of it and settles; `false` where the output log takes nothing.
    fn judge(&mut self, batch: &[Record]) -> bool {
        self.shared.wait_while_paused();
        self.out.clear();
        self.places.clear();
        let metrics = &self.shared.metrics;
        let (mut began, mut current) = (Instant::now(), None);
        let mut note = |next: Option<Phase>| {
            let now = Instant::now();
            if let Some(phase) = std::mem::replace(&mut current, next) {
                metrics.engine_step_seconds.with_label_values(&[Phase::name(phase)]).observe((now - began).as_secs_f64());
            }
            began = now;
        };
        if let Err(cause) = self.shared.policies.prepare(&mut self.engine, batch) {
            self.shared.stop(format!("judging has stopped: {cause}"));
            error!(%cause, "judging has stopped: a policy or a model cannot be read");
            return false;
        }
        let model = self.engine.provenance().model;
        self.engine.step(batch, &mut |phase: Phase| note(Some(phase)), &mut self.out);
        note(None);
        if self.engine.provenance().model != model {
            show_change(metrics, model, self.engine.provenance().model);
        }
        self.measure(batch);
        for output in &self.out {
            match self.outputs.append(output) {
                Ok(place) => self.places.push(place),
                Err(cause) => return self.fail(&cause),
            }
        }
        if let Err(cause) = self.outputs.commit() {
            return self.fail(&cause);
        }
        let (out, places) = (std::mem::take(&mut self.out), std::mem::take(&mut self.places));
        let mut outputs = out.iter().zip(&places).peekable();
        for record in batch {
            let output = outputs.next_if(|(output, _)| output.sequence() == record.sequence && !matches!(output, Output::Alert(_)));
            while outputs.next_if(|(output, _)| output.sequence() == record.sequence).is_some() {}
            self.settle(record, output);
            let refused = matches!(output, Some((Output::Rejected(_), _)));
            // An admitted erasure gives no output, and neither does one that came again.
            let first = |event| output.is_none() && self.engine.is_first(event, record.sequence);
            if let Some(consequence) = self.erasures.after(record, refused, first) {
                // The namer has ended only where nothing is recorded any more.
                let _ = self.consequences.send(consequence);
            }
        }
        self.shared.topics.decided(out.iter().filter(|output| matches!(output, Output::Decision(_))).map(Output::sequence));
        (self.out, self.places) = (out, places);
        let last = batch.last().expect("a batch has a record");
        self.shared.answers.forget(self.engine.now(), self.shared.options.dedupe);
        self.publish_checkpoints();
        self.publish_alerts();
        self.shared.judged.store(last.sequence.0 + 1, Ordering::Release);
        self.unsettled.retain(|unsettled| !unsettled.ticket.is_unrecorded());
        let settled = self.unsettled.first().map_or(last.sequence.0 + 1, |unsettled| unsettled.sequence);
        self.shared.settled.store(settled, Ordering::Release);
        if let Some((lost, device)) = self.engine.take_lost() {
            let_go(device);
            self.tell_lost(&lost);
        }
        self.watcher.watch(&self.engine, batch, &self.out);
        true
    }

    /// Says and records that the device is lost. The step was done all the same, on the CPU, and has been answered.
    fn tell_lost(&mut self, lost: &DeviceLost) {
        tell_lost(&self.shared.metrics, &self.device, &lost.why);
        let why = format!("{} is lost: {}", self.device, lost.why);
        self.device = CPU.to_owned();
        let blobs = Blobs::open(self.files.clone(), &self.shared.dir.join("blobs"));
        match blobs.and_then(|blobs| blobs.put(&told(CPU, &why))) {
            // The recorder waits for nobody here, so there will be room; where it has ended, nothing is recorded any more.
            Ok(blob) => drop(self.to_recorder.send(Submission::Backend(blob))),
            Err(cause) => warn!(%cause, "that the device is lost cannot be recorded; it decides nothing"),
        }
    }

    /// Gives those of the last steps to whoever sends the journal to a standby.
    fn publish_checkpoints(&self) {
        let latest = self.engine.checkpoints().next_back();
        if latest.is_some_and(|latest| latest.sequence.0 > self.shared.judged.load(Ordering::Relaxed)) {
            *self.shared.checkpoints.lock().expect("nobody panics with it") = self.engine.checkpoints().collect();
            self.shared.more.notify_waiters();
        }
    }

    fn measure(&self, batch: &[Record]) {
        let (metrics, graph) = (&self.shared.metrics, self.engine.graph());
        metrics.engine_batch_events.observe(batch.len() as f64);
        for record in batch {
            let word = match &record.content {
                Content::Event(event) => event.body.kind().name(),
                Content::Refused(_) => "refused",
                Content::Control(_) | Content::Listed(_) => "control",
                Content::Tick(_) => "tick",
                Content::Lag(_) => "lag",
                Content::Waiting(_) => "waiting",
                Content::Answered(_) => "answered",
            };
            metrics.engine_records_total.with_label_values(&[word]).inc();
        }
        self.tell_turns();
        for output in &self.out {
            if let Output::Rejected(rejected) = output {
                metrics.engine_rejected_total.with_label_values(&[rejected.refused.reason.code()]).inc();
            }
        }
        metrics.engine_stream_time_seconds.set(self.engine.now().0 as f64 / 1e6);
        metrics.graph_nodes.set(graph.nodes.len() as i64);
        for family in Family::ALL {
            metrics.graph_rows.with_label_values(&[family.name()]).set(graph.rings[family as usize].len() as i64);
        }
    }

    /// Says which causes of the policy trip the guard, meet an attack, or are trusted again.
    fn tell_turns(&self) {
        for turn in self.engine.guard_turns() {
            self.shared.metrics.guard_turns_total.with_label_values(&[turn.kind.name(), turn.to.name()]).inc();
            // The log is read by many; AML hears of it by an alert.
            if turn.kind == Kind::Aml {
                continue;
            }
            let texts = self.shared.policies.texts(&turn.policy);
            let cause = turn.cause.map_or("all declines".to_owned(), |cause| texts.cause(i64::from(cause), View::Public));
            let (of, policy, sequence) = (turn.of.name(), hex(&turn.policy), turn.sequence.0);
            let (declines, judged) = (turn.declines, turn.judged);
            match turn.to {
                Standing::Trusted => info!(cause, of, policy, sequence, "the guard trusts it again"),
                Standing::Attacked => warn!(cause, of, policy, sequence, declines, judged, "a concentrated wave is declined: an attack"),
                Standing::YieldsToPredecessor | Standing::YieldsToChallenge => {
                    warn!(
                        cause,
                        of,
                        policy,
                        sequence,
                        declines,
                        judged,
                        to = turn.to.name(),
                        "so much is declined of a sudden that it yields"
                    );
                }
            }
        }
    }

    fn settle(&mut self, record: &Record, output: Option<(&Output, &Place)>) {
        match (&record.content, output) {
            (Content::Answered(answered), output) => {
                if let Some((Output::Decision(decision), place)) = output {
                    self.shared.answers.note(decision, answered.fingerprint, *place);
                    self.shared.count_answer(decision);
                }
                self.unsettled.retain(|unsettled| unsettled.event != answered.event);
                self.shared.tickets.remove_if(&answered.event, |_, ticket| ticket.reply().is_some());
            }
            (Content::Event(event), Some((Output::Decision(decision), place))) => {
                self.shared.answers.note(decision, event.fingerprint(), *place);
                self.shared.news.note(event, decision);
                self.reply(decision);
            }
            (Content::Event(event), Some((Output::Rejected(rejected), _))) => {
                let reply = match rejected.refused.reason {
                    Refusal::IdConflict => Reply::Conflict,
                    _ => Reply::Refused(rejected.refused),
                };
                self.close(event.id, event.fingerprint(), reply);
            }
            (Content::Event(event), None) => match &event.body {
                // It came again: its answer stands.
                Body::Payment(_) | Body::Transfer(_) => {
                    if let Some(known) = self.shared.answers.get(event.id)
                        && self.shared.tickets.contains_key(&event.id)
                        && let Ok(decision) = self.shared.answers.read(event.id, known)
                    {
                        self.close(event.id, event.fingerprint(), Reply::Decision(Box::new(decision)));
                    }
                }
                // For the first time or again: what it says stands.
                Body::PaymentResult(_) => self.close(event.id, event.fingerprint(), Reply::Taken),
                _ => {}
            },
            _ => {}
        }
    }

    /// The judgement is there: it is the answer, unless the timer was faster.
    fn reply(&mut self, decision: &Decision) {
        let Some(ticket) = self.shared.tickets.get(&decision.event).map(|ticket| ticket.clone()) else { return };
        if ticket.claim(Winner::Judge) {
            self.shared.count_answer(decision);
            ticket.settle(Reply::Decision(Box::new(*decision)));
            self.shared.tickets.remove(&decision.event);
        } else if ticket.reply().is_none() {
            self.unsettled.push(Unsettled { sequence: decision.sequence.0, event: decision.event, ticket });
        }
    }

    /// Settles the ticket of this very event, if there is one that nobody has claimed.
    fn close(&self, event: crate::event::Id, fingerprint: u64, reply: Reply) {
        let ticket = self.shared.tickets.get(&event).map(|ticket| ticket.clone());
        if let Some(ticket) = ticket.filter(|ticket| ticket.fingerprint == fingerprint)
            && ticket.claim(Winner::Judge)
        {
            ticket.settle(reply);
            self.shared.tickets.remove(&event);
        }
    }
}
