//! How far what a model meets has moved from what it met where it was made: the population stability index.

use crate::gnn::Spread;

/// Values of an epoch; the index is of those of the epoch that goes on and of the one before it.
const EPOCH: u64 = 10_000;
/// With fewer values the index would tell of chance: of ten parts it strays by some 0.01 then.
const VALUES_MIN: u64 = 1_000;
/// An empty part counts as if it held so little.
const SHARE_MIN: f64 = 1e-4;

/// The latest values of a figure, beside the spread that they are expected to have.
#[derive(Clone, Debug)]
pub struct Drift {
    expected: Spread,
    /// By part: of the epoch that goes on, and of the one before.
    counts: [Vec<u64>; 2],
    /// Values of the epoch that goes on.
    values: u64,
}

impl Drift {
    /// Nothing was met yet.
    pub fn new(expected: &Spread) -> Drift {
        let none = vec![0; expected.shares.len()];
        Drift { expected: expected.clone(), counts: [none.clone(), none], values: 0 }
    }

    /// Takes note of a value.
    pub fn meet(&mut self, value: f32) {
        if self.values == EPOCH {
            self.counts.swap(0, 1);
            self.counts[0].fill(0);
            self.values = 0;
        }
        self.counts[0][self.expected.bin(value)] += 1;
        self.values += 1;
    }

    /// The index: 0 where nothing has moved, above 0.1 worth a look, above 0.25 another population; `None` while there are too few values.
    pub fn index(&self) -> Option<f64> {
        let counts: Vec<u64> = self.counts[0].iter().zip(&self.counts[1]).map(|(new, old)| new + old).collect();
        let total: u64 = counts.iter().sum();
        if total < VALUES_MIN {
            return None;
        }
        let moved = |(count, expected): (&u64, &f32)| {
            let found = (*count as f64 / total as f64).max(SHARE_MIN);
            let expected = f64::from(*expected).max(SHARE_MIN);
            (found - expected) * (found / expected).ln()
        };
        Some(counts.iter().zip(&self.expected.shares).map(moved).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift() -> Drift {
        Drift::new(&Spread { edges: vec![1.0, 2.0], shares: vec![0.5, 0.25, 0.25] })
    }

    /// 0.25, 0.25, 0.5 where 0.5, 0.25, 0.25 is expected: twice 0.25 ln 2.
    #[test]
    fn the_index_by_hand() {
        let mut drift = drift();
        (0..VALUES_MIN - 1).for_each(|n| drift.meet([0.0, 1.5, 9.0, 2.0][n as usize % 4]));
        assert_eq!(drift.index(), None);
        drift.meet(2.0);
        let index = drift.index().expect("there are enough values");
        assert!((index - 0.5 * std::f64::consts::LN_2).abs() < 1e-9, "{index}");
    }

    /// Caught when planted: an epoch that is never let go of.
    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut drift = drift();
        (0..EPOCH).for_each(|_| drift.meet(9.0));
        assert!(drift.index().expect("enough") > 1.0, "an empty part is told as well");
        (0..2 * EPOCH).for_each(|n| drift.meet([0.0, 0.5, 1.5, 9.0][n as usize % 4]));
        assert!(drift.index().expect("enough").abs() < 1e-9);
    }
}
