//! What one published policy says and another does not, in words.

use super::Published;
use super::alert::Calling;
use super::quantity::format_share;
use crate::decision::{RuleOptions, VelocityLimit};
use crate::engine::GuardOptions;
use std::fmt::Display;

/// What is different from `old` to `new`, a line each; none where both say the same.
pub fn policy_diff(old: &Published, new: &Published) -> Vec<String> {
    let mut lines = Vec::new();
    let (was, is) = (&old.policy, &new.policy);
    let thresholds = [was.thresholds, is.thresholds].map(|from| {
        [
            ("challenge_risk_score_min", from.challenge_risk_score_min),
            ("review_risk_score_min", from.review_risk_score_min),
            ("decline_risk_score_min", from.decline_risk_score_min),
        ]
    });
    for ((key, old), (_, new)) in thresholds[0].iter().zip(thresholds[1]) {
        changed(&mut lines, key, old, &new);
    }
    changed(&mut lines, "control.share", &format_share(was.control_share), &format_share(is.control_share));
    pairs(&mut lines, "rule", (&was.rules, &is.rules), |rule: &RuleOptions| rule.name.as_str(), rule_fields);
    pairs(&mut lines, "velocity", (&was.velocity, &is.velocity), |limit: &VelocityLimit| limit.name.as_str(), limit_fields);
    fields_changed(&mut lines, "guard", guard_fields(&old.guard), guard_fields(&new.guard));
    fields_changed(&mut lines, "alert", alert_fields(&old.alerts), alert_fields(&new.alerts));
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

fn guard_fields(guard: &GuardOptions) -> Fields {
    vec![
        ("window", guard.window.to_string()),
        ("declines_min", guard.declines_min.to_string()),
        ("share_percent", guard.share_percent.to_string()),
        ("multiple", guard.multiple.to_string()),
        ("rest", guard.rest.to_string()),
    ]
}

fn alert_fields(alerts: &Calling) -> Fields {
    let typologies = &alerts.typologies;
    vec![
        ("per_hour", alerts.per_hour.to_string()),
        ("close_after", alerts.close_after.to_string()),
        ("window", typologies.window.to_string()),
        ("users_min", typologies.users_min.to_string()),
        ("cards_min", typologies.cards_min.to_string()),
        ("testing_window", typologies.testing_window.to_string()),
        ("bads_min", typologies.bads_min.to_string()),
        ("bads_percent", typologies.bads_percent.to_string()),
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
            Some(before) => fields_changed(lines, &format!("{what}.{}", name(entry)), fields(before), fields(entry)),
        }
    }
}

fn fields_changed(lines: &mut Vec<String>, of: &str, was: Fields, is: Fields) {
    for ((key, was), (_, is)) in was.iter().zip(is) {
        changed(lines, &format!("{of}.{key}"), was, &is);
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
    use crate::event::Duration;

    #[test]
    fn differences_are_told_by_name_and_field() {
        let rest = Published::load(&[]).unwrap().text();
        let rest = &rest[rest.find("[guard]").unwrap()..];
        let whole = |text: &str| Published::parse("test", &format!("{text}{rest}")).unwrap_or_else(|errors| panic!("{errors}"));
        let head = "[policy]\nchallenge_risk_score_min = 400\nreview_risk_score_min = 600\ndecline_risk_score_min = 900\n";
        let rule = |name: &str, when: &str| {
            format!("[policy.rule.{name}]\nof = \"payment\"\nwhen = \"{when}\"\noutcome = \"decline\"\nrisk_score = 900\n")
        };
        let old = whole(&format!("{head}{}{}", rule("gone", "amount > 1"), rule("kept", "amount > 2")));
        let mut new = whole(&format!(
            "{}[policy.control]\nshare = 0.01\n{}{}",
            head.replace("600", "650"),
            rule("kept", "amount > 3"),
            rule("new", "true")
        ));
        new.guard.multiple = 9;
        new.alerts.typologies.window = Duration::HOUR;
        let expected = [
            "~ review_risk_score_min: 600 -> 650",
            "~ control.share: 0 -> 0.01",
            "- rule.gone: of payment, when amount > 1, outcome decline, risk_score 900, reason rule",
            "~ rule.kept.when: amount > 2 -> amount > 3",
            "+ rule.new: of payment, when true, outcome decline, risk_score 900, reason rule",
            "~ guard.multiple: 4 -> 9",
            "~ alert.window: 30d -> 1h",
        ];
        assert_eq!(policy_diff(&old, &new), expected);
        assert_eq!(policy_diff(&new, &Published::parse("again", &new.text()).unwrap()), Vec::<String>::new());
    }
}
