/* bad_env.c -- a plugin that is wrong in the way that args->extra names. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/env.h"

static void bad_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env, (void)state, (void)seed, (void)at;
}
static void bad_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    (void)env, (void)states, (void)n, (void)actions, (void)out;
}
static void failing_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)state, (void)seed;
    memset(at.obs, 0, 8);
    if (at.mask) memset(at.mask, 1, (size_t)env->action.n);
    *at.reward = *at.score = 0.0f;
    *at.flags = VLY_ROW_RESET;
}
static void failing_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    (void)states, (void)actions;
    for (int i = 0; i < n; i++) {
        failing_reset(env, NULL, 0, vly_rows_at(out, (size_t)i));
        out.flags[i] = VLY_ROW_FAILED;
    }
}

/* Good steps but for their masks, which allow nothing. */
static void blocked_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    (void)states, (void)actions;
    for (int i = 0; i < n; i++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        failing_reset(env, NULL, 0, row);
        memset(row.mask, 0, (size_t)env->action.n);
        *row.flags = 0;
    }
}

static void blocked_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    failing_reset(env, state, seed, at);
    memset(at.mask, 0, (size_t)env->action.n);
}

static void leave_sign(const char *name) {
    FILE *sign = fopen(name, "w");
    if (sign) fputs("1\n", sign), fclose(sign);
}

static void good_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    (void)states, (void)actions;
    for (int i = 0; i < n; i++) {
        failing_reset(env, NULL, 0, vly_rows_at(out, (size_t)i));
        out.flags[i] = 0;
    }
}

/* Every step is good until one does not return; the file `hanging` says so. */
static void hanging_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    static atomic_int steps;
    if (atomic_fetch_add(&steps, 1) >= 2000) {
        leave_sign("hanging");
        for (;;) pause();
    }
    good_step(env, states, n, actions, out);
}

/* Two players; `apart` are the flags of the last row of each call alone. */
static uint8_t apart;

static void pair_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    for (size_t i = 0; i < 2; i++) failing_reset(env, state, seed, vly_rows_at(at, i));
}

static void pair_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    for (int i = 0; i < n; i++) good_step(env, states, 2, actions, vly_rows_of(out, (size_t)i, 2));
    out.flags[2 * n - 1] = apart;
}

static void open_pair(vly_env *env, int flags) {
    apart = (uint8_t)flags;
    env->players = 2, env->reset = pair_reset, env->step = pair_step;
}

/* The file `opening` says that it has begun. */
static void open_slowly(vly_env *env, int seconds) {
    struct timespec left = {.tv_sec = seconds};
    leave_sign("opening");
    while (nanosleep(&left, &left)) {
    }
    env->reset = failing_reset, env->step = good_step;
}

/* In the second process of mpirun alone. */
static void fail_in_one_rank(vly_env *env) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    env->reset = failing_reset;
    env->step = rank && !strcmp(rank, "1") ? failing_step : good_step;
}

static void counting_info(const vly_env *env, const void *state, double *out) {
    (void)state;
    for (int i = 0; i < env->info_count; i++) out[i] = i;
}

/* All numbers of a call are how many calls there were before it. */
static void numbered_info(const vly_env *env, const void *state, double *out) {
    static atomic_int calls;
    const int call = atomic_fetch_add(&calls, 1);
    (void)state;
    for (int i = 0; i < env->info_count; i++) out[i] = call;
}

/* Numbers that are wrong in one way, or as many as there may be. */
static void fill_info(vly_env *env, const char *wrong) {
    static const char *const good[] = {"phase", "score"}, *const twice[] = {"phase", "phase"};
    static const char *const empty[] = {"phase", ""}, *const absent[] = {"phase", NULL};
    static char text[VLY_ENV_INFO_MAX][8];
    static const char *many[VLY_ENV_INFO_MAX];
    for (int i = 0; i < VLY_ENV_INFO_MAX; i++)
        snprintf(text[i], sizeof text[i], "n%d", i), many[i] = text[i];
    env->info_count = 2, env->info_names = good, env->info = counting_info;
    env->reset = failing_reset;
    if (!strcmp(wrong, "info=many")) env->info_count = VLY_ENV_INFO_MAX, env->info_names = many;
    if (!strcmp(wrong, "info=calls")) {
        env->info_count = VLY_ENV_INFO_MAX, env->info_names = many, env->info = numbered_info;
        env->step = good_step;
    }
    if (!strcmp(wrong, "info=less")) env->info_count = -1;
    if (!strcmp(wrong, "info=more")) env->info_count = VLY_ENV_INFO_MAX + 1;
    if (!strcmp(wrong, "info=unnamed")) env->info_names = NULL;
    if (!strcmp(wrong, "info=empty")) env->info_names = empty;
    if (!strcmp(wrong, "info=absent")) env->info_names = absent;
    if (!strcmp(wrong, "info=twice")) env->info_names = twice;
    if (!strcmp(wrong, "info=unread")) env->info = NULL;
}

static const int32_t sizes[] = {2, 3};
static const vly_bounds bounds[] = {{0, 1}, {1, 1}};

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    const char *wrong = args->extra ? args->extra : "";
    env->abi = strcmp(wrong, "abi") ? VLY_ENV_ABI : 99;
    env->struct_bytes = (uint32_t)sizeof *env;
    if (!strcmp(wrong, "size")) {
        env->struct_bytes += 256;
        memset((char *)env + sizeof *env, 1, 256); /* what a larger struct would write */
    }
    if (!strcmp(wrong, "refuses")) return VLY_EUNSUPPORTED;
    if (strcmp(wrong, "name")) snprintf(env->name, sizeof env->name, "bad");
    if (!strcmp(wrong, "endless")) memset(env->name, 'x', sizeof env->name);
    env->obs.dtype = strcmp(wrong, "dtype") ? VLY_F32 : VLY_BF16;
    env->obs.ndim = strcmp(wrong, "ndim") ? 1 : 2;
    env->obs.shape[0] = strcmp(wrong, "shape") ? 2 : -2;
    env->obs.bytes = strcmp(wrong, "bytes") ? 8 : 4;
    env->obs.stack = strcmp(wrong, "stack") ? 1 : 0;
    env->obs.scale = strcmp(wrong, "scale") ? 1.0f : 0.0f;
    if (!strcmp(wrong, "scale=-1")) env->obs.scale = -1.0f;
    if (!strcmp(wrong, "scale=nan")) env->obs.scale = NAN;
    env->action = vly_space_discrete(strcmp(wrong, "actions") ? 2 : 0);
    env->players = env->tasks = 1;
    env->states = strcmp(wrong, "states") ? 0 : 5;
    env->frames_per_step = strcmp(wrong, "frames") ? 1 : 0;
    if (!strcmp(wrong, "time")) env->step_s = -1;
    if (!strcmp(wrong, "no time")) env->step_s = NAN;
    env->state_bytes = strcmp(wrong, "state_bytes") ? 64 : 63;
    if (!strcmp(wrong, "huge")) env->state_bytes = (size_t)1 << 62;
    env->reset = strcmp(wrong, "reset") ? bad_reset : NULL;
    env->step = strcmp(wrong, "step") ? bad_step : NULL;
    if (!strcmp(wrong, "players")) env->players = 0;
    if (!strcmp(wrong, "tasks")) env->tasks = 2;
    if (!strcmp(wrong, "kind")) env->action.kind = (vly_space_kind)7;
    if (!strcmp(wrong, "action.bytes")) env->action.bytes = 8;
    if (!strcmp(wrong, "count")) env->action.count = 3, env->action.bytes = 12;
    if (!strcmp(wrong, "sizes")) env->action = vly_space_multi(2, sizes), env->action.n = 9;
    if (!strcmp(wrong, "bounds")) env->action = vly_space_box(2, bounds);
    if (!strcmp(wrong, "mask of a box")) env->action = vly_space_box(1, bounds), env->masked = 1;
    if (!strcmp(wrong, "shared")) env->shared.bytes = 4;
    if (!strcmp(wrong, "shared.scale"))
        env->shared = (vly_obs_spec){VLY_F32, 1, {2, 0, 0}, 1, INFINITY, 8};
    if (!strncmp(wrong, "info=", 5)) fill_info(env, wrong);
    if (!strcmp(wrong, "mask"))
        env->reset = failing_reset, env->step = blocked_step, env->masked = 1;
    if (!strcmp(wrong, "mask=reset"))
        env->reset = blocked_reset, env->step = blocked_step, env->masked = 1;
    if (!strcmp(wrong, "fails")) env->reset = failing_reset, env->step = failing_step;
    if (!strcmp(wrong, "fails in one rank")) fail_in_one_rank(env);
    if (!strcmp(wrong, "hangs")) env->reset = failing_reset, env->step = hanging_step;
    if (!strncmp(wrong, "apart=", 6)) open_pair(env, atoi(wrong + 6));
    if (!strncmp(wrong, "slow=", 5)) open_slowly(env, atoi(wrong + 5));
    return VLY_OK;
}
