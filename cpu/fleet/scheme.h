/* scheme.h -- how the processes of a run work together, as the configuration says.
 *
 * The words, here and everywhere:
 *   fleet    all processes of one run
 *   scheme   what they exchange: one of vly_fleet_scheme
 *   sync     the functions that an algorithm calls for it (common/sync/sync.h)
 *   leader   the learner's process of a run with a store (cpu/fleet/leader.h); workers are the others
 *   store    Redis (cpu/fleet/store.h)
 *   ranks    the equal processes of mpirun (cpu/fleet/ranks.h)
 *   gpus     the equal processes of one machine, one for each GPU (cpu/fleet/gpus.h), which watch each
 *            other as a crew (common/sync/crew.h)
 */
#ifndef VLY_CPU_FLEET_SCHEME_H
#define VLY_CPU_FLEET_SCHEME_H
#include "common/config/config.h"

typedef enum {
    VLY_FLEET_ALONE,      /* one process */
    VLY_FLEET_GRADIENTS,  /* gradients or weights to a parameter server: a3c, gorila, dist.update */
    VLY_FLEET_UNROLLS,    /* impala: actors in other processes, learning here */
    VLY_FLEET_EXPERIENCE, /* experience to a replay memory in the store: apex */
    VLY_FLEET_TABLES,     /* qlearning, sarsa: --sharding, --merge, --dist.tables */
    VLY_FLEET_RANKS       /* mpirun: run.sync */
} vly_fleet_scheme;
vly_fleet_scheme vly_fleet_scheme_of(const vly_config *config);

#endif
