#include "gpu/compute_cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gpu/internal.h"

const int vly_compute_cuda_abi = VLY_COMPUTE_ABI;

enum { ARCH_MIN = 75 };

static vly_status device_alloc(vly_compute *c, size_t bytes, const char *what, const char *option,
                               void **out) {
    return vly_arena_alloc(&((vly_cuda *)c)->arena, bytes, what, option, out);
}

static void device_free(vly_compute *c, void *memory) {
    vly_arena_free(&((vly_cuda *)c)->arena, memory);
}

static vly_status pinned_alloc(vly_compute *c, size_t bytes, const char *what, void **out) {
    *out = NULL;
    VLY_CUDA_TRY(cudaSetDevice(
        ((vly_cuda *)c)->device)); /* without it, a context is created on another device */
    const unsigned how = ((vly_cuda *)c)->maps_host ? cudaHostAllocMapped : cudaHostAllocDefault;
    const cudaError_t error = cudaHostAlloc(out, bytes ? bytes : 1, how);
    if (error != cudaSuccess) {
        cudaGetLastError();
        return vly_fail(VLY_ENOMEM,
                        "%s: %zu bytes of pinned host memory: %s (see ulimit -l and the "
                        "container's memory limit)",
                        what ? what : "a buffer", bytes, cudaGetErrorString(error));
    }
    memset(*out, 0, bytes);
    return VLY_OK;
}

static void pinned_free(vly_compute *c, void *memory) {
    (void)c;
    if (memory) cudaFreeHost(memory);
}

const char *vly_cuda_why_copied(const struct cudaDeviceProp *prop) {
    const char *asked = getenv("VLY_ACTIONS");
    if (asked && !strcmp(asked, "copied")) return "VLY_ACTIONS=copied";
    return prop->canMapHostMemory ? NULL : "this device cannot map host memory";
}

static void *pinned_mapped(vly_compute *c, void *host) {
    void *device = NULL;
    if (!((vly_cuda *)c)->maps_host) return NULL;
    if (cudaHostGetDevicePointer(&device, host, 0) == cudaSuccess) return device;
    cudaGetLastError();
    return NULL;
}

static void cuda_destroy(vly_compute *c) {
    if (!c) return;
    vly_cuda *cuda = (vly_cuda *)c;
    cudaSetDevice(cuda->device);
    vly_notes_destroy(cuda->notes);
    vly_arena_close(&cuda->arena);
    free(cuda);
}

static vly_status select_device(vly_cuda *cuda, int device) {
    int count = 0, driver = 0, runtime = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (error == cudaErrorInsufficientDriver && driver == 0)
        return vly_fail(VLY_ENODEV, "no NVIDIA driver on this machine");
    if (error == cudaErrorInsufficientDriver)
        return vly_fail(
            VLY_ENODEV,
            "the NVIDIA driver is for CUDA %d.%d, this build needs %d.%d: update the driver",
            driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (error != cudaSuccess)
        return vly_fail(VLY_ENODEV, "no CUDA device: %s", cudaGetErrorString(error));
    if (device < 0 || device >= count)
        return vly_fail(VLY_ENODEV, "cuda:%d: there are %d CUDA devices, the first is cuda:0",
                        device, count);
    VLY_CUDA_TRY(cudaSetDevice(device));
    struct cudaDeviceProp prop;
    VLY_CUDA_TRY(cudaGetDeviceProperties(&prop, device));
    cuda->device = device;
    cuda->arch = prop.major * 10 + prop.minor;
    cuda->multiprocessors = prop.multiProcessorCount;
    cuda->maps_host = !vly_cuda_why_copied(&prop);
    cuda->has_wgmma = cuda->arch == 90 && vly_conv_has_warpgroups();
    /* NVIDIA recommends 32 MiB for cuBLAS on Hopper; cuDNN's faster plans need more */
    const size_t share = prop.totalGlobalMem / 128, least = (size_t)32 << 20,
                 most = (size_t)256 << 20;
    cuda->workspace_bytes = share < least ? least : share > most ? most : share;
    /* a product reads its rows right after they are written: more than the L2 cache holds would go
     * through memory */
    const size_t cached = (size_t)prop.l2CacheSize / 8 * 5, some = (size_t)8 << 20,
                 enough = (size_t)64 << 20;
    cuda->patch_bytes = cached < some ? some : cached > enough ? enough : cached;
    vly_compute_info *info = &cuda->base.info;
    memcpy(info->kind, "cuda", 5);
    snprintf(info->name, sizeof info->name, "%.127s", prop.name);
    info->index = device;
    info->memory_bytes = prop.totalGlobalMem;
    info->has_bf16 = cuda->arch >= 80;
    info->is_host = false;
    info->joins_backward = true;
    if (cuda->arch < ARCH_MIN)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s has compute capability %d.%d; %d.%d (Turing) or later is needed",
                        prop.name, prop.major, prop.minor, ARCH_MIN / 10, ARCH_MIN % 10);
    return VLY_OK;
}

static vly_status cuda_open(vly_cuda *cuda, int device) {
    VLY_TRY(select_device(cuda, device));
    VLY_TRY(vly_arena_init(&cuda->arena, cuda->base.info.name));
    return vly_notes_create(&cuda->notes);
}

vly_status vly_compute_create_cuda(vly_compute **out, int device, int threads) {
    *out = NULL;
    vly_cuda *cuda = calloc(1, sizeof *cuda);
    if (!cuda) return vly_fail(VLY_ENOMEM, "no memory for a CUDA back end");
    const vly_status status = cuda_open(cuda, device);
    if (status != VLY_OK) {
        cuda_destroy(&cuda->base);
        return status;
    }
    vly_compute *c = &cuda->base;
    c->info.threads = threads;
    c->destroy = cuda_destroy;
    c->alloc = device_alloc;
    c->free = device_free;
    c->alloc_host = pinned_alloc;
    c->free_host = pinned_free;
    c->mapped = pinned_mapped;
    vly_cuda_fill_queue_ops(c);
    vly_cuda_fill_ops(c);
    vly_cuda_fill_layers(c);
    *out = c;
    return VLY_OK;
}
