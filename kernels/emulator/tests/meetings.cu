// Kernels that are right or wrong in one way each: what the emulator must run, and what it must tell.
#include "../../common.cuh"

// Turns a block's words round; wrong where the barrier is left out.
__device__ static void turn(unsigned* words, bool has_barrier) {
    SHARED(unsigned, shared);
    const unsigned place = thread_of() % blockDim.x;
    shared[place] = words[place];
    if (has_barrier) __syncthreads();
    words[place] = shared[blockDim.x - 1 - place];
}
extern "C" __global__ void turned(unsigned* words) { turn(words, true); }
extern "C" __global__ void turned_without_barrier(unsigned* words) { turn(words, false); }
LAUNCHED(turned)
LAUNCHED(turned_without_barrier)

// Sums up a warp's lanes, and counts the odd among them.
extern "C" __global__ void summed(unsigned* words) {
    unsigned sum = words[thread_of()];
    const unsigned odd = __ballot_sync(ALL_LANES, sum & 1);
    for (unsigned from = 16; from > 0; from /= 2) sum += __shfl_down_sync(ALL_LANES, sum, from);
    words[thread_of()] = __shfl_sync(ALL_LANES, sum, 0) * 100 + __builtin_popcount(odd);
}
LAUNCHED(summed)

extern "C" __global__ void barriers_apart(unsigned*) {
    if (warp_in_block() == 0)
        __syncthreads();
    else
        __syncthreads();
}
LAUNCHED(barriers_apart)

extern "C" __global__ void barrier_for_some(unsigned*) {
    if (warp_in_block() == 0) return;
    __syncthreads();
}
LAUNCHED(barrier_for_some)

extern "C" __global__ void mask_without_caller(unsigned* words) { words[0] = __shfl_sync(0x0000ffffu, words[0], 0); }
LAUNCHED(mask_without_caller)

extern "C" __global__ void mask_of_the_ended(unsigned* words) {
    if (lane_of() >= 16) return;
    words[0] = __shfl_sync(ALL_LANES, words[0], 0);
}
LAUNCHED(mask_of_the_ended)

// Half of the lanes wait for each other, the other half for all.
extern "C" __global__ void meetings_apart(unsigned* words) {
    if (lane_of() < 16)
        words[0] = __shfl_sync(0x0000ffffu, words[0], 0);
    else
        words[1] = __shfl_sync(ALL_LANES, words[1], 0);
}
LAUNCHED(meetings_apart)

// One warp waits for the block, of the other half a warp for its lanes.
extern "C" __global__ void never_met(unsigned*) {
    if (thread_of() < 48)
        __syncthreads();
    else
        __syncwarp();
}
LAUNCHED(never_met)
