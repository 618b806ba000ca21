//! The policies that a directory's control records name: read from their blobs, compiled once, and given to whoever steps the records.

use super::error::ReplayError;
use super::models::{ModelFile, Models};
use crate::decision::Policy;
use crate::engine::{AlertOptions, BuildError, Engine, GuardOptions, NamedPolicy, Shape};
use crate::event::{Content, ControlKind, EventType, IdKey, Record};
use crate::journal::{Blobs, hex};
use crate::render::PolicyTexts;
use crate::topology::{Deciding, content_hash};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A policy, the numbers that are published with it, and all that is made of them.
#[derive(Clone)]
pub(super) struct Known {
    /// Its canonical text.
    pub text: Arc<str>,
    pub compiled: Arc<Policy>,
    pub guard: GuardOptions,
    pub alerts: AlertOptions,
    pub texts: Arc<PolicyTexts>,
    /// Probabilities at which its rules draw a line, by the type of event.
    pub thresholds: Arc<[(EventType, f64)]>,
}

/// Policies by their names in decisions.
pub(super) struct Policies {
    /// What decides besides the policy; and the policy that the directory was founded on.
    deciding: Deciding,
    key: IdKey,
    /// Of a stream of files there are none: its records name what it began with.
    blobs: Option<Blobs>,
    pub(super) models: Models,
    known: Mutex<HashMap<[u8; 16], Known>>,
}

impl Policies {
    /// The policies of a directory whose journal has this `key` and was founded on `deciding`.
    pub(super) fn of(deciding: &Deciding, key: IdKey, blobs: Blobs) -> Policies {
        let models = Models::of(deciding, &key, blobs.clone());
        Policies { deciding: deciding.clone(), key, blobs: Some(blobs), models, known: Mutex::default() }
    }

    /// Those of a stream of files.
    pub(super) fn of_files(deciding: &Deciding, model: Option<ModelFile>) -> Policies {
        let models = Models::of_files(deciding, model);
        Policies { deciding: deciding.clone(), key: IdKey::FILES, blobs: None, models, known: Mutex::default() }
    }

    /// What decides besides the policy.
    pub(super) fn deciding(&self) -> &Deciding {
        &self.deciding
    }

    /// What is made of a policy that stands in `deciding`; nothing is kept of it.
    ///
    /// # Errors
    /// Rules that do not compile.
    pub(super) fn make(&self, deciding: &Deciding) -> Result<Known, BuildError> {
        let options = deciding.engine_options(self.key, 1);
        let compiled = Engine::compile(&options).map_err(BuildError::Policy)?;
        let thresholds = Engine::thresholds(&options).into();
        let texts = Arc::new(deciding.texts());
        let Deciding { guard, alerts, .. } = *deciding;
        Ok(Known { text: deciding.canonical_policy().into(), compiled: Arc::new(compiled), guard, alerts, texts, thresholds })
    }

    /// Keeps a policy as a blob, and what was made of it; returns the blob's name.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn keep(&self, known: Known) -> Result<[u8; 32], ReplayError> {
        let blobs = self.blobs.as_ref().expect("policies are published in a directory");
        let hash = blobs.put(known.text.as_bytes())?;
        self.known.lock().expect("nobody panics with it").insert(short(&hash), known);
        Ok(hash)
    }

    /// The policy of this name.
    ///
    /// # Errors
    /// Where its blob is not there, is damaged, or does not fit what else decides.
    pub(super) fn get(&self, name: &[u8; 16]) -> Result<Known, ReplayError> {
        if let Some(known) = self.known.lock().expect("nobody panics with it").get(name) {
            return Ok(known.clone());
        }
        let own = self.deciding.canonical_policy();
        let deciding = match short(&content_hash(&own)) == *name {
            true => self.deciding.clone(),
            false => {
                let text = String::from_utf8_lossy(&self.blob(name)?).into_owned();
                let called = format!("policy {}", hex(name));
                self.deciding.with_policy(&called, &text).map_err(ReplayError::Topology)?
            }
        };
        let known = self.make(&deciding).map_err(ReplayError::Build)?;
        self.known.lock().expect("nobody panics with it").insert(*name, known.clone());
        Ok(known)
    }

    fn named(&self, name: &[u8; 16]) -> Result<NamedPolicy, ReplayError> {
        let Known { compiled, guard, alerts, .. } = self.get(name)?;
        Ok(NamedPolicy { name: *name, policy: compiled, guard, alerts })
    }

    fn blob(&self, name: &[u8; 16]) -> Result<Vec<u8>, ReplayError> {
        let blobs = self.blobs.as_ref().expect("records of files name what the stream began with");
        Ok(blobs.starting_with(name)?)
    }

    /// Gives the engine the policies and models that these records name.
    ///
    /// # Errors
    /// As [`Policies::get`].
    pub(super) fn prepare(&self, engine: &mut Engine, records: &[Record]) -> Result<(), ReplayError> {
        for record in records {
            let Content::Control(control) = &record.content else { continue };
            let name = short(&control.blob);
            match control.kind {
                ControlKind::Policy if !engine.knows_policy(&name) => engine.prepare(self.named(&name)?),
                ControlKind::Model if !engine.knows_model(&name) => {
                    self.models.named(&name)?.into_iter().for_each(|model| engine.prepare_model(model));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts a fresh engine under the policies and the model of a snapshot of this shape.
    ///
    /// # Errors
    /// As [`Policies::get`].
    pub(super) fn put_in_force(&self, engine: &mut Engine, shape: &Shape) -> Result<(), ReplayError> {
        let before = if shape.policy_before == [0; 16] { None } else { Some(self.named(&shape.policy_before)?) };
        engine.put_in_force(self.named(&shape.policy)?, before);
        engine.put_model_in_force(self.models.named(&shape.model)?, shape.model_before);
        Ok(())
    }

    /// The words of the policy of this name; none where it cannot be read.
    pub(super) fn texts(&self, name: &[u8; 16]) -> Arc<PolicyTexts> {
        self.get(name).map(|known| known.texts).unwrap_or_default()
    }
}

/// The name by which decisions call what a control record names.
pub(super) fn short(blob: &[u8; 32]) -> [u8; 16] {
    *blob.first_chunk().expect("a hash has 32 bytes")
}
