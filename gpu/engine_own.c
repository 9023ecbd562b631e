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

vly_status vly_own_forward(vly_layer *const *l, int count, vly_queue *q, int n, const void *x,
                           const float *const *w, void *const *y) {
    vly_forward_part part[VLY_FORWARD_PARTS];
    const vly_split_memory split = {((const vly_cuda_queue *)q)->split,
                                    vly_cuda_of(q)->multiprocessors};
    for (int i = 0; i < count; i++)
        part[i] = (vly_forward_part){&l[i]->conv, l[i]->w_bf16 ? l[i]->w_bf16 : (const void *)w[i],
                                     w[i] + l[i]->weights, y[i]};
    return vly_conv_forward_launch(part, count, n, x, &split, vly_stream_of(q));
}

static vly_status own_run(vly_layer *l, vly_queue *q, vly_pass pass, void *plan, int n,
                          const vly_pass_args *a) {
    (void)plan;
    const void *w = l->w_bf16 ? l->w_bf16 : (const void *)a->w;
    cudaStream_t stream = vly_stream_of(q);
    switch (pass) {
    case VLY_PASS_FORWARD: return vly_own_forward(&l, 1, q, n, a->x, &a->w, &a->y);
    case VLY_PASS_DX: {
        vly_conv c = l->conv;
        c.x_scale = c.w_scale = 1.0f; /* not 1 only if f32 inputs are scaled */
        return vly_conv_dx_launch(&c, n, a->dz, w,
                                  &(vly_dx_target){a->dx, a->x, l->d.below, l->d.dx_adds}, stream);
    }
    default:
        return vly_conv_dw_group_launch(
            &(vly_dw_call){&l->conv, n, a->x, a->dz, a->dw, a->db, a->accumulate, l->partial}, 1,
            vly_cuda_of(q)->multiprocessors, stream);
    }
}

static bool own_gives_bias(const void *plan) {
    (void)plan;
    return true;
}

const vly_engine vly_engine_own = {"own",          1,       true, own_can, own_open, own_close,
                                   own_gives_bias, own_run, NULL, NULL};
