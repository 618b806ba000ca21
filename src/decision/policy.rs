//! The ladder: rules and velocity limits, compiled to one flat program an event type, and what follows from those that hold.
//!
//! Each cause that holds gives a reason with its own risk score as weight. The decision's risk score is the greatest of them, its outcome
//! the most severe of the causes' outcomes and of those due from that risk score on. Nothing is allocated while judging.
//!
//! Causes whose reasons are for AML alone stand apart: what follows from them is a [`Suspicion`] beside the verdict, and all else is as if
//! they were not there. So nothing that others read can hang on them.

mod compile;

pub use compile::PolicyError;

use super::rule::{Op, run};
use super::{Audience, Outcome, Part, Reason, ReasonCode, Reasons, Skip, Thresholds, Why};
use crate::event::EventType;

/// The most causes of one kind that a verdict names; further ones are not told.
pub const CAUSES_TOLD_MAX: usize = 4;

/// The most causes of a policy that may decline: the guard counts each.
pub const GUARDED_MAX: usize = 256;

/// Causes that decline, a bit for each by its slot ([`Policy::guarded`]).
pub type Declining = [u64; GUARDED_MAX / 64];

/// Causes by their index in the policy, in the order in which they were met; at most [`CAUSES_TOLD_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CauseList {
    entries: [u16; CAUSES_TOLD_MAX],
    count: u8,
}

impl CauseList {
    /// The indices.
    pub fn as_slice(&self) -> &[u16] {
        &self.entries[..usize::from(self.count)]
    }

    /// Adds a cause where there is room.
    pub(crate) fn push(&mut self, index: u16) {
        if usize::from(self.count) < CAUSES_TOLD_MAX {
            self.entries[usize::from(self.count)] = index;
            self.count += 1;
        }
    }
}

/// What of a judgement speaks of laundering: nobody outside of AML may be told, nor may anything hang on it that others read, but for the
/// outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Suspicion {
    pub outcome: Outcome,
    /// 0..=1000.
    pub risk_score: u16,
    pub reasons: Reasons,
    /// As those of a [`Verdict`].
    pub rule_errors: CauseList,
    pub yielded: CauseList,
    pub sum_yielded: bool,
    /// What the model says of the transfer is no number.
    pub no_number: bool,
}

impl Suspicion {
    /// Its entries of `skipped`.
    pub fn skips(&self) -> impl Iterator<Item = Skip> {
        let no_number = self.no_number.then_some(Skip { part: Part::Gnn, why: Why::NoNumber, value: 0, window: 0 });
        no_number.into_iter().chain(skips(&self.rule_errors, &self.yielded, self.sum_yielded))
    }
}

/// The entries of `skipped` that say which causes were not asked or yielded.
fn skips(rule_errors: &CauseList, yielded: &CauseList, sum_yielded: bool) -> impl Iterator<Item = Skip> {
    let rules = |why, value| Skip { part: Part::Rules, why, value, window: 0 };
    let (errors, yielded) = (*rule_errors, *yielded);
    let errors = (0..errors.as_slice().len()).map(move |place| rules(Why::RuleError, i64::from(errors.as_slice()[place])));
    let yielded = (0..yielded.as_slice().len()).map(move |place| rules(Why::Guarded, i64::from(yielded.as_slice()[place])));
    errors.chain(yielded).chain(sum_yielded.then(|| rules(Why::Guarded, -1)))
}

/// What a policy says of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Suspicion apart.
    pub outcome: Outcome,
    /// 0..=1000.
    pub risk_score: u16,
    pub reasons: Reasons,
    /// Rules that neither held nor failed to hold: the decision says that they were skipped.
    pub rule_errors: CauseList,
    /// Causes that decline it by themselves: by their outcome, or by their risk score.
    pub declining: Declining,
    /// Causes that would decline it and yield instead.
    pub yielded: CauseList,
    /// All declines yield.
    pub sum_yielded: bool,
    /// A list declines it: nothing lets it go.
    pub exempt: bool,
    /// As [`super::Decision::control_group`].
    pub propensity: Option<u32>,
    pub suspicion: Suspicion,
}

impl Verdict {
    /// A cause holds.
    fn add(&mut self, index: u16, cause: &Cause, row: &[u64]) {
        let Suspicion { outcome, risk_score, reasons, .. } = &mut self.suspicion;
        let (outcome, risk_score, reasons) = match cause.suspects() {
            true => (outcome, risk_score, reasons),
            false => (&mut self.outcome, &mut self.risk_score, &mut self.reasons),
        };
        *outcome = (*outcome).max(cause.outcome);
        *risk_score = (*risk_score).max(cause.risk_score);
        reasons.insert(cause.reason(index, row));
    }

    /// A rule neither held nor failed to hold.
    fn fail(&mut self, index: u16, suspects: bool) {
        if suspects { &mut self.suspicion.rule_errors } else { &mut self.rule_errors }.push(index);
    }

    /// The entries of `skipped` that are not for AML alone.
    pub fn skips(&self) -> impl Iterator<Item = Skip> {
        skips(&self.rule_errors, &self.yielded, self.sum_yielded)
    }
}

/// A compiled policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    thresholds: Thresholds,
    /// Rules, then velocity limits, both in the options' order: a reason's `cause` is an index into it.
    causes: Vec<Cause>,
    payments: Box<[Op]>,
    transfers: Box<[Op]>,
    columns: usize,
    control_share: u32,
    /// By slot: the index of the cause.
    guarded: Vec<u16>,
}

/// What a cause becomes that declines too many, by the guard's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yields {
    No,
    /// The cause of its name in the policy before speaks in its place.
    ToPredecessor,
    ToChallenge,
}

/// What follows when a rule or limit holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cause {
    outcome: Outcome,
    risk_score: u16,
    code: ReasonCode,
    /// The column that a velocity limit watches.
    watched: Option<u16>,
    of: EventType,
    /// Its slot with the guard, where it may decline.
    slot: Option<u8>,
    /// BLAKE3 of its name, cut: who it is from one policy to the next.
    name: [u8; 16],
    /// Of all that it says.
    content: [u8; 16],
}

impl Policy {
    /// Judges one event of type `kind` by its feature row (of the schema that the policy was compiled against) and overwrites `out`.
    /// Events other than payments and transfers are approved without a reason.
    pub fn judge(&self, kind: EventType, row: &[u64], out: &mut Verdict) {
        *out = Verdict::default();
        self.ask(kind, row, |index, cause, holds| {
            if !holds {
                return out.fail(index, cause.suspects());
            }
            if let Some(slot) = cause.slot {
                out.declining[usize::from(slot) / 64] |= 1 << (slot % 64);
            }
            out.add(index, cause, row);
        });
        self.complete(out);
    }

    /// What is due from the risk scores.
    fn complete(&self, out: &mut Verdict) {
        out.outcome = out.outcome.max(self.due(out.risk_score));
        out.suspicion.outcome = out.suspicion.outcome.max(self.due(out.suspicion.risk_score));
    }

    /// As [`Policy::judge`], with causes yielding: `yields` is asked by slot, `before` is the policy that was in force before this one.
    pub fn judge_yielding(
        &self,
        kind: EventType,
        row: &[u64],
        yields: impl Fn(usize) -> Yields,
        before: Option<&Policy>,
        out: &mut Verdict,
    ) {
        *out = Verdict::default();
        // Short of a person's look, which nobody has time for where so many are concerned.
        let mild = self.thresholds.review_risk_score_min.saturating_sub(1);
        self.ask(kind, row, |index, cause, holds| {
            if !holds {
                return out.fail(index, cause.suspects());
            }
            let yields = cause.slot.map_or(Yields::No, |slot| yields(usize::from(slot)));
            if yields != Yields::No {
                if cause.suspects() { &mut out.suspicion.yielded } else { &mut out.yielded }.push(index);
            }
            match yields {
                Yields::No => out.add(index, cause, row),
                Yields::ToPredecessor => {}
                Yields::ToChallenge => {
                    out.add(index, &Cause { outcome: Outcome::Challenge, risk_score: cause.risk_score.min(mild), ..*cause }, row);
                }
            }
        });
        if let Some(before) = before {
            before.ask(kind, row, |_, cause, holds| {
                let mut heirs = self.guarded.iter().enumerate();
                let Some((slot, index)) = heirs.find(|(_, heir)| self.causes[usize::from(**heir)].name == cause.name) else { return };
                if yields(slot) != Yields::ToPredecessor {
                    return;
                }
                let heir = &self.causes[usize::from(*index)];
                // Where either suspects, that this one speaks tells of a suspicion.
                let code = if heir.suspects() && !cause.suspects() { heir.code } else { cause.code };
                match holds {
                    true => out.add(*index, &Cause { code, ..*cause }, row),
                    false => out.fail(*index, heir.suspects() || cause.suspects()),
                }
            });
        }
        self.complete(out);
    }

    /// Asks the rules and limits for events of type `kind`; `answer` hears of each that holds, and of each that errs.
    fn ask(&self, kind: EventType, row: &[u64], mut answer: impl FnMut(u16, &Cause, bool)) {
        assert!(row.len() == self.columns, "the row has {} columns, the policy was compiled for {}", row.len(), self.columns);
        let ops = match kind {
            EventType::Payment => &self.payments,
            EventType::Transfer => &self.transfers,
            _ => return,
        };
        run(ops, row, |index, found| answer(index, &self.causes[usize::from(index)], found.is_ok()));
    }

    /// The causes that may decline, by slot: the index of each.
    pub fn guarded(&self) -> &[u16] {
        &self.guarded
    }

    /// The type of the events that the cause in this slot is asked of.
    pub fn guarded_type(&self, slot: usize) -> EventType {
        self.causes[usize::from(self.guarded[slot])].of
    }

    /// Whether the reason of the cause in this slot is for AML alone.
    pub fn suspects(&self, slot: usize) -> bool {
        self.causes[usize::from(self.guarded[slot])].suspects()
    }

    /// Whether the policy before has a cause of the same name as the one in this slot that says something else.
    pub fn has_predecessor(&self, slot: usize, before: &Policy) -> bool {
        let cause = &self.causes[usize::from(self.guarded[slot])];
        before.causes.iter().any(|other| other.name == cause.name && other.of == cause.of && other.content != cause.content)
    }

    /// The slot that the cause in this slot had in the policy before, and whether it says the same.
    pub fn slot_before(&self, slot: usize, before: &Policy) -> Option<(usize, bool)> {
        let cause = &self.causes[usize::from(self.guarded[slot])];
        let causes = before.guarded.iter().map(|index| &before.causes[usize::from(*index)]).enumerate();
        let mut same = causes.filter(|(_, other)| other.name == cause.name && other.of == cause.of);
        same.next().map(|(slot, other)| (slot, other.content == cause.content))
    }

    /// From which risk score on what is due.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// The share of the control group, in billionths.
    pub fn control_share(&self) -> u32 {
        self.control_share
    }

    /// Gives an event a milder outcome, and no risk score that calls for a severer one: whoever reads the score alone acts as one who reads
    /// the outcome.
    pub fn lighten(&self, outcome: Outcome, verdict: &mut Verdict) {
        let Some(most) = self.most(outcome) else { return };
        verdict.outcome = outcome;
        verdict.risk_score = verdict.risk_score.min(most);
        verdict.reasons.weigh_at_most(verdict.risk_score);
    }

    /// As [`Policy::lighten`], of what is suspected.
    pub fn lighten_suspicion(&self, outcome: Outcome, suspicion: &mut Suspicion) {
        let Some(most) = self.most(outcome) else { return };
        suspicion.outcome = outcome;
        suspicion.risk_score = suspicion.risk_score.min(most);
        suspicion.reasons.weigh_at_most(suspicion.risk_score);
    }

    /// The greatest risk score that calls for nothing severer than this outcome, which is milder than the severest.
    fn most(&self, outcome: Outcome) -> Option<u16> {
        let thresholds = &self.thresholds;
        let from = match outcome {
            Outcome::Approve => thresholds.challenge_risk_score_min,
            Outcome::Challenge => thresholds.review_risk_score_min,
            Outcome::Review => thresholds.decline_risk_score_min,
            Outcome::Decline => return None,
        };
        Some(from.saturating_sub(1))
    }

    /// The outcome that is due for this risk score.
    fn due(&self, risk_score: u16) -> Outcome {
        let thresholds = &self.thresholds;
        if risk_score >= thresholds.decline_risk_score_min {
            return Outcome::Decline;
        }
        if risk_score >= thresholds.review_risk_score_min {
            return Outcome::Review;
        }
        if risk_score >= thresholds.challenge_risk_score_min {
            return Outcome::Challenge;
        }
        Outcome::Approve
    }
}

impl Cause {
    /// Whether its reason is for AML alone.
    fn suspects(&self) -> bool {
        self.code.audience() == Audience::Aml
    }

    fn reason(&self, index: u16, row: &[u64]) -> Reason {
        let value = self.watched.map_or(0, |column| row[usize::from(column)] as i64);
        Reason { code: self.code, cause: index, weight: self.risk_score, value }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PolicyOptions, RuleOptions, VelocityLimit};
    use super::*;
    use crate::event::{Duration, IdKey};
    use crate::feature::{FeatureType, Schema};
    use proptest::prelude::*;

    fn schema() -> Schema {
        let mut schema = Schema::default();
        for name in ["amount", "user_payments.count_1h", "user_payments.sum_1d", "user_payments.distinct_merchant_7d"] {
            schema.push(name, FeatureType::Int, "");
        }
        schema.push("user_payments.bad_rate_7d", FeatureType::Double, "");
        schema
    }

    fn rule(name: &str, of: EventType, when: &str, outcome: Outcome, risk_score: u16) -> RuleOptions {
        let (name, when) = (name.to_owned(), when.to_owned());
        RuleOptions { name, of, when, outcome, risk_score, reason: ReasonCode::AmountHigh, text: String::new() }
    }

    fn limit(name: &str, stat: &str, window: Duration, max: i64, outcome: Outcome, risk_score: u16) -> VelocityLimit {
        let (name, stat, aggregate) = (name.to_owned(), stat.to_owned(), "user_payments".to_owned());
        VelocityLimit { name, of: EventType::Payment, aggregate, stat, window, max, outcome, risk_score }
    }

    fn policy() -> Policy {
        use EventType::{Payment, Transfer};
        let options = PolicyOptions {
            thresholds: Thresholds { challenge_risk_score_min: 300, review_risk_score_min: 600, decline_risk_score_min: 900 },
            rules: vec![
                rule("a_large", Payment, "amount > 1000", Outcome::Approve, 350),
                rule("b_larger", Payment, "amount > 2000", Outcome::Review, 200),
                rule("c_moved", Transfer, "amount > 10", Outcome::Decline, 950),
                rule("d_errs", Payment, "1000 / amount > 5000", Outcome::Decline, 1000),
            ],
            velocity: vec![
                limit("count", "count", Duration::HOUR, 20, Outcome::Challenge, 610),
                limit("shops", "distinct_merchant", Duration::DAY.times(7), 5, Outcome::Approve, 100),
                limit("sum", "sum", Duration::DAY, 10_000, Outcome::Approve, 950),
            ],
            control_share: 0,
        };
        Policy::compile(&options, &schema(), &IdKey::FILES).unwrap()
    }

    fn judged(kind: EventType, row: [i64; 4]) -> Verdict {
        let row: Vec<u64> = row.iter().map(|value| *value as u64).chain([0]).collect();
        // What stood there before must not show.
        let mut verdict = Verdict { outcome: Outcome::Decline, risk_score: 7, ..Verdict::default() };
        verdict.rule_errors.push(3);
        policy().judge(kind, &row, &mut verdict);
        verdict
    }

    fn causes(verdict: &Verdict) -> Vec<(u16, u16, i64)> {
        verdict.reasons.as_slice().iter().map(|reason| (reason.cause, reason.weight, reason.value)).collect()
    }

    #[test]
    fn nothing_that_holds_approves() {
        let verdict = judged(EventType::Payment, [1000, 20, 10_000, 5]);
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn thresholds_and_causes_both_make_more_severe() {
        let by_threshold = judged(EventType::Payment, [1001, 0, 0, 0]);
        assert_eq!((by_threshold.outcome, by_threshold.risk_score), (Outcome::Challenge, 350));
        let by_cause = judged(EventType::Payment, [2001, 0, 0, 0]);
        assert_eq!((by_cause.outcome, by_cause.risk_score), (Outcome::Review, 350));
        assert_eq!(causes(&by_cause), [(0, 350, 0), (1, 200, 0)]);
    }

    #[test]
    fn velocity_limits_give_their_code_and_value() {
        let verdict = judged(EventType::Payment, [500, 21, 10_001, 6]);
        assert_eq!((verdict.outcome, verdict.risk_score), (Outcome::Decline, 950));
        assert_eq!(causes(&verdict), [(6, 950, 10_001), (4, 610, 21), (5, 100, 6)]);
        let codes: Vec<ReasonCode> = verdict.reasons.as_slice().iter().map(|reason| reason.code).collect();
        assert_eq!(codes, [ReasonCode::VelocitySum, ReasonCode::VelocityCount, ReasonCode::VelocityDistinct]);
    }

    #[test]
    fn rules_of_another_event_type_are_not_asked() {
        let verdict = judged(EventType::Transfer, [5000, 90, 90_000, 90]);
        assert_eq!((verdict.outcome, causes(&verdict)), (Outcome::Decline, vec![(2, 950, 0)]));
        assert_eq!(judged(EventType::Session, [5000, 90, 90_000, 90]), Verdict::default());
    }

    #[test]
    fn a_rule_that_errs_is_named_and_does_not_fire() {
        let verdict = judged(EventType::Payment, [0, 21, 0, 0]);
        assert_eq!(verdict.rule_errors.as_slice(), [3]);
        assert_eq!((verdict.outcome, causes(&verdict)), (Outcome::Review, vec![(4, 610, 21)]));
    }

    /// A rule that yields speaks by the rule of its name in the policy before, or asks for a challenge. Caught when planted: the predecessor of
    /// a rule that does not yield asked too; a challenge with the risk score by which a person would look.
    #[test]
    fn causes_yield_to_their_predecessors_or_to_a_challenge() {
        use EventType::Payment;
        let compiled = |rules: Vec<RuleOptions>| {
            let options = PolicyOptions { rules, ..PolicyOptions::default() };
            Policy::compile(&options, &schema(), &IdKey::FILES).unwrap()
        };
        let before = compiled(vec![
            rule("a", Payment, "amount > 100", Outcome::Review, 650),
            rule("b", Payment, "amount > 100", Outcome::Decline, 950),
            rule("c", Payment, "amount > 0", Outcome::Decline, 700),
        ]);
        let now = compiled(vec![
            rule("_mild", Payment, "amount > 0", Outcome::Challenge, 410),
            rule("a", Payment, "amount > 0", Outcome::Decline, 950),
            rule("c", Payment, "amount > 0", Outcome::Decline, 700),
        ]);
        assert_eq!(now.guarded(), [1, 2]);
        assert_eq!([0, 1].map(|slot| now.has_predecessor(slot, &before)), [true, false], "c says what it said");
        assert_eq!([0, 1].map(|slot| now.slot_before(slot, &before)), [None, Some((1, true))], "a could not decline");
        let judged = |amount: u64, yields: [Yields; 2], before: Option<&Policy>| {
            let mut verdict = Verdict::default();
            now.judge_yielding(Payment, &[amount, 0, 0, 0, 0], |slot| yields[slot], before, &mut verdict);
            (verdict.outcome, verdict.risk_score, verdict.yielded.as_slice().to_vec())
        };
        use Yields::{No, ToChallenge, ToPredecessor};
        assert_eq!(judged(50, [No, No], Some(&before)), (Outcome::Decline, 950, vec![]));
        assert_eq!(judged(50, [ToPredecessor, ToChallenge], Some(&before)), (Outcome::Challenge, 599, vec![1, 2]));
        assert_eq!(judged(150, [ToPredecessor, ToChallenge], Some(&before)), (Outcome::Review, 650, vec![1, 2]));
        assert_eq!(judged(150, [ToChallenge, ToChallenge], None), (Outcome::Challenge, 599, vec![1, 2]));
        assert_eq!(judged(150, [ToPredecessor, No], Some(&before)).0, Outcome::Decline);
    }

    #[test]
    fn a_milder_outcome_has_no_score_that_calls_for_a_severer_one() {
        let policy = policy();
        for (outcome, most) in [(Outcome::Approve, 299), (Outcome::Challenge, 599), (Outcome::Review, 899), (Outcome::Decline, 950)] {
            let mut verdict = judged(EventType::Payment, [1500, 30, 20_000, 0]);
            assert_eq!((verdict.outcome, verdict.risk_score), (Outcome::Decline, 950));
            policy.lighten(outcome, &mut verdict);
            assert_eq!((verdict.outcome, verdict.risk_score), (outcome, most));
            assert!(policy.due(verdict.risk_score) <= outcome);
            let weights: Vec<u16> = verdict.reasons.as_slice().iter().map(|reason| reason.weight).collect();
            assert_eq!(weights, [950, 610, 350].map(|weight| most.min(weight)));
        }
    }

    #[test]
    fn all_errors_come_at_once_each_with_its_name() {
        let options = PolicyOptions {
            thresholds: Thresholds { challenge_risk_score_min: 700, review_risk_score_min: 600, decline_risk_score_min: 900 },
            rules: vec![
                rule("bad_name", EventType::Payment, "amuont > 1", Outcome::Review, 1),
                rule("bad_score", EventType::Payment, "amount > 1", Outcome::Review, 1001),
                rule("bad_type", EventType::Session, "amount > 1", Outcome::Review, 1),
            ],
            velocity: vec![
                limit("bad_stat", "mean", Duration::HOUR, 1, Outcome::Review, 1),
                limit("bad_window", "count", Duration::HOUR.times(2), 1, Outcome::Review, 1),
            ],
            control_share: 0,
        };
        let errors = Policy::compile(&options, &schema(), &IdKey::FILES).unwrap_err();
        let messages: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(
            messages,
            [
                "policy.rule.bad_name: there is no `amuont` (at byte 0)",
                "policy.rule.bad_score: risk_score is 1001, expected 0 to 1000",
                "policy.rule.bad_type: is asked of session, expected payment or transfer",
                "policy.velocity.bad_stat: stat is `mean`, expected count, sum or distinct_ROLE",
                "policy.velocity.bad_window: there is no `user_payments.count_2h`: the aggregate `user_payments` counts no such \
                 figure over 2h",
                "policy.thresholds: challenge, review and decline begin at 700, 600 and 900, expected ascending numbers up to 1001",
            ]
        );
    }

    proptest! {
        // The slow and obvious twin: each rule a program of its own, asked one by one. Planted mistakes that it caught: a rule that errs
        // also holds; the blocks for errors of one rule kept for the next; the outcome of the last cause instead of the most severe; the
        // walk over at the first error.
        #[test]
        fn the_flat_program_says_what_single_rules_say(
            row in [0..5i64, 0..5i64, 0..5i64, 0..5i64],
            drawn in proptest::collection::vec((0..8usize, 0..1001u16, 0..4usize), 0..12),
        ) {
            const WHENS: [&str; 8] = [
                "amount > 2",
                "1 / amount > 0",
                "6 / user_payments.count_1h > 2 && 6 / user_payments.sum_1d > 2",
                "6 / user_payments.count_1h > 2 || 6 / user_payments.sum_1d > 2",
                "amount in [1, 3] || 1 / user_payments.sum_1d == 1",
                "user_payments.distinct_merchant_7d % amount == 1 ? amount > 3 : user_payments.count_1h < 2",
                "!(amount > 2 && user_payments.bad_rate_7d >= 0.0)",
                "false",
            ];
            let rules: Vec<RuleOptions> = drawn
                .iter()
                .enumerate()
                .map(|(number, (when, risk_score, outcome))| {
                    rule(&format!("r{number:02}"), EventType::Payment, WHENS[*when], Outcome::ALL[*outcome], *risk_score)
                })
                .collect();
            let row: Vec<u64> = row.iter().map(|value| *value as u64).chain([0.5f64.to_bits()]).collect();
            let mut expected = Verdict::default();
            let mut slot = 0;
            for (index, rule) in rules.iter().enumerate() {
                let declines = rule.outcome == Outcome::Decline || rule.risk_score >= 900;
                slot += u64::from(declines);
                match super::super::Program::compile(&rule.when, &schema(), &IdKey::FILES).unwrap().holds(&row) {
                    Ok(false) => {}
                    Err(_) => expected.rule_errors.push(index as u16),
                    Ok(true) => {
                        let reason = Reason { code: rule.reason, cause: index as u16, weight: rule.risk_score, value: 0 };
                        expected.declining[0] |= u64::from(declines) << (slot.max(1) - 1);
                        expected.reasons.insert(reason);
                        expected.risk_score = expected.risk_score.max(rule.risk_score);
                        expected.outcome = expected.outcome.max(rule.outcome);
                    }
                }
            }
            let due = [(400, Outcome::Challenge), (600, Outcome::Review), (900, Outcome::Decline)];
            for (from, outcome) in due {
                if expected.risk_score >= from {
                    expected.outcome = expected.outcome.max(outcome);
                }
            }
            let options = PolicyOptions { rules, ..PolicyOptions::default() };
            let mut verdict = Verdict::default();
            Policy::compile(&options, &schema(), &IdKey::FILES).unwrap().judge(EventType::Payment, &row, &mut verdict);
            prop_assert_eq!(verdict, expected);
        }
    }
}
