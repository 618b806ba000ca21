//! What a model met where it was made.

use super::{Fitted, IMPORTANCE_ROWS, Training, rows_of};
use crate::gnn::{FIGURES_MAX, Reference, Spread, sigmoid};
use crate::learn::measure::Platt;

/// Parts of a spread that drift is measured against.
const REFERENCE_PARTS: usize = 10;

impl Training<'_> {
    /// How scores and main figures of the newest rows are spread: what whoever serves the model compares with. `None` without such rows.
    pub(super) fn reference(&self, fitted: &Fitted, branch: usize, platt: &Platt) -> Option<Reference> {
        let rows = rows_of(self.sample, branch);
        let reading = fitted.reading(branch, rows)?;
        let late: Vec<u32> = (0..rows.len() as u32).filter(|row| rows.time(*row as usize) >= self.sample.options.validation_from).collect();
        let scored = self.scored(fitted, branch).filter(|scored| !scored.is_empty())?;
        let probability = |logit: f32| sigmoid((platt.slope as f32).mul_add(logit, platt.offset as f32));
        let scores = scored.iter().map(|row| (probability(row.logit), row.weight)).collect();
        let importances = fitted.network.importances(&reading, &late[..late.len().min(IMPORTANCE_ROWS)]);
        let mut ranked: Vec<(f64, usize)> = importances.into_iter().zip(0..).collect();
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let figure = |(_, coder): (f64, usize)| {
            let at = reading.coding.inputs[coder].at;
            let values = late.iter().map(|row| (rows.inputs(*row as usize)[at], rows.weight(*row as usize)));
            (self.sample.names[at].clone(), Spread::by_quantiles(values.collect(), REFERENCE_PARTS))
        };
        let figures = ranked.into_iter().take(FIGURES_MAX).map(figure).collect();
        Some(Reference { score: Spread::by_quantiles(scores, REFERENCE_PARTS), figures })
    }
}
