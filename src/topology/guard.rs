//! `[guard]`: how far a mistake in the policy may reach.

use super::quantity::DURATION_MAX;
use super::section::Section;
use crate::engine::GuardOptions;
use crate::event::Duration;

/// Reads `[guard]`.
pub(super) fn read(section: &Section) -> GuardOptions {
    let options = GuardOptions {
        window: section.duration("window", Duration::SECOND..=Duration::DAY),
        declines_min: section.integer("declines_min", 1..=1_000_000) as u64,
        share_percent: section.integer("share_percent", 0..=100) as u64,
        multiple: section.integer("multiple", 0..=1_000) as u64,
        rest: section.duration("rest", Duration(0)..=DURATION_MAX),
    };
    section.finish();
    options
}
