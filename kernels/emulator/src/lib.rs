//! The kernels of `kernels/` on the processor: the same text, compiled as C++ and run thread by thread (`run.cpp`).
//!
//! For tests. A seed takes some hundred times what `gnn/cpu.rs` takes for it.

use std::ffi::{CString, c_char, c_int, c_void};

/// What a kernel is given.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// An address of [`Emulator::allocate`].
    Address(u64),
    Word(u32),
}

/// A device of its own: memory, and launches in the order in which they are asked for, done when they return.
#[derive(Debug, Default)]
pub struct Emulator {
    memories: Vec<Memory>,
    order: u64,
}

// Of 16 bytes, so that all a kernel reads at once lies as on a device.
#[derive(Debug)]
struct Memory {
    words: Box<[u128]>,
    bytes: usize,
}

unsafe extern "C" {
    fn emulator_launch(
        name: *const c_char,
        grid: *const u32,
        block: *const u32,
        shared_bytes: u32,
        arguments: *mut *mut c_void,
        order: u64,
        told: *mut c_char,
        told_bytes: usize,
    ) -> c_int;
}

impl Emulator {
    /// `order` says who comes first among blocks, warps and lanes that could go on: 0 the first, 1 the last, any other number draws from
    /// itself. No result may hang on it.
    pub fn new(order: u64) -> Emulator {
        Emulator { memories: Vec::new(), order }
    }

    /// Memory until the emulator is dropped, and its address. Its bits are ones: as a float no number.
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let memory = Memory { words: vec![u128::MAX; bytes.div_ceil(16)].into_boxed_slice(), bytes };
        let address = memory.words.as_ptr() as u64;
        self.memories.push(memory);
        address
    }

    /// The bytes from `address` on.
    ///
    /// # Panics
    /// They are not all in one of its memories.
    fn bytes(&mut self, address: u64, bytes: usize) -> &mut [u8] {
        let inside = |memory: &&mut Memory| {
            let start = memory.words.as_ptr() as u64;
            address >= start && address + bytes as u64 <= start + memory.bytes as u64
        };
        let memory = self.memories.iter_mut().find(inside).expect("an address and a length of its own memory");
        let at = (address - memory.words.as_ptr() as u64) as usize;
        // SAFETY: any bits are bytes, and the range was just found inside this memory, which is borrowed.
        unsafe { std::slice::from_raw_parts_mut(memory.words.as_mut_ptr().cast::<u8>().add(at), bytes) }
    }

    /// Copies `bytes` to `address`.
    ///
    /// # Panics
    /// They have no room there.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        self.bytes(address, bytes.len()).copy_from_slice(bytes);
    }

    /// Copies from `address` to `bytes`.
    ///
    /// # Panics
    /// There is not as much.
    pub fn read(&mut self, address: u64, bytes: &mut [u8]) {
        let from = self.bytes(address, bytes.len());
        bytes.copy_from_slice(from);
    }

    /// Runs a kernel by its name, as the driver would.
    ///
    /// # Errors
    /// What a device would leave undefined, with the line of the kernel.
    ///
    /// # Panics
    /// An address is not of its memory.
    pub fn launch(
        &mut self,
        kernel: &str,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: &[Argument],
    ) -> Result<(), String> {
        let name = CString::new(kernel).map_err(|_| format!("found no kernel called {kernel}"))?;
        let mut values: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Address(address) => {
                    self.bytes(*address, 0);
                    *address
                }
                Argument::Word(word) => u64::from(*word),
            })
            .collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let mut told = [0u8; 256];
        // SAFETY: arrays have the lengths that are asked of them, `told` is as long as is said, and words are little endian, so that a
        // pointer to eight bytes is one to the four that a kernel may take. The kernels are those of this crate, and it is for their tests
        // that they run where a wrong address would be met; arguments begin in memory of `self`, which is borrowed.
        let failed = unsafe {
            let (grid, block) = (grid.as_ptr(), block.as_ptr());
            emulator_launch(
                name.as_ptr(),
                grid,
                block,
                shared_bytes,
                pointers.as_mut_ptr(),
                self.order,
                told.as_mut_ptr().cast(),
                told.len(),
            )
        };
        let told = told.split(|byte| *byte == 0).next().unwrap_or_default();
        if failed == 0 { Ok(()) } else { Err(format!("kernel {kernel}: {}", String::from_utf8_lossy(told))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: [u64; 4] = [0, 1, 2, 20_261_129];

    fn words(emulator: &mut Emulator, address: u64, count: usize) -> Vec<u32> {
        let mut bytes = vec![0; count * 4];
        emulator.read(address, &mut bytes);
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
    }

    fn run(kernel: &str, order: u64, threads: u32) -> Result<Vec<u32>, String> {
        let mut emulator = Emulator::new(order);
        let address = emulator.allocate(threads as usize * 4);
        emulator.write(address, &(0..threads).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        emulator.launch(kernel, [1, 1, 1], [threads, 1, 1], threads * 4, &[Argument::Address(address)])?;
        Ok(words(&mut emulator, address, threads as usize))
    }

    #[test]
    fn barriers_and_meetings_of_warps_do_what_a_device_does() {
        for order in ORDERS {
            let expected: Vec<u32> = (0..96).rev().collect();
            assert_eq!(run("turned", order, 96), Ok(expected), "order {order}");
            let sums = (0..64).map(|thread| if thread < 32 { 49_616 } else { 152_016 }).collect();
            assert_eq!(run("summed", order, 64), Ok(sums), "order {order}");
        }
    }

    /// The tests of the tests: without its barrier the same kernel is wrong under every order, for memory that nobody wrote is no number.
    #[test]
    fn a_missing_barrier_is_seen_in_what_comes_out() {
        for order in ORDERS {
            let found = run("turned_without_barrier", order, 96).expect("nothing else is wrong");
            assert!(found.contains(&u32::MAX), "order {order}: {found:?}");
        }
    }

    #[test]
    fn what_a_device_leaves_undefined_is_told_with_its_line() {
        // Who comes first decides which of two is told.
        let cases: [(&str, &[&str]); 6] = [
            ("barriers_apart", &["a barrier of the block, while others wait at that of line"]),
            ("barrier_for_some", &["a barrier of the block that"]),
            ("mask_without_caller", &["a mask without the lane that calls"]),
            ("mask_of_the_ended", &["a mask that names lanes which have ended", "a meeting that one of its lanes has ended without"]),
            ("meetings_apart", &["a meeting, while one of its lanes waits at line", "a meeting that one of its lanes has ended without"]),
            ("never_met", &["waits for threads that wait elsewhere"]),
        ];
        for (kernel, expected) in cases {
            for order in ORDERS {
                let told = run(kernel, order, 64).expect_err(kernel);
                assert!(expected.iter().any(|expected| told.contains(expected)), "{kernel}, order {order}: {told}");
                assert!(told.starts_with(&format!("kernel {kernel}: line ")), "{told}");
            }
        }
        assert_eq!(run("unknown", 0, 32), Err("kernel unknown: found no kernel called unknown".to_owned()));
        assert!(run("turned", 0, 1_025).expect_err("too many").contains("expected 1 to 1024 threads"));
    }
}
