/* reference.c -- linear and convolution layers in plain C: for every type, size and precision.
 *
 * The reference of the faster plans, what the gradient checks compile in double, and what runs
 * where no faster plan fits. An output pixel reads its patch (kernel x kernel x in_c, contiguous in
 * the order of the weights), so a linear layer is the 1 x 1 case.
 */
#include <stdlib.h>
#include <string.h>
#include "common/base/exact.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/ops.h"

typedef struct {
    vly_real *w;              /* (out, k) scaled by x_scale, rounded when low */
    vly_real *patch, *dpatch; /* (k) */
    vly_real *dy;             /* (out_c) of one pixel */
    vly_real *dx;             /* one sample */
} reference_state;

static vly_real load_number(vly_dtype type, const void *x, int64_t i) {
    switch (type) {
    case VLY_U8: return ((const uint8_t *)x)[i];
    case VLY_BF16: return vly_bf16_to_f32(((const uint16_t *)x)[i]);
    default: return ((const vly_real *)x)[i];
    }
}

static void store_number(vly_dtype type, void *x, int64_t i, vly_real value) {
    if (type == VLY_BF16)
        ((uint16_t *)x)[i] = vly_bf16_from_f32((float)value);
    else
        ((vly_real *)x)[i] = value;
}

/* Sixteen partial sums in a fixed order: the compiler may use vectors. */
static vly_real patch_dot(const vly_real *a, const vly_real *b, int64_t n) {
    vly_real part[16] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) part[j] += a[i + j] * b[i + j];
    for (int j = 0; j < 16; j++) sum += part[j];
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static vly_real act_of(vly_act act, vly_real y) {
    if (act == VLY_ACT_RELU) return y > 0 || y != y ? y : 0; /* a NaN is not hidden */
    return act == VLY_ACT_TANH ? vly_tanh(y) : y;
}

static vly_real act_slope(vly_act act, vly_real y) {
    if (act == VLY_ACT_RELU) return y > 0 ? 1 : 0;
    return act == VLY_ACT_TANH ? 1 - y * y : 1;
}

/* Calls for every element of the patch of pixel (oy, ox) that lies inside the image: patch index,
 * image index. */
#define FOR_PATCH(l, oy, ox, p, at)                                                          \
    for (int ky_ = 0, p = 0; ky_ < (l)->d.kernel; ky_++)                                     \
        for (int kx_ = 0; kx_ < (l)->d.kernel; kx_++, p += (l)->d.in_c)                      \
            for (int y_ = (oy) * (l)->d.stride + ky_ - (l)->d.pad,                           \
                     x_ = (ox) * (l)->d.stride + kx_ - (l)->d.pad,                           \
                     in_ = y_ >= 0 && y_ < (l)->d.in_h && x_ >= 0 && x_ < (l)->d.in_w;       \
                 in_; in_ = 0)                                                               \
                for (int64_t at = ((int64_t)y_ * (l)->d.in_w + x_) * (l)->d.in_c, once_ = 1; \
                     once_; once_ = 0)

static void read_patch(const vly_layer *l, int64_t sample, const void *x, int oy, int ox,
                       vly_real *patch) {
    const int64_t base = sample * l->in_size;
    memset(patch, 0, (size_t)l->patch_size * sizeof *patch);
    FOR_PATCH(l, oy, ox, p, at)
    for (int c = 0; c < l->d.in_c; c++) patch[p + c] = load_number(l->d.x_type, x, base + at + c);
}

static vly_status reference_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    (void)cpu;
    reference_state *s = l->state;
    const int64_t n = l->d.out_c * l->patch_size;
    for (int64_t i = 0; i < n; i++) {
        const vly_real v = l->d.x_scale * w[i];
        s->w[i] = l->bf16 ? vly_bf16_to_f32(vly_bf16_from_f32((float)v)) : v;
    }
    return VLY_OK;
}

static vly_status reference_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                    const vly_real *w, void *y) {
    (void)cpu;
    reference_state *s = l->state;
    const vly_real *bias = w + l->d.out_c * l->patch_size;
    int64_t at = 0;
    for (int i = 0; i < n; i++)
        for (int oy = 0; oy < l->out_h; oy++)
            for (int ox = 0; ox < l->out_w; ox++) {
                read_patch(l, i, x, oy, ox, s->patch);
                for (int o = 0; o < l->d.out_c; o++)
                    store_number(l->d.y_type, y, at++,
                                 act_of(l->d.act, bias[o] + patch_dot(s->w + o * l->patch_size,
                                                                      s->patch, l->patch_size)));
            }
    return VLY_OK;
}

static void add_scaled_patch(vly_real *y, const vly_real *x, vly_real a, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* The gradient of one pixel: its bias, its weights, its patch of the image. */
static void reference_pixel(vly_layer *l, int sample, const void *x, int oy, int ox, vly_real *dw,
                            bool dx) {
    reference_state *s = l->state;
    read_patch(l, sample, x, oy, ox, s->patch);
    if (dx) memset(s->dpatch, 0, (size_t)l->patch_size * sizeof *s->dpatch);
    for (int o = 0; o < l->d.out_c; o++) {
        const vly_real g = s->dy[o];
        if (dw) dw[l->d.out_c * l->patch_size + o] += g;
        if (g == 0) continue;
        if (dw) add_scaled_patch(dw + o * l->patch_size, s->patch, l->d.x_scale * g, l->patch_size);
        if (dx) add_scaled_patch(s->dpatch, s->w + o * l->patch_size, g, l->patch_size);
    }
    if (!dx) return;
    FOR_PATCH(l, oy, ox, p, at)
    for (int c = 0; c < l->d.in_c; c++) s->dx[at + c] += s->dpatch[p + c];
}

static vly_status reference_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                     const void *y, const vly_real *w, void *dy, void *dx,
                                     vly_real *dw, bool accumulate) {
    (void)cpu, (void)w;
    reference_state *s = l->state;
    if (dw && !accumulate) memset(dw, 0, (size_t)(l->d.out_c * (l->patch_size + 1)) * sizeof *dw);
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        if (dx) memset(s->dx, 0, (size_t)l->in_size * sizeof *s->dx);
        for (int oy = 0; oy < l->out_h; oy++)
            for (int ox = 0; ox < l->out_w; ox++) {
                for (int o = 0; o < l->d.out_c; o++, at++) {
                    store_number(l->d.y_type, dy, at,
                                 load_number(l->d.y_type, dy, at) *
                                     act_slope(l->d.act, load_number(l->d.y_type, y, at)));
                    s->dy[o] = load_number(l->d.y_type, dy, at);
                }
                reference_pixel(l, i, x, oy, ox, dw, dx != NULL);
            }
        for (int64_t j = 0; dx && j < l->in_size; j++)
            store_number(l->d.x_type, dx, i * l->in_size + j, s->dx[j]);
    }
    return VLY_OK;
}

static void reference_destroy(vly_layer *l) {
    reference_state *s = l->state;
    free(s->w);
    free(s->patch);
    free(s->dpatch);
    free(s->dy);
    free(s->dx);
    free(s);
}

static const vly_plan reference_plan = {"reference", reference_prepare, reference_forward,
                                        reference_backward, reference_destroy};

vly_status vly_plan_reference(vly_cpu *cpu, vly_layer *l) {
    (void)cpu;
    reference_state *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->state = s;
    s->w = calloc((size_t)(l->d.out_c * l->patch_size), sizeof *s->w);
    s->patch = calloc((size_t)l->patch_size, sizeof *s->patch);
    s->dpatch = calloc((size_t)l->patch_size, sizeof *s->dpatch);
    s->dy = calloc((size_t)l->d.out_c, sizeof *s->dy);
    s->dx = calloc((size_t)l->in_size, sizeof *s->dx);
    if (!s->w || !s->patch || !s->dpatch || !s->dy || !s->dx) {
        reference_destroy(l);
        return vly_fail(VLY_ENOMEM, "no memory for a layer of %lld weights",
                        (long long)(l->d.out_c * l->patch_size));
    }
    l->plan = &reference_plan;
    return VLY_OK;
}
