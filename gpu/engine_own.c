/* engine_own.c -- this project's kernels. "own": operands travel through registers; every layer, type
 * and batch size. "staged": they travel by asynchronous copies; bf16 layers whose rows are multiples
 * of 8. "wgmma": the same, multiplied by warpgroups; compute capability 9.0. */
#include <stdlib.h>
#include "gpu/internal.h"

static bool own_can(const vly_layer *l, vly_pass pass) {
    (void)l, (void)pass;
    return true;
}

static vly_status own_open(vly_layer *l, vly_pass pass, int variant, void **plan) {
    (void)l, (void)pass, (void)variant;
    *plan = NULL;
    return VLY_OK;
}

static void own_close(void *plan) {
    free(plan);
}

vly_status vly_own_forward(vly_layer *const *l, const vly_conv *const *conv, int count,
                           vly_queue *q, int n, const void *x, const float *const *w,
                           void *const *y) {
    vly_forward_part part[VLY_FORWARD_PARTS];
    const vly_split_memory split = {((const vly_cuda_queue *)q)->split,
                                    vly_cuda_of(q)->multiprocessors};
    for (int i = 0; i < count; i++)
        part[i] = (vly_forward_part){conv[i], l[i]->w_bf16 ? l[i]->w_bf16 : (const void *)w[i],
                                     w[i] + l[i]->weights, y[i]};
    return vly_conv_forward_launch(part, count, n, x, &split, vly_stream_of(q));
}

static vly_status own_run(vly_layer *l, vly_queue *q, vly_pass pass, void *plan, int n,
                          const vly_pass_args *a) {
    const vly_conv *conv = vly_own_conv(l, plan);
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    cudaStream_t stream = vly_stream_of(q);
    switch (pass) {
    case VLY_PASS_FORWARD: return vly_own_forward(&l, &conv, 1, q, n, a->x, &a->w, &a->y);
    case VLY_PASS_DX: {
        vly_conv c = *conv;
        c.x_scale = c.w_scale = 1.0f; /* not 1 only if f32 inputs are scaled */
        return vly_conv_dx_launch(&c, n, a->dz, w,
                                  &(vly_dx_target){a->dx, a->x, l->d.below, l->d.dx_adds}, stream);
    }
    default:
        return vly_conv_dw_group_launch(
            &(vly_dw_call){conv, n, a->x, a->dz, a->dw, a->db, a->accumulate, l->partial}, 1,
            vly_cuda_of(q)->multiprocessors, stream);
    }
}

static bool own_gives_bias(const void *plan) {
    (void)plan;
    return true;
}

/* ---- staged and wgmma ---- */

static bool staged_can(const vly_layer *l, vly_pass pass) {
    if (((const vly_cuda *)l->c)->arch < 80) return false;
    return pass == VLY_PASS_FORWARD ? vly_conv_forward_stages(&l->conv)
           : pass == VLY_PASS_DX    ? vly_conv_dx_stages(&l->conv)
                                    : vly_conv_dw_stages(&l->conv);
}

static bool wgmma_can(const vly_layer *l, vly_pass pass) {
    return ((const vly_cuda *)l->c)->has_wgmma && staged_can(l, pass);
}

/* The widest tile that has no column too many, then one of half the width. Weight gradients of
 * several layers are one launch, of one width. 0: no such variant. */
static int staged_width(const vly_layer *l, vly_pass pass, int variant) {
    const int columns = pass == VLY_PASS_DX ? l->d.in_c : l->d.out_c, widest = columns <= 32 ? 32
                                                                               : columns <= 64
                                                                                   ? 64
                                                                                   : 128;
    return widest >> variant >= 32 ? widest >> variant : 0;
}

static vly_status open_way(vly_layer *l, vly_pass pass, int variant, vly_way way, void **plan) {
    const bool fixed = pass == VLY_PASS_DW || l->conv.tile_width;
    const int width = fixed ? l->conv.tile_width : staged_width(l, pass, variant);
    if (fixed ? variant > 0 : width == 0)
        return vly_fail(VLY_EUNSUPPORTED, "our products have no tile narrower than this");
    vly_conv *conv = malloc(sizeof *conv);
    if (!conv) return vly_fail(VLY_ENOMEM, "no memory for a layer");
    *conv = l->conv;
    conv->way = way, conv->tile_width = width;
    *plan = conv;
    return VLY_OK;
}

static vly_status staged_open(vly_layer *l, vly_pass pass, int variant, void **plan) {
    return open_way(l, pass, variant, VLY_BY_COPIES, plan);
}

static vly_status wgmma_open(vly_layer *l, vly_pass pass, int variant, void **plan) {
    return open_way(l, pass, variant, VLY_BY_WARPGROUPS, plan);
}

const vly_engine vly_engine_own = {"own",          1,       true, own_can, own_open, own_close,
                                   own_gives_bias, own_run, NULL, NULL,    true};
const vly_engine vly_engine_staged = {
    "staged",       2,       true, staged_can, staged_open, own_close,
    own_gives_bias, own_run, NULL, NULL,       true};
const vly_engine vly_engine_wgmma = {
    "wgmma", 2, true, wgmma_can, wgmma_open, own_close, own_gives_bias, own_run, NULL, NULL, true};
