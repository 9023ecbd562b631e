/* conv.cu -- convolutions as implicit matrix products on tensor cores (or fused multiply-adds).
 * FLOPs: 2 M N K per pass, with M output pixels, N channels, K patch size. Traffic: inputs through
 * L2 once per 128 x BN tile; nothing unfolded. Patches of u8 frames are widened on the way into
 * shared memory.
 *
 * forward  Y (M, N)  = patches of X (M, K) times W (N, K)
 * dx       dX (M, N) = dZ shifted back by each tap (M, K) times W (K, N): one product per residue
 *          of the pixel's position modulo the stride, so that no multiplication meets a hole
 *          between strides
 * dw       dW (M, N) = patches of X (K, M) times dZ (K, N), K pixels of the batch, split over
 *          blocks; the partial products are summed in order by a second kernel */
#include "kernels/conv.h"
#include "common/base/exact.h"
#include "kernels/index.h"
#include "kernels/tile.h"

/* ---- chunks from memory ---- */

/* An array in memory. `vec` neighbouring numbers (8, 4 or 1) are aligned and read at once. */
typedef struct {
    const void *data;
    vly_dtype type;
    int vec;
} conv_source;

template <class Math>
static __device__ __forceinline__ void read1(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_F32)
        *to = Math::of(static_cast<const float *>(s.data)[at]);
    else if (s.type == VLY_BF16)
        *to = Math::of_bf16(static_cast<const vly_bf16 *>(s.data)[at]);
    else
        *to = Math::of((float)static_cast<const uint8_t *>(s.data)[at]);
}

template <class Math>
static __device__ __forceinline__ void unpack_u8(uint32_t word,
                                                 typename Math::element *to) { /* four bytes */
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = Math::of((float)(word >> (8 * i) & 255u));
}

template <class Math>
static __device__ __forceinline__ void
unpack_bf16(uint32_t word, typename Math::element *to) { /* two bf16 numbers */
    to[0] = Math::of_bf16((vly_bf16)(word & 0xffffu));
    to[1] = Math::of_bf16((vly_bf16)(word >> 16));
}

template <class Math>
static __device__ __forceinline__ void read4(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_F32) {
        const float4 v = *reinterpret_cast<const float4 *>(static_cast<const float *>(s.data) + at);
        to[0] = Math::of(v.x), to[1] = Math::of(v.y), to[2] = Math::of(v.z), to[3] = Math::of(v.w);
    } else if (s.type == VLY_BF16) {
        const uint2 v =
            *reinterpret_cast<const uint2 *>(static_cast<const vly_bf16 *>(s.data) + at);
        unpack_bf16<Math>(v.x, to), unpack_bf16<Math>(v.y, to + 2);
    } else {
        unpack_u8<Math>(
            *reinterpret_cast<const uint32_t *>(static_cast<const uint8_t *>(s.data) + at), to);
    }
}

template <class Math>
static __device__ __forceinline__ void read8(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_BF16) {
        const uint4 v =
            *reinterpret_cast<const uint4 *>(static_cast<const vly_bf16 *>(s.data) + at);
        unpack_bf16<Math>(v.x, to), unpack_bf16<Math>(v.y, to + 2), unpack_bf16<Math>(v.z, to + 4),
            unpack_bf16<Math>(v.w, to + 6);
    } else if (s.type == VLY_U8) {
        const uint2 v = *reinterpret_cast<const uint2 *>(static_cast<const uint8_t *>(s.data) + at);
        unpack_u8<Math>(v.x, to), unpack_u8<Math>(v.y, to + 4);
    } else {
        read4<Math>(s, at, to), read4<Math>(s, at + 4, to + 4);
    }
}

template <class C> static __device__ __forceinline__ void clear_chunk(C &c) {
#pragma unroll
    for (int i = 0; i < 8; i++) c.v[i] = 0;
}

/* where(i): the index of number i of the chunk (i is a multiple of vec), or -1 for zeros. */
template <class Math, class C, class F>
static __device__ __forceinline__ void read_chunk(const conv_source &s, C &c, F where) {
    clear_chunk(c);
    if (s.vec == 8) {
        const int64_t at = where(0);
        if (at >= 0) read8<Math>(s, at, c.v);
    } else if (s.vec == 4) {
#pragma unroll
        for (int i = 0; i < 8; i += 4) {
            const int64_t at = where(i);
            if (at >= 0) read4<Math>(s, at, c.v + i);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int64_t at = where(i);
            if (at >= 0) read1<Math>(s, at, c.v + i);
        }
    }
}

/* ---- operands ---- */

/* The patches of x: row r is an output pixel, column k a number of its patch. Where nothing is
 * padded, a patch's line of kernel * in_c numbers is contiguous and counts as one tap. */
typedef struct {
    conv_source x;
    int rows, columns;
    int in_h, in_w, in_c, stride, pad;
    vly_divider pixels, out_w; /* row -> image, line, column */
    vly_divider run, taps_w;   /* column -> tap, tap -> line and column of the kernel */
    bool lines;                /* taps are whole lines */
    const uint8_t *mask;
    uint8_t mask_bits;
} conv_patches;

typedef struct {
    int64_t base;
    int y, x;
} patch_row; /* y = -2^20: no such row */
typedef struct {
    int offset, y, x;
} patch_tap; /* offset = -1: no such column */

static __device__ __forceinline__ patch_row row_at(const conv_patches &p, int r) {
    const patch_row none = {0, -(1 << 20), 0};
    if (r >= p.rows || (p.mask && p.mask[r] & p.mask_bits)) return none;
    const int image = vly_quotient(r, p.pixels), rest = r - image * (int)p.pixels.d,
              oy = vly_quotient(rest, p.out_w), ox = rest - oy * (int)p.out_w.d;
    patch_row row;
    row.y = oy * p.stride - p.pad, row.x = ox * p.stride - p.pad;
    row.base = (((int64_t)image * p.in_h + row.y) * p.in_w + row.x) * p.in_c;
    return row;
}

static __device__ __forceinline__ patch_tap tap_at(const conv_patches &p, int k) {
    patch_tap t = {-1, 0, 0};
    if (k >= p.columns) return t;
    const int tap = vly_quotient(k, p.run), within = k - tap * (int)p.run.d;
    t.y = p.lines ? tap : vly_quotient(tap, p.taps_w);
    t.x = p.lines ? 0 : tap - t.y * (int)p.taps_w.d;
    t.offset = (t.y * p.in_w + t.x) * p.in_c + within;
    return t;
}

static __device__ __forceinline__ int64_t patch_address(const conv_patches &p, const patch_row &row,
                                                        const patch_tap &tap) {
    const int y = row.y + tap.y, x = row.x + tap.x;
    const bool inside = tap.offset >= 0 && (unsigned)y < (unsigned)p.in_h &&
                        (p.lines || (unsigned)x < (unsigned)p.in_w);
    return inside ? row.base + tap.offset : -1;
}

struct patches_along_k {
    enum { ALONG_K = 1 };
    typedef patch_row place;
    conv_patches p;
    __device__ __forceinline__ place at(int row) const { return row_at(p, row); }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, const place &row,
                                         int k, int) const {
        read_chunk<Math>(p.x, c, [&](int i) { return patch_address(p, row, tap_at(p, k + i)); });
    }
};

struct patches_across {
    enum { ALONG_K = 0 };
    typedef struct {
        int first;
        patch_tap tap;
    } place;
    conv_patches p;
    __device__ __forceinline__ place at(int first) const {
        const place t = {first, tap_at(p, first)};
        return t;
    }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, const place &at,
                                         int k, int k_to) const {
        const patch_row row = row_at(p, k < k_to ? k : p.rows);
        read_chunk<Math>(p.x, c, [&](int i) {
            return patch_address(p, row, i == 0 ? at.tap : tap_at(p, at.first + i));
        });
    }
};

/* A matrix (rows, columns) as stored. */
struct matrix_along_k {
    enum { ALONG_K = 1 };
    typedef int place;
    conv_source m;
    int rows, columns;
    __device__ __forceinline__ place at(int row) const { return row; }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, place row, int k,
                                         int) const {
        read_chunk<Math>(m, c, [&](int i) {
            return row < rows && k + i < columns ? (int64_t)row * columns + k + i : (int64_t)-1;
        });
    }
};

struct matrix_across {
    enum { ALONG_K = 0 };
    typedef int place;
    conv_source m;
    int columns;
    __device__ __forceinline__ place at(int first) const { return first; }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, place first, int k,
                                         int k_to) const {
        read_chunk<Math>(m, c, [&](int i) {
            return k < k_to && first + i < columns ? (int64_t)k * columns + first + i : (int64_t)-1;
        });
    }
};

/* The rows of dZ that determine the input pixels of one residue modulo the stride. Row m is such a
 * pixel; column (ty, tx, o) is channel o of the output pixel that lies (ty, tx) before the last one
 * whose window covers it. */
typedef struct {
    conv_source dz;
    int rows, columns;
    int out_h, out_w;
    int first_y, first_x;     /* output pixel of the residue's first input pixel at tap 0 */
    vly_divider pixels, wide; /* row -> image, line, column among the residue's */
    vly_divider channels, taps_w;
    const uint8_t *mask;
    uint8_t mask_bits;
} conv_slopes;

struct slopes_along_k {
    enum { ALONG_K = 1 };
    typedef struct {
        int64_t image;
        int y, x;
    } place; /* y = -2^20: no such row */
    conv_slopes s;
    __device__ __forceinline__ place at(int r) const {
        place p = {0, -(1 << 20), 0};
        if (r >= s.rows || (s.mask && s.mask[r] & s.mask_bits)) return p;
        const int image = vly_quotient(r, s.pixels), rest = r - image * (int)s.pixels.d,
                  y = vly_quotient(rest, s.wide);
        p.image = (int64_t)image * s.out_h * s.out_w;
        p.y = s.first_y + y, p.x = s.first_x + rest - y * (int)s.wide.d;
        return p;
    }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, const place &p,
                                         int k, int) const {
        read_chunk<Math>(s.dz, c, [&](int i) {
            if (k + i >= s.columns) return (int64_t)-1;
            const int tap = vly_quotient(k + i, s.channels), o = k + i - tap * (int)s.channels.d,
                      ty = vly_quotient(tap, s.taps_w);
            const int y = p.y - ty, x = p.x - (tap - ty * (int)s.taps_w.d);
            if ((unsigned)y >= (unsigned)s.out_h || (unsigned)x >= (unsigned)s.out_w)
                return (int64_t)-1;
            return (p.image + (int64_t)y * s.out_w + x) * (int)s.channels.d + o;
        });
    }
};

/* The weights of those taps: row (ty, tx, o), column an input channel. */
struct weights_across {
    enum { ALONG_K = 0 };
    typedef int place;
    conv_source w;
    int in_c, patch; /* numbers per output channel: kernel * kernel * in_c */
    int kernel, stride, first_ky, first_kx;
    vly_divider channels, taps_w;
    __device__ __forceinline__ place at(int first) const { return first; }
    template <class Math>
    __device__ __forceinline__ void load(vly_chunk8<typename Math::element> &c, place first, int k,
                                         int k_to) const {
        const int tap = vly_quotient(k, channels), o = k - tap * (int)channels.d,
                  ty = vly_quotient(tap, taps_w), tx = tap - ty * (int)taps_w.d;
        const int64_t base = (int64_t)o * patch +
                             ((first_ky + ty * stride) * kernel + first_kx + tx * stride) * in_c;
        read_chunk<Math>(w, c, [&](int i) {
            return k < k_to && first + i < in_c ? base + first + i : (int64_t)-1;
        });
    }
};

/* ---- problems ---- */

typedef struct {
    void *data;
    vly_dtype type;
} conv_sink;

/* Writes two neighbours at once if their address is even, otherwise one by one. */
static __device__ __forceinline__ void write2(const conv_sink &s, int64_t at, float first,
                                              float second, bool both, bool paired) {
    if (paired && both) {
        if (s.type == VLY_BF16)
            *reinterpret_cast<uint32_t *>(static_cast<vly_bf16 *>(s.data) + at) =
                vly_pack_bf16(first, second);
        else
            *reinterpret_cast<float2 *>(static_cast<float *>(s.data) + at) = make_float2(first,
                                                                                         second);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !both) return;
        if (s.type == VLY_BF16)
            vly_store_real(static_cast<vly_bf16 *>(s.data) + at + i, i ? second : first);
        else
            vly_store_real(static_cast<float *>(s.data) + at + i, i ? second : first);
    }
}

struct forward_problem {
    typedef patches_along_k A;
    typedef matrix_along_k B;
    A a;
    B b;
    const float *bias;
    conv_sink y;
    float scale;
    vly_act act;
    bool add;
    __device__ __forceinline__ float activated(float sum, int n) const {
        float v = scale * sum + (bias ? bias[n] : 0.0f);
        if (act == VLY_ACT_RELU)
            v = v <= 0.0f ? 0.0f : v;
        else if (act == VLY_ACT_TANH)
            v = vly_tanhf(v);
        return v;
    }
    __device__ __forceinline__ void write(int m, int n, float first, float second) const {
        if (m >= a.p.rows || n >= b.rows) return;
        const int64_t at = (int64_t)m * b.rows + n;
        const bool both = n + 1 < b.rows;
        float u = activated(first, n), v = both ? activated(second, n + 1) : 0.0f;
        if (add) { /* y is f32 */
            const float *old = static_cast<const float *>(y.data) + at;
            u += old[0];
            v += both ? old[1] : 0.0f;
        }
        write2(y, at, u, v, both, b.rows % 2 == 0);
    }
};

struct dx_problem {
    typedef slopes_along_k A;
    typedef weights_across B;
    A a;
    B b;
    conv_sink dx;
    int in_h, in_w, stride, first_y, first_x; /* of the residue's pixels */
    __device__ __forceinline__ void write(int m, int n, float first, float second) const {
        if (m >= a.s.rows || n >= b.in_c) return;
        const int image = vly_quotient(m, a.s.pixels), rest = m - image * (int)a.s.pixels.d,
                  j = vly_quotient(rest, a.s.wide);
        const int y = first_y + j * stride, x = first_x + (rest - j * (int)a.s.wide.d) * stride;
        write2(dx, (((int64_t)image * in_h + y) * in_w + x) * b.in_c + n, first, second,
               n + 1 < b.in_c, b.in_c % 2 == 0);
    }
};

struct dw_problem {
    typedef patches_across A;
    typedef matrix_across B;
    A a;
    B b;
    float *partial; /* (splits, out_c, patch) */
    int rows_per_split;
    __device__ __forceinline__ void write(int split, int m, int n, float v) const {
        if (m < a.p.columns && n < b.columns)
            partial[((int64_t)split * b.columns + n) * a.p.columns + m] = v;
    }
};

template <class Math, int BN>
static __global__ void __launch_bounds__(256) conv_forward(forward_problem p) {
    const int m = (int)blockIdx.x * VLY_TILE_M, n = (int)blockIdx.y * BN;
    typename Math::template sums<BN> sums;
    vly_multiply<Math, BN>(p, m, n, 0, p.b.columns, sums);
    sums.each(
        [&](int i, int j, float first, float second) { p.write(m + i, n + j, first, second); });
}

template <class Math, int BN> static __global__ void __launch_bounds__(256) conv_dx(dx_problem p) {
    const int m = (int)blockIdx.x * VLY_TILE_M, n = (int)blockIdx.y * BN;
    typename Math::template sums<BN> sums;
    vly_multiply<Math, BN>(p, m, n, 0, p.a.s.columns, sums);
    sums.each(
        [&](int i, int j, float first, float second) { p.write(m + i, n + j, first, second); });
}

template <class Math, int BN> static __global__ void __launch_bounds__(256) conv_dw(dw_problem p) {
    const int m = (int)blockIdx.x * VLY_TILE_M, n = (int)blockIdx.y * BN, split = (int)blockIdx.z;
    const int from = split * p.rows_per_split,
              to = p.a.p.rows < from + p.rows_per_split ? p.a.p.rows : from + p.rows_per_split;
    typename Math::template sums<BN> sums;
    vly_multiply<Math, BN>(p, m, n, from, to, sums);
    sums.each([&](int i, int j, float first, float second) {
        p.write(split, m + i, n + j, first);
        p.write(split, m + i, n + j + 1, second);
    });
}

/* ---- launchers ---- */

vly_conv vly_conv_of(const vly_layer_desc *d, vly_math math) {
    vly_conv c = {};
    const bool linear = d->kind == VLY_LINEAR;
    c.math = math, c.act = d->act, c.x_type = d->x_type, c.y_type = d->y_type;
    c.in_h = linear ? 1 : d->in_h, c.in_w = linear ? 1 : d->in_w, c.in_c = d->in_c,
    c.out_c = d->out_c;
    c.kernel = linear ? 1 : d->kernel, c.stride = linear ? 1 : d->stride,
    c.pad = linear ? 0 : d->pad;
    c.out_h = vly_out_size(c.in_h, c.kernel, c.stride, c.pad),
    c.out_w = vly_out_size(c.in_w, c.kernel, c.stride, c.pad);
    c.x_scale = d->x_scale, c.w_scale = 1.0f;
    return c;
}

static int patch_size(const vly_conv *c) {
    return c->kernel * c->kernel * c->in_c;
}

static conv_patches patches_of(const vly_conv *c, int n, const void *x) {
    conv_patches p = {};
    const int run = c->kernel * c->in_c;
    const int line_width = vly_access_width(x, c->x_type, run, c->stride * c->in_c,
                                            c->in_w * c->in_c),
              pixel_width = vly_access_width(x, c->x_type, c->in_c, 0, 0);
    p.lines = c->pad == 0 && line_width >= pixel_width;
    p.x.data = x, p.x.type = c->x_type, p.x.vec = p.lines ? line_width : pixel_width;
    p.rows = n * c->out_h * c->out_w, p.columns = patch_size(c);
    p.in_h = c->in_h, p.in_w = c->in_w, p.in_c = c->in_c, p.stride = c->stride, p.pad = c->pad;
    p.pixels = vly_divider_of(c->out_h * c->out_w), p.out_w = vly_divider_of(c->out_w);
    p.run = vly_divider_of(p.lines ? run : c->in_c), p.taps_w = vly_divider_of(c->kernel);
    p.mask = c->mask, p.mask_bits = c->mask_bits;
    return p;
}

static conv_source source_of(const void *data, vly_dtype type, int run) {
    const conv_source s = {data, type, vly_access_width(data, type, run, 0, 0)};
    return s;
}

static vly_dtype weight_type(const vly_conv *c) {
    return c->math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
}

static vly_status check_conv(const vly_conv *c, int n) {
    VLY_NEED(c && n >= 0 && c->in_c > 0 && c->out_c > 0 && c->out_h > 0 && c->out_w > 0);
    VLY_NEED((int64_t)n * c->out_h * c->out_w < INT32_MAX - VLY_TILE_M &&
             (int64_t)n * c->in_h * c->in_w < INT32_MAX - VLY_TILE_M);
    VLY_NEED((int64_t)c->kernel * c->kernel * (c->in_c > c->out_c ? c->in_c : c->out_c) <
             INT32_MAX / 2);
    VLY_NEED(!c->mask || (c->kernel == 1 && c->in_h == 1 && c->in_w == 1));
    VLY_NEED(c->out_c < 65536 * 32 && c->in_c < 65536 * 32);
    VLY_NEED(c->tile_width == 0 || c->tile_width == 32 || c->tile_width == 64 ||
             c->tile_width == 128);
    return VLY_OK;
}

/* A wide tile reads its operands less often; a narrow one makes more blocks. */
static int tile_width(const vly_conv *c, int columns, unsigned blocks) {
    if (c->tile_width) return c->tile_width;
    return columns <= 32 ? 32 : columns <= 64 || blocks < 512 ? 64 : 128;
}

#define LAUNCH_TILES(kernel, Math, BN, columns, gx, gz, p)                            \
    VLY_LAUNCH((kernel<Math, BN>), dim3(gx, (unsigned)vly_ceil_div(columns, BN), gz), \
               VLY_TILE_THREADS, 0, stream, p)
#define LAUNCH_WIDTH(kernel, Math, c, columns, gx, gz, p)                \
    switch (tile_width(c, columns, (gx) * (gz))) {                       \
    case 32: LAUNCH_TILES(kernel, Math, 32, columns, gx, gz, p); break;  \
    case 64: LAUNCH_TILES(kernel, Math, 64, columns, gx, gz, p); break;  \
    default: LAUNCH_TILES(kernel, Math, 128, columns, gx, gz, p); break; \
    }
#define LAUNCH_MATH(kernel, c, columns, gx, gz, p)                                         \
    switch ((c)->math) {                                                                   \
    case VLY_MATH_FP32: LAUNCH_WIDTH(kernel, vly_fp32_math, c, columns, gx, gz, p); break; \
    case VLY_MATH_TF32: LAUNCH_WIDTH(kernel, vly_tf32_math, c, columns, gx, gz, p); break; \
    case VLY_MATH_BF16: LAUNCH_WIDTH(kernel, vly_bf16_math, c, columns, gx, gz, p); break; \
    }

vly_status vly_conv_forward_launch(const vly_conv *c, int n, const void *x, const void *w,
                                   const float *bias, void *y, cudaStream_t stream) {
    VLY_TRY(check_conv(c, n));
    VLY_NEED(x && w && y && (!c->add || (c->y_type == VLY_F32 && c->act == VLY_ACT_NONE)));
    if (n == 0) return VLY_OK;
    forward_problem p = {};
    p.a.p = patches_of(c, n, x);
    p.b.m = source_of(w, weight_type(c), patch_size(c));
    p.b.rows = c->out_c, p.b.columns = patch_size(c);
    p.bias = bias, p.y.data = y, p.y.type = c->y_type;
    p.scale = c->x_scale / c->w_scale, p.act = c->act, p.add = c->add;
    const unsigned gx = (unsigned)vly_ceil_div(p.a.p.rows, VLY_TILE_M);
    LAUNCH_MATH(conv_forward, c, c->out_c, gx, 1u, p);
    return VLY_OK;
}

/* The input pixels at one residue modulo the stride, and the taps that reach them. */
static dx_problem residue_of(const vly_conv *c, int n, const void *dz, const void *w, void *dx,
                             int ry, int rx) {
    dx_problem p = {};
    const int s = c->stride, first_y = ((ry - c->pad) % s + s) % s,
              first_x = ((rx - c->pad) % s + s) % s;
    const int high = first_y < c->in_h ? (c->in_h - first_y + s - 1) / s : 0,
              wide = first_x < c->in_w ? (c->in_w - first_x + s - 1) / s : 0;
    const int taps_y = ry < c->kernel ? (c->kernel - ry + s - 1) / s : 0,
              taps_x = rx < c->kernel ? (c->kernel - rx + s - 1) / s : 0;
    p.in_h = c->in_h, p.in_w = c->in_w, p.stride = s, p.first_y = first_y, p.first_x = first_x;
    p.dx.data = dx, p.dx.type = c->x_type;
    p.a.s.dz = source_of(dz, c->y_type, c->out_c);
    p.a.s.rows = n * high * wide, p.a.s.columns = taps_y * taps_x * c->out_c;
    p.a.s.out_h = c->out_h, p.a.s.out_w = c->out_w;
    p.a.s.first_y = (first_y + c->pad - ry) / s, p.a.s.first_x = (first_x + c->pad - rx) / s;
    p.a.s.pixels = vly_divider_of(high * wide > 0 ? high * wide : 1),
    p.a.s.wide = vly_divider_of(wide > 0 ? wide : 1);
    p.a.s.channels = vly_divider_of(c->out_c),
    p.a.s.taps_w = vly_divider_of(taps_x > 0 ? taps_x : 1);
    p.a.s.mask = c->mask, p.a.s.mask_bits = c->mask_bits;
    p.b.w = source_of(w, weight_type(c), c->in_c);
    p.b.in_c = c->in_c, p.b.patch = patch_size(c), p.b.kernel = c->kernel, p.b.stride = s,
    p.b.first_ky = ry, p.b.first_kx = rx;
    p.b.channels = p.a.s.channels, p.b.taps_w = p.a.s.taps_w;
    return p;
}

vly_status vly_conv_dx_launch(const vly_conv *c, int n, const void *dz, const void *w, void *dx,
                              cudaStream_t stream) {
    VLY_TRY(check_conv(c, n));
    VLY_NEED(dz && w && dx && c->w_scale == 1.0f && c->x_scale == 1.0f);
    if (n == 0) return VLY_OK;
    for (int ry = 0; ry < c->stride; ry++)
        for (int rx = 0; rx < c->stride; rx++) {
            const dx_problem p = residue_of(c, n, dz, w, dx, ry, rx);
            if (p.a.s.rows == 0) continue;
            const unsigned gx = (unsigned)vly_ceil_div(p.a.s.rows, VLY_TILE_M);
            LAUNCH_MATH(conv_dx, c, c->in_c, gx, 1u, p);
        }
    return VLY_OK;
}

/* Two waves of blocks, but at least 8 steps of k each. */
static int splits_of(const vly_conv *c, int n, int multiprocessors) {
    const int64_t rows = (int64_t)n * c->out_h * c->out_w,
                  tiles = vly_ceil_div(patch_size(c), VLY_TILE_M) *
                          vly_ceil_div(c->out_c, c->out_c <= 32 ? 32 : 64);
    const int64_t wanted = 2 * (int64_t)multiprocessors / tiles, most = vly_ceil_div(rows, 256);
    const int64_t splits = wanted < most ? wanted : most;
    return splits < 1 ? 1 : splits > 256 ? 256 : (int)splits;
}

size_t vly_conv_dw_bytes(const vly_conv *c, int n_max, int multiprocessors) {
    return (size_t)splits_of(c, n_max, multiprocessors) * (size_t)c->out_c * (size_t)patch_size(c) *
           sizeof(float);
}

static vly_status dw_partials(const vly_conv *c, int n, const void *x, const void *dz,
                              float *partial, int splits, cudaStream_t stream) {
    dw_problem p = {};
    p.a.p = patches_of(c, n, x);
    p.b.m = source_of(dz, c->y_type, c->out_c);
    p.b.columns = c->out_c;
    p.partial = partial;
    p.rows_per_split = (int)(vly_ceil_div(vly_ceil_div(p.a.p.rows, splits), 32) * 32);
    const unsigned gx = (unsigned)vly_ceil_div(p.a.p.columns, VLY_TILE_M);
    LAUNCH_MATH(conv_dw, c, c->out_c, gx, (unsigned)splits, p);
    return VLY_OK;
}

vly_status vly_conv_dw_launch(const vly_conv *c, int n, const void *x, const void *dz, float *dw,
                              bool accumulate, void *partial, int multiprocessors,
                              cudaStream_t stream) {
    VLY_TRY(check_conv(c, n));
    VLY_NEED(x && dz && dw && partial);
    const int splits = n > 0 ? splits_of(c, n, multiprocessors) : 0;
    if (splits > 0) VLY_TRY(dw_partials(c, n, x, dz, (float *)partial, splits, stream));
    return vly_sum_partials_launch((int64_t)c->out_c * patch_size(c), splits,
                                   (const float *)partial, c->x_scale, dw, accumulate, stream);
}

vly_status vly_conv_dw_direct_launch(const vly_conv *c, int n, const void *x, const void *dz,
                                     float *dw, cudaStream_t stream) {
    VLY_TRY(check_conv(c, n));
    VLY_NEED(n > 0 && x && dz && dw && c->x_scale == 1.0f);
    return dw_partials(c, n, x, dz, dw, 1, stream);
}
