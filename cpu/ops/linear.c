/* linear.c -- linear layers in float: 2 in out FLOPs a sample forward, twice that backward.
 *
 * For y = x W^T the weights are packed once an update (prepare); dx = dy W copies a panel of them
 * at a time. The gradient dW = dy^T x is cut by columns of x, so that every sum stays within one
 * block.
 */
#include "cpu/ops/ops.h"
#include "cpu/ops/pack.h"

/* Samples in a block, at most and at least; panels in a block; of the inner length a piece; blocks
 * of dW, and outputs in one at least; samples whose columns are copied together; samples and
 * columns whose bias gradients are summed together. */
enum { ROWS = 288, ROWS_LEAST = 48, GROUP = 4, LENGTH = 1024, DW_BLOCKS = 8, OUT_ROWS = 48 };
enum { SUM_ROWS = 384, BIAS_ROWS = 288, BIAS_COLUMNS = 64 };

typedef struct {
    vly_panels out, in; /* panels of y's and of dx's columns */
    float *w_forward;   /* out panels of (in, width) */
    float *bias;        /* padded */
    float *x;           /* uint8 input as floats (batch_max, in), or NULL */
    float *panel;       /* x's columns for dW, (threads) x (SUM_ROWS, width) */
    float *w_panel;     /* the weights' columns for dx, (threads) x (out, width); NULL without dx */
    int32_t *dy_at,
        *dx_at; /* (batch_max) where the rows lie that have a gradient; NULL without dx */
} linear;

typedef struct {
    vly_cpu *cpu;
    vly_layer *l;
    linear *s;
    const vly_real *w;
    int n;
    const float *x, *y;
    float *out, *dy, *dx, *dw;
    const int32_t *dy_at, *dx_at; /* NULL: all rows */
    bool accumulate;
} call;

static void linear_pack_forward(void *arg, int panel, int slot) {
    (void)slot;
    const call *c = arg;
    const vly_panels *p = &c->s->out;
    const int64_t k = c->l->patch_size, first = vly_panel_column(p, panel);
    c->cpu->simd->transpose(vly_panel_columns(p, panel), k, c->w + first * k,
                            c->s->w_forward + first * k, vly_panel_vectors(p, panel) * p->lanes);
}

static vly_status linear_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    linear *s = l->state;
    call c = {.cpu = cpu, .l = l, .s = s, .w = w};
    const double cost = 20.0 * (double)l->patch_size * l->d.out_c; /* memory traffic, as FLOPs */
    memcpy(s->bias, w + l->d.out_c * l->patch_size, (size_t)l->d.out_c * sizeof *w);
    vly_cpu_run(cpu, cost, s->out.count, linear_pack_forward, &c);
    return VLY_OK;
}

/* Every thread has rows of its own, the same in each layer: it reads what it wrote. Rows do not
 * depend on each other, so that any cut gives the same bits. */
static int rows_together(const vly_cpu *cpu, int n) {
    const int threads = vly_workers_threads(cpu->workers),
              each = ((n + threads - 1) / threads + 11) / 12 * 12; /* the products' own rows */
    return each < ROWS_LEAST ? ROWS_LEAST : each > ROWS ? ROWS : each;
}

/* A block's rows. */
typedef struct {
    int64_t first;
    int count;
} row_span;

static int row_blocks(const vly_cpu *cpu, int n) {
    return (n + rows_together(cpu, n) - 1) / rows_together(cpu, n);
}
static row_span span_of(const vly_cpu *cpu, int n, int block) {
    const int each = rows_together(cpu, n), first = block * each;
    return (row_span){first, n - first < each ? n - first : each};
}

/* One piece of the inner length after the other, through all panels of the block: x and the packed
 * weights pass once through the second cache, a panel's piece stays in the first while the rows go
 * by. */
static void multiply_pieces(const vly_simd *simd, const vly_panels *p, int from, int to, vly_gemm g,
                            const float *b, const float *bias) {
    const float *a = g.a;
    float *c = g.c;
    const int length = g.length;
    const vly_act act = g.act;
    for (int k = 0; k < length; k += LENGTH) {
        const bool last = k + LENGTH >= length;
        g.a = a + k, g.length = last ? length - k : LENGTH, g.add = k > 0,
        g.act = last ? act : VLY_ACT_NONE;
        for (int i = from; i < to; i++) {
            const int first = vly_panel_column(p, i);
            g.cols = vly_panel_columns(p, i), g.vectors = vly_panel_vectors(p, i);
            g.b = b + (int64_t)first * length + (int64_t)k * g.vectors * p->lanes;
            g.bias = bias && k == 0 ? bias + first : NULL;
            g.c = c + first;
            simd->gemm(&g);
        }
    }
}

/* Panels in a block: where rows are too few for all threads, they share the panels. */
static int panels_together(const vly_cpu *cpu, int n) {
    return row_blocks(cpu, n) < vly_workers_threads(cpu->workers) ? 1 : GROUP;
}
static int groups(const vly_cpu *cpu, const vly_panels *p, int n) {
    return (p->count + panels_together(cpu, n) - 1) / panels_together(cpu, n);
}

static void forward_block(void *arg, int block, int slot) {
    (void)slot;
    const call *c = arg;
    const vly_panels *p = &c->s->out;
    const int many = groups(c->cpu, p, c->n), each = panels_together(c->cpu, c->n);
    const int first = block % many * each, end = first + each < p->count ? first + each : p->count;
    const row_span r = span_of(c->cpu, c->n, block / many);
    const vly_gemm g = {.a = c->x + r.first * c->l->patch_size,
                        .lda = c->l->patch_size,
                        .segments = 1,
                        .length = (int)c->l->patch_size,
                        .rows = r.count,
                        .c = c->out + r.first * c->l->d.out_c,
                        .ldc = c->l->d.out_c,
                        .act = c->l->d.act};
    multiply_pieces(c->cpu->simd, p, first, end, g, c->s->w_forward, c->s->bias);
}

/* The input as floats. Repeated by backward: x may have changed hands in between. */
static const float *float_input(vly_cpu *cpu, const vly_layer *l, int n, const void *x) {
    const linear *s = l->state;
    if (!s->x) return x;
    cpu->simd->from_u8(n * l->patch_size, x, l->d.x_scale, s->x);
    return s->x;
}

static vly_status linear_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                 const vly_real *w, void *y) {
    linear *s = l->state;
    call c = {.cpu = cpu, .l = l, .s = s, .w = w, .n = n, .x = float_input(cpu, l, n, x), .out = y};
    /* a narrow layer's product has columns that are only there to fill vectors */
    vly_cpu_run(cpu, 2.0 * n * (double)l->patch_size * s->out.vectors * s->out.lanes,
                row_blocks(cpu, n) * groups(cpu, &s->out, n), forward_block, &c);
    return VLY_OK;
}

/* dy times the slope, in place. */
static void mask_block(void *arg, int block, int slot) {
    (void)slot;
    const call *c = arg;
    const row_span r = span_of(c->cpu, c->n, block);
    float *dy = c->dy + r.first * c->l->d.out_c;
    c->cpu->simd->mask(c->l->d.act, (int64_t)r.count * c->l->d.out_c,
                       c->y + r.first * c->l->d.out_c, dy, dy);
}

/* One panel of dx for some samples. The panel's columns of the weights are copied together first.
 */
static void dx_block(void *arg, int block, int slot) {
    const call *c = arg;
    const vly_panels *p = &c->s->in;
    const int panel = block % p->count, out = c->l->d.out_c, first = vly_panel_column(p, panel);
    const row_span r = span_of(c->cpu, c->n, block / p->count);
    const int cols = vly_panel_columns(p, panel), vectors = vly_panel_vectors(p, panel),
              width = vectors * p->lanes;
    const float *b = c->w;
    if (cols < width || c->l->patch_size > width) {
        float *copy = c->s->w_panel + (int64_t)slot * out * c->cpu->simd->vectors_max * p->lanes;
        c->cpu->simd->copy_rows(out, cols, c->w + first, c->l->patch_size, copy, width);
        b = copy;
    }
    c->cpu->simd->gemm(&(vly_gemm){.a = c->dy_at ? c->dy : c->dy + r.first * out,
                                   .a_at = c->dy_at ? c->dy_at + r.first : NULL,
                                   .lda = out,
                                   .segments = 1,
                                   .length = out,
                                   .b = b,
                                   .rows = r.count,
                                   .cols = cols,
                                   .vectors = vectors,
                                   .c = c->dx + (c->dx_at ? 0 : r.first * c->l->patch_size) + first,
                                   .c_at = c->dx_at ? c->dx_at + r.first : NULL,
                                   .ldc = c->l->patch_size});
}

/* Every block copies its columns of x: no more blocks than threads need. */
static int out_rows(const linear *s, const vly_layer *l) {
    const int parts = (DW_BLOCKS + s->in.count - 1) / s->in.count,
              rows = (l->d.out_c + parts - 1) / parts;
    return rows < OUT_ROWS && s->in.count < DW_BLOCKS ? OUT_ROWS : rows;
}
static int out_blocks(const linear *s, const vly_layer *l) {
    return (l->d.out_c + out_rows(s, l) - 1) / out_rows(s, l);
}

/* Columns of one panel of dW for some outputs. x's columns are copied together: they lie far apart.
 */
static void dw_block(const call *c, int block, int slot) {
    const vly_layer *l = c->l;
    const int blocks = out_blocks(c->s, l), panel = block / blocks,
              o = block % blocks * out_rows(c->s, l), out = l->d.out_c;
    const int m = out - o < out_rows(c->s, l) ? out - o : out_rows(c->s, l);
    const int first = vly_panel_column(&c->s->in, panel),
              cols = vly_panel_columns(&c->s->in, panel),
              width = vly_panel_vectors(&c->s->in, panel) * c->s->in.lanes;
    const bool in_place = cols == width && l->patch_size == width;
    float *copy = c->s->panel +
                  (int64_t)slot * SUM_ROWS * c->cpu->simd->vectors_max * c->cpu->simd->lanes;
    for (int i = 0; i < c->n; i += SUM_ROWS) {
        const int rows = c->n - i < SUM_ROWS ? c->n - i : SUM_ROWS;
        const float *x = c->x + i * l->patch_size + first;
        if (!in_place) c->cpu->simd->copy_rows(rows, cols, x, l->patch_size, copy, width);
        c->cpu->simd->gemm_sum(&(vly_gemm_sum){.a = c->dy + (int64_t)i * out + o,
                                               .a_col = out,
                                               .b = in_place ? x : copy,
                                               .b_col = width,
                                               .height = 1,
                                               .width = rows,
                                               .m = m,
                                               .segments = 1,
                                               .length = cols,
                                               .c = c->dw + o * l->patch_size + first,
                                               .ldc = l->patch_size,
                                               .add = c->accumulate || i > 0});
    }
}

/* Columns of the bias gradient: sums of BIAS_ROWS samples, one after the other. */
static void bias_block(const call *c, int block) {
    const int out = c->l->d.out_c, first = block * BIAS_COLUMNS,
              columns = out - first < BIAS_COLUMNS ? out - first : BIAS_COLUMNS;
    float *db = c->dw + out * c->l->patch_size + first;
    if (!c->accumulate) memset(db, 0, (size_t)columns * sizeof *db);
    for (int i = 0; i < c->n; i += BIAS_ROWS) {
        float part[BIAS_COLUMNS] = {0};
        c->cpu->simd->sum_rows(c->n - i < BIAS_ROWS ? c->n - i : BIAS_ROWS, columns,
                               c->dy + (int64_t)i * out + first, out, part);
        for (int o = 0; o < columns; o++) db[o] += part[o];
    }
}

static void gradient_block(void *arg, int block, int slot) {
    const call *c = arg;
    const int products = c->s->in.count * out_blocks(c->s, c->l);
    if (block < products)
        dw_block(c, block, slot);
    else
        bias_block(c, block - products);
}

static bool all_zero(int n, const float *x) {
    int others = 0;
    for (int i = 0; i < n; i++) others += x[i] != 0;
    return others == 0;
}

/* dx alone. The smaller of two critics passes a row's gradient on, the other has none: such rows
 * are left out. */
static vly_status linear_input_backward(call *c) {
    linear *s = c->s;
    const int out = c->l->d.out_c, in = c->l->d.in_c, n = c->n;
    c->n = 0;
    for (int i = 0; i < n; i++) {
        float *dy = c->dy + (int64_t)i * out, *dx = c->dx + (int64_t)i * in;
        if (all_zero(out, dy)) {
            memset(dx, 0, (size_t)in * sizeof *dx);
            continue;
        }
        c->cpu->simd->mask(c->l->d.act, out, c->y + (int64_t)i * out, dy, dy);
        s->dy_at[c->n] = i * out, s->dx_at[c->n++] = i * in;
    }
    c->dy_at = s->dy_at, c->dx_at = s->dx_at;
    vly_cpu_run(c->cpu, 2.0 * c->n * in * out, row_blocks(c->cpu, c->n) * s->in.count, dx_block, c);
    return VLY_OK;
}

static vly_status linear_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const void *y,
                                  const vly_real *w, void *dy, void *dx, vly_real *dw,
                                  bool accumulate) {
    linear *s = l->state;
    call c = {.cpu = cpu,
              .l = l,
              .s = s,
              .w = w,
              .n = n,
              .x = n ? float_input(cpu, l, n, x) : NULL,
              .y = y,
              .dy = dy,
              .dx = dx,
              .dw = dw,
              .accumulate = accumulate};
    const double flops = 2.0 * n * (double)l->patch_size * l->d.out_c;
    if (!dw) return linear_input_backward(&c);
    if (n == 0 && !accumulate) memset(dw, 0, (size_t)(l->d.out_c * l->patch_size) * sizeof *dw);
    vly_cpu_run(cpu, 20.0 * n * l->d.out_c, row_blocks(cpu, n), mask_block, &c);
    if (dx) vly_cpu_run(cpu, flops, row_blocks(cpu, n) * s->in.count, dx_block, &c);
    vly_cpu_run(cpu, flops,
                s->in.count * out_blocks(s, l) + (l->d.out_c + BIAS_COLUMNS - 1) / BIAS_COLUMNS,
                gradient_block, &c);
    return VLY_OK;
}

static void linear_destroy(vly_layer *l) {
    linear *s = l->state;
    vly_cpu_give_back(s->w_forward);
    vly_cpu_give_back(s->w_panel);
    vly_cpu_give_back(s->bias);
    vly_cpu_give_back(s->x);
    vly_cpu_give_back(s->panel);
    vly_cpu_give_back(s->dy_at);
    vly_cpu_give_back(s->dx_at);
    free(s);
}

static const vly_plan linear_plan = {"linear", linear_prepare, linear_forward, linear_backward,
                                     linear_destroy};

vly_status vly_plan_linear(vly_cpu *cpu, vly_layer *l) {
    const vly_layer_desc *d = &l->d;
    if (d->x_type == VLY_BF16 || d->y_type == VLY_BF16 || (d->x_type == VLY_F32 && d->x_scale != 1))
        return VLY_EUNSUPPORTED;
    if ((int64_t)d->batch_max * (d->in_c > d->out_c ? d->in_c : d->out_c) > INT32_MAX)
        return VLY_EUNSUPPORTED; /* dy_at, dx_at */
    linear *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->out = vly_panels_of(cpu->simd, d->out_c), s->in = vly_panels_of(cpu->simd, d->in_c);
    const size_t width = (size_t)(cpu->simd->lanes * cpu->simd->vectors_max),
                 batch = (size_t)d->batch_max;
    const size_t out_padded = (size_t)(s->out.vectors * s->out.lanes);
    s->w_forward = vly_cpu_take(out_padded * (size_t)l->patch_size * 4);
    s->bias = vly_cpu_take(out_padded * 4);
    bool ok = s->w_forward && s->bias;
    if (d->x_type == VLY_U8) ok = ok && (s->x = vly_cpu_take(batch * (size_t)l->patch_size * 4));
    if (d->learn) {
        s->panel = vly_cpu_take((size_t)vly_workers_threads(cpu->workers) * SUM_ROWS * width * 4);
        if (d->needs_dx)
            ok = ok &&
                 (s->w_panel = vly_cpu_take((size_t)vly_workers_threads(cpu->workers) *
                                            (size_t)d->out_c * width * 4)) &&
                 (s->dy_at = vly_cpu_take(batch * 4)) && (s->dx_at = vly_cpu_take(batch * 4));
        ok = ok && s->panel;
    }
    if (!ok) {
        linear_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a layer of %lld weights",
                        (long long)(d->out_c * l->patch_size));
    }
    l->plan = &linear_plan;
    return VLY_OK;
}
