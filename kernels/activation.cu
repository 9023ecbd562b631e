/* activation.cu -- the gradient through an activation with the bias gradient, and small helpers of
 * layers. Traffic: y and dy read once, dz written once: 6 B per number in bf16, 12 B in f32; bound
 * by memory. Column sums: each block sums its rows in registers and shared memory, a second kernel
 * adds the blocks in order. */
#include "kernels/conv.h"
#include "common/base/exact.h"
#include "kernels/bf16.h"
#include "kernels/slope.h"

static const int BLOCK = 256;
static const int64_t BIAS_BLOCKS = 264;

template <class T, int V> struct alignas(sizeof(T) * V) vector_of { T v[V]; };

/* `wide` neighbouring threads take V columns each; the other threads of the block take the
 * following rows. */
template <class T, int V>
static __global__ void __launch_bounds__(256)
    activation_backward(vly_act act, int64_t rows, int columns, int wide, const T *__restrict__ y,
                        T *__restrict__ dy, float *partial) {
    VLY_SHARED(float, sums, [256 * V]);
    const int groups = columns / V, high = BLOCK / wide, line = (int)threadIdx.x / wide;
    const int column = (int)blockIdx.y * wide + (int)threadIdx.x % wide;
    const int64_t each = (rows + gridDim.x - 1) / gridDim.x, from = (int64_t)blockIdx.x * each,
                  to = from + each < rows ? from + each : rows;
    float sum[V];
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] = 0.0f;
    if (line < high && column < groups)
        for (int64_t r = from + line; r < to; r += high) {
            const int64_t at = (r * groups + column) * V;
            vector_of<T, V> d = *reinterpret_cast<const vector_of<T, V> *>(dy + at);
            if (act != VLY_ACT_NONE) {
                const vector_of<T, V> out = *reinterpret_cast<const vector_of<T, V> *>(y + at);
#pragma unroll
                for (int i = 0; i < V; i++)
                    vly_store_real(&d.v[i],
                                   vly_load_real(&d.v[i]) *
                                       vly_activation_slope(act, vly_load_real(&out.v[i])));
                *reinterpret_cast<vector_of<T, V> *>(dy + at) = d;
            }
#pragma unroll
            for (int i = 0; i < V; i++) sum[i] += vly_load_real(&d.v[i]);
        }
#pragma unroll
    for (int i = 0; i < V; i++) sums[(int)threadIdx.x * V + i] = sum[i];
    __syncthreads();
    if (line != 0 || column >= groups) return;
#pragma unroll
    for (int i = 0; i < V; i++) {
        float total = 0.0f;
        for (int l = 0; l < high; l++) total += sums[(l * wide + (int)threadIdx.x) * V + i];
        partial[(int64_t)blockIdx.x * columns + column * V + i] = total;
    }
}

size_t vly_bias_bytes(int columns) {
    return (size_t)BIAS_BLOCKS * (size_t)columns * sizeof(float);
}

template <class T, int V>
static vly_status activation_backward_typed(vly_act act, int64_t rows, int columns, const void *y,
                                            void *dy, float *db, bool accumulate, void *partial,
                                            cudaStream_t stream) {
    const int groups = columns / V, wide = groups < BLOCK ? groups : BLOCK;
    const int64_t blocks = vly_ceil_div(rows, 4 * (BLOCK / wide));
    const unsigned gx = (unsigned)(blocks < 1 ? 1 : blocks < BIAS_BLOCKS ? blocks : BIAS_BLOCKS);
    VLY_LAUNCH((activation_backward<T, V>), dim3(gx, (unsigned)vly_ceil_div(groups, wide)), BLOCK,
               0, stream, act, rows, columns, wide, (const T *)y, (T *)dy, (float *)partial);
    return vly_sum_partials_launch(columns, (int)gx, (const float *)partial, 1.0f, db, accumulate,
                                   stream);
}

vly_status vly_activation_backward_launch(vly_dtype type, vly_act act, int64_t rows, int columns,
                                          const void *y, void *dy, float *db, bool accumulate,
                                          void *partial, cudaStream_t stream) {
    VLY_NEED((type == VLY_F32 || type == VLY_BF16) && rows >= 0 && columns > 0 && y && dy && db &&
             partial);
    const bool aligned = (uintptr_t)y % 16 == 0 && (uintptr_t)dy % 16 == 0;
    if (type == VLY_BF16)
        return aligned && columns % 8 == 0
                   ? activation_backward_typed<vly_bf16, 8>(act, rows, columns, y, dy, db,
                                                            accumulate, partial, stream)
                   : activation_backward_typed<vly_bf16, 1>(act, rows, columns, y, dy, db,
                                                            accumulate, partial, stream);
    return aligned && columns % 4 == 0
               ? activation_backward_typed<float, 4>(act, rows, columns, y, dy, db, accumulate,
                                                     partial, stream)
               : activation_backward_typed<float, 1>(act, rows, columns, y, dy, db, accumulate,
                                                     partial, stream);
}

/* dy *= the slope where the output is y, for engines whose dx pass does not. */
template <class T>
static __global__ void __launch_bounds__(256)
    multiply_by_slope(vly_act act, int64_t n, const T *__restrict__ y, T *dy) {
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        vly_store_real(dy + i,
                       vly_load_real(dy + i) * vly_activation_slope(act, vly_load_real(y + i)));
}

vly_status vly_slope_launch(vly_dtype type, vly_act act, int64_t n, const void *y, void *dy,
                            cudaStream_t stream) {
    VLY_NEED((type == VLY_F32 || type == VLY_BF16) && n > 0 && y && dy);
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    if (type == VLY_F32)
        VLY_LAUNCH(multiply_by_slope<float>, (unsigned)(blocks < 2048 ? blocks : 2048), BLOCK, 0,
                   stream, act, n, (const float *)y, (float *)dy);
    else
        VLY_LAUNCH(multiply_by_slope<vly_bf16>, (unsigned)(blocks < 2048 ? blocks : 2048), BLOCK, 0,
                   stream, act, n, (const vly_bf16 *)y, (vly_bf16 *)dy);
    return VLY_OK;
}

static __global__ void __launch_bounds__(256)
    add_bf16(int64_t n, const vly_bf16 *__restrict__ bf16, float *out, bool accumulate) {
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        out[i] = (accumulate ? out[i] : 0.0f) + vly_from_bf16(bf16[i]);
}

vly_status vly_add_bf16_launch(int64_t n, const void *bf16, float *out, bool accumulate,
                               cudaStream_t stream) {
    VLY_NEED(n > 0 && bf16 && out);
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    VLY_LAUNCH(add_bf16, (unsigned)(blocks < 1024 ? blocks : 1024), BLOCK, 0, stream, n,
               (const vly_bf16 *)bf16, out, accumulate);
    return VLY_OK;
}

static __global__ void __launch_bounds__(256)
    round_weights(int64_t n, const float *__restrict__ w, float scale,
                  vly_bf16 *__restrict__ bf16) {
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        bf16[i] = vly_to_bf16(scale * w[i]);
}

vly_status vly_weights_bf16_launch(int64_t n, const float *w, float scale, void *bf16,
                                   cudaStream_t stream) {
    VLY_NEED(n > 0 && w && bf16);
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    VLY_LAUNCH(round_weights, (unsigned)(blocks < 1024 ? blocks : 1024), BLOCK, 0, stream, n, w,
               scale, (vly_bf16 *)bf16);
    return VLY_OK;
}

template <class T> static __global__ void __launch_bounds__(256) tanh_in_place(int64_t n, T *y) {
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        vly_store_real(y + i, vly_tanhf(vly_load_real(y + i)));
}

vly_status vly_tanh_launch(vly_dtype type, int64_t n, void *y, cudaStream_t stream) {
    VLY_NEED((type == VLY_F32 || type == VLY_BF16) && n >= 0 && y);
    if (n == 0) return VLY_OK;
    const int64_t blocks = vly_ceil_div(n, BLOCK);
    if (type == VLY_F32)
        VLY_LAUNCH(tanh_in_place<float>, (unsigned)(blocks < 2048 ? blocks : 2048), BLOCK, 0,
                   stream, n, (float *)y);
    else
        VLY_LAUNCH(tanh_in_place<vly_bf16>, (unsigned)(blocks < 2048 ? blocks : 2048), BLOCK, 0,
                   stream, n, (vly_bf16 *)y);
    return VLY_OK;
}
