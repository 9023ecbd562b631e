/* elementwise.cu -- activations, residual sums and conversions on flat arrays. Traffic: every
 * number read and written once (relu 8 B, add 12 B, relu_backward 12 to 16 B in f32; half of that
 * in bf16). A thread moves 16 bytes per access. */
#include "kernels/ops.h"
#include "kernels/bf16.h"

static const int BLOCK = 256, BLOCKS_MAX = 132 * 16;

/* Loads and stores of 16 bytes. */
template <class T> struct vector_access;
template <> struct vector_access<float> {
    enum { N = 4 };
    static __device__ __forceinline__ void load(const float *p, float *v) {
        const float4 x = *reinterpret_cast<const float4 *>(p);
        v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
    }
    static __device__ __forceinline__ void store(float *p, const float *v) {
        *reinterpret_cast<float4 *>(p) = make_float4(v[0], v[1], v[2], v[3]);
    }
};
template <> struct vector_access<vly_bf16> {
    enum { N = 8 };
    static __device__ __forceinline__ void load(const vly_bf16 *p, float *v) {
        const uint4 x = *reinterpret_cast<const uint4 *>(p);
        const uint32_t w[4] = {x.x, x.y, x.z, x.w};
        for (int i = 0; i < 4; i++)
            v[2 * i] = vly_from_bf16((vly_bf16)(w[i] & 0xffffu)),
                  v[2 * i + 1] = vly_from_bf16((vly_bf16)(w[i] >> 16));
    }
    static __device__ __forceinline__ void store(vly_bf16 *p, const float *v) {
        *reinterpret_cast<uint4 *>(p) =
            make_uint4(vly_pack_bf16(v[0], v[1]), vly_pack_bf16(v[2], v[3]),
                       vly_pack_bf16(v[4], v[5]), vly_pack_bf16(v[6], v[7]));
    }
};

/* a: first input; b: second input, or the old value of y. NaN stays NaN. */
struct relu_op {
    static __device__ __forceinline__ float at(float a, float) { return a <= 0.0f ? 0.0f : a; }
};
struct add_op {
    static __device__ __forceinline__ float at(float a, float b) { return b + a; }
};
struct gate_op {
    static __device__ __forceinline__ float at(float y, float dy) { return y > 0.0f ? dy : 0.0f; }
};

/* out = op(a, b); b may be NULL. */
template <class T, class Op>
static __global__ void __launch_bounds__(256)
    map_kernel(int64_t n, const T *a, const T *b, T *out) {
    enum { N = vector_access<T>::N };
    const int64_t stride = (int64_t)gridDim.x * BLOCK,
                  from = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    for (int64_t i = from; i < n / N; i += stride) {
        float x[N], y[N];
        vector_access<T>::load(a + i * N, x);
        for (int k = 0; k < N; k++) y[k] = 0.0f;
        if (b) vector_access<T>::load(b + i * N, y);
        for (int k = 0; k < N; k++) x[k] = Op::at(x[k], y[k]);
        vector_access<T>::store(out + i * N, x);
    }
    for (int64_t i = n / N * N + from; i < n; i += stride)
        vly_store_real(out + i, Op::at(vly_load_real(a + i), b ? vly_load_real(b + i) : 0.0f));
}

/* dx += dy where y > 0 */
template <class T>
static __global__ void __launch_bounds__(256) gate_add(int64_t n, const T *y, const T *dy, T *dx) {
    enum { N = vector_access<T>::N };
    const int64_t stride = (int64_t)gridDim.x * BLOCK,
                  from = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    for (int64_t i = from; i < n / N; i += stride) {
        float a[N], b[N], c[N];
        vector_access<T>::load(y + i * N, a);
        vector_access<T>::load(dy + i * N, b);
        vector_access<T>::load(dx + i * N, c);
        for (int k = 0; k < N; k++) c[k] = c[k] + gate_op::at(a[k], b[k]);
        vector_access<T>::store(dx + i * N, c);
    }
    for (int64_t i = n / N * N + from; i < n; i += stride)
        vly_store_real(dx + i, vly_load_real(dx + i) +
                                   gate_op::at(vly_load_real(y + i), vly_load_real(dy + i)));
}

template <class S, class T>
static __global__ void __launch_bounds__(256)
    convert(int64_t n, const S *__restrict__ x, T *__restrict__ y) {
    const int64_t stride = (int64_t)gridDim.x * BLOCK,
                  from = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    for (int64_t i = from; i < n / 8; i += stride) {
        float v[8];
        for (int k = 0; k < 8; k += vector_access<S>::N)
            vector_access<S>::load(x + i * 8 + k, v + k);
        for (int k = 0; k < 8; k += vector_access<T>::N)
            vector_access<T>::store(y + i * 8 + k, v + k);
    }
    for (int64_t i = n / 8 * 8 + from; i < n; i += stride)
        vly_store_real(y + i, vly_load_real(x + i));
}

static unsigned blocks_for(int64_t n) {
    const int64_t blocks = vly_ceil_div(n, BLOCK * 8);
    return (unsigned)(blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX);
}

static bool is_real_type(vly_dtype type) {
    return type == VLY_F32 || type == VLY_BF16;
}
static bool is_aligned(const void *p) {
    return (uintptr_t)p % 16 == 0;
}

template <class T, class Op>
static vly_status map_on(int64_t n, const void *a, const void *b, void *out, cudaStream_t stream) {
    VLY_LAUNCH((map_kernel<T, Op>), blocks_for(n), BLOCK, 0, stream, n, (const T *)a, (const T *)b,
               (T *)out);
    return VLY_OK;
}

vly_status vly_relu_launch(vly_dtype type, int64_t n, const void *x, void *y, cudaStream_t stream) {
    VLY_NEED(is_real_type(type) && n >= 0 && x && y && is_aligned(x) && is_aligned(y));
    if (n == 0) return VLY_OK;
    return type == VLY_F32 ? map_on<float, relu_op>(n, x, NULL, y, stream)
                           : map_on<vly_bf16, relu_op>(n, x, NULL, y, stream);
}

vly_status vly_add_launch(vly_dtype type, int64_t n, const void *x, void *y, cudaStream_t stream) {
    VLY_NEED(is_real_type(type) && n >= 0 && x && y && is_aligned(x) && is_aligned(y));
    if (n == 0) return VLY_OK;
    return type == VLY_F32 ? map_on<float, add_op>(n, x, y, y, stream)
                           : map_on<vly_bf16, add_op>(n, x, y, y, stream);
}

vly_status vly_relu_backward_launch(vly_dtype type, int64_t n, const void *y, const void *dy,
                                    void *dx, bool accumulate, cudaStream_t stream) {
    VLY_NEED(is_real_type(type) && n >= 0 && y && dy && dx && is_aligned(y) && is_aligned(dy) &&
             is_aligned(dx));
    if (n == 0) return VLY_OK;
    if (!accumulate)
        return type == VLY_F32 ? map_on<float, gate_op>(n, y, dy, dx, stream)
                               : map_on<vly_bf16, gate_op>(n, y, dy, dx, stream);
    if (type == VLY_F32)
        VLY_LAUNCH(gate_add<float>, blocks_for(n), BLOCK, 0, stream, n, (const float *)y,
                   (const float *)dy, (float *)dx);
    else
        VLY_LAUNCH(gate_add<vly_bf16>, blocks_for(n), BLOCK, 0, stream, n, (const vly_bf16 *)y,
                   (const vly_bf16 *)dy, (vly_bf16 *)dx);
    return VLY_OK;
}

vly_status vly_convert_launch(int64_t n, vly_dtype from, const void *x, vly_dtype to, void *y,
                              cudaStream_t stream) {
    VLY_NEED(is_real_type(from) && is_real_type(to) && n >= 0 && x && y && is_aligned(x) &&
             is_aligned(y));
    if (n == 0) return VLY_OK;
    if (from == to)
        VLY_CUDA_TRY(cudaMemcpyAsync(y, x, (size_t)n * vly_dtype_bytes(from),
                                     cudaMemcpyDeviceToDevice, stream));
    else if (to == VLY_BF16)
        VLY_LAUNCH((convert<float, vly_bf16>), blocks_for(n), BLOCK, 0, stream, n, (const float *)x,
                   (vly_bf16 *)y);
    else
        VLY_LAUNCH((convert<vly_bf16, float>), blocks_for(n), BLOCK, 0, stream, n,
                   (const vly_bf16 *)x, (float *)y);
    return VLY_OK;
}
