//! What the judge shows of its judgements to the monitor, which looks at the models: copies, made behind the answers, in boxes that go round.
//!
//! The judge never waits for the monitor. Where no box is free what was judged is not shown, and counted.

use super::Shared;
use crate::decision::{Part, Provenance, Skip, Why};
use crate::engine::{Engine, NO_MODEL, Output};
use crate::event::{Body, Content, EventType, Id, Label, Record, Sequence, Timestamp};
use crate::graph::ego::EgoBatch;
use crossbeam::channel::{Receiver, Sender};
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use tracing::warn;

/// Boxes that go round, and judged events of each.
pub(super) const BOXES: usize = 16;
pub(super) const BOX_EVENTS: usize = 256;
/// So many judged events are shown at once, unless some have waited for so long.
const SHOWN_AT_ONCE: usize = 64;
const SHOWN_AFTER: Wall = Wall::from_millis(20);
/// That judged events are not shown is said this often.
const SAID_EVERY: Wall = Wall::from_secs(60);

/// A judged event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judgement {
    pub event: Id,
    pub kind: EventType,
    pub sequence: Sequence,
    pub time: Timestamp,
    pub probability: Option<f32>,
}

/// A label that came.
#[derive(Clone, Debug)]
pub(super) struct Labelling {
    pub time: Timestamp,
    pub label: Label,
}

/// What was judged by one model under one policy, in order.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The model in force, [`NO_MODEL`] where none was; and the policy.
    pub model: [u8; 16],
    pub policy: [u8; 16],
    /// Stream time behind them.
    pub now: Timestamp,
    pub judged: Vec<Judgement>,
    /// Feature rows and neighbourhoods of all of them, or of none.
    pub rows: Vec<u64>,
    pub egos: EgoBatch,
    pub labels: Vec<Labelling>,
}

impl Shown {
    fn clear(&mut self) {
        self.judged.clear();
        self.rows.clear();
        self.egos.clear();
        self.labels.clear();
    }

    /// Bytes of a full box.
    pub(super) fn bytes_max(columns: usize) -> usize {
        BOX_EVENTS * (size_of::<Judgement>() + size_of::<Labelling>() + columns * size_of::<u64>() + EgoBatch::SEED_BYTES_MAX)
    }
}

/// The judge's side.
pub(super) struct Watcher {
    pub(super) shared: Arc<Shared>,
    /// Whether a shadow looks at every event.
    pub(super) shadowed: bool,
    pub(super) to_monitor: Sender<Box<Shown>>,
    pub(super) free: Receiver<Box<Shown>>,
    /// The box being filled, and since when.
    held: Option<(Box<Shown>, Instant)>,
    /// The model that was asked about last, and whether its figures are compared with a reference.
    pictured: ([u8; 16], bool),
    said: Option<Instant>,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, shadowed: bool, to_monitor: Sender<Box<Shown>>, free: Receiver<Box<Shown>>) -> Watcher {
        Watcher { shared, shadowed, to_monitor, free, held: None, pictured: (NO_MODEL, false), said: None }
    }

    /// Shows what the last step judged, and the labels that it took.
    pub(super) fn watch(&mut self, engine: &Engine, batch: &[Record], outputs: &[Output]) {
        let mut rows = engine.judged_rows().enumerate().peekable();
        let mut missed = 0;
        for output in outputs {
            let Output::Decision(decision) = output else { continue };
            let Provenance { model, policy, .. } = decision.provenance;
            // A stand-in's answer, and one for which no neighbourhood was gathered, say nothing of a model.
            let spared = |skip: &Skip| (skip.part, skip.why) == (Part::Gnn, Why::Effort);
            let unasked = decision.is_stand_in() || decision.skipped.as_slice().iter().any(spared);
            if unasked || (model.is_none() && !self.shadowed) {
                continue;
            }
            let model = model.unwrap_or(NO_MODEL);
            // Of a step in which another model or policy came into force only the last part's rows are there.
            while rows.next_if(|(_, (sequence, _))| *sequence < decision.sequence).is_some() {}
            let row = rows.next_if(|(_, (sequence, _))| *sequence == decision.sequence);
            let whole = self.shadowed || self.is_pictured(model);
            let judgement = Judgement {
                event: decision.event,
                kind: decision.kind,
                sequence: decision.sequence,
                time: decision.time,
                probability: decision.probability,
            };
            let shown = row.and_then(|(seed, (_, row))| {
                let shown = self.room(model, policy, engine.now())?;
                shown.judged.push(judgement);
                if whole {
                    shown.rows.extend_from_slice(row);
                    shown.egos.push_copy(engine.egos(), seed);
                }
                Some(())
            });
            missed += u64::from(shown.is_none());
        }
        self.show_labels(engine, batch, outputs);
        if missed > 0 {
            self.missed(missed);
        }
        self.show(false);
    }

    fn show_labels(&mut self, engine: &Engine, batch: &[Record], outputs: &[Output]) {
        let Provenance { model: Some(model), policy, .. } = engine.provenance() else { return };
        for record in batch {
            let Content::Event(event) = &record.content else { continue };
            let Body::Label(label) = &event.body else { continue };
            // An admitted label has no output of its own but alerts.
            let own = &outputs[outputs.partition_point(|output| output.sequence() < record.sequence)..];
            if own.first().is_some_and(|output| output.sequence() == record.sequence && matches!(output, Output::Rejected(_))) {
                continue;
            }
            if let Some(shown) = self.room(model, policy, engine.now()) {
                shown.labels.push(Labelling { time: event.time, label: label.clone() });
            } else {
                self.shared.metrics.model_unmatched_labels_total.inc();
            }
        }
    }

    /// Shows what is held, where it has waited long enough.
    pub(super) fn show(&mut self, all: bool) {
        let due = |(shown, since): &mut (Box<Shown>, Instant)| {
            all || shown.judged.len() + shown.labels.len() >= SHOWN_AT_ONCE || since.elapsed() >= SHOWN_AFTER
        };
        if let Some((shown, _)) = self.held.take_if(due) {
            // There is a place for every box; the monitor is gone only where it has panicked.
            let _ = self.to_monitor.try_send(shown);
        }
    }

    /// The box for what was judged by this model under this policy, where one is free.
    fn room(&mut self, model: [u8; 16], policy: [u8; 16], now: Timestamp) -> Option<&mut Shown> {
        let fits = |shown: &Shown| {
            (shown.model, shown.policy) == (model, policy) && shown.judged.len() < BOX_EVENTS && shown.labels.len() < BOX_EVENTS
        };
        if self.held.as_ref().is_some_and(|(shown, _)| !fits(shown)) {
            self.show(true);
        }
        if self.held.is_none() {
            let mut shown = self.free.try_recv().ok()?;
            shown.clear();
            (shown.model, shown.policy) = (model, policy);
            self.held = Some((shown, Instant::now()));
        }
        let (shown, _) = self.held.as_mut().expect("it is there now");
        shown.now = now;
        Some(shown)
    }

    fn is_pictured(&mut self, model: [u8; 16]) -> bool {
        if self.pictured.0 != model {
            let named = self.shared.policies.models.named(&model).ok().flatten();
            self.pictured = (model, named.is_some_and(|named| named.model.model().has_reference()));
        }
        self.pictured.1
    }

    fn missed(&mut self, count: u64) {
        self.shared.metrics.model_unwatched_total.inc_by(count);
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            warn!(count, "judged events are not looked at by the monitor of models: it is behind, or a model was changed among them");
        }
    }
}
