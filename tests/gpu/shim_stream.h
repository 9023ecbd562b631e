/* shim_stream.h -- how a library that stands for one of NVIDIA's finds the kernel shim's streams:
 * in the program, or in the plugin. */
#ifndef VLY_TESTS_GPU_SHIM_STREAM_H
#define VLY_TESTS_GPU_SHIM_STREAM_H
#include <dlfcn.h>
#include <stdlib.h>
#include "kernels/shim/runtime.h"

typedef cudaError_t (*shim_enqueue_fn)(cudaStream_t stream, void (*fn)(void *), void *arg);

typedef bool (*shim_retain_fn)(cudaStream_t stream, void (*release)(void *), void *arg);

static inline void *shim_symbol(const char *name) {
    const char *plugin = getenv("VLY_CUDA_PLUGIN");
    void *found = dlsym(RTLD_DEFAULT, name), *handle = NULL;
    if (!found && plugin) handle = dlopen(plugin, RTLD_LAZY | RTLD_NOLOAD);
    return handle ? dlsym(handle, name) : found;
}

static inline shim_enqueue_fn shim_enqueue(void) {
    shim_enqueue_fn fn;
    *(void **)&fn = shim_symbol("vly_shim_enqueue");
    return fn;
}

static inline shim_retain_fn shim_retain(void) {
    shim_retain_fn fn;
    *(void **)&fn = shim_symbol("vly_shim_retain");
    return fn;
}
#endif
