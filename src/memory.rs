//! Touched huge-page buffers and prefetch: the only unsafe code below the devices.
//!
//! A buffer may be watched while a snapshot is taken ([`image`]): then whoever writes has what stood there copied aside first. That is why
//! there is no way to write but by naming what is written.

pub mod image;
mod slots;

pub use slots::{Slots, slots_for};

use image::Watch;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, Range};
use std::ptr::NonNull;

/// Types for which all-zero bytes are a value, as is every other pattern.
///
/// # Safety
/// The type is `Copy`, has no padding, and every bit pattern of its size is a valid value.
pub unsafe trait Zeroed: Copy {}

// SAFETY: integers have no padding, and zero is one of their values.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for u64 {}

const HUGE_PAGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// A fixed-size table, allocated, advised for huge pages and touched once: no step ever meets a page fault in it.
pub struct Buffer<T: Zeroed> {
    start: NonNull<T>,
    len: usize,
    /// Whether an image is being taken: asked before every write, so it stands here and not behind the pointer.
    watched: bool,
    watch: Box<Watch>,
    layout: Layout,
}

impl<T: Zeroed> Buffer<T> {
    /// `len` zeroes. `progress` hears of every piece of bytes that has been touched.
    ///
    /// # Panics
    /// When the table's size overflows; aborts when the machine has no such memory.
    pub fn new(len: usize, progress: &mut dyn FnMut(usize)) -> Buffer<T> {
        let bytes = len.checked_mul(size_of::<T>()).expect("a table's size fits the address space").max(1);
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { 64 };
        let layout = Layout::from_size_align(bytes, align.max(align_of::<T>())).expect("a table's size fits the address space");
        // SAFETY: the layout has a size of at least one byte.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(memory) else { handle_alloc_error(layout) };
        if align == HUGE_PAGE {
            // Best effort: without huge pages everything works, up to half as fast.
            // SAFETY: the range was just allocated and is aligned to a page.
            #[cfg(target_os = "linux")]
            unsafe {
                libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
            }
        }
        let mut touched = 0;
        while touched < bytes {
            let piece = (bytes - touched).min(16 * HUGE_PAGE);
            for offset in (touched..touched + piece).step_by(PAGE) {
                // SAFETY: the offset lies inside the allocation, whose bytes are zero already; volatile so that the write stays.
                unsafe { start.as_ptr().add(offset).write_volatile(0) };
            }
            touched += piece;
            progress(piece);
        }
        Buffer { start: start.cast(), len, watched: false, watch: Box::new(Watch::new(len * size_of::<T>())), layout }
    }

    /// Element `index`, to be changed.
    ///
    /// # Panics
    /// Where there is none.
    #[inline(always)]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        &mut self.range_mut(index..index + 1)[0]
    }

    /// Writes element `index`.
    ///
    /// # Panics
    /// Where there is none.
    #[inline(always)]
    pub fn set(&mut self, index: usize, value: T) {
        *self.get_mut(index) = value;
    }

    /// The elements of `range`, to be changed.
    ///
    /// # Panics
    /// Where they are not all there.
    #[inline(always)]
    pub fn range_mut(&mut self, range: Range<usize>) -> &mut [T] {
        if self.watched {
            self.keep(range.clone());
        }
        &mut self.elements_mut()[range]
    }

    /// Copies what stands in `range` aside, where an image still needs it.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, range: Range<usize>) {
        let size = size_of::<T>();
        let Buffer { start, len, watch, watched, .. } = self;
        // SAFETY: the whole table, which nobody writes while this borrow of `self` lives; see `bytes`.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), *len * size) };
        *watched = watch.keep(bytes, range.start * size..range.end * size);
    }

    #[inline(always)]
    fn elements_mut(&mut self) -> &mut [T] {
        // SAFETY: `len` initialised elements stand at `start` as long as `self` lives, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Hints that element `index` will be read soon; out of range is no matter.
    #[inline(always)]
    pub fn prefetch(&self, index: usize) {
        prefetch(self.start.as_ptr().wrapping_add(index));
    }
}

impl<T: Zeroed> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout; `T` is `Copy` and needs no drop.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) }
    }
}

impl<T: Zeroed> Deref for Buffer<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` initialised elements stand at `start` as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Zeroed> image::Table for Buffer<T> {
    fn element_bytes(&self) -> usize {
        size_of::<T>()
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `len` elements without padding stand at `start` as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len * size_of::<T>()) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(!self.watched, "a table is filled before an image is taken of it");
        // SAFETY: as above, every pattern of bytes is a value of `T`, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len * size_of::<T>()) }
    }

    fn watch_and_bytes(&mut self) -> (&mut Watch, &[u8]) {
        // SAFETY: as in `bytes`; the watch stands elsewhere.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len * size_of::<T>()) };
        (&mut self.watch, bytes)
    }

    fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }
}

// SAFETY: the buffer owns its memory and shares it with nobody.
unsafe impl<T: Zeroed + Send> Send for Buffer<T> {}
// SAFETY: shared access only reads.
unsafe impl<T: Zeroed + Sync> Sync for Buffer<T> {}

/// A hint to fetch the cache line at `address`; no value comes from it.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(address.cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zero_and_tells_its_progress() {
        let mut bytes = 0;
        let mut buffer: Buffer<u64> = Buffer::new(1 << 19, &mut |piece| bytes += piece);
        assert_eq!(bytes, 4 << 20);
        assert!(buffer.iter().all(|word| *word == 0));
        buffer.set(7, 1);
        assert_eq!(buffer[7], 1);
        buffer.prefetch(usize::MAX);
    }

    #[test]
    fn an_empty_buffer_is_fine() {
        assert!(Buffer::<u32>::new(0, &mut |_| {}).is_empty());
    }
}
