//! The forward pass as anyone would write it, in double precision: the truth by which the fast one is judged.

use super::cpu::SeedView;
use super::input::{Inputs, state_figures};
use super::model::{EDGE_INPUTS, MESSAGE, Model, TIME_CODES, bucket};
use crate::graph::ego::{AGE, SEED_SLOTS};

/// Logit and embedding of one event; `None` where the model has nothing for its type or an input is unknown.
pub fn reference(model: &Model, inputs: &Inputs, seed: SeedView<'_>) -> Option<(f64, Vec<f64>)> {
    let branch = model.branch(seed.kind)?;
    let mut values = vec![0.0; inputs.len()];
    inputs.fill(seed.row, &seed.egos.own_features()[seed.seed * SEED_SLOTS..][..SEED_SLOTS], &mut values);
    let mut hidden: Vec<f64> = branch.bias.iter().copied().map(f64::from).collect();
    let mut pieces = branch.pieces.iter();
    for coded in &branch.inputs {
        let value = f64::from(values[inputs.names().iter().position(|name| *name == coded.name)?]);
        for pair in coded.edges.windows(2) {
            let (low, high) = (f64::from(pair[0]), f64::from(pair[1]));
            let through = ((value - low) / (high - low)).clamp(0.0, 1.0);
            let row = pieces.next().expect("a row a piece");
            for (hidden, row) in hidden.iter_mut().zip(row) {
                *hidden += through * f64::from(*row);
            }
        }
    }
    for slot in 0..SEED_SLOTS {
        let place = seed.seed * SEED_SLOTS + slot;
        let mut sums = [[0.0; EDGE_INPUTS]; TIME_CODES];
        for n in seed.egos.row_offsets()[place] as usize..seed.egos.row_offsets()[place + 1] as usize {
            let edge = seed.egos.edge_features()[n];
            let state = state_figures(&seed.egos.neighbour_features()[n]);
            let inputs = [1.0].into_iter().chain(edge).chain(state).map(f64::from);
            for (i, input) in inputs.enumerate() {
                for (code, sums) in sums.iter_mut().enumerate() {
                    sums[i] += f64::from(model.time[slot][bucket(edge[AGE])][code]) * input;
                }
            }
        }
        for j in 0..MESSAGE {
            let mut message = f64::from(model.message_bias[slot][j]);
            for (at, sum) in sums.as_flattened().iter().enumerate() {
                message += sum * f64::from(model.message[slot][at][j]);
            }
            for (hidden, weight) in hidden.iter_mut().zip(&model.join[slot][j]) {
                *hidden += message.max(0.0) * f64::from(*weight);
            }
        }
    }
    let mut embedding: Vec<f64> = model.narrow_bias.iter().copied().map(f64::from).collect();
    for (hidden, weights) in hidden.iter().zip(model.narrow.iter()) {
        for (value, weight) in embedding.iter_mut().zip(weights) {
            *value += hidden.max(0.0) * f64::from(*weight);
        }
    }
    embedding.iter_mut().for_each(|value| *value = value.max(0.0));
    let logit = embedding.iter().zip(branch.head).map(|(value, weight)| value * f64::from(weight)).sum::<f64>();
    Some((logit + f64::from(branch.head_bias), embedding))
}
