/* bench_replay.c -- prioritized replay of a million transitions (common/learn/replay.h): on the GPU
 * where there is one, else on one thread. VLY_BENCH_DEVICE (cpu, cuda:0) in the environment chooses;
 * sampling runs as a learner runs it: captured once, replayed from then on.
 *
 *   replay/insert               64 actors' small rows (4 floats) into the full ring, priorities
 *                               included, the host waiting for every step; transitions/s
 *   replay/sample_update        256 by priority: indices, weights, n-step targets, both
 *                               observations gathered, then 256 new priorities; transitions/s
 *   replay/sample_update_4096   the same, 4,096 at a time
 *   replay/frames/...           84 x 84 frames, stacks of 4 gathered as bytes (100,000 transitions)
 *
 * Before anything is timed two samples are drawn by the processor's plain C code too: their rows,
 * targets and observations are compared, so the priorities that the first one left as well.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "benchmarks/bench_twin.h"
#include "common/base/philox.h"
#include "common/learn/replay.h"
#include "cpu/run/device.h"

enum { ACTORS = 64, STEPS = 32, UPDATES = 16, ERRORS = 1 << 16, LEAST = 1 << 12 };

typedef struct {
    const char *name;
    vly_obs_spec obs;
    int64_t capacity;
    int n_step, batch;
    bool inserts;
} subject;

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_replay *r;
    vly_graph *graph;
    uint8_t *obs, *flags, *age; /* host: STEPS x ACTORS rows to insert */
    float *reward;
    vly_rng *rng; /* device, and all below */
    vly_hyper *hyper;
    vly_real *errors; /* of ERRORS rows, from which updates take theirs in turn */
    int32_t *action;
    void *x, *x_next;
    int at;
    vly_status status;
} field;

static const subject subjects[] = {
#define SMALL \
    { .dtype = VLY_F32, .ndim = 1, .shape = {4, 1, 1}, .stack = 1, .scale = 1, .bytes = 16 }
#define FRAMES                                                                             \
    {                                                                                      \
        .dtype = VLY_U8, .ndim = 3, .shape = {84, 84, 1}, .stack = 4, .scale = 1.0f / 255, \
        .bytes = 84 * 84                                                                   \
    }
    {"replay/insert", SMALL, 1000000, 1, 256, true},
    {"replay/sample_update", SMALL, 1000000, 1, 256, false},
    {"replay/sample_update_4096", SMALL, 1000000, 1, 4096, false},
    {"replay/frames/insert", FRAMES, 100000, 3, 256, true},
    {"replay/frames/sample_update", FRAMES, 100000, 3, 256, false},
#undef SMALL
#undef FRAMES
};

/* ---- the work ---- */

static vly_status insert_step(field *f, int k) {
    vly_rows rows;
    const size_t bytes = ACTORS * f->r->o.obs.bytes;
    vly_replay_place(f->r, 0, &rows);
    memcpy(rows.reward, f->reward + k * ACTORS, ACTORS * sizeof(float));
    memcpy(rows.flags, f->flags + k * ACTORS, ACTORS);
    if (f->c->info.is_host)
        memcpy(rows.obs, f->obs + (size_t)k * bytes, bytes);
    else
        VLY_TRY(f->c->upload(f->q, rows.obs, f->obs + (size_t)k * bytes, bytes));
    VLY_TRY(vly_replay_arrived(f->r, f->q, 0, f->age + k * ACTORS));
    VLY_TRY(vly_replay_acted(f->r, f->q, 0, f->action + k * ACTORS));
    return f->c->queue_sync(f->q); /* as actors wait for their actions */
}

static double insert(void *arg) {
    field *f = arg;
    for (int k = 0; k < STEPS && f->status == VLY_OK; k++) f->status = insert_step(f, k);
    return (double)STEPS * ACTORS;
}

static vly_status one_sample(vly_queue *q, void *arg) {
    field *f = arg;
    const vly_replay_batch *b = &f->r->batch;
    const vly_frames frames = vly_replay_frames(f->r);
    const vly_dtype type = f->r->o.obs.dtype;
    const int n = f->r->o.batch;
    VLY_TRY(vly_replay_sample(f->r, q, f->rng, f->hyper));
    VLY_TRY(f->c->rng_advance(q, f->rng));
    VLY_TRY(f->c->gather(q, &frames, n, b->row, 0, type, f->x));
    VLY_TRY(f->c->gather(q, &frames, n, b->bootstrap_row, 0, type, f->x_next));
    f->at = (f->at + n) % (ERRORS - n);
    VLY_TRY(f->c->copy(q, b->td_abs, f->errors + f->at, (size_t)n * sizeof(vly_real)));
    return vly_replay_update(f->r, q, f->hyper);
}

static double sample_update(void *arg) {
    field *f = arg;
    for (int k = 0; k < UPDATES && f->status == VLY_OK; k++)
        f->status = f->c->graph_run(f->q, &f->graph, one_sample, f);
    if (f->status == VLY_OK) f->status = f->c->queue_sync(f->q);
    return (double)UPDATES * f->r->o.batch;
}

/* ---- opening ---- */

static void field_close(field *f) {
    void *const host[] = {f->obs, f->flags, f->age, f->reward}, *const device[] = {
                                                                    f->rng,    f->hyper, f->errors,
                                                                    f->action, f->x,     f->x_next};
    if (!f->c) return;
    if (f->graph) f->c->graph_destroy(f->graph);
    vly_replay_destroy(f->r);
    for (size_t i = 0; i < sizeof host / sizeof *host; i++) f->c->free_host(f->c, host[i]);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) f->c->free(f->c, device[i]);
    if (f->q) f->c->queue_destroy(f->q);
    f->c->destroy(f->c);
}

static vly_status host(field *f, size_t bytes, void *out) {
    return f->c->alloc_host(f->c, bytes, "a benchmark", out);
}

/* Fresh device memory: a copy of `from`, or zeros. */
static vly_status device(field *f, const void *from, size_t bytes, void *out) {
    void **to = out;
    VLY_TRY(f->c->alloc(f->c, bytes, "a benchmark", NULL, out));
    if (from) VLY_TRY(f->c->upload(f->q, *to, from, bytes));
    return f->c->queue_sync(f->q);
}

static vly_status fill_rows(field *f) {
    static const vly_hyper hyper = {
        .gamma = 0.99f, .alpha = 0.6f, .beta = 0.4f, .priority_eps = 1e-6f, .reward_scale = 1};
    static const vly_rng rng = {.seed = 3};
    static int32_t action[STEPS * ACTORS];
    static vly_real errors[ERRORS];
    for (int i = 0; i < STEPS * ACTORS; i++) {
        const vly_u32x4 x = vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0);
        f->flags[i] = x.v[0] % 200 == 0   ? VLY_ROW_TERMINATED
                      : x.v[0] % 200 == 1 ? VLY_ROW_RESET
                                          : 0;
        f->age[i] = (uint8_t)(x.v[1] % 8);
        f->reward[i] = vly_unit(x.v[2]);
        action[i] = (int32_t)(x.v[3] % 4);
    }
    for (size_t i = 0; i < STEPS * ACTORS * f->r->o.obs.bytes; i++)
        f->obs[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < ERRORS; i++)
        errors[i] = (vly_real)vly_unit(vly_philox(2, VLY_STREAM_TEST, (uint64_t)i, 0).v[0]) * 4;
    VLY_TRY(device(f, &rng, sizeof rng, &f->rng));
    VLY_TRY(device(f, &hyper, sizeof hyper, &f->hyper));
    VLY_TRY(device(f, action, sizeof action, &f->action));
    return device(f, errors, sizeof errors, &f->errors);
}

/* f->c is open. The ring is full at the end: inserting also withdraws. */
static vly_status field_open(field *f, const subject *s, int64_t capacity) {
    const size_t rows = STEPS * ACTORS,
                 input = (size_t)s->batch * s->obs.bytes * (size_t)s->obs.stack;
    const vly_replay_options o = {.obs = s->obs,
                                  .actors = ACTORS,
                                  .groups = 1,
                                  .capacity = capacity,
                                  .n_step = s->n_step,
                                  .batch = s->batch,
                                  .prioritized = true};
    VLY_TRY(f->c->queue_create(f->c, VLY_QUEUE_LEARN, &f->q));
    VLY_TRY(vly_replay_create(&f->r, f->c, &o));
    VLY_TRY(host(f, rows * s->obs.bytes, &f->obs));
    VLY_TRY(host(f, rows, &f->flags));
    VLY_TRY(host(f, rows, &f->age));
    VLY_TRY(host(f, rows * sizeof *f->reward, &f->reward));
    VLY_TRY(device(f, NULL, input, &f->x));
    VLY_TRY(device(f, NULL, input, &f->x_next));
    VLY_TRY(fill_rows(f));
    for (int64_t t = 0; t < f->r->T + 8; t++) VLY_TRY(insert_step(f, (int)(t % STEPS)));
    return VLY_OK;
}

/* ---- verifying ---- */

/* Numbers of the last sample on both sides that differ: integers and bytes at all, targets by more
 * than rounding. */
static vly_status compare(field *f, const field *ref, vly_bench_result *r) {
    const vly_replay_batch *b = &f->r->batch, *want = &ref->r->batch;
    const size_t n = (size_t)f->r->o.batch, frame = f->r->o.obs.bytes * (size_t)f->r->o.obs.stack;
    int32_t *row = malloc(n * sizeof *row), *next = malloc(n * sizeof *next);
    vly_real *target = malloc(n * sizeof *target);
    uint8_t *x = malloc(n * frame);
    vly_status s = row && next && target && x
                       ? VLY_OK
                       : vly_fail(VLY_ENOMEM, "no memory to verify a benchmark");
    if (s == VLY_OK) s = f->c->download(f->q, row, b->row, n * sizeof *row);
    if (s == VLY_OK) s = f->c->download(f->q, next, b->bootstrap_row, n * sizeof *next);
    if (s == VLY_OK) s = f->c->download(f->q, target, b->n_return, n * sizeof *target);
    if (s == VLY_OK) s = f->c->download(f->q, x, f->x_next, n * frame);
    if (s == VLY_OK) s = f->c->queue_sync(f->q);
    for (size_t i = 0; s == VLY_OK && i < n; i++) {
        const double error = fabs((double)target[i] - (double)want->n_return[i]);
        r->wrong += row[i] != want->row[i];
        r->wrong += next[i] != want->bootstrap_row[i];
        r->wrong += memcmp(x + i * frame, (const uint8_t *)ref->x_next + i * frame, frame) != 0;
        r->wrong += !(error <= 1e-5);
        r->verified += 4;
        if (!(error <= r->error)) r->error = error;
    }
    free(row), free(next), free(target), free(x);
    return s;
}

static vly_status verify(field *f, const subject *s, int64_t capacity, vly_bench_result *r) {
    field ref = {0};
    vly_status status = vly_bench_reference_open(&ref.c);
    if (status == VLY_OK) status = field_open(&ref, s, capacity);
    for (int k = 0; k < 2 && status == VLY_OK; k++) {
        status = one_sample(ref.q, &ref);
        if (status == VLY_OK) status = one_sample(f->q, f);
        if (status == VLY_OK) status = compare(f, &ref, r);
    }
    field_close(&ref);
    return status;
}

/* ---- the suite ---- */

static vly_status time_one(const vly_bench_options *o, const subject *s, field *f) {
    const char *where = getenv("VLY_BENCH_DEVICE"), *divide = getenv("VLY_BENCH_DIVIDE");
    const int64_t part = s->capacity / (divide && atoi(divide) > 1 ? atoi(divide) : 1),
                  capacity = part > LEAST ? part : LEAST;
    vly_bench_result r = {.unit = "transitions/s"};
    snprintf(r.name, sizeof r.name, "%s", s->name);
    VLY_TRY(vly_device_open(&f->c, where ? where : "auto", 1, NULL, 0));
    VLY_TRY(field_open(f, s, capacity));
    VLY_TRY(verify(f, s, capacity, &r));
    snprintf(r.params, sizeof r.params,
             "\"capacity\": %lld, \"actors\": %d, \"batch\": %d, \"n_step\": %d, \"threads\": %d, "
             "\"device\": \"%.60s\"",
             (long long)capacity, ACTORS, s->batch, s->n_step, f->c->info.threads, f->c->info.name);
    vly_bench_rate(o, s->inserts ? insert : sample_update, f, &r);
    VLY_TRY(f->status);
    if (o->report) o->report(o->arg, &r);
    return VLY_OK;
}

vly_status vly_bench_replay(const vly_bench_options *options) {
    vly_status status = VLY_OK;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects && status == VLY_OK; i++) {
        if (!vly_bench_wanted(options, subjects[i].name)) continue;
        field f = {0};
        status = time_one(options, &subjects[i], &f);
        field_close(&f);
    }
    return status;
}
