/* normalize.cu -- running moments, what normalises by them, centred inputs, and columns of
 * matrices. Traffic: 8 B per number normalised, copied or centred; 8 B per number of moments, read
 * twice by a block per column. */
#include "kernels/ops.h"
#include "common/base/rules_action.h"
#include "kernels/reduce.h"

static const int BLOCK = 256;

static __global__ void __launch_bounds__(256)
    columns(int64_t n, int width, const float *from, int64_t from_stride, float *to,
            int64_t to_stride) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i / width * to_stride + i % width] = from[i / width * from_stride + i % width];
}

static __global__ void __launch_bounds__(256)
    column_sums(int n, const float *x, int64_t stride, float *out) {
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += x[i * stride + blockIdx.x];
    const double total = vly_block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (float)total;
}

static __global__ void __launch_bounds__(256)
    normalize(int64_t n, int width, const float *x, const float *mean, const float *scale,
              float limit, float *y) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int k = (int)(i % width);
    if (i < n) y[i] = vly_rule_normalize(x[i], mean ? mean[k] : 0.0f, scale[k], limit);
}

static __global__ void __launch_bounds__(256)
    centre_weights(int rows, int64_t k, const float *centre, const float *w, float *to) {
    const int64_t o = blockIdx.x;
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < k; i += blockDim.x) {
        const float x = w[o * k + i];
        to[o * k + i] = x;
        sum += x;
    }
    const double total = vly_block_sum(sum);
    if (threadIdx.x == 0)
        to[rows * k + o] = vly_rule_centred_bias(w[rows * k + o], centre[0], total);
}

static __global__ void __launch_bounds__(256)
    centre_gradient(int rows, int64_t k, const float *centre, float *dw) {
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, weights = rows * k;
    if (i < weights) dw[i] -= centre[0] * dw[weights + i / k];
}

static __global__ void __launch_bounds__(256) running(vly_running_args a) {
    VLY_SHARED(double, shared_mean, [1]);
    const int column = (int)blockIdx.x;
    double count = 0.0, sum = 0.0, squares = 0.0;
    for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x)
        if (!a.mask || a.mask[i] != 0.0f) count += 1.0, sum += a.x[i * a.width + column];
    const double rows = vly_block_sum(count), total = vly_block_sum(sum);
    if (threadIdx.x == 0) shared_mean[0] = rows > 0.0 ? total / rows : 0.0;
    __syncthreads();
    const double mean = shared_mean[0];
    for (int64_t i = threadIdx.x; i < a.n; i += blockDim.x) {
        const double d = a.x[i * a.width + column] - mean;
        if (!a.mask || a.mask[i] != 0.0f) squares += d * d;
    }
    const double spread = vly_block_sum(squares);
    if (threadIdx.x == 0) vly_rule_running(&a, column, rows, mean, spread);
}

static __global__ void __launch_bounds__(64) discounted(vly_discounted_args a) {
    const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n < a.N) vly_rule_discounted(&a, n);
}

vly_status vly_columns_launch(int n, int width, const float *from, int64_t from_stride, float *to,
                              int64_t to_stride, cudaStream_t stream) {
    VLY_NEED(n >= 0 && width >= 0 && from && to && to_stride >= width);
    VLY_NEED(from_stride == 0 || from_stride >= width);
    const int64_t all = (int64_t)n * width;
    if (all == 0) return VLY_OK;
    VLY_LAUNCH(columns, (unsigned)vly_ceil_div(all, BLOCK), BLOCK, 0, stream, all, width, from,
               from_stride, to, to_stride);
    return VLY_OK;
}

vly_status vly_column_sums_launch(int n, int width, const float *x, int64_t stride, float *out,
                                  cudaStream_t stream) {
    VLY_NEED(n >= 0 && width >= 0 && x && out && stride >= width);
    if (width == 0) return VLY_OK;
    VLY_LAUNCH(column_sums, (unsigned)width, BLOCK, 0, stream, n, x, stride, out);
    return VLY_OK;
}

vly_status vly_normalize_launch(int n, int width, const float *x, const float *mean,
                                const float *scale, float limit, float *y, cudaStream_t stream) {
    VLY_NEED(n >= 0 && width > 0 && x && scale && limit > 0 && y);
    const int64_t all = (int64_t)n * width;
    if (all == 0) return VLY_OK;
    VLY_LAUNCH(normalize, (unsigned)vly_ceil_div(all, BLOCK), BLOCK, 0, stream, all, width, x, mean,
               scale, limit, y);
    return VLY_OK;
}

vly_status vly_centre_launch(int rows, int64_t k, const float *centre, const float *w, float *to,
                             cudaStream_t stream) {
    VLY_NEED(rows >= 1 && k >= 1 && centre && w && to && w != to);
    VLY_LAUNCH(centre_weights, (unsigned)rows, BLOCK, 0, stream, rows, k, centre, w, to);
    return VLY_OK;
}

vly_status vly_centre_backward_launch(int rows, int64_t k, const float *centre, float *dw,
                                      cudaStream_t stream) {
    VLY_NEED(rows >= 1 && k >= 1 && centre && dw);
    VLY_LAUNCH(centre_gradient, (unsigned)vly_ceil_div(rows * k, BLOCK), BLOCK, 0, stream, rows, k,
               centre, dw);
    return VLY_OK;
}

vly_status vly_running_launch(const vly_running_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->n >= 0 && a->width > 0 && a->x && a->state && a->scale);
    VLY_LAUNCH(running, (unsigned)a->width, BLOCK, 0, stream, *a);
    return VLY_OK;
}

vly_status vly_discounted_launch(const vly_discounted_args *a, cudaStream_t stream) {
    VLY_NEED(a && a->T >= 0 && a->N > 0 && a->reward && a->flags && a->hyper);
    VLY_NEED(a->carry && a->out && a->mask);
    VLY_LAUNCH(discounted, (unsigned)vly_ceil_div(a->N, 64), 64, 0, stream, *a);
    return VLY_OK;
}
