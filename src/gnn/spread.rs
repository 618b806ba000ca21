//! What a model met where it was made: how its scores and its main figures were spread. Whoever serves it compares what it meets there.

use super::file::ModelError;
use serde_json::{Value, json};

/// Shares of values between edges: one more than there are edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Ascending. A value on an edge lies above it.
    pub edges: Vec<f32>,
    pub shares: Vec<f32>,
}

/// How a branch's scores and main figures were spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Of probabilities.
    pub score: Spread,
    /// By name, as in [`super::Inputs::names`]; those that move the model most.
    pub figures: Vec<(String, Spread)>,
}

/// Edges and figures that a reference has at most.
const EDGES_MAX: usize = 64;
pub const FIGURES_MAX: usize = 16;

impl Spread {
    /// Between which edges a value lies; one that is no number below all of them.
    pub fn bin(&self, value: f32) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }

    /// How `values` with their weights are spread between `edges`.
    pub fn of(edges: Vec<f32>, values: impl Iterator<Item = (f32, f64)>) -> Spread {
        let mut spread = Spread { shares: vec![0.0; edges.len() + 1], edges };
        let mut sums = vec![0.0; spread.shares.len()];
        values.for_each(|(value, weight)| sums[spread.bin(value)] += weight);
        let total = sums.iter().sum::<f64>();
        if total > 0.0 {
            spread.shares = sums.iter().map(|sum| (sum / total) as f32).collect();
        }
        spread
    }

    /// As [`Spread::of`], with edges where `parts` as heavy as each other meet.
    pub fn by_quantiles(mut values: Vec<(f32, f64)>, parts: usize) -> Spread {
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total = values.iter().map(|(_, weight)| weight).sum::<f64>();
        let (mut before, mut edges) = (0.0, Vec::new());
        for (value, weight) in &values {
            // The part that ends before this value.
            let due = (before * parts as f64 / total) as usize;
            if due > edges.len() && edges.last().is_none_or(|last| value > last) {
                edges.push(*value);
            }
            before += weight;
        }
        Spread::of(edges, values.into_iter())
    }

    fn to_json(&self) -> Value {
        json!({ "edges": self.edges, "shares": self.shares })
    }

    fn from_json(value: &Value) -> Option<Spread> {
        let numbers = |key: &str| -> Option<Vec<f32>> {
            value[key].as_array()?.iter().map(|number| number.as_f64().map(|number| number as f32)).collect()
        };
        let spread = Spread { edges: numbers("edges")?, shares: numbers("shares")? };
        let sound = spread.edges.len() <= EDGES_MAX
            && spread.shares.len() == spread.edges.len() + 1
            && spread.edges.iter().all(|edge| edge.is_finite())
            && spread.edges.is_sorted_by(|one, other| one < other)
            && spread.shares.iter().all(|share| (0.0..=1.0).contains(share))
            && (spread.shares.iter().sum::<f32>() - 1.0).abs() < 1e-3;
        sound.then_some(spread)
    }
}

impl Reference {
    /// The text that a model's file holds.
    pub(super) fn to_text(&self) -> String {
        let figures = self.figures.iter().map(|(name, spread)| json!({ "name": name, "spread": spread.to_json() }));
        json!({ "score": self.score.to_json(), "figures": figures.collect::<Vec<_>>() }).to_string()
    }

    /// Reads it back.
    pub(super) fn from_text(called: &str, text: &str) -> Result<Reference, ModelError> {
        let read = || {
            let value: Value = serde_json::from_str(text).ok()?;
            let figures = value["figures"].as_array()?;
            let figure = |figure: &Value| Some((figure["name"].as_str()?.to_owned(), Spread::from_json(&figure["spread"])?));
            let figures: Vec<(String, Spread)> = figures.iter().map(figure).collect::<Option<_>>()?;
            Some(Reference { score: Spread::from_json(&value["score"])?, figures }).filter(|read| read.figures.len() <= FIGURES_MAX)
        };
        read().ok_or_else(|| {
            ModelError(format!(
                "{called}: found no reference that can be compared with, expected ascending edges with one share more that are 1 together, \
                 at most {EDGES_MAX} edges and {FIGURES_MAX} figures"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_between_edges() {
        let spread = Spread::of(vec![1.0, 2.0], [(0.0, 1.0), (1.0, 2.0), (1.5, 1.0), (2.0, 1.0), (9.0, 1.0), (f32::NAN, 2.0)].into_iter());
        assert_eq!(spread.shares, [0.375, 0.375, 0.25]);
    }

    /// Eight values, the last as heavy as nine: but for their weights there would be an edge at every second.
    #[test]
    fn quantiles_part_the_weight() {
        let values = [8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(|value| (value, if value == 8.0 { 9.0 } else { 1.0 }));
        let spread = Spread::by_quantiles(values.to_vec(), 4);
        assert_eq!((spread.edges.as_slice(), spread.shares.as_slice()), (&[5.0][..], &[0.25, 0.75][..]));
        let even = Spread::by_quantiles(values.map(|(value, _)| (value, 1.0)).to_vec(), 4);
        assert_eq!((even.edges.as_slice(), even.shares.as_slice()), (&[3.0, 5.0, 7.0][..], &[0.25; 4][..]));
        // What is all the same has no edge within.
        assert_eq!(Spread::by_quantiles(vec![(7.0, 1.0); 20], 10).edges.len(), 1);
    }

    #[test]
    fn a_reference_survives_its_text() {
        let reference = Reference {
            score: Spread::by_quantiles((0..100).map(|n| (0.1 + n as f32 / 300.0, 1.0)).collect(), 10),
            figures: vec![("amount".to_owned(), Spread { edges: vec![-1.5], shares: vec![0.25, 0.75] })],
        };
        assert_eq!(Reference::from_text("payment.reference", &reference.to_text()), Ok(reference.clone()));
        for (from, to) in [("0.75", "0.85"), ("[-1.5]", "[]"), ("\"amount\"", "7"), ("-1.5", "null")] {
            let text = reference.to_text().replacen(from, to, 1);
            let told = Reference::from_text("payment.reference", &text).expect_err("it is damaged").to_string();
            assert!(told.starts_with("payment.reference: found no reference"), "{from} {told}");
        }
    }
}
