//! Message passing on a device.

mod device;

pub use device::{Argument, Buffer, Device, DeviceError, Kernel};
