//! The random-access side of what Weir keeps on disk: one database, in it the texts of ids, the index of judged events and the raw text
//! of rejected input, each its own keyspace.
//!
//! A log-structured merge tree, because the keys are hashes: a tree of pages would touch a page of the disk for every new id. Its own
//! log is written through to the system with every batch; what must survive a power cut before it is synced stands in a log of ours too.

use crate::event::Id;
use fjall::compaction::filter::Factory;
use fjall::config::PartitioningPolicy;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// An error of the database.
#[derive(Debug)]
pub enum StoreError {
    /// The database refused something.
    Database { doing: &'static str, path: PathBuf, source: fjall::Error },
    /// The system refused something.
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A value is none that this version writes.
    Damaged { path: PathBuf, key: String, what: String },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Database { doing, path, source } => write!(f, "{}: {doing}: {source}", path.display()),
            StoreError::Io { doing, path, source } => write!(f, "{}: {doing}: {source}", path.display()),
            StoreError::Damaged { path, key, what } => write!(f, "{}: the value of {key} is damaged: {what}", path.display()),
        }
    }
}

impl StoreError {
    /// Whether another process has the database open.
    pub fn is_locked(&self) -> bool {
        matches!(self, StoreError::Database { source: fjall::Error::Locked, .. })
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Database { source, .. } => Some(source),
            StoreError::Io { source, .. } => Some(source),
            StoreError::Damaged { .. } => None,
        }
    }
}

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Database,
    path: Arc<Path>,
    /// Entries of the index of judged events that are older (microseconds since 1970) fall away when their files are merged.
    pub(crate) targets_expired: Arc<AtomicI64>,
    // A replay without an output directory keeps its index in a folder that goes with it.
    _scratch: Option<Arc<tempfile::TempDir>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The keyspace of the index of judged events: the one whose entries expire.
pub(crate) const TARGETS: &str = "targets";

/// Bytes of a keyspace's newest entries in memory before they become a file: larger ones are merged less often, smaller ones cost less.
const MEMTABLE_BYTES: u64 = 16 << 20;
const CACHE_BYTES: u64 = 16 << 20;
/// The database's own log is cut when this much of it stands there: it bounds the time of opening.
const LOG_BYTES_MAX: u64 = 64 << 20;

impl Store {
    /// Memory of an open database, at most: its cache, and the newest entries, which stand in its log too.
    pub const MEMORY_BYTES: u64 = CACHE_BYTES + LOG_BYTES_MAX;

    /// Opens the database in `dir`, or begins it.
    ///
    /// # Errors
    /// Where the system refuses or the database is damaged.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::with(dir, None)
    }

    /// Returns when what was written survives a power cut.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.database.persist(PersistMode::SyncData).map_err(self.failed("syncing"))
    }

    /// A database in a temporary folder, gone when the last clone of it is: for a replay that keeps nothing.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn scratch() -> Result<Store, StoreError> {
        let failed = |source| StoreError::Io { doing: "making a temporary folder", path: std::env::temp_dir(), source };
        let dir = tempfile::Builder::new().prefix("weir-").tempdir().map_err(failed)?;
        let path = dir.path().join("identity");
        Store::with(&path, Some(Arc::new(dir)))
    }

    fn with(dir: &Path, scratch: Option<Arc<tempfile::TempDir>>) -> Result<Store, StoreError> {
        let targets_expired = Arc::new(AtomicI64::new(i64::MIN));
        let expired: Arc<dyn Factory> = Arc::new(crate::targets::Expired(targets_expired.clone()));
        let database = Database::builder(dir)
            // Two, so that merging tables does not keep memory from becoming one: then the log stays short, which is read at the next start.
            .worker_threads(2)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(LOG_BYTES_MAX)
            .with_compaction_filter_factories(Arc::new(move |keyspace| (keyspace == TARGETS).then(|| expired.clone())))
            .open()
            .map_err(|source| StoreError::Database { doing: "opening", path: dir.to_owned(), source })?;
        Ok(Store { database, path: dir.into(), targets_expired, _scratch: scratch })
    }

    /// The database's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A batch that, once it is committed, survives a crash of the process.
    pub(crate) fn batch(&self) -> fjall::OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::Buffer))
    }

    pub(crate) fn keyspace(&self, name: &'static str) -> Result<fjall::Keyspace, StoreError> {
        // Filters and indices of files in parts: of whole ones every look-up would read a megabyte, since they find no room in the cache.
        let parts = || PartitioningPolicy::all(true);
        let options = || {
            let options = KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            options.filter_block_partitioning_policy(parts()).index_block_partitioning_policy(parts())
        };
        self.database.keyspace(name, options).map_err(self.failed("opening a keyspace"))
    }

    /// Turns an error of the database into one that says what was being done, and where.
    pub(crate) fn failed(&self, doing: &'static str) -> impl FnOnce(fjall::Error) -> StoreError + use<> {
        let path = self.path.to_path_buf();
        move |source| StoreError::Database { doing, path, source }
    }

    pub(crate) fn damaged(&self, id: Id, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.to_path_buf(), key: id.to_string(), what: what.into() }
    }

    /// The moment before which entries of the index of judged events have expired.
    pub(crate) fn expired_before(&self) -> i64 {
        self.targets_expired.load(Ordering::Relaxed)
    }
}

/// An id as a key: equal order as numbers and as bytes.
pub(crate) fn key(id: Id) -> [u8; 16] {
    id.bits().to_be_bytes()
}
