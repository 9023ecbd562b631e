#include "tests/gpu/layer_parity.h"

#ifdef VLY_SHIM_RACES
enum { QUICK = 1 }; /* every load and store takes a hundred times as long */
#else
enum { QUICK = 0 };
#endif

static void linear_layers_agree(parity *p) {
    static const int shapes[][3] = {{1, 1, 1},      {5, 4, 64},  {257, 64, 64}, {130, 512, 6},
                                    {33, 100, 130}, {70, 7, 18}, {300, 8, 1}};
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
    CHECK_EQ(setenv("VLY_ENGINE", "own", 1), 0);
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
    unsetenv("VLY_ENGINE");
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

static void recurrent_layers_agree(parity *p) {
    static const int shapes[][3] = {{1, 1, 1}, {5, 3, 8}, {7, 130, 20}, {3, 33, 70}};
    for (size_t s = 0; s < 4; s++) {
        const int T = shapes[s][0], n = shapes[s][1], H = shapes[s][2];
        const size_t state = (size_t)(n * H);
        uint8_t resets[1024];
        for (int i = 0; i < T * n; i++) resets[i] = random_below(4) == 0 ? VLY_ROW_RESET : 0;
        twin reset = twin_of(p, resets, (size_t)(T * n)),
             w_h = normals(p, (size_t)(4 * H * H), 0.3f),
             gates = normals(p, (size_t)T * state * 4, 1);
        twin h = normals(p, (size_t)(T + 1) * state, 1),
             c1 = normals(p, (size_t)(T + 1) * state, 1), dh = normals(p, (size_t)T * state, 1);
        twin dgates = outputs(p, (size_t)T * state * 4), dw_h = outputs(p, (size_t)(4 * H * H)),
             work = outputs(p, 2 * state + 4 * state);
        BOTH(c->lstm_forward(q, T, n, H, D(w_h), D(reset), D(gates), D(h), D(c1)));
        NEAR(gates, 1e-5), NEAR(h, 1e-5), NEAR(c1, 1e-5);
        BOTH(c->lstm_backward(q, T, n, H, D(w_h), D(reset), D(gates), D(h), D(c1), D(dh), D(dgates),
                              D(dw_h), D(work)));
        NEAR(dgates, 1e-4), NEAR(dw_h, 1e-4);
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
    parity both = parity_open(), *p = &both;
    parity_seed(3);
    linear_layers_agree(p);
    convolutions_agree(p);
    if (!QUICK) every_tile_width_agrees(p);
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
