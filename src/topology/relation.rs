//! Checks where numbers of different sections meet.

use super::Topology;
use super::aggregate::{parse_stat, stat_name};
use super::deciding::Deciding;
use super::document::Log;
use super::section::{one_of, suggestion};
use crate::event::{Duration, EventType};
use crate::graph::Family;
use crate::velocity::{AGGREGATES_MAX, Aggregate, LABEL_WINDOWS_MAX, MATURITIES_MAX, PAIR_KINDS_MAX, Role, Stat, WINDOWS_MAX};
use std::collections::BTreeSet;

/// The family in whose ring events of type `of` stand.
pub(super) fn family(of: EventType) -> Family {
    match of {
        EventType::Session => Family::Access,
        EventType::Interaction => Family::Interest,
        _ => Family::Money,
    }
}

/// How far back a family's figures reach, and what asks for it.
pub(super) struct Horizon {
    pub length: Duration,
    /// Such as `30d label window of user_payments behind 30d maturity of [labels]`.
    pub because: String,
}

impl Deciding {
    fn aggregates_of(&self, of: Family) -> impl Iterator<Item = &Aggregate> {
        self.aggregates.iter().filter(move |aggregate| family(aggregate.of) == of)
    }

    /// All maturities in force, with the key that sets each.
    fn maturities(&self) -> Vec<(Duration, String)> {
        let own = self.sources.iter().filter_map(|(name, time)| Some((time.maturity?, format!("source.{name}"))));
        std::iter::once((self.labels.maturity, "[labels]".to_string())).chain(own).collect()
    }

    /// How far back the figures over a family's ring reach; zero where nothing is counted over it.
    pub(super) fn horizon(&self, of: Family) -> Horizon {
        let mut longest = Horizon { length: Duration(0), because: "nothing is counted over it".to_string() };
        let maturity = self.maturities().into_iter().max().expect("the default is always there");
        for aggregate in self.aggregates_of(of) {
            if let Some(window) = aggregate.windows.last().filter(|window| **window > longest.length) {
                longest = Horizon { length: *window, because: format!("{window} window of {}", aggregate.name) };
            }
            if let Some(window) = aggregate.label_windows.last() {
                let length = Duration(window.0 + maturity.0.0);
                if length > longest.length {
                    let because = format!("{window} label window of {} behind {} maturity of {}", aggregate.name, maturity.0, maturity.1);
                    longest = Horizon { length, because };
                }
            }
        }
        longest
    }

    /// The pair kinds of a family, each an event type and two roles in ascending order.
    pub(super) fn pair_kinds(&self, of: Family) -> BTreeSet<(EventType, Role, Role)> {
        let mut kinds = BTreeSet::new();
        for aggregate in self.aggregates_of(of) {
            for stat in &aggregate.stats {
                if let Stat::Distinct(role) | Stat::Pair(role) = *stat {
                    kinds.insert((aggregate.of, aggregate.key.min(role), aggregate.key.max(role)));
                }
            }
        }
        kinds
    }
}

/// Relations within what decides.
pub(super) fn check(deciding: &Deciding, log: &Log) {
    check_aggregates(deciding, log);
    check_maturities(deciding, log);
    check_policy(deciding, log);
}

fn check_aggregates(deciding: &Deciding, log: &Log) {
    if !log.sound(&["aggregate", "limits"]) {
        return;
    }
    for of in Family::ALL {
        let (windows, label_windows): (BTreeSet<Duration>, BTreeSet<Duration>) =
            deciding.aggregates_of(of).fold(Default::default(), |(mut windows, mut labels): (BTreeSet<_>, BTreeSet<_>), aggregate| {
                windows.extend(aggregate.windows.iter().copied());
                labels.extend(aggregate.label_windows.iter().copied());
                (windows, labels)
            });
        let kinds = deciding.pair_kinds(of);
        let most = [
            (deciding.aggregates_of(of).count(), AGGREGATES_MAX, "aggregates"),
            (windows.len(), WINDOWS_MAX, "different windows"),
            (label_windows.len(), LABEL_WINDOWS_MAX, "different label windows"),
            (kinds.len(), PAIR_KINDS_MAX, "pair kinds (from distinct and pair figures)"),
        ];
        for (found, most, what) in most {
            if found > most {
                log.error("aggregate", format!("{found} {what} over the {} ring", of.name()), format!("at most {most}"));
            }
        }
        if !kinds.is_empty() && deciding.limits.families[of as usize].pairs_max == 0 {
            let asked = deciding.aggregates_of(of).flat_map(|a| a.stats.iter().map(move |stat| (a, *stat)));
            let first = asked.into_iter().find(|(_, stat)| matches!(stat, Stat::Distinct(_) | Stat::Pair(_)));
            let who = first.map(|(a, stat)| format!("{} of {}", stat_name(a.of, stat), a.name)).unwrap_or_default();
            log.error(&format!("limits.{}.pairs_max", of.name()), "0", format!("at least 1: {who} needs pairs"));
        }
    }
}

fn check_maturities(deciding: &Deciding, log: &Log) {
    if !log.sound(&["source", "labels"]) {
        return;
    }
    let different: BTreeSet<Duration> = deciding.maturities().into_iter().map(|(maturity, _)| maturity).collect();
    if different.len() > MATURITIES_MAX {
        let found = format!("{} different maturities (with that of [labels])", different.len());
        log.error("source", found, format!("at most {MATURITIES_MAX}"));
    }
    // A label that comes when its event is mature must still find it.
    for (maturity, who) in deciding.maturities() {
        if maturity > deciding.labels.known {
            log.error("labels.known", deciding.labels.known, format!("at least {maturity}, the maturity of {who}"));
        }
    }
}

pub(super) fn check_policy(deciding: &Deciding, log: &Log) {
    let thresholds = deciding.policy.thresholds;
    let ladder = [
        ("policy.challenge_risk_score_min", thresholds.challenge_risk_score_min),
        ("policy.review_risk_score_min", thresholds.review_risk_score_min),
        ("policy.decline_risk_score_min", thresholds.decline_risk_score_min),
    ];
    for pair in ladder.windows(2) {
        let [(lower, least), (upper, found)] = pair else { continue };
        if log.sound(&[lower, upper]) && found < least {
            log.error(upper, found, format!("at least {least}, which is {lower} ({})", log.place(lower)));
        }
    }
    for limit in &deciding.policy.velocity {
        let path = format!("policy.velocity.{}", limit.name);
        if log.sound(&["aggregate", &path]) {
            check_limit(deciding, limit, &path, log);
        }
    }
}

fn check_limit(deciding: &Deciding, limit: &crate::decision::VelocityLimit, path: &str, log: &Log) {
    let at = |key: &str| format!("{path}.{key}");
    let named = deciding.aggregates.iter().find(|aggregate| aggregate.name == limit.aggregate);
    let Some(aggregate) = named else {
        let known = || deciding.aggregates.iter().filter(|a| a.of == limit.of).map(|a| a.name.as_str());
        let found = format!("{:?}{}", limit.aggregate, suggestion(&limit.aggregate, known()));
        log.error(&at("aggregate"), found, format!("an aggregate over {} events: {}", limit.of.name(), one_of(known())));
        return;
    };
    if aggregate.of != limit.of {
        let found = format!("{:?}, which is over {} events", limit.aggregate, aggregate.of.name());
        log.error(&at("aggregate"), found, format!("one over {} events", limit.of.name()));
        return;
    }
    let windowed = |stat: &&Stat| matches!(stat, Stat::Count | Stat::Sum | Stat::Distinct(_));
    let stat = parse_stat(aggregate.of, &limit.stat);
    if !aggregate.stats.iter().filter(windowed).any(|known| Some(*known) == stat) {
        let known: Vec<String> = aggregate.stats.iter().filter(windowed).map(|stat| stat_name(aggregate.of, *stat)).collect();
        let found = format!("{:?}{}", limit.stat, suggestion(&limit.stat, known.iter().map(String::as_str)));
        log.error(&at("stat"), found, format!("a windowed figure of {}: {}", aggregate.name, one_of(known.iter().map(String::as_str))));
    }
    if !aggregate.windows.contains(&limit.window) {
        let known: Vec<String> = aggregate.windows.iter().map(Duration::to_string).collect();
        let expected = format!("a window of {}: {}", aggregate.name, one_of(known.iter().map(String::as_str)));
        log.error(&at("window"), limit.window, expected);
    }
}

/// Relations between what decides and the plan: are the tables large enough for the traffic expected?
pub(super) fn check_plan(topology: &Topology, log: &Log) {
    let deciding = &topology.deciding;
    if !log.sound(&["limits", "aggregate", "source", "labels", "dedupe"]) {
        return;
    }
    for of in Family::ALL {
        let (planned, limits) = (topology.events_per_day[of as usize], deciding.limits.families[of as usize]);
        let horizon = deciding.horizon(of);
        let needed = rows_during(planned, horizon.length) + topology.batch_events_max as u64;
        if u64::from(limits.rows_max) < needed {
            let days = f64::from(limits.rows_max) / planned as f64;
            let found = format!("{} rows, which are {days:.1} days at {planned} events a day", limits.rows_max);
            let expected = format!("at least {needed} rows for the {}", horizon.because);
            log.error(&format!("limits.{}.rows_max", of.name()), found, expected);
        }
    }
    let planned: u64 = topology.events_per_day.iter().sum();
    let needed = rows_during(planned, deciding.dedupe);
    if u64::from(deciding.limits.ids_max) < needed {
        let expected = format!("at least {needed}: {planned} events a day during {} of [dedupe]", deciding.dedupe);
        log.error("limits.ids_max", deciding.limits.ids_max, expected);
    }
}

/// Events during `length` at `a_day` events a day, rounded up.
fn rows_during(a_day: u64, length: Duration) -> u64 {
    let rows = u128::from(a_day) * length.0.unsigned_abs() as u128;
    u64::try_from(rows.div_ceil(Duration::DAY.0 as u128)).unwrap_or(u64::MAX)
}
