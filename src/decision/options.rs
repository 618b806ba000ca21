//! The policy as the topology states it, before it is compiled.

use super::{Outcome, ReasonCode};
use crate::event::{Duration, EventType};
use crate::feature::{LAUNDERING, PROBABILITY};

/// `[policy]`: rules, velocity limits and thresholds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyOptions {
    pub thresholds: Thresholds,
    /// Sorted by name; a reason's `cause` is an index into it.
    pub rules: Vec<RuleOptions>,
    /// Sorted by name; their causes follow those of the rules.
    pub velocity: Vec<VelocityLimit>,
    /// `[policy.control]`: the share of what would be declined that goes through, in billionths ([`super::SHARE_ONE`]).
    pub control_share: u32,
}

/// From which risk score on an outcome is due; ascending, each 0..=1001 (1001: never).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub challenge_risk_score_min: u16,
    pub review_risk_score_min: u16,
    pub decline_risk_score_min: u16,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { challenge_risk_score_min: 400, review_risk_score_min: 600, decline_risk_score_min: 900 }
    }
}

/// `[policy.rule.NAME]`: a condition over the feature columns in CEL, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleOptions {
    pub name: String,
    /// The events it is asked of: payments or transfers.
    pub of: EventType,
    /// CEL source of type bool.
    pub when: String,
    /// The least outcome; the thresholds may make it more severe.
    pub outcome: Outcome,
    /// 0..=1000; the decision's risk score is the greatest of its causes.
    pub risk_score: u16,
    /// [`super::Policy::compile`] refuses a rule of transfers that asks the model, or for what was found around the transfer, and tells others
    /// than AML.
    pub reason: ReasonCode,
    /// The analyst's sentence; empty: that of the reason code.
    pub text: String,
}

impl RuleOptions {
    /// The reason of a rule that names none: what the model or, of transfers, the typologies of laundering are asked for, where the text of
    /// the rule has their name anywhere.
    pub fn reason_by_default(of: EventType, when: &str) -> ReasonCode {
        match of {
            EventType::Transfer if when.contains(PROBABILITY) => ReasonCode::ModelLaundering,
            EventType::Transfer if when.contains(LAUNDERING.trim_end_matches('.')) => ReasonCode::TypologyLaundering,
            _ if when.contains(PROBABILITY) => ReasonCode::ModelFraud,
            _ => ReasonCode::Rule,
        }
    }
}

/// `[policy.velocity.NAME]`: at most `max` of one windowed figure.
#[derive(Clone, Debug, PartialEq)]
pub struct VelocityLimit {
    pub name: String,
    pub of: EventType,
    /// Name of an aggregate over events of type `of`.
    pub aggregate: String,
    /// The figure: `count`, `sum` or `distinct_ROLE`.
    pub stat: String,
    pub window: Duration,
    /// The greatest figure, before this event is added, that is still in order.
    pub max: i64,
    pub outcome: Outcome,
    pub risk_score: u16,
}
