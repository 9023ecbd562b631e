/* copies.h -- kernels of test_shim.cpp with asynchronous copies: right, or wrong in one way. */
#ifndef VLY_TESTS_GPU_SHIM_COPIES_H
#define VLY_TESTS_GPU_SHIM_COPIES_H
#include "kernels/async.h"

static __global__ void reads_a_copy_too_early(float *out, const float *in) {
    VLY_SHARED(float, tile, [4]);
    if (threadIdx.x == 0) {
        vly_copy_async<16>(tile, in, true);
        vly_copies_commit();
        out[0] = tile[0];
        vly_copies_wait<0>();
        out[1] = tile[0];
    }
}

/* Each thread copies one chunk a step, two steps ahead through a ring of three stages, and adds up
 * the chunks of its neighbour. FAULT: what is wrong. */
enum pipeline_fault {
    NO_FAULT,
    WAITS_FOR_TOO_LITTLE,
    NO_BARRIER,
    ONE_COMMIT_TOO_FEW,
    RING_TOO_SMALL
};
template <int FAULT> static __global__ void pipelines(float *out, const float *in) {
    enum { RING = FAULT == RING_TOO_SMALL ? 2 : 3, STEPS = 6, THREADS = 64 };
    VLY_SHARED(float, ring, [3][4 * THREADS]);
    const unsigned mine = 4 * threadIdx.x, other = 4 * ((threadIdx.x + 33) % THREADS);
    float sum = 0.0f;
    for (int s = 0; s < 2; s++) {
        vly_copy_async<16>(ring[s] + mine, in + 4 * s, true);
        if (FAULT != ONE_COMMIT_TOO_FEW || s != 0) vly_copies_commit();
    }
    for (int step = 0; step < STEPS; step++) {
        if (FAULT == WAITS_FOR_TOO_LITTLE)
            vly_copies_wait<2>();
        else
            vly_copies_wait<1>();
        if (FAULT != NO_BARRIER) __syncthreads();
        if (step + 2 < STEPS)
            vly_copy_async<16>(ring[(step + 2) % RING] + mine, in + 4 * (step + 2), true);
        vly_copies_commit();
        for (int i = 0; i < 4; i++) sum += ring[step % RING][other + i];
    }
    out[threadIdx.x] = sum;
}

[[maybe_unused]] static __global__ void copies_zeros_outside(float *out, const float *in) {
    VLY_SHARED(float, tile, [8]);
    if (threadIdx.x) return;
    vly_copy_async<16>(tile, in, false);
    vly_copy_async<8>(tile + 4, in, true);
    vly_copies_commit();
    vly_copies_wait<0>();
    for (int i = 0; i < 6; i++) out[i] = tile[i];
}

static __global__ void copies_to_an_odd_place(float *, const float *in) {
    VLY_SHARED(float, tile, [8]);
    if (threadIdx.x == 0) vly_copy_async<16>(tile + 1, in, true);
}

static __global__ void copies_to_memory(float *out, const float *in) {
    if (threadIdx.x == 0) vly_copy_async<16>(out, in, true);
}
#endif
