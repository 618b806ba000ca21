//! Structuring, or smurfing: sums just below what banks must report, by one account or by several, into one.

use super::draft::Draft;

/// Ten thousand euros, at the fixed prices of the world also where money is another.
pub const LIMIT_CENTS: i64 = 1_000_000;

/// Four to ten sums of eight to ten thousand euros.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let to = draft.lent();
    let len = draft.some(4, 10);
    let payers = if draft.stage.chance.happens(5000) { 1 } else { draft.some(2, 6).min(len) };
    let payers = draft.lents(payers);
    for (place, at) in draft.moments(len, draft.start, draft.span).into_iter().enumerate() {
        let cents = draft.stage.chance.between(LIMIT_CENTS * 80 / 100, LIMIT_CENTS * 995 / 1000);
        let cents = if draft.stage.chance.happens(6000) { cents / 5000 * 5000 } else { cents };
        let minor = draft.minor(cents);
        draft.pay(payers[place % payers.len()], to, minor, at);
    }
}
