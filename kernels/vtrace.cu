/* vtrace.cu -- V-trace targets and advantages (Espeholt et al. 2018), backwards in time. Traffic:
 * 33 B per (t, n). Shapes of the work as in gae.cu: a walk per column, or a scan per column when
 * there are few. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/reduce.h"
#include "kernels/scan.h"

/* Adds the grid's sum of `ratios` to the statistic. */
static __device__ __forceinline__ void add_ratio(const vly_vtrace_args &a, float ratios,
                                                 void *scratch) {
    if (!a.stats) return; /* the same for all threads */
    unsigned *counter = (unsigned *)scratch;
    float *partial = (float *)(counter + VLY_SCRATCH_COUNTERS);
    const float mine = vly_block_sum(ratios);
    bool done;
    const float total = vly_grid_sum<float, 1>(&mine, partial, counter, &done);
    if (done && threadIdx.x == 0) a.stats[VLY_STAT_RHO] += total;
}

static __global__ void __launch_bounds__(128) vtrace_columns(vly_vtrace_args a, void *scratch) {
    const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    add_ratio(a, n < a.N ? vly_rule_vtrace(&a, n) : 0.0f, scratch);
}

/* 64 registers; left alone, the compiler aims at 40 and spills. */
static __global__ void __launch_bounds__(256, 4) vtrace_scan(vly_vtrace_args a, void *scratch) {
    VLY_SHARED(float,
               earlier, [257]); /* vs - V of this chunk; element 0 belongs to the step after it */
    const int n = (int)blockIdx.x;
    const float gamma = a.hyper->gamma, lambda = a.hyper->lambda, scale = a.hyper->reward_scale;
    const float rho_bar = a.hyper->rho_bar, c_bar = a.hyper->c_bar;
    float carry = 0.0f, ratios = 0.0f;
    for (int end = a.T; end > 0; end -= (int)blockDim.x) {
        const int t = end - 1 - (int)threadIdx.x;
        const int64_t i = (int64_t)t * a.N + n;
        vly_affine f = {1.0f, 0.0f};
        float value = 0.0f, after = 0.0f, rho = 0.0f, reward = 0.0f;
        uint8_t flags = 0;
        if (t >= 0) {
            flags = a.flags[i];
            value = a.value[i];
            after = flags & VLY_ROW_TERMINATED ? 0.0f : a.value[i + a.N];
            reward = scale * a.reward[i];
            const float ratio = vly_exp(a.logp_target[i] - a.logp_behaviour[i]);
            rho = ratio < rho_bar ? ratio : rho_bar;
            const bool ignored = (flags & VLY_ROW_IGNORED) != 0;
            f.b = ignored ? 0.0f : rho * (reward + gamma * after - value);
            f.a = ignored || flags & VLY_ROW_ENDED
                      ? 0.0f
                      : gamma * lambda * (ratio < c_bar ? ratio : c_bar);
            ratios += ignored ? 0.0f : rho;
        }
        const vly_affine upto = vly_block_scan(f);
        const float excess = upto.a * carry + upto.b;
        /* the barriers of vly_block_last lie behind the last reads of `earlier` */
        if (threadIdx.x == 0) earlier[0] = carry;
        earlier[threadIdx.x + 1] = excess;
        __syncthreads();
        if (t >= 0) {
            const bool ignored = (flags & VLY_ROW_IGNORED) != 0;
            const float chain = flags & VLY_ROW_ENDED ? 0.0f : earlier[threadIdx.x];
            a.advantage[i] = ignored ? 0.0f : rho * (reward + gamma * (after + chain) - value);
            a.target[i] = excess + value;
            a.mask[i] = ignored ? 0.0f : 1.0f;
        }
        carry = vly_block_last(excess);
    }
    add_ratio(a, ratios, scratch);
}

vly_status vly_vtrace_launch(const vly_vtrace_args *a, void *scratch, cudaStream_t stream) {
    VLY_NEED(a && a->T > 0 && a->N > 0 && scratch);
    VLY_NEED(a->reward && a->value && a->flags && a->logp_behaviour && a->logp_target && a->hyper);
    VLY_NEED(a->advantage && a->target && a->mask);
    if (a->N < VLY_SCAN_COLUMNS && a->T >= VLY_SCAN_STEPS)
        VLY_LAUNCH(vtrace_scan, (unsigned)a->N, 256, 0, stream, *a, scratch);
    else
        VLY_LAUNCH(vtrace_columns, (unsigned)vly_ceil_div(a->N, 128), 128, 0, stream, *a, scratch);
    return VLY_OK;
}
