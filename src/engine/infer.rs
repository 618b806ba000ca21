//! Message passing for the batch: which model is in force, and what it says of each event that was gathered.

use super::Engine;
use super::batch::{Batch, Seed};
use crate::decision::{Part, Skip, Why};
use crate::event::{Content, ControlKind, Effort, EventType, Record};
use crate::feature::double;
use crate::gnn::{Backend, Bound, DeviceLost, Score, SeedBatch, SeedView};
use std::sync::Arc;

/// A model bound to the engine's inputs, under the name by which control records and decisions call it: the first 128 bits of its file's
/// SHA-256.
#[derive(Clone, Debug)]
pub struct NamedModel {
    pub name: [u8; 16],
    pub model: Arc<Bound>,
}

/// The name by which a control record says that no model is to be in force.
pub const NO_MODEL: [u8; 16] = [0; 16];

/// A seed, the words of its feature columns, and where its score goes.
type Judging<'a> = ((&'a mut Seed, &'a mut [u64]), &'a mut Option<Score>);

/// Events that one thread infers at least, where several are allowed.
const SHARE_MIN: usize = 32;

impl Engine {
    /// Gives the engine a model, bound to its inputs, that a record to come may name.
    pub fn prepare_model(&mut self, model: NamedModel) {
        if !self.knows_model(&model.name) {
            self.models.push(model);
        }
    }

    /// Whether a record that names this model can be stepped.
    pub fn knows_model(&self, name: &[u8; 16]) -> bool {
        *name == NO_MODEL || self.models.iter().any(|known| known.name == *name)
    }

    /// The model that was in force before the one that is; [`NO_MODEL`] where none was.
    pub fn model_before(&self) -> [u8; 16] {
        self.model_before
    }

    /// Puts a fresh engine under the model of a snapshot that it is to be filled from; `before` is the name of the one before it.
    pub fn put_model_in_force(&mut self, model: Option<NamedModel>, before: [u8; 16]) {
        model.iter().for_each(|model| self.prepare_model(model.clone()));
        self.provenance.model = model.as_ref().map(|model| model.name);
        self.model = model.map(|model| model.model);
        self.model_before = before;
    }

    /// Puts the model that a record names in force from here on: with [`NO_MODEL`] none.
    pub(super) fn swap_model(&mut self, name: [u8; 16]) {
        let old = self.provenance.model.unwrap_or(NO_MODEL);
        if name == old {
            return;
        }
        let model = (name != NO_MODEL).then(|| {
            let known = self.models.iter().find(|known| known.name == name).cloned();
            known.expect("the runtime prepares a model before the record that names it")
        });
        self.put_model_in_force(model, old);
    }

    /// Whether the model judges an event of this type at this effort; else why not.
    pub(super) fn may_infer(&self, kind: EventType, effort: Effort) -> Result<(), Skip> {
        let skip = |why| Skip { part: Part::Gnn, why, value: 0, window: 0 };
        match &self.model {
            Some(model) if model.judges(kind) => match effort {
                Effort::NoGnn | Effort::RulesOnly => Err(skip(Why::Effort)),
                Effort::Full | Effort::NoExplanation | Effort::NoTypologies => Ok(()),
            },
            _ => Err(skip(Why::NoModel)),
        }
    }

    /// Hands forward passes to a backend, of batches with at least `seeds_min` seeds that the model is asked about; the others run on the CPU, as
    /// all do without one.
    pub fn put_backend(&mut self, backend: Box<dyn Backend>, seeds_min: usize) {
        self.backend = Some((backend, seeds_min));
    }

    /// The backend that was lost, and why, given once: what it was asked for and everything since was done on the CPU. Dropping it may take
    /// its driver long; the engine leaves that to others.
    pub fn take_lost(&mut self) -> Option<(DeviceLost, Box<dyn Backend>)> {
        self.lost.take()
    }

    /// The blob of the newest record that says where forward passes run; `None` where no record has.
    pub fn backend_told(&self) -> Option<[u8; 32]> {
        self.backend_told
    }

    /// Asks the model for every seed that it may judge, and writes what it says where rules read it.
    pub(super) fn infer(&mut self) {
        let Some(model) = self.model.clone() else { return };
        self.batch.scores.resize(self.batch.seeds.len(), None);
        if self.forward(&model) {
            let (width, at) = (self.layout.schema.len(), self.layout.probability);
            let Batch { seeds, features, scores, .. } = &mut self.batch;
            let rows = features.chunks_exact_mut(width);
            seeds.iter_mut().zip(rows).zip(scores).for_each(|((seed, row), score)| note(seed, &mut row[at], score));
        } else {
            self.forward_here(&model);
        }
    }

    /// Asks the backend for the scores of all seeds; `false` where there is none, or none any more, or not for so few: then nothing was done.
    /// Of each batch one seed is judged here as well: a device whose bits are others is none to be relied on.
    fn forward(&mut self, model: &Arc<Bound>) -> bool {
        let Some((backend, seeds_min)) = &mut self.backend else { return false };
        let Batch { seeds, features, egos, judged, scores, .. } = &mut self.batch;
        judged.clear();
        judged.extend(seeds.iter().map(|seed| seed.used.contains(Part::Gnn).then_some(seed.kind)));
        if judged.iter().flatten().count() < (*seeds_min).max(1) {
            return false;
        }
        let batch = SeedBatch { judged, rows: features, width: self.layout.schema.len(), egos };
        let lost = match backend.forward(model, batch, scores) {
            Ok(()) if batch.holds_what_the_cpu_says(model, scores) => return true,
            Ok(()) => DeviceLost { why: "it gives other bits than the CPU".to_owned() },
            Err(lost) => lost,
        };
        self.lost = self.backend.take().map(|(backend, _)| (lost, backend));
        false
    }

    /// As [`Engine::forward`], on the CPU. It only reads what was gathered, so threads share it.
    fn forward_here(&mut self, model: &Bound) {
        let Engine { pool, layout, batch, .. } = self;
        let (width, at) = (layout.schema.len(), layout.probability);
        let Batch { seeds, features, egos, scores, .. } = batch;
        let judge = |(number, ((seed, row), score)): (usize, Judging<'_>)| {
            *score = match seed.used.contains(Part::Gnn) {
                true => model.score(SeedView { kind: seed.kind, row, egos, seed: number }),
                false => None,
            };
            note(seed, &mut row[at], score);
        };
        match pool {
            Some(pool) if seeds.len() >= 2 * SHARE_MIN => pool.install(|| {
                use rayon::prelude::*;
                let rows = features.par_chunks_exact_mut(width);
                seeds.par_iter_mut().zip(rows).zip(scores.par_iter_mut()).enumerate().with_min_len(SHARE_MIN).for_each(judge);
            }),
            _ => seeds.iter_mut().zip(features.chunks_exact_mut(width)).zip(scores.iter_mut()).enumerate().for_each(judge),
        }
    }
}

/// Writes what the model says of a seed where rules read it; what is no number is not said.
fn note(seed: &mut Seed, probability: &mut u64, score: &mut Option<Score>) {
    match score {
        Some(said) if !said.logit.is_finite() => {
            *score = None;
            if seed.kind == EventType::Transfer {
                // That its probability of laundering is no number says something of it.
                seed.no_number = true;
                return;
            }
            seed.used = seed.used.without(Part::Gnn);
            seed.skips.push(Skip { part: Part::Gnn, why: Why::NoNumber, value: 0, window: 0 });
        }
        Some(said) => *probability = double(f64::from(said.probability)),
        None => {}
    }
}

/// The model that a record names, if it is one that does.
pub(super) fn named_model(record: &Record) -> Option<[u8; 16]> {
    match &record.content {
        Content::Control(control) if control.kind == ControlKind::Model => control.blob.first_chunk().copied(),
        _ => None,
    }
}
