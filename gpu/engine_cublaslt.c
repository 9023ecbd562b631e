/* engine_cublaslt.c -- linear layers through cuBLASLt: bias and ReLU in the epilogue, and the bias
 * gradient in that of dw. */
#include <stdlib.h>
#include "gpu/matmul.h"

typedef struct {
    vly_matmul *product;
    bool bias_gradient;
    bool relu_apart;
} cublaslt_plan;

/* Both operands of one type: bf16 with bf16, f32 with f32. */
static bool cublaslt_can(const vly_layer *l, vly_pass pass) {
    if (l->d.kind != VLY_LINEAR || !vly_cublaslt_library_open()->handle || l->d.x_type == VLY_U8)
        return false;
    const bool low = l->conv.math == VLY_MATH_BF16;
    if (pass != VLY_PASS_FORWARD && (l->d.y_type == VLY_BF16) != low) return false;
    return (l->d.x_type == VLY_BF16) == low && l->d.x_scale == 1.0f;
}

static void cublaslt_close(void *p) {
    vly_matmul_close(((cublaslt_plan *)p)->product);
    free(p);
}

static bool cublaslt_gives_bias(const void *p) {
    return ((const cublaslt_plan *)p)->bias_gradient;
}

static vly_lt_epilogue epilogue_of(const vly_layer *l, vly_pass pass, bool relu_apart) {
    if (pass != VLY_PASS_FORWARD) return VLY_LT_NO_EPILOGUE;
    return l->d.act == VLY_ACT_RELU && !relu_apart ? VLY_LT_RELU_BIAS : VLY_LT_BIAS;
}

static vly_matmul_desc product_of(const vly_layer *l, vly_pass pass, int variant) {
    return (vly_matmul_desc){.form = pass,
                             .in = l->d.in_c,
                             .out = l->d.out_c,
                             .operand = l->conv.math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32,
                             .result = pass == VLY_PASS_FORWARD ? l->d.y_type
                                       : pass == VLY_PASS_DX    ? l->d.x_type
                                                                : VLY_F32,
                             .tf32 = l->conv.math == VLY_MATH_TF32,
                             .epilogue = epilogue_of(l, pass, variant >= VLY_RELU_APART),
                             .rows = l->d.batch_max,
                             .suggestion = variant % VLY_SUGGESTIONS};
}

static vly_status cublaslt_open(vly_layer *l, vly_pass pass, int variant, void **out) {
    cublaslt_plan *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    *out = s;
    s->relu_apart = variant >= VLY_RELU_APART;
    if (s->relu_apart && (pass != VLY_PASS_FORWARD || l->d.act != VLY_ACT_RELU))
        return vly_fail(VLY_EUNSUPPORTED, "this pass has no ReLU");
    const vly_matmul_desc desc = product_of(l, pass, variant);
    if (pass == VLY_PASS_DW)
        return vly_matmul_open_dw((vly_cuda *)l->c, &desc, vly_layer_has_dz(l), &s->product,
                                  &s->bias_gradient);
    return vly_matmul_open((vly_cuda *)l->c, &desc, &s->product);
}

static vly_status cublaslt_forward(const vly_layer *l, vly_queue *q, const cublaslt_plan *s, int n,
                                   const vly_pass_args *a) {
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    const void *bias = l->d.y_type == VLY_BF16
                           ? l->bias_bf16
                           : (const void *)(a->w + l->weights); /* of y's type */
    VLY_TRY(vly_matmul_run(
        s->product, q,
        &(vly_matmul_args){.n = n, .alpha = 1, .a = w, .b = a->x, .to = a->y, .bias = bias}));
    const int64_t numbers = (int64_t)n * l->d.out_c;
    if (s->relu_apart) return vly_relu_launch(l->d.y_type, numbers, a->y, a->y, vly_stream_of(q));
    return l->d.act == VLY_ACT_TANH ? vly_tanh_launch(l->d.y_type, numbers, a->y, vly_stream_of(q))
                                    : VLY_OK;
}

static vly_status cublaslt_dw(const vly_layer *l, vly_queue *q, const cublaslt_plan *s, int n,
                              const vly_pass_args *a) {
    VLY_TRY(vly_matmul_run(s->product, q,
                           &(vly_matmul_args){.n = n,
                                              .alpha = 1,
                                              .beta = a->accumulate ? 1 : 0,
                                              .a = a->x,
                                              .b = a->dz,
                                              .to = a->dw,
                                              .bias = l->partial}));
    return a->db ? vly_sum_partials_launch(l->d.out_c, 1, l->partial, 1.0f, a->db, a->accumulate,
                                           vly_stream_of(q))
                 : VLY_OK;
}

static vly_status cublaslt_run(vly_layer *l, vly_queue *q, vly_pass pass, void *p, int n,
                               const vly_pass_args *a) {
    const cublaslt_plan *s = p;
    if (pass == VLY_PASS_FORWARD) return cublaslt_forward(l, q, s, n, a);
    if (pass == VLY_PASS_DW) return cublaslt_dw(l, q, s, n, a);
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    return vly_matmul_run(s->product, q,
                          &(vly_matmul_args){.n = n, .alpha = 1, .a = w, .b = a->dz, .to = a->dx});
}

const vly_engine vly_engine_cublaslt = {
    "cublaslt",          VLY_VARIANTS, true, cublaslt_can, cublaslt_open, cublaslt_close,
    cublaslt_gives_bias, cublaslt_run, NULL, NULL,         false};
