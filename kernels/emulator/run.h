// Launches of emulated kernels, as C so that Rust may.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

// Runs a kernel by name: as `cuLaunchKernel`, `arguments` holds one pointer to each argument. Returns 0, or else why not is written to
// `told`, ended by a zero.
//
// `order` says who comes first among those who could: 0 the first block, warp and lane, 1 the last, any other number draws from itself. A
// kernel's results may not hang on it.
int emulator_launch(const char* name, const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes, void** arguments, uint64_t order,
                    char* told, size_t told_bytes);

}
