//! `[policy]`: thresholds, rules and velocity limits. The rules' own language is read elsewhere; here they are texts.

use super::aggregate::RULE_BYTES_MAX;
use super::quantity::{DURATION_MAX, parse_share};
use super::section::Section;
use crate::decision::{Outcome, PolicyOptions, ReasonCode, RuleOptions, SHARE_ONE, Thresholds, VelocityLimit};
use crate::event::{Duration, EventType};

/// The event types that are judged.
const JUDGED: [EventType; 2] = [EventType::Payment, EventType::Transfer];

/// The greatest risk score.
const RISK_SCORE_MAX: i64 = 1000;

/// Reads `[policy]`.
pub(super) fn read(section: &Section) -> PolicyOptions {
    // One more than any score: never.
    let threshold = |key: &str| section.integer(key, 0..=RISK_SCORE_MAX + 1) as u16;
    let thresholds = Thresholds {
        challenge_risk_score_min: threshold("challenge_risk_score_min"),
        review_risk_score_min: threshold("review_risk_score_min"),
        decline_risk_score_min: threshold("decline_risk_score_min"),
    };
    let rules = section.find_section("rule").map(|section| section.named()).unwrap_or_default();
    let limits = section.find_section("velocity").map(|section| section.named()).unwrap_or_default();
    let options = PolicyOptions {
        thresholds,
        rules: rules.into_iter().map(|(name, section)| read_rule(name, &section)).collect(),
        velocity: limits.into_iter().map(|(name, section)| read_limit(name, &section)).collect(),
        control_share: section.find_section("control").map_or(0, |section| read_control(&section)),
    };
    section.finish();
    options
}

/// Declining nobody at all would be no policy, so a control group is at most half.
const CONTROL_SHARE_MAX: u32 = SHARE_ONE / 2;

fn read_control(section: &Section) -> u32 {
    let expected = "a share from 0 to 0.5, such as 0.01";
    let share = section.need("share", expected).and_then(|item| {
        let share = item.number().and_then(parse_share).filter(|share| *share <= CONTROL_SHARE_MAX);
        if share.is_none() {
            item.error(expected);
        }
        share
    });
    section.finish();
    share.unwrap_or_default()
}

fn read_rule(name: &str, section: &Section) -> RuleOptions {
    let reasons = ReasonCode::ALL.map(|reason| (reason.name(), reason));
    let of = section.word("of", &JUDGED.map(|of| (of.name(), of)));
    let when = section.text("when", "a condition in CEL", RULE_BYTES_MAX);
    let reason = section.find("reason").and_then(|item| item.word(&reasons));
    let rule = RuleOptions {
        name: name.to_string(),
        reason: reason.unwrap_or_else(|| RuleOptions::reason_by_default(of, &when)),
        of,
        when,
        outcome: read_outcome(section),
        risk_score: section.integer("risk_score", 0..=RISK_SCORE_MAX) as u16,
        text: section.find("text").and_then(|item| item.text("a sentence", 512)).unwrap_or_default().to_string(),
    };
    section.finish();
    rule
}

fn read_limit(name: &str, section: &Section) -> VelocityLimit {
    let limit = VelocityLimit {
        name: name.to_string(),
        of: section.word("of", &JUDGED.map(|of| (of.name(), of))),
        aggregate: section.text("aggregate", "an aggregate's name", 48),
        stat: section.text("stat", "count, sum or distinct_ROLE", 48),
        window: section.duration("window", Duration(1000)..=DURATION_MAX),
        max: section.integer("max", 0..=i64::MAX),
        outcome: read_outcome(section),
        risk_score: section.integer("risk_score", 0..=RISK_SCORE_MAX) as u16,
    };
    section.finish();
    limit
}

fn read_outcome(section: &Section) -> Outcome {
    section.word("outcome", &Outcome::ALL.map(|outcome| (outcome.name(), outcome)))
}
