/* layer.c -- linear, convolution and pooling layers: the part that all engines share. */
#include "gpu/layer.h"
#include <stdlib.h>
#include "gpu/internal.h"

static bool is_float_type(vly_dtype t) {
    return t == VLY_F32 || t == VLY_BF16;
}

static vly_status check_layer(const vly_layer_desc *d) {
    VLY_NEED(d->kind == VLY_LINEAR || d->kind == VLY_CONV || d->kind == VLY_MAXPOOL);
    VLY_NEED(d->batch_max >= 1 && d->batch_max <= 1 << 24);
    VLY_NEED(d->in_h >= 1 && d->in_w >= 1 && d->in_h <= 4096 && d->in_w <= 4096);
    VLY_NEED(d->in_c >= 1 && d->in_c <= 1 << 20 && d->out_c >= 1 && d->out_c <= 1 << 20);
    VLY_NEED(d->kernel >= 1 && d->kernel <= 64 && d->stride >= 1 && d->stride <= 64);
    VLY_NEED(d->pad >= 0 && d->pad < d->kernel);
    VLY_NEED(d->in_h + 2 * d->pad >= d->kernel && d->in_w + 2 * d->pad >= d->kernel);
    VLY_NEED(is_float_type(d->x_type) || (d->x_type == VLY_U8 && d->kind != VLY_MAXPOOL));
    VLY_NEED(is_float_type(d->y_type) && (d->kind != VLY_MAXPOOL || d->y_type == d->x_type));
    VLY_NEED(d->kind != VLY_MAXPOOL || (d->out_c == d->in_c && d->act == VLY_ACT_NONE));
    VLY_NEED(d->act == VLY_ACT_NONE || d->act == VLY_ACT_RELU || d->act == VLY_ACT_TANH);
    VLY_NEED(!d->needs_dx || d->x_type != VLY_U8);
    VLY_NEED(!d->bf16_products ||
             (d->kind == VLY_LINEAR && d->x_type == VLY_F32 && d->y_type == VLY_F32));
    VLY_NEED(d->kind != VLY_MAXPOOL || (d->below == VLY_ACT_NONE && !d->dx_adds));
    return VLY_OK;
}

static vly_status math_of(const vly_cuda *cuda, const vly_layer_desc *d, vly_math *math) {
    const bool low = d->x_type == VLY_BF16 || (d->x_type == VLY_U8 && d->y_type == VLY_BF16);
    const bool rounds = d->tf32 || d->bf16_products; /* tf32 is closer and as quick */
    *math = low ? VLY_MATH_BF16 : rounds && cuda->arch >= 80 ? VLY_MATH_TF32 : VLY_MATH_FP32;
    if (low && cuda->arch < 80)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "%s has no bf16 (compute capability %d.%d, 8.0 is needed): use --run.precision fp32",
            cuda->base.info.name, cuda->arch / 10, cuda->arch % 10);
    return VLY_OK;
}

static void layer_destroy(vly_layer *l) {
    if (!l) return;
    vly_cuda *cuda = (vly_cuda *)l->c;
    for (int pass = 0; pass < VLY_PASSES; pass++)
        if (l->engine[pass] && l->plan[pass]) l->engine[pass]->close(l->plan[pass]);
    if (!l->w_bf16_shared) vly_arena_free(&cuda->arena, l->w_bf16);
    if (!l->bias_bf16_shared) vly_arena_free(&cuda->arena, l->bias_bf16);
    vly_arena_free(&cuda->arena, l->partial);
    free(l);
}

static vly_status layer_alloc(vly_layer *l) {
    vly_cuda *cuda = (vly_cuda *)l->c;
    if (l->conv.math == VLY_MATH_BF16) {
        VLY_TRY(vly_arena_alloc(&cuda->arena, (size_t)l->weights * 2, "a layer's bf16 weights",
                                NULL, &l->w_bf16));
        VLY_TRY(vly_arena_alloc(&cuda->arena, (size_t)l->d.out_c * 2, "a layer's bf16 bias", NULL,
                                &l->bias_bf16));
    }
    if (!l->d.learn) return VLY_OK;
    const size_t dw = vly_conv_dw_bytes(&l->conv, l->d.batch_max, cuda->multiprocessors),
                 db = vly_bias_bytes(l->d.out_c);
    return vly_arena_alloc(&cuda->arena, dw > db ? dw : db, "a layer's partial gradients", NULL,
                           &l->partial);
}

/* 0 unless the environment names one. */
static int forced_tile_width(void) {
    const char *width = getenv("VLY_TILE_WIDTH");
    return width ? atoi(width) : 0;
}

static vly_status fill_layer(vly_layer *l, const vly_layer_desc *desc) {
    l->d = *desc;
    vly_math math;
    if (l->d.kind == VLY_LINEAR)
        l->d.in_h = l->d.in_w = l->d.kernel = l->d.stride = 1, l->d.pad = 0;
    VLY_TRY(check_layer(&l->d));
    VLY_TRY(math_of((vly_cuda *)l->c, &l->d, &math));
    l->conv = vly_conv_of(&l->d, math);
    l->conv.tile_width = forced_tile_width();
    l->weights = (int64_t)l->d.out_c * l->d.kernel * l->d.kernel * l->d.in_c;
    l->in_numbers = (int64_t)l->d.in_h * l->d.in_w * l->d.in_c;
    l->out_numbers = (int64_t)l->conv.out_h * l->conv.out_w * l->d.out_c;
    if (l->d.kind == VLY_MAXPOOL) return VLY_OK;
    if (math == VLY_MATH_BF16)
        l->conv.w_scale =
            l->conv.x_scale; /* layer_prepare scales the weights before it rounds them */
    VLY_TRY(layer_alloc(l));
    return vly_layer_choose(l);
}

static vly_status layer_create(vly_compute *c, const vly_layer_desc *desc, vly_layer **out) {
    VLY_NEED(c && desc && out);
    *out = NULL;
    VLY_CUDA_TRY(cudaSetDevice(((vly_cuda *)c)->device));
    vly_layer *l = calloc(1, sizeof *l);
    if (!l) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    l->c = c;
    const vly_status status = fill_layer(l, desc);
    if (status != VLY_OK) {
        layer_destroy(l);
        return status;
    }
    *out = l;
    return VLY_OK;
}

static vly_status layer_prepare(vly_queue *q, vly_layer *l, const vly_real *w) {
    VLY_NEED(l && (w || l->d.kind == VLY_MAXPOOL));
    l->prepared = true;
    if (!l->w_bf16) return VLY_OK;
    VLY_TRY(vly_weights_bf16_launch(l->weights, w, l->d.x_scale, l->w_bf16, vly_stream_of(q)));
    return vly_weights_bf16_launch(l->d.out_c, w + l->weights, 1.0f, l->bias_bf16,
                                   vly_stream_of(q));
}

/* The engines state an alignment of 16 bytes to cuDNN and cuBLASLt. A bias that would be less
 * aligned stays in a buffer of its own. */
static vly_status layer_share(vly_layer *l, void *low, float *scale) {
    VLY_NEED(l && low && scale && (uintptr_t)low % 16 == 0);
    vly_arena *arena = &((vly_cuda *)l->c)->arena;
    *scale = 1.0f;
    if (!l->w_bf16) return VLY_OK;
    if (!l->w_bf16_shared) vly_arena_free(arena, l->w_bf16);
    l->w_bf16 = low, l->w_bf16_shared = true;
    l->prepared = false;
    *scale = l->d.x_scale;
    if (l->weights % 8) return VLY_OK;
    if (!l->bias_bf16_shared) vly_arena_free(arena, l->bias_bf16);
    l->bias_bf16 = (uint16_t *)low + l->weights, l->bias_bf16_shared = true;
    return VLY_OK;
}

static vly_status layer_stepped(vly_queue *q, vly_layer *l, const vly_real *w) {
    VLY_NEED(l && (w || l->d.kind == VLY_MAXPOOL));
    if (!l->w_bf16_shared) return layer_prepare(q, l, w);
    return l->bias_bf16_shared ? VLY_OK
                               : vly_weights_bf16_launch(l->d.out_c, w + l->weights, 1.0f,
                                                         l->bias_bf16, vly_stream_of(q));
}

static vly_status check_layer_call(const vly_layer *l, int n, const void *x, const void *y,
                                   const vly_real *w) {
    VLY_NEED(l && x && y && (w || l->d.kind == VLY_MAXPOOL));
    VLY_NEED(n >= 0 && n <= l->d.batch_max);
    if (!l->prepared && l->d.kind != VLY_MAXPOOL)
        return vly_fail(VLY_EINVAL, "layer: used before layer_prepare");
    return VLY_OK;
}

static bool runs_here(const vly_layer *l, vly_pass pass, int n) {
    return l->engine[pass]->any_n || n == l->d.batch_max;
}

vly_status vly_layer_run(vly_layer *l, vly_queue *q, vly_pass pass, const vly_engine *engine,
                         void *plan, int n, const vly_pass_args *args) {
    VLY_TRY(engine->run(l, q, pass, plan, n, args));
    if (pass != VLY_PASS_DX || l->d.below == VLY_ACT_NONE || engine->ours) return VLY_OK;
    return vly_slope_launch(l->d.x_type, l->d.below, n * l->in_numbers, args->x, args->dx,
                            vly_stream_of(q));
}

static vly_status run_pass(vly_layer *l, vly_queue *q, vly_pass pass, int n,
                           const vly_pass_args *args) {
    if (runs_here(l, pass, n))
        return vly_layer_run(l, q, pass, l->engine[pass], l->plan[pass], n, args);
    return vly_layer_run(l, q, pass, &vly_engine_own, NULL, n, args);
}

static bool are_one_launch(const vly_conv *a, const vly_conv *b) {
    return a->math == b->math && a->way == b->way;
}

static vly_status backward_end(vly_queue *q) {
    vly_cuda_queue *queue = (vly_cuda_queue *)q;
    const int count = queue->pending_count;
    queue->pending_count = 0;
    for (int first = 0, i = 1; i <= count; i++) {
        if (i < count && are_one_launch(queue->pending[i].conv, queue->pending[first].conv))
            continue;
        VLY_TRY(vly_conv_dw_group_launch(queue->pending + first, i - first,
                                         vly_cuda_of(q)->multiprocessors, vly_stream_of(q)));
        first = i;
    }
    return VLY_OK;
}

/* Our own weight gradients wait for those of the other layers: together they fill the device. */
static vly_status put_off_dw(vly_layer *l, vly_queue *q, const vly_conv *conv, int n,
                             const vly_pass_args *a) {
    vly_cuda_queue *queue = (vly_cuda_queue *)q;
    bool busy = queue->pending_count == VLY_DW_GROUP;
    for (int i = 0; i < queue->pending_count; i++)
        busy = busy || queue->pending[i].partial == l->partial;
    if (busy) VLY_TRY(backward_end(q));
    queue->pending[queue->pending_count++] = (vly_dw_call){conv,  n,     a->x,          a->dz,
                                                           a->dw, a->db, a->accumulate, l->partial};
    return VLY_OK;
}

static vly_status layer_forward(vly_queue *q, vly_layer *l, int n, const void *x, const vly_real *w,
                                void *y) {
    VLY_TRY(check_layer_call(l, n, x, y, w));
    if (n == 0) return VLY_OK;
    if (l->d.kind == VLY_MAXPOOL) return vly_maxpool_launch(&l->d, n, x, y, vly_stream_of(q));
    return run_pass(l, q, VLY_PASS_FORWARD, n, &(vly_pass_args){.x = x, .w = w, .y = y});
}

/* NULL: the forward pass is a library's. */
static const vly_conv *own_forward_here(const vly_layer *l, int n) {
    if (!runs_here(l, VLY_PASS_FORWARD, n)) return &l->conv;
    return l->engine[VLY_PASS_FORWARD]->ours ? vly_own_conv(l, l->plan[VLY_PASS_FORWARD]) : NULL;
}

static vly_status layer_forward_two(vly_queue *q, vly_layer *const l[2], int n, const void *x,
                                    const vly_real *const w[2], void *const y[2]) {
    VLY_NEED(l && w && y);
    for (int i = 0; i < 2; i++) VLY_TRY(check_layer_call(l[i], n, x, y[i], w[i]));
    const bool alike = l[0]->conv.math == l[1]->conv.math && l[0]->d.kind == VLY_LINEAR &&
                       l[1]->d.kind == VLY_LINEAR && l[0]->d.in_c == l[1]->d.in_c &&
                       l[0]->d.x_type == l[1]->d.x_type;
    if (alike) {
        const vly_conv *const conv[] = {own_forward_here(l[0], n), own_forward_here(l[1], n)};
        if (conv[0] && conv[1]) return vly_own_forward(l, conv, 2, q, n, x, w, y);
    }
    for (int i = 0; i < 2; i++) VLY_TRY(layer_forward(q, l[i], n, x, w[i], y[i]));
    return VLY_OK;
}

/* The gradient of the input alone. */
static vly_status layer_input_backward(vly_queue *q, vly_layer *l, int n, const void *x,
                                       const void *y, const vly_real *w, void *dy, void *dx) {
    if (n == 0) return VLY_OK;
    if (!vly_layer_has_dz(l))
        VLY_TRY(
            vly_slope_launch(l->d.y_type, l->d.act, n * l->out_numbers, y, dy, vly_stream_of(q)));
    return run_pass(l, q, VLY_PASS_DX, n, &(vly_pass_args){.x = x, .w = w, .dz = dy, .dx = dx});
}

static vly_status layer_backward(vly_queue *q, vly_layer *l, int n, const void *x, const void *y,
                                 const vly_real *w, void *dy, void *dx, vly_real *dw,
                                 bool accumulate) {
    VLY_TRY(check_layer_call(l, n, x, y, w));
    VLY_NEED(l->d.learn && dy && (dx || !l->d.needs_dx) &&
             (dw || l->d.kind == VLY_MAXPOOL || (l->d.kind == VLY_LINEAR && l->d.needs_dx)));
    cudaStream_t stream = vly_stream_of(q);
    if (l->d.kind == VLY_MAXPOOL)
        return l->d.needs_dx ? vly_maxpool_backward_launch(&l->d, n, x, dy, dx, stream) : VLY_OK;
    if (!dw) return layer_input_backward(q, l, n, x, y, w, dy, dx);
    if (n == 0)
        return vly_sum_partials_launch(l->weights + l->d.out_c, 0, l->partial, 1.0f, dw, accumulate,
                                       stream);
    const bool here = runs_here(l, VLY_PASS_DW, n);
    const vly_engine *engine = here ? l->engine[VLY_PASS_DW] : &vly_engine_own;
    const bool with_bias = vly_layer_dw_gives_bias(l, engine, here ? l->plan[VLY_PASS_DW] : NULL);
    if (!with_bias)
        VLY_TRY(vly_activation_backward_launch(
            l->d.y_type, vly_layer_has_dz(l) ? VLY_ACT_NONE : l->d.act,
            (int64_t)n * l->conv.out_h * l->conv.out_w, l->d.out_c, y, dy, dw + l->weights,
            accumulate, l->partial, stream));
    const vly_pass_args args = {.x = x,
                                .w = w,
                                .dz = dy,
                                .dx = dx,
                                .dw = dw,
                                .db = with_bias ? dw + l->weights : NULL,
                                .accumulate = accumulate};
    VLY_TRY(engine->ours
                ? put_off_dw(l, q, vly_own_conv(l, here ? l->plan[VLY_PASS_DW] : NULL), n, &args)
                : run_pass(l, q, VLY_PASS_DW, n, &args));
    return l->d.needs_dx ? run_pass(l, q, VLY_PASS_DX, n, &args) : VLY_OK;
}

const char *vly_layer_engine(const vly_layer *l, vly_pass pass) {
    return l->engine[pass] ? l->engine[pass]->name : "own";
}

void vly_cuda_fill_layers(vly_compute *c) {
    c->layer_create = layer_create;
    c->layer_destroy = layer_destroy;
    c->layer_prepare = layer_prepare;
    c->layer_share = layer_share;
    c->layer_stepped = layer_stepped;
    c->layer_forward = layer_forward;
    c->layer_forward_two = layer_forward_two;
    c->layer_backward = layer_backward;
    c->backward_end = backward_end;
}
