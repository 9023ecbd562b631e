/* scheme.h -- a run spread over processes and machines, with a store in the middle.
 *
 *   learner: if (vly_dist_kind_of(&config) != VLY_DIST_NONE) {
 *                VLY_TRY(vly_dist_create(&d, &config, folder, say, arg));
 *                    // a Redis of its own unless run.store names one
 *                train_options.lead = vly_dist_lead, train_options.lead_arg = d;
 *            }  // then vly_train_run
 *   actor:   VLY_TRY(vly_dist_act(&(vly_dist_actor){.url = ..., .run = ...}));
 *
 * The learner publishes the configuration, starts run.workers actors on this machine (none with
 * run.role learner), serves them, restarts those that die and its own Redis, and announces the end.
 * Actors may run on any machine and leave at any time.
 */
#ifndef VLY_CPU_FLEET_SCHEME_H
#define VLY_CPU_FLEET_SCHEME_H
#include "cpu/train/train.h"

typedef enum {
    VLY_DIST_NONE,
    VLY_DIST_PS,      /* gradients or weights to a parameter server: a3c, gorila, dist.update */
    VLY_DIST_UNROLLS, /* impala: actors in other processes, learning here */
    VLY_DIST_APEX,    /* experience to a replay memory in the store: apex */
    VLY_DIST_TABULAR, /* qlearning, sarsa with a scheme: --sharding, --merge, --dist.tables */
    VLY_DIST_RANKS    /* mpirun: run.sync */
} vly_dist_kind;
vly_dist_kind vly_dist_kind_of(const vly_config *config);

typedef struct vly_dist vly_dist;

/* Nothing is started before vly_dist_lead. folder: of the run, for the Redis of its own; also names
 * the run in the store; borrowed. say: a line for a person, may be NULL. */
vly_status vly_dist_create(vly_dist **out, const vly_config *config, const char *folder,
                           void (*say)(void *arg, const char *text), void *arg);
void vly_dist_destroy(vly_dist *d);
/* vly_train_options.lead */
vly_status vly_dist_lead(void *dist, vly_train *t);

typedef struct {
    const char *url, *run; /* run NULL: the only one in the store */
    int rank;              /* -1: the next free one */
    double wait_s;         /* for a run that is not there yet */
    void (*say)(void *arg, const char *text);
    void (*warn)(void *arg, const char *text); /* an environment that hangs; from any thread */
    void *arg;                                 /* for the callbacks, each of which may be NULL */
    void (*started)(void *arg, vly_train *t);  /* from here on vly_train_stop(t) ends it */
} vly_dist_actor;
/* Acts until the learner announces the end. */
vly_status vly_dist_act(const vly_dist_actor *actor);

#endif
