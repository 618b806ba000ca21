//! Looking at snapshots from outside: what they are, and whether they are whole.

use super::error::ReplayError;
use super::policies::Policies;
use super::source::founded;
use crate::engine::Engine;
use crate::event::{Duration, Sequence, Timestamp};
use crate::journal::{Blobs, DataDir, Disk, Files, JournalError, LogKind, Records, Retention, segments_from};
use crate::snapshot::{Content, SnapshotFileError, Snapshots, inspect, verify};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A snapshot as its file says it is.
#[derive(Debug)]
pub struct Inspected {
    pub path: PathBuf,
    pub content: Result<Content, SnapshotFileError>,
    /// From its beginning until now.
    pub age: Option<Duration>,
}

/// A snapshot that was read whole.
#[derive(Debug)]
pub struct Verified {
    pub content: Content,
    /// The engine goes on with this record.
    pub sequence: Sequence,
    /// Of the ground that was read, in the bytes of [`Engine::state_hash`].
    pub state_hash: [u8; 32],
    /// Of what is derived, as it was read; it is what the ground gives.
    pub derived_hash: [u8; 32],
    /// From opening the file to an engine that could go on.
    pub restore_seconds: f64,
}

/// The snapshots at `target`, a data directory or one file, newest first; and the data directory.
///
/// # Errors
/// Where there is none, or the directory cannot be read.
pub fn snapshots_in(target: &Path) -> Result<(PathBuf, Vec<PathBuf>), ReplayError> {
    let none = |what: &str| ReplayError::Unfounded(target.to_owned(), what.to_owned());
    if target.is_file() {
        let root = target.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        return Ok((root.to_owned(), vec![target.to_owned()]));
    }
    let dir = DataDir::read(target)?;
    let kept = Snapshots::at(Arc::new(Disk), &dir.snapshots()).list()?;
    if kept.is_empty() {
        return Err(none("found no snapshot in it"));
    }
    Ok((target.to_owned(), kept.into_iter().map(|kept| kept.path).collect()))
}

/// A copy of a data directory from which a service can be begun elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Of its snapshot.
    pub sequence: Sequence,
    pub files: u64,
    pub bytes: u64,
}

/// Copies what a service needs to go on from the newest snapshot of the data directory `root` into the new directory `out`, also while one runs:
/// outputs, snapshot, blobs, the journal behind the snapshot, keys. Where no snapshot was taken yet the journal goes whole. Texts of ids and
/// refused input stay behind.
///
/// # Errors
/// Where the journal's beginning is gone and there is no whole snapshot, `out` is there already, or the system refuses; then there is no `out`.
pub fn export_snapshot(root: &Path, out: &Path) -> Result<Copied, ReplayError> {
    let partial = partial_of(out);
    for there in [out, &partial] {
        if there.exists() {
            return Err(ReplayError::Unfounded(there.to_owned(), "is there already, expected the name of a new directory".to_owned()));
        }
    }
    let copied = copy_into(root, &partial).and_then(|copied| {
        std::fs::rename(&partial, out).map_err(failed("renaming", &partial))?;
        Ok(copied)
    });
    if copied.is_err() {
        // What is left of it says by its name that it is no copy.
        let _ = std::fs::remove_dir_all(&partial);
    }
    copied
}

/// The directory that is made, until it is whole.
fn partial_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    out.with_file_name(name)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReplayError {
    let path = path.to_owned();
    move |source| ReplayError::Journal(JournalError::Io { doing, path, source })
}

fn copy_into(root: &Path, out: &Path) -> Result<Copied, ReplayError> {
    let (dir, to) = (DataDir::read(root)?, DataDir::write(out)?);
    let mut copied = Copied { sequence: Sequence(0), files: 0, bytes: 0 };
    let mut copy = |from: &Path, folder: &Path| {
        let path = folder.join(from.file_name().expect("a file has a name"));
        let bytes = std::fs::copy(from, &path).and_then(|bytes| File::open(&path)?.sync_all().map(|()| bytes));
        copied.bytes += bytes.map_err(failed("copying", from))?;
        copied.files += 1;
        Ok::<_, ReplayError>(())
    };
    // Outputs first: what they tell of is then in the journal that is copied behind them.
    for path in segments_from(&Disk, &dir.outputs(), Sequence(0))? {
        copy(&path, &to.outputs())?;
    }
    let kept = Snapshots::at(Arc::new(Disk), &dir.snapshots()).list()?;
    let newest = kept.iter().find_map(|kept| Some((&kept.path, inspect(&Disk, &kept.path).ok()?.head.sequence)));
    let sequence = newest.map_or(Sequence(0), |(_, sequence)| sequence);
    if let Some((snapshot, _)) = newest {
        std::fs::create_dir_all(to.snapshots()).map_err(failed("making the directory", &to.snapshots()))?;
        copy(snapshot, &to.snapshots())?;
    } else if Retention::of(Arc::new(Disk), &dir.journal(), LogKind::Journal).first()? != Sequence(0) {
        let what = "found no whole snapshot in it, and its journal's beginning is gone: expected one or the other";
        return Err(ReplayError::Unfounded(root.to_owned(), what.to_owned()));
    }
    for entry in std::fs::read_dir(dir.blobs()).map_err(failed("listing", &dir.blobs()))? {
        copy(&entry.map_err(failed("listing", &dir.blobs()))?.path(), &to.blobs())?;
    }
    for path in segments_from(&Disk, &dir.journal(), sequence)? {
        copy(&path, &to.journal())?;
    }
    if root.join("keys.json").is_file() {
        copy(&root.join("keys.json"), out)?;
    }
    Ok(Copied { sequence, ..copied })
}

/// What these files say that they are.
pub fn inspect_snapshots(paths: &[PathBuf]) -> Vec<Inspected> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    let look = |path: &PathBuf| {
        let content = inspect(&Disk, path);
        let age = content.as_ref().ok().map(|content| Timestamp(now) - content.head.taken_at);
        Inspected { path: path.clone(), content, age }
    };
    paths.iter().map(look).collect()
}

/// Reads all of the snapshot at `path`, restores an engine of what the journal in `root` begins with, computes again what is derived, and
/// compares.
///
/// # Errors
/// Where the journal founds no engine. An inner error: what is wrong with the snapshot.
pub fn verify_snapshot(root: &Path, path: &Path) -> Result<Result<Verified, String>, ReplayError> {
    let disk: Arc<dyn Files> = Arc::new(Disk);
    let dir = DataDir::read(root)?;
    let deciding = founded(root, &disk, &dir)?;
    let records = Records::open(disk.clone(), &dir.journal(), Sequence(0))?;
    let key = records.0.key().ok_or_else(|| ReplayError::Unfounded(root.to_owned(), "the journal holds no segment".to_owned()))?;
    let mut engine = Engine::new(deciding.engine_options(key, 1), &mut |_| {}).map_err(ReplayError::Build)?;
    let blobs = Blobs::read(disk, &dir.blobs());
    match inspect(&Disk, path) {
        Ok(content) => Policies::of(&deciding, key, blobs).put_in_force(&mut engine, &content.head.shape)?,
        Err(error) => return Ok(Err(error.to_string())),
    }
    let content = match verify(&Disk, path, Some(&engine.shape())) {
        Ok(content) => content,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let began = Instant::now();
    let sequence = match crate::snapshot::restore(&Disk, &mut engine, path) {
        Ok(sequence) => sequence,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let restore_seconds = began.elapsed().as_secs_f64();
    let (state_hash, derived_hash) = (engine.state_hash(), engine.derived_hash());
    let differs = |what: &str| Ok(Err(format!("{}: {what}", path.display())));
    if let Err(error) = engine.rebuild_derived() {
        return differs(&format!("its ground gives no derived tables: {error}"));
    }
    if engine.derived_hash() != derived_hash {
        return differs("its derived tables are not those that its ground gives");
    }
    if engine.state_hash() != state_hash {
        return differs("computing its derived tables again changed its ground");
    }
    Ok(Ok(Verified { content, sequence, state_hash, derived_hash, restore_seconds }))
}

impl From<SnapshotFileError> for ReplayError {
    fn from(error: SnapshotFileError) -> ReplayError {
        ReplayError::Snapshot(error)
    }
}
