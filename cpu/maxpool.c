/* maxpool.c -- max-pooling of NHWC images. 4 bytes read and 4 / stride^2 written per number; the backward
 * pass finds the maxima again rather than storing them. */
#include <string.h>
#include "cpu/bf16.h"
#include "cpu/ops.h"

static float load(vly_dtype type, const void *x, int64_t i) {
    return type == VLY_BF16 ? vly_bf16_to_f32(((const uint16_t *)x)[i]) : 0;
}

/* Index within the sample of the largest input of an output pixel; the first of equals. */
static int64_t winner(const vly_layer *l, const void *x, int64_t base, int oy, int ox, int c) {
    const vly_layer_desc *d = &l->d;
    int64_t best = -1;
    for (int y = oy * d->stride - d->pad, ky = 0; ky < d->kernel; ky++, y++)
        for (int x0 = ox * d->stride - d->pad, kx = 0; kx < d->kernel; kx++, x0++) {
            if (y < 0 || y >= d->in_h || x0 < 0 || x0 >= d->in_w) continue;
            const int64_t at = ((int64_t)y * d->in_w + x0) * d->in_c + c;
            if (best < 0) best = at;
            else if (d->x_type == VLY_BF16 ? load(d->x_type, x, base + at) > load(d->x_type, x, base + best)
                                           : ((const vly_real *)x)[base + at] > ((const vly_real *)x)[base + best])
                best = at;
        }
    return best;
}

typedef struct {
    const vly_layer *l;
    const void *x;
    void *y;
    const void *dy;
    void *dx;
} pool_args;

static void forward_sample(void *arg, int i, int slot) {
    (void)slot;
    const pool_args *p = arg;
    const vly_layer *l = p->l;
    const int64_t base = i * l->in_size;
    int64_t at = i * l->out_size;
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++)
            for (int c = 0; c < l->d.in_c; c++, at++) {
                const int64_t from = base + winner(l, p->x, base, oy, ox, c);
                if (l->d.x_type == VLY_BF16) ((uint16_t *)p->y)[at] = ((const uint16_t *)p->x)[from];
                else ((vly_real *)p->y)[at] = ((const vly_real *)p->x)[from];
            }
}

static void backward_sample(void *arg, int i, int slot) {
    (void)slot;
    const pool_args *p = arg;
    const vly_layer *l = p->l;
    const int64_t base = i * l->in_size;
    const size_t bytes = vly_dtype_bytes(l->d.x_type);
    int64_t at = i * l->out_size;
    memset((char *)p->dx + (size_t)base * bytes, 0, (size_t)l->in_size * bytes);
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++)
            for (int c = 0; c < l->d.in_c; c++, at++) {
                const int64_t to = base + winner(l, p->x, base, oy, ox, c);
                if (l->d.x_type == VLY_BF16) {
                    uint16_t *dx = p->dx;
                    dx[to] = vly_bf16_from_f32(vly_bf16_to_f32(dx[to]) + load(VLY_BF16, p->dy, at));
                } else {
                    ((vly_real *)p->dx)[to] += ((const vly_real *)p->dy)[at];
                }
            }
}

static vly_status pool_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    (void)cpu, (void)l, (void)w;
    return VLY_OK;
}

static vly_status pool_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const vly_real *w, void *y) {
    (void)w;
    pool_args args = {.l = l, .x = x, .y = y};
    vly_workers_run(cpu->workers, n, forward_sample, &args);
    return VLY_OK;
}

static vly_status pool_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const void *y, const vly_real *w,
                                void *dy, void *dx, vly_real *dw, bool accumulate) {
    (void)w, (void)y, (void)dw, (void)accumulate;
    pool_args args = {.l = l, .x = x, .dy = dy, .dx = dx};
    if (dx) vly_workers_run(cpu->workers, n, backward_sample, &args);
    return VLY_OK;
}

static void pool_destroy(vly_layer *l) { (void)l; }

static const vly_plan pool_plan = {"maxpool", pool_prepare, pool_forward, pool_backward, pool_destroy};

vly_status vly_plan_maxpool(vly_cpu *cpu, vly_layer *l) {
    (void)cpu;
    l->plan = &pool_plan;
    return VLY_OK;
}
