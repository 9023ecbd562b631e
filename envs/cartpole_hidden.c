#include "envs/cartpole_hidden.h"
#include <stdio.h>
#include <string.h>
#include "envs/cartpole.h"
#include "envs/env_options.h"

enum { BATCH = 64, SEEN = 2, ALL = 4 };

/* world: the CartPole that everything is asked of. */
static const vly_env *whole(const vly_env *env) {
    return env->world;
}

typedef struct {
    float obs[BATCH][ALL];
} unseen;

static vly_rows rows_into(unseen *u, vly_rows out) {
    out.obs = (uint8_t *)u->obs, out.obs_stride = sizeof u->obs[0];
    return out;
}

static void show(const unseen *u, int n, vly_rows out) {
    for (int i = 0; i < n; i++) {
        const float seen[SEEN] = {u->obs[i][0], u->obs[i][2]};
        memcpy(out.obs + (size_t)i * out.obs_stride, seen, sizeof seen);
    }
}

static void hidden_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    unseen u;
    whole(env)->reset(whole(env), state, seed, rows_into(&u, at));
    show(&u, 1, at);
}

static void hidden_restart(const vly_env *env, void *state, vly_rows at) {
    unseen u;
    whole(env)->restart(whole(env), state, rows_into(&u, at));
    show(&u, 1, at);
}

static void hidden_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    unseen u;
    for (int i = 0; i < n; i += BATCH) {
        const int some = n - i < BATCH ? n - i : BATCH;
        const vly_rows at = vly_rows_at(out, (size_t)i);
        whole(env)->step(whole(env), (vly_cartpole *)states + i, some,
                         vly_actions_at(action, (size_t)i), rows_into(&u, at));
        show(&u, some, at);
    }
}

static void hidden_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                          int *height) {
    whole(env)->render(whole(env), state, rgb, width, height);
}

static void hidden_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    whole(env)->describe(whole(env), state, text, bytes);
}

static vly_status hidden_valid(const vly_env *env, const void *state) {
    return whole(env)->valid(whole(env), state);
}

static void hidden_close(vly_env *env) {
    vly_env *w = env->world;
    if (w) w->close(w);
    vly_env_close_world(env);
}

static const vly_bounds bounds[SEEN] = {{-2.4, 2.4}, {-0.21, 0.21}};

vly_status vly_cartpole_hidden_open(vly_env *env, const vly_env_args *args) {
    vly_env all;
    VLY_TRY(vly_cartpole_open(&all, args));
    vly_env_begin(env, "cartpole_hidden", all.action.n, all.state_bytes);
    const vly_status status = vly_env_world(env, sizeof all);
    if (status != VLY_OK) {
        all.close(&all);
        return status;
    }
    *(vly_env *)env->world = all;
    vly_env_vector(env, SEEN);
    env->bounds = bounds;
    env->action.names = all.action.names;
    env->return_target = all.return_target;
    env->reset = hidden_reset, env->restart = hidden_restart, env->step = hidden_step;
    env->render = hidden_render, env->describe = hidden_describe, env->valid = hidden_valid;
    env->close = hidden_close;
    return VLY_OK;
}
