// A driver's library with no device behind it: as much of the interface as Weir calls, in the memory of the process. What is asked for in
// order is put off until somebody waits, as a device may: so bytes that were changed too early are seen to be. Linked with the emulator of
// kernels/emulator it runs the kernels; without it a launch adds to bytes.
//
// The environment says what it plays: FAKE_CUDA_INIT (a result), FAKE_CUDA_VERSION, FAKE_CUDA_DEVICES (how many), FAKE_CUDA_LOST (waits after
// which the devices are lost), FAKE_CUDA_ORDER (who comes first in the emulator); and of device 0 alone FAKE_CUDA_CAPABILITY (10 major + minor;
// the others have 90), FAKE_CUDA_ROOM (bytes of its memory), FAKE_CUDA_FAIL (a call and its result, such as cuModuleLoadData=209).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NOT_FOUND = 500, BAD_DEVICE = 101, BAD_CONTEXT = 201, LOST = 719 };

enum { COPY, ADD, RUN, DEVICES_MAX = 16 };

typedef struct {
    int what;
    char* to;
    const char* from;
    size_t bytes;
    const char* kernel;
    uint32_t grid[3], block[3], shared_bytes;
    uint64_t values[4];
} Task;

int emulator_launch(const char* name, const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes, void** arguments, uint64_t order,
                    char* told, size_t told_bytes) __attribute__((weak));

static Task tasks[1 << 16];
static size_t tasks_len, room_used[DEVICES_MAX];
static long waits;
static int is_lost;
static __thread void* current;
static char contexts[DEVICES_MAX], stream, module;
static const char* functions[] = {"forward", "keep"};
static const size_t arguments_of[] = {4, 2};

static long said(const char* name, long otherwise) {
    const char* text = getenv(name);
    return text ? atol(text) : otherwise;
}

static long room(int device) { return device ? (1L << 30) + device : said("FAKE_CUDA_ROOM", 1L << 30); }

// The device whose context is this thread's; none: -1.
static int here(void) { return current ? (int)((char*)current - contexts) : -1; }

// What a call is to fail with on a device.
static int fails(const char* call, int device) {
    const char* text = getenv("FAKE_CUDA_FAIL");
    size_t length = strlen(call);
    return text && device == 0 && !strncmp(text, call, length) && text[length] == '=' ? atoi(text + length + 1) : SUCCESS;
}

// Everything but looking needs a context on this thread, and a device that is there.
static int ready(const char* call) { return is_lost ? LOST : here() < 0 ? BAD_CONTEXT : fails(call, here()); }

static int ask(const char* call, Task task) {
    if (ready(call)) return ready(call);
    if (tasks_len == sizeof tasks / sizeof *tasks) abort();
    tasks[tasks_len++] = task;
    return SUCCESS;
}

int cuInit(unsigned flags) { return flags ? INVALID : said("FAKE_CUDA_DEVICES", 1) ? said("FAKE_CUDA_INIT", SUCCESS) : NO_DEVICE; }
int cuDriverGetVersion(int* version) { return *version = said("FAKE_CUDA_VERSION", 13000), SUCCESS; }
int cuDeviceGetCount(int* count) { return *count = said("FAKE_CUDA_DEVICES", 1), SUCCESS; }
int cuDeviceGet(int* device, int number) {
    return *device = number, number < said("FAKE_CUDA_DEVICES", 1) ? fails("cuDeviceGet", number) : BAD_DEVICE;
}
int cuDeviceGetName(char* name, int length, int device) {
    return strncpy(name, device ? "Other" : "Pretended", length), fails("cuDeviceGetName", device);
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { return *bytes = room(device), fails("cuDeviceTotalMem_v2", device); }

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    long capability = device ? 90 : said("FAKE_CUDA_CAPABILITY", 90);
    if (attribute != 75 && attribute != 76) return INVALID;
    return *value = attribute == 75 ? capability / 10 : capability % 10, fails("cuDeviceGetAttribute", device);
}

int cuDevicePrimaryCtxRetain(void** made, int device) {
    if (device < 0 || device >= DEVICES_MAX) return BAD_DEVICE;
    return *made = &contexts[device], fails("cuDevicePrimaryCtxRetain", device);
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device < 0 ? BAD_DEVICE : SUCCESS; }
int cuCtxGetCurrent(void** bound) { return *bound = current, SUCCESS; }
int cuCtxSetCurrent(void* bound) {
    int failed = bound ? fails("cuCtxSetCurrent", (int)((char*)bound - contexts)) : SUCCESS;
    return failed ? failed : (current = bound, SUCCESS);
}
int cuStreamCreate(void** made, unsigned flags) { return flags == 1 ? (*made = &stream, ready("cuStreamCreate")) : INVALID; }
int cuStreamDestroy_v2(void* old) { return old == &stream ? SUCCESS : INVALID; }
int cuModuleUnload(void* old) { return old == &module ? SUCCESS : INVALID; }

int cuStreamSynchronize(void* of) {
    if (of != &stream) return INVALID;
    long lost = said("FAKE_CUDA_LOST", -1);
    if (lost >= 0 && waits++ >= lost) is_lost = 1;
    if (ready("cuStreamSynchronize")) return ready("cuStreamSynchronize");
    for (size_t n = 0; n < tasks_len; n++) {
        Task* task = &tasks[n];
        if (task->what == COPY) memcpy(task->to, task->from, task->bytes);
        // What it plays of a kernel: every byte is so much more.
        for (size_t byte = 0; task->what == ADD && byte < task->bytes; byte++) task->to[byte] += (char)(uintptr_t)task->from;
        if (task->what == RUN) {
            char told[256];
            void* arguments[4];
            for (size_t argument = 0; argument < 4; argument++) arguments[argument] = &task->values[argument];
            if (emulator_launch(task->kernel, task->grid, task->block, task->shared_bytes, arguments, said("FAKE_CUDA_ORDER", 0), told, sizeof told)) {
                fprintf(stderr, "%s\n", told);
                return is_lost = LOST;
            }
        }
    }
    tasks_len = 0;
    return SUCCESS;
}

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    if (ready("cuMemAlloc_v2")) return ready("cuMemAlloc_v2");
    if (room_used[here()] + bytes > (size_t)room(here())) return OUT_OF_MEMORY;
    room_used[here()] += bytes;
    char* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xff, bytes);
    return *address = (uint64_t)(uintptr_t)memory, SUCCESS;
}

int cuMemFree_v2(uint64_t address) { return free((void*)(uintptr_t)address), SUCCESS; }
int cuMemHostAlloc(void** memory, size_t bytes, unsigned flags) {
    int failed = flags > 7 ? INVALID : ready("cuMemHostAlloc");
    return failed ? failed : (*memory = malloc(bytes), SUCCESS);
}
int cuMemFreeHost(void* memory) { return free(memory), SUCCESS; }

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* of) {
    return of == &stream ? ask("cuMemcpyHtoDAsync_v2", (Task){COPY, (char*)(uintptr_t)to, from, bytes}) : INVALID;
}

int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* of) {
    return of == &stream ? ask("cuMemcpyDtoHAsync_v2", (Task){COPY, to, (const char*)(uintptr_t)from, bytes}) : INVALID;
}

int cuModuleLoadData(void** made, const void* code) {
    int failed = code ? ready("cuModuleLoadData") : INVALID;
    return failed ? failed : (*made = &module, SUCCESS);
}

int cuModuleGetFunction(void** found, void* in, const char* name) {
    if (in != &module) return INVALID;
    if (ready("cuModuleGetFunction")) return ready("cuModuleGetFunction");
    for (size_t number = 0; number < 2; number++)
        if (!strcmp(name, functions[number])) return *found = &functions[number], SUCCESS;
    return NOT_FOUND;
}

int cuFuncSetAttribute(void* of, int attribute, int value) {
    return of == &functions[0] && attribute == 8 && value <= 227 << 10 ? SUCCESS : INVALID;
}

// Without the emulator its arguments are a buffer, its length and what each byte of it shall be more.
int cuLaunchKernel(void* of, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void* on,
                   void** arguments, void** extra) {
    size_t number = (const char**)of - functions;
    if (number > 1 || on != &stream || extra || !gx || !gy || !gz || bx * by * bz > 1024 || shared > 227 << 10) return INVALID;
    if (emulator_launch) {
        Task task = {.what = RUN, .kernel = functions[number], .grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared_bytes = shared};
        for (size_t argument = 0; argument < arguments_of[number]; argument++) task.values[argument] = *(uint64_t*)arguments[argument];
        return ask("cuLaunchKernel", task);
    }
    char* to = (char*)(uintptr_t) * (uint64_t*)arguments[0];
    return ask("cuLaunchKernel", (Task){ADD, to, (const char*)(uintptr_t) * (uint32_t*)arguments[2], *(uint32_t*)arguments[1]});
}

// It knows no error 1, and none beyond those of the header.
int cuGetErrorName(int error, const char** name) {
    *name = error == LOST ? "CUDA_ERROR_LAUNCH_FAILED" : error == 999 ? "CUDA_ERROR_UNKNOWN" : "CUDA_ERROR";
    return error == 1 || error > 999 ? INVALID : SUCCESS;
}

int cuGetErrorString(int error, const char** meaning) { return *meaning = "as it was told to", error == 1 || error > 999 ? INVALID : SUCCESS; }
