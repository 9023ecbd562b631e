/* reduce.h -- sums within a warp, a block and a grid, always in the same order (device code). */
#ifndef VLY_KERNELS_REDUCE_H
#define VLY_KERNELS_REDUCE_H
#include "kernels/launch.h"

static const unsigned VLY_FULL_WARP = 0xffffffffu;

template <class T> static __device__ __forceinline__ T vly_warp_sum(T v) {
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(VLY_FULL_WARP, v, step);
    return v;
}

template <class T> static __device__ __forceinline__ T vly_warp_max(T v) {
    for (int step = 16; step > 0; step >>= 1) {
        const T other = __shfl_xor_sync(VLY_FULL_WARP, v, step);
        v = other > v ? other : v;
    }
    return v;
}

/* All threads of the block (a multiple of 32, at most 1024) call it; thread 0 has the sum. */
template <class T> static __device__ __forceinline__ T vly_block_sum(T v) {
    VLY_SHARED(T, warps, [32]);
    const unsigned warp = threadIdx.x >> 5, lane = threadIdx.x & 31, count = blockDim.x >> 5;
    v = vly_warp_sum(v);
    __syncthreads(); /* a previous call may still read `warps` */
    if (lane == 0) warps[warp] = v;
    __syncthreads();
    return warp == 0 ? vly_warp_sum(lane < count ? warps[lane] : T(0)) : T(0);
}

/* For a number that other threads change meanwhile: whole, old or new. Orders nothing. */
template <class T> static __device__ __forceinline__ T vly_load_relaxed(const T *p) {
#ifdef VLY_SHIM
    const vly_shim::atomic_access whole(p);
    return *p;
#else
    return *static_cast<const volatile T *>(p);
#endif
}
template <class T> static __device__ __forceinline__ void vly_store_relaxed(T *p, T v) {
#ifdef VLY_SHIM
    const vly_shim::atomic_access whole(p);
    *p = v;
#else
    *static_cast<volatile T *>(p) = v;
#endif
}

/* True in the last of `count` blocks to arrive; the writes of the others are visible to it. All
 * threads of each block call it. *counter is 0 before and after the kernel. */
static __device__ __forceinline__ bool vly_last_of(unsigned *counter, unsigned count) {
    VLY_SHARED(unsigned, ticket, [1]);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        ticket[0] = atomicAdd(counter, 1u);
        if (ticket[0] == count - 1) atomicExch(counter, 0u);
    }
    __syncthreads();
    if (ticket[0] != count - 1) return false;
    __threadfence();
    return true;
}
static __device__ __forceinline__ bool vly_last_block(unsigned *counter) {
    return vly_last_of(counter, gridDim.x);
}

/* Adds up `values` numbers per block over all blocks, in the order of blocks, whatever order they
 * ran in. Each block's thread 0 gives mine[0..values); in the last block, threads 0..values-1
 * return their total and *done is set. partial: gridDim.x * values numbers. */
template <class T, int values>
static __device__ __forceinline__ T vly_grid_sum(const T *mine, T *partial, unsigned *counter,
                                                 bool *done) {
    if (threadIdx.x == 0)
        for (int v = 0; v < values; v++) partial[(size_t)blockIdx.x * values + v] = mine[v];
    *done = vly_last_block(counter);
    if (!*done) return T(0);
    /* each warp sums one value over all blocks: the order is fixed, and a thousand blocks take few
     * steps */
    T result = T(0);
    VLY_SHARED(T, totals, [32]);
    const unsigned warp = threadIdx.x >> 5, lane = threadIdx.x & 31, count = blockDim.x >> 5;
    for (int v = (int)warp; v < values; v += (int)count) {
        T sum = T(0);
        for (unsigned b = lane; b < gridDim.x; b += 32) sum += partial[(size_t)b * values + v];
        sum = vly_warp_sum(sum);
        if (lane == 0) totals[v] = sum;
    }
    __syncthreads();
    if (threadIdx.x < values) result = totals[threadIdx.x];
    return result;
}
#endif
