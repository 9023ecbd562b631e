/* The observation that nearly everybody asks for, 160 x 210 to 84 x 84 grey, from two screens at once:
 * rows that repeat are found before they are looked up, sums fit 16 bits, and a division by 200 rounds
 * them. The same bytes as vly_pool_lookup and vly_area_resize. */
#include <string.h>
#include "envs/atari/resize.h"

enum { SIZE = 84, ROWS = 210, GROUP = 5, ROW_BYTES = 192, RING = 8, PARTS = 3, WORDS = 32 };

static int is_usual(const vly_area *area) {
    return area->x.size == SIZE && area->y.source == ROWS;
}

void vly_area_prepare_usual(vly_area *area) {
    static const int base[PARTS] = {0, 60, 96};
    if (!is_usual(area)) return;
    for (int p = 0; p < PARTS; p++)
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < WORDS && p * WORDS + i < SIZE; i++) {
                const int d = p * WORDS + i;
                area->usual_at[p][k][i] = (uint16_t)(area->x.first[d] + k - base[p]) & 63;
                area->usual_weight[p][k][i] = area->x.whole[d][k];
            }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi")))

/* The last rows that were looked up: a group and the row above it have six at most. */
typedef struct {
    _Alignas(64) uint8_t grey[RING][ROW_BYTES];
    unsigned used;
} ring;

typedef struct {
    const uint8_t *row[GROUP]; /* grey */
    int run[GROUP];            /* rows up to this one that are equal */
} group;

AVX512 static int same_row(const uint8_t *a) { /* as the one above */
    const uint8_t *b = a - VLY_AREA_WIDTH;
    const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(a), _mm512_loadu_si512(b));
    const __m512i y = _mm512_xor_si512(_mm512_loadu_si512(a + 64), _mm512_loadu_si512(b + 64));
    const __m512i z = _mm512_xor_si512(_mm512_loadu_si512(a + 96), _mm512_loadu_si512(b + 96));
    const __m512i any = _mm512_or_si512(x, _mm512_or_si512(y, z));
    return _mm512_test_epi32_mask(any, any) == 0;
}

AVX512 static __m512i grey_of(const __m512i t[4], __m512i index) {
    const __m512i low = _mm512_permutex2var_epi8(t[0], index, t[1]);
    const __m512i high = _mm512_permutex2var_epi8(t[2], index, t[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

AVX512 static void pool_row(const __m512i t[4], const uint8_t *a, const uint8_t *b, uint8_t *out) {
    static const int from[3] = {0, 64, 96};
    for (int i = 0; i < 3; i++) {
        const __m512i va = grey_of(t, _mm512_loadu_si512(a + from[i]));
        const __m512i vb = grey_of(t, _mm512_loadu_si512(b + from[i]));
        _mm512_storeu_si512(out + from[i], _mm512_max_epu8(va, vb));
    }
}

/* Five rows make two: sums of two, two and one of them. */
AVX512 static __m512i words_of(const uint8_t *row, int part) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(row + WORDS * part)));
}

AVX512 static void sum_rows(const uint8_t *twice, const uint8_t *twice_too, const uint8_t *once,
                            __m512i sum[5]) {
    for (int i = 0; i < 5; i++) {
        const __m512i two = _mm512_add_epi16(words_of(twice, i), words_of(twice_too, i));
        sum[i] = _mm512_add_epi16(_mm512_add_epi16(two, two), words_of(once, i));
    }
}

/* (n + 100) / 200; bit i of `half`: the sum i is so between two values that OpenCV's float32 decides. */
AVX512 static __m256i divide(__m512i n, uint32_t *half) {
    const __m512i m = _mm512_add_epi16(n, _mm512_set1_epi16(100));
    const __m512i eighth = _mm512_srli_epi16(m, 3); /* by 25: 20972 / 2^19, exact below 43690 */
    const __m512i q = _mm512_srli_epi16(_mm512_mulhi_epu16(eighth, _mm512_set1_epi16(20972)), 3);
    *half = _mm512_cmpeq_epi16_mask(_mm512_mullo_epi16(q, _mm512_set1_epi16(200)), m);
    return _mm512_cvtepi16_epi8(q);
}

/* As OpenCV adds it up. */
static uint8_t exact_pixel(const vly_area *area, const uint8_t *const row[3], int dy, int dx) {
    const int first = area->x.first[dx];
    float sum = 0;
    for (int j = 0; j < 3; j++) {
        float line = 0;
        for (int i = 0; i < area->x.count[dx]; i++)
            line += (float)row[j][first + i] * area->x.weight[dx][i];
        sum += area->y.weight[dy][j] * line;
    }
    return vly_area_to_byte(sum);
}

AVX512 static void sum_across(const vly_area *area, const __m512i sum[5], uint8_t *dst,
                              uint32_t half[PARTS]) {
    const __m512i low[PARTS] = {sum[0], _mm512_alignr_epi32(sum[2], sum[1], 14), sum[3]};
    const __m512i high[PARTS] = {sum[1], _mm512_alignr_epi32(sum[3], sum[2], 14), sum[4]};
    for (int p = 0; p < PARTS; p++) {
        __m512i n = _mm512_setzero_si512();
        for (int k = 0; k < 3; k++) {
            const __m512i at = _mm512_loadu_si512(area->usual_at[p][k]),
                          weight = _mm512_loadu_si512(area->usual_weight[p][k]);
            const __m512i from = _mm512_permutex2var_epi16(low[p], at, high[p]);
            n = _mm512_add_epi16(n, _mm512_mullo_epi16(from, weight));
        }
        const __m256i bytes = divide(n, &half[p]);
        if (p < PARTS - 1)
            _mm256_storeu_si256((__m256i *)(dst + WORDS * p), bytes);
        else
            _mm256_mask_storeu_epi8(dst + WORDS * p, (1u << (SIZE - 2 * WORDS)) - 1, bytes);
    }
    half[PARTS - 1] &= (1u << (SIZE - 2 * WORDS)) - 1;
}

/* same: all sources are equal to those of the row above it, and so are the sums; the order in which
 * float32 adds them up is not. half: of the row above, then of this one. */
AVX512 static void write_row(const vly_area *area, const uint8_t *const row[3], int dy, int same,
                             uint32_t half[PARTS], uint8_t *dst) {
    if (same) {
        memcpy(dst, dst - SIZE, SIZE);
    } else {
        __m512i sum[5];
        if (dy & 1)
            sum_rows(row[1], row[2], row[0], sum);
        else
            sum_rows(row[0], row[1], row[2], sum);
        sum_across(area, sum, dst, half);
    }
    for (int p = 0; p < PARTS; p++)
        for (uint32_t due = half[p]; due; due &= due - 1) {
            const int dx = p * WORDS + __builtin_ctz(due);
            dst[dx] = exact_pixel(area, row, dy, dx);
        }
}

/* The five rows from y on: those like the one above are not looked up again. */
AVX512 static void read_group(const __m512i t[4], const uint8_t *a, const uint8_t *b, int y,
                              const group *before, ring *r, group *g) {
    for (int i = 0; i < GROUP; i++) {
        const uint8_t *ra = a + (y + i) * VLY_AREA_WIDTH, *rb = b + (y + i) * VLY_AREA_WIDTH;
        if (y + i > 0 && same_row(ra) && (a == b || same_row(rb))) {
            g->row[i] = i ? g->row[i - 1] : before->row[GROUP - 1];
            g->run[i] = 1 + (i ? g->run[i - 1] : before->run[GROUP - 1]);
        } else {
            uint8_t *grey = r->grey[r->used++ % RING];
            pool_row(t, ra, rb, grey);
            g->row[i] = grey, g->run[i] = 1;
        }
    }
}

AVX512 static void resize_usual(const vly_area *area, const uint8_t lut[256], const uint8_t *a,
                                const uint8_t *b, uint8_t *dst) {
    ring r;
    group g[2];
    uint32_t half[PARTS];
    __m512i t[4];
    for (int i = 0; i < 4; i++) t[i] = _mm512_loadu_si512(lut + 64 * i);
    r.used = 0;
    for (int n = 0; n < ROWS / GROUP; n++, dst += 2 * SIZE) {
        group *now = &g[n & 1];
        read_group(t, a, b, n * GROUP, &g[!(n & 1)], &r, now);
        write_row(area, now->row, 2 * n, n > 0 && now->run[2] >= 6, half, dst);
        write_row(area, now->row + 2, 2 * n + 1, now->run[4] >= 5, half, dst + SIZE);
    }
}

int vly_area_pool_usual(const vly_area *area, const uint8_t lut[256], const uint8_t *a,
                        const uint8_t *b, uint8_t *dst) {
    if (!is_usual(area) || !vly_area_is_wide()) return 0;
    resize_usual(area, lut, a, b ? b : a, dst);
    return 1;
}
#else
int vly_area_pool_usual(const vly_area *area, const uint8_t lut[256], const uint8_t *a,
                        const uint8_t *b, uint8_t *dst) {
    (void)area, (void)lut, (void)a, (void)b, (void)dst;
    return 0;
}
#endif
