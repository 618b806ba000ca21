//! Outputs as JSON text, with the texts of ids: for answers, streams and topics alike.

use super::Shared;
use crate::decision::Decision;
use crate::engine::{Alert, Rejected};
use crate::event::{Id, Origin};
use crate::journal::{RawInput, rejected_json};
use crate::render::{View, alert, decision};

/// Bytes of a decision, and of a version of an alert, as most are.
const DECISION_BYTES: usize = 640;
const ALERT_BYTES: usize = 2_048;

impl Shared {
    /// The text of an id, where it is known.
    pub(super) fn text(&self, id: Id) -> Option<String> {
        self.identity.text(id).ok().flatten().map(|(_, text)| text)
    }

    /// A decision; `id_text` is that of its event, where somebody has it at hand.
    pub(super) fn decision_json(&self, answer: &Decision, view: View, id_text: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(DECISION_BYTES);
        let text_of = |id| match id_text {
            Some(text) if id == answer.event => Some(text.to_owned()),
            _ => self.text(id),
        };
        decision(answer, view, &self.policies.texts(&answer.provenance.policy), &text_of, &mut out);
        out
    }

    /// A version of an alert.
    pub(super) fn alert_json(&self, told: &Alert) -> Vec<u8> {
        let mut out = Vec::with_capacity(ALERT_BYTES);
        let cause = |policy: &[u8; 16], cause| self.policies.texts(policy).cause(i64::from(cause), View::Internal);
        alert(told, self.options.shard, self.options.rates.reporting, &cause, &|id| self.text(id), &mut out);
        out
    }

    /// What was refused, with what is kept of it.
    pub(super) fn rejected_json(&self, rejected: &Rejected, input: Option<&RawInput>) -> Vec<u8> {
        let text_of = |id| self.identity.text(id).ok().flatten();
        let source = self.sources.get(usize::from(rejected.origin.source));
        let topic = source.and_then(|source| source.topic.as_deref());
        rejected_json(rejected, input, self.source(rejected.origin), topic, &text_of).into_bytes()
    }

    /// Where input came from, in words.
    fn source(&self, origin: Origin) -> &str {
        match origin.source {
            Origin::HOOK => "authorizations",
            Origin::DOOR => "events",
            source => self.sources.get(usize::from(source)).map_or("engine", |source| &source.name),
        }
    }
}
