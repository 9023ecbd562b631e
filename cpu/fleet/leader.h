/* leader.h -- the learner's process of a run that is spread over processes and machines, with a store
 * in the middle; and what the others run.
 *
 *   learner: if (vly_fleet_scheme_of(&config) != VLY_FLEET_ALONE) {
 *                // a Redis of its own unless run.store names one
 *                VLY_TRY(vly_leader_create(&l, &config, folder, say, arg));
 *                train_options.lead = vly_leader_lead, train_options.lead_arg = l;
 *            }  // then vly_train_run
 *   actor:   VLY_TRY(vly_fleet_act(&(vly_fleet_actor){.url = ..., .run = ...}));
 *
 * The leader publishes the configuration, starts run.workers actors on this machine (none with
 * run.role learner), serves them, restarts those that die and its own Redis, and announces the end.
 * Actors may run on any machine and leave at any time.
 */
#ifndef VLY_CPU_FLEET_LEADER_H
#define VLY_CPU_FLEET_LEADER_H
#include "cpu/train/train.h"

typedef struct vly_leader vly_leader;

/* Nothing is started before vly_leader_lead. folder: of the run, for the Redis of its own; also
 * names the run in the store; borrowed. say: a line for a person, may be NULL. */
vly_status vly_leader_create(vly_leader **out, const vly_config *config, const char *folder,
                             void (*say)(void *arg, const char *text), void *arg);
void vly_leader_destroy(vly_leader *l);
/* vly_train_options.lead */
vly_status vly_leader_lead(void *leader, vly_train *t);

typedef struct {
    const char *url, *run; /* run NULL: the only one in the store */
    int rank;              /* -1: the next free one */
    double wait_s;         /* for a run that is not there yet */
    void (*say)(void *arg, const char *text);
    void (*warn)(void *arg, const char *text); /* an environment that hangs; from any thread */
    void *arg;                                 /* for the callbacks, each of which may be NULL */
    void (*started)(void *arg, vly_train *t);  /* from here on vly_train_stop(t) ends it */
} vly_fleet_actor;
/* Acts until the learner announces the end. */
vly_status vly_fleet_act(const vly_fleet_actor *actor);

#endif
