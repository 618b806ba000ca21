//! `kafka measure`: from when an event was due to when a reader of committed records has its decision.

use super::clients::{From, Topic};
use super::listen::{Seen, listen};
use super::options::MeasureArguments;
use super::produce::{Load, Production, Run, Sent, bar, show};
use super::tell;
use crate::machine::Machine;
use crate::measure::Quantiles;
use crate::report::{grouped, text::row};
use crate::run::stop_on_interrupt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    run: Run<'a>,
    decisions_topic: &'a str,
    sent: Sent,
    decisions: Decisions,
    /// Limits that do not hold, in words.
    broken: Vec<String>,
}

/// What was seen of decisions.
#[derive(Serialize)]
struct Decisions {
    /// Of the measured part: payments and transfers with a decision, and without.
    decided: u64,
    missing: u64,
    /// From the first event that is measured to the last decision.
    seconds: f64,
    /// Events a second that went through in that time: those in, of all kinds.
    rate_through: f64,
    rate_decided: f64,
    /// From due to visible.
    visible: Option<Quantiles>,
    records: u64,
    stand_ins: u64,
    further: u64,
    foreign: u64,
    malformed: u64,
    errors: BTreeMap<String, u64>,
}

/// Sends, reads, tells.
///
/// # Errors
/// What kept it from being done.
pub fn run(arguments: &MeasureArguments) -> Result<ExitCode, String> {
    let traffic = &arguments.traffic;
    let machine = Machine::here();
    let mut load = Load::new(traffic)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(&stop)?;
    let topic = Topic::find(&traffic.broker, &arguments.decisions, From::End)?;
    let production = Production::open(traffic, &load)?;
    let start_ns = production.start(&mut load);
    let bar = bar(&load);
    let done = AtomicBool::new(false);
    let (paced, seen) = thread::scope(|scope| {
        let progress = &*production.progress;
        let listening = scope.spawn(|| listen(&topic, &load, production.clock, start_ns, progress, &done));
        let paced = production.send_shown(&load, &stop, &bar, start_ns);
        let until = Instant::now() + arguments.drain;
        let is_open = || progress.visible.load(Ordering::Relaxed) < progress.delivered_money.load(Ordering::Relaxed);
        while is_open() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
            show(&bar, &production, start_ns);
        }
        done.store(true, Ordering::Relaxed);
        let seen = listening.join().map_err(|_| "the listening thread has panicked".to_owned())?;
        Ok::<_, String>((paced?, seen))
    })?;
    bar.finish_and_clear();
    if let Some(path) = &traffic.ids {
        production.write_ids(path, &load)?;
    }
    let sent = production.report(&load, &paced, start_ns);
    let decisions = decisions(seen, &sent, start_ns + load.schedule.measured_from_ns());
    let report = Report {
        run: Run::of(traffic, &load, machine),
        decisions_topic: &arguments.decisions,
        broken: broken(arguments, &sent, &decisions),
        sent,
        decisions,
    };
    tell(&report, traffic.json, words)?;
    Ok(if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn decisions(seen: Seen, sent: &Sent, begin_ns: u64) -> Decisions {
    let missing = sent.delivered_money.saturating_sub(seen.measured);
    let seconds = seen.last_ns.saturating_sub(begin_ns) as f64 / 1e9;
    let a_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    // Where decisions are missing, as many events of all kinds count as not through.
    let through = match sent.delivered_money {
        0 => 0,
        money => (u128::from(sent.delivered) * u128::from(seen.measured.min(money)) / u128::from(money)) as u64,
    };
    Decisions {
        decided: seen.measured,
        missing,
        seconds,
        rate_through: a_second(through),
        rate_decided: a_second(seen.measured),
        visible: Quantiles::of(&seen.visible, missing),
        records: seen.decisions,
        stand_ins: seen.stand_ins,
        further: seen.further,
        foreign: seen.foreign,
        malformed: seen.malformed,
        errors: seen.errors,
    }
}

fn broken(arguments: &MeasureArguments, sent: &Sent, decisions: &Decisions) -> Vec<String> {
    let mut broken = Vec::new();
    if sent.failed > 0 {
        broken.push(format!("{} events were not acknowledged", grouped(sent.failed)));
    }
    if decisions.missing > 0 {
        broken.push(format!("{} events have no decision", grouped(decisions.missing)));
    }
    if let Some(max) = arguments.fail_p99_ms {
        match decisions.visible.as_ref().and_then(|visible| visible.p99_or_never_ms) {
            Some(found) if found <= max => {}
            Some(found) => broken.push(format!("p99 from due to visible is {found:.1} ms, expected at most {max}")),
            None => broken.push(format!("p99 from due to visible is endless, expected at most {max} ms")),
        }
    }
    if let Some(min) = arguments.fail_rate_below.filter(|min| decisions.rate_through < *min) {
        broken.push(format!("{:.0} events/s went through, expected {min:.0}", decisions.rate_through));
    }
    broken
}

fn words(report: &Report<'_>) -> String {
    let mut text = String::new();
    write_words(report, &mut text).expect("a text takes every character");
    text
}

fn write_words(report: &Report<'_>, out: &mut String) -> std::fmt::Result {
    let decisions = &report.decisions;
    report.sent.write(report.run.rate, out)?;
    row(out, "visible (from due)", decisions.visible.as_ref())?;
    writeln!(
        out,
        "\n{} decisions visible, {} missing: {:.0} decisions/s of {:.0} events/s that went through in {:.1} s",
        grouped(decisions.decided),
        grouped(decisions.missing),
        decisions.rate_decided,
        decisions.rate_through,
        decisions.seconds
    )?;
    let others = [
        (decisions.stand_ins, "stand-ins"),
        (decisions.further, "further decisions about the same event"),
        (decisions.foreign, "decisions about events of others"),
        (decisions.malformed, "records that are no decision"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{} {what}", grouped(count))?;
    }
    for (error, count) in &decisions.errors {
        writeln!(out, "the consumer said {} times: {error}", grouped(*count))?;
    }
    for line in &report.broken {
        writeln!(out, "does not hold: {line}")?;
    }
    report.run.write(out)
}
