//! Records: how the journal orders what happened.

use super::{Event, EventType, Id, Refused, Timestamp};

/// Position in the journal: the only order that decides what an event may see. The first record has sequence 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Where a record came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source in the topology's list (sorted by name), or [`Origin::ENGINE`].
    pub source: u16,
    /// The file among a source's files, or the Kafka partition.
    pub partition: u32,
    /// The row or line in the file, from 0, or the Kafka offset.
    pub offset: u64,
}

impl Origin {
    /// The source of records that no source sent: control records and ticks.
    pub const ENGINE: u16 = u16::MAX;
    /// The door of the authorization hook.
    pub const HOOK: u16 = u16::MAX - 1;
    /// The door through which events come that nobody waits for.
    pub const DOOR: u16 = u16::MAX - 2;

    /// The origin of control records and ticks.
    pub fn engine() -> Origin {
        Origin { source: Origin::ENGINE, partition: 0, offset: 0 }
    }
}

/// How much of the engine judges an event; chosen by the runtime before the record is written, obeyed by the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Effort {
    #[default]
    Full = 0,
    NoExplanation = 1,
    NoTypologies = 2,
    NoGnn = 3,
    RulesOnly = 4,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub sequence: Sequence,
    /// The runtime's clock when the record was written; for files the greatest event time read before it.
    pub received: Timestamp,
    pub origin: Origin,
    pub effort: Effort,
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Event(Event),
    /// Input that a source could not turn into an event. It passes through the journal so that its place among the outputs is fixed.
    Refused(Refused),
    Control(Control),
    /// Somebody is put on a list or taken off one: a control record that holds its content itself.
    Listed(ListChange),
    /// A stand-in answered for an event that was not judged in time.
    Answered(Answered),
    /// A label or result whose target is not known yet: it waits, and the engine makes nothing of it until it comes as an event.
    Waiting(Event),
    /// How far a source is behind from here on: a control record that holds its content itself.
    Lag(SourceLag),
    /// Moves stream time through silence.
    Tick(Timestamp),
}

/// How far a source of a stream is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLag {
    /// As [`Origin::source`].
    pub source: u16,
    /// Milliseconds between the newest event read and now, while there are more to read; 0 at the end of the topic.
    pub behind_ms: u64,
}

/// A change to what decides, in the journal's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub kind: ControlKind,
    /// SHA-256 of the blob that holds the new content, kept as long as the journal.
    pub blob: [u8; 32],
}

impl Control {
    /// The record that says that no model is in force from there on.
    pub const NO_MODEL: Control = Control { kind: ControlKind::Model, blob: [0; 32] };

    /// Whether there is a blob of this name.
    pub fn names_blob(&self) -> bool {
        *self != Control::NO_MODEL
    }
}

/// What a control record changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ControlKind {
    /// What of the topology decides: limits, aggregates, sources' maturities, money.
    Topology = 1,
    /// Rules, velocity limits, thresholds.
    Policy = 2,
    /// Who leads from here on, and in which epoch: a standby was promoted. It decides nothing.
    Leader = 3,
    /// The model that judges from the next record on.
    Model = 4,
    /// Forward passes run elsewhere from here on: another device has them, or theirs is lost. It decides nothing: every backend gives the
    /// same bits.
    Backend = 5,
}

/// A change to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// The list's number among those of the topology, which are sorted by name.
    pub list: u16,
    pub id: Id,
    /// It counts while stream time lies before this; `None`: it is taken off.
    pub until: Option<Timestamp>,
}

/// What a stand-in answered, journalled before its bytes leave, so that retry, topic and replay give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub event: Id,
    /// [`Event::fingerprint`] of the event that was answered.
    pub fingerprint: u64,
    pub kind: EventType,
    /// The topic's key.
    pub key: Id,
    /// Event time.
    pub time: Timestamp,
    /// 2 where the event's own record stands before this one, else 1.
    pub revision: u8,
    /// The number of the outcome, by severity, 0 to 3.
    pub outcome: u8,
    pub why: StandInWhy,
}

/// Why a stand-in answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StandInWhy {
    /// The caller's deadline was over.
    Deadline = 1,
    /// The shard's graph is being restored.
    ColdShard = 2,
}
