#include "envs/atari/resize.h"
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PADDED = VLY_AREA_WIDTH + 64 }; /* a row of sums, and room to read past its end */

/* Closer than this to a half, float32 sums of up to 36 products below 255 may round either way. */
static const float near_half = 1e-3f;

static int gcd(int a, int b) {
    while (b) {
        const int r = a % b;
        a = b, b = r;
    }
    return a;
}

/* The float weights are OpenCV's computeResizeAreaTab, in its double arithmetic; the whole ones are
 * the overlaps of source and destination cells in units of gcd / size of a source pixel. */
static void axis_init(vly_area_axis *axis, int source, int size) {
    const int unit = gcd(source, size), pixel = size / unit, cell = source / unit;
    const double scale = (double)source / size;
    memset(axis, 0, sizeof *axis);
    axis->source = source, axis->size = size, axis->sum = cell;
    for (int d = 0; d < size; d++) {
        const int from = d * cell, to = from + cell;
        const int first = from / pixel, last = (to - 1) / pixel;
        const double f1 = d * scale, f2 = f1 + scale, width = fmin(scale, source - f1);
        axis->first[d] = (uint8_t)first;
        axis->count[d] = (uint8_t)(last - first + 1);
        for (int s = first; s <= last; s++) {
            const int low = s * pixel > from ? s * pixel : from;
            const int high = (s + 1) * pixel < to ? (s + 1) * pixel : to;
            const int head = low > s * pixel, tail = high < (s + 1) * pixel;
            axis->whole[d][s - first] = (uint8_t)(high - low);
            axis->weight[d][s - first] = head   ? (float)((s + 1 - f1) / width)
                                         : tail ? (float)(fmin(fmin(f2 - s, 1.0), width) / width)
                                                : (float)(1.0 / width);
        }
    }
}

int vly_area_init(vly_area *area, int height, int size) {
    if (height < 1 || height > VLY_AREA_MAX_HEIGHT) return -1;
    if (size < 16 || size > VLY_AREA_MAX_SIZE || size > height) return -1;
    memset(area, 0, sizeof *area);
    axis_init(&area->x, VLY_AREA_WIDTH, size);
    axis_init(&area->y, height, size);
    area->scale = 1.0f / (float)(area->x.sum * area->y.sum);
    area->fast = 255 * area->y.sum <= INT16_MAX;
    for (int d = 0; d < size; d++) {
        const uint8_t *w = area->x.whole[d];
        if (area->x.count[d] > 4) area->fast = 0;
        area->first[d] = area->x.first[d];
        for (int k = 0; k < 2; k++) area->pair[k][d] = w[2 * k] | w[2 * k + 1] << 16;
    }
    vly_area_prepare_usual(area);
    return 0;
}

/* ---- plain C: OpenCV's arithmetic ---- */

/* OpenCV has a separate path for whole scales in both directions: an integer sum and one
 * product. */
static int is_whole(const vly_area *area) {
    return area->x.source % area->x.size == 0 && area->y.source % area->y.size == 0;
}

uint8_t vly_area_to_byte(float value) {
    const long rounded = lrintf(value);
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

static uint8_t pixel_whole(const vly_area *area, const uint8_t *src, int dy, int dx) {
    int sum = 0;
    for (int j = 0; j < area->y.count[dy]; j++)
        for (int i = 0; i < area->x.count[dx]; i++)
            sum += src[(area->y.first[dy] + j) * VLY_AREA_WIDTH + area->x.first[dx] + i];
    return vly_area_to_byte((float)sum * (1.0f / (float)(area->x.count[dx] * area->y.count[dy])));
}

static uint8_t pixel(const vly_area *area, const uint8_t *src, int dy, int dx) {
    const uint8_t *row = src + area->y.first[dy] * VLY_AREA_WIDTH + area->x.first[dx];
    float sum = 0;
    for (int j = 0; j < area->y.count[dy]; j++, row += VLY_AREA_WIDTH) {
        float across = 0;
        for (int i = 0; i < area->x.count[dx]; i++) across += (float)row[i] * area->x.weight[dx][i];
        sum += area->y.weight[dy][j] * across;
    }
    return vly_area_to_byte(sum);
}

void vly_area_resize_reference(const vly_area *area, const uint8_t *src, uint8_t *dst, int stride) {
    const int size = area->x.size, whole = is_whole(area);
    for (int dy = 0; dy < size; dy++)
        for (int dx = 0; dx < size; dx++, dst += stride)
            *dst = whole ? pixel_whole(area, src, dy, dx) : pixel(area, src, dy, dx);
}

void vly_pool_lookup_reference(const uint8_t lut[256], const uint8_t *a, const uint8_t *b, size_t n,
                               uint8_t *out) {
    if (!b) b = a;
    for (size_t i = 0; i < n; i++) {
        const uint8_t va = lut[a[i]], vb = lut[b[i]];
        out[i] = va > vb ? va : vb;
    }
}

#if defined(__x86_64__)
/* ---- AVX2 ---- */

#define AVX2 __attribute__((target("avx2,bmi")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,bmi")))

/* Sums of one destination row's source rows: at most 32767, so words hold them. */
AVX2 static void sum_rows_avx2(const vly_area *area, const uint8_t *src, int dy, uint16_t *sums) {
    const uint8_t *row = src + area->y.first[dy] * VLY_AREA_WIDTH;
    for (int x = 0; x < VLY_AREA_WIDTH; x += 16) {
        __m256i total = _mm256_setzero_si256();
        for (int j = 0; j < area->y.count[dy]; j++) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(row + j * VLY_AREA_WIDTH + x));
            const __m256i weight = _mm256_set1_epi16(area->y.whole[dy][j]);
            total = _mm256_add_epi16(total,
                                     _mm256_mullo_epi16(_mm256_cvtepu8_epi16(bytes), weight));
        }
        _mm256_storeu_si256((__m256i *)(sums + x), total);
    }
}

/* Writes eight results; bit i of the return value is set if result i is too close to a half to
 * be certain. */
AVX2 static unsigned eight_avx2(const vly_area *area, const uint16_t *sums, int dx, uint8_t *out) {
    const __m256i at = _mm256_loadu_si256((const __m256i *)(area->first + dx));
    const __m256i low = _mm256_i32gather_epi32((const int *)sums, at, 2);
    const __m256i high = _mm256_i32gather_epi32((const int *)(sums + 2), at, 2);
    const __m256i wl = _mm256_loadu_si256((const __m256i *)(area->pair[0] + dx));
    const __m256i wh = _mm256_loadu_si256((const __m256i *)(area->pair[1] + dx));
    const __m256i n = _mm256_add_epi32(_mm256_madd_epi16(low, wl), _mm256_madd_epi16(high, wh));
    const __m256 q = _mm256_mul_ps(_mm256_cvtepi32_ps(n), _mm256_set1_ps(area->scale));
    const __m256 fraction = _mm256_sub_ps(q, _mm256_floor_ps(q));
    const __m256 off = _mm256_andnot_ps(_mm256_set1_ps(-0.0f),
                                        _mm256_sub_ps(fraction, _mm256_set1_ps(0.5f)));
    const __m256i r = _mm256_cvtps_epi32(q);
    const __m256i words = _mm256_packus_epi32(r, r), bytes = _mm256_packus_epi16(words, words);
    const uint32_t halves[2] = {(uint32_t)_mm256_extract_epi32(bytes, 0),
                                (uint32_t)_mm256_extract_epi32(bytes, 4)};
    memcpy(out, halves, 8);
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(off, _mm256_set1_ps(near_half), _CMP_LT_OQ));
}

AVX2 static void resize_avx2(const vly_area *area, const uint8_t *src, uint8_t *dst, int stride) {
    const int size = area->x.size;
    uint16_t sums[PADDED] = {0};
    uint8_t line[VLY_AREA_MAX_SIZE + 16];
    for (int dy = 0; dy < size; dy++, dst += size * stride) {
        sum_rows_avx2(area, src, dy, sums);
        for (int dx = 0; dx < size; dx += 8) {
            unsigned doubt = eight_avx2(area, sums, dx, line + dx);
            for (; doubt; doubt &= doubt - 1) {
                const int at = dx + __builtin_ctz(doubt);
                if (at < size) line[at] = pixel(area, src, dy, at);
            }
        }
        if (stride == 1)
            memcpy(dst, line, (size_t)size);
        else
            for (int dx = 0; dx < size; dx++) dst[dx * stride] = line[dx];
    }
}

/* ---- AVX-512 with byte permutes ---- */

AVX512 static void sum_rows_avx512(const vly_area *area, const uint8_t *src, int dy,
                                   uint16_t *sums) {
    const uint8_t *row = src + area->y.first[dy] * VLY_AREA_WIDTH;
    __m512i total[5];
    for (int x = 0; x < 5; x++) total[x] = _mm512_setzero_si512();
    for (int j = 0; j < area->y.count[dy]; j++, row += VLY_AREA_WIDTH) {
        const __m512i weight = _mm512_set1_epi16(area->y.whole[dy][j]);
        for (int x = 0; x < 5; x++) {
            const __m512i words =
                _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(row + 32 * x)));
            total[x] = _mm512_add_epi16(total[x], _mm512_mullo_epi16(words, weight));
        }
    }
    for (int x = 0; x < 5; x++) _mm512_storeu_si512(sums + 32 * x, total[x]);
}

/* Sixteen at a time; their sources lie within 64 words where the scale is below 3.5. */
AVX512 static unsigned sixteen_avx512(const vly_area *area, const uint16_t *sums, int dx,
                                      uint8_t *out) {
    const __m512i first = _mm512_loadu_si512(area->first + dx);
    const int base = area->first[dx];
    const __m512i from = _mm512_sub_epi32(first, _mm512_set1_epi32(base));
    /* word indices (f, f + 1) and (f + 2, f + 3) in each 32 bits */
    const __m512i pairs = _mm512_add_epi32(_mm512_mullo_epi32(from, _mm512_set1_epi32(0x10001)),
                                           _mm512_set1_epi32(0x10000));
    const __m512i a = _mm512_loadu_si512(sums + base), b = _mm512_loadu_si512(sums + base + 32);
    const __m512i low = _mm512_permutex2var_epi16(a, pairs, b);
    const __m512i high = _mm512_permutex2var_epi16(a, _mm512_add_epi16(pairs, _mm512_set1_epi16(2)),
                                                   b);
    const __m512i n =
        _mm512_add_epi32(_mm512_madd_epi16(low, _mm512_loadu_si512(area->pair[0] + dx)),
                         _mm512_madd_epi16(high, _mm512_loadu_si512(area->pair[1] + dx)));
    const __m512 q = _mm512_mul_ps(_mm512_cvtepi32_ps(n), _mm512_set1_ps(area->scale));
    const __m512 fraction =
        _mm512_sub_ps(q, _mm512_roundscale_ps(q, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    const __m512 off = _mm512_abs_ps(_mm512_sub_ps(fraction, _mm512_set1_ps(0.5f)));
    _mm_storeu_si128((__m128i *)out, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(q)));
    return _mm512_cmp_ps_mask(off, _mm512_set1_ps(near_half), _CMP_LT_OQ);
}

AVX512 static void line_avx512(const vly_area *area, const uint8_t *src, const uint16_t *sums,
                               int dy, uint8_t *line) {
    for (int dx = 0; dx < area->x.size; dx += 16) {
        unsigned doubt = sixteen_avx512(area, sums, dx, line + dx);
        for (; doubt; doubt &= doubt - 1) {
            const int at = dx + __builtin_ctz(doubt);
            if (at < area->x.size) line[at] = pixel(area, src, dy, at);
        }
    }
}

/* Twelve lines vertically, then twelve horizontally: a load that straddles two recent stores
 * would stall on both. */
AVX512 static void resize_avx512(const vly_area *area, const uint8_t *src, uint8_t *dst,
                                 int stride) {
    enum { BATCH = 12 };
    const int size = area->x.size;
    uint16_t sums[BATCH][PADDED];
    uint8_t line[VLY_AREA_MAX_SIZE + 16];
    memset(sums, 0, sizeof sums);
    for (int from = 0; from < size; from += BATCH) {
        const int n = size - from < BATCH ? size - from : BATCH;
        for (int i = 0; i < n; i++) sum_rows_avx512(area, src, from + i, sums[i]);
        for (int i = 0; i < n; i++, dst += size * stride) {
            line_avx512(area, src, sums[i], from + i, line);
            if (stride == 1)
                memcpy(dst, line, (size_t)size);
            else
                for (int dx = 0; dx < size; dx++) dst[dx * stride] = line[dx];
        }
    }
}

/* The whole table lies in four registers; the top bit of an index chooses between the pairs. */
AVX512 static __m512i lookup_avx512(const __m512i t[4], __m512i index) {
    const __m512i low = _mm512_permutex2var_epi8(t[0], index, t[1]);
    const __m512i high = _mm512_permutex2var_epi8(t[2], index, t[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

AVX512 static void pool_lookup_avx512(const uint8_t lut[256], const uint8_t *a, const uint8_t *b,
                                      size_t n, uint8_t *out) {
    __m512i t[4];
    for (int i = 0; i < 4; i++) t[i] = _mm512_loadu_si512(lut + 64 * i);
    if (!b) b = a;
    for (size_t i = 0; i < n; i += 64) {
        const __mmask64 some = n - i >= 64 ? ~0ull : (1ull << (n - i)) - 1;
        const __m512i va = lookup_avx512(t, _mm512_maskz_loadu_epi8(some, a + i));
        const __m512i vb = lookup_avx512(t, _mm512_maskz_loadu_epi8(some, b + i));
        _mm512_mask_storeu_epi8(out + i, some, _mm512_max_epu8(va, vb));
    }
}

int vly_area_is_wide(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi");
}
#endif

void vly_area_resize(const vly_area *area, const uint8_t *src, uint8_t *dst, int stride) {
#if defined(__x86_64__)
    if (area->fast && !is_whole(area)) {
        if (area->x.size >= 48 && vly_area_is_wide()) {
            resize_avx512(area, src, dst, stride);
            return;
        }
        if (__builtin_cpu_supports("avx2")) {
            resize_avx2(area, src, dst, stride);
            return;
        }
    }
#endif
    vly_area_resize_reference(area, src, dst, stride);
}

void vly_pool_lookup(const uint8_t lut[256], const uint8_t *a, const uint8_t *b, size_t n,
                     uint8_t *out) {
#if defined(__x86_64__)
    if (vly_area_is_wide()) {
        pool_lookup_avx512(lut, a, b, n, out);
        return;
    }
#endif
    vly_pool_lookup_reference(lut, a, b, n, out);
}
