//! Cycle. AMLworld, AMLSim: money comes back to where it began; Graph Feature Preprocessor: a temporal cycle, each edge later than the one
//! before.

use super::draft::Draft;
use crate::event::Duration;

/// Around two to ten accounts; of two seldom, since friends do so, too.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let len = if draft.stage.chance.happens(1000) { 2 } else { draft.some(3, 10) };
    let accounts = draft.lents(len);
    let longest = Duration(draft.span.0 / len as i64);
    let (mut minor, mut at) = (draft.large_sum(), draft.start);
    for place in 0..len {
        let (from, to) = (accounts[place], accounts[(place + 1) % len]);
        (minor, at) = match place {
            0 => (draft.pay(from, to, minor, at), at),
            _ => draft.pass_on(from, to, minor, at, longest),
        };
    }
}
