/* lstm.cu -- the recurrent half of an LSTM; the input half is a linear layer over all steps. Per
 * step: a product (n, H) x (H, 4H), 8 n H^2 FLOPs, on tensor cores where operands may be rounded to
 * tf32, and one kernel for gates and state (28 B read or written per number of state). Latency: two
 * launches per step, three backward; a captured graph makes that 2 to 4 us a step. The gradient of
 * the weights is one product over all steps. */
#include "kernels/ops.h"
#include "common/base/exact.h"
#include "kernels/conv.h"

static const int BLOCK = 256;

static __global__ void __launch_bounds__(256)
    gates_forward(int n, int H, const uint8_t *reset, float *gates, const float *c0, float *c1,
                  float *h1) {
    const int64_t e = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (e >= (int64_t)n * H) return;
    const int64_t i = e / H, j = e % H;
    float *g = gates + i * 4 * H + j;
    const float in = vly_sigmoid(g[0]), forget = vly_sigmoid(g[H]), cell = vly_tanh(g[2 * H]),
                out = vly_sigmoid(g[3 * H]);
    const float c = (reset[i] & VLY_ROW_RESET ? 0.0f : forget * c0[e]) + in * cell;
    g[0] = in, g[H] = forget, g[2 * H] = cell, g[3 * H] = out;
    c1[e] = c;
    h1[e] = out * vly_tanh(c);
}

/* carry_h, carry_c: gradients from the next step; carry_c is replaced by those for the previous
 * one. */
static __global__ void __launch_bounds__(256)
    gates_backward(int n, int H, bool last, const uint8_t *reset, const float *gates,
                   const float *c0, const float *c1, const float *dh, const float *carry_h,
                   float *carry_c, float *dgates) {
    const int64_t e = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (e >= (int64_t)n * H) return;
    const int64_t i = e / H, j = e % H;
    const bool fresh = (reset[i] & VLY_ROW_RESET) != 0;
    const float *g = gates + i * 4 * H + j;
    const float in = g[0], forget = g[H], cell = g[2 * H], out = g[3 * H];
    const float slope = last ? dh[e] : carry_h[e] + dh[e], tc = vly_tanh(c1[e]);
    const float d = (last ? 0.0f : carry_c[e]) + slope * out * (1.0f - tc * tc),
                before = fresh ? 0.0f : c0[e];
    float *dg = dgates + i * 4 * H + j;
    dg[0] = d * cell * in * (1.0f - in);
    dg[H] = d * before * forget * (1.0f - forget);
    dg[2 * H] = d * in * (1.0f - cell * cell);
    dg[3 * H] = slope * tc * out * (1.0f - out);
    carry_c[e] = fresh ? 0.0f : d * forget;
}

/* h (rows, H) -> gates (rows, 4H), rows with RESET counting as zeros */
static vly_conv recurrent(const vly_lstm_size *size, const uint8_t *reset) {
    const int H = size->H;
    vly_conv c = {};
    c.math = size->tf32 ? VLY_MATH_TF32 : VLY_MATH_FP32;
    c.act = VLY_ACT_NONE, c.x_type = c.y_type = VLY_F32;
    c.in_h = c.in_w = c.out_h = c.out_w = c.kernel = c.stride = 1;
    c.in_c = H, c.out_c = 4 * H, c.x_scale = c.w_scale = 1.0f;
    c.add = true;
    c.mask = reset, c.mask_bits = VLY_ROW_RESET;
    return c;
}

vly_status vly_lstm_forward_launch(const vly_lstm_size *size, const float *w_h,
                                   const uint8_t *reset, float *gates, float *h, float *c,
                                   cudaStream_t stream) {
    const int T = size->T, n = size->n, H = size->H;
    VLY_NEED(T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c);
    const int64_t state = (int64_t)n * H;
    for (int64_t t = 0; t < T; t++) {
        const vly_conv product = recurrent(size, reset + t * n);
        const vly_forward_part part = {&product, w_h, NULL, gates + t * state * 4};
        VLY_TRY(vly_conv_forward_launch(&part, 1, n, h + t * state, NULL, stream));
        VLY_LAUNCH(gates_forward, (unsigned)vly_ceil_div(state, BLOCK), BLOCK, 0, stream, n, H,
                   reset + t * n, gates + t * state * 4, c + t * state, c + (t + 1) * state,
                   h + (t + 1) * state);
    }
    return VLY_OK;
}

vly_status vly_lstm_backward_launch(const vly_lstm_size *size, const float *w_h,
                                    const uint8_t *reset, const float *gates, const float *h,
                                    const float *c, const float *dh, float *dgates, float *dw_h,
                                    float *work, int multiprocessors, cudaStream_t stream) {
    const int T = size->T, n = size->n, H = size->H;
    VLY_NEED(T >= 1 && n >= 1 && H >= 1 && w_h && reset && gates && h && c && dh && dgates &&
             dw_h && work);
    const int64_t state = (int64_t)n * H;
    float *carry_h = work, *carry_c = work + state;
    for (int64_t t = T - 1; t >= 0; t--) {
        VLY_LAUNCH(gates_backward, (unsigned)vly_ceil_div(state, BLOCK), BLOCK, 0, stream, n, H,
                   t == T - 1, reset + t * n, gates + t * state * 4, c + t * state,
                   c + (t + 1) * state, dh + t * state, carry_h, carry_c, dgates + t * state * 4);
        const vly_conv product = recurrent(size, reset + t * n);
        const vly_dx_target carry = {carry_h, NULL, VLY_ACT_NONE, false};
        if (t > 0)
            VLY_TRY(vly_conv_dx_launch(&product, n, dgates + t * state * 4, w_h, &carry, stream));
    }
    /* One product over all steps. Its parts lie in the working memory, whose gradients are used up;
     * where there is no room for them, in a batch of few rows, the only part is dw_h itself. */
    const vly_conv all = recurrent(size, reset);
    const bool fits = vly_conv_dw_bytes(&all, T * n, multiprocessors) <=
                      (size_t)(6 * T * state) * sizeof *work;
    const vly_dw_call weights = {&all, T * n, h, dgates, dw_h, NULL, false, fits ? work : NULL};
    return vly_conv_dw_group_launch(&weights, 1, multiprocessors, stream);
}
