// The forward pass of a batch, fused: one warp a seed, from states and edges to a probability. See `src/gnn/model.rs` for what is computed
// and `src/gnn/cpu.rs` for the order, which is the same here: across outputs go the lanes, along what is summed goes time.
//
// No warp waits for another: a block is several seeds, so that what one read of the weights lies in the first cache for the next. What
// lanes say to each other goes through shared memory, with a barrier of the warp between writing and reading.
#include "common.cuh"

// A seed's edges and states, each by one lane: features and figures go where the lanes will read them.
__device__ static void gather(const Header& header, const void* staged, const float2* resident, unsigned number, const Seed& seed,
                              Scratch& scratch) {
    const Edge* edges = at<Edge>(staged, header.edges_at) + seed.edges_at;
    const float2* rows = at<float2>(staged, header.rows_at);
    const unsigned count = (seed.counts & 0xff) + (seed.counts >> 8 & 0xff) + (seed.counts >> 16 & 0xff);
    for (unsigned item = lane_of(); has_work(item, count + SLOTS); item += WARP) {
        const bool is_edge = has_work(item, count);
        const float4 words = is_edge ? *reinterpret_cast<const float4*>(edges + item) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        const unsigned tag = is_edge ? bits_of(words.w) : TAG_STAGED | (number * SLOTS + item - count) << TAG_ROW_SHIFT;
        const unsigned place = tag >> TAG_ROW_SHIFT;
        const float2* row = tag & TAG_RESIDENT ? resident + place * (RESIDENT_STRIDE / 2) : rows + place * (STATE / 2);
        const bool is_known = (tag & (TAG_STAGED | TAG_RESIDENT)) != 0;
        float state[STATE];
        for (unsigned i = 0; i < STATE / 2; i++) {
            const float2 pair = is_known ? row[i] : make_float2(0.0f, 0.0f);
            state[2 * i] = pair.x;
            state[2 * i + 1] = pair.y;
        }
        to_figures(state);
        if (is_edge) {
            float(&inputs)[EDGE_INPUTS] = scratch.inputs[item];
            inputs[0] = 1.0f;
            inputs[1] = words.x;
            inputs[2] = words.y;
            inputs[3] = tag & TAG_BAD ? 1.0f : 0.0f;
            inputs[4] = tag & TAG_GOOD ? 1.0f : 0.0f;
            inputs[5] = tag & TAG_FAILED ? 1.0f : 0.0f;
            inputs[6] = words.z;
            inputs[7] = tag & TAG_QUIET ? 1.0f : 0.0f;
            inputs[8] = tag & TAG_INCOMING ? 1.0f : 0.0f;
            for (unsigned i = 0; i < STATE; i++) inputs[1 + EDGE + i] = state[i];
            scratch.buckets[item] = bucket(words.x);
        } else {
            float* own = scratch.own + (item - count) * STATE_LANES;
            for (unsigned i = 0; i < STATE; i++) own[i] = state[i];
        }
    }
    __syncwarp();
}

// Sums of each entity's edges with weights by age, newest first: a lane an input, all time codes.
__device__ static void aggregate(const Model& model, const Seed& seed, Scratch& scratch) {
    const unsigned input = lane_of();
    unsigned edge = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const unsigned end = edge + (seed.counts >> slot * 8 & 0xff);
        float4 sums = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        for (; edge < end; edge++) {
            const float4 weights = model.time[slot][scratch.buckets[edge]];
            const float value = has_work(input, EDGE_INPUTS) ? scratch.inputs[edge][input] : 0.0f;
            sums.x = fmaf(weights.x, value, sums.x);
            sums.y = fmaf(weights.y, value, sums.y);
            sums.z = fmaf(weights.z, value, sums.z);
            sums.w = fmaf(weights.w, value, sums.w);
        }
        if (has_work(input, EDGE_INPUTS)) {
            float* out = reinterpret_cast<float*>(scratch.sums[slot]);
            out[input] = sums.x;
            out[EDGE_INPUTS + input] = sums.y;
            out[2 * EDGE_INPUTS + input] = sums.z;
            out[3 * EDGE_INPUTS + input] = sums.w;
        }
    }
    __syncwarp();
}

// Adds `weights` times four values to one place of the output.
__device__ inline float linear(float4 values, float4 weights, float out) {
    out = fmaf(values.x, weights.x, out);
    out = fmaf(values.y, weights.y, out);
    out = fmaf(values.z, weights.z, out);
    return fmaf(values.w, weights.w, out);
}

// The entities' messages: a lane a place of each. Side by side, for each alone is a chain of additions.
__device__ static void message(const Model& model, Scratch& scratch) {
    const unsigned lane = lane_of();
    float messages[SLOTS];
    for (unsigned slot = 0; slot < SLOTS; slot++) messages[slot] = model.message_bias[slot][lane];
#pragma unroll 4
    for (unsigned k = 0; k < SUMS / 4; k++) {
#pragma unroll
        for (unsigned slot = 0; slot < SLOTS; slot++)
            messages[slot] = linear(scratch.sums[slot][k], model.message[slot][k][lane], messages[slot]);
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) reinterpret_cast<float*>(scratch.messages[slot])[lane] = relu(messages[slot]);
    __syncwarp();
}

// Adds the codes of a seed's figures: steps are found by a lane an input, added by all lanes in the order of the inputs.
__device__ static float2 encode(const Branch& branch, const void* model, const float* figures, Scratch& scratch, float2 hidden) {
    const unsigned lane = lane_of();
    const Input* inputs = at<Input>(model, branch.inputs_at);
    const float2* slopes = at<float2>(model, branch.slopes_at);
    const float4* steps = at<float4>(model, branch.steps_at) + lane;
    for (unsigned first = 0; first < branch.inputs; first += WARP) {
        const unsigned count = min(WARP, branch.inputs - first);
        if (has_work(lane, count)) {
            const Input input = inputs[first + lane];
            const float value = input.source & OF_STATE ? scratch.own[input.source & ~OF_STATE] : figures[input.source];
            const unsigned place = step_of(input, value);
            scratch.codes[lane] = make_float2(float_of(place), through_of(slopes[place], value));
        }
        __syncwarp();
#pragma unroll 8
        for (unsigned n = 0; n < count; n++) {
            const float2 code = scratch.codes[n];
            const float4 step = steps[bits_of(code.x) * WARP];
            hidden.x = fmaf(code.y, step.x, hidden.x + step.z);
            hidden.y = fmaf(code.y, step.y, hidden.y + step.w);
        }
        __syncwarp();
    }
    return hidden;
}

// Adds the messages, entity by entity.
__device__ static float2 join(const Model& model, const Scratch& scratch, float2 hidden) {
    const unsigned lane = lane_of();
    for (unsigned slot = 0; slot < SLOTS; slot++) {
#pragma unroll
        for (unsigned k = 0; k < MESSAGE / 4; k++) {
            const float4 values = scratch.messages[slot][k];
            const float4 first = model.join[slot][2 * k][lane], second = model.join[slot][2 * k + 1][lane];
            hidden.x = fmaf(values.x, first.x, hidden.x);
            hidden.y = fmaf(values.x, first.y, hidden.y);
            hidden.x = fmaf(values.y, first.z, hidden.x);
            hidden.y = fmaf(values.y, first.w, hidden.y);
            hidden.x = fmaf(values.z, second.x, hidden.x);
            hidden.y = fmaf(values.z, second.y, hidden.y);
            hidden.x = fmaf(values.w, second.z, hidden.x);
            hidden.y = fmaf(values.w, second.w, hidden.y);
        }
    }
    return hidden;
}

// The embedding, a lane a place of it.
__device__ static float narrow(const Model& model, Scratch& scratch, float2 hidden) {
    const unsigned lane = lane_of();
    reinterpret_cast<float2*>(scratch.hidden)[lane] = make_float2(relu(hidden.x), relu(hidden.y));
    __syncwarp();
    float out = model.narrow_bias[lane];
#pragma unroll
    for (unsigned k = 0; k < HIDDEN / 4; k++) out = linear(scratch.hidden[k], model.narrow[k][lane], out);
    return relu(out);
}

// The product with the head: eight lanes sum up every eighth place, and are summed as a tree.
__device__ static float dot(const Branch& branch, float embedding) {
    const float head = branch.head[lane_of()];
    float sum = fmaf(embedding, head, 0.0f);
    for (unsigned from = 8; from < NARROW; from += 8) {
        const float value = __shfl_down_sync(ALL_LANES, embedding, from);
        const float weight = __shfl_down_sync(ALL_LANES, head, from);
        sum = fmaf(value, weight, sum);
    }
    for (unsigned from = 4; from > 0; from /= 2) sum = sum + __shfl_down_sync(ALL_LANES, sum, from);
    return __shfl_sync(ALL_LANES, sum, 0);
}

extern "C" __global__ void __launch_bounds__(WARPS* WARP)
    forward(const Model* __restrict__ model, const Header* __restrict__ staged, const float2* __restrict__ resident, Score* __restrict__ scores) {
    SHARED(Scratch, shared);
    const Header header = *staged;
    const unsigned number = warp_of();
    if (!has_work(number, header.seeds)) return;
    Scratch& scratch = shared[warp_in_block()];
    const Seed seed = at<Seed>(staged, header.seeds_at)[number];
    const Branch& branch = model->branches[seed.branch];

    gather(header, staged, resident, number, seed, scratch);
    aggregate(*model, seed, scratch);
    message(*model, scratch);
    float2 hidden = reinterpret_cast<const float2*>(branch.bias)[lane_of()];
    hidden = encode(branch, model, at<float>(staged, header.figures_at) + seed.figures_at, scratch, hidden);
    hidden = join(*model, scratch, hidden);
    const float embedding = narrow(*model, scratch, hidden);
    const float logit = dot(branch, embedding) + branch.head_bias;

    Score& score = scores[number];
    score.embedding[lane_of()] = embedding;
    if (lane_of() == 0) score.logit = logit;
    if (lane_of() == 1) score.probability = sigmoid(fmaf(branch.slope, logit, branch.offset));
}
LAUNCHED(forward)
