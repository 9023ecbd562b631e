/* launch.h -- how a kernel is launched and how a CUDA error becomes a vly_status.
 *
 *   VLY_CUDA_TRY(cudaMemsetAsync(p, 0, bytes, stream));
 *   // checked; returns from the caller on failure
 *   VLY_LAUNCH(gae_kernel, blocks, 128, 0, stream, *args);
 *
 * A launcher validates, launches and returns: it never synchronises. The same source compiles with
 * nvcc and, as C++ against kernels/shim, for the processor: hence macros instead of <<<>>> and
 * __shared__.
 */
#ifndef VLY_KERNELS_LAUNCH_H
#define VLY_KERNELS_LAUNCH_H
#ifdef __cplusplus
#include <cuda_runtime.h>
#else
#include <cuda_runtime_api.h>
#endif
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"

#define VLY_CUDA_TRY(expr)                                                                    \
    do {                                                                                      \
        const cudaError_t vly_error_ = (expr);                                                \
        if (vly_error_ != cudaSuccess)                                                        \
            return vly_fail(vly_error_ == cudaErrorMemoryAllocation ? VLY_ENOMEM : VLY_ECUDA, \
                            "%s:%d: %s: %s (%s)", __FILE__, __LINE__, #expr,                  \
                            cudaGetErrorString(vly_error_), cudaGetErrorName(vly_error_));    \
    } while (0)

/* Checks an argument of a launcher: VLY_EINVAL unless the condition holds. */
#define VLY_NEED(cond)                                                             \
    do {                                                                           \
        if (!(cond)) return vly_fail(VLY_EINVAL, "%s: needs %s", __func__, #cond); \
    } while (0)

static inline int64_t vly_ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

#ifdef __cplusplus
#ifdef VLY_SHIM
#define VLY_LAUNCH_RAW(kernel, grid, block, shared, stream, ...)                               \
    vly_shim::launch_kernel({#kernel, {__FILE__, __LINE__}, nullptr}, dim3(grid), dim3(block), \
                            shared, stream, (kernel), __VA_ARGS__)
/* T name dims, one per block; 16-byte aligned. */
#define VLY_SHARED(T, name, dims)                      \
    typedef T name##_array dims;                       \
    static const char name##_key = 0;                  \
    name##_array &name = *static_cast<name##_array *>( \
        vly_shim::shared(&name##_key, sizeof(name##_array), VLY_SHIM_HERE))
#define VLY_DYNAMIC_SHARED(T, name) T *const name = static_cast<T *>(vly_shim::dynamic_shared())
#else
template <class... Params, class... Args>
static inline cudaError_t vly_launch_kernel(dim3 grid, dim3 block, size_t shared,
                                            cudaStream_t stream, void (*kernel)(Params...),
                                            Args... args) {
    kernel<<<grid, block, shared, stream>>>(args...);
    return cudaGetLastError();
}
#define VLY_LAUNCH_RAW(kernel, grid, block, shared, stream, ...) \
    vly_launch_kernel(dim3(grid), dim3(block), shared, stream, (kernel), __VA_ARGS__)
#define VLY_SHARED(T, name, dims) __shared__ __align__(16) T name dims
#define VLY_DYNAMIC_SHARED(T, name)                                     \
    extern __shared__ __align__(16) unsigned char vly_dynamic_shared[]; \
    T *const name = reinterpret_cast<T *>(vly_dynamic_shared)
#endif

/* Parentheses around a template kernel with several arguments: VLY_LAUNCH((k<A, B>), ...). */
#define VLY_LAUNCH(kernel, grid, block, shared, stream, ...)                                   \
    do {                                                                                       \
        const cudaError_t vly_launch_ = VLY_LAUNCH_RAW(kernel, grid, block, shared, stream,    \
                                                       __VA_ARGS__);                           \
        if (vly_launch_ != cudaSuccess)                                                        \
            return vly_fail(VLY_ECUDA, "%s:%d: launch of %s: %s", __FILE__, __LINE__, #kernel, \
                            cudaGetErrorString(vly_launch_));                                  \
    } while (0)
#endif
#endif
