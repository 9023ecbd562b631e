/* Layers through cuBLASLt, whichever pass: linear ones, and convolutions as products of unfolded
 * patches. Through the shim the library is tests/gpu/cublas/fake_cublaslt.c; on a device the real
 * one. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/kit/built.h"
#include "tests/gpu/layer_parity.h"

typedef struct {
    int h, c, o, k, s, pad;
} shape;

static vly_layer_desc conv(shape s, int n, vly_act act, vly_dtype x, vly_dtype y) {
    return (vly_layer_desc){.kind = VLY_CONV,
                            .act = act,
                            .batch_max = n,
                            .in_h = s.h,
                            .in_w = s.h,
                            .in_c = s.c,
                            .out_c = s.o,
                            .kernel = s.k,
                            .stride = s.s,
                            .pad = s.pad,
                            .x_type = x,
                            .y_type = y,
                            .x_scale = x == VLY_U8 ? 1.0f / 255 : 1,
                            .learn = true,
                            .needs_dx = x != VLY_U8};
}

static void convolutions_agree(parity *p) {
    static const struct {
        int n, w;
        shape s;
    } cases[] = {
        {3, 20, {20, 4, 32, 8, 4, 0}},  {3, 9, {9, 32, 64, 4, 2, 0}},
        {2, 7, {7, 64, 64, 3, 1, 0}},   {2, 10, {10, 4, 16, 3, 1, 0}},
        {2, 10, {10, 7, 16, 3, 1, 0}},  {2, 12, {12, 4, 16, 3, 1, 1}},
        {2, 11, {11, 16, 32, 3, 1, 1}}, {5, 9, {7, 3, 5, 3, 2, 1}},
        {2, 8, {8, 8, 9, 2, 3, 0}},     {1, 6, {5, 2, 3, 5, 4, 4}},
        {33, 4, {4, 16, 40, 4, 4, 0}},  {21, 3, {5, 24, 8, 1, 1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vly_layer_desc d = conv(cases[i].s, 0, (vly_act)(i % 3), VLY_F32, VLY_F32);
        d.in_w = cases[i].w;
        in_all_precisions(p, d, cases[i].n, true);
        d.act = VLY_ACT_NONE; /* the bias gradient comes with dw */
        if (i % 3) in_all_precisions(p, d, cases[i].n, false);
    }
}

static void linear_layers_agree(parity *p) {
    static const int shapes[][3] = {
        {1, 1, 1}, {5, 4, 64}, {257, 64, 64}, {130, 512, 6}, {33, 100, 130}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (vly_act act = VLY_ACT_NONE; act <= VLY_ACT_RELU; act++)
            in_all_precisions(
                p,
                (vly_layer_desc){
                    .kind = VLY_LINEAR, .act = act, .in_c = shapes[s][1], .out_c = shapes[s][2]},
                shapes[s][0], false);
}

static void a_batch_smaller_than_planned_works(parity *p) {
    layer_agrees(p, conv((shape){9, 8, 16, 3, 1, 0}, 20, VLY_ACT_NONE, VLY_BF16, VLY_BF16), 7);
    layer_agrees(p, conv((shape){9, 8, 16, 3, 2, 1}, 90, VLY_ACT_RELU, VLY_F32, VLY_F32), 70);
}

static void all_agree(parity *p) {
    setenv("VLY_ENGINE", "patches", 1);
    convolutions_agree(p);
    a_batch_smaller_than_planned_works(p);
    setenv("VLY_ENGINE", "cublaslt", 1);
    linear_layers_agree(p);
    unsetenv("VLY_ENGINE");
}

#ifdef VLY_TEST_SHIM
#include "gpu/choices.h"
#include "gpu/internal.h"

static void patch_memory(parity *p, size_t bytes) {
    p->gpu->queue_destroy(p->gpu_queue);
    ((vly_cuda *)p->gpu)->patch_bytes = bytes;
    CHECK_OK(p->gpu->queue_create(p->gpu, VLY_QUEUE_LEARN, &p->gpu_queue));
}

/* ---- which layers it takes ---- */

static const char *engine_of(parity *p, const vly_layer_desc *d, vly_pass pass) {
    vly_layer *l;
    CHECK_OK(p->gpu->layer_create(p->gpu, d, &l));
    const char *name = vly_layer_engine(l, pass);
    p->gpu->layer_destroy(l);
    return name;
}

static void every_convolution_of_the_networks_is_taken(parity *p) {
    static const struct {
        shape s;
        bool first;
    } networks[] = {
        {{84, 4, 32, 8, 4, 0}, true},   {{20, 32, 64, 4, 2, 0}, false},
        {{9, 64, 64, 3, 1, 0}, false},                                 /* Nature */
        {{10, 4, 16, 3, 1, 0}, true},   {{10, 10, 16, 3, 1, 0}, true}, /* MinAtar */
        {{84, 4, 16, 3, 1, 1}, true},   {{42, 16, 16, 3, 1, 1}, false},
        {{42, 16, 32, 3, 1, 1}, false}, {{11, 32, 32, 3, 1, 1}, false}, /* IMPALA */
    };
    setenv("VLY_ENGINE", "patches", 1);
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        for (int kind = 0; kind < 3; kind++) { /* fp32, tf32, bf16 */
            const vly_dtype y = kind == 2 ? VLY_BF16 : VLY_F32;
            vly_layer_desc d = conv(networks[i].s, 64, VLY_ACT_RELU, networks[i].first ? VLY_U8 : y,
                                    y);
            d.tf32 = kind == 1;
            CHECK_STR(engine_of(p, &d, VLY_PASS_FORWARD), "patches");
            CHECK_STR(engine_of(p, &d, VLY_PASS_DW), "patches");
            if (!networks[i].first) CHECK_STR(engine_of(p, &d, VLY_PASS_DX), "patches");
        }
}

static void what_does_not_fit_is_left_to_us(parity *p) {
    vly_layer_desc d = conv((shape){84, 4, 32, 8, 4, 0}, 4, VLY_ACT_RELU, VLY_U8, VLY_F32);
    patch_memory(p, 400 * 256 * 4); /* an image's rows and nothing for their alignment */
    CHECK_STR(engine_of(p, &d, VLY_PASS_FORWARD), "own");
    patch_memory(p, 400 * 256 * 4 + 256);
    CHECK_STR(engine_of(p, &d, VLY_PASS_FORWARD), "patches");
    d.x_type = VLY_BF16, d.x_scale = 1;
    CHECK_STR(engine_of(p, &d, VLY_PASS_FORWARD), "patches");
    CHECK_STR(engine_of(p, &d, VLY_PASS_DW), "own"); /* bf16 patches and f32 slopes are no pair */
    unsetenv("VLY_ENGINE");
}

/* ---- a layer by itself ---- */

typedef struct {
    parity *p;
    vly_layer *l;
    vly_layer_desc d;
    twin x, w, y, dy, dz, dx, dw;
} single;

static single single_open(parity *p, vly_layer_desc d) {
    const int out = vly_out_size(d.in_h, d.kernel, d.stride, d.pad);
    const int64_t xs = (int64_t)d.batch_max * d.in_h * d.in_w * d.in_c,
                  ys = (int64_t)d.batch_max * out * out * d.out_c;
    single s = {.p = p,
                .d = d,
                .x = reals(p, d.x_type, xs, 1),
                .w = normals(p, (size_t)vly_layer_params(&d), 0.1f),
                .dy = reals(p, d.y_type, ys, 1)};
    s.y = twin_of(p, NULL, (size_t)ys * vly_dtype_bytes(d.y_type)),
    s.dz = twin_of(p, NULL, s.dy.bytes);
    s.dx = twin_of(p, NULL, (size_t)xs * vly_dtype_bytes(d.x_type)),
    s.dw = outputs(p, (size_t)vly_layer_params(&d));
    CHECK_OK(p->gpu->layer_create(p->gpu, &d, &s.l));
    return s;
}

static void single_close(single *s) {
    s->p->gpu->layer_destroy(s->l);
    twin *all[] = {&s->x, &s->w, &s->y, &s->dy, &s->dz, &s->dx, &s->dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(s->p, all[i]);
}

static vly_status all_passes(vly_queue *q, void *arg) {
    single *s = arg;
    vly_compute *c = s->p->gpu;
    VLY_TRY(c->layer_prepare(q, s->l, s->w.gpu));
    VLY_TRY(c->layer_forward(q, s->l, s->d.batch_max, s->x.gpu, s->w.gpu, s->y.gpu));
    VLY_TRY(c->copy(q, s->dz.gpu, s->dy.gpu, s->dy.bytes));
    VLY_TRY(c->layer_backward(q, s->l, s->d.batch_max, s->x.gpu, s->y.gpu, s->w.gpu, s->dz.gpu,
                              s->d.needs_dx ? s->dx.gpu : NULL, s->dw.gpu, false));
    return c->backward_end(q);
}

typedef struct {
    void *y, *dx, *dw;
} results;

static results results_of(single *s) {
    return (results){twin_gpu(s->p, &s->y), twin_gpu(s->p, &s->dx), twin_gpu(s->p, &s->dw)};
}

static void same_results(const single *s, results a, results b) {
    CHECK(!memcmp(a.y, b.y, s->y.bytes));
    CHECK(!memcmp(a.dx, b.dx, s->dx.bytes));
    CHECK(!memcmp(a.dw, b.dw, s->dw.bytes));
}

static void results_free(results r) {
    free(r.y), free(r.dx), free(r.dw);
}

/* Captured once: what changes is read on the device, nothing is allocated or waited for. */
static void a_captured_pass_is_replayed(parity *p, vly_act act) {
    vly_graph *graph = NULL;
    patch_memory(p, 100000); /* several pieces */
    setenv("VLY_ENGINE", "patches", 1);
    single s = single_open(p, conv((shape){9, 8, 16, 4, 2, 0}, 40, act, VLY_F32, VLY_F32));
    unsetenv("VLY_ENGINE");
    CHECK_OK(p->gpu->graph_run(p->gpu_queue, &graph, all_passes, &s)); /* as it is */
    results plain = results_of(&s);
    for (int round = 0; round < 2; round++) { /* captured, replayed */
        CHECK_OK(p->gpu->fill(p->gpu_queue, s.y.gpu, 0xff, s.y.bytes));
        CHECK_OK(p->gpu->fill(p->gpu_queue, s.dx.gpu, 0xff, s.dx.bytes));
        CHECK_OK(p->gpu->fill(p->gpu_queue, s.dw.gpu, 0xff, s.dw.bytes));
        CHECK_OK(p->gpu->graph_run(p->gpu_queue, &graph, all_passes, &s));
        results again = results_of(&s);
        same_results(&s, plain, again);
        results_free(again);
    }
    /* other weights, same graph */
    twin w = normals(p, s.w.bytes / 4, 0.1f);
    CHECK_OK(p->gpu->copy(p->gpu_queue, s.w.gpu, w.gpu, s.w.bytes));
    CHECK_OK(p->gpu->graph_run(p->gpu_queue, &graph, all_passes, &s));
    results other = results_of(&s);
    CHECK_OK(all_passes(p->gpu_queue, &s));
    results direct = results_of(&s);
    same_results(&s, other, direct);
    CHECK(memcmp(other.y, plain.y, s.y.bytes) != 0);
    results_free(plain), results_free(other), results_free(direct);
    p->gpu->graph_destroy(graph);
    twin_free(p, &w);
    single_close(&s);
}

/* ---- the choice ---- */

static size_t choices(char *text, size_t bytes, const char *folder) {
    char path[300];
    snprintf(path, sizeof path, "%s/engines.tsv", folder);
    FILE *f = fopen(path, "r");
    CHECK(f);
    const size_t n = fread(text, 1, bytes - 1, f);
    text[n] = '\0';
    fclose(f);
    return n;
}

/* A layer with a memory of its own: what is chosen for a pass, and what engines.tsv says of it. */
static const char *contest_of(parity *p, const vly_layer_desc *d, vly_pass pass, char line[2048]) {
    static char name[32];
    static const char *const suffix[] = {"|forward\t", "|dx\t", "|dw\t"};
    char folder[] = "/tmp/vly-engines-XXXXXX", path[300], text[8192];
    CHECK(mkdtemp(folder));
    setenv("VLY_CACHE_DIR", folder, 1);
    engine_of(p, d, pass);
    choices(text, sizeof text, folder);
    char *rest = text, *found = NULL, *each;
    while (!found && (each = strsep(&rest, "\n")))
        if (strstr(each, suffix[pass])) found = each;
    CHECK(found);
    snprintf(line, 2048, "%s", found);
    unsetenv("VLY_CACHE_DIR");
    snprintf(path, sizeof path, "%s/engines.tsv", folder);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    const char *tab = strchr(line, '\t');
    CHECK(tab);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(tab + 1, "\t"), tab + 1);
    return name;
}

static const char *contest(parity *p, char line[2048]) {
    const vly_layer_desc d = conv((shape){5, 4, 8, 3, 1, 1}, 2, VLY_ACT_NONE, VLY_F32, VLY_F32);
    return contest_of(p, &d, VLY_PASS_FORWARD, line);
}

/* Microseconds that a line of engines.tsv gives for a candidate; the quickest of all without a
 * name. */
static double us_of(const char *line, const char *name) {
    double quickest = 1e30;
    const char *entry = strchr(strchr(line, '\t') + 1, '\t') + 1;
    for (; entry; entry = strstr(entry, ", ") ? strstr(entry, ", ") + 2 : NULL) {
        const size_t length = strcspn(entry, " ");
        if (name && (strlen(name) != length || strncmp(name, entry, length) != 0)) continue;
        const double us = strtod(entry + length, NULL);
        if (us > 0 && us < quickest) quickest = us;
    }
    return quickest;
}

static void a_librarys_suggestions_compete(parity *p) {
    static const char *const names[] = {"patches", "patches#1"};
    char line[2048];
    for (int slow = 0; slow < 2; slow++) {
        setenv("FAKE_CUBLASLT_SLOW", slow ? "1" : "0", 1);
        const char *chosen = contest(p, line);
        CHECK(us_of(line, chosen) <= us_of(line, NULL));
        CHECK(us_of(line, names[slow]) >= 1000 && us_of(line, names[!slow]) < 1e30 &&
              !strstr(line, "patches#2"));
    }
    unsetenv("FAKE_CUBLASLT_SLOW");
}

/* Ours with asynchronous copies, also by warpgroups: tried where a layer lets it, with each of its
 * widths; not chosen where it is wrong, here because nothing waits for the copies, or because
 * descriptors name other rows. */
static void staged_products_compete(parity *p) {
    vly_layer_desc d = conv((shape){9, 8, 72, 3, 2, 1}, 3, VLY_ACT_RELU, VLY_BF16, VLY_BF16);
    char line[2048];
    const char *file;
    int at, waits = 0;
    contest_of(p, &d, VLY_PASS_FORWARD, line);
    CHECK(!strstr(line, "staged") && !strstr(line, "wgmma"));
    setenv("VLY_SHIM_TRIALS", "1", 1);
    d.dz_given = d.dx_adds = true, d.below = VLY_ACT_RELU;
    for (vly_pass pass = VLY_PASS_FORWARD; pass < VLY_PASSES; pass++) {
        contest_of(p, &d, pass, line);
        CHECK(us_of(line, "own") < 1e30 && us_of(line, "staged") < 1e30);
        CHECK((us_of(line, "staged#1") < 1e30) == (pass == VLY_PASS_FORWARD));
        CHECK(us_of(line, "wgmma") < 1e30);
        CHECK((us_of(line, "wgmma#1") < 1e30) == (pass == VLY_PASS_FORWARD));
        CHECK(!strstr(line, "differs") && !strstr(line, "failed"));
    }
    for (size_t i = 0; vly_shim_site(i, &file, &at); i++) {
        if (!strstr(file, "async.h")) continue;
        vly_shim_drop(file, at);
        const char *chosen = contest_of(p, &d, VLY_PASS_FORWARD, line);
        CHECK(strncmp(chosen, "staged", 6) != 0 && strncmp(chosen, "wgmma", 5) != 0);
        CHECK(strstr(line, "staged differs") && strstr(line, "staged#1 differs"));
        CHECK(strstr(line, "wgmma differs") && strstr(line, "wgmma#1 differs"));
        vly_shim_drop("", 0);
        waits++;
    }
    CHECK_EQ(waits, 2);                  /* the commit and the wait */
    d.in_c = 72;                         /* no tile is narrow */
    vly_shim_bend(0, UINT64_C(1) << 38); /* 0 bytes from 8 rows to the next 8 */
    CHECK(strncmp(contest_of(p, &d, VLY_PASS_FORWARD, line), "wgmma", 5) != 0);
    CHECK(strstr(line, "wgmma differs") && strstr(line, "wgmma#1 differs"));
    CHECK(us_of(line, "staged") < 1e30);
    vly_shim_bend(0, 0);
    unsetenv("VLY_SHIM_TRIALS");
}

static void who_is_wrong_is_not_chosen(parity *p) {
    char line[2048];
    setenv("FAKE_CUBLASLT_WRONG", "0", 1);
    CHECK(strcmp(contest(p, line), "patches") != 0);
    CHECK(strstr(line, "patches differs") && !strstr(line, "patches#1 differs"));
    unsetenv("FAKE_CUBLASLT_WRONG");
    setenv("FAKE_CUBLASLT_LAZY", "1", 1); /* our own output still lies there, unless it was poisoned
                                           */
    CHECK(strcmp(contest(p, line), "patches#1") != 0);
    CHECK(strstr(line, "patches#1 differs"));
    unsetenv("FAKE_CUBLASLT_LAZY");
}

/* Small beside the weights' gradients, which have the sum over all pixels of a large image. */
static void a_wrong_bias_gradient_is_seen(parity *p) {
    char line[2048];
    vly_layer_desc d = {.kind = VLY_LINEAR,
                        .batch_max = 400,
                        .in_c = 3,
                        .out_c = 5,
                        .x_type = VLY_F32,
                        .y_type = VLY_F32,
                        .x_scale = 1,
                        .learn = true};
    setenv("FAKE_CUBLASLT_WRONG_BIAS", "0", 1);
    CHECK(strcmp(contest_of(p, &d, VLY_PASS_DW, line), "cublaslt") != 0);
    CHECK(strstr(line, "cublaslt differs") && !strstr(line, "cublaslt#1 differs"));
    unsetenv("FAKE_CUBLASLT_WRONG_BIAS");
}

/* A library whose ReLU is max(x, 0) is used without it. */
static void a_nan_passes_through_every_engine(parity *p) {
    char line[2048];
    const vly_layer_desc layers[] = {
        conv((shape){5, 4, 8, 3, 1, 1}, 2, VLY_ACT_RELU, VLY_F32, VLY_F32),
        conv((shape){5, 4, 8, 3, 1, 1}, 2, VLY_ACT_RELU, VLY_U8, VLY_F32),
        {.kind = VLY_LINEAR,
         .act = VLY_ACT_RELU,
         .batch_max = 9,
         .in_c = 24,
         .out_c = 7,
         .x_type = VLY_BF16,
         .y_type = VLY_BF16,
         .x_scale = 1,
         .learn = true,
         .needs_dx = true},
    };
    for (int i = 0; i < 3; i++) {
        const char *name = i == 2 ? "cublaslt" : "patches";
        char hides[40], apart[40];
        snprintf(hides, sizeof hides, "%s hides a NaN", name);
        snprintf(apart, sizeof apart, "%s#4 ", name);
        contest_of(p, &layers[i], VLY_PASS_FORWARD, line);
        CHECK(!strstr(line, "hides") && !strstr(line, "#4"));
        setenv("FAKE_CUBLASLT_HIDES_NAN", "0", 1);
        CHECK(strcmp(contest_of(p, &layers[i], VLY_PASS_FORWARD, line), name) != 0);
        CHECK(strstr(line, hides) && us_of(line, NULL) < 1e30);
        CHECK(strstr(line, apart) && strstr(strstr(line, apart), " us"));
        contest_of(p, &layers[i], VLY_PASS_DW, line);
        CHECK(!strstr(line, "hides"));
        unsetenv("FAKE_CUBLASLT_HIDES_NAN");
    }
}

static void a_relu_of_our_own_behind_the_product_agrees(parity *p) {
    setenv("VLY_ENGINE", "patches#4", 1);
    in_all_precisions(p, conv((shape){9, 8, 16, 3, 2, 1}, 0, VLY_ACT_RELU, VLY_F32, VLY_F32), 5,
                      true);
    setenv("VLY_ENGINE", "cublaslt#5", 1);
    in_all_precisions(
        p, (vly_layer_desc){.kind = VLY_LINEAR, .act = VLY_ACT_RELU, .in_c = 64, .out_c = 33}, 70,
        false);
    unsetenv("VLY_ENGINE");
}

/* The engine of a layer that two processes choose at the same time, with one memory. */
static int chosen(const vly_layer_desc *d) {
    static const char *const names[] = {"own", "patches"};
    parity p = parity_open();
    const char *name = engine_of(&p, d, VLY_PASS_FORWARD);
    parity_close(&p);
    for (int i = 0; i < 2; i++)
        if (!strcmp(name, names[i])) return i;
    return 99;
}

static void those_who_choose_at_once_agree(void) {
    char folder[] = "/tmp/vly-engines-XXXXXX", path[300];
    vly_layer_desc d = conv((shape){9, 4, 8, 3, 1, 1}, 2, VLY_ACT_RELU, VLY_F32, VLY_F32);
    pid_t child[3];
    int how[3];
    CHECK(mkdtemp(folder));
    setenv("VLY_CACHE_DIR", folder, 1);
    for (int i = 0; i < 3; i++)
        if ((child[i] = fork()) == 0) _exit(chosen(&d));
    for (int i = 0; i < 3; i++)
        CHECK(waitpid(child[i], &how[i], 0) == child[i] && WIFEXITED(how[i]) &&
              WEXITSTATUS(how[i]) < 3);
    CHECK(how[1] == how[0] && how[2] == how[0]);
    CHECK_EQ(chosen(&d), WEXITSTATUS(how[0])); /* and in the next run */
    unsetenv("VLY_CACHE_DIR");
    snprintf(path, sizeof path, "%s/engines.tsv", folder);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void an_engine_that_is_none_is_refused(parity *p) {
    const vly_layer_desc d = {.kind = VLY_LINEAR,
                              .batch_max = 9,
                              .in_c = 24,
                              .out_c = 7,
                              .x_type = VLY_F32,
                              .y_type = VLY_F32,
                              .x_scale = 1};
    vly_layer *l;
    setenv("VLY_ENGINE", "cublas", 1);
    CHECK_EQ(p->gpu->layer_create(p->gpu, &d, &l), VLY_EINVAL);
    CHECK(strstr(vly_error_text(),
                 "VLY_ENGINE=cublas: there are own, staged, wgmma, cublaslt and patches"));
    unsetenv("VLY_ENGINE");
}

/* A build without machine code for sm_90a: the engine is known by name, and no layer gets it. */
static void wgmma_is_where_the_build_has_it(parity *p) {
    const vly_layer_desc d = conv((shape){9, 8, 72, 3, 2, 1}, 3, VLY_ACT_RELU, VLY_BF16, VLY_BF16);
    setenv("VLY_ENGINE", "wgmma", 1);
    for (int lacks = 0; lacks < 2; lacks++) {
        vly_layer *l;
        if (lacks) setenv("VLY_SHIM_NO_WGMMA", "1", 1);
        vly_compute *c = lacks ? open_gpu() : p->gpu;
        CHECK_OK(c->layer_create(c, &d, &l));
        CHECK_STR(vly_layer_engine(l, VLY_PASS_FORWARD), lacks ? "own" : "wgmma");
        c->layer_destroy(l);
        if (lacks) c->destroy(c);
    }
    unsetenv("VLY_SHIM_NO_WGMMA");
    unsetenv("VLY_ENGINE");
}

static void the_choice_is_timed_checked_and_remembered(parity *p) {
    char folder[] = "/tmp/vly-engines-XXXXXX", text[16384], again[16384], path[300];
    CHECK(mkdtemp(folder));
    setenv("VLY_CACHE_DIR", folder, 1);
    vly_layer_desc convolution = conv((shape){9, 8, 16, 3, 2, 1}, 3, VLY_ACT_NONE, VLY_F32,
                                      VLY_F32);
    vly_layer_desc linear = {.kind = VLY_LINEAR,
                             .batch_max = 9,
                             .in_c = 24,
                             .out_c = 7,
                             .x_type = VLY_BF16,
                             .y_type = VLY_BF16,
                             .x_scale = 1,
                             .learn = true,
                             .needs_dx = true};
    vly_layer_desc pixels = conv((shape){44, 4, 8, 8, 4, 0}, 9, VLY_ACT_RELU, VLY_U8,
                                 VLY_BF16); /* more of them than are drawn */
    engine_of(p, &convolution, VLY_PASS_DX);
    engine_of(p, &linear, VLY_PASS_DX);
    engine_of(p, &pixels, VLY_PASS_DW);
    const size_t n = choices(text, sizeof text, folder);
    int lines = 0, patches = 0, cublaslt = 0;
    char *line, *rest = memcpy(again, text, n + 1);
    while ((line = strsep(&rest, "\n")) && *line) {
        lines++;
        CHECK(strstr(line, "cublas 130100")); /* another version is another choice */
        CHECK(strstr(line, "own "));
        CHECK(!strstr(line, "differs") && !strstr(line, "failed") && !strstr(line, "cannot"));
        patches += strstr(line, "patches ") != NULL, cublaslt += strstr(line, "cublaslt ") != NULL;
    }
    CHECK_EQ(lines, 8);
    CHECK_EQ(patches, 5);
    CHECK_EQ(cublaslt, 3);
    engine_of(p, &convolution, VLY_PASS_DX); /* remembered */
    CHECK_EQ(choices(again, sizeof again, folder), n);
    char says[600];
    vly_choices_describe(says, sizeof says);
    CHECK(!strncmp(says, "8 choices in /tmp/vly-engines-", 30) && strstr(says, "engines.tsv: "));
    unsetenv("VLY_CACHE_DIR");
    snprintf(path, sizeof path, "%s/engines.tsv", folder);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0);
}
#endif

int main(void) {
#if defined(VLY_TEST_SHIM) && defined(__SANITIZE_THREAD__)
    SKIP("the shim runs kernels on one thread: nothing here for ThreadSanitizer, and fibers take "
         "minutes under it");
#endif
#ifdef VLY_TEST_SHIM
    setenv("VLY_CUBLASLT_LIBRARY", built_file(VLY_TEST_FAKE_CUBLASLT), 1);
#endif
#ifdef VLY_TEST_SHIM
    those_who_choose_at_once_agree();
#endif
    parity both = parity_open(), *p = &both;
#ifdef VLY_TEST_SHIM
    every_convolution_of_the_networks_is_taken(p);
    what_does_not_fit_is_left_to_us(p);
    the_choice_is_timed_checked_and_remembered(p);
    an_engine_that_is_none_is_refused(p);
    wgmma_is_where_the_build_has_it(p);
    a_librarys_suggestions_compete(p);
    staged_products_compete(p);
    who_is_wrong_is_not_chosen(p);
    a_wrong_bias_gradient_is_seen(p);
    a_nan_passes_through_every_engine(p);
    a_relu_of_our_own_behind_the_product_agrees(p);
    a_captured_pass_is_replayed(p, VLY_ACT_NONE);
    a_captured_pass_is_replayed(p, VLY_ACT_RELU);
    setenv("VLY_ENGINE", "patches#1", 1);
    a_batch_smaller_than_planned_works(p);
    setenv("FAKE_CUBLASLT_LACKS", "512", 1); /* no bias gradient in the epilogue */
    patch_memory(p, (size_t)8 << 20);
    all_agree(p);
    unsetenv("FAKE_CUBLASLT_LACKS");
    patch_memory(p, 120000); /* pieces, of one image for the larger shapes */
#endif
    all_agree(p);
    parity_close(p);
    return TEST_PASS;
}
