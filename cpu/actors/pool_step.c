#include "cpu/actors/pool_impl.h"
#include <string.h>
#include "common/base/philox.h"
#include "common/base/plugin_call.h"

static uint64_t next_seed(vly_pool *p, int actor) {
    if (p->has_given[actor]) {
        p->has_given[actor] = 0;
        return p->given_seeds[actor];
    }
    const uint32_t drawn = atomic_load_explicit(&p->seeds[actor], memory_order_relaxed);
    const vly_u32x4 r = vly_philox(p->options.seed, VLY_STREAM_ENV, drawn,
                                   (uint32_t)vly_pool_name_of(p, actor));
    atomic_store_explicit(&p->seeds[actor], drawn + 1, memory_order_relaxed);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

/* The rows of an actor begin an episode; the environment has written them, or failed to. */
static void begin_episode(vly_pool *p, int actor, vly_rows at, uint8_t mark) {
    const size_t row = (size_t)actor * (size_t)p->players;
    uint8_t failed = 0;
    for (int i = 0; i < p->players; i++) failed |= at.flags[i] & VLY_ROW_FAILED;
    p->needs[actor] = failed ? NEEDS_RESET : NEEDS_STEP;
    for (int i = 0; i < p->players; i++) {
        const uint8_t idle = at.flags[i] & VLY_ROW_IDLE;
        if (failed) memset(at.obs + (size_t)i * at.obs_stride, 0, p->env->obs.bytes);
        if (failed && at.mask)
            memset(at.mask + (size_t)i * at.mask_stride, 1, (size_t)p->env->action.n);
        at.reward[i] = at.score[i] = 0;
        at.flags[i] = (uint8_t)(VLY_ROW_RESET | mark | failed | (failed ? 0 : idle));
        p->score[row + (size_t)i] = 0;
        p->length[row + (size_t)i] = 0;
        p->age[row + (size_t)i] = 0;
    }
}

static void clear_actor_rows(const vly_pool *p, vly_rows at) {
    for (int i = 0; i < p->players; i++)
        at.flags[i] = FLAGS_UNWRITTEN, at.reward[i] = at.score[i] = 0;
}

/* A fresh episode in the rows `at`, which carry RESET and `mark`. */
static void reset_actor(vly_pool *p, int actor, vly_rows at, uint8_t mark) {
    clear_actor_rows(p, at);
    if (p->env->plugin) vly_plugin_actor(vly_pool_name_of(p, actor));
    p->env->reset(p->env, vly_pool_state_at(p, actor), next_seed(p, actor), at);
    begin_episode(p, actor, at, mark);
}

/* The same without a new seed. A failure is seen by accumulate_rows. */
static void restart_actor(vly_pool *p, int actor, vly_rows at) {
    clear_actor_rows(p, at);
    if (p->env->plugin) vly_plugin_actor(vly_pool_name_of(p, actor));
    p->env->restart(p->env, vly_pool_state_at(p, actor), at);
    begin_episode(p, actor, at, 0);
}

static vly_rows chunk_rows(const vly_pool *p, const pool_chunk *c, int i) {
    return i == 0 ? c->out : vly_rows_of(c->out, (size_t)i, p->players);
}

static void reset_chunk(vly_pool *p, pool_chunk *c) {
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)(c->n * p->players));
    for (int i = 0; i < c->n; i++) {
        reset_actor(p, c->first + i, chunk_rows(p, c, i), 0);
        c->restarts += p->needs[c->first + i] == NEEDS_RESET;
    }
}

/* A row that starts or ends an episode; not one that failed. */
static void handle_event(vly_pool *p, pool_chunk *c, int i) {
    const int row = c->first * p->players + i;
    const uint8_t flags = c->out.flags[i];
    if (flags & VLY_ROW_RESET) p->length[row]--, p->age[row] = 0;
    if (flags & VLY_ROW_GAME_OVER) {
        c->episodes[c->episode_count++] = (vly_episode){row, p->length[row], p->score[row]};
        p->score[row] = 0;
        p->length[row] = 0;
    }
}

/* One actor of the chunk, some of whose rows have flags. */
static void handle_events(vly_pool *p, pool_chunk *c, int i) {
    const int k = p->players;
    uint8_t failed = 0; /* or not written at all */
    for (int j = 0; j < k; j++) failed |= c->out.flags[i * k + j] & VLY_ROW_FAILED;
    if (failed) {
        c->restarts++;
        reset_actor(p, c->first + i, chunk_rows(p, c, i), VLY_ROW_FAILED);
        return;
    }
    for (int j = 0; j < k && !p->options.uncounted; j++) handle_event(p, c, i * k + j);
}

static bool any_set(const uint8_t *bytes, int n, uint8_t bits) {
    uint8_t any = 0;
    for (int i = 0; i < n; i++) any |= bytes[i];
    return (any & bits) != 0;
}

/* Scores, lengths and ages: almost always two short vector loops. */
static void count_rows(vly_pool *p, const pool_chunk *c) {
    const int n = c->n * p->players, first = c->first * p->players;
    double *restrict score = p->score + first;
    int32_t *restrict length = p->length + first;
    uint8_t *restrict age = p->age + first;
    const float *restrict gained = c->out.score;
    for (int i = 0; i < n; i++) {
        score[i] += gained[i];
        length[i] += 1;
        age[i] = (uint8_t)(age[i] + (age[i] < 255));
    }
}

static void accumulate_rows(vly_pool *p, pool_chunk *c) {
    const int k = p->players, n = c->n * k;
    const bool counts = !p->options.uncounted;
    if (counts) count_rows(p, c);
    if (!any_set(c->out.flags, n, counts ? UINT8_MAX : VLY_ROW_FAILED)) return;
    for (int i = 0; i < c->n; i++)
        if (k == 1 ? c->out.flags[i] : any_set(c->out.flags + i * k, k, UINT8_MAX))
            handle_events(p, c, i);
}

/* Steps the actors from i on that need nothing else, and says how many those were. */
static int step_run(vly_pool *p, pool_chunk *c, int i) {
    const uint8_t *needs = p->needs + c->first;
    int n = 0;
    while (i + n < c->n && needs[i + n] == NEEDS_STEP) n++;
    if (n == 0) return 0;
    if (p->env->plugin) vly_plugin_actor(vly_pool_name_of(p, c->first + i));
    p->env->step(p->env, vly_pool_state_at(p, c->first + i), n,
                 vly_actions_at(c->action, (size_t)(i * p->players)), chunk_rows(p, c, i));
    return n;
}

static void check_masks(vly_pool *p, const pool_chunk *c) {
    for (int i = 0; i < c->n * p->players; i++)
        if (vly_mask_blocks(&p->env->action, c->out.mask + (size_t)i * c->out.mask_stride)) {
            int none = 0;
            atomic_compare_exchange_strong(&p->blocked, &none, c->first * p->players + i + 1);
            return;
        }
}

static void step_actors(vly_pool *p, pool_chunk *c) {
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)(c->n * p->players)); /* for the watchdog */
    for (int i = 0; i < c->n; i++) {
        i += step_run(p, c, i);
        if (i < c->n && p->needs[c->first + i] == NEEDS_RESTART)
            restart_actor(p, c->first + i, chunk_rows(p, c, i));
    }
    accumulate_rows(p, c);
}

void vly_pool_step_chunk(vly_pool *p, pool_chunk *c) {
    c->episode_count = c->restarts = 0;
    if (c->action.data)
        step_actors(p, c);
    else
        reset_chunk(p, c);
    if (p->env->masked) check_masks(p, c);
}
