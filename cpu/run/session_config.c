#include "cpu/run/session.h"
#include <stdio.h>
#include <string.h>
#include "envs/registry.h"

static const char *family_of(const char *given, const char *canonical) {
    const char *dot = strrchr(given, '.');
    if (strchr(given, '/') && dot && !strcmp(dot, ".so")) return "plugin";
    if (!strncmp(canonical, "minatar/", 8)) return "minatar";
    for (int i = 0; vly_env_list(i); i++)
        if (!strcmp(vly_env_list(i)->name, canonical)) return "classic";
    return "atari";
}

/* Opened once with what was given alone: its own name and family choose the preset. */
static vly_status identify(const vly_assignments *given, char *canonical, size_t bytes,
                           const char **family) {
    static _Thread_local vly_config plain;
    VLY_TRY(vly_config_defaults(&plain));
    for (int i = 0; i < given->n; i++)
        VLY_TRY(vly_config_set(&plain, given->v[i].key, given->v[i].value));
    if (!plain.run.env[0])
        return vly_fail(VLY_EINVAL, "which environment? `volley ls envs` lists them");
    vly_env env = {0};
    vly_env_args args = vly_config_env_args(&plain);
    VLY_TRY(vly_env_open(&env, plain.run.env, &args));
    snprintf(canonical, bytes, "%s", env.name);
    *family = family_of(plain.run.env, env.name);
    env.close(&env);
    return VLY_OK;
}

vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env) {
    char canonical[64];
    const char *family = "";
    VLY_TRY(identify(given, canonical, sizeof canonical, &family));
    VLY_TRY(vly_algo_resolve(config, given, canonical, family));
    vly_env_args args = vly_config_env_args(config);
    return env ? vly_env_open(env, config->run.env, &args) : VLY_OK;
}
