// Runs CUDA threads on one processor.
//
// Each thread of a block is a fiber: a stack of its own, on which it runs until it waits for others or ends. The scheduler chooses who goes
// on, in an order that is a parameter. Blocks run one behind the other. What a device leaves undefined is an error here, with the line of
// the kernel: a barrier that some threads never reach, a mask that names a lane which is gone or leaves out the one that calls, lanes of one
// warp at different meetings.
//
// Under -DRACES the kernel's file, and only that, is compiled with -fsanitize=thread. Each fiber is then a thread to the sanitizer, and
// only barriers of the block and of the warp order memory, as CUDA promises it; a shuffle does not.
#include "run.h"
#include "words.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/mman.h>
#if !defined(__x86_64__) || defined(PORTABLE)
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef RACES
#include <sanitizer/tsan_interface.h>
#endif

namespace emulator {

// ---- A stack and where on it somebody stopped.

constexpr size_t STACK_BYTES = 64 * 1024;

#if defined(__x86_64__) && !defined(PORTABLE)
// Keeps what a function must hand back unchanged, says where, and goes on from where another stopped.
extern "C" void emulator_swap(void** here, void* there);
asm(".text\n"
    ".type emulator_swap, @function\n"
    "emulator_swap:\n"
    "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
    "    ret\n"
    ".size emulator_swap, . - emulator_swap\n");

struct Context {
    void* top = nullptr;

    void begin(char* stack, void (*run)()) {
        // Six registers, the function to return to, and a word so that its frame is aligned as after a call.
        void** words = reinterpret_cast<void**>(stack + STACK_BYTES) - 8;
        std::fill(words, words + 8, nullptr);
        words[6] = reinterpret_cast<void*>(run);
        top = words;
    }
    void leave_for(Context& other) { emulator_swap(&top, other.top); }
};
#else
struct Context {
    ucontext_t context;

    void begin(char* stack, void (*run)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = STACK_BYTES;
        context.uc_link = nullptr;
        makecontext(&context, run, 0);
    }
    void leave_for(Context& other) { swapcontext(&context, &other.context); }
};
#endif

// ---- What is known of a block while it runs.

struct Thread {
    Context context;
    enum { Ready, AtBlock, AtWarp, Gone } state;
    unsigned number;
    int line;        // of the meeting at which it waits
    uint64_t handed; // what it brought there,
    unsigned source; // and whose it wants to hear
    uint64_t heard;
    void* racer; // as the sanitizer for races knows it
};

// Lanes on their way to one meeting.
struct Gathering {
    unsigned mask = 0, here = 0;
    Meeting what{};
    int line = 0;
    char ordered[2]; // what a barrier orders is tied to these two places by turns
    unsigned turn = 0;
};

struct Warp {
    unsigned alive = 0;
    std::vector<Gathering> gatherings; // by mask
};

struct Block {
    uint3 index, size, grid;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    unsigned alive = 0, at_barrier = 0;
    int barrier_line = 0;
    std::unique_ptr<char[]> ordered;
    unsigned turn = 0;
    Thread* current = nullptr;
    Context scheduler;
    unsigned char* shared = nullptr;
    std::string wrong;
    Call call;
    void** arguments;
    void* racer; // the scheduler's
    char* launched;
    char* done;
};

static thread_local Block* block;
static thread_local char* stacks;
static thread_local size_t stacks_count;
#ifdef __SANITIZE_ADDRESS__
static thread_local const void* scheduler_stack;
static thread_local size_t scheduler_stack_bytes;
#endif

// A release and an acquire of the sanitizer for races, and nothing without it.
static void release(char* place) {
#ifdef RACES
    __tsan_release(place);
#else
    (void)place;
#endif
}
static void acquire(char* place) {
#ifdef RACES
    __tsan_acquire(place);
#else
    (void)place;
#endif
}

static void to_thread(Thread& thread) {
    block->current = &thread;
#ifdef __SANITIZE_ADDRESS__
    void* frames;
    __sanitizer_start_switch_fiber(&frames, stacks + thread.number * STACK_BYTES, STACK_BYTES);
#endif
#ifdef RACES
    __tsan_switch_to_fiber(thread.racer, __tsan_switch_to_fiber_no_sync);
#endif
    block->scheduler.leave_for(thread.context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(frames, nullptr, nullptr);
#endif
}

static void to_scheduler() {
    Thread& thread = *block->current;
#ifdef __SANITIZE_ADDRESS__
    void* frames;
    __sanitizer_start_switch_fiber(thread.state == Thread::Gone ? nullptr : &frames, scheduler_stack, scheduler_stack_bytes);
#endif
#ifdef RACES
    __tsan_switch_to_fiber(block->racer, __tsan_switch_to_fiber_no_sync);
#endif
    thread.context.leave_for(block->scheduler);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(frames, &scheduler_stack, &scheduler_stack_bytes);
#endif
}

// Ends the launch: the first that is wrong is told.
[[noreturn]] static void wrong(int line, const std::string& what) {
    if (block->wrong.empty()) {
        block->wrong = "line " + std::to_string(line) + ", block " + std::to_string(block->index.x) + ", thread " +
                       std::to_string(block->current->number) + ": " + what;
    }
    block->current->state = Thread::Gone;
    to_scheduler();
    std::abort();
}

// ---- What kernels ask.

uint3 thread_index() {
    const unsigned number = block->current->number;
    return {number % block->size.x, number / block->size.x % block->size.y, number / block->size.x / block->size.y};
}
uint3 block_index() { return block->index; }
uint3 block_size() { return block->size; }
uint3 grid_size() { return block->grid; }
void* shared() { return block->shared; }

static void open_barrier() {
    for (Thread& thread : block->threads) {
        if (thread.state == Thread::AtBlock) thread.state = Thread::Ready;
    }
    block->at_barrier = 0;
    block->turn ^= 1;
}

void meet_block(int line) {
    if (block->at_barrier > 0 && block->barrier_line != line) {
        wrong(line, "a barrier of the block, while others wait at that of line " + std::to_string(block->barrier_line));
    }
    // Devices do not wait for threads that have ended. Ours are to meet all or not at all.
    if (block->alive < block->threads.size()) wrong(line, "a barrier of the block that threads have ended without");
    Thread& thread = *block->current;
    char* ordered = &block->ordered[block->turn];
    release(ordered);
    block->barrier_line = thread.line = line;
    thread.state = Thread::AtBlock;
    block->at_barrier++;
    if (block->at_barrier == block->alive) open_barrier();
    to_scheduler();
    acquire(ordered);
}

uint64_t meet_warp(Meeting what, unsigned mask, uint64_t value, unsigned source, int line) {
    Thread& thread = *block->current;
    Warp& warp = block->warps[thread.number / 32];
    const unsigned lane = thread.number % 32;
    if (!(mask >> lane & 1)) wrong(line, "a mask without the lane that calls");
    if (mask & ~warp.alive) wrong(line, "a mask that names lanes which have ended or never were");
    if (what == Meeting::Shuffle && !(mask >> source & 1)) wrong(line, "a shuffle from a lane that the mask does not name");
    size_t place = 0;
    while (place < warp.gatherings.size() && warp.gatherings[place].mask != mask) {
        const Gathering& other = warp.gatherings[place++];
        if (other.here & mask) wrong(line, "a meeting, while one of its lanes waits at line " + std::to_string(other.line));
    }
    if (place == warp.gatherings.size()) {
        if (place == warp.gatherings.capacity()) wrong(line, "more masks in one warp than are reckoned with");
        warp.gatherings.emplace_back();
        warp.gatherings[place].mask = mask;
    }
    Gathering& gathering = warp.gatherings[place];
    if (gathering.here && (gathering.what != what || gathering.line != line)) {
        wrong(line, "a meeting, while other lanes of the warp wait at line " + std::to_string(gathering.line));
    }
    char* ordered = &gathering.ordered[gathering.turn];
    if (what == Meeting::Barrier) release(ordered);
    gathering.what = what;
    gathering.line = thread.line = line;
    gathering.here |= 1u << lane;
    thread.handed = value;
    thread.source = source;
    thread.state = Thread::AtWarp;
    if (gathering.here == mask) {
        // The last to come answers for all.
        Thread* lanes = &block->threads[thread.number - lane];
        uint64_t ballot = 0;
        for (unsigned other = 0; other < 32; other++) {
            if (mask >> other & 1 && lanes[other].handed) ballot |= uint64_t{1} << other;
        }
        for (unsigned other = 0; other < 32; other++) {
            if (!(mask >> other & 1)) continue;
            lanes[other].heard = what == Meeting::Ballot ? ballot : lanes[lanes[other].source % 32].handed;
            lanes[other].state = Thread::Ready;
        }
        gathering.here = 0;
        gathering.turn ^= 1;
    }
    to_scheduler();
    if (what == Meeting::Barrier) acquire(ordered);
    return thread.heard;
}

// ---- The scheduler.

static void run_thread() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
    acquire(block->launched);
    block->call(block->arguments);
    release(block->done);
    Thread& thread = *block->current;
    Warp& warp = block->warps[thread.number / 32];
    for (const Gathering& gathering : warp.gatherings) {
        if (gathering.here && gathering.mask >> thread.number % 32 & 1) wrong(gathering.line, "a meeting that one of its lanes has ended without");
    }
    if (block->at_barrier) wrong(block->barrier_line, "a barrier of the block that a thread ended without");
    thread.state = Thread::Gone;
    warp.alive &= ~(1u << thread.number % 32);
    block->alive--;
    to_scheduler();
    std::abort();
}

// Who comes first: by turns, from the end, or drawn.
class Order {
  public:
    explicit Order(uint64_t order) : order(order), state(order * 0x9e3779b97f4a7c15) {}

    // The places 0..count in the order in which they are asked.
    void arrange(std::vector<unsigned>& places, unsigned count) {
        places.resize(count);
        for (unsigned i = 0; i < count; i++) places[i] = order == 1 ? count - 1 - i : i;
        if (order < 2) return;
        for (unsigned i = count; i > 1; i--) std::swap(places[i - 1], places[draw() % i]);
    }

  private:
    uint64_t draw() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }
    uint64_t order, state;
};

static std::string deadlock() {
    std::string told;
    for (const Thread& thread : block->threads) {
        if (thread.state == Thread::Gone) continue;
        told = "line " + std::to_string(thread.line) + ", block " + std::to_string(block->index.x) + ", thread " +
               std::to_string(thread.number) + ": waits for threads that wait elsewhere";
        break;
    }
    return told;
}

static void begin_block() {
    const unsigned count = block->threads.size();
    block->alive = count;
    block->at_barrier = 0;
    // What barriers order is tied to these places. They are new for each block, or the sanitizer would believe blocks ordered too.
    block->ordered = std::make_unique<char[]>(2);
    for (Warp& warp : block->warps) {
        warp = Warp{};
        warp.gatherings.reserve(8); // threads keep references into it
    }
    for (unsigned number = 0; number < count; number++) {
        Thread& thread = block->threads[number];
        thread.number = number;
        thread.state = Thread::Ready;
        block->warps[number / 32].alive |= 1u << number % 32;
        char* stack = stacks + number * STACK_BYTES;
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(stack, STACK_BYTES);
#endif
#ifdef RACES
        thread.racer = __tsan_create_fiber(0);
#endif
        thread.context.begin(stack, run_thread);
    }
}

static void end_block() {
#ifdef RACES
    for (Thread& thread : block->threads) __tsan_destroy_fiber(thread.racer);
#endif
}

// The first warp in the order that can go on does so, each lane until it waits: so one warp runs ahead of the others as far as it may.
static void run_block(Order& order) {
    std::vector<unsigned> warps, lanes;
    while (block->alive > 0) {
        bool has_moved = false;
        order.arrange(warps, block->warps.size());
        for (unsigned i = 0; i < warps.size() && !has_moved; i++) {
            const unsigned first = warps[i] * 32;
            order.arrange(lanes, std::min<size_t>(32, block->threads.size() - first));
            for (const unsigned lane : lanes) {
                Thread& thread = block->threads[first + lane];
                if (thread.state != Thread::Ready) continue;
                to_thread(thread);
                if (!block->wrong.empty()) return;
                has_moved = true;
            }
        }
        if (!has_moved) {
            block->wrong = deadlock();
            return;
        }
    }
}

// Dynamic shared memory of a block, exactly as much as was asked for: reading behind it is found by the sanitizer for addresses.
static unsigned char* new_shared(size_t bytes) {
    if (bytes == 0) return nullptr;
    void* memory = nullptr;
    if (posix_memalign(&memory, 128, bytes) != 0) std::abort();
    // Bytes of ones are no number: what was never written is seen in what comes out.
    std::memset(memory, 0xff, bytes);
    return static_cast<unsigned char*>(memory);
}

static std::string run(Call call, uint3 grid, uint3 size, size_t shared_bytes, void** arguments, uint64_t wanted) {
    const size_t count = size_t{size.x} * size.y * size.z, blocks = size_t{grid.x} * grid.y * grid.z;
    if (count == 0 || count > 1024 || blocks == 0) return "expected 1 to 1024 threads in one block or more";
    if (stacks_count < count) {
        if (stacks) munmap(stacks, stacks_count * STACK_BYTES);
        void* mapped = mmap(nullptr, count * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED) std::abort();
        stacks = static_cast<char*>(mapped);
        stacks_count = count;
    }
    Block running{};
    running.size = size;
    running.grid = grid;
    running.threads.resize(count);
    running.warps.resize((count + 31) / 32);
    running.call = call;
    running.arguments = arguments;
    char launched = 0, done = 0;
    running.launched = &launched;
    running.done = &done;
#ifdef RACES
    running.racer = __tsan_get_current_fiber();
#endif
    Order order(wanted);
    std::vector<unsigned> numbers;
    order.arrange(numbers, blocks);
    // Blocks are not ordered among each other. Memory that is handed on from one to the next would be a race to the sanitizer, so where
    // it looks each has its own.
    std::vector<std::unique_ptr<unsigned char, decltype(&std::free)>> memories;
#ifdef RACES
    const size_t apart = blocks;
#else
    const size_t apart = 1;
#endif
    for (size_t i = 0; i < apart; i++) memories.emplace_back(new_shared(shared_bytes), std::free);
    release(&launched);
    Block* const before = block;
    block = &running;
    for (size_t i = 0; i < blocks && running.wrong.empty(); i++) {
        const unsigned number = numbers[i];
        running.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
        running.shared = memories[i % apart].get();
        if (apart == 1 && shared_bytes > 0) std::memset(running.shared, 0xff, shared_bytes);
        begin_block();
        run_block(order);
        end_block();
    }
    acquire(&done);
    block = before;
    return running.wrong;
}

static std::map<std::string, Call>& kernels() {
    static std::map<std::string, Call> all;
    return all;
}
Entry::Entry(const char* name, Call call) { kernels()[name] = call; }

} // namespace emulator

extern "C" int emulator_launch(const char* name, const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes, void** arguments,
                               uint64_t order, char* told, size_t told_bytes) {
    const auto found = emulator::kernels().find(name);
    const std::string wrong =
        found == emulator::kernels().end()
            ? std::string("found no kernel called ") + name
            : emulator::run(found->second, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes, arguments, order);
    std::snprintf(told, told_bytes, "%s", wrong.c_str());
    return wrong.empty() ? 0 : 1;
}
