/* sample.cu -- actions from logits or values: a thread per row, stateless Philox. Traffic: 4 A + 8
 * B per row (A actions), some 40 A flops; at the batches of acting this is one launch's latency. */
#include "kernels/ops.h"
#include "common/base/rules.h"

static const int BLOCK = 64; /* small blocks use more multiprocessors when the batch is small */

static __device__ __forceinline__ vly_u32x4 draw_number(const vly_rng *rng, const int32_t *lane,
                                                        int lane0, int i) {
    return vly_philox(rng->seed, VLY_STREAM_ACT, rng->step, (uint32_t)(lane ? lane[i] : lane0 + i));
}

static __global__ void __launch_bounds__(64)
    sample_policy(int n, int actions, const float *__restrict__ logits, const vly_rng *rng,
                  const int32_t *lane, int lane0, int32_t *action, int32_t *shown, float *logp) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    float lp;
    const int a = vly_rule_sample(actions, logits + (int64_t)i * actions,
                                  vly_unit(draw_number(rng, lane, lane0, i).v[0]), &lp);
    action[i] = a;
    if (shown) shown[i] = a;
    if (logp) logp[i] = lp;
}

static __global__ void __launch_bounds__(64)
    sample_greedy(int n, int actions, const float *__restrict__ values, const float *epsilon,
                  const vly_rng *rng, const int32_t *lane, int lane0, int32_t *action,
                  int32_t *shown) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const float *row = values + (int64_t)i * actions;
    const int a = epsilon
                      ? vly_rule_greedy(actions, row, epsilon[i], draw_number(rng, lane, lane0, i))
                      : vly_rule_argmax(actions, row);
    action[i] = a;
    if (shown) shown[i] = a;
}

static __global__ void advance_rng(vly_rng *rng) {
    if (threadIdx.x == 0) rng->step++;
}

static __global__ void __launch_bounds__(64)
    action_logp(int n, int actions, const float *__restrict__ logits, const int32_t *action,
                float *logp) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const int a = action[i];
    logp[i] = a >= 0 && a < actions ? vly_rule_logp(actions, logits + (int64_t)i * actions, a)
                                    : 0.0f;
}

vly_status vly_sample_policy_launch(int n, int actions, const float *logits, const vly_rng *rng,
                                    const int32_t *lane, int lane0, int32_t *action, int32_t *shown,
                                    float *logp, cudaStream_t stream) {
    VLY_NEED(n >= 0 && actions > 0 && logits && rng && action);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(sample_policy, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, n, actions,
               logits, rng, lane, lane0, action, shown, logp);
    return VLY_OK;
}

vly_status vly_sample_greedy_launch(int n, int actions, const float *values, const float *epsilon,
                                    const vly_rng *rng, const int32_t *lane, int lane0,
                                    int32_t *action, int32_t *shown, cudaStream_t stream) {
    VLY_NEED(n >= 0 && actions > 0 && values && action && (rng || !epsilon));
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(sample_greedy, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, n, actions,
               values, epsilon, rng, lane, lane0, action, shown);
    return VLY_OK;
}

vly_status vly_rng_advance_launch(vly_rng *rng, cudaStream_t stream) {
    VLY_NEED(rng);
    VLY_LAUNCH(advance_rng, 1, 32, 0, stream, rng);
    return VLY_OK;
}

vly_status vly_action_logp_launch(int n, int actions, const float *logits, const int32_t *action,
                                  float *logp, cudaStream_t stream) {
    VLY_NEED(n >= 0 && actions > 0 && logits && action && logp);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(action_logp, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, n, actions, logits,
               action, logp);
    return VLY_OK;
}
