/* gae.cu -- advantages and targets, backwards in time.
 * Traffic: 21 B per (t, n): reward, value, flags in; advantage, target, mask out. Bound by memory
 * where there are enough environments to fill the device, by the latency of T steps where there are
 * few.
 *
 * Many environments: a thread per environment walks time, neighbours read neighbouring addresses;
 * the same arithmetic as the CPU, the same bits. Few environments: x_t = a_t x_{t+1} + b_t is a
 * composition of affine maps, so a block per environment scans 256 steps at a time (Blelloch 1990,
 * section 1.4). */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/scan.h"

static __global__ void __launch_bounds__(128) gae_columns(vly_gae_args a) {
    const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n < a.N) vly_rule_gae(&a, n);
}

/* Players who take turns: what a row hands on is no affine map of one number. */
static __global__ void __launch_bounds__(128) gae_turns(vly_gae_args a) {
    const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n < a.N) vly_rule_gae_turns(&a, n);
}

static __global__ void __launch_bounds__(256) gae_scan(vly_gae_args a) {
    const int n = (int)blockIdx.x;
    const float gamma = a.hyper->gamma, lambda = a.hyper->lambda, scale = a.hyper->reward_scale;
    float carry = 0.0f; /* advantage of the chunk before, which is later in time */
    for (int end = a.T; end > 0; end -= (int)blockDim.x) {
        const int t = end - 1 - (int)threadIdx.x;
        const int64_t i = (int64_t)t * a.N + n;
        vly_affine f = {1.0f, 0.0f};
        float value = 0.0f;
        uint8_t flags = 0;
        if (t >= 0) {
            flags = a.flags[i];
            value = a.value[i];
            const float after = flags & VLY_ROW_TERMINATED ? 0.0f : a.value[i + a.N];
            f.b = flags & VLY_ROW_IGNORED ? 0.0f : scale * a.reward[i] + gamma * after - value;
            f.a = flags & (VLY_ROW_IGNORED | VLY_ROW_ENDED) ? 0.0f : gamma * lambda;
        }
        const vly_affine upto = vly_block_scan(f);
        const float advantage = upto.a * carry + upto.b;
        if (t >= 0) {
            a.advantage[i] = advantage;
            a.target[i] = advantage + value;
            a.mask[i] = flags & VLY_ROW_IGNORED ? 0.0f : 1.0f;
        }
        carry = vly_block_last(advantage);
    }
}

vly_status vly_gae_launch(const vly_gae_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->T > 0 && a->N > 0);
    VLY_NEED(a->reward && a->value && a->flags && a->hyper && a->advantage && a->target && a->mask);
    if (a->own)
        VLY_LAUNCH(gae_turns, (unsigned)vly_ceil_div(a->N, 128), 128, 0, stream, *a);
    else if (a->N < VLY_SCAN_COLUMNS && a->T >= VLY_SCAN_STEPS)
        VLY_LAUNCH(gae_scan, (unsigned)a->N, 256, 0, stream, *a);
    else
        VLY_LAUNCH(gae_columns, (unsigned)vly_ceil_div(a->N, 128), 128, 0, stream, *a);
    return VLY_OK;
}
