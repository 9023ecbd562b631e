/* soft.cu -- soft actor-critic and TD3: a thread per sample. Traffic: 20 A B (critics' loss over A
 * actions), 32 P B (policy over P numbers) per sample; a batch of 256 is one launch's latency. */
#include "kernels/ops.h"
#include "common/base/rules_action.h"
#include "kernels/reduce.h"

enum { SOFT_SUMS = 5 };
static const int BLOCK = 64;

static __global__ void __launch_bounds__(64) soft_value(vly_soft_value_args a) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < a.n) a.value[i] = vly_rule_soft_value(&a, i);
}

static __global__ void __launch_bounds__(64)
    ascend(int n, const float *q1, const float *q2, float *dq1, float *dq2) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) vly_rule_ascend(i, 1.0f / (float)n, q1, q2, dq1, dq2);
}

/* Adds five numbers of each row over the grid; true in the threads that hold a total. */
static __device__ __forceinline__ bool soft_totals(const float *row, void *scratch, float *total) {
    const float sums[SOFT_SUMS] = {vly_block_sum(row[0]), vly_block_sum(row[1]),
                                   vly_block_sum(row[2]), vly_block_sum(row[3]),
                                   vly_block_sum(row[4])};
    unsigned *counter = (unsigned *)scratch;
    bool done;
    *total = vly_grid_sum<float, SOFT_SUMS>(sums, (float *)(counter + VLY_SCRATCH_COUNTERS),
                                            counter, &done);
    return done && threadIdx.x < SOFT_SUMS;
}

static __global__ void __launch_bounds__(64) twin_loss_rows(vly_twin_loss_args a, void *scratch) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (i < a.n) s = vly_rule_twin_loss(&a, i, 1.0f / (float)a.n);
    const float row[SOFT_SUMS] = {s.count, s.value_loss, s.td_abs, s.q, s.nonfinite};
    float total;
    if (!soft_totals(row, scratch, &total)) return;
    const int v = (int)threadIdx.x;
    a.stats[v == 0   ? VLY_STAT_COUNT
            : v == 1 ? VLY_STAT_VALUE_LOSS
            : v == 2 ? VLY_STAT_TD_ABS
            : v == 3 ? VLY_STAT_Q
                     : VLY_STAT_NONFINITE] += total;
}

static __device__ __forceinline__ void
soft_policy_end(const vly_row_stats &s, float d, void *scratch, float *stats, float *dlog_alpha) {
    const float row[SOFT_SUMS] = {s.count, s.policy_loss, s.entropy, s.nonfinite, d};
    float total;
    if (!soft_totals(row, scratch, &total)) return;
    const int v = (int)threadIdx.x;
    if (v == 4)
        *dlog_alpha = total;
    else
        stats[v == 0   ? VLY_STAT_COUNT
              : v == 1 ? VLY_STAT_POLICY_LOSS
              : v == 2 ? VLY_STAT_ENTROPY
                       : VLY_STAT_NONFINITE] += total;
}

/* 64 registers; left alone, the compiler aims at 32 and spills. */
static __global__ void __launch_bounds__(64, 16)
    soft_policy_rows(vly_soft_policy_args a, void *scratch) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    float d = 0.0f;
    if (i < a.n) s = vly_rule_soft_policy(&a, i, 1.0f / (float)a.n, &d);
    soft_policy_end(s, d, scratch, a.stats, a.dlog_alpha);
}

static __global__ void __launch_bounds__(64)
    soft_choice_rows(vly_soft_choice_args a, void *scratch) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    float d = 0.0f;
    if (i < a.n) s = vly_rule_soft_choice(&a, i, 1.0f / (float)a.n, &d);
    soft_policy_end(s, d, scratch, a.stats, a.dlog_alpha);
}

static bool soft_sums_fit(int n) {
    return vly_ceil_div(n, BLOCK) * SOFT_SUMS * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES;
}

vly_status vly_soft_value_launch(const vly_soft_value_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->n >= 0 && a->actions > 0 && a->q1 && a->q2 && a->value);
    VLY_NEED(a->logits || a->actions == 1);
    if (a->n == 0) return VLY_OK;
    VLY_LAUNCH(soft_value, (unsigned)vly_ceil_div(a->n, BLOCK), BLOCK, 0, stream, *a);
    return VLY_OK;
}

vly_status vly_twin_loss_launch(const vly_twin_loss_args *a, void *scratch, cudaStream_t stream) {
    VLY_NEED(a && a->n > 0 && a->actions > 0 && a->q1 && a->q2 && a->action && scratch);
    VLY_NEED(a->n_return && a->discount && a->value && a->dq1 && a->dq2 && a->stats);
    VLY_NEED(soft_sums_fit(a->n));
    VLY_LAUNCH(twin_loss_rows, (unsigned)vly_ceil_div(a->n, BLOCK), BLOCK, 0, stream, *a, scratch);
    return VLY_OK;
}

vly_status vly_soft_policy_launch(const vly_soft_policy_args *a, void *scratch,
                                  cudaStream_t stream) {
    VLY_NEED(a && a->n > 0 && a->parts > 0 && a->z && a->raw && a->logp && scratch);
    VLY_NEED(a->q1 && a->q2 && a->daction && a->log_alpha && a->dz && a->dlog_alpha && a->stats);
    VLY_NEED(soft_sums_fit(a->n));
    VLY_LAUNCH(soft_policy_rows, (unsigned)vly_ceil_div(a->n, BLOCK), BLOCK, 0, stream, *a,
               scratch);
    return VLY_OK;
}

vly_status vly_soft_choice_launch(const vly_soft_choice_args *a, void *scratch,
                                  cudaStream_t stream) {
    VLY_NEED(a && a->n > 0 && a->actions > 0 && a->logits && a->q1 && a->q2 && scratch);
    VLY_NEED(a->log_alpha && a->dlogits && a->dlog_alpha && a->stats && soft_sums_fit(a->n));
    VLY_LAUNCH(soft_choice_rows, (unsigned)vly_ceil_div(a->n, BLOCK), BLOCK, 0, stream, *a,
               scratch);
    return VLY_OK;
}

vly_status vly_ascend_launch(int n, const float *q1, const float *q2, float *dq1, float *dq2,
                             cudaStream_t stream) {
    VLY_NEED(n > 0 && q1 && dq1 && dq2);
    VLY_LAUNCH(ascend, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, n, q1, q2, dq1, dq2);
    return VLY_OK;
}
