/* simd.h -- the inner loops of the layers, once for each vector width; the widest that runs here is
 * picked at start.
 *
 *   const vly_simd *simd = vly_simd_best();
 *   simd->gemm(&(vly_gemm){...});
 *
 * simd_body.h holds the code, simd_avx512.c, simd_avx2.c and simd_base.c compile it. Inside cpu/
 * only, float only. A number of a result is always summed in the same order, however the rows are
 * cut into blocks.
 */
#ifndef VLY_CPU_SIMD_H
#define VLY_CPU_SIMD_H
#include "common/base/compute.h"

/* C = act(bias + A B) or C += A B, one packed panel of B wide. */
typedef struct {
    const float *a; /* row r at a + (a_at ? a_at[r] : r * lda) */
    const int32_t *a_at;
    int64_t lda;
    int segments, length; /* a row of A: `segments` runs of `length` numbers, `step` apart */
    int64_t step;
    const float *b;    /* (segments * length, vectors * lanes) */
    const float *bias; /* (vectors * lanes), or NULL: zeros */
    int rows, cols;    /* cols <= vectors * lanes: what is stored */
    int vectors;       /* 1 .. vectors_max */
    float *c;          /* row r at c + (c_at ? c_at[r] : r * ldc); rows may overlap when `add` */
    const int32_t *c_at;
    int64_t ldc;
    vly_act act;
    bool add;
} vly_gemm;

/* C (m, segments of length) = or += the sum over pixels of a(pixel) x b(pixel). Reads whole vectors
 * of b. */
typedef struct {
    const float *a; /* m numbers of pixel (y, x) at a + y * a_row + x * a_col */
    int64_t a_row, a_col;
    const float *b; /* its segments of b: at b + y * b_row + x * b_col, `step` apart */
    int64_t b_row, b_col;
    int height, width; /* pixels */
    int m;
    int segments, length;
    int64_t step;
    float *c; /* number j of segment s of row i at c + i * ldc + s * c_step + j */
    int64_t ldc, c_step;
    bool add;
} vly_gemm_sum;

typedef struct vly_simd vly_simd;
struct vly_simd {
    const char *name;
    int lanes;       /* floats in a vector */
    int vectors_max; /* widest panel */
    void (*gemm)(const vly_gemm *g);
    void (*gemm_sum)(const vly_gemm_sum *g);
    void (*tanh)(int64_t n, float *y); /* in place; below 2 ulp, 2.5 on a processor without fma */
    void (*mask)(vly_act act, int64_t n, const float *y, const float *dy,
                 float *out); /* out = dy act'(y); may be in place */
    void (*sum_rows)(int rows, int cols, const float *x, int64_t ld, float *sum); /* sum += rows of
                                                                                     x */
    void (*from_u8)(int64_t n, const uint8_t *x, float scale, float *y);
    void (*copy_rows)(int rows, int cols, const float *x, int64_t ld, float *out,
                      int width); /* out (rows, width), zeros behind */
    /* out (cols, width): the first `rows` columns are those of x (rows, cols); others stay. */
    void (*transpose)(int rows, int64_t cols, const float *x, float *out, int width);
};

const vly_simd *vly_simd_best(void);
/* For tests: "base", "avx2", "avx512"; NULL when this machine lacks it. Contexts made later use it;
 * NULL: the best again. */
const vly_simd *vly_simd_force(const char *name);

extern const vly_simd vly_simd_base;
#if defined(__x86_64__)
extern const vly_simd vly_simd_avx2, vly_simd_avx512;
#endif
#endif
