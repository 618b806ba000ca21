//! What is counted: the declarations behind `[aggregate.*]`.

use crate::event::{Duration, EventType, IdKind, slot_kinds};

/// A place of an entity in an event: its slot in the event's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(pub u8);

impl Role {
    /// The names of the slots of events of this type: those of the contract's fields.
    pub fn names(of: EventType) -> &'static [&'static str] {
        match of {
            EventType::Payment => &["user", "merchant", "device", "card", "ip"],
            EventType::Transfer => &["from", "to", "user", "device"],
            EventType::Session => &["user", "device", "ip"],
            EventType::Interaction => &["user", "item", "merchant", "device"],
            _ => &[],
        }
    }

    /// The role called `name` in events of type `of`.
    pub fn parse(of: EventType, name: &str) -> Option<Role> {
        Role::names(of).iter().position(|n| *n == name).map(|slot| Role(slot as u8))
    }

    /// This role's name in events of type `of`.
    pub fn name(self, of: EventType) -> &'static str {
        Role::names(of)[usize::from(self.0)]
    }

    /// The kind of entity in this role.
    pub fn kind(self, of: EventType) -> IdKind {
        slot_kinds(of)[usize::from(self.0)].expect("a role names a filled slot")
    }
}

/// One figure of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stat {
    /// Events, by window.
    Count,
    /// Reporting minor units, by window.
    Sum,
    /// The largest amount among the key's recent 16 events (no window).
    Max,
    /// Different entities in this role, by window. Not with a filter.
    Distinct(Role),
    /// Events of this very pair of key and role within the longest window, and the time since the newest. Not with a filter.
    Pair(Role),
}

/// One declared aggregate: figures over the events of one type that share one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    pub name: String,
    pub key: Role,
    pub of: EventType,
    /// A rule over the event's own fields (CEL); only events for which it holds are counted.
    pub filter: Option<String>,
    /// Sliding windows `(T - w, T]`, ascending, at most [`WINDOWS_MAX`] over all aggregates of a family.
    pub windows: Vec<Duration>,
    pub stats: Vec<Stat>,
    /// Windows of the delayed-label rates, ascending, at most [`LABEL_WINDOWS_MAX`] over all aggregates of a family: of the events
    /// with time in `(T - maturity - w, T]` those whose verdict is known. Empty: no label rates.
    pub label_windows: Vec<Duration>,
}

/// The most different windows in a family.
pub const WINDOWS_MAX: usize = 8;
/// The most different label windows in a family.
pub const LABEL_WINDOWS_MAX: usize = 6;
/// The most aggregates in a family: each has a bit in the row.
pub const AGGREGATES_MAX: usize = 10;
/// The most pair kinds in a family: each has a bit in the row.
pub const PAIR_KINDS_MAX: usize = 4;
/// The most different maturities among the sources.
pub const MATURITIES_MAX: usize = 8;
