//! How figures are brought to a common measure: inputs by piecewise-linear codes, edges by mean and spread.

use super::sample::{EDGE_FIGURES, Rows};
use crate::gnn::{Coded, PIECES_MAX};
use crate::graph::ego::SEED_SLOTS;

/// Pieces of a code.
const PIECES: usize = 8;
const _: () = assert!(PIECES <= PIECES_MAX);

/// Spreads below this are taken for none: a figure that was always the same says nothing, whatever it does later.
const SPREAD_MIN: f64 = 1e-4;

/// The code of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Coder {
    /// Its place among a row's inputs.
    pub at: usize,
    /// Ascending.
    pub edges: Vec<f32>,
}

/// The codes of a branch's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Coding {
    pub inputs: Vec<Coder>,
}

impl Coding {
    /// Codes with edges at quantiles of what `rows` show of the inputs `wanted`, the bad and the good counting for a half each; inputs
    /// that are the same in all of them have none.
    pub fn new(rows: &Rows, chosen: &[u32], wanted: &[usize]) -> Coding {
        let bads = chosen.iter().filter(|row| rows.is_bad(**row as usize)).count();
        let goods = chosen.len() - bads;
        let mut sorted: Vec<(f32, bool)> = Vec::with_capacity(chosen.len());
        let coder = |at: &usize| {
            sorted.clear();
            sorted.extend(chosen.iter().map(|row| (rows.inputs(*row as usize)[*at], rows.is_bad(*row as usize))));
            sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
            let total = [bads, goods].iter().filter(|count| **count > 0).count() as f64;
            let weight = |bad: bool| 1.0 / (total * if bad { bads } else { goods } as f64);
            let mut edges = vec![sorted.first()?.0];
            let (mut before, mut quantile) = (0.0, 1);
            for (value, bad) in &sorted {
                before += weight(*bad);
                // Several quantiles may lie in one value; one edge stands for them.
                while quantile < PIECES && before >= quantile as f64 / PIECES as f64 {
                    quantile += 1;
                    if *value > edges[edges.len() - 1] {
                        edges.push(*value);
                    }
                }
            }
            let last = sorted.last()?.0;
            if last > edges[edges.len() - 1] {
                edges.push(last);
            }
            (edges.len() > 1).then_some(Coder { at: *at, edges })
        };
        Coding { inputs: wanted.iter().filter_map(coder).collect() }
    }

    /// Pieces of all codes (P).
    pub fn pieces(&self) -> usize {
        self.inputs.iter().map(|input| input.edges.len() - 1).sum()
    }

    /// Writes the codes of a row's inputs (P).
    pub fn fill(&self, inputs: &[f32], codes: &mut [f32]) {
        let mut codes = codes.iter_mut();
        for coder in &self.inputs {
            let value = inputs[coder.at];
            for (edges, code) in coder.edges.windows(2).zip(codes.by_ref()) {
                *code = ((value - edges[0]) / (edges[1] - edges[0])).clamp(0.0, 1.0);
            }
        }
    }

    /// As a model bears them.
    pub fn coded(&self, names: &[String]) -> Vec<Coded> {
        self.inputs.iter().map(|coder| Coded { name: names[coder.at].clone(), edges: coder.edges.clone() }).collect()
    }
}

/// Mean of each figure of an edge, and one over its spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    pub mean: [f32; EDGE_FIGURES],
    /// Zero where there is no spread.
    pub scale: [f32; EDGE_FIGURES],
}

impl Standard {
    /// Of all edges of the chosen rows.
    pub fn new<'a>(chosen: impl Iterator<Item = (&'a Rows, &'a [u32])>) -> Standard {
        let (mut count, mut sum, mut squares) = (0.0f64, [0.0f64; EDGE_FIGURES], [0.0f64; EDGE_FIGURES]);
        for (rows, chosen) in chosen {
            for edge in chosen.iter().flat_map(|row| (0..SEED_SLOTS).flat_map(|slot| rows.edges(*row as usize, slot))) {
                count += 1.0;
                for figure in 0..EDGE_FIGURES {
                    let value = f64::from(edge[figure]);
                    sum[figure] += value;
                    squares[figure] += value * value;
                }
            }
        }
        let mut standard = Standard { mean: [0.0; EDGE_FIGURES], scale: [0.0; EDGE_FIGURES] };
        for figure in 0..EDGE_FIGURES {
            let mean = sum[figure] / f64::max(count, 1.0);
            let spread = (squares[figure] / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt();
            if spread > SPREAD_MIN {
                standard.mean[figure] = mean as f32;
                standard.scale[figure] = (1.0 / spread) as f32;
            }
        }
        standard
    }
}
