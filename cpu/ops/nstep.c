/* nstep.c -- n-step returns of sampled rows. */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"

static void prefetch_row(const vly_nstep_args *a, int32_t row) {
    __builtin_prefetch(a->rows.flags + row);
    __builtin_prefetch(a->rows.reward + row);
    __builtin_prefetch(a->rows.action + row);
}

vly_status vly_cpu_nstep(vly_queue *q, const vly_nstep_args *a) {
    (void)q;
    VLY_NEED("nstep", a && a->n >= 0 && a->steps >= 1 && a->rows.T > a->steps && a->rows.N >= 1);
    VLY_NEED("nstep", a->rows.T * a->rows.N <= INT32_MAX);
    VLY_NEED("nstep", a->rows.reward && a->rows.action && a->rows.flags && a->row && a->hyper);
    VLY_NEED("nstep", a->action && a->n_return && a->discount && a->bootstrap_row);
    enum { AHEAD = 12 }; /* rows are scattered over a memory larger than any cache */
    for (int i = 0; i < a->n; i++) {
        if (i + AHEAD < a->n) prefetch_row(a, a->row[i + AHEAD]);
        vly_rule_nstep(a, i);
    }
    return VLY_OK;
}
