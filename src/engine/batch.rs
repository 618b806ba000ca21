//! The batch in work: what is gathered of each event, in columns, until it is judged.

use super::alerts::{self, Acquaintances, Alert, Found, Laundered, Proof};
use super::guard::Sight;
use super::{Layout, Rejected, ahead};
use crate::decision::{Decision, Listed, Parts, Provenance, Skips, Status, Verdict};
use crate::event::{Answered, EventType, Id, Sequence, Timestamp};
use crate::gnn::Score;
use crate::graph::Promotion;
use crate::graph::ego::EgoBatch;
use crate::typology::laundering::{Reach, Report, Scratch};

/// An event that will be judged, as it was gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    pub(super) event: Id,
    pub(super) kind: EventType,
    pub(super) key: Id,
    pub(super) sequence: Sequence,
    pub(super) time: Timestamp,
    pub(super) skips: Skips,
    pub(super) used: Parts,
    /// 2 where a stand-in answered before.
    pub(super) revision: u8,
    pub(super) listed: Listed,
    pub(super) sight: Sight,
    /// As alerts see it.
    pub(super) at: alerts::Moment,
    pub(super) proof: Proof,
    pub(super) acquaintances: Acquaintances,
    /// Nobody wants to hear of its device until then.
    pub(super) suppressed: Timestamp,
    /// What a typology of laundering found holds it for a person's look.
    pub(super) interdicted: bool,
    /// What the model says of a transfer is no number.
    pub(super) no_number: bool,
}

/// What a record leads to, in order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pending {
    Judgement(u32),
    StandIn(Sequence, Answered),
    Rejected(Rejected),
    /// A typology found something: the number among the batch's findings, and of the judged event on whose outcome it hangs.
    Found(u32, Option<u32>, alerts::Moment),
    /// A typology of laundering found something: the number among the batch's.
    Laundered(u32, alerts::Moment),
    /// Nobody wants to hear of a subject until then.
    Suppressed(Id, Timestamp, alerts::Moment),
}

/// A record that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) sequence: Sequence,
    pub(super) met: u64,
    /// Behind the last entry of `pending` that is its own.
    pub(super) pending_end: u32,
}

/// The columns of the batch in work.
pub(super) struct Batch {
    pub(super) seeds: Vec<Seed>,
    /// (S, F)
    pub(super) features: Vec<u64>,
    pub(super) egos: EgoBatch,
    pub(super) pending: Vec<Pending>,
    /// What each record met, for the course.
    pub(super) moments: Vec<Moment>,
    /// Of each seed its type where a backend is asked about it; empty while there is none.
    pub(super) judged: Vec<Option<EventType>>,
    /// What the model says of each seed; empty while there is none.
    pub(super) scores: Vec<Option<Score>>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) promoted: Vec<Promotion>,
    pub(super) found: Vec<Found>,
    pub(super) laundered: Vec<Laundered>,
    /// What proves them.
    pub(super) proofs: Vec<Proof>,
    /// What a search around a transfer writes.
    pub(super) scratch: Scratch,
    pub(super) report: Report,
    pub(super) alerts: Vec<Alert>,
    /// For each entry of `pending` where those of `alerts` end that it led to.
    pub(super) alerts_end: Vec<u32>,
    pub(super) ahead: ahead::Ahead,
    /// Of the event being taken in.
    pub(super) revision: u8,
    /// The own fields of an event that a filter is asked of.
    pub(super) fields: Vec<u64>,
}

/// Seeds for which the columns have room from the start; larger batches make them grow once.
const SEEDS_AT_START: usize = 1024;
/// Likewise findings and versions of alerts.
const FOUND_AT_START: usize = 256;

impl Batch {
    pub(super) fn new(layout: &Layout, reach: &Reach) -> Batch {
        Batch {
            seeds: Vec::with_capacity(SEEDS_AT_START),
            features: Vec::with_capacity(SEEDS_AT_START * layout.schema.len()),
            egos: EgoBatch::with_capacity(SEEDS_AT_START),
            pending: Vec::with_capacity(SEEDS_AT_START),
            moments: Vec::with_capacity(SEEDS_AT_START),
            judged: Vec::with_capacity(SEEDS_AT_START),
            scores: Vec::with_capacity(SEEDS_AT_START),
            verdicts: Vec::with_capacity(SEEDS_AT_START),
            promoted: Vec::with_capacity(crate::event::SLOTS),
            found: Vec::with_capacity(FOUND_AT_START),
            laundered: Vec::with_capacity(FOUND_AT_START),
            proofs: Vec::with_capacity(16 * FOUND_AT_START),
            scratch: Scratch::with_room(reach),
            report: Report::with_room(),
            alerts: Vec::with_capacity(FOUND_AT_START),
            alerts_end: Vec::with_capacity(SEEDS_AT_START),
            ahead: ahead::Ahead::default(),
            revision: 1,
            fields: vec![0; layout.fields],
        }
    }

    pub(super) fn clear(&mut self) {
        self.seeds.clear();
        self.features.clear();
        self.egos.clear();
        self.pending.clear();
        self.found.clear();
        self.laundered.clear();
        self.proofs.clear();
        self.alerts.clear();
        self.alerts_end.clear();
        self.moments.clear();
        self.scores.clear();
        self.verdicts.clear();
    }
}

/// What the judgement of an event says.
pub(super) fn decision(seed: &Seed, verdict: &Verdict, score: Option<&Score>, provenance: &Provenance) -> Decision {
    let mut skipped = seed.skips;
    verdict.skips().for_each(|skip| skipped.push(skip));
    let degraded = skipped.as_slice().iter().any(|skip| skip.why.degrades());
    Decision {
        event: seed.event,
        kind: seed.kind,
        key: seed.key,
        revision: seed.revision,
        sequence: seed.sequence,
        time: seed.time,
        outcome: verdict.outcome.max(verdict.suspicion.outcome),
        risk_score: verdict.risk_score,
        probability: score.map(|score| score.probability),
        reasons: verdict.reasons,
        control_group: verdict.propensity,
        status: if degraded { Status::Degraded } else { Status::Evaluated },
        used: seed.used,
        skipped,
        provenance: *provenance,
        suspicion: verdict.suspicion,
    }
}
