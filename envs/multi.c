#include "envs/multi.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "envs/env_options.h"
#include "envs/registry.h"

#define PREFIX "multi:"
enum { HEAD = 64, SCRATCH = 16384 }; /* the task's number, then the task's own state */

/* How observations of a task become the common one. */
typedef enum { LAYOUT_VECTOR, LAYOUT_CHANNELS, LAYOUT_STRIP } layout;

typedef struct {
    vly_env env[VLY_MULTI_TASKS_MAX];
    const char *names[VLY_MULTI_TASKS_MAX];
    int tasks, first; /* first: actor 0's */
    layout layout;
    const char *info_names[VLY_ENV_INFO_MAX];
    int8_t number[VLY_MULTI_TASKS_MAX][VLY_ENV_INFO_MAX]; /* of the task's; -1: it has none */
} world;

typedef struct {
    int32_t task;
} head;

/* ---- names ---- */

bool vly_multi_named(const char *name) {
    return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0;
}

bool vly_multi_name(const char *name, int i, char *one, size_t bytes) {
    const char *at = name + sizeof PREFIX - 1;
    for (; i > 0; i--) {
        at = strchr(at, ',');
        if (!at) return false;
        at++;
    }
    const size_t n = strcspn(at, ",");
    snprintf(one, bytes, "%.*s", (int)(n < bytes ? n : bytes - 1), at);
    return true;
}

void vly_multi_canonical(const char *names, char *out, size_t bytes) {
    enum { SUM = 9 }; /* "~" and 8 digits */
    const size_t n = strlen(names) - (*names != '\0'), room = bytes - sizeof PREFIX;
    if (n <= room) {
        snprintf(out, bytes, PREFIX "%.*s", (int)n, names);
        return;
    }
    snprintf(out, bytes, PREFIX "%.*s~%08x", (int)(room - SUM), names,
             (unsigned)vly_crc32(0, names, n));
}

/* ---- observations ---- */

static int channels_of(const vly_obs_spec *obs) {
    return obs->shape[2];
}

static void mark_vector(const vly_env *env, const vly_env *one, int task, uint8_t *obs) {
    const float mark = 1.0f;
    const size_t own = one->obs.bytes;
    const size_t at = env->obs.bytes - (size_t)(env->tasks - task) * sizeof mark;
    memset(obs + own, 0, env->obs.bytes - own);
    memcpy(obs + at, &mark, sizeof mark);
}

/* Lines below the image, white where the task's part of them is. */
static void mark_strip(const vly_env *env, const vly_env *one, int task, uint8_t *obs) {
    const size_t line = (size_t)(env->obs.shape[1] * channels_of(&env->obs));
    const size_t first = line * (size_t)task / (size_t)env->tasks;
    const size_t last = line * (size_t)(task + 1) / (size_t)env->tasks;
    memset(obs + one->obs.bytes, 0, VLY_MULTI_STRIP * line);
    for (int y = 0; y < VLY_MULTI_STRIP; y++)
        memset(obs + one->obs.bytes + (size_t)y * line + first, 255, last - first);
}

static void spread_channels(const vly_env *env, const vly_env *one, int task, const uint8_t *from,
                            uint8_t *obs) {
    const int own = channels_of(&one->obs), all = channels_of(&env->obs);
    const int pixels = env->obs.shape[0] * env->obs.shape[1];
    memset(obs, 0, env->obs.bytes);
    for (int i = 0; i < pixels; i++) {
        memcpy(obs + i * all, from + i * own, (size_t)own);
        obs[i * all + all - env->tasks + task] = 1;
    }
}

/* ---- masks ---- */

/* What the task does not have is not allowed; its own mask is there already. */
static void widen_mask(const vly_env *env, const vly_env *one, vly_rows at) {
    const size_t own = (size_t)one->action.n;
    if (!at.mask) return;
    if (!one->masked) memset(at.mask, 1, own);
    memset(at.mask + own, 0, (size_t)env->action.n - own);
}

/* ---- stepping ---- */

static const vly_env *env_of(const vly_env *env, const void *state) {
    return &((const world *)env->world)->env[((const head *)state)->task];
}

static void *inner(void *state) {
    return (uint8_t *)state + HEAD;
}

/* What is done to one actor. */
typedef struct {
    enum { RESET, RESTART, STEP } what;
    uint64_t seed;
    int32_t action;
} deed;

static void do_one(const vly_env *one, void *state, const deed *d, vly_rows at) {
    if (d->what == RESET)
        one->reset(one, state, d->seed, at);
    else if (d->what == RESTART)
        one->restart(one, state, at);
    else
        one->step(one, state, 1, vly_actions_of_ints(&d->action), at);
}

static void do_task(const vly_env *env, void *state, const deed *d, vly_rows at) {
    const world *w = env->world;
    const vly_env *one = env_of(env, state);
    const int task = ((const head *)state)->task;
    vly_rows narrow = at;
    if (!one->masked) narrow.mask = NULL;
    if (w->layout == LAYOUT_CHANNELS) {
        uint8_t own[SCRATCH];
        narrow.obs = own, narrow.obs_stride = sizeof own;
        do_one(one, inner(state), d, narrow);
        spread_channels(env, one, task, own, at.obs);
    } else {
        do_one(one, inner(state), d, narrow);
        (w->layout == LAYOUT_VECTOR ? mark_vector : mark_strip)(env, one, task, at.obs);
    }
    if (env->masked) widen_mask(env, one, at);
}

static void multi_assign(const vly_env *env, void *state, int actor) {
    const int first = ((const world *)env->world)->first;
    ((head *)state)->task = (actor % env->tasks + first) % env->tasks;
}

static void multi_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    do_task(env, state, &(deed){.what = RESET, .seed = seed}, at);
}

static void multi_restart(const vly_env *env, void *state, vly_rows at) {
    do_task(env, state, &(deed){.what = RESTART}, at);
}

static void multi_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    uint8_t *state = states;
    for (int i = 0; i < n; i++, state += env->state_bytes) {
        const int32_t wanted = vly_action_ints(action)[i];
        const deed d = {.what = STEP, .action = wanted < env_of(env, state)->action.n ? wanted : 0};
        do_task(env, state, &d, vly_rows_at(out, (size_t)i));
    }
}

static void multi_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                         int *height) {
    const vly_env *one = env_of(env, state);
    one->render(one, (const uint8_t *)state + HEAD, rgb, width, height);
}

static void multi_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_env *one = env_of(env, state);
    const int n = snprintf(text, bytes, "%s  ", one->name);
    if (one->describe && n > 0 && (size_t)n < bytes)
        one->describe(one, (const uint8_t *)state + HEAD, text + n, bytes - (size_t)n);
}

static void multi_info(const vly_env *env, const void *state, double *out) {
    const world *w = env->world;
    const vly_env *one = env_of(env, state);
    const int task = ((const head *)state)->task;
    double own[VLY_ENV_INFO_MAX];
    if (one->info) one->info(one, (const uint8_t *)state + HEAD, own);
    out[0] = task;
    for (int i = 1; i < env->info_count; i++)
        out[i] = w->number[task][i] < 0 ? 0 : own[w->number[task][i]];
}

static vly_status multi_valid(const vly_env *env, const void *state) {
    VLY_TRY(vly_env_valid_range("task", ((const head *)state)->task, 0, env->tasks - 1));
    const vly_env *one = env_of(env, state);
    return one->valid ? one->valid(one, (const uint8_t *)state + HEAD) : VLY_OK;
}

static void multi_close(vly_env *env) {
    world *w = env->world;
    if (!w) return;
    for (int i = 0; i < w->tasks; i++) w->env[i].close(&w->env[i]);
    free(w);
    env->world = NULL;
}

/* ---- opening ---- */

/* Before it is opened: to load a plugin is to run it. */
vly_status vly_multi_check(const char *one) {
    if (vly_multi_named(one))
        return vly_fail(VLY_EINVAL, "%s %.64s: a list within a list", PREFIX, one);
    return vly_env_is_plugin(one)
               ? vly_fail(VLY_EINVAL, "%s %.64s: a plugin cannot be one of several environments",
                          PREFIX, one)
               : VLY_OK;
}

static vly_status check_task(const vly_env *one, const vly_env *first) {
    const vly_obs_spec *a = &one->obs, *b = &first->obs;
    if (one->action.kind != VLY_SPACE_DISCRETE || one->players != 1)
        return vly_fail(VLY_EINVAL,
                        "%s %s: only environments of one player with one discrete action learn "
                        "together",
                        PREFIX, one->name);
    if (a->ndim != b->ndim || a->dtype != b->dtype || a->stack != b->stack || a->scale < b->scale ||
        a->scale > b->scale)
        return vly_fail(VLY_EINVAL, "%s %s and %s have observations of different kinds", PREFIX,
                        one->name, first->name);
    if (a->ndim == 3 && (a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1]))
        return vly_fail(VLY_EINVAL, "%s %s has images of %d x %d, %s of %d x %d", PREFIX, one->name,
                        a->shape[0], a->shape[1], first->name, b->shape[0], b->shape[1]);
    if (a->ndim == 3 && a->stack > 1 && channels_of(a) != channels_of(b))
        return vly_fail(VLY_EINVAL, "%s %s and %s differ in their channels", PREFIX, one->name,
                        first->name);
    return a->ndim == 3 && a->stack == 1 && (a->bytes > SCRATCH || a->dtype != VLY_U8)
               ? vly_fail(VLY_EINVAL, "%s %s: its images are not of bytes, or of more than %d",
                          PREFIX, one->name, SCRATCH)
               : VLY_OK;
}

/* The common observation. */
static void join_observations(vly_env *env, world *w) {
    vly_obs_spec obs = w->env[0].obs;
    w->layout = obs.ndim == 1 ? LAYOUT_VECTOR : obs.stack > 1 ? LAYOUT_STRIP : LAYOUT_CHANNELS;
    const int last = obs.ndim - 1;
    for (int i = 1; i < w->tasks; i++)
        if (w->env[i].obs.shape[last] > obs.shape[last])
            obs.shape[last] = w->env[i].obs.shape[last];
    if (w->layout == LAYOUT_STRIP)
        obs.shape[0] += VLY_MULTI_STRIP;
    else
        obs.shape[last] += w->tasks;
    obs.bytes = obs.dtype == VLY_F32 ? sizeof(float) : 1;
    for (int i = 0; i <= last; i++) obs.bytes *= (size_t)obs.shape[i];
    env->obs = obs;
}

/* Which of n names; -1: none. */
static int name_at(const char *const *names, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* Whether a number says something of every task: without a phase, the rules have never changed. */
static bool is_of_all(const world *w, const char *name) {
    if (!strcmp(name, "phase")) return true;
    for (int i = 0; i < w->tasks; i++)
        if (name_at(w->env[i].info_names, w->env[i].info_count, name) < 0) return false;
    return true;
}

/* The task, then the numbers of all tasks in the order of the first that has them. */
static void join_numbers(vly_env *env, world *w) {
    int n = 0;
    w->info_names[n++] = "task";
    for (int i = 0; i < w->tasks; i++)
        for (int k = 0; k < w->env[i].info_count && n < VLY_ENV_INFO_MAX; k++) {
            const char *name = w->env[i].info_names[k];
            if (name_at(w->info_names, n, name) < 0 && is_of_all(w, name))
                w->info_names[n++] = name;
        }
    for (int i = 0; i < w->tasks; i++)
        for (int k = 1; k < n; k++)
            w->number[i][k] = (int8_t)name_at(w->env[i].info_names, w->env[i].info_count,
                                              w->info_names[k]);
    env->info_count = n, env->info_names = w->info_names, env->info = multi_info;
}

/* -1: there is none. */
static int task_named(const vly_env *env, const char *task) {
    char *end;
    errno = 0;
    const long number = strtol(task, &end, 10);
    if (isdigit((unsigned char)*task) && !*end && !errno)
        return number < env->tasks ? (int)number : -1;
    return name_at(env->task_names, env->tasks, task);
}

vly_status vly_multi_begin_at(vly_env *env, const char *task) {
    if (env->assign != multi_assign)
        return vly_fail(VLY_EINVAL, "task %.64s: %s is one environment, leave the task out", task,
                        env->name);
    const int number = task_named(env, task);
    if (number < 0)
        return vly_fail(VLY_EINVAL, "task %.64s: %s has the tasks 0 to %d, or its names", task,
                        env->name, env->tasks - 1);
    ((world *)env->world)->first = number;
    return VLY_OK;
}

static vly_status open_tasks(vly_env *env, world *w, const char *name, const vly_env_args *args) {
    char one[sizeof env->name];
    for (int i = 0; vly_multi_name(name, i, one, sizeof one); i++) {
        if (i == VLY_MULTI_TASKS_MAX)
            return vly_fail(VLY_EINVAL, "%.64s: at most %d environments", name,
                            VLY_MULTI_TASKS_MAX);
        VLY_TRY(vly_multi_check(one));
        VLY_TRY(vly_env_open(&w->env[i], one, args));
        w->tasks++;
        VLY_TRY(check_task(&w->env[i], &w->env[0]));
        w->names[i] = w->env[i].name;
    }
    return VLY_OK;
}

static void join(vly_env *env, world *w) {
    char names[VLY_MULTI_TASKS_MAX * (sizeof env->name + 1)] = "";
    size_t at = 0;
    bool drawn = true, restarts = true;
    const vly_space *most = &w->env[0].action;
    for (int i = 0; i < w->tasks; i++) {
        const vly_env *one = &w->env[i];
        at += (size_t)snprintf(names + at, sizeof names - at, "%s,", one->name);
        drawn = drawn && one->render, restarts = restarts && one->restart;
        if (one->masked || one->action.n != most->n) env->masked = 1;
        if (one->action.n > most->n) most = &one->action;
        if (one->state_bytes > env->state_bytes) env->state_bytes = one->state_bytes;
        if (one->frames_per_step > env->frames_per_step)
            env->frames_per_step = one->frames_per_step;
        if (one->step_s > env->step_s) env->step_s = one->step_s;
    }
    vly_multi_canonical(names, env->name, sizeof env->name);
    env->state_bytes += HEAD;
    env->action = *most;
    join_observations(env, w);
    join_numbers(env, w);
    env->tasks = w->tasks, env->task_names = w->names;
    env->assign = multi_assign, env->reset = multi_reset, env->step = multi_step;
    if (restarts) env->restart = multi_restart;
    if (drawn) env->render = multi_render;
    env->describe = multi_describe, env->valid = multi_valid;
}

/* Atari games with all actions, whatever the options say: so that one means the same in all. */
static vly_status with_all_actions(const vly_env_args *args, char *options, size_t bytes,
                                   vly_env_args *out) {
    *out = args ? *args : (vly_env_args){.options = NULL};
    const int n = snprintf(options, bytes, "%s atari.full_actions=true ",
                           out->options ? out->options : "");
    if (n < 0 || (size_t)n >= bytes)
        return vly_fail(VLY_EINVAL, "%s the options are longer than %zu characters", PREFIX, bytes);
    out->options = options;
    return VLY_OK;
}

vly_status vly_multi_open(vly_env *env, const char *name, const vly_env_args *args) {
    char options[4096];
    vly_env_args own;
    vly_env made;
    VLY_TRY(with_all_actions(args, options, sizeof options, &own));
    vly_env_begin(&made, PREFIX, 1, 64);
    VLY_TRY(vly_env_world(&made, sizeof(world)));
    made.close = multi_close;
    const vly_status status = open_tasks(&made, made.world, name, &own);
    if (status != VLY_OK) {
        multi_close(&made);
        return status;
    }
    join(&made, made.world);
    *env = made;
    return VLY_OK;
}
