/* evaluation.h -- a trained agent plays under a protocol, once for each of several seeds.
 *
 *   vly_evaluation e;
 *   vly_evaluation_options o = {.episodes = 20, .seeds = 5, .seed = 1000, .machado = true,
 *                               .minutes = 5, .actors = 16, .device = "auto"};
 *   status = vly_evaluation_run(&e, "runs/x", &o, stderr);
 *   e.returns[s * o.episodes + i], e.mean, vly_evaluation_seed_mean(&e, s)
 *   vly_evaluation_close(&e);                                  // in any case
 *
 * Machado et al. 2018: sticky actions of probability 0.25, no no-ops or other help after a reset,
 * an episode is a game and not a life, five minutes at most, scores as the game counts them. What
 * the network was built for stays: its actions (the protocol asks for all 18), frame skip and
 * observation.
 */
#ifndef VLY_CPU_EVALUATION_H
#define VLY_CPU_EVALUATION_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/record/checkpoint.h"
#include "common/config/config.h"
#include "envs/atari/options.h"

typedef struct {
    int episodes, seeds, actors;
    int64_t seed; /* the first; the next is one more */
    bool greedy, best, machado, accept_config;
    int minutes; /* machado: of an episode, at 60 frames a second */
    const char *device;
} vly_evaluation_options;

typedef struct {
    vly_evaluation_options o;
    char run[VLY_PATH], checkpoint[VLY_PATH], env[64], algo[32];
    int64_t train_seed;
    int actions;
    vly_atari_options atari; /* as played */
    bool is_atari, normalised;
    double random, human; /* when normalised */
    int n;                /* episodes of all seeds */
    double *returns;      /* (seeds, episodes) */
    int32_t *lengths;
    double mean, sd, length_mean, low, high;
    /* of an environment of several (vly_env.tasks); task_count 0: there is one */
    int task_count;
    struct {
        char env[64];
        int n;
        double mean;
    } tasks[64];
} vly_evaluation;

vly_status vly_evaluation_run(vly_evaluation *e, const char *run,
                              const vly_evaluation_options *options, FILE *people);
void vly_evaluation_close(vly_evaluation *e);
double vly_evaluation_seed_mean(const vly_evaluation *e, int seed);
/* The score itself where no human's is published. */
double vly_evaluation_normalise(const vly_evaluation *e, double score);
#endif
