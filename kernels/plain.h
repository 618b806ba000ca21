// Models and batches that are drawn, and the forward pass in plain loops: what `lanes.cpp` and `bench.cu` judge the kernels by. That these
// loops are those of `src/gnn/cpu.rs`, and the kernels too, is the matter of `src/gnn/cuda/parity.rs`.
#pragma once
#include "common.cuh"

#include <cmath>
#include <cstdint>
#include <vector>

namespace plain {

// Numbers that are the same wherever they are drawn: SplitMix64, Steele et al., OOPSLA'14.
class Chance {
  public:
    explicit Chance(uint64_t seed) : state(seed) {}
    uint64_t bits() {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    unsigned below(unsigned end) { return static_cast<unsigned>((bits() >> 32) * end >> 32); }
    // From -1 to 1.
    float number() { return static_cast<float>(bits() >> 40) / (1 << 23) - 1.0f; }
    float positive() { return fabsf(number()); }

  private:
    uint64_t state;
};

// Exactly as long as they are, so that the sanitizer for addresses sees what lies behind.
using Words = std::vector<uint32_t>;

template <class T> const T* in(const Words& words, unsigned bytes) { return at<T>(words.data(), bytes); }

inline void put(Words& words, float value) { words.push_back(bits_of(value)); }
inline unsigned aligned(Words& words) {
    while (words.size() % 4 != 0) words.push_back(0);
    return static_cast<unsigned>(words.size() * 4);
}

// A branch of `inputs` inputs, of which every third is a figure of the seed's own states; 1 to 16 pieces each.
inline void draw_branch(Chance& chance, Words& model, unsigned place, unsigned inputs) {
    const unsigned inputs_at = aligned(model);
    std::vector<float2> slopes;
    for (unsigned n = 0, columns = 0; n < inputs; n++) {
        const unsigned pieces = n * 7 % PIECES_MAX + 1;
        const unsigned figure = n / 3 % (SLOTS * STATE);
        const unsigned source = n % 3 == 0 ? OF_STATE | (figure / STATE * STATE_LANES + figure % STATE) : columns++;
        for (const unsigned word : {source, static_cast<unsigned>(slopes.size()), 0u, 0u}) model.push_back(word);
        float edge = chance.number() * 4.0f - 4.0f;
        for (unsigned piece = 0; piece < PIECES_MAX; piece++) {
            const float low = edge;
            edge += 0.05f + chance.positive();
            if (piece < pieces) slopes.push_back({low, 1.0f / (edge - low)});
            put(model, piece + 1 < pieces ? edge : NAN);
        }
    }
    const unsigned slopes_at = aligned(model);
    for (const float2& slope : slopes) put(model, slope.x), put(model, slope.y);
    const unsigned steps_at = aligned(model);
    for (size_t word = 0; word < slopes.size() * 4 * WARP; word++) put(model, chance.number() * 0.2f);
    Branch& branch = reinterpret_cast<Model*>(model.data())->branches[place];
    branch.inputs = inputs;
    branch.inputs_at = inputs_at;
    branch.slopes_at = slopes_at;
    branch.steps_at = steps_at;
    branch.head_bias = chance.number();
    branch.slope = 1.2f;
    branch.offset = -0.3f;
    for (float& bias : branch.bias) bias = chance.number() * 0.1f;
    for (float& head : branch.head) head = chance.number() * 0.4f;
}

inline Words draw_model(uint64_t seed, unsigned payment_inputs, unsigned transfer_inputs) {
    Chance chance(seed);
    Words model;
    while (model.size() < sizeof(Model) / 4) put(model, chance.number() * 0.2f);
    draw_branch(chance, model, 0, payment_inputs);
    draw_branch(chance, model, 1, transfer_inputs);
    model.shrink_to_fit();
    return model;
}

// The ends of what a single can be: subnormals and -0; then the largest, infinities, and what is no number, with either sign, with a payload,
// and signalling.
constexpr unsigned ENDS[] = {0x00000001u, 0x807fffffu, 0x80000000u, 0x7f7fffffu, 0x7f800000u,
                             0xff800000u, 0x7fc00000u, 0xffc00000u, 0xffc12345u, 0x7fa00001u};
constexpr unsigned ENDS_SMALL = 3;

// How near to the ends the values of a row or a seed are. `LOGS`: any of the ends where they are told by their logarithm, small ones elsewhere,
// so that most scores stay numbers. `ALL`: any of them anywhere.
enum Ends { NO, LOGS, ALL };
inline Ends ends_of(unsigned number) { return number % 16 == 15 ? ALL : number % 4 == 3 ? LOGS : NO; }

// The value, or one of the ends in its place.
inline float or_end(Chance& chance, Ends ends, bool is_log, float value) {
    if (ends == NO || chance.below(4) != 0) return value;
    return float_of(ENDS[chance.below(ends == ALL || is_log ? sizeof ENDS / sizeof *ENDS : ENDS_SMALL)]);
}

inline void draw_state(Chance& chance, Words& words, Ends ends) {
    const float money = chance.positive() * 200000.0f;
    for (unsigned i = 0; i < STATE; i++) {
        const float value = i == 4 ? money : i == 5 ? money * money * chance.positive() : chance.positive() * 20.0f;
        put(words, or_end(chance, ends, i < 3, value));
    }
}

inline Words draw_resident(uint64_t seed, unsigned rows) {
    Chance chance(seed);
    Words resident;
    for (unsigned row = 0; row < rows; row++) {
        draw_state(chance, resident, ends_of(row) == NO ? NO : LOGS);
        resident.resize(resident.size() + RESIDENT_STRIDE - STATE, 0);
    }
    resident.shrink_to_fit();
    return resident;
}

// Around each entity 0 to `edges_max` edges, of whose rows one in eight is of zeroes, and with resident rows every second of them. Of the
// staged rows of edges every second is kept, each in a slot of its own. Every fourth seed is drawn near the ends of singles.
inline Words draw_batch(uint64_t seed, const Words& model, unsigned seeds, unsigned edges_max, unsigned resident_rows) {
    Chance chance(seed);
    Words places, edges, rows, figures, keeps;
    for (unsigned own = 0; own < seeds * SLOTS; own++) draw_state(chance, rows, ends_of(own / SLOTS));
    const unsigned first_slot = resident_rows ? chance.below(resident_rows) : 0;
    for (unsigned number = 0; number < seeds; number++) {
        const Ends ends = ends_of(number);
        const unsigned branch = chance.below(BRANCHES), inputs = in<Model>(model, 0)->branches[branch].inputs;
        places.push_back(static_cast<unsigned>(edges.size() / 4));
        places.push_back(static_cast<unsigned>(figures.size()));
        unsigned counts = 0;
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            const unsigned count = chance.below(4) == 0 ? edges_max : chance.below(edges_max + 1);
            counts |= count << slot * 8;
            for (unsigned n = 0; n < count; n++) {
                put(edges, or_end(chance, ends, false, chance.positive() * 27.0f));
                put(edges, or_end(chance, ends, false, chance.positive() * 20.0f));
                put(edges, or_end(chance, ends, false, chance.number() * 6.0f));
                unsigned tag = chance.below(32);
                const unsigned row = static_cast<unsigned>(rows.size() / STATE);
                if (chance.below(8) == 0) {
                    // A state of zeroes.
                } else if (resident_rows && chance.below(2) == 0) {
                    tag |= TAG_RESIDENT | chance.below(resident_rows) << TAG_ROW_SHIFT;
                } else {
                    tag |= TAG_STAGED | row << TAG_ROW_SHIFT;
                    draw_state(chance, rows, ends);
                    const unsigned kept = static_cast<unsigned>(keeps.size() / 2);
                    if (row % 2 == 0 && kept < resident_rows) {
                        keeps.push_back(row);
                        keeps.push_back((first_slot + kept * 7) % resident_rows);
                    }
                }
                edges.push_back(tag);
            }
        }
        places.push_back(counts);
        places.push_back(branch);
        for (unsigned n = 0; n < inputs; n++) {
            // Beyond its pieces a figure is as at their end, whatever it is.
            if (n % 3 != 0) put(figures, or_end(chance, ends, true, chance.number() * 5.0f));
        }
    }
    if (figures.size() % 2 != 0) figures.push_back(0);
    const unsigned seeds_at = sizeof(Header), edges_at = seeds_at + places.size() * 4, figures_at = edges_at + edges.size() * 4;
    const unsigned rows_at = figures_at + figures.size() * 4, keeps_at = rows_at + rows.size() * 4;
    Words staged{seeds, seeds_at, edges_at, rows_at, figures_at, static_cast<unsigned>(keeps.size() / 2), keeps_at, 0};
    for (const Words* section : {&places, &edges, &figures, &rows, &keeps}) staged.insert(staged.end(), section->begin(), section->end());
    staged.shrink_to_fit();
    return staged;
}

// The forward pass of one seed.
inline Score score(const Words& words, const Words& staged, const Words& resident, unsigned number) {
    const Model& model = *in<Model>(words, 0);
    const Header& header = *in<Header>(staged, 0);
    const Seed& seed = in<Seed>(staged, header.seeds_at)[number];
    const Branch& branch = model.branches[seed.branch];
    const float* rows = in<float>(staged, header.rows_at);
    float own[SLOTS * STATE_LANES] = {};
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        float state[STATE];
        memcpy(state, rows + (number * SLOTS + slot) * STATE, sizeof state);
        to_figures(state);
        memcpy(own + slot * STATE_LANES, state, sizeof state);
    }
    float hidden[HIDDEN];
    memcpy(hidden, branch.bias, sizeof hidden);
    const Input* inputs = in<Input>(words, branch.inputs_at);
    const float* figures = in<float>(staged, header.figures_at) + seed.figures_at;
    for (unsigned n = 0; n < branch.inputs; n++) {
        const float value = inputs[n].source & OF_STATE ? own[inputs[n].source & ~OF_STATE] : figures[inputs[n].source];
        const unsigned place = step_of(inputs[n], value);
        const float through = through_of(in<float2>(words, branch.slopes_at)[place], value);
        for (unsigned h = 0; h < HIDDEN; h++) {
            const float* step = in<float>(words, branch.steps_at) + (place * WARP + h / 2) * 4 + h % 2;
            hidden[h] = fmaf(through, step[0], hidden[h] + step[2]);
        }
    }
    const Edge* edge = in<Edge>(staged, header.edges_at) + seed.edges_at;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        float sums[SUMS] = {};
        for (unsigned n = 0; n < (seed.counts >> slot * 8 & 0xff); n++, edge++) {
            float state[STATE] = {};
            const unsigned place = edge->tag >> TAG_ROW_SHIFT;
            if (edge->tag & TAG_STAGED) memcpy(state, rows + place * STATE, sizeof state);
            if (edge->tag & TAG_RESIDENT) memcpy(state, resident.data() + place * RESIDENT_STRIDE, sizeof state);
            to_figures(state);
            const auto flag = [&](unsigned bit) { return edge->tag & bit ? 1.0f : 0.0f; };
            float values[EDGE_INPUTS] = {1.0f,        edge->age,       edge->amount,    flag(TAG_BAD), flag(TAG_GOOD), flag(TAG_FAILED),
                                         edge->score, flag(TAG_QUIET), flag(TAG_INCOMING)};
            memcpy(values + 1 + EDGE, state, sizeof state);
            const float* weights = &model.time[slot][bucket(edge->age)].x;
            for (unsigned c = 0; c < TIME_CODES; c++) {
                for (unsigned i = 0; i < EDGE_INPUTS; i++) sums[c * EDGE_INPUTS + i] = fmaf(weights[c], values[i], sums[c * EDGE_INPUTS + i]);
            }
        }
        for (unsigned m = 0; m < MESSAGE; m++) {
            float message = model.message_bias[slot][m];
            for (unsigned k = 0; k < SUMS; k++) message = fmaf(sums[k], (&model.message[slot][k / 4][m].x)[k % 4], message);
            message = relu(message);
            for (unsigned h = 0; h < HIDDEN; h++) hidden[h] = fmaf(message, (&model.join[slot][m / 2][h / 2].x)[m % 2 * 2 + h % 2], hidden[h]);
        }
    }
    Score out;
    float lanes[8] = {};
    for (unsigned o = 0; o < NARROW; o++) {
        float sum = model.narrow_bias[o];
        for (unsigned h = 0; h < HIDDEN; h++) sum = fmaf(relu(hidden[h]), (&model.narrow[h / 4][o].x)[h % 4], sum);
        out.embedding[o] = relu(sum);
        lanes[o % 8] = fmaf(out.embedding[o], branch.head[o], lanes[o % 8]);
    }
    for (unsigned o = 0; o < 4; o++) lanes[o] += lanes[o + 4];
    out.logit = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + branch.head_bias;
    out.probability = sigmoid(fmaf(branch.slope, out.logit, branch.offset));
    return out;
}

// What stays when a batch is through.
inline void keep(const Words& staged, Words& resident) {
    const Header& header = *in<Header>(staged, 0);
    for (unsigned n = 0; n < header.keeps; n++) {
        const Keep& kept = in<Keep>(staged, header.keeps_at)[n];
        for (unsigned i = 0; i < RESIDENT_STRIDE; i++)
            resident[kept.slot * RESIDENT_STRIDE + i] = i < STATE ? *in<uint32_t>(staged, header.rows_at + (kept.row * STATE + i) * 4) : 0;
    }
}

// Whether two scores have the same bits. What is no number has none of its own: it is the same as any other.
inline bool is_same(const Score& a, const Score& b) {
    float left[sizeof(Score) / sizeof(float)], right[sizeof(Score) / sizeof(float)];
    memcpy(left, &a, sizeof a);
    memcpy(right, &b, sizeof b);
    for (unsigned i = 0; i < sizeof left / sizeof *left; i++) {
        if (bits_of(left[i]) != bits_of(right[i]) && !(std::isnan(left[i]) && std::isnan(right[i]))) return false;
    }
    return true;
}

// The first seed whose score is not the plain one, to the bit; `seeds` where there is none.
inline unsigned first_unlike(const Words& model, const Words& staged, const Words& resident, const Score* found) {
    const unsigned seeds = in<Header>(staged, 0)->seeds;
    for (unsigned number = 0; number < seeds; number++) {
        if (!is_same(score(model, staged, resident, number), found[number])) return number;
    }
    return seeds;
}

} // namespace plain
