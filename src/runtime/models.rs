//! Model files: read and checked before anything is allocated, kept as blobs, bound to the engine that will ask them.

use super::error::ReplayError;
use crate::engine::{Engine, NamedModel};
use crate::gnn::{BYTES_MAX, Bound, Inputs, Model};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model file that was read.
#[derive(Clone, Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Arc<[u8]>,
    hash: [u8; 32],
}

impl ModelFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Where it cannot be read, or is no model.
    pub fn read(path: &Path) -> Result<ModelFile, ReplayError> {
        let wrong = |what: String| ReplayError::Model(path.to_owned(), what);
        let mut bytes = Vec::new();
        // One byte more than a model may have: the file says itself that it is too long.
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| wrong(format!("found no readable file ({error}), expected a model")))?;
        Model::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
        Ok(ModelFile { path: path.to_owned(), hash: Sha256::digest(&bytes).into(), bytes: bytes.into() })
    }

    /// The bytes: what a blob keeps.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes: what a control record names.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Its name in messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The model in `bytes`, bound to the inputs of `engine`; `called` is how errors call it.
pub(super) fn bind(called: &Path, name: [u8; 16], bytes: &[u8], engine: &Engine) -> Result<NamedModel, ReplayError> {
    let inputs = Inputs::new(&engine.layout().schema);
    let bound = Model::from_bytes(bytes).and_then(|model| Bound::new(model, &inputs));
    let bound = bound.map_err(|error| ReplayError::Model(called.to_owned(), error.to_string()))?;
    Ok(NamedModel { name, model: Arc::new(bound) })
}
