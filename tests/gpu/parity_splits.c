/* Products in parts, by each of our forms: k of a narrow batch and the rows of a weight gradient are
 * split over blocks. Parts of gradients end in the middle of a step of the product by warpgroups, and
 * every last part is shorter than the others. */
#include "tests/gpu/layer_parity.h"

#ifdef VLY_SHIM_RACES
enum { QUICK = 1 }; /* every load and store takes a hundred times as long */
#else
enum { QUICK = 0 };
#endif

typedef struct {
    int n;
    bool gradient; /* what is split: the weight gradient, else the forward pass */
    vly_layer_desc d;
} split_case;

/* A step along k is 32 numbers, 64 by warpgroups. A part of a forward pass is four steps at least,
 * one of a gradient 256 rows. */
static const split_case cases[] = {
    {8,
     false,
     {.kind = VLY_LINEAR,
      .act = VLY_ACT_RELU,
      .in_c = 1032,
      .out_c = 40,
      .x_type = VLY_BF16,
      .y_type = VLY_BF16}},
    {650,
     true,
     {.kind = VLY_LINEAR, .in_c = 168, .out_c = 40, .x_type = VLY_BF16, .y_type = VLY_BF16}},
    {8,
     true,
     {.kind = VLY_CONV, /* 81 rows an image: a part begins within one */
      .in_h = 9,
      .in_w = 9,
      .in_c = 8,
      .out_c = 40,
      .kernel = 3,
      .stride = 1,
      .pad = 1,
      .x_type = VLY_BF16,
      .y_type = VLY_BF16}},
    {7,
     false,
     {.kind = VLY_CONV,
      .in_h = 5,
      .in_w = 5,
      .in_c = 64,
      .out_c = 40,
      .kernel = 3,
      .stride = 1,
      .x_type = VLY_BF16,
      .y_type = VLY_BF16}},
    {5,
     false,
     {.kind = VLY_CONV,
      .in_h = 14,
      .in_w = 14,
      .in_c = 4,
      .out_c = 40,
      .kernel = 12,
      .stride = 2,
      .x_type = VLY_U8,
      .y_type = VLY_BF16}},
};
enum { CASES = sizeof cases / sizeof *cases };

#ifdef VLY_TEST_SHIM
#include "gpu/internal.h"

/* The parts of `numbers` each that were written to working memory, which was NaN before. */
static int64_t parts_in(parity *p, const void *memory, size_t bytes, int64_t numbers) {
    uint32_t *host = malloc(bytes);
    int64_t written = 0;
    CHECK_OK(p->gpu->download(p->gpu_queue, host, memory, bytes));
    CHECK_OK(p->gpu->queue_sync(p->gpu_queue));
    for (size_t i = 0; i < bytes / 4; i++) written += host[i] != UINT32_MAX;
    free(host);
    CHECK_EQ(written % numbers, 0);
    return written / numbers;
}

static int64_t forward_parts(parity *p, vly_layer *l, int n, const twin *x, const twin *w,
                             const twin *y) {
    const int most = ((vly_cuda *)p->gpu)->multiprocessors;
    const size_t bytes = (size_t)most * 128 * 128 * 4; /* behind the counters */
    char *partial = (char *)((vly_cuda_queue *)p->gpu_queue)->split + vly_split_bytes(most) - bytes;
    CHECK_OK(p->gpu->fill(p->gpu_queue, partial, 0xff, bytes));
    CHECK_OK(p->gpu->layer_forward(p->gpu_queue, l, n, x->gpu, w->gpu, y->gpu));
    return parts_in(p, partial, bytes, n * l->out_numbers);
}

static int64_t gradient_parts(parity *p, vly_layer *l, int n, const twin *x, const twin *w,
                              const twin *y, const twin *dw) {
    const size_t bytes = vly_conv_dw_bytes(&l->conv, n, ((vly_cuda *)p->gpu)->multiprocessors);
    CHECK_OK(p->gpu->fill(p->gpu_queue, l->partial, 0xff, bytes));
    CHECK_OK(p->gpu->layer_backward(p->gpu_queue, l, n, x->gpu, y->gpu, w->gpu, y->gpu, NULL,
                                    dw->gpu, false));
    CHECK_OK(p->gpu->backward_end(p->gpu_queue));
    return parts_in(p, l->partial, bytes, l->weights + l->d.out_c);
}

static void the_product_has_parts(parity *p, const split_case *s, const char *engine) {
    vly_layer_desc d = s->d;
    vly_layer *l;
    d.batch_max = s->n, d.x_scale = d.x_type == VLY_U8 ? 1.0f / 255 : 1, d.learn = true;
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &l));
    const vly_pass pass = s->gradient ? VLY_PASS_DW : VLY_PASS_FORWARD;
    CHECK_STR(vly_layer_engine(l, pass), engine);
    twin x = reals(p, d.x_type, s->n * l->in_numbers, 1),
         w = normals(p, (size_t)(l->weights + d.out_c), 0.1f),
         y = reals(p, d.y_type, s->n * l->out_numbers, 1),
         dw = outputs(p, (size_t)(l->weights + d.out_c));
    CHECK_OK(p->gpu->layer_prepare(p->gpu_queue, l, w.gpu));
    const int64_t parts = s->gradient ? gradient_parts(p, l, s->n, &x, &w, &y, &dw)
                                      : forward_parts(p, l, s->n, &x, &w, &y);
    CHECK(parts >= 2);
    if (s->gradient) { /* conv_dw.cu: so many rows each */
        const int64_t rows = s->n * l->out_numbers / d.out_c, each = (rows + parts - 1) / parts;
        CHECK_EQ((each + 31) / 32 * 32 % 64, 32);
    }
    p->gpu->layer_destroy(l);
    twin *all[] = {&x, &w, &y, &dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}
#endif

/* Two layers that read the same input, each with working memory of its own. */
static void two_layers_in_parts_agree(parity *p) {
    enum { ROWS = 8, IN = 1032 };
    static const int columns[2] = {40, 9};
    vly_layer *cpu[2], *gpu[2];
    twin x = reals(p, VLY_BF16, ROWS * IN, 1), w[2], y[2];
    vly_layer_desc d[2];
    for (int i = 0; i < 2; i++) {
        d[i] = (vly_layer_desc){.kind = VLY_LINEAR,
                                .batch_max = ROWS,
                                .in_c = IN,
                                .out_c = columns[i],
                                .x_type = VLY_BF16,
                                .y_type = VLY_F32,
                                .x_scale = 1};
        CHECK_OK(p->cpu->layer_create(p->cpu, &d[i], &cpu[i]));
        CHECK_OK(p->gpu->layer_create(p->gpu, &d[i], &gpu[i]));
        w[i] = normals(p, (size_t)vly_layer_params(&d[i]), 0.03f);
        y[i] = outputs(p, (size_t)(ROWS * columns[i]));
        BOTH(c->layer_prepare(q, on_gpu ? gpu[i] : cpu[i], D(w[i])));
        CHECK_OK(p->cpu->layer_forward(p->cpu_queue, cpu[i], ROWS, x.cpu, w[i].cpu, y[i].cpu));
    }
    CHECK_OK(p->gpu->layer_forward_two(p->gpu_queue, gpu, ROWS, x.gpu,
                                       (const vly_real *const[]){w[0].gpu, w[1].gpu},
                                       (void *const[]){y[0].gpu, y[1].gpu}));
    for (int i = 0; i < 2; i++) {
        agrees(p, &d[i], ROWS, "y of two", &y[i], VLY_F32, ROWS * columns[i], 1.5e-2);
        p->cpu->layer_destroy(cpu[i]);
        p->gpu->layer_destroy(gpu[i]);
        twin_free(p, &w[i]), twin_free(p, &y[i]);
    }
    twin_free(p, &x);
}

static void parts_agree_of(parity *p, const char *engine, int most_widths) {
    static const char *const widths[] = {"64", "32", "128"};
    char *before = engine_forced(engine);
    for (int w = 0; w < (QUICK ? 1 : most_widths); w++) {
        CHECK_EQ(setenv("VLY_TILE_WIDTH", widths[w], 1), 0);
        for (int i = 0; i < (QUICK ? 2 : CASES); i++) {
            layer_agrees(p, cases[i].d, cases[i].n);
#ifdef VLY_TEST_SHIM
            the_product_has_parts(p, &cases[i], engine);
#endif
        }
        two_layers_in_parts_agree(p);
    }
    unsetenv("VLY_TILE_WIDTH");
    engine_restored(before);
}

int main(void) {
#if defined(VLY_TEST_SHIM) && defined(__SANITIZE_THREAD__)
    SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers take "
         "minutes under it");
#endif
    parity both = parity_open(), *p = &both;
    parity_seed(5);
    parts_agree_of(p, "own", 1);
    parts_agree_of(p, "staged", 3);
    parts_agree_of(p, "wgmma", 3);
    parity_close(p);
    return TEST_PASS;
}
