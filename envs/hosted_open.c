#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "envs/env_options.h"
#include "envs/hosted_impl.h"

enum { CALL_BYTES = 1 << 22 };

bool vly_hosted_named(const char *name) {
    return strncmp(name, "host:", 5) == 0;
}

/* ---- the description ---- */

static vly_status bad_description(const vly_env *env, const char *key, const char *text) {
    return vly_fail(VLY_EINVAL, "%s: %s=%s is not what an environment can have", env->name, key,
                    text);
}

static bool starts_with(const char **at, const char *word) {
    const size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0) return false;
    *at += n;
    return true;
}

static bool read_whole(const char **at, long least, long most, int *out) {
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    const long n = strtol(*at, &end, 10);
    *at = end;
    *out = n >= least && n <= most ? (int)n : 0;
    return n >= least && n <= most;
}

/* "f32:4", "u8:10x10x4" */
static vly_status read_observation(vly_env *env, const char *text, double scale) {
    const char *at = text;
    vly_obs_spec o = {.dtype = VLY_U8, .stack = 1, .scale = (float)scale, .bytes = 1};
    if (starts_with(&at, "f32:"))
        o.dtype = VLY_F32, o.bytes = sizeof(float);
    else if (!starts_with(&at, "u8:"))
        return bad_description(env, "observation", text);
    do {
        if (o.ndim == 3 || !read_whole(&at, 1, 1 << 16, &o.shape[o.ndim]))
            return bad_description(env, "observation", text);
        o.bytes *= (size_t)o.shape[o.ndim++];
    } while (starts_with(&at, "x"));
    if (*at || o.ndim == 2 || o.bytes > CALL_BYTES)
        return bad_description(env, "observation", text);
    env->obs = o;
    return VLY_OK;
}

static bool read_bound(const char **at, double *out) {
    char *end;
    *out = strtod(*at, &end);
    const bool good = end != *at && isfinite(*out);
    *at = end;
    return good;
}

/* "3", or "-1:1" */
static bool read_part(const char **at, bool box, int32_t *size, vly_bounds *b) {
    if (!box) return read_whole(at, 1, VLY_SPACE_CHOICES_MAX, size);
    return read_bound(at, &b->low) && starts_with(at, ":") && read_bound(at, &b->high) &&
           b->low < b->high;
}

/* Parts with ";" between, each perhaps with "*count". Returns their number, 0: malformed. */
static int read_parts(hosted_world *w, const char *at, bool box) {
    int n = 0, times;
    do {
        int32_t size = 0;
        vly_bounds b = {0, 0};
        if (!read_part(&at, box, &size, &b)) return 0;
        times = 1;
        if (starts_with(&at, "*") && !read_whole(&at, 1, VLY_SPACE_COUNT_MAX, &times)) return 0;
        if (n + times > VLY_SPACE_COUNT_MAX) return 0;
        for (int i = 0; i < times; i++, n++) w->sizes[n] = size, w->bounds[n] = b;
    } while (starts_with(&at, ";"));
    return *at ? 0 : n;
}

static vly_status read_action(vly_env *env, const char *text) {
    hosted_world *w = env->world;
    const char *at = text;
    int n = 0;
    if (starts_with(&at, "choice:")) {
        if (!read_whole(&at, 1, VLY_SPACE_CHOICES_MAX, &n) || *at)
            return bad_description(env, "action", text);
        env->action = vly_space_discrete(n);
        return VLY_OK;
    }
    const bool box = starts_with(&at, "box:");
    if (box || starts_with(&at, "choices:")) n = read_parts(w, at, box);
    if (!n) return bad_description(env, "action", text);
    env->action = box ? vly_space_box(n, w->bounds) : vly_space_multi(n, w->sizes);
    return env->action.n <= VLY_SPACE_CHOICES_MAX ? VLY_OK : bad_description(env, "action", text);
}

static vly_status describe_hosted(vly_env *env, const vly_env_args *args) {
    char observation[64] = "", action[480] = "";
    double mask = 0, scale = 1;
    const vly_env_key keys[] = {VLY_KEY_TEXT("observation", observation),
                                VLY_KEY_TEXT("action", action), VLY_KEY_WHOLE("mask", &mask, 0, 1),
                                VLY_KEY_REAL("scale", &scale, 1e-9, 1e9)};
    VLY_TRY(vly_env_options(env->name, args, keys, sizeof keys / sizeof *keys));
    if (!observation[0] || !action[0])
        return vly_fail(VLY_EINVAL,
                        "%s: env.args has to hold observation= and action=: they say what "
                        "it is like",
                        env->name);
    VLY_TRY(read_observation(env, observation, scale));
    VLY_TRY(read_action(env, action));
    hosted_world *w = env->world;
    snprintf(w->description, sizeof w->description, "%s", args->extra);
    w->limit = vly_env_limit(args, 0);
    env->masked = mask != 0;
    return env->masked && env->action.kind == VLY_SPACE_BOX
               ? vly_fail(VLY_EINVAL, "%s: a box has no mask", env->name)
               : VLY_OK;
}

/* ---- opening ---- */

static void free_hosted(hosted_world *w) {
    free(w->steps), free(w->observation), free(w->action), free(w->mask);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* A thread that has not come back from the rules still needs the memory. */
static void close_hosted(vly_env *env) {
    hosted_world *w = env->world;
    if (pthread_mutex_trylock(&w->lock) != 0) return;
    pthread_mutex_unlock(&w->lock);
    free_hosted(w);
}

static vly_status allocate_hosted(const vly_env *env) {
    hosted_world *w = env->world;
    const size_t most = CALL_BYTES / env->obs.bytes;
    w->batch = most < VLY_HOSTED_BATCH_MOST ? (int)most : VLY_HOSTED_BATCH_MOST;
    const size_t n = (size_t)w->batch;
    w->steps = calloc(VLY_HOSTED_ENVS_MOST, sizeof *w->steps);
    w->observation = calloc(n, env->obs.bytes);
    w->action = calloc(n, env->action.bytes);
    if (env->masked) w->mask = calloc(n, (size_t)env->action.n);
    if (!w->steps || !w->observation || !w->action || (env->masked && !w->mask))
        return vly_fail(VLY_ENOMEM, "%s: no memory for %d rows", env->name, w->batch);
    return VLY_OK;
}

vly_status vly_hosted_open(vly_env *env, const char *name, const vly_env_args *args) {
    vly_env_begin(env, name, 1, sizeof(hosted_state));
    if (!name[5]) return vly_fail(VLY_EINVAL, "host: without a name");
    hosted_world *w = calloc(1, sizeof *w);
    if (!w) return vly_fail(VLY_ENOMEM, "%s: no memory", name);
    pthread_mutex_init(&w->lock, NULL);
    env->world = env->plugin = w;
    env->close = close_hosted;
    hosted_fill_calls(env);
    vly_status status = describe_hosted(env, args);
    if (status == VLY_OK) status = allocate_hosted(env);
    if (status != VLY_OK) free_hosted(w);
    return status;
}

vly_status vly_hosted_attach(vly_env *env, const vly_hosted_rules *rules) {
    if (!vly_hosted_named(env->name))
        return vly_fail(VLY_EINVAL,
                        "%s has rules of its own: the caller's are for environments "
                        "named host:NAME",
                        env->name);
    hosted_world *w = env->world;
    w->rules = *rules;
    w->attached = true;
    return VLY_OK;
}
