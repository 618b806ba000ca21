//! Message passing on a device: which there are, and forward passes on one.

mod device;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(test)]
pub(crate) mod emulated;
mod forward;
#[cfg(feature = "cuda")]
mod look;
mod machine;
#[cfg(feature = "cuda")]
mod open;
mod pack;
#[cfg(test)]
mod parity;
mod residents;
mod staging;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
#[cfg(feature = "cuda")]
pub use driver::Driver;
pub use forward::{OnDevice, Room};
#[cfg(feature = "cuda")]
pub use look::look;
pub use machine::{CUDA_MIN, Card, Missing, Seen, cuda_version};
#[cfg(feature = "cuda")]
pub use open::open_device;

/// Without the feature `cuda` nobody looks.
#[cfg(not(feature = "cuda"))]
pub fn look() -> Seen {
    Seen { missing: Some(Missing::Built), ..Seen::default() }
}

/// Without the feature `cuda` there is no device.
///
/// # Errors
/// Always, and it says so.
#[cfg(not(feature = "cuda"))]
pub fn open_device(_: Option<u32>) -> Result<(String, Box<dyn super::Backend>), Missing> {
    Err(Missing::Built)
}
