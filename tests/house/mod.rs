//! The house that tests are made in: what an engine counts, and how much of it is kept; how a service is started and asked.

// Each test binary uses its own part of it.
#![allow(dead_code)]

pub mod model;
pub mod service;

use weir::decision::{
    Effect, LISTED_KINDS, ListOptions, ListsOptions, Outcome, PolicyOptions, Provenance, ReasonCode, RuleOptions, SHARE_ONE, Thresholds,
    VelocityLimit,
};
use weir::engine::{AlertOptions, Engine, GuardOptions, LabelOptions, Options, Output, SourceTime};
use weir::event::{
    Action, Body, Content, Currency, CurrencyRates, Duration, Event, EventType, IdKey, IdKind, ListChange, Rates, Record, Timestamp, ends,
};
use weir::graph::{FamilyLimits, Limits};
use weir::journal::Digest;
use weir::sim::happening::Happening;
use weir::sim::stream::{Recording, record};
use weir::sim::world::World;
use weir::typology::laundering::LaunderingOptions;
use weir::velocity::{Aggregate, Role, Stat};

const HOUR: Duration = Duration::HOUR;
const DAY: Duration = Duration::DAY;

/// Room for everything that a few thousand events bring.
pub const GENEROUS: Limits = Limits {
    nodes_max: 5000,
    ids_max: 50_000,
    families: [FamilyLimits { rows_max: 20_000, warm_nodes_max: 3000, pairs_max: 30_000, late_rows_max: 5000 }; 3],
};

/// So little room that every table is full again and again.
pub const NARROW: Limits = Limits {
    nodes_max: 100,
    ids_max: 500,
    families: [
        FamilyLimits { rows_max: 150, warm_nodes_max: 7, pairs_max: 90, late_rows_max: 6 },
        FamilyLimits { rows_max: 37, warm_nodes_max: 3, pairs_max: 11, late_rows_max: 2 },
        FamilyLimits { rows_max: 64, warm_nodes_max: 4, pairs_max: 20, late_rows_max: 3 },
    ],
};

fn role(of: EventType, name: &str) -> Role {
    Role::parse(of, name).expect("a role of the contract")
}

fn aggregate(name: &str, of: EventType, key: &str, windows: &[Duration], stats: &[&str], label_windows: &[Duration]) -> Aggregate {
    let stat = |word: &&str| match *word {
        "count" => Stat::Count,
        "sum" => Stat::Sum,
        "max" => Stat::Max,
        _ => match word.split_once('_') {
            Some(("distinct", other)) => Stat::Distinct(role(of, other)),
            Some(("pair", other)) => Stat::Pair(role(of, other)),
            _ => panic!("no figure {word}"),
        },
    };
    Aggregate {
        name: name.into(),
        key: role(of, key),
        of,
        filter: None,
        windows: windows.to_vec(),
        stats: stats.iter().map(stat).collect(),
        label_windows: label_windows.to_vec(),
    }
}

fn filtered(filter: &str, aggregate: Aggregate) -> Aggregate {
    Aggregate { filter: Some(filter.into()), ..aggregate }
}

/// What is counted, sorted by name: all kinds of figures, of keys, of pairs, with and without conditions.
fn aggregates() -> Vec<Aggregate> {
    use EventType::{Interaction, Payment, Session, Transfer};
    let (h, d, d5, d7) = (HOUR, DAY, DAY.times(5), DAY.times(7));
    let mut all = vec![
        aggregate("account_in", Transfer, "to", &[h, d5], &["count", "sum", "distinct_from", "pair_from"], &[d]),
        aggregate("account_out", Transfer, "from", &[d, d7], &["count", "sum", "max", "distinct_to", "pair_to"], &[d, DAY.times(3)]),
        aggregate("device_payments", Payment, "device", &[h, d5], &["count", "distinct_user", "distinct_merchant"], &[]),
        filtered("amount > 3000", aggregate("large_payments", Payment, "user", &[d, d7], &["count", "sum", "max"], &[DAY.times(3)])),
        aggregate("merchant_payments", Payment, "merchant", &[h, d, d5], &["count", "sum", "distinct_user", "pair_device"], &[d, d7]),
        filtered("country == \"SE\"", aggregate("swedish_payments", Payment, "merchant", &[d], &["count", "sum"], &[])),
        aggregate(
            "user_payments",
            Payment,
            "user",
            &[h, d, d5, d7],
            &["count", "sum", "max", "distinct_merchant", "distinct_device", "pair_merchant", "pair_device"],
            &[d, d7],
        ),
        aggregate("user_transfers", Transfer, "user", &[d5], &["count", "sum"], &[]),
        filtered("action == \"cart\"", aggregate("carts", Interaction, "user", &[d], &["count"], &[])),
        aggregate("item_interactions", Interaction, "item", &[d], &["count", "distinct_user", "pair_user"], &[]),
        aggregate("merchant_interest", Interaction, "merchant", &[h, DAY.times(2)], &["count", "distinct_user", "pair_user"], &[]),
        aggregate("user_interactions", Interaction, "user", &[h, d], &["count", "distinct_item", "pair_item"], &[]),
        aggregate("device_sessions", Session, "device", &[d], &["count", "distinct_user"], &[]),
        filtered("action == \"login\"", aggregate("logins", Session, "user", &[h, d], &["count"], &[])),
        aggregate("user_sessions", Session, "user", &[h, d], &["count", "distinct_device", "pair_device"], &[]),
    ];
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn policy() -> PolicyOptions {
    let rule = |name: &str, of, when: &str, outcome, risk_score| RuleOptions {
        name: name.into(),
        of,
        when: when.into(),
        outcome,
        risk_score,
        reason: ReasonCode::Rule,
        text: String::new(),
    };
    let limit = |name: &str, of, aggregate: &str, stat: &str, window, max| VelocityLimit {
        name: name.into(),
        of,
        aggregate: aggregate.into(),
        stat: stat.into(),
        window,
        max,
        outcome: Outcome::Challenge,
        risk_score: 500,
    };
    PolicyOptions {
        thresholds: Thresholds::default(),
        rules: vec![
            rule("bad_user", EventType::Payment, "user_payments.bad_7d >= 1 || user.bads > 2", Outcome::Review, 700),
            rule("marked", EventType::Payment, "device.on_marked || ip.on_marked && amount > 2000", Outcome::Decline, 900),
            rule("large", EventType::Transfer, "amount > 3 * account_out.max && account_out.pair_to_count == 0", Outcome::Review, 610),
            rule(
                "lively",
                EventType::Payment,
                "user.neighbour_activity > 2.0 && merchant_payments.bad_rate_7d > 0.1",
                Outcome::Decline,
                950,
            ),
        ],
        velocity: vec![
            limit("fast", EventType::Payment, "user_payments", "count", HOUR, 2),
            limit("spend", EventType::Payment, "user_payments", "sum", DAY, 20_000),
            limit("wide", EventType::Transfer, "account_out", "distinct_to", DAY.times(7), 2),
        ],
        control_share: SHARE_ONE / 5,
    }
}

/// So few entries that the table is full again and again.
fn lists() -> ListsOptions {
    let list = |name: &str, effect, of: &[IdKind]| ListOptions { name: name.into(), effect, of: of.to_vec() };
    let lists = vec![
        list("allowed", Effect::Allow, &[IdKind::User, IdKind::Merchant]),
        list("blocked", Effect::Block, &LISTED_KINDS),
        list("marked", Effect::Mark, &[IdKind::Device, IdKind::Ip]),
        list("suppressed", Effect::Suppress, &LISTED_KINDS),
    ];
    ListsOptions { entries_max: 12, lists }
}

/// The records with every second tick become a change to a list: of somebody met before, for hours or days, or somebody taken off.
pub fn with_lists(mut records: Vec<Record>) -> Vec<Record> {
    let (mut met, mut ticks) = (Vec::new(), 0u64);
    for record in &mut records {
        match &record.content {
            Content::Event(event) => met.extend(ends(&event.body).into_iter().flatten()),
            Content::Tick(_) if !met.is_empty() => {
                ticks += 1;
                if ticks.is_multiple_of(2) {
                    // Whoever was met lately is met again soon.
                    let id = met[met.len() - 1 - (ticks as usize * 7) % met.len().min(60)];
                    let until = (!ticks.is_multiple_of(10)).then(|| record.received + HOUR.times(ticks as i64 % 90));
                    record.content = Content::Listed(ListChange { list: (ticks / 2 % 5) as u16, id, until });
                }
            }
            _ => {}
        }
    }
    records
}

/// Whether an aggregate's condition holds, said a second time.
pub fn condition(options: &Options, index: usize, event: &Event) -> bool {
    match (options.aggregates[index].name.as_str(), &event.body) {
        ("large_payments", Body::Payment(payment)) => options.rates.reporting_minor(payment.amount, event.time).unwrap_or(0) > 3000,
        ("swedish_payments", Body::Payment(payment)) => payment.country.is_some_and(|country| country.0 == *b"SE"),
        ("carts", Body::Interaction(interaction)) => interaction.action == Action::Cart,
        ("logins", Body::Session(session)) => session.action == Some(options.id_key.id(IdKind::Symbol, b"login")),
        (name, _) => panic!("{name} has no condition on this"),
    }
}

/// Three sources with maturities of their own, rates for one of the foreign currencies.
pub fn options(limits: Limits) -> Options {
    let source = |maturity| SourceTime { jump_max: None, maturity, fresh_max: None };
    let sek = CurrencyRates { currency: Currency::parse("SEK").unwrap(), rates: vec![(Timestamp(0), 90_000_000)] };
    Options {
        limits,
        aggregates: aggregates(),
        policy: policy(),
        lists: lists(),
        guard: GuardOptions::default(),
        alerts: AlertOptions::default(),
        laundering: LaunderingOptions::default(),
        rates: Rates { reporting: Currency::parse("EUR").unwrap(), currencies: vec![sek] },
        labels: LabelOptions { maturity: DAY.times(2), known: DAY.times(400) },
        dedupe: recording().dedupe,
        future_skew_max: recording().future_skew_max,
        sources: vec![source(None), source(Some(DAY.times(5))), source(Some(DAY))],
        id_key: IdKey::FILES,
        provenance: Provenance::default(),
        threads: 1,
    }
}

/// How worlds become records here.
pub fn recording() -> Recording {
    Recording { sources: 3, ..Recording::default() }
}

/// The world called `name`.
pub fn happenings(name: &str, seed: u64, events: u64) -> Vec<Happening> {
    World::named(name, seed, events).expect("a world of that name").stream().collect()
}

/// Its records.
pub fn records(name: &str, seed: u64, events: u64) -> Vec<Record> {
    with_lists(record(&happenings(name, seed, events), recording()))
}

pub fn engine(options: &Options) -> Engine {
    Engine::new(options.clone(), &mut |_| {}).expect("the options are sound")
}

/// The outputs of `records` in batches of `size`.
pub fn run(engine: &mut Engine, records: &[Record], size: usize) -> Vec<Output> {
    let mut out = Vec::new();
    for batch in records.chunks(size) {
        engine.step(batch, &mut |_| {}, &mut out);
    }
    out
}

pub fn digest(outputs: &[Output]) -> [u8; 32] {
    let mut digest = Digest::new();
    outputs.iter().for_each(|output| digest.update(output));
    digest.finish()
}

/// The bytes of the ground state.
pub fn snapshot(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.write_snapshot(&mut bytes).expect("memory takes all bytes");
    bytes
}
