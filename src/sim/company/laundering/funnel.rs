//! Funnel: many newly opened accounts pay into one, which pays out.

use super::draft::{Bend, Draft};
use crate::event::Duration;

/// Five to twelve new accounts get money from outside and pay one; what it got leaves in one to three sums.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let hub = draft.lent();
    let len = draft.some(5, 12);
    let third = Duration(draft.span.0 / 3);
    let (mut gathered, mut last) = (0, draft.start);
    for at in draft.moments(len, draft.start, third) {
        let (account, sum) = (draft.fresh(), draft.sum());
        let arrives = draft.pay(None, account, sum, at);
        let (arrives, there) = draft.pass_on(account, hub, arrives, at, third);
        (gathered, last) = (gathered + arrives, last.max(there));
    }
    let from = if draft.is_bent(Bend::Jitter) { draft.start + Duration((last - draft.start).0 * 8 / 10) } else { last };
    let goes_on = draft.less_fee(gathered);
    let targets = draft.some(1, 3);
    for sum in draft.split(goes_on, targets) {
        let target = draft.lent();
        draft.send_on(hub, target, sum, from, third, None);
    }
}
