/* choose.c -- the fastest engine for each pass of a layer, checked before it is trusted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/philox.h"
#include "gpu/choices.h"
#include "gpu/internal.h"
#include "gpu/cublaslt_library.h"
#ifndef VLY_SHIM
#include "gpu/cudnn_library.h"
#endif

#ifdef VLY_SHIM
static const vly_engine *const engines[] = {&vly_engine_own, &vly_engine_cublaslt, &vly_engine_patches};
static const char engine_names[] = "own, cublaslt and patches";
static bool has_cudnn(void) { return false; }
#else
static const vly_engine *const engines[] = {&vly_engine_own, &vly_engine_cublaslt, &vly_engine_patches, &vly_engine_cudnn};
static const char engine_names[] = "own, cublaslt, patches and cudnn";
static bool has_cudnn(void) { return vly_cudnn_library_open()->handle; }
#endif
enum { ENGINES = sizeof engines / sizeof *engines, REPEATS = 5, TIMES = 6 };
static const char *const pass_name[VLY_PASSES] = {"forward", "dx", "dw"};

vly_status vly_engines_queue_open(vly_cuda_queue *q) {
    for (int i = 0; i < ENGINES; i++)
        if (engines[i]->queue_open) VLY_TRY(engines[i]->queue_open(q));
    return VLY_OK;
}

void vly_engines_queue_close(vly_cuda_queue *q) {
    for (int i = 0; i < ENGINES; i++)
        if (engines[i]->queue_close) engines[i]->queue_close(q);
}

bool vly_layer_wants_workspace(void) { return vly_cublaslt_library_open()->handle || has_cudnn(); }

/* ---- a trial: random operands, every candidate's output against ours, then its time ---- */

typedef struct {
    vly_layer *l;
    vly_queue *q;
    void *x, *y, *dz, *dx; /* device */
    float *w, *dw;
    size_t x_bytes, y_bytes;
    void *want, *got;      /* host: what our kernels gave, what a candidate gave */
} trial;

static void trial_close(trial *t) {
    vly_compute *c = t->l->c;
    if (t->q) c->queue_sync(t->q); /* a candidate that failed may have left work that writes there */
    void *memory[] = {t->x, t->y, t->dz, t->dx, t->w, t->dw};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) c->free(c, memory[i]);
    free(t->want);
    free(t->got);
    c->queue_destroy(t->q);
}

static void random_number(void *host, vly_dtype type, int64_t i, float scale, uint32_t lane) {
    const float unit = vly_unit(vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, lane).v[0]), v = scale * (2 * unit - 1);
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (type == VLY_U8) ((uint8_t *)host)[i] = (uint8_t)(256 * unit);
    else if (type == VLY_BF16) ((uint16_t *)host)[i] = (uint16_t)(bits >> 16);
    else ((float *)host)[i] = v;
}

/* Uniform in (-1, 1) times scale, or over all bytes. The beginning is repeated: a large batch of pictures would take seconds. */
static vly_status random_array(trial *t, void *device, vly_dtype type, int64_t n, float scale, uint32_t lane) {
    enum { PERIOD = 65521 };
    const size_t bytes = (size_t)n * vly_dtype_bytes(type), period = PERIOD * vly_dtype_bytes(type);
    char *host = malloc(bytes);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a trial");
    for (int64_t i = 0; i < n && i < PERIOD; i++) random_number(host, type, i, scale, lane);
    for (size_t at = period; at < bytes; at += period) memcpy(host + at, host, bytes - at < period ? bytes - at : period);
    vly_status status = t->l->c->upload(t->q, device, host, bytes);
    if (status == VLY_OK) status = t->l->c->queue_sync(t->q);
    free(host);
    return status;
}

static vly_status trial_open(trial *t) {
    vly_layer *l = t->l;
    vly_compute *c = l->c;
    const int64_t xs = l->in_numbers * l->d.batch_max, ys = l->out_numbers * l->d.batch_max, ws = l->weights + l->d.out_c;
    t->x_bytes = (size_t)xs * vly_dtype_bytes(l->d.x_type), t->y_bytes = (size_t)ys * vly_dtype_bytes(l->d.y_type);
    const size_t most = t->x_bytes > t->y_bytes ? t->x_bytes : t->y_bytes, host = most > (size_t)ws * 4 ? most : (size_t)ws * 4;
    VLY_TRY(c->queue_create(c, VLY_QUEUE_LEARN, &t->q));
    VLY_TRY(c->alloc(c, t->x_bytes, "a trial of engines", NULL, &t->x));
    VLY_TRY(c->alloc(c, t->x_bytes, "a trial of engines", NULL, &t->dx));
    VLY_TRY(c->alloc(c, t->y_bytes, "a trial of engines", NULL, &t->y));
    VLY_TRY(c->alloc(c, t->y_bytes, "a trial of engines", NULL, &t->dz));
    VLY_TRY(c->alloc(c, (size_t)ws * 4, "a trial of engines", NULL, (void **)&t->w));
    VLY_TRY(c->alloc(c, (size_t)ws * 4, "a trial of engines", NULL, (void **)&t->dw));
    t->want = malloc(host), t->got = malloc(host);
    if (!t->want || !t->got) return vly_fail(VLY_ENOMEM, "no memory for a trial");
    VLY_TRY(random_array(t, t->x, l->d.x_type, xs, 1, 1));
    VLY_TRY(random_array(t, t->dz, l->d.y_type, ys, 1, 2));
    VLY_TRY(random_array(t, t->w, VLY_F32, ws, 1 / sqrtf((float)(l->weights / l->d.out_c)), 3));
    return c->layer_prepare(t->q, l, t->w);
}

/* The bias gradient belongs to the pass where an engine may give it: then the others pay for the kernel that does. */
static bool bias_counts(const trial *t, vly_pass pass) { return pass == VLY_PASS_DW && t->l->d.act == VLY_ACT_NONE; }

static vly_status pass_once(trial *t, const vly_engine *engine, vly_pass pass, void *plan) {
    vly_layer *l = t->l;
    float *db = bias_counts(t, pass) ? t->dw + l->weights : NULL;
    const bool gives = db && vly_layer_dw_gives_bias(l, engine, plan);
    const vly_pass_args args = {.x = t->x, .w = t->w, .y = t->y, .dz = t->dz, .dx = t->dx, .dw = t->dw, .db = gives ? db : NULL};
    if (db && !gives)
        VLY_TRY(vly_activation_backward_launch(l->d.y_type, VLY_ACT_NONE, l->out_numbers / l->d.out_c * l->d.batch_max, l->d.out_c, t->y, t->dz, db, false,
                                               l->partial, vly_stream_of(t->q)));
    return engine->run(l, t->q, pass, plan, l->d.batch_max, &args);
}

static vly_status fetch(trial *t, vly_pass pass, void *host, size_t *bytes, vly_dtype *type) {
    const vly_layer *l = t->l;
    const void *from = pass == VLY_PASS_FORWARD ? t->y : pass == VLY_PASS_DX ? t->dx : (const void *)t->dw;
    *bytes = pass == VLY_PASS_FORWARD ? t->y_bytes : pass == VLY_PASS_DX ? t->x_bytes : (size_t)(l->weights + (bias_counts(t, pass) ? l->d.out_c : 0)) * 4;
    *type = pass == VLY_PASS_FORWARD ? l->d.y_type : pass == VLY_PASS_DX ? l->d.x_type : VLY_F32;
    VLY_TRY(l->c->download(t->q, host, from, *bytes));
    return l->c->queue_sync(t->q);
}

static float number(vly_dtype type, const void *data, size_t i) {
    float f;
    const uint32_t bits = type == VLY_BF16 ? (uint32_t)((const uint16_t *)data)[i] << 16 : ((const uint32_t *)data)[i];
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool close_enough(const trial *t, vly_dtype type, size_t bytes) {
    const size_t n = bytes / vly_dtype_bytes(type);
    const double tolerance = t->l->conv.math == VLY_MATH_BF16 ? 2e-2 : t->l->conv.math == VLY_MATH_TF32 ? 3e-3 : 1e-4;
    double largest = 1e-6;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)number(type, t->want, i)));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)number(type, t->got, i) - (double)number(type, t->want, i)) <= tolerance * largest)) return false;
    return true;
}

/* Microseconds of the quickest of some runs, each of several launches. */
static vly_status measure(trial *t, const vly_engine *engine, vly_pass pass, void *plan, double *us) {
    cudaEvent_t from, to;
    cudaStream_t stream = vly_stream_of(t->q);
    vly_status status = VLY_OK;
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&from, 0));
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&to, 0));
    *us = INFINITY;
    for (int run = 0; run < REPEATS && status == VLY_OK; run++) {
        float ms = 0;
        cudaEventRecord(from, stream);
        for (int i = 0; i < TIMES && status == VLY_OK; i++) status = pass_once(t, engine, pass, plan);
        cudaEventRecord(to, stream);
        if (cudaEventSynchronize(to) != cudaSuccess || cudaEventElapsedTime(&ms, from, to) != cudaSuccess)
            status = vly_fail(VLY_ECUDA, "a trial of %s failed: %s", engine->name, cudaGetErrorString(cudaGetLastError()));
        *us = fmin(*us, 1e3 * (double)ms / TIMES);
    }
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    return status;
}

/* A candidate that cannot be opened, differs from ours or fails is not an error: it is not chosen. */
static bool candidate(trial *t, const vly_engine *engine, vly_pass pass, void *plan, double *us, const char **verdict) {
    size_t bytes;
    vly_dtype type;
    *verdict = "failed";
    if (pass_once(t, engine, pass, plan) != VLY_OK || fetch(t, pass, t->got, &bytes, &type) != VLY_OK) return false;
    *verdict = "differs";
    if (!close_enough(t, type, bytes)) return false;
    *verdict = "failed";
    return measure(t, engine, pass, plan, us) == VLY_OK;
}

/* ---- the choice ---- */

static const char *library_versions(void) {
    static _Thread_local char text[64];
    size_t cudnn = 0;
#ifndef VLY_SHIM
    if (has_cudnn()) cudnn = vly_cudnn_library_open()->GetVersion();
#endif
    snprintf(text, sizeof text, "cublas %zu cudnn %zu", vly_cublaslt_library_open()->version, cudnn);
    return text;
}

static void key_of(const vly_layer *l, vly_pass pass, char *key, size_t bytes) {
    const vly_layer_desc *d = &l->d;
    const vly_cuda *cuda = (const vly_cuda *)l->c;
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    snprintf(key, bytes, "%s|%d|%d|%s|engines %d|%s %dx%dx%d>%d k%d s%d p%d a%d x%d y%d m%d n%d|%s", cuda->base.info.name, driver, runtime,
             library_versions(), VLY_ENGINES_VERSION, d->kind == VLY_LINEAR ? "linear" : "conv", d->in_h, d->in_w, d->in_c, d->out_c, d->kernel,
             d->stride, d->pad, d->act, d->x_type, d->y_type, l->conv.math, d->batch_max, pass_name[pass]);
}

static const vly_engine *named(const char *name) {
    for (int i = 0; i < ENGINES; i++)
        if (!strcmp(engines[i]->name, name)) return engines[i];
    return NULL;
}

/* Takes an engine without trying it: asked for by name, or remembered. */
static bool take(vly_layer *l, vly_pass pass, const vly_engine *engine) {
    if (!engine || !engine->can(l, pass) || engine->open(l, pass, &l->plan[pass]) != VLY_OK) {
        if (engine && l->plan[pass]) engine->close(l->plan[pass]);
        l->plan[pass] = NULL;
        return false;
    }
    l->engine[pass] = engine;
    return true;
}

/* Another rank on a card like this one may have been quicker to choose, and all should do the same, today and in the next run. */
static void agree(vly_layer *l, vly_pass pass, const char *key, const bool *fits) {
    char first[32];
    if (!vly_choices_find(key, first, sizeof first) || !strcmp(first, l->engine[pass]->name)) return;
    for (int i = 0; i < ENGINES; i++) {
        if (strcmp(first, engines[i]->name) != 0 || !fits[i]) continue;
        if (l->plan[pass]) l->engine[pass]->close(l->plan[pass]);
        l->plan[pass] = NULL;
        l->engine[pass] = &vly_engine_own;
        take(l, pass, engines[i]);
    }
}

static void compare(trial *t, vly_pass pass, const char *key) {
    vly_layer *l = t->l;
    double best = INFINITY;
    bool fits[ENGINES] = {false};
    char times[256] = "";
    size_t bytes;
    vly_dtype type;
    if (pass_once(t, &vly_engine_own, pass, NULL) != VLY_OK || fetch(t, pass, t->want, &bytes, &type) != VLY_OK) return;
    for (int i = 0; i < ENGINES; i++) {
        void *plan = NULL;
        double us = INFINITY;
        const char *verdict = "cannot";
        if (!engines[i]->can(l, pass)) continue;
        const bool fine = engines[i]->open(l, pass, &plan) == VLY_OK && candidate(t, engines[i], pass, plan, &us, &verdict);
        const size_t used = strlen(times);
        fits[i] = fine;
        if (fine) snprintf(times + used, sizeof times - used, "%s%s %.1f us", used ? ", " : "", engines[i]->name, us);
        else snprintf(times + used, sizeof times - used, "%s%s %s", used ? ", " : "", engines[i]->name, verdict);
        if (fine && us < best) {
            if (l->plan[pass]) l->engine[pass]->close(l->plan[pass]);
            best = us, l->engine[pass] = engines[i], l->plan[pass] = plan;
        } else if (plan) {
            engines[i]->close(plan);
        }
    }
    vly_choices_keep(key, l->engine[pass]->name, times);
    agree(l, pass, key, fits);
}

static bool needs_trial(vly_layer *l, vly_pass pass, char *key, size_t bytes) {
    char remembered[32];
    const char *forced = getenv("VLY_ENGINE");
    int able = 0;
    l->engine[pass] = &vly_engine_own;
    if (forced) {
        take(l, pass, named(forced));
        return false;
    }
    for (int i = 0; i < ENGINES; i++) able += engines[i]->can(l, pass);
    if (able < 2) return false;
    key_of(l, pass, key, bytes);
    return !(vly_choices_find(key, remembered, sizeof remembered) && take(l, pass, named(remembered)));
}

vly_status vly_layer_choose(vly_layer *l) {
    char key[VLY_PASSES][700];
    bool wanted[VLY_PASSES] = {false};
    const int passes = l->d.learn ? VLY_PASSES : 1;
    bool any = false;
    const char *forced = getenv("VLY_ENGINE");
    if (forced && !named(forced)) return vly_fail(VLY_EINVAL, "VLY_ENGINE=%s: there are %s", forced, engine_names);
    for (int pass = 0; pass < VLY_PASSES; pass++) {
        l->engine[pass] = &vly_engine_own;
        if (pass >= passes || (pass == VLY_PASS_DX && !l->d.needs_dx)) continue;
        wanted[pass] = needs_trial(l, (vly_pass)pass, key[pass], sizeof key[pass]);
        any = any || wanted[pass];
    }
    if (!any) return VLY_OK;
    trial t = {.l = l};
    /* no memory for a trial: our kernels do */
    if (trial_open(&t) == VLY_OK)
        for (int pass = 0; pass < VLY_PASSES; pass++)
            if (wanted[pass]) compare(&t, (vly_pass)pass, key[pass]);
    trial_close(&t);
    l->prepared = false;
    /* a candidate may have left an error that is not sticky; a sticky one meets the next call */
    cudaGetLastError();
    return VLY_OK;
}
