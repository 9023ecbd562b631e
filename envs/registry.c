#include "envs/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/names.h"
#include "envs/acrobot.h"
#include "envs/atari/atari.h"
#include "envs/atari/drift.h"
#include "envs/cartpole.h"
#include "envs/cartpole_hidden.h"
#include "envs/cliffwalking.h"
#include "envs/deepsea.h"
#include "envs/env_options.h"
#include "envs/gridworld.h"
#include "envs/hosted.h"
#include "envs/minatar/minatar.h"
#include "envs/mountaincar.h"
#include "envs/mountaincar_continuous.h"
#include "envs/mujoco/mujoco.h"
#include "envs/multi.h"
#include "envs/pendulum.h"
#include "envs/plugin.h"
#include "envs/storage.h"
#include "envs/windy.h"

typedef vly_status (*opener)(vly_env *env, const vly_env_args *args);

/* A built-in environment and how it is opened. */
typedef struct {
    vly_env_entry entry;
    opener open;
} builtin;

#define MINATAR "MinAtar 1.0.15"
static const builtin builtins[] = {
    {{"cartpole", "CartPole-v1", "Gymnasium 1.4.0", "balance a pole on a cart"}, vly_cartpole_open},
    {{"acrobot", "Acrobot-v1", "Gymnasium 1.4.0", "swing two links above a bar"}, vly_acrobot_open},
    {{"mountaincar", "MountainCar-v0", "Gymnasium 1.4.0", "swing a weak car up a hill"},
     vly_mountaincar_open},
    {{"mountaincar_continuous", "MountainCarContinuous-v0", "Gymnasium 1.4.0",
      "the same with as little effort as it takes; continuous"},
     vly_mountaincar_continuous_open},
    {{"pendulum", "Pendulum-v1", "Gymnasium 1.4.0", "swing a pendulum up and hold it; continuous"},
     vly_pendulum_open},
    {{"gridworld", NULL, "its own rules (envs/gridworld.h)", "a maze of cells, size and map free"},
     vly_gridworld_open},
    {{"cliffwalking", "CliffWalking-v1", "Gymnasium 1.4.0", "along a cliff to the goal, tabular"},
     vly_cliffwalking_open},
    {{"windy", NULL, "Sutton & Barto, example 6.5", "across a field with a crosswind, tabular"},
     vly_windy_open},
    {{"cartpole_hidden", NULL, "cartpole", "CartPole without its speeds: a task for memory"},
     vly_cartpole_hidden_open},
    {{"deepsea", NULL, "bsuite 0.3.6", "one way of 2^10 finds the treasure: exploration"},
     vly_deepsea_open},
    {{"storage", NULL, "dynamic programming", "a battery on the electricity market, optimum known"},
     vly_storage_open},
    {{"minatar/breakout", "MinAtar/Breakout-v0", MINATAR, "break bricks with a ball"},
     vly_minatar_breakout_open},
    {{"minatar/asterix", "MinAtar/Asterix-v0", MINATAR, "collect gold between enemies"},
     vly_minatar_asterix_open},
    {{"minatar/freeway", "MinAtar/Freeway-v0", MINATAR, "cross eight lanes of cars"},
     vly_minatar_freeway_open},
    {{"minatar/seaquest", "MinAtar/Seaquest-v0", MINATAR, "shoot, rescue divers, mind the air"},
     vly_minatar_seaquest_open},
    {{"minatar/space_invaders", "MinAtar/SpaceInvaders-v0", MINATAR, "shoot down waves of aliens"},
     vly_minatar_space_invaders_open},
#define X(name, id, summary) \
    {{"mujoco/" #name, id, "Gymnasium 1.4.0", summary}, vly_mujoco_##name##_open},
    VLY_MUJOCO_TASKS(X)
#undef X
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };

/* Other known ids, with what they change. */
typedef struct {
    const char *id, *name;
    int max_steps;
    const char *extra;
} alias;

static const alias aliases[] = {
    {"CartPole-v0", "cartpole", 200, NULL},
    {"CliffWalking-v0", "cliffwalking", 0, NULL},
    {"CliffWalkingSlippery-v1", "cliffwalking", 0, "slippery=1"},
    {"MinAtar/Breakout-v1", "minatar/breakout", 0, "minimal=1"},
    {"MinAtar/Asterix-v1", "minatar/asterix", 0, "minimal=1"},
    {"MinAtar/Freeway-v1", "minatar/freeway", 0, "minimal=1"},
    {"MinAtar/Seaquest-v1", "minatar/seaquest", 0, "minimal=1"},
    {"MinAtar/SpaceInvaders-v1", "minatar/space_invaders", 0, "minimal=1"},
};
enum { ALIASES = sizeof aliases / sizeof *aliases };

const vly_env_entry *vly_env_list(int i) {
    return i >= 0 && i < BUILTINS ? &builtins[i].entry : NULL;
}

static bool is_mujoco(const char *name) {
    return strncmp(name, "mujoco/", 7) == 0;
}

static const char *family_named(const char *name) {
    if (is_mujoco(name)) return "mujoco";
    return strncmp(name, "minatar/", 8) == 0 ? "minatar" : "classic";
}

const char *vly_env_family(const vly_env_entry *entry) {
    return family_named(entry->name);
}

const char *vly_env_needs(const vly_env_entry *entry) {
    return is_mujoco(entry->name) ? "make mujoco" : NULL;
}

static const builtin *find_builtin(const char *name) {
    for (int i = 0; i < BUILTINS; i++) {
        const vly_env_entry *e = &builtins[i].entry;
        if (strcmp(name, e->name) == 0 || (e->gym_id && strcmp(name, e->gym_id) == 0))
            return &builtins[i];
    }
    return NULL;
}

static const alias *find_alias(const char *name) {
    for (int i = 0; i < ALIASES; i++)
        if (strcmp(name, aliases[i].id) == 0) return &aliases[i];
    return NULL;
}

/* The caller's options come after the alias's, so they override them. */
static vly_status open_alias(vly_env *env, const alias *a, const vly_env_args *args) {
    vly_env_args mine = {0};
    char extra[1024];
    if (args) mine = *args;
    if (mine.max_steps == 0) mine.max_steps = a->max_steps;
    if (a->extra) {
        const char *more = mine.extra ? mine.extra : "";
        if ((size_t)snprintf(extra, sizeof extra, "%s,%s", a->extra, more) >= sizeof extra)
            return vly_fail(VLY_EINVAL, "%s: the options are longer than %zu characters", a->id,
                            sizeof extra);
        mine.extra = extra;
    }
    return find_builtin(a->name)->open(env, &mine);
}

const char *vly_env_name(int i) {
    if (i < BUILTINS) return builtins[i].entry.name;
    if ((i -= BUILTINS) < BUILTINS) return builtins[i].entry.gym_id ? builtins[i].entry.gym_id : "";
    if ((i -= BUILTINS) < ALIASES) return aliases[i].id;
    return (i -= ALIASES) < VLY_ATARI_GAMES ? vly_atari_games[i].name : NULL;
}

static vly_status unknown_name(const char *name) {
    char near[256];
    vly_nearest(name, vly_env_name, near, sizeof near);
    return vly_fail(VLY_ENOTFOUND,
                    "no environment named '%.64s'%s%s ('volley ls envs' lists all, a path such as "
                    "./my_env.so loads a plugin)",
                    name, *near ? "; nearest: " : "", near);
}

bool vly_env_is_plugin(const char *name) {
    const size_t n = strlen(name);
    return name[0] == '/' || name[0] == '.' || (n > 3 && strcmp(name + n - 3, ".so") == 0);
}

/* The keys of vly_env_args.extra whose values name files, and the words that they may be instead. */
static const struct {
    const char *env, *key, *words[3];
} file_keys[] = {{"windy", "wind", {"steady", "gusts", NULL}}, {"storage", "prices", {NULL}}};
enum { FILE_KEYS = sizeof file_keys / sizeof *file_keys };

static bool is_same_text(const char *text, const char *from, size_t bytes) {
    return strlen(text) == bytes && strncmp(text, from, bytes) == 0;
}

/* Of several environments too. */
static bool is_or_holds(const char *name, const char *env) {
    char one[64];
    if (!vly_multi_named(name)) {
        const builtin *known = find_builtin(name);
        return known && strcmp(known->entry.name, env) == 0;
    }
    for (int i = 0; vly_multi_name(name, i, one, sizeof one); i++)
        if (strcmp(one, env) == 0) return true;
    return false;
}

static bool is_file_value(int i, const char *value, size_t bytes) {
    for (const char *const *word = file_keys[i].words; *word; word++)
        if (is_same_text(*word, value, bytes)) return false;
    return bytes > 0;
}

const char *vly_env_file(const char *name, const char *extra, size_t *bytes) {
    for (const char *at = extra; *at; at += strcspn(at, ","), at += *at == ',') {
        const size_t key = strcspn(at, "=,");
        const char *value = at + key + 1;
        if (at[key] != '=') continue;
        *bytes = strcspn(value, ",");
        for (int i = 0; i < FILE_KEYS; i++)
            if (is_same_text(file_keys[i].key, at, key) && is_or_holds(name, file_keys[i].env) &&
                is_file_value(i, value, *bytes))
                return value;
    }
    return NULL;
}

static vly_status check_args(const char *name, const vly_env_args *args) {
    if (!name || !*name) return vly_fail(VLY_EINVAL, "no environment was named");
    if (args && args->max_steps < 0)
        return vly_fail(VLY_EINVAL, "max_steps is %d, it must not be negative", args->max_steps);
    return VLY_OK;
}

vly_status vly_env_open(vly_env *env, const char *name, const vly_env_args *args) {
    VLY_TRY(check_args(name, args));
    if (vly_multi_named(name)) return vly_multi_open(env, name, args);
    if (vly_hosted_named(name)) return vly_hosted_open(env, name, args);
    if (vly_env_is_plugin(name)) return vly_plugin_open(env, name, args);
    const builtin *known = find_builtin(name);
    if (known) return known->open(env, args);
    const alias *other = find_alias(name);
    if (other) return open_alias(env, other, args);
    const vly_atari_game *game;
    vly_atari_options atari;
    (void)vly_atari_id_settings(name, &game);
    if (!game) return unknown_name(name);
    VLY_TRY(vly_atari_options_read(&atari, name, args));
    if (args && args->extra && args->extra[0])
        return vly_fail(VLY_EINVAL, "%s has no option '%.*s'; those of Atari begin with atari.",
                        name, (int)strcspn(args->extra, "="), args->extra);
    return (atari.drift[0] ? vly_atari_drift_open : vly_atari_open)(env, game->name, &atari);
}

static const char *family_of(const vly_env *env) {
    return env->plugin ? "plugin" : family_named(env->name);
}

/* The family is that of all tasks, or "multi". */
static vly_status describe_multi(vly_env_info *info, const char *name, const vly_env_args *args) {
    char names[VLY_MULTI_TASKS_MAX * (sizeof info->name + 1)] = "", one[sizeof info->name];
    size_t at = 0;
    vly_env_info part;
    memset(info, 0, sizeof *info);
    for (int i = 0; i < VLY_MULTI_TASKS_MAX && vly_multi_name(name, i, one, sizeof one); i++) {
        VLY_TRY(vly_multi_check(one));
        VLY_TRY(vly_env_describe(&part, one, args));
        const bool same = !info->family || !strcmp(info->family, part.family);
        info->family = same ? part.family : "multi";
        at += (size_t)snprintf(names + at, sizeof names - at, "%s,", part.name);
    }
    vly_multi_canonical(names, info->name, sizeof info->name);
    return VLY_OK;
}

vly_status vly_env_describe(vly_env_info *info, const char *name, const vly_env_args *args) {
    vly_env env;
    vly_atari_options atari;
    const vly_atari_game *game = NULL;
    VLY_TRY(check_args(name, args));
    if (vly_multi_named(name)) return describe_multi(info, name, args);
    VLY_TRY(vly_atari_options_read(&atari, name, args));
    if (!vly_env_is_plugin(name)) (void)vly_atari_id_settings(name, &game);
    const builtin *known = vly_env_is_plugin(name) ? NULL : find_builtin(name);
    const bool table = game || (known && is_mujoco(known->entry.name));
    memset(info, 0, sizeof *info);
    if (game)
        VLY_TRY(vly_atari_describe(&env, game, &atari));
    else if (table)
        vly_mujoco_describe(&env, known->entry.name);
    else
        VLY_TRY(vly_env_open(&env, name, args));
    info->family = game ? "atari" : family_of(&env);
    memcpy(info->name, env.name, sizeof info->name);
    info->obs = env.obs;
    info->actions = env.action.n;
    info->frames_per_step = env.frames_per_step;
    if (!table) env.close(&env);
    return VLY_OK;
}
