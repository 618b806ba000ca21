//! An account at rest awakes: for 45 days and more nothing happened there; then it takes, and passes on.
//!
//! Nobody keeps a list of who does what when, so real people's accounts cannot be known to rest. Those who launder open accounts in time,
//! let them do this and that, and leave them alone.

use super::super::Company;
use super::super::fraud::Stage;
use super::super::land::REGION_OF;
use super::super::occurrence::Occurrence;
use super::super::schedule::Plan;
use super::super::transfer::Remittance;
use super::draft::Draft;
use crate::event::{Duration, Timestamp};
use crate::sim::chance::Chance;

/// How long an account rests at least.
pub const REST_MIN: Duration = Duration::DAY.times(45);
/// Accounts at rest, at most; then the oldest is forgotten.
const RESTING_MAX: usize = 4096;

/// One to three accounts pay the one that rested, and within two days it pays one to three others.
pub fn draw(draft: &mut Draft<'_, '_>) {
    let sleeper = draft.sleeper.expect("the form is drawn where one has rested");
    let sources = draft.some(1, 3);
    let moments = draft.moments(sources, draft.start, Duration::HOUR.times(20));
    let last = moments[sources - 1];
    let mut minor = 0;
    for at in moments {
        let (source, sum) = (draft.lent(), draft.large_sum());
        minor += draft.pay(source, sleeper, sum, at);
    }
    let longest = Duration(draft.span.0.min(Duration::HOUR.times(40).0));
    let goes_on = draft.less_fee(minor);
    let targets = draft.some(1, 3);
    for sum in draft.split(goes_on, targets) {
        let target = draft.lent();
        draft.send_on(sleeper, target, sum, last, longest, None);
    }
}

/// Opens an account that is to rest, and takes one that has rested long enough, if one has and its time has come.
pub(in crate::sim::company) fn trade(stage: &mut Stage<'_>) -> Option<u32> {
    let region = usize::from(REGION_OF[stage.chance.below(64) as usize]);
    let person = stage.invent_in(region).number;
    let wait = stage.chance.wait(Duration::DAY.times(2).0);
    stage.company.schedule.add(stage.now + Duration(wait), Plan::Sleeper { person, left: 1 + stage.chance.rank(4) as u8, opens: true });
    let resting = &mut stage.company.resting;
    let rested = resting.partition_point(|(_, since)| stage.now - *since >= REST_MIN);
    if rested == 0 || stage.chance.happens(3000) {
        return None;
    }
    let place = stage.chance.below(rested as u64) as usize;
    resting.remove(place).map(|(person, _)| person)
}

impl Company {
    /// Something happens on an account before it rests: first it gets a little, then it pays a little.
    pub(in crate::sim::company) fn before_rest(&mut self, now: Timestamp, number: u32, left: u8, opens: bool) -> Occurrence {
        let mut chance = Chance::of(self.options.seed, 0x701, u64::from(number) << 8 | u64::from(left));
        let chance = &mut chance;
        let person = self.people.person(number);
        let of = if opens {
            let own = self.party(&person, false);
            let amount = self.price(person.region, chance.between(50, 400) * 100);
            let format = self.format(chance, person.region);
            Remittance {
                from: None,
                to: Some(own),
                region: person.region,
                amount,
                format,
                user: Some(self.people.user(&person)),
                device: None,
            }
        } else {
            let to = self.biller(chance, person.region);
            let cents = chance.scatter(2_500, 100);
            self.remit(chance, &person, to, cents, now)
        };
        match left {
            0 => {
                if self.resting.len() == RESTING_MAX {
                    self.resting.pop_front();
                }
                self.resting.push_back((number, now));
            }
            _ => {
                let wait = chance.wait(Duration::DAY.times(2).0).min(Duration::DAY.times(9).0);
                self.schedule.add(now + Duration(wait), Plan::Sleeper { person: number, left: left - 1, opens: false });
            }
        }
        let occurrence = self.send(now, &of, None);
        self.clear(chance, now, &occurrence);
        occurrence
    }
}
