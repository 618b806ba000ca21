//! The engine's step on a synthetic graph: 1 M users, 1.2 M devices, 100 k merchants, 200 k cards, 200 k ips, skewed as shops and people
//! are; 10 M payments over 60 days of which the last part is timed. Prints CPU time of the thread by part.
//!
//! `cargo bench --bench step` (about 3 GiB and some minutes); `-- --payments 1000000` for a smaller graph, `-- --only 2` for one row.
//!
//! How it is measured. *Step* is read from a clock that is asked before and after 4096 payments, so that no clock stands between two steps
//! of one payment each. In every other piece the wall clock is read at each phase instead, its own cost calibrated and taken off: that gives
//! *decide*, all that comes behind gathering (an empty policy, decisions, the course). *Admit* is the table of ids alone, with the same ids
//! and content, its slots fetched ahead as the engine fetches them, but with the caches to itself: rather too little than too much. *Graph*
//! is what remains: look-ahead, windows, gathering of 16 recent neighbours of user, merchant and device with their states, features,
//! append, states of all five.
//!
//! Not criterion: the state that is measured takes a minute to build and changes with every event; what counts is the mean over millions
//! of steps, and CPU time, since the machine may be shared.

mod traffic;

use std::hint::black_box;
use std::time::{Duration as Wall, Instant};
use traffic::{Traffic, aggregates, argument, cpu, cpu_time, options};
use weir::decision::{Effect, ListOptions, ListsOptions};
use weir::engine::{Engine, Judged, Options, Phase};
use weir::event::{Content, IdKind, Record};
use weir::graph::Family;

/// Payments made and timed at a time: so many that making them does not disturb what is measured more than reading would.
const PIECE: usize = 4096;
/// Events whose memory the engine fetches together.
const GROUP: usize = 8;

fn main() {
    let payments = argument("--payments").unwrap_or(10_000_000);
    println!("machine: {}, {} processors", cpu(), std::thread::available_parallelism().map_or(1, usize::from));
    println!("{payments} payments over 60 days; µs of CPU a payment, the mean over the last tenth\n");
    let admit = admission(payments);
    println!("{:<48}|{:^30} |{:^30} | batch 1 /", "", "batch 64", "batch 1");
    let parts = format!("{:>7} {:>7} {:>7} {:>6} ", "step", "decide", "admit", "graph");
    println!("{:<48}|{parts} |{parts} | batch 64", "what is counted");
    let only = argument("--only");
    let rows = [
        ("nothing", false, false, false, false),
        ("windows (5) of user and merchant: count, sum", true, false, false, false),
        ("… and distinct counterparts of three pair kinds", true, true, false, false),
        ("… and delayed-label rates (3 windows)", true, true, true, false),
        ("… and six lists on which nobody stands", true, true, true, true),
    ];
    for (_, (name, windows, distinct, labels, listed)) in (1..).zip(rows).filter(|(number, _)| only.is_none_or(|only| only == *number)) {
        let aggregates = aggregates(windows, distinct, labels);
        let lists = if listed { lists() } else { ListsOptions::default() };
        let options = Options { lists, ..options(payments, &aggregates) };
        let costs = [64, 1].map(|batch| measure(payments, &options, batch));
        let graph = costs.map(|cost| cost.step - cost.decide - admit);
        let [many, one] = std::array::from_fn(|n| {
            let Cost { step, decide } = costs[n];
            format!("{step:>7.2} {decide:>7.2} {admit:>7.2} {:>6.2} ", graph[n])
        });
        println!("{name:<48}|{many} |{one} | {:>8.2}", graph[1] / graph[0]);
    }
}

/// The lists of the topology that comes with Weir.
fn lists() -> ListsOptions {
    use IdKind::{Account, Card, Device, Ip, Merchant, User};
    let list = |name: &str, effect, of: &[IdKind]| ListOptions { name: name.into(), effect, of: of.to_vec() };
    let lists = vec![
        list("allowed", Effect::Allow, &[User, Merchant, Account]),
        list("blocked", Effect::Block, &[User, Merchant, Device, Card, Ip, Account]),
        list("sanctioned", Effect::Sanction, &[User, Merchant, Account]),
        list("stolen", Effect::Stolen, &[Device, Card]),
        list("suppressed", Effect::Suppress, &[User, Merchant, Device, Card, Ip]),
        list("watched", Effect::Review, &[User, Merchant, Device, Card, Ip, Account]),
    ];
    ListsOptions { entries_max: 100_000, lists }
}

/// µs of CPU a payment.
#[derive(Clone, Copy)]
struct Cost {
    step: f64,
    /// Policy, decision, course.
    decide: f64,
}

/// Calls `timed` with pieces of the last tenth of `payments`, `before` with those ahead of them.
fn pieces(payments: u64, mut piece: impl FnMut(&[Record], bool)) {
    let mut traffic = Traffic::new(payments);
    let mut records = Vec::new();
    while traffic.sequence < payments {
        let timed = traffic.sequence >= payments - payments / 10;
        records.clear();
        records.extend((0..PIECE).map(|_| traffic.next_payment()));
        piece(&records, timed);
    }
}

fn measure(payments: u64, options: &Options, batch: usize) -> Cost {
    let mut engine = Engine::new(options.clone(), &mut |_| {}).expect("the options are sound");
    let mut out = Vec::new();
    let (mut whole, mut behind) = (Mean::default(), Mean::default());
    pieces(payments, |records, timed| {
        if !timed {
            for records in records.chunks(256) {
                out.clear();
                engine.step(records, &mut |_| {}, &mut out);
            }
        } else if whole.payments <= behind.payments {
            let began = cpu_time();
            for records in records.chunks(batch) {
                out.clear();
                engine.step(records, &mut |_| {}, &mut out);
            }
            whole.add(cpu_time() - began, records.len());
        } else {
            let mut spent = Wall::ZERO;
            for records in records.chunks(batch) {
                out.clear();
                let mut decided_from = None;
                engine.step(records, &mut |phase| decided_from = decided_from.or((phase == Phase::Decide).then(Instant::now)), &mut out);
                spent += decided_from.expect("every step decides").elapsed();
            }
            behind.add(spent, records.len());
        }
    });
    assert!(engine.graph().rings[Family::Money as usize].len() > payments / 3);
    Cost { step: whole.us(), decide: behind.us() - clock_us() / batch as f64 }
}

/// What the table of ids takes, in µs a payment: asked, moved on, and written.
fn admission(payments: u64) -> f64 {
    let options = options(payments, &[]);
    let mut judged = Judged::new(options.limits.ids_max, &mut |_| {});
    let mut spent = Mean::default();
    pieces(payments, |records, timed| {
        let began = cpu_time();
        for group in records.chunks(GROUP) {
            let events =
                || group.iter().filter_map(|record| if let Content::Event(event) = &record.content { Some((record, event)) } else { None });
            events().for_each(|(_, event)| judged.prefetch(event.id));
            for (record, event) in events() {
                let fingerprint = event.fingerprint();
                black_box(judged.find(event.id, fingerprint));
                judged.advance(event.time, options.dedupe);
                judged.insert(event.id, fingerprint, record.sequence, event.time);
            }
        }
        if timed {
            spent.add(cpu_time() - began, records.len());
        }
    });
    spent.us()
}

#[derive(Default)]
struct Mean {
    spent: Wall,
    payments: usize,
}

impl Mean {
    fn add(&mut self, spent: Wall, payments: usize) {
        self.spent += spent;
        self.payments += payments;
    }

    fn us(&self) -> f64 {
        self.spent.as_secs_f64() * 1e6 / self.payments as f64
    }
}

/// What reading the wall clock twice adds to the time between both readings, in µs.
fn clock_us() -> f64 {
    let began = Instant::now();
    for _ in 0..10_000 {
        black_box(Instant::now());
    }
    began.elapsed().as_secs_f64() * 1e6 / 10_000.0
}
