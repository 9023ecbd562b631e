/* exact_simd.h -- loops over rows and weights, once for each vector width, with the same bits in
 * all of them.
 *
 * exact_body.h holds the code; unlike simd_body.h it is compiled without contraction, so that the
 * rules of common/base/rules.h give what they give everywhere. Inside cpu/ only, float only.
 */
#ifndef VLY_CPU_EXACT_SIMD_H
#define VLY_CPU_EXACT_SIMD_H
#include "common/base/rules.h"

enum {
    VLY_LOSS_ROWS = 64,
    VLY_LOSS_ACTIONS = 32,
    VLY_SCAN_COLUMNS = 64
}; /* rows at a time; more actions go row by row */

typedef struct {
    int rows, cols;
    int64_t row, col; /* numbers from one to the next */
} vly_pool_window;

typedef struct vly_exact vly_exact;
struct vly_exact {
    double (*squares)(int64_t n, const float *x); /* in eight interleaved sums, added in order */
    /* Applies a step; false when a weight or moment became non-finite. m, v: unused ones may be
     * NULL. */
    bool (*optimize)(const vly_optimizer *o, const vly_step_scalars *s, int64_t n,
                     const float *grad, float *p, float *m, float *v);
    void (*polyak)(int64_t n, float *target, const float *online, float tau);
    /* vly_rule_policy_loss for rows first .. first + count - 1, count <= VLY_LOSS_ROWS, actions <=
     * VLY_LOSS_ACTIONS. */
    void (*policy_loss)(const vly_policy_loss_args *p, int first, int count, float mean,
                        float inv_std, float scale, vly_row_stats *sum);
    /* vly_rule_gae and vly_rule_vtrace for columns first .. first + VLY_SCAN_COLUMNS - 1; ratios:
     * one sum a column. */
    void (*gae)(const vly_gae_args *a, int first);
    void (*vtrace)(const vly_vtrace_args *a, int first, float *ratios);
    /* vly_rule_lstm and its gradient for one row of H units: gates and their gradients (4, H). c0
     * NULL: zeros, and dc becomes zeros. */
    void (*lstm)(int H, float *gates, const float *c0, float *c1, float *h1);
    void (*lstm_backward)(int H, const float *gates, const float *c0, const float *c1,
                          const float *dh, float *dgates, float *dc);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);
    void (*from_bf16)(int64_t n, const uint16_t *x, float *y);
    /* y = relu x, dx (+)= dy where y > 0, y += x, of bf16 */
    void (*relu16)(int64_t n, const uint16_t *x, uint16_t *y);
    void (*relu16_backward)(int64_t n, const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                            bool accumulate);
    void (*add16)(int64_t n, const uint16_t *x, uint16_t *y);
    void (*relu)(int64_t n, const float *x, float *y);
    void (*relu_backward)(int64_t n, const float *y, const float *dy, float *dx, bool accumulate);
    void (*add)(int64_t n, const float *x, float *y);
    /* best = max(best, x); false (untouched) for NaN x. For max-pooling, over channels. */
    void (*max)(int64_t n, const float *x, float *best);
    void (*max16)(int64_t n, const uint16_t *x, uint16_t *best);
    /* The window's gradient goes to its largest number, the first of equals: n channels at x, dx
     * (numbers of a row and a column apart). */
    void (*pool_backward)(const vly_pool_window *w, int n, const float *x, const float *dy,
                          float *dx);
    void (*pool_backward16)(const vly_pool_window *w, int n, const uint16_t *x, const uint16_t *dy,
                            uint16_t *dx);
    /* y[4 i + k] = x_k[i] */
    void (*interleave4)(int64_t n, const uint8_t *x0, const uint8_t *x1, const uint8_t *x2,
                        const uint8_t *x3, uint8_t *y);
};

const vly_exact *vly_exact_best(void); /* follows vly_simd_force */
extern const vly_exact vly_exact_base;
#if defined(__x86_64__)
extern const vly_exact vly_exact_avx2, vly_exact_avx512;
#endif
#endif
