//! `[alert]`: what calls for a person's attention, and how often.

use super::quantity::DURATION_MAX;
use super::section::Section;
use crate::engine::{AlertLimits, AlertOptions};
use crate::event::Duration;
use crate::graph::RECENT;
use crate::typology::TypologyOptions;

/// Reads `[alert]`; `limits` stand among the limits.
pub(super) fn read(section: &Section, limits: AlertLimits) -> AlertOptions {
    let count = |key: &str, least: i64, most: i64| section.integer(key, least..=most) as u32;
    let most = RECENT as i64;
    let options = AlertOptions {
        limits,
        per_hour: count("per_hour", 0, 1_000_000),
        close_after: section.duration("close_after", Duration::MINUTE..=DURATION_MAX),
        typologies: TypologyOptions {
            window: section.duration("window", Duration::MINUTE..=DURATION_MAX),
            users_min: count("users_min", 2, most),
            cards_min: count("cards_min", 2, most),
            testing_window: section.duration("testing_window", Duration::SECOND..=DURATION_MAX),
            bads_min: count("bads_min", 1, 1_000_000),
            bads_percent: count("bads_percent", 0, 100),
        },
    };
    section.finish();
    options
}
