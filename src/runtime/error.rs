//! Why a replay cannot be done.

use crate::engine::BuildError;
use crate::gnn::DeviceChoice;
use crate::gnn::cuda::Missing;
use crate::ingress::InputError;
use crate::journal::JournalError;
use crate::snapshot::SnapshotFileError;
use crate::store::StoreError;
use crate::topology::Errors;
use std::fmt;
use std::path::PathBuf;

/// Why a replay cannot be done.
#[derive(Debug)]
pub enum ReplayError {
    Build(BuildError),
    /// What the topology's own line is for the first mistake in a rule, if it is known.
    BuildAt(BuildError, Vec<String>),
    Input(InputError),
    Journal(JournalError),
    Store(StoreError),
    Topology(Errors),
    /// The journal does not begin with what an engine is built from.
    Unfounded(PathBuf, String),
    Output(PathBuf, String),
    /// A model file, and what is wrong with it.
    Model(PathBuf, String),
    Snapshot(SnapshotFileError),
    /// A device that was chosen, and no other, and why it cannot be used.
    Device(DeviceChoice, Missing),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Build(error) => write!(f, "{error}"),
            ReplayError::BuildAt(_, lines) => write!(f, "{}", lines.join("\n")),
            ReplayError::Input(error) => write!(f, "{error}"),
            ReplayError::Journal(error) => write!(f, "{error}"),
            ReplayError::Store(error) => write!(f, "{error}"),
            ReplayError::Snapshot(error) => write!(f, "{error}"),
            ReplayError::Topology(errors) => write!(f, "{errors}"),
            ReplayError::Unfounded(dir, what) => write!(f, "{}: {what}", dir.display()),
            ReplayError::Model(path, what) => write!(f, "{}: {what}", path.display()),
            ReplayError::Device(choice, why) => {
                write!(
                    f,
                    "{choice} is to run forward passes: {why}; with the device \"auto\" the CPU takes its place, with the same results"
                )
            }
            ReplayError::Output(path, what) => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<InputError> for ReplayError {
    fn from(error: InputError) -> ReplayError {
        ReplayError::Input(error)
    }
}

impl From<JournalError> for ReplayError {
    fn from(error: JournalError) -> ReplayError {
        ReplayError::Journal(error)
    }
}

impl From<StoreError> for ReplayError {
    fn from(error: StoreError) -> ReplayError {
        ReplayError::Store(error)
    }
}
