//! From a policy as it is stated to one that judges: each rule and limit a piece of a flat program, or all that is wrong with them.

use super::super::rule::{Class, Condition, Emitter, Relation, RuleError, Value, check, deep};
use super::super::{Audience, Outcome, PolicyOptions, ReasonCode, RuleOptions, SHARE_ONE, VelocityLimit};
use super::{Cause, GUARDED_MAX, Policy};
use crate::event::{EventType, IdKey};
use crate::feature::{FeatureType, LAUNDERING, PROBABILITY, Schema};
use std::fmt;

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// `rule.NAME`, `velocity.NAME` or `thresholds`: the key below `[policy]`.
    pub name: String,
    pub message: String,
    /// Where in the rule's source, in bytes.
    pub offset: Option<usize>,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy.{}: {}", self.name, self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Compiles `options` against the columns of `schema`; text constants are hashed with `key`. Gives all errors at once.
    pub fn compile(options: &PolicyOptions, schema: &Schema, key: &IdKey) -> Result<Policy, Vec<PolicyError>> {
        deep(|| Policy::compile_here(options, schema, key))
            .unwrap_or_else(|message| Err(vec![PolicyError { name: "rule".to_owned(), message, offset: None }]))
    }

    /// By the type of event, the constants that rules compare the column of doubles called `column` with; of rules that do not compile none.
    pub fn compared(options: &PolicyOptions, schema: &Schema, key: &IdKey, column: &str) -> Vec<(EventType, f64)> {
        let Some(column) = schema.position(column).and_then(|at| u16::try_from(at).ok()) else { return Vec::new() };
        let compared = || {
            let of = |rule: &RuleOptions| {
                let mut found = Vec::new();
                if let Ok(condition) = check(&rule.when, schema, key) {
                    condition.compared(column, &mut found);
                }
                found.into_iter().map(|constant| (rule.of, constant)).collect::<Vec<_>>()
            };
            options.rules.iter().flat_map(of).collect()
        };
        deep(compared).unwrap_or_default()
    }

    fn compile_here(options: &PolicyOptions, schema: &Schema, key: &IdKey) -> Result<Policy, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut causes = Vec::with_capacity(options.rules.len() + options.velocity.len());
        let (mut payments, mut transfers) = (Emitter::default(), Emitter::default());
        let mut guarded = Vec::new();
        let decline_min = options.thresholds.decline_risk_score_min;
        let mut add = |name: String, mut cause: Cause, condition: Result<Condition, PolicyError>| {
            let mut refuse = |message: String, offset| errors.push(PolicyError { name: name.clone(), message, offset });
            if cause.risk_score > 1000 {
                refuse(format!("risk_score is {}, expected 0 to 1000", cause.risk_score), None);
            }
            let Ok(index) = u16::try_from(causes.len()) else {
                return refuse(format!("the policy has more than {} causes", u16::MAX), None);
            };
            if cause.outcome == Outcome::Decline || cause.risk_score >= decline_min {
                match u8::try_from(guarded.len()) {
                    Ok(slot) => cause.slot = Some(slot),
                    Err(_) => refuse(format!("is one more than {GUARDED_MAX} causes that may decline"), None),
                }
                guarded.push(index);
            }
            let of = cause.of;
            causes.push(cause);
            let emitter = match of {
                EventType::Payment => &mut payments,
                EventType::Transfer => &mut transfers,
                other => return refuse(format!("is asked of {}, expected payment or transfer", other.name()), None),
            };
            match condition.and_then(|condition| emitter.rule(&condition, index).map_err(|error| at_rule(&name, error))) {
                Ok(()) => {}
                Err(error) => refuse(error.message, error.offset),
            }
        };
        for rule in &options.rules {
            let name = format!("rule.{}", rule.name);
            let condition = check(&rule.when, schema, key).map_err(|error| at_rule(&name, error));
            let condition = condition.and_then(|condition| discreet(&name, rule, &condition, schema).map(|()| condition));
            let cause = Cause::new(&name, rule.of, rule.outcome, rule.risk_score, rule.reason, said(rule));
            add(name, cause, condition);
        }
        for limit in &options.velocity {
            let name = format!("velocity.{}", limit.name);
            let found = watched(limit, schema);
            let (code, column) = match &found {
                Ok((code, column)) => (*code, Some(*column)),
                Err(_) => (ReasonCode::VelocityCount, None),
            };
            let cause = Cause::new(&name, limit.of, limit.outcome, limit.risk_score, code, format!("{limit:?}"));
            let cause = Cause { watched: column, ..cause };
            let exceeded = |column| Condition::Compare {
                class: Class::Word,
                relation: Relation::Greater,
                left: Value::Column(column),
                right: Value::Constant(limit.max as u64),
            };
            let condition = found.map(|(_, column)| exceeded(column));
            add(name.clone(), cause, condition.map_err(|message| PolicyError { name, message, offset: None }));
        }
        let thresholds = options.thresholds;
        let ladder = [thresholds.challenge_risk_score_min, thresholds.review_risk_score_min, thresholds.decline_risk_score_min];
        if !ladder.is_sorted() || ladder[2] > 1001 {
            let message = format!(
                "challenge, review and decline begin at {}, {} and {}, expected ascending numbers up to 1001",
                ladder[0], ladder[1], ladder[2]
            );
            errors.push(PolicyError { name: "thresholds".to_owned(), message, offset: None });
        }
        if options.control_share > SHARE_ONE {
            let message = format!("share is {} billionths, expected at most {}", options.control_share, SHARE_ONE);
            errors.push(PolicyError { name: "control".to_owned(), message, offset: None });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let control_share = options.control_share;
        Ok(Policy {
            control_share,
            guarded,
            thresholds,
            causes,
            payments: payments.finish(),
            transfers: transfers.finish(),
            columns: schema.len(),
        })
    }
}

impl Cause {
    fn new(name: &str, of: EventType, outcome: Outcome, risk_score: u16, code: ReasonCode, content: String) -> Cause {
        let cut = |text: &str| *blake3::hash(text.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes");
        Cause { outcome, risk_score, code, watched: None, of, slot: None, name: cut(name), content: cut(&content) }
    }
}

/// What a rule says, but for its name and words.
fn said(rule: &RuleOptions) -> String {
    format!("{} {:?} {} {} {}", rule.of.name(), rule.when, rule.outcome.name(), rule.risk_score, rule.reason.name())
}

fn at_rule(name: &str, error: RuleError) -> PolicyError {
    PolicyError { name: name.to_owned(), message: error.message, offset: Some(error.offset) }
}

/// Refuses a rule that asks what is known or thought of laundering and says so to others than those whose work that is.
fn discreet(name: &str, rule: &RuleOptions, condition: &Condition, schema: &Schema) -> Result<(), PolicyError> {
    if rule.of != EventType::Transfer || rule.reason.audience() == Audience::Aml {
        return Ok(());
    }
    let mut columns = Vec::new();
    condition.columns(&mut columns);
    let asked = || columns.iter().map(|column| schema.features[usize::from(*column)].name.as_str());
    let (what, expected) = match asked().find(|name| name.starts_with(LAUNDERING)) {
        _ if asked().any(|name| name == PROBABILITY) => ("the model of transfers".to_owned(), ReasonCode::ModelLaundering),
        Some(column) => (format!("`{column}`, which tells of laundering"), ReasonCode::TypologyLaundering),
        None => return Ok(()),
    };
    let (found, who, expected) = (rule.reason.name(), rule.reason.audience().name(), expected.name());
    let message = format!("asks {what}: found the reason {found}, for the audience {who}, expected {expected}");
    Err(PolicyError { name: name.to_owned(), message, offset: None })
}

/// The reason code and column of a velocity limit.
fn watched(limit: &VelocityLimit, schema: &Schema) -> Result<(ReasonCode, u16), String> {
    let code = match limit.stat.as_str() {
        "count" => ReasonCode::VelocityCount,
        "sum" => ReasonCode::VelocitySum,
        stat if stat.starts_with("distinct_") => ReasonCode::VelocityDistinct,
        stat => return Err(format!("stat is `{stat}`, expected count, sum or distinct_ROLE")),
    };
    let name = format!("{}.{}_{}", limit.aggregate, limit.stat, limit.window);
    let Some(column) = schema.position(&name) else {
        return Err(format!("there is no `{name}`: the aggregate `{}` counts no such figure over {}", limit.aggregate, limit.window));
    };
    if schema.features[column].kind != FeatureType::Int {
        return Err(format!("`{name}` is not an integer figure"));
    }
    let column = u16::try_from(column).map_err(|_| format!("`{name}` is column {column}, limits reach the first {}", u16::MAX))?;
    Ok((code, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(of: EventType, when: &str) -> RuleOptions {
        let (name, when) = (format!("r{}", when.len()), when.to_owned());
        RuleOptions { name, of, when, outcome: Outcome::Review, risk_score: 600, reason: ReasonCode::Rule, text: String::new() }
    }

    /// Wherever the comparison stands, whichever side the column is on, and of no other column.
    #[test]
    fn the_lines_that_rules_draw_are_found() {
        let mut schema = Schema::default();
        schema.push("amount", FeatureType::Int, "");
        schema.push("rate", FeatureType::Double, "");
        schema.push("model_probability", FeatureType::Double, "");
        let rules = vec![
            rule(EventType::Payment, "model_probability > 0.5"),
            rule(EventType::Payment, "amount > 7 && !(0.25 >= model_probability || rate > 0.125)"),
            rule(EventType::Transfer, "amount > 7 ? model_probability >= 0.75 : rate < 0.375"),
            rule(EventType::Transfer, "model_probability > rate"),
            rule(EventType::Transfer, "model_probability >"),
        ];
        let options = PolicyOptions { rules, ..PolicyOptions::default() };
        let found = Policy::compared(&options, &schema, &IdKey::FILES, "model_probability");
        assert_eq!(found, [(EventType::Payment, 0.5), (EventType::Payment, 0.25), (EventType::Transfer, 0.75)]);
        assert_eq!(Policy::compared(&options, &schema, &IdKey::FILES, "nothing"), []);
    }

    /// Who may read decisions must not read there that somebody may be laundering.
    #[test]
    fn a_rule_over_the_probability_of_laundering_tells_nobody_but_aml() {
        let mut schema = Schema::default();
        schema.push("model_probability", FeatureType::Double, "");
        schema.push("laundering.mule", FeatureType::Int, "");
        let compiled = |rule: RuleOptions| {
            let options = PolicyOptions { rules: vec![rule], ..PolicyOptions::default() };
            Policy::compile(&options, &schema, &IdKey::FILES).map(|_| ()).map_err(|errors| errors[0].message.clone())
        };
        let when = "model_probability > 0.5";
        let wrong = compiled(RuleOptions { reason: ReasonCode::AmountHigh, ..rule(EventType::Transfer, when) });
        let message = "asks the model of transfers: found the reason amount_high, for the audience customer, expected model_laundering";
        assert_eq!(wrong, Err(message.to_owned()));
        for (of, reason) in [(EventType::Transfer, ReasonCode::ModelLaundering), (EventType::Payment, ReasonCode::ModelFraud)] {
            assert_eq!(RuleOptions::reason_by_default(of, when), reason);
            assert_eq!(compiled(RuleOptions { reason, ..rule(of, when) }), Ok(()));
        }
        assert_eq!(RuleOptions::reason_by_default(EventType::Transfer, "true"), ReasonCode::Rule);
        // What is found around transfers is as discreet, however it is spelt.
        let message = "asks `laundering.mule`, which tells of laundering: found the reason amount_high, for the audience customer, expected \
                       typology_laundering";
        for when in ["laundering.mule > 3", "!(1 > 2 || laundering . mule in [1, 5])", "true ? 1 + laundering.mule > 3 : false"] {
            let wrong = compiled(RuleOptions { reason: ReasonCode::AmountHigh, ..rule(EventType::Transfer, when) });
            assert_eq!(wrong, Err(message.to_owned()), "{when}");
            assert_eq!(RuleOptions::reason_by_default(EventType::Transfer, when), ReasonCode::TypologyLaundering);
            assert_eq!(compiled(RuleOptions { reason: ReasonCode::TypologyLaundering, ..rule(EventType::Transfer, when) }), Ok(()));
            // Of payments the columns say nothing.
            assert_eq!(RuleOptions::reason_by_default(EventType::Payment, when), ReasonCode::Rule);
            assert_eq!(compiled(rule(EventType::Payment, when)), Ok(()));
        }
        let both = "laundering.mule > 3 || model_probability > 0.5";
        assert_eq!(RuleOptions::reason_by_default(EventType::Transfer, both), ReasonCode::ModelLaundering);
    }
}
