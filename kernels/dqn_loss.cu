/* dqn_loss.cu -- DQN's target, Huber loss, gradient and new priorities: a thread per sample.
 * Traffic: 8 A to 16 A B and 24 B per sample; a batch of 32 to 512 is one launch's latency. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/reduce.h"

enum { SUMS = 6 };
static const int BLOCK = 64;

static __device__ __forceinline__ int dqn_stat_of(int sum) {
    switch (sum) {
    case 0: return VLY_STAT_COUNT;
    case 1: return VLY_STAT_VALUE_LOSS;
    case 2: return VLY_STAT_TD_ABS;
    case 3: return VLY_STAT_Q;
    case 4: return VLY_STAT_WEIGHT;
    default: return VLY_STAT_NONFINITE;
    }
}

static __global__ void __launch_bounds__(64) dqn_loss_rows(vly_dqn_loss_args d, void *scratch) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (i < d.n) s = vly_rule_dqn_loss(&d, i, 1.0f / (float)d.n);
    if (!d.stats) return;
    const float sums[SUMS] = {vly_block_sum(s.count),  vly_block_sum(s.value_loss),
                              vly_block_sum(s.td_abs), vly_block_sum(s.q),
                              vly_block_sum(s.weight), vly_block_sum(s.nonfinite)};
    unsigned *counter = (unsigned *)scratch;
    bool done;
    const float total = vly_grid_sum<float, SUMS>(sums, (float *)(counter + VLY_SCRATCH_COUNTERS),
                                                  counter, &done);
    if (done && threadIdx.x < SUMS) d.stats[dqn_stat_of((int)threadIdx.x)] += total;
}

vly_status vly_dqn_loss_launch(const vly_dqn_loss_args *d, void *scratch, cudaStream_t stream) {
    VLY_NEED(d && d->n >= 0 && d->actions > 0 && scratch);
    VLY_NEED(d->q && d->q_next && d->action && d->n_return && d->discount && d->hyper && d->dq);
    if (d->n == 0) return VLY_OK;
    const int64_t blocks = vly_ceil_div(d->n, BLOCK);
    VLY_NEED(blocks * SUMS * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES);
    VLY_LAUNCH(dqn_loss_rows, (unsigned)blocks, BLOCK, 0, stream, *d, scratch);
    return VLY_OK;
}
