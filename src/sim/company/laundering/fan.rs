//! Fans. AMLworld, AMLSim: fan-in is an account that many pay, fan-out an account that pays many, within a span of time.

use super::draft::Draft;

/// Four to sixteen accounts pay one.
pub fn many_to_one(draft: &mut Draft<'_, '_>) {
    let hub = draft.lent();
    let len = draft.some(4, 16);
    for at in draft.moments(len, draft.start, draft.span) {
        let (source, sum) = (draft.lent(), draft.sum());
        draft.pay(source, hub, sum, at);
    }
}

/// One account pays four to sixteen.
pub fn one_to_many(draft: &mut Draft<'_, '_>) {
    let hub = draft.lent();
    let len = draft.some(4, 16);
    for at in draft.moments(len, draft.start, draft.span) {
        let (target, sum) = (draft.lent(), draft.sum());
        draft.pay(hub, target, sum, at);
    }
}
