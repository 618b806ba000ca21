//! The report of a run: as JSON, as text, as a page.

mod chart;
pub mod html;
pub mod text;

use crate::machine::Machine;
use crate::measure::{Figures, Quantiles};
use crate::options::RunArguments;
use crate::reconcile::{Reconciliation, Repeats};
use serde::Serialize;

/// Everything that is known of a run.
#[derive(Serialize)]
pub struct Report {
    pub version: &'static str,
    /// When the schedule began.
    pub date: String,
    pub command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub machine: Machine,
    pub url: String,
    pub deadline_ms: u64,
    pub connections: u16,
    pub seed: u64,
    pub prefix: String,
    pub arrivals: &'static str,
    pub stopped_early: bool,
    /// Sent before the measured part.
    pub warmup_requests: u64,
    pub connections_opened: usize,
    pub connections_failed: usize,
    /// How late the generator itself was; part of every latency.
    pub pacing: Option<Quantiles>,
    pub repeats: Repeats,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
    pub limits: Vec<Limit>,
    #[serde(flatten)]
    pub figures: Figures,
}

/// Something that must not be exceeded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    pub name: &'static str,
    pub max: f64,
    /// None where there is no figure, or where it is endless: then the limit does not hold.
    pub found: Option<f64>,
    pub holds: bool,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.limits.iter().all(|limit| limit.holds)
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// What a reader must know before the figures are believed.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.stopped_early {
            warnings.push("stopped before the end of the schedule".to_owned());
        }
        if let Some(pacing) = self.pacing.as_ref().filter(|pacing| pacing.p99_ms > 1.0) {
            warnings.push(format!(
                "the generator itself was late by {} at p99: part of every latency here is its own",
                milliseconds(pacing.p99_ms)
            ));
        }
        if self.connections_failed > 0 {
            warnings.push(format!("{} tries to connect failed", grouped(self.connections_failed as u64)));
        }
        warnings
    }
}

/// The limits of `arguments` held against what was found. That answers stay the same is always one.
pub fn limits(arguments: &RunArguments, figures: &Figures, repeats: &Repeats, asked: Option<&Reconciliation>) -> Vec<Limit> {
    let counts = &figures.counts;
    let mut limits = Vec::new();
    let mut hold = |name: &'static str, max: Option<f64>, found: Option<f64>| {
        if let Some(max) = max {
            limits.push(Limit { name, max, found, holds: found.is_some_and(|found| found <= max) });
        }
    };
    let count = |count: u64| Some(count as f64);
    let latency = figures.latency.as_ref();
    hold("p99 of latency, ms", arguments.fail_p99_ms, latency.and_then(|latency| latency.p99_or_never_ms));
    hold("p99.9 of latency, ms", arguments.fail_p999_ms, latency.and_then(|latency| latency.p999_or_never_ms));
    hold("p99 inside the server, ms", arguments.fail_server_p99_ms, figures.server.as_ref().map(|server| server.p99_ms));
    hold("lost", arguments.fail_lost.map(|max| max as f64), count(counts.lost));
    hold("not sent", arguments.fail_not_sent.map(|max| max as f64), count(counts.not_sent));
    hold("stand-ins", arguments.fail_fallback.map(|max| max as f64), count(counts.fallback));
    hold("4xx and 5xx", arguments.fail_errors.map(|max| max as f64), count(counts.refused + counts.failed + counts.unrecorded));
    // The slowest of the steps that follow a faster one; endless where one of them never became normal.
    let slower = figures.steps.windows(2).filter(|pair| pair[1].rate < pair[0].rate).map(|pair| pair[1].normal_after_s);
    let settled = slower.collect::<Option<Vec<u64>>>().map(|all| all.into_iter().max().unwrap_or(0) as f64);
    hold("seconds until normal again", arguments.fail_settle_s.map(|max| max as f64), settled);
    let differ = repeats.different + repeats.doubled + repeats.conflicts_accepted;
    hold("answers that contradict each other", Some(0.0), count(differ));
    if let Some(asked) = asked {
        hold("acknowledged answers not found the same", Some(0.0), count(asked.lost + asked.doubled + asked.different + asked.unknown));
    }
    limits
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time with three figures: `412 µs`, `3.21 ms`, `1.30 s`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        _ if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 100.0 => format!("{ms:.1} ms"),
        _ if ms < 1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}

/// A figure that may be a count or a time.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value as u64) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let texts: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
        let texts: Vec<String> = [0.4123, 3.214, 32.14, 321.4, 1300.0].into_iter().map(milliseconds).collect();
        assert_eq!(texts, ["412 µs", "3.21 ms", "32.1 ms", "321 ms", "1.30 s"]);
        assert_eq!((figure(1200.0), figure(1.255)), ("1,200".to_owned(), "1.25".to_owned()));
    }
}
