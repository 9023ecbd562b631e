/* linear.c -- linear layers in float: 2 in out FLOPs a sample forward, twice that backward.
 *
 * Weights are packed once an update (prepare): panels of columns for y = x W^T, panels of rows for dx = dy W.
 * The gradient dW = dy^T x is cut by columns of x, so that every sum stays within one block.
 */
#include "cpu/ops.h"
#include "cpu/pack.h"

enum { ROWS = 96, OUT_ROWS = 48, SUM_ROWS = 384 }; /* samples, outputs in a block; samples whose columns are copied together */

typedef struct {
    vly_panels out, in;  /* panels of y's and of dx's columns */
    float *w_forward;    /* out panels of (in, width) */
    float *w_backward;   /* in panels of (out, width); NULL without dx */
    float *bias;         /* padded */
    float *x;            /* uint8 input as floats (batch_max, in), or NULL */
    float *panel;        /* x's columns for dW, (threads) x (batch_max, width) */
    float *bias_part;    /* (blocks of rows, out) */
    int row_blocks_max;
} linear;

typedef struct {
    vly_cpu *cpu;
    vly_layer *l;
    linear *s;
    const vly_real *w;
    int n;
    const float *x, *y;
    float *out, *dy, *dx, *dw;
    bool accumulate;
} call;

static void pack_forward(void *arg, int panel, int slot) {
    (void)slot;
    const call *c = arg;
    const int64_t k = c->l->k;
    vly_pack_columns(&c->s->out, panel, k, c->w, c->s->w_forward + (int64_t)vly_panel_column(&c->s->out, panel) * k);
}

static void pack_backward(void *arg, int panel, int slot) {
    (void)slot;
    const call *c = arg;
    const int64_t k = c->l->d.out_c;
    vly_pack_rows(&c->s->in, panel, k, c->w, c->l->k, c->s->w_backward + (int64_t)vly_panel_column(&c->s->in, panel) * k);
}

static vly_status linear_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    linear *s = l->state;
    call c = {.cpu = cpu, .l = l, .s = s, .w = w};
    const double cost = 20.0 * (double)l->k * l->d.out_c; /* memory traffic, as FLOPs */
    memcpy(s->bias, w + l->d.out_c * l->k, (size_t)l->d.out_c * sizeof *w);
    vly_cpu_run(cpu, cost, s->out.count, pack_forward, &c);
    if (s->w_backward) vly_cpu_run(cpu, cost, s->in.count, pack_backward, &c);
    return VLY_OK;
}

static int row_blocks(int n) { return (n + ROWS - 1) / ROWS; }
static int block_size(int n, int block) { return n - block * ROWS < ROWS ? n - block * ROWS : ROWS; }

static void forward_block(void *arg, int block, int slot) {
    (void)slot;
    const call *c = arg;
    const int panel = block % c->s->out.count, rows = block / c->s->out.count, first = vly_panel_column(&c->s->out, panel);
    c->cpu->simd->gemm(&(vly_gemm){.a = c->x + (int64_t)rows * ROWS * c->l->k, .lda = c->l->k, .segments = 1, .length = (int)c->l->k,
                                   .b = c->s->w_forward + first * c->l->k, .bias = c->s->bias + first, .rows = block_size(c->n, rows),
                                   .cols = vly_panel_columns(&c->s->out, panel), .vectors = vly_panel_vectors(&c->s->out, panel),
                                   .c = c->out + (int64_t)rows * ROWS * c->l->d.out_c + first, .ldc = c->l->d.out_c, .act = c->l->d.act});
}

/* The input as floats. Repeated by backward: x may have changed hands in between. */
static const float *float_input(vly_cpu *cpu, const vly_layer *l, int n, const void *x) {
    const linear *s = l->state;
    if (!s->x) return x;
    cpu->simd->from_u8(n * l->k, x, l->d.x_scale, s->x);
    return s->x;
}

static vly_status linear_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const vly_real *w, void *y) {
    linear *s = l->state;
    call c = {.cpu = cpu, .l = l, .s = s, .w = w, .n = n, .x = float_input(cpu, l, n, x), .out = y};
    vly_cpu_run(cpu, 2.0 * n * (double)l->k * l->d.out_c, row_blocks(n) * s->out.count, forward_block, &c);
    return VLY_OK;
}

/* dy times the slope, in place, and its sums over the block's rows. */
static void mask_block(void *arg, int block, int slot) {
    (void)slot;
    const call *c = arg;
    const int rows = block_size(c->n, block), out = c->l->d.out_c;
    float *dy = c->dy + (int64_t)block * ROWS * out, *part = c->s->bias_part + (int64_t)block * out;
    c->cpu->simd->mask(c->l->d.act, (int64_t)rows * out, c->y + (int64_t)block * ROWS * out, dy, dy);
    memset(part, 0, (size_t)out * sizeof *part);
    c->cpu->simd->sum_rows(rows, out, dy, out, part);
}

static void dx_block(void *arg, int block, int slot) {
    (void)slot;
    const call *c = arg;
    const int panel = block % c->s->in.count, rows = block / c->s->in.count, first = vly_panel_column(&c->s->in, panel), out = c->l->d.out_c;
    c->cpu->simd->gemm(&(vly_gemm){.a = c->dy + (int64_t)rows * ROWS * out, .lda = out, .segments = 1, .length = out,
                                   .b = c->s->w_backward + (int64_t)first * out, .rows = block_size(c->n, rows),
                                   .cols = vly_panel_columns(&c->s->in, panel), .vectors = vly_panel_vectors(&c->s->in, panel),
                                   .c = c->dx + (int64_t)rows * ROWS * c->l->k + first, .ldc = c->l->k});
}

/* Wide inputs give enough blocks as they are; each copies its columns once. */
static int out_rows(const linear *s, const vly_layer *l) { return s->in.count >= 8 ? l->d.out_c : OUT_ROWS; }
static int out_blocks(const linear *s, const vly_layer *l) { return (l->d.out_c + out_rows(s, l) - 1) / out_rows(s, l); }

/* Columns of one panel of dW for some outputs. x's columns are copied together: they lie far apart. */
static void dw_block(void *arg, int block, int slot) {
    const call *c = arg;
    const vly_layer *l = c->l;
    const int blocks = out_blocks(c->s, l), panel = block / blocks, o = block % blocks * out_rows(c->s, l), out = l->d.out_c;
    const int m = out - o < out_rows(c->s, l) ? out - o : out_rows(c->s, l);
    const int first = vly_panel_column(&c->s->in, panel), cols = vly_panel_columns(&c->s->in, panel), width = vly_panel_vectors(&c->s->in, panel) * c->s->in.lanes;
    const bool in_place = cols == width && l->k == width;
    float *copy = c->s->panel + (int64_t)slot * SUM_ROWS * c->cpu->simd->vectors_max * c->cpu->simd->lanes;
    for (int i = 0; i < c->n; i += SUM_ROWS) {
        const int rows = c->n - i < SUM_ROWS ? c->n - i : SUM_ROWS;
        const float *x = c->x + i * l->k + first;
        if (!in_place) c->cpu->simd->copy_rows(rows, cols, x, l->k, copy, width);
        c->cpu->simd->gemm_sum(&(vly_gemm_sum){.a = c->dy + (int64_t)i * out + o, .a_col = out, .b = in_place ? x : copy, .b_col = width, .height = 1,
                                               .width = rows, .m = m, .segments = 1, .length = cols, .c = c->dw + o * l->k + first, .ldc = l->k,
                                               .add = c->accumulate || i > 0});
    }
}

static void add_bias(const call *c) {
    const int out = c->l->d.out_c, blocks = row_blocks(c->n);
    float *db = c->dw + out * c->l->k;
    if (!c->accumulate) memset(db, 0, (size_t)out * sizeof *db);
    for (int b = 0; b < blocks; b++)
        for (int o = 0; o < out; o++) db[o] += c->s->bias_part[b * out + o];
}

static vly_status linear_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const void *y, const vly_real *w,
                                  void *dy, void *dx, vly_real *dw, bool accumulate) {
    linear *s = l->state;
    call c = {.cpu = cpu, .l = l, .s = s, .w = w, .n = n, .x = n ? float_input(cpu, l, n, x) : NULL, .y = y, .dy = dy, .dx = dx, .dw = dw, .accumulate = accumulate};
    const double flops = 2.0 * n * (double)l->k * l->d.out_c;
    if (n == 0 && !accumulate) memset(dw, 0, (size_t)(l->d.out_c * l->k) * sizeof *dw);
    vly_cpu_run(cpu, 20.0 * n * l->d.out_c, row_blocks(n), mask_block, &c);
    if (dx) vly_cpu_run(cpu, flops, row_blocks(n) * s->in.count, dx_block, &c);
    vly_cpu_run(cpu, flops, s->in.count * out_blocks(s, l), dw_block, &c);
    add_bias(&c);
    return VLY_OK;
}

static void linear_destroy(vly_layer *l) {
    linear *s = l->state;
    free(s->w_forward);
    free(s->w_backward);
    free(s->bias);
    free(s->x);
    free(s->panel);
    free(s->bias_part);
    free(s);
}

static const vly_plan linear_plan = {"linear", linear_prepare, linear_forward, linear_backward, linear_destroy};

vly_status vly_plan_linear(vly_cpu *cpu, vly_layer *l) {
    const vly_layer_desc *d = &l->d;
    if (d->x_type == VLY_BF16 || d->y_type == VLY_BF16 || (d->x_type == VLY_F32 && d->x_scale != 1)) return VLY_EUNSUPPORTED;
    linear *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->out = vly_panels_of(cpu->simd, d->out_c), s->in = vly_panels_of(cpu->simd, d->in_c);
    const size_t width = (size_t)(cpu->simd->lanes * cpu->simd->vectors_max), batch = (size_t)d->batch_max;
    const size_t out_padded = (size_t)(s->out.vectors * s->out.lanes), in_padded = (size_t)(s->in.vectors * s->in.lanes);
    s->w_forward = vly_aligned(out_padded * (size_t)l->k * 4);
    s->bias = vly_aligned(out_padded * 4);
    bool ok = s->w_forward && s->bias;
    if (d->x_type == VLY_U8) ok = ok && (s->x = vly_aligned(batch * (size_t)l->k * 4));
    if (d->learn) {
        s->panel = vly_aligned((size_t)vly_workers_threads(cpu->workers) * SUM_ROWS * width * 4);
        s->bias_part = vly_aligned((size_t)row_blocks(d->batch_max) * (size_t)d->out_c * 4);
        if (d->needs_dx) ok = ok && (s->w_backward = vly_aligned(in_padded * (size_t)d->out_c * 4));
        ok = ok && s->panel && s->bias_part;
    }
    if (!ok) {
        linear_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a layer of %lld weights", (long long)(d->out_c * l->k));
    }
    l->plan = &linear_plan;
    return VLY_OK;
}
