//! Message passing on a device: which there are, and forward passes on one.

mod device;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(feature = "cuda")]
mod look;
mod machine;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
#[cfg(feature = "cuda")]
pub use driver::Driver;
#[cfg(feature = "cuda")]
pub use look::look;
pub use machine::{CUDA_MIN, Card, Missing, Seen, cuda_version};

use super::backend::Backend;

/// Without the feature `cuda` nobody looks.
#[cfg(not(feature = "cuda"))]
pub fn look() -> Seen {
    Seen { missing: Some(Missing::Built), ..Seen::default() }
}

/// Brings a device up, by CUDA's number or the first that can be used: how it is called, and forward passes on it.
///
/// # Errors
/// Why none can be used. Nothing panics, whatever the machine has.
pub fn open_device(_number: Option<u32>) -> Result<(String, Box<dyn Backend>), Missing> {
    Err(Missing::Built)
}
