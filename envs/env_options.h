/* env_options.h -- an environment's own options, "key=value,key=value" (vly_env_args.extra).
 *
 *   double slip = 0.0; char map[256] = "";
 *   const vly_env_key keys[] = {VLY_KEY_REAL("slip", &slip, 0.0, 1.0), VLY_KEY_TEXT("map", map)};
 *   VLY_TRY(vly_env_options("gridworld", args, keys, 2));
 *
 * Unknown keys, malformed numbers and values out of range fail with what would be accepted.
 * Also here: the common start and end of every built-in environment's open().
 */
#ifndef VLY_ENVS_ENV_OPTIONS_H
#define VLY_ENVS_ENV_OPTIONS_H
#include <stdbool.h>
#include "common/base/env.h"

typedef struct {
    const char *key;
    double *number; /* or NULL: */
    double min, max;
    char *text; /* borrowed, text_bytes long */
    size_t text_bytes;
    bool whole; /* the number has no fraction */
} vly_env_key;
#define VLY_KEY_REAL(key, at, min, max) \
    { key, at, min, max, NULL, 0, false }
#define VLY_KEY_WHOLE(key, at, min, max) \
    { key, at, min, max, NULL, 0, true }
/* One that names a file has a row in envs/registry.c too, so that runs find it from any folder. */
#define VLY_KEY_TEXT(key, array) \
    { key, NULL, 0, 0, array, sizeof(array), false }

/* args may be NULL; keys may be NULL when n is 0. */
vly_status vly_env_options(const char *env, const vly_env_args *args, const vly_env_key *keys,
                           int n);

/* args->max_steps when given, otherwise `own`; 0 means without limit, which is 2^31 - 1 steps. */
static inline int32_t vly_env_limit(const vly_env_args *args, int32_t own) {
    const int32_t limit = args && args->max_steps > 0 ? args->max_steps : own;
    return limit > 0 ? limit : INT32_MAX;
}

/* Zeroes *env and fills what is the same for all: ABI, name, one frame a step. */
void vly_env_begin(vly_env *env, const char *name, int actions, size_t state_bytes);
void vly_env_vector(vly_env *env, int length); /* the observation: a float32 vector */
void vly_env_bytes_image(vly_env *env, int height, int width, int channels); /* 0/1 bytes */
/* Allocates env->world; vly_env_close_world frees it. */
vly_status vly_env_world(vly_env *env, size_t bytes);
void vly_env_close_world(vly_env *env);

/* For vly_env.valid: fails with "MEMBER is VALUE, outside [LOW, HIGH]", as NAN does. */
vly_status vly_env_valid_range(const char *member, double value, double low, double high);
/* The steps and the flag of an episode that every environment counts. */
vly_status vly_env_valid_episode(int32_t step, int32_t ended, int32_t max_steps);

#endif
