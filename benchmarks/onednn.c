/* onednn.c -- our layers beside oneDNN's, alternating in one process, with the same threads and
 * types.
 *
 *   build/onednn [--threads 2] [--rounds 9] [--out benchmarks/results/onednn.json]
 *
 * oneDNN picks its own layouts (format_tag_any) and copies into and out of them are not counted;
 * nor is the derivative of the ReLU, which it does apart and ours does inside, nor the first
 * layer's conversion from uint8. Its forward pass fuses bias and ReLU as ours does. Forward results
 * are compared before anything is timed. oneDNN 2.x; built where it is found, linked into nothing
 * else.
 */
#include <dlfcn.h>
#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>
#include "common/base/philox.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/machine/system.h"

enum { BATCH = 256, ROUNDS_MAX = 99 };
static const double sample_s = 0.04;
static void (*set_threads)(int); /* of the OpenMP runtime that oneDNN brought */

static const struct {
    const char *name;
    int image, in_c, out_c, kernel, stride; /* image 1: a fully connected layer */
} shapes[] = {{"nature/conv1", 84, 4, 32, 8, 4}, {"nature/conv2", 20, 32, 64, 4, 2},
              {"nature/conv3", 9, 64, 64, 3, 1}, {"nature/fc", 1, 3136, 512, 1, 1},
              {"minatar/conv", 10, 4, 16, 3, 1}, {"minatar/fc", 1, 1024, 128, 1, 1}};

static void need(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "onednn: %s failed: %s\n", what, vly_error_text());
    exit(1);
}
#define NEED(call) need((call) == 0, #call)

/* ---- one layer, both ways ---- */

typedef struct {
    vly_layer_desc d;
    int out;
    int64_t x_n, y_n, w_n; /* numbers */
    /* ours */
    vly_compute *c;
    vly_queue *q;
    vly_layer *layer;
    void *x, *y, *dy, *dx;
    float *w, *dw;
    /* theirs */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t forward, backward_data, backward_weights;
    dnnl_exec_arg_t forward_args[4], data_args[3], weights_args[4];
} subject;

static void ours_forward(subject *s) {
    NEED(s->c->layer_forward(s->q, s->layer, BATCH, s->x, s->w, s->y));
}
static void ours_backward(subject *s) {
    NEED(s->c->layer_backward(s->q, s->layer, BATCH, s->x, s->y, s->w, s->dy, s->dx, s->dw, false));
}
static void theirs_forward(subject *s) {
    NEED(dnnl_primitive_execute(s->forward, s->stream, 4, s->forward_args));
    NEED(dnnl_stream_wait(s->stream));
}
static void theirs_backward(subject *s) {
    if (s->d.needs_dx) NEED(dnnl_primitive_execute(s->backward_data, s->stream, 3, s->data_args));
    NEED(dnnl_primitive_execute(s->backward_weights, s->stream, 4, s->weights_args));
    NEED(dnnl_stream_wait(s->stream));
}

static float noise(uint32_t what, int64_t i) {
    return 2 * vly_unit(vly_philox(7, VLY_STREAM_TEST, what, (uint32_t)i).v[0]) - 1;
}

static void *numbers(vly_dtype type, int64_t n, uint32_t what, float scale) {
    void *to = aligned_alloc(256, ((size_t)n * 4 + 511) / 256 * 256);
    need(to != NULL, "memory");
    for (int64_t i = 0; i < n; i++)
        if (type == VLY_BF16)
            ((uint16_t *)to)[i] = vly_bf16_from_f32(scale * noise(what, i));
        else
            ((float *)to)[i] = scale * noise(what, i);
    return to;
}

static void open_ours(subject *s, int threads) {
    NEED(vly_compute_create_cpu(&s->c, threads));
    NEED(s->c->queue_create(s->c, VLY_QUEUE_LEARN, &s->q));
    NEED(s->c->layer_create(s->c, &s->d, &s->layer));
    s->x = numbers(s->d.x_type, s->x_n, 1, 1);
    s->y = numbers(s->d.y_type, s->y_n, 2, 1);
    s->dy = numbers(s->d.y_type, s->y_n, 3, 1);
    s->dx = numbers(s->d.x_type, s->x_n, 4, 1);
    s->w = numbers(VLY_F32, s->w_n + s->d.out_c, 5, 0.05f);
    s->dw = numbers(VLY_F32, s->w_n + s->d.out_c, 6, 1);
    NEED(s->c->layer_prepare(s->q, s->layer, s->w));
}

/* ---- oneDNN's side ---- */

typedef struct {
    dnnl_memory_desc_t x, w, b, y, dw;
} descs;

static descs describe(const subject *s, dnnl_data_type_t type, bool any) {
    const vly_layer_desc *d = &s->d;
    const bool flat = d->kind == VLY_LINEAR;
    const int nd = flat ? 2 : 4;
    const dnnl_dims_t x = {BATCH, d->in_c, d->in_h, d->in_w},
                      w = {d->out_c, d->in_c, d->kernel, d->kernel}, b = {d->out_c},
                      y = {BATCH, d->out_c, s->out, s->out};
    const dnnl_format_tag_t tag = any    ? dnnl_format_tag_any
                                  : flat ? dnnl_ab
                                         : dnnl_acdb; /* ours: rows, channels last */
    descs m;
    NEED(dnnl_memory_desc_init_by_tag(&m.x, nd, x, type, tag));
    NEED(dnnl_memory_desc_init_by_tag(&m.w, nd, w, type, tag));
    NEED(dnnl_memory_desc_init_by_tag(&m.dw, nd, w, dnnl_f32, tag));
    NEED(dnnl_memory_desc_init_by_tag(&m.b, 1, b, dnnl_f32, dnnl_a));
    NEED(dnnl_memory_desc_init_by_tag(&m.y, nd, y, type, tag));
    return m;
}

static dnnl_memory_t memory_like(const subject *s, const dnnl_memory_desc_t *desc) {
    dnnl_memory_t m;
    NEED(dnnl_memory_create(&m, desc, s->engine, DNNL_MEMORY_ALLOCATE));
    void *at;
    NEED(dnnl_memory_get_data_handle(m, &at));
    memset(at, 0, dnnl_memory_desc_get_size(desc));
    return m;
}

/* Copies between a memory and plain numbers of ours in the layout of `desc`. */
static void reorder(const subject *s, dnnl_memory_t theirs, const dnnl_memory_desc_t *desc,
                    void *ours, bool in) {
    const dnnl_memory_desc_t *their_desc;
    dnnl_memory_t mine;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t p;
    NEED(dnnl_memory_get_memory_desc(theirs, &their_desc));
    NEED(dnnl_memory_create(&mine, desc, s->engine, ours));
    NEED(dnnl_reorder_primitive_desc_create(&pd, in ? desc : their_desc, s->engine,
                                            in ? their_desc : desc, s->engine, NULL));
    NEED(dnnl_primitive_create(&p, pd));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, in ? mine : theirs},
                                    {DNNL_ARG_TO, in ? theirs : mine}};
    NEED(dnnl_primitive_execute(p, s->stream, 2, args));
    NEED(dnnl_stream_wait(s->stream));
    dnnl_primitive_destroy(p);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(mine);
}

static dnnl_primitive_attr_t relu_after(void) {
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    NEED(dnnl_primitive_attr_create(&attr));
    NEED(dnnl_post_ops_create(&ops));
    NEED(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0));
    NEED(dnnl_primitive_attr_set_post_ops(attr, ops));
    dnnl_post_ops_destroy(ops);
    return attr;
}

/* The three primitives' descriptions for either kind of layer. */
static void plan(subject *s, const descs *m, dnnl_primitive_desc_t pd[3]) {
    const dnnl_dims_t stride = {s->d.stride, s->d.stride}, none = {0, 0};
    dnnl_primitive_attr_t relu = relu_after();
    if (s->d.kind == VLY_LINEAR) {
        dnnl_inner_product_desc_t f, bd, bw;
        NEED(dnnl_inner_product_forward_desc_init(&f, dnnl_forward_training, &m->x, &m->w, &m->b,
                                                  &m->y));
        NEED(dnnl_primitive_desc_create(&pd[0], &f, relu, s->engine, NULL));
        NEED(dnnl_inner_product_backward_data_desc_init(&bd, &m->x, &m->w, &m->y));
        NEED(dnnl_primitive_desc_create(&pd[1], &bd, NULL, s->engine, pd[0]));
        NEED(dnnl_inner_product_backward_weights_desc_init(&bw, &m->x, &m->dw, &m->b, &m->y));
        NEED(dnnl_primitive_desc_create(&pd[2], &bw, NULL, s->engine, pd[0]));
    } else {
        dnnl_convolution_desc_t f, bd, bw;
        NEED(dnnl_convolution_forward_desc_init(&f, dnnl_forward_training, dnnl_convolution_direct,
                                                &m->x, &m->w, &m->b, &m->y, stride, none, none));
        NEED(dnnl_primitive_desc_create(&pd[0], &f, relu, s->engine, NULL));
        NEED(dnnl_convolution_backward_data_desc_init(&bd, dnnl_convolution_direct, &m->x, &m->w,
                                                      &m->y, stride, none, none));
        NEED(dnnl_primitive_desc_create(&pd[1], &bd, NULL, s->engine, pd[0]));
        NEED(dnnl_convolution_backward_weights_desc_init(&bw, dnnl_convolution_direct, &m->x,
                                                         &m->dw, &m->b, &m->y, stride, none, none));
        NEED(dnnl_primitive_desc_create(&pd[2], &bw, NULL, s->engine, pd[0]));
    }
    dnnl_primitive_attr_destroy(relu);
}

static const dnnl_memory_desc_t *wants(dnnl_primitive_desc_t pd, int arg) {
    return dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, arg);
}

/* A memory in the layout the primitive wants, holding our numbers. */
static dnnl_memory_t filled(const subject *s, dnnl_primitive_desc_t pd, int arg,
                            const dnnl_memory_desc_t *ours, void *from) {
    dnnl_memory_t m = memory_like(s, wants(pd, arg));
    if (from) reorder(s, m, ours, from, true);
    return m;
}

static void open_theirs(subject *s) {
    const bool low = s->d.x_type == VLY_BF16;
    const dnnl_data_type_t type = low ? dnnl_bf16 : dnnl_f32;
    const descs any = describe(s, type, true), plain = describe(s, type, false),
                wide = describe(s, dnnl_f32, false);
    dnnl_primitive_desc_t pd[3];
    NEED(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
    NEED(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
    plan(s, &any, pd);
    NEED(dnnl_primitive_create(&s->forward, pd[0]));
    NEED(dnnl_primitive_create(&s->backward_data, pd[1]));
    NEED(dnnl_primitive_create(&s->backward_weights, pd[2]));
    float *bias = s->w + s->w_n;
    const dnnl_exec_arg_t f[] = {
        {DNNL_ARG_SRC, filled(s, pd[0], DNNL_ARG_SRC, &plain.x, s->x)},
        {DNNL_ARG_WEIGHTS, filled(s, pd[0], DNNL_ARG_WEIGHTS, &wide.w, s->w)},
        {DNNL_ARG_BIAS, filled(s, pd[0], DNNL_ARG_BIAS, &plain.b, bias)},
        {DNNL_ARG_DST, filled(s, pd[0], DNNL_ARG_DST, NULL, NULL)}};
    const dnnl_exec_arg_t d[] = {
        {DNNL_ARG_DIFF_DST, filled(s, pd[1], DNNL_ARG_DIFF_DST, &plain.y, s->dy)},
        {DNNL_ARG_WEIGHTS, filled(s, pd[1], DNNL_ARG_WEIGHTS, &wide.w, s->w)},
        {DNNL_ARG_DIFF_SRC, filled(s, pd[1], DNNL_ARG_DIFF_SRC, NULL, NULL)}};
    const dnnl_exec_arg_t w[] = {
        {DNNL_ARG_SRC, filled(s, pd[2], DNNL_ARG_SRC, &plain.x, s->x)},
        {DNNL_ARG_DIFF_DST, filled(s, pd[2], DNNL_ARG_DIFF_DST, &plain.y, s->dy)},
        {DNNL_ARG_DIFF_WEIGHTS, filled(s, pd[2], DNNL_ARG_DIFF_WEIGHTS, NULL, NULL)},
        {DNNL_ARG_DIFF_BIAS, filled(s, pd[2], DNNL_ARG_DIFF_BIAS, NULL, NULL)}};
    memcpy(s->forward_args, f, sizeof f);
    memcpy(s->data_args, d, sizeof d);
    memcpy(s->weights_args, w, sizeof w);
    for (int i = 0; i < 3; i++) dnnl_primitive_desc_destroy(pd[i]);
}

static uint64_t digest(dnnl_memory_t m) {
    const dnnl_memory_desc_t *desc;
    void *at;
    NEED(dnnl_memory_get_memory_desc(m, &desc));
    NEED(dnnl_memory_get_data_handle(m, &at));
    return XXH3_64bits(at, dnnl_memory_desc_get_size(desc));
}

static void close_theirs(subject *s) {
    for (int i = 0; i < 4; i++)
        dnnl_memory_destroy(s->forward_args[i].memory),
            dnnl_memory_destroy(s->weights_args[i].memory);
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(s->data_args[i].memory);
    dnnl_primitive_destroy(s->forward), dnnl_primitive_destroy(s->backward_data),
        dnnl_primitive_destroy(s->backward_weights);
    dnnl_stream_destroy(s->stream), dnnl_engine_destroy(s->engine);
}

/* Whether oneDNN gives the weights' gradient the same bits with 1, 2 and 3 threads. Ours does by
 * construction. */
static bool same_bits(const subject *s) {
    uint64_t seen[3];
    for (int threads = 1; threads <= 3; threads++) {
        subject again = *s;
        set_threads(threads);
        open_theirs(&again);
        theirs_backward(&again);
        seen[threads - 1] = digest(again.weights_args[2].memory);
        close_theirs(&again);
    }
    return seen[0] == seen[1] && seen[0] == seen[2];
}

/* Both forward passes give the same numbers, to the type's rounding. */
static void verify(subject *s, const char *name) {
    const bool low = s->d.x_type == VLY_BF16;
    const descs plain = describe(s, low ? dnnl_bf16 : dnnl_f32, false);
    ours_forward(s);
    theirs_forward(s);
    void *got = numbers(s->d.y_type, s->y_n, 9, 1);
    reorder(s, s->forward_args[3].memory, &plain.y, got, false);
    double size = 0, off = 0;
    for (int64_t i = 0; i < s->y_n; i++) {
        const double a = low ? vly_bf16_to_f32(((uint16_t *)s->y)[i]) : ((float *)s->y)[i],
                     b = low ? vly_bf16_to_f32(((uint16_t *)got)[i]) : ((float *)got)[i];
        size = fmax(size, fabs(b)), off = fmax(off, fabs(a - b));
    }
    free(got);
    if (off > (low ? 2e-2 : 1e-5) * size || size == 0)
        fprintf(stderr, "onednn: %s differs by %g of %g\n", name, off, size), exit(1);
}

static void close_both(subject *s) {
    close_theirs(s);
    s->c->layer_destroy(s->layer), s->c->queue_destroy(s->q), s->c->destroy(s->c);
    free(s->x), free(s->y), free(s->dy), free(s->dx), free(s->w), free(s->dw);
}

/* ---- measuring ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds a call. */
static double timed(void (*pass)(subject *), subject *s) {
    const double start = now();
    int n = 0;
    do pass(s), n++;
    while (now() - start < sample_s);
    return (now() - start) / n;
}

static int ascending(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}
static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

static void compare(subject *s, const char *name, const char *what, void (*ours)(subject *),
                    void (*theirs)(subject *), int rounds, const char *more) {
    double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX];
    ours(s), theirs(s);
    for (int i = 0; i < rounds; i++)
        a[i] = timed(ours, s), b[i] = timed(theirs, s), ratio[i] = b[i] / a[i];
    const double work = 2.0 * BATCH * s->out * s->out * (double)s->w_n *
                        (strcmp(what, "backward") ? 1
                         : s->d.needs_dx          ? 2
                                                  : 1);
    const double x = median(a, rounds), y = median(b, rounds), r = median(ratio, rounds);
    fprintf(stderr, "%-14s %-5s %-9s ours %8.1f us %6.0f GFLOP/s   oneDNN %8.1f us   ratio %5.2f\n",
            name, s->d.x_type == VLY_BF16 ? "bf16" : "f32", what, 1e6 * x, 1e-9 * work / x, 1e6 * y,
            r);
    printf("  {\"layer\": \"%s\", \"type\": \"%s\", \"pass\": \"%s\", \"ours_us\": %.1f, "
           "\"onednn_us\": %.1f, \"ratio\": %.3f%s\n",
           name, s->d.x_type == VLY_BF16 ? "bf16" : "f32", what, 1e6 * x, 1e6 * y, r, more);
}

static void one(int shape, bool low, int threads, int rounds, bool last) {
    const vly_dtype type = low ? VLY_BF16 : VLY_F32;
    const int image = shapes[shape].image;
    subject s = {.d = {.kind = image == 1 ? VLY_LINEAR : VLY_CONV,
                       .act = VLY_ACT_RELU,
                       .batch_max = BATCH,
                       .in_h = image,
                       .in_w = image,
                       .in_c = shapes[shape].in_c,
                       .out_c = shapes[shape].out_c,
                       .kernel = shapes[shape].kernel,
                       .stride = shapes[shape].stride,
                       .x_type = type,
                       .y_type = type,
                       .x_scale = 1,
                       .learn = true,
                       .needs_dx = !strstr(shapes[shape].name, "/conv1") &&
                                   strcmp(shapes[shape].name, "minatar/conv")}};
    s.out = vly_out_size(image, s.d.kernel, s.d.stride, 0);
    s.x_n = (int64_t)BATCH * image * image * s.d.in_c;
    s.y_n = (int64_t)BATCH * s.out * s.out * s.d.out_c;
    s.w_n = (int64_t)s.d.out_c * s.d.kernel * s.d.kernel * s.d.in_c;
    open_ours(&s, threads);
    const bool same = same_bits(&s);
    set_threads(threads);
    open_theirs(&s);
    char more[64];
    snprintf(more, sizeof more, ", \"onednn_same_bits_whatever_the_threads\": %s}%s",
             same ? "true" : "false", last ? "" : ",");
    verify(&s, shapes[shape].name);
    compare(&s, shapes[shape].name, "forward", ours_forward, theirs_forward, rounds, "},");
    compare(&s, shapes[shape].name, "backward", ours_backward, theirs_backward, rounds, more);
    close_both(&s);
}

int main(int argc, char **argv) {
    int threads = 2, rounds = 9;
    for (int i = 1; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--rounds"))
            rounds = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--out"))
            need(freopen(argv[i + 1], "w", stdout) != NULL, "opening the file of --out");
    need(threads >= 1 && rounds >= 1 && rounds <= ROUNDS_MAX, "reading the arguments");
    set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    need(set_threads != NULL, "finding OpenMP");
    set_threads(threads);
    const dnnl_version_t *v = dnnl_version();
    json_t *system = vly_system_json();
    printf("{\"command\": \"build/onednn --threads %d --rounds %d\", \"system\": %s, \"onednn\": "
           "\"%d.%d.%d\", \"batch\": %d, \"ratio\": \"their time over ours\", \"results\": [\n",
           threads, rounds, json_dumps(system, JSON_COMPACT), v->major, v->minor, v->patch, BATCH);
    const int n = (int)(sizeof shapes / sizeof shapes[0]);
    for (int low = 0; low < 2; low++)
        for (int i = 0; i < n; i++) one(i, low, threads, rounds, low && i == n - 1);
    printf("]}\n");
    json_decref(system);
    return fclose(stdout) == 0 ? 0 : 1;
}
