/* experience_field.h -- test actors whose transitions are all distinguishable, a Redis, and
 * learners that read what they push. */
#ifndef VLY_TESTS_FLEET_EXPERIENCE_FIELD_H
#define VLY_TESTS_FLEET_EXPERIENCE_FIELD_H
#include "tests/kit/check.h"
#include <signal.h>
#include <unistd.h>
#include "common/base/rules.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/experience.h"

enum { LANES = 3, STEPS = 8, N_STEP = 3, ACTIONS = 5, BATCH = 64 };
static char folder[64] = "/tmp/volley-experience-XXXXXX";
static vly_store_server *server;
static vly_compute *c;
static vly_queue *q;

/* ---- actors ---- */

typedef struct {
    vly_replay *ring;
    vly_real *value;
    vly_block_maker *maker;
    vly_block_shape shape;
    uint64_t life, seq;
    int64_t next, step;
} field;

static __attribute__((unused)) vly_obs_spec small_obs(void) {
    return (vly_obs_spec){
        .dtype = VLY_F32, .ndim = 1, .shape = {4, 1, 1}, .stack = 1, .scale = 1, .bytes = 16};
}
static __attribute__((unused)) vly_obs_spec image_obs(void) {
    return (vly_obs_spec){.dtype = VLY_U8,
                          .ndim = 3,
                          .shape = {84, 84, 1},
                          .stack = 4,
                          .scale = 1.0f / 255,
                          .bytes = 84 * 84};
}

/* A frame begins with its life, lane and step; a test picture follows. */
static __attribute__((unused)) void draw_frame(uint8_t *frame, size_t bytes, uint64_t life,
                                               int lane, int64_t step) {
    const uint32_t code[4] = {(uint32_t)life, (uint32_t)lane, (uint32_t)step, 77};
    /* a new picture every 5 steps */
    for (size_t i = sizeof code; i < bytes; i++)
        frame[i] = (uint8_t)((i / 97 + (size_t)(step / 5)) % 7 * 30);
    memcpy(frame, code, sizeof code);
}

static __attribute__((unused)) void add_step(field *f) {
    vly_rows rows;
    uint8_t age[LANES];
    int32_t action[LANES];
    vly_replay_place(f->ring, 0, &rows);
    for (int i = 0; i < LANES; i++) {
        const vly_u32x4 x = vly_philox(f->life, VLY_STREAM_TEST, (uint64_t)f->step, (uint32_t)i);
        draw_frame(rows.obs + (size_t)i * rows.obs_stride, f->shape.obs.bytes, f->life, i, f->step);
        rows.reward[i] = vly_unit(x.v[0]);
        rows.score[i] = 0;
        rows.flags[i] = x.v[1] % 11 == 0   ? VLY_ROW_TERMINATED
                        : x.v[1] % 11 == 1 ? VLY_ROW_TRUNCATED
                        : x.v[1] % 11 == 2 ? VLY_ROW_RESET
                                           : 0;
        age[i] = (uint8_t)(x.v[2] % 6);
        action[i] = (int32_t)(x.v[3] % ACTIONS);
    }
    CHECK_OK(vly_replay_arrived(f->ring, q, 0, age));
    const int64_t row = vly_replay_newest(f->ring, 0);
    CHECK_OK(vly_replay_acted(f->ring, q, 0, action));
    for (int i = 0; i < LANES * ACTIONS; i++)
        f->value[row * ACTIONS + i] =
            (vly_real)(vly_unit(vly_philox(f->life, VLY_STREAM_TEST, (uint64_t)f->step,
                                           100 + (uint32_t)i)
                                    .v[0]) *
                       4);
    f->step++;
}

static __attribute__((unused)) field *field_open(vly_obs_spec obs, uint64_t life) {
    field *f = calloc(1, sizeof *f);
    const vly_replay_options o = {.obs = obs,
                                  .actors = LANES,
                                  .groups = 1,
                                  .capacity = (STEPS + N_STEP + obs.stack + 2) * LANES,
                                  .n_step = 1};
    f->shape = (vly_block_shape){
        .obs = obs, .actions = ACTIONS, .lanes_most = LANES, .steps_most = STEPS, .n_step = N_STEP};
    f->life = life;
    CHECK_OK(vly_replay_create(&f->ring, c, &o));
    CHECK_OK(vly_block_maker_create(&f->maker, &f->shape));
    f->value = calloc((size_t)(f->ring->T * LANES * ACTIONS), sizeof *f->value);
    return f;
}

static __attribute__((unused)) void field_close(field *f) {
    vly_replay_destroy(f->ring);
    vly_block_maker_destroy(f->maker);
    free(f->value);
    free(f);
}

static __attribute__((unused)) vly_block make(field *f) {
    const vly_block_source source = {f->ring, f->value, ACTIONS, 0.9f, 0.5f};
    vly_block b;
    while (f->step < f->next + STEPS + N_STEP + 1) add_step(f);
    CHECK_OK(vly_block_make(f->maker, &source, f->next, STEPS, &b));
    b.head->life = f->life, b.head->seq = ++f->seq, b.head->agent_steps = STEPS * LANES;
    f->next += STEPS;
    return b;
}

static __attribute__((unused)) vly_store *shard_as(const char *run, int number) {
    vly_store *s;
    CHECK_OK(vly_store_open(&s, vly_store_server_url(server), vly_shard_run(run, number).text,
                            &(vly_store_options){.retry_ms = 5000}));
    return s;
}

static __attribute__((unused)) bool push(vly_store *s, field *f, int64_t budget, int queue) {
    bool accepted;
    const vly_block b = make(f);
    CHECK_OK(vly_shard_push(s, &b, budget, queue, &accepted));
    if (!accepted) f->seq--, f->next -= STEPS;
    return accepted;
}

static int64_t told_steps;
static __attribute__((unused)) void heard(void *arg, const vly_block_head *h) {
    (void)arg;
    told_steps += h->agent_steps;
}

static __attribute__((unused)) vly_experience_options
learner_options(const char *run, int shards, const field *f, int64_t cache, int64_t budget) {
    return (vly_experience_options){.url = vly_store_server_url(server),
                                    .run = run,
                                    .shape = f->shape,
                                    .shards = shards,
                                    .batch = BATCH,
                                    .capacity = 4096,
                                    .shard_bytes = budget,
                                    .cache_bytes = cache,
                                    .store.retry_ms = 5000,
                                    .alpha = 0.6f,
                                    .priority_eps = 1e-3f,
                                    .seed = 5,
                                    .on_block = heard};
}

static __attribute__((unused)) vly_experience *learner(const char *run, int shards, const field *f,
                                                       int64_t cache, int64_t budget) {
    const vly_experience_options o = learner_options(run, shards, f, cache, budget);
    vly_experience *e;
    CHECK_OK(vly_experience_open(&e, &o));
    return e;
}

static __attribute__((unused)) vly_experience_report report_of(const vly_experience *e) {
    vly_experience_report r;
    vly_experience_get_report(e, &r);
    return r;
}

static __attribute__((unused)) void take_all(vly_experience *e) {
    int n;
    do CHECK_OK(vly_experience_take(e, 16, &n));
    while (n);
}

/* ---- samples ---- */

static __attribute__((unused)) void check_samples(const vly_experience *e, const vly_feed *feed) {
    const size_t frame = feed->obs.bytes;
    for (int i = 0; i < BATCH; i++) {
        uint64_t life, seq;
        uint32_t code[4];
        int transition;
        CHECK(vly_experience_where(e, vly_experience_rows(e)[i], &life, &seq, &transition));
        const int64_t step = (int64_t)(seq - 1) * STEPS + transition % STEPS;
        CHECK_EQ(feed->host.row[i], vly_feed_row(feed, i));
        for (int k = 0; k < 2; k++) { /* newest frame of the state; of the bootstrap row */
            const int32_t row = k ? feed->host.bootstrap_row[i] : feed->host.row[i];
            memcpy(code, feed->host.frames + (size_t)row * frame, sizeof code);
            CHECK_EQ(code[0], life);
            CHECK_EQ(code[1], transition / STEPS);
            CHECK_EQ(code[2], step + (row - feed->host.row[i]));
        }
        CHECK(feed->host.action[i] >= 0);
    }
}

/* ---- life ---- */

static void field_begin(void) {
    CHECK(mkdtemp(folder) != NULL);
    const vly_status status = vly_store_server_start(&server, folder, false, NULL);
    if (status == VLY_ENOTFOUND) SKIP("%s", vly_error_text());
    CHECK_EQ(status, VLY_OK);
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_ACT, &q));
}

static int field_end(void) {
    c->queue_destroy(q);
    c->destroy(c);
    vly_store_server_stop(server);
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
