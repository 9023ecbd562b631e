/* scheme.h -- the scheme by which the processes of a run work together, chosen by the
 * configuration.
 *
 * The words used in this folder:
 *   fleet    all processes of one run
 *   scheme   what they exchange: one of vly_fleet_scheme
 *   sync     the functions that an algorithm calls to exchange it (common/sync/sync.h)
 *   leader   the learner's process of a run with a store (cpu/fleet/leader.h)
 *   workers  the other processes of such a run; those that only act are also called actors
 *   store    Redis (cpu/fleet/store.h)
 *   ranks    the equal processes of mpirun (cpu/fleet/ranks.h)
 *   gpus     the equal processes of one machine, one per GPU (cpu/fleet/gpus.h), which watch each
 *            other as a crew (common/sync/crew.h) */
#ifndef VLY_CPU_FLEET_SCHEME_H
#define VLY_CPU_FLEET_SCHEME_H
#include "common/config/config.h"

typedef enum {
    VLY_FLEET_ALONE, /* one process */
    /* gradients or weights go to a parameter server: a3c, gorila, dist.update */
    VLY_FLEET_GRADIENTS,
    VLY_FLEET_UNROLLS,    /* impala: actors are processes; the leader learns */
    VLY_FLEET_EXPERIENCE, /* apex: experience goes to a replay memory in the store */
    VLY_FLEET_TABLES,     /* qlearning, sarsa: --sharding, --merge, --dist.tables */
    VLY_FLEET_RANKS       /* mpirun: run.sync */
} vly_fleet_scheme;
vly_fleet_scheme vly_fleet_scheme_of(const vly_config *config);

#endif
