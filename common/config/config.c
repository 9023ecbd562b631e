#include "common/config/config.h"
#include <assert.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "common/base/file.h"

/* clang-format off */
#define AT(s, k) offsetof(vly_config, s.k), sizeof(((vly_config *)0)->s.k)
#define SECTION(s, help)
#define FAMILY(s, help)
#define END(s)
#define BOOL(s, k, def, help) {#s, #k, VLY_OPTION_BOOL, AT(s, k), def, 0, 1, NULL, help},
#define INT(s, k, def, min, max, help) {#s, #k, VLY_OPTION_INT, AT(s, k), def, min, max, NULL, help},
#define COUNT(s, k, def, min, max, word, help) {#s, #k, VLY_OPTION_INT, AT(s, k), def, min, max, word, help},
#define LONG(s, k, def, min, max, help) {#s, #k, VLY_OPTION_INT, AT(s, k), def, min, max, NULL, help},
#define BYTES(s, k, def, min, max, help) {#s, #k, VLY_OPTION_BYTES, AT(s, k), def, min, max, NULL, help},
#define FLOAT(s, k, def, min, max, help) {#s, #k, VLY_OPTION_FLOAT, AT(s, k), def, min, max, NULL, help},
#define CHOICE(s, k, def, choices, help) {#s, #k, VLY_OPTION_CHOICE, AT(s, k), def, 0, 0, choices, help},
#define NAME(s, k, def, choices, help) {#s, #k, VLY_OPTION_TEXT, AT(s, k), def, 0, 0, choices, help},
#define TEXT(s, k, size, def, help) {#s, #k, VLY_OPTION_TEXT, AT(s, k), def, 0, 0, NULL, help},
#define LIST(s, k, def, min, max, help) {#s, #k, VLY_OPTION_LIST, AT(s, k), def, min, max, NULL, help},
static const vly_option options[] = {
#include "common/config/options.def"
};
#undef SECTION
#undef FAMILY
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
#define SECTION(s, help) {#s, help, false},
#define FAMILY(s, help) {#s, help, true},
#define BOOL(...)
#define INT(...)
#define COUNT(...)
#define LONG(...)
#define BYTES(...)
#define FLOAT(...)
#define CHOICE(...)
#define NAME(...)
#define TEXT(...)
#define LIST(...)
static const vly_section sections[] = {
#include "common/config/options.def"
};
/* clang-format on */
enum { OPTIONS = sizeof options / sizeof *options, SECTIONS = sizeof sections / sizeof *sections };

const vly_option *vly_config_options(int *count) {
    return *count = OPTIONS, options;
}
const vly_section *vly_config_sections(int *count) {
    return *count = SECTIONS, sections;
}

/* ---- finding ---- */

static bool same_name(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((a[i] == '-' ? '_' : a[i]) != b[i]) return false;
    return b[n] == '\0';
}

static const char *full_name(int i) {
    static _Thread_local char names[OPTIONS][64];
    if (i < 0 || i >= OPTIONS) return NULL;
    bool bare = !strcmp(options[i].section, "run");
    if (names[i][0]) return names[i];
    snprintf(names[i], sizeof names[i], "%s%s%s", bare ? "" : options[i].section, bare ? "" : ".",
             options[i].key);
    return names[i];
}

const vly_option *vly_config_find(const char *key) {
    const char *dot = strchr(key, '.');
    const char *section = dot ? key : "run", *name = dot ? dot + 1 : key;
    size_t length = dot ? (size_t)(dot - key) : 3;
    for (int i = 0; i < OPTIONS; i++)
        if (same_name(section, options[i].section, length) &&
            same_name(name, options[i].key, strlen(name)))
            return &options[i];
    char near[256];
    vly_nearest(key, full_name, near, sizeof near);
    vly_fail(VLY_EINVAL, "no option '%.100s'%s%s; `volley train --help all` lists them", key,
             *near ? "; nearest: " : "", near);
    return NULL;
}

vly_status vly_config_defaults(vly_config *config) {
    static _Thread_local vly_config plain;
    static _Thread_local bool made;
    for (int i = 0; i < OPTIONS && !made; i++)
        VLY_TRY(vly_option_set(&plain, &options[i], full_name(i), options[i].def));
    made = true;
    memcpy(config, &plain, sizeof plain);
    return VLY_OK;
}

vly_status vly_config_set(vly_config *config, const char *key, const char *value) {
    const vly_option *o = vly_config_find(key);
    return o ? vly_option_set(config, o, key, value) : VLY_EINVAL;
}

static bool is_family(const char *section) {
    for (int i = 0; i < SECTIONS; i++)
        if (!strcmp(sections[i].name, section)) return sections[i].family;
    return false;
}

vly_env_args vly_config_env_args(vly_config *config) {
    size_t at = 0;
    config->families[0] = '\0';
    for (int i = 0; i < OPTIONS; i++) {
        char value[VLY_CONFIG_TEXT];
        if (!is_family(options[i].section)) continue;
        vly_option_get(config, &options[i], value, sizeof value);
        at += (size_t)snprintf(config->families + at, sizeof config->families - at, "%s.%s=%s ",
                               options[i].section, options[i].key, value);
        assert(at < sizeof config->families);
    }
    return (vly_env_args){.options = config->families,
                          .max_steps = config->env.max_steps,
                          .extra = config->env.args[0] ? config->env.args : NULL,
                          .data = config->run.roms[0] ? config->run.roms : NULL};
}

/* ---- assignments ---- */

vly_status vly_assignments_add(vly_assignments *list, const char *key, const char *value,
                               const char *where) {
    const vly_option *o = vly_config_find(key);
    if (!o) {
        char why[1024];
        snprintf(why, sizeof why, "%s", vly_error_text());
        return vly_fail(VLY_EINVAL, "%.*s%s%s", strncmp(where, "--", 2) ? 127 : 0, where,
                        strncmp(where, "--", 2) ? ": " : "", why);
    }
    static _Thread_local vly_config scratch; /* only to check the value */
    VLY_TRY(vly_option_set(&scratch, o, where, value));
    if (strlen(value) >= sizeof list->v->value)
        return vly_fail(VLY_EINVAL, "%s: the value is too long", where);
    if ((list->n & (list->n - 1)) == 0) { /* a power of two are full: room for as many again */
        vly_assignment *more = realloc(list->v, (list->n ? 2 * (size_t)list->n : 1) * sizeof *more);
        if (!more) return vly_fail(VLY_ENOMEM, "no memory for the options");
        list->v = more;
    }
    vly_assignment *v = &list->v[list->n++];
    snprintf(v->key, sizeof v->key, "%s.%s", o->section, o->key);
    snprintf(v->value, sizeof v->value, "%s", value);
    snprintf(v->where, sizeof v->where, "%s", where);
    return VLY_OK;
}

void vly_assignments_free(vly_assignments *list) {
    free(list->v);
    *list = (vly_assignments){0};
}

/* ---- presets ---- */

typedef struct {
    const char *name, *settings;
} named_settings;
typedef struct {
    const char *option, *name, *settings;
} family_preset;

/* clang-format off */
#define ALGO(name, settings) {#name, settings},
#define PRESET(name, env, algo, summary, settings)
#define FAMILY_PRESET(family, name, settings)
static const named_settings algo_settings[] = {
#include "common/config/presets.def"
    {NULL, NULL}};
#undef ALGO
#undef PRESET
#undef FAMILY_PRESET
#define ALGO(name, settings)
#define PRESET(name, env, algo, summary, settings) {#name, #env, #algo, summary, settings},
#define FAMILY_PRESET(family, name, settings)
static const vly_preset presets[] = {
#include "common/config/presets.def"
};
#undef PRESET
#undef FAMILY_PRESET
#define PRESET(name, env, algo, summary, settings)
#define FAMILY_PRESET(family, name, settings) {#family ".preset", #name, settings},
static const family_preset family_presets[] = {
#include "common/config/presets.def"
};
/* clang-format on */
enum {
    PRESETS = sizeof presets / sizeof *presets,
    FAMILY_PRESETS = sizeof family_presets / sizeof *family_presets
};

const vly_preset *vly_preset_list(int i) {
    return i >= 0 && i < PRESETS ? &presets[i] : NULL;
}
static const char *preset_name(int i) {
    return i < PRESETS ? presets[i].name : NULL;
}

static const char *settings_of(const named_settings *table, const char *name) {
    for (; table->name; table++)
        if (!strcmp(table->name, name)) return table->settings;
    return "";
}

/* "a.b=1 c.d=2" */
static vly_status option_apply_settings(vly_config *config, const char *settings) {
    char key[64], value[256];
    while (*(settings += strspn(settings, " "))) {
        size_t k = strcspn(settings, "="), v;
        snprintf(key, sizeof key, "%.*s", (int)k, settings);
        settings += k + (settings[k] == '=');
        v = strcspn(settings, " ");
        snprintf(value, sizeof value, "%.*s", (int)v, settings);
        settings += v;
        VLY_TRY(vly_config_set(config, key, value));
    }
    return VLY_OK;
}

static bool preset_fits(const vly_preset *p, const char *env, const char *family,
                        const char *algo) {
    bool fits = !strcmp(p->env, family) || !fnmatch(p->env, env, 0);
    return fits && (!algo || !strcmp(p->algo, algo));
}

static const vly_preset *find_preset(const char *env, const char *family, const char *algo) {
    for (int i = 0; i < PRESETS; i++)
        if (preset_fits(&presets[i], env, family, algo)) return &presets[i];
    return NULL;
}

static vly_status named_preset(const vly_config *config, const vly_preset **out) {
    for (int i = 0; i < PRESETS; i++)
        if (!strcmp(presets[i].name, config->run.preset)) {
            *out = &presets[i];
            if (strcmp(config->run.algo, "auto") && strcmp(config->run.algo, presets[i].algo))
                return vly_fail(VLY_EINVAL, "preset %s is for %s, not for --algo %s",
                                presets[i].name, presets[i].algo, config->run.algo);
            return VLY_OK;
        }
    char near[256];
    vly_nearest(config->run.preset, preset_name, near, sizeof near);
    return vly_fail(VLY_EINVAL, "no preset '%s'%s%s; `volley ls presets` lists them",
                    config->run.preset, *near ? "; nearest: " : "", near);
}

static vly_status apply_given(vly_config *config, const vly_assignments *given, const char *only) {
    for (int i = 0; i < given->n; i++) {
        const vly_assignment *a = &given->v[i];
        if (!only || !strcmp(a->key, only))
            VLY_TRY(vly_option_set(config, vly_config_find(a->key), a->where, a->value));
    }
    return VLY_OK;
}

/* What a family's option `preset` stands for, where one was given. */
static vly_status apply_family_presets(vly_config *config, const vly_assignments *given) {
    for (int i = 0; i < FAMILY_PRESETS; i++) {
        const family_preset *p = &family_presets[i];
        char name[16];
        VLY_TRY(apply_given(config, given, p->option));
        vly_option_get(config, vly_config_find(p->option), name, sizeof name);
        if (!strcmp(name, p->name)) VLY_TRY(option_apply_settings(config, p->settings));
    }
    return VLY_OK;
}

vly_status vly_config_check_device(const char *device) {
    const size_t digits = !strncmp(device, "cuda:", 5) ? strspn(device + 5, "0123456789,") : 0;
    if (!strcmp(device, "auto") || !strcmp(device, "cpu") || !strcmp(device, "cuda") ||
        (digits && !device[5 + digits]))
        return VLY_OK;
    return vly_fail(VLY_EINVAL, "--device '%s' is not one of auto, cpu, cuda, cuda:0, cuda:0,1",
                    device);
}

/* Checks that involve several options. */
static vly_status check_together(const vly_config *c) {
    if (c->pool.groups > c->run.envs)
        return vly_fail(VLY_EINVAL, "--pool.groups %d is more than --envs %d", c->pool.groups,
                        c->run.envs);
    if (c->pool.batch > c->run.envs)
        return vly_fail(VLY_EINVAL, "--pool.batch %d is more than --envs %d", c->pool.batch,
                        c->run.envs);
    if (c->optim.kind == VLY_OPTIM_KIND_RMSPROP_CENTERED && c->optim.momentum > 0)
        return vly_fail(VLY_EINVAL,
                        "--optim.momentum %g: rmsprop_centered has none; sgd, rmsprop and "
                        "rmsprop_tf do",
                        (double)c->optim.momentum);
    return vly_config_check_device(c->run.device);
}

static bool is_given(const vly_assignments *given, const char *key) {
    for (int i = 0; i < given->n; i++)
        if (!strcmp(given->v[i].key, key)) return true;
    return false;
}

/* What is said of Atari decides nothing elsewhere. */
static vly_status forget_other_families(vly_config *config, const char *family) {
    for (int i = 0; i < OPTIONS && strcmp(family, "multi") != 0; i++)
        if (is_family(options[i].section) && strcmp(options[i].section, family) != 0)
            VLY_TRY(vly_option_set(config, &options[i], full_name(i), options[i].def));
    return VLY_OK;
}

/* Neither how many environments nor how long their rollouts are was given. */
static bool leaves_envs_open(const vly_assignments *given) {
    for (int i = 0; i < given->n; i++)
        if (!strcmp(given->v[i].key, "run.envs") || !fnmatch("*.rollout", given->v[i].key, 0))
            return false;
    return true;
}

vly_status vly_config_layers(vly_config *config, const vly_assignments *given,
                             const char *canonical, const char *family) {
    VLY_TRY(vly_config_defaults(config));
    const vly_int_list hidden = config->net.hidden;
    VLY_TRY(apply_given(config, given, "run.algo"));
    VLY_TRY(apply_given(config, given, "run.preset"));
    const vly_preset *preset = NULL;
    bool automatic = !strcmp(config->run.preset, "auto"),
         none = !strcmp(config->run.preset, "none");
    bool any_algo = !strcmp(config->run.algo, "auto");
    if (automatic || none)
        preset = find_preset(canonical, family, any_algo ? NULL : config->run.algo);
    else
        VLY_TRY(named_preset(config, &preset));
    char algo[32];
    snprintf(algo, sizeof algo, "%s", !any_algo ? config->run.algo : preset ? preset->algo : "ppo");
    if (none) preset = NULL;

    VLY_TRY(option_apply_settings(config, settings_of(algo_settings, algo)));
    if (preset) VLY_TRY(option_apply_settings(config, preset->settings));
    if (given->of_env) VLY_TRY(option_apply_settings(config, given->of_env));
    VLY_TRY(apply_family_presets(config, given));
    const int usual = config->run.envs;
    VLY_TRY(apply_given(config, given, NULL));
    VLY_TRY(forget_other_families(config, family));
    config->fit_envs = config->run.envs == 0 || leaves_envs_open(given);
    config->given.separate = is_given(given, "net.separate");
    config->given.hidden = is_given(given, "net.hidden") &&
                           memcmp(&hidden, &config->net.hidden, sizeof hidden) != 0;
    config->given.activation = is_given(given, "net.activation");
    config->given.deviation = is_given(given, "net.deviation");
    config->given.squash = is_given(given, "net.squash");
    if (config->run.envs == 0) config->run.envs = usual;
    /* A preset's groups are for its environments; few of them are fewer groups. */
    if (!is_given(given, "pool.groups") && config->pool.groups > config->run.envs)
        config->pool.groups = config->run.envs;
    if (!is_given(given, "pool.batch") && config->pool.batch > config->run.envs)
        config->pool.batch = config->run.envs;
    memcpy(config->run.algo, algo, sizeof algo);
    VLY_TRY(vly_config_set(config, "run.preset", preset ? preset->name : "none"));
    return check_together(config);
}

/* ---- what decides ---- */

static bool is_one_of(const char *text, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(text, *list)) return true;
    return false;
}

/* Whether one of the algorithm's numbers falls to 0 over run.steps. */
static bool anneals(const vly_config *c, const char *const *algo) {
    char text[8];
    for (int i = 0; i < OPTIONS; i++) {
        if (strncmp(options[i].key, "anneal", 6) || !is_one_of(options[i].section, algo)) continue;
        vly_option_get(c, &options[i], text, sizeof text);
        if (!strcmp(text, "true")) return true;
    }
    return false;
}

/* Whether the option decides how training goes on; run.steps does where a schedule follows it. */
static bool decides(const vly_config *c, const char *const *algo, const vly_option *o) {
    static const char *const always[] = {"net", "optim", "env", "replay", NULL};
    static const char *const keys[] = {"run.algo",      "run.seed",    "run.envs", "run.precision",
                                       "pool.schedule", "pool.groups", NULL};
    char key[128];
    snprintf(key, sizeof key, "%s.%s", o->section, o->key);
    if (!strcmp(key, "ppo.overlap")) /* off as if it were not there: digests of before hold */
        return c->ppo.overlap == VLY_PPO_OVERLAP_ON && is_one_of(o->section, algo);
    if (!strcmp(key, "env.isolate")) return false; /* where they are stepped, not how */
    if (!strcmp(key, "run.steps")) return anneals(c, algo) || c->replay.prioritized;
    return is_one_of(o->section, always) || is_family(o->section) || is_one_of(key, keys) ||
           is_one_of(o->section, algo);
}

uint64_t vly_config_hash(const vly_config *config, const char *const *algo) {
    uint64_t hash = 0;
    char text[VLY_CONFIG_TEXT + 128];
    for (int i = 0; i < OPTIONS; i++) {
        if (!decides(config, algo, &options[i])) continue;
        int n = snprintf(text, sizeof text, "%s.%s=", options[i].section, options[i].key);
        vly_option_get(config, &options[i], text + n, sizeof text - (size_t)n);
        hash = XXH3_64bits_withSeed(text, strlen(text), hash);
    }
    return hash;
}

int vly_config_differences(const vly_config *a, const vly_config *b, const char *const *algo,
                           char *names, size_t bytes) {
    char mine[VLY_CONFIG_TEXT], theirs[VLY_CONFIG_TEXT];
    size_t used = 0;
    int n = 0;
    names[0] = '\0';
    for (int i = 0; i < OPTIONS; i++) {
        const vly_option *o = &options[i];
        if (!decides(a, algo, o) && !decides(b, algo, o)) continue;
        vly_option_get(a, o, mine, sizeof mine);
        vly_option_get(b, o, theirs, sizeof theirs);
        if (!strcmp(mine, theirs)) continue;
        if (used < bytes)
            used += (size_t)snprintf(names + used, bytes - used, "%s%s.%s %.60s instead of %.60s",
                                     n ? ", " : "", o->section, o->key, mine, theirs);
        n++;
    }
    return n;
}

/* ---- printing ---- */

static void print_scalar(FILE *out, const vly_option *o, const char *text) {
    if (o->kind != VLY_OPTION_TEXT) {
        fputs(text, out);
        return;
    }
    fputc('"', out); /* always quoted: a name like "no" or "1e3" stays a name */
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void vly_config_print(const vly_config *config, FILE *out) {
    char text[VLY_CONFIG_TEXT];
    const char *section = "";
    fprintf(out, "format: %d\n", VLY_CONFIG_VERSION);
    for (int i = 0; i < OPTIONS; i++) {
        const vly_option *o = &options[i];
        if (strcmp(section, o->section)) fprintf(out, "%s:\n", section = o->section);
        vly_option_get(config, o, text, sizeof text);
        fprintf(out, "  %s: ", o->key);
        print_scalar(out, o, text);
        fputc('\n', out);
    }
}

void vly_config_print_changes(const vly_config *config, FILE *out) {
    static _Thread_local vly_config defaults;
    char text[VLY_CONFIG_TEXT], usual[VLY_CONFIG_TEXT];
    if (vly_config_defaults(&defaults) != VLY_OK) return;
    for (int i = 0; i < OPTIONS; i++) {
        vly_option_get(config, &options[i], text, sizeof text);
        vly_option_get(&defaults, &options[i], usual, sizeof usual);
        if (strcmp(text, usual))
            fprintf(out, "%s.%s: %s\n", options[i].section, options[i].key, text);
    }
}

void vly_config_print_reference(FILE *out) {
    char allowed[512];
    fputs("# Options\n\nGenerated from `common/config/options.def` by `volley ls options "
          "--markdown`. On the command "
          "line an option is\n`--section.key value`; options of `run` need no section; booleans "
          "may be "
          "`--section.key` and `--no-section.key`.\nIn a file of `--config` they are YAML: "
          "`section:` and, "
          "indented, `key: value`.\n",
          out);
    for (int s = 0; s < SECTIONS; s++) {
        fprintf(out, "\n## %s: %s\n\n| option | default | allowed | meaning |\n|---|---|---|---|\n",
                sections[s].name, sections[s].help);
        for (int i = 0; i < OPTIONS; i++) {
            if (strcmp(options[i].section, sections[s].name)) continue;
            vly_option_allowed(&options[i], allowed, sizeof allowed);
            fprintf(out, "| `%s` | %s | %s | %s |\n", full_name(i),
                    *options[i].def ? options[i].def : "(empty)", allowed, options[i].help);
        }
    }
}

vly_status vly_config_save(const vly_config *config, const char *path) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return vly_fail(VLY_ENOMEM, "no memory to write %s", path);
    vly_config_print(config, out);
    fclose(out);
    vly_status status = vly_file_replace(path, text, bytes);
    free(text);
    return status;
}

vly_status vly_config_read(vly_config *config, const char *path) {
    vly_assignments given = {0};
    vly_status status = vly_config_load(path, &given);
    if (status == VLY_OK) status = vly_config_defaults(config);
    if (status == VLY_OK) status = apply_given(config, &given, NULL);
    vly_assignments_free(&given);
    return status == VLY_OK ? check_together(config) : status;
}
