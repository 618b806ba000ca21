//! Pass-through: what comes into an account leaves it within hours, or two days, nearly all of it.

use super::draft::Draft;
use crate::event::Duration;

/// One or two accounts pay one, which pays one to three others soon.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let through = draft.lent();
    let sources = draft.some(1, 2);
    let moments = draft.moments(sources, draft.start, Duration::HOUR.times(5));
    let last = moments[sources - 1];
    let mut minor = 0;
    for at in moments {
        let (source, sum) = (draft.lent(), draft.large_sum());
        minor += draft.pay(source, through, sum, at);
    }
    let longest = Duration(draft.span.0.min(Duration::HOUR.times(30).0));
    let goes_on = draft.less_fee(minor);
    let targets = draft.some(1, 3);
    for sum in draft.split(goes_on, targets) {
        let target = draft.lent();
        draft.send_on(through, target, sum, last, longest, None);
    }
}
