//! What the operating system says of the machine: processor, memory, limits of the process, the file system of a directory.
//!
//! What a system does not tell is left out: all of this is to be read by people, and nothing hangs on it.

use serde::Serialize;
use std::ffi::CString;
use std::fs::read_to_string;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

/// The processor.
#[derive(Clone, Debug, Serialize)]
pub struct Processor {
    pub model: Option<String>,
    /// That this process may use.
    pub cores: usize,
    /// Whether the forward pass has the fused multiply-add of the processor; without it each costs a call.
    pub fused: bool,
    /// Of the features that are looked for, those that are there.
    pub features: Vec<&'static str>,
}

/// Memory.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    pub total_bytes: Option<u64>,
    pub available_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    /// What the control group allows, where that is a limit.
    pub limit_bytes: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
}

/// Limits of the process, soft and hard; `null` where there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    pub open_files: Option<[Option<u64>; 2]>,
    pub file_bytes: Option<[Option<u64>; 2]>,
    pub address_space_bytes: Option<[Option<u64>; 2]>,
    pub processes: Option<[Option<u64>; 2]>,
}

/// A directory, or the nearest one above it that is there.
#[derive(Clone, Debug, Serialize)]
pub struct Directory {
    pub path: PathBuf,
    pub exists: bool,
    pub writable: bool,
    pub file_system: Option<String>,
    pub free_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
}

/// File systems over a network, or of somebody's own making: what they promise of a sync is not known here.
pub const REMOTE: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs"];
/// Those that a power cut, or a restart, empties.
pub const VOLATILE: [&str; 2] = ["tmpfs", "ramfs"];

impl Processor {
    /// Looks at the processor and how much of it this process may use.
    pub fn look() -> Processor {
        let told = read_to_string("/proc/cpuinfo").ok();
        let model = told.as_deref().and_then(|told| told.lines().find_map(|line| line.strip_prefix("model name")));
        let model = model.and_then(|rest| rest.split_once(':')).map(|(_, model)| model.trim().to_owned());
        let looked_for = features();
        let features = looked_for.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        let cores = available_parallelism().map_or(1, usize::from);
        Processor { model, cores, fused: looked_for.iter().all(|(_, has)| *has), features }
    }
}

/// What the forward pass looks for before it takes the faster of its two forms.
#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 3] {
    use std::arch::is_x86_feature_detected;
    [("fma", is_x86_feature_detected!("fma")), ("avx2", is_x86_feature_detected!("avx2")), ("popcnt", is_x86_feature_detected!("popcnt"))]
}

/// Others have it always.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> [(&'static str, bool); 1] {
    [("fma", true)]
}

impl Memory {
    /// Looks at the machine's memory as it is now, and at the control group's limit.
    pub fn look() -> Memory {
        let told = read_to_string("/proc/meminfo").unwrap_or_default();
        let of = |name: &str| {
            let rest = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            rest.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
        };
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limit = limits.iter().find_map(|path| read_to_string(path).ok()?.trim().parse().ok());
        let total = of("MemTotal");
        let pages = read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok();
        let chosen = pages.as_deref().and_then(|words| words.split('[').nth(1)?.split(']').next()).map(str::to_owned);
        Memory {
            total_bytes: total,
            available_bytes: of("MemAvailable"),
            swap_bytes: of("SwapTotal"),
            // A number beyond what there is limits nothing.
            limit_bytes: limit.filter(|limit| total.is_none_or(|total| *limit < total)),
            huge_pages: chosen,
        }
    }
}

impl Limits {
    /// Looks at the limits of this very process.
    pub fn look() -> Limits {
        Limits::parse(&read_to_string("/proc/self/limits").unwrap_or_default())
    }

    fn parse(told: &str) -> Limits {
        let of = |name: &str| {
            let rest = told.lines().find_map(|line| line.strip_prefix(name))?;
            let mut words = rest.split_whitespace().map(|word| match word {
                "unlimited" => Some(None),
                number => number.parse().ok().map(Some),
            });
            Some([words.next()??, words.next()??])
        };
        Limits {
            open_files: of("Max open files"),
            file_bytes: of("Max file size"),
            address_space_bytes: of("Max address space"),
            processes: of("Max processes"),
        }
    }
}

impl Directory {
    /// Looks at `path`, which need not be there yet.
    pub fn look(path: &Path) -> Directory {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let real = there.canonicalize().unwrap_or_else(|_| there.to_owned());
        let (free_bytes, total_bytes) = room(&real).unzip();
        Directory {
            path: path.to_owned(),
            exists: there == absolute,
            writable: real.is_dir() && may_write(&real),
            file_system: file_system(&read_to_string("/proc/self/mountinfo").unwrap_or_default(), &real),
            free_bytes,
            total_bytes,
        }
    }
}

/// The file system that is mounted at the longest path above `path`.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mounted = |line: &str| {
        let (place, of) = line.split_once(" - ")?;
        // Signs that part the columns stand in octal.
        let place = place.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        path.starts_with(&place).then(|| (place.len(), of.split(' ').next().unwrap_or_default().to_owned()))
    };
    // Of two at one place the later one is seen.
    mounts.lines().filter_map(mounted).max_by_key(|(length, _)| *length).map(|(_, name)| name)
}

/// Bytes that this process may still write there, and how many there are.
fn room(path: &Path) -> Option<(u64, u64)> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all-zero bytes are a valid `statvfs`, which the call fills.
    let mut told: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero, and both live through the call.
    let done = unsafe { libc::statvfs(path.as_ptr(), &mut told) };
    (done == 0).then_some((told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize))
}

fn may_write(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path ends with a zero and lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

/// Where the library of this name, that the process has loaded, was found.
pub fn loaded(name: &str) -> Option<PathBuf> {
    let maps = read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    path.into_iter().find(|path| path.rsplit('/').next().is_some_and(|file| file.starts_with(name))).map(PathBuf::from)
}

/// The version of NVIDIA's kernel module, as it tells.
pub fn kernel_module() -> Option<String> {
    let told = read_to_string("/proc/driver/nvidia/version").ok()?;
    told.lines()
        .next()?
        .split_whitespace()
        .find(|word| word.contains('.') && word.starts_with(|sign: char| sign.is_ascii_digit()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let told = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max file size             unlimited            unlimited            bytes     \n\
                    Max open files            1024                 1048576              files     \n\
                    Max address space         4096                 unlimited            bytes     \n";
        let limits = Limits::parse(told);
        assert_eq!(limits.open_files, Some([Some(1024), Some(1 << 20)]));
        assert_eq!((limits.file_bytes, limits.address_space_bytes), (Some([None, None]), Some([Some(4096), None])));
        assert_eq!(limits.processes, None);
        assert!(Limits::look().open_files.is_some(), "this system tells");
    }

    /// Caught when planted: the first mount that fits instead of the longest.
    #[test]
    fn a_directory_is_on_the_file_system_nearest_above_it() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:26 / /data rw - xfs /dev/sdb rw\n\
                      31 22 0:27 / /data/far\\040away rw shared:9 master:1 - nfs4 host:/x rw\n";
        for (path, name) in [("/", "ext4"), ("/database", "ext4"), ("/data", "xfs"), ("/data/weir", "xfs"), ("/data/far away/x", "nfs4")] {
            assert_eq!(file_system(mounts, Path::new(path)).as_deref(), Some(name), "{path}");
        }
        let dir = tempfile::tempdir().unwrap();
        let there = Directory::look(dir.path());
        assert!(there.exists && there.writable && there.free_bytes.is_some() && there.file_system.is_some(), "{there:?}");
        let later = Directory::look(&dir.path().join("a/b"));
        assert!(!later.exists && later.writable && later.file_system == there.file_system, "{later:?}");
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(!Directory::look(&dir.path().join("file/b")).writable, "below a file nothing can be made");
    }
}
