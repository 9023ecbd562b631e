/* policy_loss.cu -- PPO, A2C and V-trace losses with their gradients, one pass over the minibatch.
 * Traffic per row of A actions: 8 A B of logits and gradients, 28 B of the rest (32-byte sectors
 * when rows are shuffled); some 60 A flops. A block stages its rows' logits in shared memory, so
 * that global memory sees full lines, and each thread works on one row with the arithmetic of
 * common/base/rules.h. Rows are an odd number of words apart: no bank conflicts. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/reduce.h"

enum { SUMS = 9, SHARED_MAX = 40 << 10, ROWS_MAX = 128 };
static const int COUNT_BLOCK = 256, COUNT_BLOCKS_MAX = 128;

/* Scratch: counters, then one float for the number of valid rows, then partial sums. */
static __device__ __forceinline__ float *valid_row_count(void *scratch) {
    return (float *)((unsigned *)scratch + VLY_SCRATCH_COUNTERS);
}
static __device__ __forceinline__ float *partials(void *scratch) {
    return valid_row_count(scratch) + 16;
}

static __device__ __forceinline__ bool row_is_valid(const vly_policy_loss_args &p, int i) {
    const int64_t r = p.row ? p.row[i] : i;
    return !(p.mask && p.mask[r] == 0.0f);
}

static __global__ void __launch_bounds__(256)
    policy_loss_count(vly_policy_loss_args p, void *scratch) {
    float count = 0.0f; /* exact below 2^24 */
    for (int64_t i = (int64_t)blockIdx.x * COUNT_BLOCK + threadIdx.x; i < p.n;
         i += (int64_t)gridDim.x * COUNT_BLOCK)
        count += row_is_valid(p, (int)i) ? 1.0f : 0.0f;
    const float mine = vly_block_sum(count);
    bool done;
    const float total = vly_grid_sum<float, 1>(&mine, partials(scratch), (unsigned *)scratch,
                                               &done);
    if (done && threadIdx.x == 0) *valid_row_count(scratch) = total;
}

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
    const float count = p.sum ? 1.0f : p.moments ? p.moments[2] : *valid_row_count(scratch);
    const float scale = 1.0f / (count > 1.0f ? count : 1.0f);
    const float mean = p.normalize ? p.moments[0] : 0.0f,
                inv_std = p.normalize ? 1.0f / (p.moments[1] + 1e-8f) : 1.0f;
    if (stride > 0) {
        for (int e = (int)threadIdx.x; e < here * A; e += rows)
            tile[e / A * stride + e % A] = p.logits[(int64_t)first * A + e];
        __syncthreads();
    }
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (mine < p.n) {
        float *z = stride > 0 ? tile + (int)threadIdx.x * stride : NULL;
        s = stride > 0 ? vly_rule_policy_loss(&p, mine, z, z, mean, inv_std, scale)
                       : vly_rule_policy_loss(&p, mine, p.logits + (int64_t)mine * A,
                                              p.dlogits + (int64_t)mine * A, mean, inv_std, scale);
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
    const float total = vly_grid_sum<float, SUMS>(sums, partials(scratch), (unsigned *)scratch,
                                                  &done);
    if (done && threadIdx.x < SUMS) p.stats[policy_stat_of((int)threadIdx.x)] += total;
}

vly_status vly_policy_loss_launch(const vly_policy_loss_args *p, void *scratch,
                                  cudaStream_t stream) {
    VLY_NEED(p && p->n > 0 && p->actions > 0 && scratch);
    VLY_NEED(p->logits && p->action && p->advantage && p->hyper && p->dlogits);
    VLY_NEED(!p->value || p->target);
    VLY_NEED(p->plain || p->logp_old);
    VLY_NEED(!p->normalize || p->moments);
    if (!p->sum && !p->moments) {
        const int64_t blocks = vly_ceil_div(p->n, COUNT_BLOCK);
        VLY_LAUNCH(policy_loss_count,
                   (unsigned)(blocks < COUNT_BLOCKS_MAX ? blocks : COUNT_BLOCKS_MAX), COUNT_BLOCK,
                   0, stream, *p, scratch);
    }
    int stride = p->actions | 1, rows = ROWS_MAX;
    while (rows > 32 && rows * stride * (int)sizeof(float) > SHARED_MAX) rows /= 2;
    if (rows * stride * (int64_t)sizeof(float) > SHARED_MAX) stride = 0, rows = ROWS_MAX;
    const int64_t blocks = vly_ceil_div(p->n, rows);
    VLY_NEED(blocks * SUMS * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES);
    VLY_LAUNCH(policy_loss_rows, (unsigned)blocks, (unsigned)rows,
               (size_t)(rows * stride) * sizeof(float), stream, *p, stride, scratch);
    return VLY_OK;
}
