#include "gpu/trial.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/philox.h"

#ifdef VLY_SHIM
enum { REPEATS = 2, TIMES = 2 }; /* the shim is slow, and its times mean nothing */
#else
enum { REPEATS = 5, TIMES = 6 };
#endif

enum { LANE_X = 1, LANE_DZ, LANE_W }; /* of random numbers, one for each array */

void vly_trial_close(vly_trial *t) {
    vly_compute *c = t->l->c;
    if (t->q)
        c->queue_sync(t->q); /* a failed candidate may have left work that still writes there */
    void *memory[] = {t->x, t->y, t->dz, t->dx, t->w, t->dw};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) c->free(c, memory[i]);
    free(t->want);
    free(t->want_nan);
    free(t->got);
    c->queue_destroy(t->q);
}

static void random_number(void *host, vly_dtype type, int64_t i, float scale, uint32_t lane) {
    const float unit = vly_unit(vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, lane).v[0]),
                v = scale * (2 * unit - 1);
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (type == VLY_U8)
        ((uint8_t *)host)[i] = (uint8_t)(256 * unit);
    else if (type == VLY_BF16)
        ((uint16_t *)host)[i] = (uint16_t)(bits >> 16);
    else
        ((float *)host)[i] = v;
}

/* Uniform in (-1, 1) times scale, or all byte values. Only PERIOD numbers are drawn and then
 * repeated: drawing a large batch of images would take seconds. */
static vly_status random_array(vly_trial *t, void *device, vly_dtype type, int64_t n, float scale,
                               uint32_t lane) {
    enum { PERIOD = 65521 };
    const size_t bytes = (size_t)n * vly_dtype_bytes(type), period = PERIOD * vly_dtype_bytes(type);
    char *host = malloc(bytes);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory to compare engines of a layer");
    for (int64_t i = 0; i < n && i < PERIOD; i++) random_number(host, type, i, scale, lane);
    for (size_t at = period; at < bytes; at += period)
        memcpy(host + at, host, bytes - at < period ? bytes - at : period);
    vly_status status = t->l->c->upload(t->q, device, host, bytes);
    if (status == VLY_OK) status = t->l->c->queue_sync(t->q);
    free(host);
    return status;
}

static float weight_scale(const vly_layer *l) {
    return 1 / sqrtf((float)(l->weights / l->d.out_c));
}

vly_status vly_trial_open(vly_trial *t) {
    vly_layer *l = t->l;
    vly_compute *c = l->c;
    const int64_t xs = l->in_numbers * l->d.batch_max, ys = l->out_numbers * l->d.batch_max,
                  ws = l->weights + l->d.out_c;
    t->x_bytes = (size_t)xs * vly_dtype_bytes(l->d.x_type),
    t->y_bytes = (size_t)ys * vly_dtype_bytes(l->d.y_type);
    const size_t most = t->x_bytes > t->y_bytes ? t->x_bytes : t->y_bytes,
                 host = most > (size_t)ws * 4 ? most : (size_t)ws * 4;
    VLY_TRY(c->queue_create(c, VLY_QUEUE_LEARN, &t->q));
    VLY_TRY(c->alloc(c, t->x_bytes, "a comparison of engines", NULL, &t->x));
    VLY_TRY(c->alloc(c, t->x_bytes, "a comparison of engines", NULL, &t->dx));
    VLY_TRY(c->alloc(c, t->y_bytes, "a comparison of engines", NULL, &t->y));
    VLY_TRY(c->alloc(c, t->y_bytes, "a comparison of engines", NULL, &t->dz));
    VLY_TRY(c->alloc(c, (size_t)ws * 4, "a comparison of engines", NULL, (void **)&t->w));
    VLY_TRY(c->alloc(c, (size_t)ws * 4, "a comparison of engines", NULL, (void **)&t->dw));
    t->want = malloc(host), t->want_nan = malloc(host), t->got = malloc(host);
    if (!t->want || !t->want_nan || !t->got)
        return vly_fail(VLY_ENOMEM, "no memory to compare engines of a layer");
    VLY_TRY(random_array(t, t->x, l->d.x_type, xs, 1, LANE_X));
    VLY_TRY(random_array(t, t->dz, l->d.y_type, ys, 1, LANE_DZ));
    VLY_TRY(random_array(t, t->w, VLY_F32, ws, weight_scale(l), LANE_W));
    return c->layer_prepare(t->q, l, t->w);
}

/* The bias gradient is timed with the dw pass where an engine may compute it: for the other engines
 * the time of the separate kernel is added. */
static bool bias_counts(const vly_trial *t, vly_pass pass) {
    return pass == VLY_PASS_DW && vly_layer_has_dz(t->l);
}

static vly_status pass_once(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan) {
    vly_layer *l = t->l;
    float *db = bias_counts(t, pass) ? t->dw + l->weights : NULL;
    const bool gives = db && vly_layer_dw_gives_bias(l, engine, plan);
    const vly_pass_args args = {.x = t->x,
                                .w = t->w,
                                .y = t->y,
                                .dz = t->dz,
                                .dx = t->dx,
                                .dw = t->dw,
                                .db = gives ? db : NULL};
    if (db && !gives)
        VLY_TRY(vly_activation_backward_launch(
            l->d.y_type, VLY_ACT_NONE, l->out_numbers / l->d.out_c * l->d.batch_max, l->d.out_c,
            t->y, t->dz, db, false, l->partial, vly_stream_of(t->q)));
    return vly_layer_run(l, t->q, pass, engine, plan, l->d.batch_max, &args);
}

static vly_status fetch_output(vly_trial *t, vly_pass pass, void *host, size_t *bytes,
                               vly_dtype *type) {
    const vly_layer *l = t->l;
    const void *from = pass == VLY_PASS_FORWARD ? t->y
                       : pass == VLY_PASS_DX    ? t->dx
                                                : (const void *)t->dw;
    *bytes = pass == VLY_PASS_FORWARD ? t->y_bytes
             : pass == VLY_PASS_DX
                 ? t->x_bytes
                 : (size_t)(l->weights + (bias_counts(t, pass) ? l->d.out_c : 0)) * 4;
    *type = pass == VLY_PASS_FORWARD ? l->d.y_type : pass == VLY_PASS_DX ? l->d.x_type : VLY_F32;
    VLY_TRY(l->c->download(t->q, host, from, *bytes));
    return l->c->queue_sync(t->q);
}

static float number_at(vly_dtype type, const void *data, size_t i) {
    float f;
    const uint32_t bits = type == VLY_BF16 ? (uint32_t)((const uint16_t *)data)[i] << 16
                                           : ((const uint32_t *)data)[i];
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Numbers from .. to - 1 of a candidate's output beside ours. */
typedef struct {
    const void *want, *got;
    vly_dtype type;
    size_t from, to;
    double largest, error; /* of ours, and the largest difference */
    bool lost_nan;         /* a NaN of ours is a number of the candidate's */
} comparison;

static void *compare_numbers(void *arg) {
    comparison *k = arg;
    for (size_t i = k->from; i < k->to; i++) {
        const double want = number_at(k->type, k->want, i), got = number_at(k->type, k->got, i);
        if (isnan(want)) {
            k->lost_nan = k->lost_nan || !isnan(got);
            continue;
        }
        k->largest = fmax(k->largest, fabs(want));
        k->error = isnan(got) ? INFINITY : fmax(k->error, fabs(got - want));
    }
    return NULL;
}

/* On all processors: the outputs of a large batch are hundreds of millions of numbers. */
static comparison compare_outputs(const void *want, const void *got, vly_dtype type, size_t from,
                                  size_t to) {
    enum { THREADS_MAX = 16, NUMBERS_LEAST = 1 << 20 };
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t useful = (to - from) / NUMBERS_LEAST + 1,
                 most = processors < 1             ? 1
                        : processors > THREADS_MAX ? THREADS_MAX
                                                   : (size_t)processors,
                 threads = useful < most ? useful : most,
                 each = (to - from + threads - 1) / threads;
    comparison part[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    bool started[THREADS_MAX] = {false};
    for (size_t i = 0; i < threads; i++) {
        const size_t first = from + i * each, last = first + each;
        part[i] = (comparison){want, got, type, first < to ? first : to, last < to ? last : to,
                               1e-6, 0,   false};
        started[i] = i > 0 && !pthread_create(&thread[i], NULL, compare_numbers, &part[i]);
        if (i > 0 && !started[i]) compare_numbers(&part[i]);
    }
    compare_numbers(&part[0]);
    for (size_t i = 1; i < threads; i++) {
        if (started[i]) pthread_join(thread[i], NULL);
        part[0].largest = fmax(part[0].largest, part[i].largest);
        part[0].error = fmax(part[0].error, part[i].error);
        part[0].lost_nan = part[0].lost_nan || part[i].lost_nan;
    }
    return part[0];
}

/* Errors are relative to the largest number, since rounding errors of a product grow with the size
 * of its terms. */
static bool range_agrees(const vly_trial *t, vly_dtype type, size_t from, size_t to) {
    const double tolerance = t->l->conv.math == VLY_MATH_BF16   ? 2e-2
                             : t->l->conv.math == VLY_MATH_TF32 ? 3e-3
                                                                : 1e-4;
    const comparison k = compare_outputs(t->want, t->got, type, from, to);
    return !k.lost_nan && k.error <= tolerance * k.largest;
}

/* The bias gradient follows the weight gradient and is compared by its own scale. */
static bool output_agrees(const vly_trial *t, vly_pass pass, vly_dtype type, size_t bytes) {
    const size_t n = bytes / vly_dtype_bytes(type),
                 first = pass == VLY_PASS_DW ? (size_t)t->l->weights : n;
    return range_agrees(t, type, 0, first) && range_agrees(t, type, first, n);
}

/* More NaNs than ours are accepted: a candidate may multiply padding by a NaN. */
static bool keeps_nans(const vly_trial *t, vly_dtype type, size_t bytes) {
    return !compare_outputs(t->want_nan, t->got, type, 0, bytes / vly_dtype_bytes(type)).lost_nan;
}

/* Sets the first number of the pass's input to a NaN, or restores it. Bytes cannot be NaN: there it
 * is the first weight. */
static vly_status set_first(vly_trial *t, vly_pass pass, bool nan) {
    const vly_layer *l = t->l;
    const bool forward = pass == VLY_PASS_FORWARD, weight = forward && l->d.x_type == VLY_U8;
    const vly_dtype type = weight ? VLY_F32 : forward ? l->d.x_type : l->d.y_type;
    void *const to = weight ? (void *)t->w : forward ? t->x : t->dz;
    uint32_t host = type == VLY_BF16 ? 0x7fc0 : 0x7fc00000;
    if (!nan)
        random_number(&host, type, 0, weight ? weight_scale(l) : 1,
                      weight    ? LANE_W
                      : forward ? LANE_X
                                : LANE_DZ);
    VLY_TRY(l->c->upload(t->q, to, &host, vly_dtype_bytes(type)));
    VLY_TRY(l->c->queue_sync(t->q));
    return weight ? l->c->layer_prepare(t->q, t->l, t->w) : VLY_OK;
}

/* Runs the pass with a NaN in its input, copies its output to `host` and restores the input. */
static vly_status pass_with_nan(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan,
                                void *host, size_t *bytes, vly_dtype *type) {
    vly_status status = set_first(t, pass, true);
    if (status == VLY_OK) status = pass_once(t, engine, pass, plan);
    if (status == VLY_OK) status = fetch_output(t, pass, host, bytes, type);
    const vly_status restored = set_first(t, pass, false);
    return status == VLY_OK ? restored : status;
}

typedef struct {
    vly_trial *t;
    const vly_engine *engine;
    vly_pass pass;
    void *plan;
} timed_passes;

static vly_status several_passes(vly_queue *q, void *arg) {
    const timed_passes *p = arg;
    (void)q;
    for (int i = 0; i < TIMES; i++) VLY_TRY(pass_once(p->t, p->engine, p->pass, p->plan));
    return VLY_OK;
}

/* Microseconds of the fastest of several runs of several launches each, replayed from a graph as a
 * run of the program replays them: launched one by one, a small layer would be timed by its host.
 * What cannot be captured fails here. The first call only runs, the second captures; neither is
 * timed. A candidate that is much slower than `best` gets one run. */
static vly_status time_runs(vly_trial *t, timed_passes *passes, double best, vly_graph **graph,
                            cudaEvent_t from, cudaEvent_t to, double *us) {
    cudaStream_t stream = vly_stream_of(t->q);
    vly_compute *c = t->l->c;
    *us = INFINITY;
    for (int i = 0; i < 2; i++) VLY_TRY(c->graph_run(t->q, graph, several_passes, passes));
    for (int run = 0; run < REPEATS && !(*us<INFINITY && * us> 2 * best); run++) {
        float ms = 0;
        VLY_CUDA_TRY(cudaEventRecord(from, stream));
        VLY_TRY(c->graph_run(t->q, graph, several_passes, passes));
        VLY_CUDA_TRY(cudaEventRecord(to, stream));
        VLY_CUDA_TRY(cudaEventSynchronize(to));
        VLY_CUDA_TRY(cudaEventElapsedTime(&ms, from, to));
        *us = fmin(*us, 1e3 * (double)ms / TIMES);
    }
    return VLY_OK;
}

static vly_status time_engine(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan,
                              double best, double *us) {
    timed_passes passes = {t, engine, pass, plan};
    vly_graph *graph = NULL;
    cudaEvent_t from, to;
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&from, 0));
    const cudaError_t error = cudaEventCreateWithFlags(&to, 0);
    vly_status status = VLY_ECUDA;
    if (error == cudaSuccess) {
        status = time_runs(t, &passes, best, &graph, from, to, us);
        if (graph) t->l->c->graph_destroy(graph);
        cudaEventDestroy(to);
    }
    cudaEventDestroy(from);
    return status;
}

/* Overwrites the output: otherwise that of the previous candidate would pass the comparison. What is
 * added to becomes 0. */
static vly_status poison_output(vly_trial *t, vly_pass pass) {
    const vly_layer *l = t->l;
    if (pass == VLY_PASS_DX && l->d.dx_adds) return l->c->fill(t->q, t->dx, 0, t->x_bytes);
    if (pass == VLY_PASS_FORWARD) return l->c->fill(t->q, t->y, 0xff, t->y_bytes);
    if (pass == VLY_PASS_DX) return l->c->fill(t->q, t->dx, 0xff, t->x_bytes);
    return l->c->fill(t->q, t->dw, 0xff, (size_t)(l->weights + l->d.out_c) * 4);
}

vly_status vly_trial_reference(vly_trial *t, vly_pass pass) {
    size_t bytes;
    vly_dtype type;
    VLY_TRY(poison_output(t, pass));
    VLY_TRY(pass_once(t, &vly_engine_own, pass, NULL));
    VLY_TRY(fetch_output(t, pass, t->want, &bytes, &type));
    return pass_with_nan(t, &vly_engine_own, pass, NULL, t->want_nan, &bytes, &type);
}

bool vly_trial_run(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan, double best,
                   double *us, const char **verdict) {
    size_t bytes;
    vly_dtype type;
    *verdict = "failed";
    if (poison_output(t, pass) != VLY_OK || pass_once(t, engine, pass, plan) != VLY_OK ||
        fetch_output(t, pass, t->got, &bytes, &type) != VLY_OK)
        return false;
    *verdict = "differs";
    if (!output_agrees(t, pass, type, bytes)) return false;
    *verdict = "failed";
    if (pass_with_nan(t, engine, pass, plan, t->got, &bytes, &type) != VLY_OK) return false;
    *verdict = VLY_TRIAL_HIDES_NAN;
    if (!keeps_nans(t, type, bytes)) return false;
    *verdict = "failed";
    return time_engine(t, engine, pass, plan, best, us) == VLY_OK;
}
