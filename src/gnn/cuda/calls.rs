//! NVIDIA's driver, as far as it is called: its functions, all of them found before one is called, and what they answer.
//!
//! They answer with numbers, and a driver may know more of them than the header that `cudarc` was made from: its `CUresult` has a value for
//! each of the header's, and another one in its place would be undefined behaviour. So what is called here is declared to return a number.
//! In all else `cudarc`'s declarations are these, which the compiler holds against each other.

use super::device::DeviceError;
use super::machine::Missing;
use cudarc::driver::sys;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

/// What a function of the driver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
#[must_use]
pub(super) struct Said(c_uint);

impl Said {
    const SUCCESS: Said = Said(sys::CUresult::CUDA_SUCCESS as c_uint);
    const OUT_OF_MEMORY: Said = Said(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as c_uint);
    pub(super) const NO_DEVICE: Said = Said(sys::CUresult::CUDA_ERROR_NO_DEVICE as c_uint);

    /// Whether it is done.
    pub(super) fn done(self) -> Result<(), Said> {
        if self == Said::SUCCESS { Ok(()) } else { Err(self) }
    }
}

/// Declares what is called: functions as `cudarc` has them but for their result, and behind them those that are given a result.
macro_rules! calls {
    ({ $($name:ident($($of:ty),*);)* } { $($telling:ident($($told:ty),*);)* }) => {
        /// The functions, by the driver's own names.
        #[expect(non_snake_case, reason = "they are the driver's names")]
        pub(super) struct Calls {
            $(pub(super) $name: unsafe extern "C" fn($($of),*) -> Said,)*
            $($telling: unsafe extern "C" fn($($told),*) -> Said,)*
        }

        impl Calls {
            fn find() -> Result<Calls, Missing> {
                // SAFETY: loading a driver's library runs its initializers, as every program does that is linked with it.
                if !unsafe { sys::is_culib_present() } {
                    return Err(Missing::Driver);
                }
                // SAFETY: it was just found, and stays.
                let library = unsafe { sys::culib() };
                let lacks = |name: &str| Missing::Broken(format!("its library has no {name}"));
                // SAFETY: these are the functions' types, as held below; the library stays.
                Ok(Calls {
                    $($name: *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }.map_err(|_| lacks(stringify!($name)))?,)*
                    $($telling: *unsafe { library.get(concat!(stringify!($telling), "\0").as_bytes()) }.map_err(|_| lacks(stringify!($telling)))?,)*
                })
            }
        }

        $(const _: unsafe fn($($of),*) -> sys::CUresult = sys::$name;)*
    };
}

calls! {
    {
        cuDriverGetVersion(*mut c_int);
        cuInit(c_uint);
        cuDeviceGetCount(*mut c_int);
        cuDeviceGet(*mut sys::CUdevice, c_int);
        cuDeviceGetName(*mut c_char, c_int, sys::CUdevice);
        cuDeviceGetAttribute(*mut c_int, sys::CUdevice_attribute, sys::CUdevice);
        cuDeviceTotalMem_v2(*mut usize, sys::CUdevice);
        cuDevicePrimaryCtxRetain(*mut sys::CUcontext, sys::CUdevice);
        cuDevicePrimaryCtxRelease_v2(sys::CUdevice);
        cuCtxGetCurrent(*mut sys::CUcontext);
        cuCtxSetCurrent(sys::CUcontext);
        cuStreamCreate(*mut sys::CUstream, c_uint);
        cuStreamSynchronize(sys::CUstream);
        cuStreamDestroy_v2(sys::CUstream);
        cuMemAlloc_v2(*mut sys::CUdeviceptr, usize);
        cuMemFree_v2(sys::CUdeviceptr);
        cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
        cuMemFreeHost(*mut c_void);
        cuMemcpyHtoDAsync_v2(sys::CUdeviceptr, *const c_void, usize, sys::CUstream);
        cuMemcpyDtoHAsync_v2(*mut c_void, sys::CUdeviceptr, usize, sys::CUstream);
        cuModuleLoadData(*mut sys::CUmodule, *const c_void);
        cuModuleGetFunction(*mut sys::CUfunction, sys::CUmodule, *const c_char);
        cuModuleUnload(sys::CUmodule);
        cuFuncSetAttribute(sys::CUfunction, sys::CUfunction_attribute, c_int);
        cuLaunchKernel(
            sys::CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, sys::CUstream, *mut *mut c_void, *mut *mut c_void
        );
    }
    {
        cuGetErrorName(Said, *mut *const c_char);
        cuGetErrorString(Said, *mut *const c_char);
    }
}

impl Calls {
    /// The functions of this machine's driver.
    ///
    /// # Errors
    /// There is none, or it lacks some.
    pub(super) fn found() -> Result<&'static Calls, Missing> {
        static FOUND: OnceLock<Result<Calls, Missing>> = OnceLock::new();
        FOUND.get_or_init(Calls::find).as_ref().map_err(Missing::clone)
    }

    /// What the driver calls an error, in both its forms.
    pub(super) fn words(&self, said: Said) -> String {
        let text = |telling: unsafe extern "C" fn(Said, *mut *const c_char) -> Said| {
            let mut text = ptr::null();
            // SAFETY: the function writes a pointer there, to a text that lasts as long as the library, or null where it knows no such error.
            unsafe { telling(said, &mut text) }.done().ok().filter(|()| !text.is_null()).map(|()| {
                // SAFETY: as above.
                unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
            })
        };
        match (text(self.cuGetErrorName), text(self.cuGetErrorString)) {
            (Some(name), Some(meaning)) => format!("{name}: {meaning}"),
            // Not one that it knows.
            _ => format!("error {}", said.0),
        }
    }

    /// What went wrong while somebody was `doing` something.
    pub(super) fn error(&self, doing: &str, said: Said) -> DeviceError {
        let why = format!("{doing}: {}", self.words(said));
        if said == Said::OUT_OF_MEMORY { DeviceError::Memory(why) } else { DeviceError::Refused(why) }
    }
}
