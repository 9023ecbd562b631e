/* lstm.c -- the recurrent half of an LSTM: the input half is a linear layer over all steps.
 * 8 H^2 FLOPs per row and step forward, twice that backward. */
#include <string.h>
#include "common/exact.h"
#include "common/rules.h"
#include "cpu/ops/ops.h"

static vly_real dot(const vly_real *a, const vly_real *b, int n) {
    vly_real part[16] = {0}, sum = 0;
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) part[j] += a[i + j] * b[i + j];
    for (int j = 0; j < 16; j++) sum += part[j];
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

vly_status vly_cpu_lstm_forward(vly_queue *q, int T, int n, int H, const vly_real *w_h, const uint8_t *reset,
                                vly_real *gates, vly_real *h, vly_real *c) {
    (void)q;
    VLY_NEED("lstm_forward", T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c);
    const int64_t state = (int64_t)n * H;
    for (int t = 0; t < T; t++)
        for (int i = 0; i < n; i++) {
            const bool fresh = reset[(int64_t)t * n + i] & VLY_ROW_RESET;
            const vly_real *h0 = h + t * state + (int64_t)i * H, *c0 = c + t * state + (int64_t)i * H;
            vly_real *h1 = h + (t + 1) * state + (int64_t)i * H, *c1 = c + (t + 1) * state + (int64_t)i * H;
            vly_real *g = gates + ((int64_t)t * n + i) * 4 * H;
            if (!fresh)
                for (int j = 0; j < 4 * H; j++) g[j] += dot(w_h + (int64_t)j * H, h0, H);
            for (int j = 0; j < H; j++) {
                g[j] = vly_sigmoid(g[j]);
                g[H + j] = vly_sigmoid(g[H + j]);
                g[2 * H + j] = vly_tanh(g[2 * H + j]);
                g[3 * H + j] = vly_sigmoid(g[3 * H + j]);
                c1[j] = (fresh ? 0 : g[H + j] * c0[j]) + g[j] * g[2 * H + j];
                h1[j] = g[3 * H + j] * vly_tanh(c1[j]);
            }
        }
    return VLY_OK;
}

/* Gradients before the activations of one row; *dc becomes the gradient of the earlier cell. */
static void gates_backward(int H, const vly_real *g, const vly_real *c0, const vly_real *c1, bool fresh, const vly_real *dh,
                           vly_real *dc, vly_real *dg) {
    for (int j = 0; j < H; j++) {
        const vly_real in = g[j], forget = g[H + j], cell = g[2 * H + j], out = g[3 * H + j];
        const vly_real tc = vly_tanh(c1[j]), d = dc[j] + dh[j] * out * (1 - tc * tc), before = fresh ? 0 : c0[j];
        dg[j] = d * cell * in * (1 - in);
        dg[H + j] = d * before * forget * (1 - forget);
        dg[2 * H + j] = d * in * (1 - cell * cell);
        dg[3 * H + j] = dh[j] * tc * out * (1 - out);
        dc[j] = fresh ? 0 : d * forget;
    }
}

vly_status vly_cpu_lstm_backward(vly_queue *q, int T, int n, int H, const vly_real *w_h, const uint8_t *reset,
                                 const vly_real *gates, const vly_real *h, const vly_real *c, const vly_real *dh,
                                 vly_real *dgates, vly_real *dw_h, vly_real *work) {
    (void)q;
    VLY_NEED("lstm_backward", T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c && dh);
    VLY_NEED("lstm_backward", dgates && dw_h && work);
    const int64_t state = (int64_t)n * H;
    vly_real *carry_h = work, *carry_c = work + state; /* gradients that come from step t + 1 */
    memset(work, 0, (size_t)(2 * state) * sizeof *work);
    memset(dw_h, 0, (size_t)(4 * (int64_t)H * H) * sizeof *dw_h);
    for (int t = T - 1; t >= 0; t--)
        for (int i = 0; i < n; i++) {
            const int64_t at = (int64_t)i * H, row = (int64_t)t * n + i;
            const bool fresh = reset[row] & VLY_ROW_RESET;
            vly_real *dg = dgates + row * 4 * H, *ch = carry_h + at;
            for (int j = 0; j < H; j++) ch[j] += dh[row * H + j];
            gates_backward(H, gates + row * 4 * H, c + t * state + at, c + (t + 1) * state + at, fresh, ch, carry_c + at, dg);
            memset(ch, 0, (size_t)H * sizeof *ch);
            if (fresh) continue;
            const vly_real *h0 = h + t * state + at;
            for (int j = 0; j < 4 * H; j++)
                for (int k = 0; k < H; k++) {
                    dw_h[(int64_t)j * H + k] += dg[j] * h0[k];
                    ch[k] += dg[j] * w_h[(int64_t)j * H + k];
                }
        }
    return VLY_OK;
}
