//! A network that has learnt, and the model that says what it says.

use super::coding::{Coding, Standard};
use super::measure::Platt;
use super::network::{BRANCHES, Network, Part, Reading, SUMS_SCALE};
use super::sample::{EDGE_FIGURES, Rows};
use crate::event::EventType;
use crate::gnn::{Branch, EDGE_INPUTS, HIDDEN, MESSAGE, Model, NARROW, TIME_CODES};
use crate::graph::ego::SEED_SLOTS;

/// Of the branches.
pub const KINDS: [EventType; BRANCHES] = [EventType::Payment, EventType::Transfer];

/// A network with what its inputs are brought to a common measure by.
pub struct Fitted {
    pub network: Network,
    pub standard: Standard,
    pub codings: [Option<Coding>; BRANCHES],
}

impl Fitted {
    /// How rows of a branch are read; `None` where it was not learnt.
    pub fn reading<'a>(&'a self, branch: usize, rows: &'a Rows) -> Option<Reading<'a>> {
        let coding = self.codings[branch].as_ref()?;
        Some(Reading { rows, coding, standard: &self.standard, branch })
    }

    /// The model that says what this one says, without what it met; `names` are those of the sample's inputs.
    pub fn model(&self, names: &[String], branches: &[usize], platts: &[Platt]) -> Model {
        let network = &self.network;
        let mut model = Model::zero();
        for slot in (0..SEED_SLOTS).filter(|slot| network.slots[*slot]) {
            for (to, from) in model.time[slot].iter_mut().zip(network.part(Part::Time(slot)).values.chunks_exact(TIME_CODES)) {
                *to = std::array::from_fn(|code| from[code] * SUMS_SCALE);
            }
            // A figure's weight takes its scale, and the one's weight what its mean would add.
            let weights = &network.part(Part::Message(slot)).values;
            for code in 0..TIME_CODES {
                let first = code * EDGE_INPUTS;
                for unit in 0..MESSAGE {
                    let mut of_one = f64::from(weights[first * MESSAGE + unit]);
                    for figure in 0..EDGE_FIGURES {
                        let scaled = weights[(first + 1 + figure) * MESSAGE + unit] * self.standard.scale[figure];
                        of_one -= f64::from(scaled) * f64::from(self.standard.mean[figure]);
                        model.message[slot][first + 1 + figure][unit] = scaled;
                    }
                    model.message[slot][first][unit] = of_one as f32;
                }
            }
            model.message_bias[slot].copy_from_slice(&network.part(Part::MessageBias(slot)).values);
            rows_into(&mut model.join[slot][..], &network.part(Part::Join(slot)).values);
        }
        rows_into(&mut model.narrow[..], &network.part(Part::Narrow).values);
        model.narrow_bias.copy_from_slice(&network.part(Part::NarrowBias).values);
        for (branch, platt) in branches.iter().zip(platts) {
            let coding = self.codings[*branch].as_ref().expect("the branch was learnt");
            let (mut bias, mut head) = ([0.0; HIDDEN], [0.0; NARROW]);
            bias.copy_from_slice(&network.part(Part::Bias(*branch)).values);
            head.copy_from_slice(&network.part(Part::Head(*branch)).values);
            let mut pieces = vec![[0.0; HIDDEN]; coding.pieces()];
            rows_into(&mut pieces, &network.part(Part::Pieces(*branch)).values);
            let branch_of = Branch {
                inputs: coding.coded(names),
                bias,
                pieces,
                head,
                head_bias: network.part(Part::HeadBias(*branch)).values[0],
                slope: platt.slope as f32,
                offset: platt.offset as f32,
                reference: None,
            };
            match KINDS[*branch] {
                EventType::Transfer => model.transfer = Some(branch_of),
                _ => model.payment = Some(branch_of),
            }
        }
        model
    }
}

fn rows_into<const N: usize>(to: &mut [[f32; N]], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from.chunks_exact(N)) {
        to.copy_from_slice(from);
    }
}
