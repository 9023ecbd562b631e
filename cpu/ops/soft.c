/* soft.c -- soft actor-critic and TD3: what two critics expect, their loss, the policy's. */
#include "common/base/rules_action.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_soft_value(vly_queue *q, const vly_soft_value_args *a) {
    (void)q;
    VLY_NEED("soft_value", a && a->n >= 0 && a->actions >= 1 && a->q1 && a->q2 && a->value);
    VLY_NEED("soft_value", a->logits || a->actions == 1);
    for (int i = 0; i < a->n; i++) a->value[i] = vly_rule_soft_value(a, i);
    return VLY_OK;
}

vly_status vly_cpu_twin_loss(vly_queue *q, const vly_twin_loss_args *a) {
    (void)q;
    VLY_NEED("twin_loss", a && a->n >= 1 && a->actions >= 1 && a->q1 && a->q2 && a->action);
    VLY_NEED("twin_loss", a->n_return && a->discount && a->value && a->dq1 && a->dq2 && a->stats);
    double sum[5] = {0};
    for (int i = 0; i < a->n; i++) {
        const vly_row_stats s = vly_rule_twin_loss(a, i, 1 / (vly_real)a->n);
        sum[0] += s.count, sum[1] += s.value_loss, sum[2] += s.td_abs, sum[3] += s.q,
            sum[4] += s.nonfinite;
    }
    static const int slot[5] = {VLY_STAT_COUNT, VLY_STAT_VALUE_LOSS, VLY_STAT_TD_ABS, VLY_STAT_Q,
                                VLY_STAT_NONFINITE};
    for (int i = 0; i < 5; i++) a->stats[slot[i]] += (vly_real)sum[i];
    return VLY_OK;
}

/* Sums over rows of a policy's loss. */
typedef struct {
    double count, loss, entropy, nonfinite, dlog_alpha;
} soft_sums;

static void soft_add(soft_sums *sum, const vly_row_stats *s, vly_real dlog_alpha) {
    sum->count += s->count, sum->loss += s->policy_loss, sum->entropy += s->entropy;
    sum->nonfinite += s->nonfinite, sum->dlog_alpha += dlog_alpha;
}

static vly_status soft_end(const soft_sums *sum, vly_real *stats, vly_real *dlog_alpha) {
    stats[VLY_STAT_COUNT] += (vly_real)sum->count;
    stats[VLY_STAT_POLICY_LOSS] += (vly_real)sum->loss;
    stats[VLY_STAT_ENTROPY] += (vly_real)sum->entropy;
    stats[VLY_STAT_NONFINITE] += (vly_real)sum->nonfinite;
    *dlog_alpha = (vly_real)sum->dlog_alpha;
    return VLY_OK;
}

/* A row's share, added up in the order of rows whoever computed it. */
typedef struct {
    vly_row_stats stats;
    vly_real dlog_alpha;
} soft_row;

/* Rows in a block; what a number of a row costs, in FLOPs. */
enum { SOFT_ROWS = 32, SOFT_FLOPS = 1000 };

typedef struct {
    const vly_soft_policy_args *a;
    soft_row *row;
} soft_call;

static void soft_policy_block(void *arg, int block, int slot) {
    (void)slot;
    const soft_call *c = arg;
    const int from = block * SOFT_ROWS, left = c->a->n - from;
    for (int i = from; i < from + (left < SOFT_ROWS ? left : SOFT_ROWS); i++)
        c->row[i].stats = vly_rule_soft_policy(c->a, i, 1 / (vly_real)c->a->n,
                                               &c->row[i].dlog_alpha);
}

vly_status vly_cpu_soft_policy(vly_queue *q, const vly_soft_policy_args *a) {
    VLY_NEED("soft_policy", a && a->n >= 1 && a->parts >= 1 && a->z && a->raw && a->logp);
    VLY_NEED("soft_policy", a->q1 && a->q2 && a->daction && a->log_alpha);
    VLY_NEED("soft_policy", a->dz && a->dlog_alpha && a->stats);
    soft_sums sum = {0};
    soft_call c = {a, vly_cpu_scratch(q, (size_t)a->n * sizeof *c.row)};
    if (!c.row) return vly_fail(VLY_ENOMEM, "soft_policy: no memory for %d rows", a->n);
    vly_cpu_run(vly_cpu_of(q), (double)SOFT_FLOPS * a->n * a->parts,
                (a->n + SOFT_ROWS - 1) / SOFT_ROWS, soft_policy_block, &c);
    for (int i = 0; i < a->n; i++) soft_add(&sum, &c.row[i].stats, c.row[i].dlog_alpha);
    return soft_end(&sum, a->stats, a->dlog_alpha);
}

vly_status vly_cpu_soft_choice(vly_queue *q, const vly_soft_choice_args *a) {
    (void)q;
    VLY_NEED("soft_choice", a && a->n >= 1 && a->actions >= 1 && a->logits && a->q1 && a->q2);
    VLY_NEED("soft_choice", a->log_alpha && a->dlogits && a->dlog_alpha && a->stats);
    soft_sums sum = {0};
    for (int i = 0; i < a->n; i++) {
        vly_real d;
        const vly_row_stats s = vly_rule_soft_choice(a, i, 1 / (vly_real)a->n, &d);
        soft_add(&sum, &s, d);
    }
    return soft_end(&sum, a->stats, a->dlog_alpha);
}

vly_status vly_cpu_ascend(vly_queue *q, int n, const vly_real *q1, const vly_real *q2,
                          vly_real *dq1, vly_real *dq2) {
    (void)q;
    VLY_NEED("ascend", n >= 1 && q1 && dq1 && dq2);
    for (int i = 0; i < n; i++) vly_rule_ascend(i, 1 / (vly_real)n, q1, q2, dq1, dq2);
    return VLY_OK;
}
