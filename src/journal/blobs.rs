//! Contents that control records name: `blobs/<sha256 hex>`, kept as long as the journal.

use super::error::JournalError;
use super::files::{Files, read_all};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    files: Arc<dyn Files>,
    dir: PathBuf,
}

/// `bytes` in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Blobs {
    /// The blobs in `dir`; the folder is made where it is not there.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn open(files: Arc<dyn Files>, dir: &Path) -> Result<Blobs, JournalError> {
        files.create_dir(dir).map_err(JournalError::io("making the directory", dir))?;
        Ok(Blobs { files, dir: dir.to_owned() })
    }

    /// The blobs in `dir`, for reading: nothing is made.
    pub fn read(files: Arc<dyn Files>, dir: &Path) -> Blobs {
        Blobs { files, dir: dir.to_owned() }
    }

    /// Keeps `content` and returns its SHA-256. When this returns the blob survives a power cut: the control record that names it may be
    /// written.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn put(&self, content: &[u8]) -> Result<[u8; 32], JournalError> {
        let hash: [u8; 32] = Sha256::digest(content).into();
        let path = self.path(&hash);
        let kept = self.files.list(&self.dir).map_err(JournalError::io("listing the directory", &self.dir))?;
        if kept.contains(&hex(&hash)) && self.get(&hash).is_ok() {
            // Its name may not have been synced when an earlier run was cut off.
            self.files.sync_dir(&self.dir).map_err(JournalError::io("syncing the directory", &self.dir))?;
            return Ok(hash);
        }
        let temporary = self.dir.join(format!("{}.part", hex(&hash)));
        let mut file = self.files.create(&temporary).map_err(JournalError::io("creating", &temporary))?;
        file.write(content).map_err(JournalError::io("writing", &temporary))?;
        file.sync().map_err(JournalError::io("syncing", &temporary))?;
        self.files.rename(&temporary, &path).map_err(JournalError::io("renaming a blob", &temporary))?;
        self.files.sync_dir(&self.dir).map_err(JournalError::io("syncing the directory", &self.dir))?;
        Ok(hash)
    }

    /// The content whose SHA-256 is `hash`.
    ///
    /// # Errors
    /// Where it is not there, or is not what its name says.
    pub fn get(&self, hash: &[u8; 32]) -> Result<Vec<u8>, JournalError> {
        let path = self.path(hash);
        let content = read_all(&*self.files, &path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => JournalError::MissingBlob { path: path.clone() },
            _ => JournalError::Io { doing: "reading a blob", path: path.clone(), source },
        })?;
        let found: [u8; 32] = Sha256::digest(&content).into();
        if found != *hash {
            return Err(JournalError::WrongBlob { path, found: hex(&found) });
        }
        Ok(content)
    }

    /// The content whose SHA-256 begins with `start`: what a snapshot's head names.
    ///
    /// # Errors
    /// As [`Blobs::get`].
    pub fn starting_with(&self, start: &[u8; 16]) -> Result<Vec<u8>, JournalError> {
        let start = hex(start);
        let kept = self.files.list(&self.dir).map_err(JournalError::io("listing the directory", &self.dir))?;
        let found = kept.iter().filter(|name| name.starts_with(&start)).find_map(|name| unhex(name));
        let hash = found.ok_or_else(|| JournalError::MissingBlob { path: self.dir.join(start + "…") })?;
        self.get(&hash)
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        self.dir.join(hex(hash))
    }
}

/// The hash that a blob's name is; `None` for what is no blob's name.
fn unhex(name: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Disk;

    #[test]
    fn a_blob_is_what_its_name_says_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(Arc::new(Disk), dir.path()).unwrap();
        let hash = blobs.put(b"policy").unwrap();
        assert_eq!(hex(&hash), "823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812");
        assert_eq!(blobs.put(b"policy").unwrap(), hash);
        assert_eq!(blobs.get(&hash).unwrap(), b"policy");
        // One that was not finished when the process ended has the same beginning.
        std::fs::write(dir.path().join(format!("{}.part", hex(&hash))), b"pol").unwrap();
        assert_eq!(blobs.starting_with(hash.first_chunk().unwrap()).unwrap(), b"policy");
        assert!(matches!(blobs.starting_with(&[0; 16]), Err(JournalError::MissingBlob { .. })));
        assert!(matches!(blobs.get(&[0; 32]), Err(JournalError::MissingBlob { .. })));
        std::fs::write(dir.path().join(hex(&hash)), b"Policy").unwrap();
        // Caught when planted: reading without hashing.
        assert!(matches!(blobs.get(&hash), Err(JournalError::WrongBlob { .. })));
        // A damaged blob is written anew.
        assert_eq!(blobs.put(b"policy").unwrap(), hash);
        assert_eq!(blobs.get(&hash).unwrap(), b"policy");
    }
}
