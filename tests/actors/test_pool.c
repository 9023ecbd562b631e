/* The actor pool, against an environment that can be told to fail and to hang. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "cpu/actors/pool.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

/* ---- an environment whose every value follows from seed and actions ---- */

typedef struct {
    uint64_t hash;
    int32_t t, length, ended, episodes;
    char pad[40];
} fake_state;

typedef struct {
    int fail_every; /* every so many steps of an actor it fails; 0: never */
    bool fail_reset;
    _Atomic(void *) hang_at; /* this state hangs in its next step ... */
    _Atomic int hold;        /* ... until this is 0 */
    atomic_int inside;
} fake_world;

static void fake_row(const fake_state *s, vly_rows at, int flags) {
    const vly_u32x4 r = vly_philox(s->hash, VLY_STREAM_TEST, (uint64_t)s->t, (uint32_t)s->episodes);
    memcpy(at.obs, r.v, 12);
    *at.reward = (flags & VLY_ROW_RESET) ? 0 : (float)(r.v[3] % 7) - 2;
    *at.score = *at.reward;
    *at.flags = (uint8_t)flags;
}

static void fake_start(fake_state *s, vly_rows at) {
    s->length = 3 + (int)(vly_philox(s->hash, VLY_STREAM_TEST, 7, (uint32_t)s->episodes).v[0] % 20);
    s->t = s->ended = 0;
    fake_row(s, at, VLY_ROW_RESET);
}

static void fake_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const fake_world *w = env->world;
    *(fake_state *)state = (fake_state){.hash = seed};
    fake_start(state, at);
    if (w->fail_reset) *at.flags |= VLY_ROW_FAILED;
}

static void fake_hang(fake_world *w) {
    atomic_fetch_add(&w->inside, 1);
    while (atomic_load(&w->hold)) usleep(1000);
    atomic_fetch_sub(&w->inside, 1);
}

static void fake_step_one(fake_world *w, fake_state *s, int32_t action, vly_rows at) {
    if (atomic_load(&w->hang_at) == s) fake_hang(w);
    if (s->ended) {
        s->episodes++;
        fake_start(s, at);
        return;
    }
    s->hash = s->hash * 6364136223846793005ull + (uint64_t)action + 1442695040888963407ull;
    s->t++;
    s->ended = s->t == s->length;
    const int ended = s->episodes % 2 ? VLY_ROW_TRUNCATED : VLY_ROW_TERMINATED;
    fake_row(s, at, s->ended ? ended | VLY_ROW_GAME_OVER : 0);
    if (w->fail_every && s->t % w->fail_every == 0) *at.flags = VLY_ROW_FAILED, *at.reward = NAN;
}

static void fake_step(const vly_env *env, void *states, int n, const int32_t *action,
                      vly_rows out) {
    for (int i = 0; i < n; i++)
        fake_step_one(env->world, (fake_state *)states + i, action[i], vly_rows_at(out, (size_t)i));
}

_Static_assert(sizeof(fake_state) == 64, "the ABI wants multiples of 64");

static vly_env fake_env(fake_world *world) {
    return (vly_env){
        .abi = VLY_ENV_ABI,
        .struct_bytes = sizeof(vly_env),
        .name = "fake",
        .obs =
            {.dtype = VLY_F32, .ndim = 1, .shape = {3, 1, 1}, .stack = 1, .scale = 1, .bytes = 12},
        .actions = 4,
        .frames_per_step = 1,
        .state_bytes = sizeof(fake_state),
        .world = world,
        .reset = fake_reset,
        .step = fake_step};
}

/* ---- rows, actions, digests ---- */

enum { STRIDE = 16, N_MAX = 4096 };
typedef struct {
    uint8_t obs[N_MAX * STRIDE], flags[N_MAX];
    float reward[N_MAX], score[N_MAX];
    int32_t action[N_MAX];
} bench_rows;

static vly_rows rows_of(bench_rows *b, int first) {
    const vly_rows all = {b->obs, STRIDE, b->reward, b->score, b->flags};
    return vly_rows_at(all, (size_t)first);
}

static uint64_t mix(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 1099511628211ull;
    return h;
}

static uint64_t mix_rows(uint64_t h, bench_rows *b, int first, int n) {
    for (int i = first; i < first + n; i++) h = mix(h, b->obs + i * STRIDE, 12);
    h = mix(h, b->reward + first, 4 * (size_t)n);
    return mix(h, b->flags + first, (size_t)n);
}

static void choose(bench_rows *b, int first, int n, int64_t t) {
    for (int i = first; i < first + n; i++)
        b->action[i] =
            (int32_t)vly_below(vly_philox(5, VLY_STREAM_TEST, (uint64_t)t, (uint32_t)i).v[0], 4);
}

static uint64_t mix_episodes(uint64_t h, vly_pool *pool) {
    vly_episode e[64];
    for (int n; (n = vly_pool_episodes(pool, e, 64)) > 0;)
        for (int i = 0; i < n; i++) {
            h = mix(h, &e[i].actor, 4);
            h = mix(h, &e[i].length, 4);
            h = mix(h, &e[i].score, 8);
        }
    return h;
}

static bench_rows *new_rows(void) {
    bench_rows *b = malloc(sizeof *b);
    memset(b, 0xa5, sizeof *b);
    return b;
}

/* Every group `steps` times, all groups in flight at once; `t0`: number of the first step. */
static uint64_t run_sync(vly_pool *pool, bench_rows *b, int t0, int steps, uint64_t h) {
    for (int t = t0; t < t0 + steps; t++)
        for (int g = 0; g < vly_pool_groups(pool); g++) {
            int first, n;
            vly_pool_group_range(pool, g, &first, &n);
            CHECK_OK(vly_pool_wait_group(pool, g, -1));
            if (t > 0) h = mix_rows(h, b, first, n);
            h = mix_episodes(h, pool);
            choose(b, first, n, t);
            if (t == 0)
                CHECK_OK(vly_pool_reset_group(pool, g, rows_of(b, first)));
            else
                CHECK_OK(vly_pool_submit_group(pool, g, b->action + first, rows_of(b, first)));
        }
    for (int g = 0; g < vly_pool_groups(pool); g++) CHECK_OK(vly_pool_wait_group(pool, g, -1));
    return mix_episodes(mix_rows(h, b, 0, vly_pool_actors(pool)), pool);
}

static uint64_t digest(vly_pool_options o, fake_world *w, int steps) {
    const vly_env env = fake_env(w);
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    const uint64_t h = run_sync(pool, b, 0, steps, 1);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
    return h;
}

/* ---- the claims ---- */

static void rows_do_not_depend_on_workers_or_chunks(void) {
    for (int failing = 0; failing < 2; failing++) {
        fake_world w = {.fail_every = failing ? 11 : 0};
        const vly_pool_options o = {.actors = 258, .groups = 3, .seed = 9};
        const uint64_t expected = digest(o, &w, 60);
        const int workers[] = {0, 1, 2, 8, 8}, chunk[] = {86, 7, 0, 1, 1000};
        for (int i = 0; i < 5; i++)
            for (int helps = 0; helps < 2; helps++) {
                vly_pool_options v = o;
                v.workers = workers[i], v.chunk = chunk[i], v.caller_steps = helps;
                CHECK(digest(v, &w, 60) == expected);
            }
        vly_pool_options other = o;
        other.seed = 10;
        CHECK(digest(other, &w, 60) != expected);
    }
}

static void episodes_add_up_scores_and_steps(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = 5, .workers = 2, .chunk = 2, .seed = 3};
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    double score[5] = {0};
    int length[5] = {0}, age[5] = {0}, seen = 0;
    for (int t = 0; t < 200; t++) {
        choose(b, 0, 5, t);
        CHECK_OK(t ? vly_pool_submit_group(pool, 0, b->action, rows_of(b, 0))
                   : vly_pool_reset_group(pool, 0, rows_of(b, 0)));
        CHECK_OK(vly_pool_wait_group(pool, 0, -1));
        for (int a = 0; a < 5; a++) {
            const bool reset = (b->flags[a] & VLY_ROW_RESET) != 0;
            age[a] = reset ? 0 : age[a] + 1;
            CHECK_EQ(vly_pool_age(pool, a)[0], age[a]);
            score[a] += b->score[a], length[a] += !reset;
            if (!(b->flags[a] & VLY_ROW_GAME_OVER)) continue;
            vly_episode e;
            CHECK_EQ(vly_pool_episodes(pool, &e, 1), 1);
            CHECK_EQ(e.actor, a);
            CHECK_EQ(e.length, length[a]);
            CHECK(e.score == score[a]);
            score[a] = 0, length[a] = 0, seen++;
        }
        vly_episode none;
        CHECK_EQ(vly_pool_episodes(pool, &none, 1), 0);
    }
    CHECK(seen > 40);
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.episodes, seen);
    CHECK_EQ(s.rows, 5 * 200);
    CHECK_EQ(s.workers, 2);
    CHECK_EQ(s.queued + s.running + s.finished + s.hung, 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void a_failing_environment_is_restarted_and_counted(void) {
    fake_world w = {.fail_every = 2};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = 16, .workers = 1, .seed = 4};
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    run_sync(pool, b, 0, 2, 0); /* reset, one good step */
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], 0);
    run_sync(pool, b, 2, 1, 0);
    for (int a = 0; a < 16; a++) {
        CHECK_EQ(b->flags[a], VLY_ROW_FAILED | VLY_ROW_RESET);
        CHECK(b->reward[a] == 0);
        const vly_u32x4 seed = vly_philox(4, VLY_STREAM_ENV, 1, (uint32_t)a); /* the second seed */
        fake_state fresh;
        uint8_t obs[12], flags;
        float reward, score;
        fake_reset(&env, &fresh, (uint64_t)seed.v[1] << 32 | seed.v[0],
                   (vly_rows){obs, 12, &reward, &score, &flags});
        CHECK(memcmp(b->obs + a * STRIDE, obs, 12) == 0);
    }
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.restarts, 16);
    CHECK_EQ(s.episodes, 0);
    w.fail_reset = true; /* now it cannot even be reset: nothing ends, nothing is stepped */
    run_sync(pool, b, 3, 4, 0);
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], VLY_ROW_FAILED | VLY_ROW_RESET);
    for (int i = 0; i < 12; i++) CHECK_EQ(b->obs[i], 0);
    w.fail_reset = false, w.fail_every = 0;
    run_sync(pool, b, 7, 2, 0);
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void asynchronous_batches_hold_each_chunk_once(void) {
    enum { N = 96, CHUNK = 4, CHUNKS = N / CHUNK, B = 7, BATCHES = 3000 };
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = N, .workers = 3, .chunk = CHUNK, .seed = 6};
    vly_pool *pool, *reference;
    bench_rows *b = new_rows(), *r = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_EQ(vly_pool_chunks(pool), CHUNKS);
    uint64_t h[CHUNKS];
    int steps[CHUNKS] = {0}, first, n, took[B];
    bool out[CHUNKS];
    for (int c = 0; c < CHUNKS; c++) {
        CHECK_OK(vly_pool_reset_chunk(pool, c, rows_of(b, c * CHUNK)));
        out[c] = true, h[c] = 1;
    }
    for (int batch = 0; batch < BATCHES; batch++) {
        CHECK_EQ(vly_pool_take(pool, B, took, -1), B);
        for (int i = 0; i < B; i++) {
            const int c = took[i];
            CHECK(out[c]); /* once per submission */
            out[c] = false;
            vly_pool_chunk_range(pool, c, &first, &n);
            CHECK_EQ(first, c * CHUNK);
            h[c] = mix_rows(h[c], b, first, n);
            steps[c]++;
        }
        for (int i = 0; i < B; i++) {
            choose(b, took[i] * CHUNK, CHUNK, steps[took[i]]);
            CHECK_OK(vly_pool_submit_chunk(pool, took[i], b->action + took[i] * CHUNK,
                                           rows_of(b, took[i] * CHUNK)));
            out[took[i]] = true;
            if (i == 0)
                CHECK_EQ(vly_pool_submit_chunk(pool, took[i], b->action, rows_of(b, 0)),
                         VLY_EINVAL);
        }
    }
    for (int left = CHUNKS; left > 0; left--) CHECK_EQ(vly_pool_take(pool, 1, took, -1), 1);
    CHECK_EQ(vly_pool_take(pool, 1, took, 10), 0);
    CHECK_OK(vly_pool_destroy(pool));
    /* each actor's own stream is what it would have been alone */
    CHECK_OK(vly_pool_create(&reference, NULL, &env, &o));
    int most = 0;
    uint64_t k[CHUNKS];
    for (int c = 0; c < CHUNKS; c++) most = steps[c] > most ? steps[c] : most, k[c] = 1;
    for (int t = 0; t < most; t++) {
        run_sync(reference, r, t, 1, 0);
        for (int c = 0; c < CHUNKS; c++)
            if (t < steps[c]) k[c] = mix_rows(k[c], r, c * CHUNK, CHUNK);
    }
    for (int c = 0; c < CHUNKS; c++) CHECK(k[c] == h[c]);
    CHECK_OK(vly_pool_destroy(reference));
    free(b);
    free(r);
}

/* ---- hanging ---- */

static char warning[512];
static atomic_int warnings;
static void on_warning(void *arg, const char *text) {
    (void)arg;
    snprintf(warning, sizeof warning, "%s", text);
    atomic_fetch_add(&warnings, 1);
}

static void await(atomic_int *value, int wanted) {
    for (int i = 0; i < 20000 && atomic_load(value) != wanted; i++) usleep(1000);
    CHECK_EQ(atomic_load(value), wanted);
}

static void a_hung_actor_is_named_and_its_group_waits(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = 12,
                                .groups = 2,
                                .chunk = 3,
                                .workers = 1,
                                .seed = 2,
                                .deadline_ms = 40,
                                .on_warning = on_warning};
    vly_pool *pool;
    bench_rows *b = new_rows();
    atomic_store(&warnings, 0);
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    run_sync(pool, b, 0, 5, 0);
    atomic_store(&w.hold, 1);
    atomic_store(&w.hang_at, vly_pool_state(pool, 7));
    choose(b, 0, 12, 5);
    b->action[7] = 3;
    for (int g = 0; g < 2; g++)
        CHECK_OK(vly_pool_submit_group(pool, g, b->action + 6 * g, rows_of(b, 6 * g)));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    CHECK_EQ(vly_pool_wait_group(pool, 1, 200), VLY_ETIMEOUT); /* the lone worker was
                                                                  replaced: 9..11 are done */
    await(&warnings, 1);
    CHECK(strstr(warning, "environment fake: actor 7 ") != NULL);
    CHECK(strstr(warning, "last action 3") != NULL);
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.hung, 1);
    CHECK_EQ(s.queued, 0);
    CHECK_EQ(s.running, 1);
    CHECK_EQ(s.workers, 1);
    atomic_store(&w.hold, 0); /* it comes back: its result counts */
    atomic_store(&w.hang_at, NULL);
    CHECK_OK(vly_pool_wait_group(pool, 1, -1));
    CHECK(b->flags[7] != 0xff);
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.hung, 0);
    CHECK_EQ(s.hung_total, 1);
    run_sync(pool, b, 6, 20, 0);
    CHECK_EQ(atomic_load(&warnings), 1);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void a_hung_actor_does_not_stop_the_others(void) {
    static vly_pool *left_behind; /* reachable: not a leak but the price of a hung environment */
    static fake_world w;
    static vly_env env;
    static bench_rows *b;
    env = fake_env(&w);
    const vly_pool_options o = {.actors = 32,
                                .chunk = 4,
                                .workers = 2,
                                .seed = 2,
                                .deadline_ms = 30,
                                .on_warning = on_warning};
    b = new_rows();
    atomic_store(&warnings, 0);
    CHECK_OK(vly_pool_create(&left_behind, NULL, &env, &o));
    run_sync(left_behind, b, 0, 3, 0);
    atomic_store(&w.hold, 1);
    atomic_store(&w.hang_at, vly_pool_state(left_behind, 13));
    for (int c = 0; c < 8; c++)
        CHECK_OK(vly_pool_submit_chunk(left_behind, c, b->action + 4 * c, rows_of(b, 4 * c)));
    int took[4], steps = 0;
    for (int i = 0; i < 100 || atomic_load(&warnings) == 0; i++) {
        CHECK_EQ(vly_pool_take(left_behind, 4, took, -1), 4);
        for (int k = 0; k < 4; k++) {
            CHECK(took[k] != 3);
            CHECK_OK(vly_pool_submit_chunk(left_behind, took[k], b->action + 4 * took[k],
                                           rows_of(b, 4 * took[k])));
            steps++;
        }
        if (i % 100 == 99) usleep(1000);
    }
    CHECK(strstr(warning, "actor 13 ") != NULL);
    CHECK(strstr(warning, "the other actors go on") != NULL);
    for (int i = 0; i < 7; i++) CHECK_EQ(vly_pool_take(left_behind, 1, took, -1), 1);
    /* all at rest but the hung one: a checkpoint is possible, and loads elsewhere */
    const size_t bytes = vly_pool_snapshot_bytes(left_behind);
    void *snapshot = malloc(bytes);
    CHECK_OK(vly_pool_save(left_behind, snapshot, bytes));
    CHECK_EQ(vly_pool_load(left_behind, snapshot, bytes), VLY_EINVAL);
    vly_pool *next;
    fake_world calm = {0};
    const vly_env same = fake_env(&calm);
    bench_rows *r = new_rows();
    CHECK_OK(vly_pool_create(&next, NULL, &same, &o));
    CHECK_OK(vly_pool_load(next, snapshot, bytes));
    run_sync(next, r, 1, 1, 0);
    for (int a = 0; a < 32; a++)
        CHECK_EQ(r->flags[a] == (VLY_ROW_RESET | VLY_ROW_FAILED), a >= 12 && a < 16);
    CHECK_OK(vly_pool_destroy(next));
    CHECK_EQ(vly_pool_destroy(left_behind), VLY_ETIMEOUT);
    atomic_store(&w.hold, 0); /* it may write its late rows without harm */
    await(&w.inside, 0);
    usleep(20000);
    free(snapshot);
    free(r);
}

/* ---- snapshots ---- */

/* One wrong bit under valid checksums: the environment refuses the state, and it is not loaded. */
static void a_damaged_state_is_refused_by_environment_and_actor(void) {
    enum { ACTORS = 4, OBS = 25 * sizeof(float) };
    vly_env env;
    vly_pool *pool;
    uint8_t obs[ACTORS * OBS], flags[ACTORS];
    float reward[ACTORS], score[ACTORS];
    const vly_pool_options o = {.actors = ACTORS, .seed = 3};
    const vly_rows rows = {obs, OBS, reward, score, flags};
    CHECK_OK(vly_env_open(&env, "gridworld", NULL));
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_OK(vly_pool_reset_group(pool, 0, rows));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    const size_t bytes = vly_pool_snapshot_bytes(pool);
    uint8_t *snapshot = malloc(bytes), *after = malloc(bytes);
    CHECK_OK(vly_pool_save(pool, snapshot, bytes));
    CHECK_OK(vly_pool_load(pool, snapshot, bytes));
    snapshot[bytes - 2 * env.state_bytes + 2] ^= 16; /* actor 2, cell += 1 << 20 */
    CHECK_EQ(vly_pool_load(pool, snapshot, bytes), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "gridworld, actor 2") && strstr(vly_error_text(), "cell is"));
    snapshot[bytes - 2 * env.state_bytes + 2] ^= 16;
    CHECK_OK(vly_pool_save(pool, after, bytes));
    CHECK(memcmp(snapshot, after, bytes) == 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(snapshot), free(after);
    env.close(&env);
}

static void a_snapshot_continues_bit_for_bit(void) {
    fake_world w = {.fail_every = 17};
    const vly_env env = fake_env(&w);
    vly_pool_options o = {.actors = 60, .groups = 2, .workers = 2, .seed = 8};
    vly_pool *pool, *other;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    run_sync(pool, b, 0, 30, 0);
    const size_t bytes = vly_pool_snapshot_bytes(pool);
    void *snapshot = malloc(bytes);
    CHECK_OK(vly_pool_save(pool, snapshot, bytes));
    const uint64_t expected = run_sync(pool, b, 30, 40, 1);
    bench_rows *start = new_rows();
    o.workers = 1, o.chunk = 7, o.seed = 8;
    CHECK_OK(vly_pool_create(&other, NULL, &env, &o));
    run_sync(other, start, 0, 3, 0);
    CHECK_OK(vly_pool_load(other, snapshot, bytes));
    uint64_t h = 1;
    { /* the first submission of run_sync digests what is there: make it the same */
        vly_pool *again;
        bench_rows *c = new_rows();
        CHECK_OK(vly_pool_create(&again, NULL, &env, &o));
        run_sync(again, c, 0, 30, 0);
        memcpy(start, c, sizeof *c);
        CHECK_OK(vly_pool_destroy(again));
        free(c);
    }
    h = run_sync(other, start, 30, 40, h);
    CHECK(h == expected);
    /* what is not a snapshot of this pool is refused and changes nothing */
    void *before = malloc(bytes), *after = malloc(bytes);
    CHECK_OK(vly_pool_save(other, before, bytes));
    CHECK_EQ(vly_pool_load(other, snapshot, bytes - 1), VLY_ECORRUPT);
    CHECK_EQ(vly_pool_load(other, snapshot, 10), VLY_ECORRUPT);
    ((char *)snapshot)[8] ^= 2;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EVERSION);
    ((char *)snapshot)[8] ^= 2, ((char *)snapshot)[12] ^= 2;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EINVAL);
    ((char *)snapshot)[12] ^= 2, ((char *)snapshot)[33] ^= 1;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EINVAL);
    ((char *)snapshot)[33] ^= 1, ((char *)snapshot)[0] ^= 1;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_ECORRUPT);
    CHECK_OK(vly_pool_save(other, after, bytes));
    CHECK(memcmp(before, after, bytes) == 0);
    CHECK_OK(vly_pool_destroy(pool));
    CHECK_OK(vly_pool_destroy(other));
    void *all[] = {b, snapshot, start, before, after};
    for (int i = 0; i < 5; i++) free(all[i]);
}

/* ---- under a loop ---- */

typedef struct {
    vly_pool *pool;
    bench_rows *b;
    int steps[4], want, order_errors, last, taken;
    uint64_t h;
} looped;

static void on_group(void *arg, int g) {
    looped *l = arg;
    int first, n;
    vly_pool_group_range(l->pool, g, &first, &n);
    l->order_errors += g != (l->last + 1) % 4;
    l->last = g;
    l->h = mix_rows(l->h, l->b, first, n);
    if (++l->steps[g] == l->want) return;
    choose(l->b, first, n, l->steps[g]);
    CHECK_OK(vly_pool_submit_group(l->pool, g, l->b->action + first, rows_of(l->b, first)));
}

static void the_loop_runs_thousands_of_actors(void) {
    uint64_t h[2];
    for (int i = 0; i < 2; i++) {
        fake_world w = {0};
        const vly_env env = fake_env(&w);
        uv_loop_t loop;
        looped l = {.b = new_rows(), .want = 40, .last = 3, .h = 1};
        const vly_pool_options o = {.actors = 4096,
                                    .groups = 4,
                                    .workers = i ? 8 : 1,
                                    .seed = 1,
                                    .arg = &l,
                                    .on_group = on_group};
        CHECK_EQ(uv_loop_init(&loop), 0);
        CHECK_OK(vly_pool_create(&l.pool, &loop, &env, &o));
        for (int g = 0; g < 4; g++)
            CHECK_OK(vly_pool_reset_group(l.pool, g, rows_of(l.b, 1024 * g)));
        while (l.steps[0] + l.steps[1] + l.steps[2] + l.steps[3] < 4 * l.want)
            uv_run(&loop, UV_RUN_ONCE);
        CHECK_EQ(l.order_errors, 0);
        vly_pool_stats s;
        vly_pool_get_stats(l.pool, &s);
        CHECK_EQ(s.rows, 4096 * 40);
        CHECK(s.busy_s > 0 && s.age_s > 0);
        CHECK_OK(vly_pool_destroy(l.pool));
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK_EQ(uv_loop_close(&loop), 0);
        h[i] = l.h;
        free(l.b);
    }
    CHECK(h[0] == h[1]);
}

static void on_chunks(void *arg, int finished) {
    looped *l = arg;
    int took[64];
    while (finished >= 3 && l->taken < l->want) {
        const int n = vly_pool_take(l->pool, 3, took, 0);
        if (n == 0) break;
        for (int i = 0; i < n; i++, l->taken++)
            CHECK_OK(
                vly_pool_submit_chunk(l->pool, took[i], l->b->action, rows_of(l->b, took[i] * 8)));
    }
}

static void the_loop_hands_out_finished_chunks(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    uv_loop_t loop;
    looped l = {.b = new_rows(), .want = 3000};
    const vly_pool_options o = {
        .actors = 64, .chunk = 8, .workers = 2, .seed = 1, .arg = &l, .on_chunks = on_chunks};
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_OK(vly_pool_create(&l.pool, &loop, &env, &o));
    choose(l.b, 0, 64, 0);
    for (int c = 0; c < 8; c++) CHECK_OK(vly_pool_reset_chunk(l.pool, c, rows_of(l.b, 8 * c)));
    while (l.taken < l.want) uv_run(&loop, UV_RUN_ONCE);
    CHECK_OK(vly_pool_destroy(l.pool)); /* with work in flight */
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
    free(l.b);
}

static void bad_arguments_are_refused(void) {
    fake_world w = {0};
    vly_env env = fake_env(&w);
    vly_pool *pool = NULL;
    bench_rows *b = new_rows();
    vly_pool_options o = {.actors = 10, .groups = 3};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    o = (vly_pool_options){.actors = 0};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    o = (vly_pool_options){.actors = 4, .workers = -2};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    env.state_bytes = 60;
    o = (vly_pool_options){.actors = 4, .workers = -1};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    CHECK(pool == NULL);
    env.state_bytes = 64;
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_EQ(vly_pool_submit_group(pool, 1, b->action, rows_of(b, 0)), VLY_EINVAL);
    CHECK_EQ(vly_pool_submit_group(pool, 0, NULL, rows_of(b, 0)), VLY_EINVAL);
    CHECK_EQ(vly_pool_submit_chunk(pool, -1, b->action, rows_of(b, 0)), VLY_EINVAL);
    vly_rows thin = rows_of(b, 0);
    thin.obs_stride = 11;
    CHECK_EQ(vly_pool_reset_group(pool, 0, thin), VLY_EINVAL);
    CHECK_EQ(vly_pool_wait_group(pool, 5, -1), VLY_EINVAL);
    CHECK_EQ(vly_pool_save(pool, b, 3), VLY_EINVAL);
    CHECK_OK(vly_pool_reset_group(pool, 0, rows_of(b, 0)));
    CHECK_EQ(vly_pool_reset_group(pool, 0, rows_of(b, 0)), VLY_EINVAL);
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    CHECK(vly_pool_state(pool, 4) == NULL && vly_pool_state(pool, -1) == NULL &&
          vly_pool_state(pool, 3) != NULL);
    CHECK_OK(vly_pool_destroy(pool));
    CHECK_OK(vly_pool_destroy(NULL));
    free(b);
}

int main(void) {
    rows_do_not_depend_on_workers_or_chunks();
    episodes_add_up_scores_and_steps();
    a_failing_environment_is_restarted_and_counted();
    asynchronous_batches_hold_each_chunk_once();
    a_hung_actor_is_named_and_its_group_waits();
    a_hung_actor_does_not_stop_the_others();
    a_snapshot_continues_bit_for_bit();
    a_damaged_state_is_refused_by_environment_and_actor();
    the_loop_runs_thousands_of_actors();
    the_loop_hands_out_finished_chunks();
    bad_arguments_are_refused();
    return TEST_PASS;
}
