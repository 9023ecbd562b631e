#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/file.h"
#include "cpu/run/session.h"
#include "cpu/program/output.h"
#include "cpu/program/verbs.h"
#include "envs/atari/games.h"
#include "envs/atari/trace.h"
#include "envs/multi.h"
#include "envs/trace.h"

typedef struct {
    int64_t seed, random;
    bool observations;
    char actions[1024], out[1024], task[64];
} trace_options;

/* What is played, and in which environment. */
typedef struct {
    const trace_options *o;
    const vly_env *env;
    const vly_config *config;
    bool atari;
    vly_atari_options options; /* where it is */
    void *actions;             /* NULL: those that vly_trace_random draws */
    size_t n;
} table;

/* Atari's actions are ALE's numbers. At random: of all 18 for frames, of the environment's own for
 * steps. */
static vly_status draw_for_atari(table *t) {
    const bool own = t->o->observations;
    const int count = own ? t->env->action.n : VLY_ATARI_ACTIONS;
    int32_t *actions = t->n <= SIZE_MAX / sizeof *actions
                           ? malloc((t->n ? t->n : 1) * sizeof *actions)
                           : NULL;
    if (!actions) return vly_fail(VLY_ENOMEM, "no memory for %zu actions", t->n);
    for (size_t i = 0; i < t->n; i++) {
        const int32_t drawn = vly_trace_random_choice((uint64_t)t->o->seed, i, count);
        actions[i] = own ? vly_atari_action(t->env, drawn) : drawn;
    }
    t->actions = actions;
    return VLY_OK;
}

static vly_status get_actions(table *t) {
    const trace_options *o = t->o;
    const vly_space full = vly_space_discrete(VLY_ATARI_ACTIONS);
    if (o->actions[0] && o->random >= 0)
        return vly_fail(VLY_EINVAL, "--actions and --random are two answers to one question");
    if (o->actions[0])
        return vly_trace_read(o->actions, t->atari ? &full : &t->env->action, t->env->players,
                              &t->actions, &t->n);
    if (o->random < 0)
        return vly_fail(
            VLY_EINVAL,
            "which actions? --actions FILE (one a line) or --random N, 0 or more of them");
    t->n = (size_t)o->random;
    return t->atari ? draw_for_atari(t) : VLY_OK;
}

static vly_status write_rows(const table *t, FILE *out) {
    const uint64_t seed = (uint64_t)t->o->seed;
    if (!t->atari) return vly_trace_write(out, t->env, seed, t->actions, t->n);
    return (t->o->observations ? vly_atari_trace_observations : vly_atari_trace)(
        out, t->config->run.env, &t->options, seed, t->actions, t->n);
}

/* rows: what writing them returned. */
static vly_status close_table(FILE *out, const char *name, vly_status rows) {
    return fclose(out) && rows == VLY_OK
               ? vly_fail(VLY_EIO, "cannot write %s: %s", name, strerror(errno))
               : rows;
}

/* A file that appears whole or not at all. */
static vly_status write_file(const table *t, const char *name) {
    char temporary[VLY_PATH + 64];
    vly_status status;
    const int fd = vly_file_begin(name, temporary, sizeof temporary, &status);
    if (fd < 0) return status;
    FILE *out = fdopen(dup(fd), "w");
    status = out ? close_table(out, name, write_rows(t, out))
                 : vly_fail(VLY_EIO, "cannot write %s: %s", name, strerror(errno));
    if (status == VLY_OK) return vly_file_commit(fd, temporary, name);
    vly_file_abort(fd, temporary);
    return status;
}

static bool goes_to_stdout(const trace_options *o) {
    return !o->out[0] || !strcmp(o->out, "-");
}

static vly_status write_table(const table *t) {
    const char *name = t->o->out;
    struct stat there;
    vly_status status;
    if (goes_to_stdout(t->o)) {
        status = write_rows(t, stdout);
        return status != VLY_OK && ferror(stdout) && vly_cli_reader_left() ? VLY_OK : status;
    }
    VLY_TRY(vly_output_check(name));
    if (lstat(name, &there) || S_ISREG(there.st_mode)) return write_file(t, name);
    FILE *out = vly_file_open_output(name, &status); /* a pipe, a device, or a link to one */
    return out ? close_table(out, name, write_rows(t, out)) : status;
}

static int trace(vly_cli *cli) {
    vly_config config;
    vly_env env;
    vly_status status = vly_assignments_add(&cli->given, "run.env", cli->positional[0], "ENV");
    if (status == VLY_OK) status = vly_session_configure(&config, &cli->given, &env);
    if (status != VLY_OK) return vly_cli_fail(status);
    const trace_options *o = cli->own;
    table t = {.o = o, .env = &env, .config = &config};
    const vly_env_args args = vly_config_env_args(&config);
    status = vly_atari_options_read(&t.options, config.run.env, &args);
    t.atari = vly_atari_game_find(config.run.env) != NULL;
    if (status == VLY_OK && t.atari && t.options.drift[0])
        status = vly_fail(VLY_EINVAL,
                          "a trace is of one mode and difficulty: leave --atari.drift out");
    if (status == VLY_OK && o->observations && !t.atari)
        status =
            vly_fail(VLY_EINVAL,
                     "--observations is for an Atari game; the rows of %s have its observations: "
                     "leave it out",
                     env.name);
    if (status == VLY_OK && o->task[0]) status = vly_multi_begin_at(&env, o->task);
    if (status == VLY_OK) status = get_actions(&t);
    if (status == VLY_OK) status = write_table(&t);
    if (status == VLY_OK && cli->json)
        vly_cli_print_json(json_pack("{s:s, s:I, s:I, s:s?}", "env", env.name, "seed",
                                     (json_int_t)t.o->seed, "rows", (json_int_t)t.n, "file",
                                     goes_to_stdout(t.o) ? NULL : t.o->out));
    free(t.actions);
    env.close(&env);
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}

static const vly_option trace_table[] = {
    VLY_CLI_INT(trace_options, seed, "0", 0, 9e18, "seed of the environment, and of --random"),
    VLY_CLI_TEXT(trace_options, actions, "", NULL,
                 "file of actions, one a line (numbers of one action with commas, players with "
                 "semicolons); - is "
                 "standard input"),
    VLY_CLI_INT(trace_options, random, "-1", -1, 1e12, "play so many random actions"),
    VLY_CLI_BOOL(
        trace_options, observations,
        "Atari: a line per agent step with its picture's checksum, not per frame; reward is "
        "what a learner gets (by default its sign, a life an episode, no-op starts), not "
        "the score"),
    VLY_CLI_TEXT(trace_options, task, "", NULL,
                 "of multi:A,B: the environment, by name or by number from 0"),
    VLY_CLI_TEXT(trace_options, out, "", NULL, "file to write; - or none: standard output"),
};

const vly_verb vly_verb_trace = {
    .name = "trace",
    .positional_help = "ENV",
    .summary = "steps one environment and writes what happened as a table",
    .examples =
        "volley trace cartpole --seed 7 --random 1000\n"
        "volley trace minatar/breakout --seed 1 --actions actions.txt --out trace.tsv\n"
        "volley trace pong --seed 7 --random 1000    # as ale-py plays it: envs/atari/trace.h",
    .own = trace_table,
    .own_count = sizeof trace_table / sizeof *trace_table,
    .own_bytes = sizeof(trace_options),
    .config = VLY_CONFIG_ENV,
    .refusal = "it steps one environment and trains nothing",
    .more = "Tab-separated, a header and a row for each action; an episode's end starts the next. "
            "--json: env, seed, rows and file\n"
            "after the table.\n"
            "Atari: each action is one frame of ALE with random_seed = seed, and actions are its "
            "full set, 0 to 17.\n"
            "A Gymnasium id keeps its own settings: ALE/Pong-v5 has sticky actions, 0.25.",
    .positional_min = 1,
    .positional_max = 1,
    .run = trace,
};
