/* elementwise.c -- activations, residual sums, conversions and the dueling head. */
#include <string.h>
#include "cpu/ops/bf16.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

#define VLY_NEED_TYPE(op, type) VLY_NEED(op, (type) == VLY_F32 || (type) == VLY_BF16)

enum { BLOCK = 1 << 15 };
typedef enum { RELU, RELU_BACKWARD, ADD, TO_BF16, FROM_BF16 } element_op;
typedef struct {
    const vly_cpu *cpu;
    element_op op;
    bool low, accumulate;
    int64_t n;
    const void *x, *dy;
    void *y;
} element_call;

#ifdef VLY_REAL_DOUBLE
/* Double precision has no bf16 networks: one loop does. */
static void element_block(void *arg, int block, int slot) {
    (void)slot;
    const element_call *c = arg;
    const int64_t from = (int64_t)block * BLOCK, to = c->n - from < BLOCK ? c->n : from + BLOCK;
    const vly_real *x = c->x, *dy = c->dy;
    vly_real *y = c->y;
    for (int64_t i = from; i < to; i++) {
        if (c->op == RELU) y[i] = x[i] <= 0 ? 0 : x[i];
        if (c->op == RELU_BACKWARD) y[i] = (c->accumulate ? y[i] : 0) + (x[i] > 0 ? dy[i] : 0);
        if (c->op == ADD) y[i] += x[i];
        if (c->op == TO_BF16) ((uint16_t *)c->y)[i] = vly_bf16_from_f32((float)x[i]);
        if (c->op == FROM_BF16) y[i] = vly_bf16_to_f32(((const uint16_t *)c->x)[i]);
    }
}
#else
static void element_block(void *arg, int block, int slot) {
    (void)slot;
    const element_call *c = arg;
    const vly_exact *e = c->cpu->exact;
    const int64_t from = (int64_t)block * BLOCK, n = c->n - from < BLOCK ? c->n - from : BLOCK;
    const float *x = (const float *)c->x + from, *dy = (const float *)c->dy + from;
    const uint16_t *x16 = (const uint16_t *)c->x + from, *dy16 = (const uint16_t *)c->dy + from;
    float *y = (float *)c->y + from;
    uint16_t *y16 = (uint16_t *)c->y + from;
    switch (c->op) {
    case RELU: c->low ? e->relu16(n, x16, y16) : e->relu(n, x, y); break;
    case RELU_BACKWARD:
        c->low ? e->relu16_backward(n, x16, dy16, y16, c->accumulate)
               : e->relu_backward(n, x, dy, y, c->accumulate);
        break;
    case ADD: c->low ? e->add16(n, x16, y16) : e->add(n, x, y); break;
    case TO_BF16: e->to_bf16(n, x, y16); break;
    case FROM_BF16: e->from_bf16(n, x16, y); break;
    }
}
#endif

static vly_status run_elements(vly_queue *q, element_call c) {
    c.cpu = vly_cpu_of(q);
    vly_cpu_run(vly_cpu_of(q), 20.0 * (double)c.n, (int)((c.n + BLOCK - 1) / BLOCK), element_block,
                &c);
    return VLY_OK;
}

vly_status vly_cpu_relu(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    VLY_NEED_TYPE("relu", type);
    VLY_NEED("relu", n >= 0 && x && y);
    return run_elements(
        q, (element_call){.op = RELU, .low = type == VLY_BF16, .n = n, .x = x, .y = y, .dy = x});
}

vly_status vly_cpu_relu_backward(vly_queue *q, vly_dtype type, int64_t n, const void *y,
                                 const void *dy, void *dx, bool accumulate) {
    VLY_NEED_TYPE("relu_backward", type);
    VLY_NEED("relu_backward", n >= 0 && y && dy && dx);
    return run_elements(q, (element_call){.op = RELU_BACKWARD,
                                          .low = type == VLY_BF16,
                                          .accumulate = accumulate,
                                          .n = n,
                                          .x = y,
                                          .dy = dy,
                                          .y = dx});
}

vly_status vly_cpu_add(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    VLY_NEED_TYPE("add", type);
    VLY_NEED("add", n >= 0 && x && y);
    return run_elements(
        q, (element_call){.op = ADD, .low = type == VLY_BF16, .n = n, .x = x, .y = y, .dy = x});
}

vly_status vly_cpu_convert(vly_queue *q, int64_t n, vly_dtype from, const void *x, vly_dtype to,
                           void *y) {
    VLY_NEED_TYPE("convert", from);
    VLY_NEED_TYPE("convert", to);
    VLY_NEED("convert", n >= 0 && x && y);
    if (from != to)
        return run_elements(
            q, (element_call){
                   .op = to == VLY_BF16 ? TO_BF16 : FROM_BF16, .n = n, .x = x, .y = y, .dy = x});
    memmove(y, x, (size_t)n * vly_dtype_bytes(from));
    return VLY_OK;
}

vly_status vly_cpu_dueling(vly_queue *q, int n, int actions, const vly_real *v, const vly_real *a,
                           vly_real *out) {
    (void)q;
    VLY_NEED("dueling", n >= 0 && actions >= 1 && v && a && out);
    for (int i = 0; i < n; i++, a += actions, out += actions) {
        vly_real mean = 0;
        for (int j = 0; j < actions; j++) mean += a[j];
        mean /= (vly_real)actions;
        for (int j = 0; j < actions; j++) out[j] = v[i] + (a[j] - mean);
    }
    return VLY_OK;
}

vly_status vly_cpu_dueling_backward(vly_queue *q, int n, int actions, const vly_real *dout,
                                    vly_real *dv, vly_real *da) {
    (void)q;
    VLY_NEED("dueling_backward", n >= 0 && actions >= 1 && dout && dv && da);
    for (int i = 0; i < n; i++, dout += actions, da += actions) {
        vly_real sum = 0;
        for (int j = 0; j < actions; j++) sum += dout[j];
        dv[i] = sum;
        for (int j = 0; j < actions; j++) da[j] = dout[j] - sum / (vly_real)actions;
    }
    return VLY_OK;
}
