//! Whether every answer is still the one that was given: within a run between repetitions, and afterwards by asking for decisions.

use crate::answers::Known;
use crate::clock::Clock;
use crate::inbox::{Inbox, Ticket};
use crate::pool::{self, End, Limits, Opening};
use crate::record::{Outcome, Record, sequence, sha256};
use crate::request::Target;
use crate::source::Kind;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

/// What repetitions within the run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Repeats {
    pub retries: u64,
    /// Retries whose answer has the bytes of the first answer to the id.
    pub same: u64,
    /// Retries whose answer says the same sequence and differs all the same.
    pub different: u64,
    /// Retries whose answer bears another sequence: the event was judged twice.
    pub doubled: u64,
    /// Retries that were the first to be answered, or had no decision themselves.
    pub undecided: u64,
    pub conflicts: u64,
    pub conflicts_refused: u64,
    /// Conflicts that got a decision although the id had been answered before they were sent.
    pub conflicts_accepted: u64,
}

/// Compares the answers to each id. A retry may overtake its original: the first answer to *arrive* is the one that counts.
pub fn repeats(records: &[Record]) -> Repeats {
    let mut repeats = Repeats::default();
    let decided = |record: &&Record| record.outcome.is_decision() && !record.kind.is_conflict();
    let repeated: HashSet<u64> =
        records.iter().filter(|record| !matches!(record.kind, Kind::First { .. })).map(|record| record.kind.target()).collect();
    let mut first: HashMap<u64, &Record> = HashMap::with_capacity(repeated.len());
    for record in records.iter().filter(decided).filter(|record| repeated.contains(&record.kind.target())) {
        let earliest = first.entry(record.kind.target()).or_insert(record);
        if record.done_ns < earliest.done_ns {
            *earliest = record;
        }
    }
    for record in records {
        let reference = first.get(&record.kind.target()).copied();
        match record.kind {
            // The original that was overtaken is compared as well: then it is the repetition.
            Kind::First { .. } => {
                if let Some(reference) = reference.filter(|reference| reference.slot != record.slot && record.outcome.is_decision()) {
                    match compare(reference.sequence, &reference.sha256, record.sequence, &record.sha256) {
                        Comparison::Same => {}
                        Comparison::Different => repeats.different += 1,
                        Comparison::Doubled => repeats.doubled += 1,
                    }
                }
            }
            Kind::Retry { .. } => {
                repeats.retries += 1;
                match reference.filter(|reference| reference.slot != record.slot && record.outcome.is_decision()) {
                    None => repeats.undecided += 1,
                    Some(reference) => match compare(reference.sequence, &reference.sha256, record.sequence, &record.sha256) {
                        Comparison::Same => repeats.same += 1,
                        Comparison::Different => repeats.different += 1,
                        Comparison::Doubled => repeats.doubled += 1,
                    },
                }
            }
            Kind::Conflict { .. } => {
                repeats.conflicts += 1;
                repeats.conflicts_refused += u64::from(record.outcome == Outcome::ConflictRefused);
                let was_answered = reference.is_some_and(|reference| record.sent_ns.is_some_and(|sent_ns| reference.done_ns <= sent_ns));
                repeats.conflicts_accepted += u64::from(was_answered && record.outcome.is_decision());
            }
        }
    }
    repeats
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Same,
    Different,
    Doubled,
}

fn compare(first_sequence: Option<u64>, first: &[u8; 32], sequence: Option<u64>, sha256: &[u8; 32]) -> Comparison {
    if first == sha256 {
        return Comparison::Same;
    }
    match (first_sequence, sequence) {
        (Some(a), Some(b)) if a != b => Comparison::Doubled,
        _ => Comparison::Different,
    }
}

/// What asking for decisions found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reconciliation {
    /// Ids with an acknowledged answer that were asked for.
    pub asked: u64,
    pub same: u64,
    /// Another answer under the same sequence.
    pub different: u64,
    /// Another answer under another sequence: judged twice.
    pub doubled: u64,
    /// Acknowledged, and the server knows nothing of it.
    pub lost: u64,
    /// Nothing could be learnt: no answer, or one that is neither a decision nor 404.
    pub unknown: u64,
    /// Ids that were sent and never answered, and whether there is a decision on them: either is right.
    pub unanswered: u64,
    pub unanswered_decided: u64,
    /// Of what was not as it should be, the first few.
    pub examples: Vec<String>,
}

impl Reconciliation {
    /// Whether every answer was found as it was given.
    pub fn is_clean(&self) -> bool {
        self.different + self.doubled + self.lost + self.unknown == 0
    }
}

const EXAMPLES_MAX: usize = 10;

/// What a request of [`fetch`] brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fetched {
    pub status: u16,
    pub sequence: Option<u64>,
    pub sha256: [u8; 32],
}

/// Sends `requests` as fast as the connections take them; for each what came, none where nothing did. `done` is told as they end.
///
/// # Errors
/// Where the system gives no poll.
pub fn fetch(target: &Target, limits: Limits, requests: &[Vec<u8>], done: &(dyn Fn(u64) + Sync)) -> Result<Vec<Option<Fetched>>, String> {
    let clock = Clock::new();
    let words = |error: std::io::Error| format!("poll: {error}");
    let (inbox, poll) = Inbox::new(limits.connections * 4).map_err(words)?;
    let opening = Opening::default();
    let mut fetched = vec![None; requests.len()];
    thread::scope(|scope| {
        let (inbox, opening) = (&inbox, &opening);
        let fetched = &mut fetched;
        let serving = scope.spawn(move || {
            pool::serve(target, limits, clock, inbox, poll, opening, &mut |settled| {
                if let End::Answered(response) = &settled.end {
                    let is_decision = (200..300).contains(&response.status);
                    let sequence = if is_decision { sequence(&response.body) } else { None };
                    fetched[settled.ticket.slot as usize] =
                        Some(Fetched { status: response.status, sequence, sha256: sha256(&response.body) });
                }
                done(1);
            })
        });
        for (slot, request) in requests.iter().enumerate() {
            let mut ticket = Ticket { slot: slot as u64, due_ns: clock.now_ns(), request: request.clone() };
            while let Err(back) = inbox.offer(ticket) {
                if serving.is_finished() {
                    break;
                }
                thread::sleep(Duration::from_micros(200));
                ticket = Ticket { due_ns: clock.now_ns(), ..back };
            }
        }
        inbox.close();
        serving.join().map_err(|_| "the connections' thread has panicked".to_owned())?.map_err(words)
    })?;
    Ok(fetched)
}

/// How often an id is asked for again where nothing could be learnt.
const TRIES: usize = 3;

/// Asks for the decision on each of `known` and compares. `resend`: sends the request itself again instead, where it was kept.
///
/// # Errors
/// As [`fetch`].
pub fn reconcile(
    target: &Target,
    limits: Limits,
    known: &[Known],
    resend: &dyn Fn(&Known) -> Option<Vec<u8>>,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Reconciliation, String> {
    let mut found: Vec<Option<Fetched>> = vec![None; known.len()];
    let mut open: Vec<usize> = (0..known.len()).collect();
    for tried in 0..TRIES {
        let requests: Vec<Vec<u8>> = open
            .iter()
            .map(|at| resend(&known[*at]).unwrap_or_else(|| target.get(&crate::request::decision_path(&known[*at].id))))
            .collect();
        let fetched = fetch(target, limits, &requests, if tried == 0 { done } else { &|_| {} })?;
        for (at, fetched) in open.iter().zip(fetched) {
            found[*at] = fetched;
        }
        // Busy or briefly away: asked again. Whatever else it says it would say again.
        open.retain(|at| found[*at].is_none_or(|found| found.status == 429 || found.status >= 500));
        if open.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(tally(known, &found))
}

fn tally(known: &[Known], found: &[Option<Fetched>]) -> Reconciliation {
    let mut sums = Reconciliation::default();
    for (known, found) in known.iter().zip(found) {
        let decision = found.filter(|found| (200..300).contains(&found.status));
        let Some((sequence, sha256)) = known.answer else {
            sums.unanswered += 1;
            sums.unanswered_decided += u64::from(decision.is_some());
            continue;
        };
        sums.asked += 1;
        let what = match (decision, found) {
            (Some(decision), _) => match compare(sequence, &sha256, decision.sequence, &decision.sha256) {
                Comparison::Same => {
                    sums.same += 1;
                    continue;
                }
                Comparison::Different => {
                    sums.different += 1;
                    "another answer".to_owned()
                }
                Comparison::Doubled => {
                    sums.doubled += 1;
                    let text = |sequence: Option<u64>| sequence.map_or("none".to_owned(), |sequence| sequence.to_string());
                    format!("judged twice, sequence {} and {}", text(sequence), text(decision.sequence))
                }
            },
            (None, Some(found)) if found.status == 404 => {
                sums.lost += 1;
                "acknowledged, not found".to_owned()
            }
            (None, Some(found)) => {
                sums.unknown += 1;
                format!("HTTP status {}", found.status)
            }
            (None, None) => {
                sums.unknown += 1;
                "no answer".to_owned()
            }
        };
        if sums.examples.len() < EXAMPLES_MAX {
            sums.examples.push(format!("{}: {what}", known.id));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(slot: u64, kind: Kind, outcome: Outcome, done_ns: u64, sequence: u64, sha: u8) -> Record {
        let mut record = Record::overflowed(kind, slot, done_ns.saturating_sub(5));
        record.outcome = outcome;
        record.sent_ns = Some(done_ns.saturating_sub(4));
        record.done_ns = done_ns;
        record.sequence = Some(sequence);
        record.sha256 = [sha; 32];
        record
    }

    #[test]
    fn repetitions_are_held_against_the_first_answer_to_arrive() {
        use Outcome::{ConflictRefused, Evaluated, Fallback, TimedOut};
        let first = |slot| Kind::First { slot };
        let records = [
            record(0, first(0), Evaluated, 10, 1, 1),
            record(1, Kind::Retry { of: 0 }, Evaluated, 30, 1, 1), // same
            record(2, Kind::Retry { of: 0 }, Evaluated, 40, 1, 9), // different
            record(3, Kind::Retry { of: 0 }, Evaluated, 50, 7, 8), // doubled
            record(4, first(4), TimedOut, 60, 0, 0),
            record(5, Kind::Retry { of: 4 }, Fallback, 70, 2, 3), // the first to be answered
            record(6, first(6), Evaluated, 99, 3, 5),             // overtaken, and another answer
            record(7, Kind::Retry { of: 6 }, Fallback, 80, 3, 4),
            record(8, Kind::Conflict { of: 0 }, ConflictRefused, 90, 0, 0),
            record(9, Kind::Conflict { of: 0 }, Evaluated, 91, 8, 6), // accepted although answered
            record(10, Kind::Conflict { of: 6 }, Evaluated, 79, 9, 7), // sent before there was an answer: nobody's fault
        ];
        let repeats = repeats(&records);
        assert_eq!((repeats.retries, repeats.same, repeats.different, repeats.doubled, repeats.undecided), (5, 1, 2, 1, 2));
        assert_eq!((repeats.conflicts, repeats.conflicts_refused, repeats.conflicts_accepted), (3, 1, 1));
    }

    #[test]
    fn what_is_found_is_told_apart() {
        let known = |id: &str, answer: Option<(u64, u8)>| Known {
            id: id.to_owned(),
            answer: answer.map(|(sequence, sha)| (Some(sequence), [sha; 32])),
            request: None,
        };
        let found = |status: u16, sequence: u64, sha: u8| Some(Fetched { status, sequence: Some(sequence), sha256: [sha; 32] });
        let all = [
            known("same", Some((1, 1))),
            known("different", Some((2, 2))),
            known("doubled", Some((3, 3))),
            known("lost", Some((4, 4))),
            known("forbidden", Some((5, 5))),
            known("silent", Some((6, 6))),
            known("never", None),
            known("late", None),
        ];
        let answers = [
            found(200, 1, 1),
            found(200, 2, 9),
            found(200, 30, 9),
            found(404, 0, 0),
            found(403, 0, 0),
            None,
            found(404, 0, 0),
            found(200, 7, 7),
        ];
        let sums = tally(&all, &answers);
        assert_eq!((sums.asked, sums.same, sums.different, sums.doubled, sums.lost, sums.unknown), (6, 1, 1, 1, 1, 2));
        assert_eq!((sums.unanswered, sums.unanswered_decided), (2, 1));
        assert_eq!(sums.examples.len(), 5);
        assert!(!sums.is_clean());
    }
}
