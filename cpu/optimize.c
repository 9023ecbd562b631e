/* optimize.c -- gradient norm, optimizers and the moving target network. Adam reads or writes 28 bytes a weight. */
#include <math.h>
#include "common/rules.h"
#include "cpu/ops.h"

vly_status vly_cpu_grad_norm(vly_queue *q, int64_t n, const vly_real *grad, vly_real *norm) {
    (void)q;
    VLY_NEED("grad_norm", n >= 0 && grad && norm);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)grad[i] * (double)grad[i];
    norm[0] = (vly_real)sqrt(sum);
    norm[1] = vly_finite(norm[0]) ? 0 : 1;
    return VLY_OK;
}

static vly_status check(const vly_optimizer *o, const vly_params *p) {
    VLY_NEED("optimize", o->kind >= VLY_SGD && o->kind <= VLY_RMSPROP_CENTERED);
    VLY_NEED("optimize", p->n >= 1 && p->param && p->grad && p->step);
    VLY_NEED("optimize", p->m && (p->v || o->kind == VLY_SGD));
    VLY_NEED("optimize", o->kind != VLY_RMSPROP_CENTERED || o->momentum == 0);
    return VLY_OK;
}

/* Would every weight and moment stay finite? */
static bool stays_finite(const vly_optimizer *o, const vly_params *p, vly_step_scalars s) {
    bool finite = true;
    for (int64_t i = 0; i < p->n; i++) {
        vly_real w = p->param[i], m = p->m[i], v = p->v ? p->v[i] : 0;
        vly_rule_optimize(o, s, p->grad[i], &w, &m, &v);
        finite &= vly_finite(w) && vly_finite(m) && vly_finite(v);
    }
    return finite;
}

vly_status vly_cpu_optimize(vly_queue *q, const vly_optimizer *o, const vly_params *p, const vly_real *norm,
                            const vly_hyper *hyper, vly_real *stats) {
    (void)q;
    VLY_NEED("optimize", o && p && norm && hyper && stats);
    VLY_TRY(check(o, p));
    const vly_step_scalars s = vly_rule_step(o, hyper, norm[0], *p->step + 1);
    if (norm[1] != 0 || !vly_finite(norm[0]) || !stays_finite(o, p, s)) {
        stats[VLY_STAT_NONFINITE] += 1;
        return VLY_OK;
    }
    vly_real unused = 0;
    for (int64_t i = 0; i < p->n; i++) vly_rule_optimize(o, s, p->grad[i], p->param + i, p->m + i, p->v ? p->v + i : &unused);
    ++*p->step;
    stats[VLY_STAT_GRAD_NORM] += norm[0];
    stats[VLY_STAT_STEPS] += 1;
    return VLY_OK;
}

vly_status vly_cpu_polyak(vly_queue *q, int64_t n, vly_real *target, const vly_real *online, const vly_hyper *hyper) {
    (void)q;
    VLY_NEED("polyak", n >= 0 && target && online && hyper);
    const vly_real tau = (vly_real)hyper->tau, keep = 1 - tau;
    if (tau == 1)
        for (int64_t i = 0; i < n; i++) target[i] = online[i]; /* exact, even from a NaN */
    else
        for (int64_t i = 0; i < n; i++) target[i] = keep * target[i] + tau * online[i];
    return VLY_OK;
}
