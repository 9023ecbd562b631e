/* lstm_product.h -- the three matrix products of a recurrent layer, for cpu/ops/lstm.c alone.
 *
 *   vly_lstm_product p;
 *   // rearranges the weights into the queue's scratch
 *   VLY_TRY(vly_lstm_product_forward(&p, q, H, w_h));
 *   vly_lstm_add_hidden(&p, m, rows, h, gates);         // gates += h w^T, of the rows named
 *
 * A number of a result is summed in the same order whatever rows go together. In double precision
 * plain loops.
 */
#ifndef VLY_CPU_LSTM_PRODUCT_H
#define VLY_CPU_LSTM_PRODUCT_H
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#include "cpu/ops/pack.h"
#endif

enum { VLY_LSTM_ROWS = 24 }; /* at once, at most */

typedef struct {
    vly_cpu *cpu;
    int H;
    const vly_real *w; /* (4H, H) */
#ifndef VLY_REAL_DOUBLE
    vly_panels panels; /* of the columns of the product: 4H forward, H backward */
    float *packed;     /* panels of (H, width) forward, (4H, width) backward */
    float *columns;    /* backward: a thread's copy of h's columns */
#endif
} vly_lstm_product;

/* Valid until the queue's next operation. */
vly_status vly_lstm_product_forward(vly_lstm_product *p, vly_queue *q, int H, const vly_real *w);
vly_status vly_lstm_product_backward(vly_lstm_product *p, vly_queue *q, int H, const vly_real *w);

/* For m <= VLY_LSTM_ROWS rows: gates (row, 4H) += h (row, H) w^T, and dh (row, H) = dgates (row,
 * 4H) w. */
void vly_lstm_add_hidden(const vly_lstm_product *p, int m, const int32_t *rows, const vly_real *h,
                         vly_real *gates);
void vly_lstm_to_hidden(const vly_lstm_product *p, int m, const int32_t *rows,
                        const vly_real *dgates, vly_real *dh);

/* dw (4H, H) = the sum over n rows of dgates (n, 4H) x h (n, H), but those whose flags have RESET.
 * After ..._backward. */
void vly_lstm_weight_gradient(const vly_lstm_product *p, int64_t n, const uint8_t *flags,
                              const vly_real *dgates, const vly_real *h, vly_real *dw);
#endif
