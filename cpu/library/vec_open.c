#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cpu/library/vec_impl.h"
#include "cpu/machine/processors.h"
#include "envs/atari/options.h"
#include "envs/multi.h"
#include "envs/registry.h"

/* ---- opening ---- */

/* Frames of history: a view needs equal cursors and few moves, copies a small cache. */
static int history_room(const vec_options *o, int frames) {
    if (frames == 1) return 1;
    return o->view ? frames + 12 : 2 * frames;
}

static bool allocate_finals(vly_vec *v, size_t n) {
    if (v->o.autoreset != VEC_SAME_STEP) return true;
    bool all = (v->final = calloc(n, v->obs_bytes)) != NULL;
    for (int i = 0; i < v->column_count; i++)
        all &= (v->final_column[i] = calloc(n, vec_column_bytes(&v->columns[i]))) != NULL;
    return all;
}

static vly_status allocate_vec(vly_vec *v) {
    const size_t n = (size_t)v->o.num_envs, rows = n * (size_t)v->players;
    const size_t bytes = rows * (size_t)v->room * v->frame_bytes;
    v->history = aligned_alloc(64, (bytes + 63) / 64 * 64);
    v->cursor = calloc(n, sizeof *v->cursor);
    v->command = calloc(4 * n, 1);
    v->seed = calloc(n, sizeof *v->seed);
    v->restarts = calloc(n, sizeof *v->restarts);
    v->elapsed = calloc(n, sizeof *v->elapsed);
    v->action = calloc(rows, v->env.action.bytes);
    if (v->env.masked) v->mask = calloc(rows, (size_t)v->env.action.n);
    if (v->env.shared.bytes) v->shared = calloc(n, v->env.shared.bytes);
    v->order = calloc(n, sizeof *v->order);
    v->reward = calloc(2 * rows, sizeof *v->reward);
    v->flags = calloc(2 * rows, 1);
    if (!v->history || !v->cursor || !v->command || !v->seed || !v->restarts || !v->elapsed ||
        !v->action || (v->env.masked && !v->mask) || (v->env.shared.bytes && !v->shared) ||
        !v->order || !v->reward || !v->flags || !allocate_finals(v, n))
        return vly_fail(VLY_ENOMEM, "no memory for %d environments of %s", v->o.num_envs,
                        v->env.name);
    memset(v->history, 0, bytes);
    v->ended = v->command + n, v->over = v->command + 2 * n, v->out = v->command + 3 * n;
    v->score = v->reward + rows, v->idle = v->flags + rows;
    for (size_t i = 0; i < n; i++) v->cursor[i] = v->frames - 1, v->over[i] = 1;
    return VLY_OK;
}

static vly_status open_pool(vly_vec *v) {
    const vec_options *o = &v->o;
    int threads = o->num_threads ? o->num_threads : vly_processors();
    if (threads > o->batch_size) threads = o->batch_size;
    v->o.num_threads = threads;
    const vly_pool_options p = {.actors = o->num_envs,
                                .chunk = v->asynchronous ? 1 : 0,
                                .workers = v->asynchronous ? threads : threads - 1,
                                .caller_steps = !v->asynchronous,
                                .uncounted = true};
    VLY_TRY(vly_pool_create(&v->pool, NULL, &v->face, &p));
    v->states = vly_pool_state(v->pool, 0);
    for (int i = 0; v->env.assign && i < o->num_envs; i++)
        v->env.assign(&v->env, vec_state(v, i), i);
    return VLY_OK;
}

static vly_status check_players(const vly_vec *v) {
    if (v->players == 1) return VLY_OK;
    if (v->o.autoreset == VEC_SAME_STEP || v->o.batch_size < v->o.num_envs || v->env.obs.stack > 1)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s has %d players: autoreset is next_step or disabled there, batch_size "
                        "num_envs, and observations are not stacked",
                        v->env.name, v->players);
    return VLY_OK;
}

/* Options of Atari would do nothing for anything else. */
static vly_status check_families(const vec_options *o, const char *name) {
    const vly_atari_game *game;
    (void)vly_atari_id_settings(name, &game);
    if (game || !o->families[0] || vly_multi_named(name)) return VLY_OK;
    return vly_fail(VLY_EINVAL, "%s is no Atari game: it has no option %.*s", name,
                    (int)strcspn(o->families, "="), o->families);
}

static vly_status open_vec(vly_vec *v, const char *name, const char *options) {
    VLY_TRY(vec_options_read(&v->o, options));
    const vly_env_args args = {.options = v->o.families[0] ? v->o.families : NULL,
                               .max_steps = v->o.max_steps,
                               .extra = v->o.extra[0] ? v->o.extra : NULL,
                               .data = v->o.data[0] ? v->o.data : NULL};
    VLY_TRY(vly_env_open(&v->env, name, &args));
    v->env_open = true;
    VLY_TRY(check_families(&v->o, name));
    v->players = v->env.players;
    VLY_TRY(check_players(v));
    VLY_TRY(vec_choose_columns(v));
    v->asynchronous = v->o.batch_size < v->o.num_envs;
    v->frames = v->env.obs.stack > 0 ? v->env.obs.stack : 1;
    v->room = history_room(&v->o, v->frames);
    v->frame_bytes = v->env.obs.bytes;
    v->obs_bytes = v->frame_bytes * (size_t)v->frames;
    VLY_TRY(allocate_vec(v));
    vec_make_face(v);
    return open_pool(v);
}

int vly_vec_open(vly_vec **out, const char *name, const char *options) {
    if (!out) return vly_fail(VLY_EINVAL, "nowhere to put the vector");
    *out = NULL;
    vly_vec *v = calloc(1, sizeof *v);
    if (!v) return vly_fail(VLY_ENOMEM, "no memory for a vector of environments");
    v->process = getpid();
    atomic_flag_clear(&v->busy);
    const vly_status status = open_vec(v, name, options);
    if (status != VLY_OK) {
        vly_vec_close(v);
        return status;
    }
    *out = v;
    return VLY_OK;
}

static void free_vec(vly_vec *v) {
    if (v->env_open) v->env.close(&v->env);
    free(v->history), free(v->cursor), free(v->command), free(v->seed), free(v->restarts);
    free(v->elapsed), free(v->action), free(v->order), free(v->reward), free(v->flags);
    for (int i = 0; i < v->column_count; i++) free(v->final_column[i]);
    free(v->final), free(v->mask), free(v->shared), free(v);
}

/* After fork() the threads are the parent's, and so is the memory that they may be using: the
 * child's copy stays until it ends. Likewise where an environment hangs. */
void vly_vec_close(vly_vec *v) {
    if (!v || v->process != getpid()) return;
    if (v->pool && vly_pool_destroy(v->pool) != VLY_OK) return;
    free_vec(v);
}

/* ---- what it is ---- */

static vly_status too_small(const char *what) {
    return vly_fail(VLY_EINVAL, "%s needs its size in `bytes`", what);
}

int vly_vec_info(const vly_vec *v, vly_vec_facts *out) {
    static const int32_t rewards[] = {VLY_TYPE_F32, VLY_TYPE_F64, VLY_TYPE_I32};
    if (!v || !out || out->bytes < sizeof *out) return too_small("vly_vec_facts");
    *out = (vly_vec_facts){.bytes = out->bytes,
                           .num_envs = v->o.num_envs,
                           .batch_size = v->o.batch_size,
                           .num_threads = v->o.num_threads,
                           .autoreset = v->o.autoreset,
                           .stack = v->frames,
                           .frames_per_step = v->env.frames_per_step,
                           .reward_type = rewards[v->o.reward],
                           .columns = v->column_count,
                           .state_bytes = vec_saved_bytes(v),
                           .asynchronous = v->asynchronous,
                           .renders = v->env.render != NULL,
                           .players = v->players};
    return VLY_OK;
}

/* Frames are grey or of three colours; a stack of them is the first axis. */
static void frames_space(const vly_obs_spec *o, int frames, vly_vec_space *out) {
    const bool bytes = o->dtype == VLY_U8;
    int k = 0;
    if (frames > 1) out->shape[k++] = frames;
    for (int i = 0; i < o->ndim; i++)
        if (!(frames > 1 && i == 2 && o->shape[i] == 1)) out->shape[k++] = o->shape[i];
    out->ndim = k;
    out->type = bytes ? VLY_TYPE_U8 : VLY_TYPE_F32;
    out->low = bytes ? 0 : -INFINITY;
    out->high = bytes ? (o->scale < 1 ? 255 : 1) : INFINITY;
}

static void action_space(const vly_space *from, vly_vec_space *out) {
    const bool box = from->kind == VLY_SPACE_BOX;
    out->type = box ? VLY_TYPE_F32 : VLY_TYPE_I64;
    out->low = box ? -INFINITY : 0, out->high = INFINITY;
    if (from->kind == VLY_SPACE_DISCRETE) {
        out->n = from->n, out->high = from->n - 1;
    } else {
        out->ndim = 1, out->shape[0] = from->count;
    }
}

int vly_vec_spaces(const vly_vec *v, vly_vec_space *observation, vly_vec_space *action) {
    if (!v || !observation || observation->bytes < sizeof *observation || !action ||
        action->bytes < sizeof *action)
        return too_small("vly_vec_space");
    *observation = (vly_vec_space){.bytes = observation->bytes};
    *action = (vly_vec_space){.bytes = action->bytes};
    frames_space(&v->env.obs, v->frames, observation);
    action_space(&v->env.action, action);
    return VLY_OK;
}

int vly_vec_shared_space(const vly_vec *v, vly_vec_space *out) {
    if (!v || !out || out->bytes < sizeof *out) return too_small("vly_vec_space");
    VLY_TRY(vec_check_shared(v));
    *out = (vly_vec_space){.bytes = out->bytes};
    frames_space(&v->env.shared, 1, out);
    return VLY_OK;
}

int vly_vec_bounds(const vly_vec *v, double *low, double *high) {
    if (!v || !low || !high) return vly_fail(VLY_EINVAL, "nowhere to put the bounds");
    const vly_space *a = &v->env.action;
    for (int i = 0; i < a->count; i++) {
        const bool box = a->kind == VLY_SPACE_BOX;
        low[i] = box ? a->bounds[i].low : 0;
        high[i] = box ? a->bounds[i].high : vly_space_size(a, i) - 1;
    }
    return VLY_OK;
}

const char *vly_vec_name(const vly_vec *v) {
    return v ? v->env.name : NULL;
}
