/* partials.cu -- sums of partial gradients, of several arrays at once. Traffic: 4 B per partial
 * number, mostly from L2. Where there are many parts, eight warps share those of 32 numbers, so that
 * a short array does not wait for one thread's sum; the order is fixed. */
#include "kernels/conv.h"

enum { BLOCK = 256, WARPS = BLOCK / 32, MANY = 8 };

typedef struct {
    vly_partials array[VLY_PARTIALS];
    unsigned first_block[VLY_PARTIALS];
    int count;
} partials_group;

static __device__ __forceinline__ float sum_of_parts(const vly_partials &a, int64_t e, int from,
                                                     int to) {
    float sum = 0.0f;
#pragma unroll 8
    for (int s = from; s < to; s++) sum += a.partial[s * a.next + e];
    return sum;
}

static __device__ __forceinline__ void write_sum_of_parts(const vly_partials &a, int64_t e,
                                                          float sum) {
    a.out[e] = (a.accumulate ? a.out[e] : 0.0f) + a.scale * sum;
}

static __global__ void __launch_bounds__(256)
    sum_partials(const __grid_constant__ partials_group g) {
    VLY_SHARED(float, part, [WARPS][32]);
    int i = 0;
    while (i + 1 < g.count && blockIdx.x >= g.first_block[i + 1]) i++;
    const vly_partials &a = g.array[i];
    const int64_t block = blockIdx.x - g.first_block[i];
    if (a.parts < MANY) {
        const int64_t e = block * BLOCK + threadIdx.x;
        if (e < a.n) write_sum_of_parts(a, e, sum_of_parts(a, e, 0, a.parts));
        return;
    }
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31,
              each = (a.parts + WARPS - 1) / WARPS, from = warp * each,
              to = from + each < a.parts ? from + each : a.parts;
    const int64_t e = block * 32 + lane;
    part[warp][lane] = e < a.n ? sum_of_parts(a, e, from, to) : 0.0f;
    __syncthreads();
    if (warp != 0 || e >= a.n) return;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += part[w][lane];
    write_sum_of_parts(a, e, sum);
}

vly_status vly_partials_launch(const vly_partials *arrays, int count, cudaStream_t stream) {
    VLY_NEED(arrays && count >= 1 && count <= VLY_PARTIALS);
    partials_group g = {};
    int64_t blocks = 0;
    g.count = count;
    for (int i = 0; i < count; i++) {
        const vly_partials *a = &arrays[i];
        VLY_NEED(a->n > 0 && a->parts >= 0 && a->partial && a->out);
        g.array[i] = *a;
        g.first_block[i] = (unsigned)blocks;
        blocks += vly_ceil_div(a->n, a->parts < MANY ? BLOCK : 32);
    }
    VLY_NEED(blocks <= INT32_MAX);
    VLY_LAUNCH(sum_partials, (unsigned)blocks, BLOCK, 0, stream, g);
    return VLY_OK;
}

vly_status vly_sum_partials_launch(int64_t n, int parts, const float *partial, float scale,
                                   float *out, bool accumulate, cudaStream_t stream) {
    const vly_partials a = {partial, out, n, n, parts, scale, accumulate};
    return vly_partials_launch(&a, 1, stream);
}
