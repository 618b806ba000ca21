//! The monitor: one thread behind the decisions that looks at the models. It asks the shadow what it would have said, compares scores and
//! figures with what the model met where it was made, and judges the model by the labels that come in. Nothing of it reaches the engine.

use super::Shared;
use super::watching::{Judgement, Labelling, Shown};
use crate::decision::Decision;
use crate::engine::{NO_MODEL, NamedModel};
use crate::evaluate::{Drift, Matured, Maturing};
use crate::event::{Duration, EventType, LabelSource, Timestamp, Verdict};
use crate::gnn::{Bound, Inputs, SeedView};
use crate::graph::ego::SEED_SLOTS;
use crate::journal::hex;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, warn};

/// The types of events that models judge.
const KINDS: [EventType; 2] = [EventType::Payment, EventType::Transfer];
/// Where no rule of the policy draws a line through the probabilities.
const THRESHOLD: f64 = 0.5;
/// Between two looks at what has come together.
const TOLD_EVERY: Wall = Wall::from_secs(1);
/// The record of the shadow's scores goes on in a new file at this size; the one before it stays.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// A model that says what it would have said.
pub(super) struct Shadow {
    pub name: [u8; 16],
    pub model: Arc<Bound>,
    log: ShadowLog,
}

impl Shadow {
    /// The shadow `named`, whose scores are recorded in `dir`.
    ///
    /// # Errors
    /// Where the record cannot be opened.
    pub(super) fn new(named: NamedModel, dir: &Path) -> io::Result<Shadow> {
        Ok(Shadow { name: named.name, model: named.model, log: ShadowLog::open(&dir.join("shadow.jsonl"))? })
    }
}

/// What was said of an event, and what the shadow says.
#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    event: &'a str,
    r#type: &'a str,
    time: &'a str,
    model: Option<&'a str>,
    probability: Option<f32>,
    shadow: &'a str,
    /// `None` where it is no number.
    shadow_probability: Option<f32>,
}

/// Lines of JSON, so many bytes of them at most, twice.
struct ShadowLog {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl ShadowLog {
    fn open(path: &Path) -> io::Result<ShadowLog> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(ShadowLog { path: path.to_owned(), file: BufWriter::new(file), bytes })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        if self.bytes >= LOG_BYTES_MAX {
            self.file.flush()?;
            std::fs::rename(&self.path, self.path.with_extension("1.jsonl"))?;
            *self = ShadowLog::open(&self.path)?;
        }
        self.bytes += line.len() as u64 + 1;
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")
    }
}

/// What is known of the model in force.
struct Watched {
    model: [u8; 16],
    policy: [u8; 16],
    /// Stream time.
    now: Timestamp,
    /// By kind: its thresholds, and how the model does at them.
    maturing: [Maturing; 2],
    drifts: Vec<Drifting>,
}

/// A figure that is compared with the reference.
struct Drifting {
    of: EventType,
    figure: String,
    /// Its place among the inputs; `None`: the score.
    input: Option<usize>,
    drift: Drift,
}

/// The monitor's own things.
pub(super) struct Monitor {
    shared: Arc<Shared>,
    inputs: Inputs,
    shadow: Option<Shadow>,
    watched: Option<Watched>,
    /// One event's inputs.
    values: Vec<f32>,
    told: Instant,
    /// Whether the record of the shadow has failed, and that was said.
    failed: bool,
}

impl Monitor {
    pub(super) fn new(shared: Arc<Shared>, inputs: Inputs, shadow: Option<Shadow>) -> Monitor {
        let values = vec![0.0; inputs.len()];
        Monitor { shared, inputs, shadow, watched: None, values, told: Instant::now(), failed: false }
    }

    /// Looks at what is shown until the judge has ended, and gives the boxes back.
    pub(super) fn run(mut self, shown: &Receiver<Box<Shown>>, free: &Sender<Box<Shown>>) {
        loop {
            match shown.recv_timeout(TOLD_EVERY) {
                Ok(seen) => {
                    self.look(&seen);
                    // The judge may have ended.
                    let _ = free.try_send(seen);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.told.elapsed() >= TOLD_EVERY {
                self.told = Instant::now();
                self.tell();
            }
        }
    }

    fn look(&mut self, shown: &Shown) {
        self.attend(shown);
        let width = if shown.judged.is_empty() { 0 } else { shown.rows.len() / shown.judged.len() };
        for (seed, judgement) in shown.judged.iter().enumerate() {
            // An end does not wait for a shadow.
            if self.shared.is_closing() {
                return;
            }
            let row = (width > 0).then(|| &shown.rows[seed * width..][..width]);
            self.meet(shown, seed, judgement, row);
            if let (Some(row), Some(_)) = (row, &self.shadow) {
                self.ask_shadow(shown, seed, judgement, row);
            }
        }
        for labelling in &shown.labels {
            self.mature(shown, labelling);
        }
        if let Some(shadow) = &mut self.shadow
            && let Err(cause) = shadow.log.file.flush()
        {
            self.log_failed(&cause);
        }
    }

    /// Begins anew where another model is in force, or a policy that draws other lines.
    fn attend(&mut self, shown: &Shown) {
        let Shown { model, policy, now, .. } = *shown;
        if let Some(watched) = &mut self.watched
            && watched.model == model
        {
            watched.now = now;
            if watched.policy != policy {
                watched.policy = policy;
                for (maturing, thresholds) in watched.maturing.iter_mut().zip(thresholds(&self.shared, &policy)) {
                    if maturing.thresholds() != thresholds {
                        *maturing = Maturing::new(&thresholds, self.shared.options.dedupe);
                        // What is still so is told again.
                        self.shared.metrics.model_precision.reset();
                        self.shared.metrics.model_recall.reset();
                    }
                }
            }
            return;
        }
        let metrics = &self.shared.metrics;
        metrics.model_drift_psi.reset();
        metrics.model_precision.reset();
        metrics.model_recall.reset();
        let mut drifts = Vec::new();
        let named = self.shared.policies.models.named(&model).ok().flatten();
        for kind in KINDS {
            let branch = named.as_ref().and_then(|named| named.model.model().branch(kind));
            let Some(reference) = branch.and_then(|branch| branch.reference.as_ref()) else { continue };
            drifts.push(Drifting { of: kind, figure: "score".to_owned(), input: None, drift: Drift::new(&reference.score) });
            for (name, spread) in &reference.figures {
                if let Some(input) = self.inputs.names().iter().position(|known| known == name) {
                    drifts.push(Drifting { of: kind, figure: name.clone(), input: Some(input), drift: Drift::new(spread) });
                }
            }
        }
        let maturing = thresholds(&self.shared, &policy).map(|thresholds| Maturing::new(&thresholds, self.shared.options.dedupe));
        self.watched = Some(Watched { model, policy, now, maturing, drifts });
    }

    /// Takes note of a score, and of the figures that it came from.
    fn meet(&mut self, shown: &Shown, seed: usize, judgement: &Judgement, row: Option<&[u64]>) {
        let (Some(watched), Some(probability)) = (&mut self.watched, judgement.probability) else { return };
        watched.maturing[lane(judgement.kind)].judged(judgement.time, f64::from(probability));
        if watched.drifts.iter().all(|drifting| drifting.of != judgement.kind) {
            return;
        }
        let Some(row) = row else { return };
        self.inputs.fill(row, &shown.egos.own_features()[seed * SEED_SLOTS..][..SEED_SLOTS], &mut self.values);
        for drifting in watched.drifts.iter_mut().filter(|drifting| drifting.of == judgement.kind) {
            drifting.drift.meet(drifting.input.map_or(probability, |input| self.values[input]));
        }
    }

    /// Asks the shadow, compares and records what it says.
    fn ask_shadow(&mut self, shown: &Shown, seed: usize, judgement: &Judgement, row: &[u64]) {
        let Some(shadow) = &mut self.shadow else { return };
        let delay = self.shared.shadow_delay.load(Ordering::Relaxed);
        if delay > 0 {
            std::thread::sleep(Wall::from_micros(delay));
        }
        let Judgement { event, kind, sequence, time, probability } = *judgement;
        let Some(score) = shadow.model.score(SeedView { kind, row, egos: &shown.egos, seed }) else { return };
        let metrics = &self.shared.metrics;
        // Of a logit that is no number the probability would be one all the same.
        let said = Some(score.probability).filter(|_| score.logit.is_finite());
        match said {
            None => metrics.model_shadow_invalid_total.inc(),
            Some(said) => {
                if let Some(probability) = probability {
                    metrics.model_shadow_difference.observe(f64::from((said - probability).abs()));
                }
                let thresholds = self.watched.as_ref().map_or(&[][..], |watched| watched.maturing[lane(kind)].thresholds());
                for threshold in thresholds {
                    let reached = |probability: f32| f64::from(probability) >= *threshold;
                    let by = match (probability.is_some_and(reached), reached(said)) {
                        (true, true) => "both",
                        (true, false) => "serving",
                        (false, true) => "shadow",
                        (false, false) => "neither",
                    };
                    metrics.model_shadow_compared_total.with_label_values(&[kind.name(), &threshold.to_string(), by]).inc();
                }
            }
        }
        let model = (shown.model != NO_MODEL).then(|| hex(&shown.model));
        let line = Line {
            sequence: sequence.0,
            event: &format!("{:032x}", event.bits()),
            r#type: kind.name(),
            time: &time.to_string(),
            model: model.as_deref(),
            probability,
            shadow: &hex(&shadow.name),
            shadow_probability: said,
        };
        let line = serde_json::to_string(&line).expect("numbers and texts are JSON");
        if let Err(cause) = shadow.log.line(&line) {
            self.log_failed(&cause);
        }
    }

    fn log_failed(&mut self, cause: &io::Error) {
        if !std::mem::replace(&mut self.failed, true) {
            error!(%cause, "what the shadow says cannot be recorded; it is counted all the same");
        }
    }

    /// Judges the model by a label of what it judged.
    fn mature(&mut self, shown: &Shown, labelling: &Labelling) {
        let Some(watched) = &mut self.watched else { return };
        let label = &labelling.label;
        let Some(target) = &label.resolved else { return };
        let bad = |verdict: Verdict| verdict != Verdict::Legitimate;
        let stood = target.standing.filter(|(_, source): &(Verdict, LabelSource)| *source <= label.source);
        let change = i32::from(bad(label.verdict)) - i32::from(target.standing.is_some_and(|(verdict, _)| bad(verdict)));
        // A stronger word stands, or it says the same again.
        if (target.standing.is_some() && stood.is_none()) || change == 0 {
            return;
        }
        match answered(&self.shared, label.target) {
            Some(Decision { provenance, probability: Some(probability), time, kind, .. }) if provenance.model == Some(shown.model) => {
                let delay = Duration((labelling.time - time).0.max(0));
                watched.maturing[lane(kind)].labelled(time, delay, f64::from(probability), change > 0);
            }
            // Another model's, or a stand-in's.
            Some(_) => {}
            None => self.shared.metrics.model_unmatched_labels_total.inc(),
        }
    }

    /// Shows what has come together.
    fn tell(&self) {
        let Some(watched) = &self.watched else { return };
        let metrics = &self.shared.metrics;
        for Drifting { of, figure, drift, .. } in &watched.drifts {
            if let Some(index) = drift.index() {
                metrics.model_drift_psi.with_label_values(&[of.name(), figure]).set(index);
            }
        }
        for (kind, maturing) in KINDS.iter().zip(&watched.maturing) {
            for (delay, threshold, Matured { precision, recall }) in maturing.figures(watched.now) {
                let labels = [kind.name(), &threshold.to_string(), &delay.to_string()];
                for (gauges, figure) in [(&metrics.model_precision, precision), (&metrics.model_recall, recall)] {
                    if let Some(figure) = figure {
                        gauges.with_label_values(&labels).set(figure);
                    }
                }
            }
        }
    }
}

/// By kind, the probabilities at which rules of the policy draw a line.
fn thresholds(shared: &Shared, policy: &[u8; 16]) -> [Vec<f64>; 2] {
    let drawn = shared.policies.get(policy).map(|known| known.thresholds).unwrap_or_else(|cause| {
        warn!(%cause, "a policy's thresholds cannot be read");
        Arc::default()
    });
    KINDS.map(|kind| {
        let mut of: Vec<f64> = drawn.iter().filter(|(of, _)| *of == kind).map(|(_, threshold)| *threshold).collect();
        of.sort_by(f64::total_cmp);
        of.dedup();
        if of.is_empty() { vec![THRESHOLD] } else { of }
    })
}

fn answered(shared: &Shared, event: crate::event::Id) -> Option<Decision> {
    shared.answers.read(event, shared.answers.get(event)?).ok()
}

/// The place of what is kept by kind.
fn lane(kind: EventType) -> usize {
    usize::from(kind == EventType::Transfer)
}
