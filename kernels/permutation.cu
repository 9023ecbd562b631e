/* permutation.cu -- a shuffled order, every element computed alone. Traffic: 4 B per element. */
#include "kernels/ops.h"
#include "common/base/rules.h"

static __global__ void __launch_bounds__(256)
    permutation(int n, const vly_rng *rng, int32_t *order) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) order[i] = vly_rule_permute((uint32_t)n, rng, (uint32_t)i);
}

vly_status vly_permutation_launch(int n, const vly_rng *rng, int32_t *order, cudaStream_t stream) {
    VLY_NEED(n >= 0 && rng && order);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(permutation, (unsigned)vly_ceil_div(n, 256), 256, 0, stream, n, rng, order);
    return VLY_OK;
}
