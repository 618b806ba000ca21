//! Who leads, as a data directory knows it: two small files beside the journal.
//!
//! `epoch` holds the number of the epoch in which this directory last led or followed; it is 1 where there is none. `fenced` is there when
//! another process leads in a later epoch: then nothing more is recorded here. Removing it is an operator's word that nobody else leads.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Who leads elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fenced {
    pub epoch: u64,
    /// Where the leader of that epoch is.
    pub leader: String,
}

impl std::fmt::Display for Fenced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fenced: epoch {} leads at {}", self.epoch, self.leader)
    }
}

/// The files of a data directory.
#[derive(Clone, Debug)]
pub(in crate::runtime::service) struct Leadership {
    root: PathBuf,
}

impl Leadership {
    pub(in crate::runtime::service) fn of(root: &Path) -> Leadership {
        Leadership { root: root.to_owned() }
    }

    /// The file whose removal ends a fence.
    pub(super) fn fence_path(&self) -> PathBuf {
        self.root.join("fenced")
    }

    /// The epoch that this directory knows.
    pub(in crate::runtime::service) fn epoch(&self) -> Result<u64, String> {
        let path = self.root.join("epoch");
        let Some(text) = self.read(&path)? else { return Ok(1) };
        text.trim().parse().map_err(|_| format!("{}: found {text:?}, expected the number of an epoch", path.display()))
    }

    pub(super) fn set_epoch(&self, epoch: u64) -> Result<(), String> {
        self.write(&self.root.join("epoch"), &format!("{epoch}\n"))
    }

    /// Who leads elsewhere, if this directory was fenced.
    pub(super) fn fenced(&self) -> Result<Option<Fenced>, String> {
        let path = self.fence_path();
        let Some(text) = self.read(&path)? else { return Ok(None) };
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let wrong = || format!("{}: found {text:?}, expected epoch and leader", path.display());
        let epoch = value["epoch"].as_u64().ok_or_else(wrong)?;
        Ok(Some(Fenced { epoch, leader: value["leader"].as_str().ok_or_else(wrong)?.to_owned() }))
    }

    /// Whether this directory was.
    pub(in crate::runtime::service) fn is_fenced(&self) -> Result<bool, String> {
        Ok(self.fenced()?.is_some())
    }

    pub(super) fn fence(&self, fenced: &Fenced) -> Result<(), String> {
        self.write(&self.fence_path(), &format!("{}\n", json!({ "epoch": fenced.epoch, "leader": fenced.leader })))
    }

    pub(super) fn end_fence(&self) -> Result<(), String> {
        match fs::remove_file(self.fence_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", self.fence_path().display())),
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// All of it or, after a power cut, what was there before.
    fn write(&self, path: &Path, text: &str) -> Result<(), String> {
        let part = path.with_extension("part");
        let written = || -> io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, path)?;
            File::open(&self.root)?.sync_all()
        };
        written().map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_known_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let leadership = Leadership::of(dir.path());
        assert_eq!((leadership.epoch(), leadership.fenced()), (Ok(1), Ok(None)));
        leadership.set_epoch(7).unwrap();
        let fenced = Fenced { epoch: 8, leader: "http://a:1".to_owned() };
        leadership.fence(&fenced).unwrap();
        assert_eq!((leadership.epoch(), leadership.fenced()), (Ok(7), Ok(Some(fenced))));
        leadership.end_fence().unwrap();
        leadership.end_fence().unwrap();
        assert_eq!(leadership.fenced(), Ok(None));
        // A file that nobody understands is no leave to lead.
        fs::write(leadership.fence_path(), "{}").unwrap();
        assert!(leadership.fenced().is_err());
        fs::write(dir.path().join("epoch"), "two").unwrap();
        assert!(leadership.epoch().is_err());
    }
}
