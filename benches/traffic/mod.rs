//! The traffic of the benches: a synthetic graph of 1 M users, 1.2 M devices, 100 k merchants, 200 k cards, 200 k ips, skewed as shops and
//! people are.

use std::time::Duration as Wall;
use weir::decision::{ListsOptions, PolicyOptions, Provenance};
use weir::engine::{AlertOptions, GuardOptions, LabelOptions, Options, SourceTime};
use weir::event::{
    Body, Content, Currency, Duration, Effort, Event, EventType, IdKey, IdKind, Money, Origin, Payment, Rates, Record, Sequence, Timestamp,
};
use weir::graph::{FamilyLimits, Limits};
use weir::typology::laundering::LaunderingOptions;
use weir::velocity::{Aggregate, Role, Stat};

/// Entities by kind: how many there are, and the exponent of their Zipf-like skew in 1/64.
struct Population {
    kind: IdKind,
    count: u64,
    skew: u32,
}

const POPULATIONS: [Population; 5] = [
    Population { kind: IdKind::User, count: 1_000_000, skew: 48 },
    Population { kind: IdKind::Merchant, count: 100_000, skew: 61 },
    Population { kind: IdKind::Device, count: 1_200_000, skew: 48 },
    Population { kind: IdKind::Card, count: 200_000, skew: 48 },
    Population { kind: IdKind::Ip, count: 200_000, skew: 48 },
];

/// The number behind `name` on the command line.
pub fn argument(name: &str) -> Option<u64> {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1)?.parse().ok()
}

/// The processor.
pub fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}

/// What is counted.
pub fn aggregates(windows: bool, distinct: bool, labels: bool) -> Vec<Aggregate> {
    if !windows {
        return Vec::new();
    }
    let lengths = vec![Duration::MINUTE, Duration::HOUR, Duration::DAY, Duration::DAY.times(7), Duration::DAY.times(30)];
    let label_windows = if labels { vec![Duration::DAY, Duration::DAY.times(7), Duration::DAY.times(30)] } else { Vec::new() };
    let aggregate = |name: &str, key: u8, others: [u8; 2]| {
        let mut stats = vec![Stat::Count, Stat::Sum];
        if distinct {
            stats.extend(others.map(|other| Stat::Distinct(Role(other))));
        }
        Aggregate {
            name: name.to_owned(),
            key: Role(key),
            of: EventType::Payment,
            filter: None,
            windows: lengths.clone(),
            stats,
            label_windows: label_windows.clone(),
        }
    };
    vec![aggregate("merchant", 1, [0, 2]), aggregate("user", 0, [1, 2])]
}

/// Options with room for `payments` rows.
pub fn options(payments: u64, aggregates: &[Aggregate]) -> Options {
    let family = |rows_max, warm_nodes_max, pairs_max| FamilyLimits { rows_max, warm_nodes_max, pairs_max, late_rows_max: 1024 };
    Options {
        limits: Limits {
            nodes_max: 2_800_000,
            ids_max: (payments as u32 / 6).max(1000),
            families: [family(payments as u32, 1_400_000, payments as u32 * 2), family(1, 1, 0), family(1, 1, 0)],
        },
        aggregates: aggregates.to_vec(),
        policy: PolicyOptions::default(),
        lists: ListsOptions::default(),
        guard: GuardOptions::default(),
        alerts: AlertOptions::default(),
        laundering: LaunderingOptions::default(),
        rates: Rates { reporting: Currency::parse("EUR").expect("ISO 4217 lists the euro"), currencies: Vec::new() },
        labels: LabelOptions { maturity: Duration::DAY.times(7), known: Duration::DAY.times(400) },
        dedupe: Duration::DAY.times(7),
        future_skew_max: Duration::HOUR,
        sources: vec![SourceTime { jump_max: None, maturity: None, fresh_max: None }],
        id_key: IdKey::FILES,
        provenance: Provenance::default(),
        threads: 1,
    }
}

/// Payments in time order, made from a counter.
pub struct Traffic {
    state: u64,
    /// Of the next payment.
    pub sequence: u64,
    payments: u64,
}

impl Traffic {
    /// Payments over 60 days, if there are so many of them.
    pub fn new(payments: u64) -> Traffic {
        Traffic { state: 1, sequence: 0, payments }
    }

    fn bits(&mut self) -> u64 {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A rank with density falling as rank^-s: the inverse of the cumulative distribution, u^(1/(1-s)).
    fn entity(&mut self, population: &Population) -> u64 {
        let u = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        let s = f64::from(population.skew) / 64.0;
        (u.powf(1.0 / (1.0 - s)) * population.count as f64) as u64
    }

    /// The next payment.
    pub fn next_payment(&mut self) -> Record {
        let ids: Vec<_> = POPULATIONS
            .iter()
            .map(|population| {
                let entity = self.entity(population);
                IdKey::FILES.id(population.kind, &entity.to_le_bytes())
            })
            .collect();
        let chance = self.bits();
        let time = Timestamp((self.sequence as i128 * i128::from(Duration::DAY.times(60).0) / i128::from(self.payments)) as i64);
        let sequence = Sequence(self.sequence);
        self.sequence += 1;
        let payment = Payment {
            user: ids[0],
            merchant: ids[1],
            device: Some(ids[2]),
            card: (chance & 7 > 1).then_some(ids[3]),
            ip: (chance >> 3 & 15 > 8).then_some(ids[4]),
            amount: Money { minor: (chance >> 40) as i64 % 50_000, currency: Currency::parse("EUR").expect("ISO 4217 lists the euro") },
            mcc: None,
            country: None,
            channel: None,
            session: None,
            items: Box::default(),
        };
        Record {
            sequence,
            received: time,
            origin: Origin { source: 0, partition: 0, offset: sequence.0 },
            effort: Effort::Full,
            content: Content::Event(Event {
                id: IdKey::FILES.id(IdKind::Event, &sequence.0.to_le_bytes()),
                time,
                body: Body::Payment(payment),
            }),
        }
    }
}

/// CPU time of this thread.
pub fn cpu_time() -> Wall {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives through the call, which fills it.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Wall::new(time.tv_sec as u64, time.tv_nsec as u32)
}
