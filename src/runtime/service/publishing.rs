//! Policies that change while the service runs: published, rolled back, shown.

use super::{Service, Submission};
use crate::api::{Change, Submitted};
use crate::journal::hex;
use crate::runtime::mistakes_in;
use crate::runtime::policies::{Known, short};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The policies in force, as of the newest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub policy: [u8; 16],
    pub before: Option<[u8; 16]>,
}

impl Service {
    fn in_force(&self) -> InForce {
        *self.shared.in_force.lock().expect("nobody panics with it")
    }

    /// The policy in force, or the one before it, and its text.
    pub(super) fn policy_in_force(&self, before: bool) -> Result<Value, String> {
        let in_force = self.in_force();
        let policy = if before { in_force.before.ok_or("there is no policy before the one in force")? } else { in_force.policy };
        let known = self.shared.policies.get(&policy).map_err(|error| error.to_string())?;
        Ok(json!({ "policy": hex(&policy), "text": &*known.text }))
    }

    /// Puts the policy that `text` states in force, from its record on.
    pub(super) async fn publish(&self, text: &str) -> Change {
        // One after the other: what is compared with the policy in force must still be so when it is recorded.
        let _one = self.shared.publishing.lock().await;
        // A thread of its own for rules that take a while to compile: connections are served meanwhile.
        let made = tokio::task::block_in_place(|| {
            let policies = &self.shared.policies;
            let deciding = policies.deciding().with_policy("policy", text).map_err(|errors| errors.to_string())?;
            policies.make(&deciding).map_err(|error| mistakes_in(&error).join("\n"))
        });
        match made {
            Ok(known) => self.record_policy(known).await,
            Err(detail) => Change::Refused { detail },
        }
    }

    /// Puts the policy that was in force before in force again.
    pub(super) async fn rollback(&self) -> Change {
        let _one = self.shared.publishing.lock().await;
        let Some(before) = self.in_force().before else {
            return Change::Refused { detail: "there is no policy before the one in force".to_owned() };
        };
        match self.shared.policies.get(&before) {
            Ok(known) => self.record_policy(known).await,
            Err(error) => Change::Unrecorded { detail: error.to_string() },
        }
    }

    async fn record_policy(&self, known: Known) -> Change {
        let blob = match self.shared.policies.keep(known) {
            Ok(blob) => blob,
            Err(error) => return Change::Unrecorded { detail: error.to_string() },
        };
        let was = self.in_force().policy;
        if was == short(&blob) {
            return Change::Refused { detail: format!("this policy is in force already: {}", hex(&was)) };
        }
        let (line, told) = oneshot::channel();
        match self.record(Submission::Policy { blob, line }, told).await {
            Submitted::Recorded { sequence } => {
                let (policy, before) = (hex(&short(&blob)), hex(&was));
                tracing::info!(policy, before, sequence = sequence.0, "another policy is in force");
                Change::Done(json!({ "policy": policy, "before": before, "sequence": sequence.0 }))
            }
            Submitted::Unrecorded { detail } | Submitted::Refused { detail, .. } => Change::Unrecorded { detail },
            Submitted::Closing => Change::Closing,
        }
    }
}
