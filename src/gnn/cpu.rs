//! The forward pass on the CPU: fused loops with sizes known at compile time, in single precision.
//!
//! The arithmetic is part of the model: every multiplication with an addition is the fused one, sums run in a fixed order, vectors go
//! across outputs and never across what is summed. So any CPU gives the same bits, at any batch size, and a kernel can.

use super::bound::{Bound, Encoder};
use super::input::{Figures, STATE_LANES, figures_of};
use super::model::{EDGE_INPUTS, HIDDEN, LANES, MESSAGE, NARROW, TIME_CODES, bucket};
use crate::arithmetic::decay;
use crate::event::EventType;
use crate::graph::RECENT;
use crate::graph::ego::{AGE, EDGE, EgoBatch, SEED_SLOTS};
use crate::graph::state::STATE;

/// What a model says of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Before calibration.
    pub logit: f32,
    /// Calibrated: of fraud for a payment, of laundering for a transfer.
    pub probability: f32,
    /// (NARROW)
    pub embedding: [f32; NARROW],
}

/// One event of a batch.
#[derive(Clone, Copy)]
pub struct SeedView<'a> {
    pub kind: EventType,
    /// Words of its feature columns.
    pub row: &'a [u64],
    pub egos: &'a EgoBatch,
    /// Its place among the seeds of `egos`.
    pub seed: usize,
}

impl Bound {
    /// Judges one event; `None` where the model has nothing for its type. No allocation.
    #[inline]
    pub fn score(&self, seed: SeedView<'_>) -> Option<Score> {
        let encoder = self.encoder(seed.kind)?;
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            // SAFETY: all three features were just found.
            return Some(unsafe { forward_fma(self, encoder, seed) });
        }
        Some(forward(self, encoder, seed))
    }
}

/// As [`forward`], compiled for CPUs with a fused multiply-add of their own: without one each costs a call.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
fn forward_fma(bound: &Bound, encoder: &Encoder, seed: SeedView<'_>) -> Score {
    forward(bound, encoder, seed)
}

#[inline(always)]
fn forward(bound: &Bound, encoder: &Encoder, seed: SeedView<'_>) -> Score {
    let model = &bound.model;
    let branch = model.branch(seed.kind).expect("an encoder is made of a branch");
    let own = &seed.egos.own_features()[seed.seed * SEED_SLOTS..][..SEED_SLOTS];
    let states = figures_of(own);
    let mut hidden = branch.bias;
    encode(encoder, Figures { row: seed.row, states: &states }, &mut hidden);
    for slot in 0..SEED_SLOTS {
        let place = seed.seed * SEED_SLOTS + slot;
        let range = seed.egos.row_offsets()[place] as usize..seed.egos.row_offsets()[place + 1] as usize;
        let sums = aggregate(&model.time[slot], &seed.egos.edge_features()[range.clone()], &seed.egos.neighbour_features()[range]);
        let mut message = model.message_bias[slot];
        for (sums, weights) in sums.iter().zip(model.message[slot].as_chunks().0) {
            linear::<EDGE_INPUTS, MESSAGE>(&sums[..EDGE_INPUTS], weights, &mut message);
        }
        linear(&message.map(relu), &model.join[slot], &mut hidden);
    }
    let mut embedding = model.narrow_bias;
    linear(&hidden.map(relu), &model.narrow, &mut embedding);
    let embedding = embedding.map(relu);
    let logit = dot(&embedding, &branch.head) + branch.head_bias;
    Score { logit, probability: sigmoid(branch.slope.mul_add(logit, branch.offset)), embedding }
}

/// Inputs whose steps are looked up before the first of them is added: rows of a table that no first cache holds are then on their way.
const AHEAD: usize = 32;

/// Adds the codes of an event's figures.
#[inline(always)]
fn encode(encoder: &Encoder, figures: Figures<'_>, hidden: &mut [f32; HIDDEN]) {
    let mut found = [(0, 0.0); AHEAD];
    for inputs in encoder.inputs.chunks(AHEAD) {
        for (found, input) in found.iter_mut().zip(inputs) {
            *found = encoder.step(input, figures.value(input.source));
        }
        for (place, through) in &found[..inputs.len()] {
            let step = &encoder.steps[*place as usize];
            for ((hidden, row), below) in hidden.iter_mut().zip(&step.row).zip(&step.below) {
                *hidden = through.mul_add(*row, *hidden + below);
            }
        }
    }
}

/// An edge's inputs in whole vectors.
const EDGE_LANES: usize = EDGE_INPUTS.next_multiple_of(LANES);

/// Sums of edges with weights by age, newest first; zeroes behind an edge's inputs.
#[inline(always)]
fn aggregate(time: &[[f32; TIME_CODES]], edges: &[[f32; EDGE]], neighbours: &[[f32; STATE]]) -> [[f32; EDGE_LANES]; TIME_CODES] {
    let figures: [[f32; STATE_LANES]; RECENT] = figures_of(neighbours);
    let mut inputs = [[0.0; EDGE_LANES]; RECENT];
    for ((inputs, edge), figures) in inputs.iter_mut().zip(edges).zip(&figures) {
        inputs[0] = 1.0;
        inputs[1..=EDGE].copy_from_slice(edge);
        inputs[1 + EDGE..EDGE_INPUTS].copy_from_slice(&figures[..STATE]);
    }
    let mut sums = [[0.0; EDGE_LANES]; TIME_CODES];
    for (inputs, edge) in inputs.iter().zip(edges) {
        let weights = &time[bucket(edge[AGE])];
        for (sums, weight) in sums.iter_mut().zip(weights) {
            for i in 0..EDGE_LANES {
                sums[i] = weight.mul_add(inputs[i], sums[i]);
            }
        }
    }
    sums
}

/// Adds `weights` times `values` to `out`: value by value, in order.
#[inline(always)]
fn linear<const I: usize, const O: usize>(values: &[f32], weights: &[[f32; O]; I], out: &mut [f32; O]) {
    assert!(values.len() == I);
    for (value, row) in values.iter().zip(weights) {
        for o in 0..O {
            out[o] = value.mul_add(row[o], out[o]);
        }
    }
}

/// The lanes are summed as a tree at the end.
#[inline(always)]
fn dot(a: &[f32; NARROW], b: &[f32; NARROW]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    let pairs: [f32; 4] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 4]);
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
}

/// What is no number stays none.
#[inline(always)]
fn relu(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// 1 / (1 + e^-x), with the powers of two of [`decay`].
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let power = decay([x.abs() * std::f32::consts::LOG2_E, 0.0, 0.0, 0.0])[0];
    let small = power / (1.0 + power);
    if x < 0.0 { small } else { 1.0 - small }
}

const _: () = assert!(NARROW.is_multiple_of(LANES) && MESSAGE.is_multiple_of(LANES));

#[cfg(test)]
mod tests {
    use super::super::model::tests::{Drawn, any_model};
    use super::super::{Inputs, reference};
    use super::*;
    use crate::feature::{FeatureType, Schema, double, int};
    use crate::graph::state;
    use proptest::prelude::*;

    fn schema() -> Schema {
        let mut schema = Schema::default();
        for name in ["amount", "hour", "user.events", "from.events"] {
            schema.push(name, FeatureType::Int, "");
        }
        schema.push("rate", FeatureType::Double, "");
        schema
    }

    fn drawn_state(drawn: &mut Drawn) -> [f32; STATE] {
        let mut sums = [0.0; STATE].map(|_: f32| drawn.next().abs() * 20.0);
        sums[state::MONEY] *= 10_000.0;
        sums[state::SQUARE] = sums[state::MONEY] * sums[state::MONEY];
        sums
    }

    /// Seeds of both types with nothing, one, many and all edges around them.
    fn drawn_batch(drawn: &mut Drawn, seeds: usize) -> (EgoBatch, Vec<[u64; 5]>) {
        let counts = [0, 1, 7, 16, 3, 0, 16, 15];
        let parts: Vec<_> = (0..seeds * SEED_SLOTS)
            .map(|place| {
                let edges = (0..counts[(place * 5 + place / 3) % counts.len()]).map(|_| {
                    let mut edge = [0.0; EDGE].map(|_: f32| drawn.next() * 3.0);
                    edge[AGE] = edge[AGE].abs() * 8.0;
                    (edge, drawn_state(drawn))
                });
                let edges = edges.collect();
                (drawn_state(drawn), edges)
            })
            .collect();
        let rows = (0..seeds).map(|_| {
            let figure = |drawn: &mut Drawn| int((drawn.next() * 12.0) as i64);
            [figure(drawn), figure(drawn), figure(drawn), figure(drawn), double(f64::from(drawn.next()))]
        });
        let rows = rows.collect();
        (EgoBatch::of(&parts), rows)
    }

    proptest! {
        /// The tolerance: about a hundred additions one behind the other in single precision, of terms that may cancel out.
        /// Caught when planted: messages of another slot's weights.
        #[test]
        fn the_fast_pass_is_the_obvious_one(seed in any::<u64>()) {
            let mut drawn = Drawn(seed);
            let (model, inputs) = (any_model(seed), Inputs::new(&schema()));
            let bound = Bound::new(model.clone(), &inputs).expect("all inputs are known");
            let (egos, rows) = drawn_batch(&mut drawn, 6);
            for (seed, row) in rows.iter().enumerate() {
                let kind = if seed % 2 == 0 { EventType::Payment } else { EventType::Transfer };
                let view = SeedView { kind, row, egos: &egos, seed };
                let score = bound.score(view).expect("both types are judged");
                let (logit, embedding) = reference(&model, &inputs, view).expect("both types are judged");
                let scale = 1.0 + logit.abs() + embedding.iter().fold(0.0, |most: f64, value| most.max(*value));
                prop_assert!((f64::from(score.logit) - logit).abs() < 2e-4 * scale, "{} {logit}", score.logit);
                for (found, expected) in score.embedding.iter().zip(&embedding) {
                    prop_assert!((f64::from(*found) - expected).abs() < 2e-4 * scale, "{found} {expected}");
                }
                let expected = 1.0 / (1.0 + (-(1.2 * f64::from(score.logit) - 0.3)).exp());
                prop_assert!((f64::from(score.probability) - expected).abs() < 1e-6);
                // Compiled for any CPU and for those with a fused multiply-add: the same bits.
                let encoder = bound.encoder(kind).expect("both types are judged");
                prop_assert_eq!(forward(&bound, encoder, view), score);
            }
            prop_assert_eq!(bound.score(SeedView { kind: EventType::Session, row: &rows[0], egos: &egos, seed: 0 }), None);
        }
    }

    #[test]
    fn a_model_of_another_topology_is_refused_by_all_its_unknown_figures() {
        let mut schema = Schema::default();
        schema.push("amount", FeatureType::Int, "");
        let told = Bound::new(any_model(1), &Inputs::new(&schema)).expect_err("figures are missing").to_string();
        assert!(told.starts_with("found no figures called hour, user.events in this topology"), "{told}");
    }

    #[test]
    fn probabilities_rise_with_logits_and_stay_in_bounds() {
        let mut before = 0.0;
        for n in -1_000..=1_000 {
            let found = sigmoid(n as f32 * 0.1);
            assert!((0.0..=1.0).contains(&found) && found >= before, "{n}: {found} after {before}");
            before = found;
        }
        assert_eq!((sigmoid(0.0), sigmoid(1e9), sigmoid(-1e9)), (0.5, 1.0, 0.0));
    }
}
