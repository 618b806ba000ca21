//! Typologies of money laundering: patterns of transfers, one or a mirror pair a file, looked for at every transfer that both or one of its
//! sides make.
//!
//! A search begins at the transfer looked at, whose row is yet to come, and goes by transfers of the last [`Reach::window`] that happened
//! before it; it is exact within its budget of visits, and says where that ended it (`cut`). It keeps nothing and writes nothing. What it
//! finds is a [`Finding`] with the transfers that prove it, newest last; and figures that rules and models may read.
//!
//! The patterns are those of Altman et al., "Realistic Synthetic Financial Transactions for Anti-Money Laundering Models" (NeurIPS 2023,
//! section 3.2: fan-out, fan-in, gather-scatter, scatter-gather, simple cycle, random, bipartite, stack), of AMLSim (Suzumura and Kanezashi,
//! 2021), and of what supervisors name besides: structuring, mules, pass-through, peeling chains, funnel accounts, dormant accounts.
//! Searching them for each edge as it comes follows Blanuša et al., "Graph Feature Preprocessor" (ICAIF 2024).

#[cfg(test)]
mod bank;
mod bipartite;
mod circle;
mod detectors;
mod fan;
mod flow;
mod gather;
mod legs;
mod passing;
mod scatter;
mod structuring;
#[cfg(test)]
mod tests;

pub use detectors::{DETECTORS, Detector, HELD_TOGETHER};
pub use legs::{DEVICE, Leg, Party, Reach, Scratch, Surroundings};

use super::Typology;
use crate::event::{Duration, Timestamp};
use crate::graph::{Family, Graph, NodeId};

/// What is asked before a pattern is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunderingOptions {
    pub reach: Reach,
    /// An account passes on what it sends within this time.
    pub dwell: Duration,
    /// Passing through is rapid within this time.
    pub rapid: Duration,
    /// Of a thousand that come in at least so many go out where an account passes on,
    pub kept_permille: i64,
    /// and at most so many: rates of exchange are not those of the day.
    pub exceeds_permille: i64,
    /// Transfers below this amount make no pattern, nor do patterns below this sum.
    pub leg_minor: i64,
    pub sum_minor: i64,
    /// Nor do smaller sums make a way by which money flows.
    pub flow_minor: i64,
    /// Whether fans are also made of transfers that nobody ordered: firms' files, or of a stream that says nothing of it.
    pub bulk_counts: bool,
    /// From this amount on banks must report.
    pub limit_minor: i64,
    /// An account is young within this time of its first transfer,
    pub young: Duration,
    /// and was at rest where nothing moved for this time.
    pub rest: Duration,
}

impl Default for LaunderingOptions {
    fn default() -> LaunderingOptions {
        LaunderingOptions {
            reach: Reach { window: Duration::DAY.times(14), rows_max: 96, visits_max: 1024, busy_min: 60 },
            dwell: Duration::DAY.times(6),
            rapid: Duration::DAY.times(2),
            kept_permille: 700,
            exceeds_permille: 1_040,
            leg_minor: 3_500,
            sum_minor: 30_000,
            flow_minor: 8_000,
            bulk_counts: false,
            limit_minor: 1_000_000,
            young: Duration::DAY.times(30),
            rest: Duration::DAY.times(45),
        }
    }
}

/// The transfer looked at.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub leg: Leg,
    /// The device by which it was ordered, where a row knows it.
    pub device: NodeId,
}

/// Figures of a transfer's surroundings, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Figure {
    /// Accounts that paid whoever receives, and whom whoever sends paid, this transfer among them.
    Senders = 0,
    Receivers = 1,
    /// Accounts that paid whoever sends.
    Feeders = 2,
    /// Of a thousand that came to whoever sends so many went on; 0 where it did not pass on.
    Kept = 3,
    /// Seconds for which it stayed there.
    DwellS = 4,
    /// Accounts between which the money went on, this transfer among them.
    Hops = 5,
    /// Transfers of the cycle that closes, each passing on what came.
    Cycle = 6,
    /// Accounts by which somebody's money came to whoever receives.
    Middles = 7,
    /// Transfers of a crowd in which everybody pays several of the same.
    Crowd = 8,
    /// Sums just below the limit, sent and received.
    Below = 9,
    /// Young accounts among those that paid whoever receives.
    Young = 10,
    /// Sums that whoever sends passed on rapidly.
    Passed = 11,
    /// Days for which whoever sends was at rest before the money came.
    RestDays = 12,
    /// Transfers of the shortest cycle in order of time that closes, whatever the amounts.
    Circle = 13,
    /// The greatest score of what was found.
    Score = 14,
}

impl Figure {
    /// All, in their order.
    pub const ALL: [Figure; 15] = [
        Figure::Senders,
        Figure::Receivers,
        Figure::Feeders,
        Figure::Kept,
        Figure::DwellS,
        Figure::Hops,
        Figure::Cycle,
        Figure::Middles,
        Figure::Crowd,
        Figure::Below,
        Figure::Young,
        Figure::Passed,
        Figure::RestDays,
        Figure::Circle,
        Figure::Score,
    ];

    /// Its name in columns, and what it says.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Figure::Senders => ("senders", "accounts that paid whoever receives, this one among them"),
            Figure::Receivers => ("receivers", "accounts that whoever sends paid, this one among them"),
            Figure::Feeders => ("feeders", "accounts that paid whoever sends"),
            Figure::Kept => ("kept_permille", "of a thousand that came to whoever sends so many went on, 0 where it did not pass on"),
            Figure::DwellS => ("dwell_s", "seconds for which what is passed on had stayed with whoever sends"),
            Figure::Hops => ("hops", "transfers by which the money went from account to account, this one among them"),
            Figure::Cycle => ("closed", "transfers of the cycle that closes, each passing on what came, 0: none"),
            Figure::Middles => ("middles", "accounts by which one account's money came to whoever receives"),
            Figure::Crowd => ("crowd", "transfers among accounts that pay several of the same"),
            Figure::Below => ("below_limit", "sums just below the reporting limit, sent or received"),
            Figure::Young => ("young_senders", "young accounts among those that paid whoever receives"),
            Figure::Passed => ("passed_on", "sums that whoever sends passed on rapidly"),
            Figure::RestDays => ("rest_days", "days for which whoever sends was at rest before the money came"),
            Figure::Circle => ("circle", "transfers of the shortest cycle in order of time that closes, whatever the amounts, 0: none"),
            Figure::Score => ("score", "greatest score of a laundering typology, 0 to 1000"),
        }
    }
}

/// One match of a typology around a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub typology: Typology,
    /// The account in its middle.
    pub subject: Party,
    /// 1..=1000.
    pub score: u16,
    legs: (u32, u32),
    /// The budget ended the search before everything was seen.
    pub cut: bool,
}

/// What was found around one transfer.
#[derive(Clone, Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    legs: Vec<Leg>,
    figures: [i64; Figure::ALL.len()],
    /// Rows that were looked at.
    pub visits: u32,
}

impl Report {
    /// Room for what is found at most.
    pub fn with_room() -> Report {
        Report { findings: Vec::with_capacity(Typology::ALL.len()), legs: Vec::with_capacity(4096), ..Report::default() }
    }

    /// The findings, at most one a typology, in the order in which they are looked for.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The transfers that prove a finding, oldest first; the last is the one looked at.
    pub fn proofs(&self, finding: &Finding) -> &[Leg] {
        &self.legs[finding.legs.0 as usize..finding.legs.1 as usize]
    }

    /// A figure of the surroundings.
    pub fn figure(&self, figure: Figure) -> i64 {
        self.figures[figure as usize]
    }

    /// All figures, in their order.
    pub fn figures(&self) -> &[i64] {
        &self.figures
    }
}

/// One search under way.
struct Search<'a> {
    around: Surroundings<'a>,
    options: &'a LaunderingOptions,
    device: NodeId,
    /// Time of the oldest transfer or payment that is visible.
    seen_since: Timestamp,
    /// Everything that is visible is younger than accounts may be and still count as young: nobody's age means anything.
    is_early: bool,
    out: &'a mut Report,
    /// The cycle that closes, of accounts that pass on what came.
    closed: Option<flow::Way>,
    /// Where the proofs of the finding being made begin.
    proofs: usize,
}

/// Legs of one finding at most.
const PROOFS_MAX: usize = 64;

/// Looks around a transfer whose row is yet to come, for all typologies.
pub fn look(graph: &Graph, scratch: &mut Scratch, transfer: &Transfer, options: &LaunderingOptions, out: &mut Report) {
    out.findings.clear();
    out.legs.clear();
    out.figures = [0; Figure::ALL.len()];
    let around = Surroundings::new(graph, scratch, options.reach, transfer.leg);
    let ring = &graph.rings[Family::Money as usize];
    let seen_since = if ring.is_empty() { transfer.leg.time } else { ring.row(ring.tail().position).time };
    let is_early = seen_since > transfer.leg.time - options.young;
    let mut search = Search { around, options, device: transfer.device, seen_since, is_early, out, closed: None, proofs: 0 };
    search.all();
    search.out.visits = search.around.visits();
}

impl Search<'_> {
    /// The one table of the typologies: who looks for which, one after the other.
    fn all(&mut self) {
        self.fans();
        self.gather_scatter();
        self.scatter_gather();
        self.bipartite();
        self.flows();
        self.cycle();
        self.structuring();
        let score = self.out.findings.iter().map(|finding| i64::from(finding.score)).max();
        self.figure(Figure::Score, score.unwrap_or(0));
    }

    fn figure(&mut self, figure: Figure, value: i64) {
        self.out.figures[figure as usize] = value;
    }

    /// Adds a leg to the proofs of the finding being made, unless it is there.
    fn prove(&mut self, leg: Leg) {
        if !self.out.legs[self.proofs..].iter().any(|known| known.ordinal == leg.ordinal) {
            self.out.legs.push(leg);
        }
    }

    /// The proofs put in so far.
    fn proved(&self) -> &[Leg] {
        &self.out.legs[self.proofs..]
    }

    /// What the proofs put in so far amount to.
    fn proved_minor(&self) -> i64 {
        self.proved().iter().map(|leg| leg.amount_minor).sum()
    }

    /// Forgets the proofs of a finding that is none.
    fn disprove(&mut self) {
        self.out.legs.truncate(self.proofs);
    }

    /// Makes a finding of the proofs put in; where the transfer looked at is none of them it was told of before.
    fn found(&mut self, typology: Typology, subject: Party, score: i64) {
        let this = self.around.this.ordinal;
        if !self.proved().iter().any(|leg| leg.ordinal == this) {
            return self.disprove();
        }
        let mut cut = self.around.cut;
        let proofs = &mut self.out.legs[self.proofs..];
        proofs.sort_unstable_by_key(|leg| (leg.time, leg.ordinal));
        if proofs.len() > PROOFS_MAX {
            let spare = proofs.len() - PROOFS_MAX;
            self.out.legs.drain(self.proofs..self.proofs + spare);
            cut = true;
        }
        let legs = (self.proofs as u32, self.out.legs.len() as u32);
        self.out.findings.push(Finding { typology, subject, score: score.clamp(1, 1000) as u16, legs, cut });
        self.proofs = self.out.legs.len();
    }
}
