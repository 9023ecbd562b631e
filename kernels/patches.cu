/* patches.cu -- patches as rows of a matrix, and what the input gradient needs around its product.
 * Traffic of unfold: the image once (its overlaps from cache), the rows written: kernel^2 /
 * stride^2 times as many numbers. The engine (gpu/engine_patches.c) unfolds so many images at a
 * time as the L2 cache holds rows of. Bound by memory.
 *
 * A thread moves V neighbours (16 bytes of the row where the channels allow) that lie together in
 * the image too. */
#include "kernels/patches.h"
#include "kernels/bf16.h"
#include "kernels/index.h"

static const int BLOCK = 256;

template <class T, int V> struct alignas(sizeof(T) * V) vector_of { T v[V]; };

typedef struct {
    int total, columns; /* all groups; numbers per row, without padding */
    int in_h, in_w, in_c, stride, pad;
    vly_divider groups;        /* group -> row */
    vly_divider pixels, out_w; /* row -> image, line, column */
    vly_divider run, taps_w;   /* column -> tap -> line and column of the kernel */
    bool lines;                /* a tap is a whole line of the kernel: nothing is padded */
} unfold_shape;

/* Index in the image of column k of a row; -1: padding. */
static __device__ __forceinline__ int64_t patch_offset(const unfold_shape &w, int row, int k) {
    if (k >= w.columns) return -1;
    const int image = vly_quotient(row, w.pixels), rest = row - image * (int)w.pixels.d,
              oy = vly_quotient(rest, w.out_w), ox = rest - oy * (int)w.out_w.d;
    const int tap = vly_quotient(k, w.run), within = k - tap * (int)w.run.d,
              ty = w.lines ? tap : vly_quotient(tap, w.taps_w);
    const int y = oy * w.stride - w.pad + ty,
              x = ox * w.stride - w.pad + (w.lines ? 0 : tap - ty * (int)w.taps_w.d);
    if ((unsigned)y >= (unsigned)w.in_h || (unsigned)x >= (unsigned)w.in_w) return -1;
    return (((int64_t)image * w.in_h + y) * w.in_w + x) * w.in_c + within;
}

template <class S, class T, int V>
static __global__ void __launch_bounds__(256)
    unfold(unfold_shape w, const S *__restrict__ x, T *__restrict__ rows) {
    const int i = (int)blockIdx.x * BLOCK + (int)threadIdx.x;
    if (i >= w.total) return;
    const int row = vly_quotient(i, w.groups);
    const int64_t at = patch_offset(w, row, (i - row * (int)w.groups.d) * V);
    vector_of<S, V> from;
#pragma unroll
    for (int k = 0; k < V; k++) from.v[k] = 0;
    if (at >= 0) from = *reinterpret_cast<const vector_of<S, V> *>(x + at);
    vector_of<T, V> to;
#pragma unroll
    for (int k = 0; k < V; k++) vly_store_real(&to.v[k], vly_load_real(&from.v[k]));
    *reinterpret_cast<vector_of<T, V> *>(rows + (int64_t)i * V) = to;
}

static vly_status check_unfold(const vly_conv *c, int n) {
    VLY_NEED(c && n >= 0 && c->in_h > 0 && c->in_w > 0 && c->in_c > 0 && c->out_h > 0 &&
             c->out_w > 0 && c->out_c > 0);
    VLY_NEED(c->kernel > 0 && c->stride > 0 && c->pad >= 0);
    return VLY_OK;
}

static unfold_shape window_of(const vly_conv *c, int n, const void *x, int columns, int *vec) {
    unfold_shape w = {};
    const int line = c->kernel * c->in_c;
    const bool inside = c->pad == 0 && (c->out_w - 1) * c->stride + c->kernel <= c->in_w;
    const int line_width = vly_access_width(x, c->x_type, line, c->stride * c->in_c,
                                            c->in_w * c->in_c);
    const int pixel_width = vly_access_width(x, c->x_type, c->in_c, 0, 0);
    w.lines = inside && line_width >= pixel_width;
    *vec = w.lines ? line_width : pixel_width;
    w.columns = c->kernel * line;
    w.in_h = c->in_h, w.in_w = c->in_w, w.in_c = c->in_c, w.stride = c->stride, w.pad = c->pad;
    w.pixels = vly_divider_of(c->out_h * c->out_w), w.out_w = vly_divider_of(c->out_w);
    w.run = vly_divider_of(w.lines ? line : c->in_c), w.taps_w = vly_divider_of(c->kernel);
    w.total = n * c->out_h * c->out_w * columns; /* divided by the width below */
    return w;
}

template <class S, class T, int V>
static vly_status unfold_by(unfold_shape w, int columns, const void *x, void *rows,
                            cudaStream_t stream) {
    w.groups = vly_divider_of(columns / V), w.total /= V;
    VLY_LAUNCH((unfold<S, T, V>), (unsigned)vly_ceil_div(w.total, BLOCK), BLOCK, 0, stream, w,
               (const S *)x, (T *)rows);
    return VLY_OK;
}

/* V is at most 16 bytes of the row. */
template <class S, class T>
static vly_status unfold_types(const unfold_shape &w, int vec, int columns, const void *x,
                               void *rows, cudaStream_t stream) {
    if (vec == 8 && sizeof(T) == 2)
        return unfold_by<S, T, 16 / sizeof(T)>(w, columns, x, rows, stream);
    if (vec >= 4) return unfold_by<S, T, 4>(w, columns, x, rows, stream);
    return unfold_by<S, T, 1>(w, columns, x, rows, stream);
}

vly_status vly_unfold_launch(const vly_conv *c, int n, const void *x, vly_dtype type, int columns,
                             void *rows, cudaStream_t stream) {
    VLY_TRY(check_unfold(c, n));
    VLY_NEED(x && rows && (uintptr_t)rows % 16 == 0 &&
             columns == vly_patch_columns(c->kernel * c->kernel * c->in_c, type));
    VLY_NEED((int64_t)n * c->out_h * c->out_w * columns < INT32_MAX - BLOCK);
    VLY_NEED(type == VLY_BF16 ? c->x_type == VLY_BF16 || c->x_type == VLY_U8
                              : type == VLY_F32 && (c->x_type == VLY_F32 || c->x_type == VLY_U8));
    if (n == 0) return VLY_OK;
    int vec;
    const unfold_shape w = window_of(c, n, x, columns, &vec);
    if (type == VLY_BF16)
        return c->x_type == VLY_U8
                   ? unfold_types<uint8_t, vly_bf16>(w, vec, columns, x, rows, stream)
                   : unfold_types<vly_bf16, vly_bf16>(w, vec, columns, x, rows, stream);
    return c->x_type == VLY_U8 ? unfold_types<uint8_t, float>(w, vec, columns, x, rows, stream)
                               : unfold_types<float, float>(w, vec, columns, x, rows, stream);
}

/* ---- the input gradient ---- */

vly_conv vly_conv_turned(const vly_conv *c) {
    vly_conv t = *c;
    const int s = c->stride, taps = (c->kernel + s - 1) / s, first = c->pad / s;
    t.act = VLY_ACT_NONE, t.x_type = c->y_type, t.y_type = c->x_type, t.x_scale = t.w_scale = 1.0f;
    t.in_h = c->out_h, t.in_w = c->out_w, t.in_c = c->out_c, t.kernel = taps, t.stride = 1,
    t.pad = taps - 1 - first;
    t.out_h = (c->pad + c->in_h - 1) / s - first + 1,
    t.out_w = (c->pad + c->in_w - 1) / s - first + 1, t.out_c = s * s * c->in_c;
    return t;
}

typedef struct {
    int total, columns, taps, kernel, stride, in_c, out_c;
} turn_shape;

template <class T>
static __global__ void __launch_bounds__(256)
    turn_weights(turn_shape t, const T *__restrict__ w, T *__restrict__ out) {
    const int i = (int)blockIdx.x * BLOCK + (int)threadIdx.x;
    if (i >= t.total) return;
    const int row = i / t.columns, k = i % t.columns, o = k % t.out_c, tap = k / t.out_c;
    const int c = row % t.in_c, place = row / t.in_c;
    const int ky = (t.taps - 1 - tap / t.taps) * t.stride + place / t.stride,
              kx = (t.taps - 1 - tap % t.taps) * t.stride + place % t.stride;
    const bool there = tap < t.taps * t.taps && ky < t.kernel && kx < t.kernel;
    out[i] = there ? w[(((int64_t)o * t.kernel + ky) * t.kernel + kx) * t.in_c + c] : (T)0;
}

vly_status vly_turn_weights_launch(const vly_conv *c, const void *w, vly_dtype type, int columns,
                                   void *out, cudaStream_t stream) {
    VLY_TRY(check_unfold(c, 1));
    const vly_conv turned = vly_conv_turned(c);
    VLY_NEED(w && out && (type == VLY_F32 || type == VLY_BF16) &&
             columns >= turned.kernel * turned.kernel * c->out_c);
    VLY_NEED((int64_t)turned.out_c * columns < INT32_MAX - BLOCK);
    const turn_shape t = {
        turned.out_c * columns, columns, turned.kernel, c->kernel, c->stride, c->in_c, c->out_c};
    const unsigned blocks = (unsigned)vly_ceil_div(t.total, BLOCK);
    if (type == VLY_BF16)
        VLY_LAUNCH(turn_weights<vly_bf16>, blocks, BLOCK, 0, stream, t, (const vly_bf16 *)w,
                   (vly_bf16 *)out);
    else
        VLY_LAUNCH(turn_weights<float>, blocks, BLOCK, 0, stream, t, (const float *)w,
                   (float *)out);
    return VLY_OK;
}

typedef struct {
    int total, stride, pad, first, cells_h, cells_w, in_c, groups;
    vly_divider channels, in_w, in_h, by; /* group -> pixel -> line -> image; by the stride */
} fold_shape;

template <class T, int V>
static __global__ void __launch_bounds__(256)
    fold_cells(fold_shape f, const T *__restrict__ cells, T *__restrict__ dx) {
    const int i = (int)blockIdx.x * BLOCK + (int)threadIdx.x;
    if (i >= f.total) return;
    const int pixel = vly_quotient(i, f.channels), c = i - pixel * f.groups,
              line = vly_quotient(pixel, f.in_w), image = vly_quotient(line, f.in_h);
    const int y = line - image * (int)f.in_h.d + f.pad, x = pixel - line * (int)f.in_w.d + f.pad;
    const int cell_y = vly_quotient(y, f.by), cell_x = vly_quotient(x, f.by),
              place = (y - cell_y * f.stride) * f.stride + x - cell_x * f.stride;
    const int64_t cell = ((int64_t)image * f.cells_h + cell_y - f.first) * f.cells_w + cell_x -
                         f.first;
    const int64_t from = (cell * f.stride * f.stride + place) * f.in_c + c * V;
    *reinterpret_cast<vector_of<T, V> *>(dx + (int64_t)i * V) =
        *reinterpret_cast<const vector_of<T, V> *>(cells + from);
}

template <class T, int V>
static vly_status fold_by(fold_shape f, const void *cells, void *dx, cudaStream_t stream) {
    f.groups = f.in_c / V, f.total /= V;
    f.channels = vly_divider_of(f.groups);
    VLY_LAUNCH((fold_cells<T, V>), (unsigned)vly_ceil_div(f.total, BLOCK), BLOCK, 0, stream, f,
               (const T *)cells, (T *)dx);
    return VLY_OK;
}

vly_status vly_fold_cells_launch(const vly_conv *c, int n, const void *cells, void *dx,
                                 cudaStream_t stream) {
    VLY_TRY(check_unfold(c, n));
    VLY_NEED(cells && dx && (c->x_type == VLY_F32 || c->x_type == VLY_BF16));
    VLY_NEED((int64_t)n * c->in_h * c->in_w * c->in_c < INT32_MAX - BLOCK);
    if (n == 0) return VLY_OK;
    const vly_conv t = vly_conv_turned(c);
    const int vec = vly_access_width(cells, c->x_type, c->in_c, 0, 0),
              aligned = vly_access_width(dx, c->x_type, c->in_c, 0, 0) >= vec ? vec : 1;
    fold_shape f = {n * c->in_h * c->in_w * c->in_c,
                    c->stride,
                    c->pad,
                    c->pad / c->stride,
                    t.out_h,
                    t.out_w,
                    c->in_c,
                    0,
                    {},
                    {},
                    {},
                    {}};
    f.in_w = vly_divider_of(c->in_w), f.in_h = vly_divider_of(c->in_h),
    f.by = vly_divider_of(c->stride);
    if (c->x_type == VLY_BF16)
        return aligned == 8   ? fold_by<vly_bf16, 8>(f, cells, dx, stream)
               : aligned == 4 ? fold_by<vly_bf16, 4>(f, cells, dx, stream)
                              : fold_by<vly_bf16, 1>(f, cells, dx, stream);
    return aligned >= 4 ? fold_by<float, 4>(f, cells, dx, stream)
                        : fold_by<float, 1>(f, cells, dx, stream);
}

/* ---- rows of another length ---- */

template <class T>
static __global__ void __launch_bounds__(256)
    widen_rows(int total, int count, int columns, const T *__restrict__ from, T *__restrict__ to) {
    const int i = (int)blockIdx.x * BLOCK + (int)threadIdx.x;
    if (i < total)
        to[i] = i % columns < count ? from[(int64_t)(i / columns) * count + i % columns] : (T)0;
}

static vly_status check_row_lengths(int rows, int count, int columns) {
    VLY_NEED(rows > 0 && count > 0 && columns >= count &&
             (int64_t)rows * columns < INT32_MAX - BLOCK);
    return VLY_OK;
}

vly_status vly_widen_rows_launch(int rows, int count, int columns, vly_dtype type, const void *from,
                                 void *to, cudaStream_t stream) {
    VLY_TRY(check_row_lengths(rows, count, columns));
    VLY_NEED(from && to && (type == VLY_F32 || type == VLY_BF16));
    const int total = rows * columns;
    const unsigned blocks = (unsigned)vly_ceil_div(total, BLOCK);
    if (type == VLY_BF16)
        VLY_LAUNCH(widen_rows<vly_bf16>, blocks, BLOCK, 0, stream, total, count, columns,
                   (const vly_bf16 *)from, (vly_bf16 *)to);
    else
        VLY_LAUNCH(widen_rows<float>, blocks, BLOCK, 0, stream, total, count, columns,
                   (const float *)from, (float *)to);
    return VLY_OK;
}

static __global__ void __launch_bounds__(256)
    narrow_rows(int total, int columns, int count, const float *__restrict__ from, float *to,
                bool accumulate) {
    const int i = (int)blockIdx.x * BLOCK + (int)threadIdx.x;
    if (i < total)
        to[i] = (accumulate ? to[i] : 0.0f) + from[(int64_t)(i / count) * columns + i % count];
}

vly_status vly_narrow_rows_launch(int rows, int columns, int count, const float *from, float *to,
                                  bool accumulate, cudaStream_t stream) {
    VLY_TRY(check_row_lengths(rows, count, columns));
    VLY_NEED(from && to);
    VLY_LAUNCH(narrow_rows, (unsigned)vly_ceil_div(rows * count, BLOCK), BLOCK, 0, stream,
               rows * count, columns, count, from, to, accumulate);
    return VLY_OK;
}
