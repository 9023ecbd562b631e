/* runtime.cpp -- streams, events and graphs of the shim. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <dlfcn.h>
#include <time.h>
#include "kernels/shim/state.h"

using namespace vly_shim;

namespace {
struct mark {
    vly_shim_stream *stream;
    uint64_t ticket;
    vly_shim_graph *capture;
    history before; /* in a capture */
    double seconds;
    bool asked; /* a query has said that it is not ready */
};
} // namespace
struct vly_shim_event {
    int device;
    std::shared_ptr<mark> last;
    bool blocking;
};

namespace {

thread_local cudaError_t last_error = cudaSuccess;
char text[1024];
bool lazy = getenv("VLY_SHIM_EAGER") == nullptr, lazy_host, slow;
const bool dry = getenv("VLY_SHIM_DRY") != nullptr;
uint64_t spins;
std::vector<vly_shim_stream *> streams;
std::vector<std::unique_ptr<vly_shim_stream>> ended; /* events may still name them */
vly_shim_stream null_stream;
std::map<const void *, size_t> dynamic_shared_allowed; /* by kernel */

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

/* The host waits until a stream has reached the mark. */
void pass(const mark &m) {
    if (m.stream->done < m.ticket) counted.waits++;
    drain(m.stream, m.ticket);
}

vly_shim_stream *at(cudaStream_t s) {
    return s ? s : &null_stream;
}

/* One more operation of the graph that `s` captures. */
void record(vly_shim_stream *s, operation op) {
    s->capture->nodes.push_back(std::move(op));
    s->before[s]++;
}

/* What precedes `more` precedes what `s` does from now on. */
void follow(vly_shim_stream *s, const history &more) {
    for (const auto &it : more) {
        uint64_t &known = s->before[it.first];
        if (known < it.second) known = it.second;
    }
}

/* Ends the capture of `graph`; returns whether all its streams had been joined to the first one. */
bool leave_capture(vly_shim_graph *graph, vly_shim_stream *first) {
    bool joined = true;
    for (vly_shim_stream *s : streams) {
        if (s->capture != graph) continue;
        joined = joined && first->before[s] >= s->before[s];
        s->capture = nullptr;
    }
    return joined;
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

int multiprocessors() {
    const char *asked = getenv("VLY_SHIM_MULTIPROCESSORS");
    return asked ? atoi(asked) : 4;
}

/* VLY_SHIM_SHAPES=FILE: a line for each launch: where the kernel's code lies, the grid, threads,
 * dynamic shared memory, the multiprocessors that decided the grid, and the program. */
void note_shape(const void *code, dim3 grid, unsigned threads, size_t shared_bytes) {
    static const char *const path = getenv("VLY_SHIM_SHAPES");
    Dl_info info;
    if (!path || !dladdr(code, &info)) return;
    if (FILE *f = fopen(path, "a")) {
        fprintf(f, "%016zx %u %u %u %u %zu %d %s\n",
                (size_t)((const char *)code - (const char *)info.dli_fbase), grid.x, grid.y, grid.z,
                threads, shared_bytes, multiprocessors(), info.dli_fname);
        fclose(f);
    }
}

} // namespace

namespace vly_shim {
std::recursive_mutex lock;
cudaError_t sticky = cudaSuccess;
thread_local int current_device;

cudaError_t give(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
    return error;
}

void drain_all() {
    drain(&null_stream, null_stream.enqueued);
    for (vly_shim_stream *s : streams) drain(s, s->enqueued);
}

cudaError_t refuse(cudaError_t error, const char *format, ...) {
    if (sticky != cudaSuccess) return error;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error;
}

cudaError_t enqueue(cudaStream_t stream, operation op) {
    vly_shim_stream *s = at(stream);
    if (s != &null_stream && s->device != current_device)
        return refuse(
            cudaErrorInvalidResourceHandle,
            "a stream of device %d is used by a thread whose device is %d (cudaSetDevice)",
            s->device, current_device);
    if (s->capture) {
        record(s, std::move(op));
        return cudaSuccess;
    }
    s->waiting.push_back(std::move(op));
    s->enqueued++;
    if (!lazy || s == &null_stream) drain(s, s->enqueued);
    return sticky;
}

bool captures() {
    for (const vly_shim_stream *s : streams)
        if (s->capture && pthread_equal(s->capture->by, pthread_self())) return true;
    return false;
}

void allow_dynamic_shared(const void *code, size_t bytes) {
    guard g(lock);
    dynamic_shared_allowed[code] = bytes;
}

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
        grid.z > 65535 || shared_bytes > SHARED_MOST) {
        return give(refuse(cudaErrorInvalidValue,
                           "%s:%d: kernel %s: impossible launch of (%u, %u, %u) blocks of (%u, %u, "
                           "%u) threads, %zu bytes shared",
                           name.at.file, name.at.line, name.kernel, grid.x, grid.y, grid.z, block.x,
                           block.y, block.z, shared_bytes));
    }
    if (shared_bytes > SHARED_UNASKED && dynamic_shared_allowed[name.code] < shared_bytes)
        return give(refuse(cudaErrorInvalidValue,
                           "%s:%d: kernel %s: %zu bytes of dynamic shared memory without "
                           "cudaFuncAttributeMaxDynamicSharedMemorySize",
                           name.at.file, name.at.line, name.kernel, shared_bytes));
    if (last_error != cudaSuccess && sticky == cudaSuccess) return cudaGetLastError();
    return give(enqueue(stream, [=] {
        if (sticky != cudaSuccess) return;
        counted.kernels++;
        note_kernel(name.code);
        note_shape(name.code, grid, (unsigned)threads, shared_bytes);
        if (!dry) run_grid(name, grid, block, shared_bytes, body);
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
void vly_shim_bend(uint64_t a, uint64_t b) {
    guard g(lock);
    drain_all();
    vly_shim::bend(a, b);
}
bool vly_shim_site(size_t i, const char **file, int *line) {
    guard g(lock);
    vly_shim::place at = {};
    const bool found = vly_shim::site(i, &at);
    *file = at.file, *line = at.line;
    return found;
}
#ifdef VLY_SHIM_RACES
bool vly_shim_warp_site(size_t i, const char **file, int *line) {
    guard g(lock);
    vly_shim::place at = {};
    const bool found = vly_shim::warp_site(i, &at);
    *file = at.file, *line = at.line;
    return found;
}
void vly_shim_narrow(const char *file, int line, unsigned lanes) {
    guard g(lock);
    drain_all();
    vly_shim::narrow(file, line, lanes);
}
#endif
void vly_shim_lazy(bool on) {
    guard g(lock);
    drain_all();
    lazy = on;
}
void vly_shim_lazy_host(bool on) {
    guard g(lock);
    lazy_host = on;
}
void vly_shim_slow(bool on) {
    guard g(lock);
    slow = on;
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
const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    default: return "cudaError";
    }
}
const char *cudaGetErrorString(cudaError_t error) {
    if ((error == cudaErrorLaunchFailure || error == cudaErrorInvalidValue ||
         error == cudaErrorInvalidResourceHandle || error == cudaErrorStreamCaptureUnjoined) &&
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
    return device >= 0 && device < devices() ? (current_device = device, cudaSuccess)
                                             : give(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int *device) {
    *device = current_device;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    if (device < 0 || device >= devices()) return give(cudaErrorInvalidDevice);
    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "kernel shim (fibers on the processor)");
    prop->totalGlobalMem = (size_t)8 << 30;
    prop->sharedMemPerBlockOptin = SHARED_MOST;
    prop->major = 9, prop->minor = 0, prop->multiProcessorCount = multiprocessors();
    prop->canMapHostMemory = getenv("VLY_SHIM_UNMAPPED") == nullptr;
    prop->l2CacheSize = 1 << 20, prop->maxThreadsPerMultiProcessor = 2048;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    if (device < 0 || device >= devices()) return give(cudaErrorInvalidDevice);
    *value = attr == cudaDevAttrMaxSharedMemoryPerBlockOptin ? (int)SHARED_MOST
             : attr == cudaDevAttrMultiProcessorCount        ? multiprocessors()
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
    (*out)->device = current_device;
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
    *out = new vly_shim_event{current_device, nullptr, (flags & cudaEventBlockingSync) != 0};
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
    auto m = std::make_shared<mark>(mark{s, s->enqueued + 1, s->capture, s->before, 0.0, false});
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
        if (!s->capture) s->before.clear();
        s->capture = m->capture;
        follow(s, m->before);
        if (!s->origin) s->before[s]++; /* it has to be joined, also if nothing follows */
        return cudaSuccess;
    }
    if (s->capture) return give(cudaErrorStreamCaptureUnsupported);
    return enqueue(stream, [m] { drain(m->stream, m->ticket); });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    guard g(lock);
    const auto m = event->last;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    if (m && m->stream->done < m->ticket && (slow || !m->asked)) {
        m->asked = true;
        return last_error = cudaErrorNotReady;
    }
    if (m) pass(*m); /* whoever polls lets time pass */
    return give(sticky);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    guard g(lock);
    const auto m = event->last;
    if (captures()) return give(cudaErrorStreamCaptureUnsupported);
    if (!event->blocking) spins++;
    if (m) pass(*m);
    return give(sticky);
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
            record(at(stream), [=] { fn(arg); });
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

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode) {
    guard g(lock);
    if (!stream || stream->capture) return give(cudaErrorStreamCaptureUnsupported);
    stream->capture = new vly_shim_graph{{}, pthread_self(), {}};
    stream->origin = true;
    stream->before.clear();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out) {
    guard g(lock);
    if (!stream || !stream->capture || !stream->origin)
        return give(cudaErrorStreamCaptureInvalidated);
    vly_shim_graph *graph = stream->capture;
    const bool joined = leave_capture(graph, stream);
    stream->origin = false;
    *out = joined ? graph : nullptr;
    if (joined) return cudaSuccess;
    delete graph;
    return give(refuse(cudaErrorStreamCaptureUnjoined,
                       "a capture ends while other streams have work in it that its first stream "
                       "did not wait for"));
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
