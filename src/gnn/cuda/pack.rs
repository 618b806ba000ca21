//! A model as a device reads it: the words of `kernels/layout.cuh`.

use crate::event::EventType;
use crate::gnn::bound::{Bound, Encoder};
use crate::gnn::input::Source;
use crate::gnn::model::{Branch, HIDDEN, INPUTS_MAX, MESSAGE, Model, NARROW, PIECES_MAX, SUMS};

/// Lanes of a warp.
pub(super) const WARP: usize = 32;
/// Types that a model may judge, in the device's order.
pub(super) const KINDS: [EventType; 2] = [EventType::Payment, EventType::Transfer];
/// Where an input's source is a figure of a state.
const OF_STATE: u32 = 1 << 31;
/// Bytes of an input, of a step's lower edge and width, and of what it adds.
const INPUT_BYTES: usize = 16 + 4 * PIECES_MAX;
const SLOPE_BYTES: usize = 8;
const STEP_BYTES: usize = 16 * WARP;
/// Bytes of a branch: eight words, bias, head.
const BRANCH_BYTES: usize = 32 + 4 * (HIDDEN + NARROW);
/// Bytes before the branches' tables.
const FIXED_BYTES: usize = 71_744;
/// The most bytes of a packed model.
pub(super) const MODEL_BYTES_MAX: usize =
    FIXED_BYTES + KINDS.len() * INPUTS_MAX * (INPUT_BYTES + PIECES_MAX * (SLOPE_BYTES + STEP_BYTES) + 16);

/// A model packed, and what is staged for each event of a type beside its edges.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    /// By place in [`KINDS`]: the columns among the inputs; `None` where the model judges none.
    columns: [Option<Vec<Source>>; KINDS.len()],
}

impl Packed {
    pub(super) fn new(bound: &Bound) -> Packed {
        let mut packed = Packed { bytes: Vec::new(), columns: KINDS.map(|_| None) };
        packed.shared(&bound.model);
        let branches_at = packed.bytes.len();
        packed.bytes.resize(FIXED_BYTES, 0);
        assert_eq!(branches_at + KINDS.len() * BRANCH_BYTES, FIXED_BYTES);
        for (place, kind) in KINDS.into_iter().enumerate() {
            let (Some(encoder), Some(branch)) = (bound.encoder(kind), bound.model.branch(kind)) else { continue };
            let words = packed.tables(encoder, branch, place);
            packed.bytes[branches_at + place * BRANCH_BYTES..][..BRANCH_BYTES].copy_from_slice(&words);
        }
        packed
    }

    /// The branch of a type in the device's order, and the columns that it reads.
    pub(super) fn branch(&self, kind: EventType) -> Option<(u32, &[Source])> {
        let place = KINDS.iter().position(|other| *other == kind)?;
        self.columns[place].as_deref().map(|columns| (place as u32, columns))
    }

    fn floats(&mut self, values: impl IntoIterator<Item = f32>) {
        self.bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
    }

    /// What both branches share.
    fn shared(&mut self, model: &Model) {
        self.floats(model.time.as_flattened().as_flattened().iter().copied());
        for weights in model.message.iter() {
            self.lanes::<4, MESSAGE, SUMS>(weights);
        }
        for weights in model.join.iter() {
            self.lanes::<2, HIDDEN, MESSAGE>(weights);
        }
        self.lanes::<4, NARROW, HIDDEN>(&model.narrow);
        self.floats(model.message_bias.as_flattened().iter().copied());
        self.floats(model.narrow_bias);
    }

    /// Weights as lanes read them: of K rows a lane's places of the output, side by side.
    fn lanes<const K: usize, const O: usize, const I: usize>(&mut self, weights: &[[f32; O]; I]) {
        let places = O / WARP;
        for rows in weights.as_chunks::<K>().0 {
            for lane in 0..WARP {
                self.floats(rows.iter().flat_map(|row| row[lane * places..][..places].iter().copied()));
            }
        }
    }

    /// Appends a branch's tables. Returns the branch's own words.
    fn tables(&mut self, encoder: &Encoder, branch: &Branch, place: usize) -> [u8; BRANCH_BYTES] {
        let inputs_at = self.aligned();
        let mut columns = Vec::new();
        for input in &encoder.inputs {
            let source = match input.source {
                Source::State(at) => OF_STATE | at,
                Source::Int(_) | Source::Double(_) => {
                    columns.push(input.source);
                    columns.len() as u32 - 1
                }
            };
            self.bytes.extend([source, input.steps_at, 0, 0].into_iter().flat_map(u32::to_le_bytes));
            self.floats(input.inner);
        }
        let slopes_at = self.aligned();
        self.floats(encoder.slopes.iter().flat_map(|(low, per_width)| [*low, *per_width]));
        let steps_at = self.aligned();
        for step in &encoder.steps {
            let pairs = step.row.as_chunks::<2>().0.iter().zip(step.below.as_chunks::<2>().0);
            self.floats(pairs.flat_map(|(row, below)| [row[0], row[1], below[0], below[1]]));
        }
        self.columns[place] = Some(columns);
        let mut words = Vec::with_capacity(BRANCH_BYTES);
        words.extend([encoder.inputs.len() as u32, inputs_at, slopes_at, steps_at].into_iter().flat_map(u32::to_le_bytes));
        let scalars = [branch.head_bias, branch.slope, branch.offset, 0.0];
        words.extend(scalars.into_iter().chain(branch.bias).chain(branch.head).flat_map(f32::to_le_bytes));
        words.try_into().expect("eight words, bias and head")
    }

    /// Where the next table begins: at a multiple of 16.
    fn aligned(&mut self) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        self.bytes.len() as u32
    }
}

const _: () = assert!(HIDDEN == 2 * WARP && MESSAGE == WARP && NARROW == WARP && SUMS.is_multiple_of(4));
