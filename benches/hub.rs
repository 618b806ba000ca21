//! A hub that wakes: a merchant with 1 M payments in ten days, silent for thirty while others go on, and then busy again. Times every step
//! of the day on which it wakes and checks the hub's windows against the times of its payments.
//!
//! `cargo bench --bench hub` (about 2 GiB and a minute); `-- --rows 100000` for a smaller hub. Not criterion: the state takes a minute to
//! build and wakes once; what counts is the tail, not the mean. CPU time of the thread, since the machine may be shared.

mod traffic;

use std::time::Duration as Wall;
use traffic::{Traffic, aggregates, argument, cpu, cpu_time, options};
use weir::engine::{Engine, Phase};
use weir::event::{Body, Content, Duration, Id, IdKey, IdKind, Record, Timestamp};

/// Payments of others while the hub is silent, and on the day it wakes; every tenth of that day is the hub's.
const QUIET: u64 = 300_000;
const WAKING: u64 = 50_000;

fn main() {
    let rows = argument("--rows").unwrap_or(1_000_000);
    println!("machine: {}, {} processors", cpu(), std::thread::available_parallelism().map_or(1, usize::from));
    let aggregates = aggregates(true, true, true);
    let mut engine = Engine::new(options(rows + QUIET + WAKING, &aggregates), &mut |_| {}).expect("the options are sound");
    let column = |name: &str| engine.layout().schema.position(name).unwrap_or_else(|| panic!("no column {name}"));
    let (month, day) = (column("merchant.count_30d"), column("merchant.count_1d"));
    let hub = IdKey::FILES.id(IdKind::Merchant, b"hub");
    let mut traffic = Traffic::new(rows + QUIET + WAKING);
    let (mut out, mut times) = (Vec::new(), Vec::<Timestamp>::new());
    let mut step = |engine: &mut Engine, record: &Record| {
        out.clear();
        let began = cpu_time();
        let mut gathered = Wall::ZERO;
        engine.step(
            std::slice::from_ref(record),
            &mut |phase: Phase| {
                if phase != Phase::Gather {
                    gathered = gathered.max(cpu_time() - began);
                }
            },
            &mut out,
        );
        gathered
    };
    for number in 0..rows {
        let record = at(traffic.next_payment(), Duration(Duration::DAY.times(10).0 / rows as i64 * number as i64), Some(hub));
        times.push(record.received);
        step(&mut engine, &record);
    }
    for number in 0..QUIET {
        let since = Duration(Duration::DAY.times(10).0 + Duration::DAY.times(30).0 / QUIET as i64 * number as i64);
        step(&mut engine, &at(traffic.next_payment(), since, None));
    }
    let (mut of_hub, mut of_others) = (Vec::new(), Vec::new());
    for number in 0..WAKING {
        let since = Duration(Duration::DAY.times(40).0 + Duration::DAY.0 / WAKING as i64 * number as i64);
        let wakes = number % 10 == 0;
        let record = at(traffic.next_payment(), since, wakes.then_some(hub));
        let spent = step(&mut engine, &record);
        if !wakes {
            of_others.push(spent);
            continue;
        }
        of_hub.push(spent);
        let (_, row) = engine.judged_rows().next().expect("a payment is judged");
        for (column, window) in [(month, Duration::DAY.times(30)), (day, Duration::DAY)] {
            let exact = times.len() - times.partition_point(|time| *time <= record.received - window);
            assert_eq!(row[column] as i64, exact as i64, "payment {number} of the waking day");
        }
        times.push(record.received);
    }
    println!("a hub of {rows} rows wakes after 30 days; µs of CPU to admit, gather and append one payment at a time\n");
    println!("{:<24} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9", "max");
    for (name, mut spent) in [("the hub's payments", of_hub), ("others' that day", of_others)] {
        spent.sort_unstable();
        let at = |share: f64| spent[((spent.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        println!("{name:<24} {:>8.1} {:>8.1} {:>8.1} {:>8.1}", at(0.5), at(0.99), at(0.999), at(1.0));
    }
    println!("\nthe hub's counts over 1 and 30 days are those of its payments' times, at each of them");
}

/// The payment at this time and, where one is given, at this merchant.
fn at(mut record: Record, since: Duration, merchant: Option<Id>) -> Record {
    let time = Timestamp(0) + since;
    record.received = time;
    if let Content::Event(event) = &mut record.content {
        event.time = time;
        if let (Body::Payment(payment), Some(merchant)) = (&mut event.body, merchant) {
            payment.merchant = merchant;
        }
    }
    record
}
