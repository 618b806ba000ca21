//! Gather-scatter and scatter-gather. AMLworld, Graph Feature Preprocessor: a fan-in whose hub then fans out; and a fan-out to accounts
//! that all pay one and the same account then.

use super::draft::{Bend, Draft};
use crate::event::Duration;

/// Three to ten accounts pay one, which pays three to ten others.
pub fn gather_scatter(draft: &mut Draft<'_, '_>) {
    let hub = draft.lent();
    let (sources, targets) = (draft.some(3, 10), draft.some(3, 10));
    let (mut gathered, half) = (0, Duration(draft.span.0 * 45 / 100));
    let moments = draft.moments(sources, draft.start, half);
    let last = moments[sources - 1];
    for at in moments {
        let (source, sum) = (draft.lent(), draft.sum());
        gathered += draft.pay(source, hub, sum, at);
    }
    let goes_on = draft.less_fee(gathered);
    let stays = if draft.is_bent(Bend::Partial) { draft.stage.chance.between(5, 30) } else { 0 };
    let goes_on = draft.share(goes_on, 100 - stays);
    // With jitter it begins to pay while others pay it still.
    let from = if draft.is_bent(Bend::Jitter) { draft.start + Duration((last - draft.start).0 * 7 / 10) } else { last };
    let from = from + draft.dwell(Duration(draft.span.0 / 10));
    let sums = draft.split(goes_on, targets);
    for (at, sum) in draft.moments(targets, from, half).into_iter().zip(sums) {
        let target = draft.lent();
        draft.pay(hub, target, sum, at);
    }
}

/// One account pays three to ten, and all of them pay one other.
pub fn scatter_gather(draft: &mut Draft<'_, '_>) {
    let (source, sink) = (draft.lent(), draft.lent());
    let len = draft.some(3, 10);
    let (longest, half) = (Duration(draft.span.0 / 2), Duration(draft.span.0 / 2));
    for at in draft.moments(len, draft.start, half) {
        let (between, sum) = (draft.lent(), draft.sum());
        let arrives = draft.pay(source, between, sum, at);
        draft.pass_on(between, sink, arrives, at, longest);
    }
}
