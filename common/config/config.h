/* config.h -- the resolved configuration of a run, and the table that it comes from.
 *
 *   vly_config config;
 *   VLY_TRY(vly_config_defaults(&config));
 *   VLY_TRY(vly_config_set(&config, "ppo.lr", "3e-4"));       // as on the command line
 *   ... config.ppo.lr, config.run.seed, config.net.hidden.v[0] ...
 *
 * Every option stands once, in common/config/options.def, with type, default, range and help; the
 * members below are generated from it: `ppo.lr` is config.ppo.lr. To add an option, add a line
 * there. What a user gives is layered: defaults, the algorithm's settings and the environment's
 * preset (common/config/presets.def), the file of --config, the command line (vly_config_layers).
 * The result is plain data without pointers: copy it, compare it, save it (vly_config_save).
 *
 * Every error is VLY_EINVAL with words that name the option, what was given and what is allowed.
 */
#ifndef VLY_COMMON_CONFIG_CONFIG_H
#define VLY_COMMON_CONFIG_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/env.h"
#include "common/base/names.h"
#include "common/base/status.h"
#include "common/config/option.h"
#include "config_choices.h" /* generated: VLY_RUN_SYNC_ALLREDUCE is a value of config.run.sync */
#ifdef __cplusplus
extern "C" {
#endif

enum { VLY_CONFIG_TEXT = 1024, VLY_FAMILY_TEXT = 4096, VLY_CONFIG_VERSION = 1 };

/* clang-format off */
#define SECTION(name, help) struct {
#define FAMILY(name, help) struct {
#define END(name) } name;
#define BOOL(section, key, def, help) bool key;
#define INT(section, key, def, min, max, help) int key;
#define COUNT(section, key, def, min, max, word, help) int key;
#define LONG(section, key, def, min, max, help) int64_t key;
#define BYTES(section, key, def, min, max, help) int64_t key;
#define FLOAT(section, key, def, min, max, help) float key;
#define CHOICE(section, key, def, choices, help) int key;
#define NAME(section, key, def, choices, help) char key[16];
#define TEXT(section, key, bytes, def, help) char key[bytes];
#define LIST(section, key, def, min, max, help) vly_int_list key;
typedef struct {
#include "common/config/options.def"
    bool fit_envs; /* run.envs is auto, or left to the preset as the rollout is: an algorithm may
                      raise it (vly_algo_settle) */
    struct {
        bool separate, hidden, activation, deviation, squash; /* of `net`: no preset's, which holds
                                                                 where it can */
    } given;
    char families[VLY_FAMILY_TEXT]; /* vly_env_args.options, written by vly_config_env_args */
} vly_config;
#undef SECTION
#undef FAMILY
#undef END
#undef BOOL
#undef INT
#undef COUNT
#undef LONG
#undef BYTES
#undef FLOAT
#undef CHOICE
#undef NAME
#undef TEXT
#undef LIST
/* clang-format on */

/* ---- the table ---- */

typedef struct {
    const char *name, *help;
    bool family; /* of environments: vly_env_args carries its options */
} vly_section;

/* Every option of a run, in the order of options.def; *count entries. */
const vly_option *vly_config_options(int *count);
const vly_section *vly_config_sections(int *count);

/* ---- one configuration ---- */

vly_status vly_config_defaults(vly_config *config);
/* key: "ppo.lr", "run.seed" or, for `run` alone, "seed"; dashes may stand for underscores. */
vly_status vly_config_set(vly_config *config, const char *key, const char *value);
/* NULL when there is none; vly_error_text() then names the nearest. */
const vly_option *vly_config_find(const char *key);
/* What vly_env_open gets; borrows from config. */
vly_env_args vly_config_env_args(vly_config *config);
/* Of the options that decide how training goes on, for the digest of a checkpoint: not of folders,
 * threads, intervals. `algo`: the sections that the run's algorithm reads, NULL ends the list;
 * vly_algo_config_hash passes them. */
uint64_t vly_config_hash(const vly_config *config, const char *const *algo);
/* How many of these options differ; `names` lists them as "ppo.lr 0.1 instead of 0.2". */
int vly_config_differences(const vly_config *a, const vly_config *b, const char *const *algo,
                           char *names, size_t bytes);
/* All options as YAML; vly_config_load of it gives the same configuration. */
void vly_config_print(const vly_config *config, FILE *out);
/* The reference page: every option with its range, default and help, as Markdown. */
void vly_config_print_reference(FILE *out);
/* The options that differ from the defaults, one "section.key: value" a line. */
void vly_config_print_changes(const vly_config *config, FILE *out);
/* Writes config.yaml of a run's folder; replaces it atomically. */
vly_status vly_config_save(const vly_config *config, const char *path);
/* A saved configuration as it was: no presets are applied again. A run uses vly_algo_restore, which
 * checks it for its algorithm. */
vly_status vly_config_read(vly_config *config, const char *path);

/* ---- layers ---- */

typedef struct {
    char key[64]; /* "ppo.lr": checked, in the table's spelling */
    char value[VLY_CONFIG_TEXT];
    char where[128]; /* "run.yaml, line 3: ppo.lr" or "--ppo.lr", for the messages */
} vly_assignment;

/* What was given, in order; later ones win. Start with {0}; freed by vly_assignments_free. */
typedef struct {
    vly_assignment *v;
    int n;
    /* What the environment's name sets, "atari.sticky=0.25 ", under the preset of its family;
     * borrowed, NULL for nothing. */
    const char *of_env;
} vly_assignments;

/* Unknown keys and values out of range fail here. */
vly_status vly_assignments_add(vly_assignments *list, const char *key, const char *value,
                               const char *where);
void vly_assignments_free(vly_assignments *list);
/* Reads YAML ("ppo:\n  lr: 3e-4\n", or flat "ppo.lr: 3e-4"); `name` for the messages. */
vly_status vly_config_parse(const char *yaml, size_t bytes, const char *name, vly_assignments *out);
vly_status vly_config_load(const char *path, vly_assignments *out);

/* A preset: settings that belong together (common/config/presets.def says how one is chosen). */
typedef struct {
    const char *name; /* "cartpole-ppo" */
    const char *env;  /* environment name, pattern, or family */
    const char *algo;
    const char *summary;
    const char *settings; /* "ppo.lr=1e-3 ppo.epochs=10" */
} vly_preset;
const vly_preset *vly_preset_list(int i); /* NULL past the end */

/* What --device may say. */
vly_status vly_config_check_device(const char *device);

/* Defaults, then the algorithm's settings, the preset, what the environment's name sets, the preset of
 * its family, and `given` in order. `canonical` is the
 * environment's own name ("cartpole" for CartPole-v1) and `family` "classic", "minatar", "atari" or
 * "plugin". Afterwards run.algo and run.preset are names, never "auto" ("none": no preset matched), and
 * run.envs is a number: for "auto" the preset's.
 * Checks too what no single option can, but nothing of the algorithm, whose name may be unknown:
 * a run uses vly_algo_resolve (common/learn/algo.h). */
vly_status vly_config_layers(vly_config *config, const vly_assignments *given,
                             const char *canonical, const char *family);

#ifdef __cplusplus
}
#endif
#endif
