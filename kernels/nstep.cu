/* nstep.cu -- n-step returns of sampled rows: a thread per sample.
 * Traffic: 5 B per step of each sample, scattered (a 32-byte sector each), and 16 B out. */
#include "kernels/ops.h"
#include "common/base/rules.h"

static __global__ void __launch_bounds__(64) nstep(vly_nstep_args a) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < a.n) vly_rule_nstep(&a, i);
}

vly_status vly_nstep_launch(const vly_nstep_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->n >= 0 && a->steps > 0 && a->rows.T > 0 && a->rows.N > 0);
    VLY_NEED(a->rows.reward && a->rows.action && a->rows.flags && a->row && a->hyper);
    VLY_NEED(a->action && a->n_return && a->discount && a->bootstrap_row);
    if (a->n == 0) return VLY_OK;
    VLY_LAUNCH(nstep, (unsigned)vly_ceil_div(a->n, 64), 64, 0, stream, *a);
    return VLY_OK;
}
