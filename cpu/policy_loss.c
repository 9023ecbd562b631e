/* policy_loss.c -- PPO, A2C and V-trace losses with their gradients, and the moments that normalise advantages. */
#include "common/rules.h"
#include "cpu/ops.h"

vly_status vly_cpu_moments(vly_queue *q, int n, const vly_real *x, const int32_t *row, const vly_real *mask, vly_real *out) {
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

static vly_real valid_rows(const vly_policy_loss_args *p) {
    int valid = 0;
    for (int i = 0; i < p->n; i++) valid += !p->mask || p->mask[p->row ? p->row[i] : i] != 0;
    return (vly_real)valid;
}

vly_status vly_cpu_policy_loss(vly_queue *q, const vly_policy_loss_args *p) {
    (void)q;
    VLY_NEED("policy_loss", p && p->n >= 1 && p->actions >= 1);
    VLY_NEED("policy_loss", p->logits && p->dlogits && p->action && p->advantage && p->hyper && p->stats);
    VLY_NEED("policy_loss", p->logp_old || p->plain);
    VLY_NEED("policy_loss", !p->value == !p->dvalue && (!p->value || p->target));
    VLY_NEED("policy_loss", p->moments || !p->normalize);
    const vly_real count = p->moments ? p->moments[2] : valid_rows(p);
    const vly_real mean = p->normalize ? p->moments[0] : 0;
    const vly_real inv_std = p->normalize ? 1 / (p->moments[1] + (vly_real)1e-8) : 1;
    const vly_real scale = p->sum ? 1 : 1 / (count > 1 ? count : 1);
    double sum[7] = {0};
    for (int i = 0; i < p->n; i++) {
        const vly_row_stats s = vly_rule_policy_loss(p, i, p->logits + (int64_t)i * p->actions, p->dlogits + (int64_t)i * p->actions,
                                                     mean, inv_std, scale);
        sum[0] += s.count, sum[1] += s.policy_loss, sum[2] += s.value_loss, sum[3] += s.entropy;
        sum[4] += s.kl, sum[5] += s.clipped, sum[6] += s.nonfinite;
    }
    static const int slot[7] = {VLY_STAT_COUNT, VLY_STAT_POLICY_LOSS, VLY_STAT_VALUE_LOSS, VLY_STAT_ENTROPY,
                                VLY_STAT_KL, VLY_STAT_CLIPPED, VLY_STAT_NONFINITE};
    for (int i = 0; i < 7; i++) p->stats[slot[i]] += (vly_real)sum[i];
    return VLY_OK;
}
