/* exact_simd.h -- loops over rows and weights, once for each vector width, with the same bits in all of them.
 *
 * exact_body.h holds the code; unlike simd_body.h it is compiled without contraction, so that the rules of
 * common/rules.h give what they give everywhere. Inside cpu/ only, float only.
 */
#ifndef VLY_CPU_EXACT_SIMD_H
#define VLY_CPU_EXACT_SIMD_H
#include "common/rules.h"

enum { VLY_LOSS_ROWS = 64, VLY_LOSS_ACTIONS = 32 }; /* rows at a time; more actions go row by row */

typedef struct vly_exact vly_exact;
struct vly_exact {
    double (*squares)(int64_t n, const float *x); /* in eight interleaved sums, added in order */
    /* Applies a step; false when a weight or moment became non-finite. m, v: unused ones may be NULL. */
    bool (*optimize)(const vly_optimizer *o, const vly_step_scalars *s, int64_t n, const float *grad, float *p, float *m, float *v);
    void (*polyak)(int64_t n, float *target, const float *online, float tau);
    /* vly_rule_policy_loss for rows first .. first + count - 1, count <= VLY_LOSS_ROWS, actions <= VLY_LOSS_ACTIONS. */
    void (*policy_loss)(const vly_policy_loss_args *p, int first, int count, float mean, float inv_std, float scale, vly_row_stats *sum);
    void (*to_bf16)(int64_t n, const float *x, uint16_t *y);
    void (*from_bf16)(int64_t n, const uint16_t *x, float *y);
    /* y = relu x, dx (+)= dy where y > 0, y += x, of bf16 */
    void (*relu16)(int64_t n, const uint16_t *x, uint16_t *y);
    void (*relu16_backward)(int64_t n, const uint16_t *y, const uint16_t *dy, uint16_t *dx, bool accumulate);
    void (*add16)(int64_t n, const uint16_t *x, uint16_t *y);
    void (*relu)(int64_t n, const float *x, float *y);
    void (*relu_backward)(int64_t n, const float *y, const float *dy, float *dx, bool accumulate);
    void (*add)(int64_t n, const float *x, float *y);
    /* best = max(best, x); false (untouched) for NaN x. For max-pooling, over channels. */
    void (*max)(int64_t n, const float *x, float *best);
    void (*max16)(int64_t n, const uint16_t *x, uint16_t *best);
    /* y[4 i + k] = x_k[i] */
    void (*interleave4)(int64_t n, const uint8_t *x0, const uint8_t *x1, const uint8_t *x2, const uint8_t *x3, uint8_t *y);
};

const vly_exact *vly_exact_best(void); /* follows vly_simd_force */
extern const vly_exact vly_exact_base;
#if defined(__x86_64__)
extern const vly_exact vly_exact_avx2, vly_exact_avx512;
#endif
#endif
