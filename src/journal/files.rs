//! The door to the disk: the few calls that the logs make, so that a test can stand a forgetful disk in their place.
//!
//! The contract is that of a file system: bytes written are read back at once by everybody, but survive a power cut only after `sync`
//! on the file, and a name made, changed or removed only after `sync_dir` on its directory.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A file being written at its end.
pub trait WriteFile: Send {
    /// Appends all of `bytes`: one write(2) where the system takes them in one.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the file's content survives a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// A second hold of the file, by which another thread syncs it while this one writes on.
    fn syncing(&self) -> io::Result<Arc<dyn SyncFile>>;
}

/// A file that is written elsewhere.
pub trait SyncFile: Send + Sync {
    /// Returns when what was written before the call survives a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// A file being read, perhaps while it grows.
pub trait ReadFile: Send + Sync {
    /// Reads at `offset` what is there, at most `into.len()` bytes; 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A place where files are kept.
pub trait Files: Send + Sync + fmt::Debug {
    /// Makes a directory and those above it, where they are not there yet.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// A new, empty file; one of this name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// An existing file, to be written at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;
    /// An existing file, to be read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// The names in a directory, sorted; none where the directory is not there.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in `dir` survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The whole content of a file.
pub(super) fn read_all(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    read_rest(&*files.open(path)?, 0)
}

/// The content of a file from `offset` on.
pub(super) fn read_rest(file: &dyn ReadFile, offset: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read_at(&mut chunk, offset + content.len() as u64)? {
            0 => return Ok(content),
            read => content.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl WriteFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: the length counts as data, times and modes are not waited for.
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn syncing(&self) -> io::Result<Arc<dyn SyncFile>> {
        Ok(Arc::new(self.try_clone()?))
    }
}

impl SyncFile for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl ReadFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }
}

impl Files for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        // Opened for appending, so that a cut is followed by the next write at the new end.
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}
