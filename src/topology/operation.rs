//! `[input]`, `[journal]` and `[topics]`: what concerns running, not deciding.

use super::section::Section;
use crate::event::Duration;
use crate::ingress::InputLimits;
use crate::journal::Durability;

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

/// `[topics]`: the names under which outputs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub decisions: String,
    pub rejected: String,
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
        segment_bytes: section.integer("segment_bytes", 1 << 20..=1 << 40) as u64,
        durability: section.word("durability", &Durability::ALL.map(|word| (word.name(), word))),
        sync_ms_max: section.integer("sync_ms_max", 1..=10_000) as u32,
        keep: Duration::DAY.times(section.integer("keep_days", 1..=36_500)),
        rejected_keep: Duration::DAY.times(section.integer("rejected_keep_days", 1..=36_500)),
    };
    section.finish();
    options
}

/// Reads `[topics]`.
pub(super) fn read_topics(section: &Section) -> Topics {
    let topic = |key: &str| {
        let expected = "a topic's name: letters, digits, dots, _ and -";
        let name = section.text(key, expected, 249);
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            section.error(key, format!("{name:?}"), expected);
        }
        name
    };
    let topics = Topics { decisions: topic("decisions"), rejected: topic("rejected") };
    if topics.decisions == topics.rejected && section.is_sound() {
        section.error("rejected", format!("{:?}, which is the topic of decisions too", topics.rejected), "a name of its own");
    }
    section.finish();
    topics
}
