#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/text.h"
#include "cpu/program/manual.h"
#include "cpu/run/session.h"
#include "cpu/program/verbs.h"
#include "envs/atari/roms.h"
#include "envs/multi.h"
#include "envs/registry.h"

typedef struct {
    bool markdown, man;
    char runs[1024], roms[1024];
} ls_options;

static json_t *ls_envs(vly_cli *cli) {
    json_t *list = json_array();
    fprintf(cli->people, "environments\n");
    for (int i = 0; vly_env_list(i); i++) {
        const vly_env_entry *e = vly_env_list(i);
        const char *needs = vly_env_needs(e);
        fprintf(cli->people, "  %-24s %-20s %s%s%s\n", e->name, e->gym_id ? e->gym_id : "",
                e->summary, needs ? "; fetched by " : "", needs ? needs : "");
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?, s:s, s:s?}", "name", e->name,
                                              "gym_id", e->gym_id, "reference", e->reference,
                                              "summary", e->summary, "needs", needs));
    }
    fprintf(cli->people, "  %-24s %-20s %s\n", "pong ...", "ALE/Pong-v5 ...",
            "104 Atari games: `volley ls atari`");
    fprintf(cli->people, "  %-24s %-20s %s\n", "./my_env.so", "", "your own (examples/my_env.c)");
    fprintf(cli->people, "  %-24s %-20s %s\n", "multi:A,B,C", "",
            "several of them, learned by one agent");
    return list;
}

/* "0 1 2" or, of many, "0 1 2 ... 44". */
static void print_modes(FILE *out, const vly_atari_game *g) {
    for (int i = 0; i < g->n_modes; i++) {
        if (g->n_modes > 12 && i == 8) fprintf(out, " ...");
        if (g->n_modes <= 12 || i < 8 || i == g->n_modes - 1)
            fprintf(out, i ? " %d" : "%d", g->modes[i]);
    }
}

static json_t *describe_game(const vly_atari_game *g, int found) {
    json_t *modes = json_array(), *levels = json_array();
    for (int i = 0; i < g->n_modes; i++) json_array_append_new(modes, json_integer(g->modes[i]));
    for (int i = 0; i < g->n_difficulties; i++)
        json_array_append_new(levels, json_integer(g->difficulties[i]));
    return json_pack("{s:s, s:s, s:b, s:i, s:o, s:i, s:o, s:s?}", "name", g->name, "md5", g->md5,
                     "rom", found, "actions", __builtin_popcount(g->minimal), "modes", modes,
                     "default_mode", g->default_mode, "difficulties", levels, "unproven",
                     g->unproven);
}

static json_t *ls_atari(vly_cli *cli) {
    const ls_options *o = cli->own;
    uint8_t found[VLY_ATARI_GAMES];
    char folder[VLY_PATH];
    json_t *list = json_array();
    const int n = vly_atari_rom_scan(o->roms, found);
    fprintf(cli->people, "Atari games: %d of %d ROMs found; `make roms` fetches them. Looked in:\n",
            n, VLY_ATARI_GAMES);
    for (int i = 0; vly_atari_rom_folder(o->roms, i, folder, sizeof folder); i++)
        fprintf(cli->people, "  %s\n", folder);
    fprintf(cli->people, "  %-20s %-7s %-7s %-13s %s\n", "", "ROM", "actions", "difficulties",
            "modes");
    for (int i = 0; i < VLY_ATARI_GAMES; i++) {
        const vly_atari_game *g = &vly_atari_games[i];
        char levels[32] = "";
        for (int k = 0; k < g->n_difficulties; k++)
            snprintf(levels + 2 * k, sizeof levels - 2 * (size_t)k, "%d ", g->difficulties[k]);
        fprintf(cli->people, "  %-20s %-7s %-7d %-13s ", g->name, found[i] ? "found" : "-",
                __builtin_popcount(g->minimal), levels);
        print_modes(cli->people, g);
        fprintf(cli->people, "%s%s\n", g->unproven ? "  not offered: " : "",
                g->unproven ? g->unproven : "");
        json_array_append_new(list, describe_game(g, found[i]));
    }
    return list;
}

/* What it does unless options change it: threads or processes that run freely do not repeat. */
static const char *schedule_of(const vly_algo_entry *a) {
    return a->schedule == VLY_SCHEDULE_ASYNC || a->traits.server ? "async" : "sync";
}

static json_t *ls_algos(vly_cli *cli) {
    json_t *list = json_array();
    fprintf(cli->people, "algorithms (sync: repeats bit for bit by default; async: does not)\n");
    for (int i = 0; vly_algo_list(i); i++) {
        const vly_algo_entry *a = vly_algo_list(i);
        fprintf(cli->people, "  %-12s %-6s %s\n", a->name, schedule_of(a), a->summary);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", a->name, "section",
                                              a->sections[0], "schedule", schedule_of(a), "summary",
                                              a->summary));
    }
    return list;
}

static json_t *ls_presets(vly_cli *cli) {
    json_t *list = json_array();
    fprintf(cli->people, "presets\n");
    for (int i = 0; vly_preset_list(i); i++) {
        const vly_preset *p = vly_preset_list(i);
        fprintf(cli->people, "  %-22s %-20s %-8s %s\n", p->name, p->env, p->algo, p->summary);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", p->name, "env",
                                              p->env, "algo", p->algo, "summary", p->summary,
                                              "settings", p->settings));
    }
    return list;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **sorted_names(const char *folder, int *n) {
    char **names = NULL;
    *n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char **more = e->d_name[0] == '.' ? NULL : realloc(names, (size_t)(*n + 1) * sizeof *names);
        if (!more) continue;
        names = more;
        if ((names[*n] = strdup(e->d_name))) ++*n;
    }
    if (dir) closedir(dir);
    if (*n) qsort(names, (size_t)*n, sizeof *names, compare_names);
    return names;
}

/* The header of the newest checkpoint says how far the run is; contents are not read here. */
static json_t *describe_run(vly_cli *cli, const char *run) {
    char path[VLY_PATH], folder[VLY_PATH];
    static vly_config config;
    int n;
    snprintf(path, sizeof path, "%.1200s/config.yaml", run);
    if (access(path, F_OK)) return NULL;
    if (vly_algo_restore(&config, path) != VLY_OK) {
        fprintf(cli->people, "  %-50s %s\n", run, vly_error_text());
        return json_pack("{s:s, s:s}", "run", run, "error", vly_error_text());
    }
    snprintf(folder, sizeof folder, "%.1200s/checkpoints", run);
    char **names = sorted_names(folder, &n);
    vly_checkpoint *c = NULL;
    for (int i = n - 1; i >= 0 && !c; i--) {
        if (strncmp(names[i], "step-", 5) || strstr(names[i], ".tmp-")) continue;
        snprintf(path, sizeof path, "%.1000s/%.200s", folder, names[i]);
        if (vly_checkpoint_open(&c, path) != VLY_OK) c = NULL;
    }
    int64_t steps = 0;
    const char *mean = c ? vly_checkpoint_note_text(c, "return_mean_100") : NULL;
    if (c && vly_checkpoint_note_int(c, "steps", &steps) != VLY_OK) steps = 0;
    fprintf(cli->people, "  %-50s %-20s %-8s %14s steps  return %s\n", run, config.run.env,
            config.run.algo, vly_thousands(steps), mean ? mean : "-");
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "run", run, "env", config.run.env,
                          "algo", config.run.algo, "seed", (json_int_t)config.run.seed, "steps",
                          (json_int_t)steps, "return_mean_100",
                          mean ? vly_json_real(strtod(mean, NULL)) : json_null());
    vly_checkpoint_close(c);
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
    return o;
}

static json_t *ls_runs(vly_cli *cli) {
    const ls_options *o = cli->own;
    char path[VLY_PATH];
    json_t *list = json_array();
    int n;
    char **names = sorted_names(o->runs, &n);
    fprintf(cli->people, "runs in %s\n", o->runs);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%.1000s/%.200s", o->runs, names[i]);
        json_t *run = describe_run(cli, path);
        if (!run && !vly_text_is_utf8(path))
            run = json_pack("{s:n, s:s}", "run", "error", "a folder's name is not UTF-8");
        if (run) json_array_append_new(list, run);
        free(names[i]);
    }
    free(names);
    if (!json_array_size(list))
        fprintf(cli->people, "  none yet: `volley train cartpole` makes one\n");
    return list;
}

static json_t *ls_options_(vly_cli *cli) {
    const ls_options *own = cli->own;
    int n;
    const vly_option *o = vly_config_options(&n);
    json_t *list = json_array();
    if (own->markdown) vly_config_print_reference(cli->people);
    if (own->man) vly_manual_print(cli->people);
    for (int i = 0; i < n; i++) {
        char allowed[512];
        vly_option_allowed(&o[i], allowed, sizeof allowed);
        if (!own->markdown && !own->man)
            fprintf(cli->people, "  %s.%-22s %s\n", o[i].section, o[i].key, o[i].help);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "section", o[i].section,
                                              "key", o[i].key, "default", o[i].def, "allowed",
                                              allowed, "help", o[i].help));
    }
    return list;
}

/* ---- one environment ---- */

/* A name that JSON cannot hold, or that is missing, is null. */
static json_t *names_json(const char *const *names, int n) {
    json_t *list = json_array();
    for (int i = 0; names && i < n; i++) {
        json_t *name = names[i] ? json_string(names[i]) : NULL;
        json_array_append_new(list, name ? name : json_null());
    }
    return list;
}

static void print_names(FILE *out, const char *before, const char *const *names, int n) {
    for (int i = 0; names && i < n; i++)
        fprintf(out, "%s%s", i ? ", " : before, names[i] ? names[i] : "?");
}

static json_t *frame_json(const vly_obs_spec *o) {
    json_t *shape = json_array();
    for (int i = 0; i < o->ndim; i++) json_array_append_new(shape, json_integer(o->shape[i]));
    return json_pack("{s:s, s:o, s:i}", "type", o->dtype == VLY_U8 ? "u8" : "f32", "shape", shape,
                     "stack", o->stack > 0 ? o->stack : 1);
}

static void print_frame(FILE *out, const char *what, const vly_obs_spec *o) {
    fprintf(out, "  %-12s ", what);
    for (int i = 0; i < o->ndim; i++) fprintf(out, i ? " x %d" : "%d", o->shape[i]);
    fputs(o->dtype == VLY_U8 ? " bytes" : " numbers", out);
    if (o->stack > 1) fprintf(out, ", %d frames", o->stack);
    fputc('\n', out);
}

static int names_of_actions(const vly_space *a) {
    return a->kind == VLY_SPACE_BOX ? a->count : a->n;
}

/* choices: of each value of an action; bounds: of each number of a box. */
static json_t *actions_json(const vly_space *a) {
    static const char *const kinds[] = {"discrete", "multi", "box"};
    const bool box = a->kind == VLY_SPACE_BOX;
    json_t *values = json_array();
    for (int i = 0; i < a->count; i++)
        json_array_append_new(values, box ? json_pack("[f, f]", a->bounds[i].low, a->bounds[i].high)
                                          : json_integer(vly_space_size(a, i)));
    return json_pack("{s:s, s:o, s:o}", "kind", kinds[a->kind], box ? "bounds" : "choices", values,
                     "names", names_json(a->names, names_of_actions(a)));
}

static void print_actions(FILE *out, const vly_space *a) {
    fprintf(out, "  %-12s ", "actions");
    for (int i = 0; i < a->count; i++) {
        if (i) fputs(a->kind == VLY_SPACE_BOX ? ", " : " x ", out);
        if (a->kind == VLY_SPACE_BOX)
            fprintf(out, "%.4g to %.4g", a->bounds[i].low, a->bounds[i].high);
        else
            fprintf(out, "%d", vly_space_size(a, i));
    }
    print_names(out, ": ", a->names, names_of_actions(a));
    fputc('\n', out);
}

static json_t *describe_opened(FILE *out, const vly_env *env) {
    fprintf(out, "%s\n", env->name);
    print_frame(out, "observation", &env->obs);
    if (env->shared.bytes) print_frame(out, "shared state", &env->shared);
    print_actions(out, &env->action);
    if (env->masked) fprintf(out, "  %-12s some actions are forbidden at times\n", "masks");
    if (env->players > 1) fprintf(out, "  %-12s %d\n", "players", env->players);
    if (env->info_count) fprintf(out, "  %-12s ", "info");
    print_names(out, "", env->info_names, env->info_count);
    if (env->info_count) fputc('\n', out);
    return json_pack("{s:s, s:o, s:o, s:o, s:b, s:i, s:o}", "env", env->name, "observation",
                     frame_json(&env->obs), "shared",
                     env->shared.bytes ? frame_json(&env->shared) : json_null(), "action",
                     actions_json(&env->action), "masked", env->masked, "players", env->players,
                     "info", names_json(env->info_names, env->info_count));
}

/* Also one that cannot be opened here: its files are not fetched, its plugin is broken. */
static bool names_an_env(const char *name) {
    vly_env_info info;
    return vly_env_is_plugin(name) || vly_multi_named(name) ||
           vly_env_describe(&info, name, NULL) != VLY_ENOTFOUND;
}

static vly_status ls_one_env(vly_cli *cli, const char *name) {
    const ls_options *o = cli->own;
    const vly_env_args args = {.data = o->roms[0] ? o->roms : NULL};
    vly_env env;
    VLY_TRY(vly_env_open(&env, name, &args));
    json_t *object = describe_opened(cli->people, &env);
    if (cli->json)
        vly_cli_print_json(object);
    else
        json_decref(object);
    env.close(&env);
    return VLY_OK;
}

/* ---- the verb ---- */

static const struct {
    const char *name;
    json_t *(*list)(vly_cli *cli);
    bool usual; /* part of a plain `volley ls` */
} topics[] = {{"envs", ls_envs, true},       {"algos", ls_algos, true},
              {"presets", ls_presets, true}, {"atari", ls_atari, false},
              {"runs", ls_runs, false},      {"options", ls_options_, false}};
enum { TOPICS = sizeof topics / sizeof *topics };

/* What `volley ls` may be asked for. */
static const char *topic_name(int i) {
    return i < TOPICS ? topics[i].name : vly_env_name(i - TOPICS);
}

static vly_status unknown_topic(const char *wanted) {
    char near[256];
    vly_nearest(wanted, topic_name, near, sizeof near);
    return vly_fail(VLY_EINVAL,
                    "volley ls: '%.60s' is not one of envs, algos, presets, atari, runs, options, "
                    "and no environment%s%s",
                    wanted, *near ? "; nearest: " : "", near);
}

static const char usual_runs[] = "runs";

static bool is_folder_of_runs(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int ls(vly_cli *cli) {
    const char *wanted = cli->count ? cli->positional[0] : NULL;
    const ls_options *o = cli->own;
    bool found = false;
    if ((o->markdown || o->man) && (!wanted || strcmp(wanted, "options") != 0))
        return vly_cli_fail(vly_fail(VLY_EINVAL, "--%s is the form of `volley ls options`",
                                     o->markdown ? "markdown" : "man"));
    if (wanted && !strcmp(wanted, "runs") && strcmp(o->runs, usual_runs) &&
        !is_folder_of_runs(o->runs))
        return vly_cli_fail(vly_fail(VLY_ENOTFOUND, "there is no folder %s", o->runs));
    json_t *all = json_object();
    for (int i = 0; i < TOPICS; i++) {
        if (wanted ? strcmp(wanted, topics[i].name) != 0 : !topics[i].usual) continue;
        json_object_set_new(all, topics[i].name, topics[i].list(cli));
        found = true;
    }
    if (!found) {
        json_decref(all);
        const vly_status status = names_an_env(wanted) ? ls_one_env(cli, wanted)
                                                       : unknown_topic(wanted);
        return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
    }
    if (cli->json)
        vly_cli_print_json(all);
    else
        json_decref(all);
    return VLY_EXIT_DONE;
}

static const vly_option ls_table[] = {
    VLY_CLI_TEXT(ls_options, roms, "", NULL,
                 "folder of Atari ROMs; otherwise $VOLLEY_ROMS or the cache"),
    VLY_CLI_TEXT(ls_options, runs, usual_runs, NULL, "folder of runs"),
    VLY_CLI_BOOL(ls_options, markdown, "`ls options` as the reference page"),
    VLY_CLI_BOOL(ls_options, man,
                 "`ls options` as the manual page: volley ls options --man | man -l -"),
};

const vly_verb vly_verb_ls = {
    .name = "ls",
    .positional_help = "[envs|algos|presets|atari|runs|options|ENV]",
    .summary = "environments, algorithms, presets; runs; every option; what an environment is like",
    .examples = "volley ls\nvolley ls runs\nvolley ls presets --json\nvolley ls minatar/breakout",
    .own = ls_table,
    .own_count = sizeof ls_table / sizeof *ls_table,
    .own_bytes = sizeof(ls_options),
    .positional_max = 1,
    .run = ls,
};
