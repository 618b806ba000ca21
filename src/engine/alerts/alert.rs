//! What an alert says: a call for attention, growing by versions.

use crate::event::{EventType, Id, IdKind, Sequence, Timestamp};
use crate::typology::{Kind, Typology};

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AlertStatus {
    Open = 0,
    /// Somebody does not want to hear of its subject for a while; it goes on counting.
    Suppressed = 1,
    /// Nothing came for a while, or what it told of is over.
    Closed = 2,
    /// Another one has taken it in.
    Merged = 3,
}

impl AlertStatus {
    /// All, by number.
    pub const ALL: [AlertStatus; 4] = [AlertStatus::Open, AlertStatus::Suppressed, AlertStatus::Closed, AlertStatus::Merged];

    /// The word in alerts.
    pub fn name(self) -> &'static str {
        ["open", "suppressed", "closed", "merged"][self as usize]
    }
}

/// Whom an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Entity(IdKind, Id),
    /// A cause of the policy with this name; `None`: all declines of events of this type.
    Cause {
        policy: [u8; 16],
        cause: Option<u16>,
        of: EventType,
    },
}

/// Somebody who belongs to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub kind: IdKind,
    pub id: Id,
}

/// A payment that proves an alert, between the two entities that its typology looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: Id,
    pub to: Id,
    /// Reporting minor units.
    pub amount_minor: i64,
    pub time: Timestamp,
    pub event: Id,
}

/// One version of an alert. It holds all that is kept of it, not only what is new.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The record at which it came to this.
    pub sequence: Sequence,
    /// Of what is aml nobody outside of AML may hear.
    pub kind: Kind,
    /// Alerts of a kind are numbered in the order in which they were opened, from 1.
    pub number: u64,
    /// From 1.
    pub version: u32,
    pub status: AlertStatus,
    pub subject: Subject,
    /// What gives it its score.
    pub typology: Typology,
    /// All that were seen, a bit each, by their numbers.
    pub typologies: u32,
    /// 0..=1000.
    pub score: u16,
    /// There is more than was looked at, or than there is room for.
    pub cut: bool,
    /// Stream time.
    pub opened_at: Timestamp,
    /// Event time of the first and the last of its events.
    pub first_event: Timestamp,
    pub last_event: Timestamp,
    /// Events in all.
    pub events: u64,
    /// What they amount to, in reporting minor units.
    pub money_minor: i64,
    /// The alert that has taken this one in.
    pub merged_into: Option<u64>,
    /// In the order in which they came.
    pub members: Vec<Member>,
    /// The first half of those for which there is room are the oldest, the others the newest.
    pub edges: Vec<Edge>,
}
