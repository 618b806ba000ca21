//! A decision as it stands in its topic, as far as it is looked at.

use serde::Deserialize;
use std::borrow::Cow;

/// What is looked at.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub event_id: Cow<'a, str>,
    pub revision: u64,
    pub sequence: u64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    skipped: Vec<Skipped<'a>>,
}

#[derive(Deserialize)]
struct Skipped<'a> {
    #[serde(borrow)]
    why: Cow<'a, str>,
}

impl Answer<'_> {
    /// Whether a stand-in gave it: for a deadline, or for a shard that was being restored.
    pub fn is_stand_in(&self) -> bool {
        self.status == "fallback" || self.skipped.iter().any(|skipped| skipped.why == "cold shard")
    }
}
