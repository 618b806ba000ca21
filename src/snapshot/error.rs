//! What can be wrong with a snapshot's file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of a snapshot's file.
#[derive(Debug)]
pub enum SnapshotFileError {
    /// The system refused something.
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Its bytes are not what was written, or not all of it: what was found, what was expected.
    Damaged { path: PathBuf, what: String },
    /// It is whole, and fits another engine.
    Foreign { path: PathBuf, what: String },
}

impl SnapshotFileError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotFileError {
        let path = path.to_owned();
        move |source| SnapshotFileError::Io { doing, path, source }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> SnapshotFileError {
        SnapshotFileError::Damaged { path: path.to_owned(), what: what.into() }
    }

    pub(super) fn foreign(path: &Path, what: impl Into<String>) -> SnapshotFileError {
        SnapshotFileError::Foreign { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for SnapshotFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotFileError::Io { doing, path, source } => write!(f, "{}: {doing}: {source}", path.display()),
            SnapshotFileError::Damaged { path, what } => write!(f, "{}: damaged: {what}", path.display()),
            SnapshotFileError::Foreign { path, what } => write!(f, "{}: of another engine: {what}", path.display()),
        }
    }
}

impl std::error::Error for SnapshotFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SnapshotFileError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
