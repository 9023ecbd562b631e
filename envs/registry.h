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
#include <stdbool.h>
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

/* The description of an environment that is not opened. */
typedef struct {
    char name[64];      /* its own: "cartpole" for "CartPole-v1" */
    const char *family; /* "classic", "minatar", "mujoco", "atari" or "plugin": presets are for a
                         * name or a family */
    vly_obs_spec obs;
    int actions, frames_per_step;
} vly_env_info;

/* A path, not the name of something that this program has: it is loaded, and runs. */
bool vly_env_is_plugin(const char *name);
/* args may be NULL. Reads no ROM or model and runs nothing: Atari and MuJoCo have tables. A
 * plugin has to be loaded and opened for it, and is closed again; so are the small environments,
 * which costs some allocations. */
vly_status vly_env_describe(vly_env_info *info, const char *name, const vly_env_args *args);
/* The first value in `extra` (vly_env_args) that names a file for this environment, *bytes long. NULL:
 * there is none; a plugin's are not known. */
const char *vly_env_file(const char *name, const char *extra, size_t *bytes);
/* args may be NULL. On success the caller owns *env and ends it with env->close(env). */
vly_status vly_env_open(vly_env *env, const char *name, const vly_env_args *args);
/* Entry i of the built-in list (Atari games not included), NULL past the end. */
const vly_env_entry *vly_env_list(int i);
/* All names that are known, Gymnasium's ids and Atari's games included, one after the other; "" where
 * an entry has no id; NULL past the end. For vly_nearest. */
const char *vly_env_name(int i);
/* The command that fetches what it is made of ("make mujoco"); NULL: it is complete. */
const char *vly_env_needs(const vly_env_entry *entry);
/* "classic", "minatar" or "mujoco". */
const char *vly_env_family(const vly_env_entry *entry);

#ifdef __cplusplus
}
#endif
#endif
