/* bf16_simd.h -- products of bf16 matrices with sums in float, and the packing that they read.
 * Inside cpu/ only.
 *
 *   const vly_bf16_simd *simd = vly_bf16_simd_best();   // NULL: this processor or system has none
 *   simd->multiply(&(vly_bf16_product){...});
 *
 * bf16_amx.c multiplies tiles (Intel AMX), bf16_avx512.c vectors (AVX512_BF16: AMD since Zen 4,
 * Intel's Cooper Lake). Both read the same layout: a tile holds 16 rows of 64 bytes, and the right
 * operand is stored in pairs of its rows ("paired"): numbers (2 j, c) and (2 j + 1, c) side by
 * side.
 *
 * Rounding. Operands are rounded to nearest even, their products are exact in float. Both treat
 * subnormal operands as zeros and flush subnormal sums. Vectors add the products one after the
 * other in the order of the inner index, the odd number of each pair before the even one. Tiles add
 * those of even and of odd indices apart, 32 at a time. The two agree within float rounding, not in
 * every bit; each gives the same bits however rows and columns are cut into blocks.
 */
#ifndef VLY_CPU_BF16_SIMD_H
#define VLY_CPU_BF16_SIMD_H
#include "common/base/compute.h"

enum { VLY_TILE = 16, VLY_TILE_DEPTH = 32, VLY_TILE_NUMBERS = 512 }; /* rows or columns; inner */

/* C (m, n) = or += A (m, k) B (k, n). */
typedef struct {
    const uint16_t *a; /* zeros from k up to a whole tile */
    int64_t lda;       /* numbers from row to row */
    const uint16_t *b; /* tile (k, n) at b + n * b_n + k * 16 b_row, its paired rows b_row apart;
                          zeros beyond k */
    int64_t b_n, b_row;
    int m, n, k; /* n: columns stored; all but float sums may end within a tile */
    /* Only with in_place: row r of A at a + a_at[r], in runs of `run` numbers (even) `step` apart;
     * after each run B's rows begin b_step further on; row r of the sums at sum + sum_at[r], where
     * rows may overlap if they are added to. */
    const int32_t *a_at, *sum_at;
    int run;
    int64_t step, b_step;
    /* Where it goes: either float sums, n a multiple of 16 ... */
    float *sum;
    int64_t ld_sum;
    bool add;
    /* ... or y = act(bias + sum) */
    void *y;
    vly_dtype y_type;
    int64_t ldy;
    const float *bias; /* n, padded to whole tiles; NULL: zeros */
    vly_act act;
    void (*tanh)(int64_t n, float *y);
} vly_bf16_product;

typedef struct {
    const char *name;
    double cost;   /* of a product, as a part of f32's */
    bool in_place; /* multiplies patches where they lie in an image, and adds to them there */
    void (*multiply)(const vly_bf16_product *p);
    /* Tile (k, n) of the transpose of w (rows, ld): inner index along w's rows. 16 x 32 numbers of
     * w from (r, c), those beyond rows or cols as zeros, times scale. */
    void (*pack_transposed)(const float *w, int64_t ld, int rows, int cols, float scale,
                            uint16_t *tile);
    /* Tile (k, n) of w itself: 32 rows and 16 columns, zeros beyond. */
    void (*pack)(const float *w, int64_t ld, int rows, int cols, uint16_t *tile);
    /* A patch: `runs` runs of `length` numbers, `step` apart, one after the other. */
    void (*patch)(const uint16_t *x, int runs, int length, int64_t step, uint16_t *out);
    /* Two patches as one paired row; b NULL: zeros. */
    void (*patch_pair)(const uint16_t *a, const uint16_t *b, int runs, int length, int64_t step,
                       uint16_t *out);
    /* out (cols, ld_out) = x (rows, ld) transposed; rows a multiple of 32, cols of 16. */
    void (*transpose)(const uint16_t *x, int rows, int cols, int64_t ld, uint16_t *out,
                      int64_t ld_out);
    void (*from_u8)(int64_t n, const uint8_t *x, uint16_t *y);
    /* x[i] and x[i + apart] side by side, for i = 0 .. n - 1. */
    void (*pair_u8)(int64_t n, const uint8_t *x, int64_t apart, uint16_t *out);
    /* out (16 bits) = dy act'(y), both of a type; sum (cols) += the rows of out. out's rows are
     * ld_out apart. */
    void (*mask)(vly_act act, vly_dtype type, int rows, int cols, const void *y, const void *dy,
                 uint16_t *out, int64_t ld_out, float *sum);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);
    /* y += x */
    void (*add)(int64_t n, const float *x, float *y);
} vly_bf16_simd;

/* Follows vly_simd_force: NULL below AVX-512. */
const vly_bf16_simd *vly_bf16_simd_best(void);
/* For tests: "amx", "avx512"; NULL when this machine lacks it. Contexts made later use it; NULL:
 * the best again. */
const vly_bf16_simd *vly_bf16_simd_force(const char *name);

#if defined(__x86_64__)
extern const vly_bf16_simd vly_bf16_avx512, vly_bf16_amx;
void vly_bf16_amx_multiply(const vly_bf16_product *p);
/* y = act(bias + sum) for a block of sums, `ld` numbers from row to row. */
void vly_bf16_finish(const vly_bf16_product *p, const float *sum, int64_t ld, int row, int rows,
                     int column, int tiles);
#endif
#endif
