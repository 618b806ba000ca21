//! A model bound to an engine's inputs: every name found, tables laid out for the forward pass.

use super::file::ModelError;
use super::input::{Inputs, Source};
use super::model::{Branch, HIDDEN, Model, PIECES_MAX};
use crate::event::EventType;

/// A model whose inputs are those of one engine.
#[derive(Clone, Debug)]
pub struct Bound {
    pub(super) model: Model,
    payment: Option<Encoder>,
    transfer: Option<Encoder>,
}

/// One branch's codes.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub(super) inputs: Vec<Input>,
    /// By piece: its lower edge, and one by its width.
    pub(super) slopes: Vec<(f32, f32)>,
    /// By piece.
    pub(super) steps: Vec<Step>,
}

/// Where an input is found, and its code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) steps_at: u32,
    /// The edges between its pieces, then such as no value reaches.
    pub(super) inner: [f32; PIECES_MAX],
}

/// What a piece adds.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What the pieces below it add together.
    pub(super) below: [f32; HIDDEN],
    pub(super) row: [f32; HIDDEN],
}

impl Encoder {
    /// The place of the step in which `value` lies, and how far through it: from 0 to 1.
    #[inline(always)]
    pub(super) fn step(&self, input: &Input, value: f32) -> (u32, f32) {
        // How many inner edges lie at or below the value: without a branch, for figures follow no pattern.
        let piece: u32 = input.inner.iter().map(|edge| u32::from(value >= *edge)).sum();
        let place = input.steps_at + piece;
        let (low, per_width) = self.slopes[place as usize];
        let through = (value - low) * per_width;
        let through = if through > 0.0 { through } else { 0.0 };
        (place, if through < 1.0 { through } else { 1.0 })
    }
}

impl Bound {
    /// Binds `model` to `inputs`.
    ///
    /// # Errors
    /// Inputs of the model that the engine does not have, all of them.
    pub fn new(model: Model, inputs: &Inputs) -> Result<Bound, ModelError> {
        let encoder = |branch: &Option<Branch>| branch.as_ref().map(|branch| encoder(branch, inputs)).transpose();
        let (payment, transfer) = (encoder(&model.payment)?, encoder(&model.transfer)?);
        Ok(Bound { model, payment, transfer })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether it judges events of this type.
    pub fn judges(&self, kind: EventType) -> bool {
        self.encoder(kind).is_some()
    }

    #[inline(always)]
    pub(super) fn encoder(&self, kind: EventType) -> Option<&Encoder> {
        match kind {
            EventType::Payment => self.payment.as_ref(),
            EventType::Transfer => self.transfer.as_ref(),
            _ => None,
        }
    }
}

fn encoder(branch: &Branch, known: &Inputs) -> Result<Encoder, ModelError> {
    let mut encoder = Encoder { inputs: Vec::new(), slopes: Vec::new(), steps: Vec::new() };
    let mut unknown = Vec::new();
    for coded in &branch.inputs {
        let Some(source) = known.source(&coded.name) else {
            unknown.push(coded.name.as_str());
            continue;
        };
        let mut inner = [f32::NAN; PIECES_MAX];
        let between = &coded.edges[1..coded.pieces()];
        inner[..between.len()].copy_from_slice(between);
        encoder.inputs.push(Input { source, steps_at: encoder.steps.len() as u32, inner });
        let mut below = [0.0; HIDDEN];
        for pair in coded.edges.windows(2) {
            // A branch's pieces stand in the order of its inputs, as its steps do here.
            let row = branch.pieces[encoder.steps.len()];
            encoder.slopes.push((pair[0], 1.0 / (pair[1] - pair[0])));
            encoder.steps.push(Step { below, row });
            below = std::array::from_fn(|h| below[h] + row[h]);
        }
    }
    if unknown.is_empty() {
        return Ok(encoder);
    }
    let what = "the model was trained under a topology with these aggregates and lists";
    Err(ModelError(format!("found no figures called {} in this topology, expected them: {what}", unknown.join(", "))))
}
