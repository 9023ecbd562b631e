/* conv_operands.h -- the operands of the three products of conv.h as kernels read them: patches of
 * images, stored matrices, slopes and weights by residue; and where results go (device code). */
#ifndef VLY_KERNELS_CONV_OPERANDS_H
#define VLY_KERNELS_CONV_OPERANDS_H
#include "common/base/exact.h"
#include "kernels/conv.h"
#include "kernels/index.h"
#include "kernels/stages.h"

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
    __device__ __forceinline__ const conv_source &source() const { return p.x; }
    __device__ __forceinline__ auto where(const place &row, int k, int) const {
        return [this, &row, k](int i) { return patch_address(p, row, tap_at(p, k + i)); };
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
    __device__ __forceinline__ const conv_source &source() const { return p.x; }
    __device__ __forceinline__ auto where(const place &at, int k, int k_to) const {
        const patch_row row = row_at(p, k < k_to ? k : p.rows);
        return [this, &at, row](int i) {
            return patch_address(p, row, i == 0 ? at.tap : tap_at(p, at.first + i));
        };
    }
};

/* A matrix (rows, columns) as stored. */
struct matrix_along_k {
    enum { ALONG_K = 1 };
    typedef int place;
    conv_source m;
    int rows, columns;
    __device__ __forceinline__ place at(int row) const { return row; }
    __device__ __forceinline__ const conv_source &source() const { return m; }
    __device__ __forceinline__ auto where(place row, int k, int) const {
        return [this, row, k](int i) {
            return row < rows && k + i < columns ? (int64_t)row * columns + k + i : (int64_t)-1;
        };
    }
};

struct matrix_across {
    enum { ALONG_K = 0 };
    typedef int place;
    conv_source m;
    int columns;
    __device__ __forceinline__ place at(int first) const { return first; }
    __device__ __forceinline__ const conv_source &source() const { return m; }
    __device__ __forceinline__ auto where(place first, int k, int k_to) const {
        return [this, first, k, k_to](int i) {
            return k < k_to && first + i < columns ? (int64_t)k * columns + first + i : (int64_t)-1;
        };
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
    __device__ __forceinline__ const conv_source &source() const { return s.dz; }
    __device__ __forceinline__ auto where(const place &p, int k, int) const {
        return [this, &p, k](int i) {
            if (k + i >= s.columns) return (int64_t)-1;
            const int tap = vly_quotient(k + i, s.channels), o = k + i - tap * (int)s.channels.d,
                      ty = vly_quotient(tap, s.taps_w);
            const int y = p.y - ty, x = p.x - (tap - ty * (int)s.taps_w.d);
            if ((unsigned)y >= (unsigned)s.out_h || (unsigned)x >= (unsigned)s.out_w)
                return (int64_t)-1;
            return (p.image + (int64_t)y * s.out_w + x) * (int)s.channels.d + o;
        };
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
    __device__ __forceinline__ const conv_source &source() const { return w; }
    __device__ __forceinline__ auto where(place first, int k, int k_to) const {
        const int tap = vly_quotient(k, channels), o = k - tap * (int)channels.d,
                  ty = vly_quotient(tap, taps_w), tx = tap - ty * (int)taps_w.d;
        const int64_t base = (int64_t)o * patch +
                             ((first_ky + ty * stride) * kernel + first_kx + tx * stride) * in_c;
        return [this, first, k, k_to, base](int i) {
            return k < k_to && first + i < in_c ? base + first + i : (int64_t)-1;
        };
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
