//! Why a service cannot start.

use crate::event::Sequence;
use crate::journal::JournalError;
use crate::runtime::error::ReplayError;
use crate::snapshot::SnapshotFileError;
use crate::store::StoreError;
use std::fmt;

/// Why a service cannot start.
#[derive(Debug)]
pub enum ServiceError {
    Journal(JournalError),
    Store(StoreError),
    Snapshot(SnapshotFileError),
    /// The rules do not compile: each mistake with its place.
    Rules(Vec<String>),
    /// A model of the topology cannot be used: each mistake with its place.
    Models(Vec<String>),
    /// The directory was begun under another topology or policy.
    OtherTopology {
        what: &'static str,
    },
    /// A record's output is not what the output log holds.
    Mismatch {
        sequence: Sequence,
    },
    /// The journal has let go of its beginning, and no snapshot of this engine leads into what is left.
    NoSnapshot {
        first: Sequence,
    },
    Replay(ReplayError),
    /// The options for brokers make no client: what is wrong with them.
    Kafka(String),
    /// The system gives no random bytes, or no thread.
    System(std::io::Error),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceError::Journal(error) => error.fmt(f),
            ServiceError::Store(error) => error.fmt(f),
            ServiceError::Snapshot(error) => error.fmt(f),
            ServiceError::Rules(mistakes) | ServiceError::Models(mistakes) => f.write_str(&mistakes.join("\n")),
            ServiceError::OtherTopology { what } => write!(
                f,
                "the data directory was begun under another {what}, expected the one it was begun under: give that one with -t, or another \
                 directory with --data"
            ),
            ServiceError::Mismatch { sequence } => write!(
                f,
                "record {} gives another output now than the output log holds: this is another engine, or a file was changed",
                sequence.0
            ),
            ServiceError::NoSnapshot { first } => write!(
                f,
                "the journal begins at record {}, found no whole snapshot of this topology and policy that leads there: give the topology it \
                 was run with by -t, or put a snapshot back (`weir snapshot verify` says what is wrong with those there)",
                first.0
            ),
            ServiceError::Replay(error) => error.fmt(f),
            ServiceError::Kafka(error) => f.write_str(error),
            ServiceError::System(error) => write!(f, "starting: {error}"),
        }
    }
}

impl std::error::Error for ServiceError {}

impl From<JournalError> for ServiceError {
    fn from(error: JournalError) -> ServiceError {
        ServiceError::Journal(error)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> ServiceError {
        ServiceError::Store(error)
    }
}

impl From<SnapshotFileError> for ServiceError {
    fn from(error: SnapshotFileError) -> ServiceError {
        ServiceError::Snapshot(error)
    }
}

impl From<ReplayError> for ServiceError {
    fn from(error: ReplayError) -> ServiceError {
        ServiceError::Replay(error)
    }
}
