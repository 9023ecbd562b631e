/* dist.c -- actions of several parts: masks, draws, log-probabilities, their loss, and noise. */
#include "common/base/rules_action.h"
#include "cpu/ops/ops.h"

static bool dist_is_whole(const vly_dist *d) {
    if (!d || d->parts < 1 || d->width < 1 || !d->low != !d->high) return false;
    if (d->kind == VLY_DIST_CHOICES) return d->choices != NULL;
    return d->width == (d->kind == VLY_DIST_UNIT ? d->parts : 2 * d->parts);
}

static size_t raw_bytes(const vly_dist *d) {
    return (size_t)d->parts * (d->kind == VLY_DIST_CHOICES ? sizeof(int32_t) : sizeof(vly_real));
}

vly_status vly_cpu_mask_actions(vly_queue *q, int64_t n, const uint8_t *allowed, vly_real *x) {
    (void)q;
    VLY_NEED("mask_actions", n >= 0 && allowed && x);
    for (int64_t i = 0; i < n; i++) x[i] = allowed[i] ? x[i] : (vly_real)VLY_MASKED;
    return VLY_OK;
}

/* Rows in a block; what a number of a row costs, in FLOPs. */
enum { SAMPLE_ROWS = 32, SAMPLE_FLOPS = 1500 };

typedef struct {
    const vly_dist *d;
    int n;
    const vly_real *z;
    const vly_rng *rng;
    uint32_t stream;
    const int32_t *lane;
    int lane0;
    void *raw;
    vly_real *logp;
} sample_call;

static void sample_block(void *arg, int block, int slot) {
    (void)slot;
    const sample_call *c = arg;
    const int from = block * SAMPLE_ROWS,
              to = c->n - from < SAMPLE_ROWS ? c->n : from + SAMPLE_ROWS;
    for (int i = from; i < to; i++) {
        const vly_real lp = vly_rule_dist_sample(c->d, c->z + (int64_t)i * c->d->width, c->rng,
                                                 c->stream, c->lane ? c->lane[i] : c->lane0 + i,
                                                 (char *)c->raw + (size_t)i * raw_bytes(c->d));
        if (c->logp) c->logp[i] = lp;
    }
}

vly_status vly_cpu_dist_sample(vly_queue *q, const vly_dist *d, int n, const vly_real *z,
                               const vly_rng *rng, uint32_t stream, const int32_t *lane, int lane0,
                               void *raw, vly_real *logp) {
    VLY_NEED("dist_sample", dist_is_whole(d) && d->kind != VLY_DIST_UNIT && n >= 0 && z && raw);
    sample_call c = {d, n, z, rng, stream, lane, lane0, raw, logp};
    vly_cpu_run(vly_cpu_of(q), (double)SAMPLE_FLOPS * n * d->parts,
                (n + SAMPLE_ROWS - 1) / SAMPLE_ROWS, sample_block, &c);
    return VLY_OK;
}

vly_status vly_cpu_dist_logp(vly_queue *q, const vly_dist *d, int n, const vly_real *z,
                             const void *raw, vly_real *logp) {
    (void)q;
    VLY_NEED("dist_logp",
             dist_is_whole(d) && d->kind != VLY_DIST_UNIT && n >= 0 && z && raw && logp);
    for (int i = 0; i < n; i++)
        logp[i] = vly_rule_dist_logp(d, z + (int64_t)i * d->width,
                                     (const char *)raw + (size_t)i * raw_bytes(d))
                      .logp;
    return VLY_OK;
}

vly_status vly_cpu_dist_action(vly_queue *q, const vly_dist *d, int n, const void *raw,
                               void *action) {
    VLY_NEED("dist_action", dist_is_whole(d) && n >= 0 && raw && action);
    if (d->kind == VLY_DIST_CHOICES) return q->c->copy(q, action, raw, (size_t)n * raw_bytes(d));
    for (int64_t i = 0; i < (int64_t)n * d->parts; i++)
        ((vly_real *)action)[i] = vly_rule_dist_number(d, ((const vly_real *)raw)[i],
                                                       (int)(i % d->parts));
    return VLY_OK;
}

vly_status vly_cpu_dist_loss(vly_queue *q, const vly_dist_loss_args *a) {
    VLY_NEED("dist_loss", a && dist_is_whole(&a->dist) && a->dist.kind != VLY_DIST_UNIT);
    const vly_policy_loss_args *p = &a->p;
    VLY_NEED("dist_loss", p->n >= 1 && p->actions == a->dist.width && a->raw);
    VLY_NEED("dist_loss", p->logits && p->dlogits && p->advantage && p->hyper && p->stats);
    VLY_NEED("dist_loss", p->logp_old || p->plain);
    VLY_NEED("dist_loss", !p->value == !p->dvalue && (!p->value || p->target));
    const vly_loss_scales by = vly_cpu_loss_scales(q, p);
    double sum[7] = {0};
    for (int i = 0; i < p->n; i++) {
        const int64_t at = (int64_t)i * a->dist.width;
        const vly_row_stats s = vly_rule_dist_loss(a, i, p->logits + at, p->dlogits + at, by.mean,
                                                   by.inv_std, by.scale);
        sum[0] += s.count, sum[1] += s.policy_loss, sum[2] += s.value_loss, sum[3] += s.entropy,
            sum[4] += s.kl, sum[5] += s.clipped, sum[6] += s.nonfinite;
    }
    static const int slot[7] = {VLY_STAT_COUNT,    VLY_STAT_POLICY_LOSS, VLY_STAT_VALUE_LOSS,
                                VLY_STAT_ENTROPY,  VLY_STAT_KL,          VLY_STAT_CLIPPED,
                                VLY_STAT_NONFINITE};
    for (int i = 0; i < 7; i++) p->stats[slot[i]] += (vly_real)sum[i];
    return VLY_OK;
}

vly_status vly_cpu_noise(vly_queue *q, const vly_noise_args *a) {
    (void)q;
    VLY_NEED("noise", a && a->n >= 0 && a->parts >= 1 && a->out);
    VLY_NEED("noise", a->rng || (a->mean && !(a->deviation > 0)));
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < a->parts; k++)
            a->out[(int64_t)i * a->parts + k] = vly_rule_noise(a, i, k);
    return VLY_OK;
}
