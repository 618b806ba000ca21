//! What a replay found, for machines and for people.

use crate::decision::{Outcome, Status};
use crate::event::Refusal;
use crate::journal::hex;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The result of a replay. As JSON its keys are those of the contract, in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Events that were applied or answered, labels not counted.
    pub events: u64,
    pub labels: u64,
    /// From the first read to the last output, start and allocation not counted.
    pub seconds: f64,
    /// `events` by `seconds`.
    pub events_per_second: f64,
    pub step_us_p50: f64,
    pub step_us_p99: f64,
    pub step_us_p999: f64,
    pub peak_rss_bytes: u64,
    /// Entities in the graph.
    pub nodes: u64,
    /// Visible rows over all rings.
    pub rows: u64,
    pub outcomes: Outcomes,
    pub alerts: u64,
    pub rejected: u64,
    /// BLAKE3 over all outputs in order, `sequence` left out.
    #[serde(serialize_with = "as_hex")]
    pub digest: [u8; 32],
    /// BLAKE3 over the ground state.
    #[serde(serialize_with = "as_hex")]
    pub state_hash: [u8; 32],
    pub rejected_by_reason: BTreeMap<&'static str, u64>,
    pub degraded: u64,
    pub duplicates: u64,
    pub late: u64,
    /// Allocating and touching all memory.
    pub start_seconds: f64,
    pub batch: usize,
    pub threads: usize,
    /// Where forward passes ran in the end: `cpu`, or a device's name.
    pub backend: String,
    /// Why that is the CPU, where a device was taken or would have been.
    pub backend_instead: Option<String>,
    #[serde(serialize_with = "as_hex")]
    pub topology: [u8; 16],
    #[serde(serialize_with = "as_hex")]
    pub policy: [u8; 16],
    pub engine_version: &'static str,
    /// Files that could not be read to their end, and why.
    pub input_errors: Vec<String>,
}

/// Decisions by outcome.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Outcomes {
    pub approve: u64,
    pub challenge: u64,
    pub review: u64,
    pub decline: u64,
}

/// What the writer counts as outputs go by.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub outcomes: Outcomes,
    pub degraded: u64,
    pub rejected: BTreeMap<&'static str, u64>,
    pub alerts: u64,
}

impl Tally {
    /// Counts a decision.
    pub fn decision(&mut self, outcome: Outcome, status: Status) {
        *match outcome {
            Outcome::Approve => &mut self.outcomes.approve,
            Outcome::Challenge => &mut self.outcomes.challenge,
            Outcome::Review => &mut self.outcomes.review,
            Outcome::Decline => &mut self.outcomes.decline,
        } += 1;
        self.degraded += u64::from(status == Status::Degraded);
    }

    /// Counts an alert at its first version.
    pub fn alert(&mut self, version: u32) {
        self.alerts += u64::from(version == 1);
    }

    /// Counts a rejected record.
    pub fn rejected(&mut self, reason: Refusal) {
        *self.rejected.entry(reason.code()).or_default() += 1;
    }
}

fn as_hex<const N: usize, S: Serializer>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = &self.outcomes;
        writeln!(f, "{} events and {} labels in {:.2} s: {:.0} events/s", self.events, self.labels, self.seconds, self.events_per_second)?;
        writeln!(
            f,
            "  step        {:.2} µs an event (p50), {:.2} (p99), {:.2} (p99.9); batches of {}, {} thread(s)",
            self.step_us_p50, self.step_us_p99, self.step_us_p999, self.batch, self.threads
        )?;
        match &self.backend_instead {
            Some(why) => writeln!(f, "  backend     {} ({why})", self.backend)?,
            None => writeln!(f, "  backend     {}", self.backend)?,
        }
        writeln!(f, "  graph       {} nodes, {} visible rows; {} MiB at most", self.nodes, self.rows, self.peak_rss_bytes >> 20)?;
        writeln!(f, "  outcomes    {} approve, {} challenge, {} review, {} decline", o.approve, o.challenge, o.review, o.decline)?;
        writeln!(f, "  alerts      {}", self.alerts)?;
        writeln!(f, "  degraded    {} decisions lacked a configured part", self.degraded)?;
        write!(f, "  rejected    {}", self.rejected)?;
        for (n, (reason, count)) in self.rejected_by_reason.iter().enumerate() {
            write!(f, "{}{count} {reason}", if n == 0 { ": " } else { ", " })?;
        }
        writeln!(f, "\n  duplicates  {}, late {}", self.duplicates, self.late)?;
        writeln!(f, "  topology    {}, policy {}", hex(&self.topology), hex(&self.policy))?;
        writeln!(f, "  digest      {}", hex(&self.digest))?;
        write!(f, "  state hash  {}", hex(&self.state_hash))?;
        for error in &self.input_errors {
            write!(f, "\n  not read    {error}")?;
        }
        Ok(())
    }
}
