//! What the driver says of the machine, asked so that nothing can panic. A card that does not answer hides no other.

use super::calls::{Calls, Said};
use super::machine::{CUDA_MIN, Card, Missing, Seen};
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use std::ffi::{CStr, c_char};

/// Bytes of a device's name at most, with the zero that ends it.
const NAME_BYTES: usize = 256;

/// Looks for a driver and its devices. Nothing is brought up.
pub fn look() -> Seen {
    let mut seen = Seen::default();
    seen.missing = look_into(&mut seen).err();
    seen
}

fn look_into(seen: &mut Seen) -> Result<(), Missing> {
    let calls = Calls::found()?;
    let broken = |said| Missing::Broken(calls.words(said));
    // SAFETY: it takes a number.
    match unsafe { (calls.cuInit)(0) } {
        Said::NO_DEVICE => {
            // It tells its version without one.
            seen.cuda = version(calls).ok();
            return Err(Missing::Device);
        }
        said => said.done().map_err(broken)?,
    }
    let cuda = version(calls).map_err(broken)?;
    seen.cuda = Some(cuda);
    let mut count = 0;
    // SAFETY: it writes a whole number there.
    unsafe { (calls.cuDeviceGetCount)(&mut count) }.done().map_err(broken)?;
    let count = u32::try_from(count).unwrap_or(0);
    seen.cards.extend((0..count).map(|number| card(calls, number).map_err(|said| Missing::Silent { number, why: calls.words(said) })));
    match cuda {
        _ if count == 0 => Err(Missing::Device),
        old if old < CUDA_MIN => Err(Missing::DriverOld(old)),
        _ => Ok(()),
    }
}

fn card(calls: &Calls, number: u32) -> Result<Card, Said> {
    let mut device = 0;
    // SAFETY: it writes a device there.
    unsafe { (calls.cuDeviceGet)(&mut device, number as i32) }.done()?;
    let attribute = |attribute| {
        let mut value = 0;
        // SAFETY: the driver gave this device, and writes a whole number there.
        unsafe { (calls.cuDeviceGetAttribute)(&mut value, attribute, device) }.done().map(|()| value)
    };
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    let mut memory_bytes = 0;
    // SAFETY: as above.
    unsafe { (calls.cuDeviceTotalMem_v2)(&mut memory_bytes, device) }.done()?;
    let mut name = [0u8; NAME_BYTES];
    // SAFETY: it writes as many bytes at most. The last is left out, so that a zero ends it.
    unsafe { (calls.cuDeviceGetName)(name.as_mut_ptr().cast::<c_char>(), NAME_BYTES as i32 - 1, device) }.done()?;
    let model = CStr::from_bytes_until_nul(&name).expect("the last byte is zero").to_string_lossy().into_owned();
    Ok(Card { number, model, capability, memory_bytes: memory_bytes as u64 })
}

fn version(calls: &Calls) -> Result<i32, Said> {
    let mut version = 0;
    // SAFETY: it writes a whole number there.
    unsafe { (calls.cuDriverGetVersion)(&mut version) }.done().map(|()| version)
}
