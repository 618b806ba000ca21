//! What alerts cost a payment: the same stream through two engines by turns, one that looks for typologies, keeps evidence and grows alerts,
//! and one that does none of it. One payment in twenty-five is refused by its issuer afterwards; such results are not in the figures of
//! payments and have their own.
//!
//! `cargo bench --bench alerts` (about 2 GiB and two minutes); `-- --payments 300000` for a smaller graph. Not criterion, for the reasons of
//! the bench of the step. CPU time of the thread, less what reading the clock takes.

mod traffic;

use std::time::Duration as Wall;
use traffic::{Traffic, aggregates, argument, cpu, cpu_time, options};
use weir::engine::{AlertLimits, AlertOptions, Engine};
use weir::event::{Body, Content, Effort, Event, EventType, IdKey, IdKind, PaymentResult, PaymentStatus, Record, Sequence, Target, ends};
use weir::typology::Kind;

fn main() {
    let payments = argument("--payments").unwrap_or(2_000_000);
    println!("machine: {}, {} processors", cpu(), std::thread::available_parallelism().map_or(1, usize::from));
    let with = options(payments, &aggregates(true, true, true));
    let mut without = with.clone();
    without.alerts = AlertOptions { limits: AlertLimits { alerts_max: 0, evidence_rows_max: 0, ..AlertLimits::default() }, ..with.alerts };
    let mut engines = [with, without].map(|options| Engine::new(options, &mut |_| {}).expect("the options are sound"));
    let (mut traffic, mut out) = (Traffic::new(payments), Vec::new());
    let mut spent: [[Vec<Wall>; 2]; 2] = Default::default();
    let (mut sequence, mut many) = (0, [Wall::ZERO; 2]);
    let timed_from = payments - payments / 10;
    while traffic.sequence < payments {
        let timed = traffic.sequence >= timed_from;
        let mut records = Vec::with_capacity(8192);
        for _ in 0..4096 {
            let mut paid = traffic.next_payment();
            paid.sequence = Sequence(sequence);
            sequence += 1;
            let refused = (paid.sequence.0 % 25 == 0).then(|| refusal(&paid, &mut sequence));
            records.push(paid);
            records.extend(refused);
        }
        // By turns many at a time and one by one, and by turns which engine is first.
        let one_by_one = traffic.sequence / 4096 % 2 == 0;
        for turn in 0..2 {
            let which = (turn + (traffic.sequence / 8192) as usize) % 2;
            let records: Vec<Record> = records
                .iter()
                .map(|record| Record { effort: if which == 0 { Effort::Full } else { Effort::NoTypologies }, ..record.clone() })
                .collect();
            let began = cpu_time();
            for piece in records.chunks(if timed && one_by_one { 1 } else { 64 }) {
                out.clear();
                let began = if timed && one_by_one { cpu_time() } else { Wall::ZERO };
                engines[which].step(piece, &mut |_| {}, &mut out);
                if timed && one_by_one {
                    let is_result = matches!(&piece[0].content, Content::Event(event) if event.body.kind() == EventType::PaymentResult);
                    spent[usize::from(is_result)][which].push(cpu_time() - began);
                }
            }
            if timed && !one_by_one {
                many[which] += cpu_time() - began;
            }
        }
    }
    let clock = clock_us();
    println!("{payments} payments over 60 days; µs of CPU, the last tenth, less {clock:.2} for the clock\n");
    println!("{:<34} {:>8} {:>8} {:>8} {:>8}", "one by one", "p50", "p99", "p99.9", "max");
    for (of, name) in ["payments", "results: refused"].iter().enumerate() {
        for (which, kind) in ["with alerts", "without"].iter().enumerate() {
            let spent = &mut spent[of][which];
            spent.sort_unstable();
            let at = |share: f64| spent[((spent.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6 - clock;
            println!("{:<34} {:>8.2} {:>8.2} {:>8.2} {:>8.1}", format!("{name}, {kind}"), at(0.5), at(0.99), at(0.999), at(1.0));
        }
    }
    let each = |spent: Wall| spent.as_secs_f64() * 1e6 / (payments / 20) as f64;
    println!("\n64 at a time, a payment with its share of results: {:.2} with alerts, {:.2} without", each(many[0]), each(many[1]));
    println!("{:?}", engines[0].alert_counts(Kind::Fraud));
}

/// The result of a payment that its issuer declines.
fn refusal(paid: &Record, sequence: &mut u64) -> Record {
    let Content::Event(event) = &paid.content else { unreachable!("traffic is payments") };
    let (kind, ends, time) = (event.body.kind(), ends(&event.body), event.time);
    let resolved = Some(Target { sequence: paid.sequence, time, kind, source: 0, ends, standing: None });
    let (target, status) = (event.id, PaymentStatus::DeclinedByIssuer);
    let body = Body::PaymentResult(PaymentResult { target, status, amount_minor: None, reason: None, user: None, resolved });
    let id = IdKey::FILES.id(IdKind::Event, format!("refused {sequence}").as_bytes());
    let content = Content::Event(Event { id, time, body });
    *sequence += 1;
    Record { sequence: Sequence(*sequence - 1), content, ..paid.clone() }
}

/// What reading the clock takes.
fn clock_us() -> f64 {
    let began = cpu_time();
    for _ in 0..10_000 {
        std::hint::black_box(cpu_time());
    }
    (cpu_time() - began).as_secs_f64() * 1e6 / 10_000.0
}
