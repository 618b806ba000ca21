//! What the ladder costs an event: 50 rules over 80 columns, asked of events of which one in six has a cause. The budget is
//! 0.7 µs.
//!
//! `cargo bench --bench rules`

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use weir::decision::{Outcome, Policy, PolicyOptions, ReasonCode, RuleOptions, Verdict};
use weir::event::{EventType, IdKey, IdKind};
use weir::feature::{FeatureType, Schema, double, int};

const WINDOWS: [&str; 5] = ["1m", "1h", "1d", "7d", "30d"];
const EVENTS: usize = 4096;

fn schema() -> Schema {
    let mut schema = Schema::default();
    schema.push("amount", FeatureType::Int, "");
    for name in ["currency", "country", "mcc", "channel"] {
        schema.push(name, FeatureType::Text(IdKind::Symbol), "");
    }
    for (aggregate, other) in [("user_payments", "merchant"), ("merchant_payments", "user")] {
        for stat in ["count", "sum", &format!("distinct_{other}"), "distinct_device", "distinct_card", "distinct_ip"] {
            for window in WINDOWS {
                schema.push(format!("{aggregate}.{stat}_{window}"), FeatureType::Int, "");
            }
        }
        schema.push(format!("{aggregate}.max"), FeatureType::Int, "");
        for window in ["1d", "7d", "30d"] {
            schema.push(format!("{aggregate}.bad_rate_{window}"), FeatureType::Double, "");
        }
    }
    for name in ["pair_merchant_count", "pair_merchant_age", "pair_device_count", "pair_device_age", "events", "bads", "days_known"] {
        schema.push(format!("user_payments.{name}"), FeatureType::Int, "");
    }
    assert_eq!(schema.len(), 80);
    schema
}

/// Ten shapes of rule, five of each: what a fraud analyst writes.
fn policy() -> PolicyOptions {
    let mut rules = vec![];
    for (number, window) in WINDOWS.into_iter().enumerate() {
        let n = number as i64 + 1;
        for (shape, when) in [
            format!("user_payments.count_{window} > {}", 20 * n),
            format!("user_payments.sum_{window} > {} && amount > 5000", 200_000 * n),
            format!("amount > {} && user_payments.pair_merchant_count == 0", 60_000 * n),
            format!("user_payments.distinct_merchant_{window} > {} || user_payments.distinct_device_{window} > {}", 10 * n, 3 * n),
            format!("merchant_payments.bad_rate_{} > 0.2 && merchant_payments.count_{window} > 20", ["1d", "7d", "30d"][number % 3]),
            format!("amount > {} * user_payments.max && user_payments.events > 10", 3 + n),
            format!("country in ['NG', 'RU', 'BR', 'IR', 'KP', 'VN'] && amount > {}", 10_000 * n),
            format!("mcc == '60{n}1' && channel != 'pos' && amount >= 20000"),
            format!("user_payments.pair_device_age == -1 && user_payments.days_known > 30 && amount > {}", 30_000 * n),
            format!("user_payments.sum_{window} > {n} * 100000 && !(currency in ['EUR', 'SEK']) && user_payments.bads > 0"),
        ]
        .into_iter()
        .enumerate()
        {
            rules.push(RuleOptions {
                name: format!("r{shape}{number}"),
                of: EventType::Payment,
                when,
                outcome: Outcome::Review,
                risk_score: 500,
                reason: ReasonCode::Rule,
                text: String::new(),
            });
        }
    }
    assert_eq!(rules.len(), 50);
    PolicyOptions { rules, ..PolicyOptions::default() }
}

/// Rows of busy traffic, from a fixed seed.
fn rows(schema: &Schema) -> Vec<Vec<u64>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as i64) % bound
    };
    let symbol = |text: &str| IdKey::FILES.id(IdKind::Symbol, text.as_bytes()).low();
    (0..EVENTS)
        .map(|_| {
            schema
                .features
                .iter()
                .map(|feature| match (feature.name.as_str(), feature.kind) {
                    ("amount", _) => int(below(200) * below(300)),
                    ("currency", _) => symbol(["EUR", "SEK", "USD"][below(3) as usize]),
                    ("country", _) => symbol(["NG", "SE", "DE", "NO", "FI"][below(80).min(4) as usize]),
                    ("mcc", _) => symbol(["5411", "5812", "6011", "4111"][below(4) as usize]),
                    ("channel", _) => symbol(["pos", "web", "app"][below(3) as usize]),
                    (_, FeatureType::Double) => double(below(40) as f64 * below(6) as f64 / 1000.0),
                    (name, _) if name.contains(".sum_") || name.ends_with(".max") => int(14_000 + below(400) * below(400)),
                    (name, _) if name.contains(".distinct_") => int(below(3) * below(3)),
                    (name, _) if name.ends_with(".bads") => int(below(100) / 99),
                    (name, _) if name.ends_with("_age") => int(below(100_000) - 1),
                    _ => int(below(5) * below(6)),
                })
                .collect()
        })
        .collect()
}

fn rules(criterion: &mut Criterion) {
    let schema = schema();
    let policy = Policy::compile(&policy(), &schema, &IdKey::FILES).expect("the rules above are sound");
    let rows = rows(&schema);
    let mut verdict = Verdict::default();
    let caught = rows.iter().filter(|row| {
        policy.judge(EventType::Payment, row, &mut verdict);
        verdict.outcome != Outcome::Approve
    });
    println!("{} of {EVENTS} events have a cause", caught.count());
    let mut at = 0;
    // One row after the other, so that the branches are as hard to foresee as in a stream.
    criterion.bench_function("judge 50 rules over 80 columns", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % EVENTS;
            policy.judge(EventType::Payment, black_box(&rows[at]), &mut verdict);
            black_box(verdict.risk_score)
        })
    });
}

criterion_group!(benches, rules);
criterion_main!(benches);
