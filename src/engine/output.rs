//! What a step gives: one list, in the order of the records.

use super::alerts::Alert;
use crate::decision::Decision;
use crate::event::{Id, Origin, Refused, Sequence};

/// One output.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all outputs are decisions, and a box would be an allocation per event")]
pub enum Output {
    Decision(Decision),
    Rejected(Rejected),
    /// A version of an alert: the one output that allocates, for its members and its edges. They are few.
    Alert(Alert),
}

/// Input that became no event, or an event that was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub sequence: Sequence,
    pub origin: Origin,
    pub refused: Refused,
    /// The event, where there was one.
    pub event: Option<Id>,
}

impl Output {
    /// The record that it answers. Alerts stand behind whatever else answers their record.
    pub fn sequence(&self) -> Sequence {
        match self {
            Output::Decision(decision) => decision.sequence,
            Output::Rejected(rejected) => rejected.sequence,
            Output::Alert(alert) => alert.sequence,
        }
    }
}
