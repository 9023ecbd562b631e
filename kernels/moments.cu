/* moments.cu -- mean, standard deviation and count of the valid numbers of a minibatch. Traffic: 8
 * to 12 B per number, from L2 or memory. */
#include "kernels/moments.h"

static const int BLOCK = 256, BLOCKS_MAX = 256, LOSS_ROWS_MAX = 4096;

static __global__ void __launch_bounds__(256)
    moments(int n, const float *__restrict__ x, const int32_t *__restrict__ row,
            const float *__restrict__ mask, float *out, void *scratch) {
    unsigned *counter = (unsigned *)scratch;
    double *partial = (double *)(counter + VLY_SCRATCH_COUNTERS);
    double sums[3] = {0.0, 0.0, 0.0};
    vly_add_moments(n, x, row, mask, (int64_t)blockIdx.x * BLOCK + threadIdx.x,
                    (int64_t)gridDim.x * BLOCK, sums);
    const double mine[3] = {vly_block_sum(sums[0]), vly_block_sum(sums[1]), vly_block_sum(sums[2])};
    VLY_SHARED(double, total, [3]);
    bool done;
    const double t = vly_grid_sum<double, 3>(mine, partial, counter, &done);
    if (!done) return; /* the whole block */
    if (threadIdx.x < 3) total[threadIdx.x] = t;
    __syncthreads();
    if (threadIdx.x == 0) vly_finish_moments(total, out);
}

vly_status vly_moments_launch(int n, const float *x, const int32_t *row, const float *mask,
                              float *out, void *scratch, cudaStream_t stream) {
    VLY_NEED(n >= 0 && x && out && scratch);
    if (n == 0) return VLY_OK;
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    VLY_LAUNCH(moments, (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX), BLOCK, 0, stream, n,
               x, row, mask, out, scratch);
    return VLY_OK;
}

vly_status vly_loss_moments_launch(vly_policy_loss_args *p, void *scratch, cudaStream_t stream) {
    if (p->moments || (p->sum && !p->normalize) || p->n <= LOSS_ROWS_MAX) return VLY_OK;
    float *out = (float *)((char *)scratch + VLY_SCRATCH_BYTES - VLY_LOSS_MOMENTS_BYTES);
    p->moments = out;
    return vly_moments_launch(p->n, p->advantage, p->row, p->mask, out, scratch, stream);
}
