/* moments.h -- mean, standard deviation and count of the valid numbers of a minibatch (device code).
 *
 * One pass: squares of floats are exact in double, so the sums lose nothing that matters unless the
 * mean is 10^6 standard deviations from 0. The order of the sums is fixed.
 */
#ifndef VLY_KERNELS_MOMENTS_H
#define VLY_KERNELS_MOMENTS_H
#include "common/base/rules.h"
#include "kernels/ops.h"
#include "kernels/reduce.h"

/* Sum, sum of squares and count of numbers first, first + step, ... */
static __device__ __forceinline__ void vly_add_moments(int n, const float *x, const int32_t *row,
                                                       const float *mask, int64_t first,
                                                       int64_t step, double sums[3]) {
    for (int64_t i = first; i < n; i += step) {
        const int64_t r = row ? row[i] : i;
        if (mask && mask[r] == 0.0f) continue;
        const double v = (double)x[r];
        sums[0] += v;
        sums[1] += v * v;
        sums[2] += 1.0;
    }
}

/* Mean, standard deviation and count from the sums over all numbers. */
static __device__ __forceinline__ void vly_finish_moments(const double total[3], float out[3]) {
    const double valid = total[2], mean = valid > 0.0 ? total[0] / valid : 0.0;
    const double variance = valid > 1.0 ? (total[1] - total[0] * mean) / (valid - 1.0) : 0.0;
    out[0] = (float)mean;
    out[1] = variance > 0.0 ? (float)sqrt(variance) : variance == variance ? 0.0f : (float)variance;
    out[2] = (float)valid;
}

/* From the moments that args give, else from this block's own sums over all rows: a small
 * minibatch needs no kernel for them. All threads of the block call it. */
static __device__ __forceinline__ vly_loss_scales
vly_loss_scales_of(const vly_policy_loss_args &p) {
    VLY_SHARED(float, own, [3]);
    const float *moments = p.moments;
    if (!moments && (p.normalize || !p.sum)) { /* the same for all blocks */
        double mine[3] = {0.0, 0.0, 0.0};
        vly_add_moments(p.n, p.advantage, p.row, p.mask, threadIdx.x, blockDim.x, mine);
        const double total[3] = {vly_block_sum(mine[0]), vly_block_sum(mine[1]),
                                 vly_block_sum(mine[2])};
        if (threadIdx.x == 0) vly_finish_moments(total, own);
        __syncthreads();
        moments = own;
    }
    return vly_rule_loss_scales(&p, moments);
}

/* A large minibatch without moments gets them from a kernel of their own, at the end of scratch. */
vly_status vly_loss_moments_launch(vly_policy_loss_args *p, void *scratch, cudaStream_t stream);
/* Bytes at the end of scratch that a loss leaves alone. */
enum { VLY_LOSS_MOMENTS_BYTES = 64 };
#endif
