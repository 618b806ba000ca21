//! `[limits]`, `[dedupe]`, `[time]` and `[labels]`: how much is kept, and for how long.

use super::quantity::DURATION_MAX;
use super::section::Section;
use crate::engine::{AlertLimits, LabelOptions};
use crate::event::Duration;
use crate::graph::{Family, FamilyLimits, Limits};

/// Whether a text holds planning and convenience too, or only what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A topology as people write it.
    Planned,
    /// A canonical text.
    Canonical,
}

/// `[limits]`.
pub(super) struct LimitsSection {
    pub limits: Limits,
    pub list_entries_max: u32,
    pub alerts: AlertLimits,
    pub batch_events_max: usize,
    pub events_per_day: [u64; 3],
}

/// Reads `[limits]`.
pub(super) fn read(root: &Section, form: Form) -> LimitsSection {
    let section = root.section("limits");
    let count = |section: &Section, key: &str, least: i64, most: i64| section.integer(key, least..=most) as u32;
    let mut events_per_day = [0; 3];
    let families = Family::ALL.map(|family| {
        let section = section.section(family.name());
        if form == Form::Planned {
            events_per_day[family as usize] = section.integer("events_per_day", 1..=10_000_000_000) as u64;
        }
        let limits = FamilyLimits {
            // A row's position shares a 32-bit word with four bits of tag.
            rows_max: count(&section, "rows_max", 1, (1 << 28) - 1),
            warm_nodes_max: count(&section, "warm_nodes_max", 0, 1 << 28),
            pairs_max: count(&section, "pairs_max", 0, 1 << 30),
            late_rows_max: count(&section, "late_rows_max", 0, (1 << 28) - 1),
        };
        section.finish();
        limits
    });
    let limits = Limits { nodes_max: count(&section, "nodes_max", 1, 1 << 30), ids_max: count(&section, "ids_max", 1, 1 << 30), families };
    let list_entries_max = count(&section, "list_entries_max", 0, 1 << 26);
    let alerts = AlertLimits {
        alerts_max: count(&section, "alerts_max", 0, 1 << 20),
        members_max: count(&section, "alert_members_max", 1, 1024),
        edges_max: count(&section, "alert_edges_max", 1, 1024),
        evidence_rows_max: count(&section, "evidence_rows_max", 0, 1 << 28),
    };
    let batch_events_max = match form {
        Form::Planned => section.integer("batch_events_max", 1..=65_536) as usize,
        Form::Canonical => 0,
    };
    section.finish();
    LimitsSection { limits, list_entries_max, alerts, batch_events_max, events_per_day }
}

/// `[dedupe]`, `[time]` and `[labels]`.
pub(super) struct TimeSections {
    pub dedupe: Duration,
    pub future_skew_max: Duration,
    /// For sources that name none of their own.
    pub jump_max: Duration,
    pub labels: LabelOptions,
}

/// Reads `[dedupe]`, `[time]` and `[labels]`.
pub(super) fn read_time(root: &Section, form: Form) -> TimeSections {
    let section = root.section("dedupe");
    let dedupe = Duration::DAY.times(section.integer("days", 1..=3650));
    section.finish();
    let section = root.section("time");
    let future_skew_max = section.duration("future_skew_max", Duration(0)..=DURATION_MAX);
    let jump_max = match form {
        Form::Planned => section.duration("jump_max", Duration(1)..=DURATION_MAX),
        Form::Canonical => Duration(0),
    };
    section.finish();
    let section = root.section("labels");
    let labels = LabelOptions {
        maturity: section.duration("maturity", Duration(0)..=DURATION_MAX),
        known: section.duration("known", Duration::DAY..=DURATION_MAX),
    };
    section.finish();
    TimeSections { dedupe, future_skew_max, jump_max, labels }
}
