/* moments.cu -- mean, standard deviation and count of the valid numbers of a minibatch. Traffic: 8
 * to 12 B per number, from L2 or memory. One pass: squares of floats are exact in double, so the
 * sums lose nothing that matters unless the mean is 10^6 standard deviations from 0. Fixed order.
 */
#include "kernels/ops.h"
#include "kernels/reduce.h"

static const int BLOCK = 256, BLOCKS_MAX = 256;

static __global__ void __launch_bounds__(256)
    moments(int n, const float *__restrict__ x, const int32_t *__restrict__ row,
            const float *__restrict__ mask, float *out, void *scratch) {
    unsigned *counter = (unsigned *)scratch;
    double *partial = (double *)(counter + VLY_SCRATCH_COUNTERS);
    double sum = 0.0, square = 0.0, count = 0.0;
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK) {
        const int64_t r = row ? row[i] : i;
        if (mask && mask[r] == 0.0f) continue;
        const double v = (double)x[r];
        sum += v;
        square += v * v;
        count += 1.0;
    }
    const double mine[3] = {vly_block_sum(sum), vly_block_sum(square), vly_block_sum(count)};
    VLY_SHARED(double, total, [3]);
    bool done;
    const double t = vly_grid_sum<double, 3>(mine, partial, counter, &done);
    if (!done) return; /* the whole block */
    if (threadIdx.x < 3) total[threadIdx.x] = t;
    __syncthreads();
    if (threadIdx.x != 0) return;
    const double valid = total[2], mean = valid > 0.0 ? total[0] / valid : 0.0;
    const double variance = valid > 1.0 ? (total[1] - total[0] * mean) / (valid - 1.0) : 0.0;
    out[0] = (float)mean;
    out[1] = variance > 0.0 ? (float)sqrt(variance) : variance == variance ? 0.0f : (float)variance;
    out[2] = (float)valid;
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
