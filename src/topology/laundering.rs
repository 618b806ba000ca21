//! `[laundering]`: what is looked at around a transfer, and what its typologies take for what.

use super::canonical::Text;
use super::quantity::DURATION_MAX;
use super::section::Section;
use crate::event::Duration;
use crate::typology::laundering::{LaunderingOptions, Reach};

/// Minor units of the reporting currency at most.
const MINOR_MAX: i64 = 1 << 40;

/// Reads `[laundering]`.
pub(super) fn read(section: &Section) -> LaunderingOptions {
    let minor = |key: &str| section.integer(key, 0..=MINOR_MAX);
    let time = |key: &str| section.duration(key, Duration::MINUTE..=DURATION_MAX);
    let options = LaunderingOptions {
        reach: Reach {
            window: time("window"),
            rows_max: section.integer("rows_max", 8..=1_024) as u32,
            visits_max: section.integer("visits_max", 64..=65_536) as u32,
            busy_min: section.integer("busy_min", 4..=1_000_000) as u32,
        },
        dwell: time("dwell"),
        rapid: time("rapid"),
        kept_permille: section.integer("kept_permille", 1..=1_000),
        exceeds_permille: section.integer("exceeds_permille", 1_000..=2_000),
        leg_minor: minor("leg_minor"),
        sum_minor: minor("sum_minor"),
        flow_minor: minor("flow_minor"),
        bulk_counts: section.flag("bulk_counts"),
        limit_minor: minor("limit_minor"),
        young: time("young"),
        rest: time("rest"),
    };
    section.finish();
    options
}

/// `[laundering]` as TOML.
pub(super) fn write(options: &LaunderingOptions, out: &mut Text) {
    out.table("laundering");
    out.flag("bulk_counts", options.bulk_counts);
    out.number("busy_min", options.reach.busy_min);
    out.duration("dwell", options.dwell);
    out.number("exceeds_permille", options.exceeds_permille);
    out.number("flow_minor", options.flow_minor);
    out.number("kept_permille", options.kept_permille);
    out.number("leg_minor", options.leg_minor);
    out.number("limit_minor", options.limit_minor);
    out.duration("rapid", options.rapid);
    out.duration("rest", options.rest);
    out.number("rows_max", options.reach.rows_max);
    out.number("sum_minor", options.sum_minor);
    out.number("visits_max", options.reach.visits_max);
    out.duration("window", options.reach.window);
    out.duration("young", options.young);
}
