/* layer_parity.h -- one layer on both back ends, all passes, every pair of types. */
#ifndef VLY_TESTS_GPU_LAYER_PARITY_H
#define VLY_TESTS_GPU_LAYER_PARITY_H
#include "tests/gpu/parity.h"

/* VLY_ENGINE is `engine` until engine_restored; what it was before is the caller's. */
static inline char *engine_forced(const char *engine) {
    const char *was = getenv("VLY_ENGINE");
    char *before = was ? strdup(was) : NULL;
    CHECK_EQ(setenv("VLY_ENGINE", engine, 1), 0);
    return before;
}
static inline void engine_restored(char *before) {
    CHECK_EQ(before ? setenv("VLY_ENGINE", before, 1) : unsetenv("VLY_ENGINE"), 0);
    free(before);
}

static inline float value_of(vly_dtype type, const void *data, int64_t i) {
    if (type == VLY_F32) return ((const float *)data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Within a part of the largest number: rounding of products sums up with their size. */
static inline void agrees(parity *p, const vly_layer_desc *d, int n, const char *what,
                          const twin *t, vly_dtype type, int64_t count, double tolerance) {
    void *got = twin_gpu(p, t);
    double size = 1e-6, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) size = fmax(size, fabs(value_of(type, t->cpu, i)));
    for (int64_t i = 0; i < count; i++) {
        const double g = value_of(type, got, i), w = value_of(type, t->cpu, i),
                     error = fabs(g - w) / size;
        if (!(error <= worst)) worst = isnan(error) ? 1e9 : error, at = i;
    }
    if (worst > tolerance) {
        fprintf(stderr,
                "kind %d, x %d y %d tf32 %d, n %d, %dx%dx%d -> %d, kernel %d/%d pad %d act %d: "
                "%s[%lld of %lld] is %.9g, on the CPU %.9g (largest %.3g)\n",
                d->kind, d->x_type, d->y_type, d->tf32, n, d->in_h, d->in_w, d->in_c, d->out_c,
                d->kernel, d->stride, d->pad, d->act, what, (long long)at, (long long)count,
                value_of(type, got, at), value_of(type, t->cpu, at), size);
        exit(TEST_FAIL);
    }
    free(got);
}

static inline twin reals(parity *p, vly_dtype type, int64_t n, float scale) {
    if (type == VLY_U8) return bytes_of(p, (size_t)n);
    if (type == VLY_F32) return normals(p, (size_t)n, scale);
    uint16_t *host = malloc((size_t)n * 2);
    for (int64_t i = 0; i < n; i++) {
        const float f = scale * random_normal();
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        host[i] = (uint16_t)((bits + 0x8000u) >> 16);
    }
    const twin t = twin_of(p, host, (size_t)n * 2);
    free(host);
    return t;
}

static inline void layer_agrees(parity *p, vly_layer_desc d, int n) {
    d.batch_max = d.batch_max ? d.batch_max : n;
    d.x_scale = d.x_type == VLY_U8 ? 1.0f / 255 : 1;
    d.learn = true;
    d.needs_dx = d.x_type != VLY_U8;
    if (d.kind == VLY_LINEAR) d.in_h = d.in_w = d.kernel = d.stride = 1;
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const int64_t xs = (int64_t)n * d.in_h * d.in_w * d.in_c, ys = (int64_t)n * oh * ow * d.out_c,
                  params = vly_layer_params(&d);
    const bool low = d.x_type == VLY_BF16 || d.y_type == VLY_BF16 || d.bf16_products;
    const double tolerance = low ? 1.5e-2 : d.tf32 ? 2e-3 : 1e-5;
    vly_layer *cpu, *gpu;
    CHECK_OK(p->cpu->layer_create(p->cpu, &d, &cpu));
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &gpu));
    const float spread = 1.0f / sqrtf((float)(d.kernel * d.kernel * d.in_c));
    twin x = reals(p, d.x_type, xs, 1), w = normals(p, params ? (size_t)params : 1, spread),
         y = twin_of(p, NULL, (size_t)ys * vly_dtype_bytes(d.y_type));
    twin dy = reals(p, d.y_type, ys, 1),
         dx = twin_of(p, NULL, (size_t)xs * vly_dtype_bytes(d.x_type)),
         dw = outputs(p, params ? (size_t)params : 1);
    BOTH(c->layer_prepare(q, on_gpu ? gpu : cpu, D(w)));
    BOTH(c->layer_forward(q, on_gpu ? gpu : cpu, n, D(x), D(w), D(y)));
    agrees(p, &d, n, "y", &y, d.y_type, ys, tolerance);
    /* the backward pass sees the same activations, so that a rounded zero is the same side of the
     * kink */
    CHECK_OK(p->gpu->upload(p->gpu_queue, y.gpu, y.cpu, y.bytes));
    void *fresh = malloc(dy.bytes);
    memcpy(fresh, dy.cpu, dy.bytes);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        memcpy(dy.cpu, fresh, dy.bytes); /* backward may leave anything in it */
        CHECK_OK(p->gpu->upload(p->gpu_queue, dy.gpu, fresh, dy.bytes));
        BOTH(c->layer_backward(q, on_gpu ? gpu : cpu, n, D(x), D(y), D(w), D(dy),
                               d.needs_dx ? D(dx) : NULL, D(dw), accumulate));
        CHECK_OK(p->gpu->backward_end(p->gpu_queue));
        if (d.needs_dx) agrees(p, &d, n, "dx", &dx, d.x_type, xs, tolerance);
        agrees(p, &d, n, "dw", &dw, VLY_F32, d.kind == VLY_MAXPOOL ? 0 : params, tolerance);
        if (d.kind == VLY_MAXPOOL) break;
    }
    if (d.kind == VLY_LINEAR && d.needs_dx) {
        memcpy(dy.cpu, fresh, dy.bytes);
        CHECK_OK(p->gpu->upload(p->gpu_queue, dy.gpu, fresh, dy.bytes));
        BOTH(c->layer_backward(q, on_gpu ? gpu : cpu, n, D(x), D(y), D(w), D(dy), D(dx), NULL,
                               false));
        CHECK_OK(p->gpu->backward_end(p->gpu_queue));
        agrees(p, &d, n, "dx alone", &dx, d.x_type, xs, tolerance);
    }
    free(fresh);
    if (d.kind == VLY_MAXPOOL) SAME(y), SAME(dx);
    p->cpu->layer_destroy(cpu);
    p->gpu->layer_destroy(gpu);
    twin *all[] = {&x, &w, &y, &dy, &dx, &dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}

/* Every pair of types a network uses, with tf32 beside plain f32. */
static inline void in_all_precisions(parity *p, vly_layer_desc d, int n, bool bytes) {
    static const vly_dtype types[][2] = {{VLY_F32, VLY_F32},
                                         {VLY_BF16, VLY_BF16},
                                         {VLY_BF16, VLY_F32},
                                         {VLY_U8, VLY_F32},
                                         {VLY_U8, VLY_BF16}};
    for (size_t k = 0; k < (bytes ? 5u : 3u); k++) {
        d.x_type = types[k][0], d.y_type = types[k][1];
        for (int tf32 = 0; tf32 < (k == 0 || k == 3 ? 2 : 1); tf32++) {
            d.tf32 = tf32;
            layer_agrees(p, d, n);
        }
    }
}
#endif
