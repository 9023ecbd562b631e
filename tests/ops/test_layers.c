/* Every plan of every layer against the definition in double precision, and against PyTorch. */
#include "cpu/ops/bf16.h"
#include "cpu/ops/bf16_simd.h"
#include "cpu/ops/simd.h"
#include "tests/kit/golden.h"
#include "tests/kit/sanitized.h"

/* ---- the definition: y and its gradients, straight from the sums, in double ---- */

typedef struct {
    vly_layer_desc d;
    int n, oh, ow;
    double *x, *w, *y, *dy, *dx, *dw;
} definition;

static double *doubles(int64_t n) {
    return calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static int64_t in_size(const definition *f) {
    return (int64_t)f->n * f->d.in_h * f->d.in_w * f->d.in_c;
}
static int64_t out_size(const definition *f) {
    return (int64_t)f->n * f->oh * f->ow * f->d.out_c;
}

/* Calls body for every (sample, output pixel, channel o) with `at`, its place in y. */
#define FOR_OUT(f)                               \
    for (int64_t at = 0, i = 0; i < (f)->n; i++) \
        for (int oy = 0; oy < (f)->oh; oy++)     \
            for (int ox = 0; ox < (f)->ow; ox++) \
                for (int o = 0; o < (f)->d.out_c; o++, at++)
/* ... and for every kernel tap inside the image, with xi the place of its channel 0 in x. */
#define FOR_TAP(f)                                                                           \
    for (int ky = 0; ky < (f)->d.kernel; ky++)                                               \
        for (int kx = 0; kx < (f)->d.kernel; kx++)                                           \
            for (int iy = oy * (f)->d.stride + ky - (f)->d.pad,                              \
                     ix = ox * (f)->d.stride + kx - (f)->d.pad,                              \
                     inside = iy >= 0 && iy < (f)->d.in_h && ix >= 0 && ix < (f)->d.in_w;    \
                 inside; inside = 0)                                                         \
                for (int64_t xi = ((i * (f)->d.in_h + iy) * (f)->d.in_w + ix) * (f)->d.in_c, \
                             once = 1;                                                       \
                     once; once = 0)

/* The definition runs on one thread: sanitizers need not watch every number of it. */
#if defined(__GNUC__)
#define UNWATCHED __attribute__((no_sanitize_thread, no_sanitize_address, no_sanitize("undefined")))
#else
#define UNWATCHED
#endif
enum { WIDTHS = SANITIZED_THREADS ? 1 : 3 };

UNWATCHED static void define_forward(definition *f) {
    const vly_layer_desc *d = &f->d;
    const int64_t k = (int64_t)d->kernel * d->kernel * d->in_c;
    FOR_OUT(f) {
        double sum = d->kind == VLY_MAXPOOL ? -INFINITY : f->w[d->out_c * k + o];
        FOR_TAP(f) {
            const double *w = f->w + o * k + (ky * d->kernel + kx) * d->in_c;
            if (d->kind == VLY_MAXPOOL)
                sum = fmax(sum, f->x[xi + o]);
            else
                for (int c = 0; c < d->in_c; c++) sum += w[c] * f->x[xi + c];
        }
        f->y[at] = d->act == VLY_ACT_RELU ? fmax(sum, 0) : d->act == VLY_ACT_TANH ? tanh(sum) : sum;
    }
}

UNWATCHED static void define_backward(definition *f) {
    const vly_layer_desc *d = &f->d;
    const int64_t k = (int64_t)d->kernel * d->kernel * d->in_c;
    FOR_OUT(f) {
        const double y = f->y[at], g = f->dy[at] * (d->act == VLY_ACT_RELU   ? y > 0
                                                    : d->act == VLY_ACT_TANH ? 1 - y * y
                                                                             : 1);
        int64_t best = -1;
        if (d->kind != VLY_MAXPOOL) f->dw[d->out_c * k + o] += g;
        FOR_TAP(f) {
            const int64_t wi = o * k + (ky * d->kernel + kx) * d->in_c;
            if (d->kind == VLY_MAXPOOL) {
                if (best < 0 || f->x[xi + o] > f->x[best]) best = xi + o;
            } else
                for (int c = 0; c < d->in_c; c++) {
                    f->dw[wi + c] += g * f->x[xi + c];
                    f->dx[xi + c] += g * f->w[wi + c];
                }
        }
        if (best >= 0) f->dx[best] += g;
    }
}

/* ---- one layer under test ---- */

static double round_to(vly_dtype type, double v) {
    return type == VLY_BF16 ? vly_bf16_to_f32(vly_bf16_from_f32((float)v)) : (double)(vly_real)v;
}

static void to_memory(vly_dtype type, void *to, const double *from, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (type == VLY_U8)
            ((uint8_t *)to)[i] = (uint8_t)from[i];
        else if (type == VLY_BF16)
            ((uint16_t *)to)[i] = vly_bf16_from_f32((float)from[i]);
        else
            ((vly_real *)to)[i] = (vly_real)from[i];
}

static double from_memory(vly_dtype type, const void *from, int64_t i) {
    return type == VLY_BF16 ? vly_bf16_to_f32(((const uint16_t *)from)[i])
                            : (double)((const vly_real *)from)[i];
}

static void compare(const definition *f, const char *what, vly_dtype type, const void *got,
                    const double *want, int64_t n, double tolerance) {
    double size = 0;
    for (int64_t i = 0; i < n; i++) size = fmax(size, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        const double g = from_memory(type, got, i);
        if (fabs(g - want[i]) <= tolerance * (size + 1e-6)) continue;
        fprintf(stderr,
                "kind %d x %d y %d, n %d, %dx%dx%d -> %dx%dx%d, kernel %d/%d pad %d act %d: "
                "%s[%lld of %lld] is %.9g, not %.9g\n",
                f->d.kind, f->d.x_type, f->d.y_type, f->n, f->d.in_h, f->d.in_w, f->d.in_c, f->oh,
                f->ow, f->d.out_c, f->d.kernel, f->d.stride, f->d.pad, f->d.act, what, (long long)i,
                (long long)n, g, want[i]);
        exit(TEST_FAIL);
    }
}

static void fill_definition(definition *f, uint32_t seed) {
    const vly_layer_desc *d = &f->d;
    const int64_t k = (int64_t)d->kernel * d->kernel * d->in_c, params = vly_layer_params(d);
    const bool low = d->x_type == VLY_BF16 || (d->x_type == VLY_U8 && d->y_type == VLY_BF16);
    const double spread = sqrt(3.0 / (double)k);
    for (int64_t i = 0; i < in_size(f); i++)
        f->x[i] = d->x_type == VLY_U8 ? floor(128 + 127 * noise(seed, (uint32_t)i))
                                      : round_to(d->x_type, noise(seed, (uint32_t)i));
    for (int64_t i = 0; i < params; i++) {
        f->w[i] = (double)(vly_real)(spread * noise(seed + 1, (uint32_t)i));
        if (low && i < params - d->out_c) f->w[i] = round_to(VLY_BF16, f->w[i]);
    }
    for (int64_t i = 0; i < out_size(f); i++)
        f->dy[i] = round_to(d->y_type, noise(seed + 2, (uint32_t)i));
}

/* The definition sees x_scale * x; with bf16 the layer keeps its weights times x_scale, rounded. */
static void scale_input(definition *f) {
    for (int64_t i = 0; i < in_size(f); i++) f->x[i] *= (double)f->d.x_scale;
}

static void layer_agrees(vly_layer_desc d, int n) {
    definition f = {.d = d, .n = n};
    f.oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
    f.ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const int64_t params = vly_layer_params(&d), xs = in_size(&f), ys = out_size(&f);
    f.x = doubles(xs), f.dx = doubles(xs), f.w = doubles(params), f.dw = doubles(params),
    f.y = doubles(ys), f.dy = doubles(ys);
    fill_definition(&f, (uint32_t)(n * 31 + d.in_c * 7 + d.kernel));
    const size_t xb = (size_t)xs * vly_dtype_bytes(d.x_type),
                 yb = (size_t)ys * vly_dtype_bytes(d.y_type),
                 wb = (size_t)params * sizeof(vly_real);
    void *x = poisoned(xb), *y = poisoned(yb), *dy = poisoned(yb), *dx = poisoned(xb);
    vly_real *w = poisoned(wb), *dw = poisoned(wb);
    to_memory(d.x_type, x, f.x, xs);
    to_memory(VLY_F32, w, f.w, params);
    to_memory(d.y_type, dy, f.dy, ys);
    scale_input(&f);
    define_forward(&f);

    vly_layer *layer;
    CHECK_OK(cpu->layer_create(cpu, &d, &layer));
    CHECK_OK(cpu->layer_prepare(queue, layer, w));
    CHECK_OK(cpu->layer_forward(queue, layer, n, x, w, y));
    const bool low = d.x_type == VLY_BF16 || d.y_type == VLY_BF16 || d.bf16_products;
    const double tolerance = low ? 1.2e-2 : 2e-6 * sqrt((double)(d.kernel * d.kernel * d.in_c) + 4);
    compare(&f, "y", d.y_type, y, f.y, ys, tolerance);
    guard_check(y, yb);
    if (d.learn) {
        for (int64_t i = 0; i < ys; i++)
            f.y[i] = from_memory(d.y_type, y, i); /* the layer's own y decides where a relu is open
                                                   */
        define_backward(&f);
        const double long_sum = low ? 1.2e-2 : 2e-6 * sqrt((double)n * f.oh * f.ow + 4);
        CHECK_OK(
            cpu->layer_backward(queue, layer, n, x, y, w, dy, d.needs_dx ? dx : NULL, dw, false));
        if (params) compare(&f, "dw", VLY_F32, dw, f.dw, params, long_sum);
        if (d.needs_dx) compare(&f, "dx", d.x_type, dx, f.dx, xs, tolerance * 3);
        guard_check(dw, wb), guard_check(dx, xb), guard_check(dy, yb);
        if (params) {
            to_memory(d.y_type, dy, f.dy, ys);
            CHECK_OK(cpu->layer_backward(queue, layer, n, x, y, w, dy, d.needs_dx ? dx : NULL, dw,
                                         true));
            for (int64_t i = 0; i < params; i++) f.dw[i] *= 2;
            compare(&f, "dw twice", VLY_F32, dw, f.dw, params, long_sum);
        }
    }
    cpu->layer_destroy(layer);
    free(f.x), free(f.dx), free(f.w), free(f.dw), free(f.y), free(f.dy);
    free(x), free(y), free(dy), free(dx), free(w), free(dw);
}

/* dx is the same without dw, rows without a gradient included. */
static void dx_alone_is_the_same(vly_layer_desc d, int n) {
    const int64_t params = vly_layer_params(&d), xs = (int64_t)n * d.in_c,
                  ys = (int64_t)n * d.out_c;
    const size_t xb = (size_t)xs * sizeof(vly_real), yb = (size_t)ys * sizeof(vly_real),
                 wb = (size_t)params * sizeof(vly_real);
    vly_real *x = noise_array(1, xs), *w = noise_array(2, params), *given = noise_array(3, ys);
    vly_real *y = poisoned(yb), *dy = poisoned(yb), *dx = poisoned(xb), *alone = poisoned(xb),
             *dw = poisoned(wb);
    for (int i = 0; i < n; i++)
        if (i % 3) memset(given + (int64_t)i * d.out_c, 0, (size_t)d.out_c * sizeof *given);
    vly_layer *layer;
    CHECK_OK(cpu->layer_create(cpu, &d, &layer));
    CHECK_OK(cpu->layer_prepare(queue, layer, w));
    CHECK_OK(cpu->layer_forward(queue, layer, n, x, w, y));
    memcpy(dy, given, yb);
    CHECK_OK(cpu->layer_backward(queue, layer, n, x, y, w, dy, dx, dw, false));
    memcpy(dy, given, yb);
    CHECK_OK(cpu->layer_backward(queue, layer, n, x, y, w, dy, alone, NULL, false));
    for (int64_t i = 0; i < xs; i++) CHECK_EQ(alone[i], dx[i]);
    guard_check(alone, xb), guard_check(dy, yb);
    memset(dy, 0, yb); /* no row has one */
    CHECK_OK(cpu->layer_backward(queue, layer, n, x, y, w, dy, alone, NULL, false));
    for (int64_t i = 0; i < xs; i++) CHECK_EQ(alone[i], 0);
    cpu->layer_destroy(layer);
    free(x), free(w), free(given), free(y), free(dy), free(dx), free(alone), free(dw);
}

static vly_layer_desc linear(int in, int out, vly_act act, vly_dtype xt, vly_dtype yt) {
    return (vly_layer_desc){.kind = VLY_LINEAR,
                            .act = act,
                            .batch_max = 600,
                            .in_h = 1,
                            .in_w = 1,
                            .in_c = in,
                            .out_c = out,
                            .kernel = 1,
                            .stride = 1,
                            .x_type = xt,
                            .y_type = yt,
                            .x_scale = xt == VLY_U8 ? 1.0f / 255 : 1,
                            .learn = true,
                            .needs_dx = xt != VLY_U8};
}

static vly_layer_desc conv(int h, int w, int c, int out, int k, int s, int p, vly_act act,
                           vly_dtype xt, vly_dtype yt) {
    vly_layer_desc d = linear(c, out, act, xt, yt);
    d.kind = VLY_CONV, d.in_h = h, d.in_w = w, d.kernel = k, d.stride = s, d.pad = p;
    return d;
}

static void types(vly_layer_desc d, int n) {
    static const vly_dtype x[] = {VLY_F32, VLY_BF16, VLY_BF16, VLY_U8, VLY_U8},
                           y[] = {VLY_F32, VLY_BF16, VLY_F32, VLY_F32, VLY_BF16};
    for (int t = 0; t < 5; t++) {
        vly_layer_desc e = d;
        e.x_type = x[t], e.y_type = y[t];
        e.x_scale = x[t] == VLY_U8 ? 1.0f / 256 : 1; /* a power of two: bf16 weights stay as they
                                                        are */
        e.needs_dx = d.needs_dx && x[t] != VLY_U8;
        layer_agrees(e, n);
    }
}

static void linear_layers_agree(void) {
    static const int batch[] = {1, 2, 7, 16, 33, 257}, in[] = {1, 3, 4, 17, 64, 100, 257},
                     out[] = {1, 2, 6, 16, 18, 33, 64, 130};
    for (int b = 0; b < 6; b++)
        for (int i = 0; i < 7; i++)
            for (int o = 0; o < 8; o++)
                layer_agrees(linear(in[i], out[o], (vly_act)((b + i + o) % 3), VLY_F32, VLY_F32),
                             batch[b]);
    types(linear(70, 34, VLY_ACT_RELU, VLY_F32, VLY_F32), 45);
    types(linear(1024, 128, VLY_ACT_RELU, VLY_F32, VLY_F32), 64);
    types(linear(3136, 512, VLY_ACT_RELU, VLY_F32, VLY_F32), 33);
    types(linear(512, 18, VLY_ACT_NONE, VLY_F32, VLY_F32), 70);
    vly_layer_desc first = linear(64, 64, VLY_ACT_TANH, VLY_F32, VLY_F32);
    first.needs_dx = false;
    layer_agrees(first, 64);
    first.learn = false;
    layer_agrees(first, 64);
    vly_layer_desc rounded = linear(256, 256, VLY_ACT_RELU, VLY_F32, VLY_F32);
    rounded.bf16_products = true;
    layer_agrees(rounded, 256);
    rounded.act = VLY_ACT_TANH, rounded.in_c = 96, rounded.out_c = 70;
    layer_agrees(rounded, 33);
    dx_alone_is_the_same(rounded, 200);
    dx_alone_is_the_same(linear(23, 40, VLY_ACT_RELU, VLY_F32, VLY_F32), 37);
    dx_alone_is_the_same(linear(256, 256, VLY_ACT_RELU, VLY_F32, VLY_F32), 330);
    dx_alone_is_the_same(linear(70, 1, VLY_ACT_NONE, VLY_F32, VLY_F32), 300);
    dx_alone_is_the_same(linear(17, 3, VLY_ACT_TANH, VLY_F32, VLY_F32), 9);
}

static void convolutions_agree(void) {
    types(conv(84, 84, 4, 32, 8, 4, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 5);
    types(conv(20, 20, 32, 64, 4, 2, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 7);
    types(conv(9, 9, 64, 64, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 9);
    types(conv(20, 20, 16, 32, 4, 2, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 3);
    types(conv(84, 84, 4, 16, 8, 4, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 2);
    types(conv(10, 10, 4, 16, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 33);
    types(conv(10, 10, 7, 16, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 17);
    types(conv(10, 10, 10, 16, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 1);
    types(conv(42, 42, 16, 16, 3, 1, 1, VLY_ACT_NONE, VLY_F32, VLY_F32), 2);
    types(conv(11, 11, 32, 32, 3, 1, 1, VLY_ACT_NONE, VLY_F32, VLY_F32), 5);
    types(conv(84, 84, 4, 16, 3, 1, 1, VLY_ACT_NONE, VLY_F32, VLY_F32), 1);
    types(conv(9, 13, 5, 19, 3, 2, 1, VLY_ACT_TANH, VLY_F32, VLY_F32), 3);
    types(conv(7, 6, 3, 2, 5, 3, 2, VLY_ACT_RELU, VLY_F32, VLY_F32), 4);
    types(conv(5, 5, 3, 7, 5, 1, 0, VLY_ACT_NONE, VLY_F32, VLY_F32), 40);
    types(conv(12, 9, 8, 40, 4, 3, 1, VLY_ACT_RELU, VLY_F32, VLY_F32), 6);
    types(conv(9, 9, 64, 64, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 131);
}

static void pools_agree(void) {
    static const int shape[][7] = {{84, 84, 16, 3, 2, 1, 1},
                                   {42, 42, 32, 3, 2, 1, 2},
                                   {7, 9, 3, 3, 2, 1, 3},
                                   {8, 8, 5, 2, 2, 0, 4},
                                   {6, 5, 17, 3, 1, 0, 2}};
    for (int i = 0; i < 5; i++)
        for (int t = 0; t < 2; t++) {
            const vly_dtype type = t ? VLY_BF16 : VLY_F32;
            vly_layer_desc d = conv(shape[i][0], shape[i][1], shape[i][2], shape[i][2], shape[i][3],
                                    shape[i][4], shape[i][5], VLY_ACT_NONE, type, type);
            d.kind = VLY_MAXPOOL;
            layer_agrees(d, shape[i][6]);
        }
}

static void pytorch_agrees(const char *name) {
    const double *s = golden_find(name, "setup")->v;
    vly_layer_desc d = conv((int)s[2], (int)s[3], (int)s[4], (int)s[5], (int)s[6], (int)s[7],
                            (int)s[8], (vly_act)s[9], VLY_F32, VLY_F32);
    d.kind = (vly_layer_kind)s[0];
    const int n = (int)s[1];
    const bool pool = d.kind == VLY_MAXPOOL;
    const size_t xb = (size_t)golden_find(name, "x")->n * sizeof(vly_real),
                 yb = (size_t)golden_find(name, "y")->n * sizeof(vly_real);
    vly_real *y = poisoned(yb), *dx = poisoned(xb), *w = pool ? NULL : golden_reals(name, "w"),
             *x = golden_reals(name, "x");
    vly_real *dw = pool ? NULL : poisoned((size_t)vly_layer_params(&d) * sizeof *dw);
    vly_layer *layer;
    CHECK_OK(cpu->layer_create(cpu, &d, &layer));
    CHECK_OK(cpu->layer_prepare(queue, layer, w));
    CHECK_OK(cpu->layer_forward(queue, layer, n, x, w, y));
    golden_check(name, "y", y, 1e-5);
    CHECK_OK(
        cpu->layer_backward(queue, layer, n, x, y, w, golden_reals(name, "dy"), dx, dw, false));
    golden_check(name, "dx", dx, 1e-5);
    if (!pool) golden_check(name, "dw", dw, 1e-5);
    cpu->layer_destroy(layer);
}

/* Same bits with 1, 2 and 5 threads, for a batch that is cut into several blocks. */
static void threads_do_not_change_a_bit(vly_layer_desc d, int n) {
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const int64_t xs = (int64_t)n * d.in_h * d.in_w * d.in_c, ys = (int64_t)n * oh * ow * d.out_c,
                  params = vly_layer_params(&d);
    const size_t xb = (size_t)xs * vly_dtype_bytes(d.x_type),
                 yb = (size_t)ys * vly_dtype_bytes(d.y_type);
    double *xd = doubles(xs), *dyd = doubles(ys);
    for (int64_t i = 0; i < xs; i++)
        xd[i] = d.x_type == VLY_U8 ? floor(128 + 127 * noise(1, (uint32_t)i))
                                   : noise(1, (uint32_t)i);
    for (int64_t i = 0; i < ys; i++) dyd[i] = noise(2, (uint32_t)i);
    vly_real *w = noise_array(3, params), *dw[3];
    void *x = poisoned(xb), *y[3], *dx[3], *dy = poisoned(yb);
    to_memory(d.x_type, x, xd, xs);
    for (int t = 0; t < 3; t++) {
        vly_compute *c;
        vly_queue *q;
        vly_layer *layer;
        CHECK_OK(vly_compute_create_cpu(&c, t == 0 ? 1 : t == 1 ? 2 : 5));
        CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
        y[t] = poisoned(yb), dx[t] = poisoned(xb),
        dw[t] = poisoned((size_t)params * sizeof(vly_real));
        to_memory(d.y_type, dy, dyd, ys);
        CHECK_OK(c->layer_create(c, &d, &layer));
        CHECK_OK(c->layer_prepare(q, layer, w));
        CHECK_OK(c->layer_forward(q, layer, n, x, w, y[t]));
        CHECK_OK(c->layer_backward(q, layer, n, x, y[t], w, dy, d.needs_dx ? dx[t] : NULL, dw[t],
                                   false));
        c->layer_destroy(layer);
        c->queue_destroy(q);
        c->destroy(c);
        CHECK(memcmp(y[0], y[t], yb) == 0);
        CHECK(memcmp(dx[0], dx[t], xb) == 0);
        CHECK(memcmp(dw[0], dw[t], (size_t)params * sizeof(vly_real)) == 0);
        if (t) free(y[t]), free(dx[t]), free(dw[t]);
    }
    free(y[0]), free(dx[0]), free(dw[0]), free(x), free(dy), free(w), free(xd), free(dyd);
}

static void bad_arguments_are_named(void) {
    vly_layer *layer = NULL;
    vly_layer_desc d = linear(4, 2, VLY_ACT_NONE, VLY_F32, VLY_F32);
    vly_real x[4] = {0}, w[10] = {0}, y[2], dw[10];
    CHECK_OK(cpu->layer_create(cpu, &d, &layer));
    CHECK_EQ(cpu->layer_forward(queue, layer, 1, x, w, y), VLY_EINVAL); /* not prepared */
    CHECK_OK(cpu->layer_prepare(queue, layer, w));
    CHECK_EQ(cpu->layer_forward(queue, layer, 601, x, w, y), VLY_EINVAL);
    CHECK_EQ(cpu->layer_forward(queue, layer, 1, NULL, w, y), VLY_EINVAL);
    CHECK_EQ(cpu->layer_backward(queue, layer, 1, x, y, w, y, NULL, dw, false),
             VLY_EINVAL); /* needs_dx
                           */
    CHECK_OK(cpu->layer_forward(queue, layer, 0, x, w, y));
    memset(dw, 0xff, sizeof dw);
    CHECK_OK(cpu->layer_backward(queue, layer, 0, x, y, w, y, x, dw, false));
    CHECK_OK(cpu->layer_backward(queue, layer, 0, x, y, w, y, x, NULL, false));
    for (int i = 0; i < 10; i++) CHECK_EQ(dw[i], 0);
    cpu->layer_destroy(layer);
    cpu->layer_destroy(NULL);
    vly_layer_desc bad[6];
    for (int i = 0; i < 6; i++) bad[i] = conv(8, 8, 3, 4, 3, 1, 0, VLY_ACT_RELU, VLY_F32, VLY_F32);
    bad[0].kernel = 9, bad[1].stride = 0, bad[2].pad = 3, bad[3].y_type = VLY_U8,
    bad[4].batch_max = 0, bad[5].x_type = VLY_U8;
    for (int i = 0; i < 6; i++) CHECK_EQ(cpu->layer_create(cpu, &bad[i], &layer), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "layer"));
}

static void every_layer_agrees(void) {
    cpu_open(2);
    bad_arguments_are_named();
    static const char *const names[] = {"linear",       "linear_relu", "conv", "conv_pad",
                                        "conv_stride4", "conv_even",   "pool"};
    for (int i = 0; i < 7; i++) pytorch_agrees(names[i]);
    linear_layers_agree();
    convolutions_agree();
    pools_agree();
    cpu_close();
}

/* Over +-10, dense near 0; a vector, its rest, and not-a-number. */
static void tanh_is_as_exact_as_it_says(const vly_simd *simd) {
    enum { n = 200003 };
    float *y = malloc(n * sizeof *y);
    double worst = 0;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < n; i++)
            y[i] = (float)((i - n / 2) / (n / 20.0) *
                           (k ? 1e-2 * fabs((double)noise(1, (uint32_t)i)) : 1));
        float *x = memcpy(malloc(n * sizeof *x), y, n * sizeof *y);
        simd->tanh(n, y);
        for (int i = 0; i < n; i++) {
            const double want = tanh(x[i]),
                         ulp = fabs(want) < 1e-37 ? 1e-45 : ldexp(1, ilogb(want) - 23);
            worst = fmax(worst, fabs(y[i] - want) / ulp);
        }
        free(x);
    }
    fprintf(stderr, "tanh %s: %.2f ulp\n", simd->name, worst);
    CHECK(worst <= (strcmp(simd->name, "base") == 0 ? 2.5 : 2.0));
    y[0] = NAN, y[1] = INFINITY, y[2] = -INFINITY, y[3] = -0.0f;
    simd->tanh(4, y);
    CHECK(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0);
    free(y);
}

static void every_layer_gives_one_result(void) {
    for (int low = 0; low < 2; low++) {
        const vly_dtype t = low ? VLY_BF16 : VLY_F32;
        threads_do_not_change_a_bit(conv(84, 84, 4, 32, 8, 4, 0, VLY_ACT_RELU, VLY_U8, t), 37);
        threads_do_not_change_a_bit(conv(20, 20, 32, 64, 4, 2, 0, VLY_ACT_RELU, t, t), 37);
        threads_do_not_change_a_bit(conv(9, 9, 16, 16, 3, 1, 1, VLY_ACT_TANH, t, t), 150);
        threads_do_not_change_a_bit(linear(700, 300, VLY_ACT_RELU, t, VLY_F32), 300);
        threads_do_not_change_a_bit(linear(64, 64, VLY_ACT_TANH, t, t), 600);
        vly_layer_desc rounded = linear(256, 256, VLY_ACT_RELU, VLY_F32, VLY_F32);
        rounded.bf16_products = t == VLY_BF16;
        threads_do_not_change_a_bit(rounded, 300);
    }
}

int main(void) {
    static const char *const widths[] = {"avx512", "avx2", "base"};
    for (int i = 0; i < WIDTHS; i++) {
        const vly_simd *simd = vly_simd_force(widths[i]);
        if (!simd) {
            SKIP_PART("this processor has no %s", widths[i]);
            continue;
        }
        tanh_is_as_exact_as_it_says(simd);
        every_layer_agrees();
    }
    vly_simd_force(NULL);
    every_layer_gives_one_result();
    const vly_bf16_simd *best = vly_bf16_simd_best(), *vectors = vly_bf16_simd_force("avx512");
    if (vectors && vectors != best) { /* a processor with tiles */
        every_layer_agrees();
        every_layer_gives_one_result();
    }
    return TEST_PASS;
}
