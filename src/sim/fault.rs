//! A disk that forgets: files in memory that keep through a power cut only what was synced, and of the rest a random part.
//!
//! It breaks no promise of a real disk and keeps none that a real one does not make. At a power cut each file keeps its synced content and a
//! random prefix of what was written since, perhaps with garbage behind; each directory keeps a random prefix of the names made,
//! changed and removed since it was synced. The same seed forgets the same.

use crate::journal::{Files, ReadFile, SyncFile, WriteFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// A small generator (SplitMix64): what it gives depends on its seed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// The generator with this seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: usize) -> usize {
        ((u128::from(self.bits()) * (most as u128 + 1)) >> 64) as usize
    }
}

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the system keeps what was written.
    Process,
    /// The power goes: the disk keeps what was synced, and chance decides about the rest.
    Power,
}

/// Files in memory; clones share them.
#[derive(Clone, Debug)]
pub struct ForgetfulFiles {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    files: Vec<Content>,
    /// Names as the running process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as they survive a power cut.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since their directory was synced, in order.
    renamings: Vec<Renaming>,
    /// Calls that change something, so far.
    calls: u64,
    /// Bytes that may still be written; without it, any number.
    room: Option<usize>,
    /// The call at which the crash comes; that call and all after it fail.
    crash_at: Option<u64>,
    /// Counts crashes: what was opened before one writes no more.
    life: u64,
}

#[derive(Debug, Default)]
struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Renaming {
    dir: PathBuf,
    /// Names to take away and names to put there.
    away: Option<PathBuf>,
    put: Option<(PathBuf, usize)>,
}

fn gone() -> io::Error {
    io::Error::other("the machine is down")
}

fn directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

impl ForgetfulFiles {
    /// An empty disk that forgets by `seed`.
    pub fn new(seed: u64) -> ForgetfulFiles {
        let state = State {
            chance: Chance::new(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamings: Vec::new(),
            calls: 0,
            room: None,
            crash_at: None,
            life: 0,
        };
        ForgetfulFiles { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the crash come in the `calls`-th changing call from now on (0: the next one). A write in which it comes is done in part.
    pub fn crash_after(&self, calls: u64) {
        let mut state = self.state();
        state.crash_at = Some(state.calls + calls);
    }

    /// Leaves room for so many more bytes, or for any number: a full disk takes what fits of a write, and refuses the rest.
    pub fn leave_room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    /// Changing calls so far: how many places there are at which a crash can come.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Ends the run, forgets what this crash forgets, and starts again. Handles opened before stay dead.
    pub fn restart(&self, crash: Crash) {
        let mut state = self.state();
        state.life += 1;
        state.crash_at = None;
        if crash == Crash::Power {
            state.lose_power();
        }
    }

    /// Changes one byte of a file on disk, as decay does.
    ///
    /// # Panics
    /// Where there is no such file or byte.
    pub fn flip(&self, path: &Path, at: usize) {
        let mut state = self.state();
        let index = state.names[path];
        let content = &mut state.files[index];
        content.current[at] ^= 0x10;
        if let Some(byte) = content.durable.get_mut(at) {
            *byte ^= 0x10;
        }
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn length(&self, path: &Path) -> io::Result<usize> {
        let state = self.state();
        state.names.get(path).map(|index| state.files[*index].current.len()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the files")
    }
}

impl State {
    /// Counts a changing call; fails from the crash on. True in the very call in which the crash comes.
    fn call(&mut self) -> io::Result<bool> {
        let call = self.calls;
        match self.crash_at {
            Some(at) if call > at => return Err(gone()),
            _ => self.calls += 1,
        }
        Ok(self.crash_at == Some(call))
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, dir: PathBuf, away: Option<PathBuf>, put: Option<(PathBuf, usize)>) {
        let renaming = Renaming { dir, away, put };
        renaming.apply(&mut self.names);
        self.renamings.push(renaming);
    }

    fn lose_power(&mut self) {
        // Of each directory a prefix of what happened in it: a later change never survives an earlier one.
        let dirs: std::collections::BTreeSet<PathBuf> = self.renamings.iter().map(|renaming| renaming.dir.clone()).collect();
        for dir in dirs {
            let changes: Vec<Renaming> = self.renamings.iter().filter(|renaming| renaming.dir == dir).cloned().collect();
            let kept = self.chance.up_to(changes.len());
            changes[..kept].iter().for_each(|renaming| renaming.apply(&mut self.durable_names));
        }
        self.renamings.clear();
        self.names = self.durable_names.clone();
        for content in &mut self.files {
            if content.current.starts_with(&content.durable) {
                let unsynced = content.current.len() - content.durable.len();
                let kept = content.durable.len() + self.chance.up_to(unsynced);
                let lost = content.current.len() - kept;
                content.current.truncate(kept);
                // Sometimes the file system had made the file longer already: zeros, or what stood in those blocks before.
                let garbage = match self.chance.up_to(3) {
                    0 => self.chance.up_to(lost),
                    _ => 0,
                };
                let zeros = self.chance.up_to(1) == 0;
                for _ in 0..garbage {
                    let byte = if zeros { 0 } else { self.chance.bits() as u8 };
                    content.current.push(byte);
                }
            } else if self.chance.up_to(1) == 0 {
                // A cut that was not synced came to pass or did not.
                content.current = content.durable.clone();
            }
            content.durable = content.current.clone();
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(away) = &self.away {
            names.remove(away);
        }
        if let Some((path, index)) = &self.put {
            names.insert(path.clone(), *index);
        }
    }
}

struct Handle {
    files: ForgetfulFiles,
    index: usize,
    life: u64,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.files.state();
        if state.life == self.life { Ok(state) } else { Err(gone()) }
    }
}

impl WriteFile for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        let crashed = state.call()?;
        let fits = state.room.unwrap_or(usize::MAX).min(bytes.len());
        let written = if crashed { state.chance.up_to(fits) } else { fits };
        state.files[self.index].current.extend_from_slice(&bytes[..written]);
        state.room = state.room.map(|room| room - written);
        match crashed {
            true => Err(gone()),
            false if fits < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        SyncFile::sync(self)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(gone());
        }
        state.files[self.index].current.truncate(length as usize);
        Ok(())
    }

    fn syncing(&self) -> io::Result<Arc<dyn SyncFile>> {
        Ok(Arc::new(Handle { files: self.files.clone(), index: self.index, life: self.life }))
    }
}

impl SyncFile for Handle {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(gone());
        }
        let content = &mut state.files[self.index];
        content.durable = content.current.clone();
        Ok(())
    }
}

impl ReadFile for Handle {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        let rest = state.files[self.index].current.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

impl Files for ForgetfulFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        // Directories are made once, when a data directory is set up, and synced there: not what is tried here.
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        if state.call()? {
            return Err(gone());
        }
        let index = state.files.len();
        state.files.push(Content::default());
        state.rename(directory(path), None, Some((path.to_owned(), index)));
        let life = state.life;
        drop(state);
        Ok(Box::new(Handle { files: self.clone(), index, life }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let state = self.state();
        let handle = Handle { files: self.clone(), index: state.find(path)?, life: state.life };
        Ok(Box::new(handle))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let state = self.state();
        let handle = Handle { files: self.clone(), index: state.find(path)?, life: state.life };
        Ok(Box::new(handle))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| directory(path) == dir);
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call()? {
            return Err(gone());
        }
        let index = state.find(from)?;
        state.rename(directory(to), Some(from.to_owned()), Some((to.to_owned(), index)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call()? {
            return Err(gone());
        }
        state.find(path)?;
        state.rename(directory(path), Some(path.to_owned()), None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call()? {
            return Err(gone());
        }
        let (synced, left) = std::mem::take(&mut state.renamings).into_iter().partition(|renaming: &Renaming| renaming.dir == dir);
        state.renamings = left;
        let synced: Vec<Renaming> = synced;
        synced.iter().for_each(|renaming| renaming.apply(&mut state.durable_names));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
