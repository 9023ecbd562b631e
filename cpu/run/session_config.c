#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cpu/run/session.h"
#include "envs/atari/games.h"
#include "envs/atari/options.h"
#include "envs/multi.h"
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

/* "multi:A,B" with games for Gymnasium's ids of Atari. settings: what the ids set, the same for all games
 * of the list, since a run has one of each option. */
static vly_status name_list_plainly(const char *list, char *plain, size_t bytes,
                                    const char **settings) {
    const vly_atari_game *game;
    char one[VLY_CONFIG_TEXT], first[VLY_CONFIG_TEXT] = "";
    size_t at = (size_t)snprintf(plain, bytes, "multi:");
    for (int i = 0; vly_multi_name(list, i, one, sizeof one); i++) {
        const char *own = vly_atari_id_settings(one, &game);
        if (game && first[0] && strcmp(own, *settings) != 0)
            return vly_fail(
                VLY_EINVAL,
                "multi: %.64s and %.64s play by different settings, and a run has one of "
                "each: name all its games in the same way",
                first, one);
        if (game && !first[0]) *settings = own, snprintf(first, sizeof first, "%s", one);
        at += (size_t)snprintf(plain + at, bytes - at, i ? ",%s" : "%s", game ? game->name : one);
    }
    return VLY_OK;
}

/* Names games as a run keeps them; what their ids set goes under all that was given. */
static vly_status spell_out(const vly_assignments *given, const char *name, vly_assignments *all) {
    const vly_atari_game *game;
    char plain[2 * VLY_CONFIG_TEXT];
    all->of_env = vly_atari_id_settings(name, &game);
    snprintf(plain, sizeof plain, "%s", game ? game->name : name);
    if (vly_multi_named(name)) VLY_TRY(name_list_plainly(name, plain, sizeof plain, &all->of_env));
    for (int i = 0; i < given->n; i++)
        VLY_TRY(vly_assignments_add(all, given->v[i].key, given->v[i].value, given->v[i].where));
    return strcmp(plain, name) ? vly_assignments_add(all, "run.env", plain, name) : VLY_OK;
}

static void anchor_plugin(vly_config *config, const char *home) {
    char path[sizeof config->run.env];
    const char *given = config->run.env;
    if (!vly_env_is_plugin(given) || given[0] == '/' || !home) return;
    while (!strncmp(given, "./", 2)) given += 2;
    const int n = snprintf(path, sizeof path, "%s/%s", home, given);
    if (n > 0 && (size_t)n < sizeof path) memcpy(config->run.env, path, (size_t)n + 1);
}

static void anchor_files(vly_config *config, const char *home) {
    char args[sizeof config->env.args];
    const char *at = config->env.args, *file;
    size_t bytes, n = 0;
    if (!home || strchr(home, ',')) return;
    for (; (file = vly_env_file(config->run.env, at, &bytes)); at = file + bytes) {
        const bool relative = file[0] != '/';
        const char *name = file;
        while (!strncmp(name, "./", 2)) name += 2;
        n += (size_t)snprintf(args + n, sizeof args - n, "%.*s%s%s%.*s", (int)(file - at), at,
                              relative ? home : "", relative ? "/" : "", (int)(file + bytes - name),
                              name);
        if (n >= sizeof args) return;
    }
    n += (size_t)snprintf(args + n, sizeof args - n, "%s", at);
    if (n < sizeof args) memcpy(config->env.args, args, n + 1);
}

void vly_session_anchor(vly_config *config, const char *folder) {
    anchor_plugin(config, folder);
    anchor_files(config, folder);
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
    vly_session_anchor(config, home);
    vly_env_args args = vly_config_env_args(config);
    return env ? vly_env_open(env, config->run.env, &args) : VLY_OK;
}
