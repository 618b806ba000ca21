//! A disk that forgets: files in memory that keep through a power cut only what was synced, and of the rest a random part.
//!
//! It breaks no promise of a real disk and keeps none that a real one does not make. At a power cut each file keeps its synced content and a
//! random prefix of what was written since, perhaps with garbage behind; each directory keeps a random prefix of the names made,
//! changed and removed since it was synced. The same seed forgets the same.

use crate::journal::{Files, ReadFile, WriteFile};
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
        let written = if crashed { state.chance.up_to(bytes.len()) } else { bytes.len() };
        state.files[self.index].current.extend_from_slice(&bytes[..written]);
        if crashed { Err(gone()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(gone());
        }
        let content = &mut state.files[self.index];
        content.durable = content.current.clone();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(gone());
        }
        state.files[self.index].current.truncate(length as usize);
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
mod tests {
    use super::*;
    use crate::event::{Content as RecordContent, Effort, IdKey, Origin, Record, Sequence, Timestamp};
    use crate::journal::{Blobs, Durability, Journal, JournalError, LogOptions, Records};
    use proptest::prelude::*;

    const DIR: &str = "journal";

    fn record(sequence: u64) -> Record {
        // The content names the sequence, so that a record in another's place would be seen.
        let content = RecordContent::Tick(Timestamp(sequence as i64 * 1000));
        Record {
            sequence: Sequence(sequence),
            received: Timestamp(sequence as i64),
            origin: Origin::engine(),
            effort: Effort::Full,
            content,
        }
    }

    fn options(durability: Durability) -> LogOptions {
        // So small that a run rotates every dozen records.
        LogOptions { durability, segment_bytes: 600 }
    }

    fn open(files: &ForgetfulFiles, durability: Durability) -> Result<Journal, JournalError> {
        Journal::open(Arc::new(files.clone()), Path::new(DIR), IdKey([3; 16]), options(durability)).map(|(journal, _)| journal)
    }

    fn read(files: &ForgetfulFiles) -> Vec<Record> {
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
        let mut all = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            all.push(record);
        }
        all
    }

    /// What a run may count on when it ends.
    #[derive(Default)]
    struct Promised {
        /// Records whose commit (or sync) said that they survive a power cut.
        synced: u64,
        /// Records whose commit returned, as far as no power cut came since.
        written: u64,
        /// Records handed to the journal.
        appended: u64,
    }

    /// Appends groups until the machine is down or `groups` are done.
    fn run(files: &ForgetfulFiles, durability: Durability, groups: &[(u8, bool)]) -> Promised {
        let mut promised = Promised::default();
        let Ok(mut journal) = open(files, durability) else { return promised };
        // What was shown at opening is kept.
        promised.synced = journal.next().0;
        promised.written = promised.synced;
        promised.appended = promised.synced;
        for (length, sync) in groups {
            for _ in 0..*length {
                promised.appended = journal.next().0 + 1;
                if journal.append(&record(journal.next().0)).is_err() {
                    return promised;
                }
            }
            if journal.commit().is_err() {
                return promised;
            }
            promised.written = journal.next().0;
            if *sync && journal.sync().is_err() {
                return promised;
            }
            if *sync || durability == Durability::Synced {
                promised.synced = journal.next().0;
            }
        }
        promised
    }

    fn check(files: &ForgetfulFiles, promised: &Promised) {
        // Readable before it is opened for writing too: `verify` and `export` change nothing.
        let before = read(files);
        let journal = open(files, Durability::Written).unwrap();
        let found = read(files);
        assert_eq!(before, found);
        assert_eq!(journal.next().0, found.len() as u64);
        assert!(found.iter().enumerate().all(|(place, found)| *found == record(place as u64)), "not a prefix");
        let (count, least) = (found.len() as u64, promised.written);
        assert!(count >= least, "{count} records, promised {least}");
        assert!(count <= promised.appended, "records that nobody appended");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        // Every place at which a run can be cut off is tried: in writes, before and after syncs, in each step of a rotation, in recovery.
        // Caught when planted: commit without the sync under `synced`; no sync of the old segment in rotation; no sync of the directory
        // after a new segment; a torn end left in place; recovery that does not sync what it has shown; a torn header taken for damage.
        #[test]
        fn a_reopened_journal_is_a_prefix_with_all_that_was_promised(
            seed in any::<u64>(),
            groups in prop::collection::vec((0u8..9, any::<bool>()), 1..12),
            synced in any::<bool>(),
            power in any::<[bool; 3]>(),
        ) {
            let durability = if synced { Durability::Synced } else { Durability::Written };
            let crashes = power.map(|power| if power { Crash::Power } else { Crash::Process });
            let whole = ForgetfulFiles::new(seed);
            run(&whole, durability, &groups);
            for place in 0..=whole.calls() {
                let files = ForgetfulFiles::new(seed ^ place);
                let mut promised = Promised::default();
                // It goes down at this place, then while it recovers, then while it goes on.
                for (calls, crash) in [place, seed % 4, 4 + seed % 4].into_iter().zip(crashes) {
                    files.crash_after(calls);
                    let this = run(&files, durability, &groups);
                    promised.synced = promised.synced.max(this.synced);
                    promised.written = promised.written.max(this.written);
                    promised.appended = promised.appended.max(this.appended);
                    files.restart(crash);
                    if crash == Crash::Power {
                        promised.written = promised.synced;
                    }
                }
                check(&files, &promised);
            }
        }

        // Caught when planted: a temporary name renamed before its content was synced; the directory not synced.
        #[test]
        fn a_blob_that_was_put_is_there_after_a_power_cut(seed in any::<u64>(), content in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = ForgetfulFiles::new(seed);
            Blobs::open(Arc::new(whole.clone()), Path::new("blobs")).unwrap().put(&content).unwrap();
            for place in 0..=whole.calls() {
                let files = ForgetfulFiles::new(seed ^ place);
                files.crash_after(place);
                let blobs = Blobs::open(Arc::new(files.clone()), Path::new("blobs")).unwrap();
                let put = blobs.put(&content);
                files.restart(Crash::Power);
                if let Ok(hash) = put {
                    prop_assert_eq!(blobs.get(&hash).unwrap(), content.clone());
                }
                let hash = blobs.put(&content).unwrap();
                files.restart(Crash::Power);
                prop_assert_eq!(blobs.get(&hash).unwrap(), content.clone());
            }
        }
    }

    #[test]
    fn a_failed_write_stops_the_journal() {
        let files = ForgetfulFiles::new(1);
        let mut journal = open(&files, Durability::Synced).unwrap();
        journal.append(&record(0)).unwrap();
        journal.commit().unwrap();
        journal.append(&record(1)).unwrap();
        files.crash_after(1); // the write succeeds, the sync does not
        assert!(matches!(journal.commit(), Err(JournalError::Io { doing: "syncing", .. })));
        // Caught when planted: a second commit that claims success, as a second fdatasync would.
        assert!(matches!(journal.commit(), Err(JournalError::Stopped { .. })));
        assert!(matches!(journal.append(&record(2)), Err(JournalError::Stopped { .. })));
    }

    #[test]
    fn damage_in_the_middle_is_named_never_cut() {
        for (place, name) in [(70, "00000000000000000000.log"), (10, "00000000000000000000.log")] {
            let files = ForgetfulFiles::new(5);
            run(&files, Durability::Synced, &[(4, true)]);
            let path = Path::new(DIR).join(name);
            let length = files.length(&path).unwrap();
            files.flip(&path, place);
            let found = open(&files, Durability::Synced);
            let at = if place < 64 { 0 } else { 64 };
            assert!(matches!(&found, Err(JournalError::Damaged { segment, offset, .. }) if *segment == path && *offset == at), "{found:?}");
            assert_eq!(files.length(&path).unwrap(), length);
        }
    }

    #[test]
    fn damage_in_an_older_segment_is_named_by_readers() {
        let files = ForgetfulFiles::new(5);
        run(&files, Durability::Synced, &[(40, true)]);
        let path = Path::new(DIR).join("00000000000000000000.log");
        let last = files.length(&path).unwrap() - 1;
        // The last byte of a closed segment: behind it nothing stands in this file, and yet it is no torn end.
        files.flip(&path, last);
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
        let error = loop {
            match records.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the damage was passed over"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, JournalError::Damaged { segment, .. } if *segment == path), "{error}");
    }

    #[test]
    fn a_missing_segment_is_named() {
        let files = ForgetfulFiles::new(5);
        run(&files, Durability::Synced, &[(60, true)]);
        let names = files.list(Path::new(DIR)).unwrap();
        assert!(names.len() > 3);
        files.remove(&Path::new(DIR).join(&names[1])).unwrap();
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
        let error = loop {
            match records.next_record() {
                Ok(record) => assert!(record.is_some(), "the gap was passed over"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Gap { .. }), "{error}");
    }

    #[test]
    fn a_torn_end_is_cut_and_reported() {
        let files = ForgetfulFiles::new(5);
        run(&files, Durability::Synced, &[(4, true)]);
        let path = Path::new(DIR).join("00000000000000000000.log");
        let whole = files.length(&path).unwrap();
        let frame = (whole - 64) / 4;
        files.append(&path).unwrap().truncate(whole as u64 - 3).unwrap();
        let (journal, recovered) =
            Journal::open(Arc::new(files.clone()), Path::new(DIR), IdKey([3; 16]), options(Durability::Synced)).unwrap();
        assert_eq!(journal.next(), Sequence(3));
        assert_eq!((recovered.records, recovered.cut_bytes), (3, frame as u64 - 3));
        assert_eq!(recovered.at, Some((path, (64 + 3 * frame) as u64)));
    }

    #[test]
    fn retention_keeps_what_recovery_needs() {
        let files = ForgetfulFiles::new(5);
        run(&files, Durability::Synced, &[(60, true)]);
        let mut journal = open(&files, Durability::Synced).unwrap();
        let firsts = |files: &ForgetfulFiles| read(files).first().map(|record| record.sequence.0);
        // Without a snapshot nothing goes, however old.
        assert_eq!(journal.retain(None, Timestamp(i64::MAX)).unwrap(), Sequence(0));
        // Old enough up to the end, but a snapshot stands at 30. Caught when planted: a segment that ends behind the floor deleted.
        let kept = journal.retain(Some(Sequence(30)), Timestamp(i64::MAX)).unwrap();
        assert!(kept.0 > 0 && kept.0 <= 30, "{kept:?}");
        assert_eq!(firsts(&files), Some(kept.0));
        // A snapshot at the end, but only what was received until 40 is old enough. Here `received` is the sequence.
        let kept = journal.retain(Some(Sequence(60)), Timestamp(40)).unwrap();
        assert!(kept.0 > 30 && kept.0 <= 40, "{kept:?}");
        assert_eq!(firsts(&files), Some(kept.0));
        // The segment being written stays, and the log goes on and is opened again.
        journal.retain(Some(Sequence(60)), Timestamp(i64::MAX)).unwrap();
        journal.append(&record(60)).unwrap();
        journal.commit().unwrap();
        drop(journal);
        assert_eq!(open(&files, Durability::Synced).unwrap().next(), Sequence(61));
        assert_eq!(read(&files).last(), Some(&record(60)));
    }

    #[test]
    fn a_reader_keeps_up_with_a_log_being_written() {
        let files = ForgetfulFiles::new(5);
        let mut journal = open(&files, Durability::Written).unwrap();
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(5)).unwrap();
        let mut chance = Chance::new(7);
        let mut expected = 5;
        for _ in 0..100 {
            for _ in 0..chance.up_to(30) {
                journal.append(&record(journal.next().0)).unwrap();
            }
            // What is appended and not committed is not seen, unless a rotation wrote it.
            while let Some(found) = records.next_record().unwrap() {
                assert_eq!(found, record(expected));
                expected += 1;
            }
            journal.commit().unwrap();
            while let Some(found) = records.next_record().unwrap() {
                assert_eq!(found, record(expected));
                expected += 1;
            }
            assert_eq!(expected, journal.next().0.max(5));
        }
        assert!(journal.next().0 > 500);
        // From any sequence on.
        for from in [0, 1, 17, 400, journal.next().0 - 1] {
            let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(from)).unwrap();
            assert_eq!(records.next_record().unwrap(), Some(record(from)));
        }
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), journal.next()).unwrap();
        assert_eq!(records.next_record().unwrap(), None);
    }

    #[test]
    fn outputs_of_one_record_stay_in_one_segment() {
        use crate::engine::{Output, Rejected};
        use crate::event::{Refusal, Refused};
        use crate::journal::{OutputLog, Outputs};
        let files = ForgetfulFiles::new(5);
        let (mut log, _) = OutputLog::open(Arc::new(files.clone()), Path::new("outputs"), options(Durability::Written)).unwrap();
        let mut written = Vec::new();
        for (sequence, copies) in [(3, 2), (4, 1), (9, 30), (10, 1), (200, 20), (201, 40)] {
            for copy in 0..copies {
                let origin = Origin { source: 0, partition: 0, offset: copy };
                let refused = Refused { reason: Refusal::Malformed, field: None };
                let output = Output::Rejected(Rejected { sequence: Sequence(sequence), origin, refused, event: None });
                log.append(&output).unwrap();
                written.push(output);
            }
        }
        log.commit().unwrap();
        drop(log);
        let (log, recovered) = OutputLog::open(Arc::new(files.clone()), Path::new("outputs"), options(Durability::Written)).unwrap();
        assert_eq!((log.next(), recovered.cut_bytes), (Sequence(202), 0));
        assert!(recovered.segments > 2);
        for from in [0, 4, 9, 10, 11, 201] {
            let mut outputs = Outputs::open(Arc::new(files.clone()), Path::new("outputs"), Sequence(from)).unwrap();
            let mut found = Vec::new();
            while let Some(output) = outputs.next_output().unwrap() {
                found.push(output);
            }
            let expected: Vec<Output> = written.iter().copied().filter(|output| output.sequence().0 >= from).collect();
            // Caught when planted: a rotation between two outputs of one record (two segments of one name).
            assert_eq!(found, expected, "from {from}");
        }
    }
}
