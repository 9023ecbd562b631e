/* gpus.h -- one process per GPU: which rank this one is, the others started, NCCL between them.
 *
 *   VLY_TRY(vly_gpus_place_of("cuda:0,1", &place));        // place.world 2; place.mine "cuda:0"
 *   <open place.mine>
 *   // rank 0 of a list starts the others; all meet
 *   VLY_TRY(vly_gpus_open(&g, &config, compute));
 *   train_options.sync = vly_gpus_sync(g);
 *   ... vly_gpus_close(g, failed);
 *
 * `--device cuda:0,1` starts this very command once more for every further device, with VLY_RANK,
 * VLY_WORLD, VLY_MEET and VLY_TOKEN in its environment; what the others print goes to standard
 * error. Under mpirun, srun and torchrun the ranks are theirs (`--sync allreduce`), each takes the
 * device of its local rank, and they meet at --dist.meet, MASTER_ADDR:MASTER_PORT, or on this
 * machine at a port derived from the job's number.
 */
#ifndef VLY_CPU_FLEET_GPUS_H
#define VLY_CPU_FLEET_GPUS_H
#include "common/learn/algo.h"
#include "common/config/config.h"

typedef struct {
    int rank, world;
    int local;     /* rank on this machine */
    bool launched; /* by mpirun, srun, torchrun, or rank 0 */
    char mine[64]; /* this rank's device */
} vly_gpus_place;

/* Fails on a list that is none, or that has other ranks than the launcher started. */
vly_status vly_gpus_place_of(const char *device, vly_gpus_place *out);

typedef struct vly_gpus vly_gpus;
/* Whether the run is one of several processes, each with a GPU. */
bool vly_gpus_wanted(const vly_config *config, const vly_compute *compute);
vly_status vly_gpus_open(vly_gpus **out, const vly_config *config, vly_compute *compute);
vly_sync *vly_gpus_sync(vly_gpus *g);
/* After the trainer, before the device. Rank 0 waits for those it started. */
void vly_gpus_close(vly_gpus *g, bool failed);
#endif
