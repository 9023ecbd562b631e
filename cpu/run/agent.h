/* agent.h -- a trained agent, ready to act: what `eval`, `play` and `record` start from.
 *
 *   vly_agent a;
 *   VLY_TRY(vly_agent_open(&a, "runs/x", &(vly_agent_options){.seed = 7, .actors = 1}));
 *   vly_train_evaluate(a.train, ...);              // whole episodes, or
 *   while (vly_agent_step(&a, &moment) == VLY_OK)  // one actor, step by step
 *       a.env.render(...);
 *   vly_agent_close(&a);                           // also after a failed open
 */
#ifndef VLY_CPU_RUN_AGENT_H
#define VLY_CPU_RUN_AGENT_H
#include "common/config/config.h"
#include "common/record/checkpoint.h"
#include "cpu/train/train.h"

typedef struct {
    bool greedy, best, accept_config; /* see volley eval --help */
    int actors;                       /* 1 for vly_agent_step */
    uint64_t seed;
    /* Opened before, instead of what the run has now; borrowed until close. NULL both: the run's. */
    const vly_config *config;
    vly_checkpoint *checkpoint;
    const char *device;                                 /* NULL: auto */
    const char *task;                                   /* of several environments: the first
                                                           actor's, by name or number; NULL: 0 */
    void *arg;                                          /* for the callbacks, each of which may be
                                                           NULL; valid until close */
    vly_status (*adapt)(void *arg, vly_config *config); /* changes the run's configuration before it
                                                           is used */
    void (*say)(void *arg, const char *text);           /* a line for a person; from any thread */
} vly_agent_options;

typedef struct {
    vly_config config;
    vly_env env;
    bool env_open;
    vly_compute *compute;
    vly_train *train;
    vly_checkpoint *checkpoint;
    bool borrowed; /* the checkpoint */
    /* of vly_agent_step */
    double score;
    int64_t length, episodes;
} vly_agent;

typedef struct {
    const void *state;  /* of the environment after this step, for render and describe */
    vly_actions action; /* as vly_train_moment has it; none at an episode's start */
    double value; /* the agent's estimate of the return from the state it acted in; NAN: none */
    double score; /* so far in this episode */
    int64_t length, episode; /* steps in this episode; number of the episode, from 0 */
    bool ended;              /* the episode ends here */
} vly_agent_moment;

vly_status vly_agent_open(vly_agent *a, const char *run, const vly_agent_options *options);
void vly_agent_close(vly_agent *a);
vly_status vly_agent_step(vly_agent *a, vly_agent_moment *moment);
#endif
