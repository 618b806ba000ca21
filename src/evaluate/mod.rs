//! How good probabilities are, once it is known what the events were: ranking, cards found a day, calibration; and, while a model serves,
//! drift, precision and recall.
//!
//! Pure functions of judged events in double precision; nothing here reads or writes. Where a figure has no value – no ranking without both
//! kinds of events, no card without a user – it is `None`, never a number that looks like one.

mod calibration;
mod card;
mod cards;
mod drift;
mod maturing;
mod patterns;
mod plot;
mod ranking;
mod report;
mod table;
#[cfg(test)]
mod tests;

pub use calibration::{Bin, brier, equal_mass, expected_calibration_error, top_ventiles};
pub use card::{Card, CardError};
pub use cards::{CardDay, OnCard, card_precision};
pub use drift::Drift;
pub use maturing::{Matured, Maturing};
pub use patterns::{Pattern, PatternRecall, PatternReport};
pub use plot::reliability_plot;
pub use ranking::{Caught, Ranking};
pub use report::{Day, Figures, Recall, Report, Scope, report};

use crate::event::{Duration, EventType, Id, Timestamp};

/// An event that a model judged, and what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    pub kind: EventType,
    pub time: Timestamp,
    /// That it is bad, before anything was known of it.
    pub probability: f64,
    /// Fraud or laundering.
    pub bad: bool,
    /// Payments': whose card it was.
    pub user: Option<Id>,
    /// Which kind of fraud or laundering, as its label says.
    pub scenario: Option<Id>,
}

/// The number of the UTC day of `time`, 1970-01-01 being 0.
pub fn day(time: Timestamp) -> i64 {
    time.0.div_euclid(Duration::DAY.0)
}
