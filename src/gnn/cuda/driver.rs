//! A card behind NVIDIA's driver: the one door to a device.
//!
//! One context, one stream. Buffers are there from the start; what goes to the card is copied into pinned memory first, so that nobody waits
//! for a copy but who reads. A context is bound to a thread: each call looks whether it is this one's, so the card may change hands.

use super::device::{Argument, Buffer, Device, DeviceError, Kernel};
use super::look::{look, words};
use super::machine::{Card, Missing};
use cudarc::driver::result::{self, DriverError, ctx, function, module, primary_ctx, stream};
use cudarc::driver::sys;
use std::ffi::{CString, c_void};
use std::fmt::Write;
use std::slice;

/// Bytes on their way to the card at most; more wait for the card.
const STAGING_BYTES: usize = 8 << 20;
/// Bytes that come back at a time.
const READING_BYTES: usize = 1 << 20;
/// Arguments of a launch at most.
const ARGUMENTS_MAX: usize = 16;
/// Dynamic shared memory that a block gets without being asked for it by name.
const SHARED_BYTES_FREE: u32 = 48 << 10;

/// A card that was brought up.
pub struct Driver {
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
    /// Brings up the card of this number, or the first that can be used, with `code` as its code: a fatbin.
    ///
    /// # Errors
    /// Why it cannot be used, or none can.
    pub fn open(number: Option<u32>, code: &[u8]) -> Result<Driver, Missing> {
        let seen = look();
        if let Some(missing) = seen.missing {
            return Err(missing);
        }
        let Some(number) = number else {
            // Where none can be used the first says why.
            let mut opened = seen.cards.iter().map(|card| Driver::on(card, code));
            let first = opened.next().expect("a driver without devices was told");
            return first.or_else(|why| opened.find_map(Result::ok).ok_or(why));
        };
        let card = seen.cards.iter().find(|card| card.number == number);
        Driver::on(card.ok_or(Missing::Number { asked: number, devices: seen.cards.len() as u32 })?, code)
    }

    fn on(card: &Card, code: &[u8]) -> Result<Driver, Missing> {
        if let Some(missing) = card.missing() {
            return Err(missing);
        }
        let name = card.name();
        let failed = |doing: &str, error: DriverError| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => Missing::Memory(name.clone(), doing.to_owned()),
            _ => Missing::Refused(name.clone(), format!("{doing}: {}", words(error))),
        };
        let device = result::device::get(card.number as i32).map_err(|error| failed("finding it", error))?;
        // SAFETY: the driver gave this device.
        let context = unsafe { primary_ctx::retain(device) }.map_err(|error| failed("making a context", error))?;
        let nothing = std::ptr::null_mut();
        // From here on what was made is let go of when this is dropped.
        let mut driver = Driver {
            name: name.clone(),
            device,
            context,
            stream: std::ptr::null_mut(),
            module: std::ptr::null_mut(),
            functions: [(std::ptr::null_mut(), SHARED_BYTES_FREE); _],
            buffers: Vec::new(),
            staging: nothing,
            staged: 0,
            reading: nothing,
        };
        driver.bind().map_err(|error| Missing::Refused(name.clone(), error.0))?;
        driver.stream = stream::create(stream::StreamKind::NonBlocking).map_err(|error| failed("making a stream", error))?;
        // SAFETY: the bytes are a fatbin, which says itself how long it is.
        driver.module = unsafe { module::load_data(code.as_ptr().cast()) }.map_err(|error| failed("loading the kernels", error))?;
        for kernel in Kernel::ALL {
            let called = CString::new(kernel.name()).expect("a kernel's name is a word");
            // SAFETY: the module was just loaded.
            let function = unsafe { module::get_function(driver.module, called) };
            driver.functions[kernel as usize].0 =
                function.map_err(|error| failed(&format!("finding the kernel {}", kernel.name()), error))?;
        }
        // SAFETY: a context is bound; the memory is let go of with it.
        let pinned =
            |bytes, flags| unsafe { result::malloc_host(bytes, flags) }.map_err(|error| failed("pinning memory of the host", error));
        driver.staging = pinned(STAGING_BYTES, sys::CU_MEMHOSTALLOC_WRITECOMBINED)?.cast();
        driver.reading = pinned(READING_BYTES, 0)?.cast();
        Ok(driver)
    }

    /// Binds the context to this thread, where it is not.
    fn bind(&self) -> Result<(), DeviceError> {
        let bound = ctx::get_current().map_err(|error| self.failed("asking for the context", error))?;
        if bound != Some(self.context) {
            // SAFETY: the context is retained as long as this lives.
            unsafe { ctx::set_current(self.context) }.map_err(|error| self.failed("binding the context", error))?;
        }
        Ok(())
    }

    /// Waits until everything is done that was asked for.
    fn wait(&mut self) -> Result<(), DeviceError> {
        // SAFETY: the stream is destroyed when this is dropped.
        unsafe { stream::synchronize(self.stream) }.map_err(|error| self.failed("waiting for it", error))?;
        self.staged = 0;
        Ok(())
    }

    fn failed(&self, doing: &str, error: DriverError) -> DeviceError {
        DeviceError(format!("{}: {doing}: {}", self.name, words(error)))
    }
}

impl Device for Driver {
    fn name(&self) -> &str {
        &self.name
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, DeviceError> {
        self.bind()?;
        // SAFETY: a context is bound; the memory is let go of when this is dropped.
        let address = unsafe { result::malloc_sync(bytes) };
        let address = address.map_err(|error| self.failed(&format!("allocating {bytes} bytes"), error))?;
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
            unsafe { result::memcpy_htod_async(address, pinned, self.stream) }.map_err(|error| self.failed("copying to it", error))?;
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
            let allowing = unsafe { function::set_function_attribute(function, attribute, shared_bytes as i32) };
            allowing.map_err(|error| self.failed(&format!("allowing {} {shared_bytes} bytes", kernel.name()), error))?;
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
        // SAFETY: the kernels take pointers and words, as many as whoever launches gives; the values live through the call, which copies
        // them. What a kernel does with the pointers is held by its index guards.
        let launched = unsafe {
            result::launch_kernel(function, grid.into(), block.into(), shared_bytes, self.stream, &mut places[..arguments.len()])
        };
        launched.map_err(|error| {
            let mut doing = format!("launching {}", kernel.name());
            // What a launch refuses hangs on its sizes.
            let _ = write!(doing, " on {grid:?} blocks of {block:?} with {shared_bytes} bytes");
            self.failed(&doing, error)
        })
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
            let copying = unsafe { result::memcpy_dtoh_async(pinned, address, self.stream) };
            copying.map_err(|error| self.failed("copying from it", error))?;
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
        // SAFETY: each was made by the driver in this context and is let go of once; what was not made is null and passed over. Nothing is on
        // its way any more: where the stream cannot be waited for, the context is lost and its memory with it.
        unsafe {
            if !self.stream.is_null() {
                let _ = stream::synchronize(self.stream);
            }
            for address in self.buffers.drain(..) {
                let _ = result::free_sync(address);
            }
            for pinned in [self.staging, self.reading].into_iter().filter(|pinned| !pinned.is_null()) {
                let _ = result::free_host(pinned.cast());
            }
            if !self.module.is_null() {
                let _ = module::unload(self.module);
            }
            if !self.stream.is_null() {
                let _ = stream::destroy(self.stream);
            }
            let _ = ctx::set_current(std::ptr::null_mut());
            let _ = primary_ctx::release(self.device);
        }
    }
}
