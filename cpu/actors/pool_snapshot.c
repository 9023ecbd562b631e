#include "cpu/actors/pool_impl.h"
#include "cpu/actors/far.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_VERSION = 1, LENGTH_MOST = 1 << 30 };

typedef struct {
    char magic[8];
    uint32_t version, actors;
    uint64_t state_bytes, episodes;
    char env[64];
} snapshot_head;

/* One for each row; what belongs to the actor is in its first player's. */
typedef struct {
    double score;
    int32_t length;
    uint32_t seeds;
    uint8_t age, needs, pad[6];
} snapshot_row;

static size_t snapshot_bytes_of(const vly_env *env, int actors) {
    return sizeof(snapshot_head) +
           (size_t)actors * ((size_t)env->players * sizeof(snapshot_row) + env->state_bytes);
}

size_t vly_pool_snapshot_bytes(const vly_pool *p) {
    return snapshot_bytes_of(p->env, p->options.actors);
}

static snapshot_head make_snapshot_head(const vly_pool *p, int64_t episodes) {
    snapshot_head h = {.magic = "vlypool",
                       .version = SNAPSHOT_VERSION,
                       .actors = (uint32_t)p->options.actors,
                       .state_bytes = p->env->state_bytes,
                       .episodes = (uint64_t)episodes};
    memcpy(h.env, p->env->name, sizeof h.env);
    return h;
}

/* Nothing may be in flight except what hangs. */
static vly_status check_quiet(vly_pool *p) {
    for (int i = 0; i < p->chunk_count; i++)
        if (p->chunks[i].state != CHUNK_IDLE && !p->chunks[i].hung)
            return vly_fail(VLY_EINVAL,
                            "actors %d to %d are in flight: wait for them before a snapshot",
                            p->chunks[i].first, p->chunks[i].first + p->chunks[i].n - 1);
    return VLY_OK;
}

static void save_actor(vly_pool *p, int actor, bool hung, snapshot_row *to, unsigned char *state) {
    memset(to, 0, (size_t)p->players * sizeof *to);
    if (hung) { /* its worker may be writing its entries */
        to->needs = NEEDS_RESET;
        to->seeds = atomic_load_explicit(&p->seeds[actor], memory_order_relaxed) +
                    VLY_FAR_DRAWS_OF_A_LIFE; /* seeds it has not used */
        memset(state, 0, p->env->state_bytes);
        return;
    }
    for (int i = 0, row = actor * p->players; i < p->players; i++, row++)
        to[i].score = p->score[row], to[i].length = p->length[row], to[i].age = p->age[row];
    to->seeds = p->seeds[actor], to->needs = p->needs[actor];
    memcpy(state, vly_pool_state_at(p, actor), p->env->state_bytes);
}

vly_status vly_pool_save(vly_pool *p, void *to, size_t bytes) {
    if (bytes != vly_pool_snapshot_bytes(p))
        return vly_fail(VLY_EINVAL, "a snapshot takes %zu bytes, not %zu",
                        vly_pool_snapshot_bytes(p), bytes);
    pthread_mutex_lock(&p->lock);
    const vly_status quiet = check_quiet(p);
    if (quiet == VLY_OK) {
        const snapshot_head h = make_snapshot_head(p, p->ring_written);
        snapshot_row *rows = (snapshot_row *)((unsigned char *)to + sizeof h);
        unsigned char *states = (unsigned char *)(rows + p->row_count);
        memcpy(to, &h, sizeof h);
        for (int a = 0; a < p->options.actors; a++)
            save_actor(p, a, vly_pool_chunk_of(p, a)->hung, &rows[a * p->players],
                       states + (size_t)a * p->env->state_bytes);
    }
    pthread_mutex_unlock(&p->lock);
    return quiet;
}

static vly_status check_snapshot_head(const vly_env *env, int actors, const void *from,
                                      size_t bytes) {
    snapshot_head h;
    if (bytes < sizeof h) return vly_fail(VLY_ECORRUPT, "the snapshot of the actors is cut off");
    memcpy(&h, from, sizeof h);
    h.env[sizeof h.env - 1] = '\0';
    if (memcmp(h.magic, "vlypool", 8) != 0)
        return vly_fail(VLY_ECORRUPT, "not a snapshot of actors");
    if (h.version != SNAPSHOT_VERSION)
        return vly_fail(VLY_EVERSION, "the actors were saved in format %u, this program reads %d",
                        h.version, SNAPSHOT_VERSION);
    if (strcmp(h.env, env->name) != 0)
        return vly_fail(VLY_EINVAL, "the snapshot is of environment %s, not %s", h.env, env->name);
    if (h.actors != (uint32_t)actors || h.state_bytes != env->state_bytes)
        return vly_fail(VLY_EINVAL, "the snapshot holds %u actors of %llu bytes, not %d of %zu",
                        h.actors, (unsigned long long)h.state_bytes, actors, env->state_bytes);
    if (bytes != snapshot_bytes_of(env, actors))
        return vly_fail(VLY_ECORRUPT, "the snapshot of the actors is cut off");
    if (!vly_is_count((int64_t)h.episodes))
        return vly_fail(VLY_ECORRUPT, "the snapshot counts %lld episodes", (long long)h.episodes);
    return VLY_OK;
}

static uint8_t needs_of(const vly_env *env, const snapshot_row *s) {
    const bool restarts = s->needs == NEEDS_RESTART && env->restart;
    return s->needs == NEEDS_STEP || restarts ? s->needs : NEEDS_RESET;
}

/* Copied to an actor's aligned memory one by one: a checkpoint's bytes may lie anywhere. */
static vly_status check_states(const vly_env *env, int actors, const unsigned char *rows) {
    const size_t players = (size_t)env->players, n = env->state_bytes;
    const unsigned char *states = rows + (size_t)actors * players * sizeof(snapshot_row);
    vly_status status = VLY_OK;
    if (!env->valid) return VLY_OK;
    void *state = aligned_alloc(64, n);
    if (!state) return vly_fail(VLY_ENOMEM, "no memory for a state of %s", env->name);
    for (int a = 0; a < actors && status == VLY_OK; a++) {
        snapshot_row s;
        memcpy(&s, rows + (size_t)a * players * sizeof s, sizeof s);
        if (needs_of(env, &s) == NEEDS_RESET) continue; /* reset before it is stepped */
        memcpy(state, states + (size_t)a * n, n);
        status = env->valid(env, state);
        if (status != VLY_OK) {
            char why[256];
            snprintf(why, sizeof why, "%s", vly_error_text());
            status = vly_fail(status, "the saved state of %s, actor %d, is damaged: %s", env->name,
                              a, why);
        }
    }
    free(state);
    return status;
}

/* An episode that is counted on without end, and whose score stays a number. */
static vly_status check_episodes(const vly_pool *p, const unsigned char *rows) {
    for (int row = 0; row < p->row_count; row++) {
        snapshot_row s;
        memcpy(&s, rows + (size_t)row * sizeof s, sizeof s);
        if (s.length < 0 || s.length > LENGTH_MOST || !isfinite(s.score))
            return vly_fail(VLY_ECORRUPT,
                            "the saved episode of row %d, %d steps with %g, is damaged", row,
                            s.length, s.score);
    }
    return VLY_OK;
}

/* The state of an actor that is reset before it is stepped was not kept. */
static void assign_anew(vly_pool *p) {
    for (int i = 0; p->env->assign && i < p->options.actors; i++)
        if (p->needs[i] == NEEDS_RESET)
            p->env->assign(p->env, vly_pool_state_at(p, i), vly_pool_name_of(p, i));
}

vly_status vly_pool_load(vly_pool *p, const void *from, size_t bytes) {
    VLY_TRY(check_snapshot_head(p->env, p->options.actors, from, bytes));
    VLY_TRY(check_states(p->env, p->options.actors,
                         (const unsigned char *)from + sizeof(snapshot_head)));
    VLY_TRY(check_episodes(p, (const unsigned char *)from + sizeof(snapshot_head)));
    pthread_mutex_lock(&p->lock);
    vly_status status = check_quiet(p);
    if (status == VLY_OK && p->hung)
        status = vly_fail(VLY_EINVAL, "an actor hangs: its state cannot be restored");
    if (status == VLY_OK) {
        snapshot_head h;
        memcpy(&h, from, sizeof h);
        const unsigned char *at = (const unsigned char *)from + sizeof h;
        const unsigned char *states = at + (size_t)p->row_count * sizeof(snapshot_row);
        for (int row = 0; row < p->row_count; row++) {
            snapshot_row s;
            memcpy(&s, at + (size_t)row * sizeof s, sizeof s);
            p->score[row] = s.score, p->length[row] = s.length, p->age[row] = s.age;
            if (row % p->players) continue;
            p->seeds[row / p->players] = s.seeds;
            p->needs[row / p->players] = needs_of(p->env, &s);
        }
        memcpy(p->states, states, (size_t)p->options.actors * p->env->state_bytes);
        assign_anew(p);
        p->ring_written = p->ring_read = (int64_t)h.episodes;
    }
    pthread_mutex_unlock(&p->lock);
    return status;
}

vly_status vly_pool_snapshot_valid(const vly_env *env, const void *from, size_t bytes) {
    snapshot_head h;
    if (bytes < sizeof h) return VLY_OK;
    memcpy(&h, from, sizeof h);
    if (h.actors > INT32_MAX || check_snapshot_head(env, (int)h.actors, from, bytes) != VLY_OK)
        return VLY_OK;
    return check_states(env, (int)h.actors, (const unsigned char *)from + sizeof h);
}

/* ---- from and to actors elsewhere ---- */

vly_status vly_pool_convert(const vly_pool *p, const void *from, size_t bytes, void *to) {
    vly_far_head far;
    VLY_TRY(vly_far_read(&far, p->options.actors, from, bytes));
    const snapshot_head h = make_snapshot_head(p, far.episodes);
    snapshot_row *rows = (snapshot_row *)((unsigned char *)to + sizeof h);
    memset(to, 0, vly_pool_snapshot_bytes(p));
    memcpy(to, &h, sizeof h);
    for (int a = 0; a < p->options.actors; a++) {
        snapshot_row *row = &rows[a * p->players];
        memcpy(&row->seeds, (const uint8_t *)from + sizeof far + (size_t)a * sizeof row->seeds,
               sizeof row->seeds);
        row->seeds += VLY_FAR_DRAWS_OF_A_LIFE, row->needs = NEEDS_RESET;
    }
    return VLY_OK;
}

vly_status vly_pool_snapshot_draws(const vly_env *env, int actors, const void *from, size_t bytes,
                                   void *draws, int64_t *episodes) {
    snapshot_head h;
    VLY_TRY(check_snapshot_head(env, actors, from, bytes));
    memcpy(&h, from, sizeof h);
    *episodes = (int64_t)h.episodes;
    for (int a = 0; a < actors; a++) {
        snapshot_row row;
        memcpy(&row, (const uint8_t *)from + sizeof h + (size_t)(a * env->players) * sizeof row,
               sizeof row);
        memcpy((uint8_t *)draws + (size_t)a * sizeof row.seeds, &row.seeds, sizeof row.seeds);
    }
    return VLY_OK;
}
