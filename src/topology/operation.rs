//! `[input]`, `[journal]`, `[snapshot]`, `[topics]`, `[authorize]` and `[stand_in]`: what concerns running, not deciding.

use super::document::Log;
use super::lists;
use super::section::Section;
use super::source::topic_name;
use crate::decision::{ListsOptions, Outcome, StandIn};
use crate::event::Duration;
use crate::ingress::InputLimits;
use crate::journal::Durability;
use std::net::SocketAddr;

/// `[journal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment's file is closed when it has grown to this.
    pub segment_bytes: u64,
    pub durability: Durability,
    /// The most milliseconds between two fdatasyncs while records come.
    pub sync_ms_max: u32,
    /// Segments whose newest record was received this long ago may go.
    pub keep: Duration,
    /// The raw text of rejected records may hold what must be erasable: it goes after this.
    pub rejected_keep: Duration,
}

/// `[snapshot]`: images of the engine, from which a restart goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// After so many records one is taken.
    pub records: u64,
    /// After so long one is taken, where a record came.
    pub every: std::time::Duration,
    /// Snapshots kept.
    pub keep: usize,
    /// Memory for what is on its way to the disk.
    pub copy_bytes_max: usize,
}

/// `[topics]`: the names under which outputs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Where events are told that came through the doors.
    pub events: String,
    pub decisions: String,
    /// What the engine knows of them, laundering included: it has its own access.
    pub decisions_internal: String,
    /// As well.
    pub alerts: String,
    pub rejected: String,
}

impl Topics {
    /// Each with its key in the topology.
    pub fn all(&self) -> [(&'static str, &str); 5] {
        let Topics { events, decisions, decisions_internal, alerts, rejected } = self;
        [
            ("events", events),
            ("decisions", decisions),
            ("decisions_internal", decisions_internal),
            ("alerts", alerts),
            ("rejected", rejected),
        ]
    }
}

/// `[authorize]`: the hook and what waits behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeOptions {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// How long a caller waits that does not say.
    pub deadline: Duration,
    pub deadline_max: Duration,
    /// The most callers that wait at one time.
    pub waiting_max: usize,
    /// The most events without a caller that wait for the journal.
    pub stream_waiting_max: usize,
    /// From so many records that the engine is behind on, events are judged by rules alone.
    pub rules_only_from: u64,
    /// Above this share of stand-ins in a minute, in percent, the service says that it is not ready.
    pub stand_in_percent_max: u64,
    /// What an answer waits for before it leaves.
    pub wait_for: WaitFor,
}

/// What an answer of the hook waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitFor {
    /// The journal, as `[journal] durability` says.
    #[default]
    Journal,
    /// That its decision is committed in the topic; until the deadline, then it leaves all the same and says so.
    Kafka,
}

impl WaitFor {
    /// Both, each with its word in the topology.
    const WORDS: [(&'static str, WaitFor); 2] = [("journal", WaitFor::Journal), ("kafka", WaitFor::Kafka)];
}

/// Reads `[authorize]`.
pub(super) fn read_authorize(section: &Section) -> AuthorizeOptions {
    let expected = "an address and a port, such as 127.0.0.1:8080";
    let listen = section.text("listen", expected, 64);
    let listen = listen.parse().unwrap_or_else(|_| {
        if section.is_sound() {
            section.error("listen", format!("{listen:?}"), expected);
        }
        SocketAddr::from(([127, 0, 0, 1], 8080))
    });
    let millisecond = Duration(1_000);
    let options = AuthorizeOptions {
        listen,
        deadline: section.duration("deadline", millisecond..=Duration::SECOND.times(60)),
        deadline_max: section.duration("deadline_max", millisecond..=Duration::SECOND.times(60)),
        waiting_max: section.integer("waiting_max", 1..=10_000_000) as usize,
        stream_waiting_max: section.integer("stream_waiting_max", 1..=10_000_000) as usize,
        rules_only_from: section.integer("rules_only_from", 1..=1 << 40) as u64,
        stand_in_percent_max: section.integer("stand_in_percent_max", 0..=100) as u64,
        wait_for: section.word("wait_for", &WaitFor::WORDS),
    };
    if section.is_sound() && options.deadline > options.deadline_max {
        section.error("deadline", options.deadline, format_args!("at most authorize.deadline_max ({})", options.deadline_max));
    }
    section.finish();
    options
}

/// Reads `[stand_in]`.
pub(super) fn read_stand_in(section: &Section, lists: &ListsOptions, log: &Log) -> StandIn {
    let stand_in = StandIn {
        declined_by: lists::read_declining(section, lists, log),
        approve_below_minor: section.integer("approve_below", 0..=1 << 47),
        otherwise: section.word("otherwise", &Outcome::ALL.map(|outcome| (outcome.name(), outcome))),
    };
    section.finish();
    stand_in
}

/// Reads `[input]`.
pub(super) fn read_input(section: &Section) -> InputLimits {
    let bytes = |key: &str, least: i64, most: i64| section.integer(key, least..=most) as usize;
    let limits = InputLimits {
        line_bytes_max: bytes("line_bytes_max", 256, 16 << 20),
        // The contract of events allows no longer ids.
        id_bytes_max: bytes("id_bytes_max", 1, 64),
        rejected_bytes_max: bytes("rejected_bytes_max", 0, 1 << 20),
    };
    section.finish();
    limits
}

/// Reads `[journal]`.
pub(super) fn read_journal(section: &Section) -> JournalOptions {
    let options = JournalOptions {
        segment_bytes: section.integer("segment_bytes", 1 << 16..=1 << 40) as u64,
        durability: section.word("durability", &Durability::ALL.map(|word| (word.name(), word))),
        sync_ms_max: section.integer("sync_ms_max", 1..=10_000) as u32,
        keep: Duration::DAY.times(section.integer("keep_days", 1..=36_500)),
        rejected_keep: Duration::DAY.times(section.integer("rejected_keep_days", 1..=36_500)),
    };
    section.finish();
    options
}

/// Reads `[snapshot]`.
pub(super) fn read_snapshot(section: &Section) -> SnapshotOptions {
    let every = section.duration("every", Duration(100_000)..=Duration::DAY);
    let options = SnapshotOptions {
        records: section.integer("records", 1..=1 << 40) as u64,
        every: std::time::Duration::from_micros(every.0.unsigned_abs()),
        keep: section.integer("keep", 1..=1_000) as usize,
        copy_bytes_max: section.integer("copy_bytes_max", 1 << 20..=1 << 34) as usize,
    };
    section.finish();
    options
}

/// Reads `[topics]`.
pub(super) fn read_topics(section: &Section) -> Topics {
    let topic = |key: &str| {
        let item = section.need(key, "a topic's name");
        item.and_then(|item| topic_name(&item)).unwrap_or_default().to_string()
    };
    let topics = Topics {
        events: topic("events"),
        decisions: topic("decisions"),
        decisions_internal: topic("decisions_internal"),
        alerts: topic("alerts"),
        rejected: topic("rejected"),
    };
    let all = topics.all();
    for (place, (key, name)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..place].iter().find(|(_, other)| other == name).filter(|_| section.is_sound()) {
            section.error(key, format!("{name:?}, which is the topic of {other} too"), "a name of its own");
        }
    }
    section.finish();
    topics
}
