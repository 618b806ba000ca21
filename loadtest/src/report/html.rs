//! The report as one page: style and pictures inside, nothing fetched, nothing run.

use super::chart::{Axis, Line, chart};
use super::{Report, figure, grouped, milliseconds};
use crate::measure::{Counts, Curve, Quantiles, Second};
use crate::record::Outcome;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// The whole page. It is XML as well as HTML, so that any parser can check it.
pub fn page(report: &Report) -> String {
    let mut out = String::with_capacity(64 << 10);
    write_page(report, &mut out).expect("a text takes every character");
    out
}

/// `text` as HTML and XML show it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for other control characters.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn write_page(report: &Report, out: &mut String) -> std::fmt::Result {
    let figures = &report.figures;
    let counts = &figures.counts;
    let steps: Vec<String> =
        figures.steps.iter().map(|step| format!("{}/s for {:.0} s", grouped(step.rate as u64), step.duration_s)).collect();
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>Weir load report, {}</title><style>{STYLE}</style></head><body><main>",
        escaped(&report.date)
    )?;
    let verdict = match report.limits.iter().filter(|limit| !limit.holds).count() {
        0 => ("good", "every limit holds".to_owned()),
        1 => ("bad", "1 limit does not hold".to_owned()),
        failed => ("bad", format!("{failed} limits do not hold")),
    };
    write!(
        out,
        "<header><div><h1>Authorization hook under load</h1><p class=\"soft\">{} · {} arrivals, {} connections, deadline {} ms · {}</p></div>\
         <p class=\"badge {}\">{}</p></header>",
        escaped(&steps.join(", then ")),
        report.arrivals,
        report.connections,
        report.deadline_ms,
        escaped(&report.date),
        verdict.0,
        verdict.1
    )?;
    for warning in report.warnings() {
        write!(out, "<p class=\"warning\">{}</p>", escaped(&warning))?;
    }
    tiles(out, report)?;
    card(
        out,
        "Latency over time",
        "From when a request was due to its decision, for the second in which it was due.",
        &latency_chart(report),
    )?;
    card(
        out,
        "Rates over time",
        "Requests due and decisions arrived, a second; below them what was not an ordinary decision.",
        &rate_chart(report),
    )?;
    card(
        out,
        "Percentiles",
        "Latency counts from when a request was due, service from when it was sent; between the two lies waiting for a connection. The server's own time is what its header Server-Timing says.",
        &percentile_chart(report),
    )?;
    outcomes(out, counts, figures)?;
    times(out, report)?;
    if figures.steps.len() > 1 {
        step_table(out, report)?;
    }
    checks(out, report)?;
    write!(
        out,
        "<footer><p>{}</p><p><code>{}</code></p><p>{} · ids {}-…, seed {} · {} requests of warm-up not counted · {} connections opened · weir-loadtest {}</p>",
        escaped(&report.machine.line()),
        escaped(&report.command),
        escaped(&report.url),
        escaped(&report.prefix),
        report.seed,
        grouped(report.warmup_requests),
        grouped(report.connections_opened as u64),
        report.version
    )?;
    if let Some(note) = &report.note {
        write!(out, "<p>{}</p>", escaped(note))?;
    }
    out.push_str("</footer></main></body></html>\n");
    Ok(())
}

fn tiles(out: &mut String, report: &Report) -> std::fmt::Result {
    let figures = &report.figures;
    let counts = &figures.counts;
    let time = |pick: fn(&Quantiles) -> f64| figures.latency.as_ref().map_or("–".to_owned(), |latency| milliseconds(pick(latency)));
    let trouble = |count: u64| if count == 0 { "good" } else { "bad" };
    let tiles = [
        ("p50", time(|latency| latency.p50_ms), ""),
        ("p99", time(|latency| latency.p99_ms), ""),
        ("p99.9", time(|latency| latency.p999_ms), ""),
        ("slowest", time(|latency| latency.max_ms), ""),
        ("offered/s", grouped(figures.rate_offered.round() as u64), ""),
        ("decided/s", grouped(figures.rate_answered.round() as u64), ""),
        ("stand-ins", grouped(counts.fallback), if counts.fallback == 0 { "good" } else { "fair" }),
        ("lost", grouped(counts.lost), trouble(counts.lost)),
        ("not sent", grouped(counts.not_sent), trouble(counts.not_sent)),
    ];
    out.push_str("<section class=\"tiles\">");
    for (name, value, class) in tiles {
        write!(out, "<div class=\"tile {class}\"><b>{value}</b><span>{name}</span></div>")?;
    }
    out.push_str("</section>");
    Ok(())
}

fn card(out: &mut String, title: &str, about: &str, inside: &str) -> std::fmt::Result {
    write!(out, "<section class=\"card\"><h2>{}</h2><p class=\"soft\">{}</p>{inside}</section>", escaped(title), escaped(about))
}

/// Where steps begin, for upright lines.
fn marks(report: &Report) -> Vec<(f64, String)> {
    let steps = &report.figures.steps;
    match steps.len() {
        1 => Vec::new(),
        _ => steps.iter().map(|step| (step.start_s, format!("{}/s", grouped(step.rate as u64)))).collect(),
    }
}

/// Seconds as points in the middle of each.
fn over_time(series: &[Second], pick: impl Fn(&Second) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
    series.iter().enumerate().map(|(second, figures)| (second as f64 + 0.5, pick(figures))).collect()
}

fn latency_chart(report: &Report) -> String {
    let series = &report.figures.series;
    let lines = [
        Line { name: "max", class: "c3", points: over_time(series, |second| second.max_ms) },
        Line { name: "p99", class: "c2", points: over_time(series, |second| second.p99_ms) },
        Line { name: "p50", class: "c1", points: over_time(series, |second| second.p50_ms) },
    ];
    let values = || lines.iter().flat_map(|line| &line.points).filter_map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let y = Axis::decades(if low.is_finite() { low } else { 1.0 }, high, "latency");
    let bound = (report.deadline_ms as f64, format!("deadline {} ms", report.deadline_ms));
    chart(&Axis::until(report.figures.seconds, "seconds"), &y, &lines, &marks(report), Some((bound.0, &bound.1)))
}

/// One of a second's counts.
type Pick = fn(&Second) -> u64;

fn rate_chart(report: &Report) -> String {
    let series = &report.figures.series;
    let some = |count: u64| Some(count as f64);
    let mut lines = vec![
        Line { name: "offered", class: "c4", points: over_time(series, |second| some(second.offered)) },
        Line { name: "decided", class: "c1", points: over_time(series, |second| some(second.answered)) },
    ];
    let troubles: [(&str, &str, Pick); 5] = [
        ("stand-ins", "c2", |second| second.fallback),
        ("degraded", "c5", |second| second.degraded),
        ("4xx", "c6", |second| second.refused),
        ("5xx", "c7", |second| second.failed),
        ("lost or not sent", "c3", |second| second.lost + second.not_sent),
    ];
    for (name, class, pick) in troubles {
        if series.iter().any(|second| pick(second) > 0) {
            lines.push(Line { name, class, points: over_time(series, |second| some(pick(second))) });
        }
    }
    let most = series.iter().map(|second| second.offered.max(second.answered)).max().unwrap_or(0);
    chart(
        &Axis::until(report.figures.seconds, "seconds"),
        &Axis::linear(most as f64 * 1.05, "requests a second"),
        &lines,
        &marks(report),
        None,
    )
}

fn percentile_chart(report: &Report) -> String {
    let figures = &report.figures;
    // As far right as there are requests: the slowest one stands at the end.
    let nines = |count: usize| 10f64.powf(count.saturating_sub(2) as f64 / 12.0);
    let curves: Vec<(&str, &str, &Curve)> = [
        ("latency, from due", "c2", &figures.latency_curve),
        ("service, from sent", "c1", &figures.service_curve),
        ("inside the server", "c5", &figures.server_curve),
    ]
    .into_iter()
    .filter(|(_, _, curve)| !curve.is_empty())
    .collect();
    let end = curves.iter().map(|(_, _, curve)| nines(curve.len()) * 2.0).fold(10.0, f64::max);
    let lines: Vec<Line<'_>> = curves
        .iter()
        .map(|(name, class, curve)| Line {
            name,
            class,
            points: curve.iter().map(|(share, ms)| (if *share < 1.0 { 1.0 / (1.0 - share) } else { end }, Some(*ms))).collect(),
        })
        .collect();
    let values = || curves.iter().flat_map(|(_, _, curve)| curve.iter()).map(|(_, ms)| *ms);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let y = Axis::decades(if low.is_finite() { low } else { 1.0 }, high, "time");
    let bound = format!("deadline {} ms", report.deadline_ms);
    chart(&Axis::nines(end), &y, &lines, &[], Some((report.deadline_ms as f64, &bound)))
}

/// The colour of an outcome in the bar.
fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Evaluated => "c1",
        Outcome::Degraded => "c5",
        Outcome::Fallback => "c2",
        Outcome::Unmarked | Outcome::ConflictRefused => "c4",
        Outcome::Refused => "c6",
        Outcome::Unrecorded | Outcome::Failed => "c7",
        _ => "c3",
    }
}

fn outcomes(out: &mut String, counts: &Counts, figures: &crate::measure::Figures) -> std::fmt::Result {
    let all = counts.offered.max(1) as f64;
    let present: Vec<(Outcome, u64)> =
        Outcome::ALL.into_iter().map(|outcome| (outcome, counts.of(outcome))).filter(|(_, count)| *count > 0).collect();
    out.push_str("<section class=\"card\"><h2>Outcomes</h2><div class=\"bar\">");
    for (outcome, count) in &present {
        write!(
            out,
            "<i class=\"{}\" style=\"flex:{count} 0 2px\" title=\"{}: {}\"></i>",
            class(*outcome),
            outcome.name(),
            grouped(*count)
        )?;
    }
    out.push_str("</div><table><thead><tr><th>outcome</th><th class=\"n\">requests</th><th class=\"n\">share</th><th>meaning</th></tr></thead><tbody>");
    for (outcome, count) in &present {
        write!(
            out,
            "<tr><td><i class=\"key {}\"></i>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3} %</td><td class=\"soft\">{}</td></tr>",
            class(*outcome),
            outcome.name(),
            grouped(*count),
            *count as f64 * 100.0 / all,
            outcome.meaning()
        )?;
    }
    let http: Vec<String> = figures.http.iter().map(|(status, count)| format!("{status}: {}", grouped(*count))).collect();
    write!(
        out,
        "</tbody></table><p class=\"soft\">HTTP {} · {:.3} % of the decisions came after the deadline as the caller sees it</p></section>",
        if http.is_empty() { "none".to_owned() } else { http.join(", ") },
        figures.after_deadline_share * 100.0
    )
}

fn times(out: &mut String, report: &Report) -> std::fmt::Result {
    let figures = &report.figures;
    out.push_str("<section class=\"card\"><h2>Times</h2><table><thead><tr><th></th>");
    for name in ["count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        write!(out, "<th class=\"n\">{name}</th>")?;
    }
    out.push_str("</tr></thead><tbody>");
    let rows = [
        ("latency, from due", figures.latency.as_ref()),
        ("service, from sent", figures.service.as_ref()),
        ("inside the server", figures.server.as_ref()),
        ("generator late by", report.pacing.as_ref()),
    ];
    for (name, times) in rows {
        let Some(times) = times else { continue };
        write!(out, "<tr><td>{name}</td><td class=\"n\">{}</td>", grouped(times.count))?;
        for ms in [times.mean_ms, times.p50_ms, times.p90_ms, times.p99_ms, times.p999_ms, times.p9999_ms, times.max_ms] {
            write!(out, "<td class=\"n\">{}</td>", milliseconds(ms))?;
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></section>");
    Ok(())
}

fn step_table(out: &mut String, report: &Report) -> std::fmt::Result {
    out.push_str("<section class=\"card\"><h2>Steps</h2><table><thead><tr><th>rate</th><th class=\"n\">from</th><th class=\"n\">for</th>");
    for name in ["decisions", "p50", "p99", "p99.9", "max", "stand-ins", "lost", "not sent"] {
        write!(out, "<th class=\"n\">{name}</th>")?;
    }
    out.push_str("<th>normal</th></tr></thead><tbody>");
    for step in &report.figures.steps {
        write!(
            out,
            "<tr><td>{}/s</td><td class=\"n\">{:.0} s</td><td class=\"n\">{:.0} s</td><td class=\"n\">{}</td>",
            grouped(step.rate as u64),
            step.start_s,
            step.duration_s,
            grouped(step.counts.decisions())
        )?;
        let times = step.latency.as_ref().map(|latency| [latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms]);
        for place in 0..4 {
            write!(out, "<td class=\"n\">{}</td>", times.map_or("–".to_owned(), |times| milliseconds(times[place])))?;
        }
        for count in [step.counts.fallback, step.counts.lost, step.counts.not_sent] {
            write!(out, "<td class=\"n\">{}</td>", grouped(count))?;
        }
        let normal = match step.normal_after_s {
            Some(0) => "throughout".to_owned(),
            Some(seconds) => format!("after {seconds} s"),
            None => "never".to_owned(),
        };
        write!(out, "<td>{normal}</td></tr>")?;
    }
    out.push_str("</tbody></table></section>");
    Ok(())
}

fn checks(out: &mut String, report: &Report) -> std::fmt::Result {
    out.push_str("<section class=\"card\"><h2>Limits and answers</h2><table><thead><tr><th>limit</th><th class=\"n\">found</th><th class=\"n\">at most</th><th></th></tr></thead><tbody>");
    for limit in &report.limits {
        write!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"{}\">{}</td></tr>",
            limit.name,
            limit.found.map_or("endless".to_owned(), figure),
            figure(limit.max),
            if limit.holds { "good" } else { "bad" },
            if limit.holds { "holds" } else { "does not hold" }
        )?;
    }
    out.push_str("</tbody></table>");
    let repeats = &report.repeats;
    if repeats.retries > 0 {
        write!(
            out,
            "<p>Of {} events sent again {} got the same bytes, {} other ones, {} were judged twice, {} stayed undecided.</p>",
            grouped(repeats.retries),
            grouped(repeats.same),
            grouped(repeats.different),
            grouped(repeats.doubled),
            grouped(repeats.undecided)
        )?;
    }
    if repeats.conflicts > 0 {
        write!(
            out,
            "<p>Of {} ids sent again with another amount {} were refused, {} accepted against the contract.</p>",
            grouped(repeats.conflicts),
            grouped(repeats.conflicts_refused),
            grouped(repeats.conflicts_accepted)
        )?;
    }
    if let Some(asked) = &report.reconciliation {
        write!(
            out,
            "<p>Asked afterwards for {} acknowledged answers: {} the same, {} lost, {} doubled, {} different, {} not to be learnt. Of {} ids never answered {} are decided.</p>",
            grouped(asked.asked),
            grouped(asked.same),
            grouped(asked.lost),
            grouped(asked.doubled),
            grouped(asked.different),
            grouped(asked.unknown),
            grouped(asked.unanswered),
            grouped(asked.unanswered_decided)
        )?;
        if !asked.examples.is_empty() {
            out.push_str("<ul>");
            for example in &asked.examples {
                write!(out, "<li><code>{}</code></li>", escaped(example))?;
            }
            out.push_str("</ul>");
        }
    }
    out.push_str("</section>");
    Ok(())
}
