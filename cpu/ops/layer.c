/* layer.c -- layers: the checks all kinds share, and the choice of a plan. */
#include <stdlib.h>
#include "cpu/ops/ops.h"

static bool float_type(vly_dtype t) {
    return t == VLY_F32 || t == VLY_BF16;
}

static vly_status check_layer_desc(const vly_layer_desc *d) {
    VLY_NEED("layer", d->kind == VLY_LINEAR || d->kind == VLY_CONV || d->kind == VLY_MAXPOOL);
    VLY_NEED("layer", d->batch_max >= 1 && d->batch_max <= 1 << 24);
    VLY_NEED("layer", d->in_h >= 1 && d->in_w >= 1 && d->in_h <= 4096 && d->in_w <= 4096);
    VLY_NEED("layer", d->in_c >= 1 && d->in_c <= 1 << 24 && d->out_c >= 1 && d->out_c <= 1 << 20);
    VLY_NEED("layer", d->kernel >= 1 && d->kernel <= 64 && d->stride >= 1 && d->stride <= 64);
    VLY_NEED("layer", d->pad >= 0 && d->pad < d->kernel);
    VLY_NEED("layer", d->in_h + 2 * d->pad >= d->kernel && d->in_w + 2 * d->pad >= d->kernel);
    VLY_NEED("layer", float_type(d->x_type) || (d->x_type == VLY_U8 && d->kind != VLY_MAXPOOL));
    VLY_NEED("layer", float_type(d->y_type) && (d->kind != VLY_MAXPOOL || d->y_type == d->x_type));
    VLY_NEED("layer", d->kind != VLY_MAXPOOL || (d->out_c == d->in_c && d->act == VLY_ACT_NONE));
    VLY_NEED("layer", d->act == VLY_ACT_NONE || d->act == VLY_ACT_RELU || d->act == VLY_ACT_TANH);
    VLY_NEED("layer", !d->needs_dx || d->x_type != VLY_U8);
    VLY_NEED("layer", !d->bf16_products ||
                          (d->kind == VLY_LINEAR && d->x_type == VLY_F32 && d->y_type == VLY_F32));
    return VLY_OK;
}

/* The fastest plan that fits. */
static vly_status choose_plan(vly_cpu *cpu, vly_layer *l) {
    vly_status status = VLY_EUNSUPPORTED;
    if (l->d.kind == VLY_MAXPOOL) return vly_plan_maxpool(cpu, l);
#ifndef VLY_REAL_DOUBLE
    if (l->d.bf16_products) status = vly_plan_linear_bf16(cpu, l);
    if (status != VLY_EUNSUPPORTED) return status;
    if (l->bf16)
        status = l->d.kind == VLY_LINEAR ? vly_plan_linear_bf16(cpu, l)
                                         : vly_plan_conv_bf16(cpu, l);
    else
        status = l->d.kind == VLY_LINEAR ? vly_plan_linear(cpu, l) : vly_plan_conv(cpu, l);
#endif
    return status == VLY_EUNSUPPORTED ? vly_plan_reference(cpu, l) : status;
}

vly_status vly_cpu_layer_create(vly_compute *c, const vly_layer_desc *desc, vly_layer **out) {
    vly_cpu *cpu = (vly_cpu *)c;
    VLY_NEED("layer", desc && out);
    vly_layer_desc d = *desc;
    if (d.kind == VLY_LINEAR) d.in_h = d.in_w = d.kernel = d.stride = 1, d.pad = 0;
    VLY_TRY(check_layer_desc(&d));
    vly_layer *l = calloc(1, sizeof *l);
    if (!l) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->d = d;
    l->out_h = vly_out_size(d.in_h, d.kernel, d.stride, d.pad);
    l->out_w = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    l->in_size = (int64_t)d.in_h * d.in_w * d.in_c;
    l->out_size = (int64_t)l->out_h * l->out_w * d.out_c;
    l->patch_size = (int64_t)d.kernel * d.kernel * d.in_c;
    l->bf16 = d.x_type == VLY_BF16 || (d.x_type == VLY_U8 && d.y_type == VLY_BF16);
    const vly_status status = choose_plan(cpu, l);
    if (status != VLY_OK) {
        free(l);
        return status;
    }
    *out = l;
    return VLY_OK;
}

void vly_cpu_layer_destroy(vly_layer *layer) {
    if (!layer) return;
    layer->plan->destroy(layer);
    free(layer);
}

vly_status vly_cpu_layer_prepare(vly_queue *q, vly_layer *layer, const vly_real *w) {
    VLY_NEED("layer prepare", layer && (w || layer->d.kind == VLY_MAXPOOL));
    layer->prepared = true;
    return layer->plan->prepare(vly_cpu_of(q), layer, w);
}

static vly_status check_call(const vly_layer *l, int n, const void *x, const vly_real *w,
                             const void *y) {
    VLY_NEED("layer", l && x && y && (w || l->d.kind == VLY_MAXPOOL));
    VLY_NEED("layer", n >= 0 && n <= l->d.batch_max);
    if (!l->prepared && l->d.kind != VLY_MAXPOOL)
        return vly_fail(VLY_EINVAL, "layer: used before layer_prepare");
    return VLY_OK;
}

vly_status vly_cpu_layer_forward(vly_queue *q, vly_layer *layer, int n, const void *x,
                                 const vly_real *w, void *y) {
    VLY_TRY(check_call(layer, n, x, w, y));
    return n ? layer->plan->forward(vly_cpu_of(q), layer, n, x, w, y) : VLY_OK;
}

vly_status vly_cpu_layer_backward(vly_queue *q, vly_layer *layer, int n, const void *x,
                                  const void *y, const vly_real *w, void *dy, void *dx,
                                  vly_real *dw, bool accumulate) {
    VLY_TRY(check_call(layer, n, x, w, y));
    VLY_NEED("layer backward", layer->d.learn && dy && (dx || !layer->d.needs_dx));
    VLY_NEED("layer backward", dw || layer->d.kind == VLY_MAXPOOL ||
                                   (layer->d.kind == VLY_LINEAR && layer->d.needs_dx));
    return layer->plan->backward(vly_cpu_of(q), layer, n, x, y, w, dy,
                                 layer->d.needs_dx ? dx : NULL, dw, accumulate);
}
