/* choose.c -- chooses the fastest engine for each pass of a layer, among those that compute it
 * correctly. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gpu/choices.h"
#include "gpu/cublaslt_library.h"
#ifndef VLY_SHIM
#include "gpu/cudnn_library.h"
#endif
#include "gpu/trial.h"

#ifdef VLY_SHIM
static const vly_engine *const engines[] = {&vly_engine_own, &vly_engine_staged, &vly_engine_wgmma,
                                            &vly_engine_cublaslt, &vly_engine_patches};
static const char engine_names[] = "own, staged, wgmma, cublaslt and patches";
/* Times of the shim mean nothing: ours compete only where a test asks for it. */
static bool is_tried(const vly_engine *e) {
    return (e != &vly_engine_staged && e != &vly_engine_wgmma) || getenv("VLY_SHIM_TRIALS");
}
static bool has_cudnn(void) {
    return false;
}
#else
static const vly_engine *const engines[] = {&vly_engine_own,     &vly_engine_staged,
                                            &vly_engine_wgmma,   &vly_engine_cublaslt,
                                            &vly_engine_patches, &vly_engine_cudnn};
static const char engine_names[] = "own, staged, wgmma, cublaslt, patches and cudnn";
static bool is_tried(const vly_engine *e) {
    (void)e;
    return true;
}
static bool has_cudnn(void) {
    return vly_cudnn_library_open()->handle;
}
#endif
enum { ENGINES = sizeof engines / sizeof *engines };
static const char *const pass_name[VLY_PASSES] = {"forward", "dx", "dw"};

/* ---- engines that VLY_ENGINES_OFF=a,b leaves out of trials ---- */

static const vly_engine *engine_of_name(const char *name, size_t length) {
    for (int i = 0; i < ENGINES; i++)
        if (strlen(engines[i]->name) == length && !strncmp(engines[i]->name, name, length))
            return engines[i];
    return NULL;
}

static bool is_off(const vly_engine *e) {
    const char *at = getenv("VLY_ENGINES_OFF");
    for (size_t n; at && *at; at += n + (at[n] == ',')) {
        n = strcspn(at, ",");
        if (engine_of_name(at, n) == e) return true;
    }
    return false;
}

static vly_status check_off(void) {
    const char *all = getenv("VLY_ENGINES_OFF"), *at = all;
    for (size_t n; at && *at; at += n + (at[n] == ',')) {
        n = strcspn(at, ",");
        const vly_engine *e = engine_of_name(at, n);
        if (n > 0 && !e)
            return vly_fail(VLY_EINVAL, "VLY_ENGINES_OFF=%s: there are %s", all, engine_names);
        if (e == &vly_engine_own)
            return vly_fail(VLY_EINVAL,
                            "VLY_ENGINES_OFF=%s: own cannot be left out, for the others are "
                            "compared with it",
                            all);
    }
    return VLY_OK;
}

const char *vly_engines_off(char *names, size_t bytes) {
    names[0] = '\0';
    for (int i = 0; i < ENGINES; i++) {
        const size_t used = strlen(names);
        if (is_off(engines[i]))
            snprintf(names + used, bytes - used, "%s%s", used ? "," : "", engines[i]->name);
    }
    return names;
}

vly_status vly_engines_queue_open(vly_cuda_queue *q) {
    for (int i = 0; i < ENGINES; i++)
        if (engines[i]->queue_open) VLY_TRY(engines[i]->queue_open(q));
    return VLY_OK;
}

void vly_engines_queue_close(vly_cuda_queue *q) {
    for (int i = 0; i < ENGINES; i++)
        if (engines[i]->queue_close) engines[i]->queue_close(q);
}

bool vly_layer_wants_workspace(void) {
    return vly_cublaslt_library_open()->handle || has_cudnn();
}

/* ---- the choice ---- */

enum { KEY_BYTES = 700 };

static const char *library_versions(void) {
    static _Thread_local char text[64];
    size_t cudnn = 0;
#ifndef VLY_SHIM
    if (has_cudnn()) cudnn = vly_cudnn_library_open()->GetVersion();
#endif
    snprintf(text, sizeof text, "cublas %zu cudnn %zu", vly_cublaslt_library_open()->version,
             cudnn);
    return text;
}

static void key_of(const vly_layer *l, vly_pass pass, char *key, size_t bytes) {
    const vly_layer_desc *d = &l->d;
    const vly_cuda *cuda = (const vly_cuda *)l->c;
    char off[64];
    int driver = 0, runtime = 0;
    vly_engines_off(off, sizeof off);
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    snprintf(key, bytes,
             "%s|%d|%d|%s|engines %d%s%s%s|%s %dx%dx%d>%d k%d s%d p%d a%d x%d y%d m%d n%d "
             "g%d b%d|%s",
             cuda->base.info.name, driver, runtime, library_versions(), VLY_ENGINES_VERSION,
             cuda->has_wgmma ? " sm_90a" : "", *off ? " without " : "", off,
             d->kind == VLY_LINEAR ? "linear" : "conv", d->in_h, d->in_w, d->in_c, d->out_c,
             d->kernel, d->stride, d->pad, d->act, d->x_type, d->y_type, l->conv.math, d->batch_max,
             d->dz_given, d->below, pass_name[pass]);
}

/* An engine, and which of its variants: "patches" or "patches#2". */
typedef struct {
    const vly_engine *engine;
    int variant;
} vly_candidate;

static vly_candidate engine_named(const char *text) {
    const size_t length = strcspn(text, "#");
    const int variant = text[length] ? atoi(text + length + 1) : 0;
    const vly_engine *e = engine_of_name(text, length);
    if (e && variant >= 0 && variant < e->variants) return (vly_candidate){e, variant};
    return (vly_candidate){NULL, 0};
}

static const char *name_of(vly_candidate c, char name[32]) {
    snprintf(name, 32, c.variant ? "%s#%d" : "%s", c.engine->name, c.variant);
    return name;
}

/* Only our kernels add to dx. */
static bool engine_can(const vly_engine *e, const vly_layer *l, vly_pass pass) {
    return e->can(l, pass) && (e->ours || pass != VLY_PASS_DX || !l->d.dx_adds);
}

static bool engine_competes(const vly_engine *e, const vly_layer *l, vly_pass pass) {
    return is_tried(e) && !is_off(e) && engine_can(e, l, pass);
}

/* Uses an engine without a trial, because it was named or is remembered. Returns false, and leaves
 * our kernels, if it cannot run this pass. */
static bool adopt_engine(vly_layer *l, vly_pass pass, vly_candidate c) {
    if (l->plan[pass]) l->engine[pass]->close(l->plan[pass]);
    l->plan[pass] = NULL;
    l->engine[pass] = &vly_engine_own;
    if (!c.engine || !engine_can(c.engine, l, pass)) return false;
    if (c.engine->open(l, pass, c.variant, &l->plan[pass]) == VLY_OK) {
        l->engine[pass] = c.engine;
        return true;
    }
    if (l->plan[pass]) c.engine->close(l->plan[pass]);
    l->plan[pass] = NULL;
    return false;
}

/* ---- the trials of one pass ---- */

typedef struct {
    vly_trial *trial;
    vly_pass pass;
    double best;
    vly_candidate winner;
    bool fits[ENGINES][VLY_VARIANTS];
    bool hides_nan;    /* one of the engine's variants does */
    vly_status device; /* after the last candidate */
    char times[500];
} vly_contest;

static void note_result(vly_contest *k, vly_candidate c, bool fine, double us,
                        const char *verdict) {
    const size_t used = strlen(k->times);
    char name[32];
    if (fine)
        snprintf(k->times + used, sizeof k->times - used, "%s%s %.1f us", used ? ", " : "",
                 name_of(c, name), us);
    else
        snprintf(k->times + used, sizeof k->times - used, "%s%s %s", used ? ", " : "",
                 name_of(c, name), verdict);
}

/* After an error that is sticky every later candidate fails, and so does the run: a choice would be
 * wrong, and remembered. Clears an error that is not. */
static vly_status device_after(const vly_contest *k, vly_candidate c) {
    char name[32], off[64], hint[128] = "";
    cudaGetLastError();
    if (k->trial->l->c->queue_sync(k->trial->q) == VLY_OK) return VLY_OK;
    vly_engines_off(off, sizeof off);
    if (c.engine != &vly_engine_own)
        snprintf(hint, sizeof hint, "; leave it out by VLY_ENGINES_OFF=%s%s%s", off,
                 *off ? "," : "", c.engine->name);
    return vly_fail(VLY_ECUDA,
                    "the device failed in a trial of the engine %s (%s of a layer)%s: %s",
                    name_of(c, name), pass_name[k->pass], hint, vly_error_text());
}

/* Returns false if the engine has no such variant, and thus none after it, or broke the device. */
static bool try_variant(vly_contest *k, vly_candidate c, bool *fine) {
    vly_layer *l = k->trial->l;
    void *plan = NULL;
    double us = INFINITY;
    const char *verdict = "cannot";
    const bool opened = c.engine->open(l, k->pass, c.variant, &plan) == VLY_OK;
    *fine = opened && vly_trial_run(k->trial, c.engine, k->pass, plan, k->best, &us, &verdict);
    k->hides_nan = k->hides_nan || !strcmp(verdict, VLY_TRIAL_HIDES_NAN);
    if (opened || c.variant == 0) note_result(k, c, *fine, us, verdict);
    if (*fine && us < k->best) {
        if (l->plan[k->pass]) l->engine[k->pass]->close(l->plan[k->pass]);
        k->best = us, k->winner = c, l->engine[k->pass] = c.engine, l->plan[k->pass] = plan;
    } else if (plan) {
        c.engine->close(plan);
    }
    if (!*fine) k->device = device_after(k, c);
    return opened && k->device == VLY_OK;
}

/* Another rank on the same kind of card may have written its choice first. All ranks use the first
 * one, in this run and in later ones. */
static void follow_first_choice(vly_contest *k, const char *key) {
    char first[32], mine[32];
    if (!vly_choices_find(key, first, sizeof first) || !strcmp(first, name_of(k->winner, mine)))
        return;
    const vly_candidate theirs = engine_named(first);
    for (int i = 0; i < ENGINES; i++)
        if (theirs.engine == engines[i] && k->fits[i][theirs.variant])
            adopt_engine(k->trial->l, k->pass, theirs);
}

/* Tries a library's suggestions until it has no more; then those without its ReLU if that hides a
 * NaN. */
static void try_all_variants(vly_contest *k, int i) {
    const vly_engine *e = engines[i];
    k->hides_nan = false;
    for (int v = 0; v < e->variants && v < VLY_SUGGESTIONS; v++)
        if (!try_variant(k, (vly_candidate){e, v}, &k->fits[i][v])) break;
    if (!k->hides_nan || k->device != VLY_OK) return;
    for (int v = VLY_RELU_APART; v < e->variants; v++)
        if (!try_variant(k, (vly_candidate){e, v}, &k->fits[i][v])) break;
}

static vly_status try_engines(vly_trial *t, vly_pass pass, const char *key) {
    vly_contest k = {.trial = t, .pass = pass, .best = INFINITY, .winner = {&vly_engine_own, 0}};
    char name[32];
    if (vly_trial_reference(t, pass) != VLY_OK) return device_after(&k, k.winner);
    for (int i = 0; i < ENGINES && k.device == VLY_OK; i++)
        if (engine_competes(engines[i], t->l, pass)) try_all_variants(&k, i);
    VLY_TRY(k.device);
    vly_choices_keep(key, name_of(k.winner, name), k.times);
    follow_first_choice(&k, key);
    return VLY_OK;
}

static bool needs_trial(vly_layer *l, vly_pass pass, char *key, size_t bytes) {
    char remembered[32];
    const char *forced = getenv("VLY_ENGINE");
    int able = 0;
    l->engine[pass] = &vly_engine_own;
    if (forced) {
        adopt_engine(l, pass, engine_named(forced));
        return false;
    }
    for (int i = 0; i < ENGINES; i++) able += engine_competes(engines[i], l, pass);
    if (able < 2) return false;
    key_of(l, pass, key, bytes);
    return !(vly_choices_find(key, remembered, sizeof remembered) &&
             adopt_engine(l, pass, engine_named(remembered)));
}

/* Without memory for a trial, our kernels run. */
static vly_status hold_trials(vly_layer *l, const bool wanted[VLY_PASSES],
                              char key[VLY_PASSES][KEY_BYTES]) {
    vly_trial t = {.l = l};
    vly_status status = VLY_OK;
    char why[VLY_ERROR_BYTES] = "";
    const bool opened = vly_trial_open(&t) == VLY_OK;
    for (int pass = 0; opened && status == VLY_OK && pass < VLY_PASSES; pass++)
        if (wanted[pass]) status = try_engines(&t, (vly_pass)pass, key[pass]);
    snprintf(why, sizeof why, "%s", vly_error_text());
    vly_trial_close(&t); /* on a device that failed, with an error of its own */
    l->prepared = false;
    /* clears an error that a candidate left and that is not sticky; a sticky one shows in the next
     * call */
    cudaGetLastError();
    return status == VLY_OK ? VLY_OK : vly_fail(status, "%s", why);
}

vly_status vly_layer_choose(vly_layer *l) {
    char key[VLY_PASSES][KEY_BYTES];
    bool wanted[VLY_PASSES] = {false};
    const int passes = l->d.learn ? VLY_PASSES : 1;
    bool any = false;
    const char *forced = getenv("VLY_ENGINE");
    if (forced && !engine_named(forced).engine)
        return vly_fail(VLY_EINVAL, "VLY_ENGINE=%s: there are %s", forced, engine_names);
    VLY_TRY(check_off());
    for (int pass = 0; pass < VLY_PASSES; pass++) {
        l->engine[pass] = &vly_engine_own;
        if (pass >= passes || (pass == VLY_PASS_DX && !l->d.needs_dx)) continue;
        wanted[pass] = needs_trial(l, (vly_pass)pass, key[pass], sizeof key[pass]);
        any = any || wanted[pass];
    }
    return any ? hold_trials(l, wanted, key) : VLY_OK;
}
