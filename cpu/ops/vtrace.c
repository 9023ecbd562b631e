/* vtrace.c -- V-trace targets and policy-gradient advantages. */
#include "common/rules.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_vtrace(vly_queue *q, const vly_vtrace_args *a) {
    (void)q;
    VLY_NEED("vtrace", a && a->T >= 1 && a->N >= 1);
    VLY_NEED("vtrace", a->reward && a->value && a->flags && a->hyper);
    VLY_NEED("vtrace", a->logp_behaviour && a->logp_target);
    VLY_NEED("vtrace", a->advantage && a->target && a->mask);
    double ratios = 0;
    for (int n = 0; n < a->N; n++) ratios += vly_rule_vtrace(a, n);
    if (a->stats) a->stats[VLY_STAT_RHO] += (vly_real)ratios;
    return VLY_OK;
}
