/* policy_loss.cu -- PPO, A2C and V-trace losses with their gradients, one pass over the minibatch.
 * Traffic per row of A actions: 8 A B of logits and gradients, 28 B of the rest (32-byte sectors
 * when rows are shuffled); some 60 A flops. A block stages its rows' logits in shared memory, so
 * that global memory sees full lines, and each thread works on one row with the arithmetic of
 * common/base/rules.h. Rows are an odd number of words apart: no bank conflicts. Each block sums the
 * advantages of a small minibatch itself: 8 to 12 B a row from L2. */
#include "kernels/moments.h"

enum { SUMS = 9, SHARED_MAX = 40 << 10, ROWS_MAX = 128 };
/* The statistic that each of the sums 0 .. SUMS - 1 belongs to. */
static __device__ __forceinline__ int policy_stat_of(int sum) {
    switch (sum) {
    case 0: return VLY_STAT_COUNT;
    case 1: return VLY_STAT_POLICY_LOSS;
    case 2: return VLY_STAT_VALUE_LOSS;
    case 3: return VLY_STAT_ENTROPY;
    case 4: return VLY_STAT_KL;
    case 5: return VLY_STAT_CLIPPED;
    case 6: return VLY_STAT_TD_ABS;
    case 7: return VLY_STAT_Q;
    default: return VLY_STAT_NONFINITE;
    }
}

static __global__ void __launch_bounds__(128)
    policy_loss_rows(vly_policy_loss_args p, int stride, void *scratch) {
    VLY_DYNAMIC_SHARED(
        float, tile); /* (rows, stride); stride 0: too large, the logits stay in global memory */
    const int A = p.actions, rows = (int)blockDim.x, first = (int)blockIdx.x * rows;
    const int mine = first + (int)threadIdx.x, here = p.n - first < rows ? p.n - first : rows;
    const vly_loss_scales by = vly_loss_scales_of(p);
    if (stride > 0) {
        for (int e = (int)threadIdx.x; e < here * A; e += rows)
            tile[e / A * stride + e % A] = p.logits[(int64_t)first * A + e];
        __syncthreads();
    }
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (mine < p.n) {
        float *z = stride > 0 ? tile + (int)threadIdx.x * stride : NULL;
        s = stride > 0 ? vly_rule_policy_loss(&p, mine, z, z, by.mean, by.inv_std, by.scale)
                       : vly_rule_policy_loss(&p, mine, p.logits + (int64_t)mine * A,
                                              p.dlogits + (int64_t)mine * A, by.mean, by.inv_std,
                                              by.scale);
    }
    if (stride > 0) {
        __syncthreads();
        for (int e = (int)threadIdx.x; e < here * A; e += rows)
            p.dlogits[(int64_t)first * A + e] = tile[e / A * stride + e % A];
    }
    if (!p.stats) return;
    const float sums[SUMS] = {
        vly_block_sum(s.count),   vly_block_sum(s.policy_loss), vly_block_sum(s.value_loss),
        vly_block_sum(s.entropy), vly_block_sum(s.kl),          vly_block_sum(s.clipped),
        vly_block_sum(s.td_abs),  vly_block_sum(s.q),           vly_block_sum(s.nonfinite)};
    bool done;
    const float total = vly_grid_sum<float, SUMS>(
        sums, (float *)((unsigned *)scratch + VLY_SCRATCH_COUNTERS), (unsigned *)scratch, &done);
    if (done && threadIdx.x < SUMS) p.stats[policy_stat_of((int)threadIdx.x)] += total;
}

vly_status vly_policy_loss_launch(const vly_policy_loss_args *args, void *scratch,
                                  cudaStream_t stream) {
    VLY_NEED(args && args->n > 0 && args->actions > 0 && scratch);
    vly_policy_loss_args p = *args;
    VLY_NEED(p.logits && p.action && p.advantage && p.hyper && p.dlogits);
    VLY_NEED(!p.value || p.target);
    VLY_NEED(p.plain || p.logp_old);
    int stride = p.actions | 1, rows = ROWS_MAX;
    while (rows > 32 && rows * stride * (int)sizeof(float) > SHARED_MAX) rows /= 2;
    if (rows * stride * (int64_t)sizeof(float) > SHARED_MAX) stride = 0, rows = ROWS_MAX;
    const int64_t blocks = vly_ceil_div(p.n, rows);
    VLY_NEED(blocks * SUMS * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES);
    VLY_TRY(vly_loss_moments_launch(&p, scratch, stream));
    VLY_LAUNCH(policy_loss_rows, (unsigned)blocks, (unsigned)rows,
               (size_t)(rows * stride) * sizeof(float), stream, p, stride, scratch);
    return VLY_OK;
}
