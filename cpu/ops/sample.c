/* sample.c -- actions from logits or values, their log-probabilities, and shuffled orders. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"

static vly_u32x4 draw_for(const vly_rng *rng, const int32_t *lane, int lane0, int i) {
    return vly_philox(rng->seed, VLY_STREAM_ACT, rng->step, (uint32_t)(lane ? lane[i] : lane0 + i));
}

vly_status vly_cpu_sample_policy(vly_queue *q, int n, int actions, const vly_real *logits,
                                 const vly_rng *rng, const int32_t *lane, int lane0,
                                 int32_t *action, int32_t *shown, vly_real *logp) {
    (void)q;
    VLY_NEED("sample_policy", n >= 0 && actions >= 1 && logits && rng && action);
    for (int i = 0; i < n; i++) {
        vly_real lp;
        action[i] = vly_rule_sample(actions, logits + (int64_t)i * actions,
                                    vly_unit(draw_for(rng, lane, lane0, i).v[0]), &lp);
        if (shown) shown[i] = action[i];
        if (logp) logp[i] = lp;
    }
    return VLY_OK;
}

vly_status vly_cpu_sample_greedy(vly_queue *q, int n, int actions, const vly_real *values,
                                 const vly_real *epsilon, const vly_rng *rng, const int32_t *lane,
                                 int lane0, int32_t *action, int32_t *shown) {
    (void)q;
    VLY_NEED("sample_greedy", n >= 0 && actions >= 1 && values && action && (rng || !epsilon));
    for (int i = 0; i < n; i++) {
        const vly_real *row = values + (int64_t)i * actions;
        action[i] = epsilon
                        ? vly_rule_greedy(actions, row, epsilon[i], draw_for(rng, lane, lane0, i))
                        : vly_rule_argmax(actions, row);
        if (shown) shown[i] = action[i];
    }
    return VLY_OK;
}

vly_status vly_cpu_rng_advance(vly_queue *q, vly_rng *rng) {
    (void)q;
    VLY_NEED("rng_advance", rng);
    rng->step++;
    return VLY_OK;
}

vly_status vly_cpu_action_logp(vly_queue *q, int n, int actions, const vly_real *logits,
                               const int32_t *action, vly_real *logp) {
    (void)q;
    VLY_NEED("action_logp", n >= 0 && actions >= 1 && logits && action && logp);
    for (int i = 0; i < n; i++) {
        const int a = action[i] < 0 ? 0 : action[i] >= actions ? actions - 1 : action[i];
        logp[i] = vly_rule_logp(actions, logits + (int64_t)i * actions, a);
    }
    return VLY_OK;
}

vly_status vly_cpu_permutation(vly_queue *q, int n, const vly_rng *rng, int32_t *order) {
    (void)q;
    VLY_NEED("permutation", n >= 0 && rng && order);
    for (int i = 0; i < n; i++) order[i] = vly_rule_permute((uint32_t)n, rng, (uint32_t)i);
    return VLY_OK;
}
