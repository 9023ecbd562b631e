#include "envs/mujoco/mujoco.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "envs/env_options.h"
#include "envs/episode.h"
#include "envs/mujoco/body.h"
#include "envs/mujoco/numpy_sum.h"
#include "envs/mujoco/view.h"

/* An actor. A step goes on from `numbers` alone. */
typedef struct {
    int32_t version; /* of the library that made it */
    int32_t step, ended;
    int32_t spare;
    vly_pcg64 rng;
    double place;     /* task->place at the end of the last step */
    double numbers[]; /* mj_getState of world.state_bits */
} actor;

const double *vly_mujoco_numbers(const void *state) {
    return ((const actor *)state)->numbers;
}

/* ---- rows ---- */

static void write_obs(const vly_mj_world *w, const vly_mj_body *b, vly_rows at) {
    double wide[VLY_MJ_OBS_MOST];
    float obs[VLY_MJ_OBS_MOST];
    w->task->observe(w, b, wide);
    for (int i = 0; i < w->task->obs; i++) obs[i] = (float)wide[i];
    memcpy(at.obs, obs, (size_t)w->task->obs * sizeof *obs);
}

static void keep_numbers(const vly_mj_world *w, const vly_mj_body *b, actor *s) {
    w->mj.get_state(w->model, b->data, s->numbers, w->state_bits);
    s->place = w->task->place ? w->task->place(w, b) : 0;
}

/* A body that is nowhere cannot go on, and a network must not see it. */
static void fail_row(const vly_mj_world *w, actor *s, vly_rows at) {
    memset(s->numbers, 0, (size_t)w->state_numbers * sizeof *s->numbers);
    s->place = 0, s->ended = 1;
    memset(at.obs, 0, (size_t)w->task->obs * sizeof(float));
    vly_row_write(at, 0.0f, VLY_ROW_FAILED);
}

static void start_body(const vly_mj_world *w, const vly_mj_body *b, actor *s, vly_rows at) {
    w->mj.reset_data(w->model, b->data);
    w->task->start(w, b, &s->rng);
    w->mj.forward(w->model, b->data);
    keep_numbers(w, b, s);
    s->step = s->ended = 0;
    write_obs(w, b, at);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void simulate(const vly_mj_world *w, const vly_mj_body *b, const float *action) {
    for (int i = 0; i < w->task->nu; i++) b->ctrl[i] = (double)action[i];
    for (int i = 0; i < w->task->frame_skip; i++) w->mj.step(w->model, b->data);
    if (w->task->contact_forces) w->mj.contact_forces(w->model, b->data);
}

static void step_episode(const vly_mj_world *w, const vly_mj_body *b, actor *s, const float *action,
                         vly_rows at) {
    const double before = s->place;
    bool terminated;
    w->mj.set_state(w->model, b->data, s->numbers, w->state_bits);
    simulate(w, b, action);
    keep_numbers(w, b, s);
    const double reward = w->task->reward(w, b, action, (s->place - before) / w->dt, &terminated);
    const bool late = ++s->step >= w->max_steps;
    s->ended = terminated || late;
    if (!isfinite(reward) || !vly_mj_finite(s->numbers, w->state_numbers) || !isfinite(s->place)) {
        fail_row(w, s, at);
        return;
    }
    write_obs(w, b, at);
    vly_row_write(at, (float)reward, vly_row_flags(terminated, late));
}

/* ---- calls ---- */

static actor *actor_at(const vly_env *env, void *states, int i) {
    return (actor *)(void *)((char *)states + (size_t)i * env->state_bytes);
}

/* action NULL: begins an episode. False: the library gave up, and the body is not to be used again. */
static bool try_actor(const vly_mj_world *w, const vly_mj_body *b, actor *s, const float *action,
                      vly_rows at) {
    vly_mj_trap t;
    VLY_MJ_TRAP(t);
    if (setjmp(t.back)) return VLY_MJ_UNTRAP(t), false;
    if (!action || s->ended)
        start_body(w, b, s, at);
    else
        step_episode(w, b, s, action, at);
    VLY_MJ_UNTRAP(t);
    return true;
}

static void simulate_actor(vly_mj_world *w, vly_mj_body **body, actor *s, const float *action,
                           vly_rows at) {
    if (!*body) *body = vly_mj_body_take(w);
    if (*body && try_actor(w, *body, s, action, at)) return;
    if (*body) vly_mj_body_drop(w, *body);
    *body = NULL;
    fail_row(w, s, at);
}

static void mujoco_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    vly_mj_world *w = env->world;
    vly_mj_body *body = NULL;
    actor *s = state;
    memset(s, 0, env->state_bytes);
    s->version = w->mj.layout->version;
    vly_pcg64_seed(&s->rng, seed);
    simulate_actor(w, &body, s, NULL, at);
    if (body) vly_mj_body_give(w, body);
}

static void mujoco_restart(const vly_env *env, void *state, vly_rows at) {
    vly_mj_world *w = env->world;
    vly_mj_body *body = NULL;
    simulate_actor(w, &body, state, NULL, at);
    if (body) vly_mj_body_give(w, body);
}

static void mujoco_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    vly_mj_world *w = env->world;
    vly_mj_body *body = NULL;
    for (int i = 0; i < n; i++)
        simulate_actor(w, &body, actor_at(env, states, i),
                       vly_action_floats(vly_actions_at(action, (size_t)i)),
                       vly_rows_at(out, (size_t)i));
    if (body) vly_mj_body_give(w, body);
}

/* ---- looking at it ---- */

static vly_status mujoco_valid(const vly_env *env, const void *state) {
    const vly_mj_world *w = env->world;
    const actor *s = state;
    if (s->version != w->mj.layout->version)
        return vly_fail(
            VLY_ECORRUPT,
            "it was made with version %d of MuJoCo, this is %d (%s): go on with that one",
            (int)s->version, w->mj.layout->version, w->mj.layout->name);
    VLY_TRY(vly_env_valid_episode(s->step, s->ended, w->max_steps));
    if (!isfinite(s->place)) return vly_fail(VLY_ECORRUPT, "place is %g", s->place);
    for (int i = 0; i < w->state_numbers; i++)
        if (!isfinite(s->numbers[i]))
            return vly_fail(VLY_ECORRUPT, "number %d of the body's state is %g", i, s->numbers[i]);
    return VLY_OK;
}

static void mujoco_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_mj_world *w = env->world;
    const actor *s = state;
    if (w->task->place)
        snprintf(text, bytes, "step %d  x %+.2f m", (int)s->step, s->place);
    else
        snprintf(text, bytes, "step %d", (int)s->step);
}

static void mujoco_info(const vly_env *env, const void *state, double *out) {
    const vly_mj_world *w = env->world;
    const actor *s = state;
    out[0] = s->step;
    if (w->task->place) out[1] = s->place;
}

static void mujoco_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                          int *height) {
    vly_mj_view_draw(env->world, vly_mujoco_numbers(state), rgb, width, height);
}

/* ---- opening ---- */

static void mujoco_close(vly_env *env) {
    vly_mj_world *w = env->world;
    vly_mj_view_destroy(w);
    vly_mj_world_close(w);
    free(w);
    env->world = NULL;
}

static void describe_task(vly_env *env, const vly_mj_task *task) {
    vly_env_begin(env, task->name, 1, 64);
    vly_env_vector(env, task->obs);
    env->action = vly_space_box(task->nu, task->bounds);
    env->action.names = task->joints;
    env->return_target = task->return_target;
    env->frames_per_step = task->frame_skip;
}

void vly_mujoco_describe(vly_env *env, const char *name) {
    describe_task(env, vly_mj_task_named(name));
}

vly_status vly_mujoco_find(char *text, size_t bytes) {
    vly_mj_library mj;
    VLY_TRY(vly_mj_library_open(&mj, ""));
    snprintf(text, bytes, "%s, in %s", mj.layout->name, mj.folder);
    vly_mj_library_close(&mj);
    return VLY_OK;
}

/* place: where the body is along the axis that it is rewarded for moving along, in metres. */
static const char *const info_names[] = {"step", "place"};

/* A weight that is 0 of its own is none of the task's. */
static int drop_lacking(vly_env_key *keys, int n) {
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (!keys[i].number || *keys[i].number != 0) keys[kept++] = keys[i];
    return kept;
}

static void rename_key(vly_env_key *keys, int n, const char *from, const char *to) {
    for (int i = 0; i < n; i++)
        if (!strcmp(keys[i].key, from)) keys[i].key = to;
}

static vly_status open_task(vly_env *env, const char *name, const vly_env_args *args) {
    const vly_mj_task *task = vly_mj_task_named(name);
    vly_mj_weights weights = task->weights;
    char version[32] = "";
    vly_env_key keys[] = {
        VLY_KEY_REAL("forward_reward_weight", &weights.forward_reward, -1e6, 1e6),
        VLY_KEY_REAL("ctrl_cost_weight", &weights.ctrl_cost, -1e6, 1e6),
        VLY_KEY_REAL("contact_cost_weight", &weights.contact_cost, -1e6, 1e6),
        VLY_KEY_REAL("healthy_reward", &weights.healthy_reward, -1e6, 1e6),
        VLY_KEY_REAL("reset_noise_scale", &weights.reset_noise, 0, 1),
        VLY_KEY_TEXT("version", version),
    };
    const int n = drop_lacking(keys, sizeof keys / sizeof *keys);
    if (weights.ours) rename_key(keys, n, weights.ours, weights.gymnasiums);
    VLY_TRY(vly_env_options(name, args, keys, n));
    vly_mj_world *w = malloc(sizeof *w);
    if (!w) return vly_fail(VLY_ENOMEM, "%s: no memory", name);
    const vly_status status = vly_mj_world_open(w, task, version);
    if (status != VLY_OK) return free(w), status;
    w->weights = weights;
    w->max_steps = vly_env_limit(args, task->max_steps);
    describe_task(env, task);
    env->step_s = w->dt;
    env->world = w;
    env->state_bytes = (sizeof(actor) + (size_t)w->state_numbers * sizeof(double) + 63) / 64 * 64;
    env->reset = mujoco_reset, env->step = mujoco_step, env->restart = mujoco_restart;
    env->valid = mujoco_valid, env->describe = mujoco_describe, env->render = mujoco_render;
    env->info_count = task->place ? 2 : 1, env->info_names = info_names, env->info = mujoco_info;
    env->close = mujoco_close;
    return VLY_OK;
}

#define X(name, id, summary)                                                      \
    vly_status vly_mujoco_##name##_open(vly_env *env, const vly_env_args *args) { \
        return open_task(env, "mujoco/" #name, args);                             \
    }
VLY_MUJOCO_TASKS(X)
#undef X
