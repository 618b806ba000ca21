//! Card testing: a machine tries many numbers, and most are refused. Seen at the device, or at a shop that has few other payments.

use super::{Different, Finding, Rows, Typology, TypologyOptions, failed, slot};

/// `rows` are the subject's within [`TypologyOptions::testing_window`]; `subject` is the slot of a device or merchant.
pub fn card_testing(rows: &Rows<'_>, subject: usize, options: &TypologyOptions) -> Option<Finding> {
    let mut cards = Different::new();
    let (mut failures, mut all) = (0, 0);
    for (_, row) in rows.iter() {
        all += 1;
        if failed(row) {
            failures += 1;
            cards.add(row.nodes[slot::CARD]);
        }
    }
    if cards.len() < options.cards_min || 2 * failures < all {
        return None;
    }
    Some(rows.finding(Typology::CardTesting, subject, 450 + 50 * cards.len(), failed))
}
