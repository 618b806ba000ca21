//! Where things stand in a data directory, and that one process at a time writes them.
//!
//! ```text
//! DIR/lock            held by the process that writes
//! DIR/journal/        records              DIR/blobs/     contents that control records name
//! DIR/outputs/        outputs              DIR/rejected/  raw rejected input
//! DIR/texts/          texts of ids on their way into the identity store
//! DIR/identity/       texts of ids, index of judged events
//! DIR/snapshots/      images of the engine
//! DIR/summary.json    what a replay found
//! ```

use super::error::JournalError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A data directory.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    // Held as long as this lives; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl DataDir {
    /// The directory `root`, made where it is not there, for writing.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another process writes it; where the system refuses.
    pub fn write(root: &Path) -> Result<DataDir, JournalError> {
        fs::create_dir_all(root).map_err(JournalError::io("making the directory", root))?;
        let path = root.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(JournalError::io("opening the lock", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { directory: root.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(JournalError::Io { doing: "locking", path, source }),
        }
        let dir = DataDir { root: root.to_owned(), _lock: Some(lock) };
        for folder in [dir.journal(), dir.outputs(), dir.blobs(), dir.rejected(), dir.texts()] {
            fs::create_dir_all(&folder).map_err(JournalError::io("making the directory", &folder))?;
        }
        // The folders' own names must survive a power cut before anything in them can.
        let synced = File::open(root).and_then(|opened| opened.sync_all());
        synced.map_err(JournalError::io("syncing the directory", root))?;
        Ok(dir)
    }

    /// The directory `root`, for reading: also while a process writes it.
    ///
    /// # Errors
    /// Where it is not there, or holds no journal: looking at another directory must leave nothing in it.
    pub fn read(root: &Path) -> Result<DataDir, JournalError> {
        fs::metadata(root).map_err(JournalError::io("opening", root))?;
        let dir = DataDir { root: root.to_owned(), _lock: None };
        if !dir.journal().is_dir() {
            let what = "found no journal in it, expected a data directory, as a replay with --out makes one";
            return Err(JournalError::io("opening", root)(io::Error::other(what)));
        }
        Ok(dir)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal's segments.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The output log's segments.
    pub fn outputs(&self) -> PathBuf {
        self.root.join("outputs")
    }

    /// The blobs, by SHA-256.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The database of texts and judged events ([`crate::store`]); it is locked by whoever opens it.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }

    /// Texts of ids that are not in the database for sure.
    pub fn texts(&self) -> PathBuf {
        self.root.join("texts")
    }

    /// Raw rejected input.
    pub fn rejected(&self) -> PathBuf {
        self.root.join("rejected")
    }

    /// Images of the engine ([`crate::snapshot`]); the folder is made with the first.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// What a replay found, as JSON.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        assert!(matches!(DataDir::read(&root), Err(JournalError::Io { .. })));
        let first = DataDir::write(&root).unwrap();
        let second = DataDir::write(&root).unwrap_err();
        assert!(second.to_string().contains("another process writes this directory"), "{second}");
        DataDir::read(&root).unwrap();
        drop(first);
        DataDir::write(&root).unwrap();
    }
}
