//! Message passing for the batch: which model is in force, and what it says of each event that was gathered.

use super::Engine;
use super::batch::{Batch, Seed};
use crate::decision::{Part, Skip, Why};
use crate::event::{Content, ControlKind, Effort, EventType, Record};
use crate::feature::double;
use crate::gnn::{Bound, Score, SeedView};
use std::sync::Arc;

/// A model bound to the engine's inputs, under the name by which control records and decisions call it: the first 128 bits of its file's
/// SHA-256.
#[derive(Clone, Debug)]
pub struct NamedModel {
    pub name: [u8; 16],
    pub model: Arc<Bound>,
}

/// A seed, the words of its feature columns, and where its score goes.
type Judging<'a> = ((&'a Seed, &'a mut [u64]), &'a mut Option<Score>);

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
        self.models.iter().any(|known| known.name == *name)
    }

    /// Puts the model that a record names in force from here on.
    pub(super) fn swap_model(&mut self, name: [u8; 16]) {
        let known = self.models.iter().find(|known| known.name == name).cloned();
        let new = known.expect("the runtime prepares a model before the record that names it");
        self.provenance.model = Some(new.name);
        self.model = Some(new.model);
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

    /// Asks the model for every seed that it may judge, and writes what it says where rules read it. It only reads what was gathered, so
    /// threads share it.
    pub(super) fn infer(&mut self) {
        let Engine { model: Some(model), pool, layout, batch, .. } = self else { return };
        let (width, at) = (layout.schema.len(), layout.probability);
        let Batch { seeds, features, egos, scores, .. } = batch;
        scores.resize(seeds.len(), None);
        let judge = |(number, ((seed, row), score)): (usize, Judging<'_>)| {
            *score = match seed.used.contains(Part::Gnn) {
                true => model.score(SeedView { kind: seed.kind, row, egos, seed: number }),
                false => None,
            };
            if let Some(score) = score {
                row[at] = double(f64::from(score.probability));
            }
        };
        match pool {
            Some(pool) if seeds.len() >= 2 * SHARE_MIN => pool.install(|| {
                use rayon::prelude::*;
                let rows = features.par_chunks_exact_mut(width);
                seeds.par_iter().zip(rows).zip(scores.par_iter_mut()).enumerate().with_min_len(SHARE_MIN).for_each(judge);
            }),
            _ => seeds.iter().zip(features.chunks_exact_mut(width)).zip(scores.iter_mut()).enumerate().for_each(judge),
        }
    }
}

/// The model that a record names, if it is one that does.
pub(super) fn named_model(record: &Record) -> Option<[u8; 16]> {
    match &record.content {
        Content::Control(control) if control.kind == ControlKind::Model => control.blob.first_chunk().copied(),
        _ => None,
    }
}
