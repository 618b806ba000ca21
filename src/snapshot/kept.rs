//! The snapshots of a data directory.

use super::error::SnapshotFileError;
use super::read::{restore, verify};
use crate::engine::{Engine, Shape};
use crate::event::Sequence;
use crate::journal::Files;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WHOLE: &str = ".snapshot";
const PARTIAL: &str = ".partial";

/// The folder of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    files: Arc<dyn Files>,
    dir: PathBuf,
}

/// A snapshot that has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The first record that it does not know, by its name.
    pub sequence: Sequence,
    pub path: PathBuf,
}

/// A snapshot that cannot be used.
#[derive(Debug)]
pub struct Skipped {
    pub kept: Kept,
    /// Why, and in which file.
    pub why: String,
}

/// What was found when the newest snapshot was looked for.
#[derive(Debug)]
pub struct Newest {
    pub found: Option<Kept>,
    /// Newer ones that cannot be used: to be told to somebody.
    pub skipped: Vec<Skipped>,
}

pub(super) fn path_of(dir: &Path, sequence: Sequence) -> PathBuf {
    dir.join(format!("{:020}{WHOLE}", sequence.0))
}

pub(super) fn partial_of(dir: &Path, sequence: Sequence) -> PathBuf {
    dir.join(format!("{:020}{PARTIAL}", sequence.0))
}

impl Snapshots {
    /// The snapshots in `dir`, which need not be there.
    pub fn at(files: Arc<dyn Files>, dir: &Path) -> Snapshots {
        Snapshots { files, dir: dir.to_owned() }
    }

    /// All that have their name, newest first.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<Kept>, SnapshotFileError> {
        let names = self.names()?;
        let of = |name: String| {
            let sequence = Sequence(name.strip_suffix(WHOLE)?.parse().ok()?);
            (path_of(&self.dir, sequence) == self.dir.join(&name)).then(|| Kept { sequence, path: self.dir.join(name) })
        };
        let mut kept: Vec<Kept> = names.into_iter().filter_map(of).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.sequence));
        Ok(kept)
    }

    fn names(&self) -> Result<Vec<String>, SnapshotFileError> {
        self.files.list(&self.dir).map_err(SnapshotFileError::io("listing the directory", &self.dir))
    }

    /// The newest snapshot that is whole, fits an engine of `shape` and knows no record from `at_most` on (the journal's next sequence).
    ///
    /// # Errors
    /// Where the folder cannot be listed. What is wrong with single snapshots is told in the answer.
    pub fn newest_valid(&self, shape: &Shape, at_most: Sequence) -> Result<Newest, SnapshotFileError> {
        let mut skipped = Vec::new();
        for kept in self.list()? {
            if kept.sequence > at_most {
                let why =
                    format!("{}: it knows records up to {}, the journal ends before {}", kept.path.display(), kept.sequence.0, at_most.0);
                skipped.push(Skipped { kept, why });
                continue;
            }
            match verify(&*self.files, &kept.path, Some(shape)) {
                Ok(content) if content.head.sequence == kept.sequence => return Ok(Newest { found: Some(kept), skipped }),
                Ok(content) => {
                    let why = format!("{}: found sequence {}, expected that of its name", kept.path.display(), content.head.sequence.0);
                    skipped.push(Skipped { kept, why });
                }
                Err(error) => skipped.push(Skipped { kept, why: error.to_string() }),
            }
        }
        Ok(Newest { found: None, skipped })
    }

    /// Fills a fresh engine from a snapshot; it goes on with the record of the returned sequence.
    ///
    /// # Errors
    /// As [`restore`].
    pub fn restore(&self, engine: &mut Engine, kept: &Kept) -> Result<Sequence, SnapshotFileError> {
        restore(&*self.files, engine, &kept.path)
    }

    /// Removes all but the newest `keep`, at least one; tells which.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn prune(&self, keep: usize) -> Result<Vec<Kept>, SnapshotFileError> {
        let gone: Vec<Kept> = self.list()?.into_iter().skip(keep.max(1)).collect();
        for kept in &gone {
            self.files.remove(&kept.path).map_err(SnapshotFileError::io("removing", &kept.path))?;
        }
        if !gone.is_empty() {
            self.files.sync_dir(&self.dir).map_err(SnapshotFileError::io("syncing the directory", &self.dir))?;
        }
        Ok(gone)
    }

    /// Those that a crash left in the making: the first record that each would not have known.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn unfinished(&self) -> Result<Vec<Sequence>, SnapshotFileError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(PARTIAL)?.parse().ok().map(Sequence)).collect())
    }

    /// Removes what a crash left of snapshots in the making.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn sweep(&self) -> Result<(), SnapshotFileError> {
        for name in self.names()?.into_iter().filter(|name| name.ends_with(PARTIAL)) {
            let path = self.dir.join(name);
            self.files.remove(&path).map_err(SnapshotFileError::io("removing", &path))?;
        }
        Ok(())
    }
}
