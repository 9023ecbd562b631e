/* maxpool.c -- max-pooling of NHWC images. 4 bytes read and 4 / stride^2 written per number; the
 * backward pass finds the maxima again rather than storing them. */
#include <string.h>
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

typedef struct {
    const vly_cpu *cpu;
    const vly_layer *l;
    const void *x;
    void *y;
    const void *dy;
    void *dx;
} pool_args;

/* best = the larger of x and best, channel by channel; the first of equals, as winner() has it. */
static void take_larger(const vly_cpu *cpu, const vly_layer *l, const void *x, void *best) {
#ifndef VLY_REAL_DOUBLE
    if (l->d.x_type == VLY_BF16)
        cpu->exact->max16(l->d.in_c, x, best);
    else
        cpu->exact->max(l->d.in_c, x, best);
#else
    (void)cpu;
    for (int c = 0; c < l->d.in_c; c++)
        if (((const vly_real *)x)[c] > ((vly_real *)best)[c])
            ((vly_real *)best)[c] = ((const vly_real *)x)[c];
#endif
}

static void forward_pixel(const pool_args *p, const char *image, int oy, int ox, char *y) {
    const vly_layer_desc *d = &p->l->d;
    const size_t bytes = (size_t)d->in_c * vly_dtype_bytes(d->x_type);
    bool first = true;
    for (int iy = oy * d->stride - d->pad, ky = 0; ky < d->kernel; ky++, iy++)
        for (int ix = ox * d->stride - d->pad, kx = 0; kx < d->kernel; kx++, ix++) {
            if (iy < 0 || iy >= d->in_h || ix < 0 || ix >= d->in_w) continue;
            const char *x = image + ((size_t)iy * (size_t)d->in_w + (size_t)ix) * bytes;
            if (first)
                memcpy(y, x, bytes);
            else
                take_larger(p->cpu, p->l, x, y);
            first = false;
        }
}

static void pool_forward_sample(void *arg, int i, int slot) {
    (void)slot;
    const pool_args *p = arg;
    const vly_layer *l = p->l;
    const size_t type = vly_dtype_bytes(l->d.x_type), bytes = (size_t)l->d.in_c * type;
    const char *x = (const char *)p->x + (size_t)i * (size_t)l->in_size * type;
    char *y = (char *)p->y + (size_t)i * (size_t)l->out_size * type;
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++, y += bytes) forward_pixel(p, x, oy, ox, y);
}

#ifndef VLY_REAL_DOUBLE
/* Output pixel (oy, ox): finds the maxima again, then adds the gradient to them. */
static void backward_pixel(const pool_args *p, int64_t base, int oy, int ox, const void *dy) {
    const vly_layer_desc *d = &p->l->d;
    const int top = oy * d->stride - d->pad, left = ox * d->stride - d->pad, y = top < 0 ? 0 : top,
              x = left < 0 ? 0 : left;
    const int y1 = top + d->kernel < d->in_h ? top + d->kernel : d->in_h,
              x1 = left + d->kernel < d->in_w ? left + d->kernel : d->in_w;
    const vly_pool_window w = {y1 - y, x1 - x, (int64_t)d->in_w * d->in_c, d->in_c};
    const int64_t first = base + y * w.row + x * w.col;
    if (d->x_type == VLY_BF16)
        p->cpu->exact->pool_backward16(&w, d->in_c, (const uint16_t *)p->x + first, dy,
                                       (uint16_t *)p->dx + first);
    else
        p->cpu->exact->pool_backward(&w, d->in_c, (const float *)p->x + first, dy,
                                     (float *)p->dx + first);
}
#else
/* Index within the sample of the largest input of an output pixel; the first of equals. */
static int64_t maximum_of(const vly_layer *l, const vly_real *x, int64_t base, int oy, int ox,
                          int c) {
    const vly_layer_desc *d = &l->d;
    int64_t best = -1;
    for (int y = oy * d->stride - d->pad, ky = 0; ky < d->kernel; ky++, y++)
        for (int x0 = ox * d->stride - d->pad, kx = 0; kx < d->kernel; kx++, x0++) {
            if (y < 0 || y >= d->in_h || x0 < 0 || x0 >= d->in_w) continue;
            const int64_t at = ((int64_t)y * d->in_w + x0) * d->in_c + c;
            if (best < 0)
                best = at;
            else if (x[base + at] > x[base + best])
                best = at;
        }
    return best;
}

static void backward_pixel(const pool_args *p, int64_t base, int oy, int ox, const void *dy) {
    for (int c = 0; c < p->l->d.in_c; c++)
        ((vly_real *)p->dx)[base + maximum_of(p->l, p->x, base, oy, ox, c)] +=
            ((const vly_real *)dy)[c];
}
#endif

static void pool_backward_sample(void *arg, int i, int slot) {
    (void)slot;
    const pool_args *p = arg;
    const vly_layer *l = p->l;
    const int64_t base = i * l->in_size;
    const size_t type = vly_dtype_bytes(l->d.x_type), bytes = (size_t)l->d.in_c * type;
    const char *dy = (const char *)p->dy + (size_t)(i * l->out_size) * type;
    memset((char *)p->dx + (size_t)base * type, 0, (size_t)l->in_size * type);
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++, dy += bytes) backward_pixel(p, base, oy, ox, dy);
}

static vly_status pool_prepare(vly_cpu *cpu, vly_layer *l, const vly_real *w) {
    (void)cpu, (void)l, (void)w;
    return VLY_OK;
}

static vly_status pool_forward(vly_cpu *cpu, vly_layer *l, int n, const void *x, const vly_real *w,
                               void *y) {
    (void)w;
    pool_args args = {.cpu = cpu, .l = l, .x = x, .y = y};
    vly_cpu_run(cpu, 10.0 * n * (double)l->in_size, n, pool_forward_sample, &args);
    return VLY_OK;
}

static vly_status pool_layer_backward(vly_cpu *cpu, vly_layer *l, int n, const void *x,
                                      const void *y, const vly_real *w, void *dy, void *dx,
                                      vly_real *dw, bool accumulate) {
    (void)w, (void)y, (void)dw, (void)accumulate;
    pool_args args = {.cpu = cpu, .l = l, .x = x, .dy = dy, .dx = dx};
    if (dx) vly_cpu_run(cpu, 40.0 * n * (double)l->in_size, n, pool_backward_sample, &args);
    return VLY_OK;
}

static void pool_destroy(vly_layer *l) {
    (void)l;
}

static const vly_plan pool_plan = {"maxpool", pool_prepare, pool_forward, pool_layer_backward,
                                   pool_destroy};

vly_status vly_plan_maxpool(vly_cpu *cpu, vly_layer *l) {
    (void)cpu;
    l->plan = &pool_plan;
    return VLY_OK;
}
