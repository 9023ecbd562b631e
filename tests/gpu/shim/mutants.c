/* The race detector finds faults that are put into the kernels: every barrier and fence is left out
 * in turn, warp operations get wrong masks, and arrays are one number too short. Those of reduce.h and scan.h are left out in
 * test_shim.cpp: most callers have another barrier that makes them redundant. */
#include <glob.h>
#include "tests/gpu/parity.h"
#include "common/base/actions.h"
#include "kernels/conv.h"
#include "gpu/internal.h"

static parity both;
static twin all[128];
static int twins;
static vly_queue *queue; /* of the operations: nothing runs before it is waited for */

static void *given(twin t) {
    CHECK(twins < 128);
    all[twins++] = t;
    return t.gpu;
}
static void *reals(size_t n) {
    return given(normals(&both, n, 1));
}
static void *rows_below(size_t n, int below) {
    return given(numbers(&both, n, below));
}

enum { N = 300, A = 6, T = 300 };

static void *hyper_memory(void) {
    const vly_hyper h = usual_hyper();
    return given(twin_of(&both, &h, sizeof h));
}

static void advantages(vly_compute *c, vly_queue *q, int t, int n) {
    const size_t rows = (size_t)(t * n);
    void *flags = given(row_flags(&both, t, n));
    c->vtrace(q, &(vly_vtrace_args){t, n, reals(rows), reals(rows + (size_t)n), flags, reals(rows),
                                    reals(rows), hyper_memory(), reals(rows), reals(rows),
                                    reals(rows), given(zeros(&both, VLY_STATS * 4))});
    c->gae(q, &(vly_gae_args){t, n, reals(rows), reals(rows + (size_t)n), flags, hyper_memory(),
                              reals(rows), reals(rows), reals(rows), NULL});
}

static void losses(vly_compute *c, vly_queue *q) {
    void *moments = reals(3), *stats = given(zeros(&both, VLY_STATS * 4)), *row = rows_below(N, N),
         *mask = reals(N);
    c->moments(q, N, reals(N), row, mask, moments);
    for (int form = 0; form < 2; form++)
        c->policy_loss(q, &(vly_policy_loss_args){.n = N,
                                                  .actions = A,
                                                  .normalize = true,
                                                  .row = row,
                                                  .logits = reals(N * A),
                                                  .value = reals(N),
                                                  .action = rows_below(N, A),
                                                  .logp_old = reals(N),
                                                  .value_old = reals(N),
                                                  .advantage = reals(N),
                                                  .target = reals(N),
                                                  .mask = mask,
                                                  .moments = form ? moments : NULL,
                                                  .hyper = hyper_memory(),
                                                  .dlogits = reals(N * A),
                                                  .dvalue = reals(N),
                                                  .stats = stats});
}

static void replay(vly_compute *c, vly_queue *q) {
    enum { CAPACITY = 500 };
    vly_tree tree;
    CHECK_OK(vly_tree_plan(&tree, CAPACITY));
    for (int l = 0; l < tree.levels; l++)
        tree.sum[l] = given(zeros(&both, (size_t)tree.width[l] * 8));
    tree.total = given(zeros(&both, 16));
    void *rng = given(twin_of(&both, &(vly_rng){5, 0}, sizeof(vly_rng))), *hyper = hyper_memory();
    c->tree_insert(q, &tree, 0, N, given(zeros(&both, N)));
    c->tree_set(q, &tree, N, rows_below(N, 20), reals(N), hyper, false);
    c->tree_sample(q, &tree, N, rng, hyper, rows_below(N, 1), reals(N));
}

/* Steps of all blocks, and one that the first block checks alone because of its large norm. */
static void optimizers(vly_compute *c, vly_queue *q) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    const float large[2] = {1e13f, 0};
    void *norm = reals(2), *stats = given(zeros(&both, VLY_STATS * 4));
    const vly_params p = {.n = 3000,
                          .param = reals(3000),
                          .grad = reals(3000),
                          .m = reals(3000),
                          .v = reals(3000),
                          .step = given(zeros(&both, 8))};
    c->grad_norm(q, p.n, p.grad, norm);
    c->optimize(q, &adam, &p, norm, hyper_memory(), stats);
    c->optimize(q, &adam, &p, given(twin_of(&both, large, sizeof large)), hyper_memory(), stats);
}

/* Products with asynchronous copies: more steps along k than there are stages. */
static void staged_layers(cudaStream_t stream, vly_way way) {
    const vly_layer_desc d = {.kind = VLY_LINEAR,
                              .in_c = 200,
                              .out_c = 40,
                              .x_type = VLY_BF16,
                              .y_type = VLY_BF16,
                              .x_scale = 1};
    vly_conv conv = vly_conv_of(&d, VLY_MATH_BF16);
    conv.way = way;
    const vly_forward_part part = {&conv, reals(200 * 40), NULL, reals(130 * 40)};
    vly_conv_forward_launch(&part, 1, 130, reals(130 * 200), NULL, stream);
    const vly_dw_call gradient = {.conv = &conv,
                                  .n = 200,
                                  .x = reals(200 * 200),
                                  .dz = reals(200 * 40),
                                  .dw = reals(200 * 40),
                                  .db = reals(40)};
    vly_conv_dw_group_launch(&gradient, 1, 8, stream);
}

/* Products of several steps along k, and weight and bias gradients. */
static void layers(cudaStream_t stream) {
    for (vly_math math = VLY_MATH_FP32; math <= VLY_MATH_BF16; math++) {
        const vly_dtype type = math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
        const vly_layer_desc d = {.kind = VLY_LINEAR,
                                  .in_c = 100,
                                  .out_c = 40,
                                  .x_type = type,
                                  .y_type = type,
                                  .x_scale = 1};
        const vly_conv conv = vly_conv_of(&d, math);
        const vly_forward_part part = {&conv, reals(100 * 40), NULL, reals(130 * 40)};
        vly_conv_forward_launch(&part, 1, 130, reals(130 * 100), NULL, stream);
        const vly_dw_call gradient = {.conv = &conv,
                                      .n = 2600,
                                      .x = reals(2600 * 100),
                                      .dz = reals(2600 * 40),
                                      .dw = reals(100 * 40),
                                      .db = reals(40),
                                      .partial = reals(vly_conv_dw_bytes(&conv, 2600, 8) / 4)};
        vly_conv_dw_group_launch(&gradient, 1, 8, stream);
    }
    staged_layers(stream, VLY_BY_COPIES);
    staged_layers(stream, VLY_BY_WARPGROUPS);
    vly_activation_backward_launch(VLY_F32, VLY_ACT_RELU, 200, 24, reals(200 * 24), reals(200 * 24),
                                   reals(24), false, reals(vly_bias_bytes(24) / 4), stream);
}

/* Two calls: the second adds to the moments of the first. */
static void running_moments(vly_compute *c, vly_queue *q) {
    enum { WIDTH = 3 };
    void *state = given(zeros(&both, (size_t)3 * WIDTH * 8)), *mask = reals(N);
    for (int i = 0; i < 2; i++)
        c->running(q, &(vly_running_args){.n = N,
                                          .width = WIDTH,
                                          .x = reals(N * WIDTH),
                                          .mask = i ? mask : NULL,
                                          .state = state,
                                          .mean = reals(WIDTH),
                                          .scale = reals(WIDTH)});
}

static void everything(void) {
    vly_compute *c = both.gpu;
    vly_queue *q = queue;
    advantages(c, q, T, 2);
    advantages(c, q, 7, 200);
    losses(c, q);
    running_moments(c, q);
    replay(c, q);
    optimizers(c, q);
    layers(vly_stream_of(q));
    c->queue_sync(q);
}

/* True if a fault was reported; afterwards all is as before, with fresh working memory. */
static bool is_found(char *report, size_t bytes) {
    const bool found = *vly_shim_report();
    snprintf(report, bytes, "%.180s", vly_shim_report());
    vly_shim_drop("", 0);
    vly_shim_narrow("", 0, 0);
    vly_shim_clear();
    for (int i = 0; i < twins; i++) twin_free(&both, &all[i]);
    twins = 0;
    both.gpu->queue_destroy(queue);
    CHECK_OK(both.gpu->queue_create(both.gpu, VLY_QUEUE_LEARN, &queue));
    return found;
}

/* Products by warpgroups alone: what their steps need is not found by another product first. */
static void warpgroups_alone(void) {
    staged_layers(vly_stream_of(queue), VLY_BY_WARPGROUPS);
    both.gpu->queue_sync(queue);
}

static bool is_of_warpgroups(const char *file) {
    return strstr(file, "async.h") || strstr(file, "stages.h") || strstr(file, "wgmma.h");
}

static bool is_of_kernels(const char *file) {
    return !strstr(file, "reduce.h") && !strstr(file, "scan.h");
}

static int without_a_barrier_or_fence(void (*work)(void), bool (*concerns)(const char *file)) {
    const char *file;
    int line, missed = 0, count = 0;
    char report[200];
    for (size_t i = 0; vly_shim_site(i, &file, &line); i++) {
        if (!concerns(file)) continue;
        bool found = false;
        count++;
        for (uint64_t seed = 1; seed <= 3 && !found; seed++) {
            vly_shim_seed(seed);
            vly_shim_drop(file, line);
            work();
            found = is_found(report, sizeof report);
        }
        const char *name = strrchr(file, '/');
        printf("without %s:%d: %s\n", name ? name + 1 : file, line,
               found ? report : "NOTHING WAS FOUND");
        missed += !found;
    }
    CHECK_EQ(missed, 0);
    return count;
}

static bool is_passed(const char *path, int line) {
    const char *file;
    int at;
    for (size_t i = 0; vly_shim_site(i, &file, &at); i++)
        if (at == line && strlen(file) >= strlen(path) &&
            !strcmp(file + strlen(file) - strlen(path), path))
            return true;
    return false;
}

/* A barrier that `everything` does not pass would not be left out either. */
static int passed_in(const char *path) {
    char text[400];
    int line = 0, passed = 0;
    FILE *f = fopen(path, "r");
    CHECK(f);
    while (fgets(text, sizeof text, f)) {
        line++;
        if (text[strspn(text, " ")] == '*') continue; /* a header's example */
        if (!strstr(text, "__syncthreads();") && !strstr(text, "__threadfence();")) continue;
        if (!is_passed(path, line)) fprintf(stderr, "%s:%d: nothing passes it\n", path, line);
        CHECK(is_passed(path, line));
        passed++;
    }
    fclose(f);
    return passed;
}

static int every_barrier_of_the_source_is_passed(void) {
    static const char *const patterns[] = {"kernels/*.cu", "kernels/*.h"};
    int passed = 0;
    for (int i = 0; i < 2; i++) {
        glob_t files;
        CHECK_EQ(glob(patterns[i], 0, NULL, &files), 0);
        for (size_t k = 0; k < files.gl_pathc; k++) passed += passed_in(files.gl_pathv[k]);
        globfree(&files);
    }
    return passed;
}

/* Shuffles and ballots whose mask lacks the last lane, and those that name groups of eight lanes.
 * The second is no fault where all that is read lies in the own group. */
static int with_a_wrong_mask(void) {
    const char *file;
    int line, count = 0;
    char report[200];
    for (size_t i = 0; vly_shim_warp_site(i, &file, &line); i++) {
        const char *name = strrchr(file, '/');
        for (unsigned lanes = 8; lanes <= 32; lanes += 24) {
            vly_shim_narrow(file, line, lanes);
            everything();
            const bool found = is_found(report, sizeof report);
            printf("mask of %s at %s:%d: %s\n", lanes == 32 ? "31 lanes" : "8 lanes",
                   name ? name + 1 : file, line, found ? report : "the same result");
            CHECK(found || lanes == 8);
            count += found;
        }
    }
    return count;
}

/* Each operation is told of one number more than its arrays have. */
static int with_an_array_too_short(void) {
    vly_compute *c = both.gpu;
    char report[200];
    for (int k = 0; k < 6; k++) {
        vly_queue *q = queue;
        void *x = reals(N), *y = reals(N), *large = reals(N + 1), *hyper = hyper_memory();
        switch (k) {
        case 0: c->polyak(q, N + 1, large, x, hyper); break; /* reads */
        case 1: c->polyak(q, N + 1, x, large, hyper); break; /* writes */
        case 2: c->grad_norm(q, N + 1, x, y); break;
        case 3: c->fingerprint(q, N + 1, x, y); break;
        case 4: c->add(q, VLY_F32, N + 1, x, large); break;
        default: c->convert(q, N + 1, VLY_F32, large, VLY_BF16, given(zeros(&both, 2 * N)));
        }
        c->queue_sync(q);
        CHECK(is_found(report, sizeof report));
        printf("one too many: %s\n", report);
        CHECK(strstr(report, "array of "));
    }
    return 6;
}

int main(void) {
    char report[200];
    both = parity_open();
    CHECK_OK(both.gpu->queue_create(both.gpu, VLY_QUEUE_LEARN, &queue));
    everything();
    const bool found = is_found(report, sizeof report);
    if (found) fprintf(stderr, "without a fault: %s\n", report);
    CHECK(!found);
    CHECK(every_barrier_of_the_source_is_passed() >= 25);
    CHECK_EQ(without_a_barrier_or_fence(warpgroups_alone, is_of_warpgroups), 7);
    const int removed = without_a_barrier_or_fence(everything, is_of_kernels),
              masks = with_a_wrong_mask(), beyond = with_an_array_too_short();
    printf("%d faults, all found\n", removed + masks + beyond);
    CHECK(removed >= 10 && masks >= 6 && removed + masks + beyond >= 20);
    both.gpu->queue_destroy(queue);
    parity_close(&both);
    return TEST_PASS;
}
