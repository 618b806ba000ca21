//! Policies and models that change while the service runs: published, rolled back, shown.

use super::{Service, Submission};
use crate::api::{Change, Submitted};
use crate::decision::Provenance;
use crate::engine::{Engine, NO_MODEL};
use crate::event::ControlKind;
use crate::journal::hex;
use crate::runtime::error::ReplayError;
use crate::runtime::mistakes_in;
use crate::runtime::models::ModelFile;
use crate::runtime::policies::{Known, short};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// What is in force, as of the newest record, and what was before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub policy: [u8; 16],
    pub before: Option<[u8; 16]>,
    /// [`NO_MODEL`] where there is none.
    pub model: [u8; 16],
    pub model_before: [u8; 16],
}

impl InForce {
    /// What is in force in an engine.
    pub(super) fn of(engine: &Engine) -> InForce {
        let Provenance { policy, model, .. } = engine.provenance();
        let (before, model_before) = (engine.policy_before(), engine.model_before());
        InForce { policy, before, model: model.unwrap_or(NO_MODEL), model_before }
    }

    /// What is in force behind a record that names another policy or model.
    pub(super) fn with(self, kind: ControlKind, name: [u8; 16]) -> InForce {
        match kind {
            ControlKind::Policy => InForce { policy: name, before: Some(self.policy), ..self },
            ControlKind::Model => InForce { model: name, model_before: self.model, ..self },
            ControlKind::Topology | ControlKind::Leader | ControlKind::Backend => self,
        }
    }
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
        let (policy, before) = (hex(&short(&blob)), hex(&was));
        self.put_in_force(ControlKind::Policy, blob, |sequence| {
            tracing::info!(policy, before, sequence, "another policy is in force");
            json!({ "policy": policy, "before": before, "sequence": sequence })
        })
        .await
    }

    /// The model in force, and the one before it.
    pub(super) fn model_in_force(&self) -> Value {
        let InForce { model, model_before, .. } = self.in_force();
        json!({ "model": named(&model), "before": named(&model_before) })
    }

    /// Puts the model in `bytes` in force, from its record on.
    pub(super) async fn publish_model(&self, bytes: &[u8]) -> Change {
        let _one = self.shared.publishing.lock().await;
        // Reading it, and syncing its blob, take a while.
        let kept = tokio::task::block_in_place(|| {
            let file = ModelFile::parse("model", bytes.to_vec())?;
            if short(&file.hash()) == self.in_force().model {
                return Ok(file.hash());
            }
            self.shared.policies.models.keep(&file)
        });
        match kept {
            Ok(blob) => self.record_model(blob).await,
            Err(error @ ReplayError::Model(..)) => Change::Refused { detail: error.to_string() },
            Err(error) => Change::Unrecorded { detail: error.to_string() },
        }
    }

    /// Puts the model that was in force before in force again; where none was, none.
    pub(super) async fn rollback_model(&self) -> Change {
        let _one = self.shared.publishing.lock().await;
        let InForce { model, model_before, .. } = self.in_force();
        if model == model_before {
            return Change::Refused { detail: "there is no model, and none was before".to_owned() };
        }
        match tokio::task::block_in_place(|| self.shared.policies.models.blob(&model_before)) {
            Ok(blob) => self.record_model(blob).await,
            Err(error) => Change::Unrecorded { detail: error.to_string() },
        }
    }

    async fn record_model(&self, blob: [u8; 32]) -> Change {
        let was = self.in_force().model;
        if was == short(&blob) {
            return Change::Refused { detail: format!("this model is in force already: {}", hex(&was)) };
        }
        let (model, before) = (named(&short(&blob)), named(&was));
        self.put_in_force(ControlKind::Model, blob, |sequence| {
            tracing::info!(model, before, sequence, "another model is in force");
            json!({ "model": model, "before": before, "sequence": sequence })
        })
        .await
    }

    /// Records that what a blob holds is in force from there on, and tells the record's sequence.
    async fn put_in_force(&self, kind: ControlKind, blob: [u8; 32], tell: impl FnOnce(u64) -> Value) -> Change {
        let (line, told) = oneshot::channel();
        match self.record(Submission::InForce { kind, blob, line }, told).await {
            Submitted::Recorded { sequence } => Change::Done(tell(sequence.0)),
            Submitted::Unrecorded { detail } | Submitted::Refused { detail, .. } => Change::Unrecorded { detail },
            Submitted::Closing => Change::Closing,
        }
    }
}

/// A model's name as it is told; `None` where none is meant.
fn named(name: &[u8; 16]) -> Option<String> {
    (*name != NO_MODEL).then(|| hex(name))
}
