//! A card in other hands: its payments were refused or reported as fraud, more than once.
//!
//! A refusal alone is daily life, and so is the second attempt behind it: so without a known fraud there must be three, at three shops.

use super::{Different, Finding, Rows, Typology, failed, slot, suspicious};

/// `rows` are the card's.
pub fn stolen_card(rows: &Rows<'_>) -> Option<Finding> {
    let mut shops = Different::new();
    let (mut known, mut failures, mut all) = (0, 0, 0);
    for (_, row) in rows.iter() {
        all += 1;
        known += u32::from(row.flags.bad());
        if failed(row) {
            failures += 1;
            shops.add(row.nodes[slot::MERCHANT]);
        }
    }
    let reported = known >= 2 || known == 1 && failures >= 1;
    let testing = shops.len() >= 3 && 2 * failures >= all;
    if !(reported || testing) {
        return None;
    }
    Some(rows.finding(Typology::StolenCard, slot::CARD, 400 + 150 * known + 60 * failures, suspicious))
}
