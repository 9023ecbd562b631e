#include "cpu/run/session.h"
#include "envs/registry.h"

/* Described with what was given alone: its name and family choose the preset. */
static vly_status identify(const vly_assignments *given, vly_env_info *info) {
    static _Thread_local vly_config plain;
    VLY_TRY(vly_config_defaults(&plain));
    for (int i = 0; i < given->n; i++)
        VLY_TRY(vly_config_set(&plain, given->v[i].key, given->v[i].value));
    if (!plain.run.env[0])
        return vly_fail(VLY_EINVAL, "which environment? `volley ls envs` lists them");
    const vly_env_args args = vly_config_env_args(&plain);
    return vly_env_describe(info, plain.run.env, &args);
}

vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env) {
    vly_env_info info;
    VLY_TRY(identify(given, &info));
    VLY_TRY(vly_algo_resolve(config, given, info.name, info.family));
    vly_env_args args = vly_config_env_args(config);
    return env ? vly_env_open(env, config->run.env, &args) : VLY_OK;
}
