// Places of threads, and the arithmetic that is part of the model.
//
// The arithmetic mirrors `src/arithmetic.rs` and `src/gnn/cpu.rs` operation by operation: `fmaf` where they say `mul_add`, and a product
// and a sum each rounded where they say `*` and `+`. So nothing here may be contracted: nvcc is told `--fmad=false`; the divisions, roots
// and subnormals of its defaults are those of IEEE 754.
#pragma once

#ifndef ON_EMULATOR
#include <cstring>
#include <cuda_runtime.h>
#define SHARED(Type, name)                                   \
    extern __shared__ __align__(128) unsigned char shared_[]; \
    Type* name = reinterpret_cast<Type*>(shared_)
#define LAUNCHED(kernel)
#endif
#include "layout.cuh"

constexpr unsigned ALL_LANES = 0xffffffffu;

// The only places that reckon where a thread stands.
__device__ inline unsigned lane_of() { return threadIdx.x % warpSize; }
__device__ inline unsigned warp_in_block() { return threadIdx.x / warpSize; }
__device__ inline unsigned thread_of() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline unsigned warp_of() { return thread_of() / warpSize; }

// Whether there is work at this place, of so much work. The only guard, so that no kernel has one of its own to get wrong.
__device__ inline bool has_work(unsigned place, unsigned count) { return place < count; }

template <class T> __host__ __device__ inline const T* at(const void* base, unsigned bytes) {
    return reinterpret_cast<const T*>(static_cast<const unsigned char*>(base) + bytes);
}

__host__ __device__ inline unsigned bits_of(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
__host__ __device__ inline float float_of(unsigned bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// 2^-x for x >= 0: `arithmetic::decay`.
__host__ __device__ inline float decay(float x) {
    const float most = 64.0f, rounding = 12582912.0f, ln_2 = 0.693147180559945309417232121458f;
    const float bounded = x < most ? x : most;
    const float rounded = bounded + rounding;
    const unsigned whole = bits_of(rounded) & ((1u << 22) - 1);
    const float rest = ((rounded - rounding) - bounded) * ln_2;
    float sum = 1.0f / 720.0f;
    sum = sum * rest + 1.0f / 120.0f;
    sum = sum * rest + 1.0f / 24.0f;
    sum = sum * rest + 1.0f / 6.0f;
    sum = sum * rest + 1.0f / 2.0f;
    sum = sum * rest + 1.0f;
    sum = sum * rest + 1.0f;
    const float power = float_of((127u - whole) << 23);
    return x < most ? sum * power : 0.0f;
}

// log2(1 + x): `arithmetic::log2_1p`. Its bits are read, and of what is no number they differ between machines: one of them stands for all.
__host__ __device__ inline float log2_1p(float x) {
    const float sum = 1.0f + x;
    const unsigned bits = sum == sum ? bits_of(sum) : 0x7fc00000u;
    const int exponent = static_cast<int>(bits >> 23) - 127;
    const float m = float_of((bits & 0x007fffffu) | 0x3f800000u) - 1.0f;
    const float bend = (((0.02627305f * m - 0.098387616f) * m + 0.18486223f) * m - 0.27672833f) * m + 0.44265944f;
    return static_cast<float>(exponent) + (m + m * (1.0f - m) * bend);
}

__host__ __device__ inline float sigmoid(float x) {
    const float power = decay(fabsf(x) * 1.44269504088896340735992468100f);
    const float small = power / (1.0f + power);
    return x < 0.0f ? small : 1.0f - small;
}

// What is no number stays none.
__host__ __device__ inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

// The bucket of an age: `model::bucket`, where a conversion from what is below 0 or no number gives 0.
__host__ __device__ inline unsigned bucket(float age_log) {
    const float doubled = age_log * 2.0f;
    const unsigned last = AGE_BUCKETS - 1;
    return doubled >= static_cast<float>(last) ? last : doubled > 0.0f ? static_cast<unsigned>(doubled) : 0;
}

// A state's spread in means: `Usual::spread_in_means`.
__host__ __device__ inline float spread_in_means(float count, float money, float square) {
    const float mean = money / count;
    const float variance = square / count - mean * mean;
    const float deviation = variance > 0.0f ? sqrtf(variance) : 0.0f;
    const float least = mean * 0.25f > 100.0f ? mean * 0.25f : 100.0f;
    const float spread = (deviation > least ? deviation : least) / (mean > 1.0f ? mean : 1.0f);
    return count >= 3.0f ? spread : 0.0f;
}

// A state's sums as figures, in place: `input::figures_of`.
__host__ __device__ inline void to_figures(float (&state)[STATE]) {
    const float count = state[2], money = state[4], square = state[5];
    const float per = 1.0f / (count > 1.0f ? count : 1.0f);
    for (unsigned i = 0; i < 3; i++) state[i] = log2_1p(state[i]);
    state[3] = state[3] * per;
    state[4] = log2_1p(money * per);
    state[5] = spread_in_means(count, money, square);
    for (unsigned i = 6; i < STATE; i++) state[i] = state[i] * per;
}

// Which step of an input's code a value has reached, and how far through it: `Encoder::step`.
__host__ __device__ inline unsigned step_of(const Input& input, float value) {
    unsigned place = input.steps_at;
    for (const float4& inner : input.inner) {
        place += value >= inner.x ? 1u : 0u;
        place += value >= inner.y ? 1u : 0u;
        place += value >= inner.z ? 1u : 0u;
        place += value >= inner.w ? 1u : 0u;
    }
    return place;
}
__host__ __device__ inline float through_of(float2 slope, float value) {
    const float through = (value - slope.x) * slope.y;
    const float above = through > 0.0f ? through : 0.0f;
    return above < 1.0f ? above : 1.0f;
}
