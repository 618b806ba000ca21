//! What one policy says and another does not, in words; and the policy of layers alone.

use super::canonical::canonical_policy;
use super::document::{Document, Errors, Log};
use super::quantity::format_share;
use super::section::Section;
use super::{DEFAULT, DEFAULT_NAME, policy, read_layer};
use crate::decision::{PolicyOptions, RuleOptions, VelocityLimit};
use std::fmt::Display;
use std::path::PathBuf;

/// The policy that `layers` lead to over the embedded default, as `weir run -t` would have it; what else they say is not looked at.
///
/// # Errors
/// All mistakes in it. What its rules ask for is not looked at either: only who runs it knows which figures there are.
pub fn policy_of(layers: &[PathBuf]) -> Result<PolicyOptions, Errors> {
    let (mut document, mut errors) = (Document::default(), Vec::new());
    errors.extend(document.lay(DEFAULT_NAME, DEFAULT).err().unwrap_or_default());
    for path in layers {
        match read_layer(path) {
            Ok(text) => errors.extend(document.lay(&path.display().to_string(), &text).err().unwrap_or_default()),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { read(&document) } else { Err(Errors(errors)) }
}

/// The policy that `text` states whole.
///
/// # Errors
/// All mistakes in it; `name` is how they call it.
pub fn policy_from(name: &str, text: &str) -> Result<PolicyOptions, Errors> {
    let mut document = Document::default();
    document.lay(name, text).map_err(Errors)?;
    read(&document)
}

fn read(document: &Document) -> Result<PolicyOptions, Errors> {
    let log = Log::new(document);
    let options = policy::read(&Section::root(&document.root, &log).section("policy"));
    log.finish()?;
    Ok(options)
}

/// The text of a policy, whole, as it is published.
pub fn policy_text(policy: &PolicyOptions) -> String {
    canonical_policy(policy)
}

/// What is different from `old` to `new`, a line each; none where both say the same.
pub fn policy_diff(old: &PolicyOptions, new: &PolicyOptions) -> Vec<String> {
    let mut lines = Vec::new();
    let thresholds = [old.thresholds, new.thresholds].map(|from| {
        [
            ("challenge_risk_score_min", from.challenge_risk_score_min),
            ("review_risk_score_min", from.review_risk_score_min),
            ("decline_risk_score_min", from.decline_risk_score_min),
        ]
    });
    for ((key, old), (_, new)) in thresholds[0].iter().zip(thresholds[1]) {
        changed(&mut lines, key, old, &new);
    }
    changed(&mut lines, "control.share", &format_share(old.control_share), &format_share(new.control_share));
    pairs(&mut lines, "rule", (&old.rules, &new.rules), |rule: &RuleOptions| rule.name.as_str(), rule_fields);
    pairs(&mut lines, "velocity", (&old.velocity, &new.velocity), |limit: &VelocityLimit| limit.name.as_str(), limit_fields);
    lines
}

type Fields = Vec<(&'static str, String)>;

fn rule_fields(rule: &RuleOptions) -> Fields {
    vec![
        ("of", rule.of.name().to_owned()),
        ("when", rule.when.clone()),
        ("outcome", rule.outcome.name().to_owned()),
        ("risk_score", rule.risk_score.to_string()),
        ("reason", rule.reason.name().to_owned()),
        ("text", rule.text.clone()),
    ]
}

fn limit_fields(limit: &VelocityLimit) -> Fields {
    vec![
        ("of", limit.of.name().to_owned()),
        ("aggregate", limit.aggregate.clone()),
        ("stat", limit.stat.clone()),
        ("window", limit.window.to_string()),
        ("max", limit.max.to_string()),
        ("outcome", limit.outcome.name().to_owned()),
        ("risk_score", limit.risk_score.to_string()),
    ]
}

fn pairs<T>(lines: &mut Vec<String>, what: &str, (old, new): (&[T], &[T]), name: impl Fn(&T) -> &str, fields: impl Fn(&T) -> Fields) {
    let said = |entry: &T| {
        let fields = fields(entry);
        fields.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    };
    for entry in old.iter().filter(|entry| !new.iter().any(|other| name(other) == name(entry))) {
        lines.push(format!("- {what}.{}: {}", name(entry), said(entry)));
    }
    for entry in new {
        match old.iter().find(|other| name(other) == name(entry)) {
            None => lines.push(format!("+ {what}.{}: {}", name(entry), said(entry))),
            Some(before) => {
                for ((key, was), (_, is)) in fields(before).iter().zip(fields(entry)) {
                    changed(lines, &format!("{what}.{}.{key}", name(entry)), was, &is);
                }
            }
        }
    }
}

fn changed<T: Display + PartialEq>(lines: &mut Vec<String>, key: &str, was: &T, is: &T) {
    if was != is {
        lines.push(format!("~ {key}: {was} -> {is}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_name_and_field() {
        let whole = |text: &str| policy_from("test", text).unwrap_or_else(|errors| panic!("{errors}"));
        let head = "[policy]\nchallenge_risk_score_min = 400\nreview_risk_score_min = 600\ndecline_risk_score_min = 900\n";
        let rule = |name: &str, when: &str| {
            format!("[policy.rule.{name}]\nof = \"payment\"\nwhen = \"{when}\"\noutcome = \"decline\"\nrisk_score = 900\n")
        };
        let old = whole(&format!("{head}{}{}", rule("gone", "amount > 1"), rule("kept", "amount > 2")));
        let new = whole(&format!(
            "{}[policy.control]\nshare = 0.01\n{}{}",
            head.replace("600", "650"),
            rule("kept", "amount > 3"),
            rule("new", "true")
        ));
        let expected = [
            "~ review_risk_score_min: 600 -> 650",
            "~ control.share: 0 -> 0.01",
            "- rule.gone: of payment, when amount > 1, outcome decline, risk_score 900, reason rule",
            "~ rule.kept.when: amount > 2 -> amount > 3",
            "+ rule.new: of payment, when true, outcome decline, risk_score 900, reason rule",
        ];
        assert_eq!(policy_diff(&old, &new), expected);
        assert_eq!(policy_diff(&new, &policy_from("again", &policy_text(&new)).unwrap()), Vec::<String>::new());
    }
}
