/* A vector of environments through libvolley, beside the environments themselves. */
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>
#include "envs/registry.h"
#include "tests/library/calls.h"

enum { ENVS_MOST = 32, FRAME_MOST = 88 * 84, OBS_MOST = 4 * FRAME_MOST };

/* One batch in memory that was poisoned before every call. */
typedef struct {
    uint8_t *observation, *final;
    float reward[ENVS_MOST];
    uint8_t terminated[ENVS_MOST], truncated[ENVS_MOST];
    int32_t env_id[ENVS_MOST];
    vly_batch batch;
} rows;

static rows *make_rows(void) {
    rows *r = calloc(1, sizeof *r);
    r->observation = malloc((size_t)ENVS_MOST * OBS_MOST);
    r->final = malloc((size_t)ENVS_MOST * OBS_MOST);
    r->batch = (vly_batch){.bytes = sizeof r->batch,
                           .observation = r->observation,
                           .reward = r->reward,
                           .terminated = r->terminated,
                           .truncated = r->truncated,
                           .env_id = r->env_id,
                           .final_observation = r->final};
    return r;
}

static void poison_rows(rows *r) {
    memset(r->observation, 0xa5, (size_t)ENVS_MOST * OBS_MOST);
    memset(r->final, 0xa5, (size_t)ENVS_MOST * OBS_MOST);
    memset(r->reward, 0xa5, sizeof r->reward);
    memset(r->terminated, 0xa5, sizeof r->terminated);
    memset(r->truncated, 0xa5, sizeof r->truncated);
}

static void free_rows(rows *r) {
    free(r->observation), free(r->final), free(r);
}

static vly_vec *open_vec_as(const char *name, const char *options) {
    vly_vec *v = NULL;
    if (vly_vec_open(&v, name, options) != 0) {
        fprintf(stderr, "%s (%s): %s\n", name, options, vly_last_error());
        exit(TEST_FAIL);
    }
    return v;
}

static uint32_t next_random(uint32_t *state) {
    return *state = *state * 1664525u + 1013904223u, *state >> 8;
}

/* ---- beside the environment itself ---- */

static void start_environments(const vly_env *env, uint8_t *states, int n, int64_t *seeds,
                               vly_rows at) {
    memset(states, 0, (size_t)n * env->state_bytes);
    for (int i = 0; i < n; i++) {
        uint8_t *state = states + (size_t)i * env->state_bytes;
        seeds[i] = 100 + i;
        if (env->assign) env->assign(env, state, i);
        env->reset(env, state, 100 + (uint64_t)i, vly_rows_at(at, (size_t)i));
    }
}

static void check_row(const rows *r, int i, const uint8_t *obs, size_t bytes, float reward,
                      uint8_t flags) {
    CHECK(memcmp(r->observation + (size_t)i * bytes, obs, bytes) == 0);
    CHECK(r->reward[i] == reward);
    CHECK_EQ(r->terminated[i], (flags & VLY_ROW_TERMINATED) != 0);
    CHECK_EQ(r->truncated[i], (flags & VLY_ROW_TRUNCATED) != 0);
    CHECK_EQ(r->env_id[i], i);
}

static void a_vector_steps_as_the_environment_does(const char *name, const char *options) {
    enum { N = 12, STEPS = 600 };
    vly_env env;
    CHECK_OK(vly_env_open(&env, name, NULL));
    uint8_t *states = aligned_alloc(64, N * env.state_bytes), *obs = malloc(N * env.obs.bytes);
    float reward[N], score[N];
    uint8_t flags[N];
    const vly_rows at = vly_rows_plain(obs, env.obs.bytes, reward, score, flags);
    vly_vec *v = open_vec_as(name, options);
    rows *r = make_rows();
    int64_t seeds[N];
    int32_t action[N];
    uint32_t random = 5;
    start_environments(&env, states, N, seeds, at);
    poison_rows(r);
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    for (int t = 0, ends = 0; t < STEPS || ends == 0; t++) {
        for (int i = 0; i < N; i++) {
            check_row(r, i, obs + (size_t)i * env.obs.bytes, env.obs.bytes, reward[i], flags[i]);
            ends += (flags[i] & VLY_ROW_ENDED) != 0;
            action[i] = (int32_t)(next_random(&random) % (uint32_t)env.action.n);
        }
        env.step(&env, states, N, vly_actions_of_ints(action), at);
        poison_rows(r);
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
        CHECK(t < 100 * STEPS);
    }
    vly_vec_close(v);
    free_rows(r);
    free(states), free(obs);
    env.close(&env);
}

/* ---- the three ways to start again ---- */

/* Steps `name` twice, at the next step and at the same one: the rows are the same, in another
 * order. */
static void same_step_shows_the_end_and_the_next_start(void) {
    vly_vec *later = open_vec_as("cartpole", "num_envs=1 autoreset=next_step");
    vly_vec *same = open_vec_as("cartpole", "num_envs=1 autoreset=same_step");
    rows *a = make_rows(), *b = make_rows();
    const int64_t seed = 3;
    const size_t bytes = 4 * sizeof(float);
    CHECK_CALL(vly_vec_reset(later, NULL, &seed, &a->batch));
    CHECK_CALL(vly_vec_reset(same, NULL, &seed, &b->batch));
    for (int t = 0, ends = 0; ends < 5; t++) {
        const int64_t action = t / 3 % 2;
        poison_rows(a), poison_rows(b);
        CHECK_CALL(vly_vec_step(later, &action, VLY_TYPE_I64, &a->batch));
        CHECK_CALL(vly_vec_step(same, &action, VLY_TYPE_I64, &b->batch));
        CHECK(a->reward[0] == b->reward[0]);
        CHECK_EQ(a->terminated[0], b->terminated[0]);
        if (a->terminated[0]) {
            CHECK(memcmp(a->observation, b->final, bytes) == 0);
            CHECK_CALL(vly_vec_step(later, &action, VLY_TYPE_I64, &a->batch));
            CHECK(a->reward[0] == 0 && !a->terminated[0]);
            ends++;
        } else {
            CHECK_EQ(b->final[0], 0xa5); /* not written */
        }
        CHECK(memcmp(a->observation, b->observation, bytes) == 0);
    }
    vly_vec_close(later), vly_vec_close(same);
    free_rows(a), free_rows(b);
}

static void without_autoreset_an_end_waits_for_a_reset(void) {
    enum { N = 3 };
    vly_vec *v = open_vec_as("cartpole", "num_envs=3 autoreset=disabled");
    rows *r = make_rows();
    const int64_t seeds[N] = {1, 2, 3}, none[N] = {-1, -1, -1};
    const int32_t left[N] = {0, 0, 0};
    uint8_t mask[N];
    float before[4];
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    bool ended = false;
    while (!ended) {
        CHECK_CALL(vly_vec_step(v, left, VLY_TYPE_I32, &r->batch));
        for (int i = 0; i < N; i++) ended |= mask[i] = r->terminated[i];
    }
    REFUSED(vly_vec_step(v, left, VLY_TYPE_I32, &r->batch), -1, "has ended");
    int other = 0;
    while (other < N && mask[other]) other++;
    CHECK(other < N);
    memcpy(before, r->observation + (size_t)other * 16, 16);
    poison_rows(r);
    CHECK_CALL(vly_vec_reset(v, mask, none, &r->batch));
    CHECK(memcmp(before, r->observation + (size_t)other * 16, 16) == 0);
    for (int i = 0; i < N; i++) {
        float x;
        memcpy(&x, r->observation + (size_t)i * 16, sizeof x);
        if (mask[i]) CHECK(fabsf(x) <= 0.05f);
        CHECK(r->reward[i] == 0 && !r->terminated[i] && !r->truncated[i]);
    }
    CHECK_CALL(vly_vec_step(v, left, VLY_TYPE_I32, &r->batch));
    vly_vec_close(v);
    free_rows(r);
}

/* The random numbers go on after a reset without a seed, and a seed begins them anew. */
static void a_seed_repeats_and_none_goes_on(void) {
    vly_vec *v = open_vec_as("cartpole", "num_envs=2");
    rows *r = make_rows();
    float first[8], again[8], other[8];
    const int64_t seeds[2] = {5, 5};
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    memcpy(first, r->observation, sizeof first);
    CHECK(memcmp(first, first + 4, 16) == 0);
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &r->batch));
    memcpy(other, r->observation, sizeof other);
    CHECK(memcmp(first, other, 16) != 0);
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    memcpy(again, r->observation, sizeof again);
    CHECK(memcmp(first, again, sizeof first) == 0);
    vly_vec_close(v);
    free_rows(r);
}

/* ---- states ---- */

static size_t bytes_of(vly_vec *v) {
    vly_vec_facts facts = {.bytes = sizeof facts};
    CHECK_CALL(vly_vec_info(v, &facts));
    return (size_t)facts.state_bytes;
}

static size_t obs_bytes_of(vly_vec *v) {
    vly_vec_space o = {.bytes = sizeof o}, a = {.bytes = sizeof a};
    CHECK_CALL(vly_vec_spaces(v, &o, &a));
    size_t n = o.type == VLY_TYPE_U8 ? 1 : 4;
    for (int i = 0; i < o.ndim; i++) n *= (size_t)o.shape[i];
    return n;
}

static void a_saved_state_goes_on_as_it_would_have(const char *name, const char *options) {
    enum { N = 4, STEPS = 60 };
    vly_vec *v = open_vec_as(name, options), *w = open_vec_as(name, options);
    rows *r = make_rows(), *s = make_rows(), *t = make_rows();
    const size_t one = bytes_of(v), obs = obs_bytes_of(v);
    uint8_t *states = malloc(N * one);
    const int64_t seeds[N] = {1, 2, 3, 4};
    const int32_t back[N] = {3, 2, 1, 0};
    int32_t action[N], turned[N];
    uint32_t random = 9;
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    CHECK_CALL(vly_vec_reset(w, NULL, NULL, &s->batch));
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < N; i++) action[i] = (int32_t)(next_random(&random) % 2);
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
        if (k % 7 == 0) CHECK_CALL(vly_vec_step(w, action, VLY_TYPE_I32, &s->batch));
    }
    CHECK_CALL(vly_vec_save(v, back, N, states, N * one));
    poison_rows(t);
    CHECK_CALL(vly_vec_load(w, NULL, N, states, N * one, &t->batch));
    for (int i = 0; i < N; i++)
        CHECK(memcmp(t->observation + (size_t)i * obs, r->observation + (size_t)back[i] * obs,
                     obs) == 0);
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < N; i++) action[i] = (int32_t)(next_random(&random) % 2);
        for (int i = 0; i < N; i++) turned[i] = action[back[i]];
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
        CHECK_CALL(vly_vec_step(w, turned, VLY_TYPE_I32, &s->batch));
        for (int i = 0; i < N; i++) {
            CHECK(memcmp(s->observation + (size_t)i * obs, r->observation + (size_t)back[i] * obs,
                         obs) == 0);
            CHECK(s->reward[i] == r->reward[back[i]]);
            CHECK_EQ(s->terminated[i], r->terminated[back[i]]);
        }
    }
    vly_vec_close(v), vly_vec_close(w);
    free_rows(r), free_rows(s), free_rows(t), free(states);
}

static void a_damaged_state_is_refused_and_changes_nothing(void) {
    vly_vec *v = open_vec_as("minatar/breakout", "num_envs=2");
    rows *r = make_rows();
    const size_t one = bytes_of(v);
    uint8_t *good = malloc(2 * one), *bad = malloc(2 * one), *now = malloc(2 * one);
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &r->batch));
    CHECK_CALL(vly_vec_save(v, NULL, 2, good, 2 * one));
    for (size_t at = 0; at < 2 * one; at += 37) {
        memcpy(bad, good, 2 * one);
        bad[at] ^= 0x40;
        CHECK(vly_vec_load(v, NULL, 2, bad, 2 * one, NULL) != 0);
        CHECK(*vly_last_error());
    }
    REFUSED(vly_vec_load(v, NULL, 2, good, 2 * one - 1, NULL), -1, "take");
    REFUSED(vly_vec_load(v, NULL, 3, good, 2 * one, NULL), -1, "there are 2");
    vly_vec *other = open_vec_as("minatar/freeway", "num_envs=2");
    CHECK_CALL(vly_vec_reset(other, NULL, NULL, &r->batch));
    uint8_t *theirs = malloc(2 * bytes_of(other));
    CHECK_CALL(vly_vec_save(other, NULL, 2, theirs, 2 * bytes_of(other)));
    CHECK(vly_vec_load(v, NULL, 2, theirs, 2 * one, NULL) != 0);
    CHECK_CALL(vly_vec_save(v, NULL, 2, now, 2 * one));
    CHECK(memcmp(now, good, 2 * one) == 0);
    vly_vec_close(v), vly_vec_close(other);
    free(good), free(bad), free(now), free(theirs), free_rows(r);
}

/* ---- stacks ---- */

static void check_stack(const uint8_t *stack, const uint8_t *before, const uint8_t *frame,
                        size_t bytes, bool start, bool repeat) {
    static const uint8_t zeros[FRAME_MOST];
    CHECK(memcmp(stack + 3 * bytes, frame, bytes) == 0);
    for (size_t k = 0; k < 3; k++)
        CHECK(memcmp(stack + k * bytes, start ? (repeat ? frame : zeros) : before + (k + 1) * bytes,
                     bytes) == 0);
}

/* Atari's frames are stacked by the vector: newest last, zeros or copies before an episode. */
static void a_stack_holds_the_last_frames(const char *name, const char *options, bool repeat) {
    enum { N = 3, STEPS = 400 };
    const bool view = strstr(options, "view=true");
    vly_env env;
    CHECK_OK(vly_env_open(&env, name, NULL));
    const size_t frame = env.obs.bytes;
    CHECK(frame <= FRAME_MOST);
    uint8_t *states = aligned_alloc(64, N * env.state_bytes), *obs = malloc(N * frame);
    uint8_t *before = calloc(N, 4 * frame), flags[N];
    float reward[N], score[N];
    const vly_rows at = vly_rows_plain(obs, frame, reward, score, flags);
    vly_vec *v = open_vec_as(name, options);
    rows *r = make_rows();
    int64_t seeds[N];
    int32_t action[N];
    uint32_t random = 1;
    if (view) r->batch.observation = NULL;
    start_environments(&env, states, N, seeds, at);
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < N; i++) {
            const void *data = r->observation;
            size_t row = 4 * frame;
            if (view) CHECK_CALL(vly_vec_view(v, &data, &row));
            const uint8_t *stack = (const uint8_t *)data + (size_t)i * row;
            uint8_t *last = before + (size_t)i * 4 * frame;
            check_stack(stack, last, obs + (size_t)i * frame, frame, flags[i] & VLY_ROW_RESET,
                        repeat);
            memcpy(last, stack, 4 * frame);
            action[i] = (int32_t)(next_random(&random) % (uint32_t)env.action.n);
        }
        env.step(&env, states, N, vly_actions_of_ints(action), at);
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
    }
    vly_vec_close(v);
    free(states), free(obs), free(before), free_rows(r);
    env.close(&env);
}

/* ---- asynchronous ---- */

static void asynchronous_batches_hold_every_row_once(void) {
    enum { N = 8, BATCH = 3, ROUNDS = 300 };
    vly_vec *v = open_vec_as("cartpole", "num_envs=8 batch_size=3 num_threads=2");
    vly_vec *w = open_vec_as("cartpole", "num_envs=8");
    rows *r = make_rows(), *s = make_rows();
    int64_t seeds[N];
    int32_t action[BATCH], ids[BATCH];
    int steps[N] = {0};
    float shown[N][4];
    for (int i = 0; i < N; i++) seeds[i] = i;
    CHECK_CALL(vly_vec_send_reset(v, NULL, N, seeds));
    CHECK_CALL(vly_vec_reset(w, NULL, seeds, &s->batch));
    REFUSED(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch), -1, "batch_size");
    for (int round = 0; round < ROUNDS; round++) {
        poison_rows(r);
        CHECK_CALL(vly_vec_recv(v, &r->batch));
        for (int i = 0; i < BATCH; i++) {
            ids[i] = r->env_id[i];
            CHECK(ids[i] >= 0 && ids[i] < N);
            action[i] = steps[ids[i]]++ / 2 % 2; /* depends on the environment's own time alone */
            memcpy(shown[ids[i]], r->observation + (size_t)i * 16, 16);
        }
        const int32_t twice[BATCH] = {ids[0], ids[1], ids[0]};
        REFUSED(vly_vec_send(v, twice, BATCH, action, VLY_TYPE_I32), -1, "named twice");
        CHECK_CALL(vly_vec_send(v, ids, BATCH, action, VLY_TYPE_I32));
        REFUSED(vly_vec_send(v, ids, BATCH, action, VLY_TYPE_I32), -1, "not received");
    }
    /* Each environment went its own way: the synchronous one passes the same points. */
    int done = 0;
    for (int t = 0; done < N; t++) {
        int32_t all[N];
        for (int i = 0; i < N; i++) {
            if (t == steps[i] - 1 || (t == 0 && steps[i] == 0)) {
                if (steps[i]) CHECK(memcmp(s->observation + (size_t)i * 16, shown[i], 16) == 0);
                done++;
            }
            all[i] = t / 2 % 2;
        }
        CHECK_CALL(vly_vec_step(w, all, VLY_TYPE_I32, &s->batch));
    }
    /* A reset of all goes before what is still in flight. */
    CHECK_CALL(vly_vec_reset(w, NULL, seeds, &s->batch));
    REFUSED(vly_vec_send_reset(v, ids, BATCH, seeds), -1, "not received");
    CHECK_CALL(vly_vec_send_reset(v, NULL, N, seeds));
    CHECK_CALL(vly_vec_recv(v, &r->batch));
    for (int i = 0; i < BATCH; i++)
        CHECK(memcmp(r->observation + i * 16, s->observation + r->env_id[i] * 16, 16) == 0);
    vly_vec_close(v), vly_vec_close(w);
    free_rows(r), free_rows(s);
}

/* ---- misuse ---- */

static void misuse_is_refused_with_words(void) {
    vly_vec *v = NULL;
    rows *r = make_rows();
    const int32_t good[2] = {0, 1}, bad[2] = {0, 2};
    const int64_t huge[2] = {0, (int64_t)1 << 40};
    REFUSED(vly_vec_open(&v, "cartpoll", NULL), -6, "cartpole");
    CHECK(v == NULL);
    REFUSED(vly_vec_open(&v, NULL, NULL), -1, "no environment");
    REFUSED(vly_vec_open(&v, "cartpole", "num_envs"), -1, "key=value");
    REFUSED(vly_vec_open(&v, "cartpole", "num_envs=0"), -1, "num_envs");
    REFUSED(vly_vec_open(&v, "cartpole", "num_envs=2 batch_size=3"), -1, "batch_size");
    REFUSED(vly_vec_open(&v, "cartpole", "autoreset=never"), -1, "next_step");
    REFUSED(vly_vec_open(&v, "cartpole", "gravity=1"), -1, "gravity");
    REFUSED(vly_vec_open(&v, "cartpole", "atari.stickyy=1"), -1, "atari.sticky");
    REFUSED(vly_vec_open(&v, "cartpole", "atari.sticky=0.1"), -1, "no Atari game");
    REFUSED(vly_vec_open(&v, "cartpole", "data=\"open"), -1, "key=value");
    REFUSED(vly_vec_open(&v, "./nothing.so", NULL), -6, "nothing.so");
    v = open_vec_as("cartpole", "num_envs=2");
    REFUSED(vly_vec_step(v, good, VLY_TYPE_I32, &r->batch), -1, "reset()");
    REFUSED(vly_vec_recv(v, &r->batch), -1, "send()");
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &r->batch));
    REFUSED(vly_vec_step(v, bad, VLY_TYPE_I32, &r->batch), -1, "action 2");
    REFUSED(vly_vec_step(v, huge, VLY_TYPE_I64, &r->batch), -1, "1099511627776");
    REFUSED(vly_vec_step(v, good, VLY_TYPE_F32, &r->batch), -1, "whole numbers");
    REFUSED(vly_vec_step(v, NULL, VLY_TYPE_I32, &r->batch), -1, "without actions");
    REFUSED(vly_vec_step(v, good, VLY_TYPE_I32, NULL), -1, "batch");
    const void *data;
    size_t row;
    int width, height;
    REFUSED(vly_vec_view(v, &data, &row), -1, "view=true");
    REFUSED(vly_vec_render(v, 2, NULL, &width, &height), -1, "there are 2");
    CHECK_CALL(vly_vec_render(v, 1, NULL, &width, &height));
    CHECK(width > 0 && height > 0);
    CHECK_CALL(vly_vec_send(v, NULL, 2, good, VLY_TYPE_I32));
    REFUSED(vly_vec_send(v, NULL, 2, good, VLY_TYPE_I32), -1, "not received");
    CHECK_CALL(vly_vec_recv(v, &r->batch));
    vly_vec_close(v);
    vly_vec_close(NULL);
    REFUSED(vly_vec_reset(NULL, NULL, NULL, &r->batch), -1, "closed");
    v = open_vec_as("cartpole", "view=true");
    REFUSED(vly_vec_view(v, NULL, &row), -1, "nowhere");
    REFUSED(vly_vec_view(v, &data, NULL), -1, "nowhere");
    vly_vec_close(v);
    free_rows(r);
}

/* What was sent goes on meanwhile, and is received as it would have been. */
static void a_step_before_recv_changes_nothing(void) {
    enum { N = 32 };
    vly_vec *v = open_vec_as("minatar/seaquest", "num_envs=32 num_threads=3");
    rows *r = make_rows(), *s = make_rows();
    const int32_t action[N] = {0};
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &r->batch));
    poison_rows(s);
    for (int t = 0; t < 500; t++) {
        CHECK_CALL(vly_vec_send(v, NULL, N, action, VLY_TYPE_I32));
        for (int i = 0; i < 60; i++) /* some while workers deliver */
            REFUSED(vly_vec_step(v, action, VLY_TYPE_I32, &s->batch), -1, "recv() first");
        CHECK_CALL(vly_vec_recv(v, &r->batch));
        for (int i = 0; i < N; i++) CHECK_EQ(s->terminated[i], 0xa5);
    }
    vly_vec_close(v);
    free_rows(r), free_rows(s);
}

static void a_child_cannot_use_its_parents_vector(void) {
    vly_vec *v = open_vec_as("cartpole", "num_envs=4 num_threads=2");
    rows *r = make_rows();
    const int32_t action[4] = {0};
    CHECK_CALL(vly_vec_reset(v, NULL, NULL, &r->batch));
    const pid_t child = fork();
    if (child == 0) {
        const int status = vly_vec_step(v, action, VLY_TYPE_I32, &r->batch);
        vly_vec_close(v);
        _exit(status == -1 && strstr(vly_last_error(), "forked") ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
    vly_vec_close(v);
    free_rows(r);
}

/* ---- several at once ---- */

static void *play_alone(void *arg) {
    vly_vec *v = open_vec_as("minatar/asterix", "num_envs=6 num_threads=2");
    rows *r = make_rows();
    uint64_t *sum = arg;
    const int64_t seeds[6] = {1, 2, 3, 4, 5, 6};
    int32_t action[6];
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &r->batch));
    for (int t = 0; t < 200; t++) {
        for (int i = 0; i < 6; i++) action[i] = (t + i) % 6;
        CHECK_CALL(vly_vec_step(v, action, VLY_TYPE_I32, &r->batch));
        for (int i = 0; i < 600; i++) *sum = *sum * 31 + r->observation[i];
        CHECK(vly_vec_step(v, NULL, VLY_TYPE_I32, &r->batch) == -1);
        CHECK(strstr(vly_last_error(), "without actions"));
    }
    vly_vec_close(v);
    free_rows(r);
    return NULL;
}

static void several_threads_have_a_vector_each(void) {
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    uint64_t sum[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, play_alone, &sum[i]) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 1; i < THREADS; i++) CHECK(sum[i] == sum[0] && sum[0] != 0);
}

typedef struct {
    vly_vec *vec;
    int refused, done;
} shared;

static void *call_shared(void *arg) {
    shared *s = arg;
    rows *r = make_rows();
    const int32_t action[4] = {0};
    for (int t = 0; t < 300; t++) {
        const int status = vly_vec_step(s->vec, action, VLY_TYPE_I32, &r->batch);
        CHECK(status == 0 || (status == -1 && strstr(vly_last_error(), "another thread")));
        s->done += status == 0, s->refused += status != 0;
    }
    free_rows(r);
    return NULL;
}

static void one_vector_serves_one_call_at_a_time(void) {
    shared s[2] = {{0}};
    rows *r = make_rows();
    pthread_t thread[2];
    s[0].vec = s[1].vec = open_vec_as("cartpole", "num_envs=4");
    CHECK_CALL(vly_vec_reset(s[0].vec, NULL, NULL, &r->batch));
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&thread[i], NULL, call_shared, &s[i]) == 0);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    CHECK_EQ(s[0].done + s[0].refused + s[1].done + s[1].refused, 600);
    vly_vec_close(s[0].vec);
    free_rows(r);
}

static void the_list_names_what_opens(void) {
    vly_vec_known known = {.bytes = sizeof known};
    int n = 0;
    while (vly_vec_list(n, &known) == 0) {
        CHECK(known.name && known.family && known.summary);
        const bool fetched = !strcmp(known.family, "atari") || !strcmp(known.family, "mujoco");
        if (!fetched) vly_vec_close(open_vec_as(known.name, ""));
        n++;
    }
    CHECK(n > 110);
}

static int frames_a_step(const char *name, const char *options) {
    vly_vec_facts facts = {.bytes = sizeof facts};
    vly_vec *v = open_vec_as(name, options);
    CHECK_CALL(vly_vec_info(v, &facts));
    vly_vec_close(v);
    return facts.frames_per_step;
}

static void options_go_before_what_an_id_sets(void) {
    vly_vec *v;
    CHECK_EQ(frames_a_step("ALE/Pong-v5", NULL), 4);
    CHECK_EQ(frames_a_step("ALE/Pong-v5", "atari.frame_skip=2"), 2);
    CHECK_EQ(frames_a_step("ALE/Pong-v5", "atari.preset=ale atari.frame_skip=3"), 3);
    CHECK_EQ(frames_a_step("ALE/Pong-v5", "atari.preset=machado"), 5); /* and so does a preset */
    CHECK_EQ(frames_a_step("PongNoFrameskip-v4", NULL), 1);
    REFUSED(vly_vec_open(&v, "ALE/Pong-v5", "frame_skip=2"), -1, "begin with atari.");
}

static bool has_roms(void) {
    vly_env env;
    if (vly_env_open(&env, "multi:pong,breakout,seaquest", NULL) != VLY_OK) return false;
    env.close(&env);
    return true;
}

int main(void) {
    CHECK(strlen(vly_version()) >= 5);
    a_vector_steps_as_the_environment_does("cartpole", "num_envs=12 num_threads=1");
    a_vector_steps_as_the_environment_does("cartpole", "num_envs=12 num_threads=3");
    a_vector_steps_as_the_environment_does("minatar/seaquest", "num_envs=12 num_threads=2");
    a_vector_steps_as_the_environment_does("multi:cartpole,acrobot", "num_envs=12 num_threads=2");
    a_vector_steps_as_the_environment_does("multi:minatar/breakout,minatar/freeway", "num_envs=12");
    same_step_shows_the_end_and_the_next_start();
    without_autoreset_an_end_waits_for_a_reset();
    a_seed_repeats_and_none_goes_on();
    a_saved_state_goes_on_as_it_would_have("cartpole", "num_envs=4");
    a_saved_state_goes_on_as_it_would_have("minatar/space_invaders", "num_envs=4");
    a_damaged_state_is_refused_and_changes_nothing();
    asynchronous_batches_hold_every_row_once();
    misuse_is_refused_with_words();
    a_step_before_recv_changes_nothing();
    a_child_cannot_use_its_parents_vector();
    several_threads_have_a_vector_each();
    one_vector_serves_one_call_at_a_time();
    the_list_names_what_opens();
    if (has_roms()) {
        options_go_before_what_an_id_sets();
        a_stack_holds_the_last_frames("breakout", "num_envs=3", false);
        a_stack_holds_the_last_frames("breakout", "num_envs=3 stack_start=repeat num_threads=2",
                                      true);
        a_stack_holds_the_last_frames("breakout", "num_envs=3 view=true", false);
        a_stack_holds_the_last_frames("multi:pong,breakout,seaquest", "num_envs=3", false);
        a_saved_state_goes_on_as_it_would_have("pong", "num_envs=4");
        a_saved_state_goes_on_as_it_would_have("breakout", "num_envs=4 view=true");
    } else {
        SKIP_PART("stacks of Atari frames: no ROMs (make roms, or VOLLEY_ROMS)");
    }
    return TEST_PASS;
}
