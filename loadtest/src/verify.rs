//! `verify`: whether the answers of an earlier run are still the same.

use crate::answers::{self, Known};
use crate::options::VerifyArguments;
use crate::pool::Limits;
use crate::reconcile::{Reconciliation, fetch, reconcile};
use crate::report::grouped;
use crate::request::{Authorization, Target};
use crate::run::{question_bar, server};
use serde::Serialize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// The result of a verification.
#[derive(Serialize)]
struct Verification {
    /// Lines of the file that contradict an earlier line about the same id.
    contradictions: u64,
    #[serde(flatten)]
    found: Reconciliation,
    holds: bool,
}

/// Reads, asks, compares, tells.
///
/// # Errors
/// What kept the verification from being done.
pub fn verify(arguments: &VerifyArguments) -> Result<ExitCode, String> {
    let (target, limits) = server(&arguments.server)?;
    let (known, contradictions) = answers::read(&arguments.answers)?;
    if known.is_empty() {
        return Err(format!("{}: found no answer to ask for", arguments.answers.display()));
    }
    wait_until_ready(&target, limits, arguments.wait_ready)?;
    let authorization = Authorization::new(&target, arguments.deadline_ms);
    let resend = |known: &Known| -> Option<Vec<u8>> {
        let request = known.request.as_ref().filter(|_| arguments.resend)?;
        Some(authorization.request(request.as_bytes()))
    };
    if arguments.resend && known.iter().all(|known| known.request.is_none()) {
        return Err(format!("{}: found no requests to send again, expected a run with --keep-requests", arguments.answers.display()));
    }
    let bar = question_bar(known.len() as u64);
    let found = reconcile(&target, limits, &known, &resend, &|done| bar.inc(done));
    bar.finish_and_clear();
    let found = found?;
    let verification = Verification { contradictions, holds: found.is_clean() && contradictions == 0, found };
    let text = match arguments.json {
        true => serde_json::to_string(&verification).expect("numbers and texts are JSON") + "\n",
        false => words(&verification),
    };
    crate::say(&text)?;
    Ok(if verification.holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What [`Reconciliation`] says, in words.
fn words(verification: &Verification) -> String {
    let found = &verification.found;
    let mut text = format!(
        "{} acknowledged answers asked for: {} the same, {} lost, {} doubled, {} different, {} not to be learnt\n",
        grouped(found.asked),
        grouped(found.same),
        grouped(found.lost),
        grouped(found.doubled),
        grouped(found.different),
        grouped(found.unknown)
    );
    if found.unanswered > 0 {
        text += &format!("{} sent and never answered: {} of them decided\n", grouped(found.unanswered), grouped(found.unanswered_decided));
    }
    if verification.contradictions > 0 {
        text += &format!("{} answers contradict an earlier one in the file itself\n", grouped(verification.contradictions));
    }
    for example in &found.examples {
        text += &format!("  {example}\n");
    }
    text
}

fn wait_until_ready(target: &Target, limits: Limits, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let one = Limits { connections: 1, timeout: Duration::from_secs(1) };
    let request = [target.get("/readyz")];
    while !patience.is_zero() {
        let status =
            fetch(target, Limits { timeout: one.timeout.min(limits.timeout), ..one }, &request, &|_| {})?[0].map(|found| found.status);
        if status == Some(200) {
            return Ok(());
        }
        if Instant::now() >= until {
            let said = status.map_or("nothing".to_owned(), |status| format!("HTTP status {status}"));
            return Err(format!("GET /readyz says {said} after {patience:?}, expected 200"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
