#include "envs/trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "common/base/plugin_call.h"

/* The one actor, the rows that it writes and the action that it is given. */
typedef struct {
    const vly_env *env;
    void *state;
    uint8_t *obs, *mask, *flags;
    float *reward, *score;
    void *action;
    size_t action_bytes; /* of all players */
} actor;

static vly_rows rows_of(actor *a) {
    const vly_env *env = a->env;
    return (vly_rows){.obs = a->obs,
                      .obs_stride = env->obs.bytes,
                      .reward = a->reward,
                      .score = a->score,
                      .flags = a->flags,
                      .mask = env->masked ? a->mask : NULL,
                      .mask_stride = (size_t)env->action.n};
}

static size_t values(const vly_obs_spec *obs) {
    size_t n = 1;
    for (int i = 0; i < obs->ndim; i++) n *= (size_t)obs->shape[i];
    return n;
}

/* "p1." before a player's columns; nothing where there is one. */
static const char *prefix(const vly_env *env, int player) {
    static _Thread_local char text[16];
    text[0] = '\0';
    if (env->players > 1) snprintf(text, sizeof text, "p%d.", player);
    return text;
}

static void write_header(FILE *out, const vly_env *env) {
    fputs("step\taction", out);
    for (int p = 0; p < env->players; p++) fprintf(out, "\t%sreward", prefix(env, p));
    fputs("\tterminated\ttruncated", out);
    for (int p = 0; p < env->players; p++) {
        const char *before = prefix(env, p);
        if (env->states > 0)
            fprintf(out, "\t%sobs0", before);
        else if (env->obs.dtype == VLY_U8)
            fprintf(out, "\t%sobs_crc32\t%sbits", before, before);
        else
            for (size_t i = 0; i < values(&env->obs); i++) fprintf(out, "\t%sobs%zu", before, i);
        if (env->masked) fprintf(out, "\t%smask", before);
    }
    fputc('\n', out);
}

static void write_bits(FILE *out, const vly_obs_spec *obs, const uint8_t *bytes) {
    const int height = obs->ndim == 3 ? obs->shape[0] : 1;
    const int width = obs->ndim == 3 ? obs->shape[1] : obs->shape[0];
    const int channels = obs->ndim == 3 ? obs->shape[2] : 1;
    const char *before = "";
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (bytes[((size_t)y * (size_t)width + (size_t)x) * (size_t)channels + (size_t)c]) {
                    fprintf(out, "%s%d,%d,%d", before, c, y, x);
                    before = ";";
                }
}

static void write_floats(FILE *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        fprintf(out, "\t%.9g", (double)value);
    }
}

static void write_player(FILE *out, const actor *a, int player) {
    const vly_env *env = a->env;
    const uint8_t *obs = a->obs + (size_t)player * env->obs.bytes;
    const uint8_t *mask = a->mask + (size_t)player * (size_t)env->action.n;
    if (env->states > 0) {
        fprintf(out, "\t%d", env->state_index(env, a->state));
    } else if (env->obs.dtype == VLY_U8) {
        fprintf(out, "\t%08x\t", vly_crc32(0, obs, env->obs.bytes));
        write_bits(out, &env->obs, obs);
    } else {
        write_floats(out, obs, values(&env->obs));
    }
    if (!env->masked) return;
    fputc('\t', out);
    for (int i = 0; i < env->action.n; i++) fputc(mask[i] ? '1' : '0', out);
}

static void write_action(FILE *out, const actor *a) {
    char text[64];
    for (int p = 0; p < a->env->players; p++) {
        const vly_actions own = {(const uint8_t *)a->action + (size_t)p * a->env->action.bytes,
                                 a->env->action.bytes};
        const vly_space *space = &a->env->action;
        if (p) fputc(';', out);
        for (int i = 0; i < space->count; i++) { /* one at a time: a space may be long */
            vly_space one = *space;
            one.count = 1;
            vly_action_text(&one, (vly_actions){(const uint8_t *)own.data + 4 * i, 4}, text,
                            sizeof text);
            fprintf(out, "%s%s", i ? "," : "", text);
        }
    }
}

static void write_step(FILE *out, const actor *a, size_t step) {
    fprintf(out, "%zu\t", step);
    write_action(out, a);
    for (int p = 0; p < a->env->players; p++) fprintf(out, "\t%.9g", (double)a->score[p]);
    fprintf(out, "\t%d\t%d", (a->flags[0] & VLY_ROW_TERMINATED) != 0,
            (a->flags[0] & VLY_ROW_TRUNCATED) != 0);
    for (int p = 0; p < a->env->players; p++) write_player(out, a, p);
    fputc('\n', out);
}

/* For people: a step, or -1, the reset. */
static const char *name_moment(const actor *a, int64_t step, char *text, size_t bytes) {
    char action[64];
    const vly_space *space = &a->env->action;
    if (step < 0) return "its reset";
    vly_action_text(space, (vly_actions){a->action, space->bytes}, action, sizeof action);
    snprintf(text, bytes, "step %lld, action %s", (long long)step, action);
    return text;
}

/* The rows that the environment has written. */
static vly_status check_written(const actor *a, int64_t step) {
    const vly_env *env = a->env;
    char when[128];
    VLY_TRY(vly_plugin_check(env));
    for (int p = 0; p < env->players; p++)
        if (a->flags[p] & VLY_ROW_FAILED)
            return vly_fail(VLY_EPEER, "%s failed at %s", env->name,
                            name_moment(a, step, when, sizeof when));
    for (int p = 0; env->masked && p < env->players; p++)
        if (vly_mask_blocks(&env->action, a->mask + (size_t)p * (size_t)env->action.n))
            return vly_fail(VLY_EPEER,
                            "%s: player %d: the mask allows no action at %s; at least one of every "
                            "factor has to be allowed, in ended rows too",
                            env->name, p, name_moment(a, step, when, sizeof when));
    return VLY_OK;
}

static vly_status step_actor(actor *a, size_t step) {
    const vly_env *env = a->env;
    env->step(env, a->state, 1, (vly_actions){a->action, env->action.bytes}, rows_of(a));
    return check_written(a, (int64_t)step);
}

static vly_status play_actions(FILE *out, actor *a, uint64_t seed, const void *actions, size_t n) {
    const vly_env *env = a->env;
    if (env->assign) env->assign(env, a->state, 0);
    env->reset(env, a->state, seed, rows_of(a));
    VLY_TRY(check_written(a, -1));
    for (size_t i = 0; i < n; i++) {
        if (a->flags[0] & VLY_ROW_ENDED) VLY_TRY(step_actor(a, i)); /* starts the next episode */
        if (actions)
            memcpy(a->action, (const uint8_t *)actions + i * a->action_bytes, a->action_bytes);
        else
            vly_trace_random(env, seed, i, env->masked ? a->mask : NULL, a->action);
        VLY_TRY(step_actor(a, i));
        write_step(out, a, i);
        if (ferror(out)) break;
    }
    if (ferror(out) || fflush(out) != 0)
        return vly_fail(VLY_EIO, "cannot write the trace: %s", strerror(errno));
    return VLY_OK;
}

static vly_status check_given(const vly_env *env, const void *actions, size_t n) {
    const size_t bytes = (size_t)env->players * env->action.bytes;
    for (size_t i = 0; actions && i < n; i++)
        VLY_TRY(vly_trace_check(env, (const uint8_t *)actions + i * bytes, i));
    return VLY_OK;
}

static vly_status open_actor(actor *a) {
    const vly_env *env = a->env;
    const size_t k = (size_t)env->players;
    a->action_bytes = k * env->action.bytes;
    a->state = aligned_alloc(64, env->state_bytes);
    a->obs = malloc(k * env->obs.bytes);
    a->mask = calloc(k * (size_t)env->action.n + 1, 1);
    a->flags = calloc(k, 1);
    a->reward = calloc(k, sizeof *a->reward);
    a->score = calloc(k, sizeof *a->score);
    a->action = calloc(1, a->action_bytes);
    if (!a->state || !a->obs || !a->mask || !a->flags || !a->reward || !a->score || !a->action)
        return vly_fail(VLY_ENOMEM, "no memory to trace %s", env->name);
    memset(a->state, 0, env->state_bytes);
    return VLY_OK;
}

vly_status vly_trace_write(FILE *out, const vly_env *env, uint64_t seed, const void *actions,
                           size_t n) {
    VLY_TRY(check_given(env, actions, n));
    actor a = {.env = env};
    vly_status status = open_actor(&a);
    if (status == VLY_OK) {
        write_header(out, env);
        status = play_actions(out, &a, seed, actions, n);
    }
    free(a.state), free(a.obs), free(a.mask), free(a.flags);
    free(a.reward), free(a.score), free(a.action);
    return status;
}
