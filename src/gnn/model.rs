//! A model: its sizes, its parameters, and what they mean.
//!
//! Message passing with one hop over an ego graph, read out by a small network. For each of a seed's entities its recent edges are summed
//! up [`TIME_CODES`] times, each time with other weights by age, learned as a table over the logarithm of the age (cf. the time codes of
//! TGAT, Xu et al., ICLR'20, and the fixed ones of GraphMixer, Cong et al., ICLR'23); one dense layer an entity turns the sums into a message. The
//! seed's own figures come in as piecewise-linear codes (Gorishniy et al., NeurIPS'22, section 3.2): a figure costs two rows of a table,
//! whatever its scale. Payments and transfers have figures and heads of their own and share what is between.
//!
//! ```text
//! edge k of entity s:      e_k = (1, edge features, figures of the other side's state)          EDGE_INPUTS
//! sums:                    a_s[c] = sum over k of time[s][bucket(age_k)][c] * e_k               TIME_CODES x EDGE_INPUTS
//! message:                 m_s = relu(message[s] a_s + message_bias[s])                         MESSAGE
//! figures:                 z = bias + sum over inputs of code(x) + join (m_0, m_1, m_2)         HIDDEN
//! embedding:               v = relu(narrow relu(z) + narrow_bias)                               NARROW
//! logit:                   head v + head_bias
//! ```

use super::spread::Reference;
use crate::event::EventType;
use crate::graph::ego::{EDGE, SEED_SLOTS};
use crate::graph::state::STATE;

/// Width of the layer into which figures and messages come.
pub const HIDDEN: usize = 64;
/// Width of the embedding.
pub const NARROW: usize = 32;
/// Width of an entity's message.
pub const MESSAGE: usize = 32;
/// Weightings of edges by age.
pub const TIME_CODES: usize = 4;
/// Ages are told apart by half powers of two of seconds, up to 194 days.
pub const AGE_BUCKETS: usize = 48;
/// What an edge brings: a one, its features, and the figures of the state on its other side.
pub const EDGE_INPUTS: usize = 1 + EDGE + STATE;
/// Sums of an entity's edges.
pub const SUMS: usize = TIME_CODES * EDGE_INPUTS;
/// Lanes of a vector, whatever the processor's are.
pub const LANES: usize = 8;
/// Figures that a model reads at most.
pub const INPUTS_MAX: usize = 256;
/// Pieces of a code at most.
pub const PIECES_MAX: usize = 16;

/// The bucket of an age that an edge holds as log2(1 + seconds).
#[inline(always)]
pub fn bucket(age_log: f32) -> usize {
    let bucket = (age_log * 2.0) as usize;
    if bucket < AGE_BUCKETS { bucket } else { AGE_BUCKETS - 1 }
}

/// The code of a figure: from the first to the last of its edges a piece a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    /// As in [`super::Inputs::names`].
    pub name: String,
    /// Ascending: one more than there are pieces. Below the first the code is 0, above the last all of it.
    pub edges: Vec<f32>,
}

impl Coded {
    /// Pieces of the code.
    pub fn pieces(&self) -> usize {
        self.edges.len() - 1
    }
}

/// What is a type's own: payments' and transfers'.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    pub inputs: Vec<Coded>,
    /// (HIDDEN)
    pub bias: [f32; HIDDEN],
    /// One row a piece, by input and piece: what the whole piece adds. (P, HIDDEN)
    pub pieces: Vec<[f32; HIDDEN]>,
    /// (NARROW)
    pub head: [f32; NARROW],
    pub head_bias: f32,
    /// Of the logit of a probability: `slope * logit + offset` (Platt's scaling; the offset also restores the share of the bad, where
    /// learning saw fewer of the good).
    pub slope: f32,
    pub offset: f32,
    /// What it met where it was made.
    pub reference: Option<Reference>,
}

/// A model's parameters. All finite; see the head of this file for what is done with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// By the type of event: payments (fraud), transfers (laundering). At least one.
    pub payment: Option<Branch>,
    pub transfer: Option<Branch>,
    /// (SEED_SLOTS, AGE_BUCKETS, TIME_CODES)
    pub time: Box<[[[f32; TIME_CODES]; AGE_BUCKETS]; SEED_SLOTS]>,
    /// (SEED_SLOTS, SUMS, MESSAGE); sums by time code, then by edge input.
    pub message: Box<[[[f32; MESSAGE]; SUMS]; SEED_SLOTS]>,
    /// (SEED_SLOTS, MESSAGE)
    pub message_bias: [[f32; MESSAGE]; SEED_SLOTS],
    /// (SEED_SLOTS, MESSAGE, HIDDEN)
    pub join: Box<[[[f32; HIDDEN]; MESSAGE]; SEED_SLOTS]>,
    /// (HIDDEN, NARROW)
    pub narrow: Box<[[f32; NARROW]; HIDDEN]>,
    /// (NARROW)
    pub narrow_bias: [f32; NARROW],
}

impl Model {
    /// A model of zeroes, to be filled.
    pub fn zero() -> Model {
        Model {
            payment: None,
            transfer: None,
            time: Box::new([[[0.0; TIME_CODES]; AGE_BUCKETS]; SEED_SLOTS]),
            message: Box::new([[[0.0; MESSAGE]; SUMS]; SEED_SLOTS]),
            message_bias: [[0.0; MESSAGE]; SEED_SLOTS],
            join: Box::new([[[0.0; HIDDEN]; MESSAGE]; SEED_SLOTS]),
            narrow: Box::new([[0.0; NARROW]; HIDDEN]),
            narrow_bias: [0.0; NARROW],
        }
    }

    /// What the model has for events of this type.
    pub fn branch(&self, kind: EventType) -> Option<&Branch> {
        match kind {
            EventType::Payment => self.payment.as_ref(),
            EventType::Transfer => self.transfer.as_ref(),
            _ => None,
        }
    }

    /// Whether it says what it met where it was made.
    pub fn has_reference(&self) -> bool {
        [&self.payment, &self.transfer].into_iter().flatten().any(|branch| branch.reference.is_some())
    }

    /// How many parameters it has, edges of codes apart.
    pub fn parameters(&self) -> usize {
        let shared = SEED_SLOTS * (AGE_BUCKETS * TIME_CODES + (SUMS + 1) * MESSAGE + MESSAGE * HIDDEN) + (HIDDEN + 1) * NARROW;
        let branches = [&self.payment, &self.transfer].into_iter().flatten();
        shared + branches.map(|branch| (branch.pieces.len() + 1) * HIDDEN + NARROW + 1 + 2).sum::<usize>()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Numbers between -1 and 1 that are the same wherever they are drawn.
    pub(in super::super) struct Drawn(pub u64);

    impl Drawn {
        pub(in super::super) fn next(&mut self) -> f32 {
            // SplitMix64, Steele et al., OOPSLA'14.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    /// A model whose parameters are drawn.
    pub(in super::super) fn any_model(seed: u64) -> Model {
        let mut drawn = Drawn(seed);
        let mut model = Model::zero();
        let mut fill = |values: &mut [f32], scale: f32| values.iter_mut().for_each(|value| *value = drawn.next() * scale);
        fill(model.time.as_flattened_mut().as_flattened_mut(), 0.3);
        fill(model.message.as_flattened_mut().as_flattened_mut(), 0.1);
        fill(model.message_bias.as_flattened_mut(), 0.1);
        fill(model.join.as_flattened_mut().as_flattened_mut(), 0.2);
        fill(model.narrow.as_flattened_mut(), 0.2);
        fill(&mut model.narrow_bias, 0.1);
        let mut branch = |names: &[&str]| {
            let inputs: Vec<Coded> = names
                .iter()
                .enumerate()
                .map(|(n, name)| Coded { name: (*name).to_owned(), edges: (0..n % 4 + 2).map(|edge| edge as f32 * 3.0 - 1.0).collect() })
                .collect();
            let count = inputs.iter().map(Coded::pieces).sum();
            let mut branch = Branch {
                inputs,
                bias: [0.0; HIDDEN],
                pieces: vec![[0.0; HIDDEN]; count],
                head: [0.0; NARROW],
                head_bias: 0.1,
                slope: 1.2,
                offset: -0.3,
                reference: None,
            };
            fill(&mut branch.bias, 0.1);
            fill(branch.pieces.as_flattened_mut(), 0.3);
            fill(&mut branch.head, 0.4);
            branch
        };
        model.payment = Some(branch(&["amount", "hour", "user.events", "entity_0.count_1d", "entity_1.gap_log"]));
        model.transfer = Some(branch(&["amount", "from.events"]));
        model
    }

    #[test]
    fn ages_fall_into_half_powers_of_two() {
        let seconds = |seconds: f32| bucket((1.0 + seconds).log2());
        assert_eq!((seconds(0.0), seconds(1.0), seconds(3.0), seconds(86_400.0)), (0, 2, 4, 32));
        assert_eq!((bucket(23.4), bucket(23.5), bucket(60.0)), (46, 47, 47));
    }
}
