/* elementwise.c -- activations, residual sums, conversions and the dueling head. */
#include <string.h>
#include "cpu/bf16.h"
#include "cpu/ops.h"

#define VLY_NEED_TYPE(op, type) VLY_NEED(op, (type) == VLY_F32 || (type) == VLY_BF16)

vly_status vly_cpu_relu(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    (void)q;
    VLY_NEED_TYPE("relu", type);
    VLY_NEED("relu", n >= 0 && x && y);
    if (type == VLY_BF16) {
        const uint16_t *from = x;
        uint16_t *to = y;
        for (int64_t i = 0; i < n; i++) to[i] = from[i] & 0x8000 && (from[i] & 0x7fff) <= 0x7f80 ? 0 : from[i];
    } else {
        const vly_real *from = x;
        vly_real *to = y;
        for (int64_t i = 0; i < n; i++) to[i] = from[i] <= 0 ? 0 : from[i]; /* a NaN is not hidden */
    }
    return VLY_OK;
}

vly_status vly_cpu_relu_backward(vly_queue *q, vly_dtype type, int64_t n, const void *y, const void *dy, void *dx, bool accumulate) {
    (void)q;
    VLY_NEED_TYPE("relu_backward", type);
    VLY_NEED("relu_backward", n >= 0 && y && dy && dx);
    if (type == VLY_BF16) {
        const uint16_t *out = y, *from = dy;
        uint16_t *to = dx;
        for (int64_t i = 0; i < n; i++) {
            const float g = vly_bf16_to_f32(out[i]) > 0 ? vly_bf16_to_f32(from[i]) : 0;
            to[i] = vly_bf16_from_f32(accumulate ? vly_bf16_to_f32(to[i]) + g : g);
        }
    } else {
        const vly_real *out = y, *from = dy;
        vly_real *to = dx;
        for (int64_t i = 0; i < n; i++) {
            const vly_real g = out[i] > 0 ? from[i] : 0;
            to[i] = accumulate ? to[i] + g : g;
        }
    }
    return VLY_OK;
}

vly_status vly_cpu_add(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    (void)q;
    VLY_NEED_TYPE("add", type);
    VLY_NEED("add", n >= 0 && x && y);
    if (type == VLY_BF16) {
        const uint16_t *from = x;
        uint16_t *to = y;
        for (int64_t i = 0; i < n; i++) to[i] = vly_bf16_from_f32(vly_bf16_to_f32(to[i]) + vly_bf16_to_f32(from[i]));
    } else {
        const vly_real *from = x;
        vly_real *to = y;
        for (int64_t i = 0; i < n; i++) to[i] += from[i];
    }
    return VLY_OK;
}

vly_status vly_cpu_convert(vly_queue *q, int64_t n, vly_dtype from, const void *x, vly_dtype to, void *y) {
    (void)q;
    VLY_NEED_TYPE("convert", from);
    VLY_NEED_TYPE("convert", to);
    VLY_NEED("convert", n >= 0 && x && y);
    if (from == to) memmove(y, x, (size_t)n * vly_dtype_bytes(from));
    else if (to == VLY_BF16)
        for (int64_t i = 0; i < n; i++) ((uint16_t *)y)[i] = vly_bf16_from_f32((float)((const vly_real *)x)[i]);
    else
        for (int64_t i = 0; i < n; i++) ((vly_real *)y)[i] = vly_bf16_to_f32(((const uint16_t *)x)[i]);
    return VLY_OK;
}

vly_status vly_cpu_dueling(vly_queue *q, int n, int actions, const vly_real *v, const vly_real *a, vly_real *out) {
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

vly_status vly_cpu_dueling_backward(vly_queue *q, int n, int actions, const vly_real *dout, vly_real *dv, vly_real *da) {
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
