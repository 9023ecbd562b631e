/* runtime.cpp -- streams, events, graphs and memory of the shim. */
#include "kernels/shim/runtime.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
#include "kernels/shim/internal.h"
#include "kernels/shim/races.h"

using vly_shim::counted;
typedef std::function<void()> operation;

struct vly_shim_graph {
    std::vector<operation> nodes;
    pthread_t by; /* who captures */
    std::vector<std::shared_ptr<void>> retained;
};
struct vly_shim_stream {
    int device = 0;
    std::deque<operation> waiting;
    uint64_t enqueued = 0, done = 0;
    vly_shim_graph *capture = nullptr;
    bool origin = false; /* of the capture */
};
namespace {
struct mark {
    vly_shim_stream *stream;
    uint64_t ticket;
    vly_shim_graph *capture;
    double seconds;
};
} // namespace
struct vly_shim_event {
    int device;
    std::shared_ptr<mark> last;
    bool blocking;
};

namespace {

constexpr size_t GUARD = 512;
constexpr unsigned char MARK = 0xb5, FRESH = 0xcd;

std::recursive_mutex lock;
cudaError_t sticky = cudaSuccess;
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current;
char text[1024];
bool lazy = getenv("VLY_SHIM_EAGER") == nullptr, lazy_host;
uint64_t spins;
size_t allocated, limit_bytes;
struct extent {
    size_t bytes;
    int device;
};
std::map<char *, extent> device_memory; /* by user address */
std::vector<vly_shim_stream *> streams;
std::vector<std::unique_ptr<vly_shim_stream>> ended; /* events may still name them */
vly_shim_stream null_stream;

typedef std::lock_guard<std::recursive_mutex> guard;

cudaError_t give(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
    return error;
}

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void drain(vly_shim_stream *s, uint64_t ticket) {
    while (s->done < ticket && !s->waiting.empty()) {
        operation op = std::move(s->waiting.front());
        s->waiting.pop_front();
        op();
        s->done++;
    }
}

void drain_all() {
    drain(&null_stream, null_stream.enqueued);
    for (vly_shim_stream *s : streams) drain(s, s->enqueued);
}

vly_shim_stream *at(cudaStream_t s) {
    return s ? s : &null_stream;
}

cudaError_t refuse(cudaError_t error, const char *format, int a, int b) {
    if (sticky == cudaSuccess) snprintf(text, sizeof text, format, a, b);
    return error;
}

cudaError_t enqueue(cudaStream_t stream, operation op) {
    vly_shim_stream *s = at(stream);
    if (s != &null_stream && s->device != current)
        return refuse(
            cudaErrorInvalidResourceHandle,
            "a stream of device %d is used by a thread whose device is %d (cudaSetDevice)",
            s->device, current);
    if (s->capture) {
        s->capture->nodes.push_back(std::move(op));
        return cudaSuccess;
    }
    s->waiting.push_back(std::move(op));
    s->enqueued++;
    if (!lazy || s == &null_stream) drain(s, s->enqueued);
    return sticky;
}

/* cudaStreamCaptureModeThreadLocal: what could wait for other work is refused to the thread that
 * captures. */
bool captures() {
    for (const vly_shim_stream *s : streams)
        if (s->capture && pthread_equal(s->capture->by, pthread_self())) return true;
    return false;
}

/* The allocation around p, or end(). */
std::map<char *, extent>::iterator owner(const void *p) {
    auto it = device_memory.upper_bound(const_cast<char *>(static_cast<const char *>(p)));
    if (it == device_memory.begin()) return device_memory.end();
    --it;
    return static_cast<const char *>(p) < it->first + it->second.bytes ? it : device_memory.end();
}

bool inside(const void *p, size_t bytes, bool must, cudaStream_t stream) {
    const auto it = owner(p);
    if (it == device_memory.end()) return !must;
    return static_cast<const char *>(p) + bytes <= it->first + it->second.bytes &&
           (!stream || it->second.device == stream->device);
}

bool guards_whole(char *p, size_t bytes) {
    for (size_t i = 0; i < GUARD; i++)
        if ((unsigned char)p[-1 - (ptrdiff_t)i] != MARK || (unsigned char)p[bytes + i] != MARK)
            return false;
    return true;
}

/* VLY_SHIM_LAUNCHED=FILE: a line for each kernel that ran, when it first does: where its code lies
 * in the program, and the program. */
void note_kernel(const void *code) {
    static std::set<const void *> seen;
    const char *path = getenv("VLY_SHIM_LAUNCHED");
    Dl_info info;
    if (!path || !seen.insert(code).second || !dladdr(code, &info)) return;
    if (FILE *f = fopen(path, "a")) {
        fprintf(f, "%016zx %s\n", (size_t)((const char *)code - (const char *)info.dli_fbase),
                info.dli_fname);
        fclose(f);
    }
}

} // namespace

namespace vly_shim {
void report(const char *format, ...) {
    if (sticky != cudaSuccess) return;
    sticky = last_error = cudaErrorLaunchFailure;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
}

cudaError_t launch(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, operation body) {
    guard g(lock);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z,
                   threads = (uint64_t)block.x * block.y * block.z;
    if (blocks == 0 || threads == 0 || threads > 1024 || threads % 32 != 0 || grid.y > 65535 ||
        grid.z > 65535 || shared_bytes > 227u << 10) {
        if (sticky == cudaSuccess)
            snprintf(text, sizeof text,
                     "%s:%d: kernel %s: impossible launch of (%u, %u, %u) blocks of (%u, %u, %u) "
                     "threads, %zu bytes shared",
                     name.at.file, name.at.line, name.kernel, grid.x, grid.y, grid.z, block.x,
                     block.y, block.z, shared_bytes);
        return give(cudaErrorInvalidValue);
    }
    return give(enqueue(stream, [=] {
        if (sticky != cudaSuccess) return;
        counted.kernels++;
        note_kernel(name.code);
        run_grid(name, grid, block, shared_bytes, body);
    }));
}
} // namespace vly_shim

extern "C" {

const char *vly_shim_report(void) {
    return text;
}
void vly_shim_clear(void) {
    guard g(lock);
    drain_all();
    sticky = last_error = cudaSuccess;
    text[0] = '\0';
}
void vly_shim_seed(uint64_t seed) {
    guard g(lock);
    vly_shim::order_seed(seed);
}
void vly_shim_drop(const char *file, int line) {
    guard g(lock);
    drain_all();
    vly_shim::drop(file, line);
}
bool vly_shim_site(size_t i, const char **file, int *line) {
    guard g(lock);
    vly_shim::place at = {};
    const bool found = vly_shim::site(i, &at);
    *file = at.file, *line = at.line;
    return found;
}
void vly_shim_lazy(bool on) {
    guard g(lock);
    drain_all();
    lazy = on;
}
void vly_shim_lazy_host(bool on) {
    guard g(lock);
    lazy_host = on;
}
cudaError_t vly_shim_enqueue(cudaStream_t stream, void (*fn)(void *arg), void *arg) {
    guard g(lock);
    return give(enqueue(stream, [=] {
        if (sticky == cudaSuccess) fn(arg);
    }));
}
bool vly_shim_retain(cudaStream_t stream, void (*release)(void *arg), void *arg) {
    guard g(lock);
    vly_shim_graph *graph = at(stream)->capture;
    if (graph) graph->retained.emplace_back(arg, release);
    return graph != nullptr;
}
void vly_shim_fail(void) {
    guard g(lock);
    vly_shim::report("a test lets the device fail");
}
uint64_t vly_shim_spins(void) {
    guard g(lock);
    return spins;
}
uint64_t vly_shim_launches(void) {
    return counted.kernels;
}
void vly_shim_memory_limit(size_t bytes) {
    limit_bytes = bytes;
}

bool vly_shim_check_guards(void) {
    guard g(lock);
    drain_all();
    for (const auto &it : device_memory) {
        if (guards_whole(it.first, it.second.bytes)) continue;
        vly_shim::report("an allocation of %zu bytes was written beyond its ends", it.second.bytes);
        return false;
    }
    return true;
}

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    default: return "cudaError";
    }
}
const char *cudaGetErrorString(cudaError_t error) {
    if ((error == cudaErrorLaunchFailure || error == cudaErrorInvalidValue ||
         error == cudaErrorInvalidResourceHandle) &&
        text[0])
        return text;
    return error == cudaErrorMemoryAllocation ? "out of memory"
           : error == cudaErrorStreamCaptureUnsupported
               ? "operation not permitted when stream is capturing"
               : cudaGetErrorName(error);
}
cudaError_t cudaGetLastError(void) {
    guard g(lock);
    const cudaError_t error = last_error;
    last_error = cudaSuccess; /* the next call gives a sticky one again */
    return error;
}
cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

/* Devices that a test asked for; one process uses one. */
static int devices(void) {
    const char *asked = getenv("VLY_SHIM_DEVICES");
    return asked ? atoi(asked) : 1;
}
cudaError_t cudaGetDeviceCount(int *count) {
    *count = devices();
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    return device >= 0 && device < devices() ? (current = device, cudaSuccess)
                                             : give(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int *device) {
    *device = current;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    if (device < 0 || device >= devices()) return give(cudaErrorInvalidDevice);
    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "kernel shim (fibers on the processor)");
    prop->totalGlobalMem = (size_t)8 << 30;
    prop->sharedMemPerBlockOptin = 227 << 10;
    prop->major = 9, prop->minor = 0, prop->multiProcessorCount = 4, prop->l2CacheSize = 1 << 20,
    prop->maxThreadsPerMultiProcessor = 2048;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    if (device < 0 || device >= devices()) return give(cudaErrorInvalidDevice);
    *value = attr == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
             : attr == cudaDevAttrMultiProcessorCount        ? 4
             : attr == cudaDevAttrL2CacheSize                ? 1 << 20
                                                             : 0;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    guard g(lock);
    *total_bytes = limit_bytes ? limit_bytes : (size_t)8 << 30;
    *free_bytes = *total_bytes > allocated ? *total_bytes - allocated : 0;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes) {
    guard g(lock);
    *out = nullptr;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    if (bytes == 0) return cudaSuccess;
    if ((limit_bytes && allocated + bytes > limit_bytes) || bytes > (size_t)1 << 40)
        return give(cudaErrorMemoryAllocation);
    char *memory = static_cast<char *>(aligned_alloc(512, (bytes + 2 * GUARD + 511) / 512 * 512));
    if (!memory) return give(cudaErrorMemoryAllocation);
    memset(memory, MARK, GUARD);
    memset(memory + GUARD, FRESH, bytes);
    memset(memory + GUARD + bytes, MARK, GUARD);
    *out = memory + GUARD;
    device_memory[memory + GUARD] = {bytes, current};
    vly_shim::races_add(memory + GUARD, bytes, GUARD, false);
    allocated += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory) {
    guard g(lock);
    if (!memory) return cudaSuccess;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain_all();
    const auto it = device_memory.find(static_cast<char *>(memory));
    if (it == device_memory.end()) return give(cudaErrorInvalidValue);
    if (!guards_whole(it->first, it->second.bytes))
        vly_shim::report("an allocation of %zu bytes was written beyond its ends",
                         it->second.bytes);
    vly_shim::races_remove(it->first);
    allocated -= it->second.bytes;
    free(it->first - GUARD);
    device_memory.erase(it);
    return sticky;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
    guard g(lock);
    *out = nullptr;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    *out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (*out) memset(*out, FRESH, bytes);
    return *out ? cudaSuccess : give(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *memory) {
    guard g(lock);
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain_all();
    free(memory);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) {
    guard g(lock);
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain_all();
    return give(sticky);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0, *greatest = -5;
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned, int) {
    guard g(lock);
    *out = new vly_shim_stream();
    (*out)->device = current;
    streams.push_back(*out);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    guard g(lock);
    drain_all(); /* others may wait for its events */
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + (ptrdiff_t)i);
    ended.emplace_back(stream);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    guard g(lock);
    spins++, counted.waits++;
    if (at(stream)->capture) return give(cudaErrorStreamCaptureUnsupported);
    drain(at(stream), at(stream)->enqueued);
    return give(sticky);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { /* whoever polls lets time pass */
    guard g(lock);
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    drain(at(stream), at(stream)->enqueued);
    return give(sticky);
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    *status = at(stream)->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    *out = new vly_shim_event{current, nullptr, (flags & cudaEventBlockingSync) != 0};
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    guard g(lock);
    vly_shim_stream *s = at(stream);
    if (s != &null_stream && event->device != s->device)
        return give(refuse(cudaErrorInvalidResourceHandle,
                           "an event of device %d is recorded on a stream of device %d",
                           event->device, s->device));
    auto m = std::make_shared<mark>(mark{s, s->enqueued + 1, s->capture, 0.0});
    event->last = m;
    return s->capture ? cudaSuccess : give(enqueue(stream, [m] { m->seconds = now(); }));
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    guard g(lock);
    const auto m = event->last;
    if (!m) return cudaSuccess;
    vly_shim_stream *s = at(stream);
    if (m->capture) { /* joins the capture; nodes keep the order in which they were recorded */
        if (s->capture && s->capture != m->capture) return give(cudaErrorStreamCaptureInvalidated);
        s->capture = m->capture;
        return cudaSuccess;
    }
    if (s->capture) return give(cudaErrorStreamCaptureUnsupported);
    return enqueue(stream, [m] { drain(m->stream, m->ticket); });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    guard g(lock);
    const auto m = event->last;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    if (m) drain(m->stream, m->ticket); /* whoever polls lets time pass */
    return give(sticky);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    guard g(lock);
    if (!event->blocking) spins++;
    counted.waits++;
    return cudaEventQuery(event);
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    if (!from->last || !to->last) return give(cudaErrorInvalidValue);
    *ms = (float)(1e3 * (to->last->seconds - from->last->seconds));
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *arg) {
    {
        guard g(lock);
        if (at(stream)->capture) {
            at(stream)->capture->nodes.push_back([=] { fn(arg); });
            return cudaSuccess;
        }
        if (lazy_host)
            return give(enqueue(stream, [=] {
                if (sticky == cudaSuccess) fn(arg);
            }));
        drain(at(stream), at(stream)->enqueued);
        if (sticky != cudaSuccess)
            return give(sticky); /* as on a device: not called after an error */
    }
    fn(arg);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    guard g(lock);
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!inside(to, bytes, to_device, stream) || !inside(from, bytes, from_device, stream)) {
        if (sticky == cudaSuccess)
            snprintf(text, sizeof text,
                     "copy of %zu bytes leaves its allocation, or is on another device", bytes);
        return give(cudaErrorInvalidValue);
    }
    return give(enqueue(stream, [=] {
        counted.copies++;
        if (sticky == cudaSuccess) memmove(to, from, bytes);
    }));
}
cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
    guard g(lock);
    if (!inside(to, bytes, true, stream)) {
        if (sticky == cudaSuccess)
            snprintf(text, sizeof text,
                     "fill of %zu bytes leaves its allocation, or is on another device", bytes);
        return give(cudaErrorInvalidValue);
    }
    return give(enqueue(stream, [=] {
        if (sticky == cudaSuccess) memset(to, byte, bytes);
    }));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode) {
    guard g(lock);
    if (!stream || stream->capture) return give(cudaErrorStreamCaptureUnsupported);
    stream->capture = new vly_shim_graph{{}, pthread_self(), {}};
    stream->origin = true;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out) {
    guard g(lock);
    if (!stream || !stream->capture || !stream->origin)
        return give(cudaErrorStreamCaptureInvalidated);
    *out = stream->capture;
    for (vly_shim_stream *s : streams)
        if (s->capture == *out) s->capture = nullptr;
    stream->origin = false;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long) {
    *out = new vly_shim_graph(*graph);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    guard g(lock);
    drain_all();
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    guard g(lock);
    counted.graphs++;
    return give(enqueue(stream, [exec] {
        for (const operation &op : exec->nodes) op();
    }));
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    return cudaSuccess;
}

} // extern "C"
