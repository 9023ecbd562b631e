/* Unfolded convolutions against their definition, number by number; the engine that uses them:
 * tests/gpu/engines.c. */
#include "tests/gpu/layer_parity.h"
#include "tests/kit/sanitized.h"
#ifdef VLY_TEST_SHIM
#include "gpu/internal.h"
#include "kernels/patches.h"

enum { SENTINEL = 64 }; /* bytes behind every output that must stay as they are */

static const struct {
    int n, h, w, c, o, k, s, pad;
} shapes[] = {
    {3, 20, 20, 4, 32, 8, 4, 0},  {2, 9, 9, 32, 64, 4, 2, 0},  {2, 7, 7, 64, 64, 3, 1, 0},
    {2, 10, 10, 4, 16, 3, 1, 0},  {2, 10, 10, 7, 16, 3, 1, 0}, {2, 12, 12, 4, 16, 3, 1, 1},
    {2, 11, 11, 16, 32, 3, 1, 1}, {5, 7, 9, 3, 5, 3, 2, 1},    {2, 8, 8, 8, 9, 2, 3, 0},
    {1, 5, 6, 2, 3, 5, 4, 4},     {9, 4, 4, 16, 40, 4, 4, 0},  {257, 1, 1, 24, 8, 1, 1, 0},
    {3, 6, 6, 12, 20, 3, 2, 2},
};

static vly_conv geometry(size_t s, vly_dtype x, vly_dtype y) {
    const vly_layer_desc d = {.kind = VLY_CONV,
                              .in_h = shapes[s].h,
                              .in_w = shapes[s].w,
                              .in_c = shapes[s].c,
                              .out_c = shapes[s].o,
                              .kernel = shapes[s].k,
                              .stride = shapes[s].s,
                              .pad = shapes[s].pad,
                              .x_type = x,
                              .y_type = y,
                              .x_scale = 1};
    return vly_conv_of(&d, VLY_MATH_FP32);
}

static float number(vly_dtype type, const void *data, int64_t i) {
    return type == VLY_U8 ? ((const uint8_t *)data)[i] : value_of(type, data, i);
}

/* Poisoned, with a sentinel behind. */
static twin poisoned(parity *p, int64_t n, vly_dtype type) {
    return twin_of(p, NULL, (size_t)n * vly_dtype_bytes(type) + SENTINEL);
}

static void *fetched(parity *p, const twin *t) {
    unsigned char *host = twin_gpu(p, t);
    for (size_t i = t->bytes - SENTINEL; i < t->bytes; i++) CHECK_EQ(host[i], 0xff);
    return host;
}

static void equal(vly_dtype type, const void *got, int64_t i, float want, const char *what,
                  size_t shape) {
    if (value_of(type, got, i) == want) return;
    fprintf(stderr, "%s of shape %zu, number %lld is %.9g, not %.9g\n", what, shape, (long long)i,
            (double)value_of(type, got, i), (double)want);
    exit(TEST_FAIL);
}

static void a_row_is_a_pixels_patch(parity *p, size_t s, vly_dtype x_type, vly_dtype type) {
    const vly_conv c = geometry(s, x_type, type);
    const int n = shapes[s].n, count = c.kernel * c.kernel * c.in_c,
              columns = vly_patch_columns(count, type);
    const int64_t rows = (int64_t)n * c.out_h * c.out_w;
    twin x = reals(p, x_type, (int64_t)n * c.in_h * c.in_w * c.in_c, 1),
         out = poisoned(p, rows * columns, type);
    CHECK_OK(vly_unfold_launch(&c, n, x.gpu, type, columns, out.gpu, vly_stream_of(p->gpu_queue)));
    void *got = fetched(p, &out);
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < columns; k++) {
            const int64_t image = r / (c.out_h * c.out_w);
            const int y = (int)(r / c.out_w % c.out_h) * c.stride - c.pad + k / c.in_c / c.kernel,
                      at = (int)(r % c.out_w) * c.stride - c.pad + k / c.in_c % c.kernel;
            const bool inside = k < count && y >= 0 && y < c.in_h && at >= 0 && at < c.in_w;
            equal(type, got, r * columns + k,
                  inside ? number(x_type, x.cpu,
                                  ((image * c.in_h + y) * c.in_w + at) * c.in_c + k % c.in_c)
                         : 0,
                  "unfold", s);
        }
    free(got);
    twin_free(p, &x), twin_free(p, &out);
}

/* The product that a library does, in double. */
static float product(vly_dtype type, const void *a, int64_t a_row, const void *b, int64_t b_row,
                     int columns) {
    double sum = 0;
    for (int k = 0; k < columns; k++)
        sum += (double)value_of(type, a, a_row * columns + k) *
               (double)value_of(type, b, b_row * columns + k);
    return (float)sum;
}

/* By the definition: every output pixel hands its slope to what it saw. */
static double *gradient(const vly_conv *c, int n, vly_dtype type, const void *dz, const void *w) {
    double *dx = calloc((size_t)n * (size_t)(c->in_h * c->in_w * c->in_c), sizeof *dx);
    for (int64_t r = 0; r < (int64_t)n * c->out_h * c->out_w; r++)
        for (int o = 0; o < c->out_c; o++)
            for (int k = 0; k < c->kernel * c->kernel * c->in_c; k++) {
                const int64_t image = r / (c->out_h * c->out_w);
                const int y = (int)(r / c->out_w % c->out_h) * c->stride - c->pad +
                              k / c->in_c / c->kernel;
                const int x = (int)(r % c->out_w) * c->stride - c->pad + k / c->in_c % c->kernel;
                if (y < 0 || y >= c->in_h || x < 0 || x >= c->in_w) continue;
                dx[((image * c->in_h + y) * c->in_w + x) * c->in_c + k % c->in_c] +=
                    (double)value_of(type, dz, r * c->out_c + o) *
                    (double)value_of(type, w, (int64_t)o * c->kernel * c->kernel * c->in_c + k);
            }
    return dx;
}

static twin cells_of(parity *p, const vly_conv *t, int n, vly_dtype type, const twin *rows,
                     const twin *turned, int columns) {
    const int64_t many = (int64_t)n * t->out_h * t->out_w;
    void *a = fetched(p, rows), *b = fetched(p, turned);
    float *cells = malloc((size_t)many * (size_t)t->out_c * sizeof *cells);
    uint16_t *low = malloc((size_t)many * (size_t)t->out_c * sizeof *low);
    for (int64_t r = 0; r < many; r++)
        for (int j = 0; j < t->out_c; j++) {
            cells[r * t->out_c + j] = product(type, a, r, b, j, columns);
            uint32_t bits;
            memcpy(&bits, &cells[r * t->out_c + j], sizeof bits);
            low[r * t->out_c + j] = (uint16_t)((bits + 0x8000u) >> 16);
        }
    const size_t numbers = (size_t)many * (size_t)t->out_c;
    const twin made = type == VLY_BF16 ? twin_of(p, low, numbers * 2)
                                       : twin_of(p, cells, numbers * 4);
    free(a), free(b), free(cells), free(low);
    return made;
}

static void one_product_over_cells_is_the_input_gradient(parity *p, size_t s, vly_dtype type) {
    cudaStream_t stream = vly_stream_of(p->gpu_queue);
    const vly_conv c = geometry(s, type, type), t = vly_conv_turned(&c);
    const int n = shapes[s].n > 5 ? 5 : shapes[s].n,
              columns = vly_patch_columns(t.kernel * t.kernel * t.in_c, type);
    const int64_t pixels = (int64_t)n * c.in_h * c.in_w * c.in_c;
    twin dz = reals(p, type, (int64_t)n * c.out_h * c.out_w * c.out_c, 1),
         w = reals(p, type, (int64_t)c.out_c * c.kernel * c.kernel * c.in_c, 1);
    twin rows = poisoned(p, (int64_t)n * t.out_h * t.out_w * columns, type),
         turned = poisoned(p, (int64_t)t.out_c * columns, type), dx = poisoned(p, pixels, type);
    CHECK_OK(vly_unfold_launch(&t, n, dz.gpu, type, columns, rows.gpu, stream));
    CHECK_OK(vly_turn_weights_launch(&c, w.gpu, type, columns, turned.gpu, stream));
    twin cells = cells_of(p, &t, n, type, &rows, &turned, columns);
    CHECK_OK(vly_fold_cells_launch(&c, n, cells.gpu, dx.gpu, stream));
    double *want = gradient(&c, n, type, dz.cpu, w.cpu);
    void *got = fetched(p, &dx);
    for (int64_t i = 0; i < pixels; i++)
        CHECK_NEAR(value_of(type, got, i), want[i],
                   (type == VLY_BF16 ? 1e-2 : 1e-5) * (1 + fabs(want[i])));
    if (c.stride == 1)
        CHECK(!memcmp(got, cells.cpu, (size_t)pixels * vly_dtype_bytes(type))); /* cells are pixels
                                                                                 */
    free(want), free(got);
    twin *all[] = {&dz, &w, &rows, &turned, &dx, &cells};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}

static void rows_grow_and_shrink(parity *p, vly_dtype type) {
    enum { ROWS = 37, COUNT = 27, COLUMNS = 32 };
    cudaStream_t stream = vly_stream_of(p->gpu_queue);
    twin from = reals(p, type, ROWS * COUNT, 1), wide = poisoned(p, ROWS * COLUMNS, type),
         sum = normals(p, ROWS * COUNT, 1);
    CHECK_OK(vly_widen_rows_launch(ROWS, COUNT, COLUMNS, type, from.gpu, wide.gpu, stream));
    void *got = fetched(p, &wide);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        equal(type, got, i,
              i % COLUMNS < COUNT ? value_of(type, from.cpu, i / COLUMNS * COUNT + i % COLUMNS) : 0,
              "widen", 0);
    free(got);
    for (int accumulate = 0; type == VLY_F32 && accumulate < 2; accumulate++) {
        CHECK_OK(
            vly_narrow_rows_launch(ROWS, COLUMNS, COUNT, wide.gpu, sum.gpu, accumulate, stream));
        for (int i = 0; i < ROWS * COUNT; i++)
            ((float *)sum.cpu)[i] = (accumulate ? ((float *)sum.cpu)[i] : 0) +
                                    ((float *)from.cpu)[i];
        SAME(sum);
    }
    twin_free(p, &from), twin_free(p, &wide), twin_free(p, &sum);
}

static void bad_arguments_are_refused(parity *p) {
    const vly_conv c = geometry(2, VLY_F32, VLY_F32);
    twin x = zeros(p, 1 << 16);
    CHECK_EQ(vly_unfold_launch(&c, 1, x.gpu, VLY_F32, 575, x.gpu, NULL), VLY_EINVAL); /* no whole 16
                                                                                         bytes */
    CHECK_EQ(vly_unfold_launch(&c, 1, x.gpu, VLY_BF16, 576, x.gpu, NULL),
             VLY_EINVAL); /* f32 images stay f32 */
    CHECK_EQ(vly_unfold_launch(&c, 1 << 24, x.gpu, VLY_F32, 576, x.gpu, NULL),
             VLY_EINVAL); /* more rows than an index counts */
    CHECK_EQ(vly_turn_weights_launch(&c, NULL, VLY_F32, 576, x.gpu, NULL), VLY_EINVAL);
    CHECK_EQ(vly_widen_rows_launch(3, 8, 7, VLY_F32, x.gpu, x.gpu, NULL), VLY_EINVAL);
    twin_free(p, &x);
}
#endif

int main(void) {
#ifndef VLY_TEST_SHIM
    SKIP("the kernels by themselves run through the shim alone; on a device gpu_engines_device "
         "reaches them through the engine");
#else
    if (SANITIZED_THREADS)
        SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers "
             "take minutes under it");
    parity both = parity_open(), *p = &both;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        parity_seed(s);
        a_row_is_a_pixels_patch(p, s, VLY_U8, VLY_BF16);
        a_row_is_a_pixels_patch(p, s, VLY_U8, VLY_F32);
        a_row_is_a_pixels_patch(p, s, VLY_BF16, VLY_BF16);
        a_row_is_a_pixels_patch(p, s, VLY_F32, VLY_F32);
        one_product_over_cells_is_the_input_gradient(p, s, VLY_F32);
        one_product_over_cells_is_the_input_gradient(p, s, VLY_BF16);
    }
    rows_grow_and_shrink(p, VLY_F32);
    rows_grow_and_shrink(p, VLY_BF16);
    bad_arguments_are_refused(p);
    parity_close(p);
    return TEST_PASS;
#endif
}
