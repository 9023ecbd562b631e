/* linear_bf16.c -- linear layers of bf16 numbers, or of floats that are rounded for the products
 * alone. Weights and their gradients stay float;
 * prepare keeps the bf16 copies, packed for y = x W^T and for dx = dy W. */
#include <string.h>
#include <stdlib.h>
#include "cpu/ops/bf16_simd.h"
#include "cpu/ops/ops.h"
#include "cpu/ops/simd.h"

enum { ROWS = 128, COLUMNS = 128, TILE = 16, DEPTH = 32, TILE_NUMBERS = 512 };

typedef struct {
    const vly_bf16_simd *simd;
    int k_tiles, out_tiles, in_tiles, out_deep; /* in / 32; out / 16; in / 16; out / 32, rounded up
                                                 */
    int out_padded;                             /* 32 out_deep */
    uint16_t *forward, *backward;               /* tiles (out_tiles, k_tiles), (in_tiles,
                                                             out_deep) */
    float *bias;
    uint16_t *x;         /* uint8 or float input as bf16 (batch_max, in), or NULL */
    uint16_t *dy, *dy_t; /* (batch padded, out_padded), its transpose (out_padded, batch padded) */
    uint16_t *pairs;     /* (threads) x (batch padded / 2, 2 COLUMNS): x's columns, paired */
    float *bias_part;    /* (blocks of rows, out) */
} linear_bf16;

typedef struct {
    vly_cpu *cpu;
    vly_layer *l;
    linear_bf16 *s;
    const vly_real *w;
    int n;
    const uint16_t *x;
    const void *y;
    void *out, *dy, *dx;
    float *dw;
    bool accumulate;
} linear_bf16_call;

static int round_up(int n, int to) {
    return (n + to - 1) / to * to;
}
static int row_blocks_bf16(int n) {
    return (n + ROWS - 1) / ROWS;
}
static int block_rows_bf16(int n, int block) {
    return n - block * ROWS < ROWS ? n - block * ROWS : ROWS;
}

/* ---- packing ---- */

static void pack_forward_bf16(void *arg, int tile, int slot) {
    (void)slot;
    const linear_bf16_call *c = arg;
    const int in = c->l->d.in_c, o = tile * TILE;
    for (int k = 0; k < c->s->k_tiles; k++)
        c->s->simd->pack_transposed(
            c->w + (int64_t)o * in + k * DEPTH, in, c->l->d.out_c - o, in - k * DEPTH,
            c->l->d.x_scale, c->s->forward + ((int64_t)tile * c->s->k_tiles + k) * TILE_NUMBERS);
}

static void pack_backward_bf16(void *arg, int tile, int slot) {
    (void)slot;
    const linear_bf16_call *c = arg;
    const int in = c->l->d.in_c;
    for (int k = 0; k < c->s->out_deep; k++)
        c->s->simd->pack(c->w + (int64_t)k * DEPTH * in + tile * TILE, in,
                         c->l->d.out_c - k * DEPTH, in - tile * TILE,
                         c->s->backward + ((int64_t)tile * c->s->out_deep + k) * TILE_NUMBERS);
}

static vly_status linear_bf16_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    linear_bf16 *s = l->state;
    linear_bf16_call c = {.cpu = cpu, .l = l, .s = s, .w = w};
    const double traffic = 20.0 * (double)l->patch_size * l->d.out_c; /* memory traffic, as FLOPs
                                                                        */
    memcpy(s->bias, w + l->d.out_c * l->patch_size, (size_t)l->d.out_c * sizeof *w);
    vly_cpu_run(cpu, traffic, s->out_tiles, pack_forward_bf16, &c);
    if (s->backward) vly_cpu_run(cpu, traffic, s->in_tiles, pack_backward_bf16, &c);
    return VLY_OK;
}

/* ---- forward ---- */

static double linear_bf16_flops(const vly_layer *l, int n) {
    const linear_bf16 *s = l->state;
    return 2 * s->simd->cost * n * (double)l->patch_size * l->d.out_c;
}

/* Tiles in a block: few rows make one block, whose tiles are shared among the threads. */
enum { OUT_GROUP = 8, OUT_GROUP_FEW = 4 };
static int tiles_together(int n) {
    return row_blocks_bf16(n) < 4 ? OUT_GROUP_FEW : OUT_GROUP;
}
static int tile_groups(int tiles, int n) {
    return (tiles + tiles_together(n) - 1) / tiles_together(n);
}

static void forward_block_bf16(void *arg, int block, int slot) {
    (void)slot;
    const linear_bf16_call *c = arg;
    const linear_bf16 *s = c->s;
    const int group = tiles_together(c->n), groups = tile_groups(s->out_tiles, c->n),
              first = block % groups * group, rows = block / groups, out = c->l->d.out_c;
    const int64_t at = (int64_t)rows * ROWS * out + first * TILE;
    s->simd->multiply(&(vly_bf16_product){
        .a = c->x + (int64_t)rows * ROWS * c->l->patch_size,
        .lda = c->l->patch_size,
        .b = s->forward + (int64_t)first * s->k_tiles * TILE_NUMBERS,
        .b_n = (int64_t)s->k_tiles * TILE_NUMBERS,
        .b_row = 32,
        .m = block_rows_bf16(c->n, rows),
        .n = out - first * TILE < group * TILE ? out - first * TILE : group * TILE,
        .k = (int)c->l->patch_size,
        .y = c->l->d.y_type == VLY_BF16 ? (void *)((uint16_t *)c->out + at)
                                        : (void *)((float *)c->out + at),
        .y_type = c->l->d.y_type,
        .ldy = out,
        .bias = s->bias + first * TILE,
        .act = c->l->d.act,
        .tanh = c->cpu->simd->tanh});
}

static const uint16_t *bf16_input(const vly_layer *l, int n, const void *x) {
    const linear_bf16 *s = l->state;
    if (!s->x) return x;
    if (l->d.x_type == VLY_U8)
        s->simd->from_u8(n * l->patch_size, x, s->x);
    else
        s->simd->to_bf16(n * l->patch_size, x, s->x);
    return s->x;
}

static vly_status linear_bf16_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                      const vly_real *w, void *y) {
    linear_bf16 *s = l->state;
    linear_bf16_call c = {
        .cpu = cpu, .l = l, .s = s, .w = w, .n = n, .x = bf16_input(l, n, x), .out = y};
    vly_cpu_run(cpu, linear_bf16_flops(l, n), row_blocks_bf16(n) * tile_groups(s->out_tiles, n),
                forward_block_bf16, &c);
    return VLY_OK;
}

/* ---- backward ---- */

static void mask_block_bf16(void *arg, int block, int slot) {
    (void)slot;
    const linear_bf16_call *c = arg;
    const linear_bf16 *s = c->s;
    const int rows = block_rows_bf16(c->n, block), out = c->l->d.out_c;
    const size_t at = (size_t)block * ROWS * (size_t)out * vly_dtype_bytes(c->l->d.y_type);
    float *part = s->bias_part + (int64_t)block * out;
    memset(part, 0, (size_t)out * sizeof *part);
    uint16_t *dy = s->dy + (int64_t)block * ROWS * s->out_padded;
    s->simd->mask(c->l->d.act, c->l->d.y_type, rows, out, (const char *)c->y + at,
                  (const char *)c->dy + at, dy, s->out_padded, part);
    memset(dy + (int64_t)rows * s->out_padded, 0,
           (size_t)(round_up(rows, DEPTH) - rows) * (size_t)s->out_padded * 2);
    s->simd->transpose(dy, round_up(rows, DEPTH), s->out_padded, s->out_padded,
                       s->dy_t + block * ROWS, round_up(c->l->d.batch_max, DEPTH));
}

static void dx_block_bf16(void *arg, int block, int slot) {
    (void)slot;
    const linear_bf16_call *c = arg;
    const linear_bf16 *s = c->s;
    const int group = tiles_together(c->n), groups = tile_groups(s->in_tiles, c->n),
              first = block % groups * group, rows = block / groups, in = c->l->d.in_c;
    const size_t at = ((size_t)rows * ROWS * (size_t)in + (size_t)first * TILE) *
                      vly_dtype_bytes(c->l->d.x_type);
    s->simd->multiply(&(vly_bf16_product){
        .a = s->dy + (int64_t)rows * ROWS * s->out_padded,
        .lda = s->out_padded,
        .b = s->backward + (int64_t)first * s->out_deep * TILE_NUMBERS,
        .b_n = (int64_t)s->out_deep * TILE_NUMBERS,
        .b_row = 32,
        .m = block_rows_bf16(c->n, rows),
        .n = in - first * TILE < group * TILE ? in - first * TILE : group * TILE,
        .k = c->l->d.out_c,
        .y = (char *)c->dx + at,
        .y_type = c->l->d.x_type,
        .ldy = in});
}

static void dw_block_bf16(void *arg, int block, int slot) {
    const linear_bf16_call *c = arg;
    const linear_bf16 *s = c->s;
    const int in = c->l->d.in_c, first = block * COLUMNS,
              columns = in - first < COLUMNS ? in - first : COLUMNS, padded = round_up(c->n, DEPTH);
    uint16_t *pairs = s->pairs + (int64_t)slot * round_up(c->l->d.batch_max, DEPTH) * COLUMNS;
    for (int i = 0; i < padded; i += 2) {
        const uint16_t *x = c->x + (int64_t)i * in + first;
        uint16_t *to = pairs + (int64_t)i * COLUMNS;
        if (i < c->n)
            s->simd->patch_pair(x, i + 1 < c->n ? x + in : NULL, 1, columns, 0, to);
        else
            memset(to, 0, 2 * COLUMNS * sizeof *to);
    }
    s->simd->multiply(&(vly_bf16_product){.a = s->dy_t,
                                          .lda = round_up(c->l->d.batch_max, DEPTH),
                                          .b = pairs,
                                          .b_n = 2 * TILE,
                                          .b_row = 2 * COLUMNS,
                                          .m = c->l->d.out_c,
                                          .n = columns,
                                          .k = c->n,
                                          .sum = c->dw + first,
                                          .ld_sum = in,
                                          .add = c->accumulate});
}

static vly_status linear_bf16_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                       const void *y, const vly_real *w, void *dy, void *dx,
                                       vly_real *dw, bool accumulate) {
    linear_bf16 *s = l->state;
    const int out = l->d.out_c, blocks = row_blocks_bf16(n);
    linear_bf16_call c = {.cpu = cpu,
                          .l = l,
                          .s = s,
                          .w = w,
                          .n = n,
                          .x = n ? bf16_input(l, n, x) : NULL,
                          .y = y,
                          .dy = dy,
                          .dx = dx,
                          .dw = dw,
                          .accumulate = accumulate};
    if (dw && !accumulate) memset(dw + out * l->patch_size, 0, (size_t)out * sizeof *dw);
    if (dw && n == 0 && !accumulate) memset(dw, 0, (size_t)(out * l->patch_size) * sizeof *dw);
    if (n == 0) return VLY_OK;
    vly_cpu_run(cpu, 20.0 * n * out, blocks, mask_block_bf16, &c);
    if (dx)
        vly_cpu_run(cpu, linear_bf16_flops(l, n), blocks * tile_groups(s->in_tiles, n),
                    dx_block_bf16, &c);
    if (!dw) return VLY_OK;
    vly_cpu_run(cpu, linear_bf16_flops(l, n), (l->d.in_c + COLUMNS - 1) / COLUMNS, dw_block_bf16,
                &c);
    for (int b = 0; b < blocks; b++)
        for (int o = 0; o < out; o++) dw[out * l->patch_size + o] += s->bias_part[b * out + o];
    return VLY_OK;
}

/* ---- creation ---- */

static void linear_bf16_destroy(vly_layer *l) {
    linear_bf16 *s = l->state;
    vly_cpu_give_back(s->forward);
    vly_cpu_give_back(s->backward);
    vly_cpu_give_back(s->bias);
    vly_cpu_give_back(s->x);
    vly_cpu_give_back(s->dy);
    vly_cpu_give_back(s->dy_t);
    vly_cpu_give_back(s->pairs);
    vly_cpu_give_back(s->bias_part);
    free(s);
}

static bool linear_bf16_alloc(vly_cpu *cpu, vly_layer *l) {
    linear_bf16 *s = l->state;
    const vly_layer_desc *d = &l->d;
    const size_t batch = (size_t)round_up(d->batch_max, ROWS),
                 tile = TILE_NUMBERS * sizeof(uint16_t);
    bool ok = (s->forward = vly_cpu_take((size_t)s->out_tiles * (size_t)s->k_tiles * tile)) &&
              (s->bias = vly_cpu_take((size_t)s->out_tiles * TILE * 4));
    if (d->x_type != VLY_BF16) ok = ok && (s->x = vly_cpu_take(batch * (size_t)l->patch_size * 2));
    if (!d->learn) return ok;
    ok = ok && (s->dy = vly_cpu_take(batch * (size_t)s->out_padded * 2)) &&
         (s->dy_t = vly_cpu_take((batch + DEPTH) * (size_t)s->out_padded * 2));
    ok = ok && (s->pairs = vly_cpu_take((size_t)vly_workers_threads(cpu->workers) *
                                        (size_t)round_up(d->batch_max, DEPTH) * COLUMNS * 2));
    ok = ok && (s->bias_part =
                    vly_cpu_take((size_t)row_blocks_bf16(d->batch_max) * (size_t)d->out_c * 4));
    if (d->needs_dx)
        ok = ok && (s->backward = vly_cpu_take((size_t)s->in_tiles * (size_t)s->out_deep * tile));
    return ok;
}

static const vly_plan linear_bf16_plan = {"linear_bf16", linear_bf16_prepare, linear_bf16_forward,
                                          linear_bf16_backward, linear_bf16_destroy};

vly_status vly_plan_linear_bf16(vly_cpu *cpu, vly_layer *l) {
    const vly_bf16_simd *simd = vly_bf16_simd_best();
    if (!simd || !cpu->c.info.has_bf16 || l->d.in_c % DEPTH) return VLY_EUNSUPPORTED;
    if ((l->d.x_type == VLY_U8 && l->d.learn) || (l->d.x_type != VLY_U8 && l->d.x_scale != 1))
        return VLY_EUNSUPPORTED;
    linear_bf16 *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->simd = simd;
    s->k_tiles = l->d.in_c / DEPTH, s->in_tiles = l->d.in_c / TILE;
    s->out_tiles = round_up(l->d.out_c, TILE) / TILE,
    s->out_deep = round_up(l->d.out_c, DEPTH) / DEPTH, s->out_padded = s->out_deep * DEPTH;
    if (!linear_bf16_alloc(cpu, l)) {
        linear_bf16_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a layer of %lld weights",
                        (long long)(l->d.out_c * l->patch_size));
    }
    l->plan = &linear_bf16_plan;
    return VLY_OK;
}
