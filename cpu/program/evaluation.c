#include "cpu/program/evaluation.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/run/agent.h"
#include "cpu/program/cli.h"
#include "envs/atari/games.h"
#include "envs/atari/human.h"

enum { FRAMES_PER_MINUTE = 60 * 60 };

typedef struct {
    const vly_evaluation_options *o;
    FILE *people;
} agent_context;

static void say_to_people(void *arg, const char *text) {
    vly_cli_say(((agent_context *)arg)->people, text);
}

static vly_status adapt_to_protocol(void *arg, vly_config *config) {
    const vly_evaluation_options *o = ((agent_context *)arg)->o;
    if (!o->machado) return VLY_OK;
    config->atari.sticky = 0.25f;
    config->atari.noop_max = 0, config->atari.fire_reset = 0, config->atari.episodic_life = 0;
    config->atari.max_frames = o->minutes * FRAMES_PER_MINUTE;
    config->env.max_steps = 0;
    return VLY_OK;
}

static void stop_evaluation(void *train) {
    vly_train_stop(train);
}

static void describe(vly_evaluation *e, const vly_agent *a) {
    snprintf(e->checkpoint, sizeof e->checkpoint, "%s", vly_checkpoint_path(a->checkpoint));
    snprintf(e->env, sizeof e->env, "%s", a->env.name);
    snprintf(e->algo, sizeof e->algo, "%s", a->config.run.algo);
    e->train_seed = a->config.run.seed;
    e->actions = a->env.action.n;
    vly_config config = a->config;
    const vly_env_args args = vly_config_env_args(&config);
    e->is_atari = vly_atari_game_find(a->env.name) != NULL;
    (void)vly_atari_options_read(&e->atari, config.run.env, &args); /* as it was opened */
    e->normalised = e->is_atari && vly_atari_human(a->env.name, &e->random, &e->human);
}

/* The episodes of one seed, shared out among the tasks; `mean` holds sums until the last. */
static void add_to_tasks(vly_evaluation *e, const vly_agent *a, const double *returns) {
    if (a->env.tasks < 2) return;
    e->task_count = a->env.tasks;
    for (int i = 0; i < e->task_count; i++)
        snprintf(e->tasks[i].env, sizeof e->tasks[i].env, "%s", a->env.task_names[i]);
    for (int i = 0; i < e->o.episodes; i++) {
        const int task = vly_train_episode_task(a->train, e->o.episodes, i);
        e->tasks[task].mean += returns[i], e->tasks[task].n++;
    }
}

/* A fresh trainer for each seed: every seed begins from nothing but the weights. */
static vly_status play_seed(vly_evaluation *e, int s, FILE *people) {
    agent_context context = {&e->o, people};
    const vly_agent_options options = {.greedy = e->o.greedy,
                                       .best = e->o.best,
                                       .accept_config = e->o.accept_config,
                                       .actors = e->o.actors,
                                       .seed = (uint64_t)(e->o.seed + s),
                                       .device = e->o.device,
                                       .adapt = adapt_to_protocol,
                                       .say = say_to_people,
                                       .arg = &context};
    vly_agent a;
    vly_status status = vly_agent_open(&a, e->run, &options);
    if (status == VLY_OK) {
        const size_t at = (size_t)s * (size_t)e->o.episodes;
        describe(e, &a);
        if (e->o.machado && !e->is_atari)
            status = vly_fail(
                VLY_EINVAL,
                "%s: the protocol machado is for Atari games, not %s; leave --protocol out", e->run,
                e->env);
        if (status == VLY_OK && a.env.tasks > e->o.actors)
            status = vly_fail(VLY_EINVAL,
                              "%s: %d environments side by side for %d games: --actors has to be "
                              "at least %d",
                              e->run, e->o.actors, a.env.tasks, a.env.tasks);
        vly_cli_watch_signals(stop_evaluation, a.train);
        if (status == VLY_OK)
            status = vly_train_evaluate(a.train, e->o.episodes, e->returns + at, e->lengths + at);
        vly_cli_watch_signals(NULL, NULL);
        if (status == VLY_OK) add_to_tasks(e, &a, e->returns + at);
    }
    vly_agent_close(&a);
    return status;
}

static void sum_up_episodes(vly_evaluation *e) {
    double square = 0;
    e->low = INFINITY, e->high = -INFINITY;
    for (int i = 0; i < e->n; i++) {
        e->mean += e->returns[i] / e->n, e->length_mean += (double)e->lengths[i] / e->n;
        e->low = fmin(e->low, e->returns[i]), e->high = fmax(e->high, e->returns[i]);
    }
    for (int i = 0; i < e->n; i++) square += (e->returns[i] - e->mean) * (e->returns[i] - e->mean);
    e->sd = e->n > 1 ? sqrt(square / (e->n - 1)) : 0;
}

vly_status vly_evaluation_run(vly_evaluation *e, const char *run,
                              const vly_evaluation_options *options, FILE *people) {
    memset(e, 0, sizeof *e);
    e->o = *options;
    e->n = options->episodes * options->seeds;
    snprintf(e->run, sizeof e->run, "%s", run);
    e->returns = calloc((size_t)e->n, sizeof *e->returns);
    e->lengths = calloc((size_t)e->n, sizeof *e->lengths);
    if (!e->returns || !e->lengths) return vly_fail(VLY_ENOMEM, "no memory for %d episodes", e->n);
    for (int s = 0; s < options->seeds; s++) VLY_TRY(play_seed(e, s, people));
    sum_up_episodes(e);
    for (int i = 0; i < e->task_count; i++) e->tasks[i].mean /= e->tasks[i].n; /* NAN: none */
    return VLY_OK;
}

void vly_evaluation_close(vly_evaluation *e) {
    free(e->returns);
    free(e->lengths);
    e->returns = NULL, e->lengths = NULL;
}

double vly_evaluation_seed_mean(const vly_evaluation *e, int seed) {
    double sum = 0;
    for (int i = 0; i < e->o.episodes; i++)
        sum += e->returns[(size_t)seed * (size_t)e->o.episodes + (size_t)i];
    return sum / e->o.episodes;
}

double vly_evaluation_normalise(const vly_evaluation *e, double score) {
    return e->normalised ? (score - e->random) / (e->human - e->random) : score;
}
