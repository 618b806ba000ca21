//! The report for a terminal.

use super::{Report, figure, grouped, milliseconds};
use crate::measure::Quantiles;
use crate::record::Outcome;
use std::fmt::Write;

/// The whole report, a screen of lines.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    write_all(report, &mut out).expect("a text takes every character");
    out
}

fn write_all(report: &Report, out: &mut String) -> std::fmt::Result {
    let figures = &report.figures;
    let counts = &figures.counts;
    writeln!(
        out,
        "{} requests in {:.1} s: {:.0}/s offered, {:.0}/s decided ({} connections, deadline {} ms, {} arrivals)",
        grouped(counts.offered),
        figures.seconds,
        figures.rate_offered,
        figures.rate_answered,
        report.connections,
        report.deadline_ms,
        report.arrivals
    )?;
    writeln!(out, "\n{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}", "", "p50", "p90", "p99", "p99.9", "max")?;
    row(out, "latency (from due)", figures.latency.as_ref())?;
    row(out, "service (from sent)", figures.service.as_ref())?;
    row(out, "inside the server", figures.server.as_ref())?;
    row(out, "generator late by", report.pacing.as_ref())?;
    writeln!(out)?;
    for outcome in Outcome::ALL.into_iter().filter(|outcome| counts.of(*outcome) > 0) {
        let count = counts.of(outcome);
        let share = count as f64 * 100.0 / counts.offered.max(1) as f64;
        writeln!(out, "{:<18}{:>12} {share:>8.3} %   {}", outcome.name(), grouped(count), outcome.meaning())?;
    }
    writeln!(out, "{:<18}{:>12}", "lost", grouped(counts.lost))?;
    writeln!(out, "{:<18}{:>12}", "not sent", grouped(counts.not_sent))?;
    writeln!(
        out,
        "{:<18}{:>12} {:>8.3} %   of the decisions, as the caller sees it",
        "after deadline",
        "",
        figures.after_deadline_share * 100.0
    )?;
    if figures.steps.len() > 1 {
        writeln!(
            out,
            "\n{:>10}{:>8}{:>12}{:>10}{:>10}{:>10}{:>10}{:>8}  normal",
            "step", "for", "decisions", "p50", "p99", "max", "stand-ins", "lost"
        )?;
        for step in &figures.steps {
            let time = |pick: fn(&Quantiles) -> f64| step.latency.as_ref().map_or("–".to_owned(), |latency| milliseconds(pick(latency)));
            let normal = match step.normal_after_s {
                Some(0) => "throughout".to_owned(),
                Some(seconds) => format!("after {seconds} s"),
                None => "never".to_owned(),
            };
            writeln!(
                out,
                "{:>8}/s{:>6.0} s{:>12}{:>10}{:>10}{:>10}{:>10}{:>8}  {normal}",
                step.rate,
                step.duration_s,
                grouped(step.counts.decisions()),
                time(|latency| latency.p50_ms),
                time(|latency| latency.p99_ms),
                time(|latency| latency.max_ms),
                grouped(step.counts.fallback),
                grouped(step.counts.lost),
            )?;
        }
    }
    let repeats = &report.repeats;
    if repeats.retries + repeats.conflicts > 0 {
        writeln!(
            out,
            "\nretries: {} sent, {} the same bytes, {} different, {} doubled, {} undecided; conflicts: {} sent, {} refused, {} accepted",
            grouped(repeats.retries),
            grouped(repeats.same),
            grouped(repeats.different),
            grouped(repeats.doubled),
            grouped(repeats.undecided),
            grouped(repeats.conflicts),
            grouped(repeats.conflicts_refused),
            grouped(repeats.conflicts_accepted)
        )?;
    }
    if let Some(asked) = &report.reconciliation {
        writeln!(
            out,
            "\nafterwards: {} acknowledged answers asked for, {} the same, {} lost, {} doubled, {} different, {} not to be learnt; {} of {} unanswered ids decided",
            grouped(asked.asked),
            grouped(asked.same),
            grouped(asked.lost),
            grouped(asked.doubled),
            grouped(asked.different),
            grouped(asked.unknown),
            grouped(asked.unanswered_decided),
            grouped(asked.unanswered)
        )?;
        for example in &asked.examples {
            writeln!(out, "  {example}")?;
        }
    }
    writeln!(out)?;
    for warning in report.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    for limit in &report.limits {
        let found = limit.found.map_or("no end of it".to_owned(), figure);
        let verdict = if limit.holds { "holds" } else { "FAILS" };
        writeln!(out, "{verdict}  {}: {found}, at most {}", limit.name, figure(limit.max))?;
    }
    writeln!(out, "\n{}\n{}, ids {}-…, seed {}", report.machine.line(), report.date, report.prefix, report.seed)?;
    if let Some(note) = &report.note {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

pub fn row(out: &mut String, name: &str, quantiles: Option<&Quantiles>) -> std::fmt::Result {
    let Some(times) = quantiles else { return Ok(()) };
    let [p50, p90, p99, p999, max] = [times.p50_ms, times.p90_ms, times.p99_ms, times.p999_ms, times.max_ms].map(milliseconds);
    writeln!(out, "{name:<24}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}")
}
