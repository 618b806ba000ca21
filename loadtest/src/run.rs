//! A run from its arguments to its report.

use crate::answers::{self, Known, Writing};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::machine::Machine;
use crate::measure::{Quantiles, Scale, measure};
use crate::options::{RunArguments, ServerArguments};
use crate::pace::{Paced, Pacing, pace};
use crate::pool::{self, Limits, Opening};
use crate::reconcile::{Reconciliation, reconcile, repeats};
use crate::record::Record;
use crate::report::{self, Report};
use crate::request::{Authorization, Target};
use crate::schedule::{Arrivals, Schedule, Step};
use crate::source::{PREFIX_BYTES_MAX, Plan, Population, Source};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Between the last connection and the first request.
const LEAD: Duration = Duration::from_millis(20);
/// How far back a repetition reaches, at the first step's rate.
const REACH_S: f64 = 5.0;

/// The server and the pool's limits that `arguments` name.
pub fn server(arguments: &ServerArguments) -> Result<(Target, Limits), String> {
    let target = Target::new(&arguments.url, arguments.key.as_deref(), arguments.ca.as_deref(), arguments.i_own_this_host)?;
    let timeout = Duration::from_millis(arguments.timeout_ms);
    Ok((target, Limits { connections: usize::from(arguments.connections), timeout }))
}

/// Sends, measures, compares, reports.
///
/// # Errors
/// What kept the run from being done.
pub fn run(arguments: &RunArguments) -> Result<ExitCode, String> {
    let (target, limits) = server(&arguments.server)?;
    let prefix = prefix(arguments.prefix.as_deref())?;
    let (schedule, source) = plan_load(arguments, &prefix)?;
    let first = schedule.segments().first().map_or(1.0, |segment| segment.rate);
    let plan = Plan {
        seed: arguments.seed,
        retry_share: arguments.retry_share,
        conflict_share: arguments.conflict_share,
        reach: (first * REACH_S).ceil() as u64,
    };
    if plan.retry_share + plan.conflict_share >= 1.0 {
        return Err("--retry-share and --conflict-share are together 1 or more, expected room for events of their own".to_owned());
    }
    let machine = Machine::here();
    let load = Load { arguments, target: &target, limits, plan: &plan };
    let sent = load.send(schedule, source)?;

    let from = sent.schedule.segments().iter().find(|segment| !segment.warmup).map_or(0, |segment| segment.first);
    if let Some(path) = &arguments.answers {
        let writing = Writing {
            source: &sent.source,
            start_ns: sent.start_ns,
            started: sent.started,
            measured_from: from,
            keep_requests: arguments.keep_requests,
        };
        answers::write(path, &sent.records, &writing)?;
    }
    let reconciliation = match arguments.reconcile {
        true => Some(reconcile_run(arguments, &target, limits, &sent)?),
        false => None,
    };
    let scale = Scale { start_ns: sent.start_ns, deadline_ms: arguments.deadline_ms, normal_p99_ms: arguments.normal_p99_ms };
    let figures = measure(&sent.schedule, &sent.records, scale);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        date: sent.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        command: command_line(std::env::args()),
        note: arguments.note.clone(),
        machine,
        url: arguments.server.url.clone(),
        deadline_ms: arguments.deadline_ms,
        connections: arguments.server.connections,
        seed: arguments.seed,
        prefix,
        arrivals: match arguments.arrivals {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        },
        stopped_early: sent.stopped_early,
        warmup_requests: from,
        connections_opened: sent.connections_opened,
        connections_failed: sent.connections_failed,
        pacing: Quantiles::of(&sent.paced.lateness, 0),
        repeats: repeats(&sent.records),
        limits: report::limits(arguments, &figures, &repeats(&sent.records), reconciliation.as_ref()),
        reconciliation,
        figures,
    };
    if let Some(path) = &arguments.html {
        std::fs::write(path, report::html::page(&report)).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    let text = if arguments.json { report.json() + "\n" } else { report::text::text(&report) };
    crate::say(&text)?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The prefix of all ids, made from the time where none is given.
pub fn prefix(given: Option<&str>) -> Result<String, String> {
    let Some(given) = given else { return Ok(format!("lt{:x}", Timestamp::now().as_millisecond())) };
    let is_plain = given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if given.is_empty() || given.len() > PREFIX_BYTES_MAX || !is_plain {
        return Err(format!("--prefix is {given:?}, expected 1 to {PREFIX_BYTES_MAX} letters, digits, and - _ ."));
    }
    Ok(given.to_owned())
}

/// When to send and what, within the bounds that were set.
fn plan_load(arguments: &RunArguments, prefix: &str) -> Result<(Schedule, Source), String> {
    let read = match &arguments.events {
        Some(path) => {
            let (source, others) = Source::read(path, arguments.requests_max, arguments.restamp, prefix)?;
            if source.len() == Some(0) {
                return Err(format!("{}: found no payment or transfer among {others} events", path.display()));
            }
            Some((path, source))
        }
        None => None,
    };
    let rate = arguments.rate;
    let events = read.as_ref().and_then(|(_, source)| source.len());
    let steps = match (&arguments.steps[..], arguments.duration, events) {
        ([], Some(duration), _) => vec![Step { rate, duration }],
        ([], None, None) => vec![Step { rate, duration: Duration::from_secs(10) }],
        // Nothing said: the whole file, less what the warm-up takes of it.
        ([], None, Some(events)) => {
            let left = events as f64 / rate - arguments.warmup.as_secs_f64();
            if left <= 0.0 {
                return Err(format!("--events has {events} payments and transfers, --warmup alone takes more"));
            }
            vec![Step { rate, duration: Duration::from_secs_f64(left) }]
        }
        (steps, _, _) => steps.to_vec(),
    };
    let schedule = Schedule::new(arguments.warmup, &steps, arguments.arrivals, arguments.seed);
    let length = Duration::from_nanos(schedule.length_ns());
    if length > arguments.duration_max {
        return Err(format!("the run takes {length:?}, expected at most {:?} (--duration-max)", arguments.duration_max));
    }
    if schedule.slots() > arguments.requests_max {
        return Err(format!("the run has {} requests, expected at most {} (--requests-max)", schedule.slots(), arguments.requests_max));
    }
    if schedule.slots() == 0 {
        return Err("the run has no requests: its rate and duration are too small".to_owned());
    }
    let source = match read {
        Some((path, source)) => {
            let events = source.len().unwrap_or(0);
            if events < schedule.slots() {
                return Err(format!(
                    "{}: found {events} payments and transfers, expected {} for this run",
                    path.display(),
                    schedule.slots()
                ));
            }
            source
        }
        None => {
            let population =
                Population { users: arguments.users, merchants: arguments.merchants, transfer_share: arguments.transfer_share };
            Source::made(population, arguments.seed, prefix, &schedule)
        }
    };
    Ok((schedule, source))
}

struct Load<'a> {
    arguments: &'a RunArguments,
    target: &'a Target,
    limits: Limits,
    plan: &'a Plan,
}

/// What was sent and what came back.
struct Sent {
    schedule: Schedule,
    source: Source,
    records: Vec<Record>,
    paced: Paced,
    start_ns: u64,
    started: Timestamp,
    stopped_early: bool,
    connections_opened: usize,
    connections_failed: usize,
}

/// Counted along for the eyes of whoever waits.
#[derive(Default)]
struct Progress {
    offered: AtomicU64,
    decided: AtomicU64,
    settled: AtomicU64,
    lost: AtomicU64,
}

impl Load<'_> {
    fn send(&self, mut schedule: Schedule, mut source: Source) -> Result<Sent, String> {
        let stop = Arc::new(AtomicBool::new(false));
        stop_on_interrupt(&stop)?;
        let clock = Clock::new();
        let authorization = Authorization::new(self.target, self.arguments.deadline_ms);
        let (inbox, poll) = Inbox::new(self.arguments.queue as usize).map_err(|error| format!("poll: {error}"))?;
        let opening = Opening::default();
        let progress = Progress::default();
        let mut records = Vec::with_capacity(schedule.slots() as usize);
        let (paced, start_ns, started) = thread::scope(|scope| {
            let (inbox, opening, progress, records) = (&inbox, &opening, &progress, &mut records);
            let serving = scope.spawn(move || {
                pool::serve(self.target, self.limits, clock, inbox, poll, opening, &mut |settled| {
                    let record = Record::of(self.plan.kind(settled.ticket.slot), &settled);
                    progress.settled.fetch_add(1, Ordering::Relaxed);
                    progress.decided.fetch_add(u64::from(record.outcome.is_decision()), Ordering::Relaxed);
                    progress.lost.fetch_add(u64::from(record.outcome.is_lost()), Ordering::Relaxed);
                    records.push(record);
                })
            });
            if let Err(message) = self.wait_for_connections(opening, clock) {
                inbox.close();
                return Err(message);
            }
            let start_ns = clock.now_ns() + LEAD.as_nanos() as u64;
            let started = Timestamp::now() + LEAD;
            source.start(&schedule, started);
            let pacing = Pacing {
                schedule: &schedule,
                plan: self.plan,
                source: &source,
                authorization: &authorization,
                clock,
                start_ns,
                spin: Duration::from_micros(self.arguments.spin_us),
            };
            let stop = &*stop;
            let pacer = scope.spawn(move || pace(&pacing, inbox, stop, &progress.offered));
            let bar = bar(schedule.length_ns());
            while !serving.is_finished() {
                thread::sleep(Duration::from_millis(100));
                show(&bar, progress, clock.now_ns().saturating_sub(start_ns));
            }
            bar.finish_and_clear();
            // Nobody takes any more: where the connections' thread failed, the pacing thread must not go on for minutes.
            stop.store(!inbox.is_done(), Ordering::Relaxed);
            let paced = pacer.join().map_err(|_| "the pacing thread has panicked".to_owned())?;
            serving.join().map_err(|_| "the connections' thread has panicked".to_owned())?.map_err(|error| format!("poll: {error}"))?;
            Ok((paced, start_ns, started))
        })?;
        let stopped_early = paced.slots < schedule.slots();
        if stopped_early {
            let last_ns = records.iter().map(|record: &Record| record.due_ns).max().unwrap_or(start_ns);
            schedule.cut(paced.slots, last_ns.saturating_sub(start_ns) + 1);
        }
        records.extend(paced.overflowed.iter().map(|&(slot, due_ns)| Record::overflowed(self.plan.kind(slot), slot, due_ns)));
        records.sort_unstable_by_key(|record| record.slot);
        // Ours to keep: every request that was due has exactly one end.
        assert!(records.iter().map(|record| record.slot).eq(0..paced.slots), "a request was lost or doubled inside the generator");
        let opened = opening.opened.load(Ordering::Relaxed);
        let failed = opening.failed.load(Ordering::Relaxed);
        let (connections_opened, connections_failed) = (opened, failed);
        Ok(Sent { schedule, source, records, paced, start_ns, started, stopped_early, connections_opened, connections_failed })
    }

    /// Waits until all connections have been tried: handshakes are no part of the first second.
    fn wait_for_connections(&self, opening: &Opening, clock: Clock) -> Result<(), String> {
        let begin_ns = clock.now_ns();
        loop {
            let (opened, failed) = (opening.opened.load(Ordering::Relaxed), opening.failed.load(Ordering::Relaxed));
            let is_over = clock.now_ns() - begin_ns > self.limits.timeout.as_nanos() as u64;
            if opened >= self.limits.connections || (opened > 0 && (failed > 0 || is_over)) {
                return Ok(());
            }
            if is_over || failed >= self.limits.connections {
                return Err(format!("{}: cannot be connected to", self.arguments.server.url));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The first interrupt ends the schedule; a second one ends the process.
pub fn stop_on_interrupt(stop: &Arc<AtomicBool>) -> Result<(), String> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop)))
            .map_err(|error| format!("signal {signal}: {error}"))?;
    }
    Ok(())
}

fn bar(length_ns: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {prefix:>9} {msg}").expect("the template is one");
    ProgressBar::new(length_ns / 1_000_000).with_style(style)
}

fn show(bar: &ProgressBar, progress: &Progress, since_ns: u64) {
    let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (offered, settled) = (read(&progress.offered), read(&progress.settled));
    bar.set_position(since_ns / 1_000_000);
    bar.set_prefix(format!("{:.0} s", since_ns as f64 / 1e9));
    bar.set_message(format!(
        "offered {offered}, decisions {}, waiting {}, lost {}",
        read(&progress.decided),
        offered.saturating_sub(settled),
        read(&progress.lost)
    ));
}

/// A bar over `length` questions.
pub fn question_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} comparing {pos}/{len}").expect("the template is one");
    ProgressBar::new(length).with_style(style)
}

/// Keeps the draws for the sample apart from all others.
const SAMPLE: u64 = 0x7361_6d70;

fn reconcile_run(arguments: &RunArguments, target: &Target, limits: Limits, sent: &Sent) -> Result<Reconciliation, String> {
    // As in the answers file: the first answer to arrive is the one that must stay.
    let mut order: Vec<&Record> = sent.records.iter().filter(|record| !record.kind.is_conflict()).collect();
    order.sort_by_key(|record| record.done_ns);
    let mut places: HashMap<u64, usize> = HashMap::with_capacity(order.len());
    let mut known: Vec<Known> = Vec::with_capacity(order.len());
    let is_asked = |slot: u64| Chance::of(arguments.seed ^ SAMPLE, slot).share() < arguments.reconcile_share;
    for record in order {
        let target = record.kind.target();
        let is_decision = record.outcome.is_decision();
        if !is_asked(target) || !(is_decision || record.outcome.is_lost()) {
            continue;
        }
        let place = *places.entry(target).or_insert_with(|| {
            known.push(Known { id: sent.source.id(target), answer: None, request: None });
            known.len() - 1
        });
        if is_decision && known[place].answer.is_none() {
            known[place].answer = Some((record.sequence, record.sha256));
        }
    }
    let bar = question_bar(known.len() as u64);
    let found = reconcile(target, limits, &known, &|_| None, &|done| bar.inc(done));
    bar.finish_and_clear();
    found
}

/// The command line as it was given, without the key.
pub fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut is_key = false;
    for (number, argument) in arguments.enumerate() {
        let text = match &argument[..] {
            // The path of the program is nobody's business.
            _ if number == 0 => "weir-loadtest".to_owned(),
            _ if is_key => "***".to_owned(),
            text if text.starts_with("--key=") => "--key=***".to_owned(),
            text if text.contains(char::is_whitespace) => format!("'{text}'"),
            text => text.to_owned(),
        };
        is_key = argument == "--key" && !is_key;
        shown.push(text);
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_never_shown() {
        let shown = |text: &str| command_line(text.split(' ').map(str::to_owned));
        assert_eq!(shown("/x/weir-loadtest --key s3cret --rate 5"), "weir-loadtest --key *** --rate 5");
        assert_eq!(shown("x --key=s3cret --json"), "weir-loadtest --key=*** --json");
        assert_eq!(shown("x --key --key --rate 5"), "weir-loadtest --key *** --rate 5");
    }

    #[test]
    fn prefixes_leave_room_and_need_no_escapes() {
        assert!(prefix(None).is_ok_and(|prefix| prefix.starts_with("lt") && prefix.len() <= PREFIX_BYTES_MAX));
        for bad in ["", "a b", "a\"b", &"x".repeat(41)] {
            assert!(prefix(Some(bad)).is_err(), "{bad}");
        }
    }
}
