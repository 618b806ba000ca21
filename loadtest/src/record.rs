//! What became of each request, in a hundred bytes.

use crate::pool::{End, Loss, Settled};
use crate::response::Response;
use crate::source::Kind;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// How a request ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Evaluated,
    Degraded,
    Fallback,
    /// 2xx whose body names no status that the contract has.
    Unmarked,
    /// 409 to a conflicting repetition: as it should be.
    ConflictRefused,
    /// Any other 4xx.
    Refused,
    /// 503 with a stand-in that the server could not record.
    Unrecorded,
    /// 5xx otherwise, and whatever else is no answer to the question.
    Failed,
    /// The connection ended before the answer did.
    Closed,
    /// No answer within the time limit.
    TimedOut,
    /// No HTTP answer.
    Malformed,
    /// Waited for a connection as long as the time limit; never sent.
    Expired,
    /// No room in the queue; never sent.
    Overflowed,
}

impl Outcome {
    pub const ALL: [Outcome; 13] = [
        Outcome::Evaluated,
        Outcome::Degraded,
        Outcome::Fallback,
        Outcome::Unmarked,
        Outcome::ConflictRefused,
        Outcome::Refused,
        Outcome::Unrecorded,
        Outcome::Failed,
        Outcome::Closed,
        Outcome::TimedOut,
        Outcome::Malformed,
        Outcome::Expired,
        Outcome::Overflowed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Evaluated => "evaluated",
            Outcome::Degraded => "degraded",
            Outcome::Fallback => "fallback",
            Outcome::Unmarked => "unmarked",
            Outcome::ConflictRefused => "conflict_refused",
            Outcome::Refused => "refused",
            Outcome::Unrecorded => "unrecorded",
            Outcome::Failed => "failed",
            Outcome::Closed => "closed",
            Outcome::TimedOut => "timed_out",
            Outcome::Malformed => "malformed",
            Outcome::Expired => "expired",
            Outcome::Overflowed => "overflowed",
        }
    }

    /// What it means, for a table.
    pub fn meaning(self) -> &'static str {
        match self {
            Outcome::Evaluated => "judged with everything that is configured",
            Outcome::Degraded => "judged, a configured part skipped",
            Outcome::Fallback => "stand-in at the deadline, recorded",
            Outcome::Unmarked => "2xx without a known status",
            Outcome::ConflictRefused => "409 to a conflict sent on purpose",
            Outcome::Refused => "other 4xx",
            Outcome::Unrecorded => "503 with recorded: false",
            Outcome::Failed => "other 5xx",
            Outcome::Closed => "lost: connection ended before the answer",
            Outcome::TimedOut => "lost: no answer within the time limit",
            Outcome::Malformed => "lost: no HTTP answer",
            Outcome::Expired => "not sent: waited too long for a connection",
            Outcome::Overflowed => "not sent: the queue was full",
        }
    }

    /// A decision that the caller can act on and that the server has promised to keep.
    pub fn is_decision(self) -> bool {
        matches!(self, Outcome::Evaluated | Outcome::Degraded | Outcome::Fallback | Outcome::Unmarked)
    }

    /// Sent, wholly or in part, and never answered.
    pub fn is_lost(self) -> bool {
        matches!(self, Outcome::Closed | Outcome::TimedOut | Outcome::Malformed)
    }

    pub fn is_unsent(self) -> bool {
        matches!(self, Outcome::Expired | Outcome::Overflowed)
    }

    pub fn is_failed(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Unrecorded)
    }
}

/// One request and what became of it. Times are on the clock of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub slot: u64,
    pub kind: Kind,
    pub outcome: Outcome,
    /// 0 without an answer.
    pub http: u16,
    pub due_ns: u64,
    pub sent_ns: Option<u64>,
    pub done_ns: u64,
    /// What the server says it took.
    pub server_ns: Option<u64>,
    /// Of a decision.
    pub sequence: Option<u64>,
    /// Of an answer's body.
    pub sha256: [u8; 32],
}

impl Record {
    /// The record of what `settled` says about `kind`.
    pub fn of(kind: Kind, settled: &Settled<'_>) -> Record {
        let mut record = Record {
            slot: settled.ticket.slot,
            kind,
            outcome: Outcome::Expired,
            http: 0,
            due_ns: settled.ticket.due_ns,
            sent_ns: settled.sent_ns,
            done_ns: settled.done_ns,
            server_ns: None,
            sequence: None,
            sha256: [0; 32],
        };
        match &settled.end {
            End::Answered(response) => {
                let (outcome, sequence) = judge(kind, response);
                record.outcome = outcome;
                record.sequence = sequence;
                record.http = response.status;
                record.server_ns = response.server_ms.map(|ms| (ms * 1e6) as u64);
                record.sha256 = sha256(&response.body);
            }
            End::Lost(Loss::Closed) => record.outcome = Outcome::Closed,
            End::Lost(Loss::TimedOut) => record.outcome = Outcome::TimedOut,
            End::Lost(Loss::Malformed) => record.outcome = Outcome::Malformed,
            End::Expired => {}
        }
        record
    }

    /// The record of a request for which the queue had no room.
    pub fn overflowed(kind: Kind, slot: u64, due_ns: u64) -> Record {
        let outcome = Outcome::Overflowed;
        Record { slot, kind, outcome, http: 0, due_ns, sent_ns: None, done_ns: due_ns, server_ns: None, sequence: None, sha256: [0; 32] }
    }

    /// From when it was due: what a caller waits.
    pub fn latency_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.due_ns)
    }

    /// From when it was sent.
    pub fn service_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent_ns| self.done_ns.saturating_sub(sent_ns))
    }
}

/// SHA-256 of an answer's body.
pub fn sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// `bytes` in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of a decision, or of a 503, that are looked at.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence: Option<u64>,
}

/// The mark of a 503 that carries an unrecorded stand-in. Its `status` may be that of a problem document, a number.
#[derive(Deserialize)]
struct Unrecorded {
    recorded: bool,
}

fn judge(kind: Kind, response: &Response<'_>) -> (Outcome, Option<u64>) {
    match response.status {
        200..300 => {
            let Ok(body) = serde_json::from_slice::<Body<'_>>(&response.body) else { return (Outcome::Unmarked, None) };
            let outcome = match body.status.as_deref() {
                Some("evaluated") => Outcome::Evaluated,
                Some("degraded") => Outcome::Degraded,
                Some("fallback") => Outcome::Fallback,
                _ => Outcome::Unmarked,
            };
            (outcome, body.sequence)
        }
        409 if kind.is_conflict() => (Outcome::ConflictRefused, None),
        400..500 => (Outcome::Refused, None),
        503 if serde_json::from_slice(&response.body).is_ok_and(|Unrecorded { recorded }| !recorded) => (Outcome::Unrecorded, None),
        _ => (Outcome::Failed, None),
    }
}

/// The sequence in a decision's body.
pub fn sequence(body: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Body<'_>>(body).ok().and_then(|body| body.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: Kind, status: u16, body: &str) -> (Outcome, Option<u64>) {
        judge(kind, &Response { status, body: body.as_bytes().into(), server_ms: None, keeps: true, length: 0 })
    }

    #[test]
    fn answers_are_counted_by_what_they_say() {
        let first = Kind::First { slot: 1 };
        let text = r#"{"event_id":"e","sequence":7,"reasons":[{"text":"\"status\":\"fallback\""}],"status":"evaluated"}"#;
        assert_eq!(judged(first, 200, text), (Outcome::Evaluated, Some(7)));
        assert_eq!(judged(first, 200, r#"{"status":"fallback","sequence":8}"#), (Outcome::Fallback, Some(8)));
        assert_eq!(judged(first, 200, r#"{"status":"splendid"}"#), (Outcome::Unmarked, None));
        assert_eq!(judged(first, 200, "<html>"), (Outcome::Unmarked, None));
        assert_eq!(judged(first, 409, "{}"), (Outcome::Refused, None));
        assert_eq!(judged(Kind::Conflict { of: 1 }, 409, "{}"), (Outcome::ConflictRefused, None));
        assert_eq!(judged(first, 503, r#"{"status":503,"recorded":false}"#), (Outcome::Unrecorded, None));
        assert_eq!(judged(first, 503, r#"{"status":503}"#), (Outcome::Failed, None));
        assert_eq!(judged(first, 302, ""), (Outcome::Failed, None));
        assert_eq!(Outcome::ALL.iter().filter(|outcome| outcome.is_decision()).count(), 4);
    }

    #[test]
    fn hashes_are_those_of_everybody() {
        assert_eq!(hexadecimal(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
