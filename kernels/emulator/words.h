// The words of CUDA that our kernels use, for a compiler of plain C++: `g++ -std=c++17 -ffp-contract=off -include words.h -x c++ forward.cu`.
//
// Whatever has to do with the order of threads is asked of `run.cpp`, which is compiled without instruments: so under -fsanitize=thread
// what is looked at is the kernel's own reads and writes.
#pragma once
#define ON_EMULATOR 1

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct uint3 { unsigned x, y, z; };

template <class T> inline T min(T a, T b) { return b < a ? b : a; }

namespace emulator {

// Where a thread stands. Asked anew each time: threads change under a function's feet.
uint3 thread_index();
uint3 block_index();
uint3 block_size();
uint3 grid_size();
// The block's dynamic shared memory.
void* shared();

// What lanes meet for.
enum class Meeting : uint8_t { Barrier, Shuffle, Ballot };
void meet_block(int line);
// A lane hands over `value` and hears that of the lane `source`, or for a ballot whose value was not 0.
uint64_t meet_warp(Meeting what, unsigned mask, uint64_t value, unsigned source, int line);

template <class T> T shuffle(unsigned mask, T value, unsigned source, int line) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle takes eight bytes at most");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = meet_warp(Meeting::Shuffle, mask, bits, source, line);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned own_lane() {
    const uint3 thread = thread_index(), size = block_size();
    return (thread.x + size.x * (thread.y + size.y * thread.z)) % 32;
}

// A kernel that takes its arguments as the driver's launch does: one pointer to each.
using Call = void (*)(void** arguments);
struct Entry {
    Entry(const char* name, Call call);
};
template <auto kernel, class... A, size_t... I> void call(void (*)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}
template <class... A> std::index_sequence_for<A...> indices_of(void (*)(A...)) { return {}; }

} // namespace emulator

#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())
#define blockDim (emulator::block_size())
#define gridDim (emulator::grid_size())
constexpr unsigned warpSize = 32;

#define SHARED(Type, name) Type* name = static_cast<Type*>(emulator::shared())
#define LAUNCHED(kernel)                                                      \
    static const emulator::Entry entry_of_##kernel(#kernel, [](void** given) { \
        emulator::call<kernel>(kernel, given, emulator::indices_of(kernel));   \
    });

#define __syncthreads() emulator::meet_block(__LINE__)
#define __syncwarp() emulator::meet_warp(emulator::Meeting::Barrier, 0xffffffffu, 0, 0, __LINE__)
#define __ballot_sync(mask, is) static_cast<unsigned>(emulator::meet_warp(emulator::Meeting::Ballot, mask, (is) != 0, 0, __LINE__))
#define __shfl_sync(mask, value, source) emulator::shuffle(mask, value, (source) % 32u, __LINE__)
// Lanes that would look behind the last one hear themselves.
#define __shfl_down_sync(mask, value, by) \
    emulator::shuffle(mask, value, emulator::own_lane() + (by) < 32u ? emulator::own_lane() + (by) : emulator::own_lane(), __LINE__)
