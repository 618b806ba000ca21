// What the host lays out for the device: a model's parameters, and the staging of a batch. Mirrored by `src/gnn/cuda/pack.rs`, whose tests
// compare what a kernel makes of it with the forward pass of the CPU.
//
// All is words of four bytes, little endian; offsets are in bytes from the start of the buffer, and whatever is read 16 bytes at a time
// starts at a multiple of 16.
#pragma once

// As in `src/gnn/model.rs`, `src/graph/ego.rs` and `src/graph/state.rs`.
constexpr unsigned SLOTS = 3;
constexpr unsigned RECENT = 16;
constexpr unsigned EDGES_MAX = SLOTS * RECENT;
constexpr unsigned STATE = 14;
constexpr unsigned STATE_LANES = 16;
constexpr unsigned EDGE = 8;
constexpr unsigned EDGE_INPUTS = 1 + EDGE + STATE;
constexpr unsigned TIME_CODES = 4;
constexpr unsigned AGE_BUCKETS = 48;
constexpr unsigned SUMS = TIME_CODES * EDGE_INPUTS;
constexpr unsigned MESSAGE = 32;
constexpr unsigned HIDDEN = 64;
constexpr unsigned NARROW = 32;
constexpr unsigned PIECES_MAX = 16;
constexpr unsigned BRANCHES = 2;
constexpr unsigned WARP = 32;

// Where an input is found: among the figures of the seed's own states, else among the figures staged for it.
constexpr unsigned OF_STATE = 1u << 31;

struct Input {
    unsigned source;
    unsigned steps_at; // its first step, counted in steps
    unsigned unused[2];
    float4 inner[PIECES_MAX / 4]; // edges between its pieces, then such as no value reaches
};
static_assert(sizeof(Input) == 80);

// Payments, then transfers.
struct Branch {
    unsigned inputs;
    unsigned inputs_at; // (inputs) Input
    unsigned slopes_at; // (steps) float2: a step's lower edge, and one by its width
    unsigned steps_at;  // (steps, WARP) float4: for a lane's two places of HIDDEN the step's row, then what the steps below it add
    float head_bias;
    float slope;
    float offset;
    unsigned unused;
    float bias[HIDDEN];
    float head[NARROW];
};
static_assert(sizeof(Branch) == 416);

// Weights lie as the lanes of a warp read them: 16 bytes a lane, 512 bytes in a row. Who sums over k finds four of them side by side, or,
// where a lane has two places of the output, two of them with both places.
struct Model {
    float4 time[SLOTS][AGE_BUCKETS];
    float4 message[SLOTS][SUMS / 4][WARP];
    float4 join[SLOTS][MESSAGE / 2][WARP];
    float4 narrow[HIDDEN / 4][WARP];
    float message_bias[SLOTS][MESSAGE];
    float narrow_bias[NARROW];
    Branch branches[BRANCHES];
};
static_assert(sizeof(Model) == 2304 + 35328 + 24576 + 8192 + 384 + 128 + 832);

// At the start of a batch's staging.
struct Header {
    unsigned seeds;
    unsigned seeds_at;   // (seeds) Seed
    unsigned edges_at;   // (edges) Edge
    unsigned rows_at;    // (rows, STATE) float: states; seed s has its own in the rows 3s, 3s + 1 and 3s + 2
    unsigned figures_at; // (figures) float
    unsigned keeps;
    unsigned keeps_at; // (keeps) Keep
    unsigned unused;
};
static_assert(sizeof(Header) == 32);

struct Seed {
    unsigned edges_at;   // its first edge, counted in edges
    unsigned figures_at; // its first figure, counted in figures
    unsigned counts;     // edges of each of its entities, eight bits each
    unsigned branch;
};
static_assert(sizeof(Seed) == 16);

// An edge, newest first. Its features that are yes or no are bits of the tag; above them stands where its other side's state is found.
struct Edge {
    float age;
    float amount;
    float score;
    unsigned tag;
};
static_assert(sizeof(Edge) == 16);

constexpr unsigned TAG_BAD = 1u << 0;
constexpr unsigned TAG_GOOD = 1u << 1;
constexpr unsigned TAG_FAILED = 1u << 2;
constexpr unsigned TAG_QUIET = 1u << 3;
constexpr unsigned TAG_INCOMING = 1u << 4;
constexpr unsigned TAG_STAGED = 1u << 5;   // a row of the staging
constexpr unsigned TAG_RESIDENT = 1u << 6; // a row that stayed on the device; neither: zeroes
constexpr unsigned TAG_ROW_SHIFT = 7;

// A row that stays on the device when the batch is through. No two of a batch have the same slot.
struct Keep {
    unsigned row;
    unsigned slot;
};

// Floats from one resident row to the next: a row lies in two sectors of memory.
constexpr unsigned RESIDENT_STRIDE = 16;

// What comes out, by seed.
struct Score {
    float embedding[NARROW];
    float logit;
    float probability;
};
static_assert(sizeof(Score) == 136);

// Warps of a block of `forward`; each has a seed of its own.
constexpr unsigned WARPS = 4;

// What a warp keeps between its lanes.
struct Scratch {
    float4 sums[SLOTS][SUMS / 4];
    float4 hidden[HIDDEN / 4];
    float4 messages[SLOTS][MESSAGE / 4];
    float own[SLOTS * STATE_LANES]; // figures of the seed's own states
    float2 codes[WARP];             // place (as bits) and way through of an input's step
    unsigned buckets[EDGES_MAX];
    float inputs[EDGES_MAX][EDGE_INPUTS]; // an odd stride: a row's writer and a column's readers meet no bank twice
};
static_assert(sizeof(Scratch) == 1104 + 256 + 384 + 192 + 256 + 192 + 4416);
constexpr unsigned FORWARD_SHARED_BYTES = WARPS * sizeof(Scratch);
static_assert(FORWARD_SHARED_BYTES == 27200, "what a block may have without asking is 48 KiB");
