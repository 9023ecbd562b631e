#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/session.h"
#include "cpu/program/verbs.h"
#include "envs/atari/trace.h"
#include "envs/trace.h"

typedef struct {
    int64_t seed, random;
    bool observations;
    char actions[1024], out[1024];
} trace_options;

static vly_status get_actions(const trace_options *o, int count, int32_t **actions, size_t *n) {
    if (o->actions[0] && o->random >= 0) return vly_fail(VLY_EINVAL, "--actions and --random are two answers to one question");
    if (o->actions[0]) return vly_trace_read_actions(o->actions, count, actions, n);
    if (o->random < 0) return vly_fail(VLY_EINVAL, "which actions? --actions FILE (one a line) or --random N");
    *n = (size_t)o->random;
    return vly_trace_random_actions((uint64_t)o->seed, count, *n, actions);
}

/* Atari's actions are ALE's numbers. At random: of all 18 for frames, of the environment's own for steps. */
static vly_status write_atari(const trace_options *o, FILE *out, const vly_env *env, const vly_config *config, uint64_t seed) {
    int32_t *actions = NULL;
    size_t n = 0;
    const int own = o->observations && !o->actions[0];
    VLY_TRY(get_actions(o, own ? env->actions : VLY_ATARI_ACTIONS, &actions, &n));
    for (size_t i = 0; own && i < n; i++) actions[i] = vly_atari_action(env, actions[i]);
    const vly_status status = (o->observations ? vly_atari_trace_observations : vly_atari_trace)(out, config->run.env, &config->atari,
                                                                                                 seed, actions, n);
    free(actions);
    return status;
}

static vly_status write_rows(const trace_options *o, FILE *out, const vly_env *env, const vly_config *config) {
    vly_atari_options ignored = config->atari;
    if (vly_atari_named(config->run.env, &ignored)) return write_atari(o, out, env, config, (uint64_t)o->seed);
    int32_t *actions = NULL;
    size_t n = 0;
    VLY_TRY(get_actions(o, env->actions, &actions, &n));
    const vly_status status = vly_trace_write(out, env, (uint64_t)o->seed, actions, n);
    free(actions);
    return status;
}

static vly_status write_table(const trace_options *o, const vly_env *env, const vly_config *config) {
    FILE *out = o->out[0] ? fopen(o->out, "w") : stdout;
    vly_status status = out ? write_rows(o, out, env, config)
                            : vly_fail(VLY_EINVAL, "cannot create %s: %s", o->out, strerror(errno));
    if (out && out != stdout && fclose(out) && status == VLY_OK) status = vly_fail(VLY_EIO, "cannot write %s: %s", o->out, strerror(errno));
    return status;
}

static int trace(vly_cli *cli) {
    vly_config config;
    vly_env env;
    vly_status status = vly_assignments_add(&cli->given, "run.env", cli->positional[0], "ENV");
    if (status == VLY_OK) status = vly_session_configure(&config, &cli->given, &env);
    if (status != VLY_OK) return vly_cli_fail(status);
    status = write_table(cli->own, &env, &config);
    env.close(&env);
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}

static const vly_option own[] = {
    VLY_CLI_INT(trace_options, seed, "0", 0, 9e18, "seed of the environment, and of --random"),
    VLY_CLI_TEXT(trace_options, actions, "", NULL, "file of actions, one number a line"),
    VLY_CLI_INT(trace_options, random, "-1", -1, 1e12, "play so many random actions"),
    VLY_CLI_BOOL(trace_options, observations, "Atari: a line per agent step with its picture's checksum, not per frame"),
    VLY_CLI_TEXT(trace_options, out, "", NULL, "file to write; standard output otherwise"),
};

const vly_verb vly_verb_trace = {
    .name = "trace",
    .positional_help = "ENV",
    .summary = "steps one environment and writes what happened as a table",
    .examples = "volley trace cartpole --seed 7 --random 1000\n"
                "volley trace minatar/breakout --seed 1 --actions actions.txt --out trace.tsv\n"
                "volley trace pong --seed 7 --random 1000    # as ale-py plays it: envs/atari/trace.h",
    .own = own,
    .own_count = sizeof own / sizeof *own,
    .own_bytes = sizeof(trace_options),
    .config = VLY_CONFIG_ENV,
    .more = "Tab-separated, a header and a row for each action; an episode's end starts the next.\n"
            "Atari: each action is one frame of ALE with random_seed = seed, and actions are its full set, 0 to 17.",
    .positional_min = 1,
    .positional_max = 1,
    .run = trace,
};
