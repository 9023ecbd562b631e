/* apex.h -- Ape-X (Horgan et al. 2018): many actors fill a replay memory in the store, one learner
 * samples it by priority.
 *
 *   actor: VLY_TRY(vly_apex_create(&x, &options)); args.sync = vly_apex_sync(x);
 *       // dqn then acts and hands on, and does not learn
 *          vly_apex_note(x, steps, returns, count);  // goes along with the next block
 *
 * Actor i of N explores at 0.4^(1 + 7 i / (N - 1)) all the time, N counting every environment of
 * every worker. What it met goes out as blocks (cpu/fleet/block.h) with first priorities from its
 * own network; newer weights come in after every block. While the store refuses blocks it waits:
 * that is how the learner holds the ratio of learning to acting.
 *
 * The learner's side: cpu/fleet/leader_experience.c over cpu/fleet/experience.h.
 *
 * What is lost when something dies. An actor: what it had not handed on, less than two blocks. The
 * learner: nothing but priorities of the last apex.keep_s. The store: what the learner's cache does
 * not hold, and blocks not taken yet, at most apex.queue a shard; all of it is counted.
 */
#ifndef VLY_CPU_FLEET_APEX_H
#define VLY_CPU_FLEET_APEX_H
#include "common/learn/algo.h"
#include "common/config/config.h"
#include "cpu/fleet/block.h"
#include "cpu/fleet/store.h"

typedef struct {
    vly_store *store; /* of the run: weights, heartbeat; borrowed */
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

/* Blocks of a run: learner and actors agree by the configuration. */
vly_block_shape vly_apex_shape(const vly_config *config, const vly_obs_spec *obs, int actions);
#endif
