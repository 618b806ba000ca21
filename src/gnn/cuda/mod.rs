//! Message passing on a device.

mod device;
#[cfg(test)]
pub(crate) mod emulated;
mod forward;
mod pack;
#[cfg(test)]
mod parity;
mod residents;
mod staging;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
pub use forward::{OnDevice, Room};
