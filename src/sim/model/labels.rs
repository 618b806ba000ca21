//! Verdicts: which is in force of a row, and what of it a node keeps.

use super::Model;
use crate::event::{Label, Target, Verdict};
use crate::graph::Family;

impl Model<'_> {
    /// A label's verdict comes into force, unless a stronger one stands.
    pub(super) fn judge(&mut self, label: &Label, target: &Target) {
        let found = self.row_of(target);
        let standing = match found {
            Some(at) => self.rows[Family::Money as usize][at].verdict,
            None => target.standing,
        };
        if standing.is_some_and(|(_, source)| label.source < source) {
            return;
        }
        let entities = match found {
            Some(at) => {
                let row = &mut self.rows[Family::Money as usize][at];
                row.verdict = Some((label.verdict, label.source));
                row.nodes
            }
            None => target.ends,
        };
        let was_bad = standing.is_some_and(|(verdict, _)| is_bad(verdict));
        for entity in entities.into_iter().flatten() {
            let Some(node) = self.nodes.get_mut(&entity) else { continue };
            match (was_bad, is_bad(label.verdict)) {
                (false, true) => node.bads += 1,
                // A node that was unknown at the first verdict has nothing that could be taken back.
                (true, false) => node.bads = node.bads.saturating_sub(1),
                _ => continue,
            }
            self.settle(entity);
        }
    }

    /// The place of the target's row, if it is visible: payments and transfers alone bear verdicts in their rows.
    pub(super) fn row_of(&self, target: &Target) -> Option<usize> {
        let visible = self.visible_from[Family::Money as usize];
        let at = self.visible(Family::Money).iter().position(|row| row.sequence == target.sequence)?;
        Some(visible + at)
    }
}

pub(super) fn is_bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fraud | Verdict::Laundering)
}
