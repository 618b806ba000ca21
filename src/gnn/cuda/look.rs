//! What the driver says of the machine, asked so that nothing can panic: each function that is called was found before.

use super::machine::{CUDA_MIN, Card, Missing, Seen};
use cudarc::driver::result::{DriverError, device, init};
use cudarc::driver::sys;

/// Everything of the driver's library that is called, here and in [`super::driver`].
const CALLED: [&[u8]; 27] = [
    b"cuInit\0",
    b"cuDriverGetVersion\0",
    b"cuDeviceGetCount\0",
    b"cuDeviceGet\0",
    b"cuDeviceGetName\0",
    b"cuDeviceGetAttribute\0",
    b"cuDeviceTotalMem_v2\0",
    b"cuDevicePrimaryCtxRetain\0",
    b"cuDevicePrimaryCtxRelease_v2\0",
    b"cuCtxGetCurrent\0",
    b"cuCtxSetCurrent\0",
    b"cuStreamCreate\0",
    b"cuStreamSynchronize\0",
    b"cuStreamDestroy_v2\0",
    b"cuMemAlloc_v2\0",
    b"cuMemFree_v2\0",
    b"cuMemHostAlloc\0",
    b"cuMemFreeHost\0",
    b"cuMemcpyHtoDAsync_v2\0",
    b"cuMemcpyDtoHAsync_v2\0",
    b"cuModuleLoadData\0",
    b"cuModuleGetFunction\0",
    b"cuModuleUnload\0",
    b"cuFuncSetAttribute\0",
    b"cuLaunchKernel\0",
    b"cuGetErrorName\0",
    b"cuGetErrorString\0",
];

/// Looks for a driver and its devices. Nothing is brought up.
pub fn look() -> Seen {
    let mut seen = Seen::default();
    seen.missing = look_into(&mut seen).err();
    seen
}

fn look_into(seen: &mut Seen) -> Result<(), Missing> {
    // SAFETY: loading a driver's library runs its initializers, as every program does that is linked with it.
    if !unsafe { sys::is_culib_present() } {
        return Err(Missing::Driver);
    }
    // SAFETY: it was just found, and stays.
    let library = unsafe { sys::culib() };
    for name in CALLED {
        // SAFETY: what is found is not called here, nor with this type.
        if unsafe { library.get::<unsafe extern "C" fn()>(name) }.is_err() {
            let name = String::from_utf8_lossy(&name[..name.len() - 1]);
            return Err(Missing::Broken(format!("its library has no {name}")));
        }
    }
    match init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
            // It tells its version without one.
            seen.cuda = version().ok();
            return Err(Missing::Device);
        }
        done => done.map_err(broken)?,
    }
    let cuda = version().map_err(broken)?;
    seen.cuda = Some(cuda);
    let count = device::get_count().map_err(broken)?;
    for number in 0..count {
        seen.cards.push(card(number).map_err(broken)?);
    }
    match cuda {
        _ if count <= 0 => Err(Missing::Device),
        old if old < CUDA_MIN => Err(Missing::DriverOld(old)),
        _ => Ok(()),
    }
}

fn card(number: i32) -> Result<Card, DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = device::get(number)?;
    // SAFETY: the driver gave this device.
    let attribute = |attribute| unsafe { device::get_attribute(device, attribute) };
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    // SAFETY: as above.
    let memory_bytes = unsafe { device::total_mem(device)? } as u64;
    Ok(Card { number: number.unsigned_abs(), model: device::get_name(device)?, capability, memory_bytes })
}

fn version() -> Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: the function was found, and writes a whole number there.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    Ok(version)
}

fn broken(error: DriverError) -> Missing {
    Missing::Broken(words(error))
}

/// What the driver calls an error, in both its forms.
pub(super) fn words(error: DriverError) -> String {
    let text = |text: Result<&std::ffi::CStr, DriverError>| text.map(|text| text.to_string_lossy().into_owned());
    match (text(error.error_name()), text(error.error_string())) {
        (Ok(name), Ok(meaning)) => format!("{name}: {meaning}"),
        // Not one that it knows.
        _ => format!("error {}", error.0 as u32),
    }
}
