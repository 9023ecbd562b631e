/* fake_env.h -- an environment whose every value follows from seed and actions, and rows of a pool of
 * it: for the tests of this room. */
#ifndef VLY_TESTS_ACTORS_FAKE_ENV_H
#define VLY_TESTS_ACTORS_FAKE_ENV_H
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
    atomic_int hang_any;     /* every state does */
    _Atomic int hold;        /* ... until this is 0 */
    atomic_int inside;
} fake_world;

static inline void fake_row(const fake_state *s, vly_rows at, int flags) {
    vly_u32x4 r = vly_philox(s->hash, VLY_STREAM_TEST, (uint64_t)s->t, (uint32_t)s->episodes);
    for (int i = 0; i < 3; i++) r.v[i] &= 0xbfffffffu; /* any finite number */
    memcpy(at.obs, r.v, 12);
    *at.reward = (flags & VLY_ROW_RESET) ? 0 : (float)(r.v[3] % 7) - 2;
    *at.score = *at.reward;
    *at.flags = (uint8_t)flags;
}

static inline void fake_start(fake_state *s, vly_rows at) {
    s->length = 3 + (int)(vly_philox(s->hash, VLY_STREAM_TEST, 7, (uint32_t)s->episodes).v[0] % 20);
    s->t = s->ended = 0;
    fake_row(s, at, VLY_ROW_RESET);
}

static inline void fake_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const fake_world *w = env->world;
    *(fake_state *)state = (fake_state){.hash = seed};
    fake_start(state, at);
    if (w->fail_reset) *at.flags |= VLY_ROW_FAILED;
}

static inline void fake_hang(fake_world *w) {
    atomic_fetch_add(&w->inside, 1);
    while (atomic_load(&w->hold)) usleep(1000);
    atomic_fetch_sub(&w->inside, 1);
}

static inline void fake_step_one(fake_world *w, fake_state *s, int32_t action, vly_rows at) {
    if (atomic_load(&w->hang_at) == s || atomic_load(&w->hang_any)) fake_hang(w);
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

static inline void fake_step(const vly_env *env, void *states, int n, vly_actions actions,
                             vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    for (int i = 0; i < n; i++)
        fake_step_one(env->world, (fake_state *)states + i, action[i], vly_rows_at(out, (size_t)i));
}

_Static_assert(sizeof(fake_state) == 64, "the ABI wants multiples of 64");

static inline vly_env fake_env(fake_world *world) {
    return (vly_env){
        .abi = VLY_ENV_ABI,
        .struct_bytes = sizeof(vly_env),
        .name = "fake",
        .obs =
            {.dtype = VLY_F32, .ndim = 1, .shape = {3, 1, 1}, .stack = 1, .scale = 1, .bytes = 12},
        .action = vly_space_discrete(4),
        .players = 1,
        .tasks = 1,
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

static inline vly_rows rows_of(bench_rows *b, int first) {
    const vly_rows all = vly_rows_plain(b->obs, STRIDE, b->reward, b->score, b->flags);
    return vly_rows_at(all, (size_t)first);
}

static inline uint64_t mix(uint64_t h, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 1099511628211ull;
    return h;
}

static inline uint64_t mix_rows(uint64_t h, bench_rows *b, int first, int n) {
    for (int i = first; i < first + n; i++) h = mix(h, b->obs + i * STRIDE, 12);
    h = mix(h, b->reward + first, 4 * (size_t)n);
    return mix(h, b->flags + first, (size_t)n);
}

static inline void choose(bench_rows *b, int first, int n, int64_t t) {
    for (int i = first; i < first + n; i++)
        b->action[i] =
            (int32_t)vly_below(vly_philox(5, VLY_STREAM_TEST, (uint64_t)t, (uint32_t)i).v[0], 4);
}

static inline uint64_t mix_episodes(uint64_t h, vly_pool *pool) {
    vly_episode e[64];
    for (int n; (n = vly_pool_episodes(pool, e, 64)) > 0;)
        for (int i = 0; i < n; i++) {
            h = mix(h, &e[i].actor, 4);
            h = mix(h, &e[i].length, 4);
            h = mix(h, &e[i].score, 8);
        }
    return h;
}

static inline bench_rows *new_rows(void) {
    bench_rows *b = malloc(sizeof *b);
    memset(b, 0xa5, sizeof *b);
    return b;
}

/* Every group `steps` times, all groups in flight at once; `t0`: number of the first step. */
static inline uint64_t run_sync(vly_pool *pool, bench_rows *b, int t0, int steps, uint64_t h) {
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
                CHECK_OK(vly_pool_submit_group(pool, g, vly_actions_of_ints(b->action + first),
                                               rows_of(b, first)));
        }
    for (int g = 0; g < vly_pool_groups(pool); g++) CHECK_OK(vly_pool_wait_group(pool, g, -1));
    return mix_episodes(mix_rows(h, b, 0, vly_pool_actors(pool)), pool);
}

static inline uint64_t digest(vly_pool_options o, fake_world *w, int steps) {
    const vly_env env = fake_env(w);
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    const uint64_t h = run_sync(pool, b, 0, steps, 1);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
    return h;
}

#endif
