/* bench_store.c -- experience and weights through a Redis of our own on this machine
 * (cpu/fleet/shard.h, experience.h).
 *
 *   store/insert/...   transitions made into blocks (targets, first priorities, compression) and
 *                      pushed into one shard, which a learner's side takes and evicts at the same
 *                      time; 1, 2, 4 workers, each a thread with a connection
 *   store/sample/...   batches of 512 by priority, every frame fetched from Redis and decompressed,
 *                      and 512 new priorities
 *   store/cached/...   the same from the learner's cache of blocks
 *   store/pull/...     weights by version; store/push/...: gradients into a bounded list that
 *                      somebody empties
 *
 * small: 4 floats. frames: 84 x 84 bytes, stacks of 4 and one step to bootstrap from: five frames a
 * sample. The pictures have bands, blocks, moving parts and some noise; benchmarks/compare_store.py
 * draws the same ones for Reverb. "redis" in the parameters: the share of one processor that Redis
 * took meanwhile.
 */
#include "common/record/bench.h"
#ifndef VLY_HAVE_REDIS
vly_status vly_bench_store(const vly_bench_options *options) {
    (void)options;
    return vly_fail(VLY_EUNSUPPORTED, "built without hiredis and lz4: apt-get install "
                                      "libhiredis-dev liblz4-dev redis-server, then build again");
}
#else
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/experience.h"
#include "cpu/fleet/weights.h"

enum { LANES = 8, STEPS = 32, ACTIONS = 6, BATCH = 512, WORKERS = 4, UPDATES = 8 };
static const int64_t BUDGET = 256 << 20;

/* ---- what there is to push ---- */

/* One actor's rows, filled once: every block is made of them anew. */
typedef struct {
    vly_replay *ring;
    vly_real *value;
    vly_block_maker *maker;
    vly_store *store;
    uint64_t life, seq;
    int blocks; /* a thread's share of a sample: some milliseconds of work */
    vly_status status;
    char error[512];
} worker;

typedef struct {
    const vly_bench_options *options;
    vly_store_server *server;
    vly_compute *c;
    vly_queue *q;
    vly_block_shape shape;
    char run[32];
    worker workers[WORKERS];
    int running;
    vly_experience *e;
    vly_feed *feed;
    vly_weights *weights, *published;
    vly_store *store, *other;
    vly_real *numbers;
    int64_t n;
    pthread_t taker;
    atomic_bool quit;
    vly_status status; /* the first that went wrong */
    char error[512];
} field;

static void picture(uint8_t *frame, int64_t t, int lane) {
    for (int y = 0; y < 84; y++)
        for (int x = 0; x < 84; x++) {
            const bool block = y >= 18 && y < 42 &&
                               (x / 6 * 7 + y / 4 * 13 + (int)(t / 16)) % 5 < 3;
            frame[y * 84 + x] = (uint8_t)(block ? 60 + y / 4 * 10 : y / 12 % 7 * 20);
        }
    const int paddle = (int)(t * 3 % 76), bx = (int)(t * 5 % 82), by = (int)(t * 7 % 82);
    for (int x = 0; x < 8; x++) frame[76 * 84 + paddle + x] = frame[77 * 84 + paddle + x] = 200;
    frame[by * 84 + bx] = frame[by * 84 + bx + 1] = frame[by * 84 + 84 + bx] =
        frame[by * 84 + 85 + bx] = 236;
    for (int i = 0; i < 40; i++) {
        const uint32_t h = ((uint32_t)t * 2654435761u) ^
                           ((uint32_t)lane * 40503u + (uint32_t)i * 2246822519u);
        frame[(h ^ h >> 15) % (84 * 84)] = (uint8_t)(h >> 8);
    }
}

static void add_step(field *f, worker *w, int64_t t) {
    vly_rows rows;
    uint8_t age[LANES];
    int32_t action[LANES];
    vly_replay_place(w->ring, 0, &rows);
    for (int i = 0; i < LANES; i++) {
        const vly_u32x4 x = vly_philox(w->life, VLY_STREAM_TEST, (uint64_t)t, (uint32_t)i);
        uint8_t *at = rows.obs + (size_t)i * rows.obs_stride;
        if (f->shape.obs.bytes > 64)
            picture(at, t + 1000 * i, i);
        else
            memcpy(at, &x, sizeof x);
        rows.reward[i] = vly_unit(x.v[0]), rows.score[i] = 0;
        rows.flags[i] = x.v[1] % 200 == 0 ? VLY_ROW_TERMINATED : 0;
        age[i] = 3, action[i] = (int32_t)(x.v[3] % ACTIONS);
    }
    (void)vly_replay_arrived(w->ring, f->q, 0, age);
    (void)vly_replay_acted(w->ring, f->q, 0, action);
}

static vly_status worker_open(field *f, worker *w, uint64_t life) {
    const vly_replay_options o = {.obs = f->shape.obs,
                                  .actors = LANES,
                                  .groups = 1,
                                  .capacity = (int64_t)(4 * STEPS) * LANES,
                                  .n_step = 1};
    w->life = life;
    w->blocks = f->shape.obs.bytes > 64 ? 16 : 256;
    VLY_TRY(vly_replay_create(&w->ring, f->c, &o));
    VLY_TRY(vly_block_maker_create(&w->maker, &f->shape));
    VLY_TRY(vly_store_open(&w->store, vly_store_server_url(f->server),
                           vly_shard_run(f->run, 0).text, NULL));
    const size_t values = (size_t)(w->ring->T * LANES * ACTIONS);
    w->value = calloc(values, sizeof *w->value);
    if (!w->value) return vly_fail(VLY_ENOMEM, "no memory to measure the store");
    for (size_t i = 0; i < values; i++)
        w->value[i] = (vly_real)vly_unit(vly_philox(life, VLY_STREAM_TEST, i, 9).v[0]);
    for (int64_t t = 0; t < w->ring->T; t++) add_step(f, w, t);
    return VLY_OK;
}

static void worker_close(worker *w) {
    vly_replay_destroy(w->ring);
    vly_block_maker_destroy(w->maker);
    vly_store_close(w->store);
    free(w->value);
    *w = (worker){0};
}

/* Refused: the other side is behind; its thread needs the processor more. */
static vly_status push_block(worker *w, int queue, vly_block *b) {
    const vly_block_source source = {w->ring, w->value, ACTIONS, 0.99f, 1};
    bool accepted = false;
    const int64_t room = w->ring->T - STEPS - 8;
    VLY_TRY(vly_block_make(w->maker, &source, 4 + (int64_t)(w->seq * 7) % (room - 4), STEPS, b));
    b->head->life = w->life, b->head->seq = ++w->seq, b->head->agent_steps = STEPS * LANES;
    for (;;) {
        VLY_TRY(vly_shard_push(w->store, b, BUDGET, queue, &accepted));
        if (accepted) return VLY_OK;
        nanosleep(&(struct timespec){0, 200000}, NULL);
    }
}

/* ---- the parts that are measured ---- */

static void failed(field *f, vly_status status) {
    if (status == VLY_OK || f->status != VLY_OK) return;
    f->status = status;
    snprintf(f->error, sizeof f->error, "%s", vly_error_text());
}

static void *push_blocks(void *arg) {
    worker *w = arg;
    vly_block b;
    for (int i = 0; i < w->blocks && w->status == VLY_OK; i++) w->status = push_block(w, 64, &b);
    if (w->status != VLY_OK) snprintf(w->error, sizeof w->error, "%s", vly_error_text());
    return NULL;
}

static double insert(void *arg) {
    field *f = arg;
    pthread_t thread[WORKERS];
    for (int i = 1; i < f->running; i++)
        pthread_create(&thread[i], NULL, push_blocks, &f->workers[i]);
    push_blocks(&f->workers[0]);
    for (int i = 1; i < f->running; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < f->running; i++)
        if (f->workers[i].status != VLY_OK && f->status == VLY_OK)
            f->status = f->workers[i].status,
            memcpy(f->error, f->workers[i].error, sizeof f->error);
    return (double)f->running * f->workers[0].blocks * STEPS * LANES;
}

/* The learner's side while others insert. */
static void *take_blocks(void *arg) {
    field *f = arg;
    while (!atomic_load(&f->quit) && f->status == VLY_OK) {
        int n;
        failed(f, vly_experience_take(f->e, 64, &n));
        if (n == 0) nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    return NULL;
}

static double sample(void *arg) {
    field *f = arg;
    failed(f, vly_experience_draw(f->e, 0.4f));
    failed(f, vly_experience_draw(f->e, 0.4f));
    for (int k = 0; k < UPDATES && f->status == VLY_OK; k++) {
        failed(f, vly_experience_fetch(f->e, f->feed));
        if (k + 2 < UPDATES) failed(f, vly_experience_draw(f->e, 0.4f));
        for (int i = 0; i < BATCH; i++) f->feed->host.td_abs[i] = f->feed->host.n_return[i];
        failed(f, vly_experience_learned(f->e, f->feed));
    }
    return (double)UPDATES * BATCH;
}

static double pull(void *arg) {
    field *f = arg;
    for (int i = 0; i < UPDATES; i++) {
        bool fresh;
        f->weights->seen.version = -1; /* as if something newer were there */
        failed(f, vly_weights_follow(f->weights, f->numbers, &fresh));
    }
    return UPDATES;
}

static void *pop_gradients(void *arg) {
    field *f = arg;
    while (!atomic_load(&f->quit)) {
        const void *data;
        size_t bytes;
        const vly_status status = vly_store_pop(f->other, "pushes", 20, &data, &bytes);
        if (status != VLY_ENOTFOUND) failed(f, status);
    }
    return NULL;
}

static double push_gradients(void *arg) {
    field *f = arg;
    for (int i = 0; i < UPDATES;) {
        bool accepted;
        failed(f, vly_store_push(f->store, "pushes", f->numbers, (size_t)f->n * sizeof(float), 16,
                                 &accepted));
        if (f->status != VLY_OK) break;
        if (accepted)
            i++;
        else
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return UPDATES;
}

/* ---- how ---- */

static double redis_seconds(const field *f) {
    char path[64], text[512] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", vly_store_server_pid(f->server));
    FILE *in = fopen(path, "r");
    if (!in) return 0;
    const size_t got = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    const char *after = got ? strrchr(text, ')') : NULL;
    if (!after ||
        sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static vly_status measure(field *f, const char *name, const char *params, const char *unit,
                          vly_bench_fn work) {
    vly_bench_result r = {0};
    snprintf(r.name, sizeof r.name, "%s", name);
    snprintf(r.unit, sizeof r.unit, "%s", unit);
    const double cpu = redis_seconds(f), wall = wall_seconds();
    vly_bench_rate(f->options, work, f, &r);
    snprintf(r.params, sizeof r.params, "%s, \"redis\": %.2f", params,
             (redis_seconds(f) - cpu) / (wall_seconds() - wall));
    if (f->status != VLY_OK) return vly_fail(f->status, "%s: %s", name, f->error);
    if (f->options->report) f->options->report(f->options->arg, &r);
    return VLY_OK;
}

static vly_status open_experience(field *f, int64_t cache) {
    const vly_experience_options o = {.url = vly_store_server_url(f->server),
                                      .run = f->run,
                                      .shape = f->shape,
                                      .shards = 1,
                                      .batch = BATCH,
                                      .capacity = 1 << 20,
                                      .shard_bytes = BUDGET,
                                      .cache_bytes = cache,
                                      .store.retry_ms = 1000,
                                      .alpha = 0.6f,
                                      .priority_eps = 1e-6f,
                                      .seed = 1};
    return vly_experience_open(&f->e, &o);
}

static vly_status insert_with(field *f, const char *kind, int workers) {
    char name[64], params[128];
    vly_block b;
    snprintf(name, sizeof name, "store/insert/%s/%d", kind, workers);
    if (!vly_bench_wanted(f->options, name)) return VLY_OK;
    f->running = workers;
    VLY_TRY(open_experience(f, 0));
    atomic_store(&f->quit, false);
    VLY_TRY(push_block(&f->workers[0], 64, &b));
    const double bytes = (double)vly_shard_cost(b.head, b.notice_bytes) / (STEPS * LANES);
    snprintf(params, sizeof params,
             "\"workers\": %d, \"block\": %d, \"bytes_per_transition\": %.0f", workers,
             STEPS * LANES, bytes);
    pthread_create(&f->taker, NULL, take_blocks, f);
    const vly_status status = measure(f, name, params, "transitions/s", insert);
    atomic_store(&f->quit, true);
    pthread_join(f->taker, NULL);
    vly_experience_close(f->e);
    f->e = NULL;
    return status;
}

static vly_status sample_with(field *f, const char *kind, const char *from, int64_t cache) {
    char name[64], params[64];
    vly_block b;
    int n = 1;
    snprintf(name, sizeof name, "store/%s/%s", from, kind);
    if (!vly_bench_wanted(f->options, name)) return VLY_OK;
    VLY_TRY(open_experience(f, cache));
    for (int i = 0; i < 400; i++) { /* 100,000 transitions */
        VLY_TRY(push_block(&f->workers[0], 1 << 20, &b));
        if (i % 16 == 0) VLY_TRY(vly_experience_take(f->e, 64, &n));
    }
    while (n) VLY_TRY(vly_experience_take(f->e, 64, &n));
    VLY_TRY(vly_feed_create(&f->feed, f->c, &f->shape.obs, BATCH, f->shape.n_step));
    snprintf(params, sizeof params, "\"batch\": %d, \"frames\": %d", BATCH, f->shape.obs.stack + 1);
    const vly_status status = measure(f, name, params, "transitions/s", sample);
    vly_feed_destroy(f->feed);
    vly_experience_close(f->e);
    f->feed = NULL, f->e = NULL;
    return status;
}

static vly_status experience(field *f, const char *kind, vly_obs_spec obs) {
    f->shape = (vly_block_shape){
        .obs = obs, .actions = ACTIONS, .lanes_most = LANES, .steps_most = STEPS, .n_step = 1};
    snprintf(f->run, sizeof f->run, "%s", kind);
    vly_status status = VLY_OK;
    for (int i = 0; i < WORKERS && status == VLY_OK; i++)
        status = worker_open(f, &f->workers[i], (uint64_t)(i + 1));
    for (int n = 1; n <= WORKERS && status == VLY_OK; n *= 2) status = insert_with(f, kind, n);
    if (status == VLY_OK) status = sample_with(f, kind, "sample", 0);
    if (status == VLY_OK) status = sample_with(f, kind, "cached", BUDGET);
    for (int i = 0; i < WORKERS; i++) worker_close(&f->workers[i]);
    return status;
}

static vly_status parameters(field *f, const char *kind, int64_t n) {
    char name[64], params[64];
    f->n = n;
    f->numbers = calloc((size_t)n, sizeof *f->numbers);
    if (!f->numbers) return vly_fail(VLY_ENOMEM, "no memory to measure the store");
    VLY_TRY(vly_store_open(&f->store, vly_store_server_url(f->server), "weights", NULL));
    VLY_TRY(vly_store_open(&f->other, vly_store_server_url(f->server), "weights", NULL));
    VLY_TRY(vly_weights_create(&f->published, f->store, n));
    VLY_TRY(vly_weights_create(&f->weights, f->store, n));
    VLY_TRY(vly_weights_publish(f->published, 1, 0, false, f->numbers));
    snprintf(params, sizeof params, "\"parameters\": %lld", (long long)n);
    snprintf(name, sizeof name, "store/pull/%s", kind);
    if (vly_bench_wanted(f->options, name)) VLY_TRY(measure(f, name, params, "pulls/s", pull));
    snprintf(name, sizeof name, "store/push/%s", kind);
    if (!vly_bench_wanted(f->options, name)) return VLY_OK;
    atomic_store(&f->quit, false);
    pthread_create(&f->taker, NULL, pop_gradients, f);
    const vly_status status = measure(f, name, params, "pushes/s", push_gradients);
    atomic_store(&f->quit, true);
    pthread_join(f->taker, NULL);
    return status;
}

static void parameters_close(field *f) {
    vly_weights_destroy(f->weights), vly_weights_destroy(f->published);
    vly_store_close(f->store), vly_store_close(f->other);
    free(f->numbers);
    f->weights = f->published = NULL, f->store = f->other = NULL, f->numbers = NULL;
}

static vly_status all(field *f) {
    const vly_obs_spec small = {
        .dtype = VLY_F32, .ndim = 1, .shape = {4, 1, 1}, .stack = 1, .scale = 1, .bytes = 16};
    const vly_obs_spec frames = {.dtype = VLY_U8,
                                 .ndim = 3,
                                 .shape = {84, 84, 1},
                                 .stack = 4,
                                 .scale = 1.0f / 255,
                                 .bytes = 84 * 84};
    VLY_TRY(vly_compute_create_cpu(&f->c, 1));
    VLY_TRY(f->c->queue_create(f->c, VLY_QUEUE_ACT, &f->q));
    VLY_TRY(experience(f, "small", small));
    VLY_TRY(experience(f, "frames", frames));
    vly_status status = parameters(f, "small", 4675); /* CartPole's network */
    parameters_close(f);
    if (status == VLY_OK) status = parameters(f, "nature", 1686180);
    parameters_close(f);
    return status;
}

vly_status vly_bench_store(const vly_bench_options *options) {
    char folder[64] = "/tmp/volley-bench-XXXXXX", clean[96];
    field *f = calloc(1, sizeof *f);
    if (!f || !mkdtemp(folder)) {
        free(f);
        return vly_fail(VLY_ENOMEM, "no memory, or no room in /tmp, to measure the store");
    }
    f->options = options;
    vly_status status = vly_store_server_start(&f->server, folder, false, NULL);
    if (status == VLY_OK) status = all(f);
    if (f->e) vly_experience_close(f->e);
    if (f->q) f->c->queue_destroy(f->q);
    if (f->c) f->c->destroy(f->c);
    vly_store_server_stop(f->server);
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    if (system(clean) != 0 && status == VLY_OK)
        status = vly_fail(VLY_EIO, "cannot remove %s", folder);
    free(f);
    return status;
}
#endif
