/* simd_body.h -- the code of simd.h for one vector width; included by simd_*.c, nowhere else.
 *
 * Written with the compilers' vector types: one source for SSE2, AVX2, AVX-512 and NEON. A
 * micro-kernel keeps rows x vectors sums in registers (6 x 4 of AVX-512's 32: ten loads feed 24
 * multiply-adds), its sizes are constants after inlining. These files alone are compiled with
 * contraction to fma.
 */
#include <string.h>
#include "cpu/ops/simd.h"
#if defined(__AVX512F__)
#include "cpu/ops/transpose16.h"
#endif

enum { LANES = VLY_VECTOR_BYTES / 4, ROWS_MAX = 12 };
typedef float vec __attribute__((vector_size(VLY_VECTOR_BYTES)));
typedef int32_t ivec __attribute__((vector_size(VLY_VECTOR_BYTES)));
typedef float loose __attribute__((vector_size(VLY_VECTOR_BYTES), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE vec load(const float *p) {
    return *(const loose *)p;
}
INLINE void store(float *p, vec v) {
    *(loose *)p = v;
}
INLINE vec splat(float x) {
    return x - (vec){0};
}

/* a < b ? x : y in every lane; false for a NaN */
INLINE vec where_less(vec a, vec b, vec x, vec y) {
#if defined(__AVX512F__)
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OS), x);
#else
    const ivec m = a < b;
    return (vec)(((ivec)x & m) | ((ivec)y & ~m));
#endif
}

INLINE vec load_some(const float *p, int n) {
#if defined(__AVX512F__)
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    vec v = {0};
    memcpy(&v, p, (size_t)n * 4);
    return v;
#endif
}

INLINE void store_some(float *p, vec v, int n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#else
    memcpy(p, &v, (size_t)n * 4);
#endif
}

/* Rows of a block for a panel of v vectors: as many sums as registers hold beside the operands. */
INLINE int block_rows(int v) {
    if (VLY_VECTORS_MAX == 4) return v == 4 ? 6 : v == 3 ? 8 : 12;
    return v == 2 ? 6 : 12;
}

/* ---- C = A B ---- */

INLINE void finish(const vly_gemm *g, float *c, vec *sum, const int nv) {
    UNROLL for (int v = 0; v < nv; v++) {
        const int left = g->cols - v * LANES;
        vec y = sum[v];
        if (g->add)
            y += left >= LANES ? load(c + v * LANES)
                 : left > 0    ? load_some(c + v * LANES, left)
                               : (vec){0};
        if (g->act == VLY_ACT_RELU) y = where_less(y, (vec){0}, (vec){0}, y); /* NaN stays NaN */
        if (left >= LANES)
            store(c + v * LANES, y);
        else if (left > 0)
            store_some(c + v * LANES, y, left);
    }
}

INLINE void gemm_block(const vly_gemm *g, int row, const int mr, const int nv) {
    const float *a[ROWS_MAX], *b = g->b;
    vec sum[ROWS_MAX][VLY_VECTORS_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        a[i] = g->a + (g->a_at ? g->a_at[row + i] : (row + i) * g->lda);
        UNROLL for (int v = 0; v < nv; v++) sum[i][v] = g->bias ? load(g->bias + v * LANES)
                                                                : (vec){0};
    }
    for (int s = 0; s < g->segments; s++) {
        for (int64_t k = 0; k < g->length; k++, b += nv * LANES) {
            vec w[VLY_VECTORS_MAX];
            UNROLL for (int v = 0; v < nv; v++) w[v] = load(b + v * LANES);
            UNROLL for (int i = 0; i < mr; i++) {
                const vec x = splat(a[i][k]);
                UNROLL for (int v = 0; v < nv; v++) sum[i][v] += x * w[v];
            }
        }
        UNROLL for (int i = 0; i < mr; i++) a[i] += g->step;
    }
    UNROLL for (int i = 0; i < mr; i++)
        finish(g, g->c + (g->c_at ? g->c_at[row + i] : (row + i) * g->ldc), sum[i], nv);
}

typedef void (*block_fn)(const vly_gemm *g, int row);
#define BLOCK(mr, nv)                                          \
    static void gemm_##mr##_##nv(const vly_gemm *g, int row) { \
        gemm_block(g, row, mr, nv);                            \
    }
#define BLOCKS(XX, nv) \
    XX(1, nv)          \
    XX(2, nv)          \
    XX(3, nv)          \
    XX(4, nv)          \
    XX(5, nv)          \
    XX(6, nv)
#define BLOCKS8(XX, nv)      \
    BLOCKS(XX, nv) XX(7, nv) \
    XX(8, nv)
#define BLOCKS12(XX, nv)      \
    BLOCKS8(XX, nv) XX(9, nv) \
    XX(10, nv)                \
    XX(11, nv)                \
    XX(12, nv)
#define NAME(mr, nv) gemm_##mr##_##nv,
BLOCKS12(BLOCK, 1)
#if VLY_VECTORS_MAX == 4
BLOCKS12(BLOCK, 2)
BLOCKS8(BLOCK, 3)
BLOCKS(BLOCK, 4)
static const block_fn blocks[5][ROWS_MAX] = {
    {NULL}, {BLOCKS12(NAME, 1)}, {BLOCKS12(NAME, 2)}, {BLOCKS8(NAME, 3)}, {BLOCKS(NAME, 4)}};
#else
BLOCKS(BLOCK, 2)
static const block_fn blocks[3][ROWS_MAX] = {{NULL}, {BLOCKS12(NAME, 1)}, {BLOCKS(NAME, 2)}};
#endif
#undef NAME

/* The last two blocks share the remaining rows evenly: a block of one row would be bound by
 * latency. */
INLINE int next_rows(int left, int most) {
    return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

static void tanh_rows(int64_t n, float *y);

static void gemm(const vly_gemm *g) {
    const int most = block_rows(g->vectors);
    for (int row = 0, n; row < g->rows; row += n) {
        n = next_rows(g->rows - row, most);
        blocks[g->vectors][n - 1](g, row);
        if (g->act != VLY_ACT_TANH) continue;
        for (int i = row; i < row + n; i++)
            tanh_rows(g->cols, g->c + (g->c_at ? g->c_at[i] : i * g->ldc));
    }
}

/* ---- C = sum over pixels of a x b ---- */

INLINE void sum_block(const vly_gemm_sum *g, int row, const int64_t *at, const int *valid,
                      float *const *to, const int mr, const int nv) {
    vec sum[ROWS_MAX][VLY_VECTORS_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int v = 0; v < nv; v++) sum[i][v] = (vec){0};
    }
    for (int y = 0; y < g->height; y++) {
        const float *a = g->a + y * g->a_row + row, *b = g->b + y * g->b_row;
        for (int x = 0; x < g->width; x++, a += g->a_col, b += g->b_col) {
            vec w[VLY_VECTORS_MAX];
            UNROLL for (int v = 0; v < nv; v++) w[v] = load(b + at[v]);
            UNROLL for (int i = 0; i < mr; i++) {
                const vec d = splat(a[i]);
                UNROLL for (int v = 0; v < nv; v++) sum[i][v] += d * w[v];
            }
        }
    }
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int v = 0; v < nv; v++) {
            float *c = to[v] + (row + i) * g->ldc;
            if (valid[v] >= LANES)
                store(c, g->add ? load(c) + sum[i][v] : sum[i][v]);
            else
                store_some(c, g->add ? load_some(c, valid[v]) + sum[i][v] : sum[i][v], valid[v]);
        }
    }
}

typedef void (*sum_fn)(const vly_gemm_sum *g, int row, const int64_t *at, const int *valid,
                       float *const *to);
#define SUM(mr, nv)                                                                \
    static void sum_##mr##_##nv(const vly_gemm_sum *g, int row, const int64_t *at, \
                                const int *valid, float *const *to) {              \
        sum_block(g, row, at, valid, to, mr, nv);                                  \
    }
#define NAME(mr, nv) sum_##mr##_##nv,
BLOCKS12(SUM, 1)
#if VLY_VECTORS_MAX == 4
BLOCKS12(SUM, 2)
BLOCKS8(SUM, 3)
BLOCKS(SUM, 4)
static const sum_fn sums[5][ROWS_MAX] = {
    {NULL}, {BLOCKS12(NAME, 1)}, {BLOCKS12(NAME, 2)}, {BLOCKS8(NAME, 3)}, {BLOCKS(NAME, 4)}};
#else
BLOCKS(SUM, 2)
static const sum_fn sums[3][ROWS_MAX] = {{NULL}, {BLOCKS12(NAME, 1)}, {BLOCKS(NAME, 2)}};
#endif

static void gemm_sum(const vly_gemm_sum *g) {
    const int each = (g->length + LANES - 1) / LANES, all = each * g->segments;
    const int groups = (all + VLY_VECTORS_MAX - 1) / VLY_VECTORS_MAX;
    for (int group = 0, v = 0; group < groups; group++) {
        const int nv = (all - v + groups - group - 1) / (groups - group), most = block_rows(nv);
        int64_t at[VLY_VECTORS_MAX];
        int valid[VLY_VECTORS_MAX];
        float *to[VLY_VECTORS_MAX];
        for (int i = 0; i < nv; i++, v++) {
            const int segment = v / each, first = v % each * LANES;
            at[i] = segment * g->step + first;
            to[i] = g->c + segment * g->c_step + first;
            valid[i] = g->length - first;
        }
        for (int row = 0, n; row < g->m; row += n) {
            n = next_rows(g->m - row, most);
            sums[nv][n - 1](g, row, at, valid, to);
        }
    }
}

/* ---- element-wise ---- */

/* tanh |x| = -t / (t + 2) with t = e^(-2|x|) - 1 = 2^n p(r) + (2^n - 1), which keeps its digits
 * near 0. */
INLINE vec tanh_vec(vec x) {
    const ivec sign = (ivec)x & INT32_MIN;
    const vec magic = splat(12582912.0f), bottom = splat(-9.1f), a = (vec)((ivec)x | INT32_MIN);
    const vec c = where_less(a, bottom, bottom, a);
    const vec n = (c * splat(2.885390082f) + magic) - magic;
    const vec r = (c - n * splat(0.346435546875f)) - n * splat(1.38043405e-4f); /* ln 2 / 2 in two
                                                                                   parts */
    const vec z = r + r;
    vec p = splat(1.984127e-4f);
    p = p * z + splat(1.388888946e-3f);
    p = p * z + splat(8.333333767e-3f);
    p = p * z + splat(4.166666418e-2f);
    p = p * z + splat(1.666666667e-1f);
    p = p * z + splat(0.5f);
    p = p * (z * z) + z;
    const vec two_n = (vec)((__builtin_convertvector(n, ivec) + 127) << 23);
    const vec two = splat(2.0f), t = two_n * p + (two_n - splat(1.0f)), d = two + t,
              lost = (two - d) + t;
#if defined(__AVX512F__)
    const vec guess = _mm512_rcp14_ps(d), q = guess + guess * (splat(1.0f) - d * guess);
#else
    const vec q = splat(1.0f) / d;
#endif
    const vec near = t * q, y = near + q * ((t - near * d) - near * lost);
    return (vec)(((ivec)y & INT32_MAX) | sign);
}

static void tanh_rows(int64_t n, float *y) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, tanh_vec(load(y + i)));
    if (i < n) store_some(y + i, tanh_vec(load_some(y + i, (int)(n - i))), (int)(n - i));
}

INLINE vec masked(vly_act act, vec y, vec dy) {
    if (act == VLY_ACT_RELU) return where_less((vec){0}, y, dy, (vec){0});
    if (act == VLY_ACT_TANH) return dy * (splat(1.0f) - y * y);
    return dy;
}

INLINE void mask_all(const vly_act act, int64_t n, const float *y, const float *dy, float *out) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(out + i, masked(act, load(y + i), load(dy + i)));
    const int left = (int)(n - i);
    if (left)
        store_some(out + i, masked(act, load_some(y + i, left), load_some(dy + i, left)), left);
}

static void mask_rows(vly_act act, int64_t n, const float *y, const float *dy, float *out) {
    if (act == VLY_ACT_RELU)
        mask_all(VLY_ACT_RELU, n, y, dy, out);
    else if (act == VLY_ACT_TANH)
        mask_all(VLY_ACT_TANH, n, y, dy, out);
    else if (out != dy)
        memcpy(out, dy, (size_t)n * sizeof *out);
}

static void sum_rows(int rows, int cols, const float *x, int64_t ld, float *sum) {
    int j = 0;
    for (; j + LANES <= cols; j += LANES) {
        vec s = load(sum + j);
        for (int i = 0; i < rows; i++) s += load(x + i * ld + j);
        store(sum + j, s);
    }
    if (j == cols) return;
    vec s = load_some(sum + j, cols - j);
    for (int i = 0; i < rows; i++) s += load_some(x + i * ld + j, cols - j);
    store_some(sum + j, s, cols - j);
}

static void from_u8(int64_t n, const uint8_t *x, float scale, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = scale * x[i];
}

static void copy_rows(int rows, int cols, const float *x, int64_t ld, float *out, int width) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < width; j += LANES) {
            const int left = cols - j;
            store(out + (int64_t)i * width + j, left >= LANES ? load(x + i * ld + j)
                                                : left > 0    ? load_some(x + i * ld + j, left)
                                                              : (vec){0});
        }
}

/* Of 16 rows at most, a cache line of each. */
static void transpose_lines(int rows, int cols, const float *x, int64_t ld, float *out, int width) {
#if defined(__AVX512F__)
    __m512i r[16];
    if (rows == 16 && cols == 16) {
        for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(x + i * ld);
        vly_transpose16(r);
        for (int i = 0; i < 16; i++) _mm512_storeu_si512(out + (int64_t)i * width, r[i]);
        return;
    }
#endif
    for (int j = 0; j < rows; j++)
        for (int i = 0; i < cols; i++) out[(int64_t)i * width + j] = x[j * ld + i];
}

static void transpose_panel(int rows, int64_t cols, const float *x, float *out, int width) {
    for (int64_t i = 0; i < cols; i += 16)
        for (int j = 0; j < rows; j += 16)
            transpose_lines(rows - j < 16 ? rows - j : 16, cols - i < 16 ? (int)(cols - i) : 16,
                            x + j * cols + i, cols, out + i * width + j, width);
}

const vly_simd VLY_SIMD = {VLY_SIMD_NAME, LANES,     VLY_VECTORS_MAX, gemm,
                           gemm_sum,      tanh_rows, mask_rows,       sum_rows,
                           from_u8,       copy_rows, transpose_panel};
