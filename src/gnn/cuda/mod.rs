//! Message passing on a device: which there are, and forward passes on one.

#[cfg(feature = "cuda")]
mod calls;
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
mod room;
mod staging;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
#[cfg(feature = "cuda")]
pub use driver::Driver;
pub use forward::OnDevice;
#[cfg(feature = "cuda")]
pub use look::look;
pub use machine::{CUDA_MIN, Card, Missing, Seen, cuda_version};
#[cfg(feature = "cuda")]
pub use open::{open_device, open_first};
pub use room::{Room, Share, taken};

/// A device that came up: how it is called, and forward passes on it.
pub type Opened = (String, Box<dyn super::Backend>);

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
pub fn open_device(_: u32) -> Result<Opened, Missing> {
    Err(Missing::Built)
}

/// As [`open_device`].
#[cfg(not(feature = "cuda"))]
pub fn open_first() -> (Option<Opened>, Vec<Missing>) {
    (None, vec![Missing::Built])
}
