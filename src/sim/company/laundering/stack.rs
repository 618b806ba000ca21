//! Stack, or layering. AMLworld: a bipartite pattern with further layers, through which the money goes on and on.

use super::draft::Draft;
use crate::event::{Duration, Timestamp};

/// What an account of a layer has got, and by when.
#[derive(Clone, Copy)]
struct Holding {
    account: u32,
    minor: i64,
    at: Timestamp,
}

/// Four to six layers of up to three accounts, so three to five hops; on its way the money splits and joins.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let hops = draft.some(3, 5);
    let longest = Duration(draft.span.0 / hops as i64);
    let mut layer: Vec<Holding> = Vec::new();
    for _ in 0..draft.some(1, 3) {
        let (account, minor) = (draft.lent(), draft.large_sum());
        layer.push(Holding { account, minor, at: draft.start });
    }
    for hop in 0..hops {
        let len = draft.some(1, 3);
        let mut next: Vec<Holding> = (0..len).map(|_| Holding { account: draft.lent(), minor: 0, at: draft.start }).collect();
        for (place, of) in layer.iter().enumerate() {
            // So that each account of the next layer gets something.
            let mut targets: Vec<usize> = (0..len).filter(|target| target % layer.len() == place || place % len == *target).collect();
            let other = draft.stage.chance.below(len as u64) as usize;
            if targets.len() == 1 && other != targets[0] && draft.stage.chance.happens(4000) {
                targets.push(other);
            }
            let goes_on = if hop == 0 { of.minor } else { draft.less_fee(of.minor) };
            for (target, sum) in targets.iter().zip(draft.split(goes_on, targets.len())) {
                let (arrives, at) = draft.send_on(of.account, next[*target].account, sum, of.at, longest, None);
                let got = &mut next[*target];
                (got.minor, got.at) = (got.minor + arrives, got.at.max(at));
            }
        }
        layer = next;
    }
}
