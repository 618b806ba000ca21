//! The processor as a device: kernels under the emulator of `kernels/emulator`, and losses of the device at will.

use super::{Argument, Buffer, Device, DeviceError, Kernel};
use weir_emulator::Emulator;

/// A device that forgets nothing, until it is lost.
#[derive(Debug, Default)]
pub struct Emulated {
    emulator: Emulator,
    /// Calls that it still answers; `None`: all.
    pub calls_left: Option<u32>,
    /// Of each kernel, in the order of their numbers.
    pub launches: [u32; Kernel::ALL.len()],
    /// Bytes written to it.
    pub written: u64,
}

impl Emulated {
    /// Who comes first under [`Emulator::new`].
    pub fn ordered(order: u64) -> Emulated {
        Emulated { emulator: Emulator::new(order), ..Emulated::default() }
    }

    fn answer(&mut self) -> Result<(), DeviceError> {
        match &mut self.calls_left {
            Some(0) => Err(DeviceError::Refused("the device was taken away".to_owned())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Device for Emulated {
    fn name(&self) -> &str {
        "emulator"
    }

    fn allocate(&mut self, bytes: usize) -> Result<Buffer, DeviceError> {
        self.answer()?;
        Ok(Buffer { address: self.emulator.allocate(bytes), bytes })
    }

    fn write(&mut self, to: Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        self.answer()?;
        self.written += bytes.len() as u64;
        self.emulator.write(to.place(at, bytes.len())?, bytes);
        Ok(())
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        self.answer()?;
        self.launches[kernel as usize] += 1;
        let given = arguments.iter().map(|argument| match argument {
            Argument::Buffer(buffer) => weir_emulator::Argument::Address(buffer.address),
            Argument::Word(word) => weir_emulator::Argument::Word(*word),
        });
        let given: Vec<_> = given.collect();
        self.emulator.launch(kernel.name(), grid, block, shared_bytes, &given).map_err(DeviceError::Refused)
    }

    fn read(&mut self, from: Buffer, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.answer()?;
        self.emulator.read(from.place(at, bytes.len())?, bytes);
        Ok(())
    }
}
