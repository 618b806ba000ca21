// Node rows that stay on the device: what a batch staged for a node of which later batches may hear again.
//
// The host chooses the slots, no two of a batch the same, so nothing here depends on who comes first; and it launches this behind the
// batch's forward pass, which may still refer to what a slot held before.
#include "common.cuh"

// Eight threads a row: eight bytes each, the last for what fills it up.
constexpr unsigned PARTS = RESIDENT_STRIDE / 2;

extern "C" __global__ void keep(const Header* __restrict__ staged, float2* __restrict__ resident) {
    const unsigned number = thread_of() / PARTS, part = thread_of() % PARTS;
    if (!has_work(number, staged->keeps)) return;
    const Keep keep = at<Keep>(staged, staged->keeps_at)[number];
    const float2* row = at<float2>(staged, staged->rows_at) + keep.row * (STATE / 2);
    resident[keep.slot * PARTS + part] = part < STATE / 2 ? row[part] : make_float2(0.0f, 0.0f);
}
LAUNCHED(keep)
