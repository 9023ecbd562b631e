/* scan.h -- an affine scan over a block (device code): thread i gets f_i o f_{i-1} o ... o f_0. */
#ifndef VLY_KERNELS_SCAN_H
#define VLY_KERNELS_SCAN_H
#include "kernels/launch.h"

/* With fewer columns and at least this many steps a scan over time is faster than a walk: a step of
 * a walk waits for two dependent loads, about 600 ns; a scan moves 256 steps in about 2 us. */
enum { VLY_SCAN_COLUMNS = 512, VLY_SCAN_STEPS = 32 };

typedef struct {
    float a, b;
} vly_affine; /* x -> a x + b */

/* later o earlier */
static __device__ __forceinline__ vly_affine vly_after(vly_affine later, vly_affine earlier) {
    const vly_affine f = {later.a * earlier.a, later.a * earlier.b + later.b};
    return f;
}

/* Inclusive, over a block of 256 threads, all of which call it. */
static __device__ __forceinline__ vly_affine vly_block_scan(vly_affine f) {
    VLY_SHARED(vly_affine, warps, [32]);
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    for (unsigned step = 1; step < 32; step <<= 1) {
        const vly_affine before = {__shfl_up_sync(0xffffffffu, f.a, step),
                                   __shfl_up_sync(0xffffffffu, f.b, step)};
        if (lane >= step) f = vly_after(f, before);
    }
    __syncthreads();
    if (lane == 31) warps[warp] = f;
    __syncthreads();
    vly_affine before = {1.0f, 0.0f};
    for (unsigned w = 0; w < warp; w++) before = vly_after(warps[w], before);
    return vly_after(f, before);
}

/* The last thread's value, for all. */
static __device__ __forceinline__ float vly_block_last(float v) {
    VLY_SHARED(float, last, [1]);
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1) last[0] = v;
    __syncthreads();
    return last[0];
}
#endif
