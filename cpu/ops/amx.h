/* amx.h -- products of bf16 matrices on tiles (Intel AMX), and the packing they want. Inside cpu/
 * only.
 *
 *   const vly_amx *amx = vly_amx_best();          // NULL: this processor or system has none
 *   amx->multiply(&(vly_amx_product){...});
 *
 * A tile holds 16 rows of 64 bytes. The right operand is stored in pairs of its rows ("paired"):
 * numbers (2 j, c) and (2 j + 1, c) side by side. Sums are float, in the order of the inner index,
 * 32 at a time.
 */
#ifndef VLY_CPU_AMX_H
#define VLY_CPU_AMX_H
#include "common/base/compute.h"

/* C (m, n) = or += A (m, 32 k_tiles) B (32 k_tiles, 16 n_tiles). */
typedef struct {
    const uint16_t *a;
    int64_t lda;       /* numbers from row to row */
    const uint16_t *b; /* tile (k, n) at b + n * b_n + k * b_k; its paired rows b_row numbers apart
                        */
    int64_t b_n, b_k, b_row;
    int m, n, k_tiles; /* n: columns stored; all but float sums may end within a tile */
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
} vly_amx_product;

typedef struct {
    void (*multiply)(const vly_amx_product *p);
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
    /* out (16 bits) = dy act'(y), both of a type; sum (cols) += the rows of out. out's rows are
     * ld_out apart. */
    void (*mask)(vly_act act, vly_dtype type, int rows, int cols, const void *y, const void *dy,
                 uint16_t *out, int64_t ld_out, float *sum);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);
    /* y += x */
    void (*add)(int64_t n, const float *x, float *y);
} vly_amx;

const vly_amx *vly_amx_best(void);
#endif
