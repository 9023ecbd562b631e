/* lstm.c -- the recurrent half of an LSTM: the input half is a linear layer over all steps.
 * 8 H^2 FLOPs per row and step forward, twice that backward.
 *
 * Steps of a row are sequential, rows are independent: each block of rows runs through all steps.
 * The weights are packed once per call (lstm_product.h).
 */
#include <string.h>
#include "common/base/rules.h"
#include "cpu/ops/lstm_product.h"

enum { ROWS = VLY_LSTM_ROWS };

typedef struct {
    vly_cpu *cpu;
    int T, n, H;
    const vly_real *w;
    const uint8_t *reset;
    vly_real *gates, *h, *c; /* forward writes them */
    const vly_real *dh;
    vly_real *dgates, *carry_h, *carry_c; /* carry: gradients that come from step t + 1 */
    const vly_lstm_product *product;
} call;

static int lstm_blocks(int n) {
    return (n + ROWS - 1) / ROWS;
}

/* Rows of the block that do not reset at step t, counted from its first. */
static int continuing_rows(const call *k, int t, int first, int32_t *rows) {
    int m = 0;
    for (int i = 0; i < ROWS && first + i < k->n; i++)
        if (!(k->reset[(int64_t)t * k->n + first + i] & VLY_ROW_RESET)) rows[m++] = i;
    return m;
}

static void cell_forward(const call *k, bool fresh, vly_real *g, const vly_real *c0, vly_real *c1,
                         vly_real *h1) {
    const int H = k->H;
#ifndef VLY_REAL_DOUBLE
    k->cpu->exact->lstm(H, g, fresh ? NULL : c0, c1, h1);
#else
    for (int j = 0; j < H; j++) {
        vly_real c = fresh ? 0 : c0[j];
        h1[j] = vly_rule_lstm(&g[j], &g[H + j], &g[2 * H + j], &g[3 * H + j], &c);
        c1[j] = c;
    }
#endif
}

static void cell_backward(const call *k, bool fresh, const vly_real *g, const vly_real *c0,
                          const vly_real *c1, const vly_real *dh, vly_real *dg, vly_real *dc) {
    const int H = k->H;
#ifndef VLY_REAL_DOUBLE
    k->cpu->exact->lstm_backward(H, g, fresh ? NULL : c0, c1, dh, dg, dc);
#else
    for (int j = 0; j < H; j++) {
        vly_rule_lstm_backward(g[j], g[H + j], g[2 * H + j], g[3 * H + j], fresh ? 0 : c0[j], c1[j],
                               dh[j], &dg[j], &dg[H + j], &dg[2 * H + j], &dg[3 * H + j], &dc[j]);
        if (fresh) dc[j] = 0;
    }
#endif
}

static void forward_rows(void *arg, int block, int slot) {
    (void)slot;
    const call *k = arg;
    const int H = k->H, first = block * ROWS;
    const int64_t state = (int64_t)k->n * H, from = (int64_t)first * H;
    for (int t = 0; t < k->T; t++) {
        int32_t rows[ROWS];
        vly_real *gates = k->gates + ((int64_t)t * k->n + first) * 4 * H;
        vly_lstm_add_hidden(k->product, continuing_rows(k, t, first, rows), rows,
                            k->h + t * state + from, gates);
        for (int i = 0; i < ROWS && first + i < k->n; i++) {
            const int64_t at = t * state + from + (int64_t)i * H;
            cell_forward(k, k->reset[(int64_t)t * k->n + first + i] & VLY_ROW_RESET,
                         gates + (int64_t)i * 4 * H, k->c + at, k->c + at + state,
                         k->h + at + state);
        }
    }
}

vly_status vly_cpu_lstm_forward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                const uint8_t *reset, vly_real *gates, vly_real *h, vly_real *c) {
    const int T = size->T, n = size->n, H = size->H;
    VLY_NEED("lstm_forward", T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c);
    vly_lstm_product product;
    VLY_TRY(vly_lstm_product_forward(&product, q, H, w_h));
    call k = {.cpu = vly_cpu_of(q),
              .T = T,
              .n = n,
              .H = H,
              .w = w_h,
              .reset = reset,
              .gates = gates,
              .h = h,
              .c = c,
              .product = &product};
    vly_cpu_run(k.cpu, 8.0 * T * n * H * H, lstm_blocks(n), forward_rows, &k);
    return VLY_OK;
}

static void backward_rows(void *arg, int block, int slot) {
    (void)slot;
    const call *k = arg;
    const int H = k->H, first = block * ROWS;
    const int64_t state = (int64_t)k->n * H, from = (int64_t)first * H;
    vly_real *carry = k->carry_h + from;
    for (int t = k->T - 1; t >= 0; t--) {
        vly_real *dg = k->dgates + ((int64_t)t * k->n + first) * 4 * H;
        int32_t rows[ROWS];
        for (int i = 0; i < ROWS && first + i < k->n; i++) {
            const int64_t row = (int64_t)t * k->n + first + i,
                          at = t * state + from + (int64_t)i * H;
            vly_real *dh = carry + (int64_t)i * H;
            for (int j = 0; j < H; j++) dh[j] += k->dh[row * H + j];
            cell_backward(k, k->reset[row] & VLY_ROW_RESET, k->gates + row * 4 * H, k->c + at,
                          k->c + at + state, dh, dg + (int64_t)i * 4 * H,
                          k->carry_c + from + (int64_t)i * H);
            memset(dh, 0, (size_t)H * sizeof *dh);
        }
        vly_lstm_to_hidden(k->product, continuing_rows(k, t, first, rows), rows, dg, carry);
    }
}

vly_status vly_cpu_lstm_backward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                 const uint8_t *reset, const vly_real *gates, const vly_real *h,
                                 const vly_real *c, const vly_real *dh, vly_real *dgates,
                                 vly_real *dw_h, vly_real *work) {
    const int T = size->T, n = size->n, H = size->H;
    VLY_NEED("lstm_backward", T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c && dh);
    VLY_NEED("lstm_backward", dgates && dw_h && work);
    const int64_t state = (int64_t)n * H;
    vly_lstm_product product;
    VLY_TRY(vly_lstm_product_backward(&product, q, H, w_h));
    memset(work, 0, (size_t)(2 * state) * sizeof *work);
    call k = {.cpu = vly_cpu_of(q),
              .T = T,
              .n = n,
              .H = H,
              .w = w_h,
              .reset = reset,
              .gates = (vly_real *)gates,
              .h = (vly_real *)h,
              .c = (vly_real *)c,
              .dh = dh,
              .dgates = dgates,
              .carry_h = work,
              .carry_c = work + state,
              .product = &product};
    vly_cpu_run(k.cpu, 8.0 * T * n * H * H, lstm_blocks(n), backward_rows, &k);
    vly_lstm_weight_gradient(&product, (int64_t)T * n, reset, dgates, h, dw_h);
    return VLY_OK;
}
