//! `kafka reconcile`: whether each payment and transfer in the topic of events has its one decision in the topic of decisions.

use super::clients::{From, Topic, check_brokers};
use super::ledger::{Entry, Findings, Ledger};
use super::options::ReconcileArguments;
use super::tell;
use crate::report::grouped;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Serialize)]
struct Reconciliation {
    /// Offsets in the topic of decisions behind the begin of an open transaction.
    held_back: u64,
    #[serde(flatten)]
    found: Findings,
    holds: bool,
}

/// Reads, compares, tells.
///
/// # Errors
/// What kept it from being done.
pub fn run(arguments: &ReconcileArguments) -> Result<ExitCode, String> {
    check_brokers(&arguments.broker)?;
    let mut ledger = Ledger::default();
    if let Some(path) = &arguments.replay {
        read_replay(path, &mut ledger)?;
    }
    let style = ProgressStyle::with_template("{spinner} {prefix}: {human_pos} records, {per_sec}").expect("the template is one");
    let bar = ProgressBar::new_spinner().with_style(style);
    let read = |name: &str, topic: &Topic, take: &mut dyn FnMut(Entry<'_>)| {
        bar.set_prefix(name.to_owned());
        bar.reset();
        topic.read_to_end(&mut |entry| {
            bar.inc(1);
            take(entry);
        })
    };

    let events = Topic::find(&arguments.broker, &arguments.events, From::Beginning)?;
    read(&arguments.events, &events, &mut |entry| ledger.event(entry))?;
    if let Some(rejected) = Topic::open(&arguments.broker, &arguments.rejected, From::Beginning)? {
        read(&arguments.rejected, &rejected, &mut |entry| ledger.refused(entry.value))?;
    }
    let decisions = Topic::find(&arguments.broker, &arguments.decisions, From::Beginning)?;
    let until = Instant::now() + arguments.wait;
    read(&arguments.decisions, &decisions, &mut |entry| ledger.decision(entry))?;
    while Instant::now() < until && ledger.open() > 0 {
        // A batch before the next look at all ids, which takes a while where there are millions.
        let look_again = Instant::now() + Duration::from_secs(1);
        while Instant::now() < look_again.min(until) {
            if let Some(Ok(message)) = decisions.poll(Duration::from_millis(100)) {
                bar.inc(1);
                ledger.decision(super::clients::entry(&message));
            }
        }
    }
    bar.finish_and_clear();

    let held_back = decisions.held_back()?;
    let found = ledger.close();
    let reconciliation = Reconciliation { held_back, holds: found.wrong().is_empty(), found };
    tell(&reconciliation, arguments.json, words)?;
    Ok(if reconciliation.holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn read_replay(path: &Path, ledger: &mut Ledger) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(at)?);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(at)? == 0 {
            break;
        }
        let text = line.trim_ascii_end();
        ledger.expect(text).map_err(|error| format!("{}:{number}: {error}", path.display()))?;
    }
    Ok(())
}

fn words(reconciliation: &Reconciliation) -> String {
    let mut text = String::new();
    write_words(reconciliation, &mut text).expect("a text takes every character");
    text
}

fn write_words(reconciliation: &Reconciliation, out: &mut String) -> std::fmt::Result {
    let found = &reconciliation.found;
    let mut row = |name: &str, count: u64, more: &str| match (count, more) {
        (0, "") => Ok(()),
        (_, "") => writeln!(out, "{name:<36}{:>14}", grouped(count)),
        _ => writeln!(out, "{name:<36}{:>14}   {more}", grouped(count)),
    };
    row("records of events", found.events, "read from the first to the last")?;
    row("payments", found.payments, "")?;
    row("transfers", found.transfers, "")?;
    row("  published by Weir itself", found.published, "")?;
    row("  with an id that came before", found.repeated, "")?;
    row("  malformed records", found.malformed_events, "")?;
    row("ids of payments and transfers", found.asked, "each wants one decision")?;
    row("records of decisions", found.decisions, "committed ones")?;
    row("ids with a decision", found.decided, "of any revision")?;
    row("  stand-in and judgement", found.pairs, "")?;
    row("  stand-in alone", found.stand_ins_alone, "")?;
    row("ids refused, without a decision", found.rejected, "")?;
    row("offsets behind an open transaction", reconciliation.held_back, "")?;
    if let Some(replay) = found.replay {
        row("decisions of the replay", replay.replayed, "")?;
        row("  the same bytes in the topic", replay.same, "")?;
    }
    let wrong = found.wrong();
    match wrong[..] {
        [] => writeln!(out, "\nnothing missing, nothing twice, everything in order")?,
        _ => writeln!(out, "\nwrong:")?,
    }
    for (name, count) in wrong {
        writeln!(out, "{name:<36}{:>14}", grouped(count))?;
    }
    for example in &found.examples {
        writeln!(out, "  {example}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_replay_is_read_line_by_line() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let line = |id: &str| format!(r#"{{"event_id":"{id}","revision":1,"sequence":1,"status":"evaluated"}}"#);
        write!(file, "{}\n{}", line("a"), line("b")).expect("room");
        let mut ledger = Ledger::default();
        assert_eq!(read_replay(file.path(), &mut ledger), Ok(()));
        assert_eq!(ledger.close().replay.map(|replay| replay.replayed), Some(2));
        write!(file, "\n{{").expect("room");
        assert!(read_replay(file.path(), &mut Ledger::default()).is_err_and(|error| error.contains(":3: expected a decision")));
    }

    #[test]
    fn words_say_what_is_wrong_and_what_is_not() {
        let mut found = Findings { asked: 1200, decided: 1200, events: 3000, ..Findings::default() };
        let clean = words(&Reconciliation { held_back: 0, found: found.clone(), holds: true });
        assert!(clean.contains("1,200") && clean.ends_with("everything in order\n") && !clean.contains("transaction"), "{clean}");
        found.missing = 2;
        let wrong = words(&Reconciliation { held_back: 7, found, holds: false });
        assert!(wrong.contains("wrong:\nmissing  ") && wrong.contains("open transaction"), "{wrong}");
    }
}
