//! Files that say who may come in: read only where strangers cannot, written whole or not at all.

use super::keys::Keys;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// More than 10,000 keys need.
const KEYS_BYTES_MAX: u64 = 16 << 20;

/// The keys in the file at `path`; `None` where there is no file.
///
/// # Errors
/// A file that others can read, with the command that mends it; one that cannot be read or is no list of keys.
pub fn load_keys(path: &Path) -> Result<Option<Keys>, String> {
    match read_private(path, 0o077, KEYS_BYTES_MAX)? {
        None => Ok(None),
        Some(text) => {
            let text = String::from_utf8(text).map_err(|_| format!("{}: found bytes that are not UTF-8, expected text", path.display()))?;
            Keys::parse(&text).map(Some).map_err(|what| format!("{}: {what}", path.display()))
        }
    }
}

/// Changes the keys in the file at `path`, which is made where it is not there (mode 0600). Others who change it at the same time wait.
/// Where `act` or anything else fails, the file stays as it was.
///
/// # Errors
/// Those of [`load_keys`], of `act`, and of the disk.
pub fn change_keys<T>(path: &Path, act: impl FnOnce(&mut Keys) -> Result<T, String>) -> Result<T, String> {
    // A link stays one: what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let at_folder = |doing: &str, error: io::Error| format!("{}: {doing} failed: {error}", folder.display());
    let held = File::open(folder).map_err(|error| at_folder("opening the directory", error))?;
    // The directory itself is the lock: the file is replaced, so a lock on it would hold nobody, and a lock file would be left lying.
    held.lock().map_err(|error| at_folder("locking the directory", error))?;
    let mut keys = load_keys(path)?.unwrap_or_default();
    let done = act(&mut keys)?;
    replace(path, folder, keys.to_json().as_bytes()).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    held.sync_all().map_err(|error| at_folder("syncing the directory", error))?;
    Ok(done)
}

fn replace(path: &Path, folder: &Path, content: &[u8]) -> io::Result<()> {
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".keys").suffix(".new").tempfile_in(folder)?;
    file.write_all(content)?;
    let own = file.as_file().metadata()?;
    let owner: Option<Metadata> = match fs::metadata(path) {
        Ok(before) => Some(before),
        // Root makes it for whom the directory belongs to: else the service could not read what is meant for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && own.uid() == 0 => Some(fs::metadata(folder)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(owner) = owner.filter(|owner| (owner.uid(), owner.gid()) != (own.uid(), own.gid())) {
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The content of a file on which none of the `forbidden` mode bits is set; `None` where there is no file.
///
/// # Errors
/// A file of another mode, with the command that mends it; one longer than `bytes_max`, or that cannot be read.
pub(super) fn read_private(path: &Path, forbidden: u32, bytes_max: u64) -> Result<Option<Vec<u8>>, String> {
    let at = |error: io::Error| format!("{}: cannot be read: {error}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at)?,
    };
    let metadata = file.metadata().map_err(at)?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() {
        return Err(format!("{}: found no file, expected one", path.display()));
    }
    if mode & forbidden != 0 {
        let mended = mode & !forbidden;
        let path = path.display();
        return Err(format!(
            "{path}: found mode {mode:04o}, which lets others at it, expected {mended:04o}; this mends it: chmod {mended:o} {path}"
        ));
    }
    let mut content = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut content).map_err(at)?;
    if content.len() as u64 > bytes_max {
        return Err(format!("{}: found more than {bytes_max} bytes, expected fewer", path.display()));
    }
    Ok(Some(content))
}

/// Whether files are still those that were looked at last.
#[derive(Debug)]
pub(super) struct Watched {
    paths: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    /// Somebody may still be writing: file times go in steps, and a change within one step shows in none of them.
    young: bool,
}

/// What changes when a file does: device, inode, length, and the times of its content and of its inode in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([i128; 5]);

impl Watched {
    /// Looks at files for the first time; to be called before they are read.
    pub fn new(paths: Vec<PathBuf>) -> Watched {
        let stamps = paths.iter().map(|path| stamp(path)).collect();
        Watched { paths, stamps, young: true }
    }

    /// Looks again: whether the files may have changed. True once more than needed rather than once less.
    pub fn changed(&mut self) -> bool {
        let stamps: Vec<Option<Stamp>> = self.paths.iter().map(|path| stamp(path)).collect();
        let changed = self.young || stamps != self.stamps;
        let now = jiff::Timestamp::now().as_nanosecond();
        self.young = stamps.iter().flatten().any(|Stamp([.., at])| now - at < 2_000_000_000);
        self.stamps = stamps;
        changed
    }

    /// The next look finds a change.
    pub fn doubt(&mut self) {
        self.young = true;
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let file = fs::metadata(path).ok()?;
    let times = [nanos(file.mtime(), file.mtime_nsec()), nanos(file.ctime(), file.ctime_nsec())];
    Some(Stamp([file.dev().into(), file.ino().into(), file.size().into(), times[0], times[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Scope;
    use jiff::Timestamp;
    use std::thread;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    fn add(path: &Path, name: &str) -> String {
        let add = |keys: &mut Keys| keys.add(name, &[Scope::Hook], None, Timestamp::now());
        change_keys(path, add).expect("added").id().to_owned()
    }

    #[test]
    fn a_file_is_made_private_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys.json");
        assert_eq!(load_keys(&path), Ok(None));
        add(&path, "one");
        assert_eq!(mode(&path), 0o600);
        add(&path, "two");
        let keys = load_keys(&path).expect("readable").expect("there");
        assert_eq!(keys.as_slice().iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_mends_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys.json");
        add(&path, "one");
        for (found, mended) in [(0o644, "600"), (0o640, "600"), (0o602, "600"), (0o755, "700")] {
            fs::set_permissions(&path, fs::Permissions::from_mode(found)).expect("set");
            let error = load_keys(&path).expect_err("others can read it");
            assert!(error.ends_with(&format!("chmod {mended} {}", path.display())), "{error}");
            assert!(error.contains(&format!("found mode {found:04o}")), "{error}");
            change_keys(&path, |_| Ok(())).expect_err("nor is it written");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
        load_keys(&path).expect("private").expect("there");
    }

    // Planted mistake it caught: no lock, so that of two who added at once one's key was lost.
    #[test]
    fn many_who_add_at_once_all_find_their_keys() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys.json");
        thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || (0..10).for_each(|turn| drop(add(path, &format!("{writer}-{turn}")))));
            }
        });
        let keys = load_keys(&path).expect("readable").expect("there");
        assert_eq!(keys.as_slice().len(), 40);
    }

    #[test]
    fn a_change_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys.json");
        add(&path, "one");
        let before = fs::read(&path).expect("read");
        change_keys(&path, |keys| keys.add("", &[Scope::Hook], None, Timestamp::now())).expect_err("no name");
        assert_eq!(fs::read(&path).expect("read"), before);
        fs::write(&path, "{").expect("written");
        change_keys(&path, |_| Ok(())).expect_err("a broken file is not written over");
        assert_eq!(fs::read(&path).expect("read"), b"{");
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real.json"), dir.path().join("keys.json"));
        add(&real, "one");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        add(&link, "two");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(load_keys(&real).expect("readable").expect("there").as_slice().len(), 2);
    }

    #[test]
    fn a_change_of_content_mode_or_inode_is_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let mut watched = Watched::new(vec![path.clone()]);
        assert!(watched.changed(), "the first look after reading is a doubtful one");
        assert!(!watched.changed(), "nothing is there");
        fs::write(&path, "one").expect("written");
        assert!(watched.changed());
        assert!(watched.changed(), "written a moment ago");
        watched.young = false;
        assert!(!watched.changed());
        watched.young = false;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        assert!(watched.changed());
        watched.young = false;
        fs::rename(&path, dir.path().join("away")).expect("renamed");
        assert!(watched.changed());
    }
}
