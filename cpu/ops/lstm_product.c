#include "cpu/ops/lstm_product.h"
#include <string.h>
#include "common/base/rules.h"

#ifndef VLY_REAL_DOUBLE

/* Rows of h copied together for the weights' gradient; gates of a block of it. */
enum { SUM_ROWS = 384, GATES = 96 };

static size_t packed_numbers(const vly_panels *panels, int64_t inner) {
    return (size_t)panels->vectors * (size_t)panels->lanes * (size_t)inner;
}

static float *panel_of(const vly_lstm_product *p, int panel, int64_t inner) {
    return p->packed + (int64_t)vly_panel_column(&p->panels, panel) * inner;
}

static void pack_hidden_forward(void *arg, int panel, int slot) {
    (void)slot;
    const vly_lstm_product *p = arg;
    vly_pack_columns(&p->panels, panel, p->H, p->w, panel_of(p, panel, p->H));
}

static void pack_hidden_backward(void *arg, int panel, int slot) {
    (void)slot;
    const vly_lstm_product *p = arg;
    const int64_t inner = 4 * (int64_t)p->H;
    p->cpu->simd->copy_rows((int)inner, vly_panel_columns(&p->panels, panel),
                            p->w + vly_panel_column(&p->panels, panel), p->H,
                            panel_of(p, panel, inner),
                            vly_panel_vectors(&p->panels, panel) * p->panels.lanes);
}

static vly_status start_product(vly_lstm_product *p, vly_queue *q, int H, const float *w,
                                int columns, int64_t inner, size_t more) {
    vly_cpu *cpu = vly_cpu_of(q);
    *p =
        (vly_lstm_product){.cpu = cpu, .H = H, .w = w, .panels = vly_panels_of(cpu->simd, columns)};
    const size_t numbers = packed_numbers(&p->panels, inner);
    p->packed = vly_cpu_scratch(q, (numbers + more) * sizeof *p->packed);
    if (!p->packed)
        return vly_fail(VLY_ENOMEM, "no memory for the weights of an LSTM of %d units", H);
    p->columns = p->packed + numbers;
    return VLY_OK;
}

vly_status vly_lstm_product_forward(vly_lstm_product *p, vly_queue *q, int H, const float *w) {
    VLY_TRY(start_product(p, q, H, w, 4 * H, H, 0));
    vly_cpu_run(p->cpu, 20.0 * 4 * H * H, p->panels.count, pack_hidden_forward, p);
    return VLY_OK;
}

vly_status vly_lstm_product_backward(vly_lstm_product *p, vly_queue *q, int H, const float *w) {
    const vly_cpu *cpu = vly_cpu_of(q);
    const size_t widest = (size_t)(cpu->simd->lanes * cpu->simd->vectors_max);
    VLY_TRY(start_product(p, q, H, w, H, 4 * (int64_t)H,
                          (size_t)vly_workers_threads(cpu->workers) * SUM_ROWS * widest));
    vly_cpu_run(p->cpu, 4.0 * 4 * H * H, p->panels.count, pack_hidden_backward, p);
    return VLY_OK;
}

/* c (row, columns) (+)= a (row, inner) times the panels. */
static void multiply_hidden(const vly_lstm_product *p, int m, const int32_t *rows, int inner,
                            const float *a, float *c, bool add) {
    int32_t a_at[VLY_LSTM_ROWS], c_at[VLY_LSTM_ROWS];
    const int columns = p->panels.n;
    for (int i = 0; i < m; i++) a_at[i] = rows[i] * inner, c_at[i] = rows[i] * columns;
    for (int panel = 0; panel < p->panels.count && m > 0; panel++)
        p->cpu->simd->gemm(&(vly_gemm){.a = a,
                                       .a_at = a_at,
                                       .segments = 1,
                                       .length = inner,
                                       .b = panel_of(p, panel, inner),
                                       .rows = m,
                                       .cols = vly_panel_columns(&p->panels, panel),
                                       .vectors = vly_panel_vectors(&p->panels, panel),
                                       .c = c + vly_panel_column(&p->panels, panel),
                                       .c_at = c_at,
                                       .add = add});
}

void vly_lstm_add_hidden(const vly_lstm_product *p, int m, const int32_t *rows, const float *h,
                         float *gates) {
    multiply_hidden(p, m, rows, p->H, h, gates, true);
}

void vly_lstm_to_hidden(const vly_lstm_product *p, int m, const int32_t *rows, const float *dgates,
                        float *dh) {
    multiply_hidden(p, m, rows, 4 * p->H, dgates, dh, false);
}

typedef struct {
    const vly_lstm_product *p;
    int64_t n;
    const uint8_t *flags;
    const float *dgates, *h;
    float *dw;
} sum_call;

static int gate_blocks(int H) {
    return (4 * H + GATES - 1) / GATES;
}

/* Some gates of one panel of dw's columns; a row that started afresh counts as zeros. */
static void sum_block(void *arg, int block, int slot) {
    const sum_call *s = arg;
    const vly_panels *panels = &s->p->panels;
    const vly_simd *simd = s->p->cpu->simd;
    const int H = s->p->H, panel = block / gate_blocks(H), from = block % gate_blocks(H) * GATES;
    const int first = vly_panel_column(panels, panel), cols = vly_panel_columns(panels, panel),
              width = vly_panel_vectors(panels, panel) * panels->lanes;
    float *copy = s->p->columns + (int64_t)slot * SUM_ROWS * simd->vectors_max * simd->lanes;
    for (int64_t row = 0; row < s->n; row += SUM_ROWS) {
        const int rows = s->n - row < SUM_ROWS ? (int)(s->n - row) : SUM_ROWS;
        simd->copy_rows(rows, cols, s->h + row * H + first, H, copy, width);
        for (int i = 0; i < rows; i++)
            if (s->flags[row + i] & VLY_ROW_RESET)
                memset(copy + (int64_t)i * width, 0, (size_t)width * sizeof *copy);
        simd->gemm_sum(&(vly_gemm_sum){.a = s->dgates + row * 4 * H + from,
                                       .a_col = 4 * H,
                                       .b = copy,
                                       .b_col = width,
                                       .height = 1,
                                       .width = rows,
                                       .m = 4 * H - from < GATES ? 4 * H - from : GATES,
                                       .segments = 1,
                                       .length = cols,
                                       .c = s->dw + (int64_t)from * H + first,
                                       .ldc = H,
                                       .add = row > 0});
    }
}

void vly_lstm_weight_gradient(const vly_lstm_product *p, int64_t n, const uint8_t *flags,
                              const float *dgates, const float *h, float *dw) {
    sum_call s = {p, n, flags, dgates, h, dw};
    vly_cpu_run(p->cpu, 8.0 * (double)n * p->H * p->H, p->panels.count * gate_blocks(p->H),
                sum_block, &s);
}

#else

static vly_status start_product(vly_lstm_product *p, vly_queue *q, int H, const vly_real *w) {
    *p = (vly_lstm_product){.cpu = vly_cpu_of(q), .H = H, .w = w};
    return VLY_OK;
}
vly_status vly_lstm_product_forward(vly_lstm_product *p, vly_queue *q, int H, const vly_real *w) {
    return start_product(p, q, H, w);
}
vly_status vly_lstm_product_backward(vly_lstm_product *p, vly_queue *q, int H, const vly_real *w) {
    return start_product(p, q, H, w);
}

static vly_real hidden_dot(const vly_real *a, const vly_real *b, int64_t n) {
    vly_real part[4] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) part[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum += a[i] * b[i];
    return sum + part[0] + part[1] + part[2] + part[3];
}

static void add_scaled_hidden(int64_t n, vly_real a, const vly_real *restrict x,
                              vly_real *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

void vly_lstm_add_hidden(const vly_lstm_product *p, int m, const int32_t *rows, const vly_real *h,
                         vly_real *gates) {
    const int64_t H = p->H;
    for (int i = 0; i < m; i++)
        for (int64_t j = 0; j < 4 * H; j++)
            gates[rows[i] * 4 * H + j] += hidden_dot(p->w + j * H, h + rows[i] * H, H);
}

void vly_lstm_to_hidden(const vly_lstm_product *p, int m, const int32_t *rows,
                        const vly_real *dgates, vly_real *dh) {
    const int64_t H = p->H;
    for (int i = 0; i < m; i++) {
        memset(dh + rows[i] * H, 0, (size_t)H * sizeof *dh);
        for (int64_t j = 0; j < 4 * H; j++)
            add_scaled_hidden(H, dgates[rows[i] * 4 * H + j], p->w + j * H, dh + rows[i] * H);
    }
}

void vly_lstm_weight_gradient(const vly_lstm_product *p, int64_t n, const uint8_t *flags,
                              const vly_real *dgates, const vly_real *h, vly_real *dw) {
    const int64_t H = p->H;
    memset(dw, 0, (size_t)(4 * H * H) * sizeof *dw);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < 4 * H && !(flags[i] & VLY_ROW_RESET); j++)
            add_scaled_hidden(H, dgates[i * 4 * H + j], h + i * H, dw + j * H);
}
#endif
