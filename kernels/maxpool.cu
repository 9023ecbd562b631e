/* maxpool.cu -- max-pooling of NHWC images; padding counts as minus infinity. Traffic: each input
 * read once from memory (windows overlap in L1), 1/stride^2 as much written. The backward pass
 * asks, for each input pixel, which of the windows over it it won: no atomics, and the order of
 * sums is the CPU's. */
#include "kernels/ops.h"
#include "kernels/bf16.h"

static const int BLOCK = 256;

typedef struct {
    int n, in_h, in_w, c, out_h, out_w, kernel, stride, pad;
} pool_shape;

/* Index in the image of the window's largest number, the first one if several are equal. */
template <class T>
static __device__ __forceinline__ int
window_maximum(const pool_shape &s, const T *__restrict__ image, int oy, int ox, int c) {
    int best = -1;
    float largest = 0.0f;
    for (int ky = 0; ky < s.kernel; ky++) {
        const int y = oy * s.stride - s.pad + ky;
        for (int kx = 0; kx < s.kernel; kx++) {
            const int x = ox * s.stride - s.pad + kx;
            if (y < 0 || y >= s.in_h || x < 0 || x >= s.in_w) continue;
            const int at = (y * s.in_w + x) * s.c + c;
            const float v = vly_load_real(image + at);
            if (best < 0 || v > largest) best = at, largest = v;
        }
    }
    return best;
}

template <class T>
static __global__ void __launch_bounds__(256)
    maxpool(pool_shape s, const T *__restrict__ x, T *__restrict__ y) {
    const int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x,
                  size = (int64_t)s.out_h * s.out_w * s.c;
    if (i >= s.n * size) return;
    const int e = (int)(i % size), c = e % s.c, ox = e / s.c % s.out_w, oy = e / (s.c * s.out_w);
    const T *image = x + i / size * s.in_h * s.in_w * s.c;
    y[i] = image[window_maximum(s, image, oy, ox, c)];
}

/* The value as stored in an array of T: sums are rounded after every addition. */
static __device__ __forceinline__ float rounded_to(float v, const float *) {
    return v;
}
static __device__ __forceinline__ float rounded_to(float v, const vly_bf16 *) {
    return vly_from_bf16(vly_to_bf16(v));
}

template <class T>
static __global__ void __launch_bounds__(256)
    maxpool_backward(pool_shape s, const T *__restrict__ x, const T *__restrict__ dy,
                     T *__restrict__ dx) {
    const int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x,
                  size = (int64_t)s.in_h * s.in_w * s.c;
    if (i >= s.n * size) return;
    const int e = (int)(i % size), c = e % s.c, px = e / s.c % s.in_w, py = e / (s.c * s.in_w);
    const T *image = x + i / size * size, *slopes = dy + i / size * s.out_h * s.out_w * s.c;
    /* windows over this pixel: oy * stride - pad <= py < oy * stride - pad + kernel */
    const int from_y = py + s.pad < s.kernel ? 0 : (py + s.pad - s.kernel) / s.stride + 1;
    const int from_x = px + s.pad < s.kernel ? 0 : (px + s.pad - s.kernel) / s.stride + 1;
    float sum = 0.0f;
    for (int oy = from_y; oy <= (py + s.pad) / s.stride && oy < s.out_h; oy++)
        for (int ox = from_x; ox <= (px + s.pad) / s.stride && ox < s.out_w; ox++)
            if (window_maximum(s, image, oy, ox, c) == e)
                sum = rounded_to(sum + vly_load_real(slopes + (oy * s.out_w + ox) * s.c + c), dx);
    vly_store_real(dx + i, sum);
}

static pool_shape shape_of(const vly_layer_desc *d, int n) {
    const pool_shape s = {n,
                          d->in_h,
                          d->in_w,
                          d->in_c,
                          vly_out_size(d->in_h, d->kernel, d->stride, d->pad),
                          vly_out_size(d->in_w, d->kernel, d->stride, d->pad),
                          d->kernel,
                          d->stride,
                          d->pad};
    return s;
}

static bool pool_fits(const pool_shape *s) {
    return s->n >= 0 && s->out_h > 0 && s->out_w > 0 &&
           (int64_t)s->in_h * s->in_w * s->c <= INT32_MAX &&
           s->n * (int64_t)s->in_h * s->in_w * s->c / BLOCK < INT32_MAX;
}

vly_status vly_maxpool_launch(const vly_layer_desc *d, int n, const void *x, void *y,
                              cudaStream_t stream) {
    VLY_NEED(d && x && y && (d->x_type == VLY_F32 || d->x_type == VLY_BF16));
    const pool_shape s = shape_of(d, n);
    VLY_NEED(pool_fits(&s));
    if (n == 0) return VLY_OK;
    const unsigned blocks = (unsigned)vly_ceil_div((int64_t)n * s.out_h * s.out_w * s.c, BLOCK);
    if (d->x_type == VLY_F32)
        VLY_LAUNCH(maxpool<float>, blocks, BLOCK, 0, stream, s, (const float *)x, (float *)y);
    else
        VLY_LAUNCH(maxpool<vly_bf16>, blocks, BLOCK, 0, stream, s, (const vly_bf16 *)x,
                   (vly_bf16 *)y);
    return VLY_OK;
}

vly_status vly_maxpool_backward_launch(const vly_layer_desc *d, int n, const void *x,
                                       const void *dy, void *dx, cudaStream_t stream) {
    VLY_NEED(d && x && dy && dx && (d->x_type == VLY_F32 || d->x_type == VLY_BF16));
    const pool_shape s = shape_of(d, n);
    VLY_NEED(pool_fits(&s));
    if (n == 0) return VLY_OK;
    const unsigned blocks = (unsigned)vly_ceil_div((int64_t)n * s.in_h * s.in_w * s.c, BLOCK);
    if (d->x_type == VLY_F32)
        VLY_LAUNCH(maxpool_backward<float>, blocks, BLOCK, 0, stream, s, (const float *)x,
                   (const float *)dy, (float *)dx);
    else
        VLY_LAUNCH(maxpool_backward<vly_bf16>, blocks, BLOCK, 0, stream, s, (const vly_bf16 *)x,
                   (const vly_bf16 *)dy, (vly_bf16 *)dx);
    return VLY_OK;
}
