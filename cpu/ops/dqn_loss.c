/* dqn_loss.c -- the (double, n-step, weighted) DQN loss with its gradient. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_dqn_loss(vly_queue *q, const vly_dqn_loss_args *d) {
    (void)q;
    VLY_NEED("dqn_loss", d && d->n >= 1 && d->actions >= 1);
    VLY_NEED("dqn_loss", d->q && d->q_next && d->action && d->n_return && d->discount);
    VLY_NEED("dqn_loss", d->hyper && d->dq && d->stats);
    double sum[6] = {0};
    for (int i = 0; i < d->n; i++) {
        const vly_row_stats s = vly_rule_dqn_loss(d, i, 1 / (vly_real)d->n);
        sum[0] += s.count, sum[1] += s.value_loss, sum[2] += s.td_abs, sum[3] += s.q,
            sum[4] += s.weight, sum[5] += s.nonfinite;
    }
    static const int slot[6] = {VLY_STAT_COUNT, VLY_STAT_VALUE_LOSS, VLY_STAT_TD_ABS,
                                VLY_STAT_Q,     VLY_STAT_WEIGHT,     VLY_STAT_NONFINITE};
    for (int i = 0; i < 6; i++) d->stats[slot[i]] += (vly_real)sum[i];
    return VLY_OK;
}
