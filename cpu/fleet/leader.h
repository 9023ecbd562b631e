/* leader.h -- the leader: the learner's process of a run with a store; and its actors.
 *
 *   learner: if (vly_fleet_scheme_of(&config) != VLY_FLEET_ALONE) {
 *                // starts a Redis for the run unless run.store names one
 *                VLY_TRY(vly_leader_create(&l, &config, folder, say, arg));
 *                train_options.lead = vly_leader_lead, train_options.lead_arg = l;
 *            }  // then vly_train_run
 *   actor:   VLY_TRY(vly_fleet_act(&(vly_fleet_actor){.url = ..., .run = ...}));
 *
 * The leader publishes the configuration, starts run.workers actors on this machine (none with
 * run.role learner), serves them, restarts actors and its own Redis when they die, and announces
 * the end of the run. Further actors may join and leave at any time, from any machine. */
#ifndef VLY_CPU_FLEET_LEADER_H
#define VLY_CPU_FLEET_LEADER_H
#include "cpu/train/train.h"

typedef struct vly_leader vly_leader;

/* Starts nothing before vly_leader_lead. folder: the run's, borrowed; its last part names the
 * run in the store, and the leader's own Redis has its files there. say: receives messages for
 * the user; may be NULL. */
vly_status vly_leader_create(vly_leader **out, const vly_config *config, const char *folder,
                             void (*say)(void *arg, const char *text), void *arg);
void vly_leader_destroy(vly_leader *l);
/* The value of vly_train_options.lead. */
vly_status vly_leader_lead(void *leader, vly_train *t);

/* What an actor has done. */
typedef struct {
    char run[128], env[256], algo[32]; /* "" before the run was found */
    int rank;                          /* -1 before it has one */
    int64_t steps, updates;            /* as it last told the learner */
} vly_fleet_done;

typedef struct {
    const char *url, *run; /* run NULL: the only run in the store */
    int rank;              /* -1: the next free one */
    double wait_s;         /* how long to wait for the store and for the run to appear */
    void (*say)(void *arg, const char *text);
    void (*warn)(void *arg, const char *text); /* an environment hangs; called from any thread */
    void *arg;                                 /* for the callbacks; each may be NULL */
    /* from this call on, until one with NULL, vly_train_stop(t) ends the actor */
    void (*started)(void *arg, vly_train *t);
    vly_fleet_done *done; /* written at the end; may be NULL */
} vly_fleet_actor;
/* Acts until the learner announces the end. */
vly_status vly_fleet_act(const vly_fleet_actor *actor);

#endif
