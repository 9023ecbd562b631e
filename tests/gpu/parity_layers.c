#include "tests/gpu/layer_parity.h"

#ifdef VLY_SHIM_RACES
enum { QUICK = 1 }; /* every load and store takes a hundred times as long */
#else
enum { QUICK = 0 };
#endif

static void linear_layers_agree(parity *p) {
    static const int shapes[][3] = {{1, 1, 1},    {5, 4, 64},     {257, 64, 64}, {130, 512, 6},
                                    {9, 700, 40}, {33, 100, 130}, {70, 7, 18},   {300, 8, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes - (QUICK ? 3 : 0); s++)
        for (vly_act act = VLY_ACT_NONE; act <= VLY_ACT_TANH; act++)
            if (s < 2 || act == (vly_act)(s % 3))
                in_all_precisions(p,
                                  (vly_layer_desc){.kind = VLY_LINEAR,
                                                   .act = act,
                                                   .in_c = shapes[s][1],
                                                   .out_c = shapes[s][2]},
                                  shapes[s][0], false);
}

static void convolutions_agree(parity *p) {
    static const struct {
        int n, h, w, c, o, k, s, pad;
    } shapes[] = {
        {3, 20, 20, 4, 32, 8, 4, 0}, /* Nature's three, smaller */
        {3, 9, 9, 32, 64, 4, 2, 0},   {2, 7, 7, 64, 64, 3, 1, 0},
        {2, 10, 10, 4, 16, 3, 1, 0},                               /* MinAtar */
        {2, 10, 10, 7, 16, 3, 1, 0},  {2, 12, 12, 4, 16, 3, 1, 1}, /* IMPALA's */
        {2, 11, 11, 16, 32, 3, 1, 1}, {5, 7, 9, 3, 5, 3, 2, 1},    /* nothing fits */
        {2, 8, 8, 8, 9, 2, 3, 0},                                  /* pixels that no window sees */
        {1, 5, 6, 2, 3, 5, 4, 4},     {9, 4, 4, 16, 40, 4, 4, 0},
    };
    for (size_t s = QUICK ? 7 : 0; s < sizeof shapes / sizeof *shapes; s++)
        in_all_precisions(p,
                          (vly_layer_desc){.kind = VLY_CONV,
                                           .act = (vly_act)(s % 2),
                                           .in_h = shapes[s].h,
                                           .in_w = shapes[s].w,
                                           .in_c = shapes[s].c,
                                           .out_c = shapes[s].o,
                                           .kernel = shapes[s].k,
                                           .stride = shapes[s].s,
                                           .pad = shapes[s].pad},
                          shapes[s].n, true);
}

/* The shape decides the width, and only large ones get the widest: here all get each. */
static void every_tile_width_agrees(parity *p) {
    static const char *const widths[] = {"32", "64", "128"};
    char *before = engine_forced("own");
    for (size_t w = 0; w < 3; w++) {
        CHECK_EQ(setenv("VLY_TILE_WIDTH", widths[w], 1), 0);
        in_all_precisions(
            p, (vly_layer_desc){.kind = VLY_LINEAR, .in_c = 70, .out_c = 133, .act = VLY_ACT_RELU},
            131, false);
        in_all_precisions(p,
                          (vly_layer_desc){.kind = VLY_CONV,
                                           .in_h = 8,
                                           .in_w = 7,
                                           .in_c = 136,
                                           .out_c = 144,
                                           .kernel = 3,
                                           .stride = 2,
                                           .pad = 1},
                          3, true);
    }
    unsetenv("VLY_TILE_WIDTH");
    engine_restored(before);
}

/* The same with operands that arrive by asynchronous copies, where the shape lets them: "staged", and
 * "wgmma" where the device has it. */
static void every_width_agrees_of(parity *p, const char *engine) {
    static const char *const widths[] = {"32", "64", "128"};
    char *before = engine_forced(engine);
    for (size_t w = QUICK ? 1 : 0; w < (QUICK ? 2 : 3); w++) {
        CHECK_EQ(setenv("VLY_TILE_WIDTH", widths[w], 1), 0);
        const vly_layer_desc linear = {.kind = VLY_LINEAR,
                                       .in_c = 168,
                                       .out_c = 136,
                                       .act = VLY_ACT_RELU,
                                       .x_type = VLY_BF16,
                                       .y_type = VLY_BF16};
        vly_layer_desc conv = {.kind = VLY_CONV,
                               .in_h = 8,
                               .in_w = 7,
                               .in_c = 40,
                               .out_c = 144,
                               .kernel = 3,
                               .stride = 2,
                               .pad = 1,
                               .x_type = VLY_BF16,
                               .y_type = VLY_BF16};
        layer_agrees(p, linear, 131);
        layer_agrees(p, conv, 3);
        conv.x_type = VLY_U8;
        layer_agrees(p, conv, 3);
        conv.in_c = 4, conv.kernel = 4, conv.pad = 0; /* lines of 16 bytes */
        layer_agrees(p, conv, 5);
    }
    unsetenv("VLY_TILE_WIDTH");
    engine_restored(before);
}

static void a_batch_smaller_than_planned_works(parity *p) {
    layer_agrees(p,
                 (vly_layer_desc){.kind = VLY_LINEAR,
                                  .batch_max = 100,
                                  .in_c = 40,
                                  .out_c = 9,
                                  .x_type = VLY_F32,
                                  .y_type = VLY_F32},
                 13);
    layer_agrees(p,
                 (vly_layer_desc){.kind = VLY_LINEAR,
                                  .act = VLY_ACT_RELU,
                                  .in_c = 64,
                                  .out_c = 96,
                                  .x_type = VLY_F32,
                                  .y_type = VLY_F32,
                                  .bf16_products = true},
                 40);
    layer_agrees(p,
                 (vly_layer_desc){.kind = VLY_CONV,
                                  .batch_max = 20,
                                  .in_h = 9,
                                  .in_w = 9,
                                  .in_c = 8,
                                  .out_c = 16,
                                  .kernel = 3,
                                  .stride = 1,
                                  .x_type = VLY_BF16,
                                  .y_type = VLY_BF16},
                 7);
}

/* A layer that gets its dz, multiplies dx by the slope of the activation below and adds it to what
 * is there, beside a plain layer and the same by hand. */
static void joined_layer_agrees(parity *p, vly_layer_desc d, int n, vly_act below) {
    const bool low = d.x_type == VLY_BF16;
    d.batch_max = n, d.x_scale = 1, d.learn = d.needs_dx = true;
    vly_layer_desc joined = d;
    joined.act = VLY_ACT_RELU, joined.dz_given = joined.dx_adds = true, joined.below = below;
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const int64_t xs = (int64_t)n * d.in_h * d.in_w * d.in_c, ys = (int64_t)n * oh * ow * d.out_c,
                  params = vly_layer_params(&d);
    vly_layer *plain, *gpu;
    CHECK_OK(p->cpu->layer_create(p->cpu, &d, &plain));
    CHECK_OK(p->gpu->layer_create(p->gpu, &joined, &gpu));
    twin x = reals(p, d.x_type, xs, 0.5f), w = normals(p, (size_t)params, 0.1f),
         dz = reals(p, d.y_type, ys, 1), dx = reals(p, d.x_type, xs, 1),
         dw = outputs(p, (size_t)params);
    float *before = malloc((size_t)xs * sizeof *before);
    for (int64_t i = 0; i < xs; i++) before[i] = value_of(d.x_type, dx.cpu, i);
    BOTH(c->layer_prepare(q, on_gpu ? gpu : plain, D(w)));
    BOTH(c->layer_backward(q, on_gpu ? gpu : plain, n, D(x), D(dz), D(w), D(dz), D(dx), D(dw),
                           false));
    CHECK_OK(p->gpu->backward_end(p->gpu_queue));
    agrees(p, &joined, n, "dw", &dw, VLY_F32, params, low ? 1.5e-2 : 1e-5);
    void *got = twin_gpu(p, &dx);
    for (int64_t i = 0; i < xs; i++) {
        const float at = value_of(d.x_type, x.cpu, i), slope = below == VLY_ACT_RELU   ? at > 0
                                                               : below == VLY_ACT_TANH ? 1 - at * at
                                                                                       : 1;
        CHECK_NEAR(value_of(d.x_type, got, i), before[i] + slope * value_of(d.x_type, dx.cpu, i),
                   low ? 0.06 : 1e-4);
    }
    free(got);
    free(before);
    p->cpu->layer_destroy(plain);
    p->gpu->layer_destroy(gpu);
    twin *all[] = {&x, &w, &dz, &dx, &dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}

static void joined_layers_agree(parity *p) {
    for (vly_act below = VLY_ACT_NONE; below <= VLY_ACT_TANH; below++)
        for (int low = 0; low < 2; low++) {
            vly_layer_desc d = {.x_type = low ? VLY_BF16 : VLY_F32,
                                .y_type = low ? VLY_BF16 : VLY_F32,
                                .kind = VLY_LINEAR,
                                .in_h = 1,
                                .in_w = 1,
                                .in_c = 33,
                                .out_c = 20,
                                .kernel = 1,
                                .stride = 1};
            joined_layer_agrees(p, d, 270, below);
            d.kind = VLY_CONV, d.in_h = d.in_w = 9, d.in_c = 6, d.out_c = 5;
            d.kernel = 3, d.stride = 2, d.pad = 1;
            joined_layer_agrees(p, d, 3, below);
        }
}

/* More layers than one launch takes, of two kinds of arithmetic, and one of them twice. */
static void weight_gradients_at_once_agree(parity *p) {
    enum { LAYERS = 11 };
    static const int shapes[][2] = {{40, 70}, {3, 1}, {200, 7}, {64, 64}};
    vly_layer *cpu[LAYERS], *gpu[LAYERS];
    twin x[LAYERS], dy[LAYERS], w[LAYERS], dw[LAYERS];
    vly_layer_desc d[LAYERS];
    const int n = 600;
    for (int i = 0; i < LAYERS; i++) {
        const vly_dtype type = i % 4 == 3 ? VLY_BF16 : VLY_F32;
        d[i] = (vly_layer_desc){.kind = VLY_LINEAR,
                                .batch_max = n,
                                .in_c = shapes[i % 4][0],
                                .out_c = shapes[i % 4][1],
                                .x_type = type,
                                .y_type = type,
                                .x_scale = 1,
                                .learn = true};
        CHECK_OK(p->cpu->layer_create(p->cpu, &d[i], &cpu[i]));
        CHECK_OK(p->gpu->layer_create(p->gpu, &d[i], &gpu[i]));
        const size_t params = (size_t)vly_layer_params(&d[i]);
        x[i] = reals(p, type, n * d[i].in_c, 1), dy[i] = reals(p, type, n * d[i].out_c, 1);
        w[i] = normals(p, params, 0.1f), dw[i] = normals(p, params, 1);
        BOTH(c->layer_prepare(q, on_gpu ? gpu[i] : cpu[i], D(w[i])));
    }
    for (int i = 0; i <= LAYERS; i++) {
        const int k = i % LAYERS;
        BOTH(c->layer_backward(q, on_gpu ? gpu[k] : cpu[k], n, D(x[k]), D(dy[k]), D(w[k]), D(dy[k]),
                               NULL, D(dw[k]), true));
    }
    CHECK_OK(p->gpu->backward_end(p->gpu_queue));
    for (int i = 0; i < LAYERS; i++) {
        agrees(p, &d[i], n, "dw", &dw[i], VLY_F32, vly_layer_params(&d[i]),
               d[i].x_type == VLY_BF16 ? 1.5e-2 : 1e-5);
        p->cpu->layer_destroy(cpu[i]);
        p->gpu->layer_destroy(gpu[i]);
        twin *all[] = {&x[i], &w[i], &dy[i], &dw[i]};
        for (size_t t = 0; t < sizeof all / sizeof *all; t++) twin_free(p, all[t]);
    }
}

static void pools_agree(parity *p) {
    static const int shapes[][6] = {
        {2, 12, 12, 16, 3, 2}, {3, 7, 9, 5, 3, 2}, {1, 4, 4, 1, 2, 2}, {2, 10, 11, 3, 3, 1}};
    for (size_t s = 0; s < 4; s++)
        for (int low = 0; low < 2; low++)
            layer_agrees(p,
                         (vly_layer_desc){.kind = VLY_MAXPOOL,
                                          .in_h = shapes[s][1],
                                          .in_w = shapes[s][2],
                                          .in_c = shapes[s][3],
                                          .out_c = shapes[s][3],
                                          .kernel = shapes[s][4],
                                          .stride = shapes[s][5],
                                          .pad = shapes[s][4] / 2,
                                          .x_type = low ? VLY_BF16 : VLY_F32,
                                          .y_type = low ? VLY_BF16 : VLY_F32},
                         shapes[s][0]);
}

/* tf32: operands have 11 bits, and each step's errors go into the next. */
static void recurrent_layers_agree(parity *p, bool tf32, double forward, double backward) {
    static const int shapes[][3] = {{1, 1, 1}, {5, 3, 8}, {7, 130, 20}, {3, 33, 70}};
    for (size_t s = 0; s < 4; s++) {
        const int T = shapes[s][0], n = shapes[s][1], H = shapes[s][2];
        const vly_lstm_size size = {T, n, H, tf32};
        const size_t state = (size_t)(n * H);
        uint8_t resets[1024];
        for (int i = 0; i < T * n; i++) resets[i] = random_below(4) == 0 ? VLY_ROW_RESET : 0;
        twin reset = twin_of(p, resets, (size_t)(T * n)),
             w_h = normals(p, (size_t)(4 * H * H), 0.3f),
             gates = normals(p, (size_t)T * state * 4, 1);
        twin h = normals(p, (size_t)(T + 1) * state, 1),
             c1 = normals(p, (size_t)(T + 1) * state, 1), dh = normals(p, (size_t)T * state, 1);
        twin dgates = outputs(p, (size_t)T * state * 4), dw_h = outputs(p, (size_t)(4 * H * H)),
             work = outputs(p, 6 * (size_t)T * state);
        BOTH(c->lstm_forward(q, &size, D(w_h), D(reset), D(gates), D(h), D(c1)));
        NEAR(gates, forward), NEAR(h, forward), NEAR(c1, forward);
        BOTH(c->lstm_backward(q, &size, D(w_h), D(reset), D(gates), D(h), D(c1), D(dh), D(dgates),
                              D(dw_h), D(work)));
        NEAR(dgates, backward), NEAR(dw_h, backward);
        twin *all[] = {&reset, &w_h, &gates, &h, &c1, &dh, &dgates, &dw_h, &work};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
    }
}

static void bad_layers_are_refused(parity *p) {
    vly_layer *l = NULL;
    vly_layer_desc d = {.kind = VLY_LINEAR,
                        .batch_max = 4,
                        .in_c = 3,
                        .out_c = 2,
                        .x_type = VLY_F32,
                        .y_type = VLY_F32,
                        .x_scale = 1,
                        .learn = true};
    vly_layer_desc bad = d;
    bad.out_c = 0;
    CHECK_EQ(p->gpu->layer_create(p->gpu, &bad, &l), VLY_EINVAL);
    bad = d, bad.kind = VLY_CONV, bad.in_h = bad.in_w = 3, bad.kernel = 5, bad.stride = 1;
    CHECK_EQ(p->gpu->layer_create(p->gpu, &bad, &l), VLY_EINVAL);
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &l));
    twin x = normals(p, 64, 1);
    CHECK_EQ(p->gpu->layer_forward(p->gpu_queue, l, 4, x.gpu, x.gpu, x.gpu),
             VLY_EINVAL); /* not prepared */
    CHECK_OK(p->gpu->layer_prepare(p->gpu_queue, l, x.gpu));
    CHECK_EQ(p->gpu->layer_forward(p->gpu_queue, l, 5, x.gpu, x.gpu, x.gpu),
             VLY_EINVAL); /* more than planned */
    p->gpu->layer_destroy(l);
    twin_free(p, &x);
}

#ifdef VLY_TEST_SHIM
#include "common/base/exact.h"
#include "gpu/internal.h"

/* One layer by both of our engines: y, dx, dw and db. */
typedef struct {
    vly_layer *l;
    twin y, dx, dw;
} passes;

static passes passes_by(parity *p, const char *engine, const vly_layer_desc *d, const twin *x,
                        size_t offset, const twin *w, const twin *dy) {
    const int oh = vly_out_size(d->in_h, d->kernel, d->stride, d->pad);
    const size_t xs = (size_t)(d->batch_max * d->in_h * d->in_w * d->in_c),
                 ys = (size_t)(d->batch_max * oh * oh * d->out_c);
    passes s = {.y = twin_of(p, NULL, ys * 2),
                .dx = twin_of(p, NULL, xs * 2),
                .dw = outputs(p, (size_t)vly_layer_params(d))};
    char *before = engine_forced(engine);
    CHECK_OK(p->gpu->layer_create(p->gpu, d, &s.l));
    engine_restored(before);
    twin dz = twin_of(p, dy->cpu, dy->bytes);
    void *at = (char *)x->gpu + offset;
    CHECK_OK(p->gpu->layer_prepare(p->gpu_queue, s.l, w->gpu));
    CHECK_OK(p->gpu->layer_forward(p->gpu_queue, s.l, d->batch_max, at, w->gpu, s.y.gpu));
    CHECK_OK(p->gpu->layer_backward(p->gpu_queue, s.l, d->batch_max, at, s.y.gpu, w->gpu, dz.gpu,
                                    d->needs_dx ? s.dx.gpu : NULL, s.dw.gpu, false));
    CHECK_OK(p->gpu->backward_end(p->gpu_queue));
    twin_free(p, &dz);
    return s;
}

static void same_bits(parity *p, const twin *a, const twin *b) {
    void *first = twin_gpu(p, a), *second = twin_gpu(p, b);
    CHECK(!memcmp(first, second, a->bytes));
    free(first), free(second);
}

/* Nature's layers (the linear one smaller), joined as a network joins them; then with an input that is not aligned to 16
 * bytes, which is left to the other products. */
static void staged_products_have_the_same_bits(parity *p) {
    static const int shapes[][6] = {/* size, channels in and out, kernel, stride, images */
                                    {84, 4, 32, 8, 4, 1},
                                    {20, 32, 64, 4, 2, 1},
                                    {9, 64, 64, 3, 1, 2},
                                    {1, 448, 136, 1, 1, 9}};
    for (size_t i = 0; i < 5; i++) {
        const int *s = shapes[i < 4 ? i : 2];
        const bool linear = s[0] == 1, bytes = s[0] == 84;
        const vly_layer_desc d = {.kind = linear ? VLY_LINEAR : VLY_CONV,
                                  .act = VLY_ACT_RELU,
                                  .batch_max = s[5],
                                  .in_h = s[0],
                                  .in_w = s[0],
                                  .in_c = s[1],
                                  .out_c = s[2],
                                  .kernel = s[3],
                                  .stride = s[4],
                                  .x_type = bytes ? VLY_U8 : VLY_BF16,
                                  .y_type = VLY_BF16,
                                  .x_scale = bytes ? 1.0f / 255 : 1,
                                  .learn = true,
                                  .needs_dx = !bytes,
                                  .dz_given = true,
                                  .below = bytes ? VLY_ACT_NONE : VLY_ACT_RELU};
        const int oh = vly_out_size(s[0], s[3], s[4], 0);
        twin x = reals(p, d.x_type, s[5] * s[0] * s[0] * s[1] + 8, 1),
             w = normals(p, (size_t)vly_layer_params(&d), 0.05f),
             dy = reals(p, VLY_BF16, s[5] * oh * oh * s[2], 1);
        const size_t offset = i < 4 ? 0 : 8;
        passes own = passes_by(p, "own", &d, &x, offset, &w, &dy),
               staged = passes_by(p, "staged", &d, &x, offset, &w, &dy);
        CHECK_STR(vly_layer_engine(staged.l, VLY_PASS_FORWARD), "staged");
        CHECK_STR(vly_layer_engine(staged.l, VLY_PASS_DW), bytes ? "own" : "staged");
        if (!bytes) CHECK_STR(vly_layer_engine(staged.l, VLY_PASS_DX), "staged");
        same_bits(p, &own.y, &staged.y);
        same_bits(p, &own.dx, &staged.dx);
        same_bits(p, &own.dw, &staged.dw);
        p->gpu->layer_destroy(own.l), p->gpu->layer_destroy(staged.l);
        twin *all[] = {&x, &w, &dy, &own.y, &own.dx, &own.dw, &staged.y, &staged.dx, &staged.dw};
        for (size_t t = 0; t < sizeof all / sizeof *all; t++) twin_free(p, all[t]);
    }
}

/* The largest difference of two arrays, as a part of the largest number. NaN counts as infinite. */
static double difference(parity *p, const twin *a, const twin *b, vly_dtype type) {
    void *first = twin_gpu(p, a), *second = twin_gpu(p, b);
    double largest = 1e-6, worst = 0;
    for (int64_t i = 0; i < (int64_t)(a->bytes / vly_dtype_bytes(type)); i++) {
        const double x = value_of(type, first, i), error = fabs(x - value_of(type, second, i));
        largest = fmax(largest, fabs(x));
        worst = isnan(error) ? INFINITY : fmax(worst, error);
    }
    free(first), free(second);
    return worst / largest;
}

/* Bits of a descriptor, alone the other way round: those that determine where numbers lie show in the
 * result, and the others do not. */
static void every_bit_of_a_descriptor_counts(parity *p) {
    /* two steps of three stages: what a wrong descriptor reads lies in shared memory */
    enum { START = 1, LEADING = 25, STRIDE = 38, SWIZZLE = 62 };
    static const int bits[] = {START, LEADING, STRIDE, SWIZZLE};
    const vly_layer_desc d = {.kind = VLY_LINEAR,
                              .batch_max = 128,
                              .in_h = 1,
                              .in_w = 1,
                              .in_c = 128,
                              .out_c = 128,
                              .kernel = 1,
                              .stride = 1,
                              .x_type = VLY_BF16,
                              .y_type = VLY_BF16,
                              .x_scale = 1,
                              .learn = true,
                              .needs_dx = true,
                              .dz_given = true};
    twin x = reals(p, VLY_BF16, 128 * 128, 1), dy = reals(p, VLY_BF16, 128 * 128, 1),
         w = normals(p, (size_t)vly_layer_params(&d), 0.1f);
    setenv("VLY_TILE_WIDTH", "128", 1);
    passes own = passes_by(p, "own", &d, &x, 0, &w, &dy);
    for (int bit = -1; bit < 4; bit++)
        for (int b = 0; b < (bit < 0 ? 1 : 2); b++) {
            const uint64_t other = bit < 0 ? 0 : UINT64_C(1) << bits[bit];
            vly_shim_bend(b ? 0 : other, b ? other : 0);
            passes bent = passes_by(p, "wgmma", &d, &x, 0, &w, &dy);
            CHECK_STR(vly_layer_engine(bent.l, VLY_PASS_DW), "wgmma");
            const double y = difference(p, &own.y, &bent.y, VLY_BF16),
                         dx = difference(p, &own.dx, &bent.dx, VLY_BF16),
                         dw = difference(p, &own.dw, &bent.dw, VLY_F32);
            const bool idle = bit < 0 || (bits[bit] == LEADING && !b),
                       idle_along = idle || bits[bit] == LEADING;
            CHECK(idle_along ? y < 1e-2 : y > 0.05);
            CHECK(idle ? dx < 1e-2 : dx > 0.05);
            CHECK(idle ? dw < 1e-2 : dw > 0.05);
            p->gpu->layer_destroy(bent.l);
            twin_free(p, &bent.y), twin_free(p, &bent.dx), twin_free(p, &bent.dw);
        }
    vly_shim_bend(0, 0);
    unsetenv("VLY_TILE_WIDTH");
    p->gpu->layer_destroy(own.l);
    twin *all[] = {&x, &w, &dy, &own.y, &own.dx, &own.dw};
    for (size_t t = 0; t < sizeof all / sizeof *all; t++) twin_free(p, all[t]);
}

static void slopes_agree(parity *p) {
    for (vly_act act = VLY_ACT_RELU; act <= VLY_ACT_TANH; act++)
        for (int low = 0; low < 2; low++) {
            const vly_dtype type = low ? VLY_BF16 : VLY_F32;
            const int n = 1000;
            twin y = reals(p, type, n, 0.5f), dy = reals(p, type, n, 1);
            CHECK_OK(vly_slope_launch(type, act, n, y.gpu, dy.gpu, vly_stream_of(p->gpu_queue)));
            void *got = twin_gpu(p, &dy);
            for (int i = 0; i < n; i++) {
                const float at = value_of(type, y.cpu, i), d = value_of(type, dy.cpu, i);
                CHECK_NEAR(value_of(type, got, i),
                           act == VLY_ACT_RELU ? (at > 0 ? d : 0) : d * (1 - at * at),
                           low ? 0x1p-6 : 0);
            }
            free(got);
            twin_free(p, &y), twin_free(p, &dy);
        }
}

/* What cuBLASLt's and cuDNN's epilogues lack; those libraries have no twin in the shim, so the
 * kernels are called by themselves. */
static void what_the_libraries_lack_agrees(parity *p) {
    static const int sizes[] = {1, 257, 4099};
    cudaStream_t stream = vly_stream_of(p->gpu_queue);
    for (size_t s = 0; s < 3; s++)
        for (int low = 0; low < 2; low++) {
            const int n = sizes[s];
            twin y = reals(p, low ? VLY_BF16 : VLY_F32, n, 2), narrow = reals(p, VLY_BF16, n, 1),
                 sum = normals(p, (size_t)n, 1);
            CHECK_OK(vly_tanh_launch(low ? VLY_BF16 : VLY_F32, n, y.gpu, stream));
            CHECK_OK(vly_add_bf16_launch(n, narrow.gpu, sum.gpu, low, stream));
            void *got = twin_gpu(p, &y);
            for (int i = 0; i < n; i++) {
                ((float *)sum.cpu)[i] = (low ? ((float *)sum.cpu)[i] : 0.0f) +
                                        value_of(VLY_BF16, narrow.cpu, i);
                if (low)
                    CHECK_NEAR(value_of(VLY_BF16, got, i), vly_tanhf(value_of(VLY_BF16, y.cpu, i)),
                               0x1p-8);
                else
                    CHECK(value_of(VLY_F32, got, i) == vly_tanhf(((float *)y.cpu)[i]));
            }
            SAME(sum);
            free(got);
            twin_free(p, &y), twin_free(p, &narrow), twin_free(p, &sum);
        }
}
#endif

int main(void) {
#if defined(VLY_TEST_SHIM) && defined(__SANITIZE_THREAD__)
    SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers take "
         "minutes under it");
#endif
    setenv("VLY_ENGINE", "own", 0); /* no trials: under a sanitizer they would take minutes */
    char engine[32];
    snprintf(engine, sizeof engine, "%s", getenv("VLY_ENGINE"));
    parity both = parity_open(), *p = &both;
    parity_seed(3);
    linear_layers_agree(p);
    convolutions_agree(p);
    if (!QUICK) every_tile_width_agrees(p);
    every_width_agrees_of(p, "staged");
    every_width_agrees_of(p, "wgmma");
    a_batch_smaller_than_planned_works(p);
    joined_layers_agree(p);
    weight_gradients_at_once_agree(p);
    pools_agree(p);
    recurrent_layers_agree(p, false, 1e-5, 1e-4);
    recurrent_layers_agree(p, true, 3e-3, 1e-2);
    bad_layers_are_refused(p);
#ifdef VLY_TEST_SHIM
    if (!QUICK) staged_products_have_the_same_bits(p);
    if (!QUICK) every_bit_of_a_descriptor_counts(p);
    slopes_agree(p);
    what_the_libraries_lack_agrees(p);
#endif
    CHECK_STR(getenv("VLY_ENGINE"), engine);
    parity_close(p);
    return TEST_PASS;
}
