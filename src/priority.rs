//! Who gives way where threads compete for the processors.

/// Lets this thread, and those that it starts from now on, run behind the others of the machine: for work that nobody waits for. A hint,
/// as the system takes it: Linux has a priority for each thread, elsewhere nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes a number and no pointer.
    unsafe {
        // Where it is refused the thread goes on as it was.
        libc::nice(LOWER);
    }
}

/// Lets this thread take a processor as soon as it wakes, for short stretches at a time: for those whom a caller waits for. Linux (from 6.12)
/// asks a thread for the length of its stretches, and one of short stretches goes before one of long ones, which otherwise runs on for up to
/// three milliseconds; elsewhere nothing changes.
pub fn come_promptly() {
    #[cfg(target_os = "linux")]
    // SAFETY: both calls read only their arguments; the second reads `size` bytes of an attribute that outlives it.
    unsafe {
        let attribute = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_OTHER as u32,
            sched_flags: 0,
            sched_nice: libc::getpriority(libc::PRIO_PROCESS, 0),
            sched_priority: 0,
            sched_runtime: STRETCH_NS,
            sched_deadline: 0,
            sched_period: 0,
        };
        // Where it is refused the thread goes on as it was.
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attribute, 0);
    }
}

/// The shortest stretch that Linux takes.
#[cfg(target_os = "linux")]
const STRETCH_NS: u64 = 100_000;

/// Of a processor that a thread of the usual priority wants too it then gets a tenth.
#[cfg(target_os = "linux")]
const LOWER: libc::c_int = 10;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The line of the kernel on a thread: the 19th figure is its nice value, the second may hold spaces.
    fn nice_of_this_thread() -> i64 {
        let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = line.rsplit_once(") ").unwrap().1;
        behind_name.split(' ').nth(16).unwrap().parse().unwrap()
    }

    /// Caught when planted: an attribute that set the nice value back.
    #[test]
    fn a_prompt_thread_keeps_its_nice_value() {
        let lowered = std::thread::spawn(|| {
            give_way();
            let before = nice_of_this_thread();
            come_promptly();
            (before, nice_of_this_thread())
        });
        let (before, after) = lowered.join().unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn a_thread_gives_way_with_those_it_starts_and_no_other() {
        let before = nice_of_this_thread();
        let lowered = std::thread::spawn(|| {
            give_way();
            (nice_of_this_thread(), std::thread::spawn(nice_of_this_thread).join().unwrap())
        });
        let expected = (before + i64::from(LOWER)).min(19);
        assert_eq!(lowered.join().unwrap(), (expected, expected));
        assert_eq!(nice_of_this_thread(), before);
    }
}
