/* describe.c -- the GPU section of `volley doctor`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/compute_open.h"
#include "gpu/choices.h"
#include "gpu/compute_cuda.h"
#include "gpu/internal.h"
#include "gpu/nccl_library.h"
#include "gpu/cublaslt_library.h"
#ifndef VLY_SHIM
#include "gpu/cudnn_library.h"
#endif

void vly_cuda_plugin_errors(vly_error_buffer_fn buffer) {
    vly_error_use(buffer);
}

static void append_text(vly_cuda_info *info, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append_text(vly_cuda_info *info, const char *format, ...) {
    const size_t used = strlen(info->text);
    va_list args;
    va_start(args, format);
    vsnprintf(info->text + used, sizeof info->text - used, format, args);
    va_end(args);
}

/* Where the device has wgmma, kernels are loaded to look: only they tell what this build holds. */
static void describe_wgmma(vly_cuda_info *info, int i, int arch) {
    int before = 0;
    if (arch != 90) {
        append_text(info, "cuda:%d wgmma: not offered: compute capability 9.0 alone has it\n", i);
        return;
    }
    cudaGetDevice(&before);
    const bool has = cudaSetDevice(i) == cudaSuccess && vly_conv_has_warpgroups();
    cudaSetDevice(before);
    cudaGetLastError();
    append_text(info, "cuda:%d wgmma: %s\n", i,
                has ? "our products by warpgroups are among the engines that are timed"
                    : "not offered: this build has no machine code for sm_90a "
                      "(-DVLY_CUDA_ARCHS=90a-real makes it)");
}

static void describe_gpu(vly_cuda_info *info, int i) {
    struct cudaDeviceProp prop;
    if (cudaGetDeviceProperties(&prop, i) != cudaSuccess) {
        append_text(info, "cuda:%d cannot be queried: %s\n", i,
                    cudaGetErrorString(cudaGetLastError()));
        return;
    }
    append_text(info, "cuda:%d %s, compute capability %d.%d, %d multiprocessors, %.1f GiB\n", i,
                prop.name, prop.major, prop.minor, prop.multiProcessorCount,
                (double)prop.totalGlobalMem / (1 << 30));
    describe_wgmma(info, i, prop.major * 10 + prop.minor);
    const char *why = vly_cuda_why_copied(&prop);
    append_text(info, "cuda:%d actions: %s%s\n", i,
                why ? "copied to the host: " : "kernels write them to host memory", why ? why : "");
}

static void describe_nccl(vly_cuda_info *info) {
    const vly_nccl_library *nccl = vly_nccl_library_open();
    if (nccl->handle)
        append_text(info, "NCCL %d.%d.%d: %s\n", nccl->version / 10000, nccl->version % 10000 / 100,
                    nccl->version % 100, nccl->path);
    else
        append_text(info, "NCCL: not used (several GPUs need it): %s\n", nccl->path);
}

static void describe_choices(vly_cuda_info *info) {
    char text[800], off[64];
    const char *forced = getenv("VLY_ENGINE");
    vly_choices_describe(text, sizeof text);
    if (forced)
        append_text(info, "engines of layers: VLY_ENGINE=%s\n", forced);
    else
        append_text(info, "engines of layers, by time%s%s: %s\n",
                    *vly_engines_off(off, sizeof off) ? ", without " : "", off, text);
}

static void describe_libraries(vly_cuda_info *info) {
    describe_nccl(info);
    const vly_cublaslt_library *cublaslt = vly_cublaslt_library_open();
    append_text(info, "cuBLASLt: %s%s\n", cublaslt->handle ? "" : "not used: ", cublaslt->path);
#ifdef VLY_SHIM
    append_text(info, "cuDNN: not used: the kernel shim has no stand-in for it\n");
#else
    const vly_cudnn_library *cudnn = vly_cudnn_library_open();
    append_text(info, "cuDNN: %s%s\n", cudnn->handle ? "" : "not used: ", cudnn->path);
#endif
}

void vly_cuda_plugin_describe(vly_cuda_info *info) {
    int count = 0, driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    append_text(info, "driver for CUDA %d.%d, built with CUDA %d.%d\n", driver / 1000,
                driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    const cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    if (error == cudaErrorInsufficientDriver && driver == 0)
        snprintf(info->why, sizeof info->why, "no NVIDIA driver on this machine");
    else if (error == cudaErrorInsufficientDriver)
        snprintf(info->why, sizeof info->why,
                 "the NVIDIA driver is for CUDA %d.%d, this build needs %d.%d: update the driver",
                 driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    else if (error != cudaSuccess)
        snprintf(info->why, sizeof info->why, "no CUDA device: %s", cudaGetErrorString(error));
    else if (count == 0)
        snprintf(info->why, sizeof info->why,
                 "the driver finds no CUDA device (CUDA_VISIBLE_DEVICES?)");
    for (int i = 0; i < count && error == cudaSuccess; i++) describe_gpu(info, i);
    info->devices = error == cudaSuccess ? count : 0;
    describe_libraries(info);
    describe_choices(info);
}
