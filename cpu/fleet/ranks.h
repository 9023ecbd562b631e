/* ranks.h -- synchronous data parallelism under mpirun: every rank acts and learns, gradients are
 * averaged.
 *
 *   vly_ranks *r;
 *   VLY_TRY(vly_ranks_open(&r, VLY_RANKS_ALLREDUCE));     // loads libvolley_mpi.so
 *   train_options.sync = vly_ranks_sync(r);               // sync->rank, sync->world
 *   ... vly_ranks_close(r, failed);
 *
 * ALLREDUCE: the mean gradient of all ranks before every optimizer step. Weights stay equal bit for
 * bit; a hash is compared every 100 updates. GOSSIP: every rank takes its own step, then averages
 * its weights with one neighbour on a ring, right and left in turn, so no step waits for all ranks.
 * Rank 0 owns the run's folder. MPI has no fault tolerance: if a rank dies the run ends on all
 * ranks; resume continues from the last checkpoint, also with another number of ranks. */
#ifndef VLY_CPU_FLEET_RANKS_H
#define VLY_CPU_FLEET_RANKS_H
#include "common/sync/sync.h"

typedef enum { VLY_RANKS_ALLREDUCE, VLY_RANKS_GOSSIP } vly_ranks_mode;
typedef struct vly_ranks vly_ranks;

/* Whether mpirun, srun or another MPI launcher started this process. */
bool vly_ranks_launched(void);
vly_status vly_ranks_open(vly_ranks **out, vly_ranks_mode mode);
vly_sync *vly_ranks_sync(vly_ranks *r);
/* Finalizes MPI: call it last. `failed` aborts the other ranks. */
void vly_ranks_close(vly_ranks *r, bool failed);

/* The symbols that libvolley_mpi.so exports. */
typedef vly_status (*vly_ranks_create_fn)(vly_sync **out, vly_ranks_mode mode,
                                          vly_status (*fail)(vly_status status, const char *format,
                                                             ...));
typedef void (*vly_ranks_destroy_fn)(vly_sync *s, int failed);
#define VLY_RANKS_CREATE_SYMBOL "vly_mpi_create"
#define VLY_RANKS_DESTROY_SYMBOL "vly_mpi_destroy"
#endif
