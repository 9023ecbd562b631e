#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/record/aggregate.h"
#include "cpu/program/evaluation.h"
#include "cpu/program/verbs.h"
#include "envs/atari/games.h"

typedef struct {
    int episodes, actors, seeds, minutes, resamples;
    int64_t seed;
    bool greedy, best, accept_config;
    char device[64], protocol[16];
} eval_options;

enum { EVAL_MINUTES = 5 }; /* the default of --minutes */

/* ---- one run ---- */

static double half_interval(const vly_evaluation *e) {
    return 1.96 * e->sd / sqrt(e->n);
}

static void print_run(FILE *out, const vly_evaluation *e) {
    const double half = half_interval(e);
    fprintf(out, "%s: %d episode%s of %s: mean return %.4g", e->checkpoint, e->n,
            e->n == 1 ? "" : "s", e->env, e->mean);
    if (e->n > 1)
        fprintf(out, " (95%% interval %.4g to %.4g), sd %.4g, from %.4g to %.4g", e->mean - half,
                e->mean + half, e->sd, e->low, e->high);
    fprintf(out, ", mean length %.4g\n", e->length_mean);
    for (int i = 0; i < e->task_count; i++) {
        fprintf(out, "  %-24s %d episode%s", e->tasks[i].env, e->tasks[i].n,
                e->tasks[i].n == 1 ? "" : "s");
        if (e->tasks[i].n) fprintf(out, ", mean return %.4g", e->tasks[i].mean);
        fputc('\n', out);
    }
    if (e->normalised)
        fprintf(out, "  human-normalised %.4g (random %.6g, human %.6g)\n",
                vly_evaluation_normalise(e, e->mean), e->random, e->human);
    if (e->o.machado && e->actions < VLY_ATARI_ACTIONS)
        fprintf(out,
                "  note: this agent knows %d of the 18 actions that the protocol asks for (train "
                "with --atari.full_actions)\n",
                e->actions);
}

static json_t *protocol_json(const vly_evaluation *e) {
    if (!e->is_atari) return json_null();
    const vly_atari_options *a = &e->atari;
    return json_pack("{s:s, s:o, s:i, s:i, s:i, s:b, s:b, s:i}", "name",
                     e->o.machado ? "machado" : "as trained", "sticky",
                     vly_json_real((double)a->sticky), "actions", e->actions, "frame_skip",
                     a->frame_skip, "noop_max", a->noop_max, "fire_reset", a->fire_reset,
                     "episodic_life", a->episodic_life, "max_frames", a->max_frames);
}

static json_t *seeds_json(const vly_evaluation *e) {
    json_t *list = json_array();
    for (int s = 0; s < e->o.seeds; s++)
        json_array_append_new(list, json_pack("{s:I, s:o}", "seed", (json_int_t)(e->o.seed + s),
                                              "return_mean",
                                              vly_json_real(vly_evaluation_seed_mean(e, s))));
    return list;
}

static json_t *eval_tasks_json(const vly_evaluation *e) {
    json_t *list = json_array();
    for (int i = 0; i < e->task_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:o}", "env", e->tasks[i].env, "episodes",
                                              e->tasks[i].n, "return_mean",
                                              vly_json_real(e->tasks[i].mean)));
    return list;
}

static json_t *run_json(const vly_evaluation *e) {
    json_t *returns = json_array();
    const double half = half_interval(e);
    for (int i = 0; i < e->n; i++) json_array_append_new(returns, vly_json_real(e->returns[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:o, s:o, s:[o,o], s:o, s:o, s:o, s:o, s:o}",
                  "run", e->run, "checkpoint", e->checkpoint, "env", e->env, "algo", e->algo,
                  "train_seed", (json_int_t)e->train_seed, "episodes", e->n, "return_mean",
                  vly_json_real(e->mean), "return_sd", vly_json_real(e->sd), "return_ci95",
                  vly_json_real(e->mean - half), vly_json_real(e->mean + half), "length_mean",
                  vly_json_real(e->length_mean), "human_normalised",
                  e->normalised ? vly_json_real(vly_evaluation_normalise(e, e->mean)) : json_null(),
                  "seeds", seeds_json(e), "protocol", protocol_json(e), "returns", returns);
    if (e->task_count) json_object_set_new(o, "tasks", eval_tasks_json(e));
    return o;
}

/* ---- all of them ---- */

typedef struct {
    const char *env;
    int runs;
    bool has_human;
    vly_scores raw, normalised;
} task;

typedef struct {
    const vly_evaluation *e;
    int count;
    const eval_options *o;
    task *tasks;
    double *scores; /* what the tasks point into */
    int task_count;
    bool over_runs;  /* otherwise over evaluation seeds: no environment has a second run */
    bool normalised; /* every environment's scores are */
} summary;

static void add_scores(summary *s, const vly_evaluation *e, double **next) {
    for (int k = 0; k < (s->over_runs ? 1 : s->o->seeds); k++)
        *(*next)++ = s->over_runs ? e->mean : vly_evaluation_seed_mean(e, k);
}

static bool seen_before(const summary *s, int i) {
    for (int k = 0; k < i; k++)
        if (!strcmp(s->e[k].env, s->e[i].env)) return true;
    return false;
}

/* Groups runs by environment: a task has a score for each run, or, when no environment has two, for
 * each seed. */
static vly_status group(summary *s) {
    const size_t most = (size_t)s->count * (size_t)s->o->seeds;
    s->tasks = calloc((size_t)s->count, sizeof *s->tasks);
    s->scores = malloc(2 * most * sizeof *s->scores);
    if (!s->tasks || !s->scores) return vly_fail(VLY_ENOMEM, "no memory for %zu scores", most);
    for (int i = 0; i < s->count; i++) s->over_runs |= seen_before(s, i);
    s->normalised = true;
    double *next = s->scores;
    for (int i = 0; i < s->count; i++) {
        if (seen_before(s, i)) continue;
        task *t = &s->tasks[s->task_count++];
        double *raw = next;
        t->env = s->e[i].env;
        for (int k = i; k < s->count; k++)
            if (!strcmp(s->e[k].env, t->env)) add_scores(s, &s->e[k], &next), t->runs++;
        const int n = (int)(next - raw);
        for (int k = 0; k < n; k++) next[k] = vly_evaluation_normalise(&s->e[i], raw[k]);
        t->raw = (vly_scores){raw, n}, t->normalised = (vly_scores){next, n};
        next += n;
        t->has_human = s->e[i].normalised;
        s->normalised &= t->has_human;
    }
    return VLY_OK;
}

/* NAME and NAME_ci95 into `to`, and as text; one score a task leaves nothing to draw from: no
 * interval. */
static vly_status add_aggregate(const summary *s, const vly_scores *tasks, int count,
                                vly_aggregate_kind kind, const char *name, json_t *to,
                                char text[96]) {
    char interval[48];
    double v, ci[2];
    int n = 0;
    for (int i = 0; i < count; i++) n += tasks[i].n;
    snprintf(interval, sizeof interval, "%s_ci95", name);
    VLY_TRY(vly_aggregate(tasks, count, kind, &v));
    json_object_set_new(to, name, vly_json_real(v));
    json_object_set_new(to, interval, json_null());
    snprintf(text, 96, "%.4g", v);
    if (n == count) return VLY_OK;
    VLY_TRY(vly_aggregate_interval(tasks, count, kind, s->o->resamples, (uint64_t)s->o->seed, ci));
    json_object_set_new(to, interval,
                        json_pack("[o,o]", vly_json_real(ci[0]), vly_json_real(ci[1])));
    snprintf(text, 96, "%.4g (95%% interval %.4g to %.4g)", v, ci[0], ci[1]);
    return VLY_OK;
}

static vly_status sum_up_tasks(const summary *s, FILE *people, json_t *list) {
    for (int i = 0; i < s->task_count; i++) {
        const task *t = &s->tasks[i];
        char text[96];
        json_t *o = json_pack("{s:s, s:i, s:i}", "env", t->env, "runs", t->runs, "scores",
                              t->raw.n);
        json_array_append_new(list, o);
        VLY_TRY(add_aggregate(s, &t->raw, 1, VLY_AGGREGATE_IQM, "iqm", o, text));
        fprintf(people, "%-20s IQM %s", t->env, text);
        if (t->has_human) {
            VLY_TRY(add_aggregate(s, &t->normalised, 1, VLY_AGGREGATE_IQM, "human_normalised_iqm",
                                  o, text));
            fprintf(people, ", human-normalised %s", text);
        }
        fprintf(people, " over %d %s%s\n", t->raw.n, s->over_runs ? "run" : "evaluation seed",
                t->raw.n > 1 ? "s" : "");
    }
    return VLY_OK;
}

/* Environments without a common scale are not mixed. */
static vly_status sum_up_all(const summary *s, FILE *people, json_t *to) {
    static const struct {
        vly_aggregate_kind kind;
        const char *name, *words;
    } kinds[] = {{VLY_AGGREGATE_IQM, "iqm", "IQM"},
                 {VLY_AGGREGATE_MEDIAN, "median", "median"},
                 {VLY_AGGREGATE_MEAN, "mean", "mean"},
                 {VLY_AGGREGATE_OPTIMALITY_GAP, "optimality_gap", "optimality gap"}};
    vly_scores tasks[VLY_CLI_POSITIONAL];
    vly_status status = VLY_OK;
    for (int i = 0; i < s->task_count; i++)
        tasks[i] = s->normalised ? s->tasks[i].normalised : s->tasks[i].raw;
    const int wanted = s->normalised ? 4 : 3; /* the gap is to the human */
    for (int k = 0; k < wanted && status == VLY_OK; k++) {
        char text[96];
        status = add_aggregate(s, tasks, s->task_count, kinds[k].kind, kinds[k].name, to, text);
        if (status == VLY_OK && s->task_count > 1)
            fprintf(people, "%s%s %s", k ? ", " : "all, human-normalised: ", kinds[k].words, text);
    }
    if (s->task_count > 1) fputc('\n', people);
    return status;
}

static vly_status sum_up_runs(summary *s, FILE *people, json_t *to) {
    VLY_TRY(group(s));
    json_t *tasks = json_array();
    json_object_set_new(to, "tasks", tasks);
    json_object_set_new(to, "interval_over",
                        json_string(s->over_runs ? "runs" : "evaluation seeds"));
    json_object_set_new(to, "scale", json_string(s->normalised ? "human-normalised" : "score"));
    json_object_set_new(to, "resamples", json_integer(s->o->resamples));
    VLY_TRY(sum_up_tasks(s, people, tasks));
    if (s->normalised || s->task_count == 1)
        VLY_TRY(sum_up_all(s, people, to));
    else
        fprintf(people, "no number for all: there is no common scale of these environments\n");
    if (!s->over_runs)
        fprintf(people, "one agent an environment: the interval is of evaluating it, not of "
                        "training another\n");
    return VLY_OK;
}

/* One run has its numbers at the top, as it always had; several are a list. */
static int report_evaluations(vly_cli *cli, vly_evaluation *e) {
    const eval_options *o = cli->own;
    json_t *object = cli->count == 1 ? run_json(e) : json_object(), *aggregate = json_object();
    vly_status status = VLY_OK;
    for (int i = 0; i < cli->count; i++) print_run(cli->people, &e[i]);
    if (cli->count > 1) {
        json_t *runs = json_array();
        for (int i = 0; i < cli->count; i++) json_array_append_new(runs, run_json(&e[i]));
        json_object_set_new(object, "runs", runs);
    }
    if (cli->count > 1 || o->seeds > 1) {
        summary s = {.e = e, .count = cli->count, .o = o};
        status = sum_up_runs(&s, cli->people, aggregate);
        free(s.tasks);
        free(s.scores);
        json_object_set(object, "aggregate", aggregate);
    }
    json_decref(aggregate);
    if (status == VLY_OK && cli->json)
        vly_cli_print_json(object);
    else
        json_decref(object);
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}

static int failure(vly_status status, bool opened) {
    if (vly_cli_signal()) return vly_cli_signal() == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM;
    return opened && status != VLY_EINVAL
               ? (fprintf(stderr, "volley: %s\n", vly_error_text()), VLY_EXIT_FAILED)
               : vly_cli_fail(status);
}

static int eval(vly_cli *cli) {
    const eval_options *o = cli->own;
    if (o->minutes != EVAL_MINUTES && strcmp(o->protocol, "machado") != 0)
        return vly_cli_fail(vly_fail(
            VLY_EINVAL, "--minutes is a limit of --protocol machado: give both, or leave it out"));
    const vly_evaluation_options options = {.episodes = o->episodes,
                                            .seeds = o->seeds,
                                            .actors = o->actors,
                                            .seed = o->seed,
                                            .greedy = o->greedy,
                                            .best = o->best,
                                            .accept_config = o->accept_config,
                                            .machado = !strcmp(o->protocol, "machado"),
                                            .minutes = o->minutes,
                                            .device = o->device};
    vly_evaluation *e = calloc((size_t)cli->count, sizeof *e);
    if (!e) return vly_cli_fail(vly_fail(VLY_ENOMEM, "no memory for %d runs", cli->count));
    vly_status status = VLY_OK;
    int i = 0;
    for (; i < cli->count && status == VLY_OK; i++)
        status = vly_evaluation_run(&e[i], cli->positional[i], &options, cli->people);
    const int code = status == VLY_OK ? report_evaluations(cli, e)
                                      : failure(status, e[i - 1].env[0] != '\0');
    for (i = 0; i < cli->count; i++) vly_evaluation_close(&e[i]);
    free(e);
    return code;
}

static const vly_option eval_table[] = {
    VLY_CLI_INT(eval_options, episodes, "100", 1, 1e6, "episodes to play, for each seed"),
    VLY_CLI_INT(eval_options, seed, "1000", 0, 9e18, "seed of environments and actions"),
    VLY_CLI_INT(
        eval_options, seeds, "1", 1, 1000,
        "evaluations of each run, with seeds from --seed on; 2 or more: IQM and its interval"),
    VLY_CLI_TEXT(eval_options, protocol, "none", "none|machado",
                 "none: the settings of training; machado: see below"),
    VLY_CLI_INT(eval_options, minutes, "5", 1, 600, /* EVAL_MINUTES */
                "machado: of an episode; 30 is ALE's 108,000 frames"),
    VLY_CLI_INT(eval_options, resamples, "20000", 100, 1e7, "of the bootstrap"),
    VLY_CLI_BOOL(eval_options, greedy,
                 "take the likeliest action instead of sampling as in training"),
    VLY_CLI_BOOL(eval_options, best,
                 "the checkpoint with the best training return instead of the newest"),
    VLY_CLI_BOOL(eval_options, accept_config,
                 "go on although config.yaml is not what the checkpoint was saved with"),
    VLY_CLI_INT(eval_options, actors, "16", 1, 4096, "environments side by side"),
    VLY_CLI_TEXT(eval_options, device, "auto", NULL, "auto, cpu, cuda, cuda:0"),
};

const vly_verb vly_verb_eval = {
    .name = "eval",
    .positional_help = "RUN...",
    .summary = "plays episodes with trained agents and reports their returns",
    .examples =
        "volley eval runs/cartpole-ppo-1-20261121-101500 --episodes 100\n"
        "volley eval runs/x/checkpoints/best.safetensors --greedy --json\n"
        "volley eval runs/pong-* runs/breakout-* --protocol machado --seeds 5 --episodes 20",
    .own = eval_table,
    .own_count = sizeof eval_table / sizeof *eval_table,
    .own_bytes = sizeof(eval_options),
    .more = "machado (Machado et al. 2018): sticky actions 0.25, no no-ops or FIRE after a reset, "
            "an episode is a whole game of\n"
            "at most five minutes, scores unclipped; the agent's own actions, frame skip and "
            "observation.\n"
            "Several runs, or --seeds: the interquartile mean with the 95 % interval of a "
            "stratified bootstrap (Agarwal et al.\n"
            "2021), over the runs of each environment, or over evaluation seeds where there is one "
            "run each; human-normalised\n"
            "where random and human scores are published (57 Atari games).",
    .positional_min = 1,
    .positional_max = VLY_CLI_POSITIONAL,
    .run = eval,
};
