/* fingerprint.cu -- one number that two arrays share when they are the same, bit for bit. Traffic:
 * 4 B per number. A sum of mixed words, modulo 2^64: exact, so the order of the additions does not
 * matter. */
#include "kernels/ops.h"
#include "kernels/reduce.h"
#include "common/base/rules.h"

static const int BLOCK = 256, BLOCKS_MAX = 1024;
typedef unsigned long long ull;

static __global__ void __launch_bounds__(256)
    fingerprint(int64_t n, const float *__restrict__ x, uint64_t *out) {
    ull sum = 0;
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        sum += (ull)vly_rule_fingerprint(x[i], (uint64_t)i);
    sum = vly_block_sum(sum);
    if (threadIdx.x == 0) atomicAdd((ull *)out, sum);
}

vly_status vly_fingerprint_launch(int64_t n, const float *x, uint64_t *out, cudaStream_t stream) {
    VLY_NEED(n >= 0 && (x || n == 0) && out);
    VLY_CUDA_TRY(cudaMemsetAsync(out, 0, sizeof *out, stream));
    if (n == 0) return VLY_OK;
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    VLY_LAUNCH(fingerprint, (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX), BLOCK, 0, stream,
               n, x, out);
    return VLY_OK;
}
