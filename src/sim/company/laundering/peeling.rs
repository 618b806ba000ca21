//! Peeling chain: at each hop a small part is peeled off to another account, and the rest goes on.

use super::draft::Draft;
use crate::event::Duration;

/// Four to eight hops; 3 to 12 % are peeled off at each account on the way.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let hops = draft.some(4, 8);
    let chain = draft.lents(hops + 1);
    let longest = Duration(draft.span.0 / hops as i64);
    let (mut minor, mut at) = (draft.large_sum() * 2, draft.start);
    minor = draft.pay(chain[0], chain[1], minor, at);
    for place in 1..hops {
        let left = draft.less_fee(minor);
        let share = draft.stage.chance.between(3, 12);
        let peel = draft.share(left, share);
        let aside = draft.lent();
        let when = at + draft.dwell(longest);
        draft.pay(chain[place], aside, peel, when);
        (minor, at) = draft.send_on(chain[place], chain[place + 1], left - peel, at, longest, None);
    }
}
