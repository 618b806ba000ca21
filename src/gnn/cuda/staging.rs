//! A batch as a device reads it: one run of bytes, so that one copy takes it there (`kernels/layout.cuh`).
//!
//! Of an edge travel three figures and a word: the other five are yes or no, and the state on its other side is named, not repeated. Rows
//! of nothing but zeroes – of nodes without a past – do not travel.

use super::pack::Packed;
use super::residents::{Place, Residents};
use crate::gnn::backend::SeedBatch;
use crate::gnn::input::{Figures, STATE_LANES};
use crate::gnn::model::INPUTS_MAX;
use crate::graph::RECENT;
use crate::graph::ego::{AGE, AMOUNT, BAD, EDGE, FAILED, GOOD, INCOMING, QUIET, SCORE, SEED_SLOTS};
use crate::graph::state::STATE;

const HEADER_BYTES: usize = 32;
const SEED_BYTES: usize = 16;
const EDGE_BYTES: usize = 16;
const ROW_BYTES: usize = 4 * STATE;
const FIGURE_BYTES: usize = 4;
const KEEP_BYTES: usize = 8;
/// Edges of a seed at most.
pub(super) const EDGES_MAX: usize = SEED_SLOTS * RECENT;
/// Bytes that a seed takes at most.
const SEED_BYTES_MAX: usize =
    SEED_BYTES + EDGES_MAX * (EDGE_BYTES + ROW_BYTES + KEEP_BYTES) + SEED_SLOTS * ROW_BYTES + INPUTS_MAX * FIGURE_BYTES;

/// Features that are bits of an edge's tag, from the lowest on.
const BITS: [usize; 5] = [BAD, GOOD, FAILED, QUIET, INCOMING];
const TAG_STAGED: u32 = 1 << 5;
const TAG_RESIDENT: u32 = 1 << 6;
const TAG_ROW_SHIFT: u32 = 7;
/// Rows that a tag can tell apart.
pub(super) const ROWS_MAX: usize = 1 << (32 - TAG_ROW_SHIFT);

/// The staging of one batch after the other.
#[derive(Debug)]
pub(super) struct Staging {
    bytes: Vec<u8>,
    len: usize,
    seeds_max: usize,
    /// Which of the batch's seeds are in it, in the device's order.
    seeds: Vec<u32>,
    keeps: usize,
}

/// Where the next of a section goes.
struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn words<const N: usize>(&mut self, words: [u32; N]) {
        for (place, word) in self.bytes[self.at..][..4 * N].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        self.at += 4 * N;
    }
}

impl Staging {
    /// Bytes of a staging with room for as many seeds.
    pub(super) const fn bytes_max(seeds_max: usize) -> usize {
        HEADER_BYTES + seeds_max * SEED_BYTES_MAX
    }

    pub(super) fn new(seeds_max: usize) -> Staging {
        Staging { bytes: vec![0; Staging::bytes_max(seeds_max)], len: 0, seeds_max, seeds: Vec::with_capacity(seeds_max), keeps: 0 }
    }

    /// What is to be copied to the device.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Which of the batch's seeds are in it, in the device's order.
    pub(super) fn seeds(&self) -> &[u32] {
        &self.seeds
    }

    /// Rows that stay on the device.
    pub(super) fn keeps(&self) -> usize {
        self.keeps
    }

    /// Stages the seeds of `batch` that `model` judges, from seed `first` on, as many as there is room for. Returns the seed to go on from.
    pub(super) fn fill(&mut self, model: &Packed, batch: SeedBatch<'_>, first: usize, mut residents: Option<&mut Residents>) -> usize {
        self.seeds.clear();
        let offsets = batch.egos.row_offsets();
        let (mut edges, mut figures, mut next) = (0, 0, first);
        for (seed, kind) in batch.judged.iter().enumerate().skip(first) {
            if self.seeds.len() == self.seeds_max {
                break;
            }
            next = seed + 1;
            let Some((_, columns)) = kind.and_then(|kind| model.branch(kind)) else { continue };
            self.seeds.push(seed as u32);
            edges += (offsets[(seed + 1) * SEED_SLOTS] - offsets[seed * SEED_SLOTS]) as usize;
            figures += columns.len();
        }
        let seeds_at = HEADER_BYTES;
        let edges_at = seeds_at + self.seeds.len() * SEED_BYTES;
        let figures_at = edges_at + edges * EDGE_BYTES;
        // Rows come last, for nobody knows yet how many there will be. They are read eight bytes at a time.
        let rows_at = figures_at + figures.next_multiple_of(2) * FIGURE_BYTES;
        let (before, rows) = self.bytes.split_at_mut(rows_at);
        let (before, values) = before.split_at_mut(figures_at);
        let (before, edges) = before.split_at_mut(edges_at);
        let (header, seeds) = before.split_at_mut(seeds_at);
        let [mut header, mut seeds, mut edges, mut values, mut rows] =
            [header, seeds, edges, values, rows].map(|bytes| Writer { bytes, at: 0 });
        for seed in &self.seeds {
            let own = &batch.egos.own_features()[*seed as usize * SEED_SLOTS..][..SEED_SLOTS];
            own.iter().for_each(|state| rows.words(state.map(f32::to_bits)));
        }
        for seed in &self.seeds {
            let seed = *seed as usize;
            let (branch, columns) = batch.judged[seed].and_then(|kind| model.branch(kind)).expect("chosen for its branch");
            let ends = &offsets[seed * SEED_SLOTS..][..=SEED_SLOTS];
            let counts: [u32; SEED_SLOTS] = std::array::from_fn(|slot| ends[slot + 1] - ends[slot]);
            assert!(counts.iter().all(|count| *count as usize <= RECENT), "found {counts:?} edges, expected {RECENT} at most");
            let counts = counts[0] | counts[1] << 8 | counts[2] << 16;
            seeds.words([(edges.at / EDGE_BYTES) as u32, (values.at / FIGURE_BYTES) as u32, counts, branch]);
            let figures = Figures { row: batch.row(seed), states: &[[0.0; STATE_LANES]; SEED_SLOTS] };
            columns.iter().for_each(|column| values.words([figures.value(*column).to_bits()]));
            let range = ends[0] as usize..ends[SEED_SLOTS] as usize;
            let states = &batch.egos.neighbour_features()[range.clone()];
            let nodes = &batch.egos.neighbours()[range.clone()];
            for ((edge, state), node) in batch.egos.edge_features()[range].iter().zip(states).zip(nodes) {
                let mut tag = flags(edge);
                let words = state.map(f32::to_bits);
                if words.iter().fold(0, |any, word| any | word) != 0 {
                    let next = (rows.at / ROW_BYTES) as u32;
                    let place = residents.as_mut().map_or(Place::New, |residents| residents.find(*node, state, next));
                    tag |= match place {
                        Place::Resident(slot) => TAG_RESIDENT | slot << TAG_ROW_SHIFT,
                        Place::Staged(row) => TAG_STAGED | row << TAG_ROW_SHIFT,
                        Place::New => {
                            rows.words(words);
                            TAG_STAGED | next << TAG_ROW_SHIFT
                        }
                    };
                }
                edges.words([edge[AGE].to_bits(), edge[AMOUNT].to_bits(), edge[SCORE].to_bits(), tag]);
            }
        }
        debug_assert_eq!((values.at, edges.at), (figures * FIGURE_BYTES, edges.bytes.len()));
        let keeps_at = rows.at;
        if let Some(residents) = residents {
            residents.keep(|row, slot| rows.words([row, slot]));
        }
        self.keeps = (rows.at - keeps_at) / KEEP_BYTES;
        self.len = rows_at + rows.at;
        let words = [self.seeds.len(), seeds_at, edges_at, rows_at, figures_at, self.keeps, rows_at + keeps_at, 0];
        header.words(words.map(|word| word as u32));
        next
    }
}

/// What is yes or no of an edge, as bits.
#[inline(always)]
fn flags(edge: &[f32; EDGE]) -> u32 {
    assert!(BITS.iter().all(|feature| edge[*feature] == 0.0 || edge[*feature] == 1.0), "found {edge:?}, expected 0 or 1 in {BITS:?}");
    BITS.iter().enumerate().map(|(bit, feature)| u32::from(edge[*feature] != 0.0) << bit).sum()
}
