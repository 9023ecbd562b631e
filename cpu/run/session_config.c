#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cpu/run/session.h"
#include "envs/atari/games.h"
#include "envs/atari/options.h"
#include "envs/registry.h"

/* Described with what was given alone: its name and family choose the preset. */
static vly_status identify(const vly_assignments *given, vly_env_info *info, char *name,
                           size_t bytes) {
    static _Thread_local vly_config plain;
    VLY_TRY(vly_config_defaults(&plain));
    for (int i = 0; i < given->n; i++)
        VLY_TRY(vly_config_set(&plain, given->v[i].key, given->v[i].value));
    if (!plain.run.env[0])
        return vly_fail(VLY_EINVAL, "which environment? `volley ls envs` lists them");
    snprintf(name, bytes, "%s", plain.run.env);
    const vly_env_args args = vly_config_env_args(&plain);
    return vly_env_describe(info, plain.run.env, &args);
}

/* What a Gymnasium id of Atari sets, under what was given; the name is the game's then. */
static vly_status spell_out(const vly_assignments *given, const char *name, vly_assignments *all) {
    const vly_atari_game *game;
    char settings[256], *rest = settings;
    snprintf(settings, sizeof settings, "%s", vly_atari_id_settings(name, &game));
    for (const char *one; (one = strtok_r(rest, " ", &rest));) {
        char key[64];
        const size_t n = strcspn(one, "=");
        snprintf(key, sizeof key, "%.*s", (int)n, one);
        VLY_TRY(vly_assignments_add(all, key, one + n + 1, name));
    }
    for (int i = 0; i < given->n; i++)
        VLY_TRY(vly_assignments_add(all, given->v[i].key, given->v[i].value, given->v[i].where));
    return game ? vly_assignments_add(all, "run.env", game->name, name) : VLY_OK;
}

/* The run is read from other folders too. A path that would be too long stays as it was given. */
static void anchor_plugin(vly_config *config, const char *home) {
    char path[sizeof config->run.env];
    const char *given = config->run.env;
    if (!vly_env_is_plugin(given) || given[0] == '/' || !home) return;
    while (!strncmp(given, "./", 2)) given += 2;
    const int n = snprintf(path, sizeof path, "%s/%s", home, given);
    if (n > 0 && (size_t)n < sizeof path) memcpy(config->run.env, path, (size_t)n + 1);
}

vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env) {
    vly_env_info info;
    vly_assignments all = {0};
    char name[VLY_CONFIG_TEXT], folder[4096];
    const char *home = getcwd(folder, sizeof folder); /* before a plugin can change it */
    VLY_TRY(identify(given, &info, name, sizeof name));
    vly_status status = spell_out(given, name, &all);
    if (status == VLY_OK) status = vly_algo_resolve(config, &all, info.name, info.family);
    vly_assignments_free(&all);
    VLY_TRY(status);
    anchor_plugin(config, home);
    vly_env_args args = vly_config_env_args(config);
    return env ? vly_env_open(env, config->run.env, &args) : VLY_OK;
}
