/* optimize.c -- gradient norm, optimizers and the moving target network. Adam reads or writes 28
 * bytes a weight. */
#include <math.h>
#include "common/base/rules.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

enum { BLOCK = 1 << 15, PARTS_MAX = 256 };

/* Cost of one weight in FLOPs: decides whether other threads are woken. */
static const double FLOPS_PER_WEIGHT = 50;

#ifdef VLY_REAL_DOUBLE
static double sum_of_squares(const vly_cpu *cpu, int64_t n, const vly_real *x) {
    double sum = 0;
    (void)cpu;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

static bool apply_step(const vly_cpu *cpu, const vly_optimizer *o, const vly_step_scalars *s,
                       const vly_params *p, int64_t from, int64_t n) {
    bool finite = true;
    vly_real unused = 0;
    (void)cpu;
    for (int64_t i = from; i < from + n; i++) {
        vly_real *v = p->v ? p->v + i : &unused;
        vly_rule_optimize(o, *s, p->grad[i], p->param + i, p->m + i, v);
        finite &= vly_finite(p->param[i]) & vly_finite(p->m[i]) & vly_finite(*v);
    }
    return finite;
}
#else
static double sum_of_squares(const vly_cpu *cpu, int64_t n, const vly_real *x) {
    return cpu->exact->squares(n, x);
}

static bool apply_step(const vly_cpu *cpu, const vly_optimizer *o, const vly_step_scalars *s,
                       const vly_params *p, int64_t from, int64_t n) {
    return cpu->exact->optimize(o, s, n, p->grad + from, p->param + from, p->m + from,
                                p->v ? p->v + from : NULL);
}
#endif

/* ---- norm: one part for each block, added in order ---- */

typedef struct {
    const vly_cpu *cpu;
    int64_t n, block;
    const vly_real *grad;
    double part[PARTS_MAX];
} norm_call;

static void norm_block(void *arg, int block, int slot) {
    (void)slot;
    norm_call *c = arg;
    const int64_t from = block * c->block;
    c->part[block] = sum_of_squares(c->cpu, c->n - from < c->block ? c->n - from : c->block,
                                    c->grad + from);
}

vly_status vly_cpu_grad_norm(vly_queue *q, int64_t n, const vly_real *grad, vly_real *norm) {
    VLY_NEED("grad_norm", n >= 0 && grad && norm);
    norm_call c = {.cpu = vly_cpu_of(q), .n = n, .block = BLOCK, .grad = grad};
    while (n > c.block * PARTS_MAX) c.block *= 2;
    const int parts = (int)((n + c.block - 1) / c.block);
    double sum = 0;
    vly_cpu_run(vly_cpu_of(q), FLOPS_PER_WEIGHT / 4 * (double)n, parts, norm_block, &c);
    for (int i = 0; i < parts; i++) sum += c.part[i];
    norm[0] = (vly_real)sqrt(sum);
    norm[1] = vly_finite(norm[0]) ? 0 : 1;
    return VLY_OK;
}

/* ---- steps ---- */

static vly_status check_optimizer(const vly_optimizer *o, const vly_params *p) {
    VLY_NEED("optimize", o->kind >= VLY_SGD && o->kind <= VLY_RMSPROP_CENTERED);
    VLY_NEED("optimize", p->n >= 1 && p->param && p->grad && p->step);
    VLY_NEED("optimize", p->m && (p->v || o->kind == VLY_SGD));
    VLY_NEED("optimize", o->kind != VLY_RMSPROP_CENTERED || o->momentum == 0);
    return VLY_OK;
}

/* Moments are averages of gradients. With moderate gradients and an eps in the divisors, a step
 * from finite weights is finite. Any other step is computed and checked before it is applied. */
static bool surely_finite(const vly_optimizer *o, vly_step_scalars s, vly_real norm) {
    const vly_real largest = norm * s.clip;
    return largest < (vly_real)1e15 && s.lr < (vly_real)1e6 && s.lr > (vly_real)-1e6 &&
           o->momentum >= 0 && o->momentum < 1 && o->kind != VLY_RMSPROP_CENTERED &&
           (o->kind == VLY_SGD || o->eps > 0) && o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 &&
           o->beta2 < 1;
}

static bool stays_finite(const vly_optimizer *o, const vly_params *p, vly_step_scalars s) {
    bool finite = true;
    for (int64_t i = 0; i < p->n; i++) {
        vly_real w = p->param[i], m = p->m[i], v = p->v ? p->v[i] : 0;
        vly_rule_optimize(o, s, p->grad[i], &w, &m, &v);
        finite &= vly_finite(w) && vly_finite(m) && vly_finite(v);
    }
    return finite;
}

typedef struct {
    const vly_cpu *cpu;
    const vly_optimizer *o;
    const vly_params *p;
    vly_step_scalars s;
    int64_t block;
    uint8_t finite[PARTS_MAX];
} step_call;

static void round_block(const vly_params *p, int64_t from, int64_t n) {
    uint16_t *low = p->low;
    for (int64_t i = from; i < from + n; i++)
        low[i] = vly_bf16_from_f32(vly_low_scale(p->scaled, i) * (float)p->param[i]);
}

static void step_block(void *arg, int block, int slot) {
    (void)slot;
    step_call *c = arg;
    const int64_t from = block * c->block, left = c->p->n - from,
                  n = left < c->block ? left : c->block;
    c->finite[block] = apply_step(c->cpu, c->o, &c->s, c->p, from, n);
    if (c->p->low) round_block(c->p, from, n);
}

vly_status vly_cpu_optimize(vly_queue *q, const vly_optimizer *o, const vly_params *p,
                            const vly_real *norm, const vly_hyper *hyper, vly_real *stats) {
    VLY_NEED("optimize", o && p && norm && hyper && stats);
    VLY_TRY(check_optimizer(o, p));
    step_call c = {.cpu = vly_cpu_of(q),
                   .o = o,
                   .p = p,
                   .s = vly_rule_step(o, hyper, norm[0], *p->step + 1),
                   .block = BLOCK};
    if (norm[1] != 0 || !vly_finite(norm[0]) ||
        (!surely_finite(o, c.s, norm[0]) && !stays_finite(o, p, c.s))) {
        stats[VLY_STAT_NONFINITE] += 1;
        return VLY_OK;
    }
    while (p->n > c.block * PARTS_MAX) c.block *= 2;
    const int blocks = (int)((p->n + c.block - 1) / c.block);
    bool finite = true;
    vly_cpu_run(vly_cpu_of(q), FLOPS_PER_WEIGHT * (double)p->n, blocks, step_block, &c);
    for (int i = 0; i < blocks; i++) finite &= c.finite[i];
    ++*p->step;
    stats[VLY_STAT_GRAD_NORM] += norm[0];
    stats[VLY_STAT_STEPS] += 1;
    if (!finite) stats[VLY_STAT_NONFINITE] += 1; /* the weights were not finite to begin with */
    return VLY_OK;
}

vly_status vly_cpu_polyak(vly_queue *q, int64_t n, vly_real *target, const vly_real *online,
                          const vly_hyper *hyper) {
    VLY_NEED("polyak", n >= 0 && target && online && hyper);
    const vly_real tau = (vly_real)hyper->tau;
    if (tau == 1) { /* exact, even from a NaN */
        for (int64_t i = 0; i < n; i++) target[i] = online[i];
        return VLY_OK;
    }
#ifndef VLY_REAL_DOUBLE
    vly_cpu_of(q)->exact->polyak(n, target, online, tau);
#else
    (void)q;
    for (int64_t i = 0; i < n; i++) target[i] = (1 - tau) * target[i] + tau * online[i];
#endif
    return VLY_OK;
}
