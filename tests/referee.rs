//! The engine against the naive model, event by event: every output, every feature column, every skip, every neighbour, every state.
//!
//! A failure names the seed and the first difference. One seed is fresh at each run and printed; `WEIR_SEED=17 cargo test --test referee`
//! repeats it.
//!
//! Caught when planted: a superseded bit that is not set, tails that stop at a late row, a tail that stays at a dropped row, a pair that leads
//! to a row that has left, a wrong backward shift in the table of pairs, a node that never turns warm, bads that are not taken back, a row that
//! stays one moment too long in the ring, a late row that does in the late ring (both by the edges of windows).

mod house;

use house::{GENEROUS, NARROW, condition, engine, records};
use std::collections::{BTreeMap, BTreeSet};
use weir::arithmetic::log2_1p;
use weir::decision::{Decision, Outcome, Part, PolicyOptions, ReasonCode, SKIPS_MAX, Skip, Why};
use weir::engine::{Engine, Options, Output};
use weir::event::{
    Body, Content, Currency, Duration, Effort, Event, Id, IdKey, IdKind, Money, Origin, Record, Refusal, Sequence, Timestamp, Transfer,
};
use weir::graph::{Family, FamilyLimits, Head, Limits, NodeId, state};
use weir::sim::chance::Chance;
use weir::sim::model::{Facts, Model, Seen};
use weir::sim::stream::{Recording, record};
use weir::typology::Typology;
use weir::typology::laundering::{LaunderingOptions, Reach};

/// A difference, in words.
type Difference = String;

/// What the two saw, so that a test knows that it tested something.
#[derive(Debug, Default)]
struct Met {
    judged: u64,
    late: u64,
    duplicates: u64,
    refusals: BTreeSet<Refusal>,
    complaints: BTreeSet<(Part, Why)>,
    /// By family.
    appended: [u64; 3],
    warm_neighbours: u64,
    bads: u64,
    bad_rates: u64,
    listed: u64,
    let_through: u64,
    /// By figure of what surrounds a transfer: said, and said to be more than 0, and not said.
    surroundings: BTreeMap<String, [u64; 3]>,
}

/// What the model does not know of a transfer's surroundings: scores hang on weights, and a crowd on how unusual its members' goals are.
fn is_unknown(column: &str) -> bool {
    let Some(name) = column.strip_prefix("laundering.") else { return false };
    matches!(name, "score" | "crowd") || Typology::LAUNDERING.iter().any(|typology| typology.name() == name)
}

/// As the house's; searches around transfers end at no budget, and short times part what is old from what is new, who is young from who is
/// not, and who is busy.
fn options(limits: Limits) -> Options {
    let laundering = LaunderingOptions {
        reach: Reach { window: Duration::HOUR.times(36), rows_max: 1024, visits_max: 65_536, busy_min: 25 },
        dwell: Duration::HOUR.times(20),
        rapid: Duration::HOUR.times(8),
        kept_permille: 600,
        exceeds_permille: 1_200,
        young: Duration::DAY.times(2),
        rest: Duration::DAY.times(3),
        ..LaunderingOptions::default()
    };
    Options { laundering, ..house::options(limits) }
}

struct Match<'m> {
    engine: Engine,
    model: Model<'m>,
    met: Met,
    options: &'m Options,
}

impl Match<'_> {
    fn play(&mut self, record: &Record) -> Result<(), Difference> {
        let mut out = Vec::new();
        self.engine.step(std::slice::from_ref(record), &mut |_| {}, &mut out);
        // Alerts have a referee of their own, in tests/alerts.rs.
        out.retain(|output| !matches!(output, Output::Alert(_)));
        let seen = self.model.apply(record);
        let event = match &record.content {
            Content::Event(event) => Some(event),
            _ => None,
        };
        let judged = event.is_some_and(|event| matches!(event.body, Body::Payment(_) | Body::Transfer(_)));
        match (seen, out.as_slice()) {
            (Seen::Judged(facts), [Output::Decision(decision)]) if judged => {
                self.compare(event.expect("it was judged"), &facts, decision)?;
            }
            (Seen::Judged(_), []) if !judged => {}
            (Seen::Applied, []) => {}
            (Seen::Duplicate, []) => self.met.duplicates += 1,
            (Seen::Rejected(reason), [Output::Rejected(rejected)]) if rejected.refused.reason == reason => {
                self.met.refusals.insert(reason);
            }
            (seen, out) => return Err(format!("outputs: the model says {seen:?}, the engine {out:?}")),
        }
        if self.engine.counts().duplicates != self.met.duplicates {
            return Err(format!("duplicates: model {}, engine {}", self.met.duplicates, self.engine.counts().duplicates));
        }
        for family in Family::ALL {
            let ring = &self.engine.graph().rings[family as usize];
            let (model, engine) = (self.model.visible_rows(family), ring.tail().ordinal..ring.head().ordinal);
            if model != engine {
                return Err(format!("visible rows of {}: model {model:?}, engine {engine:?}", family.name()));
            }
            self.met.appended[family as usize] = engine.end;
        }
        if self.model.nodes_len() != self.engine.graph().nodes.len() {
            return Err(format!("nodes: model {}, engine {}", self.model.nodes_len(), self.engine.graph().nodes.len()));
        }
        Ok(())
    }

    fn compare(&mut self, event: &Event, facts: &Facts, decision: &Decision) -> Result<(), Difference> {
        self.met.judged += 1;
        self.met.late += u64::from(facts.late);
        if facts.now != self.engine.now() {
            return Err(format!("stream time: model {}, engine {}", facts.now, self.engine.now()));
        }
        self.compare_own_fields(event)?;
        let (_, row) = self.engine.judged_rows().next().ok_or("the engine judged no row")?;
        let schema = &self.engine.layout().schema;
        let mut compared = 0;
        for (feature, word) in schema.features.iter().zip(row).filter(|(feature, _)| feature.name.contains('.')) {
            if is_unknown(&feature.name) && matches!(event.body, Body::Transfer(_)) {
                continue;
            }
            if feature.name.starts_with("laundering.") && matches!(event.body, Body::Transfer(_)) {
                let said = facts.figures.get(&feature.name).map(|figure| figure.word());
                let met = self.met.surroundings.entry(feature.name.clone()).or_default();
                met[0] += u64::from(said.is_some());
                met[1] += u64::from(said.is_some_and(|word| word > 0));
                met[2] += u64::from(said.is_none());
                if facts.unsaid.contains(&feature.name) {
                    continue;
                }
            }
            // A role that the event has not got has no figures.
            let expected = facts.figures.get(&feature.name).map_or(0, |figure| figure.word());
            compared += usize::from(facts.figures.contains_key(&feature.name));
            if *word != expected {
                let shown = |word: u64| format!("{} ({:e})", word as i64, f64::from_bits(word));
                return Err(format!("{}: model {}, engine {}", feature.name, shown(expected), shown(*word)));
            }
            self.met.bads += u64::from(feature.name.ends_with("recent_bads") && expected > 0);
            self.met.bad_rates += u64::from(feature.name.contains("bad_rate") && expected > 0);
        }
        if compared != facts.figures.len() {
            return Err(format!("the model has {} figures, the engine columns for {compared}", facts.figures.len()));
        }
        self.compare_lists(facts, decision)?;
        self.compare_skips(facts, decision)?;
        self.compare_neighbours(facts)
    }

    /// Whoever is blocked is declined, and nobody says so of others; nobody whom a list declines is of the control group.
    fn compare_lists(&mut self, facts: &Facts, decision: &Decision) -> Result<(), Difference> {
        let on = |list: &str| facts.figures.iter().any(|(name, figure)| name.ends_with(list) && figure.word() == 1);
        let (blocked, allowed) = (on(".on_blocked"), on(".on_allowed"));
        let says = |code| decision.reasons.as_slice().iter().any(|reason| reason.code == code);
        if blocked != says(ReasonCode::ListBlock) || (blocked && decision.outcome != Outcome::Decline) {
            return Err(format!("blocked: model {blocked}, engine {:?}", (decision.outcome, decision.reasons)));
        }
        if allowed && !blocked && decision.outcome != Outcome::Approve {
            return Err(format!("allowed, and the engine says {:?}", decision.outcome));
        }
        if decision.control_group.is_some() && (blocked || allowed || decision.outcome != Outcome::Approve) {
            return Err(format!("in the control group: blocked {blocked}, allowed {allowed}, {:?}", decision.outcome));
        }
        self.met.listed += u64::from(blocked) + u64::from(allowed);
        self.met.let_through += u64::from(decision.control_group.is_some());
        Ok(())
    }

    fn compare_own_fields(&self, event: &Event) -> Result<(), Difference> {
        let (_, row) = self.engine.judged_rows().next().ok_or("the engine judged no row")?;
        let schema = &self.engine.layout().schema;
        let low = |id: Option<Id>| id.map_or(0, Id::low);
        let money = match &event.body {
            Body::Payment(payment) => payment.amount,
            Body::Transfer(transfer) => transfer.amount,
            _ => return Err("judged without money".to_owned()),
        };
        let mut expected = vec![
            ("amount", self.options.rates.reporting_minor(money, event.time).unwrap_or(0) as u64),
            ("amount_minor", money.minor as u64),
            ("hour", (event.time.0 / Duration::HOUR.0 % 24) as u64),
        ];
        match &event.body {
            Body::Payment(p) => expected.extend([
                ("items", p.items.len() as u64),
                ("user_id", p.user.low()),
                ("merchant_id", p.merchant.low()),
                ("device_id", low(p.device)),
                ("card_id", low(p.card)),
                ("ip_id", low(p.ip)),
                ("channel", low(p.channel)),
                ("mcc", u64::from(p.mcc.unwrap_or(0))),
                ("from_id", 0),
            ]),
            Body::Transfer(t) => {
                expected.extend([("from_id", low(t.from)), ("to_id", low(t.to)), ("user_id", low(t.user)), ("format", low(t.format))]);
            }
            _ => {}
        }
        for (name, word) in expected {
            let found = row[schema.position(name).ok_or(format!("no column {name}"))?];
            if found != word {
                return Err(format!("{name}: the event says {word}, the engine {found}"));
            }
        }
        Ok(())
    }

    fn compare_skips(&mut self, facts: &Facts, decision: &Decision) -> Result<(), Difference> {
        let order = |skip: &Skip| (skip.part, skip.why, skip.value, skip.window);
        let always = |skip: &&Skip| !matches!(skip.why, Why::NoModel | Why::NoTypologies | Why::RuleError | Why::Guarded);
        let found = decision.skipped.as_slice();
        let engine: BTreeSet<_> = found.iter().filter(always).map(order).collect();
        let model: BTreeSet<_> = facts.skips.iter().map(order).collect();
        self.met.complaints.extend(model.iter().map(|(part, why, ..)| (*part, *why)));
        // What finds no place in the list is not said.
        let cut = found.len() == SKIPS_MAX && engine.is_subset(&model);
        if engine != model && !cut {
            return Err(format!("skips: model {model:?}, engine {engine:?}"));
        }
        Ok(())
    }

    fn compare_neighbours(&mut self, facts: &Facts) -> Result<(), Difference> {
        let egos = self.engine.egos();
        let mut place = 0;
        for (slot, edges) in facts.neighbours.iter().enumerate().take(3) {
            let own = facts.own[slot].as_ref().map_or([0.0; state::STATE], |state| state.sums());
            if own != egos.own_features()[slot] {
                return Err(format!("own state in slot {slot}: model {own:?}, engine {:?}", egos.own_features()[slot]));
            }
            let end = egos.row_offsets()[slot + 1] as usize;
            if end - place != edges.len() {
                return Err(format!("neighbours in slot {slot}: model {}, engine {}", edges.len(), end - place));
            }
            for edge in edges {
                let node = edge.neighbour.map_or(Some(NodeId::NONE), |id| self.engine.graph().nodes.find(id));
                let age = edge.age.0 as f32 * (1.0 / 1e6);
                let quiet = edge.bad && edge.score < 3.0;
                let marks = [edge.bad, edge.good, edge.failed, quiet, edge.incoming].map(f32::from);
                let [bad, good, failed, quiet, incoming] = marks;
                let features = [log2_1p(age), log2_1p(edge.amount as f32), bad, good, failed, edge.score, quiet, incoming];
                let sums = edge.state.as_ref().map_or([0.0; state::STATE], |state| state.sums());
                let model = (node, features, sums);
                let engine = (Some(egos.neighbours()[place]), egos.edge_features()[place], egos.neighbour_features()[place]);
                if model != engine {
                    return Err(format!("edge {place} in slot {slot}: model {model:?}, engine {engine:?}"));
                }
                self.met.warm_neighbours += u64::from(edge.state.is_some());
                place = end.min(place + 1);
            }
        }
        Ok(())
    }

    /// Every node, what outlives its rows, and its states: too much to look at after each event.
    fn compare_nodes(&self) -> Result<(), Difference> {
        let graph = self.engine.graph();
        for (id, events, bads) in self.model.nodes() {
            let node = graph.nodes.find(id).ok_or(format!("node {id} is unknown to the engine"))?;
            let header = graph.nodes.header(node);
            let engine = (u64::from(header.events()), u64::from(graph.nodes.bads(node)));
            if engine != (events, bads) {
                return Err(format!("node {id}: model {events} events, {bads} bads; engine {} and {}", engine.0, engine.1));
            }
            for family in Family::ALL {
                let model = self.model.state(family, id).map(|state| state.sums().map(f32::to_bits));
                let engine = match graph.nodes.head(node, family) {
                    Head::Warm(record) => Some(state::sums(graph.warm[family as usize].record(record)).map(f32::to_bits)),
                    _ => None,
                };
                if model != engine {
                    let name = family.name();
                    return Err(format!("state of node {id} in {name}: model {model:?}, engine {engine:?}"));
                }
            }
        }
        Ok(())
    }
}

fn play(world: &str, seed: u64, events: u64, limits: Limits) -> Met {
    play_with(world, seed, events, &options(limits))
}

fn play_with(world: &str, seed: u64, events: u64, options: &Options) -> Met {
    play_records(&format!("world {world}, seed {seed}"), &records(world, seed, events), options)
}

fn play_records(name: &str, records: &[Record], options: &Options) -> Met {
    let filter = |index: usize, event: &Event| condition(options, index, event);
    let mut game = Match { engine: engine(options), model: Model::new(options, &filter), met: Met::default(), options };
    let counted: Vec<&str> = options.aggregates.iter().map(|aggregate| aggregate.name.as_str()).collect();
    for (place, record) in records.iter().enumerate() {
        let look = place % 64 == 0;
        let played = game.play(record).and_then(|()| if look { game.compare_nodes() } else { Ok(()) });
        if let Err(difference) = played {
            panic!("{name}, {:?}, {counted:?}, record {place}: {difference}\n  at {record:?}", options.limits);
        }
    }
    game.compare_nodes().unwrap_or_else(|difference| panic!("{name}, {:?}, {counted:?}, at the end: {difference}", options.limits));
    game.met
}

fn fresh_seed() -> u64 {
    let given = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64 % 1_000_000);
    println!("fresh seed {seed}: WEIR_SEED={seed} repeats it");
    seed
}

const REFUSALS: [Refusal; 4] = [Refusal::FutureDated, Refusal::IdConflict, Refusal::TooOldToDeduplicate, Refusal::UnknownTarget];

#[test]
fn with_room_for_everything() {
    for (world, seed, events) in [("tiny", 1, 3000), ("small", 2, 2500)] {
        let met = play(world, seed, events, GENEROUS);
        assert!(world != "tiny" || met.refusals == REFUSALS.into(), "{met:?}");
        assert_eq!(met.complaints, [(Part::Money, Why::NoRate)].into(), "{met:?}");
        assert!(met.judged > 1000 && met.late > 10 && met.duplicates > 10, "{met:?}");
        assert!(met.listed > 5 && met.let_through > 0, "{met:?}");
        assert!(met.warm_neighbours > 1000 && met.bads > 5 && met.bad_rates > 5, "{met:?}");
    }
}

#[test]
fn with_room_for_little() {
    for seed in [1, 2, 3, 4] {
        let met = play("tiny", seed, 4000, NARROW);
        assert_eq!(met.complaints.len(), 6, "every complaint is made: {met:?}");
        for (appended, limits) in met.appended.iter().zip(NARROW.families) {
            assert!(*appended > 5 * u64::from(limits.rows_max), "every ring wraps five times: {met:?}");
        }
    }
}

/// Limits, aggregates, maturities and sources as chance wants them: rings of one row, tables without a place, families that count nothing.
fn drawn(seed: u64) -> Options {
    let mut chance = Chance::new(seed ^ 0x686f_7573_6521);
    let mut families = GENEROUS.families;
    for limits in &mut families {
        *limits = FamilyLimits {
            rows_max: *chance.pick(&[1, 2, 9, 40, 150, 700]),
            warm_nodes_max: *chance.pick(&[0, 1, 4, 20, 300]),
            pairs_max: *chance.pick(&[0, 1, 10, 60, 2000]),
            late_rows_max: *chance.pick(&[0, 1, 4, 30, 300]),
        };
    }
    let limits = Limits { nodes_max: *chance.pick(&[1, 7, 60, 120, 2000]), ids_max: *chance.pick(&[1, 30, 400, 10_000]), families };
    let mut options = options(limits);
    // Rules name figures that may not be there.
    options.policy = PolicyOptions::default();
    options.aggregates.retain(|_| chance.happens(6500));
    for aggregate in &mut options.aggregates {
        aggregate.label_windows.retain(|_| chance.happens(6000));
    }
    options.labels.maturity = Duration::HOUR.times(chance.between(0, 90));
    options
}

/// A world whose clock knows only every sixth hour: events stand exactly at the edges of windows, maturities and horizons.
/// Caught when planted: a row that stays visible at T = time + H.
fn coarse(seed: u64, events: u64) -> Vec<Record> {
    let tick = 6 * Duration::HOUR.0;
    let mut happenings = house::happenings("tiny", seed, events);
    happenings.iter_mut().for_each(|happening| happening.time.0 -= happening.time.0.rem_euclid(tick));
    // A clock of its own must not stand between the edges either.
    house::with_lists(record(&happenings, Recording { skew: Duration(0), ..house::recording() }))
}

/// A bank in which most of what comes goes on: in one sum, in parts, in circles, to newcomers and to the world outside, some of it late.
fn ledger(seed: u64, transfers: u64) -> Vec<Record> {
    let mut chance = Chance::new(seed ^ 0x6c65_6467_6572);
    let id = |kind, name: String| IdKey::FILES.id(kind, name.as_bytes());
    let account = |number: u64| id(IdKind::Account, format!("a{number}"));
    let mut now = Timestamp(1_735_689_600_000_000);
    let mut came: Vec<(u64, i64)> = Vec::new();
    let mut records = Vec::new();
    for n in 0..transfers {
        now = now + Duration::MINUTE.times(chance.between(1, 18));
        let (payer, payee) = (chance.below(80).min(chance.below(80)), chance.below(80).min(chance.below(110)));
        let fresh = if chance.happens(1200) { chance.between(790_000, 999_999) } else { chance.between(1_000, 60_000) };
        let lately = came.len().saturating_sub(12)..came.len();
        let (payer, minor) = match came.get(lately.start + chance.below(12) as usize) {
            Some((account, sum)) if chance.happens(6000) => (*account, sum * chance.between(580, 1_060) / 1_000),
            _ => (payer, fresh),
        };
        // Parts, and sums of parts.
        let minor = if chance.happens(1500) { minor / 2 } else { minor }.max(1);
        let payee = if chance.happens(400) { 1_000 + n } else { payee };
        let (from, to) = match chance.below(100) {
            0..4 => (None, Some(payee)),
            4..8 => (Some(payer), None),
            8..10 => (Some(payer), Some(payer)),
            _ => (Some(payer), Some(payee)),
        };
        came.extend(to.map(|to| (to, minor)));
        // Some of them at one moment, some late.
        let time = if chance.happens(700) { now - Duration::MINUTE.times(chance.between(0, 1_500)) } else { now };
        let body = Body::Transfer(Transfer {
            from: from.map(account),
            to: to.map(account),
            amount: Money { minor, currency: Currency::parse("EUR").unwrap() },
            from_bank: None,
            to_bank: None,
            format: None,
            user: from.filter(|_| chance.happens(8000)).map(|payer| id(IdKind::User, format!("u{payer}"))),
            device: chance.happens(2000).then(|| id(IdKind::Device, format!("d{}", payer / 3))),
        });
        let content = Content::Event(Event { id: id(IdKind::Event, format!("t{n}")), time, body });
        let origin = Origin { source: 0, partition: 0, offset: n };
        records.push(Record { sequence: Sequence(n), received: now, origin, effort: Effort::Full, content });
    }
    records
}

/// What surrounds transfers, where there is much of it.
#[test]
fn around_transfers() {
    let mut all: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for seed in [1, 2, 3, fresh_seed()] {
        let mut options = options(GENEROUS);
        options.laundering.bulk_counts = seed == 2;
        let met = play_records(&format!("ledger, seed {seed}"), &ledger(seed, 1500), &options);
        for (name, counts) in met.surroundings {
            all.entry(name).or_default().iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    println!("{all:#?}");
    for (name, [said, more, unsaid]) in &all {
        assert!(*more > 40 && *said > 4 * *unsaid, "{name}: {said} said, {more} of them above 0, {unsaid} not said");
    }
    assert_eq!(all.len(), 13, "{all:?}");
}

#[test]
fn at_the_edges_of_windows() {
    for seed in [5, 6] {
        play_records(&format!("coarse world, seed {seed}"), &coarse(seed, 2000), &options(GENEROUS));
        play_records(&format!("coarse world, seed {seed}"), &coarse(seed, 2500), &options(NARROW));
    }
}

#[test]
fn with_houses_drawn_by_chance() {
    for seed in 1..=12 {
        play_with("tiny", seed, 1000, &drawn(seed));
    }
}

#[test]
fn with_a_seed_that_nobody_has_seen() {
    let seed = fresh_seed();
    play("tiny", seed, 1500, GENEROUS);
    play("tiny", seed, 2500, NARROW);
    for house in 0..4 {
        play_with("tiny", seed, 1000, &drawn(seed + house));
        play_records(&format!("coarse world, seed {seed}, house {house}"), &coarse(seed, 1000), &drawn(seed + house));
    }
}
