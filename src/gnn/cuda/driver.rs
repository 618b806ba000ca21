//! A card behind NVIDIA's driver: the one door to a device.
//!
//! One context, one stream. Buffers are there from the start; what goes to the card is copied into pinned memory first, so that nobody waits
//! for a copy but who reads. A context is bound to a thread: each call looks whether it is this one's, so the card may change hands.

use super::calls::{Calls, Said};
use super::device::{Argument, Buffer, Device, DeviceError, Kernel};
use super::machine::{Card, Missing};
use cudarc::driver::sys;
use std::ffi::{CString, c_void};
use std::ptr;
use std::slice;

/// Bytes on their way to the card at most; more wait for the card.
pub(super) const STAGING_BYTES: usize = 8 << 20;
/// Bytes that come back at a time.
pub(super) const READING_BYTES: usize = 1 << 20;
/// Arguments of a launch at most.
const ARGUMENTS_MAX: usize = 16;
/// Dynamic shared memory that a block gets without being asked for it by name.
const SHARED_BYTES_FREE: u32 = 48 << 10;

/// A card that was brought up.
pub struct Driver {
    calls: &'static Calls,
    name: String,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    module: sys::CUmodule,
    /// By [`Kernel`]: the function, and the dynamic shared memory that it was given leave for.
    functions: [(sys::CUfunction, u32); Kernel::ALL.len()],
    buffers: Vec<sys::CUdeviceptr>,
    /// Pinned, and for the card to read: [`STAGING_BYTES`], of which so many are on their way.
    staging: *mut u8,
    staged: usize,
    /// Pinned, and for this process to read: [`READING_BYTES`].
    reading: *mut u8,
}

// SAFETY: the driver's handles and pinned memory belong to the process, not to a thread; the context is bound to whichever thread calls, and
// `&mut self` lets one call at a time.
unsafe impl Send for Driver {}

impl Driver {
    /// Brings up a card with `code` as its code: a fatbin.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(card: &Card, code: &[u8]) -> Result<Driver, Missing> {
        if let Some(missing) = card.missing() {
            return Err(missing);
        }
        Driver::on(Calls::found()?, card, code).map_err(|error| Missing::of(card, error))
    }

    fn on(calls: &'static Calls, card: &Card, code: &[u8]) -> Result<Driver, DeviceError> {
        let failed = |doing: &str, said: Said| calls.error(doing, said);
        let (mut device, mut context) = (0, ptr::null_mut());
        // SAFETY: it writes a device there.
        unsafe { (calls.cuDeviceGet)(&mut device, card.number as i32) }.done().map_err(|said| failed("finding it", said))?;
        // SAFETY: the driver gave this device.
        unsafe { (calls.cuDevicePrimaryCtxRetain)(&mut context, device) }.done().map_err(|said| failed("making a context", said))?;
        // From here on what was made is let go of when this is dropped.
        let mut driver = Driver {
            calls,
            name: card.name(),
            device,
            context,
            stream: ptr::null_mut(),
            module: ptr::null_mut(),
            functions: [(ptr::null_mut(), SHARED_BYTES_FREE); _],
            buffers: Vec::new(),
            staging: ptr::null_mut(),
            staged: 0,
            reading: ptr::null_mut(),
        };
        driver.bind()?;
        let apart = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: a context is bound.
        unsafe { (calls.cuStreamCreate)(&mut driver.stream, apart) }.done().map_err(|said| failed("making a stream", said))?;
        // SAFETY: the bytes are a fatbin, which says itself how long it is.
        let loaded = unsafe { (calls.cuModuleLoadData)(&mut driver.module, code.as_ptr().cast()) };
        loaded.done().map_err(|said| failed("loading the kernels", said))?;
        for kernel in Kernel::ALL {
            let called = CString::new(kernel.name()).expect("a kernel's name is a word");
            // SAFETY: the module was just loaded; the name ends with a zero.
            let found = unsafe { (calls.cuModuleGetFunction)(&mut driver.functions[kernel as usize].0, driver.module, called.as_ptr()) };
            found.done().map_err(|said| failed(&format!("finding the kernel {}", kernel.name()), said))?;
        }
        let pinned = |bytes, flags| {
            let mut memory = ptr::null_mut();
            // SAFETY: a context is bound; the memory is let go of when the driver is dropped.
            let done = unsafe { (calls.cuMemHostAlloc)(&mut memory, bytes, flags) }.done();
            done.map(|()| memory.cast::<u8>()).map_err(|said| failed("pinning memory of the host", said))
        };
        driver.staging = pinned(STAGING_BYTES, sys::CU_MEMHOSTALLOC_WRITECOMBINED)?;
        driver.reading = pinned(READING_BYTES, 0)?;
        Ok(driver)
    }

    /// Binds the context to this thread, where it is not.
    fn bind(&self) -> Result<(), DeviceError> {
        let mut bound = ptr::null_mut();
        // SAFETY: it writes a context there, or null.
        unsafe { (self.calls.cuCtxGetCurrent)(&mut bound) }.done().map_err(|said| self.failed("asking for the context", said))?;
        if bound != self.context {
            // SAFETY: the context is retained as long as this lives.
            unsafe { (self.calls.cuCtxSetCurrent)(self.context) }.done().map_err(|said| self.failed("binding the context", said))?;
        }
        Ok(())
    }

    /// Waits until everything is done that was asked for.
    fn wait(&mut self) -> Result<(), DeviceError> {
        // SAFETY: the stream is destroyed when this is dropped.
        unsafe { (self.calls.cuStreamSynchronize)(self.stream) }.done().map_err(|said| self.failed("waiting for it", said))?;
        self.staged = 0;
        Ok(())
    }

    fn failed(&self, doing: &str, said: Said) -> DeviceError {
        self.calls.error(doing, said)
    }
}

impl Device for Driver {
    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, DeviceError> {
        self.bind()?;
        let mut address = 0;
        // SAFETY: a context is bound; the memory is let go of when this is dropped.
        let done = unsafe { (self.calls.cuMemAlloc_v2)(&mut address, bytes) }.done();
        done.map_err(|said| self.failed(&format!("allocating {bytes} bytes"), said))?;
        self.buffers.push(address);
        Ok(Buffer { address, bytes })
    }

    fn write(&mut self, to: Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        to.place(at, bytes.len())?;
        self.bind()?;
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.staged == STAGING_BYTES {
                self.wait()?;
            }
            let (part, behind) = rest.split_at(rest.len().min(STAGING_BYTES - self.staged));
            // SAFETY: `staged` and the part lie within the staging memory, and nothing else refers to it; what was copied into these bytes
            // before has arrived, for `wait` alone goes back.
            let pinned = unsafe { slice::from_raw_parts_mut(self.staging.add(self.staged), part.len()) };
            pinned.copy_from_slice(part);
            let address = to.place(at, part.len())?;
            // SAFETY: the buffer has this place, which was just asked for, and is let go of when this is dropped; the pinned bytes stay as
            // they are until `wait`.
            let copying = unsafe { (self.calls.cuMemcpyHtoDAsync_v2)(address, pinned.as_ptr().cast(), pinned.len(), self.stream) };
            copying.done().map_err(|said| self.failed("copying to it", said))?;
            self.staged += part.len();
            at += part.len();
            rest = behind;
        }
        Ok(())
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        assert!(arguments.len() <= ARGUMENTS_MAX, "found {} arguments, expected at most {ARGUMENTS_MAX}", arguments.len());
        self.bind()?;
        let (function, allowed) = self.functions[kernel as usize];
        if shared_bytes > allowed {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is one of the module, which is unloaded when this is dropped.
            let allowing = unsafe { (self.calls.cuFuncSetAttribute)(function, attribute, shared_bytes as i32) };
            allowing.done().map_err(|said| self.failed(&format!("allowing {} {shared_bytes} bytes", kernel.name()), said))?;
            self.functions[kernel as usize].1 = shared_bytes;
        }
        // A word is the lower half of its place: hosts of CUDA write the lower byte first.
        let mut values = [0u64; ARGUMENTS_MAX];
        for (value, argument) in values.iter_mut().zip(arguments) {
            *value = match argument {
                Argument::Buffer(buffer) => buffer.address,
                Argument::Word(word) => u64::from(*word),
            };
        }
        let mut places = values.each_mut().map(|value| (&raw mut *value).cast::<c_void>());
        let ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]) = (grid, block);
        let (arguments, extra) = (places.as_mut_ptr(), ptr::null_mut());
        // SAFETY: the kernels take pointers and words, as many as whoever launches gives; the values live through the call, which copies
        // them. What a kernel does with the pointers is held by its index guards.
        let launched = unsafe {
            (self.calls.cuLaunchKernel)(
                function,
                grid_x,
                grid_y,
                grid_z,
                block_x,
                block_y,
                block_z,
                shared_bytes,
                self.stream,
                arguments,
                extra,
            )
        };
        // What a launch refuses hangs on its sizes.
        let doing = || format!("launching {} on {grid:?} blocks of {block:?} with {shared_bytes} bytes", kernel.name());
        launched.done().map_err(|said| self.failed(&doing(), said))
    }

    fn read(&mut self, from: Buffer, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        from.place(at, bytes.len())?;
        self.bind()?;
        let mut at = at;
        for part in bytes.chunks_mut(READING_BYTES) {
            let address = from.place(at, part.len())?;
            // SAFETY: the part is no longer than the reading memory, to which nothing else refers.
            let pinned = unsafe { slice::from_raw_parts_mut(self.reading, part.len()) };
            // SAFETY: the buffer has this place, which was just asked for; nobody looks at the pinned bytes before `wait`.
            let copying = unsafe { (self.calls.cuMemcpyDtoHAsync_v2)(pinned.as_mut_ptr().cast(), address, pinned.len(), self.stream) };
            copying.done().map_err(|said| self.failed("copying from it", said))?;
            self.wait()?;
            part.copy_from_slice(pinned);
            at += part.len();
        }
        Ok(())
    }
}

impl Drop for Driver {
    /// Lets go of everything. A card that is lost refuses all of it, which is no news.
    fn drop(&mut self) {
        if self.bind().is_err() {
            return;
        }
        let calls = self.calls;
        // SAFETY: each was made by the driver in this context and is let go of once; what was not made is null and passed over. Nothing is on
        // its way any more: where the stream cannot be waited for, the context is lost and its memory with it.
        unsafe {
            if !self.stream.is_null() {
                let _ = (calls.cuStreamSynchronize)(self.stream);
            }
            for address in self.buffers.drain(..) {
                let _ = (calls.cuMemFree_v2)(address);
            }
            for pinned in [self.staging, self.reading].into_iter().filter(|pinned| !pinned.is_null()) {
                let _ = (calls.cuMemFreeHost)(pinned.cast());
            }
            if !self.module.is_null() {
                let _ = (calls.cuModuleUnload)(self.module);
            }
            if !self.stream.is_null() {
                let _ = (calls.cuStreamDestroy_v2)(self.stream);
            }
            let _ = (calls.cuCtxSetCurrent)(ptr::null_mut());
            let _ = (calls.cuDevicePrimaryCtxRelease_v2)(self.device);
        }
    }
}
