//! `[alert]`: what calls for a person's attention, and how often.

use super::quantity::DURATION_MAX;
use super::section::Section;
use crate::engine::{AlertLimits, AlertOptions, Threshold};
use crate::event::Duration;
use crate::graph::RECENT;
use crate::typology::{Typology, TypologyOptions};

/// `[alert]`, without the limits, which stand among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calling {
    pub per_hour: u32,
    pub close_after: Duration,
    pub typologies: TypologyOptions,
    pub laundering: [Threshold; Typology::LAUNDERING.len()],
}

impl Calling {
    /// The options of alerts that have so much room.
    pub fn within(self, limits: AlertLimits) -> AlertOptions {
        let Calling { per_hour, close_after, typologies, laundering } = self;
        AlertOptions { limits, per_hour, close_after, typologies, laundering }
    }
}

impl From<AlertOptions> for Calling {
    fn from(options: AlertOptions) -> Calling {
        let AlertOptions { per_hour, close_after, typologies, laundering, .. } = options;
        Calling { per_hour, close_after, typologies, laundering }
    }
}

/// Reads `[alert]`.
pub(super) fn read(section: &Section) -> Calling {
    let count = |key: &str, least: i64, most: i64| section.integer(key, least..=most) as u32;
    let most = RECENT as i64;
    let calling = Calling {
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
        laundering: read_thresholds(&section.section("laundering")),
    };
    section.finish();
    calling
}

/// Reads `[alert.laundering]`: by typology, from which scores on.
fn read_thresholds(section: &Section) -> [Threshold; Typology::LAUNDERING.len()] {
    let read = |at: usize| {
        let of = section.section(Typology::LAUNDERING[at].name());
        // One above the greatest score: never.
        let score = |key: &str| of.integer(key, 1..=1_001) as u16;
        let threshold = Threshold { alert: score("alert"), interdict: score("interdict") };
        of.finish();
        threshold
    };
    let thresholds = std::array::from_fn(read);
    section.finish();
    thresholds
}
