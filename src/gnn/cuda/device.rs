//! What a forward pass needs of a device: memory, copies and launches, in one order.
//!
//! A card behind the driver is one, and so is the processor under the emulator of `kernels/emulator`: whoever packs and launches cannot
//! tell them apart, so the order of copies and launches is tried where there is no card.

use std::fmt;

/// Memory on a device: where it begins, in the device's own addresses, and how much it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub address: u64,
    pub bytes: usize,
}

impl Buffer {
    /// The address of `bytes` bytes from `at` on.
    ///
    /// # Errors
    /// A range that is not inside.
    pub fn place(self, at: usize, bytes: usize) -> Result<u64, DeviceError> {
        match at.checked_add(bytes).is_some_and(|end| end <= self.bytes) {
            true => Ok(self.address + at as u64),
            false => {
                let why = format!("found bytes {at} and {bytes} more, expected them within a buffer of {}", self.bytes);
                Err(DeviceError::Refused(why))
            }
        }
    }
}

/// A function that devices have in their code, under [`Kernel::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `forward.cu`: the scores of a batch.
    Forward,
    /// `resident.cu`: node rows of a batch, kept in the device's memory.
    Keep,
}

impl Kernel {
    /// In the order of their numbers.
    pub const ALL: [Kernel; 2] = [Kernel::Forward, Kernel::Keep];

    /// The name in the device's code.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Forward => "forward",
            Kernel::Keep => "keep",
        }
    }
}

/// What a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Memory of the device, as a pointer to where it begins.
    Buffer(Buffer),
    /// An unsigned integer of 32 bits, by its value. The kernels of `kernels/` take none, for what changes stands in a batch's header; those
    /// that a driver is tried with do.
    Word(u32),
}

/// What a device said, or what was wrong with what it was asked. After one nothing is known of the device's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// It has not as much memory.
    Memory(String),
    /// Anything else.
    Refused(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (DeviceError::Memory(why) | DeviceError::Refused(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for DeviceError {}

/// A device. Writes, launches and reads happen in the order in which they are asked for; only `read` waits.
pub trait Device: Send {
    /// What it calls itself.
    fn name(&self) -> &str;

    /// Memory that lasts as long as the device. What it holds is anything.
    ///
    /// # Errors
    /// The device has no room, or is lost.
    fn allocate(&mut self, bytes: usize) -> Result<Buffer, DeviceError>;

    /// Copies `bytes` to `to` from byte `at` on. They may be changed as soon as this returns.
    ///
    /// # Errors
    /// They have no room there, or the device is lost.
    fn write(&mut self, to: Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Runs a kernel: `grid` blocks of `block` threads each, `shared_bytes` of dynamic shared memory a block.
    ///
    /// # Errors
    /// The device does not take it. What goes wrong while it runs may be told by a later call.
    fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError>;

    /// Copies from `from`, byte `at` on, to `bytes`, when all that was asked for before is done.
    ///
    /// # Errors
    /// There is not as much, what was asked for before failed, or the device is lost.
    fn read(&mut self, from: Buffer, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_inside_its_buffer() {
        let buffer = Buffer { address: 1 << 40, bytes: 64 };
        assert_eq!(buffer.place(16, 48), Ok((1 << 40) + 16));
        assert_eq!(buffer.place(64, 0), Ok((1 << 40) + 64));
        for (at, bytes) in [(16, 49), (65, 0), (usize::MAX, 2)] {
            let told = buffer.place(at, bytes).expect_err("it ends behind the buffer").to_string();
            assert_eq!(told, format!("found bytes {at} and {bytes} more, expected them within a buffer of 64"));
        }
    }
}
