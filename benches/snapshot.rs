//! What a snapshot costs the engine's thread, on the graph of the bench `step`: the time of single steps before and while it is taken, the
//! longest pump, how much is copied before a write, and how long restoring takes with the file in the page cache. The disk's own figures
//! stand beside them.
//!
//! `cargo bench --bench snapshot` (about 7 GiB and some minutes); `-- --payments 1000000` for a smaller graph, `--rate 5000` for the payments
//! a second, `--budget 262144` for the bytes of a pump, `--dir PATH` for another disk.
//!
//! Payments come at a fixed rate, one a step, each followed by a pump. A payment's time runs from when it was due, so what a snapshot makes
//! others wait is in it; since the machine may be shared, the CPU time of single steps and pumps stands beside it.

mod traffic;

use hdrhistogram::Histogram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use traffic::{Traffic, aggregates, argument, cpu, cpu_time, options};
use weir::engine::{Engine, Output};
use weir::event::{Sequence, Timestamp};
use weir::journal::{Disk, Files};
use weir::snapshot::{Taker, TakerOptions, Taking, restore, verify};

fn main() {
    let payments = argument("--payments").unwrap_or(10_000_000);
    let rate = argument("--rate").unwrap_or(5_000);
    let budget = argument("--budget").unwrap_or(256 << 10) as usize;
    println!("machine: {}, {} processors", cpu(), std::thread::available_parallelism().map_or(1, usize::from));
    println!("{payments} payments in the graph, {rate} payments/s, {} KiB a pump", budget >> 10);
    let dir = tempfile::tempdir_in(path().unwrap_or_else(std::env::temp_dir)).expect("a directory can be made");
    let files: Arc<dyn Files> = Arc::new(Disk);
    disk(&*files, dir.path());

    let aggregates = aggregates(true, true, true);
    let mut engine = Engine::new(options(payments, &aggregates), &mut |_| {}).expect("the options are sound");
    let mut traffic = Traffic::new(payments + payments / 10);
    let (mut records, mut out) = (Vec::new(), Vec::new());
    while traffic.sequence < payments {
        records.clear();
        records.extend((0..4096).map(|_| traffic.next_payment()));
        for piece in records.chunks(256) {
            out.clear();
            engine.step(piece, &mut |_| {}, &mut out);
        }
    }
    let snapshots = dir.path().join("snapshots");
    let mut taker = Taker::start(files.clone(), &snapshots, TakerOptions::default()).expect("the directory can be written");
    println!("{:<34} {:>8} {:>8} {:>8} {:>8} {:>9}", "µs", "p50", "p99", "p99.9", "max", "payments");
    let mut run = Run { engine: &mut engine, traffic: &mut traffic, rate, out: &mut out };
    run.go("no snapshot", Wall::from_secs(10), &mut |_, _| true);
    let sequence = Sequence(run.traffic.sequence);
    let begun = Instant::now();
    taker.begin(run.engine, sequence, Timestamp(0)).expect("none is being taken");
    let began_us = begun.elapsed().as_secs_f64() * 1e6;
    let mut pumps = histogram();
    let mut imaged = None;
    let mut end = None;
    run.go("while one is taken", Wall::from_secs(600), &mut |engine, _| {
        let before = cpu_time();
        let taking = taker.pump(engine, budget, sequence);
        pumps.saturating_record((cpu_time() - before).as_nanos() as u64);
        match taking {
            Taking::Going { .. } => true,
            Taking::Settling => {
                imaged.get_or_insert_with(|| begun.elapsed());
                true
            }
            other => {
                end = Some(other);
                false
            }
        }
    });
    let whole = begun.elapsed();
    print_line("CPU of single pumps", &pumps);
    run.go("no snapshot, again", Wall::from_secs(5), &mut |_, _| true);
    let Some(Taking::Taken(taken)) = end else {
        println!("no snapshot was taken, after {:.1} s: {end:?}", whole.as_secs_f64());
        return;
    };
    println!(
        "\nbegun in {began_us:.0} µs; saved after {:.1} s, on disk after {:.1} s: {} MiB, of it {} MiB copied before a write, {} MiB of zeros left out",
        imaged.unwrap_or(whole).as_secs_f64(),
        whole.as_secs_f64(),
        taken.bytes >> 20,
        taken.totals.copied >> 20,
        taken.totals.zeros >> 20
    );
    drop((engine, taker));

    let started = Instant::now();
    let mut fresh = Engine::new(options(payments, &aggregates), &mut |_| {}).expect("the options are sound");
    let started = started.elapsed();
    let checked = Instant::now();
    verify(&*files, &taken.path, Some(&fresh.shape())).expect("it was just written");
    let checked = checked.elapsed();
    let restored = Instant::now();
    restore(&*files, &mut fresh, &taken.path).expect("it was just written");
    let restored = restored.elapsed();
    println!(
        "restart: {:.2} s to take and touch the memory, {:.2} s to read all checksums, {:.2} s to restore {} rows and {} nodes",
        started.as_secs_f64(),
        checked.as_secs_f64(),
        restored.as_secs_f64(),
        fresh.graph().rings.iter().map(|ring| ring.len()).sum::<u64>(),
        fresh.graph().nodes.len()
    );
}

fn path() -> Option<PathBuf> {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == "--dir")?;
    arguments.get(place + 1).map(PathBuf::from)
}

/// What the disk gives by itself.
fn disk(files: &dyn Files, dir: &std::path::Path) {
    let path = dir.join("own");
    let mut file = files.create(&path).expect("the directory can be written");
    let mut syncs = histogram();
    for _ in 0..200 {
        file.write(&[7; 4096]).expect("the disk has room");
        let began = Instant::now();
        file.sync().expect("the disk works");
        syncs.saturating_record(began.elapsed().as_nanos() as u64);
    }
    let block = vec![7; 1 << 20];
    let began = Instant::now();
    for _ in 0..256 {
        file.write(&block).expect("the disk has room");
    }
    file.sync().expect("the disk works");
    let (p50, p99) = (syncs.value_at_quantile(0.5) / 1000, syncs.value_at_quantile(0.99) / 1000);
    println!(
        "disk: fdatasync of 4 KiB p50 {p50} µs, p99 {p99} µs; 256 MiB and fdatasync at {:.0} MiB/s",
        256.0 / began.elapsed().as_secs_f64()
    );
    files.remove(&path).expect("it was just made");
}

struct Run<'r> {
    engine: &'r mut Engine,
    traffic: &'r mut Traffic,
    rate: u64,
    out: &'r mut Vec<Output>,
}

impl Run<'_> {
    /// Payments at the rate until the time is over or `between` says stop.
    fn go(&mut self, name: &str, most: Wall, between: &mut dyn FnMut(&mut Engine, u64) -> bool) {
        let (mut times, mut steps) = (histogram(), histogram());
        let began = Instant::now();
        let gap = Wall::from_nanos(1_000_000_000 / self.rate);
        let mut due = began;
        let mut count = 0;
        loop {
            // What there is to do besides goes on while nothing is due.
            let record = self.traffic.next_payment();
            if !between(self.engine, count) || began.elapsed() > most {
                break;
            }
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            self.out.clear();
            let before = cpu_time();
            self.engine.step(std::slice::from_ref(&record), &mut |_| {}, self.out);
            steps.saturating_record((cpu_time() - before).as_nanos() as u64);
            times.saturating_record((Instant::now() - due).as_nanos() as u64);
            due += gap;
            count += 1;
        }
        print_line(name, &times);
        print_line("  CPU of single steps", &steps);
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds that a histogram takes")
}

fn print_line(name: &str, times: &Histogram<u64>) {
    let us = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    let max = times.max() as f64 / 1000.0;
    println!("{name:<34} {:>8.1} {:>8.1} {:>8.1} {max:>8.1} {:>9}", us(0.5), us(0.99), us(0.999), times.len());
}
