//! A network that has learnt, and the model that says what it says.

use super::coding::{Coding, Standard};
use super::measure::Platt;
use super::network::{BRANCHES, Network, Part, Reading, SUMS_SCALE};
use super::sample::{EDGE_FIGURES, Rows};
use crate::event::EventType;
use crate::gnn::{Branch, EDGE_INPUTS, HIDDEN, MESSAGE, Model, NARROW, TIME_CODES};
use crate::graph::ego::SEED_SLOTS;

/// The type of event that each branch judges.
pub const KINDS: [EventType; BRANCHES] = [EventType::Payment, EventType::Transfer];

/// A network with what its inputs are brought to a common measure by.
pub struct Fitted {
    pub network: Network,
    /// Of edges.
    pub standard: Standard,
    /// Of each branch's inputs; `None` where it was not learnt.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind, Sequence, Timestamp};
    use crate::feature::{FeatureType, Schema, double, int};
    use crate::gnn::{Bound, Inputs, SeedView, reference};
    use crate::graph::RECENT;
    use crate::graph::ego::{AGE, AMOUNT, EDGE, EgoBatch, SCORE, SCORES};
    use crate::graph::state::{self, STATE};
    use crate::learn::chance::Chance;
    use crate::learn::rows::{Around, Count, Expected, Row, RowSink};
    use crate::learn::sample::{Sample, SampleOptions};
    use proptest::array::uniform3;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// For each slot of each seed its own state, and its edges with the states on their other side.
    type Parts = Vec<([f32; STATE], Vec<([f32; EDGE], [f32; STATE])>)>;

    /// Words of four columns.
    type Words = [u64; 4];

    fn schema() -> Schema {
        let mut schema = Schema::default();
        schema.push("turn", FeatureType::Int, "");
        schema.push("amount", FeatureType::Int, "");
        schema.push("rate", FeatureType::Double, "");
        schema.push("listed", FeatureType::Bool, "");
        schema
    }

    /// Between both, and often one of them.
    fn figure(chance: &mut Chance, low: f32, high: f32) -> f32 {
        match chance.word() % 6 {
            0 => low,
            1 => high,
            _ => low + chance.unit() * (high - low),
        }
    }

    /// From this second to more than the longest age that is told apart, any amount, scores to both ends.
    fn edge(chance: &mut Chance) -> [f32; EDGE] {
        let mut edge = [0.0; EDGE].map(|_: f32| (chance.word() % 2) as f32);
        edge[AGE] = figure(chance, 0.0, 30.0);
        edge[AMOUNT] = figure(chance, 0.0, 63.0);
        edge[SCORE] = figure(chance, SCORES.0, SCORES.1);
        edge
    }

    /// Of nobody, of who was met once, or of who pays a hundred thousand times a fortnight.
    fn state(chance: &mut Chance) -> [f32; STATE] {
        let count = figure(chance, 0.0, 17.0).exp2() - 1.0;
        let mut sums = [0.0; STATE].map(|_: f32| count * figure(chance, 0.0, 1.0));
        let amount = figure(chance, 0.0, 40.0).exp2();
        sums[state::COUNT + 2] = count;
        sums[state::MONEY] = count * amount;
        sums[state::SQUARE] = count * amount * amount * figure(chance, 1.0, 2.0);
        sums
    }

    /// Seeds with so many edges in their slots, payments and transfers by turns.
    fn seeds(chance: &mut Chance, edges: &[[usize; SEED_SLOTS]]) -> (Parts, Vec<Words>) {
        let part = |count: &usize| (state(chance), (0..*count).map(|_| (edge(chance), state(chance))).collect());
        let parts = edges.as_flattened().iter().map(part).collect();
        let words = |turn: usize| {
            let amount = [0, i64::MAX, (chance.word() % 1_000_000) as i64 - 1_000][(chance.word() % 3) as usize];
            [int(turn as i64), int(amount), double(f64::from(figure(chance, 0.0, 1e30))), chance.word() % 2]
        };
        (parts, (0..edges.len()).map(words).collect())
    }

    /// What learning keeps of them.
    fn sample(inputs: &Inputs, egos: &EgoBatch, rows: &[Words]) -> Sample {
        let options = SampleOptions {
            seed: 1,
            validation_from: Timestamp(i64::MAX),
            validation_share: 0.15,
            goods_per_bad: 1_000,
            validation_goods_max: 0,
            bytes_max: 1 << 30,
        };
        let all = Count { rows: rows.len() as u64, bad: rows.len() as u64 / 2 };
        let mut sample = Sample::new(inputs.names(), &Expected { payment: all, transfer: all }, options);
        let mut values = vec![0.0; inputs.len()];
        for (turn, words) in rows.iter().enumerate() {
            let first = turn * SEED_SLOTS;
            inputs.fill(words, &egos.own_features()[first..][..SEED_SLOTS], &mut values);
            let around = std::array::from_fn(|slot| {
                let range = egos.row_offsets()[first + slot] as usize..egos.row_offsets()[first + slot + 1] as usize;
                Around { edges: &egos.edge_features()[range.clone()], states: &egos.neighbour_features()[range] }
            });
            let (sequence, time) = (Sequence(turn as u64), Timestamp(turn as i64));
            let event = IdKey::FILES.id(IdKind::Event, &turn.to_le_bytes());
            let kind = KINDS[turn % BRANCHES];
            let Ok(()) = sample.row(&Row { sequence, event, name: "", time, kind, bad: turn % 4 < 2, inputs: &values, around });
        }
        sample
    }

    /// A network that reads figures as one learnt from the first half of the sample would; its parameters are drawn, and those with which
    /// all slots begin are unlike each other.
    fn drawn(sample: &Sample, slots: [bool; SEED_SLOTS], chance: &mut Chance) -> Fitted {
        let lessons = [&sample.payment, &sample.transfer].map(|rows| (rows, (0..rows.len() as u32 / 2).collect::<Vec<_>>()));
        let all: Vec<usize> = (0..sample.names.len()).collect();
        let codings = lessons.each_ref().map(|(rows, chosen)| Coding::new(rows, chosen, &all, usize::MAX));
        let standard = Standard::new(lessons.iter().map(|(rows, chosen)| (*rows, &chosen[..])));
        let mut network = Network::new(codings.each_ref().map(Coding::pieces), slots, chance);
        for value in network.parameters.iter_mut().flat_map(|parameter| &mut parameter.values) {
            *value *= 6.0 * chance.unit() - 3.0;
        }
        Fitted { network, standard, codings: codings.map(Some) }
    }

    /// The same with nothing that cancels out: its logit is the sum of the sizes of all terms.
    fn sizes(fitted: &Fitted) -> Fitted {
        let mut network = fitted.network.clone();
        network.parameters.iter_mut().flat_map(|parameter| &mut parameter.values).for_each(|value| *value = value.abs());
        // A mean is taken off.
        let standard = Standard { mean: fitted.standard.mean.map(|mean| -mean.abs()), ..fitted.standard };
        Fitted { network, standard, codings: fitted.codings.clone() }
    }

    fn edges() -> impl Strategy<Value = usize> {
        prop_oneof![Just(0), Just(1), Just(RECENT), 0..=RECENT]
    }

    /// Of the sum of the sizes of all terms, the share by which two logits may differ. Both round some three hundred additions one behind
    /// the other, each by up to half an epsilon of what has come together; but terms and roundings lean to both sides: of 46,000 logits none
    /// used more than 0.37 of it.
    const TOLERANCE: f64 = f32::EPSILON as f64 / 8.0;

    proptest! {
        /// Caught when planted, each: the message bias of a slot forgotten; ages a bucket on, or the last two buckets one; the mean of one
        /// figure of edges not taken off; sums not made smaller; a join of another slot; places without an edge that are not zero; a code
        /// that begins behind its edge; slope and offset of the other branch.
        #[test]
        fn what_serves_says_what_was_learnt(
            seed in any::<u64>(),
            edges in vec(uniform3(edges()), 8..24),
            slots in uniform3(any::<bool>()),
        ) {
            let mut chance = Chance::new(seed, 0);
            let (mut parts, rows) = seeds(&mut chance, &edges);
            let (egos, inputs) = (EgoBatch::of(&parts), Inputs::new(&schema()));
            let sample = sample(&inputs, &egos, &rows);
            let fitted = drawn(&sample, slots, &mut chance);
            let platts = [(); BRANCHES].map(|()| Platt { slope: f64::from(chance.unit()), offset: f64::from(chance.unit()) - 0.5 });
            let model = fitted.model(inputs.names(), &[0, 1], &platts);
            let bound = Bound::new(model, &inputs).expect("all inputs are known");
            parts.iter_mut().flat_map(|(_, edges)| edges).for_each(|(edge, _)| *edge = edge.map(f32::abs));
            let (positive, terms) = (EgoBatch::of(&parts), sizes(&fitted).model(inputs.names(), &[0, 1], &platts));
            for (branch, rows_of) in [&sample.payment, &sample.transfer].into_iter().enumerate() {
                let reading = fitted.reading(branch, rows_of).expect("both are learnt");
                let all: Vec<u32> = (0..rows_of.len() as u32).collect();
                for (at, logit) in fitted.network.logits(&reading, &all).into_iter().enumerate() {
                    let seed = at * BRANCHES + branch;
                    let view = SeedView { kind: KINDS[branch], row: &rows[seed], egos: &egos, seed };
                    let score = bound.score(view).expect("both types are judged");
                    let (size, _) = reference(&terms, &inputs, SeedView { egos: &positive, ..view }).expect("both types are judged");
                    let apart = (f64::from(score.logit) - f64::from(logit)).abs();
                    prop_assert!(apart <= TOLERANCE * size, "{} {logit}, {apart} apart, sizes of {size}", score.logit);
                    let logit = platts[branch].slope * f64::from(score.logit) + platts[branch].offset;
                    let probability = 1.0 / (1.0 + (-logit).exp());
                    prop_assert!((f64::from(score.probability) - probability).abs() < 1e-6, "{} {probability}", score.probability);
                }
            }
        }
    }
}
