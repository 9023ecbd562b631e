/* ranks.h -- synchronous data parallel under mpirun: every rank acts and learns, gradients are
 * averaged.
 *
 *   vly_ranks *r;
 *   // loads libvolley_mpi.so; MPI is found, never required
 *   VLY_TRY(vly_ranks_open(&r, VLY_RANKS_ALLREDUCE));
 *   train_options.sync = vly_ranks_sync(r);               // sync->rank, sync->world
 *   ... vly_ranks_close(r);
 *
 * ALLREDUCE: the mean gradient of all ranks before every optimizer step; weights stay equal bit for
 * bit, which is checked by a hash every 100 updates. GOSSIP: every rank takes its own step, then
 * averages its weights with one neighbour on a ring, in turn left and right: no step waits for all.
 * Rank 0 owns the run's folder. MPI has no fault tolerance: a rank that dies ends the run on all,
 * and resume goes on from the last checkpoint, with another number of ranks too.
 */
#ifndef VLY_CPU_FLEET_RANKS_H
#define VLY_CPU_FLEET_RANKS_H
#include "common/sync/sync.h"

typedef enum { VLY_RANKS_ALLREDUCE, VLY_RANKS_GOSSIP } vly_ranks_mode;
typedef struct vly_ranks vly_ranks;

/* Whether the program was started by mpirun, srun or the like. */
bool vly_ranks_launched(void);
vly_status vly_ranks_open(vly_ranks **out, vly_ranks_mode mode);
vly_sync *vly_ranks_sync(vly_ranks *r);
/* Also finalizes MPI: call it last, on success; after a failure `failed` aborts the other ranks. */
void vly_ranks_close(vly_ranks *r, bool failed);

/* What the library exports. */
typedef vly_status (*vly_ranks_create_fn)(vly_sync **out, vly_ranks_mode mode,
                                          vly_status (*fail)(vly_status status, const char *format,
                                                             ...));
typedef void (*vly_ranks_destroy_fn)(vly_sync *s, int failed);
#define VLY_RANKS_CREATE_SYMBOL "vly_mpi_create"
#define VLY_RANKS_DESTROY_SYMBOL "vly_mpi_destroy"
#endif
