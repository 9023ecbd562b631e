/* gae.c -- generalised advantage estimation; 17 bytes read or written per row. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

vly_status vly_cpu_gae(vly_queue *q, const vly_gae_args *a) {
    VLY_NEED("gae", a && a->T >= 1 && a->N >= 1);
    VLY_NEED("gae", a->reward && a->value && a->flags && a->hyper);
    VLY_NEED("gae", a->advantage && a->target && a->mask);
    int n = 0;
    for (; a->own && n < a->N; n++) vly_rule_gae_turns(a, n);
#ifndef VLY_REAL_DOUBLE
    for (; n + VLY_SCAN_COLUMNS <= a->N; n += VLY_SCAN_COLUMNS) vly_cpu_of(q)->exact->gae(a, n);
#else
    (void)q;
#endif
    for (; n < a->N; n++) vly_rule_gae(a, n);
    return VLY_OK;
}
