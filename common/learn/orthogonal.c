#define _GNU_SOURCE /* sched_getaffinity */
#include "common/learn/orthogonal.h"
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"

void vly_fill_normal(uint64_t seed, uint64_t index, int64_t first, int64_t n, double *x) {
    for (int64_t i = 0; i < n; i += 2) { /* Box-Muller */
        const vly_u32x4 r = vly_philox(seed, VLY_STREAM_INIT, index, (uint32_t)((first + i) / 2));
        const double radius = sqrt(-2.0 * log(vly_unit(r.v[0]))),
                     angle = 6.283185307179586 * vly_unit(r.v[1]);
        x[i] = radius * cos(angle);
        if (i + 1 < n) x[i + 1] = radius * sin(angle);
    }
}

/* ---- small: modified Gram-Schmidt on Gaussian rows ---- */

static double dot_of(const double *a, const double *b, int64_t n) {
    double sum[8] = {0}; /* eight partial sums: a fixed order that vectorises */
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

vly_status vly_orthogonal_small(int64_t rows, int64_t n, uint64_t seed, uint64_t index, double *a) {
    vly_fill_normal(seed, index, 0, rows * n, a);
    for (int64_t i = 0; i < rows; i++) {
        double *v = a + i * n;
        for (int64_t j = 0; j < i; j++) {
            const double *u = a + j * n, p = dot_of(u, v, n);
            for (int64_t k = 0; k < n; k++) v[k] -= p * u[k];
        }
        const double scale = 1.0 / sqrt(dot_of(v, v, n));
        for (int64_t k = 0; k < n; k++) v[k] *= scale;
    }
    return VLY_OK;
}

/* ---- large: Q = H(0) H(1) ... H(rows-1) D ----
 *
 * H(k) = I - v v' reflects x(k), n - k normal numbers, onto its first axis; D makes the triangular
 * factor's diagonal positive, without which Q would not be uniform. `B` (rows,ld) holds the
 * transpose of Q's first columns. From the last block of reflections to the first:
 * B -= (B V) T' V'. */

enum { BLOCK = 64, LANES = 16, TILE = 4, DEPTH = 512, WIDTH = 256, THREADS = 8 };

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

typedef struct {
    int64_t rows, n, ld; /* ld: of B and Vt; not a multiple of 4096 bytes, which one cache set holds
                          */
    uint64_t seed, index;
    int threads;
    float *B, *Vt, *V;     /* Vt (BLOCK,ld), V (n,BLOCK) */
    float T[BLOCK][BLOCK]; /* upper triangular */
    float *sign;           /* (rows): D */
    int64_t from, count;   /* of this block's reflections */
} blocks;

/* C (4,16) += or -= A (4,k) B (k,16), the sums in order of k. */
__attribute__((always_inline)) static inline void product_tile(float *c, int64_t ldc,
                                                               const float *a, int64_t lda,
                                                               const float *b, int64_t ldb,
                                                               int64_t k, bool subtract) {
    lanes s[TILE][2] = {{{0}}};
    for (int64_t i = 0; i < k; i++) {
        const lanes x = *(const lanes *)(b + i * ldb), y = *(const lanes *)(b + i * ldb + 8);
        for (int r = 0; r < TILE; r++) {
            const float f = a[r * lda + i];
            s[r][0] += f * x;
            s[r][1] += f * y;
        }
    }
    for (int r = 0; r < TILE; r++)
        for (int l = 0; l < 2; l++) {
            lanes *const to = (lanes *)(c + r * ldc + 8 * l);
            *to = subtract ? *to - s[r][l] : *to + s[r][l];
        }
}

/* X = W T', in place: row by row. */
static void times_T(const blocks *s, float *w) {
    for (int r = 0; r < TILE; r++)
        for (int i = 0; i < BLOCK; i++) {
            float sum = 0;
            for (int j = i; j < BLOCK; j++) sum += s->T[i][j] * w[r * BLOCK + j];
            w[r * BLOCK + i] = sum;
        }
}

/* Four rows of B; the columns before the block's first do not change. */
__attribute__((always_inline)) static inline void reflect_rows(const blocks *s, int64_t row) {
    const int64_t first = s->from / LANES * LANES;
    float w[TILE * BLOCK] = {0}, *const b = s->B + row * s->ld;
    for (int64_t k = first; k < s->n; k += DEPTH)
        for (int64_t j = 0; j < BLOCK; j += LANES)
            product_tile(w + j, BLOCK, b + k, s->ld, s->V + k * BLOCK + j, BLOCK,
                         s->n - k < DEPTH ? s->n - k : DEPTH, false);
    times_T(s, w);
    for (int64_t j = first; j < s->n; j += LANES)
        product_tile(b + j, s->ld, w, BLOCK, s->Vt + j, s->ld, BLOCK, true);
}

static void reflect_plain(const blocks *s, int64_t from, int64_t to) {
    for (int64_t row = from; row < to; row += TILE) reflect_rows(s, row);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void reflect_avx2(const blocks *s, int64_t from,
                                                         int64_t to) {
    for (int64_t row = from; row < to; row += TILE) reflect_rows(s, row);
}
#endif

static void reflect(const blocks *s, int64_t from, int64_t to) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        reflect_avx2(s, from, to);
        return;
    }
#endif
    reflect_plain(s, from, to);
}

/* Reflection s->from + i as row i of Vt, and as column i of V; its length is the root of 2. */
static void make_reflections(const blocks *s, int64_t from, int64_t to, double *x) {
    for (int64_t i = from; i < to; i++) {
        const int64_t k = s->from + i, n = s->n - k;
        float *const row = s->Vt + i * s->ld;
        memset(row, 0, (size_t)s->ld * sizeof *row);
        if (i < s->count) {
            vly_fill_normal(s->seed, s->index, k * ((s->n + 1) & ~(int64_t)1), n, x);
            const double length = sqrt(dot_of(x, x, n));
            s->sign[k] = x[0] < 0 ? 1 : -1;
            x[0] += x[0] < 0 ? -length : length;
            const double scale = sqrt(2.0 / dot_of(x, x, n));
            for (int64_t j = 0; j < n; j++) row[k + j] = (float)(scale * x[j]);
        }
        for (int64_t j = 0; j < s->n; j++) s->V[j * BLOCK + i] = row[j];
    }
}

/* I - V T V' is the product of the block's reflections. */
static void make_T(blocks *s) {
    memset(s->T, 0, sizeof s->T);
    for (int64_t i = 0; i < s->count; i++) {
        const float *const v = s->Vt + i * s->ld;
        float g[BLOCK];
        for (int64_t j = 0; j < i; j++) {
            const float *const u = s->Vt + j * s->ld;
            double sum[8] = {0};
            for (int64_t k = s->from / 8 * 8; k < s->ld; k += 8)
                for (int l = 0; l < 8; l++) sum[l] += (double)u[k + l] * (double)v[k + l];
            g[j] = (float)(((sum[0] + sum[1]) + (sum[2] + sum[3])) +
                           ((sum[4] + sum[5]) + (sum[6] + sum[7])));
        }
        for (int64_t r = 0; r < i; r++) {
            float sum = 0;
            for (int64_t j = r; j < i; j++) sum += s->T[r][j] * g[j];
            s->T[r][i] = -sum;
        }
        s->T[i][i] = 1;
    }
}

/* ---- over threads ---- */

typedef struct {
    blocks *s;
    void (*work)(const blocks *s, int64_t from, int64_t to, double *x);
    int64_t from, to;
    double *x; /* (n): each thread's own */
} share;

static void *work_share(void *arg) {
    const share *h = arg;
    h->work(h->s, h->from, h->to, h->x);
    return NULL;
}

/* Rows `from` to `to` in parts of whole tiles; a thread that cannot start is this one. */
static void over_threads(blocks *s, double *x,
                         void (*work)(const blocks *s, int64_t from, int64_t to, double *x),
                         int64_t from, int64_t to) {
    share h[THREADS];
    pthread_t thread[THREADS];
    bool started[THREADS] = {false};
    const int64_t part = ((to - from + s->threads - 1) / s->threads + TILE - 1) / TILE * TILE;
    for (int i = 0; i < s->threads; i++) {
        const int64_t begin = from + i * part, end = begin + part;
        h[i] = (share){s, work, begin < to ? begin : to, end < to ? end : to, x + i * s->n};
        started[i] = i + 1 < s->threads && pthread_create(&thread[i], NULL, work_share, &h[i]) == 0;
        if (!started[i]) work_share(&h[i]);
    }
    for (int i = 0; i < s->threads; i++)
        if (started[i]) pthread_join(thread[i], NULL);
}

static void reflect_share(const blocks *s, int64_t from, int64_t to, double *x) {
    (void)x;
    reflect(s, from, to);
}

static void orthogonal_build(blocks *s, double *x) {
    const int64_t padded = (s->rows + TILE - 1) / TILE * TILE;
    for (int64_t i = 0; i < s->rows; i++) s->B[i * s->ld + i] = 1;
    for (s->from = (s->rows - 1) / BLOCK * BLOCK; s->from >= 0; s->from -= BLOCK) {
        s->count = s->rows - s->from < BLOCK ? s->rows - s->from : BLOCK;
        over_threads(s, x, make_reflections, 0, BLOCK);
        make_T(s);
        over_threads(s, x, reflect_share, s->from, padded);
    }
}

static int usable_processors(void) {
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < THREADS ? n : THREADS;
}

vly_status vly_orthogonal_large(int64_t rows, int64_t n, uint64_t seed, uint64_t index, int threads,
                                double *a) {
    const int64_t padded = (rows + TILE - 1) / TILE * TILE, wide = (n + LANES - 1) / LANES * LANES;
    blocks *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for an orthogonal matrix");
    *s = (blocks){.rows = rows, .n = n, .ld = wide + LANES, .seed = seed, .index = index};
    s->threads = threads < 1 ? usable_processors() : threads < THREADS ? threads : THREADS;
    s->B = calloc((size_t)(padded * s->ld), sizeof *s->B);
    s->Vt = calloc((size_t)(BLOCK * s->ld), sizeof *s->Vt);
    s->V = calloc((size_t)(wide * BLOCK), sizeof *s->V);
    s->sign = calloc((size_t)rows, sizeof *s->sign);
    double *x = malloc((size_t)(s->threads * n) * sizeof *x);
    const bool good = s->B && s->Vt && s->V && s->sign && x;
    if (good) orthogonal_build(s, x);
    for (int64_t i = 0; good && i < rows; i++)
        for (int64_t k = 0; k < n; k++) a[i * n + k] = (double)(s->sign[i] * s->B[i * s->ld + k]);
    free(x);
    free(s->sign);
    free(s->V);
    free(s->Vt);
    free(s->B);
    free(s);
    return good ? VLY_OK : vly_fail(VLY_ENOMEM, "no memory for an orthogonal matrix");
}
