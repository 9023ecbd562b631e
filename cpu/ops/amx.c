#include "cpu/ops/amx.h"
#if defined(__AMX_BF16__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TILE = 16, DEPTH = 32 }; /* rows or columns, inner numbers of a tile */

/* ---- the tile unit ---- */

static bool processor_has_amx(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned amx = 1u << 22 | 1u << 24,
                   avx512 = 1u << 16 | 1u << 30 | 1u << 31; /* bf16, tile; f, bw, vl */
    if ((d & amx) != amx || (b & avx512) != avx512) return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5; /* avx512_bf16 */
}

/* Linux grants the tile registers (8 KiB per thread) only on request. */
static bool system_grants_amx(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) tile_config;

/* Tiles 0 1 / 2 3: sums of the upper and lower rows; 4, 5: rows of A; 6, 7: columns of B. */
static void configure_tiles(int upper, int lower) {
    tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++) c.row_bytes[t] = 64, c.rows[t] = TILE;
    c.rows[0] = c.rows[1] = c.rows[4] = (uint8_t)upper;
    c.rows[2] = c.rows[3] = c.rows[5] = (uint8_t)(lower ? lower : 1);
    _tile_loadconfig(&c);
}

/* ---- products ---- */

static __m512 act16(const vly_amx_product *p, __m512 x) {
    return p->act == VLY_ACT_RELU ? _mm512_max_ps(_mm512_setzero_ps(), x)
                                  : x; /* max returns x if x is a NaN */
}

static void finish_rows(const vly_amx_product *p, const float *sum, int row, int rows, int column,
                        int columns) {
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < columns; c += TILE) {
            const int left = p->n - column - c;
            if (left <= 0) continue;
            const __mmask16 some = left >= TILE ? 0xffff : (__mmask16)((1u << left) - 1);
            __m512 x = _mm512_load_ps(sum + i * 2 * TILE + c);
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

/* One block of sums: one or two tiles of rows, one or two of columns. The tile numbers are part of
 * the instructions. */
#define BLOCK(name, two_rows, two_columns)                                              \
    static void name(const vly_amx_product *p, int row, int nt, float *out, int64_t ld, \
                     bool amx_add) {                                                    \
        const uint16_t *a = p->a + (int64_t)row * p->lda, *b = p->b + nt * p->b_n;      \
        const int64_t a_row = p->lda * 2, b_row = p->b_row * 2, c_row = ld * 4;         \
        if (amx_add) {                                                                  \
            _tile_loadd(0, out, c_row);                                                 \
            if (two_columns) _tile_loadd(1, out + TILE, c_row);                         \
            if (two_rows) _tile_loadd(2, out + TILE * ld, c_row);                       \
            if (two_rows && two_columns) _tile_loadd(3, out + TILE * ld + TILE, c_row); \
        } else {                                                                        \
            _tile_zero(0);                                                              \
            if (two_columns) _tile_zero(1);                                             \
            if (two_rows) _tile_zero(2);                                                \
            if (two_rows && two_columns) _tile_zero(3);                                 \
        }                                                                               \
        for (int k = 0; k < p->k_tiles; k++, a += DEPTH, b += p->b_k) {                 \
            _tile_loadd(4, a, a_row);                                                   \
            _tile_loadd(6, b, b_row);                                                   \
            _tile_dpbf16ps(0, 4, 6);                                                    \
            if (two_columns) {                                                          \
                _tile_loadd(7, b + p->b_n, b_row);                                      \
                _tile_dpbf16ps(1, 4, 7);                                                \
            }                                                                           \
            if (two_rows) {                                                             \
                _tile_loadd(5, a + TILE * p->lda, a_row);                               \
                _tile_dpbf16ps(2, 5, 6);                                                \
                if (two_columns) _tile_dpbf16ps(3, 5, 7);                               \
            }                                                                           \
        }                                                                               \
        _tile_stored(0, out, c_row);                                                    \
        if (two_columns) _tile_stored(1, out + TILE, c_row);                            \
        if (two_rows) _tile_stored(2, out + TILE * ld, c_row);                          \
        if (two_rows && two_columns) _tile_stored(3, out + TILE * ld + TILE, c_row);    \
    }
BLOCK(block_1_1, 0, 0)
BLOCK(block_1_2, 0, 1)
BLOCK(block_2_1, 1, 0)
BLOCK(block_2_2, 1, 1)

static void one_block(const vly_amx_product *p, int row, int rows, int nt, int columns) {
    float buffer[4 * TILE * TILE] __attribute__((aligned(64)));
    float *out = p->sum ? p->sum + (int64_t)row * p->ld_sum + nt * TILE : buffer;
    const int64_t ld = p->sum ? p->ld_sum : 2 * TILE;
    if (rows > TILE)
        (columns > 1 ? block_2_2 : block_2_1)(p, row, nt, out, ld, p->sum && p->add);
    else
        (columns > 1 ? block_1_2 : block_1_1)(p, row, nt, out, ld, p->sum && p->add);
    if (!p->sum) finish_rows(p, buffer, row, rows, nt * TILE, columns * TILE);
}

static void amx_multiply(const vly_amx_product *p) {
    const int n_tiles = (p->n + TILE - 1) / TILE, whole = p->m / (2 * TILE) * 2 * TILE,
              rest = p->m - whole;
    if (whole) configure_tiles(TILE, TILE);
    for (int nt = 0; nt < n_tiles; nt += 2)
        for (int row = 0; row < whole; row += 2 * TILE)
            one_block(p, row, 2 * TILE, nt, n_tiles - nt < 2 ? 1 : 2);
    if (rest) {
        configure_tiles(rest < TILE ? rest : TILE, rest > TILE ? rest - TILE : 0);
        for (int nt = 0; nt < n_tiles; nt += 2)
            one_block(p, whole, rest, nt, n_tiles - nt < 2 ? 1 : 2);
    }
    _tile_release();
}

/* ---- packing ---- */

/* 16 x 16 numbers of 32 bits. */
static inline void transpose16(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2)
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]),
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]),
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]),
              r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++)
        for (int h = 0; h < 16; h += 8) {
            t[h + i] = _mm512_shuffle_i32x4(r[h + i], r[h + 4 + i], 0x88);
            t[h + 4 + i] = _mm512_shuffle_i32x4(r[h + i], r[h + 4 + i], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    }
}

static inline __mmask16 first16(int n) {
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}
static inline __mmask32 first32(int n) {
    return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (1u << n) - 1;
}

static void amx_pack_transposed(const float *w, int64_t ld, int rows, int cols, float scale,
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
    transpose16(r);
    for (int i = 0; i < 16; i++) _mm512_store_si512(tile + i * 32, r[i]);
}

/* Two rows as pairs. */
static inline __m512i paired(__m512 even, __m512 odd) {
    const __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even)),
                  b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

static void amx_pack(const float *w, int64_t ld, int rows, int cols, uint16_t *tile) {
    const __mmask16 some = first16(cols);
    for (int j = 0; j < 16; j++) {
        const __m512 even = 2 * j < rows ? _mm512_maskz_loadu_ps(some, w + 2 * j * ld)
                                         : _mm512_setzero_ps();
        const __m512 odd = 2 * j + 1 < rows ? _mm512_maskz_loadu_ps(some, w + (2 * j + 1) * ld)
                                            : _mm512_setzero_ps();
        _mm512_store_si512(tile + j * 32, paired(even, odd));
    }
}

static void amx_patch(const uint16_t *x, int runs, int length, int64_t step, uint16_t *out) {
    for (int r = 0; r < runs; r++, x += step, out += length)
        for (int i = 0; i < length; i += 32) {
            const __mmask32 some = first32(length - i);
            _mm512_mask_storeu_epi16(out + i, some, _mm512_maskz_loadu_epi16(some, x + i));
        }
}

static void amx_patch_pair(const uint16_t *a, const uint16_t *b, int runs, int length, int64_t step,
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

static void amx_transpose(const uint16_t *x, int rows, int cols, int64_t ld, uint16_t *out,
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
            transpose16(t);
            for (int j = 0; j < 16; j++)
                _mm512_storeu_si512(out + (int64_t)(c + j) * ld_out + r, t[j]);
        }
}

static void amx_from_u8(int64_t n, const uint8_t *x, uint16_t *y) {
    int64_t i = 0;
    for (; i < n; i += 16) { /* whole numbers up to 255 are exact */
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        const __m512i bits =
            (__m512i)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, x + i)));
        _mm256_mask_storeu_epi16(y + i, some, _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    }
}

static inline __m512 load_any(vly_dtype type, const void *x, int64_t i, __mmask16 some) {
    if (type != VLY_BF16) return _mm512_maskz_loadu_ps(some, (const float *)x + i);
    return (__m512)_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, (const uint16_t *)x + i)), 16);
}

static void amx_mask(vly_act act, vly_dtype type, int rows, int cols, const void *y, const void *dy,
                     uint16_t *out, int64_t ld_out, float *sum) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    for (int c = 0; c < cols; c += 16) {
        const __mmask16 some = first16(cols - c);
        __m512 total = _mm512_maskz_loadu_ps(some, sum + c);
        for (int r = 0; r < rows; r++) {
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
            total = _mm512_add_ps(total, (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
        }
        _mm512_mask_storeu_ps(sum + c, some, total);
    }
}

static void amx_to_bf16(int64_t n, const float *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        _mm256_mask_storeu_epi16(y + i, some,
                                 (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, x + i)));
    }
}

static void amx_add(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = first16(n - i > 16 ? 16 : (int)(n - i));
        _mm512_mask_storeu_ps(
            y + i, some,
            _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, y + i)));
    }
}

const vly_amx *vly_amx_best(void) {
    static const vly_amx amx = {
        amx_multiply,  amx_pack_transposed, amx_pack, amx_patch,   amx_patch_pair,
        amx_transpose, amx_from_u8,         amx_mask, amx_to_bf16, amx_add};
    static atomic_int known; /* 0: not asked yet, 1: no, 2: yes */
    if (atomic_load(&known) == 0)
        atomic_store(&known, processor_has_amx() && system_grants_amx() ? 2 : 1);
    return atomic_load(&known) == 2 ? &amx : NULL;
}
#else
const vly_amx *vly_amx_best(void) {
    return NULL;
}
#endif
