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
