//! A compromised or fraudulent shop: much of what was paid there turned out to be fraud. Counted over the shop's whole life; its newest
//! rows only show some of it.

use super::{Finding, Rows, Typology, TypologyOptions, slot};

/// `rows` are the merchant's, `bads` and `events` those it ever had.
pub fn merchant_bads(rows: &Rows<'_>, bads: u32, events: u32, options: &TypologyOptions) -> Option<Finding> {
    if bads < options.bads_min || u64::from(bads) * 100 < u64::from(options.bads_percent) * u64::from(events) {
        return None;
    }
    let percent = (u64::from(bads) * 100 / u64::from(events.max(1))).min(100) as u32;
    Some(rows.finding(Typology::MerchantBads, slot::MERCHANT, 400 + 5 * percent + 10 * bads.min(20), |row| row.flags.bad()))
}
