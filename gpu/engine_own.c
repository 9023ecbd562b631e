/* engine_own.c -- this project's kernels: they run every layer, type and batch size. */
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
    (void)plan;
}

static vly_status own_run(vly_layer *l, vly_queue *q, vly_pass pass, void *plan, int n,
                          const vly_pass_args *a) {
    (void)plan;
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    cudaStream_t stream = vly_stream_of(q);
    switch (pass) {
    case VLY_PASS_FORWARD:
        return vly_conv_forward_launch(&l->conv, n, a->x, w, a->w + l->weights, a->y, stream);
    case VLY_PASS_DX: {
        vly_conv c = l->conv;
        c.x_scale = c.w_scale = 1.0f; /* not 1 only if f32 inputs are scaled */
        return vly_conv_dx_launch(&c, n, a->dz, w, a->dx, stream);
    }
    default:
        return vly_conv_dw_launch(&l->conv, n, a->x, a->dz, a->dw, a->accumulate, l->partial,
                                  vly_cuda_of(q)->multiprocessors, stream);
    }
}

const vly_engine vly_engine_own = {"own",     1,    true,    own_can, own_open,
                                   own_close, NULL, own_run, NULL,    NULL};
