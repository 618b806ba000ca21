//! Message passing on a device: which there are, and forward passes on one.

mod device;
#[cfg(feature = "cuda")]
mod driver;
mod missing;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
pub use missing::Missing;

use super::backend::Backend;

/// Brings a device up, by CUDA's number or the first that can be used: how it is called, and forward passes on it.
///
/// # Errors
/// Why none can be used. Nothing panics, whatever the machine has.
pub fn open_device(_number: Option<u32>) -> Result<(String, Box<dyn Backend>), Missing> {
    Err(Missing::Built)
}
