#include "tests/gpu/parity.h"

static float value_of(vly_dtype type, const void *data, int64_t i) {
    if (type == VLY_F32) return ((const float *)data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Within a part of the largest number: rounding of products sums up with their size. */
static void agrees(parity *p, const vly_layer_desc *d, int n, const char *what, const twin *t, vly_dtype type, int64_t count, double tolerance) {
    void *got = twin_gpu(p, t);
    double size = 1e-6, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) size = fmax(size, fabs(value_of(type, t->cpu, i)));
    for (int64_t i = 0; i < count; i++) {
        const double g = value_of(type, got, i), w = value_of(type, t->cpu, i), error = fabs(g - w) / size;
        if (!(error <= worst)) worst = isnan(error) ? 1e9 : error, at = i;
    }
    if (worst > tolerance) {
        fprintf(stderr, "kind %d, x %d y %d tf32 %d, n %d, %dx%dx%d -> %d, kernel %d/%d pad %d act %d: %s[%lld of %lld] is %.9g, on the CPU %.9g (largest %.3g)\n",
                d->kind, d->x_type, d->y_type, d->tf32, n, d->in_h, d->in_w, d->in_c, d->out_c, d->kernel, d->stride, d->pad, d->act, what,
                (long long)at, (long long)count, value_of(type, got, at), value_of(type, t->cpu, at), size);
        exit(TEST_FAIL);
    }
    free(got);
}

static twin reals(parity *p, vly_dtype type, int64_t n, float scale) {
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

static void layer_agrees(parity *p, vly_layer_desc d, int n) {
    d.batch_max = d.batch_max ? d.batch_max : n;
    d.x_scale = d.x_type == VLY_U8 ? 1.0f / 255 : 1;
    d.learn = true;
    d.needs_dx = d.x_type != VLY_U8;
    if (d.kind == VLY_LINEAR) d.in_h = d.in_w = d.kernel = d.stride = 1;
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad), ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const int64_t xs = (int64_t)n * d.in_h * d.in_w * d.in_c, ys = (int64_t)n * oh * ow * d.out_c, params = vly_layer_params(&d);
    const bool low = d.x_type == VLY_BF16 || d.y_type == VLY_BF16;
    const double tolerance = low ? 1.5e-2 : d.tf32 ? 2e-3 : 1e-5;
    vly_layer *cpu, *gpu;
    CHECK_OK(p->cpu->layer_create(p->cpu, &d, &cpu));
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &gpu));
    const float spread = 1.0f / sqrtf((float)(d.kernel * d.kernel * d.in_c));
    twin x = reals(p, d.x_type, xs, 1), w = normals(p, params ? (size_t)params : 1, spread), y = twin_of(p, NULL, (size_t)ys * vly_dtype_bytes(d.y_type));
    twin dy = reals(p, d.y_type, ys, 1), dx = twin_of(p, NULL, (size_t)xs * vly_dtype_bytes(d.x_type)), dw = outputs(p, params ? (size_t)params : 1);
    BOTH(c->layer_prepare(q, on_gpu ? gpu : cpu, D(w)));
    BOTH(c->layer_forward(q, on_gpu ? gpu : cpu, n, D(x), D(w), D(y)));
    agrees(p, &d, n, "y", &y, d.y_type, ys, tolerance);
    /* the backward pass sees the same activations, so that a rounded zero is the same side of the kink */
    CHECK_OK(p->gpu->upload(p->gpu_queue, y.gpu, y.cpu, y.bytes));
    void *fresh = malloc(dy.bytes);
    memcpy(fresh, dy.cpu, dy.bytes);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        memcpy(dy.cpu, fresh, dy.bytes); /* backward may leave anything in it */
        CHECK_OK(p->gpu->upload(p->gpu_queue, dy.gpu, fresh, dy.bytes));
        BOTH(c->layer_backward(q, on_gpu ? gpu : cpu, n, D(x), D(y), D(w), D(dy), d.needs_dx ? D(dx) : NULL, D(dw), accumulate));
        if (d.needs_dx) agrees(p, &d, n, "dx", &dx, d.x_type, xs, tolerance);
        agrees(p, &d, n, "dw", &dw, VLY_F32, d.kind == VLY_MAXPOOL ? 0 : params, tolerance);
        if (d.kind == VLY_MAXPOOL) break;
    }
    free(fresh);
    if (d.kind == VLY_MAXPOOL) SAME(y), SAME(dx);
    p->cpu->layer_destroy(cpu);
    p->gpu->layer_destroy(gpu);
    twin *all[] = {&x, &w, &y, &dy, &dx, &dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}

/* Every pair of types a network uses, with tf32 beside plain f32. */
static void in_all_precisions(parity *p, vly_layer_desc d, int n, bool bytes) {
    static const vly_dtype types[][2] = {{VLY_F32, VLY_F32}, {VLY_BF16, VLY_BF16}, {VLY_BF16, VLY_F32}, {VLY_U8, VLY_F32}, {VLY_U8, VLY_BF16}};
    for (size_t k = 0; k < (bytes ? 5u : 3u); k++) {
        d.x_type = types[k][0], d.y_type = types[k][1];
        for (int tf32 = 0; tf32 < (k == 0 || k == 3 ? 2 : 1); tf32++) {
            d.tf32 = tf32;
            layer_agrees(p, d, n);
        }
    }
}

static void linear_layers_agree(parity *p) {
    static const int shapes[][3] = {{1, 1, 1}, {5, 4, 64}, {257, 64, 64}, {130, 512, 6}, {33, 100, 130}, {70, 7, 18}, {300, 8, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (vly_act act = VLY_ACT_NONE; act <= VLY_ACT_TANH; act++)
            if (s < 2 || act == (vly_act)(s % 3))
                in_all_precisions(p, (vly_layer_desc){.kind = VLY_LINEAR, .act = act, .in_c = shapes[s][1], .out_c = shapes[s][2]}, shapes[s][0], false);
}

static void convolutions_agree(parity *p) {
    static const struct { int n, h, w, c, o, k, s, pad; } shapes[] = {
        {3, 20, 20, 4, 32, 8, 4, 0},  /* Nature's three, smaller */
        {3, 9, 9, 32, 64, 4, 2, 0},
        {2, 7, 7, 64, 64, 3, 1, 0},
        {2, 10, 10, 4, 16, 3, 1, 0},  /* MinAtar */
        {2, 10, 10, 7, 16, 3, 1, 0},
        {2, 12, 12, 4, 16, 3, 1, 1},  /* IMPALA's */
        {2, 11, 11, 16, 32, 3, 1, 1},
        {5, 7, 9, 3, 5, 3, 2, 1},     /* nothing fits */
        {2, 8, 8, 8, 9, 2, 3, 0},     /* pixels that no window sees */
        {1, 5, 6, 2, 3, 5, 4, 4},
        {9, 4, 4, 16, 40, 4, 4, 0},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        in_all_precisions(p, (vly_layer_desc){.kind = VLY_CONV, .act = (vly_act)(s % 2), .in_h = shapes[s].h, .in_w = shapes[s].w, .in_c = shapes[s].c,
                                              .out_c = shapes[s].o, .kernel = shapes[s].k, .stride = shapes[s].s, .pad = shapes[s].pad}, shapes[s].n, true);
}

static void a_batch_smaller_than_planned_works(parity *p) {
    layer_agrees(p, (vly_layer_desc){.kind = VLY_LINEAR, .batch_max = 100, .in_c = 40, .out_c = 9, .x_type = VLY_F32, .y_type = VLY_F32}, 13);
    layer_agrees(p, (vly_layer_desc){.kind = VLY_CONV, .batch_max = 20, .in_h = 9, .in_w = 9, .in_c = 8, .out_c = 16, .kernel = 3, .stride = 1, .x_type = VLY_BF16, .y_type = VLY_BF16}, 7);
}

static void pools_agree(parity *p) {
    static const int shapes[][6] = {{2, 12, 12, 16, 3, 2}, {3, 7, 9, 5, 3, 2}, {1, 4, 4, 1, 2, 2}, {2, 10, 11, 3, 3, 1}};
    for (size_t s = 0; s < 4; s++)
        for (int low = 0; low < 2; low++)
            layer_agrees(p, (vly_layer_desc){.kind = VLY_MAXPOOL, .in_h = shapes[s][1], .in_w = shapes[s][2], .in_c = shapes[s][3], .out_c = shapes[s][3],
                                             .kernel = shapes[s][4], .stride = shapes[s][5], .pad = shapes[s][4] / 2, .x_type = low ? VLY_BF16 : VLY_F32,
                                             .y_type = low ? VLY_BF16 : VLY_F32}, shapes[s][0]);
}

static void recurrent_layers_agree(parity *p) {
    static const int shapes[][3] = {{1, 1, 1}, {5, 3, 8}, {7, 130, 20}, {3, 33, 70}};
    for (size_t s = 0; s < 4; s++) {
        const int T = shapes[s][0], n = shapes[s][1], H = shapes[s][2];
        const size_t state = (size_t)(n * H);
        uint8_t resets[1024];
        for (int i = 0; i < T * n; i++) resets[i] = random_below(4) == 0 ? VLY_ROW_RESET : 0;
        twin reset = twin_of(p, resets, (size_t)(T * n)), w_h = normals(p, (size_t)(4 * H * H), 0.3f), gates = normals(p, (size_t)T * state * 4, 1);
        twin h = normals(p, (size_t)(T + 1) * state, 1), c1 = normals(p, (size_t)(T + 1) * state, 1), dh = normals(p, (size_t)T * state, 1);
        twin dgates = outputs(p, (size_t)T * state * 4), dw_h = outputs(p, (size_t)(4 * H * H)), work = outputs(p, 2 * state + 4 * state);
        BOTH(c->lstm_forward(q, T, n, H, D(w_h), D(reset), D(gates), D(h), D(c1)));
        NEAR(gates, 1e-5), NEAR(h, 1e-5), NEAR(c1, 1e-5);
        BOTH(c->lstm_backward(q, T, n, H, D(w_h), D(reset), D(gates), D(h), D(c1), D(dh), D(dgates), D(dw_h), D(work)));
        NEAR(dgates, 1e-4), NEAR(dw_h, 1e-4);
        twin *all[] = {&reset, &w_h, &gates, &h, &c1, &dh, &dgates, &dw_h, &work};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    }
}

static void bad_layers_are_refused(parity *p) {
    vly_layer *l = NULL;
    vly_layer_desc d = {.kind = VLY_LINEAR, .batch_max = 4, .in_c = 3, .out_c = 2, .x_type = VLY_F32, .y_type = VLY_F32, .x_scale = 1, .learn = true};
    vly_layer_desc bad = d;
    bad.out_c = 0;
    CHECK_EQ(p->gpu->layer_create(p->gpu, &bad, &l), VLY_EINVAL);
    bad = d, bad.kind = VLY_CONV, bad.in_h = bad.in_w = 3, bad.kernel = 5, bad.stride = 1;
    CHECK_EQ(p->gpu->layer_create(p->gpu, &bad, &l), VLY_EINVAL);
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &l));
    twin x = normals(p, 64, 1);
    CHECK_EQ(p->gpu->layer_forward(p->gpu_queue, l, 4, x.gpu, x.gpu, x.gpu), VLY_EINVAL); /* not prepared */
    CHECK_OK(p->gpu->layer_prepare(p->gpu_queue, l, x.gpu));
    CHECK_EQ(p->gpu->layer_forward(p->gpu_queue, l, 5, x.gpu, x.gpu, x.gpu), VLY_EINVAL); /* more than planned */
    p->gpu->layer_destroy(l);
    twin_free(p, &x);
}

#ifdef VLY_TEST_SHIM
#include "common/exact.h"
#include "gpu/internal.h"

/* What cuBLASLt's and cuDNN's epilogues lack; those libraries have no twin in the shim, so the kernels are called by themselves. */
static void what_the_libraries_lack_agrees(parity *p) {
    static const int sizes[] = {1, 257, 4099};
    cudaStream_t stream = vly_stream_of(p->gpu_queue);
    for (size_t s = 0; s < 3; s++)
        for (int low = 0; low < 2; low++) {
            const int n = sizes[s];
            twin y = reals(p, low ? VLY_BF16 : VLY_F32, n, 2), narrow = reals(p, VLY_BF16, n, 1), sum = normals(p, (size_t)n, 1);
            CHECK_OK(vly_tanh_launch(low ? VLY_BF16 : VLY_F32, n, y.gpu, stream));
            CHECK_OK(vly_add_low_launch(n, narrow.gpu, sum.gpu, low, stream));
            void *got = twin_gpu(p, &y);
            for (int i = 0; i < n; i++) {
                ((float *)sum.cpu)[i] = (low ? ((float *)sum.cpu)[i] : 0.0f) + value_of(VLY_BF16, narrow.cpu, i);
                if (low) CHECK_NEAR(value_of(VLY_BF16, got, i), vly_tanhf(value_of(VLY_BF16, y.cpu, i)), 0x1p-8);
                else CHECK(value_of(VLY_F32, got, i) == vly_tanhf(((float *)y.cpu)[i]));
            }
            SAME(sum);
            free(got);
            twin_free(p, &y), twin_free(p, &narrow), twin_free(p, &sum);
        }
}
#endif

int main(void) {
#if defined(VLY_TEST_SHIM) && defined(__SANITIZE_THREAD__)
    SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers take minutes under it");
#endif
    parity both = parity_open(), *p = &both;
    parity_seed(3);
    linear_layers_agree(p);
    convolutions_agree(p);
    a_batch_smaller_than_planned_works(p);
    pools_agree(p);
    recurrent_layers_agree(p);
    bad_layers_are_refused(p);
#ifdef VLY_TEST_SHIM
    what_the_libraries_lack_agrees(p);
#endif
    parity_close(p);
    return TEST_PASS;
}
