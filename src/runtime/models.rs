//! Model files: read and checked before anything is allocated, kept as blobs, bound to the engine that will ask them.

use super::error::ReplayError;
use super::policies::short;
use crate::engine::{Layout, NO_MODEL, NamedModel};
use crate::event::IdKey;
use crate::gnn::{BYTES_MAX, Bound, Inputs, Model};
use crate::journal::{Blobs, hex};
use crate::topology::{BUILT_IN, Deciding, Topology};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A model file that was read.
#[derive(Clone, Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Arc<[u8]>,
    hash: [u8; 32],
}

impl ModelFile {
    /// Reads the file at `path`, or takes what is built in of this name.
    ///
    /// # Errors
    /// Where it cannot be read, or is no model.
    pub fn read(path: &Path) -> Result<ModelFile, ReplayError> {
        if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(BUILT_IN)) {
            let (_, bytes) = BUILT_IN_MODELS.iter().find(|(known, _)| *known == name).ok_or_else(|| {
                let known: Vec<String> = BUILT_IN_MODELS.iter().map(|(known, _)| format!("{BUILT_IN}{known}")).collect();
                wrong(path, format!("found no such model, expected {}", known.join(" or ")))
            })?;
            return ModelFile::parse(path, bytes.to_vec());
        }
        let mut bytes = Vec::new();
        // One byte more than a model may have: the file says itself that it is too long.
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| wrong(path, format!("found no readable file ({error}), expected a model")))?;
        ModelFile::parse(path, bytes)
    }

    /// The file of these bytes; `called` is how errors call it.
    pub(super) fn parse(called: impl AsRef<Path>, bytes: Vec<u8>) -> Result<ModelFile, ReplayError> {
        let path = called.as_ref().to_owned();
        Model::from_bytes(&bytes).map_err(|error| wrong(&path, error.to_string()))?;
        Ok(ModelFile { path, hash: Sha256::digest(&bytes).into(), bytes: bytes.into() })
    }

    /// The bytes: what a blob keeps.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes: what a control record names.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// The models that are part of the program, by name: one, learnt from the simulated company with the figures that the demo counts.
const BUILT_IN_MODELS: [(&str, &[u8]); 1] = [("company", include_bytes!("demo/company.safetensors"))];

fn wrong(path: &Path, what: String) -> ReplayError {
    ReplayError::Model(path.to_owned(), what)
}

/// The models of `[model]`, read and bound to the figures of the topology that names them.
#[derive(Clone, Debug, Default)]
pub(super) struct Configured {
    /// The one that judges.
    pub file: Option<ModelFile>,
    /// The one whose scores are compared.
    pub shadow: Option<ModelFile>,
}

impl Configured {
    /// Reads the files that `topology` names.
    ///
    /// # Errors
    /// Each that is no model of this topology: where it is named, and what is wrong.
    pub(super) fn read(topology: &Topology) -> Result<Configured, Vec<String>> {
        let inputs = inputs(&topology.deciding, &IdKey::FILES);
        let mut mistakes = Vec::new();
        let mut read = |key: &str, path: &Option<PathBuf>| {
            let path = path.as_deref()?;
            let read = ModelFile::read(path).and_then(|file| bind(path, &file.bytes, &inputs).map(|_| file));
            read.map_err(|error| mistakes.push(placed(topology, key, &error.to_string()))).ok()
        };
        let (file, shadow) = (read("model.file", &topology.model.file), read("model.shadow", &topology.model.shadow));
        let configured = Configured { file, shadow };
        if mistakes.is_empty() { Ok(configured) } else { Err(mistakes) }
    }
}

/// A message with the line at which the topology says `key`.
fn placed(topology: &Topology, key: &str, message: &str) -> String {
    match topology.place(key) {
        Some(place) => format!("{}:{}: {key}: {message}", place.file, place.line),
        None => format!("{key}: {message}"),
    }
}

/// Checks the models that `topology` names; a line for each mistake, else a line for each model.
///
/// # Errors
/// What is wrong with them.
pub fn check_models(topology: &Topology) -> Result<Vec<String>, Vec<String>> {
    let Configured { file, shadow } = Configured::read(topology)?;
    let line = |(use_, file): (&str, Option<ModelFile>)| {
        let file = file?;
        let model = Model::from_bytes(&file.bytes).ok()?;
        let judges = [("payments", model.payment.is_some()), ("transfers", model.transfer.is_some())];
        let judges = judges.iter().filter(|(_, judged)| *judged).map(|(name, _)| *name).collect::<Vec<_>>().join(" and ");
        Some(format!("{use_:<9} {} judges {judges}, {} parameters", hex(&short(&file.hash)), model.parameters()))
    };
    Ok([("model", file), ("shadow", shadow)].into_iter().filter_map(line).collect())
}

/// The inputs of an engine of what decides.
fn inputs(deciding: &Deciding, key: &IdKey) -> Inputs {
    Inputs::new(&Layout::new(&deciding.aggregates, &deciding.lists, key).schema)
}

/// The model in `bytes`, bound to `inputs`; `called` is how errors call it.
fn bind(called: &Path, bytes: &[u8], inputs: &Inputs) -> Result<Arc<Bound>, ReplayError> {
    let bound = Model::from_bytes(bytes).and_then(|model| Bound::new(model, inputs));
    bound.map(Arc::new).map_err(|error| wrong(called, error.to_string()))
}

/// The models that a directory's control records name: read from their blobs, bound once, and given to whoever steps the records.
pub(super) struct Models {
    inputs: Inputs,
    /// Of a stream of files there are none: its one model is `given`.
    blobs: Option<Blobs>,
    given: Option<ModelFile>,
    known: Mutex<HashMap<[u8; 16], Arc<Bound>>>,
}

impl Models {
    /// The models of a directory.
    pub(super) fn of(deciding: &Deciding, key: &IdKey, blobs: Blobs) -> Models {
        Models { inputs: inputs(deciding, key), blobs: Some(blobs), given: None, known: Mutex::default() }
    }

    /// Those of a stream of files.
    pub(super) fn of_files(deciding: &Deciding, given: Option<ModelFile>) -> Models {
        Models { inputs: inputs(deciding, &IdKey::FILES), blobs: None, given, known: Mutex::default() }
    }

    /// The model of this name; `None` of [`NO_MODEL`].
    ///
    /// # Errors
    /// Where its blob is not there, is damaged, or no model of these figures.
    pub(super) fn named(&self, name: &[u8; 16]) -> Result<Option<NamedModel>, ReplayError> {
        if *name == NO_MODEL {
            return Ok(None);
        }
        if let Some(model) = self.known.lock().expect("nobody panics with it").get(name) {
            return Ok(Some(NamedModel { name: *name, model: model.clone() }));
        }
        let model = match &self.given {
            Some(given) if short(&given.hash()) == *name => bind(&given.path, &given.bytes, &self.inputs)?,
            _ => {
                let blobs = self.blobs.as_ref().expect("records of files name the model that was given");
                bind(Path::new(&format!("model {}", hex(name))), &blobs.starting_with(name)?, &self.inputs)?
            }
        };
        self.known.lock().expect("nobody panics with it").insert(*name, model.clone());
        Ok(Some(NamedModel { name: *name, model }))
    }

    /// What models of this directory may read.
    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// A model that no record names, bound to the same figures.
    ///
    /// # Errors
    /// Where it is no model of these figures.
    pub(super) fn bound(&self, file: &ModelFile) -> Result<NamedModel, ReplayError> {
        Ok(NamedModel { name: short(&file.hash), model: bind(&file.path, &file.bytes, &self.inputs)? })
    }

    /// The whole name of the blob that the directory keeps of this model; zeroes of [`NO_MODEL`].
    ///
    /// # Errors
    /// Where it is not there, is damaged, or no model of these figures.
    pub(super) fn blob(&self, name: &[u8; 16]) -> Result<[u8; 32], ReplayError> {
        if self.named(name)?.is_none() {
            return Ok([0; 32]);
        }
        let blobs = self.blobs.as_ref().expect("models are published in a directory");
        Ok(Sha256::digest(blobs.starting_with(name)?).into())
    }

    /// Whether the directory keeps a model of this name.
    pub(super) fn keeps(&self, name: &[u8; 16]) -> bool {
        self.blobs.as_ref().is_some_and(|blobs| blobs.starting_with(name).is_ok())
    }

    /// Keeps a model as a blob, and what was made of it; returns the blob's name.
    ///
    /// # Errors
    /// Where it is no model of these figures, or the system refuses.
    pub(super) fn keep(&self, file: &ModelFile) -> Result<[u8; 32], ReplayError> {
        let blobs = self.blobs.as_ref().expect("models are published in a directory");
        let model = bind(&file.path, &file.bytes, &self.inputs)?;
        let hash = blobs.put(&file.bytes)?;
        self.known.lock().expect("nobody panics with it").insert(short(&hash), model);
        Ok(hash)
    }
}
