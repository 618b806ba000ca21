//! The network of [`crate::gnn::Model`] in burn: the same maths over batches, with gradients.
//!
//! Parameters are plain vectors that this module turns into tensors for each step and whose gradients it gives back as vectors. So the
//! optimiser is a loop, the best parameters are a clone, and two halves of a batch can be worked on at a time and be added up in one order.
//!
//! Edges come in standardised, which [`super::train`] folds into the parameters when a model is made of them.

use super::chance::Chance;
use super::coding::{Coding, Standard};
use super::sample::{EDGE_FIGURES, Rows};
use crate::gnn::{AGE_BUCKETS, EDGE_INPUTS, HIDDEN, MESSAGE, NARROW, SUMS, TIME_CODES, bucket};
use crate::graph::ego::{AGE, SEED_SLOTS};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Types of events that a model has branches for: payments, transfers.
pub const BRANCHES: usize = 2;

/// Sums are made this much smaller, so that full neighbourhoods do not drown figures when learning begins.
pub const SUMS_SCALE: f32 = 0.25;

/// Parts that a batch is cut into, each with a thread of its own; a number of its own and not the machine's, because gradients are added
/// up part by part.
const PARTS: usize = 2;

/// Rows of a batch where no gradient is asked for.
const FORWARD_ROWS: usize = 2_048;

/// One array of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// (inputs, outputs), row by row; nothing where the network has no such part.
    pub shape: [usize; 2],
    pub values: Vec<f32>,
    /// Whether weight decay pulls at it.
    pub decays: bool,
}

/// Where an array stands in [`Network::parameters`].
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// (AGE_BUCKETS, TIME_CODES)
    Time(usize),
    /// (SUMS, MESSAGE)
    Message(usize),
    MessageBias(usize),
    /// (MESSAGE, HIDDEN)
    Join(usize),
    /// (HIDDEN, NARROW)
    Narrow,
    NarrowBias,
    /// (P, HIDDEN)
    Pieces(usize),
    Bias(usize),
    /// (NARROW, 1)
    Head(usize),
    HeadBias(usize),
}

impl Part {
    fn at(self) -> usize {
        const OF_SLOTS: usize = 4 * SEED_SLOTS;
        match self {
            Part::Time(slot) => 4 * slot,
            Part::Message(slot) => 4 * slot + 1,
            Part::MessageBias(slot) => 4 * slot + 2,
            Part::Join(slot) => 4 * slot + 3,
            Part::Narrow => OF_SLOTS,
            Part::NarrowBias => OF_SLOTS + 1,
            Part::Pieces(branch) => OF_SLOTS + 2 + 4 * branch,
            Part::Bias(branch) => OF_SLOTS + 3 + 4 * branch,
            Part::Head(branch) => OF_SLOTS + 4 + 4 * branch,
            Part::HeadBias(branch) => OF_SLOTS + 5 + 4 * branch,
        }
    }
}

/// The network's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub parameters: Vec<Parameter>,
    /// Slots whose entities have edges at all in what is learnt from.
    pub slots: [bool; SEED_SLOTS],
}

/// One gradient a parameter, as [`Network::parameters`] has them.
pub type Gradients = Vec<Vec<f32>>;

/// What rows are read by.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub rows: &'a Rows,
    pub coding: &'a Coding,
    pub standard: &'a Standard,
    pub branch: usize,
}

impl Network {
    /// A network that learnt nothing yet: weights as `torch.nn.Linear` has them, messages whose four sums look back a few hours to a few
    /// weeks. `pieces` of codes, by branch; a branch without any has no parameters.
    pub fn new(pieces: [usize; BRANCHES], slots: [bool; SEED_SLOTS], chance: &mut Chance) -> Network {
        let mut parameters = Vec::new();
        let mut push = |shape: [usize; 2], fan_in: usize, wanted: bool| {
            let count = if wanted { shape[0] * shape[1] } else { 0 };
            let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
            let values = (0..count).map(|_| (2.0 * chance.unit() - 1.0) * bound).collect();
            parameters.push(Parameter { shape, values, decays: shape[0] > 1 });
        };
        let used = slots.iter().filter(|used| **used).count();
        for wanted in slots {
            push([AGE_BUCKETS, TIME_CODES], 1, wanted);
            push([SUMS, MESSAGE], SUMS, wanted);
            push([1, MESSAGE], SUMS, wanted);
            push([MESSAGE, HIDDEN], used * MESSAGE, wanted);
        }
        push([HIDDEN, NARROW], HIDDEN, true);
        push([1, NARROW], HIDDEN, true);
        for pieces in pieces {
            push([pieces, HIDDEN], pieces, pieces > 0);
            push([1, HIDDEN], pieces, pieces > 0);
            push([NARROW, 1], NARROW, pieces > 0);
            push([1, 1], NARROW, pieces > 0);
        }
        let mut network = Network { parameters, slots };
        for slot in (0..SEED_SLOTS).filter(|slot| slots[*slot]) {
            let time = &mut network.parameters[Part::Time(slot).at()];
            time.decays = false;
            for (at, value) in time.values.iter_mut().enumerate() {
                let (age_log, code) = ((at / TIME_CODES) as f32 / 2.0, at % TIME_CODES);
                *value = (-(age_log - (14 + 2 * code) as f32).max(0.0)).exp2();
            }
        }
        network
    }

    pub fn part(&self, part: Part) -> &Parameter {
        &self.parameters[part.at()]
    }

    /// The mean loss over a batch (binary cross entropy), and its gradients. `dropout` is the share of units that each row goes without.
    pub fn gradients(&self, reading: &Reading<'_>, batch: &[u32], dropout: f32, chance: &mut Chance) -> (f64, Gradients) {
        let share = batch.len().div_ceil(PARTS);
        let work: Vec<(&[u32], Masks)> = batch.chunks(share).map(|part| (part, Masks::new(part.len(), dropout, chance))).collect();
        let run = |(part, masks): (&[u32], Masks)| self.part_gradients(reading, part, masks, batch.len());
        let mut parts = std::thread::scope(|scope| {
            let threads: Vec<_> = work.into_iter().map(|work| scope.spawn(|| run(work))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a part does not panic")).collect::<Vec<_>>()
        })
        .into_iter();
        let (mut loss, mut sum) = parts.next().expect("a batch has rows");
        for (more, gradients) in parts {
            loss += more;
            for (sum, gradient) in sum.iter_mut().flatten().zip(gradients.iter().flatten()) {
                *sum += gradient;
            }
        }
        (loss, sum)
    }

    fn part_gradients(&self, reading: &Reading<'_>, rows: &[u32], masks: Masks, of: usize) -> (f64, Gradients) {
        let device = Device::flex().autodiff();
        let tensors = self.tensors(&device, true);
        let logits = self.forward(&tensors, Batch::read(self, reading, rows), Some(masks), &device);
        let bads: Vec<f32> = rows.iter().map(|row| f32::from(u8::from(reading.rows.is_bad(*row as usize)))).collect();
        let bads = Tensor::<2>::from_data(TensorData::new(bads, [rows.len(), 1]), &device);
        // max(z, 0) - z y + ln(1 + exp(-|z|)): no exponential that overflows.
        let losses = relu(logits.clone()) - logits.clone() * bads + logits.abs().neg().exp().log1p();
        let loss = losses.sum() / of as f32;
        let mut gradients = loss.backward();
        let value = floats(loss.inner().into_data())[0];
        let gradients = tensors
            .iter()
            .zip(&self.parameters)
            .map(|(tensor, parameter)| {
                let gradient = tensor.as_ref().and_then(|tensor| tensor.grad_remove(&mut gradients));
                gradient.map_or_else(|| vec![0.0; parameter.values.len()], |gradient| floats(gradient.into_data()))
            })
            .collect();
        (f64::from(value), gradients)
    }

    /// Logits of rows.
    pub fn logits(&self, reading: &Reading<'_>, rows: &[u32]) -> Vec<f32> {
        let share = rows.len().div_ceil(PARTS).max(1);
        let run = |rows: &[u32]| {
            let forward = Forward::new(self);
            rows.chunks(FORWARD_ROWS).flat_map(|rows| forward.logits(reading, rows)).collect::<Vec<f32>>()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = rows.chunks(share).map(|rows| scope.spawn(move || run(rows))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a part does not panic")).collect()
        })
    }

    fn tensors(&self, device: &Device, learning: bool) -> Vec<Option<Tensor<2>>> {
        let tensor = |parameter: &Parameter| {
            let data = TensorData::new(parameter.values.clone(), parameter.shape);
            let tensor = Tensor::from_data(data, device);
            if learning { tensor.require_grad() } else { tensor }
        };
        self.parameters.iter().map(|parameter| (!parameter.values.is_empty()).then(|| tensor(parameter))).collect()
    }

    /// (B, 1)
    fn forward(&self, tensors: &[Option<Tensor<2>>], batch: Batch, mut masks: Option<Masks>, device: &Device) -> Tensor<2> {
        let part = |part: Part| tensors[part.at()].clone().expect("a part that the network has");
        let rows = batch.rows;
        let mut drop = |layer: usize, tensor: Tensor<2>| match masks.as_mut() {
            Some(masks) => {
                let mask = std::mem::take(&mut masks.0[layer]);
                let width = mask.len() / rows;
                tensor * Tensor::from_data(TensorData::new(mask, [rows, width]), device)
            }
            None => tensor,
        };
        let branch = batch.branch;
        let codes = Tensor::<2>::from_data(TensorData::new(batch.codes, [rows, batch.pieces]), device);
        let mut figures = codes.matmul(part(Part::Pieces(branch))) + part(Part::Bias(branch));
        for (slot, edges) in batch.edges.into_iter().enumerate() {
            let Some(Edges { count, values, buckets }) = edges else { continue };
            let buckets = Tensor::<1, Int>::from_data(TensorData::new(buckets, [rows * count]), device);
            let values = Tensor::<3>::from_data(TensorData::new(values, [rows, count, EDGE_INPUTS]), device);
            let weights: Tensor<3> = part(Part::Time(slot)).select(0, buckets).reshape([rows, count, TIME_CODES]);
            let sums: Tensor<2> = weights.swap_dims(1, 2).matmul(values).reshape([rows, SUMS]) * SUMS_SCALE;
            let message = relu(sums.matmul(part(Part::Message(slot))) + part(Part::MessageBias(slot)));
            figures = figures + drop(slot, message).matmul(part(Part::Join(slot)));
        }
        let hidden = drop(SEED_SLOTS, relu(figures));
        let embedding = drop(SEED_SLOTS + 1, relu(hidden.matmul(part(Part::Narrow)) + part(Part::NarrowBias)));
        embedding.matmul(part(Part::Head(branch))) + part(Part::HeadBias(branch))
    }

    /// How far the codes of each input move the figures of the hidden layer: the root of the mean square from their mean over `rows`. An
    /// input that says little, or says it of few, moves them little.
    pub fn importances(&self, reading: &Reading<'_>, rows: &[u32]) -> Vec<f64> {
        let pieces = &self.part(Part::Pieces(reading.branch)).values;
        let width = reading.coding.pieces();
        let mut codes = vec![0.0; rows.len() * width];
        for (codes, row) in codes.chunks_exact_mut(width).zip(rows) {
            reading.coding.fill(reading.rows.inputs(*row as usize), codes);
        }
        let mut first = 0;
        let spread = |input: &super::coding::Coder| {
            let (from, count) = (first, input.edges.len() - 1);
            first += count;
            let (mut sum, mut squares) = ([0.0f64; HIDDEN], 0.0f64);
            for codes in codes.chunks_exact(width) {
                let mut moved = [0.0f64; HIDDEN];
                for (piece, code) in codes[from..from + count].iter().enumerate() {
                    for (moved, weight) in moved.iter_mut().zip(&pieces[(from + piece) * HIDDEN..]) {
                        *moved += f64::from(*code) * f64::from(*weight);
                    }
                }
                for (sum, moved) in sum.iter_mut().zip(moved) {
                    *sum += moved;
                    squares += moved * moved;
                }
            }
            let count = rows.len() as f64;
            let of_mean: f64 = sum.iter().map(|sum| (sum / count) * (sum / count)).sum();
            (squares / count - of_mean).max(0.0).sqrt()
        };
        reading.coding.inputs.iter().map(spread).collect()
    }
}

/// A network ready to be asked, without gradients: its parameters are tensors.
pub struct Forward<'a> {
    network: &'a Network,
    tensors: Vec<Option<Tensor<2>>>,
    device: Device,
}

impl Forward<'_> {
    /// Makes tensors of the parameters.
    pub fn new(network: &Network) -> Forward<'_> {
        let device = Device::flex();
        Forward { network, tensors: network.tensors(&device, false), device }
    }

    /// Logits of rows, as one batch on this thread.
    pub fn logits(&self, reading: &Reading<'_>, rows: &[u32]) -> Vec<f32> {
        let batch = Batch::read(self.network, reading, rows);
        floats(self.network.forward(&self.tensors, batch, None, &self.device).into_data())
    }
}

fn floats(data: TensorData) -> Vec<f32> {
    data.as_slice::<f32>().expect("tensors hold f32").to_vec()
}

/// What dropout leaves of each layer's units, scaled so that sums keep their size: by slot, then of the hidden layer, then of the embedding.
struct Masks(Vec<Vec<f32>>);

impl Masks {
    fn new(rows: usize, dropout: f32, chance: &mut Chance) -> Masks {
        let kept = 1.0 / (1.0 - dropout);
        let widths = [MESSAGE; SEED_SLOTS].into_iter().chain([HIDDEN, NARROW]);
        Masks(widths.map(|width| (0..rows * width).map(|_| if chance.unit() < dropout { 0.0 } else { kept }).collect()).collect())
    }
}

/// Rows as arrays.
struct Batch {
    rows: usize,
    branch: usize,
    pieces: usize,
    /// (B, P)
    codes: Vec<f32>,
    /// By slot.
    edges: [Option<Edges>; SEED_SLOTS],
}

/// The edges of a slot's entities. Rows with fewer than K are filled up with zeroes, their leading one too, so that they add nothing.
struct Edges {
    /// Edges a row (K).
    count: usize,
    /// (B, K, EDGE_INPUTS)
    values: Vec<f32>,
    /// Of their ages. (B, K)
    buckets: Vec<i32>,
}

impl Batch {
    fn read(network: &Network, reading: &Reading<'_>, rows: &[u32]) -> Batch {
        let width = reading.coding.pieces();
        let mut codes = vec![0.0; rows.len() * width];
        for (codes, row) in codes.chunks_exact_mut(width).zip(rows) {
            reading.coding.fill(reading.rows.inputs(*row as usize), codes);
        }
        let edges = std::array::from_fn(|slot| {
            if !network.slots[slot] {
                return None;
            }
            let of = |row: &u32| reading.rows.edges(*row as usize, slot);
            // A batch in which nobody has edges still has messages: those of nothing.
            let count = rows.iter().map(|row| of(row).len()).max().unwrap_or(0).max(1);
            let (mut values, mut buckets) = (vec![0.0; rows.len() * count * EDGE_INPUTS], vec![0; rows.len() * count]);
            for (at, row) in rows.iter().enumerate() {
                for (place, edge) in of(row).iter().enumerate() {
                    let place = at * count + place;
                    buckets[place] = bucket(edge[AGE]) as i32;
                    let values = &mut values[place * EDGE_INPUTS..][..EDGE_INPUTS];
                    values[0] = 1.0;
                    for figure in 0..EDGE_FIGURES {
                        values[1 + figure] = (edge[figure] - reading.standard.mean[figure]) * reading.standard.scale[figure];
                    }
                }
            }
            Some(Edges { count, values, buckets })
        });
        Batch { rows: rows.len(), branch: reading.branch, pieces: width, codes, edges }
    }
}
