//! What Weir answers: outcome, risk score and reasons of one event.

mod control;
mod lists;
mod options;
mod policy;
mod reason;
mod rule;
mod stand_in;

pub use control::{SHARE_ONE, is_control, let_through};
pub use lists::{Effect, LISTED_KINDS, LISTS_MAX, ListLadder, ListOptions, Listed, ListsOptions};
pub use options::{PolicyOptions, RuleOptions, Thresholds, VelocityLimit};
pub use policy::{CAUSES_TOLD_MAX, CauseList, Declining, GUARDED_MAX, Policy, PolicyError, Suspicion, Verdict, Yields};
pub use reason::{Audience, Reason, ReasonCode, Reasons};
pub use rule::{EvaluationError, OPS_MAX, Program, REGISTERS_MAX, RuleError, SOURCE_BYTES_MAX};
pub use stand_in::StandIn;

use crate::event::{Answered, EventType, Id, Sequence, StandInWhy, Timestamp};

/// The answer to a payment or transfer, in order of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    #[default]
    Approve = 0,
    /// Step-up: ask the customer to prove who they are.
    Challenge = 1,
    /// Hold for a person.
    Review = 2,
    Decline = 3,
}

impl Outcome {
    /// All outcomes, by severity.
    pub const ALL: [Outcome; 4] = [Outcome::Approve, Outcome::Challenge, Outcome::Review, Outcome::Decline];

    /// The word in decisions and topology.
    pub fn name(self) -> &'static str {
        ["approve", "challenge", "review", "decline"][self as usize]
    }
}

/// How the decision came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Everything configured was used.
    #[default]
    Evaluated = 0,
    /// A configured part was skipped.
    Degraded = 1,
    /// A stand-in answered.
    Fallback = 2,
}

impl Status {
    /// All, by number.
    pub const ALL: [Status; 3] = [Status::Evaluated, Status::Degraded, Status::Fallback];

    /// The word in decisions.
    pub fn name(self) -> &'static str {
        ["evaluated", "degraded", "fallback"][self as usize]
    }
}

/// A part of the judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Part {
    Rules = 0,
    Velocity = 1,
    Gnn = 2,
    Typology = 3,
    /// Entities of the event that could not be kept.
    Graph = 4,
    /// The event's amount in the reporting currency.
    Money = 5,
    /// One window of the aggregates; [`Skip::value`] holds its length in microseconds.
    Window = 6,
    /// Distinct counterparts and pairs.
    Distinct = 7,
    /// All of it: a stand-in answered.
    Judgement = 8,
    /// What a source has sent and nobody read yet; [`Skip::window`] holds the source's number.
    Stream = 9,
}

impl Part {
    /// All parts, by number.
    pub const ALL: [Part; 10] = [
        Part::Rules,
        Part::Velocity,
        Part::Gnn,
        Part::Typology,
        Part::Graph,
        Part::Money,
        Part::Window,
        Part::Distinct,
        Part::Judgement,
        Part::Stream,
    ];

    /// The word in `used` and `skipped`; a window's carries its length behind it (`window_30d`).
    pub fn name(self) -> &'static str {
        ["rules", "velocity", "gnn", "typology", "graph", "money", "window", "distinct", "judgement", "stream"][self as usize]
    }
}

/// Why a part was skipped: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Why {
    /// No model is configured; does not degrade.
    NoModel = 0,
    /// No typologies are configured; does not degrade.
    NoTypologies = 1,
    /// The record's effort asked for less.
    Effort = 2,
    /// The node table is full: an entity of this event is not kept.
    NodesFull = 3,
    /// The pool of warm nodes is full: an entity's windows know only its newest four events.
    WarmNodesFull = 4,
    /// The ring was too small for the traffic: history since the moment in [`Skip::value`] (microseconds since 1970).
    HistorySince = 5,
    /// The table of pairs was full within the longest window.
    PairsFull = 6,
    /// The ring of late events was full within the longest window.
    LateFull = 7,
    /// No rate for the event's currency.
    NoRate = 8,
    /// A rule's arithmetic overflowed or divided by zero; [`Skip::value`] holds the rule's index in the policy.
    RuleError = 9,
    /// The caller's deadline was over before the event was judged.
    Deadline = 10,
    /// A cause suddenly declines so many that it is a mistake more likely than an attack: it yields. [`Skip::value`] holds its index in the
    /// policy, -1 for all causes together.
    Guarded = 11,
    /// What the model says is no number, or infinite: its parameters are too large for an event like this.
    NoNumber = 12,
    /// The source is further behind than it may be: by the seconds in [`Skip::value`].
    Behind = 13,
    /// The shard's graph is being restored: a stand-in answered in its place.
    ColdShard = 14,
}

impl Why {
    /// All causes, by number.
    pub const ALL: [Why; 15] = [
        Why::NoModel,
        Why::NoTypologies,
        Why::Effort,
        Why::NodesFull,
        Why::WarmNodesFull,
        Why::HistorySince,
        Why::PairsFull,
        Why::LateFull,
        Why::NoRate,
        Why::RuleError,
        Why::Deadline,
        Why::Guarded,
        Why::NoNumber,
        Why::Behind,
        Why::ColdShard,
    ];

    /// Whether it makes a decision `degraded`: what is not configured does not.
    pub fn degrades(self) -> bool {
        !matches!(self, Why::NoModel | Why::NoTypologies)
    }
}

/// One entry of `skipped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    pub part: Part,
    pub why: Why,
    /// A window's length, a moment or an index, as `part` and `why` say; else 0. Where a window lacks history it is the moment, and
    /// the window's length stands in `window`.
    pub value: i64,
    /// A window's length in microseconds where `part` is [`Part::Window`], a source's number where it is [`Part::Stream`], else 0.
    pub window: i64,
}

/// The most entries of `skipped`; what does not fit is left out, the status stays `degraded`.
pub const SKIPS_MAX: usize = 12;

/// The entries of `skipped`, in the order in which they were found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skips {
    entries: [Skip; SKIPS_MAX],
    count: u8,
}

impl Default for Skips {
    fn default() -> Skips {
        let none = Skip { part: Part::Rules, why: Why::NoModel, value: 0, window: 0 };
        Skips { entries: [none; SKIPS_MAX], count: 0 }
    }
}

impl Skips {
    /// Adds `skip` unless it stands there already or no place is left.
    pub fn push(&mut self, skip: Skip) {
        let count = usize::from(self.count);
        if count < SKIPS_MAX && !self.as_slice().contains(&skip) {
            self.entries[count] = skip;
            self.count += 1;
        }
    }

    /// The entries.
    pub fn as_slice(&self) -> &[Skip] {
        &self.entries[..usize::from(self.count)]
    }
}

/// A set of [`Part`]s that were used; the judgement as a whole is never among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(pub u8);

impl Parts {
    /// This set with `part` in it.
    pub fn with(self, part: Part) -> Parts {
        Parts(self.0 | 1 << part as u8)
    }

    /// This set without `part`.
    pub fn without(self, part: Part) -> Parts {
        Parts(self.0 & !(1 << part as u8))
    }

    /// Whether `part` is in it.
    pub fn contains(self, part: Part) -> bool {
        (part as u32) < u8::BITS && self.0 & (1 << part as u8) != 0
    }
}

/// Content hashes (the first 128 bits of SHA-256) of what was in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// `None` while no model is configured.
    pub model: Option<[u8; 16]>,
    pub policy: [u8; 16],
    pub topology: [u8; 16],
}

/// The judgement of one payment or transfer. It holds nothing that a replay could not repeat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    pub event: Id,
    pub kind: EventType,
    /// The topic's key: the user, or for transfers the paying account (the receiving one where the payer is the world outside).
    pub key: Id,
    /// 1, or 2 where a stand-in answered too.
    pub revision: u8,
    pub sequence: Sequence,
    /// Event time.
    pub time: Timestamp,
    /// The severer of what everybody may know the reasons of and what is suspected.
    pub outcome: Outcome,
    /// 0..=1000; here and in all that follows, as if nothing were suspected.
    pub risk_score: u16,
    /// What the model says: of fraud for a payment, of laundering for a transfer. `None` where none judged it.
    pub probability: Option<f32>,
    /// Strongest first.
    pub reasons: Reasons,
    /// Where it would have been declined and goes through as one of the control group: with which probability such an event does, in
    /// billionths ([`SHARE_ONE`]).
    pub control_group: Option<u32>,
    pub status: Status,
    pub used: Parts,
    pub skipped: Skips,
    pub provenance: Provenance,
    /// For AML alone.
    pub suspicion: Suspicion,
}

impl Decision {
    /// Probability of fraud, of a payment that a model judged.
    pub fn fraud_probability(&self) -> Option<f32> {
        self.probability.filter(|_| self.kind == EventType::Payment)
    }

    /// Probability of laundering, of a transfer that a model judged. Nobody outside AML may be told.
    pub fn aml_probability(&self) -> Option<f32> {
        self.probability.filter(|_| self.kind == EventType::Transfer)
    }

    /// Whether a stand-in gave it.
    pub fn is_stand_in(&self) -> bool {
        self.status == Status::Fallback || self.skipped.as_slice().iter().any(|skip| skip.why == Why::ColdShard)
    }

    /// What a stand-in answered, as the record at `sequence` says.
    pub fn stand_in(sequence: Sequence, answered: &Answered, provenance: Provenance) -> Decision {
        let (part, why, status) = match answered.why {
            StandInWhy::Deadline => (Part::Judgement, Why::Deadline, Status::Fallback),
            StandInWhy::ColdShard => (Part::Graph, Why::ColdShard, Status::Degraded),
        };
        let mut skipped = Skips::default();
        skipped.push(Skip { part, why, value: 0, window: 0 });
        Decision {
            event: answered.event,
            kind: answered.kind,
            key: answered.key,
            revision: answered.revision,
            sequence,
            time: answered.time,
            outcome: Outcome::ALL[usize::from(answered.outcome & 3)],
            risk_score: 0,
            probability: None,
            reasons: Reasons::default(),
            control_group: None,
            status,
            used: Parts::default(),
            skipped,
            provenance,
            suspicion: Suspicion::default(),
        }
    }
}
