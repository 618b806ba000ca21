//! Lists: what follows from an entity of the event standing on one.
//!
//! A list that declines stands above every rule and every score, and what it declines is exempt from whatever lets declines go. A list that
//! allows takes away the outcome of rules, limits and scores, not that of another list: who is known to be stolen is not allowed.

use super::{Outcome, Policy, Reason, ReasonCode, Reasons, Verdict};
use crate::event::{IdKind, SLOTS};

/// The most lists of a topology: one bit each.
pub const LISTS_MAX: usize = 32;

/// The kinds of entities that may stand on a list.
pub const LISTED_KINDS: [IdKind; 6] = [IdKind::User, IdKind::Merchant, IdKind::Device, IdKind::Card, IdKind::Ip, IdKind::Account];

/// What follows from standing on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Declines: the law forbids dealing with them.
    Sanction,
    /// Declines: reported stolen, and confirmed.
    Stolen,
    /// Declines: blocked by a person.
    Block,
    /// A person looks.
    Review,
    /// Rules, limits and scores have no say in the outcome.
    Allow,
    /// Nothing by itself: rules may read it.
    Mark,
    /// Nothing in decisions: alerts about who stands on it are counted, not told.
    Suppress,
}

impl Effect {
    /// All effects, the strongest first.
    pub const ALL: [Effect; 7] =
        [Effect::Sanction, Effect::Stolen, Effect::Block, Effect::Review, Effect::Allow, Effect::Mark, Effect::Suppress];

    /// The word in the topology.
    pub fn name(self) -> &'static str {
        ["sanction", "stolen", "block", "review", "allow", "mark", "suppress"][self as usize]
    }

    /// Whether it declines, whatever else is known.
    pub fn declines(self) -> bool {
        matches!(self, Effect::Sanction | Effect::Stolen | Effect::Block)
    }

    fn reason(self) -> Option<ReasonCode> {
        match self {
            Effect::Sanction => Some(ReasonCode::ListSanction),
            Effect::Stolen => Some(ReasonCode::ListStolen),
            Effect::Block => Some(ReasonCode::ListBlock),
            Effect::Review => Some(ReasonCode::ListReview),
            Effect::Allow => Some(ReasonCode::ListAllow),
            Effect::Mark | Effect::Suppress => None,
        }
    }
}

/// `[list.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    pub name: String,
    pub effect: Effect,
    /// What may stand on it, in the order of [`LISTED_KINDS`].
    pub of: Vec<IdKind>,
}

/// Every list, and how many entries all of them may have together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListsOptions {
    pub entries_max: u32,
    /// Sorted by name: a list's number is its place.
    pub lists: Vec<ListOptions>,
}

impl ListsOptions {
    /// The lists from which this follows, a bit each.
    pub fn with_effect(&self, effect: Effect) -> u32 {
        let of = self.lists.iter().enumerate().filter(|(_, list)| list.effect == effect);
        of.fold(0, |bits, (number, _)| bits | 1 << number)
    }
}

/// On which lists the entities of an event stand: a bit a list, by slot.
pub type Listed = [u32; SLOTS];

/// The lists by what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLadder {
    /// By number.
    effects: Vec<Effect>,
}

impl ListLadder {
    /// The ladder over these lists.
    pub fn new(options: &ListsOptions) -> ListLadder {
        ListLadder { effects: options.lists.iter().map(|list| list.effect).collect() }
    }

    /// Adds to what the policy said of an event what follows from the lists that its entities stand on.
    pub fn judge(&self, listed: &Listed, policy: &Policy, verdict: &mut Verdict) {
        if listed.iter().all(|lists| *lists == 0) {
            return;
        }
        let mut reasons = Reasons::default();
        let (mut outcome, mut risk_score, mut allowed) = (Outcome::Approve, 0, false);
        for effect in Effect::ALL {
            let Some(code) = effect.reason() else { continue };
            for (number, _) in self.effects.iter().enumerate().filter(|(_, known)| **known == effect) {
                let Some(slot) = listed.iter().position(|lists| lists >> number & 1 != 0) else { continue };
                let weight = match effect {
                    effect if effect.declines() => {
                        (outcome, verdict.exempt) = (Outcome::Decline, true);
                        1000
                    }
                    Effect::Review => {
                        outcome = outcome.max(Outcome::Review);
                        policy.thresholds().review_risk_score_min.min(1000)
                    }
                    _ => {
                        allowed = true;
                        0
                    }
                };
                risk_score = risk_score.max(weight);
                reasons.insert(Reason { code, cause: number as u16, weight, value: slot as i64 });
            }
        }
        // Behind those of the lists, where their weights are equal.
        verdict.reasons.as_slice().iter().for_each(|reason| reasons.insert(*reason));
        verdict.reasons = reasons;
        verdict.risk_score = verdict.risk_score.max(risk_score);
        if allowed {
            verdict.outcome = Outcome::Approve;
            verdict.suspicion.outcome = Outcome::Approve;
        }
        verdict.outcome = verdict.outcome.max(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{PolicyOptions, Thresholds};
    use crate::event::IdKey;
    use crate::feature::Schema;

    fn judged(listed: &[(usize, usize)], outcome: Outcome) -> Verdict {
        let lists =
            Effect::ALL.iter().map(|effect| ListOptions { name: effect.name().to_owned(), effect: *effect, of: vec![IdKind::Card] });
        let ladder = ListLadder::new(&ListsOptions { entries_max: 9, lists: lists.collect() });
        let thresholds = Thresholds { challenge_risk_score_min: 400, review_risk_score_min: 620, decline_risk_score_min: 900 };
        let options = PolicyOptions { thresholds, ..PolicyOptions::default() };
        let policy = Policy::compile(&options, &Schema::default(), &IdKey::FILES).unwrap();
        let mut slots = Listed::default();
        listed.iter().for_each(|(slot, number)| slots[*slot] |= 1 << number);
        let mut reasons = Reasons::default();
        reasons.insert(Reason { code: ReasonCode::Rule, cause: 0, weight: 1000, value: 0 });
        let mut verdict = Verdict { outcome, risk_score: 1000, reasons, ..Verdict::default() };
        ladder.judge(&slots, &policy, &mut verdict);
        verdict
    }

    fn codes(verdict: &Verdict) -> Vec<(ReasonCode, u16, u16, i64)> {
        verdict.reasons.as_slice().iter().map(|reason| (reason.code, reason.cause, reason.weight, reason.value)).collect()
    }

    /// Caught when planted: a list that allows above one that declines.
    #[test]
    fn lists_stand_above_rules_and_those_that_decline_above_those_that_allow() {
        let rule = (ReasonCode::Rule, 0, 1000, 0);
        let blocked = judged(&[(1, 2)], Outcome::Approve);
        assert_eq!((blocked.outcome, blocked.exempt), (Outcome::Decline, true));
        assert_eq!(codes(&blocked), [(ReasonCode::ListBlock, 2, 1000, 1), rule]);
        let allowed = judged(&[(3, 4)], Outcome::Decline);
        assert_eq!((allowed.outcome, allowed.exempt, allowed.risk_score), (Outcome::Approve, false, 1000));
        assert_eq!(codes(&allowed), [rule, (ReasonCode::ListAllow, 4, 0, 3)]);
        let watched = judged(&[(3, 4), (0, 3)], Outcome::Decline);
        assert_eq!((watched.outcome, watched.exempt), (Outcome::Review, false));
        assert_eq!(codes(&watched)[1], (ReasonCode::ListReview, 3, 620, 0));
        let stolen = judged(&[(3, 4), (3, 1), (0, 0)], Outcome::Approve);
        assert_eq!((stolen.outcome, stolen.exempt), (Outcome::Decline, true));
        assert_eq!(codes(&stolen)[0], (ReasonCode::ListSanction, 0, 1000, 0));
        // What is only marked is as if it were not there.
        let marked = judged(&[(2, 5)], Outcome::Challenge);
        assert_eq!((marked.outcome, marked.exempt, codes(&marked)), (Outcome::Challenge, false, vec![rule]));
    }
}
