/* policy_loss.c -- PPO, A2C and V-trace losses with their gradients, and the moments that normalise
 * advantages. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

vly_status vly_cpu_moments(vly_queue *q, int n, const vly_real *x, const int32_t *row,
                           const vly_real *mask, vly_real *out) {
    (void)q;
    VLY_NEED("moments", n >= 0 && x && out);
    double count = 0, sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        const int64_t r = row ? row[i] : i;
        if (mask && mask[r] == 0) continue;
        count += 1;
        sum += x[r];
    }
    const double mean = count > 0 ? sum / count : 0;
    for (int i = 0; i < n; i++) {
        const int64_t r = row ? row[i] : i;
        if (mask && mask[r] == 0) continue;
        squares += (x[r] - mean) * (x[r] - mean);
    }
    out[0] = (vly_real)mean;
    out[1] = (vly_real)(count > 1 ? sqrt(squares / (count - 1)) : 0);
    out[2] = (vly_real)count;
    return VLY_OK;
}

static int count_valid(const vly_policy_loss_args *p) {
    int valid = 0;
    for (int i = 0; i < p->n; i++) valid += !p->mask || p->mask[p->row ? p->row[i] : i] != 0;
    return valid;
}

vly_loss_scales vly_cpu_loss_scales(vly_queue *q, const vly_policy_loss_args *p) {
    vly_real own[3] = {0, 1, 0};
    if (!p->moments && p->normalize)
        vly_cpu_moments(q, p->n, p->advantage, p->row, p->mask, own);
    else if (!p->moments)
        own[2] = (vly_real)count_valid(p);
    return vly_rule_loss_scales(p, p->moments ? p->moments : own);
}

typedef struct {
    const vly_policy_loss_args *p;
    vly_loss_scales by;
    double sum[7];
} loss_call;

static void add_stats(loss_call *c, const vly_row_stats *s) {
    c->sum[0] += s->count, c->sum[1] += s->policy_loss, c->sum[2] += s->value_loss,
        c->sum[3] += s->entropy;
    c->sum[4] += s->kl, c->sum[5] += s->clipped, c->sum[6] += s->nonfinite;
}

static void by_row(loss_call *c) {
    const vly_policy_loss_args *p = c->p;
    for (int i = 0; i < p->n; i++) {
        const int64_t at = (int64_t)i * p->actions;
        const vly_row_stats s = vly_rule_policy_loss(p, i, p->logits + at, p->dlogits + at,
                                                     c->by.mean, c->by.inv_std, c->by.scale);
        add_stats(c, &s);
    }
}

#ifndef VLY_REAL_DOUBLE
static void by_block(const vly_cpu *cpu, loss_call *c) {
    const vly_policy_loss_args *p = c->p;
    for (int i = 0; i < p->n; i += VLY_LOSS_ROWS) {
        vly_row_stats s = {0};
        cpu->exact->policy_loss(p, i, p->n - i < VLY_LOSS_ROWS ? p->n - i : VLY_LOSS_ROWS,
                                c->by.mean, c->by.inv_std, c->by.scale, &s);
        add_stats(c, &s);
    }
}
#endif

vly_status vly_cpu_policy_loss(vly_queue *q, const vly_policy_loss_args *p) {
    VLY_NEED("policy_loss", p && p->n >= 1 && p->actions >= 1);
    VLY_NEED("policy_loss",
             p->logits && p->dlogits && p->action && p->advantage && p->hyper && p->stats);
    VLY_NEED("policy_loss", p->logp_old || p->plain);
    VLY_NEED("policy_loss", !p->value == !p->dvalue && (!p->value || p->target));
    loss_call c = {.p = p, .by = vly_cpu_loss_scales(q, p)};
#ifndef VLY_REAL_DOUBLE
    if (p->actions <= VLY_LOSS_ACTIONS)
        by_block(vly_cpu_of(q), &c);
    else
        by_row(&c);
#else
    by_row(&c);
#endif
    static const int slot[7] = {VLY_STAT_COUNT,    VLY_STAT_POLICY_LOSS, VLY_STAT_VALUE_LOSS,
                                VLY_STAT_ENTROPY,  VLY_STAT_KL,          VLY_STAT_CLIPPED,
                                VLY_STAT_NONFINITE};
    for (int i = 0; i < 7; i++) p->stats[slot[i]] += (vly_real)c.sum[i];
    return VLY_OK;
}
