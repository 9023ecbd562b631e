/* bf16_amx.c -- products of bf16 matrices on Intel's tiles. */
#include "cpu/ops/bf16_simd.h"
#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* as clang 14 has it */
#include <immintrin.h>

enum { TILE = VLY_TILE, DEPTH = VLY_TILE_DEPTH };

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

/* One block of sums: one or two tiles of rows, one or two of columns. The tile numbers are part of
 * the instructions. */
#define BLOCK(name, two_rows, two_columns)                                               \
    static void name(const vly_bf16_product *p, int row, int nt, float *out, int64_t ld, \
                     bool amx_add) {                                                     \
        const uint16_t *a = p->a + (int64_t)row * p->lda, *b = p->b + nt * p->b_n;       \
        const int64_t a_row = p->lda * 2, b_row = p->b_row * 2, c_row = ld * 4;          \
        if (amx_add) {                                                                   \
            _tile_loadd(0, out, c_row);                                                  \
            if (two_columns) _tile_loadd(1, out + TILE, c_row);                          \
            if (two_rows) _tile_loadd(2, out + TILE * ld, c_row);                        \
            if (two_rows && two_columns) _tile_loadd(3, out + TILE * ld + TILE, c_row);  \
        } else {                                                                         \
            _tile_zero(0);                                                               \
            if (two_columns) _tile_zero(1);                                              \
            if (two_rows) _tile_zero(2);                                                 \
            if (two_rows && two_columns) _tile_zero(3);                                  \
        }                                                                                \
        for (int k = 0; k < p->k; k += DEPTH, a += DEPTH, b += TILE * p->b_row) {        \
            _tile_loadd(4, a, a_row);                                                    \
            _tile_loadd(6, b, b_row);                                                    \
            _tile_dpbf16ps(0, 4, 6);                                                     \
            if (two_columns) {                                                           \
                _tile_loadd(7, b + p->b_n, b_row);                                       \
                _tile_dpbf16ps(1, 4, 7);                                                 \
            }                                                                            \
            if (two_rows) {                                                              \
                _tile_loadd(5, a + TILE * p->lda, a_row);                                \
                _tile_dpbf16ps(2, 5, 6);                                                 \
                if (two_columns) _tile_dpbf16ps(3, 5, 7);                                \
            }                                                                            \
        }                                                                                \
        _tile_stored(0, out, c_row);                                                     \
        if (two_columns) _tile_stored(1, out + TILE, c_row);                             \
        if (two_rows) _tile_stored(2, out + TILE * ld, c_row);                           \
        if (two_rows && two_columns) _tile_stored(3, out + TILE * ld + TILE, c_row);     \
    }
BLOCK(block_1_1, 0, 0)
BLOCK(block_1_2, 0, 1)
BLOCK(block_2_1, 1, 0)
BLOCK(block_2_2, 1, 1)

static void one_block(const vly_bf16_product *p, int row, int rows, int nt, int columns) {
    float buffer[4 * TILE * TILE] __attribute__((aligned(64)));
    float *out = p->sum ? p->sum + (int64_t)row * p->ld_sum + nt * TILE : buffer;
    const int64_t ld = p->sum ? p->ld_sum : 2 * TILE;
    if (rows > TILE)
        (columns > 1 ? block_2_2 : block_2_1)(p, row, nt, out, ld, p->sum && p->add);
    else
        (columns > 1 ? block_1_2 : block_1_1)(p, row, nt, out, ld, p->sum && p->add);
    if (!p->sum) vly_bf16_finish(p, buffer, 2 * TILE, row, rows, nt * TILE, columns);
}

void vly_bf16_amx_multiply(const vly_bf16_product *p) {
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
#else
typedef int not_this_processor;
#endif
