//! How figures are brought to a common measure: inputs by piecewise-linear codes, edges by mean and spread.

use super::sample::{EDGE_FIGURES, Rows};
use crate::gnn::{Coded, PIECES_MAX};
use crate::graph::ego::SEED_SLOTS;

/// How fine a code is.
#[derive(Clone, Copy)]
struct Fineness {
    /// Pieces between quantiles.
    pieces: usize,
    /// Places at most where the share of the bad changes most, each with an edge on both sides.
    steps: usize,
}

/// From the finest that codes are made with to the coarsest.
const FINENESSES: [Fineness; 5] = [
    Fineness { pieces: 8, steps: 4 },
    Fineness { pieces: 8, steps: 2 },
    Fineness { pieces: 6, steps: 1 },
    Fineness { pieces: 4, steps: 1 },
    Fineness { pieces: 2, steps: 1 },
];
const _: () = assert!(FINENESSES[0].pieces + 2 * FINENESSES[0].steps <= PIECES_MAX);

/// Rows that a step has on each side at least.
const SIDE_MIN: usize = 16;
/// What a step brings at least, for each bad row: how much purer (by Gini's measure) it leaves the rows.
const PURER_MIN: f64 = 0.004;

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
    /// Codes with edges at quantiles of what `rows` show of the inputs `wanted`, the bad and the good counting for a half each, and at both
    /// sides of steps; inputs that are the same in all of them have none. As fine as `pieces_max` pieces allow, or as coarse as codes get.
    pub fn new(rows: &Rows, chosen: &[u32], wanted: &[usize], pieces_max: usize) -> Coding {
        finest(pieces_max, |fineness| Coding::as_fine(rows, chosen, wanted, fineness))
    }

    fn as_fine(rows: &Rows, chosen: &[u32], wanted: &[usize], fineness: Fineness) -> Coding {
        let mut sorted: Vec<(f32, bool)> = Vec::with_capacity(chosen.len());
        let coder = |at: &usize| {
            sorted.clear();
            sorted.extend(chosen.iter().map(|row| (rows.inputs(*row as usize)[*at], rows.is_bad(*row as usize))));
            sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut edges = quantiles(&sorted, fineness.pieces);
            steps(&sorted, fineness.steps, &mut edges);
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

/// The finest coding that has at most `pieces_max` pieces, or the coarsest.
fn finest(pieces_max: usize, made: impl Fn(Fineness) -> Coding) -> Coding {
    let [finer @ .., coarsest] = FINENESSES;
    finer.into_iter().map(&made).find(|coding| coding.pieces() <= pieces_max).unwrap_or_else(|| made(coarsest))
}

/// Edges between at most `pieces_max` pieces that hold as much each of values with whether they were bad, by value; the bad and the good count for
/// a half each. A value that many rows share takes one edge, and the others part what lies behind it. No edges where there is but one value.
fn quantiles(sorted: &[(f32, bool)], pieces_max: usize) -> Vec<f32> {
    let [Some(first), Some(last)] = [sorted.first(), sorted.last()].map(|end| end.map(|end| end.0)) else { return Vec::new() };
    let bads = sorted.iter().filter(|(_, bad)| *bad).count();
    let goods = sorted.len() - bads;
    let total = [bads, goods].iter().filter(|count| **count > 0).count() as f64;
    let weight = |bad: bool| 1.0 / (total * if bad { bads } else { goods } as f64);
    let mut edges = vec![first];
    // What is behind the latest edge, what of it was walked over, and pieces to make of it.
    let (mut rest, mut mass, mut left) = (1.0, 0.0, pieces_max);
    for same in sorted.chunk_by(|one, other| one.0 == other.0) {
        mass += same.iter().map(|(_, bad)| weight(*bad)).sum::<f64>();
        if left > 1 && mass * left as f64 >= rest {
            rest -= mass;
            mass = 0.0;
            if same[0].0 > first {
                edges.push(same[0].0);
                left -= 1;
            }
        }
    }
    if last > edges[edges.len() - 1] {
        edges.push(last);
    }
    edges
}

/// Adds the edges of the `steps_max` steps that part the bad from the good best, of values with whether they were bad, by value. A tree of a few
/// leaves would part there (the target-aware edges of Gorishniy et al.): what quantiles blur, such as a limit that a few of the bad exceed and none
/// of the good. Rows count as often as they were sampled, so that steps stand where few good rows are left rather than fewer than elsewhere.
fn steps(sorted: &[(f32, bool)], steps_max: usize, edges: &mut Vec<f32>) {
    let impurity = |bad: usize, good: usize| if bad + good > 0 { 2.0 * bad as f64 * good as f64 / (bad + good) as f64 } else { 0.0 };
    let all = sorted.iter().filter(|(_, bad)| *bad).count();
    let mut leaves = Vec::from([(0, sorted.len())]);
    for _ in 0..steps_max {
        let mut best: Option<(f64, usize, usize)> = None;
        for (number, (start, end)) in leaves.iter().copied().enumerate() {
            let bads = sorted[start..end].iter().filter(|(_, bad)| *bad).count();
            let goods = end - start - bads;
            let mut bad = 0;
            for place in start + 1..end {
                bad += usize::from(sorted[place - 1].1);
                let good = place - start - bad;
                let whole = sorted[place - 1].0 < sorted[place].0;
                if whole && place - start >= SIDE_MIN && end - place >= SIDE_MIN {
                    let purer = impurity(bads, goods) - impurity(bad, good) - impurity(bads - bad, goods - good);
                    if purer > best.map_or(PURER_MIN * all as f64, |(most, ..)| most) {
                        best = Some((purer, number, place));
                    }
                }
            }
        }
        let Some((_, number, place)) = best else { break };
        let (start, end) = leaves[number];
        leaves[number] = (start, place);
        leaves.push((place, end));
        let (low, high) = (sorted[place - 1].0, sorted[place].0);
        // Edges that nearly touch would make a slope that has no number.
        let apart = high - low > f32::max(low.abs(), high.abs()) * 1e-5;
        edges.extend([low, high].iter().skip(usize::from(!apart)));
    }
    edges.sort_by(f32::total_cmp);
    edges.dedup();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine in ten of the bad lie as the good do, from 0 to 199; one in ten lies above.
    fn values() -> Vec<(f32, bool)> {
        let mut values: Vec<(f32, bool)> = (0..2_000).map(|at| ((at % 200) as f32, at % 2 == 0 && at % 200 < 100 || at % 3 == 0)).collect();
        values.extend((0..80).map(|at| (250.0 + at as f32, true)));
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
        values
    }

    #[test]
    fn what_is_mostly_nothing_is_told_apart_where_it_is_something() {
        let mut values: Vec<(f32, bool)> = (0..9_000).map(|at| (0.0, at % 2 == 0)).collect();
        values.extend((0..1_000).map(|at| (1.0 + (at / 10) as f32, at % 2 == 0)));
        let edges = quantiles(&values, 8);
        assert_eq!(edges.len(), 1 + 8, "{edges:?}");
        assert!(edges.windows(2).skip(1).all(|pair| (11.0..15.0).contains(&(pair[1] - pair[0]))), "{edges:?}");
        assert_eq!((quantiles(&values[..9_000], 8), quantiles(&[], 8)), (vec![0.0], vec![]));
    }

    #[test]
    fn codes_are_as_fine_as_pieces_allow() {
        let made = |fineness: Fineness| {
            let edges = (0..=fineness.pieces + 2 * fineness.steps).map(|edge| edge as f32).collect();
            Coding { inputs: vec![Coder { at: 0, edges }; 10] }
        };
        let pieces = [160, 159, 120, 119, 80, 60, 1].map(|pieces_max| finest(pieces_max, made).pieces());
        assert_eq!(pieces, [160, 120, 120, 80, 80, 60, 40]);
    }

    #[test]
    fn a_step_stands_where_the_bad_begin() {
        let mut edges = vec![0.0, 100.0, 329.0];
        steps(&values(), 4, &mut edges);
        assert!(edges.windows(2).any(|pair| pair == [199.0, 250.0]), "{edges:?}");
        assert!(edges.len() <= 3 + 2 * 4 && edges.is_sorted_by(|one, other| one < other), "{edges:?}");
        // Where the bad lie as the good there is no step.
        let even: Vec<(f32, bool)> = (0..2_000).map(|at| ((at / 4) as f32, at % 2 == 0)).collect();
        let mut edges = vec![0.0, 499.0];
        steps(&even, 4, &mut edges);
        assert_eq!(edges, [0.0, 499.0]);
    }
}
