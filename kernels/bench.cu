// For whoever has a card: are the kernels right on it, and what do they cost? Needs nvcc alone: `make run`.
//
// First every size of batch against plain loops on the host, to the bit; a size that differs ends it. Then, unless `--check-only` is given,
// medians and 99th percentiles in microseconds, by size of batch, of what a host may do with one: copy, launch, copy back and wait; the same
// as one CUDA graph; and launch alone over pinned memory that the device maps. The kernels' own times are taken by events of the device.
#include "plain.h"
#include "weir.cu"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

using plain::Words;

static void must(cudaError_t said, const char* what) {
    if (said == cudaSuccess) return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(said));
    std::exit(2);
}
#define MUST(call) must(call, #call)

constexpr unsigned SEEDS_MAX = 1024;
constexpr unsigned RESIDENT_ROWS = 1u << 20;
constexpr unsigned KEEP_THREADS = 128;

__global__ void nothing() {}

// One batch with its buffers: pinned ones on the host, whose addresses the device knows too, and ones on the device.
struct Run {
    Words model, staged, resident;
    void *model_at, *resident_at, *staged_at, *scores_at; // on the device
    void *staged_host, *scores_host;                      // pinned
    void *staged_mapped, *scores_mapped;                  // the same, as the device knows them
    cudaStream_t stream;
    unsigned seeds = 0, keeps = 0;

    Run() : model(plain::draw_model(1, 96, 96)), resident(plain::draw_resident(2, RESIDENT_ROWS)) {
        const size_t staged_max = SEEDS_MAX * size_t{6144}, scores_max = SEEDS_MAX * sizeof(Score);
        MUST(cudaMalloc(&model_at, model.size() * 4));
        MUST(cudaMalloc(&resident_at, resident.size() * 4));
        MUST(cudaMalloc(&staged_at, staged_max));
        MUST(cudaMalloc(&scores_at, scores_max));
        MUST(cudaHostAlloc(&staged_host, staged_max, cudaHostAllocMapped));
        MUST(cudaHostAlloc(&scores_host, scores_max, cudaHostAllocMapped));
        MUST(cudaHostGetDevicePointer(&staged_mapped, staged_host, 0));
        MUST(cudaHostGetDevicePointer(&scores_mapped, scores_host, 0));
        MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        MUST(cudaMemcpy(model_at, model.data(), model.size() * 4, cudaMemcpyHostToDevice));
        MUST(cudaMemcpy(resident_at, resident.data(), resident.size() * 4, cudaMemcpyHostToDevice));
    }

    void draw(uint64_t seed, unsigned count, unsigned resident_rows) {
        staged = plain::draw_batch(seed, model, count, RECENT, resident_rows);
        std::memcpy(staged_host, staged.data(), staged.size() * 4);
        seeds = count;
        keeps = plain::in<Header>(staged, 0)->keeps;
    }

    void copy_there() { MUST(cudaMemcpyAsync(staged_at, staged_host, staged.size() * 4, cudaMemcpyHostToDevice, stream)); }
    void copy_back() { MUST(cudaMemcpyAsync(scores_host, scores_at, seeds * sizeof(Score), cudaMemcpyDeviceToHost, stream)); }
    void launch(void* staged_there, void* scores_there) {
        const Header* header = static_cast<const Header*>(staged_there);
        forward<<<(seeds + WARPS - 1) / WARPS, WARPS * WARP, FORWARD_SHARED_BYTES, stream>>>(
            static_cast<const Model*>(model_at), header, static_cast<const float2*>(resident_at), static_cast<Score*>(scores_there));
        MUST(cudaGetLastError());
        if (keeps == 0) return;
        keep<<<(keeps * (RESIDENT_STRIDE / 2) + KEEP_THREADS - 1) / KEEP_THREADS, KEEP_THREADS, 0, stream>>>(header, static_cast<float2*>(resident_at));
        MUST(cudaGetLastError());
    }
    void wait() { MUST(cudaStreamSynchronize(stream)); }
    void all() {
        copy_there();
        launch(staged_at, scores_at);
        copy_back();
    }
};

static bool is_right(Run& run, unsigned seeds, unsigned resident_rows) {
    run.draw(seeds, seeds, resident_rows);
    MUST(cudaMemset(run.scores_at, 0xff, SEEDS_MAX * sizeof(Score)));
    run.all();
    run.wait();
    const unsigned unlike = plain::first_unlike(run.model, run.staged, run.resident, static_cast<const Score*>(run.scores_host));
    plain::keep(run.staged, run.resident);
    Words kept(run.resident.size());
    MUST(cudaMemcpy(kept.data(), run.resident_at, kept.size() * 4, cudaMemcpyDeviceToHost));
    const bool is_kept = kept == run.resident;
    std::printf("%5u seeds, %7u resident rows: %s\n", seeds, resident_rows,
                unlike < seeds ? "a score is NOT that of the plain loops" : is_kept ? "same bits" : "what stayed is NOT what was staged");
    return unlike == seeds && is_kept;
}

// Median and 99th percentile.
static std::string quantiles(std::vector<double> times) {
    std::sort(times.begin(), times.end());
    char told[32];
    std::snprintf(told, sizeof told, "%7.2f %7.2f", times[times.size() / 2], times[times.size() * 99 / 100]);
    return told;
}

static std::string timed(const std::function<void()>& what) {
    std::vector<double> times(3000);
    for (int i = 0; i < 200; i++) what();
    for (double& time : times) {
        const auto start = std::chrono::steady_clock::now();
        what();
        time = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    }
    return quantiles(times);
}

static std::string timed_on_device(Run& run) {
    cudaEvent_t start, end;
    MUST(cudaEventCreate(&start));
    MUST(cudaEventCreate(&end));
    std::vector<double> times(500);
    for (double& time : times) {
        MUST(cudaEventRecord(start, run.stream));
        run.launch(run.staged_at, run.scores_at);
        MUST(cudaEventRecord(end, run.stream));
        MUST(cudaEventSynchronize(end));
        float milliseconds;
        MUST(cudaEventElapsedTime(&milliseconds, start, end));
        time = milliseconds * 1000.0;
    }
    MUST(cudaEventDestroy(start));
    MUST(cudaEventDestroy(end));
    return quantiles(times);
}

static void measure(Run& run, unsigned seeds, unsigned resident_rows) {
    run.draw(seeds + 1, seeds, resident_rows);
    const std::string copies = timed([&] {
        run.all();
        run.wait();
    });
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    MUST(cudaStreamBeginCapture(run.stream, cudaStreamCaptureModeThreadLocal));
    run.all();
    MUST(cudaStreamEndCapture(run.stream, &graph));
    MUST(cudaGraphInstantiate(&ready, graph, 0));
    MUST(cudaGraphUpload(ready, run.stream));
    const std::string graphs = timed([&] {
        MUST(cudaGraphLaunch(ready, run.stream));
        run.wait();
    });
    MUST(cudaGraphExecDestroy(ready));
    MUST(cudaGraphDestroy(graph));
    const std::string mapped = timed([&] {
        run.launch(run.staged_mapped, run.scores_mapped);
        run.wait();
    });
    std::printf("%5u %9s %8zu %6u  %s  %s  %s  %s\n", seeds, resident_rows ? "resident" : "staged", run.staged.size() * 4 / seeds, run.keeps,
                timed_on_device(run).c_str(), copies.c_str(), graphs.c_str(), mapped.c_str());
}

int main(int count, char** arguments) {
    int devices = 0;
    const cudaError_t said = cudaGetDeviceCount(&devices);
    if (said != cudaSuccess || devices == 0) {
        std::fprintf(stderr, "no CUDA device: %s\n", said == cudaSuccess ? "the driver counts none" : cudaGetErrorString(said));
        return 3;
    }
    cudaDeviceProp card;
    int driver = 0;
    MUST(cudaGetDeviceProperties(&card, 0));
    MUST(cudaDriverGetVersion(&driver));
    std::printf("%s, sm_%d%d, %d multiprocessors, driver for CUDA %d.%d\n", card.name, card.major, card.minor, card.multiProcessorCount,
                driver / 1000, driver % 1000 / 10);
    Run run;
    for (const unsigned resident_rows : {0u, RESIDENT_ROWS}) {
        for (const unsigned seeds : {1u, 7u, 8u, 9u, 64u, 1000u, 1024u}) {
            if (!is_right(run, seeds, resident_rows)) return 1;
        }
    }
    if (count > 1 && std::string(arguments[1]) == "--check-only") return 0;
    std::printf("\nmicroseconds, median and 99th percentile; an empty launch and a wait: %s\n", timed([&] {
                    nothing<<<1, WARP, 0, run.stream>>>();
                    run.wait();
                }).c_str());
    std::printf("seeds      rows  bytes/s.  keeps  %-15s  %-15s  %-15s  %-15s\n", "kernels alone", "copies, launch", "graph", "mapped");
    for (const unsigned resident_rows : {0u, RESIDENT_ROWS}) {
        for (const unsigned seeds : {1u, 8u, 64u, 256u, 1024u}) measure(run, seeds, resident_rows);
    }
    return 0;
}
