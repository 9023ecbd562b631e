/* bf16_avx512.c -- products of bf16 matrices on vectors (AVX512_BF16), and the packing for tiles and
 * vectors.
 *
 * An instruction adds 16 columns of products of two pairs of numbers to 16 sums, at twice the rate
 * of f32's. A block keeps rows x tiles sums in registers as simd_body.h does.
 */
#include "cpu/ops/bf16_simd.h"
#if defined(__AVX512BF16__)
#include <string.h>
#include "cpu/ops/transpose16.h"

enum { TILE = VLY_TILE, DEPTH = VLY_TILE_DEPTH, ROWS_MAX = 12, TILES_MAX = 4 };
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* ---- products ---- */

/* Two neighbours of a row, for all columns. */
INLINE __m512bh pair_of(const uint16_t *a) {
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

INLINE void block(const vly_bf16_product *p, int row, int nt, float *buffer, const int rows,
                  const int tiles) {
    const int run = p->run ? p->run : p->k;
    const uint16_t *a[ROWS_MAX], *b = p->b + nt * p->b_n;
    __m512 sum[ROWS_MAX][TILES_MAX];
    UNROLL for (int i = 0; i < rows; i++) {
        a[i] = p->a + (p->a_at ? p->a_at[row + i] : (row + i) * p->lda);
        UNROLL for (int t = 0; t < tiles; t++) sum[i][t] = _mm512_setzero_ps();
    }
    for (int k = 0; k < p->k; k += run) {
        for (int j = 0; j < run; j += 2, b += p->b_row) {
            __m512bh columns[TILES_MAX];
            UNROLL for (int t = 0; t < tiles; t++)
                columns[t] = (__m512bh)_mm512_loadu_si512(b + t * p->b_n);
            UNROLL for (int i = 0; i < rows; i++) {
                const __m512bh x = pair_of(a[i] + j);
                UNROLL for (int t = 0; t < tiles; t++)
                    sum[i][t] = _mm512_dpbf16_ps(sum[i][t], x, columns[t]);
            }
        }
        UNROLL for (int i = 0; i < rows; i++) a[i] += p->step;
        b += p->b_step;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        float *out = buffer + i * TILES_MAX * TILE;
        if (p->sum)
            out = p->sum + nt * TILE + (p->sum_at ? p->sum_at[row + i] : (row + i) * p->ld_sum);
        UNROLL for (int t = 0; t < tiles; t++) {
            float *to = out + t * TILE;
            _mm512_storeu_ps(to,
                             p->add ? _mm512_add_ps(_mm512_loadu_ps(to), sum[i][t]) : sum[i][t]);
        }
    }
}

typedef void (*block_fn)(const vly_bf16_product *p, int row, int nt, float *buffer);
#define BLOCK(rows, tiles)                                                         \
    static void block_##rows##_##tiles(const vly_bf16_product *p, int row, int nt, \
                                       float *buffer) {                            \
        block(p, row, nt, buffer, rows, tiles);                                    \
    }
#define NAME(rows, tiles) block_##rows##_##tiles,
#define UP_TO_6(X, tiles) X(1, tiles) X(2, tiles) X(3, tiles) X(4, tiles) X(5, tiles) X(6, tiles)
#define UP_TO_8(X, tiles) UP_TO_6(X, tiles) X(7, tiles) X(8, tiles)
#define UP_TO_12(X, tiles) UP_TO_8(X, tiles) X(9, tiles) X(10, tiles) X(11, tiles) X(12, tiles)
UP_TO_12(BLOCK, 1)
UP_TO_12(BLOCK, 2)
UP_TO_8(BLOCK, 3)
UP_TO_6(BLOCK, 4)
static const block_fn blocks[TILES_MAX + 1][ROWS_MAX] = {
    {NULL}, {UP_TO_12(NAME, 1)}, {UP_TO_12(NAME, 2)}, {UP_TO_8(NAME, 3)}, {UP_TO_6(NAME, 4)}};

/* The last two blocks share their rows evenly. */
static int next_rows(int left, int most) {
    return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

static void multiply(const vly_bf16_product *p) {
    static const int rows_of[TILES_MAX + 1] = {0, 12, 12, 8, 6};
    float buffer[ROWS_MAX * TILES_MAX * TILE] __attribute__((aligned(64)));
    const int n_tiles = (p->n + TILE - 1) / TILE, groups = (n_tiles + TILES_MAX - 1) / TILES_MAX;
    for (int group = 0, nt = 0, tiles; group < groups; group++, nt += tiles) {
        tiles = (n_tiles - nt + groups - group - 1) / (groups - group);
        for (int row = 0, rows; row < p->m; row += rows) {
            rows = next_rows(p->m - row, rows_of[tiles]);
            blocks[tiles][rows - 1](p, row, nt, buffer);
            if (!p->sum) vly_bf16_finish(p, buffer, TILES_MAX * TILE, row, rows, nt * TILE, tiles);
        }
    }
}

/* ---- results ---- */

static __m512 act16(const vly_bf16_product *p, __m512 x) {
    return p->act == VLY_ACT_RELU ? _mm512_max_ps(_mm512_setzero_ps(), x)
                                  : x; /* max returns x if x is a NaN */
}

void vly_bf16_finish(const vly_bf16_product *p, const float *sum, int64_t ld, int row, int rows,
                     int column, int tiles) {
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < tiles * TILE; c += TILE) {
            const int left = p->n - column - c;
            if (left <= 0) continue;
            const __mmask16 some = left >= TILE ? 0xffff : (__mmask16)((1u << left) - 1);
            __m512 x = _mm512_load_ps(sum + i * ld + c);
            if (p->bias) x = _mm512_add_ps(x, _mm512_loadu_ps(p->bias + column + c));
            x = act16(p, x);
            if (p->act == VLY_ACT_TANH) {
                float v[TILE] __attribute__((aligned(64)));
                _mm512_store_ps(v, x);
                p->tanh(TILE, v);
                x = _mm512_load_ps(v);
            }
            const int64_t at = (int64_t)(row + i) * p->ldy + column + c;
            if (p->y_type == VLY_BF16)
                _mm256_mask_storeu_epi16((uint16_t *)p->y + at, some,
                                         (__m256i)_mm512_cvtneps_pbh(x));
            else
                _mm512_mask_storeu_ps((float *)p->y + at, some, x);
        }
}

/* ---- packing ---- */

static inline __mmask16 first16(int n) {
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}
static inline __mmask32 first32(int n) {
    return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (1u << n) - 1;
}

static void pack_transposed(const float *w, int64_t ld, int rows, int cols, float scale,
                            uint16_t *tile) {
    __m512i r[16];
    const __m512 s = _mm512_set1_ps(scale);
    for (int i = 0; i < 16; i++) {
        const float *from = w + i * ld;
        const __m512 low = i < rows ? _mm512_maskz_loadu_ps(first16(cols), from)
                                    : _mm512_setzero_ps();
        const __m512 high = i < rows ? _mm512_maskz_loadu_ps(first16(cols - 16), from + 16)
                                     : _mm512_setzero_ps();
        r[i] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(high, s), _mm512_mul_ps(low, s));
    }
    vly_transpose16(r);
    for (int i = 0; i < 16; i++) _mm512_store_si512(tile + i * 32, r[i]);
}

/* Two rows as pairs. */
static inline __m512i paired(__m512 even, __m512 odd) {
    const __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even)),
                  b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

static void pack_tile(const float *w, int64_t ld, int rows, int cols, uint16_t *tile) {
    const __mmask16 some = first16(cols);
    for (int j = 0; j < 16; j++) {
        const __m512 even = 2 * j < rows ? _mm512_maskz_loadu_ps(some, w + 2 * j * ld)
                                         : _mm512_setzero_ps();
        const __m512 odd = 2 * j + 1 < rows ? _mm512_maskz_loadu_ps(some, w + (2 * j + 1) * ld)
                                            : _mm512_setzero_ps();
        _mm512_store_si512(tile + j * 32, paired(even, odd));
    }
}

static void patch(const uint16_t *x, int runs, int length, int64_t step, uint16_t *out) {
    for (int r = 0; r < runs; r++, x += step, out += length)
        for (int i = 0; i < length; i += 32) {
            const __mmask32 some = first32(length - i);
            _mm512_mask_storeu_epi16(out + i, some, _mm512_maskz_loadu_epi16(some, x + i));
        }
}

static void patch_pair(const uint16_t *a, const uint16_t *b, int runs, int length, int64_t step,
                       uint16_t *out) {
    for (int r = 0; r < runs; r++, out += 2 * length)
        for (int i = 0; i < length; i += 16) {
            const __mmask16 some = first16(length - i);
            const __m512i even =
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, a + r * step + i));
            const __m512i odd =
                b ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, b + r * step + i))
                  : _mm512_setzero_si512();
            _mm512_mask_storeu_epi32(out + 2 * i, some,
                                     _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
        }
}

static void transpose(const uint16_t *x, int rows, int cols, int64_t ld, uint16_t *out,
                      int64_t ld_out) {
    for (int c = 0; c < cols; c += 16)
        for (int r = 0; r < rows; r += 32) {
            __m512i t[16];
            for (int j = 0; j < 16; j++) {
                const uint16_t *from = x + (int64_t)(r + 2 * j) * ld + c;
                const __m512i even =
                    _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
                const __m512i odd =
                    _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(from + ld)));
                t[j] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
            }
            vly_transpose16(t);
            for (int j = 0; j < 16; j++)
                _mm512_storeu_si512(out + (int64_t)(c + j) * ld_out + r, t[j]);
        }
}

/* Whole numbers up to 255 are exact: the lower half of the float is zero. */
static inline __m512i upper_half_of_u8(const uint8_t *x, __mmask16 some) {
    return (__m512i)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, x)));
}

static void widen_u8(int64_t n, const uint8_t *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        const __m512i bits = upper_half_of_u8(x + i, some);
        _mm256_mask_storeu_epi16(y + i, some, _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    }
}

static void pair_u8(int64_t n, const uint8_t *x, int64_t apart, uint16_t *out) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        const __m512i even = upper_half_of_u8(x + i, some),
                      odd = upper_half_of_u8(x + i + apart, some);
        _mm512_mask_storeu_epi32(out + 2 * i, some,
                                 _mm512_or_si512(_mm512_srli_epi32(even, 16), odd));
    }
}

static inline __m512 load_any(vly_dtype type, const void *x, int64_t i, __mmask16 some) {
    if (type != VLY_BF16) return _mm512_maskz_loadu_ps(some, (const float *)x + i);
    return (__m512)_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, (const uint16_t *)x + i)), 16);
}

/* Whole cache lines of a few columns at a time, down all rows. */
INLINE void mask_columns(vly_act act, vly_dtype type, int rows, int cols, int first, const void *y,
                         const void *dy, uint16_t *out, int64_t ld_out, float *sum,
                         const int tiles) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    const __mmask16 some = tiles > 1 ? 0xffff : first16(cols - first);
    __m512 total[TILES_MAX];
    UNROLL for (int t = 0; t < tiles; t++)
        total[t] = _mm512_maskz_loadu_ps(some, sum + first + t * TILE);
    for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tiles; t++) {
            const int c = first + t * TILE;
            const int64_t at = (int64_t)r * cols + c;
            __m512 g = load_any(type, dy, at, some);
            if (act != VLY_ACT_NONE) {
                const __m512 v = load_any(type, y, at, some);
                if (act == VLY_ACT_RELU)
                    g = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, zero, _CMP_GT_OQ), g);
                else
                    g = _mm512_mul_ps(g, _mm512_sub_ps(one, _mm512_mul_ps(v, v)));
            }
            const __m256i low = (__m256i)_mm512_cvtneps_pbh(g);
            _mm256_mask_storeu_epi16(out + r * ld_out + c, some, low);
            total[t] = _mm512_add_ps(total[t],
                                     (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
        }
    }
    UNROLL for (int t = 0; t < tiles; t++)
        _mm512_mask_storeu_ps(sum + first + t * TILE, some, total[t]);
}

static void mask(vly_act act, vly_dtype type, int rows, int cols, const void *y, const void *dy,
                 uint16_t *out, int64_t ld_out, float *sum) {
    const int whole = cols / (TILES_MAX * TILE) * TILES_MAX * TILE;
    for (int c = 0; c < whole; c += TILES_MAX * TILE)
        mask_columns(act, type, rows, cols, c, y, dy, out, ld_out, sum, TILES_MAX);
    for (int c = whole; c < cols; c += TILE)
        mask_columns(act, type, rows, cols, c, y, dy, out, ld_out, sum, 1);
}

static void pack_lanes(int64_t n, const float *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        _mm256_mask_storeu_epi16(y + i, some,
                                 (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, x + i)));
    }
}

static void accumulate(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        _mm512_mask_storeu_ps(
            y + i, some,
            _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, y + i)));
    }
}

#define TABLE(name, cost, in_place, multiply)                                                     \
    {                                                                                             \
        name, cost, in_place, multiply, pack_transposed, pack_tile, patch, patch_pair, transpose, \
            widen_u8, pair_u8, mask, pack_lanes, accumulate                                       \
    }
const vly_bf16_simd vly_bf16_avx512 = TABLE("avx512", 0.5, true, multiply);
const vly_bf16_simd vly_bf16_amx = TABLE("amx", 0.1, false, vly_bf16_amx_multiply);
#else
typedef int not_this_processor;
#endif
