//! Money followed back through accounts that pass it on.
//!
//! An account *passes on* what it got where it sends nearly as much within a few days: one sum for one sum, or several for several. From the
//! transfer looked at the search goes back from account to account as long as each has passed on, in order of time.

use super::legs::Leg;
use super::{LaunderingOptions, Search};
use crate::event::{Duration, Timestamp};

/// Legs of a way at most, the transfer looked at among them: the longest cycle.
pub const LEGS_MAX: usize = 10;
/// Legs by which money may have come to one account, as far as they are followed.
const FEEDERS_MAX: usize = 8;
/// Steps of one search at most.
const STEPS_MAX: u32 = 192;

/// How an account passed on.
#[derive(Clone, Copy, Debug)]
pub struct Transit {
    /// Places of the legs in among all legs of the search.
    feeders: [u32; FEEDERS_MAX],
    feeders_len: u8,
    /// Amounts in, and out.
    pub in_minor: i64,
    pub out_minor: i64,
    /// Time of the oldest leg in.
    pub start: Timestamp,
    /// One sum for one sum.
    pub single: bool,
}

impl Transit {
    fn new(out: Leg, single: bool) -> Transit {
        Transit { feeders: [0; FEEDERS_MAX], feeders_len: 0, in_minor: 0, out_minor: 0, start: out.time, single }
    }

    /// Notes a leg in; `true` where it is the first.
    fn feed(&mut self, place: usize) -> bool {
        if usize::from(self.feeders_len) < FEEDERS_MAX {
            self.feeders[usize::from(self.feeders_len)] = place as u32;
            self.feeders_len += 1;
        }
        self.feeders_len == 1
    }

    /// Places of the legs in that are followed, newest first.
    pub fn feeders(&self) -> &[u32] {
        &self.feeders[..usize::from(self.feeders_len)]
    }

    /// Of a thousand that came in so many went out.
    pub fn kept_permille(&self) -> i64 {
        permille(self.out_minor, self.in_minor)
    }
}

/// How many of a thousand `part` is of `whole`.
pub fn permille(part: i64, whole: i64) -> i64 {
    if whole <= 0 { 0 } else { (i128::from(part) * 1000 / i128::from(whole)).min(i128::from(i64::MAX)) as i64 }
}

/// Whether so much out is what was passed on of so much in.
fn is_kept(out: i64, came_in: i64, options: &LaunderingOptions) -> bool {
    let permille = permille(out, came_in);
    (options.kept_permille..=options.exceeds_permille).contains(&permille)
}

/// A way that money took, from the transfer looked at back to where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Newest first.
    legs: [Leg; LEGS_MAX],
    len: u8,
}

impl Way {
    fn new(this: Leg) -> Way {
        Way { legs: [this; LEGS_MAX], len: 1 }
    }

    /// A way of these legs, newest first.
    pub fn of(legs: &[Leg]) -> Way {
        let mut way = Way { legs: [legs[0]; LEGS_MAX], len: legs.len() as u8 };
        way.legs[..legs.len()].copy_from_slice(legs);
        way
    }

    /// Its legs, newest first.
    pub fn legs(&self) -> &[Leg] {
        &self.legs[..usize::from(self.len)]
    }

    /// Legs between two accounts.
    pub fn hops(&self) -> usize {
        self.legs().iter().filter(|leg| leg.from.is_account() && leg.to.is_account()).count()
    }

    /// Its newest legs, so many at most.
    pub fn newest(&self, legs: u8) -> Way {
        Way { len: self.len.min(legs), ..*self }
    }

    fn push(&mut self, leg: Leg) {
        self.legs[usize::from(self.len)] = leg;
        self.len += 1;
    }
}

/// What a search back found.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// The way with the most legs; of equal ones the newest.
    pub longest: Way,
    /// The first way found that leads back to whoever received.
    pub cycle: Option<Way>,
}

impl Search<'_> {
    /// How the account that sent `out` passed on what it got; `None` where it did not. Of one sum for one sum and several for several that
    /// which says more.
    pub fn transit(&mut self, out: Leg) -> Option<Transit> {
        let (single, several) = (self.one_for_one(out), self.several_for_several(out));
        match (single, several) {
            (Some(single), Some(several)) => {
                let bits = |search: &Self, transit: &Transit| search.passing_bits(transit.kept_permille(), out.time - transit.start);
                // What is left over of several says that it was one of them.
                Some(if bits(self, &several) > bits(self, &single) { several } else { single })
            }
            (single, several) => single.or(several),
        }
    }

    /// One sum for one sum: all legs in that fit, the newest first.
    fn one_for_one(&mut self, out: Leg) -> Option<Transit> {
        let mut transit = Transit::new(out, true);
        for place in self.around.places(out.from) {
            let leg = self.around.leg(place);
            if self.feeds(&leg, &out) && is_kept(out.amount_minor, leg.amount_minor, self.options) && transit.feed(place) {
                (transit.in_minor, transit.out_minor, transit.start) = (leg.amount_minor, out.amount_minor, leg.time);
            }
        }
        (transit.feeders_len > 0).then_some(transit)
    }

    /// Several for several, among strangers: all that came in since some leg in, and all that went out since, till the dwell behind it. What
    /// an account does with those it knows is its own life.
    fn several_for_several(&mut self, out: Leg) -> Option<Transit> {
        let account = out.from;
        let mut transit = Transit::new(out, false);
        let places = self.around.places(account);
        let (mut sent, mut newest) = (0, places.start);
        for place in places {
            let leg = self.around.leg(place);
            if !self.is_between_strangers(&leg) {
                continue;
            }
            if leg.from == account {
                sent += leg.amount_minor;
            }
            if !self.feeds(&leg, &out) {
                continue;
            }
            while newest < place && self.around.leg(newest).time > leg.time + self.options.dwell {
                let late = self.around.leg(newest);
                sent -= if late.from == account && self.is_between_strangers(&late) { late.amount_minor } else { 0 };
                newest += 1;
            }
            transit.in_minor += leg.amount_minor;
            (transit.out_minor, transit.start) = (sent, leg.time);
            transit.feed(place);
            if is_kept(transit.out_minor, transit.in_minor, self.options) {
                return Some(transit);
            }
        }
        None
    }

    /// Whether what an account sends by `out` may have come to it by `leg`.
    fn feeds(&self, leg: &Leg, out: &Leg) -> bool {
        leg.to == out.from && leg.is_before(out) && leg.time >= out.time - self.options.dwell
    }

    /// Whether a leg is between two accounts that never dealt with each other, neither a business; what comes from outside counts, too.
    pub fn is_between_strangers(&mut self, leg: &Leg) -> bool {
        let known = leg.from.is_account() && leg.to.is_account() && !self.around.are_strangers(leg.from, leg.to);
        !known && leg.amount_minor >= self.options.leg_minor && !self.around.is_busy(leg.from) && !self.around.is_busy(leg.to)
    }

    /// The ways that the money of the transfer looked at may have taken.
    pub fn trace(&mut self) -> Traced {
        let this = self.around.this;
        let mut traced = Traced { longest: Way::new(this), cycle: None };
        let mut steps = 0;
        let mut way = Way::new(this);
        self.go_back(&mut way, &mut traced, &mut steps);
        traced
    }

    fn go_back(&mut self, way: &mut Way, traced: &mut Traced, steps: &mut u32) {
        if way.len > traced.longest.len {
            traced.longest = *way;
        }
        let newest = *way.legs().last().expect("a way has a leg");
        let account = newest.from;
        if !account.is_account() || usize::from(way.len) == LEGS_MAX || self.around.is_hub(account) {
            return;
        }
        let Some(transit) = self.transit(newest) else { return };
        for place in transit.feeders() {
            if *steps == STEPS_MAX {
                self.around.cut = true;
                return;
            }
            *steps += 1;
            let leg = self.around.leg(*place as usize);
            let target = way.legs[0].to;
            let closes = leg.from == target && target.is_account();
            let met = way.legs().iter().any(|known| known.from == leg.from && leg.from.is_account());
            if met {
                continue;
            }
            way.push(leg);
            if closes {
                if traced.cycle.is_none() {
                    traced.cycle = Some(*way);
                }
            } else {
                self.go_back(way, traced, steps);
            }
            way.len -= 1;
        }
    }

    /// Whether two sides of a leg never dealt with each other before.
    pub fn is_strange(&mut self, leg: &Leg) -> bool {
        self.around.are_strangers(leg.from, leg.to)
    }

    /// What a leg says for a pattern, in bits: most honest money goes between people who know each other, to firms, or from them.
    pub fn leg_bits(&mut self, leg: &Leg) -> f32 {
        match self.is_strange(leg) {
            _ if !leg.from.is_account() || !leg.to.is_account() => -0.5,
            _ if self.around.is_busy(leg.from) || self.around.is_busy(leg.to) => -3.0,
            true => 2.0,
            false => -4.0,
        }
    }

    /// What it says, in bits, that an account passed on so much after so long: by chance what goes out is seldom what came in.
    pub fn passing_bits(&self, kept_permille: i64, dwell: Duration) -> f32 {
        let kept = match kept_permille {
            950..=1_000 => 4.0,
            900..950 => 3.0,
            820..900 => 1.5,
            _ => 0.5,
        };
        let hours = dwell.0 / Duration::HOUR.0;
        kept + match hours {
            0..6 => 2.5,
            6..24 => 1.5,
            24..48 => 0.5,
            48..96 => -0.5,
            _ => -1.5,
        }
    }

    /// What a way says for a pattern, in bits: of each account that it how passed on, of each leg who pays whom.
    pub fn way_bits(&mut self, way: &Way) -> f32 {
        let mut bits = 0.0;
        for (at, leg) in way.legs().iter().enumerate() {
            bits += self.leg_bits(leg);
            if let Some(before) = way.legs().get(at + 1)
                && let Some(transit) = self.transit(*leg)
            {
                bits += self.passing_bits(transit.kept_permille(), leg.time - before.time);
            }
        }
        bits
    }

    /// All legs by which the accounts of a way passed on, each once: those of the way, and where an account took or sent several sums for
    /// one, these.
    pub fn gather_way(&mut self, way: &Way) {
        for (at, leg) in way.legs().iter().enumerate() {
            self.prove(*leg);
            if at + 1 < way.legs().len() {
                self.gather_transit(*leg);
            }
        }
    }

    /// All legs by which the account that sent `leg` passed on, where it did so in several sums.
    pub fn gather_transit(&mut self, leg: Leg) {
        let Some(transit) = self.transit(leg).filter(|transit| !transit.single) else { return };
        for place in self.around.places(leg.from) {
            let own = self.around.leg(place);
            let belongs = own.time >= transit.start && own.time <= transit.start + self.options.dwell;
            if belongs && (own.from == leg.from || own.is_before(&leg)) && self.is_between_strangers(&own) {
                self.prove(own);
            }
        }
    }
}
