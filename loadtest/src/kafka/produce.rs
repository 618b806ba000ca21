//! `kafka produce`, and the half of `kafka measure` that sends: every event at its own time, whatever became of the others.

use super::clients::{OPENING, check_brokers, producer};
use super::options::{ProduceArguments, TrafficArguments};
use super::tell;
use super::traffic::{Head, Traffic};
use crate::clock::Clock;
use crate::machine::Machine;
use crate::measure::{Quantiles, histogram};
use crate::report::{grouped, text::row};
use crate::run::{command_line, prefix, stop_on_interrupt};
use crate::schedule::{Arrivals, Schedule, Step};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Between the producer's first connection and the first event.
const LEAD: Duration = Duration::from_millis(20);
/// A shorter sleep is not worth a system call: what is due meanwhile goes out together, late by so little.
const SLEEP_MIN: Duration = Duration::from_micros(200);
/// The longest sleep: so soon a stop is seen.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// While the producer's queue is full.
const FULL_SLEEP: Duration = Duration::from_millis(1);

/// What to send, and when.
pub struct Load {
    pub prefix: String,
    pub schedule: Arc<Schedule>,
    pub traffic: Traffic,
    /// The first slot that is measured.
    pub measured_from: u64,
}

impl Load {
    /// The load that `arguments` describe.
    ///
    /// # Errors
    /// Where they contradict each other.
    pub fn new(arguments: &TrafficArguments) -> Result<Load, String> {
        check_brokers(&arguments.broker)?;
        let prefix = prefix(arguments.prefix.as_deref())?;
        let duration = Duration::from_secs_f64(arguments.events as f64 / arguments.rate);
        let schedule = Schedule::new(arguments.warmup, &[Step { rate: arguments.rate, duration }], Arrivals::Even, arguments.seed);
        let traffic = Traffic::new(arguments, &prefix, &schedule)?;
        let measured_from = schedule.segments().iter().find(|segment| !segment.warmup).map_or(0, |segment| segment.first);
        Ok(Load { prefix, schedule: Arc::new(schedule), traffic, measured_from })
    }
}

/// Counted along.
#[derive(Default)]
pub struct Progress {
    pub sent: AtomicU64,
    pub delivered: AtomicU64,
    /// Payments and transfers among them.
    pub delivered_money: AtomicU64,
    pub failed: AtomicU64,
    /// Payments and transfers of which a decision was seen.
    pub visible: AtomicU64,
}

/// Where a payment or transfer came to stand.
struct Receipt {
    slot: u64,
    partition: i32,
    offset: i64,
}

/// What became of the records.
struct Told {
    /// Of the measured part.
    delivered: u64,
    delivered_money: u64,
    failed: u64,
    errors: BTreeMap<String, u64>,
    /// From due to acknowledged, in nanoseconds.
    acknowledged: Histogram<u64>,
    /// When the last of them was acknowledged, on the clock.
    last_ns: u64,
    receipts: Vec<Receipt>,
}

/// Hears what became of the records.
pub struct Deliveries {
    clock: Clock,
    schedule: Arc<Schedule>,
    measured_from: u64,
    start_ns: OnceLock<u64>,
    keep_receipts: bool,
    progress: Arc<Progress>,
    told: Mutex<Told>,
}

/// The word that travels with a record: its slot, and whether it is a payment or transfer.
fn opaque(slot: u64, is_money: bool) -> usize {
    (slot as usize) << 1 | usize::from(is_money)
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let (slot, is_money) = ((opaque >> 1) as u64, opaque & 1 == 1);
        let now_ns = self.clock.now_ns();
        let mut told = self.told.lock().expect("nobody panics with it");
        match result {
            Ok(message) => {
                self.progress.delivered.fetch_add(1, Ordering::Relaxed);
                self.progress.delivered_money.fetch_add(u64::from(is_money), Ordering::Relaxed);
                if self.keep_receipts && is_money {
                    told.receipts.push(Receipt { slot, partition: message.partition(), offset: message.offset() });
                }
                if slot >= self.measured_from {
                    let due_ns = self.start_ns.get().map_or(now_ns, |start_ns| start_ns + self.schedule.even_ns(slot));
                    told.delivered += 1;
                    told.delivered_money += u64::from(is_money);
                    told.acknowledged.saturating_record(now_ns.saturating_sub(due_ns));
                    told.last_ns = now_ns;
                }
            }
            Err((error, _)) => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                told.failed += 1;
                *told.errors.entry(error.to_string()).or_default() += 1;
            }
        }
    }
}

/// A producer that is connected.
pub struct Production {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    pub clock: Clock,
    pub progress: Arc<Progress>,
}

/// How the sending went.
pub struct Paced {
    /// How many slots were reached; fewer than the schedule has where the run was stopped.
    slots: u64,
    /// Nanoseconds between due and handed to the producer, of the measured part.
    lateness: Histogram<u64>,
}

impl Production {
    /// Connects, and looks whether there is a topic to send to.
    ///
    /// # Errors
    /// Where no broker answers, or there is no such topic.
    pub fn open(arguments: &TrafficArguments, load: &Load) -> Result<Production, String> {
        let clock = Clock::new();
        let progress = Arc::new(Progress::default());
        let told = Told {
            delivered: 0,
            delivered_money: 0,
            failed: 0,
            errors: BTreeMap::new(),
            acknowledged: histogram(),
            last_ns: 0,
            receipts: Vec::new(),
        };
        let deliveries = Deliveries {
            clock,
            schedule: Arc::clone(&load.schedule),
            measured_from: load.measured_from,
            start_ns: OnceLock::new(),
            keep_receipts: arguments.ids.is_some(),
            progress: Arc::clone(&progress),
            told: Mutex::new(told),
        };
        let producer = producer(&arguments.broker, arguments.delivery_timeout, deliveries)?;
        let topic = arguments.topic.clone();
        let place = || format!("{topic} at {}", arguments.broker.brokers);
        let metadata = producer.client().fetch_metadata(Some(&topic), OPENING).map_err(|error| format!("{}: {error}", place()))?;
        if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
            return Err(format!("{}: there is no such topic", place()));
        }
        Ok(Production { producer, topic, clock, progress })
    }

    /// Fixes when the load begins: on the clock and by the wall.
    pub fn start(&self, load: &mut Load) -> u64 {
        let start_ns = self.clock.now_ns() + LEAD.as_nanos() as u64;
        let started = Timestamp::now() + LEAD;
        load.traffic.start(&load.schedule, started);
        self.producer.context().start_ns.set(start_ns).expect("a load begins once");
        start_ns
    }

    /// Sends everything when it is due and waits until it is acknowledged or given up.
    ///
    /// # Errors
    /// Where a record is refused at once, which no waiting mends.
    pub fn send(&self, load: &Load, stop: &AtomicBool) -> Result<Paced, String> {
        let start_ns = *self.producer.context().start_ns.get().expect("begun before");
        // As in `crate::pace`: without it a sleep is too long by up to 50 µs, and lateness shows it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1000));
        let mut paced = Paced { slots: 0, lateness: histogram() };
        let mut body = Vec::with_capacity(512);
        for slot in 0..load.schedule.slots() {
            body.clear();
            load.traffic.body(slot, &mut body);
            let head: Head<'_> = serde_json::from_slice(&body).expect("our own events are events");
            let at_ns = start_ns + load.schedule.even_ns(slot);
            if !self.wait_until(at_ns, stop) {
                break;
            }
            self.hand_over(slot, load, &head, &body, stop)?;
            if slot >= load.measured_from {
                paced.lateness.saturating_record(self.clock.now_ns().saturating_sub(at_ns));
            }
            paced.slots = slot + 1;
            self.progress.sent.store(paced.slots, Ordering::Relaxed);
        }
        while self.producer.in_flight_count() > 0 {
            // Ends: every record is acknowledged or given up after its own time.
            let _ = self.producer.flush(Duration::from_millis(100));
        }
        Ok(paced)
    }

    fn hand_over(&self, slot: u64, load: &Load, head: &Head<'_>, body: &[u8], stop: &AtomicBool) -> Result<(), String> {
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "content-type", value: Some("application/json") });
        let mut record = BaseRecord::with_opaque_to(&self.topic, opaque(slot, head.is_money()))
            .payload(body)
            .timestamp(load.traffic.due(slot).as_millisecond())
            .headers(headers);
        record.key = head.key();
        // What waits here is late, and its delay says so; a stop gives it up with what comes after it.
        while let Err((error, back)) = self.producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) if !stop.load(Ordering::Relaxed) => thread::sleep(FULL_SLEEP),
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => return Ok(()),
                error => return Err(format!("{}: {error}", self.topic)),
            }
            record = back;
        }
        Ok(())
    }

    /// Whether `at_ns` has come; false where `stop` was set before.
    fn wait_until(&self, at_ns: u64, stop: &AtomicBool) -> bool {
        loop {
            let left = Duration::from_nanos(at_ns.saturating_sub(self.clock.now_ns()));
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.clamp(SLEEP_MIN, SLEEP_MAX));
        }
    }

    /// Sends `load`, as [`Production::send`], and shows meanwhile how that stands.
    pub fn send_shown(&self, load: &Load, stop: &AtomicBool, bar: &ProgressBar, start_ns: u64) -> Result<Paced, String> {
        thread::scope(|scope| {
            let sending = scope.spawn(|| self.send(load, stop));
            while !sending.is_finished() {
                thread::sleep(Duration::from_millis(100));
                show(bar, self, start_ns);
            }
            sending.join().map_err(|_| "the sending thread has panicked".to_owned())?
        })
    }

    /// What the sending came to.
    pub fn report(&self, load: &Load, paced: &Paced, start_ns: u64) -> Sent {
        let told = self.producer.context().told.lock().expect("nobody panics with it");
        let begin_ns = start_ns + load.schedule.measured_from_ns();
        let seconds = told.last_ns.saturating_sub(begin_ns) as f64 / 1e9;
        Sent {
            events: paced.slots.saturating_sub(load.measured_from),
            warmup_events: load.measured_from.min(paced.slots),
            stopped_early: paced.slots < load.schedule.slots(),
            delivered: told.delivered,
            delivered_money: told.delivered_money,
            failed: told.failed,
            errors: told.errors.clone(),
            seconds,
            rate_delivered: if seconds > 0.0 { told.delivered as f64 / seconds } else { 0.0 },
            acknowledged: Quantiles::of(&told.acknowledged, told.failed),
            pacing: Quantiles::of(&paced.lateness, 0),
        }
    }

    /// Writes one line for each payment and transfer that was acknowledged.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_ids(&self, path: &Path, load: &Load) -> Result<(), String> {
        let mut told = self.producer.context().told.lock().expect("nobody panics with it");
        told.receipts.sort_unstable_by_key(|receipt| receipt.slot);
        let at = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(at)?);
        let mut body = Vec::new();
        for receipt in &told.receipts {
            body.clear();
            load.traffic.body(receipt.slot, &mut body);
            let head: Head<'_> = serde_json::from_slice(&body).expect("our own events are events");
            let line = IdLine {
                id: &head.id,
                kind: &head.kind,
                key: head.key().unwrap_or_default(),
                partition: receipt.partition,
                offset: receipt.offset,
            };
            serde_json::to_writer(&mut out, &line).map_err(|error| at(error.into()))?;
            out.write_all(b"\n").map_err(at)?;
        }
        out.flush().map_err(at)
    }
}

#[derive(Serialize)]
struct IdLine<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    key: &'a str,
    partition: i32,
    offset: i64,
}

/// What was sent, and what the brokers said of it. All but the warm-up and what failed is of the measured part.
#[derive(Serialize)]
pub struct Sent {
    pub events: u64,
    pub warmup_events: u64,
    pub stopped_early: bool,
    pub delivered: u64,
    /// Payments and transfers among them.
    pub delivered_money: u64,
    pub failed: u64,
    pub errors: BTreeMap<String, u64>,
    /// From the begin to the last acknowledgement.
    pub seconds: f64,
    pub rate_delivered: f64,
    /// From due to acknowledged.
    pub acknowledged: Option<Quantiles>,
    /// How late the generator itself was; part of every delay.
    pub pacing: Option<Quantiles>,
}

impl Sent {
    /// The lines that say what was sent.
    pub fn write(&self, rate: f64, out: &mut String) -> std::fmt::Result {
        let stopped = if self.stopped_early { ", stopped early" } else { "" };
        writeln!(
            out,
            "{} events due at {rate:.0}/s{stopped}: {} acknowledged ({} payments and transfers), {:.0}/s over {:.1} s; {} failed",
            grouped(self.events),
            grouped(self.delivered),
            grouped(self.delivered_money),
            self.rate_delivered,
            self.seconds,
            grouped(self.failed)
        )?;
        for (error, count) in &self.errors {
            writeln!(out, "  {} of them: {error}", grouped(*count))?;
        }
        writeln!(out, "\n{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p90", "p99", "p99.9", "max")?;
        row(out, "generator late by", self.pacing.as_ref())?;
        row(out, "acknowledged (from due)", self.acknowledged.as_ref())
    }
}

/// What a report says of the run.
#[derive(Serialize)]
pub struct Run<'a> {
    version: &'static str,
    command: String,
    machine: Machine,
    topic: &'a str,
    pub rate: f64,
    seed: u64,
    prefix: &'a str,
}

impl Run<'_> {
    /// Of this process, which sends `load`.
    pub fn of<'a>(traffic: &'a TrafficArguments, load: &'a Load, machine: Machine) -> Run<'a> {
        let (version, command) = (env!("CARGO_PKG_VERSION"), command_line(std::env::args()));
        Run { version, command, machine, topic: &traffic.topic, rate: traffic.rate, seed: traffic.seed, prefix: &load.prefix }
    }

    /// The last line.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\non {}; ids begin with {}", self.machine.line(), self.prefix)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: Run<'a>,
    #[serde(flatten)]
    sent: Sent,
}

/// Sends and tells.
///
/// # Errors
/// What kept it from being done.
pub fn run(arguments: &ProduceArguments) -> Result<ExitCode, String> {
    let arguments = &arguments.traffic;
    let machine = Machine::here();
    let mut load = Load::new(arguments)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(&stop)?;
    let production = Production::open(arguments, &load)?;
    let start_ns = production.start(&mut load);
    let bar = bar(&load);
    let paced = production.send_shown(&load, &stop, &bar, start_ns)?;
    bar.finish_and_clear();
    if let Some(path) = &arguments.ids {
        production.write_ids(path, &load)?;
    }
    let report = Report { run: Run::of(arguments, &load, machine), sent: production.report(&load, &paced, start_ns) };
    tell(&report, arguments.json, |report| {
        let mut text = String::new();
        let written = report.sent.write(report.run.rate, &mut text).and_then(|()| report.run.write(&mut text));
        written.expect("a text takes every character");
        text
    })?;
    let all = production.progress.delivered.load(Ordering::Relaxed) == report.sent.events + report.sent.warmup_events;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A bar over the time of `load`.
pub fn bar(load: &Load) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {prefix:>9} {msg}").expect("the template is one");
    ProgressBar::new(load.schedule.length_ns() / 1_000_000).with_style(style)
}

/// Shows where the run stands.
pub fn show(bar: &ProgressBar, production: &Production, start_ns: u64) {
    let since_ns = production.clock.now_ns().saturating_sub(start_ns);
    let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let progress = &production.progress;
    let (sent, delivered, failed) = (read(&progress.sent), read(&progress.delivered), read(&progress.failed));
    bar.set_position(since_ns / 1_000_000);
    bar.set_prefix(format!("{:.0} s", since_ns as f64 / 1e9));
    bar.set_message(format!(
        "sent {sent}, unacknowledged {}, failed {failed}, decisions {} of {}",
        sent.saturating_sub(delivered + failed),
        read(&progress.visible),
        read(&progress.delivered_money)
    ));
}
