//! Mules: young accounts that take and pass on, several times, and are run from one device.

use super::draft::Draft;
use crate::event::Duration;

/// Two or three new accounts take two to four times each, and pass it on to one collector from the same phone.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let mules = draft.some(2, 3);
    let collector = draft.lent();
    let phone = match draft.stage.chance.happens(5000) {
        true => draft.stage.company.people.gangster(draft.stage.chance).number,
        false => draft.fresh(),
    };
    let victims = draft.some(2, 5);
    let victims = draft.lents(victims);
    for _ in 0..mules {
        let mule = draft.fresh();
        let rounds = draft.some(2, 4);
        let each = Duration(draft.span.0 / rounds as i64);
        // It passes on within a day and a half, before it takes again.
        let longest = Duration((each.0 * 7 / 10).min(Duration::HOUR.times(36).0));
        for round in 0..rounds as i64 {
            let at = draft.start + Duration(each.0 * round + draft.stage.chance.between(0, each.0 / 5));
            let sum = draft.sum();
            let from = (!draft.stage.chance.happens(2500)).then(|| *draft.stage.chance.pick(&victims));
            let arrives = draft.pay(from, mule, sum, at);
            let left = draft.less_fee(arrives);
            draft.send_on(mule, collector, left, at, longest, Some(phone));
        }
    }
}
