#include "envs/env_options.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/text.h"

static vly_status unknown_key(const char *env, const char *key, const vly_env_key *keys, int n) {
    char known[256] = "";
    size_t at = 0;
    for (int i = 0; i < n && at < sizeof known; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", keys[i].key);
    if (n == 0) return vly_fail(VLY_EINVAL, "%s has no option '%s': it has none", env, key);
    return vly_fail(VLY_EINVAL, "%s has no option '%s'; it has %s", env, key, known);
}

static vly_status set_key(const char *env, const vly_env_key *key, const char *value) {
    if (!key->number) {
        if (strlen(value) >= key->text_bytes)
            return vly_fail(VLY_EINVAL, "%s: %s is longer than %zu characters", env, key->key,
                            key->text_bytes - 1);
        memcpy(key->text, value, strlen(value) + 1);
        return VLY_OK;
    }
    char *end;
    double number;
    if (!vly_text_decimal(value, &end, &number) || *end)
        return vly_fail(VLY_EINVAL, "%s: %s=%s is not a decimal number", env, key->key, value);
    if (key->whole && number != floor(number))
        return vly_fail(VLY_EINVAL, "%s: %s=%s is not a whole number", env, key->key, value);
    if (!(number >= key->min && number <= key->max))
        return vly_fail(VLY_EINVAL, "%s: %s=%s is outside [%g, %g]", env, key->key, value, key->min,
                        key->max);
    *key->number = number;
    return VLY_OK;
}

static vly_status set_pair(const char *env, char *pair, const vly_env_key *keys, int n) {
    char *equals = strchr(pair, '=');
    if (!equals) return vly_fail(VLY_EINVAL, "%s: '%s' is not key=value", env, pair);
    *equals = '\0';
    for (int i = 0; i < n; i++)
        if (strcmp(pair, keys[i].key) == 0) return set_key(env, &keys[i], equals + 1);
    return unknown_key(env, pair, keys, n);
}

vly_status vly_env_options(const char *env, const vly_env_args *args, const vly_env_key *keys,
                           int n) {
    const char *at = args && args->extra ? args->extra : "";
    while (*at) {
        char pair[1024];
        const size_t length = strcspn(at, ",");
        if (length >= sizeof pair)
            return vly_fail(VLY_EINVAL, "%s: an option is longer than %zu characters", env,
                            sizeof pair - 1);
        memcpy(pair, at, length);
        pair[length] = '\0';
        if (length) VLY_TRY(set_pair(env, pair, keys, n));
        at += length + (at[length] == ',');
    }
    return VLY_OK;
}

void vly_env_begin(vly_env *env, const char *name, int actions, size_t state_bytes) {
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI;
    env->struct_bytes = (uint32_t)sizeof *env;
    snprintf(env->name, sizeof env->name, "%s", name);
    env->action = vly_space_discrete(actions);
    env->players = env->tasks = 1;
    env->frames_per_step = 1;
    env->state_bytes = (state_bytes + 63) / 64 * 64;
    env->return_target = NAN;
}

void vly_env_vector(vly_env *env, int length) {
    const vly_obs_spec spec = {VLY_F32, 1, {length, 0, 0}, 1, 1.0f, (size_t)length * 4};
    env->obs = spec;
}

void vly_env_bytes_image(vly_env *env, int height, int width, int channels) {
    const vly_obs_spec spec = {VLY_U8, 3,    {height, width, channels},
                               1,      1.0f, (size_t)height * (size_t)width * (size_t)channels};
    env->obs = spec;
}

vly_status vly_env_world(vly_env *env, size_t bytes) {
    env->world = calloc(1, bytes);
    env->close = vly_env_close_world;
    if (!env->world) return vly_fail(VLY_ENOMEM, "%s: no memory for %zu bytes", env->name, bytes);
    return VLY_OK;
}

void vly_env_close_world(vly_env *env) {
    free(env->world);
    env->world = NULL;
}

vly_status vly_env_valid_range(const char *member, double value, double low, double high) {
    if (value >= low && value <= high) return VLY_OK;
    return vly_fail(VLY_ECORRUPT, "%s is %g, outside [%g, %g]", member, value, low, high);
}

vly_status vly_env_valid_episode(int32_t step, int32_t ended, int32_t max_steps) {
    VLY_TRY(vly_env_valid_range("step", step, 0, ended ? max_steps : max_steps - 1));
    return vly_env_valid_range("ended", ended, 0, 1);
}
