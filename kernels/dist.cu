/* dist.cu -- actions of several parts: a thread per row. Traffic per row of W numbers and P parts:
 * 4 W + 4 P B to draw, 8 W + 4 P + 28 B for the loss; some 40 (W + P) flops. Masks and boxes are a
 * thread per number: 9 B and 8 B. */
#include "kernels/moments.h"
#include "common/base/rules_action.h"

enum { DIST_SUMS = 7 };
static const int BLOCK = 64, WIDE = 256;

static bool dist_is_complete(const vly_dist *d) {
    if (!d || d->parts < 1 || d->width < 1 || !d->low != !d->high) return false;
    if (d->kind == VLY_DIST_CHOICES) return d->choices != NULL;
    return d->width == (d->kind == VLY_DIST_UNIT ? d->parts : 2 * d->parts);
}

static __global__ void __launch_bounds__(256)
    mask_actions(int64_t n, const uint8_t *__restrict__ allowed, float *x) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && !allowed[i]) x[i] = VLY_MASKED;
}

static __global__ void __launch_bounds__(64)
    dist_sample(vly_dist d, int n, const float *__restrict__ z, const vly_rng *rng, uint32_t stream,
                const int32_t *lane, int lane0, float *raw, float *logp) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const float lp = vly_rule_dist_sample(&d, z + (int64_t)i * d.width, rng, stream,
                                          lane ? lane[i] : lane0 + i, raw + (int64_t)i * d.parts);
    if (logp) logp[i] = lp;
}

static __global__ void __launch_bounds__(64)
    dist_logp(vly_dist d, int n, const float *__restrict__ z, const float *raw, float *logp) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        logp[i] = vly_rule_dist_logp(&d, z + (int64_t)i * d.width, raw + (int64_t)i * d.parts).logp;
}

static __global__ void __launch_bounds__(256)
    dist_action(vly_dist d, int64_t n, const float *raw, float *action) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    if (d.kind == VLY_DIST_CHOICES)
        ((int32_t *)action)[i] = ((const int32_t *)raw)[i];
    else
        action[i] = vly_rule_dist_number(&d, raw[i], (int)(i % d.parts));
}

static __device__ __forceinline__ int dist_stat_of(int sum) {
    switch (sum) {
    case 0: return VLY_STAT_COUNT;
    case 1: return VLY_STAT_POLICY_LOSS;
    case 2: return VLY_STAT_VALUE_LOSS;
    case 3: return VLY_STAT_ENTROPY;
    case 4: return VLY_STAT_KL;
    case 5: return VLY_STAT_CLIPPED;
    default: return VLY_STAT_NONFINITE;
    }
}

static __global__ void __launch_bounds__(64) dist_loss_rows(vly_dist_loss_args a, void *scratch) {
    const vly_policy_loss_args &p = a.p;
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const vly_loss_scales by = vly_loss_scales_of(p);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (i < p.n)
        s = vly_rule_dist_loss(&a, i, p.logits + (int64_t)i * a.dist.width,
                               p.dlogits + (int64_t)i * a.dist.width, by.mean, by.inv_std,
                               by.scale);
    const float sums[DIST_SUMS] = {vly_block_sum(s.count),      vly_block_sum(s.policy_loss),
                                   vly_block_sum(s.value_loss), vly_block_sum(s.entropy),
                                   vly_block_sum(s.kl),         vly_block_sum(s.clipped),
                                   vly_block_sum(s.nonfinite)};
    bool done;
    const float total = vly_grid_sum<float, DIST_SUMS>(
        sums, (float *)((unsigned *)scratch + VLY_SCRATCH_COUNTERS), (unsigned *)scratch, &done);
    if (done && threadIdx.x < DIST_SUMS) p.stats[dist_stat_of((int)threadIdx.x)] += total;
}

static __global__ void __launch_bounds__(256) noise(vly_noise_args a) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < (int64_t)a.n * a.parts)
        a.out[i] = vly_rule_noise(&a, (int)(i / a.parts), (int)(i % a.parts));
}

vly_status vly_mask_actions_launch(int64_t n, const uint8_t *allowed, float *x,
                                   cudaStream_t stream) {
    VLY_NEED(n >= 0 && allowed && x);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(mask_actions, (unsigned)vly_ceil_div(n, WIDE), WIDE, 0, stream, n, allowed, x);
    return VLY_OK;
}

vly_status vly_dist_sample_launch(const vly_dist *d, int n, const float *z, const vly_rng *rng,
                                  uint32_t kind, const int32_t *lane, int lane0, void *raw,
                                  float *logp, cudaStream_t stream) {
    VLY_NEED(dist_is_complete(d) && d->kind != VLY_DIST_UNIT && n >= 0 && z && raw);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(dist_sample, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, *d, n, z, rng, kind,
               lane, lane0, (float *)raw, logp);
    return VLY_OK;
}

vly_status vly_dist_logp_launch(const vly_dist *d, int n, const float *z, const void *raw,
                                float *logp, cudaStream_t stream) {
    VLY_NEED(dist_is_complete(d) && d->kind != VLY_DIST_UNIT && n >= 0 && z && raw && logp);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(dist_logp, (unsigned)vly_ceil_div(n, BLOCK), BLOCK, 0, stream, *d, n, z,
               (const float *)raw, logp);
    return VLY_OK;
}

vly_status vly_dist_action_launch(const vly_dist *d, int n, const void *raw, void *action,
                                  cudaStream_t stream) {
    VLY_NEED(dist_is_complete(d) && n >= 0 && raw && action);
    const int64_t all = (int64_t)n * d->parts;
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(dist_action, (unsigned)vly_ceil_div(all, WIDE), WIDE, 0, stream, *d, all,
               (const float *)raw, (float *)action);
    return VLY_OK;
}

vly_status vly_dist_loss_launch(const vly_dist_loss_args *args, void *scratch,
                                cudaStream_t stream) {
    VLY_NEED(args && dist_is_complete(&args->dist) && args->dist.kind != VLY_DIST_UNIT && scratch);
    vly_dist_loss_args a = *args;
    VLY_NEED(a.p.n > 0 && a.p.actions == a.dist.width && a.raw && a.p.stats);
    VLY_NEED(a.p.logits && a.p.advantage && a.p.hyper && a.p.dlogits);
    VLY_NEED((!a.p.value || a.p.target) && (a.p.plain || a.p.logp_old));
    const int64_t blocks = vly_ceil_div(a.p.n, BLOCK);
    VLY_NEED(blocks * DIST_SUMS * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES);
    VLY_TRY(vly_loss_moments_launch(&a.p, scratch, stream));
    VLY_LAUNCH(dist_loss_rows, (unsigned)blocks, BLOCK, 0, stream, a, scratch);
    return VLY_OK;
}

vly_status vly_noise_launch(const vly_noise_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->n >= 0 && a->parts > 0 && a->out);
    VLY_NEED(a->rng || (a->mean && !(a->deviation > 0)));
    const int64_t all = (int64_t)a->n * a->parts;
    if (all == 0) return VLY_OK;
    VLY_LAUNCH(noise, (unsigned)vly_ceil_div(all, WIDE), WIDE, 0, stream, *a);
    return VLY_OK;
}
