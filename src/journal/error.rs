//! What can go wrong with the files, said for the person who must act.

use super::codec::Malformed;
use crate::event::Sequence;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of the journal, the output log or the blobs.
#[derive(Debug)]
pub enum JournalError {
    /// The system refused something.
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Bytes in the middle of a log are not what was written. Nothing is cut: what lies behind would be lost with it.
    Damaged { segment: PathBuf, offset: u64, what: String },
    /// A frame is whole, its content is none that this version knows.
    Unreadable { segment: PathBuf, offset: u64, sequence: Sequence, source: Malformed },
    /// Segments are missing between two others.
    Gap { segment: PathBuf, expected: Sequence, found: Sequence },
    /// Another format, a newer version, or the other kind of log.
    Foreign { segment: PathBuf, what: String },
    /// An earlier write or sync failed: what stands on disk is unknown, so nothing more is written.
    Stopped { log: PathBuf, why: String },
    /// Another process writes this directory.
    Locked { directory: PathBuf },
    /// A blob's content is not what its name says.
    WrongBlob { path: PathBuf, found: String },
    /// A blob that a control record names is not there.
    MissingBlob { path: PathBuf },
}

impl JournalError {
    /// Turns an error of the system into one that says what was being done, and where.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.into();
        move |source| JournalError::Io { doing, path, source }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Io { doing, path, source } => write!(f, "{}: {doing}: {source}", path.display()),
            JournalError::Damaged { segment, offset, what } => {
                write!(f, "{}: damaged at byte {offset}: {what}; valid records lie behind it, so nothing was cut", segment.display())
            }
            JournalError::Unreadable { segment, offset, sequence, source } => {
                write!(f, "{}: record {} at byte {offset} is not readable: {source}", segment.display(), sequence.0)
            }
            JournalError::Gap { segment, expected, found } => {
                write!(f, "{}: starts at sequence {}, expected {}: segments are missing before it", segment.display(), found.0, expected.0)
            }
            JournalError::Foreign { segment, what } => write!(f, "{}: {what}", segment.display()),
            JournalError::Stopped { log, why } => write!(f, "{}: stopped after an earlier failure: {why}", log.display()),
            JournalError::Locked { directory } => {
                write!(f, "{}: another process writes this directory; stop it or name another one", directory.display())
            }
            JournalError::WrongBlob { path, found } => {
                write!(f, "{}: the content's SHA-256 is {found}, expected the file's name", path.display())
            }
            JournalError::MissingBlob { path } => write!(f, "{}: a control record names this blob, it is not there", path.display()),
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JournalError::Io { source, .. } => Some(source),
            JournalError::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
