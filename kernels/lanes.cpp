// The kernels under the emulator against plain loops: built by `lanes.sh` in three ways.
//
// `slot-twice` keeps two rows in one slot, a fault of the host. `unjudged` says nothing of what comes out and goes on, so that a sanitizer
// comes to see all there is.
#include "emulator/run.h"
#include "plain.h"

#include <cstdio>
#include <string>

using plain::Words;

// Memory of a kernel: exactly as much as it is given, so that the sanitizer for addresses sees what lies outside.
template <class... A> static bool launch(const char* kernel, unsigned blocks, unsigned threads, unsigned shared_bytes, uint64_t order, A... arguments) {
    void* pointers[] = {static_cast<void*>(&arguments)...};
    const uint32_t grid[3] = {blocks, 1, 1}, block[3] = {threads, 1, 1};
    char told[256];
    if (emulator_launch(kernel, grid, block, shared_bytes, pointers, order, told, sizeof told) == 0) return true;
    std::printf("kernel %s, order %llu: %s\n", kernel, static_cast<unsigned long long>(order), told);
    return false;
}

// A batch through both kernels; `resident` is what it finds there, and behind it what stays.
static bool is_right(const Words& model, const Words& staged, Words& resident, uint64_t order, bool is_judged) {
    const Header& header = *plain::in<Header>(staged, 0);
    std::vector<Score> scores(header.seeds);
    std::memset(static_cast<void*>(scores.data()), 0xff, scores.size() * sizeof(Score));
    const void *model_at = model.data(), *staged_at = staged.data();
    void *resident_at = resident.data(), *scores_at = scores.data();
    Words expected = resident;
    const unsigned blocks = (header.seeds + WARPS - 1) / WARPS;
    if (!launch("forward", blocks, WARPS * WARP, FORWARD_SHARED_BYTES, order, model_at, staged_at, resident_at, scores_at)) return false;
    const unsigned unlike = plain::first_unlike(model, staged, resident, scores.data());
    if (is_judged && unlike < header.seeds) {
        std::printf("order %llu: the score of seed %u of %u is not the plain one\n", static_cast<unsigned long long>(order), unlike, header.seeds);
        return false;
    }
    if (header.keeps == 0) return true;
    if (!launch("keep", (header.keeps * RESIDENT_STRIDE / 2 + 63) / 64, 64, 0, order, staged_at, resident_at)) return false;
    plain::keep(staged, expected);
    if (resident == expected || !is_judged) return true;
    std::printf("order %llu: rows that stayed are not the staged ones\n", static_cast<unsigned long long>(order));
    return false;
}

int main(int count, char** arguments) {
    const std::string wanted = count > 1 ? arguments[1] : "";
    const bool is_slot_twice = wanted == "slot-twice", is_judged = wanted != "unjudged";
    const Words model = plain::draw_model(1, 70, 9);
    unsigned launches = 0;
    for (const uint64_t order : {0, 1, 2, 3}) {
        for (const unsigned resident_rows : {0u, 101u}) {
            Words resident = plain::draw_resident(order, resident_rows);
            for (const unsigned seeds : {1u, 4u, 7u, 18u}) {
                for (const unsigned edges_max : {0u, 1u, RECENT}) {
                    Words staged = plain::draw_batch(order * 100 + seeds, model, seeds, edges_max, resident_rows);
                    Header& header = *reinterpret_cast<Header*>(staged.data());
                    // The first and the last of them, so that they stand in two blocks.
                    if (is_slot_twice && header.keeps > 8) {
                        Keep* keeps = reinterpret_cast<Keep*>(staged.data() + header.keeps_at / 4);
                        keeps[header.keeps - 1].slot = keeps[0].slot;
                    }
                    if (!is_right(model, staged, resident, order, is_judged)) return 1;
                    launches += header.keeps > 0 ? 2 : 1;
                }
            }
        }
    }
    std::printf("%u launches%s\n", launches, is_judged ? ", all as the plain loops" : "");
}
