/* bench_pipeline.c -- everything together as in training: actors, transfers, inference, learning;
 * and what holds the rest up. VLY_BENCH_DEVICE (cpu, cuda:0) in the environment chooses the device,
 * as in the other suites, VLY_BENCH_ENVS how many environments instead of the preset's.
 *
 *   ENV/ALGO   agent steps/s of a run with the settings of its preset
 *
 * Beside it: the share of the wall clock that the thread of the run spent waiting for environments
 * (env), on inference and transfers (act), on or waiting for updates (learn), and on the rest;
 * `bottleneck` is the largest of these. `upload_us`: one group's observations to the device, alone,
 * until they are there; 0 where the device is the host. Sampled between updates, so a sample lasts
 * at least as long as one. Atari needs ROMs and is left out without them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/record/bench.h"
#include "common/base/clock.h"
#include "cpu/run/device.h"
#include "cpu/run/session.h"
#include "cpu/train/train.h"

enum { SAMPLES_MOST = 32, UPLOADS = 50 };

static const struct {
    const char *env, *algo;
} subjects[] = {{"cartpole", "ppo"},
                {"minatar/breakout", "ppo"},
                {"minatar/breakout", "impala"},
                {"minatar/breakout", "dqn"},
                {"pong", "ppo"},
                {"pong", "impala"},
                {"pong", "dqn"}};

typedef struct {
    const vly_bench_options *o;
    vly_compute *c;
    vly_env env;
    vly_config config;
    vly_train *train;
    double seconds;    /* of a sample */
    int wanted, taken; /* samples; the first, a warm-up, is -1 */
    double began_s;    /* of the sample */
    vly_train_report began;
    double rate[SAMPLES_MOST];
    double phase_s[VLY_PHASES]; /* over the samples */
    double rows, spent_s;
} bench;

static void count(bench *b, const vly_train_report *r, double passed) {
    b->rate[b->taken] = (double)(r->total_steps - b->began.total_steps) / passed;
    for (int i = 0; i < VLY_PHASES; i++) b->phase_s[i] += r->phase_s[i] - b->began.phase_s[i];
    b->rows += (double)(r->updates - b->began.updates) *
               (double)vly_train_algo(b->train)->rows_per_update;
    b->spent_s += passed;
}

static int on_update(void *arg, const vly_train_report *r) {
    bench *b = arg;
    const double passed = vly_now_s() - b->began_s;
    if (passed < b->seconds) return VLY_TRAIN_GO_ON;
    if (b->taken >= 0) count(b, r, passed);
    b->taken++;
    b->began = *r;
    b->began_s = vly_now_s();
    return b->taken < b->wanted ? VLY_TRAIN_GO_ON : VLY_TRAIN_STOP;
}

static vly_status upload_us(bench *b, double *us) {
    void *host = NULL, *device = NULL;
    vly_queue *q = NULL;
    const size_t bytes = (size_t)b->config.run.envs / (size_t)b->config.pool.groups *
                         b->env.obs.bytes;
    *us = 0;
    if (b->c->info.is_host) return VLY_OK;
    vly_status status = b->c->alloc_host(b->c, bytes, "a benchmark", &host);
    if (status == VLY_OK) status = b->c->alloc(b->c, bytes, "a benchmark", NULL, &device);
    if (status == VLY_OK) status = b->c->queue_create(b->c, VLY_QUEUE_COPY, &q);
    const double start = vly_now_s();
    for (int i = 0; i < UPLOADS && status == VLY_OK; i++) {
        status = b->c->upload(q, device, host, bytes);
        if (status == VLY_OK) status = b->c->queue_sync(q);
    }
    *us = 1e6 * (vly_now_s() - start) / UPLOADS;
    if (q) b->c->queue_destroy(q);
    b->c->free(b->c, device);
    b->c->free_host(b->c, host);
    return status;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill_result(bench *b, double upload, vly_bench_result *r) {
    static const char *const words[VLY_PHASES] = {"environments", "inference and transfers",
                                                  "learning", "book-keeping"};
    double total = 1e-9;
    int largest = 0;
    for (int i = 0; i < VLY_PHASES; i++) {
        total += b->phase_s[i];
        if (b->phase_s[i] > b->phase_s[largest]) largest = i;
    }
    qsort(b->rate, (size_t)b->wanted, sizeof *b->rate, ascending);
    r->samples = b->wanted;
    r->min = b->rate[0], r->max = b->rate[b->wanted - 1];
    r->median = b->wanted % 2 ? b->rate[b->wanted / 2]
                              : 0.5 * (b->rate[b->wanted / 2 - 1] + b->rate[b->wanted / 2]);
    snprintf(r->params, sizeof r->params,
             "\"bottleneck\": \"%s\", \"env_percent\": %.0f, \"act_percent\": %.0f, "
             "\"learn_percent\": %.0f, \"other_percent\": %.0f, "
             "\"learn_rows_per_s\": %.0f, \"upload_us\": %.1f, \"envs\": %d, \"device\": \"%s\"",
             words[largest], 100 * b->phase_s[VLY_PHASE_ENV] / total,
             100 * b->phase_s[VLY_PHASE_ACT] / total, 100 * b->phase_s[VLY_PHASE_LEARN] / total,
             100 * b->phase_s[VLY_PHASE_OTHER] / total, b->rows / b->spent_s, upload,
             b->config.run.envs, b->c->info.kind);
}

static vly_status run(bench *b, vly_bench_result *r) {
    vly_train_result result;
    double upload;
    const vly_train_options o = {
        .compute = b->c, .env = &b->env, .config = &b->config, .arg = b, .on_update = on_update};
    VLY_TRY(upload_us(b, &upload));
    VLY_TRY(vly_train_create(&b->train, &o));
    b->wanted = b->o->samples > 0 ? b->o->samples < SAMPLES_MOST ? b->o->samples : SAMPLES_MOST : 5;
    b->seconds = b->o->seconds > 0 ? b->o->seconds : 1;
    b->taken = -1;
    vly_train_get_report(b->train, &b->began);
    b->began_s = vly_now_s();
    VLY_TRY(vly_train_run(b->train, &result));
    fill_result(b, upload, r);
    return VLY_OK;
}

static vly_status configure(bench *b, const char *env, const char *algo) {
    vly_assignments given = {0};
    vly_status status = vly_assignments_add(&given, "run.env", env, "the benchmark");
    if (status == VLY_OK) status = vly_assignments_add(&given, "run.algo", algo, "the benchmark");
    if (status == VLY_OK)
        status = vly_assignments_add(&given, "run.steps", "1e15", "the benchmark");
    if (status == VLY_OK)
        status = vly_assignments_add(&given, "dqn.learning_starts", "1000",
                                     "the benchmark"); /* what follows is what lasts */
    const char *envs = getenv("VLY_BENCH_ENVS");
    if (status == VLY_OK && envs)
        status = vly_assignments_add(&given, "run.envs", envs, "VLY_BENCH_ENVS");
    if (status == VLY_OK) status = vly_session_configure(&b->config, &given, &b->env);
    vly_assignments_free(&given);
    return status;
}

static vly_status measure(const vly_bench_options *o, const char *env, const char *algo) {
    vly_bench_result r = {.unit = "steps/s"};
    const char *device = getenv("VLY_BENCH_DEVICE");
    snprintf(r.name, sizeof r.name, "%s/%s", env, algo);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    bench *b = calloc(1, sizeof *b);
    if (!b) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    b->o = o;
    vly_status status = configure(b, env, algo);
    const bool open = status == VLY_OK, absent = status == VLY_ENOTFOUND; /* no ROM */
    if (open) status = vly_device_open(&b->c, device ? device : "auto", 0, NULL, 0);
    if (status == VLY_OK) status = run(b, &r);
    if (status == VLY_OK && o->report) o->report(o->arg, &r);
    vly_train_destroy(b->train);
    if (b->c) b->c->destroy(b->c);
    if (open) b->env.close(&b->env);
    free(b);
    return absent && !o->filter ? VLY_OK : status;
}

vly_status vly_bench_pipeline(const vly_bench_options *options) {
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        VLY_TRY(measure(options, subjects[i].env, subjects[i].algo));
    return VLY_OK;
}
