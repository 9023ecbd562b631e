/* gae.c -- generalised advantage estimation; 17 bytes read or written per row. */
#include "common/rules.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_gae(vly_queue *q, const vly_gae_args *a) {
    (void)q;
    VLY_NEED("gae", a && a->T >= 1 && a->N >= 1);
    VLY_NEED("gae", a->reward && a->value && a->flags && a->hyper);
    VLY_NEED("gae", a->advantage && a->target && a->mask);
    for (int n = 0; n < a->N; n++) vly_rule_gae(a, n);
    return VLY_OK;
}
