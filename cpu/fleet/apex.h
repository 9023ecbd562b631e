/* apex.h -- the actor's side of Ape-X (Horgan et al. 2018): many actors fill a replay memory in the
 * store, one learner samples it by priority.
 *
 *   VLY_TRY(vly_apex_create(&x, &options));
 *   args.sync = vly_apex_sync(x);             // DQN then acts and sends instead of learning
 *   vly_apex_note(x, steps, returns, count);  // sent with the next block
 *
 * Actor i of N explores with probability 0.4^(1 + 7 i / (N - 1)), which stays constant; N counts
 * every environment of every worker. Transitions are sent as blocks (cpu/fleet/block.h) with first
 * priorities from the actor's own network; newer weights are fetched after every block. An actor
 * waits while the store refuses blocks: this bounds the ratio of acting to learning.
 *
 * The learner's side: cpu/fleet/leader_experience.c, built on cpu/fleet/experience.h.
 *
 * What a failure loses. An actor: what it has not sent, less than two blocks. The learner: only
 * priorities of the last apex.keep_s. The store: blocks that the learner's cache does not hold and
 * blocks not taken yet, at most apex.queue a shard; all losses are counted. */
#ifndef VLY_CPU_FLEET_APEX_H
#define VLY_CPU_FLEET_APEX_H
#include "common/learn/algo.h"
#include "common/config/config.h"
#include "cpu/fleet/block.h"
#include "cpu/fleet/store.h"

typedef struct {
    vly_store *store; /* the run's: weights, heartbeats; borrowed */
    const char *url, *run, *name;
    const vly_config *config;
    int actions, rank, world;
} vly_apex_options;

typedef struct vly_apex vly_apex;
vly_status vly_apex_create(vly_apex **out, const vly_apex_options *options);
void vly_apex_destroy(vly_apex *x);
vly_sync *vly_apex_sync(vly_apex *x);
void vly_apex_note(vly_apex *x, int64_t steps, const double *returns, int count);
bool vly_apex_stopped(const vly_apex *x);

/* The shape of a run's blocks, derived from the configuration by the learner and by every actor. */
vly_block_shape vly_apex_shape(const vly_config *config, const vly_obs_spec *obs, int actions);
#endif
