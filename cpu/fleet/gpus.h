/* gpus.h -- one process per GPU: finds this process's rank and device, starts the others, connects
 * all with NCCL.
 *
 *   VLY_TRY(vly_gpus_place_of("cuda:0,1", &place));        // place.world 2, place.mine "cuda:0"
 *   <open place.mine>
 *   VLY_TRY(vly_gpus_open(&g, &config, compute));          // rank 0 of a list starts the others
 *   train_options.sync = vly_gpus_sync(g);
 *   ... vly_gpus_close(g, failed);
 *
 * `--device cuda:0,1` runs this program's command line once more for each further device, with
 * VLY_RANK, VLY_WORLD, VLY_MEET and VLY_TOKEN in its environment. Children inherit standard error;
 * their standard output is redirected to it. Under mpirun, srun and torchrun (`--sync allreduce`)
 * the launcher assigns the ranks and each rank takes the device of its local rank. They connect to
 * rank 0 at --dist.meet, at MASTER_ADDR:MASTER_PORT + 1, or at this machine's port derived from the
 * job's identifier. */
#ifndef VLY_CPU_FLEET_GPUS_H
#define VLY_CPU_FLEET_GPUS_H
#include "common/learn/algo.h"
#include "common/config/config.h"

typedef struct {
    int rank, world;
    int local;     /* rank on this machine */
    bool launched; /* by mpirun, srun, torchrun, or by rank 0 */
    char mine[64]; /* this rank's device */
} vly_gpus_place;

/* Fails if the list is malformed, or shorter than the number of ranks on this machine. */
vly_status vly_gpus_place_of(const char *device, vly_gpus_place *out);

typedef struct vly_gpus vly_gpus;
/* Whether this process is one of several, each with a GPU. */
bool vly_gpus_wanted(const vly_config *config, const vly_compute *compute);
vly_status vly_gpus_open(vly_gpus **out, const vly_config *config, vly_compute *compute);
vly_sync *vly_gpus_sync(vly_gpus *g);
/* Call after destroying the trainer and before the device. Rank 0 waits for its children. */
void vly_gpus_close(vly_gpus *g, bool failed);
#endif
