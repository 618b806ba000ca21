//! No step allocates: what is judged, appended, labelled or refused finds its place in memory that was there from the start.
//!
//! A test binary of its own, with one test: the allocator counts for everybody in the process.

mod house;

use house::{GENEROUS, NARROW, engine, options, records};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// From the very first step on, with room for everything and with tables that are full. Caught when planted: a `Vec` of one element made in
/// `Engine::step`.
#[test]
fn no_step_allocates() {
    for limits in [GENEROUS, NARROW] {
        let records = records("tiny", 21, 4000);
        let mut engine = engine(&options(limits));
        let mut out = Vec::with_capacity(256);
        for (number, batch) in records.chunks(256).enumerate() {
            out.clear();
            let before = CALLS.load(Ordering::Relaxed);
            engine.step(batch, &mut |_| {}, &mut out);
            assert_eq!(CALLS.load(Ordering::Relaxed) - before, 0, "batch {number}, {limits:?}");
        }
    }
}
