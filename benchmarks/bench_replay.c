/* bench_replay.c -- prioritized replay of a million transitions (common/learn/replay.h) on one
 * thread.
 *
 *   replay/insert          64 actors' small rows (4 floats) into the full ring, priorities
 *                          included; transitions/s
 *   replay/sample_update   256 by priority: indices, weights, n-step targets, both observations
 *                          gathered, then 256 new priorities; transitions/s
 *   replay/frames/...      the same with 84 x 84 frames, stacks of 4 gathered as bytes (100,000
 *                          transitions)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/record/bench.h"
#include "common/base/philox.h"
#include "common/learn/replay.h"
#include "cpu/ops/compute_cpu.h"

enum { ACTORS = 64, BATCH = 256, STEPS = 32, UPDATES = 16, ERRORS = 1 << 16 };

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_replay *r;
    vly_rng rng;
    vly_hyper hyper;
    uint8_t *obs, *flags, *age; /* STEPS x ACTORS rows to insert */
    float *reward;
    vly_real *errors;
    int32_t *action;
    void *x, *x_next;
    uint32_t at;
} field;

static void insert_step(field *f, int k) {
    vly_rows rows;
    const size_t bytes = ACTORS * f->r->o.obs.bytes;
    vly_replay_place(f->r, 0, &rows);
    memcpy(rows.obs, f->obs + (size_t)k * bytes, bytes);
    memcpy(rows.reward, f->reward + k * ACTORS, ACTORS * sizeof(float));
    memcpy(rows.flags, f->flags + k * ACTORS, ACTORS);
    vly_replay_arrived(f->r, f->q, 0, f->age + k * ACTORS);
    vly_replay_acted(f->r, f->q, 0, f->action + k * ACTORS);
}

static double insert(void *arg) {
    for (int k = 0; k < STEPS; k++) insert_step(arg, k);
    return (double)STEPS * ACTORS;
}

static double sample_update(void *arg) {
    field *f = arg;
    const vly_frames frames = vly_replay_frames(f->r);
    const vly_dtype type = f->r->o.obs.dtype;
    for (int k = 0; k < UPDATES; k++) {
        vly_replay_sample(f->r, f->q, &f->rng, &f->hyper);
        f->rng.step++;
        f->c->gather(f->q, &frames, BATCH, f->r->batch.row, 0, type, f->x);
        f->c->gather(f->q, &frames, BATCH, f->r->batch.bootstrap_row, 0, type, f->x_next);
        f->at = (f->at + BATCH) % (ERRORS - BATCH);
        memcpy(f->r->batch.td_abs, f->errors + f->at, BATCH * sizeof(vly_real));
        vly_replay_update(f->r, f->q, &f->hyper);
    }
    return (double)UPDATES * BATCH;
}

static void field_close(field *f) {
    vly_replay_destroy(f->r);
    if (f->q) f->c->queue_destroy(f->q);
    if (f->c) f->c->destroy(f->c);
    void *all[] = {f->obs, f->flags, f->age, f->reward, f->errors, f->action, f->x, f->x_next};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static void fill_rows(field *f) {
    for (int i = 0; i < STEPS * ACTORS; i++) {
        const vly_u32x4 x = vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0);
        f->flags[i] = x.v[0] % 200 == 0   ? VLY_ROW_TERMINATED
                      : x.v[0] % 200 == 1 ? VLY_ROW_RESET
                                          : 0;
        f->age[i] = (uint8_t)(x.v[1] % 8);
        f->reward[i] = vly_unit(x.v[2]);
        f->action[i] = (int32_t)(x.v[3] % 4);
    }
    for (int i = 0; i < ERRORS; i++)
        f->errors[i] = (vly_real)vly_unit(vly_philox(2, VLY_STREAM_TEST, (uint64_t)i, 0).v[0]) * 4;
}

static vly_status field_open(field *f, vly_obs_spec obs, int64_t capacity, int n_step) {
    const size_t rows = STEPS * ACTORS, input = BATCH * obs.bytes * (size_t)obs.stack;
    const field none = {
        .rng = {.seed = 3},
        .hyper = {
            .gamma = 0.99f, .alpha = 0.6f, .beta = 0.4f, .priority_eps = 1e-6f, .reward_scale = 1}};
    *f = none;
    VLY_TRY(vly_compute_create_cpu(&f->c, 1));
    VLY_TRY(f->c->queue_create(f->c, VLY_QUEUE_LEARN, &f->q));
    const vly_replay_options o = {.obs = obs,
                                  .actors = ACTORS,
                                  .groups = 1,
                                  .capacity = capacity,
                                  .n_step = n_step,
                                  .batch = BATCH,
                                  .prioritized = true};
    VLY_TRY(vly_replay_create(&f->r, f->c, &o));
    f->obs = calloc(rows, obs.bytes);
    f->flags = malloc(rows), f->age = malloc(rows);
    f->reward = malloc(rows * sizeof *f->reward), f->action = malloc(rows * sizeof *f->action);
    f->errors = malloc(ERRORS * sizeof *f->errors);
    f->x = aligned_alloc(64, (input + 63) / 64 * 64),
    f->x_next = aligned_alloc(64, (input + 63) / 64 * 64);
    if (!f->obs || !f->flags || !f->age || !f->reward || !f->action || !f->errors || !f->x ||
        !f->x_next)
        return vly_fail(VLY_ENOMEM, "no memory to measure the replay");
    fill_rows(f);
    for (int64_t t = 0; t < f->r->T + 8; t++)
        insert_step(f, (int)(t % STEPS)); /* full: inserting also withdraws */
    sample_update(f);
    return VLY_OK;
}

static vly_status measure(const vly_bench_options *o, const char *name, vly_obs_spec obs,
                          int64_t capacity, int n_step, vly_bench_fn work) {
    vly_bench_result r = {.unit = "transitions/s"};
    snprintf(r.name, sizeof r.name, "%s", name);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    field f;
    const vly_status status = field_open(&f, obs, capacity, n_step);
    snprintf(r.params, sizeof r.params,
             "\"capacity\": %lld, \"actors\": %d, \"batch\": %d, \"n_step\": %d, \"threads\": 1",
             (long long)capacity, ACTORS, BATCH, n_step);
    if (status == VLY_OK) vly_bench_rate(o, work, &f, &r);
    field_close(&f);
    if (status == VLY_OK && o->report) o->report(o->arg, &r);
    return status;
}

vly_status vly_bench_replay(const vly_bench_options *options) {
    const vly_obs_spec small = {
        .dtype = VLY_F32, .ndim = 1, .shape = {4, 1, 1}, .stack = 1, .scale = 1, .bytes = 16};
    const vly_obs_spec frames = {.dtype = VLY_U8,
                                 .ndim = 3,
                                 .shape = {84, 84, 1},
                                 .stack = 4,
                                 .scale = 1.0f / 255,
                                 .bytes = 84 * 84};
    VLY_TRY(measure(options, "replay/insert", small, 1000000, 1, insert));
    VLY_TRY(measure(options, "replay/sample_update", small, 1000000, 1, sample_update));
    VLY_TRY(measure(options, "replay/frames/insert", frames, 100000, 3, insert));
    return measure(options, "replay/frames/sample_update", frames, 100000, 3, sample_update);
}
