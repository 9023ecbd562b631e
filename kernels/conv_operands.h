/* conv_operands.h -- the operands of the three products of conv.h as kernels read them: patches of
 * images, stored matrices, slopes and weights by residue; and where results go (device code). */
#ifndef VLY_KERNELS_CONV_OPERANDS_H
#define VLY_KERNELS_CONV_OPERANDS_H
#include "common/base/exact.h"
#include "kernels/conv.h"
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
#endif
