//! The words of a policy: what its rules, limits and lists say of an event, and what they are called.

use super::{View, money};
use crate::decision::{Audience, Effect, ListsOptions, PolicyOptions, Reason};
use crate::event::{Currency, EventType, IdKind};
use crate::velocity::{Aggregate, Role};

/// The words of a policy: one entry a cause.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyTexts {
    causes: Vec<CauseText>,
    /// By number.
    lists: Vec<ListText>,
    /// Names of the sources, by number.
    sources: Vec<String>,
}

/// A list, as sentences name it.
#[derive(Clone, Debug, PartialEq)]
struct ListText {
    name: String,
    effect: Effect,
}

#[derive(Clone, Debug, PartialEq)]
enum CauseText {
    /// A rule, with its own text (empty: the sentence of its code).
    Rule {
        name: String,
        text: String,
        audience: Audience,
    },
    Limit(LimitText),
}

/// What a velocity limit says of its figure.
#[derive(Clone, Debug, PartialEq)]
struct LimitText {
    name: String,
    figure: Figure,
    /// `of this user within 1h`, with what is counted before it where the figure needs it.
    place: String,
    max: i64,
}

#[derive(Clone, Debug, PartialEq)]
enum Figure {
    /// What is counted, in the plural.
    Number(String),
    /// Minor units of this currency, the reporting one.
    Money(Currency),
}

impl PolicyTexts {
    /// The words of `policy`, whose velocity limits watch `aggregates`, and of `lists`; sums are in minor units of `reporting`.
    pub fn new(policy: &PolicyOptions, aggregates: &[Aggregate], lists: &ListsOptions, reporting: Currency) -> PolicyTexts {
        let mut causes = Vec::with_capacity(policy.rules.len() + policy.velocity.len());
        for rule in &policy.rules {
            causes.push(CauseText::Rule { name: rule.name.clone(), text: rule.text.clone(), audience: rule.reason.audience() });
        }
        for limit in &policy.velocity {
            let aggregate = aggregates.iter().find(|aggregate| aggregate.name == limit.aggregate);
            let key = aggregate.map_or("entity", |aggregate| aggregate.key.name(aggregate.of));
            let events = plural(limit.of);
            // A filter cannot be said in few words: its aggregate's name must do.
            let filtered = aggregate
                .filter(|aggregate| aggregate.filter.is_some())
                .map_or(String::new(), |aggregate| format!(" counted by {}", aggregate.name));
            let within = format!("of this {key} within {}{filtered}", limit.window);
            let (figure, place) = if limit.stat == "sum" {
                (Figure::Money(reporting), format!("in {events} {within}"))
            } else {
                match limit.stat.strip_prefix("distinct_").and_then(|role| Role::parse(limit.of, role)) {
                    Some(role) => (Figure::Number(format!("different {}", counterparts(role, limit.of))), format!("in {events} {within}")),
                    None => (Figure::Number(events.to_owned()), within),
                }
            };
            causes.push(CauseText::Limit(LimitText { name: limit.name.clone(), figure, place, max: limit.max }));
        }
        let lists = lists.lists.iter().map(|list| ListText { name: list.name.clone(), effect: list.effect }).collect();
        PolicyTexts { causes, lists, sources: Vec::new() }
    }

    /// These words, where the sources have these names.
    pub fn with_sources<'n>(self, names: impl Iterator<Item = &'n str>) -> PolicyTexts {
        PolicyTexts { sources: names.map(str::to_owned).collect(), ..self }
    }

    pub(super) fn source(&self, number: i64) -> &str {
        usize::try_from(number).ok().and_then(|number| self.sources.get(number)).map_or("a source", String::as_str)
    }

    /// The sentence for `reason` of an event of type `of`.
    pub fn sentence(&self, reason: &Reason, of: EventType) -> String {
        if reason.code.is_list() {
            return self.listed(reason, of);
        }
        match self.causes.get(usize::from(reason.cause)) {
            Some(CauseText::Rule { text, .. }) if !text.is_empty() => text.clone(),
            Some(CauseText::Limit(LimitText { figure: Figure::Number(what), place, max, .. })) => {
                format!("{} {what} {place}, at most {max}", reason.value)
            }
            Some(CauseText::Limit(LimitText { figure: Figure::Money(currency), place, max, .. })) => {
                format!("{} {place}, at most {}", money(reason.value, *currency), money(*max, *currency))
            }
            _ => reason.code.sentence().to_owned(),
        }
    }

    /// What a list says of the entity in the slot that the reason names.
    fn listed(&self, reason: &Reason, of: EventType) -> String {
        let role = usize::try_from(reason.value).ok().and_then(|slot| Role::names(of).get(slot));
        let (Some(role), Some(list)) = (role, self.lists.get(usize::from(reason.cause))) else { return reason.code.sentence().to_owned() };
        let what = match list.effect {
            Effect::Sanction => "is under sanctions",
            Effect::Stolen => "is reported stolen",
            Effect::Block => "is blocked",
            Effect::Review => "is to be looked at by a person",
            Effect::Allow => "is allowed whatever rules say",
            Effect::Mark => "is marked",
            Effect::Suppress => "calls for no attention",
        };
        format!("this {} {what} (list {})", account(role), list.name)
    }

    /// What to call the rule or limit with this index.
    pub fn cause(&self, index: i64, view: View) -> String {
        match usize::try_from(index).ok().and_then(|index| self.causes.get(index)) {
            // Its very name may say what it suspects.
            Some(CauseText::Rule { audience, .. }) if !view.shows(*audience) => "a rule".to_owned(),
            Some(CauseText::Rule { name, .. }) => format!("rule {name}"),
            Some(CauseText::Limit(limit)) => format!("limit {}", limit.name),
            None => format!("rule {index}"),
        }
    }
}

/// The word for an entity in this role.
fn account(role: &str) -> &str {
    match role {
        "from" => "paying account",
        "to" => "receiving account",
        role => role,
    }
}

fn plural(kind: EventType) -> &'static str {
    match kind {
        EventType::Payment => "payments",
        EventType::Transfer => "transfers",
        EventType::Session => "sessions",
        EventType::Interaction => "interactions",
        _ => "events",
    }
}

/// Entities in this role, in the plural.
fn counterparts(role: Role, of: EventType) -> String {
    match role.kind(of) {
        IdKind::Account if role.name(of) == "from" => "paying accounts".to_owned(),
        IdKind::Account => "receiving accounts".to_owned(),
        kind => format!("{}s", kind.name()),
    }
}
