/* runtime.h -- the part of the CUDA runtime this project uses, on a machine without a GPU.
 *
 * The very sources of kernels/ and gpu/ compile against this (include/ stands in for the toolkit's
 * headers) and run on the processor, so that continuous integration tests the CUDA back end without
 * a device. It is built to be a strict device rather than a fast one:
 *   - a stream is as lazy as CUDA allows: nothing runs before something waits for it, so a missing
 *   event,
 *     a missing synchronize or host memory that is reused too early shows at once;
 *   - capture records, replay runs: a scalar baked into a graph by mistake shows too;
 *   - what may not be called while the same thread captures is refused, as are copies of pageable
 *   host memory in a capture, and a capture whose streams were not joined;
 *   - the current device is each thread's own: work for another one is refused, and so is memory of
 *   another one;
 *   - the last error is each thread's own too, "not ready" included, and a launch gives one that is
 *   left as if it were its own;
 *   - an event is not ready when it is first asked for, if it has anything to wait for;
 *   - only mapped host memory has an address on the device;
 *   - allocations are poisoned, and guarded by sentinels on both sides, which are NaN to a kernel
 *   that reads them;
 *   - more than 48 KiB of shared memory needs cudaFuncSetAttribute, and must be dynamic;
 *   - kernels: see device.h, and races.h for the build with the race detector.
 * A kernel's fault is a sticky error, as on a device; vly_shim_report() says what happened.
 *
 * VLY_SHIM_LAUNCHED=FILE in the environment collects the kernels that ran, as addresses;
 * VLY_SHIM_DEVICES=N: so many devices.
 *
 * VLY_SHIM_COUNTS=FILE: at its end the program writes how many kernels and copies ran, how often the
 * host waited, and how many graphs it launched, as JSON.
 *
 * VLY_SHIM_UNMAPPED=1: a device that cannot map host memory.
 *
 * VLY_SHIM_TRIALS=1: our other products (staged, wgmma) compete with ours when a layer is made.
 * VLY_SHIM_NO_WGMMA=1: as a build without machine code for wgmma.
 *
 * VLY_SHIM_SHAPES=FILE collects all launches with their grids; VLY_SHIM_DRY=1: no kernel runs, so
 * that those of large batches can be collected; VLY_SHIM_MULTIPROCESSORS=N: as on a card with N, not
 * 4.
 *
 * What it cannot show: memory ordering between blocks, tensor-core rounding, speed.
 */
#ifndef VLY_KERNELS_SHIM_RUNTIME_H
#define VLY_KERNELS_SHIM_RUNTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define VLY_SHIM 1
#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureUnjoined = 904
} cudaError_t;

typedef struct vly_shim_stream *cudaStream_t;
typedef struct vly_shim_event *cudaEvent_t;
typedef struct vly_shim_graph *cudaGraph_t;
typedef struct vly_shim_graph *cudaGraphExec_t;
typedef void (*cudaHostFn_t)(void *arg);

enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
enum cudaStreamCaptureStatus {
    cudaStreamCaptureStatusNone,
    cudaStreamCaptureStatusActive,
    cudaStreamCaptureStatusInvalidated
};
enum {
    cudaStreamNonBlocking = 1,
    cudaEventDisableTiming = 2,
    cudaEventBlockingSync = 1,
    cudaHostAllocDefault = 0,
    cudaHostAllocMapped = 2
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaDeviceAttr {
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrClockRate = 13,
    cudaDevAttrMemoryClockRate = 36,
    cudaDevAttrGlobalMemoryBusWidth = 37
};
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount, l2CacheSize, maxThreadsPerMultiProcessor;
    int canMapHostMemory;
};
typedef struct {
    uint8_t bytes[16];
} vly_shim_uuid;

const char *cudaGetErrorString(cudaError_t error);
const char *cudaGetErrorName(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags);
cudaError_t cudaHostGetDevicePointer(void **out, void *host, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *arg);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream);

/* ---- the shim's own ---- */

/* The first fault since the last clear, "" when there was none; clear also lifts the sticky error.
 */
const char *vly_shim_report(void);
void vly_shim_clear(void);
/* Order of threads and warps within a block: another seed, another order. */
void vly_shim_seed(uint64_t seed);
/* The i-th barrier, fence, commit or wait of the source that kernels have passed; false:
 * there are fewer. */
bool vly_shim_site(size_t i, const char **file, int *line);
/* For tests of the tests: from now on that one does nothing; line 0: all do what they should. */
void vly_shim_drop(const char *file, int line);
/* In the build with the race detector, for shuffles and ballots: the i-th of the source, and from
 * now on a wrong mask of that one: lanes in groups of so many, or 32: all but the last lane. Lanes
 * 0: all are right. */
bool vly_shim_warp_site(size_t i, const char **file, int *line);
void vly_shim_narrow(const char *file, int line, unsigned lanes);
/* For tests of the tests: from now on these bits are the other way round in every descriptor of A and
 * of B that wgmma gets; 0: none. */
void vly_shim_bend(uint64_t a, uint64_t b);
/* false: run everything as it is enqueued (for whole training runs). VLY_SHIM_EAGER=1 in the
 * environment does it too. */
void vly_shim_lazy(bool lazy);
/* true: host functions are as late as everything else; else they run at once, as nobody may be
 * waiting for their stream. */
void vly_shim_lazy_host(bool lazy);
/* true: work lasts until somebody sleeps; an event that is asked is never ready. */
void vly_shim_slow(bool slow);
/* What a library that stands for NVIDIA's does on a stream (tests/gpu/nccl). */
cudaError_t vly_shim_enqueue(cudaStream_t stream, void (*fn)(void *arg), void *arg);
/* While `stream` captures: release(arg) when the graph and all that was made of it are gone. False:
 * it does not. */
bool vly_shim_retain(cudaStream_t stream, void (*release)(void *arg), void *arg);
/* As if a kernel had failed here. */
void vly_shim_fail(void);
/* Waits of the host that would have kept a processor busy: for a stream, or for an event without
 * cudaEventBlockingSync. */
uint64_t vly_shim_spins(void);
/* Kernels run since the start. */
uint64_t vly_shim_launches(void);
/* Verifies the sentinels around every live allocation; false and a report when one was written. */
bool vly_shim_check_guards(void);
/* Allocations beyond this many bytes in total fail; 0: no limit. */
void vly_shim_memory_limit(size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
