/* device.h -- CUDA's device language on the processor: one fiber per thread of a block.
 *
 * The block's threads run one at a time, in an order that is permuted at every step, and switch at
 * barriers and warp operations. What a device would let pass by luck is a fault here, with the
 * kernel, block, thread and line:
 *   - __syncthreads reached by a part of the block, or at two places at once;
 *   - a warp operation whose mask names lanes that left, or wait elsewhere, or whose source lane it
 *   does not name;
 *   - a vector or number that is not aligned to its size;
 *   - shared memory written beyond its array (sentinels; red zones under AddressSanitizer), read
 *   before
 *     written (poisoned at every block: NaN in every float);
 *   - a cp.async tile read before it was waited for: its copy happens no earlier than the wait, and
 *   until then its place holds poison (with the race detector any access to it is a fault); a copy
 *   that is not of 4, 8 or 16 aligned bytes, or does not end in shared memory;
 *   - a wgmma without a fence since the kernel's begin or the last wait, with a descriptor that is
 *   misaligned or leads out of an array, that the warps of a group do not begin alike, or that is not
 *   committed and waited for before the kernel ends (warpgroups.cpp).
 */
#ifndef VLY_KERNELS_SHIM_DEVICE_H
#define VLY_KERNELS_SHIM_DEVICE_H
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>
#include "kernels/shim/runtime.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define warpSize 32

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
static inline float2 make_float2(float x, float y) {
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y) {
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
static inline int4 make_int4(int x, int y, int z, int w) {
    return {x, y, z, w};
}

namespace vly_shim {

struct place {
    const char *file;
    int line;
};
extern uint3 thread_idx, block_idx;
extern dim3 block_dim, grid_dim;

void sync_block(place at);
/* Waits for all lanes of `mask`. Each gives up to 16 bytes; all get the 32 slots of 16 bytes as
 * they were when the last lane arrived. */
const void *join_warp(unsigned mask, const void *value, size_t bytes, place at);
void sync_warp(unsigned mask, place at);
unsigned lane();
/* The shared array of this block named by `key`, poisoned at its first use in the block. */
void *shared(const void *key, size_t bytes, place at);
void *dynamic_shared();
void async_copy(void *to, const void *from, size_t bytes, size_t valid, place at);
void async_commit(place at);
void async_wait(int left, place at);
/* The address of p in the block's shared memory, at no round number on purpose. */
uint32_t shared_address(const void *p, place at);
/* d (64 x n; the n / 2 numbers of this thread) += a b, of 16 numbers along k. a: this thread's
 * fragment, or NULL: a_matrix describes it. */
struct wgmma_operands {
    float *d;
    int n;
    uint64_t a_matrix;
    const uint32_t *a;
    uint64_t b_matrix;
    bool across_a, across_b;
};
void wgmma(const wgmma_operands &o, place at);
void wgmma_fence(place at);
void wgmma_commit(place at);
void wgmma_wait(int left, place at);
void proxy_fence(place at);
[[noreturn]] void fault(place at, const char *what);
void fence(place at);
/* The mask of the warp operation at this place, unless a test of the tests has changed it. */
#ifdef VLY_SHIM_RACES
unsigned mask_at(unsigned mask, place at);
#else
static inline unsigned mask_at(unsigned mask, place) {
    return mask;
}
#endif

/* The race detector's view of an atomic operation. */
#ifdef VLY_SHIM_RACES
void races_fence();
void races_atomic_begin(const void *p);
void races_atomic_end();
struct atomic_access {
    explicit atomic_access(const void *p) { races_atomic_begin(p); }
    ~atomic_access() { races_atomic_end(); }
};
#else
struct atomic_access {
    explicit atomic_access(const void *) {}
    ~atomic_access() {}
};
#endif

struct launch_name {
    const char *kernel;
    place at;
    const void *code; /* of this instantiation */
};
void allow_dynamic_shared(const void *code, size_t bytes);
cudaError_t launch(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, std::function<void()> body);
/* Arguments are copied at the launch, not when the stream executes it. */
template <class... Params, class... Args>
static inline cudaError_t launch_kernel(launch_name name, dim3 grid, dim3 block,
                                        size_t shared_bytes, cudaStream_t stream,
                                        void (*kernel)(Params...), Args... args) {
    name.code = reinterpret_cast<const void *>(kernel);
    return launch(name, grid, block, shared_bytes, stream, [=] { kernel(args...); });
}

template <class T> static inline T exchange(unsigned mask, T v, int source, place at) {
    static_assert(sizeof(T) <= 16 && std::is_trivially_copyable<T>::value,
                  "a shuffle moves up to 16 bytes");
    T out;
    mask = mask_at(mask, at);
    if (!(mask >> (source & 31) & 1))
        fault(at, "a shuffle reads a lane that its mask does not name");
    memcpy(&out, static_cast<const char *>(join_warp(mask, &v, sizeof v, at)) + 16 * (source & 31),
           sizeof out);
    return out;
}
/* The lane to read in a segment of `width` lanes; the own lane if that lies outside. */
static inline int up(unsigned d, int width) {
    const int l = (int)lane(), s = l - (int)d;
    return s < l - l % width ? l : s;
}
static inline int down(unsigned d, int width) {
    const int l = (int)lane(), s = l + (int)d;
    return s >= l - l % width + width ? l : s;
}
static inline int direct(int s, int width) {
    const int l = (int)lane();
    return l - l % width + s % width;
}
static inline int crossed(int m, int width) {
    const int l = (int)lane(), s = l ^ m;
    return s >= l - l % width + width ? l : s;
}

template <class T, class F> static inline T reduce(unsigned mask, T v, place at, F f) {
    const char *all = static_cast<const char *>(join_warp(mask, &v, sizeof v, at));
    bool first = true;
    T out = v;
    for (int i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        T x;
        memcpy(&x, all + 16 * i, sizeof x);
        out = first ? x : f(out, x);
        first = false;
    }
    return out;
}
static inline unsigned ballot(unsigned mask, int p, place at) {
    mask = mask_at(mask, at);
    const char *all = static_cast<const char *>(join_warp(mask, &p, sizeof p, at));
    unsigned bits = 0;
    for (int i = 0; i < 32; i++) {
        int q;
        memcpy(&q, all + 16 * i, sizeof q);
        if (mask >> i & 1 && q) bits |= 1u << i;
    }
    return bits;
}
} // namespace vly_shim

#define threadIdx (vly_shim::thread_idx)
#define blockIdx (vly_shim::block_idx)
#define blockDim (vly_shim::block_dim)
#define gridDim (vly_shim::grid_dim)

#define VLY_SHIM_HERE (vly_shim::place{__FILE__, __LINE__})
#define __syncthreads() vly_shim::sync_block(VLY_SHIM_HERE)
#define VLY_SHIM_WIDTH(unused, width, ...) width
#define __syncwarp(...) vly_shim::sync_warp(vly_shim_mask(__VA_ARGS__), VLY_SHIM_HERE)
static inline unsigned vly_shim_mask(unsigned mask = 0xffffffffu) {
    return mask;
}
#define __shfl_sync(mask, v, s) vly_shim::exchange(mask, v, vly_shim::direct(s, 32), VLY_SHIM_HERE)
#define __shfl_xor_sync(mask, v, m) \
    vly_shim::exchange(mask, v, vly_shim::crossed(m, 32), VLY_SHIM_HERE)
#define __shfl_up_sync(mask, v, d) vly_shim::exchange(mask, v, vly_shim::up(d, 32), VLY_SHIM_HERE)
#define __shfl_down_sync(mask, v, d) \
    vly_shim::exchange(mask, v, vly_shim::down(d, 32), VLY_SHIM_HERE)
#define __ballot_sync(mask, p) vly_shim::ballot(mask, p, VLY_SHIM_HERE)
#define __any_sync(mask, p) (vly_shim::ballot(mask, p, VLY_SHIM_HERE) != 0)
#define __all_sync(mask, p) (vly_shim::ballot(mask, p, VLY_SHIM_HERE) == (mask))
#define __reduce_add_sync(mask, v) \
    vly_shim::reduce(mask, v, VLY_SHIM_HERE, [](auto a, auto b) { return a + b; })
#define __reduce_max_sync(mask, v) \
    vly_shim::reduce(mask, v, VLY_SHIM_HERE, [](auto a, auto b) { return a > b ? a : b; })
#define __activemask() vly_shim_no_activemask_it_names_nothing_reliable

#define __threadfence() vly_shim::fence(VLY_SHIM_HERE)
static inline void __threadfence_block() {}
#define __threadfence_system() vly_shim::fence(VLY_SHIM_HERE)

/* One thread runs at a time, and is not preempted in here: plain arithmetic is atomic. */
template <class T> static inline T atomicAdd(T *p, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    *p = old + v;
    return old;
}
template <class T> static inline T atomicMax(T *p, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    if (v > old) *p = v;
    return old;
}
template <class T> static inline T atomicMin(T *p, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    if (v < old) *p = v;
    return old;
}
template <class T> static inline T atomicOr(T *p, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    *p = old | v;
    return old;
}
template <class T> static inline T atomicExch(T *p, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    *p = v;
    return old;
}
template <class T> static inline T atomicCAS(T *p, T expected, T v) {
    const vly_shim::atomic_access whole(p);
    const T old = *p;
    if (old == expected) *p = v;
    return old;
}

template <class T> static inline T __ldg(const T *p) {
    return *p;
}
template <class T> static inline T __ldcs(const T *p) {
    return *p;
}
template <class T> static inline void __stcs(T *p, T v) {
    *p = v;
}
static inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
static inline int __clz(int x) {
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x) {
    return __builtin_ffs(x);
}
static inline float __int_as_float(int x) {
    float f;
    memcpy(&f, &x, 4);
    return f;
}
static inline int __float_as_int(float f) {
    int x;
    memcpy(&x, &f, 4);
    return x;
}
static inline unsigned __float_as_uint(float f) {
    unsigned x;
    memcpy(&x, &f, 4);
    return x;
}
static inline float __uint_as_float(unsigned x) {
    float f;
    memcpy(&f, &x, 4);
    return f;
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}

template <class F>
static inline cudaError_t cudaFuncSetAttribute(F kernel, cudaFuncAttribute what, int value) {
    if (what == cudaFuncAttributeMaxDynamicSharedMemorySize)
        vly_shim::allow_dynamic_shared(reinterpret_cast<const void *>(kernel), (size_t)value);
    return cudaSuccess;
}
/* VLY_SHIM_NO_WGMMA=1: as in a build without sm_90a, whose kernels of warpgroups are bounded to one
 * warp. */
struct cudaFuncAttributes {
    int maxThreadsPerBlock;
};
template <class F> static inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *to, F) {
    to->maxThreadsPerBlock = getenv("VLY_SHIM_NO_WGMMA") ? 32 : 1024;
    return cudaSuccess;
}
template <class F>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, F, int,
                                                                        size_t) {
    *blocks = 2;
    return cudaSuccess;
}
#endif
