//! A card with its kernels, ready for forward passes.

use super::driver::Driver;
use super::forward::{OnDevice, Room};
use super::machine::Missing;
use super::{Device, DeviceError};
use crate::gnn::Backend;

/// The kernels, for every card from compute capability 7.5 on; what makes them is `kernels/README.md`'s matter.
const CODE: &[u8] = include_bytes!("../../../kernels/prebuilt/weir.fatbin");

/// What is kept on a card: batches as the engine makes them at most, and the rows of the nodes that were met last, 16 MiB of them.
const ROOM: Room = Room { seeds_max: 1_024, resident_rows: 1 << 18 };

/// Brings a device up, by CUDA's number or the first that can be used: how it is called, and forward passes on it.
///
/// # Errors
/// Why none can be used. Nothing panics, whatever the machine has.
pub fn open_device(number: Option<u32>) -> Result<(String, Box<dyn Backend>), Missing> {
    let driver = Driver::open(number, CODE)?;
    let name = driver.name().to_owned();
    match OnDevice::new(driver, ROOM) {
        Ok(backend) => Ok((name, Box::new(backend))),
        Err(DeviceError(why)) if why.contains("OUT_OF_MEMORY") => Err(Missing::Memory(name, why)),
        Err(DeviceError(why)) => Err(Missing::Refused(name, why)),
    }
}
