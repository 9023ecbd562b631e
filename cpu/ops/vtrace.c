/* vtrace.c -- V-trace targets and policy-gradient advantages; 29 bytes read or written per row. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

/* The sum over columns in their order, so that it does not depend on how many go side by side. */
static double ratio_sum(vly_queue *q, const vly_vtrace_args *a) {
    double sum = 0;
    int n = 0;
#ifndef VLY_REAL_DOUBLE
    for (float ratios[VLY_SCAN_COLUMNS]; n + VLY_SCAN_COLUMNS <= a->N; n += VLY_SCAN_COLUMNS) {
        vly_cpu_of(q)->exact->vtrace(a, n, ratios);
        for (int i = 0; i < VLY_SCAN_COLUMNS; i++) sum += ratios[i];
    }
#else
    (void)q;
#endif
    for (; n < a->N; n++) sum += vly_rule_vtrace(a, n);
    return sum;
}

vly_status vly_cpu_vtrace(vly_queue *q, const vly_vtrace_args *a) {
    VLY_NEED("vtrace", a && a->T >= 1 && a->N >= 1);
    VLY_NEED("vtrace", a->reward && a->value && a->flags && a->hyper);
    VLY_NEED("vtrace", a->logp_behaviour && a->logp_target);
    VLY_NEED("vtrace", a->advantage && a->target && a->mask);
    const double ratios = ratio_sum(q, a);
    if (a->stats) a->stats[VLY_STAT_RHO] += (vly_real)ratios;
    return VLY_OK;
}
