//! The engine's step on a synthetic graph: 1 M users, 1.2 M devices, 100 k merchants, 200 k cards, 200 k ips, skewed as shops and people
//! are; 10 M payments over 60 days of which the last part is timed. Prints the machine, the limits, and CPU time of the thread by part.
//!
//! `cargo bench --bench step` (about 3 GiB and some minutes); `-- --payments 1000000` for a smaller graph.
//!
//! Not criterion: the state that is measured takes a minute to build and changes with every event; what counts is the mean over millions
//! of steps, and CPU time, since the machine may be shared.

mod traffic;

use std::time::Duration as Wall;
use traffic::{Traffic, aggregates, argument, cpu, cpu_time, options};
use weir::engine::{Engine, Phase};
use weir::graph::Family;
use weir::velocity::Aggregate;

fn main() {
    let payments = argument("--payments").unwrap_or(10_000_000);
    println!("machine: {}, {} processors", cpu(), std::thread::available_parallelism().map_or(1, usize::from));
    println!("{payments} payments over 60 days; µs of CPU a payment, the mean over the last tenth\n");
    println!("{:<58} {:>8} {:>8} {:>8}", "what the step does", "batch 64", "batch 1", "ratio");
    let only = argument("--only");
    let rows = [
        ("everything, no aggregates declared", false, false, false),
        ("… and windows (5) of user and merchant: count, sum", true, false, false),
        ("… and distinct counterparts of three pair kinds", true, true, false),
        ("… and delayed-label rates (3 windows)", true, true, true),
    ];
    for (_, (name, windows, distinct, labels)) in (1..).zip(rows).filter(|(number, _)| only.is_none_or(|only| only == *number)) {
        let aggregates = aggregates(windows, distinct, labels);
        let sixty_four = measure(payments, &aggregates, 64);
        let one = measure(payments, &aggregates, 1);
        let (a, b) = (&sixty_four, &one);
        println!("{name:<58} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2}", a.gather, a.rest, b.gather, b.rest, b.gather / a.gather);
    }
    println!(
        "\nadmission (duplicates, future, lateness), gathering of 16 recent neighbours of user, merchant and device with their states,"
    );
    println!("append, states of all five, an empty policy and the decision are in every row.");
}

/// µs of CPU a payment over the last tenth.
struct Cost {
    /// Admission, windows, gather, append, states.
    gather: f64,
    /// Policy and decision.
    rest: f64,
}

fn measure(payments: u64, aggregates: &[Aggregate], batch: usize) -> Cost {
    let options = options(payments, aggregates);
    let mut engine = Engine::new(options, &mut |_| {}).expect("the options are sound");
    let mut traffic = Traffic::new(payments);
    let (mut records, mut out) = (Vec::new(), Vec::new());
    let timed_from = payments - payments / 10;
    let mut spent = [Wall::ZERO; 3];
    while traffic.sequence < payments {
        let timed = traffic.sequence >= timed_from;
        // Made in large pieces, so that making them does not disturb what is measured more than reading would.
        records.clear();
        records.extend((0..4096).map(|_| traffic.next_payment()));
        for piece in records.chunks(if timed { batch } else { 256 }) {
            out.clear();
            if !timed {
                engine.step(piece, &mut |_: Phase| {}, &mut out);
                continue;
            }
            let (mut began, mut current) = (Wall::ZERO, Phase::Gather);
            let mut note = |next: Option<Phase>| {
                let now = cpu_time();
                if next != Some(Phase::Gather) {
                    spent[current as usize] += now - began;
                }
                (began, current) = (now, next.unwrap_or(Phase::Gather));
            };
            engine.step(piece, &mut |phase: Phase| note(Some(phase)), &mut out);
            note(None);
        }
    }
    assert!(engine.graph().rings[Family::Money as usize].len() > payments / 3);
    let clock = clock_cost();
    let timed = (traffic.sequence - timed_from) as f64;
    let each = |spent: Wall| (spent.as_secs_f64() * 1e6 - clock * timed / batch as f64) / timed;
    Cost { gather: each(spent[0]), rest: each(spent[1]) + each(spent[2]) }
}

/// What reading the clock costs each timed step, in µs.
fn clock_cost() -> f64 {
    let began = cpu_time();
    for _ in 0..10_000 {
        std::hint::black_box(cpu_time());
    }
    (cpu_time() - began).as_secs_f64() * 1e6 / 10_000.0
}
