/* registry.h -- every environment by name.
 *
 *   vly_env env;
 *   vly_status s = vly_env_open(&env, "CartPole-v1", NULL);   // or "cartpole", "pong", "./my.so"
 *   ... env.close(&env);
 *
 * Unknown names fail with the nearest valid ones in vly_error_text().
 */
#ifndef VLY_ENVS_REGISTRY_H
#define VLY_ENVS_REGISTRY_H
#include "common/base/env.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name;      /* "cartpole" */
    const char *gym_id;    /* "CartPole-v1", or NULL */
    const char *reference; /* the implementation that it is golden-tested against */
    const char *summary;
} vly_env_entry;

/* args may be NULL. On success the caller owns *env and ends it with env->close(env). */
vly_status vly_env_open(vly_env *env, const char *name, const vly_env_args *args);
/* Entry i of the built-in list (Atari games not included), NULL past the end. */
const vly_env_entry *vly_env_list(int i);

#ifdef __cplusplus
}
#endif
#endif
