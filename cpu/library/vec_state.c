#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "cpu/library/vec_impl.h"

enum { SAVED_VERSION = 1 };

/* Then the state, then the stack of frames, the shared state, the masks and who is idle. */
typedef struct {
    char magic[8];
    uint32_t version;
    int32_t elapsed;
    uint64_t state_bytes, obs_bytes, check; /* check: of all that follows it */
    char name[64];
    uint8_t ended, over, pad[6];
} saved_head;

enum { CHECKED_FROM = offsetof(saved_head, name) };

/* The stacks of all players. */
static size_t stacks_bytes(const vly_vec *v) {
    return (size_t)v->players * v->obs_bytes;
}

static size_t masks_bytes(const vly_vec *v) {
    return v->mask ? (size_t)v->players * (size_t)v->env.action.n : 0;
}

static size_t idle_bytes(const vly_vec *v) {
    return v->players > 1 ? (size_t)v->players : 0;
}

static size_t shown_bytes(const vly_vec *v) {
    return stacks_bytes(v) + v->env.shared.bytes + masks_bytes(v) + idle_bytes(v);
}

uint64_t vec_saved_bytes(const vly_vec *v) {
    return sizeof(saved_head) + v->env.state_bytes + shown_bytes(v);
}

static void save_env(const vly_vec *v, int env, unsigned char *to) {
    const size_t all = (size_t)vec_saved_bytes(v);
    saved_head h = {.magic = "vlystat",
                    .version = SAVED_VERSION,
                    .elapsed = v->elapsed[env],
                    .state_bytes = v->env.state_bytes,
                    .obs_bytes = shown_bytes(v),
                    .ended = v->ended[env],
                    .over = v->over[env]};
    memcpy(h.name, v->env.name, sizeof h.name);
    memcpy(to, &h, sizeof h);
    memcpy(to + sizeof h, vec_state(v, env), v->env.state_bytes);
    unsigned char *shown = to + sizeof h + v->env.state_bytes;
    memcpy(shown, vec_stack(v, env), stacks_bytes(v));
    shown += stacks_bytes(v);
    if (v->shared) memcpy(shown, vec_shared(v, env), v->env.shared.bytes);
    shown += v->env.shared.bytes;
    if (v->mask) memcpy(shown, v->mask + (size_t)env * masks_bytes(v), masks_bytes(v));
    shown += masks_bytes(v);
    for (size_t i = 0; i < idle_bytes(v); i++)
        shown[i] = v->flags[(size_t)(env * v->players) + i] & VLY_ROW_IDLE;
    h.check = XXH3_64bits(to + CHECKED_FROM, all - CHECKED_FROM);
    memcpy(to, &h, sizeof h);
}

/* space: aligned, of a state's size. */
static vly_status check_saved(const vly_vec *v, const unsigned char *from, void *space) {
    const size_t all = (size_t)vec_saved_bytes(v);
    saved_head h;
    memcpy(&h, from, sizeof h);
    h.name[sizeof h.name - 1] = '\0';
    if (memcmp(h.magic, "vlystat", 8) != 0)
        return vly_fail(VLY_ECORRUPT, "not the state of an environment");
    if (h.version != SAVED_VERSION)
        return vly_fail(VLY_EVERSION, "a state of format %u, this library reads %d", h.version,
                        SAVED_VERSION);
    if (strcmp(h.name, v->env.name) != 0 || h.state_bytes != v->env.state_bytes ||
        h.obs_bytes != shown_bytes(v))
        return vly_fail(VLY_EINVAL, "a state of %s with other settings than this %s", h.name,
                        v->env.name);
    if (h.check != XXH3_64bits(from + CHECKED_FROM, all - CHECKED_FROM))
        return vly_fail(VLY_ECORRUPT, "the state of %s was changed since it was saved",
                        v->env.name);
    memcpy(space, from + sizeof h, v->env.state_bytes);
    return v->env.valid ? v->env.valid(&v->env, space) : VLY_OK;
}

/* The frames go where the environment's cursor is, so that all cursors stay equal. */
static void load_env(vly_vec *v, int env, const unsigned char *from) {
    saved_head h;
    memcpy(&h, from, sizeof h);
    memcpy(vec_state(v, env), from + sizeof h, v->env.state_bytes);
    const unsigned char *shown = from + sizeof h + v->env.state_bytes;
    memcpy(vec_stack(v, env), shown, stacks_bytes(v));
    shown += stacks_bytes(v);
    if (v->shared) memcpy(vec_shared(v, env), shown, v->env.shared.bytes);
    shown += v->env.shared.bytes;
    if (v->mask) memcpy(v->mask + (size_t)env * masks_bytes(v), shown, masks_bytes(v));
    shown += masks_bytes(v);
    v->elapsed[env] = h.elapsed;
    v->ended[env] = h.ended != 0, v->over[env] = h.over != 0;
    for (int i = env * v->players; i < (env + 1) * v->players; i++)
        v->reward[i] = v->score[i] = 0, v->flags[i] = 0;
    for (size_t i = 0; i < idle_bytes(v); i++)
        v->flags[(size_t)(env * v->players) + i] = shown[i] & VLY_ROW_IDLE;
}

static vly_status check_states_call(const vly_vec *v, const int32_t *ids, int n, const void *states,
                                    size_t bytes) {
    VLY_TRY(vec_check_ids(v, ids, n));
    if (!v->started) return vly_fail(VLY_EINVAL, "the vector was not reset: it has no states");
    if (v->in_flight)
        return vly_fail(VLY_EINVAL,
                        "%d environments have actions that were not received: recv() "
                        "first",
                        v->in_flight);
    if (!states || bytes != (size_t)n * vec_saved_bytes(v))
        return vly_fail(VLY_EINVAL, "%d states of %s take %llu bytes, not %zu", n, v->env.name,
                        (unsigned long long)((size_t)n * vec_saved_bytes(v)), bytes);
    return VLY_OK;
}

static vly_status save_all(vly_vec *v, const int32_t *ids, int n, void *states, size_t bytes) {
    VLY_TRY(check_states_call(v, ids, n, states, bytes));
    for (int i = 0; i < n; i++)
        save_env(v, ids ? ids[i] : i, (unsigned char *)states + (size_t)i * vec_saved_bytes(v));
    return VLY_OK;
}

int vly_vec_save(vly_vec *v, const int32_t *ids, int n, void *states, size_t bytes) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, save_all(v, ids, n, states, bytes));
}

static vly_status check_all(const vly_vec *v, int n, const unsigned char *states) {
    vly_status status = VLY_OK;
    void *space = aligned_alloc(64, v->env.state_bytes);
    if (!space) return vly_fail(VLY_ENOMEM, "no memory for a state of %s", v->env.name);
    for (int i = 0; i < n && status == VLY_OK; i++)
        status = check_saved(v, states + (size_t)i * vec_saved_bytes(v), space);
    free(space);
    return status;
}

static vly_status load_all(vly_vec *v, const int32_t *ids, int n, const void *states, size_t bytes,
                           const vly_batch *batch) {
    VLY_TRY(check_states_call(v, ids, n, states, bytes));
    if (batch && batch->bytes < sizeof *batch)
        return vly_fail(VLY_EINVAL, "a batch needs its size in `bytes`");
    VLY_TRY(check_all(v, n, states));
    for (int i = 0; i < n; i++) {
        const int env = ids ? ids[i] : i;
        load_env(v, env, (const unsigned char *)states + (size_t)i * vec_saved_bytes(v));
        if (batch) vec_deliver(v, env, i, 1, batch);
    }
    return VLY_OK;
}

int vly_vec_load(vly_vec *v, const int32_t *ids, int n, const void *states, size_t bytes,
                 const vly_batch *batch) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, load_all(v, ids, n, states, bytes, batch));
}

/* ---- shared states ---- */

vly_status vec_check_shared(const vly_vec *v) {
    if (v->shared) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED, "%s has no shared state", v->env.name);
}

static vly_status copy_shared(vly_vec *v, const int32_t *ids, int n, uint8_t *to, size_t bytes) {
    const size_t one = v->env.shared.bytes;
    VLY_TRY(vec_check_shared(v));
    VLY_TRY(vec_check_ids(v, ids, n));
    if (!v->started)
        return vly_fail(VLY_EINVAL, "the vector was not reset: it has no shared states");
    if (!to || bytes != (size_t)n * one)
        return vly_fail(VLY_EINVAL, "%d shared states of %s take %zu bytes, not %zu", n,
                        v->env.name, (size_t)n * one, bytes);
    for (int i = 0; i < n; i++)
        if (v->out[ids ? ids[i] : i])
            return vly_fail(VLY_EINVAL,
                            "environment %d has an action that was not received: recv() first",
                            ids ? ids[i] : i);
    for (int i = 0; i < n; i++) memcpy(to + (size_t)i * one, vec_shared(v, ids ? ids[i] : i), one);
    return VLY_OK;
}

int vly_vec_shared(vly_vec *v, const int32_t *ids, int n, void *shared, size_t bytes) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, copy_shared(v, ids, n, shared, bytes));
}

/* ---- render ---- */

static vly_status render_env(vly_vec *v, int env, uint8_t *rgb, int *width, int *height) {
    const int32_t id = env;
    VLY_TRY(vec_check_ids(v, &id, 1));
    if (!v->env.render) return vly_fail(VLY_EUNSUPPORTED, "%s cannot be drawn", v->env.name);
    if (!v->started || v->out[env])
        return vly_fail(VLY_EINVAL, "environment %d has no state to draw: reset() or recv() first",
                        env);
    vly_error_clear();
    *width = *height = 0;
    v->env.render(&v->env, vec_state(v, env), rgb, width, height);
    if (*width > 0 && *height > 0) return VLY_OK;
    if (*vly_error_text()) return VLY_EUNSUPPORTED; /* its words */
    return vly_fail(VLY_EUNSUPPORTED, "%s cannot be drawn here", v->env.name);
}

int vly_vec_render(vly_vec *v, int env, uint8_t *rgb, int *width, int *height) {
    VLY_TRY(vec_enter(v));
    return vec_leave(v, width && height ? render_env(v, env, rgb, width, height)
                                        : vly_fail(VLY_EINVAL, "nowhere to put the size"));
}
